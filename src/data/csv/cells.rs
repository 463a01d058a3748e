//! The rows of a text as numbers: cells to floats, integers and codes, gathered into columns.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::error::{DataError, Problem, shorten};
use super::super::table::{Column, Lines, MATRIX, Origin, Values};
use super::layout::{Field, Kind, Layout, Missing, other_separator};
use super::records::Records;

/// The float types cells are parsed to.
pub(in super::super) trait Real: Copy + std::str::FromStr {
    const ZERO: Self;
    const ONE: Self;
    /// Integers up to this magnitude are exact.
    const EXACT: i64;
    /// The integers a run in this type holds.
    const INTEGERS: (i64, i64);
    fn of(value: i64) -> Self;
    fn is_finite(self) -> bool;
    fn values(all: Vec<Self>) -> Values;
}

macro_rules! real {
    ($kind:ident, $integer:ident, $values:ident) => {
        impl Real for $kind {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const EXACT: i64 = 1 << $kind::MANTISSA_DIGITS;
            const INTEGERS: (i64, i64) = ($integer::MIN as i64, $integer::MAX as i64);
            fn of(value: i64) -> Self {
                value as $kind
            }
            fn is_finite(self) -> bool {
                self.is_finite()
            }
            fn values(all: Vec<Self>) -> Values {
                Values::$values(all)
            }
        }
    };
}

real!(f32, i32, F32);
real!(f64, i64, F64);

/// Whether a cell says that its value is not known.
pub(super) fn is_missing(text: &str, kind: &Kind) -> bool {
    text.is_empty() || (matches!(kind, Kind::Number { .. }) && says_missing(text))
}

fn says_missing(text: &str) -> bool {
    const WORDS: [&str; 8] = ["na", "n/a", "null", "none", "nan", "?", "-", "."];
    text.len() <= 4 && WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// The columns of rows read one after the other.
pub(in super::super) struct Builder<'l, T> {
    layout: &'l Layout,
    places: &'l Places,
    learning: bool,
    matrix: Vec<T>,
    width: usize,
    targets: Vec<(Vec<i64>, Vec<T>)>,
    summaries: Vec<Summary>,
    lines: Lines,
    count: usize,
}

/// Where the rows of a file have the columns of a layout.
#[derive(Clone, PartialEq, Debug)]
pub(in super::super) struct Places {
    /// The inputs, then the targets; a target may be absent.
    pub of: Vec<Option<usize>>,
    /// Cells of a row.
    pub cells: usize,
}

/// Rows as columns: the matrix `x`, then the targets that are there.
pub(in super::super) struct Block {
    pub rows: usize,
    pub columns: Vec<Column>,
}

/// What is known of the numbers of a column once its cells are read.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Summary {
    integers: bool,
    least: i64,
    greatest: i64,
    /// The integers that are held exactly.
    held: (i64, i64),
}

impl Summary {
    fn add(&mut self, integer: Option<i64>) {
        match integer {
            Some(value) => {
                self.least = self.least.min(value);
                self.greatest = self.greatest.max(value);
            }
            None => self.integers = false,
        }
    }

    /// What is known of the cells of both.
    fn and(self, other: Summary) -> Summary {
        Summary {
            integers: self.integers && other.integers,
            least: self.least.min(other.least),
            greatest: self.greatest.max(other.greatest),
            held: self.held,
        }
    }

    /// The range, if all cells are integers that are held exactly.
    fn range(self) -> Option<(i64, i64)> {
        let held = self.held.0 <= self.least && self.greatest <= self.held.1;
        (self.integers && held).then_some((self.least, self.greatest))
    }
}

/// What is known of the numbers of all columns, from what is known of some rows and of others.
pub(in super::super) fn both(some: Vec<Summary>, others: Vec<Summary>) -> Vec<Summary> {
    some.into_iter().zip(others).map(|(a, b)| a.and(b)).collect()
}

/// Takes the ranges of the columns of numbers, inputs before targets, into a layout.
pub(in super::super) fn settle(layout: &mut Layout, summaries: &[Summary]) {
    for (field, summary) in layout.inputs.iter_mut().chain(&mut layout.targets).zip(summaries) {
        if let Kind::Number { range } = &mut field.kind {
            *range = summary.range();
        }
    }
}

impl<'l, T: Real> Builder<'l, T> {
    pub(in super::super) fn new(layout: &'l Layout, places: &'l Places, learning: bool) -> Self {
        // The integers of a matrix pass through its floats, those of a target are kept as they are.
        let summary = |held| Summary { integers: true, least: i64::MAX, greatest: i64::MIN, held };
        let inputs = layout.inputs.iter().map(|_| summary((-T::EXACT, T::EXACT)));
        Builder {
            layout,
            places,
            learning,
            matrix: Vec::new(),
            width: layout.width(),
            targets: layout.targets.iter().map(|_| Default::default()).collect(),
            summaries: inputs.chain(layout.targets.iter().map(|_| summary(T::INTEGERS))).collect(),
            lines: Lines::default(),
            count: 0,
        }
    }

    /// Makes room for rows, but for no more than `most` elements.
    pub(super) fn reserve(&mut self, rows: usize, most: usize) {
        self.matrix.reserve(rows.saturating_mul(self.width).min(most));
    }

    pub(in super::super) fn count(&self) -> usize {
        self.count
    }

    /// Takes the record last read; false if it is left out for a missing cell.
    pub(in super::super) fn take(&mut self, records: &Records) -> Result<bool, DataError> {
        let expected = self.places.cells;
        if records.len() != expected {
            let problem = Problem::Ragged { expected, found: records.len() };
            return Err(records.place(expected.min(records.len())).fail(problem));
        }
        let (layout, places) = (self.layout, self.places);
        let fields = || layout.inputs.iter().chain(&layout.targets).zip(&places.of);
        if layout.missing == Missing::Drop {
            let absent = |(field, place): (&Field, &Option<usize>)| {
                place.is_some_and(|place| is_missing(records.cell(place), &field.kind))
            };
            if fields().any(absent) {
                return Ok(false);
            }
        }
        self.lines.push(self.count, records.line());
        self.count += 1;
        for (index, (field, place)) in fields().enumerate() {
            let Some(place) = *place else { continue };
            match &field.kind {
                Kind::Categories(vocabulary) => {
                    let code = code(records, place, field)?;
                    match index.checked_sub(layout.inputs.len()) {
                        None => {
                            let start = self.matrix.len();
                            self.matrix.resize(start + vocabulary.len(), T::ZERO);
                            self.matrix[start + code] = T::ONE;
                        }
                        Some(target) => self.targets[target].0.push(code as i64),
                    }
                }
                Kind::Number { range } => {
                    let (integer, value) = match short_integer(records.raw(place)) {
                        Some(integer) => (Some(integer), T::of(integer)),
                        None => number::<T>(records, place, field, layout, index >= layout.inputs.len())?,
                    };
                    self.summaries[index].add(integer);
                    let Some(target) = index.checked_sub(layout.inputs.len()) else {
                        self.matrix.push(value);
                        continue;
                    };
                    let integers = self.learning || range.is_some();
                    match integer {
                        Some(integer) if integers => self.targets[target].0.push(integer),
                        None if range.is_some() && !self.learning => {
                            let text = shorten(records.cell(place));
                            let place = records.place(place).name(shorten(&field.name));
                            return Err(place.fail(Problem::NotAnInteger { text }));
                        }
                        _ => {}
                    }
                    if self.learning || range.is_none() {
                        self.targets[target].1.push(value);
                    }
                }
            }
        }
        Ok(true)
    }

    /// The columns, and what is known of every field.
    pub(in super::super) fn finish(self, path: &Path) -> (Vec<Summary>, Block) {
        let Builder { layout, places, learning, mut matrix, width, targets, summaries, lines, count, .. } = self;
        let origin = Arc::new(Origin { file: PathBuf::from(path), lines: Some(lines) });
        matrix.shrink_to_fit();
        let values = T::values(matrix);
        let mut columns = vec![Column { name: MATRIX.to_string(), shape: vec![width], values, origin: origin.clone() }];
        let inputs = layout.inputs.len();
        let known = layout.targets.iter().zip(&summaries[inputs..]).zip(&places.of[inputs..]);
        for (((field, summary), place), (integers, floats)) in known.zip(targets) {
            if place.is_none() {
                continue;
            }
            let values = match &field.kind {
                Kind::Categories(_) => Values::I64(integers),
                Kind::Number { .. } if learning && summary.range().is_some() => Values::I64(integers),
                Kind::Number { range: Some(_) } if !learning => Values::I64(integers),
                Kind::Number { .. } => T::values(floats),
            };
            columns.push(Column { name: field.name.clone(), shape: Vec::new(), values, origin: origin.clone() });
        }
        (summaries, Block { rows: count, columns })
    }
}

/// The code of a cell of categories.
fn code(records: &Records, place: usize, field: &Field) -> Result<usize, DataError> {
    let Kind::Categories(vocabulary) = &field.kind else { return Ok(0) };
    let text = records.cell(place);
    if let Some(code) = vocabulary.code(text) {
        return Ok(code);
    }
    let problem = if text.is_empty() {
        Problem::Missing { text: String::new() }
    } else {
        Problem::UnknownCategory { text: shorten(text), known: vocabulary.names() }
    };
    Err(records.place(place).name(shorten(&field.name)).fail(problem))
}

/// A cell that is not a plain integer literal.
fn number<T: Real>(
    records: &Records,
    place: usize,
    field: &Field,
    layout: &Layout,
    target: bool,
) -> Result<(Option<i64>, T), DataError> {
    let text = records.cell(place);
    let fail = |problem| Err(records.place(place).name(shorten(&field.name)).fail(problem));
    if let Ok(integer) = text.parse::<i64>() {
        return Ok((Some(integer), T::of(integer)));
    }
    if text.is_empty() || (says_missing(text) && !text.eq_ignore_ascii_case("nan")) {
        return fail(Problem::Missing { text: text.to_string() });
    }
    match (text.parse::<T>(), text.parse::<f64>()) {
        (Ok(value), _) if value.is_finite() => Ok((None, value)),
        (_, Ok(value)) if value.is_finite() => fail(Problem::TooLargeForFloat { text: shorten(text) }),
        (_, Ok(_)) => fail(Problem::NotFinite { text: shorten(text) }),
        (_, Err(_)) => {
            let only = if records.len() == 1 { std::slice::from_ref(&field.name) } else { &[] };
            let separator = other_separator(only, layout.separator);
            fail(Problem::NotANumber { text: shorten(text), separator, target })
        }
    }
}

/// An integer literal of at most 18 digits; most cells are, and this is several times faster than the general parser.
fn short_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
    }
    Some(if negative { -value } else { value })
}
