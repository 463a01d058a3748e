//! Keeping a run while it goes: its figures as they come, and checkpoints of where it stands.
//!
//! Input: the session after each step and the rows of its evaluations. Output: the files of the run's folder. Invariants: the
//! figures on disk reach at least as far as the checkpoint; a checkpoint that cannot be written does not end the run, but the
//! last one of a run is written or it is an error. `best.safetensors` is never behind a checkpoint that says the run has ended.

use super::config::{Config, Identity};
use super::folder::Folder;
use super::log::{Log, Row};
use super::pace::Pace;
use super::plan::{Plan, write};
use super::standing::{About, BEST, Encoded, Reached};
use crate::data::Table;
use crate::ir::Tensor;
use crate::source::Diagnostic;
use crate::train::checkpoint;
use crate::train::division::Part;
use crate::train::state::{Progress, Snapshot};
use std::collections::BTreeMap;
use std::fs::File;
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

/// What the keeper needs to see of a session.
pub struct Sight<'s> {
    pub progress: &'s Progress,
    /// Which of several runs it is.
    pub part: Option<Part>,
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

    /// Makes the folder of a new run that starts from given tensors, or opens that of a resumed one, which has come so far.
    pub fn begin(&mut self, reached: &Reached, init: &[(String, Tensor)]) -> Result<(), Diagnostic> {
        let (folder, identity, log, every, lock) = match &self.keeping {
            Keeping::Nothing => return Ok(()),
            Keeping::New(plan) => {
                let (folder, identity) = plan.begin()?;
                let (lock, log) = (folder.lock()?, Log::create(&folder)?);
                keep_init(&folder, &identity, init)?;
                (folder, identity, log, plan.every, lock)
            }
            Keeping::Resumed { folder, config, every } => {
                let lock = folder.lock()?;
                folder.sweep();
                (folder.clone(), config.identity.clone(), Log::resume(folder, reached)?, *every, lock)
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
        let about = About {
            identity: self.identity.clone(),
            progress: sight.progress.clone(),
            part: sight.part.map(|part| part.number + 1),
            data: data.collect(),
            finished,
        };
        let weights = |of: &Snapshot| -> Snapshot {
            of.iter().filter(|(name, _)| sight.weights.contains(name)).cloned().collect()
        };
        if let (Some(part), true) = (sight.part, finished) {
            return checkpoint::save(&self.folder.part(part), &about, &weights(&sight.tensors));
        }
        let named = |(name, tensor): &(String, _)| (format!("{BEST}{name}"), Clone::clone(tensor));
        let mut all = sight.tensors.clone();
        all.extend(sight.best.into_iter().flatten().map(named));
        if let Some(part) = sight.part {
            return checkpoint::save(&self.folder.part(part), &about, &all);
        }
        // At the end the tensors are those that are kept, whatever came before.
        if let Some(best) = if finished { Some(&sight.tensors) } else { sight.best } {
            checkpoint::save(&self.folder.best(), &about, &weights(best))?;
        }
        checkpoint::save(&self.folder.last(), &about, &all)
    }
}

/// Keeps the tensors that a run starts from, which the program does not say.
pub(super) fn keep_init(folder: &Folder, identity: &Identity, init: &[(String, Tensor)]) -> Result<(), Diagnostic> {
    if init.is_empty() { Ok(()) } else { checkpoint::save(&folder.init(), identity, init) }
}
