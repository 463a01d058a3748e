//! The division of a data set's rows into parts such as `train 70%, valid 15%, test 15%`.
//!
//! Parts are disjoint, a function of the seed alone, and cover all rows if their shares add up to 100 %. Sizes are the
//! exact shares rounded by largest remainder, ties to the part named first.

use super::error::{DataError, Place, Problem};
use super::shuffle::Stream;

/// A part as it is declared.
#[derive(Clone, PartialEq, Debug)]
pub struct Share {
    pub name: String,
    pub percent: f64,
}

/// A part and its rows, ascending.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    pub name: String,
    pub rows: Vec<usize>,
}

/// Sums of decimal shares such as 33.3 + 33.3 + 33.4 are off by rounding.
const ROUNDING: f64 = 1e-9;

/// Divides `rows` rows.
pub fn split(rows: usize, shares: &[Share], seed: u64) -> Result<Vec<Part>, DataError> {
    for (index, share) in shares.iter().enumerate() {
        let part = share.name.clone();
        if share.percent.is_nan() || share.percent <= 0.0 {
            return Err(Place::default().fail(Problem::ShareNotPositive { part, percent: share.percent }));
        }
        if shares[..index].iter().any(|earlier| earlier.name == share.name) {
            return Err(Place::default().fail(Problem::DuplicatePart { part }));
        }
    }
    let total: f64 = shares.iter().map(|share| share.percent).sum();
    if total > 100.0 + ROUNDING {
        return Err(Place::default().fail(Problem::SharesOverAll { total }));
    }
    let sizes = sizes(rows, shares, total);
    let mut order: Vec<usize> = (0..rows).collect();
    Stream::new(seed, &[SPLIT]).shuffle(&mut order);
    let mut rest = order.as_slice();
    let mut parts = Vec::new();
    for (share, size) in shares.iter().zip(sizes) {
        if size == 0 {
            let problem = Problem::EmptyPart { part: share.name.clone(), percent: share.percent, rows };
            return Err(Place::default().fail(problem));
        }
        let (taken, left) = rest.split_at(size);
        rest = left;
        let mut taken = taken.to_vec();
        taken.sort_unstable();
        parts.push(Part { name: share.name.clone(), rows: taken });
    }
    Ok(parts)
}

/// Tells the stream of a split from those of epochs.
const SPLIT: u64 = 0;

/// Sizes by largest remainder; the rows no part asks for count as a last, unnamed part.
fn sizes(rows: usize, shares: &[Share], total: f64) -> Vec<usize> {
    let unused = if total < 100.0 - ROUNDING { 100.0 - total } else { 0.0 };
    let exact: Vec<f64> = shares
        .iter()
        .map(|share| share.percent)
        .chain([unused])
        // Rounded well below the size of any true remainder, so that 15 % of 20 is 3 and no less.
        .map(|percent| (percent * rows as f64 / 100.0 * 1e6).round() / 1e6)
        .collect();
    let mut sizes: Vec<usize> = exact.iter().map(|size| size.floor() as usize).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()));
    let left = rows.saturating_sub(sizes.iter().sum());
    for &index in order.iter().filter(|&&index| exact[index] > 0.0).take(left) {
        sizes[index] += 1;
    }
    sizes.truncate(shares.len());
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(percents: &[f64]) -> Vec<Share> {
        let names = ('a'..).map(String::from);
        names.zip(percents).map(|(name, &percent)| Share { name, percent }).collect()
    }

    fn lengths(rows: usize, percents: &[f64]) -> Vec<usize> {
        split(rows, &shares(percents), 0).unwrap().iter().map(|part| part.rows.len()).collect()
    }

    #[test]
    fn sizes_follow_largest_remainders() {
        assert_eq!(lengths(1797, &[70.0, 15.0, 15.0]), [1258, 270, 269]);
        assert_eq!(lengths(20, &[70.0, 15.0, 15.0]), [14, 3, 3]);
        assert_eq!(lengths(100, &[33.3, 33.3, 33.4]), [33, 33, 34]);
        assert_eq!(lengths(10, &[50.0, 25.0]), [5, 3]);
        assert_eq!(lengths(3, &[40.0, 30.0, 30.0]), [1, 1, 1]);
    }

    #[test]
    fn a_seed_names_one_split() {
        let shares = shares(&[70.0, 30.0]);
        assert_eq!(split(500, &shares, 7), split(500, &shares, 7));
        assert_ne!(split(500, &shares, 7), split(500, &shares, 8));
    }

    proptest! {
        #[test]
        fn parts_partition_the_rows(
            rows in 0usize..2000,
            weights in prop::collection::vec(1u32..100, 1..5),
            spare in 0u32..50,
            seed: u64,
        ) {
            let total = f64::from(weights.iter().sum::<u32>() + spare);
            let percents: Vec<f64> = weights.iter().map(|&weight| f64::from(weight) / total * 100.0).collect();
            match split(rows, &shares(&percents), seed) {
                Err(error) => {
                    let empty = matches!(*error.problem, Problem::EmptyPart { .. });
                    prop_assert!(empty, "{}", error);
                }
                Ok(parts) => {
                    let mut all: Vec<usize> = parts.iter().flat_map(|part| part.rows.iter().copied()).collect();
                    for (part, percent) in parts.iter().zip(&percents) {
                        let exact = percent * rows as f64 / 100.0;
                        prop_assert!((part.rows.len() as f64 - exact).abs() < 1.0 + 1e-5);
                        prop_assert!(part.rows.is_sorted());
                    }
                    let taken = all.len();
                    all.sort();
                    all.dedup();
                    prop_assert_eq!(all.len(), taken);
                    prop_assert!(all.iter().all(|&row| row < rows));
                    if spare == 0 {
                        prop_assert_eq!(taken, rows);
                    }
                }
            }
        }
    }
}
