//! Which rows and which seed each of several runs has.
//!
//! Input: the rows that a phase trains on, and which run of how many this is. Output: the rows and the seed of the run. Invariant:
//! both are a function of the program's seed and of the run's number; the first member of an ensemble without resampling is the
//! run that there would be without an ensemble.

use super::event::RunKind;
use crate::check::typed::Repetition;
use crate::data::Rows;
use crate::scalar::random::Key;

/// Tells the draws of this file from others of the same seed.
const PURPOSE: u64 = 0x666f_6c64;

/// Which run of how many.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Part {
    pub repetition: Repetition,
    /// From 0.
    pub number: u64,
}

impl Part {
    pub fn kind(self) -> RunKind {
        match self.repetition {
            Repetition::Folds { .. } => RunKind::Fold,
            Repetition::Ensemble { .. } => RunKind::Member,
        }
    }

    /// As it is told: `member 2 of 5`.
    pub fn shown(self) -> String {
        format!("{} {} of {}", self.kind().name(), self.number + 1, self.repetition.count())
    }

    /// The seed of the run.
    pub fn seed(self, seed: u64) -> u64 {
        match self.repetition {
            Repetition::Folds { .. } => seed,
            Repetition::Ensemble { .. } => seed.wrapping_add(self.number.wrapping_mul(0xD1B5_4A32_D192_ED03)),
        }
    }

    /// The rows it trains on and those it is kept from. Of streamed rows no list is made, so that they can be read in blocks.
    pub fn rows(self, rows: &Rows, seed: u64) -> (Rows, Option<Rows>) {
        let list = || rows.iter().collect::<Vec<usize>>();
        match self.repetition {
            Repetition::Folds { count, .. } => {
                let (held, kept) = rows.fold(count, self.number, seed).unwrap_or_else(|| {
                    let (held, kept) = fold(&list(), count, self.number, seed);
                    (held.into(), kept.into())
                });
                (kept, Some(held))
            }
            Repetition::Ensemble { resampled: true, .. } => {
                let own = self.seed(seed);
                (rows.resampled(own).unwrap_or_else(|| resample(&list(), own).into()), None)
            }
            Repetition::Ensemble { .. } => (rows.clone(), None),
        }
    }
}

/// The rows of one fold of `count`, and the others, both in the order in which they were.
fn fold(rows: &[usize], count: u64, number: u64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let key = Key::derive(seed, PURPOSE, 0);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|k| (key.bits64(*k as u64), *k));
    let bound = |k: u64| (rows.len() as u64 * k / count) as usize;
    let mut held = vec![false; rows.len()];
    for k in &order[bound(number)..bound(number + 1)] {
        held[*k] = true;
    }
    let of = |wanted: bool| rows.iter().zip(&held).filter(|(_, held)| **held == wanted).map(|(row, _)| *row).collect();
    (of(true), of(false))
}

/// As many rows, drawn with replacement.
fn resample(rows: &[usize], seed: u64) -> Vec<usize> {
    let key = Key::derive(seed, PURPOSE, 1);
    (0..rows.len() as u64).map(|k| rows[(key.bits64(k) % rows.len() as u64) as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_divide_the_rows() {
        let rows: Vec<usize> = (0..23).map(|k| 2 * k).collect();
        let mut all = Vec::new();
        for number in 0..5 {
            let (held, kept) = fold(&rows, 5, number, 7);
            assert!((4..=5).contains(&held.len()) && held.len() + kept.len() == rows.len());
            assert!(held.iter().all(|row| !kept.contains(row)) && kept.is_sorted());
            all.extend(held);
        }
        all.sort();
        assert_eq!(all, rows);
        assert_ne!(fold(&rows, 5, 0, 7), fold(&rows, 5, 0, 8), "another seed divides otherwise");
    }

    #[test]
    fn a_bootstrap_sample_leaves_a_third_out() {
        let rows: Vec<usize> = (0..3000).collect();
        let mut sample = resample(&rows, 3);
        assert_eq!(sample.len(), rows.len());
        sample.sort();
        sample.dedup();
        // 1 - (1 - 1/n)^n is 0.632.
        assert!((1800..2000).contains(&sample.len()), "{} different rows", sample.len());
    }

    #[test]
    fn members_differ_in_their_seeds_but_the_first() {
        let part = |number| Part {
            repetition: Repetition::Ensemble {
                count: 3,
                resampled: false,
                span: crate::source::Span::new(crate::source::FileId::default(), 0, 0),
            },
            number,
        };
        assert_eq!(part(0).seed(9), 9);
        assert_ne!(part(1).seed(9), part(2).seed(9));
        let rows = Rows::from(vec![4, 2]);
        assert_eq!(part(2).rows(&rows, 9), (rows, None));
    }
}
