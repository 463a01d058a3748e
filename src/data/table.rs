//! A data set: named columns, each a dense array whose first axis counts the rows.
//!
//! Invariant: every column of a [`Table`] has the table's number of rows, at least one, and at least one value a row;
//! float values are finite, and integers fit the integer type of the run, which is as wide as its float type.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::encoding::{Encoding, Part};
use super::error::{DataError, Place, Problem};
use super::rows::Rows;
use super::split::{self, Share};
use super::standardize::Standard;
use super::stream::Stream;
use crate::check::Schema;
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
    U8(Vec<u8>),
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

/// A data set.
#[derive(Clone, PartialEq, Debug)]
pub struct Table {
    rows: usize,
    /// Empty if the data is streamed.
    columns: Vec<Column>,
    encoding: Encoding,
    stream: Option<Arc<Stream>>,
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
            Values::I64(values) => values.len(),
            Values::U8(values) => values.len(),
        }
    }

    /// Least and greatest, if they are integers.
    pub fn range(&self) -> Option<(i64, i64)> {
        match self {
            Values::F32(_) | Values::F64(_) => None,
            Values::I64(values) => values.iter().min().copied().zip(values.iter().max().copied()),
            Values::U8(values) => {
                let range = values.iter().min().copied().zip(values.iter().max().copied());
                range.map(|(least, greatest)| (least.into(), greatest.into()))
            }
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
            Values::U8(values) => convert(values, dtype, f64::from, i64::from),
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
        Column::of_rows(name, array, float, file, 0)
    }

    /// A column of some rows of a file, the first of which is row `first`.
    pub(super) fn of_rows(
        name: &str,
        array: Array,
        float: FloatType,
        file: &Path,
        first: usize,
    ) -> Result<Self, DataError> {
        let place = || Place::file(file).name(name);
        let Some((&rows, shape)) = array.shape.split_first() else {
            return Err(place().fail(Problem::Scalar));
        };
        if array.values.is_empty() {
            return Err(place().fail(Problem::NoValues { shape: array.shape }));
        }
        let width = array.values.len() / rows;
        let shape = shape.to_vec();
        let row_of = |index: usize| first + index / width;
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
        let inside = |value: i64| usize::try_from(value).is_ok_and(|value| value < size);
        let outside = match &self.values {
            Values::I64(values) => {
                let index = values.iter().position(|&value| !inside(value));
                index.map(|index| (index, values[index]))
            }
            Values::U8(values) => {
                let index = values.iter().position(|&value| !inside(value.into()));
                index.map(|index| (index, values[index].into()))
            }
            Values::F32(_) | Values::F64(_) => return Err(self.floats_as_index()),
        };
        match outside {
            None => Ok(()),
            Some((index, value)) => {
                let row = index / self.width();
                Err(self.place(row).fail(Problem::OutOfRange { row, value, size }))
            }
        }
    }

    /// The error for a column of floats that is used as an index, which names one of its fractions.
    pub(super) fn floats_as_index(&self) -> DataError {
        let (index, value) = match &self.values {
            Values::F32(values) => {
                let index = values.iter().position(|value| value.fract() != 0.0).unwrap_or(0);
                (index, values[index].into())
            }
            Values::F64(values) => {
                let index = values.iter().position(|value| value.fract() != 0.0).unwrap_or(0);
                (index, values[index])
            }
            Values::I64(values) => (0, values[0] as f64),
            Values::U8(values) => (0, values[0].into()),
        };
        let row = index / self.width();
        self.place(row).fail(Problem::NotIntegers { row, value })
    }
}

/// The name of the matrix that holds the inputs of a text file.
pub const MATRIX: &str = "x";

impl Table {
    /// A table of columns, which must agree on the number of rows.
    pub(super) fn new(columns: Vec<Column>, encoding: Encoding) -> Result<Self, DataError> {
        let rows = columns.first().map_or(0, Column::rows);
        for column in &columns {
            if column.rows() != rows {
                let first = &columns[0];
                let problem = Problem::UnequalRows { rows: column.rows(), other: first.name.clone(), other_rows: rows };
                return Err(Place::file(&column.origin.file).name(&column.name).fail(problem));
            }
        }
        Ok(Table { rows, columns, encoding, stream: None })
    }

    /// A table of columns of `rows` rows each.
    pub(super) fn in_memory(rows: usize, columns: Vec<Column>, encoding: Encoding) -> Self {
        Table { rows, columns, encoding, stream: None }
    }

    /// A table whose rows are read when they are gathered.
    pub(super) fn streamed(stream: Stream, encoding: Encoding) -> Self {
        Table { rows: stream.rows(), columns: Vec::new(), encoding, stream: Some(Arc::new(stream)) }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How its columns became numbers, and which of them are standardized when they are gathered.
    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// Standardizes a column from now on, unless it is standardized already.
    pub fn standardize(&mut self, standard: Standard) {
        if self.encoding.standard(&standard.column).is_none() {
            self.encoding.standards.push(standard);
        }
    }

    pub(super) fn use_encoding(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    /// What the checker needs to know of it.
    pub fn schema(&self) -> Schema {
        self.encoding.schema(self.rows)
    }

    pub(super) fn stream(&self) -> Option<&Stream> {
        self.stream.as_deref()
    }

    /// Every row.
    pub fn all_rows(&self) -> Rows {
        match &self.stream {
            None => (0..self.rows).collect::<Vec<usize>>().into(),
            Some(stream) => Rows::streamed(stream.starts().clone()),
        }
    }

    /// Divides the rows into parts; `stratified` names a column whose classes every part has in the same proportions.
    pub fn split(&self, shares: &[Share], stratified: Option<&str>, seed: u64) -> Result<Vec<Rows>, DataError> {
        let listed = match (&self.stream, stratified) {
            (Some(stream), None) => return Rows::sieved(stream.starts(), shares, seed),
            (_, Some(column)) => split::stratified(&self.classes(column)?, shares, seed)?,
            (None, None) => split::split(self.rows, shares, seed)?,
        };
        Ok(listed.into_iter().map(|part| part.rows.into()).collect())
    }

    /// The file the table comes from, or the first of them.
    pub(super) fn place(&self) -> Place {
        match (&self.stream, self.columns.first()) {
            (Some(stream), _) => Place::file(stream.path()),
            (None, Some(column)) => Place::file(&column.origin.file),
            (None, None) => Place::default(),
        }
    }

    /// The columns held in memory, in the order of the file.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// A stored column, as it was read.
    pub fn stored(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The index of the stored column that holds a column, and where in it.
    pub(super) fn find(&self, name: &str) -> Result<(usize, Part), DataError> {
        let (stored, part) = self.encoding.find(name).ok_or_else(|| self.unknown(name))?;
        let column = match &self.stream {
            None => self.columns.iter().position(|column| column.name == stored),
            Some(_) => self.encoding.stored().iter().position(|column| *column == stored),
        };
        Ok((column.ok_or_else(|| self.unknown(name))?, part))
    }

    /// Checks that a column can index an axis of the given size.
    pub fn check_index_range(&self, name: &str, size: usize) -> Result<(), DataError> {
        let Some(stream) = &self.stream else { return self.column(name)?.check_index_range(size) };
        self.find(name)?;
        let inside = |value: i64| usize::try_from(value).is_ok_and(|value| value < size);
        match self.encoding.range(name) {
            Some((least, greatest)) if inside(least) && inside(greatest) => Ok(()),
            _ => stream.refuse_index(name, size),
        }
    }

    /// A column by name, as it was read. A feature is copied out of the matrix. Streamed data has none.
    pub fn column(&self, name: &str) -> Result<Cow<'_, Column>, DataError> {
        let (column, part) = self.find(name)?;
        if self.stream.is_some() {
            return Err(self.place().name(name).fail(Problem::NotInMemory));
        }
        let column = &self.columns[column];
        let width = column.width();
        let values = match part {
            Part::Whole => return Ok(Cow::Borrowed(column)),
            Part::Category { first, count } => {
                let code =
                    |row: usize| column.values.first_above_half(row * width + first..row * width + first + count);
                Values::I64((0..self.rows).map(|row| code(row) as i64).collect())
            }
            Part::Feature { at, integers } => match &column.values {
                Values::F32(all) if integers => Values::I64(strided(all, at, width, |value| value as i64)),
                Values::F64(all) if integers => Values::I64(strided(all, at, width, |value| value as i64)),
                Values::F32(all) => Values::F32(strided(all, at, width, |value| value)),
                Values::F64(all) => Values::F64(strided(all, at, width, |value| value)),
                Values::I64(all) => Values::I64(strided(all, at, width, |value| value)),
                Values::U8(all) => Values::U8(strided(all, at, width, |value| value)),
            },
        };
        let origin = column.origin.clone();
        Ok(Cow::Owned(Column { name: name.to_string(), shape: Vec::new(), values, origin }))
    }

    /// The classes of rows, from a column of integers.
    pub fn classes(&self, name: &str) -> Result<Vec<i64>, DataError> {
        let column = self.column(name)?;
        match &column.values {
            Values::I64(values) if column.width() == 1 => Ok(values.clone()),
            Values::U8(values) if column.width() == 1 => Ok(values.iter().map(|&value| value.into()).collect()),
            _ => Err(Place::file(&column.origin.file).name(name).fail(Problem::NotClasses)),
        }
    }

    fn unknown(&self, wanted: &str) -> DataError {
        let here = |name: &String| {
            let stored = self.encoding.find(name);
            let held = |stored: &str| self.columns.iter().any(|column| column.name == stored);
            stored.is_some_and(|(stored, _)| self.stream.is_some() || held(stored))
        };
        let known = self.encoding.names().into_iter().filter(here).collect();
        unknown_column(self.place(), wanted, known, None)
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
        Values::I64(_) | Values::U8(_) => None,
    }
}
