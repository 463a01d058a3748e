//! Means over a part of the data from means over its batches.
//!
//! A batch counts by its rows, so a short last batch does not weigh as much as a full one, and the mean does not depend
//! on how the part is cut into batches. Sums are compensated (Neumaier 1974), in `f64`.

use super::event::Named;
use super::state::bits;
use serde::{Deserialize, Serialize};

/// Values by the names of the loss and the measures.
pub type Metrics = Named<f64>;

/// Running means of several values.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Means {
    names: Vec<String>,
    sums: Vec<Sum>,
    rows: u64,
}

#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Sum {
    #[serde(with = "bits")]
    sum: f64,
    #[serde(with = "bits")]
    lost: f64,
}

impl Sum {
    fn add(&mut self, term: f64) {
        let sum = self.sum + term;
        self.lost += if self.sum.abs() >= term.abs() { (self.sum - sum) + term } else { (term - sum) + self.sum };
        self.sum = sum;
    }

    fn value(self) -> f64 {
        // The compensation of an infinite sum is NaN and tells nothing.
        if self.sum.is_finite() { self.sum + self.lost } else { self.sum }
    }
}

impl Means {
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let names: Vec<String> = names.into_iter().collect();
        let sums = vec![Sum::default(); names.len()];
        Means { names, sums, rows: 0 }
    }

    /// Adds the means over a batch of `rows` rows, in the order of the names.
    pub fn add(&mut self, values: impl IntoIterator<Item = f64>, rows: usize) {
        for (sum, value) in self.sums.iter_mut().zip(values) {
            sum.add(value * rows as f64);
        }
        self.rows += rows as u64;
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Forgets what was added.
    pub fn clear(&mut self) {
        self.sums.fill(Sum::default());
        self.rows = 0;
    }

    /// The means so far; NaN if there were no rows.
    pub fn means(&self) -> Metrics {
        let values = self.sums.iter().map(|sum| sum.value() / self.rows as f64);
        Named(self.names.iter().cloned().zip(values).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn means() -> Means {
        Means::new(["loss".to_string(), "accuracy".to_string()])
    }

    #[test]
    fn batches_weigh_by_their_rows() {
        let mut means = means();
        means.add([1.0, 0.5], 3);
        means.add([5.0, 1.0], 1);
        assert_eq!(means.means().get("loss"), Some(&2.0));
        assert_eq!(means.means().get("accuracy"), Some(&0.625));
        means.clear();
        assert!(means.means().get("loss").unwrap().is_nan());
    }

    #[test]
    fn infinities_show() {
        let mut means = means();
        means.add([f64::INFINITY, f64::NAN], 2);
        means.add([1.0, 1.0], 2);
        assert_eq!(means.means().get("loss"), Some(&f64::INFINITY));
        assert!(means.means().get("accuracy").unwrap().is_nan());
    }

    proptest! {
        #[test]
        fn the_cut_into_batches_does_not_matter(
            values in prop::collection::vec(-1e3f64..1e3, 1..200),
            size in 1usize..50,
        ) {
            let exact = values.iter().sum::<f64>() / values.len() as f64;
            let mut means = means();
            for batch in values.chunks(size) {
                let mean = batch.iter().sum::<f64>() / batch.len() as f64;
                means.add([mean, 0.0], batch.len());
            }
            prop_assert!((means.means().get("loss").unwrap() - exact).abs() < 1e-10);
        }
    }
}
