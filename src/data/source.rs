//! What a `data` declaration names, and reading it.

use std::path::PathBuf;

use super::arrays::{self, Choice};
use super::csv;
use super::error::DataError;
use super::stream;
use super::table::{FloatType, Table};

/// Files and how to read them; paths are already relative to the working directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    Csv {
        path: PathBuf,
        options: csv::Options,
    },
    /// One file a column.
    Npy {
        columns: Vec<(String, PathBuf)>,
        targets: Vec<String>,
        /// Whether the files are read block by block instead of being held.
        stream: bool,
    },
    Npz {
        path: PathBuf,
        choice: Choice,
    },
    /// One file a column.
    Idx {
        columns: Vec<(String, PathBuf)>,
        targets: Vec<String>,
    },
    Safetensors {
        path: PathBuf,
        choice: Choice,
    },
}

impl Source {
    /// Every file that is read.
    pub fn files(&self) -> Vec<PathBuf> {
        match self {
            Source::Csv { path, .. } | Source::Npz { path, .. } | Source::Safetensors { path, .. } => {
                vec![path.clone()]
            }
            Source::Npy { columns, .. } | Source::Idx { columns, .. } => {
                columns.iter().map(|(_, path)| path.clone()).collect()
            }
        }
    }

    /// Loads the data; float columns are stored as `float`.
    pub fn read(&self, float: FloatType) -> Result<Table, DataError> {
        match self {
            Source::Csv { path, options } if options.stream => stream::text(path, options, float),
            Source::Csv { path, options } => csv::read(path, options, float),
            Source::Npy { columns, targets, stream: true } => stream::npy(columns, targets, float),
            Source::Npy { columns, targets, stream: false } => arrays::npy(columns, targets, float),
            Source::Npz { path, choice } => arrays::npz(path, choice, float),
            Source::Idx { columns, targets } => arrays::idx(columns, targets, float),
            Source::Safetensors { path, choice } => arrays::tensors(path, choice, float),
        }
    }
}
