//! One phase of a program, compiled and fed: steps and evaluations.
//!
//! Input: a checked program, its data and settings; for a later phase, the session of the one before. Output: losses and
//! measures; parameters and state in memory. Invariant: between two steps, [`Session::progress`], the tensors in memory and
//! [`Session::best`] are all that the rest of the phase depends on.

use super::build::{Engine, Settings};
use super::dataset::{Dataset, Feed, training_set};
use super::divergence;
use super::metrics::{Means, Metrics};
use super::model::model;
use super::run::RunError;
use super::state::{Progress, Snapshot};
use super::stopping::Patience;
use super::trace::Trace;
use crate::check::typed::{Program, Train};
use crate::data::{Batches, Order, Rows, Table};
use crate::elaborate::{Model, Persistent, Phase};
use crate::ir::Tensor;
use crate::runtime::{Memory, OutputId};
use crate::source::closest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows an evaluation takes at once, at most.
const CHUNK: u64 = 512;

/// What every phase of a run is made from.
#[derive(Clone)]
pub struct Source<'t> {
    pub program: &'t Program,
    pub tables: &'t BTreeMap<String, Table>,
    pub settings: Settings,
    pub model: Arc<Model>,
}

impl<'t> Source<'t> {
    /// Elaborates a program.
    pub fn new(
        program: &'t Program,
        tables: &'t BTreeMap<String, Table>,
        settings: &Settings,
    ) -> Result<Source<'t>, RunError> {
        let model = Arc::new(model(program, settings.dtype)?);
        Ok(Source { program, tables, settings: settings.clone(), model })
    }

    /// The clauses of a phase.
    pub fn train(&self, phase: usize) -> Result<&'t Train, RunError> {
        let train = self.program.train.as_ref().and_then(|t| t.phases.get(phase));
        train.ok_or_else(|| RunError::Init("the program has no `train` block".into()))
    }
}

/// A phase of a program, ready for its next step.
pub struct Session<'t> {
    pub source: Source<'t>,
    pub engine: Engine,
    pub dataset: Dataset<'t>,
    pub batches: Batches,
    pub progress: Progress,
    /// The tensors of the best evaluation so far, where the phase stops early.
    pub best: Option<Snapshot>,
    pub train: &'t Train,
    feed: Feed<'t>,
    loss: OutputId,
    trace: Trace,
}

impl<'t> Session<'t> {
    /// The first phase of a program, its parameters at their starting values, some of which are given.
    pub fn new(
        program: &'t Program,
        tables: &'t BTreeMap<String, Table>,
        settings: &Settings,
        init: &[(String, Tensor)],
    ) -> Result<Session<'t>, RunError> {
        Session::start(Source::new(program, tables, settings)?, 0, init)
    }

    /// A phase as if it were the first.
    pub fn start(source: Source<'t>, phase: usize, init: &[(String, Tensor)]) -> Result<Session<'t>, RunError> {
        let progress = Progress { phase, ..Progress::default() };
        let mut session = Session::open(source, progress, None)?;
        for (path, tensor) in init {
            start_from(&mut session.engine.memory, &session.source.model.parameters, path, tensor)?;
        }
        session.trace = Trace::new(&session.engine.memory);
        Ok(session)
    }

    /// The phase after this one: parameters and layer state go on, the optimizer starts afresh.
    pub fn next_phase(self) -> Result<Session<'t>, RunError> {
        let global_step = self.progress.global_step;
        let progress = Progress { phase: self.progress.phase + 1, global_step, ..Progress::default() };
        let Session { source, engine, .. } = self;
        // The machines go before those of the next phase come.
        let memory = engine.memory;
        Session::open(source, progress, Some(&memory))
    }

    fn open(source: Source<'t>, mut progress: Progress, before: Option<&Memory>) -> Result<Session<'t>, RunError> {
        let settings = &source.settings;
        let phase = progress.phase;
        let train = source.train(phase)?;
        let dataset = training_set(source.program, train.on, source.tables)?;
        let rows = dataset.rows(train.on);
        let size = train.batch.unwrap_or(rows.len() as u64).clamp(1, rows.len().max(1) as u64);
        let order = match train.in_order {
            true => Order::InOrder,
            false => Order::Shuffled { seed: shuffling(settings.seed, phase) },
        };
        let batches = Batches::new(rows, size as usize, order);
        let largest = dataset.parts.iter().map(|(_, rows)| rows.len() as u64).max().unwrap_or(1).max(1);
        let sizes = (size, CHUNK.max(size).min(largest));
        let before = before.map(|memory| (memory, progress.global_step));
        let engine = Engine::new(&source.model, phase, before, sizes, settings)?;
        let feed = Feed::new(&dataset, &engine.step)?;
        let loss = engine.step.machine.output("loss").expect("a step reports its loss");
        let trace = Trace::new(&engine.memory);
        progress.stop = train.stop.as_ref().map(|s| Patience::new(s.patience));
        progress.means = Means::new(["loss".to_owned()]);
        let best = None;
        Ok(Session { source, engine, dataset, batches, progress, best, train, feed, loss, trace })
    }

    /// Puts back where a run of this phase stood; its tensors are put back by writing to the engine's memory.
    pub fn resume(&mut self, progress: Progress, best: Option<Snapshot>) {
        self.batches.seek(progress.position);
        self.trace = Trace::of(&progress, &self.engine.memory);
        self.progress = progress;
        self.best = best;
    }

    /// The graphs of this phase.
    pub fn phase(&self) -> &Phase {
        &self.source.model.phases[self.progress.phase]
    }

    /// Numbers that are trained.
    pub fn parameters(&self) -> u64 {
        let count = |p: &Persistent| p.ty.elements().as_constant().unwrap_or(0);
        self.source.model.trained(self.progress.phase).map(count).sum()
    }

    /// Steps done in this phase.
    pub fn steps(&self) -> u64 {
        self.progress.step
    }

    /// One step on the next batch: its loss and rows. Goes on to the next epoch at the end of one.
    pub fn step(&mut self) -> Result<(f64, usize), RunError> {
        if self.trace.due(self.progress.step) {
            self.trace.keep(&self.progress, &self.engine.memory);
        }
        let rows = self.repeat_step(self.progress.step, self.progress.global_step)?;
        self.progress.step += 1;
        self.progress.global_step += 1;
        self.progress.position = self.batches.position();
        let loss = self.engine.step.machine.report(self.loss);
        if !loss.is_finite() {
            return Err(self.diverged());
        }
        Ok((loss, rows))
    }

    /// Runs the step of these numbers on the next batch, of so many rows.
    pub(super) fn repeat_step(&mut self, step: u64, global_step: u64) -> Result<usize, RunError> {
        let rows = self.batches.advance();
        let count = rows.len();
        self.feed.fill(&mut self.engine.step.machine, rows)?;
        let epoch = self.batches.position().epoch;
        for (name, value) in [("step", global_step), ("step of the phase", step), ("epoch", epoch)] {
            self.engine.step.set(name, value as i64)?;
        }
        self.engine.step.run(&mut self.engine.memory, count as u64)?;
        Ok(count)
    }

    /// Fails if the last step has left a parameter or a state that is not finite, which its loss does not show.
    pub fn check_finite(&mut self) -> Result<(), RunError> {
        let memory = &self.engine.memory;
        if memory.ids().all(|id| divergence::finite(&memory.view(id).to_tensor(memory.dims(id).to_vec()))) {
            return Ok(());
        }
        Err(self.diverged())
    }

    /// Why the steps done so far have led to a number that is not finite.
    fn diverged(&mut self) -> RunError {
        let trace = self.trace.clone();
        match trace.explain(self) {
            Ok(found) => RunError::Diverged(Box::new(found)),
            Err(error) => error,
        }
    }

    /// Whether the batches of this epoch are done.
    pub fn epoch_done(&self) -> bool {
        self.progress.position.batch >= self.batches.per_epoch() as u64
    }

    /// Loss and measures over rows, weighted by the rows of each chunk.
    pub fn evaluate(&mut self, rows: &Rows) -> Result<Metrics, RunError> {
        let names: Vec<String> =
            std::iter::once("loss".to_owned()).chain(self.train.measures.iter().map(|m| m.name.clone())).collect();
        let machine = &self.engine.evaluate.machine;
        let outputs: Vec<OutputId> = names.iter().filter_map(|n| machine.output(n)).collect();
        let feed = Feed::new(&self.dataset, &self.engine.evaluate)?;
        let mut means = Means::new(names);
        for chunk in rows.chunks(self.engine.evaluate.rows() as usize) {
            feed.fill(&mut self.engine.evaluate.machine, &chunk)?;
            self.engine.evaluate.run(&mut self.engine.memory, chunk.len() as u64)?;
            means.add(outputs.iter().map(|o| self.engine.evaluate.machine.report(*o)), chunk.len());
        }
        Ok(means.means())
    }

    /// Loss and measures over every part of the data.
    pub fn evaluate_parts(&mut self) -> Result<Vec<(String, Metrics)>, RunError> {
        let parts = self.dataset.parts.clone();
        parts.into_iter().map(|(name, rows)| Ok((name, self.evaluate(&rows)?))).collect()
    }
}

/// The seed of the order of rows: each phase has orders of its own.
fn shuffling(seed: u64, phase: usize) -> u64 {
    seed.wrapping_add((phase as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// Replaces a parameter's starting value.
fn start_from(memory: &mut Memory, parameters: &[Persistent], path: &str, tensor: &Tensor) -> Result<(), RunError> {
    let Some(parameter) = parameters.iter().find(|p| &*p.path == path) else {
        let names: Vec<&str> = parameters.iter().map(|p| &*p.path).collect();
        let near =
            closest(path, names.iter().copied()).map_or(String::new(), |n| format!("\nhelp: did you mean `{n}`?"));
        let there = names.join(", ");
        return Err(RunError::Init(format!(
            "the file to start from holds `{path}`, but there is no such parameter; there are {there}{near}"
        )));
    };
    let dims: Vec<u64> = tensor.dims.iter().map(|d| *d as u64).collect();
    let declared: Vec<u64> = parameter.ty.dims.iter().map(|d| d.as_constant().unwrap_or(0)).collect();
    if dims != declared {
        return Err(RunError::Init(format!(
            "`{path}` is {} in the program, but {dims:?} in the file to start from",
            parameter.ty
        )));
    }
    Ok(memory.write(path, tensor)?)
}
