//! What type checking needs to know of a data set: names, shapes and kinds of its columns.

use super::table::{Table, Values};
pub use crate::check::{ColumnKind as Kind, ColumnSchema, Schema};

impl Table {
    pub fn schema(&self) -> Schema {
        let stored = self.columns().iter().map(|column| ColumnSchema {
            name: column.name.clone(),
            shape: column.shape.clone(),
            kind: kind(match &column.values {
                Values::I64(values) => values.iter().min().copied().zip(values.iter().max().copied()),
                Values::F32(_) | Values::F64(_) => None,
            }),
        });
        let features = self.features().map(|feature| ColumnSchema {
            name: feature.name.clone(),
            shape: Vec::new(),
            kind: kind(feature.integers),
        });
        Schema { rows: self.rows(), columns: stored.chain(features).collect() }
    }
}

fn kind(integers: Option<(i64, i64)>) -> Kind {
    integers.map_or(Kind::Float, |(min, max)| Kind::Int { min, max })
}
