//! What the checker needs to know of a data set: names, shapes and kinds of its columns.

use super::table::{Table, Values};
use crate::check::{ColumnKind, ColumnSchema, Schema};

impl Table {
    /// First the columns that are stored, then the features of the matrix `x`.
    pub fn schema(&self) -> Schema {
        let stored = self.columns().iter().map(|column| ColumnSchema {
            name: column.name.clone(),
            axes: column.shape.iter().map(|n| *n as u64).collect(),
            kind: kind(match &column.values {
                Values::I64(values) => values.iter().min().copied().zip(values.iter().max().copied()),
                Values::F32(_) | Values::F64(_) => None,
            }),
        });
        let features = self.features().map(|feature| ColumnSchema {
            name: feature.name.clone(),
            axes: Vec::new(),
            kind: kind(feature.integers),
        });
        Schema { rows: self.rows() as u64, columns: stored.chain(features).collect() }
    }
}

fn kind(integers: Option<(i64, i64)>) -> ColumnKind {
    integers.map_or(ColumnKind::Float, |(min, max)| ColumnKind::Int { min, max })
}
