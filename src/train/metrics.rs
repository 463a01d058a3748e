//! Means over a part of the data from means over its batches.
//!
//! A batch counts by its rows, so a short last batch does not weigh as much as a full one, and the mean does not depend
//! on how the part is cut into batches. Sums are compensated (Neumaier 1974), in `f64`.

use super::event::Named;
use super::state::bits;
use crate::ir::Tensor;
use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

/// Values by the names of the loss and the measures.
pub type Metrics = Named<Measured>;

/// What a measure gives.
#[derive(Clone, PartialEq, Debug)]
pub enum Measured {
    Number(f64),
    /// One axis or more, row-major.
    Table {
        dims: Vec<usize>,
        values: Vec<f64>,
    },
}

impl From<f64> for Measured {
    fn from(value: f64) -> Measured {
        Measured::Number(value)
    }
}

impl From<Tensor> for Measured {
    fn from(tensor: Tensor) -> Measured {
        let values = tensor.to_f64();
        match values[..] {
            [value] if tensor.dims.is_empty() => Measured::Number(value),
            _ => Measured::Table { dims: tensor.dims, values },
        }
    }
}

impl Metrics {
    /// A number by name; NaN if there is none.
    pub fn number(&self, name: &str) -> f64 {
        match self.get(name) {
            Some(Measured::Number(value)) => *value,
            _ => f64::NAN,
        }
    }
}

/// A number, or nested arrays.
impl Serialize for Measured {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Measured::Number(value) => value.serialize(serializer),
            Measured::Table { dims, values } => Slice { dims, values }.serialize(serializer),
        }
    }
}

/// A part of a table.
struct Slice<'v> {
    dims: &'v [usize],
    values: &'v [f64],
}

impl Serialize for Slice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some((count, dims)) = self.dims.split_first() else { return self.values.first().serialize(serializer) };
        let each: usize = dims.iter().product();
        let mut list = serializer.serialize_seq(Some(*count))?;
        for k in 0..*count {
            list.serialize_element(&Slice { dims, values: &self.values[k * each..(k + 1) * each] })?;
        }
        list.end()
    }
}

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
        let values = self.sums.iter().map(|sum| Measured::Number(sum.value() / self.rows as f64));
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
        assert_eq!(means.means().number("loss"), 2.0);
        assert_eq!(means.means().number("accuracy"), 0.625);
        means.clear();
        assert!(means.means().number("loss").is_nan());
    }

    #[test]
    fn tables_are_nested_arrays() {
        let table = Measured::Table { dims: vec![2, 3], values: vec![1.0, 2.0, 3.0, 4.0, 5.0, f64::NAN] };
        assert_eq!(serde_json::to_string(&table).unwrap(), "[[1.0,2.0,3.0],[4.0,5.0,null]]");
        assert_eq!(serde_json::to_string(&Measured::Number(0.5)).unwrap(), "0.5");
    }

    #[test]
    fn infinities_show() {
        let mut means = means();
        means.add([f64::INFINITY, f64::NAN], 2);
        means.add([1.0, 1.0], 2);
        assert_eq!(means.means().number("loss"), f64::INFINITY);
        assert!(means.means().number("accuracy").is_nan());
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
            prop_assert!((means.means().number("loss") - exact).abs() < 1e-10);
        }
    }
}
