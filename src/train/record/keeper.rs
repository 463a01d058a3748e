//! Keeping a run while it goes: its figures as they come, and checkpoints of where it stands.
//!
//! Input: the session after each step and the rows of its evaluations. Output: the files of the run's folder. Invariants: the
//! figures on disk reach at least as far as the checkpoint; a checkpoint that cannot be written does not end the run, but the
//! last one of a run is written or it is an error.

use super::config::{Config, Identity};
use super::folder::Folder;
use super::log::{Log, Row};
use super::pace::Pace;
use super::plan::{Plan, write};
use crate::data::{Encoding, Table};
use crate::source::Diagnostic;
use crate::train::checkpoint;
use crate::train::state::{Progress, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// What becomes of a run's results.
#[derive(Debug)]
pub enum Keeping {
    /// They are told and forgotten.
    Nothing,
    /// A new folder.
    New(Box<Plan>),
    /// A run goes on in its folder.
    Resumed { folder: Folder, config: Box<Config>, every: Duration },
}

/// What a checkpoint says besides its tensors.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct About {
    pub identity: Identity,
    pub progress: Progress,
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
    /// Every tensor that outlives a step.
    pub tensors: Snapshot,
    /// Those of the best evaluation, if the run keeps them.
    pub best: Option<Snapshot>,
}

/// Before the name of a tensor of the best evaluation.
const BEST: &str = "best/";

impl Standing {
    /// Reads `last.safetensors`; `None` if the run ended before it was first written.
    pub fn read(folder: &Folder) -> Result<Option<Standing>, Diagnostic> {
        if !folder.last().exists() {
            return Ok(None);
        }
        Standing::read_file(&folder.last()).map(Some)
    }

    /// Reads a checkpoint.
    pub fn read_file(path: &Path) -> Result<Standing, Diagnostic> {
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
}

/// What the keeper needs to see of a session.
pub struct Sight<'s> {
    pub progress: &'s Progress,
    pub tensors: Snapshot,
    pub best: Option<&'s Snapshot>,
    /// The tensors that stand for the trained model: parameters, layer state, averages.
    pub weights: Vec<String>,
    pub tables: &'s BTreeMap<String, Table>,
}

/// Keeps a run, or not.
pub struct Keeper {
    open: Option<Open>,
    keeping: Keeping,
}

struct Open {
    folder: Folder,
    identity: Identity,
    log: Log,
    pace: Pace,
    warned: bool,
    /// As long as this process keeps the run, no other does.
    _lock: File,
}

impl Keeper {
    pub fn new(keeping: Keeping) -> Keeper {
        Keeper { open: None, keeping }
    }

    /// Makes the folder of a new run, or opens that of a resumed one, which has done so many steps.
    pub fn begin(&mut self, steps: u64) -> Result<(), Diagnostic> {
        let (folder, identity, log, every, lock) = match &self.keeping {
            Keeping::Nothing => return Ok(()),
            Keeping::New(plan) => {
                let (folder, identity) = plan.begin()?;
                let (lock, log) = (folder.lock()?, Log::create(&folder)?);
                (folder, identity, log, plan.every, lock)
            }
            Keeping::Resumed { folder, config, every } => {
                let lock = folder.lock()?;
                folder.sweep();
                (folder.clone(), config.identity.clone(), Log::resume(folder, steps)?, *every, lock)
            }
        };
        self.open = Some(Open { folder, identity, log, pace: Pace::new(every), warned: false, _lock: lock });
        Ok(())
    }

    /// The folder, once the run has begun.
    pub fn folder(&self) -> Option<&Folder> {
        self.open.as_ref().map(|open| &open.folder)
    }

    /// Seconds of training before this process took over.
    pub fn seconds(&self) -> f64 {
        self.open.as_ref().map_or(0.0, |open| open.log.seconds())
    }

    /// Adds the figures of an evaluation.
    pub fn row(&mut self, row: &Row) -> Result<(), Diagnostic> {
        match &mut self.open {
            Some(open) => open.log.add(row),
            None => Ok(()),
        }
    }

    /// Whether it is time to save.
    pub fn due(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.pace.due())
    }

    /// Saves where a run stands in its midst. A failure is given to be told, the first time, and is no reason to end.
    pub fn save(&mut self, sight: &Sight) -> Option<Diagnostic> {
        let open = self.open.as_mut()?;
        let began = Instant::now();
        let result = open.save(sight, false);
        open.pace.saved(began);
        match result {
            Ok(()) => {
                open.warned = false;
                None
            }
            Err(error) => (!std::mem::replace(&mut open.warned, true)).then_some(error),
        }
    }

    /// Saves the end of a run, or where it stands when it is ended.
    pub fn end(&mut self, sight: &Sight, finished: bool) -> Result<(), Diagnostic> {
        self.open.as_mut().map_or(Ok(()), |open| open.save(sight, finished))
    }

    /// Says how the run ended.
    pub fn summary(&self, summary: &serde_json::Value) -> Result<(), Diagnostic> {
        let Some(open) = &self.open else { return Ok(()) };
        let text = serde_json::to_string_pretty(summary).unwrap_or_default() + "\n";
        write(&open.folder.summary(), &text)
    }
}

impl Open {
    fn save(&mut self, sight: &Sight, finished: bool) -> Result<(), Diagnostic> {
        self.log.sync()?;
        let data = sight.tables.iter().map(|(name, table)| {
            let encoded = Encoded { rows: table.rows(), encoding: table.encoding().clone() };
            (name.clone(), encoded)
        });
        let (identity, progress) = (self.identity.clone(), sight.progress.clone());
        let about = About { identity, progress, data: data.collect(), finished };
        let named = |(name, tensor): &(String, _)| (format!("{BEST}{name}"), Clone::clone(tensor));
        let mut all = sight.tensors.clone();
        all.extend(sight.best.into_iter().flatten().map(named));
        checkpoint::save(&self.folder.last(), &about, &all)?;
        // At the end the tensors are those that are kept, whatever came before.
        let weights = if finished { Some(&sight.tensors) } else { sight.best };
        if let Some(weights) = weights {
            let weights: Snapshot = weights.iter().filter(|(name, _)| sight.weights.contains(name)).cloned().collect();
            checkpoint::save(&self.folder.best(), &about, &weights)?;
        }
        Ok(())
    }
}
