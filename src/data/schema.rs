//! What type checking needs to know of a data set: names, shapes and kinds of its columns.

use super::table::{Table, Values};

/// The columns of a data set: first those stored, then the features of the matrix `x`.
#[derive(Clone, PartialEq, Debug)]
pub struct Schema {
    pub rows: usize,
    pub columns: Vec<ColumnSchema>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ColumnSchema {
    pub name: String,
    /// The shape of one row.
    pub shape: Vec<usize>,
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Float,
    /// Integers and the range they span.
    Int {
        min: i64,
        max: i64,
    },
}

impl Schema {
    pub fn column(&self, name: &str) -> Option<&ColumnSchema> {
        self.columns.iter().find(|column| column.name == name)
    }
}

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
