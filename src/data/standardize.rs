//! Standardized columns: every feature less its mean, divided by its standard deviation, both over the rows of one part.

use serde::{Deserialize, Serialize};

use super::error::{DataError, Problem};
use super::rows::Rows;
use super::table::Table;
use crate::check::ColumnKind;

/// The statistics of a column, one mean and one deviation for each number of a row.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Standard {
    pub column: String,
    pub mean: Vec<f64>,
    /// Of the population; 0 for a feature that does not vary, which becomes 0.
    pub deviation: Vec<f64>,
}

impl Standard {
    /// The value of feature `at` once standardized.
    pub(super) fn apply(&self, at: usize, value: f64) -> f64 {
        let deviation = self.deviation[at];
        if deviation > 0.0 { (value - self.mean[at]) / deviation } else { 0.0 }
    }
}

/// Sums over rows that come one block after the other. Values are taken relative to the first row's, and what the
/// addition rounds off is kept beside each sum.
pub(super) struct Statistics {
    rows: u64,
    features: Vec<Feature>,
}

#[derive(Clone, Copy)]
struct Feature {
    first: f64,
    sum: Sum,
    squares: Sum,
    constant: bool,
}

/// A sum by Neumaier's method.
#[derive(Clone, Copy, Default)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        let total = self.sum + value;
        self.lost +=
            if self.sum.abs() >= value.abs() { (self.sum - total) + value } else { (value - total) + self.sum };
        self.sum = total;
    }

    fn total(self) -> f64 {
        self.sum + self.lost
    }
}

impl Statistics {
    /// For rows of `width` numbers.
    pub(super) fn new(width: usize) -> Self {
        let feature = Feature { first: 0.0, sum: Sum::default(), squares: Sum::default(), constant: true };
        Statistics { rows: 0, features: vec![feature; width] }
    }

    /// Adds rows, one after the other.
    pub(super) fn add(&mut self, values: &[f64]) {
        for row in values.chunks_exact(self.features.len()) {
            for (feature, &value) in self.features.iter_mut().zip(row) {
                if self.rows == 0 {
                    feature.first = value;
                }
                let difference = value - feature.first;
                feature.constant &= value == feature.first;
                feature.sum.add(difference);
                feature.squares.add(difference * difference);
            }
            self.rows += 1;
        }
    }

    pub(super) fn finish(self, column: &str) -> Standard {
        let rows = self.rows.max(1) as f64;
        let mean = |feature: &Feature| feature.first + feature.sum.total() / rows;
        let deviation = |feature: &Feature| {
            let offset = feature.sum.total() / rows;
            if feature.constant { 0.0 } else { (feature.squares.total() / rows - offset * offset).max(0.0).sqrt() }
        };
        Standard {
            column: column.to_string(),
            mean: self.features.iter().map(mean).collect(),
            deviation: self.features.iter().map(deviation).collect(),
        }
    }
}

impl Table {
    /// The columns of floats that are no targets.
    pub fn float_inputs(&self) -> Result<Vec<String>, DataError> {
        let columns = self.schema().columns.into_iter();
        let floats = columns.filter(|column| column.kind == ColumnKind::Float).map(|column| column.name);
        let known = |name: &String| self.encoding().is_target(name);
        let mut inputs = Vec::new();
        for name in floats {
            match known(&name) {
                None => return Err(self.place().fail(Problem::NoTargets)),
                Some(false) => inputs.push(name),
                Some(true) => {}
            }
        }
        Ok(inputs)
    }

    /// The numbers a row has of a column that may be standardized.
    pub fn measured(&self, name: &str) -> Result<usize, DataError> {
        let selected = self.select(name)?;
        match self.encoding().classes(name) {
            None => Ok(selected.width()),
            Some(_) => Err(self.place().name(name).fail(Problem::NumbersThings)),
        }
    }

    /// Mean and deviation of a column over some rows; a row must have `width` numbers.
    pub fn statistics(&self, name: &str, width: usize, rows: &Rows) -> Result<Standard, DataError> {
        /// Numbers taken at once.
        const BLOCK: usize = 1 << 16;
        let selected = self.select(name)?.unscaled();
        if selected.width() != width {
            let (shape, expected) = (vec![selected.width()], vec![width]);
            return Err(self.place().name(name).fail(Problem::OtherShape { shape, expected }));
        }
        let mut statistics = Statistics::new(width);
        let mut values = vec![0.0; (BLOCK / width).max(1) * width];
        for rows in rows.chunks((BLOCK / width).max(1)) {
            self.gather(&selected, &rows, &mut values)?;
            statistics.add(&values[..rows.len() * width]);
        }
        Ok(statistics.finish(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn standard(width: usize, values: &[f64]) -> Standard {
        let mut statistics = Statistics::new(width);
        statistics.add(values);
        statistics.finish("x")
    }

    #[test]
    fn mean_and_population_deviation() {
        let found = standard(2, &[2.0, 5.0, 4.0, 5.0, 4.0, 5.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0, 7.0, 5.0, 9.0, 5.0]);
        assert_eq!((found.mean, found.deviation), (vec![5.0, 5.0], vec![2.0, 0.0]));
    }

    #[test]
    fn a_constant_becomes_zero() {
        let found = standard(1, &[0.1; 7]);
        assert_eq!(found.deviation, [0.0]);
        assert_eq!((found.apply(0, 0.1), found.apply(0, 3.0)), (0.0, 0.0));
    }

    #[test]
    fn large_offsets_do_not_cancel() {
        let values: Vec<f64> = (0..1000).map(|k| 1e9 + f64::from(k % 2)).collect();
        let found = standard(1, &values);
        assert_eq!((found.mean[0], found.deviation[0]), (1e9 + 0.5, 0.5));
    }

    proptest! {
        #[test]
        fn blocks_do_not_matter(values in prop::collection::vec(-1e3f64..1e3, 2..60), cut in any::<prop::sample::Index>()) {
            let whole = standard(1, &values);
            let mut parts = Statistics::new(1);
            let (before, after) = values.split_at(cut.index(values.len()));
            parts.add(before);
            parts.add(after);
            prop_assert_eq!(&parts.finish("x"), &whole);
            let standardized: Vec<f64> = values.iter().map(|&value| whole.apply(0, value)).collect();
            let again = standard(1, &standardized);
            if whole.deviation[0] > 1e-3 {
                prop_assert!(again.mean[0].abs() < 1e-9 && (again.deviation[0] - 1.0).abs() < 1e-9);
            }
        }
    }
}
