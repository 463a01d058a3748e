//! Where a run stood: what its checkpoints say and hold.
//!
//! Input: the files of a run's folder. Output: a [`Standing`] for the run, or for each of several: folds or members. Invariant: a
//! file that is not exactly what was saved is refused.

use super::config::Identity;
use super::folder::Folder;
use crate::data::Encoding;
use crate::source::Diagnostic;
use crate::train::checkpoint;
use crate::train::state::{Progress, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What a checkpoint says besides its tensors.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct About {
    pub identity: Identity,
    pub progress: Progress,
    /// Which of several runs of the program it is, from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub part: Option<u64>,
    /// How the columns of each data set became numbers.
    pub data: BTreeMap<String, Encoded>,
    /// Whether the run has come to its end.
    pub finished: bool,
}

/// A data set without its rows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Encoded {
    pub rows: usize,
    pub encoding: Encoding,
}

/// Where a run stood.
#[derive(Clone, PartialEq, Debug)]
pub struct Standing {
    pub about: About,
    /// Every tensor that outlives a step; of one of several runs that has ended, its weights.
    pub tensors: Snapshot,
    /// Those of the best evaluation, if the run keeps them.
    pub best: Option<Snapshot>,
}

/// Before the name of a tensor of the best evaluation.
pub(super) const BEST: &str = "best/";

impl Standing {
    /// Reads a checkpoint.
    pub fn read(path: &Path) -> Result<Standing, Diagnostic> {
        let (about, all) = checkpoint::load::<About>(path)?;
        let (mut tensors, mut best) = (Snapshot::new(), Snapshot::new());
        for (name, tensor) in all {
            match name.strip_prefix(BEST) {
                Some(name) => best.push((name.to_owned(), tensor)),
                None => tensors.push((name, tensor)),
            }
        }
        Ok(Standing { about, tensors, best: (!best.is_empty()).then_some(best) })
    }

    /// The tensors to use.
    pub fn weights(self) -> Snapshot {
        self.best.unwrap_or(self.tensors)
    }
}

/// Steps done, by the number of the part; that of a run without parts is `None`.
pub type Reached = BTreeMap<Option<u64>, u64>;

/// Where the runs of a folder stood: none, if it ended before it was first saved.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Stood {
    /// Of a run without parts.
    pub last: Option<Standing>,
    /// Folds or members by their numbers, from 1.
    pub parts: BTreeMap<u64, Standing>,
}

impl Stood {
    pub fn read(folder: &Folder) -> Result<Stood, Diagnostic> {
        let last = if folder.last().exists() { Some(Standing::read(&folder.last())?) } else { None };
        let mut parts = BTreeMap::new();
        for (number, path) in folder.parts() {
            parts.insert(number, Standing::read(&path)?);
        }
        Ok(Stood { last, parts })
    }

    pub fn all(&self) -> impl Iterator<Item = &Standing> {
        self.last.iter().chain(self.parts.values())
    }

    pub fn reached(&self) -> Reached {
        self.all().map(|standing| (standing.about.part, standing.about.progress.global_step)).collect()
    }

    /// Whether so many runs have come to their end.
    pub fn finished(&self, runs: u64) -> bool {
        self.all().filter(|standing| standing.about.finished).count() as u64 == runs
    }
}
