//! How the columns of a data set became numbers: the columns chosen, the order of classes and categories, the statistics
//! of standardized columns. It is made once, from the training data, and read again with the trained parameters: a further
//! file of the same columns is then read by it, whatever values that file has.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::arrays;
use super::csv::{self, Field, Kind, Layout};
use super::error::DataError;
use super::file;
use super::standardize::Standard;
use super::table::{FloatType, MATRIX, Table};
use crate::check::{ColumnKind, ColumnSchema, Schema};

/// How columns became numbers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Encoding {
    pub form: Form,
    pub standards: Vec<Standard>,
}

/// The kind of files the data came from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Form {
    Csv(Layout),
    Arrays(Vec<ArrayForm>),
}

/// One array of a data set.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ArrayForm {
    pub name: String,
    /// The shape of a row.
    pub shape: Vec<usize>,
    /// Least and greatest value, if it holds integers.
    pub range: Option<(i64, i64)>,
    pub target: bool,
}

/// Where a column is found in the stored columns of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// A stored column.
    Whole,
    /// A column of the matrix.
    Feature { at: usize, integers: bool },
    /// The position of the 1 in some columns of the matrix.
    Category { first: usize, count: usize },
}

impl Encoding {
    /// Reads a further file of the same columns; targets may be absent. Floats are stored as `float`.
    pub fn read(&self, path: &Path, float: FloatType) -> Result<Table, DataError> {
        let mut table = match &self.form {
            Form::Csv(layout) => csv::encoded(&file::read(path)?, path, layout, float)?,
            Form::Arrays(columns) => arrays::encoded(path, columns, float)?,
        };
        table.use_encoding(self.clone());
        Ok(table)
    }

    /// The columns as the checker sees them: those that are stored, then the features of the matrix `x`.
    pub fn schema(&self, rows: usize) -> Schema {
        let column = |name: &str, axes: &[usize], range: Option<(i64, i64)>| ColumnSchema {
            name: name.to_string(),
            axes: axes.iter().map(|&size| size as u64).collect(),
            kind: range.map_or(ColumnKind::Float, |(min, max)| ColumnKind::Int { min, max }),
        };
        let columns = match &self.form {
            Form::Csv(layout) => {
                let matrix = column(MATRIX, &[layout.width()], None);
                let fields = layout.targets.iter().chain(self.features().map(|(_, field)| field));
                std::iter::once(matrix).chain(fields.map(|field| column(&field.name, &[], range(field)))).collect()
            }
            Form::Arrays(arrays) => arrays.iter().map(|array| column(&array.name, &array.shape, array.range)).collect(),
        };
        Schema { rows: rows as u64, columns }
    }

    /// The inputs of a text file that have a name of their own; one called `x` gives way to the matrix. With each its
    /// first column of the matrix.
    pub(super) fn features(&self) -> impl Iterator<Item = (usize, &Field)> {
        let layout = match &self.form {
            Form::Csv(layout) => Some(layout),
            Form::Arrays(_) => None,
        };
        layout.into_iter().flat_map(|layout| {
            let taken = |name: &str| name == MATRIX || layout.targets.iter().any(|target| target.name == name);
            layout.features().filter(move |(_, field)| !taken(&field.name))
        })
    }

    /// The stored column that holds a column, and where in it.
    pub(super) fn find(&self, name: &str) -> Option<(&str, Part)> {
        let stored = match &self.form {
            Form::Csv(layout) if name == MATRIX => return Some((MATRIX, Part::Whole)).filter(|_| layout.width() > 0),
            Form::Csv(layout) => layout.targets.iter().map(|target| target.name.as_str()).find(|n| *n == name),
            Form::Arrays(arrays) => arrays.iter().map(|array| array.name.as_str()).find(|n| *n == name),
        };
        if let Some(stored) = stored {
            return Some((stored, Part::Whole));
        }
        let (first, field) = self.features().find(|(_, field)| field.name == name)?;
        Some((
            MATRIX,
            match &field.kind {
                Kind::Number { range } => Part::Feature { at: first, integers: range.is_some() },
                Kind::Categories(vocabulary) => Part::Category { first, count: vocabulary.len() },
            },
        ))
    }

    /// The names of the stored columns.
    pub(super) fn stored(&self) -> Vec<&str> {
        match &self.form {
            Form::Csv(layout) => {
                std::iter::once(MATRIX).chain(layout.targets.iter().map(|target| target.name.as_str())).collect()
            }
            Form::Arrays(arrays) => arrays.iter().map(|array| array.name.as_str()).collect(),
        }
    }

    /// The elements of a row of a stored column.
    pub(super) fn width(&self, stored: usize) -> usize {
        match &self.form {
            Form::Csv(layout) if stored == 0 => layout.width(),
            Form::Csv(_) => 1,
            Form::Arrays(arrays) => arrays[stored].shape.iter().product(),
        }
    }

    /// Least and greatest value of a column of integers.
    pub fn range(&self, name: &str) -> Option<(i64, i64)> {
        match self.schema(0).column(name)?.kind {
            ColumnKind::Int { min, max } => Some((min, max)),
            ColumnKind::Float => None,
        }
    }

    /// The name of every column.
    pub fn names(&self) -> Vec<String> {
        self.schema(0).columns.into_iter().map(|column| column.name).collect()
    }

    /// The names of a column's classes or categories, in the order of their numbers.
    pub fn classes(&self, name: &str) -> Option<Vec<String>> {
        let Form::Csv(layout) = &self.form else { return None };
        let field = layout.targets.iter().find(|target| target.name == name);
        let field = field.or_else(|| self.features().find(|(_, field)| field.name == name).map(|(_, field)| field))?;
        match &field.kind {
            Kind::Categories(vocabulary) => Some(vocabulary.names()),
            Kind::Number { .. } => None,
        }
    }

    /// Names of the columns of the matrix `x`, such as `age` and `color=red`; empty if there is no such matrix.
    pub fn matrix_names(&self) -> Vec<String> {
        let Form::Csv(layout) = &self.form else { return Vec::new() };
        let of = |field: &Field| match &field.kind {
            Kind::Number { .. } => vec![field.name.clone()],
            Kind::Categories(vocabulary) => {
                vocabulary.names().iter().map(|value| format!("{}={value}", field.name)).collect()
            }
        };
        layout.inputs.iter().flat_map(of).collect()
    }

    /// Whether a column is a target; `None` if the declaration names none.
    pub fn is_target(&self, name: &str) -> Option<bool> {
        match &self.form {
            Form::Csv(layout) => Some(layout.targets.iter().any(|target| target.name == name)),
            Form::Arrays(arrays) => {
                let known = arrays.iter().any(|array| array.target);
                known.then(|| arrays.iter().any(|array| array.target && array.name == name))
            }
        }
    }

    pub fn standard(&self, name: &str) -> Option<&Standard> {
        self.standards.iter().find(|standard| standard.column == name)
    }
}

/// The integers a field holds.
fn range(field: &Field) -> Option<(i64, i64)> {
    match &field.kind {
        Kind::Number { range } => *range,
        Kind::Categories(vocabulary) => Some((0, vocabulary.len() as i64 - 1)),
    }
}
