//! Copying rows of a table's columns into the buffers of a step, converted to their element type and standardized.

use super::encoding::Part;
use super::error::{DataError, Problem};
use super::standardize::Standard;
use super::table::{Column, Table, Values};
use crate::runtime::View;
use std::ops::Range;

/// What a buffer of a step holds. Floats become integers by truncation; [`Column::check_index_range`] has shown before
/// that a column used as indices holds integers.
pub trait Element: Copy {
    fn from_f32(value: f32) -> Self;
    fn from_f64(value: f64) -> Self;
    fn from_i64(value: i64) -> Self;
    fn from_u8(value: u8) -> Self;
}

macro_rules! element {
    ($($kind:ty),*) => {$(
        impl Element for $kind {
            fn from_f32(value: f32) -> Self {
                value as $kind
            }
            fn from_f64(value: f64) -> Self {
                value as $kind
            }
            fn from_i64(value: i64) -> Self {
                value as $kind
            }
            fn from_u8(value: u8) -> Self {
                value as $kind
            }
        }
    )*};
}

element!(f32, f64, i32, i64);

/// A column that a table was asked for by name, to gather rows of.
#[derive(Clone, PartialEq, Debug)]
pub struct Selected {
    /// Index of the stored column.
    pub(super) column: usize,
    pub(super) part: Part,
    /// Elements of a row.
    width: usize,
    standard: Option<Standard>,
}

impl Selected {
    pub fn width(&self) -> usize {
        self.width
    }

    /// The column as it was read.
    pub(super) fn unscaled(self) -> Self {
        Selected { standard: None, ..self }
    }
}

/// Elements of a row that lie one after the other in the rows of a stored column.
#[derive(Clone, Copy)]
struct Slice {
    /// From row to row.
    stride: usize,
    first: usize,
    width: usize,
}

impl Table {
    /// Finds a column by name; what is gathered from it is standardized if the table says so.
    pub fn select(&self, name: &str) -> Result<Selected, DataError> {
        let (column, part) = self.find(name)?;
        let standard = self.encoding().standard(name).cloned();
        if self.stream().is_some() {
            let width = if part == Part::Whole { self.encoding().width(column) } else { 1 };
            return Ok(Selected { column, part, width, standard });
        }
        let stored = &self.columns()[column];
        if let Part::Feature { at, integers: true } = part {
            // A further file of the columns may have fractions where the first had none.
            let values = stored.slice(at, 1);
            if let Some(row) = values.iter().position(|value| value.fract() != 0.0) {
                let problem = Problem::NotIntegers { row, value: values[row] };
                let mut place = stored.place(row);
                place.name = Some(name.to_string());
                return Err(place.fail(problem));
            }
        }
        let width = if part == Part::Whole { stored.width() } else { 1 };
        Ok(Selected { column, part, width, standard })
    }

    /// Copies the given rows of a column, one after the other, to the start of `out`.
    ///
    /// Rows are below the table's number of rows and `out` has room for them; a violation of either is a bug and panics.
    pub fn gather<T: Element>(&self, selected: &Selected, rows: &[usize], out: &mut [T]) -> Result<(), DataError> {
        match self.stream() {
            Some(stream) => return stream.gather(selected, rows, out),
            None => self.columns()[selected.column].gather(selected, rows, out),
        }
        Ok(())
    }
}

impl Table {
    /// The given rows of a column where they are, if they lie there one after the other, unconverted and unscaled.
    pub fn lying(&self, selected: &Selected, rows: &[usize]) -> Option<View<'_>> {
        let first = *rows.first()?;
        if !rows.iter().enumerate().all(|(k, row)| *row == first + k) {
            return None;
        }
        self.as_it_is(selected, first..first + rows.len())
    }

    /// All rows of a column where they are, if they are unconverted and unscaled.
    pub fn whole(&self, selected: &Selected) -> Option<View<'_>> {
        self.as_it_is(selected, 0..self.rows())
    }

    fn as_it_is(&self, selected: &Selected, rows: Range<usize>) -> Option<View<'_>> {
        if self.stream().is_some() || selected.part != Part::Whole || selected.standard.is_some() {
            return None;
        }
        let column = &self.columns()[selected.column];
        let range = rows.start * column.width()..rows.end * column.width();
        match &column.values {
            Values::F32(values) => Some(View::F32(&values[range])),
            Values::F64(values) => Some(View::F64(&values[range])),
            Values::I64(values) => Some(View::I64(&values[range])),
            Values::U8(_) => None,
        }
    }

    /// Whether gathering rows is copying within memory.
    pub fn is_in_memory(&self) -> bool {
        self.stream().is_none()
    }
}

impl Column {
    fn gather<T: Element>(&self, selected: &Selected, rows: &[usize], out: &mut [T]) {
        let stride = self.width();
        let slice = match selected.part {
            Part::Whole => Slice { stride, first: 0, width: stride },
            Part::Feature { at, .. } => Slice { stride, first: at, width: 1 },
            Part::Category { first, count } => {
                for (out, &row) in out.iter_mut().zip(rows) {
                    let start = row * stride + first;
                    *out = T::from_i64(self.values.first_above_half(start..start + count) as i64);
                }
                return;
            }
        };
        match (&self.values, &selected.standard) {
            (Values::F32(values), None) => slice.copy(values, rows, out, |_, value| T::from_f32(value)),
            (Values::F64(values), None) => slice.copy(values, rows, out, |_, value| T::from_f64(value)),
            (Values::I64(values), None) => slice.copy(values, rows, out, |_, value| T::from_i64(value)),
            (Values::U8(values), None) => slice.copy(values, rows, out, |_, value| T::from_u8(value)),
            (Values::F32(values), Some(standard)) => {
                slice.copy(values, rows, out, |at, value| T::from_f64(standard.apply(at, value.into())));
            }
            (Values::F64(values), Some(standard)) => {
                slice.copy(values, rows, out, |at, value| T::from_f64(standard.apply(at, value)));
            }
            (Values::I64(values), Some(standard)) => {
                slice.copy(values, rows, out, |at, value| T::from_f64(standard.apply(at, value as f64)));
            }
            (Values::U8(values), Some(standard)) => {
                slice.copy(values, rows, out, |at, value| T::from_f64(standard.apply(at, value.into())));
            }
        }
    }

    /// Some columns of a matrix, as floats.
    fn slice(&self, first: usize, width: usize) -> Vec<f64> {
        let rows: Vec<usize> = (0..self.rows()).collect();
        let mut all = vec![0.0; rows.len() * width];
        let part = Part::Feature { at: first, integers: false };
        self.gather(&Selected { column: 0, part, width, standard: None }, &rows, &mut all);
        all
    }
}

impl Slice {
    /// `convert` gets the place of an element in its row and the element.
    fn copy<S: Copy, T>(self, values: &[S], rows: &[usize], out: &mut [T], convert: impl Fn(usize, S) -> T) {
        for (&row, out) in rows.iter().zip(out[..rows.len() * self.width].chunks_exact_mut(self.width)) {
            let start = row * self.stride + self.first;
            for (at, (to, &from)) in out.iter_mut().zip(&values[start..start + self.width]).enumerate() {
                *to = convert(at, from);
            }
        }
    }
}

impl Values {
    /// The place within a range of the first value above one half; 0 if there is none.
    pub(super) fn first_above_half(&self, range: std::ops::Range<usize>) -> usize {
        let found = match self {
            Values::F32(values) => values[range].iter().position(|&value| value > 0.5),
            Values::F64(values) => values[range].iter().position(|&value| value > 0.5),
            Values::I64(values) => values[range].iter().position(|&value| value > 0),
            Values::U8(values) => values[range].iter().position(|&value| value > 0),
        };
        found.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Array, FloatType, csv};
    use std::path::Path;

    #[test]
    fn gathering_converts() {
        let array = Array { shape: vec![3, 2], values: Values::I64(vec![0, 1, 10, 11, 20, 21]) };
        let column = Column::new("x", array, FloatType::F32, Path::new("x.npy")).unwrap();
        let table = Table::of(vec![column], &[]).unwrap();
        let selected = table.select("x").unwrap();
        let mut floats = [-1.0f32; 5];
        table.gather(&selected, &[2, 0], &mut floats).unwrap();
        assert_eq!(floats, [20.0, 21.0, 0.0, 1.0, -1.0]);
        let mut integers = [0i32; 2];
        table.gather(&selected, &[1], &mut integers).unwrap();
        assert_eq!(integers, [10, 11]);
    }

    #[test]
    fn rows_in_a_row_are_found_where_they_lie() {
        let values = Values::F32((0..8).map(|v| v as f32).collect());
        let column = Column::new("x", Array { shape: vec![4, 2], values }, FloatType::F32, Path::new("x.npy")).unwrap();
        let table = Table::of(vec![column], &[]).unwrap();
        let selected = table.select("x").unwrap();
        assert_eq!(table.lying(&selected, &[1, 2]), Some(View::F32(&[2.0, 3.0, 4.0, 5.0])));
        assert_eq!(table.lying(&selected, &[0, 1, 2, 3]).map(|v| v.len()), Some(8));
        for apart in [&[][..], &[1, 3], &[2, 1], &[1, 1]] {
            assert_eq!(table.lying(&selected, apart), None, "{apart:?}");
        }
    }

    #[test]
    fn features_are_gathered_out_of_the_matrix() {
        let options = csv::Options { one_hot: vec!["c".into()], ..csv::Options::target("y") };
        let text = b"a,c,b,y\n1,red,4,0\n2,blue,5,1\n3,red,6,1\n";
        let table = csv::parse(text, Path::new("d.csv"), &options, FloatType::F32).unwrap();
        let gathered = |name: &str| {
            let selected = table.select(name).unwrap();
            let mut out = vec![-1.0f64; 3 * selected.width()];
            table.gather(&selected, &[2, 1, 0], &mut out).unwrap();
            out
        };
        assert_eq!(gathered("x"), [3.0, 0.0, 1.0, 6.0, 2.0, 1.0, 0.0, 5.0, 1.0, 0.0, 1.0, 4.0]);
        assert_eq!((gathered("b"), gathered("c")), (vec![6.0, 5.0, 4.0], vec![1.0, 0.0, 1.0]));
    }
}
