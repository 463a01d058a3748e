//! What a `data` declaration names, and reading it.

use std::path::PathBuf;

use super::error::DataError;
use super::table::{Column, FloatType, Table};
use super::{csv, npy, safetensors};

/// Files and how to read them; paths are already relative to the working directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    Csv {
        path: PathBuf,
        target: Option<String>,
    },
    /// One file a column.
    Npy {
        columns: Vec<(String, PathBuf)>,
    },
    Safetensors {
        path: PathBuf,
    },
}

impl Source {
    /// Every file that is read.
    pub fn files(&self) -> Vec<PathBuf> {
        match self {
            Source::Csv { path, .. } | Source::Safetensors { path } => vec![path.clone()],
            Source::Npy { columns } => columns.iter().map(|(_, path)| path.clone()).collect(),
        }
    }

    /// Loads the data; float columns are stored as `float`.
    pub fn read(&self, float: FloatType) -> Result<Table, DataError> {
        match self {
            Source::Csv { path, target } => csv::read(path, target.as_deref(), float),
            Source::Npy { columns } => {
                // Floats keep their type until `Column::new` has told overflow from infinity.
                let read = |(name, path): &(String, PathBuf)| Column::new(name, npy::read(path, None)?, float, path);
                Table::new(columns.iter().map(read).collect::<Result<_, _>>()?)
            }
            Source::Safetensors { path } => {
                let tensors = safetensors::read(path, None)?.tensors.into_iter();
                let columns = tensors.map(|(name, array)| Column::new(&name, array, float, path));
                Table::new(columns.collect::<Result<_, _>>()?)
            }
        }
    }
}
