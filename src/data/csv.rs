//! Comma-separated text to a [`Table`].
//!
//! The first line names the columns. All columns but the target form the matrix `x` `[rows, features]`, in the order of
//! the file; each can also be had by its name. The target is a column of its own. A column whose cells are all integer
//! literals that the run's types hold is integer-valued; `x` is of floats. Quoted cells, CRLF, a byte order mark and blank lines are accepted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::csv::{ByteRecord, ReaderBuilder};

use super::error::{DataError, Place, Problem, shorten};
use super::file;
use super::table::{Column, Feature, FloatType, Lines, MATRIX, Origin, Table, Values, unknown_column};

/// Reads a file; without a target all the columns are part of `x`.
pub fn read(path: &Path, target: Option<&str>, float: FloatType) -> Result<Table, DataError> {
    let bytes = file::read(path)?;
    parse(&bytes, path, target, float)
}

/// Reads text that is said to come from `path`.
pub fn parse(bytes: &[u8], path: &Path, target: Option<&str>, float: FloatType) -> Result<Table, DataError> {
    let text = decode(bytes, path)?;
    match float {
        FloatType::F32 => Reader::new(text, path, target)?.table::<f32>(float),
        FloatType::F64 => Reader::new(text, path, target)?.table::<f64>(float),
    }
}

fn decode<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a str, DataError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (before, rest) = bytes.split_at(error.valid_up_to());
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let column = 1 + String::from_utf8_lossy(&before[start..]).chars().count();
        Place::file(path).line(line).column(column).fail(Problem::NotUtf8 { byte: rest[0] })
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The float types cells are parsed to.
trait Real: Copy + std::str::FromStr {
    /// Integers up to this magnitude are exact.
    const EXACT: u64;
    fn of(value: i64) -> Self;
    fn is_finite(self) -> bool;
    fn values(all: Vec<Self>) -> Values;
}

impl Real for f32 {
    const EXACT: u64 = 1 << f32::MANTISSA_DIGITS;
    fn of(value: i64) -> Self {
        value as f32
    }
    fn is_finite(self) -> bool {
        self.is_finite()
    }
    fn values(all: Vec<Self>) -> Values {
        Values::F32(all)
    }
}

impl Real for f64 {
    const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;
    fn of(value: i64) -> Self {
        value as f64
    }
    fn is_finite(self) -> bool {
        self.is_finite()
    }
    fn values(all: Vec<Self>) -> Values {
        Values::F64(all)
    }
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    csv: ::csv::Reader<&'a [u8]>,
    record: ByteRecord,
    names: Vec<String>,
    target: Option<usize>,
    /// Byte and line where the record last read starts.
    start: usize,
    line: usize,
}

impl<'a> Reader<'a> {
    /// Reads the header.
    fn new(text: &'a str, path: &'a Path, target: Option<&str>) -> Result<Self, DataError> {
        // Records of any length are let through, so that a ragged row is reported with its place by `row`.
        let csv = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let record = ByteRecord::new();
        let mut reader = Reader { text, path, csv, record, names: Vec::new(), target: None, start: 0, line: 1 };
        if !reader.next()? {
            return Err(Place::file(path).fail(Problem::Empty));
        }
        reader.names = (0..reader.record.len()).map(|index| reader.cell(index).to_string()).collect();
        reader.check_names()?;
        reader.target = target.map(|target| reader.find_target(target)).transpose()?;
        Ok(reader)
    }

    fn check_names(&self) -> Result<(), DataError> {
        if self.names.iter().all(|name| name.parse::<f64>().is_ok()) {
            let first = shorten(&self.names[0]);
            return Err(self.place(0).fail(Problem::NoHeader { first }));
        }
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by_key(|&index| &self.names[index]);
        if let Some(nameless) = self.names.iter().position(String::is_empty) {
            return Err(self.place(nameless).fail(Problem::NamelessColumn { position: nameless + 1 }));
        }
        let twins = order.windows(2).filter(|pair| self.names[pair[0]] == self.names[pair[1]]);
        if let Some(pair) = twins.min_by_key(|pair| pair[1]) {
            let problem = Problem::DuplicateColumn { first: pair[0] + 1, second: pair[1] + 1 };
            return Err(self.place(pair[1]).name(shorten(&self.names[pair[1]])).fail(problem));
        }
        Ok(())
    }

    fn find_target(&self, target: &str) -> Result<usize, DataError> {
        if target == MATRIX {
            return Err(self.place(0).fail(Problem::ReservedTarget));
        }
        let Some(position) = self.names.iter().position(|name| name == target) else {
            let place = Place::file(self.path).line(self.line);
            return Err(unknown_column(place, target, self.names.clone(), self.other_separator()));
        };
        if self.names.len() == 1 {
            return Err(self.place(0).name(target).fail(Problem::OnlyTarget));
        }
        Ok(position)
    }

    /// The separator that seems to be used instead of a comma.
    fn other_separator(&self) -> Option<char> {
        let [only] = self.names.as_slice() else { return None };
        [';', '\t', '|'].into_iter().find(|&separator| only.contains(separator))
    }

    /// Reads the next record; false at the end of the file.
    fn next(&mut self) -> Result<bool, DataError> {
        let before = self.csv.position().byte() as usize;
        let read = self.csv.read_byte_record(&mut self.record);
        // Unreachable with text in memory and records of any length, but an error all the same.
        let more = read.map_err(|error| {
            let reason = error.to_string();
            Place::file(self.path).fail(Problem::Malformed { format: "CSV", reason })
        })?;
        // The reader stops within a CRLF and skips blank lines, so it may have stood before line breaks.
        let rest = &self.text.as_bytes()[before.min(self.text.len())..];
        let breaks = rest.iter().take_while(|&&byte| matches!(byte, b'\n' | b'\r')).count();
        let start = before + breaks;
        if more {
            let passed = &self.text.as_bytes()[self.start..start];
            self.line += passed.iter().filter(|&&byte| byte == b'\n').count();
            self.start = start;
        }
        Ok(more)
    }

    fn cell(&self, index: usize) -> &str {
        // A record's cells end at ASCII bytes of the text, so they are UTF-8 as the text is.
        std::str::from_utf8(&self.record[index]).unwrap_or_default().trim_ascii()
    }

    /// The place of a cell of the record last read, found by reading its text again.
    fn place(&self, index: usize) -> Place {
        // `quotable`: within a cell that began with a quote, where a quote opens or closes.
        let (mut quoted, mut quotable, mut cell_start, mut cells) = (false, false, true, 0);
        let (mut line, mut column) = (self.line, 1);
        for letter in self.text[self.start..].chars() {
            if cells == index || (matches!(letter, '\n' | '\r') && !quoted) {
                break;
            }
            if cell_start {
                quotable = letter == '"';
            }
            quoted ^= letter == '"' && quotable;
            cell_start = letter == ',' && !quoted;
            cells += usize::from(cell_start);
            if letter == '\n' {
                (line, column) = (line + 1, 1);
            } else {
                column += 1;
            }
        }
        Place::file(self.path).line(line).column(column)
    }

    fn table<T: Real>(mut self, float: FloatType) -> Result<Table, DataError> {
        let width = self.names.len();
        let mut summaries = vec![Summary::EMPTY; width];
        let mut matrix: Vec<T> = Vec::new();
        let mut target: (Vec<i64>, Vec<T>) = Default::default();
        let mut lines = Lines::default();
        let mut rows = 0;
        while self.next()? {
            if self.record.len() != width {
                let problem = Problem::Ragged { expected: width, found: self.record.len() };
                return Err(self.place(width.min(self.record.len())).fail(problem));
            }
            if rows == 0 {
                // Rows are of similar length; a cell takes at least two bytes, so this is in proportion to the file.
                let expected = self.text.len() / self.record.as_slice().len().max(1);
                matrix.reserve(expected.saturating_mul(width).min(self.text.len() / 2));
            }
            lines.push(rows, self.line);
            rows += 1;
            for (index, summary) in summaries.iter_mut().enumerate() {
                let (integer, value) = match short_integer(&self.record[index]) {
                    Some(integer) => (Some(integer), T::of(integer)),
                    None => self.number::<T>(index)?,
                };
                summary.add(integer);
                if self.target == Some(index) {
                    target.0.extend(integer);
                    target.1.push(value);
                } else {
                    matrix.push(value);
                }
            }
        }
        if rows == 0 {
            return Err(Place::file(self.path).line(self.line).fail(Problem::NoRows));
        }
        let origin = Arc::new(Origin { file: PathBuf::from(self.path), lines: Some(lines) });
        let mut columns = Vec::new();
        if let Some(position) = self.target {
            let name = self.names.remove(position);
            let summary = summaries.remove(position);
            let values = if summary.fits(float) { Values::I64(target.0) } else { T::values(target.1) };
            columns.push(Column { name, shape: Vec::new(), values, origin: origin.clone() });
        }
        matrix.shrink_to_fit();
        let (shape, values) = (vec![self.names.len()], T::values(matrix));
        columns.insert(0, Column { name: MATRIX.to_string(), shape, values, origin });
        let features = self.names.into_iter().zip(summaries);
        let features = features.map(|(name, summary)| Feature { name, integers: summary.exact(T::EXACT) }).collect();
        Ok(Table::with_features(rows, columns, features))
    }

    /// A cell that is not a plain integer literal.
    fn number<T: Real>(&self, index: usize) -> Result<(Option<i64>, T), DataError> {
        let text = self.cell(index);
        let fail = |problem| Err(self.place(index).name(shorten(&self.names[index])).fail(problem));
        if let Ok(integer) = text.parse::<i64>() {
            return Ok((Some(integer), T::of(integer)));
        }
        if ["", "na", "n/a", "null", "none", "?", "-", "."].contains(&text.to_ascii_lowercase().as_str()) {
            return fail(Problem::Missing { text: text.to_string() });
        }
        match (text.parse::<T>(), text.parse::<f64>()) {
            (Ok(value), _) if value.is_finite() => Ok((None, value)),
            (_, Ok(value)) if value.is_finite() => fail(Problem::TooLargeForFloat { text: shorten(text) }),
            (_, Ok(_)) => fail(Problem::NotFinite { text: shorten(text) }),
            (_, Err(_)) => fail(Problem::NotANumber { text: shorten(text), separator: self.other_separator() }),
        }
    }
}

/// What is known of a column once all its cells are read.
#[derive(Clone, Copy)]
struct Summary {
    integers: bool,
    least: i64,
    greatest: i64,
}

impl Summary {
    const EMPTY: Summary = Summary { integers: true, least: i64::MAX, greatest: i64::MIN };

    fn add(&mut self, integer: Option<i64>) {
        match integer {
            Some(value) => {
                self.least = self.least.min(value);
                self.greatest = self.greatest.max(value);
            }
            None => self.integers = false,
        }
    }

    /// Whether all cells are integers that the run's integer type holds.
    fn fits(self, float: FloatType) -> bool {
        self.integers && float.fits(self.least) && float.fits(self.greatest)
    }

    /// The range, if all cells are integers of at most the given magnitude.
    fn exact(self, magnitude: u64) -> Option<(i64, i64)> {
        let exact = self.least.unsigned_abs() <= magnitude && self.greatest.unsigned_abs() <= magnitude;
        (self.integers && exact).then_some((self.least, self.greatest))
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
