//! Which rows of a data set belong to a part: a list of numbers, or for a streamed file a rule that says it of any row.
//!
//! A streamed row's part is a hash of the split's seed and the row's number, so that no list is kept and the parts do not
//! depend on how the file is read. So are its fold, and how often it is in a bootstrap sample.

use std::ops::Range;
use std::sync::Arc;

use super::error::{DataError, Place, Problem};
use super::shuffle::hash;
use super::split::{Share, check_shares};

/// Rows in ascending order, or in the order they were listed in.
#[derive(Clone, PartialEq, Debug)]
pub struct Rows {
    kind: Kind,
}

#[derive(Clone, PartialEq, Debug)]
enum Kind {
    Listed(Arc<[usize]>),
    Sieved(Sieve),
}

/// The rows of a streamed file whose hash lies in an interval.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Sieve {
    /// The first row of every block, and last the number of rows.
    blocks: Arc<[usize]>,
    seed: u64,
    interval: (u64, u64),
    /// Which of these rows, and how often.
    choice: Choice,
    count: usize,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Choice {
    Each,
    /// Those of one fold, or the others.
    Fold {
        seed: u64,
        count: u64,
        number: u64,
        held: bool,
    },
    /// Each as often as a Poisson variable of mean 1 says, the limit of drawing with replacement (Oza and Russell 2001).
    Resampled {
        seed: u64,
    },
}

/// Hashes count this far.
const HASHES: u64 = 1 << 53;

impl From<Vec<usize>> for Rows {
    fn from(rows: Vec<usize>) -> Self {
        Rows { kind: Kind::Listed(rows.into()) }
    }
}

impl FromIterator<usize> for Rows {
    fn from_iter<I: IntoIterator<Item = usize>>(rows: I) -> Self {
        Rows { kind: Kind::Listed(rows.into_iter().collect()) }
    }
}

impl Rows {
    /// Every row of a streamed file, whose blocks begin at these rows and end at the last number.
    pub(super) fn streamed(blocks: Arc<[usize]>) -> Self {
        let count = blocks.last().copied().unwrap_or(0);
        Rows { kind: Kind::Sieved(Sieve { blocks, seed: 0, interval: (0, HASHES), choice: Choice::Each, count }) }
    }

    /// Divides the rows of a streamed file. The sizes of the parts are about their shares.
    pub(super) fn sieved(blocks: &Arc<[usize]>, shares: &[Share], seed: u64) -> Result<Vec<Rows>, DataError> {
        check_shares(shares)?;
        let rows = blocks.last().copied().unwrap_or(0);
        let bound = |percent: f64| ((percent / 100.0).min(1.0) * HASHES as f64).round() as u64;
        let mut total = 0.0;
        let mut parts = Vec::new();
        for share in shares {
            let low = bound(total);
            total += share.percent;
            let interval = (low, bound(total));
            let sieve = Sieve { blocks: blocks.clone(), seed, interval, choice: Choice::Each, count: 0 }.counted();
            if sieve.count == 0 {
                let problem = Problem::EmptyPart { part: share.name.clone(), percent: share.percent, rows };
                return Err(Place::default().fail(problem));
            }
            parts.push(Rows { kind: Kind::Sieved(sieve) });
        }
        Ok(parts)
    }

    pub fn len(&self) -> usize {
        match &self.kind {
            Kind::Listed(rows) => rows.len(),
            Kind::Sieved(sieve) => sieve.count,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn iter(&self) -> Box<dyn Iterator<Item = usize> + '_> {
        match &self.kind {
            Kind::Listed(rows) => Box::new(rows.iter().copied()),
            Kind::Sieved(sieve) => Box::new(sieve.of(0..sieve.rows())),
        }
    }

    /// The rows, at most so many at once.
    pub fn chunks(&self, size: usize) -> impl Iterator<Item = Vec<usize>> + '_ {
        let mut rows = self.iter();
        std::iter::from_fn(move || {
            let chunk: Vec<usize> = rows.by_ref().take(size.max(1)).collect();
            (!chunk.is_empty()).then_some(chunk)
        })
    }

    /// The first rows, at most so many.
    pub fn first(&self, count: usize) -> Vec<usize> {
        self.iter().take(count).collect()
    }

    /// One of `count` folds of streamed rows, and the others; `None` of rows that are listed.
    pub fn fold(&self, count: u64, number: u64, seed: u64) -> Option<(Rows, Rows)> {
        let of = |held| self.chosen(Choice::Fold { seed, count: count.max(1), number, held });
        Some((of(true)?, of(false)?))
    }

    /// About as many streamed rows, drawn with replacement; `None` of rows that are listed.
    pub fn resampled(&self, seed: u64) -> Option<Rows> {
        self.chosen(Choice::Resampled { seed })
    }

    fn chosen(&self, choice: Choice) -> Option<Rows> {
        let sieve = Sieve { choice, ..self.sieve()?.clone() };
        Some(Rows { kind: Kind::Sieved(sieve.counted()) })
    }

    /// The rule, if there is no list.
    pub(super) fn sieve(&self) -> Option<&Sieve> {
        match &self.kind {
            Kind::Listed(_) => None,
            Kind::Sieved(sieve) => Some(sieve),
        }
    }
}

impl Sieve {
    /// Rows of the whole file.
    fn rows(&self) -> usize {
        self.blocks.last().copied().unwrap_or(0)
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks.len().saturating_sub(1)
    }

    fn counted(mut self) -> Sieve {
        self.count = self.of(0..self.rows()).count();
        self
    }

    /// How often a row is in.
    fn times(&self, row: usize) -> usize {
        let (low, high) = self.interval;
        let hashed = |seed: u64, purpose: u64| hash(seed, &[purpose, row as u64]) % HASHES;
        if (low, high) != (0, HASHES) && !(low..high).contains(&hashed(self.seed, PARTS)) {
            return 0;
        }
        match self.choice {
            Choice::Each => 1,
            Choice::Fold { seed, count, number, held } => usize::from((hashed(seed, FOLDS) % count == number) == held),
            Choice::Resampled { seed } => poisson(hashed(seed, SAMPLES) as f64 / HASHES as f64),
        }
    }

    /// Those of some rows that are in, as often as they are.
    fn of(&self, rows: Range<usize>) -> impl Iterator<Item = usize> + '_ {
        rows.flat_map(|row| std::iter::repeat_n(row, self.times(row)))
    }

    /// The rows of a block that are in.
    pub(super) fn of_block(&self, block: usize) -> impl Iterator<Item = usize> + '_ {
        self.of(self.blocks[block]..self.blocks[block + 1])
    }
}

/// A Poisson variable of mean 1 from a uniform one, by its distribution function.
fn poisson(uniform: f64) -> usize {
    let (mut count, mut term) = (0, (-1.0_f64).exp());
    let mut sum = term;
    // The terms soon vanish in the sum.
    while uniform >= sum && sum + term > sum {
        count += 1;
        term /= count as f64;
        sum += term;
    }
    count
}

/// Tells the hashes of parts, folds and samples from each other and from the streams of splits and epochs.
const PARTS: u64 = 2;
const FOLDS: u64 = 4;
const SAMPLES: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_part_of_about_its_share() {
        let blocks: Arc<[usize]> = vec![0, 700, 1000, 10_000].into();
        let share = |name: &str, percent| Share { name: name.into(), percent };
        let shares = [share("train", 70.0), share("valid", 20.0), share("test", 10.0)];
        let parts = Rows::sieved(&blocks, &shares, 5).unwrap();
        let mut all: Vec<usize> = parts.iter().flat_map(Rows::iter).collect();
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..10_000));
        for (part, share) in parts.iter().zip(&shares) {
            assert_eq!(part.iter().count(), part.len());
            assert!((part.len() as f64 - 100.0 * share.percent).abs() < 200.0, "{}: {}", share.name, part.len());
        }
        let of_blocks: Vec<usize> = (0..3).flat_map(|k| parts[0].sieve().unwrap().of_block(k)).collect();
        assert!(of_blocks.into_iter().eq(parts[0].iter()));
        assert_ne!(Rows::sieved(&blocks, &shares, 6).unwrap(), parts);
        assert_eq!(Rows::streamed(blocks).first(3), [0, 1, 2]);
    }

    #[test]
    fn folds_of_streamed_rows_divide_them() {
        let blocks: Arc<[usize]> = vec![0, 700, 1000, 9_000].into();
        let share = |name: &str, percent| Share { name: name.into(), percent };
        let part = &Rows::sieved(&blocks, &[share("train", 50.0), share("test", 50.0)], 5).unwrap()[0];
        let mut all = Vec::new();
        for number in 0..4 {
            let (held, kept) = part.fold(4, number, 7).unwrap();
            assert!((held.len() as f64 - part.len() as f64 / 4.0).abs() < 150.0, "{}", held.len());
            assert_eq!(held.len() + kept.len(), part.len());
            all.extend(held.iter());
            all.sort_unstable();
        }
        assert!(all.into_iter().eq(part.iter()));
        assert_eq!(Rows::from(vec![1, 2]).fold(2, 0, 7), None);
    }

    #[test]
    fn a_sample_of_streamed_rows_leaves_a_third_out() {
        let rows = Rows::streamed(vec![0, 700, 1000, 10_000].into());
        let sample = rows.resampled(3).unwrap();
        let mut drawn: Vec<usize> = sample.iter().collect();
        assert_eq!(drawn.len(), sample.len());
        assert!((9_700..10_300).contains(&drawn.len()), "{}", drawn.len());
        let of_blocks: Vec<usize> = (0..3).flat_map(|k| sample.sieve().unwrap().of_block(k)).collect();
        assert_eq!(of_blocks, drawn);
        drawn.dedup();
        // A row is not drawn with probability 1/e.
        assert!((6_200..6_450).contains(&drawn.len()), "{} different rows", drawn.len());
        assert_ne!(rows.resampled(4).unwrap(), sample);
        assert_eq!((poisson(0.0), poisson(0.5), poisson(0.74)), (0, 1, 2));
        assert!(poisson(1.0 - f64::EPSILON) < 30);
    }

    #[test]
    fn chunks_cover_the_rows() {
        let rows = Rows::from(vec![5, 3, 9, 1, 4]);
        assert_eq!(rows.chunks(2).collect::<Vec<_>>(), [vec![5, 3], vec![9, 1], vec![4]]);
        assert_eq!((rows.len(), rows.first(2)), (5, vec![5, 3]));
    }
}
