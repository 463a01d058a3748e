//! What the checker needs to know of data: the columns that the train block can name. The readers fill it.

use std::collections::BTreeMap;

/// The columns of one data set, as the names in scope of a train block see them: a CSV file gives `x` (all columns
/// but the target, one axis) and each column by its name; array files give each array by its name.
#[derive(Clone, PartialEq, Debug)]
pub struct Schema {
    pub rows: u64,
    pub columns: Vec<ColumnSchema>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ColumnSchema {
    pub name: String,
    /// The sizes of the axes after the rows.
    pub axes: Vec<u64>,
    pub kind: ColumnKind,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ColumnKind {
    Float,
    /// Every value is an integer.
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

/// Schemas by data set name. A data set that is missing here could not be read (its error is reported by its
/// reader); names that may have been its columns are then not reported.
pub type Schemas = BTreeMap<String, Schema>;
