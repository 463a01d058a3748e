//! CSV files read some records at a time.
//!
//! A block is made of whole records. Where it starts is kept with the line it starts on, so that a cell's place is told as
//! if the file had been read from its beginning.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::super::csv::{Block, Builder, Learning, Places, Quotes, Records, decode};
use super::super::encoding::{Encoding, Form};
use super::super::error::{DataError, Place, Problem};
use super::super::table::{FloatType, Table};
use super::super::{csv, file};
use super::{BLOCK, changed, read_at};

/// A record may not be longer, lest a quote that is never closed take the file into memory.
const LONGEST: usize = 1 << 25;

#[derive(Debug)]
pub(super) struct Blocks {
    path: PathBuf,
    file: File,
    spans: Vec<Span>,
    float: FloatType,
    places: Places,
    encoding: Encoding,
}

/// Where a block is.
#[derive(Clone, Copy, Debug)]
struct Span {
    at: u64,
    length: usize,
    /// The line it starts on.
    line: usize,
}

/// Opens a file and reads it once. Gives also the first row of every block, and last the number of rows.
pub(super) fn open(
    path: &Path,
    options: &csv::Options,
    float: FloatType,
) -> Result<(Blocks, Vec<usize>, Encoding), DataError> {
    match float {
        FloatType::F32 => open_as::<f32>(path, options, float),
        FloatType::F64 => open_as::<f64>(path, options, float),
    }
}

fn open_as<T: csv::Real>(
    path: &Path,
    options: &csv::Options,
    float: FloatType,
) -> Result<(Blocks, Vec<usize>, Encoding), DataError> {
    let mut first = Chunks::open(path, options.separator)?;
    let Some(start) = first.next()? else {
        return Err(Place::file(path).fail(Problem::Empty));
    };
    let text = decode(&first.buffer[..start.length], path, 1)?;
    let (layout, body) = csv::begin(text, path, options)?;
    let body = Span {
        at: (start.length - body.text_len()) as u64,
        length: body.text_len(),
        line: 1 + text[..text.len() - body.text_len()].matches('\n').count(),
    };
    let mut learning = Learning::new(layout);
    pass(path, options.separator, body, |records, _| learning.targets(records))?;
    if learning.needs_categories() {
        pass(path, options.separator, body, |records, _| learning.categories(records).map(|()| true))?;
        learning.settle_categories();
    }
    let mut layout = learning.layout();
    let places = csv::places(&layout);
    let (mut spans, mut starts, mut summaries) = (Vec::new(), vec![0], None);
    let mut dropped = false;
    pass(path, options.separator, body, |mut records, span| {
        let mut builder = Builder::<T>::new(&layout, &places, true);
        while records.next()? {
            dropped |= !builder.take(&records)?;
        }
        let (found, Block { rows, .. }) = builder.finish(path);
        summaries = Some(match summaries.take() {
            None => found,
            Some(before) => csv::both(before, found),
        });
        // A block none of whose rows is kept is no block.
        if rows > 0 {
            spans.push(span);
            starts.push(starts[starts.len() - 1] + rows);
        }
        Ok(true)
    })?;
    if spans.is_empty() {
        let problem = if dropped { Problem::NoCompleteRows } else { Problem::NoRows };
        return Err(Place::file(path).fail(problem));
    }
    csv::settle(&mut layout, &summaries.unwrap_or_default());
    let encoding = Encoding { form: Form::Csv(layout), standards: Vec::new() };
    let (file, _) = file::open_any(path)?;
    let blocks = Blocks { path: path.to_path_buf(), file, spans, float, places, encoding: encoding.clone() };
    Ok((blocks, starts, encoding))
}

/// Reads the rows of a file from its first block on, until `each` says that it has seen enough.
fn pass(
    path: &Path,
    separator: u8,
    body: Span,
    mut each: impl FnMut(Records, Span) -> Result<bool, DataError>,
) -> Result<(), DataError> {
    let mut chunks = Chunks::open(path, separator)?;
    let mut first = true;
    while let Some(mut span) = chunks.next()? {
        let mut bytes = &chunks.buffer[..span.length];
        if std::mem::take(&mut first) {
            bytes = bytes.get(body.at as usize..).ok_or_else(|| changed(path))?;
            span = Span { at: body.at, length: bytes.len(), line: body.line };
        }
        let text = decode(bytes, path, span.line)?;
        if !each(Records::new(text, path, separator, span.line), span)? {
            break;
        }
    }
    Ok(())
}

impl Blocks {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A block, which had so many rows when the file was loaded.
    pub(super) fn read(&self, index: usize, rows: usize) -> Result<Table, DataError> {
        let block = match self.float {
            FloatType::F32 => self.rows::<f32>(index)?,
            FloatType::F64 => self.rows::<f64>(index)?,
        };
        if block.rows != rows {
            return Err(changed(&self.path));
        }
        Ok(Table::in_memory(block.rows, block.columns, self.encoding.clone()))
    }

    fn rows<T: csv::Real>(&self, index: usize) -> Result<Block, DataError> {
        let Form::Csv(layout) = &self.encoding.form else { return Err(changed(&self.path)) };
        let span = self.spans[index];
        let bytes = read_at(&self.file, &self.path, span.at, span.length)?;
        let text = decode(&bytes, &self.path, span.line)?;
        let mut records = Records::new(text, &self.path, layout.separator, span.line);
        let mut builder = Builder::<T>::new(layout, &self.places, false);
        while records.next()? {
            builder.take(&records)?;
        }
        Ok(builder.finish(&self.path).1)
    }
}

/// The records of a file, some whole ones at a time.
struct Chunks<'p> {
    path: &'p Path,
    file: File,
    separator: u8,
    /// What was read and not yet passed, after what [`Chunks::next`] last gave.
    buffer: Vec<u8>,
    given: Span,
    ended: bool,
}

impl<'p> Chunks<'p> {
    fn open(path: &'p Path, separator: u8) -> Result<Self, DataError> {
        let (file, _) = file::open_any(path)?;
        let given = Span { at: 0, length: 0, line: 1 };
        Ok(Chunks { path, file, separator, buffer: Vec::new(), given, ended: false })
    }

    /// The next records, which are the first bytes of the buffer.
    fn next(&mut self) -> Result<Option<Span>, DataError> {
        let passed = self.buffer[..self.given.length].iter().filter(|&&byte| byte == b'\n').count();
        self.buffer.drain(..self.given.length);
        let (at, line) = (self.given.at + self.given.length as u64, self.given.line + passed);
        let mut quotes = Quotes::new(self.separator);
        let (mut seen, mut end) = (0, 0);
        loop {
            self.fill(seen + BLOCK)?;
            for (index, &byte) in self.buffer.iter().enumerate().skip(seen) {
                quotes.step(byte);
                if byte == b'\n' && !quotes.inside {
                    end = index + 1;
                }
            }
            seen = self.buffer.len();
            if self.ended {
                end = seen;
            }
            if end > 0 || self.ended {
                break;
            }
            if seen > LONGEST {
                let reason = format!("a row is longer than {} MiB; perhaps a quote is not closed", LONGEST >> 20);
                return Err(Place::file(self.path).line(line).fail(Problem::Malformed { format: "CSV", reason }));
            }
        }
        self.given = Span { at, length: end, line };
        Ok((end > 0).then_some(self.given))
    }

    /// Reads until the buffer has so many bytes or the file ends.
    fn fill(&mut self, length: usize) -> Result<(), DataError> {
        let missing = length.saturating_sub(self.buffer.len()) as u64;
        let read = self.file.by_ref().take(missing).read_to_end(&mut self.buffer);
        let read = read.map_err(|error| file::failed(self.path, &error))?;
        self.ended |= (read as u64) < missing;
        Ok(())
    }
}
