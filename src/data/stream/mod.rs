//! Files larger than memory: read block by block, of which a few are held.
//!
//! A file is read once when it is loaded, to number its rows and to find what is wrong with them; afterwards a block is
//! read when one of its rows is asked for. Invariant: a block's rows are those it had when the file was loaded, and a block
//! is a [`Table`] like one read whole, with the same columns in the same order.

mod npy;
mod text;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::batch::WINDOW;
use super::error::{DataError, Place, Problem};
use super::gather::{Element, Selected};
use super::table::Table;
use super::{FloatType, csv, file};

/// Bytes of a file that are read at once.
const BLOCK: usize = 1 << 19;

/// Blocks held: a batch may lie in two windows.
const HELD: usize = 2 * WINDOW;

/// A data set on disk.
#[derive(Debug)]
pub(super) struct Stream {
    /// The first row of every block, and last the number of rows.
    starts: Arc<[usize]>,
    blocks: Blocks,
    /// The blocks last used, most recent last.
    held: Mutex<Vec<(usize, Arc<Table>)>>,
}

#[derive(Debug)]
enum Blocks {
    Text(text::Blocks),
    Npy(npy::Blocks),
}

/// The same file, read in the same blocks.
impl PartialEq for Stream {
    fn eq(&self, other: &Stream) -> bool {
        self.path() == other.path() && self.starts == other.starts
    }
}

/// Opens a CSV file.
pub(super) fn text(path: &Path, options: &csv::Options, float: FloatType) -> Result<Table, DataError> {
    let (blocks, starts, encoding) = text::open(path, options, float)?;
    Ok(Table::streamed(Stream::new(starts, Blocks::Text(blocks)), encoding))
}

/// Opens `.npy` files, one a column.
pub(super) fn npy(files: &[(String, PathBuf)], targets: &[String], float: FloatType) -> Result<Table, DataError> {
    let (blocks, starts, encoding) = npy::open(files, targets, float)?;
    Ok(Table::streamed(Stream::new(starts, Blocks::Npy(blocks)), encoding))
}

impl Stream {
    fn new(starts: Vec<usize>, blocks: Blocks) -> Self {
        Stream { starts: starts.into(), blocks, held: Mutex::new(Vec::new()) }
    }

    /// The first row of every block, and last the number of rows.
    pub(super) fn starts(&self) -> &Arc<[usize]> {
        &self.starts
    }

    pub(super) fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    pub(super) fn path(&self) -> &Path {
        match &self.blocks {
            Blocks::Text(blocks) => blocks.path(),
            Blocks::Npy(blocks) => blocks.path(),
        }
    }

    /// A block, from memory or from the file.
    fn block(&self, index: usize) -> Result<Arc<Table>, DataError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = held.iter().position(|(block, _)| *block == index) {
            let found = held.remove(at);
            let table = found.1.clone();
            held.push(found);
            return Ok(table);
        }
        if held.len() == HELD {
            held.remove(0);
        }
        let rows = self.starts[index]..self.starts[index + 1];
        let table = Arc::new(match &self.blocks {
            Blocks::Text(blocks) => blocks.read(index, rows.len())?,
            Blocks::Npy(blocks) => blocks.read(rows)?,
        });
        held.push((index, table.clone()));
        Ok(table)
    }

    /// As [`Table::gather`].
    pub(super) fn gather<T: Element>(
        &self,
        selected: &Selected,
        rows: &[usize],
        out: &mut [T],
    ) -> Result<(), DataError> {
        let (mut at, mut local) = (0, Vec::new());
        while at < rows.len() {
            let block = self.starts.partition_point(|&start| start <= rows[at]) - 1;
            let here = self.starts[block]..self.starts[block + 1];
            local.clear();
            local.extend(rows[at..].iter().take_while(|row| here.contains(row)).map(|row| row - here.start));
            self.block(block)?.gather(selected, &local, &mut out[at * selected.width()..])?;
            at += local.len();
        }
        Ok(())
    }

    /// As [`super::Column::check_index_range`], for a column whose range is not within the axis.
    pub(super) fn refuse_index(&self, name: &str, size: usize) -> Result<(), DataError> {
        for block in 0..self.starts.len() - 1 {
            let checked = self.block(block)?.check_index_range(name, size);
            checked.map_err(|mut error| {
                if let Problem::OutOfRange { row, .. } | Problem::NotIntegers { row, .. } = &mut *error.problem {
                    *row += self.starts[block];
                }
                error
            })?;
        }
        Ok(())
    }
}

/// Bytes of a file from a place on, which must be there.
fn read_at(mut file: &File, path: &Path, at: u64, length: usize) -> Result<Vec<u8>, DataError> {
    let mut bytes = vec![0; length];
    let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut bytes));
    match read {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(changed(path)),
        Err(error) => Err(file::failed(path, &error)),
    }
}

/// The error for a file that is no longer what it was when it was loaded.
fn changed(path: &Path) -> DataError {
    Place::file(path).fail(Problem::Changed)
}
