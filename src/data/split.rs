//! The division of a data set's rows into parts such as `train 70%, valid 15%, test 15%`.
//!
//! Parts are disjoint, a function of the seed alone, and cover all rows if their shares add up to 100 %. Sizes are the
//! exact shares rounded by largest remainder, ties to the part named first.

use std::collections::BTreeMap;

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
    let sizes = checked_sizes(rows, shares)?;
    let mut order: Vec<usize> = (0..rows).collect();
    Stream::new(seed, &[SPLIT]).shuffle(&mut order);
    let mut rest = order.as_slice();
    let mut parts = Vec::new();
    for (share, size) in shares.iter().zip(sizes) {
        let (taken, left) = rest.split_at(size);
        rest = left;
        parts.push(part(share, taken.to_vec()));
    }
    Ok(parts)
}

/// Divides rows whose classes are given so that every part has them in the same proportions as the whole. The sizes of
/// the parts are those of [`split`]; the rows of a class that a part gets are its exact share rounded down or up.
pub fn stratified(classes: &[i64], shares: &[Share], seed: u64) -> Result<Vec<Part>, DataError> {
    let sizes = checked_sizes(classes.len(), shares)?;
    let mut members: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (row, &class) in classes.iter().enumerate() {
        members.entry(class).or_default().push(row);
    }
    let counts = allotted(&members.values().map(Vec::len).collect::<Vec<_>>(), shares, &sizes, classes.len());
    let mut parts: Vec<Vec<usize>> = vec![Vec::new(); shares.len()];
    for ((index, rows), counts) in (0..).zip(members.values_mut()).zip(counts) {
        Stream::new(seed, &[SPLIT, index]).shuffle(rows);
        let mut rest = rows.as_slice();
        for (part, count) in parts.iter_mut().zip(counts) {
            let (taken, left) = rest.split_at(count);
            rest = left;
            part.extend(taken);
        }
    }
    Ok(shares.iter().zip(parts).map(|(share, rows)| part(share, rows)).collect())
}

fn part(share: &Share, mut rows: Vec<usize>) -> Part {
    rows.sort_unstable();
    Part { name: share.name.clone(), rows }
}

/// The rows each part gets of each class: the shares rounded down, then one more by largest remainder as long as neither
/// the class nor the part is used up.
fn allotted(classes: &[usize], shares: &[Share], sizes: &[usize], rows: usize) -> Vec<Vec<usize>> {
    // The rows that no part asks for count as a last part.
    let unused = rows - sizes.iter().sum::<usize>();
    let sizes: Vec<usize> = sizes.iter().copied().chain([unused]).collect();
    let total: f64 = shares.iter().map(|share| share.percent).sum();
    let percents: Vec<f64> = shares.iter().map(|share| share.percent).chain([(100.0 - total).max(0.0)]).collect();
    let exact = |class: usize, part: usize| (percents[part] * classes[class] as f64 / 100.0 * 1e6).round() / 1e6;
    let all = || (0..classes.len()).flat_map(|class| (0..sizes.len()).map(move |part| (class, part)));
    let mut counts = vec![vec![0; sizes.len()]; classes.len()];
    let (mut of_class, mut of_part) = (classes.to_vec(), sizes.clone());
    for (class, part) in all() {
        let count = (exact(class, part).floor() as usize).min(of_class[class]).min(of_part[part]);
        counts[class][part] = count;
        of_class[class] -= count;
        of_part[part] -= count;
    }
    let mut order: Vec<(usize, usize)> = all().collect();
    order.sort_by(|a, b| exact(b.0, b.1).fract().total_cmp(&exact(a.0, a.1).fract()));
    for &(class, part) in &order {
        if of_class[class] > 0 && of_part[part] > 0 && exact(class, part).fract() > 0.0 {
            counts[class][part] += 1;
            of_class[class] -= 1;
            of_part[part] -= 1;
        }
    }
    // Seldom a class and a part are left that have met already.
    for &(class, part) in &order {
        let count = of_class[class].min(of_part[part]);
        counts[class][part] += count;
        of_class[class] -= count;
        of_part[part] -= count;
    }
    counts
}

/// The sizes of the parts, each at least one.
fn checked_sizes(rows: usize, shares: &[Share]) -> Result<Vec<usize>, DataError> {
    check_shares(shares)?;
    let total: f64 = shares.iter().map(|share| share.percent).sum();
    let sizes = sizes(rows, shares, total);
    if let Some((share, _)) = shares.iter().zip(&sizes).find(|(_, size)| **size == 0) {
        let problem = Problem::EmptyPart { part: share.name.clone(), percent: share.percent, rows };
        return Err(Place::default().fail(problem));
    }
    Ok(sizes)
}

/// Checks that names differ and that shares are above 0% and at most 100% together.
pub(super) fn check_shares(shares: &[Share]) -> Result<(), DataError> {
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
    Ok(())
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

    #[test]
    fn classes_keep_their_proportions() {
        // 60 of class 0, 30 of class 5, 10 of class -1.
        let classes: Vec<i64> = (0..100).map(|row| [0, 5, 0, 0, 5, 0, -1, 0, 5, 0][row % 10]).collect();
        let parts = stratified(&classes, &shares(&[70.0, 20.0, 10.0]), 3).unwrap();
        let counts = |part: &Part, class: i64| part.rows.iter().filter(|&&row| classes[row] == class).count();
        let table: Vec<[usize; 3]> =
            parts.iter().map(|part| [counts(part, 0), counts(part, 5), counts(part, -1)]).collect();
        assert_eq!(table, [[42, 21, 7], [12, 6, 2], [6, 3, 1]]);
        assert_eq!(parts, stratified(&classes, &shares(&[70.0, 20.0, 10.0]), 3).unwrap());
        assert_ne!(parts, stratified(&classes, &shares(&[70.0, 20.0, 10.0]), 4).unwrap());
    }

    proptest! {
        #[test]
        fn strata_partition_the_rows(
            classes in prop::collection::vec(0i64..8, 40..400),
            weights in prop::collection::vec(5u32..100, 1..5),
            spare in 0u32..50,
            seed: u64,
        ) {
            let total = f64::from(weights.iter().sum::<u32>() + spare);
            let percents: Vec<f64> = weights.iter().map(|&weight| f64::from(weight) / total * 100.0).collect();
            let Ok(parts) = stratified(&classes, &shares(&percents), seed) else { return Ok(()) };
            let plain = split(classes.len(), &shares(&percents), seed).unwrap();
            let mut all: Vec<usize> = Vec::new();
            for ((part, same_size), percent) in parts.iter().zip(&plain).zip(&percents) {
                prop_assert_eq!(part.rows.len(), same_size.rows.len());
                all.extend(&part.rows);
                for class in 0..8 {
                    let of_class = classes.iter().filter(|&&of| of == class).count() as f64;
                    let got = part.rows.iter().filter(|&&row| classes[row] == class).count() as f64;
                    prop_assert!((got - percent * of_class / 100.0).abs() < 2.0);
                }
            }
            let taken = all.len();
            all.sort();
            all.dedup();
            prop_assert_eq!(all.len(), taken);
        }

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
