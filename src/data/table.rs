//! A data set in memory: named columns, each a dense array whose first axis counts the rows.
//!
//! Invariant: every column of a [`Table`] has the table's number of rows, at least one, and at least one value a row;
//! float values are finite, and integers fit the integer type of the run, which is as wide as its float type.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{DataError, Place, Problem};
use crate::ir::{DType, Data, Tensor};

/// The float type a run computes in; float columns are stored in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FloatType {
    F32,
    F64,
}

impl FloatType {
    /// The float type of a graph that computes in `dtype`.
    pub fn of(dtype: DType) -> Self {
        match dtype.int() {
            DType::I32 => FloatType::F32,
            _ => FloatType::F64,
        }
    }

    /// Whether the run's integers hold the value.
    pub(super) fn fits(self, value: i64) -> bool {
        self == FloatType::F64 || i32::try_from(value).is_ok()
    }
}

/// Elements in row-major order.
#[derive(Clone, PartialEq, Debug)]
pub enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I64(Vec<i64>),
}

/// A tensor as files hold it.
#[derive(Clone, PartialEq, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Values,
}

/// Where the rows of a column were read from.
#[derive(Clone, PartialEq, Debug)]
pub struct Origin {
    pub file: PathBuf,
    /// The lines of a text file's rows.
    pub lines: Option<Lines>,
}

/// Line numbers of rows. Nearly every row stands one line below the one before, so only the others are stored.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Lines {
    /// `(row, line)` where the line is not that of the row before plus one; ascending.
    jumps: Vec<(usize, usize)>,
}

/// One named column. `shape` is that of a row: `[]` for a number, `[64]` for a vector.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Values,
    pub origin: Arc<Origin>,
}

/// A column of a text file that is stored within the matrix `x`.
#[derive(Clone, PartialEq, Debug)]
pub struct Feature {
    pub name: String,
    /// Least and greatest value, if all are integers that the run's float type holds exactly.
    pub integers: Option<(i64, i64)>,
}

/// A data set.
#[derive(Clone, PartialEq, Debug)]
pub struct Table {
    rows: usize,
    columns: Vec<Column>,
    /// The columns of the matrix `x`, in order; empty if the data has no such matrix.
    features: Vec<Feature>,
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
            Values::I64(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Array {
    /// Elements of the types of a run: floats are converted, and integers too if one of them does not fit.
    pub fn for_run(self, float: FloatType) -> Array {
        let fits = |values: &[i64]| values.iter().all(|&value| float.fits(value));
        let values = match (self.values, float) {
            (Values::I64(values), FloatType::F32) if !fits(&values) => {
                Values::F32(values.iter().map(|&value| value as f32).collect())
            }
            (Values::F64(values), FloatType::F32) => Values::F32(values.iter().map(|&value| value as f32).collect()),
            (Values::F32(values), FloatType::F64) => Values::F64(values.iter().map(|&value| value.into()).collect()),
            (values, _) => values,
        };
        Array { shape: self.shape, values }
    }

    /// The tensor with elements of the given type, converted where they are of another.
    pub fn tensor(self, dtype: DType) -> Tensor {
        fn convert<T: Copy>(
            values: Vec<T>,
            dtype: DType,
            float: impl Fn(T) -> f64,
            integer: impl Fn(T) -> i64,
        ) -> Data {
            let all = values.into_iter();
            match dtype {
                DType::F32 => Data::F32(all.map(|value| float(value) as f32).collect()),
                DType::F64 => Data::F64(all.map(float).collect()),
                DType::I32 => Data::I32(all.map(|value| integer(value) as i32).collect()),
                DType::I64 => Data::I64(all.map(integer).collect()),
                DType::Bool => Data::Bool(all.map(|value| integer(value) != 0).collect()),
            }
        }
        let data = match self.values {
            Values::F32(values) => convert(values, dtype, f64::from, |value| value as i64),
            Values::F64(values) => convert(values, dtype, |value| value, |value| value as i64),
            Values::I64(values) => convert(values, dtype, |value| value as f64, |value| value),
        };
        Tensor { dims: self.shape, data }
    }
}

/// Integers and booleans become `i64`.
impl From<Tensor> for Array {
    fn from(tensor: Tensor) -> Self {
        let values = match tensor.data {
            Data::F32(values) => Values::F32(values),
            Data::F64(values) => Values::F64(values),
            Data::I32(values) => Values::I64(values.into_iter().map(i64::from).collect()),
            Data::I64(values) => Values::I64(values),
            Data::Bool(values) => Values::I64(values.into_iter().map(i64::from).collect()),
        };
        Array { shape: tensor.dims, values }
    }
}

impl Lines {
    /// Records the line of the next row; rows come in order.
    pub fn push(&mut self, row: usize, line: usize) {
        if self.jumps.is_empty() || self.line(row) != line {
            self.jumps.push((row, line));
        }
    }

    /// The 1-based line a row starts on.
    pub fn line(&self, row: usize) -> usize {
        let after = self.jumps.partition_point(|&(first, _)| first <= row);
        match after.checked_sub(1) {
            Some(last) => self.jumps[last].1 + (row - self.jumps[last].0),
            None => row + 1,
        }
    }
}

impl Column {
    /// Makes a column of an array with a leading axis of rows, in the types of the run; floats must be finite.
    pub fn new(name: &str, array: Array, float: FloatType, file: &Path) -> Result<Self, DataError> {
        let place = || Place::file(file).name(name);
        let Some((&rows, shape)) = array.shape.split_first() else {
            return Err(place().fail(Problem::Scalar));
        };
        if array.values.is_empty() {
            return Err(place().fail(Problem::NoValues { shape: array.shape }));
        }
        let width = array.values.len() / rows;
        let shape = shape.to_vec();
        let row_of = |index: usize| index / width;
        let described = |index: usize, value: String| format!("{value} (row {})", row_of(index));
        // Checked before conversion too, to tell a value that overflows from one that was infinite in the file.
        if let Some((index, text)) = first_not_finite(&array.values) {
            return Err(place().fail(Problem::NotFinite { text: described(index, text) }));
        }
        if let (Values::F64(values), FloatType::F32) = (&array.values, float)
            && let Some(index) = values.iter().position(|&value| !(value as f32).is_finite())
        {
            let text = described(index, values[index].to_string());
            return Err(place().fail(Problem::TooLargeForFloat { text }));
        }
        let origin = Arc::new(Origin { file: file.to_path_buf(), lines: None });
        Ok(Column { name: name.to_string(), shape, values: array.for_run(float).values, origin })
    }

    /// How many elements a row has.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn rows(&self) -> usize {
        self.values.len() / self.width()
    }

    /// The place of a row of this column.
    pub fn place(&self, row: usize) -> Place {
        let mut place = Place::file(&self.origin.file).name(&self.name);
        place.line = self.origin.lines.as_ref().map(|lines| lines.line(row));
        place
    }

    /// Checks that the column can index an axis of the given size: all values are integers in `0..size`.
    pub fn check_index_range(&self, size: usize) -> Result<(), DataError> {
        let floats = |row: usize, value: f64| self.place(row).fail(Problem::NotIntegers { row, value });
        match &self.values {
            Values::I64(values) => {
                let inside = |value: i64| usize::try_from(value).is_ok_and(|value| value < size);
                match values.iter().position(|&value| !inside(value)) {
                    None => Ok(()),
                    Some(index) => {
                        let row = index / self.width();
                        Err(self.place(row).fail(Problem::OutOfRange { row, value: values[index], size }))
                    }
                }
            }
            Values::F32(values) => {
                let index = values.iter().position(|value| value.fract() != 0.0).unwrap_or(0);
                Err(floats(index / self.width(), values[index].into()))
            }
            Values::F64(values) => {
                let index = values.iter().position(|value| value.fract() != 0.0).unwrap_or(0);
                Err(floats(index / self.width(), values[index]))
            }
        }
    }
}

/// The name of the matrix that holds every column of a text file but the target.
pub const MATRIX: &str = "x";

impl Table {
    /// A table of columns, which must agree on the number of rows.
    pub fn new(columns: Vec<Column>) -> Result<Self, DataError> {
        let rows = columns.first().map_or(0, Column::rows);
        for column in &columns {
            if column.rows() != rows {
                let first = &columns[0];
                let problem = Problem::UnequalRows { rows: column.rows(), other: first.name.clone(), other_rows: rows };
                return Err(Place::file(&column.origin.file).name(&column.name).fail(problem));
            }
        }
        Ok(Table { rows, columns, features: Vec::new() })
    }

    /// A table whose matrix `x` is made of the given features.
    pub fn with_features(rows: usize, columns: Vec<Column>, features: Vec<Feature>) -> Self {
        Table { rows, columns, features }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The stored columns, in the order of the file.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The features of the matrix `x` that have a name of their own; a feature called `x` gives way to the matrix.
    pub fn features(&self) -> impl Iterator<Item = &Feature> {
        self.features.iter().filter(|feature| self.stored(&feature.name).is_none())
    }

    /// A stored column.
    pub fn stored(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// A column by name. A feature is copied out of the matrix, so that only those in use are stored twice.
    pub fn column(&self, name: &str) -> Result<Cow<'_, Column>, DataError> {
        if let Some(column) = self.stored(name) {
            return Ok(Cow::Borrowed(column));
        }
        let matrix = self.stored(MATRIX);
        let position = self.features.iter().position(|feature| feature.name == name);
        let (Some(matrix), Some(position)) = (matrix, position) else {
            return Err(self.unknown(name));
        };
        let width = self.features.len();
        let integer = self.features[position].integers.is_some();
        let values = match &matrix.values {
            Values::F32(all) if integer => Values::I64(strided(all, position, width, |value| value as i64)),
            Values::F64(all) if integer => Values::I64(strided(all, position, width, |value| value as i64)),
            Values::F32(all) => Values::F32(strided(all, position, width, |value| value)),
            Values::F64(all) => Values::F64(strided(all, position, width, |value| value)),
            Values::I64(all) => Values::I64(strided(all, position, width, |value| value)),
        };
        let origin = matrix.origin.clone();
        Ok(Cow::Owned(Column { name: name.to_string(), shape: Vec::new(), values, origin }))
    }

    fn unknown(&self, wanted: &str) -> DataError {
        let stored = self.columns.iter().map(|column| column.name.clone());
        let known: Vec<String> = stored.chain(self.features().map(|feature| feature.name.clone())).collect();
        let file = self.columns.first().map(|column| column.origin.file.clone());
        let place = Place { file, ..Place::default() };
        unknown_column(place, wanted, known, None)
    }
}

/// The error for a column that is not there.
pub(super) fn unknown_column(place: Place, wanted: &str, known: Vec<String>, separator: Option<char>) -> DataError {
    // A file may have millions of columns; comparing with all of them would take long.
    const COMPARED: usize = 2000;
    let candidates = known.iter().take(COMPARED).map(String::as_str);
    let similar = crate::source::closest(wanted, candidates).map(str::to_string);
    place.fail(Problem::UnknownColumn { wanted: wanted.to_string(), similar, known, separator })
}

fn strided<T: Copy, U>(all: &[T], position: usize, width: usize, convert: impl Fn(T) -> U) -> Vec<U> {
    all.iter().skip(position).step_by(width).map(|&value| convert(value)).collect()
}

fn first_not_finite(values: &Values) -> Option<(usize, String)> {
    match values {
        Values::F32(values) => {
            let index = values.iter().position(|value| !value.is_finite())?;
            Some((index, values[index].to_string()))
        }
        Values::F64(values) => {
            let index = values.iter().position(|value| !value.is_finite())?;
            Some((index, values[index].to_string()))
        }
        Values::I64(_) => None,
    }
}
