//! The records of separated text, one after the other, with the line and column of every cell.

use std::path::Path;

use ::csv::{ByteRecord, ReaderBuilder};

use super::super::error::{DataError, Place, Problem};

/// Text as UTF-8, without a byte order mark; its first line is line `line` of the file.
pub(in super::super) fn decode<'a>(bytes: &'a [u8], path: &Path, line: usize) -> Result<&'a str, DataError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (before, rest) = bytes.split_at(error.valid_up_to());
        let line = line + before.iter().filter(|&&byte| byte == b'\n').count();
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let column = 1 + String::from_utf8_lossy(&before[start..]).chars().count();
        Place::file(path).line(line).column(column).fail(Problem::NotUtf8 { byte: rest[0] })
    })?;
    Ok(if line == 1 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text })
}

pub(in super::super) struct Records<'a> {
    text: &'a str,
    path: &'a Path,
    separator: u8,
    csv: ::csv::Reader<&'a [u8]>,
    record: ByteRecord,
    /// Byte and line where the record last read starts.
    start: usize,
    line: usize,
}

impl<'a> Records<'a> {
    /// Stands before the first record of a text whose first line is line `line` of the file.
    pub(in super::super) fn new(text: &'a str, path: &'a Path, separator: u8, line: usize) -> Self {
        // Records of any length are let through, so that a ragged row is reported with its place.
        let csv =
            ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(text.as_bytes());
        Records { text, path, separator, csv, record: ByteRecord::new(), start: 0, line }
    }

    /// The records that are left, from their beginning.
    pub(super) fn rest(&self) -> Records<'a> {
        let at = (self.csv.position().byte() as usize).min(self.text.len());
        let passed = self.text.as_bytes()[self.start..at].iter().filter(|&&byte| byte == b'\n').count();
        Records::new(&self.text[at..], self.path, self.separator, self.line + passed)
    }

    /// Reads the next record; false at the end of the text.
    pub(in super::super) fn next(&mut self) -> Result<bool, DataError> {
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

    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    pub(in super::super) fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Where the record last read starts.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// The cells of the record last read.
    pub(super) fn len(&self) -> usize {
        self.record.len()
    }

    /// The bytes of its cells.
    pub(super) fn bytes(&self) -> usize {
        self.record.as_slice().len()
    }

    /// A cell as it stands there.
    pub(super) fn raw(&self, index: usize) -> &[u8] {
        &self.record[index]
    }

    /// A cell without the blanks around it.
    pub(super) fn cell(&self, index: usize) -> &str {
        // A record's cells end at ASCII bytes of the text, so they are UTF-8 as the text is.
        std::str::from_utf8(&self.record[index]).unwrap_or_default().trim_ascii()
    }

    /// The place of a cell of the record last read, found by reading its text again.
    pub(super) fn place(&self, index: usize) -> Place {
        let (mut cells, mut line, mut column) = (0, self.line, 1);
        let mut quotes = Quotes::new(self.separator);
        for letter in self.text[self.start..].chars() {
            if cells == index || (matches!(letter, '\n' | '\r') && !quotes.inside) {
                break;
            }
            // Every mark is ASCII; what another letter is does not matter.
            cells += usize::from(quotes.step(u8::try_from(letter).unwrap_or(b'a')));
            if letter == '\n' {
                (line, column) = (line + 1, 1);
            } else {
                column += 1;
            }
        }
        Place::file(self.path).line(line).column(column)
    }
}

/// What quotes mean on the way through a record: one opens a quoted cell only at the cell's start.
pub(in super::super) struct Quotes {
    separator: u8,
    pub(in super::super) inside: bool,
    /// Within a cell that began with a quote, where a quote opens or closes.
    quotable: bool,
    cell_start: bool,
}

impl Quotes {
    /// Stands before a record.
    pub(in super::super) fn new(separator: u8) -> Self {
        Quotes { separator, inside: false, quotable: false, cell_start: true }
    }

    /// Passes a byte; true if it ends a cell that is not the last of its record.
    pub(in super::super) fn step(&mut self, byte: u8) -> bool {
        if self.cell_start {
            self.quotable = byte == b'"';
        }
        self.inside ^= byte == b'"' && self.quotable;
        let ends = byte == self.separator && !self.inside;
        self.cell_start = ends || (matches!(byte, b'\n' | b'\r') && !self.inside);
        ends
    }
}
