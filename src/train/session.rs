//! One phase of a program, compiled and fed: steps and evaluations.
//!
//! Input: a checked program, its data and settings; for a later phase, the session of the one before. Output: losses and
//! measures; parameters and state in memory. Invariant: between two steps, [`Session::progress`], the tensors in memory and
//! [`Session::best`] are all that the rest of the phase depends on.

use super::build::{Batched, Engine, Settings, Sizes};
use super::constants;
use super::dataset::{Dataset, Feed, second_set, training_set};
use super::divergence;
use super::division::Part;
use super::gather::Gathered;
use super::metrics::{Means, Measured, Metrics};
use super::model::training_model;
use super::profile::Spent;
use super::record::Standing;
use super::run::RunError;
use super::state::{Progress, Snapshot, copy, restore};
use super::stopping::{Patience, Plateau};
use super::trace::Trace;
use crate::check::typed::{Player, Program, StopWhen, Then, Train};
use crate::data::{Batches, Order, Rows, Table};
use crate::elaborate::{Model, Persistent, Phase};
use crate::ir::Tensor;
use crate::runtime::{Lent, Memory, OutputId, clock};
use crate::source::closest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows an evaluation takes at once, at most.
pub(super) const CHUNK: u64 = 512;

/// What every phase of a run is made from.
#[derive(Clone)]
pub struct Source<'t> {
    pub program: &'t Program,
    pub tables: &'t BTreeMap<String, Table>,
    pub settings: Settings,
    pub model: Arc<Model>,
    /// The values of what is computed before training.
    pub constants: Arc<Snapshot>,
}

impl<'t> Source<'t> {
    /// Elaborates a program.
    pub fn new(
        program: &'t Program,
        tables: &'t BTreeMap<String, Table>,
        settings: &Settings,
    ) -> Result<Source<'t>, RunError> {
        let model = Arc::new(training_model(program, settings.dtype)?);
        let constants = Arc::new(constants::computed(program, &model, tables, settings)?);
        Ok(Source { program, tables, settings: settings.clone(), model, constants })
    }

    /// Elaborates a program of which these tensors are the outcome: its constants are among them.
    pub fn trained(
        program: &'t Program,
        tables: &'t BTreeMap<String, Table>,
        settings: &Settings,
        tensors: &[(String, Tensor)],
    ) -> Result<Source<'t>, RunError> {
        let model = Arc::new(training_model(program, settings.dtype)?);
        let constants = Arc::new(constants::kept(&model, tensors)?);
        Ok(Source { program, tables, settings: settings.clone(), model, constants })
    }

    /// The clauses of a phase.
    pub fn train(&self, phase: usize) -> Result<&'t Train, RunError> {
        let train = self.program.train.as_ref().and_then(|t| t.phases.get(phase));
        train.ok_or_else(|| RunError::Init("the program has no `train` block".into()))
    }
}

/// The second data set of a phase, of which every step sees a batch too.
struct Second<'t> {
    dataset: Dataset<'t>,
    batches: Batches,
    feed: Feed<'t>,
}

impl Second<'_> {
    /// The rows of a step: a function of its number.
    fn rows(&mut self, step: u64) -> &[usize] {
        self.batches.at_step(step)
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
    /// The tensors from which the phase began, where it may begin anew.
    pub beginning: Option<Snapshot>,
    /// Which of several runs this is.
    pub part: Option<Part>,
    pub train: &'t Train,
    /// The tensors it started from, as far as they were given.
    init: &'t [(String, Tensor)],
    feed: Feed<'t>,
    second: Option<Second<'t>>,
    /// The rows of the present batch that are read where they lie.
    lent: Vec<Lent<'t>>,
    /// What each player optimizes.
    losses: Vec<OutputId>,
    trace: Trace,
}

impl<'t> Session<'t> {
    /// The first phase of a program, its parameters at their starting values, some of which are given.
    pub fn new(
        program: &'t Program,
        tables: &'t BTreeMap<String, Table>,
        settings: &Settings,
        init: &'t [(String, Tensor)],
    ) -> Result<Session<'t>, RunError> {
        Session::start(Source::new(program, tables, settings)?, 0, init)
    }

    /// A phase as if it were the first.
    pub fn start(source: Source<'t>, phase: usize, init: &'t [(String, Tensor)]) -> Result<Session<'t>, RunError> {
        let progress = Progress { phase, ..Progress::default() };
        let mut session = Session::open(source, progress, None)?;
        session.start_from(init)?;
        session.init = init;
        session.begin();
        session.trace.starts(&session.progress);
        Ok(session)
    }

    /// Gives all tensors the values with which [`Session::start`] left them.
    pub(super) fn compute_start(&mut self) -> Result<(), RunError> {
        self.engine.begin(&self.source.model, None, self.source.settings.seed)?;
        self.start_from(self.init)
    }

    /// Replaces starting values of the first phase.
    pub(super) fn start_from(&mut self, init: &[(String, Tensor)]) -> Result<(), RunError> {
        let Source { model, settings, .. } = &self.source;
        let memory = &mut self.engine.memory;
        // A checkpoint also has what rules and averages keep, which begins anew.
        let kept = |path: &str| model.phases.iter().flat_map(|p| &p.optimizer_state).any(|state| &*state.path == path);
        for (path, tensor) in init.iter().filter(|(path, _)| !kept(path)) {
            start_from(memory, model, path, tensor)?;
        }
        if !init.is_empty() {
            // What is kept for the parameters may begin from their values.
            let mut start = Batched::once(&model.phases[self.progress.phase].start, settings, memory)?;
            start.run(memory, 1)?;
        }
        Ok(())
    }

    /// Draws and orders of rows follow this seed from now on.
    pub(super) fn set_seed(&mut self, seed: u64) {
        self.source.settings.seed = seed;
        if let (Some(second), Some(declared)) = (&mut self.second, &self.train.beside) {
            let order = beside_order(declared.in_order, seed, self.progress.phase);
            second.batches = Batches::new(second.batches.rows().clone(), second.batches.size(), order);
        }
    }

    /// The phase that a run stood in, where it stood.
    pub fn resumed(source: Source<'t>, standing: Standing) -> Result<Session<'t>, RunError> {
        let mut session = Session::start(source, standing.about.progress.phase, &[])?;
        session.take_up(standing)?;
        Ok(session)
    }

    /// Stands where a run of this phase stood; a finished one has left its weights only.
    pub(super) fn take_up(&mut self, standing: Standing) -> Result<(), RunError> {
        let Standing { about, mut tensors, best } = standing;
        let kept = tensors.extract_if(.., |(name, _)| name.starts_with(BEGINNING));
        let kept: Snapshot = kept.map(|(name, tensor)| (name[BEGINNING.len()..].to_owned(), tensor)).collect();
        let memory = &mut self.engine.memory;
        let missing = memory.ids().find(|id| !tensors.iter().any(|(name, _)| name == memory.name(*id)));
        if let (Some(id), false) = (missing, about.finished) {
            return Err(RunError::Init(format!("the checkpoint does not hold `{}`", memory.name(id))));
        }
        restore(memory, &tensors)?;
        self.resume(about.progress, best);
        self.beginning = (!kept.is_empty()).then_some(kept);
        Ok(())
    }

    /// Every tensor that a later part of the run depends on, and what the phase began from, if it may begin anew.
    pub fn tensors(&self) -> Snapshot {
        let mut tensors = copy(&self.engine.memory);
        let beginning = self.beginning.iter().flatten();
        tensors.extend(beginning.map(|(name, tensor)| (format!("{BEGINNING}{name}"), tensor.clone())));
        tensors
    }

    /// The phase after this one: parameters and layer state go on, the optimizer starts afresh.
    pub fn next_phase(self) -> Result<Session<'t>, RunError> {
        let global_step = self.progress.global_step;
        let progress = Progress { phase: self.progress.phase + 1, global_step, ..Progress::default() };
        let Session { source, engine, .. } = self;
        // The machines go before those of the next phase come.
        let memory = engine.memory;
        let mut session = Session::open(source, progress, Some(&memory))?;
        session.begin();
        Ok(session)
    }

    /// Stands before the first step of the phase, after so many steps of the phases before.
    pub(super) fn begin_again(&mut self, global_step: u64) {
        let progress = Progress { phase: self.progress.phase, global_step, ..Progress::default() };
        self.progress = fresh(self.train, progress);
        self.best = None;
        self.turn_to_stage();
        self.begin();
    }

    /// The phase after this one, which stays as it is.
    pub fn open_next(&self) -> Result<Session<'t>, RunError> {
        let global_step = self.progress.global_step;
        let progress = Progress { phase: self.progress.phase + 1, global_step, ..Progress::default() };
        Session::open(self.source.clone(), progress, Some(&self.engine.memory))
    }

    /// Takes note of the tensors that the phase begins from.
    fn begin(&mut self) {
        self.trace.forget();
        let again = self.train.stop.as_ref().is_some_and(|s| matches!(s.then, Some(Then::Retrain { .. })));
        self.beginning = again.then(|| copy(&self.engine.memory));
    }

    fn open(source: Source<'t>, progress: Progress, before: Option<&Memory>) -> Result<Session<'t>, RunError> {
        let settings = &source.settings;
        let phase = progress.phase;
        let train = source.train(phase)?;
        let dataset = training_set(source.program, train.on, source.tables)?;
        let rows = dataset.rows(train.on);
        // What follows a stop may have larger batches.
        let then = match train.stop.as_ref().and_then(|s| s.then) {
            Some(Then::Retrain { on, .. } | Then::Continue { on, .. }) => dataset.rows(on).len(),
            None => 0,
        };
        let most = rows.len().max(then).max(1) as u64;
        let size = train.batch.unwrap_or(most).clamp(1, most);
        let batches = batches(train, rows, size, settings.seed, phase);
        let largest = dataset.parts.iter().map(|(_, rows)| rows.len() as u64).max().unwrap_or(1).max(1);
        let second = second_set(source.program, train, source.tables)?;
        let beside = second.as_ref().map_or(1, |(.., size)| *size);
        let all = dataset.size() as u64;
        let sizes = [size, CHUNK.max(size).min(largest), all.max(1)].map(|rows| Sizes { rows, beside });
        let before = before.map(|memory| (memory, progress.global_step));
        let engine = Engine::new(&source.model, &source.constants, phase, before, sizes, settings)?;
        let feed = Feed::new(&dataset, &engine.step, train, false)?;
        let second = match (second, &train.beside) {
            (Some((dataset, rows, size)), Some(declared)) => {
                let order = beside_order(declared.in_order, settings.seed, phase);
                let feed = Feed::new(&dataset, &engine.step, train, true)?;
                Some(Second { dataset, batches: Batches::new(rows, size as usize, order), feed })
            }
            _ => None,
        };
        let output = |p: &Player| engine.step.machine.output(&p.name).expect("a step reports what players optimize");
        let losses: Vec<OutputId> = train.players.iter().map(output).collect();
        let progress = fresh(train, progress);
        Ok(Session {
            source,
            engine,
            dataset,
            batches,
            progress,
            best: None,
            beginning: None,
            part: None,
            train,
            init: &[],
            feed,
            second,
            lent: Vec::new(),
            losses,
            trace: Trace::default(),
        })
    }

    /// Puts back where a run of this phase stood; its tensors are put back by writing to the engine's memory.
    pub fn resume(&mut self, progress: Progress, best: Option<Snapshot>) {
        self.progress = progress;
        self.best = best;
        self.turn_to_stage();
    }

    /// Turns to the rows of the stage that the phase is in, where it stands there.
    pub(super) fn turn_to_stage(&mut self) {
        let rows = self.dataset.trained(self.stage_rows());
        let most = self.engine.step.rows();
        self.batches = batches(self.train, rows, most, self.source.settings.seed, self.progress.phase);
        self.batches.seek(self.progress.position);
        self.keep_trace();
    }

    /// Explains what is not finite from here on.
    pub(super) fn keep_trace(&mut self) {
        self.trace.forget();
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

    /// One step on the next batch: what the first player optimizes, and the rows. Goes on to the next epoch at the end of one.
    pub fn step(&mut self) -> Result<(f64, usize), RunError> {
        self.keep_due()?;
        let sizes = self.feed_next(self.progress.step)?;
        self.number(self.progress.step, self.progress.global_step)?;
        self.engine.step.run_on(&mut self.engine.memory, sizes, &self.lent)?;
        self.done(sizes)
    }

    /// As [`Session::step`], with the ticks of its parts added to `spent`.
    pub fn profile_step(&mut self, spent: &mut Spent) -> Result<(), RunError> {
        let start = clock::now();
        self.keep_due()?;
        let gathers = clock::now();
        let sizes = self.feed_next(self.progress.step)?;
        spent.gather += clock::now().saturating_sub(gathers);
        self.number(self.progress.step, self.progress.global_step)?;
        let machine = clock::now();
        self.engine.step.profile(&mut self.engine.memory, sizes, &self.lent, &mut spent.parts)?;
        spent.machine += clock::now().saturating_sub(machine);
        self.done(sizes)?;
        spent.whole += clock::now().saturating_sub(start);
        Ok(())
    }

    /// Copies what explains a number that is not finite, where that is due.
    fn keep_due(&mut self) -> Result<(), RunError> {
        if self.trace.due(self.progress.step) {
            self.trace.keep(&self.progress, &self.engine.memory)?;
        }
        Ok(())
    }

    /// Counts a step that has run: what the first player optimizes, and the rows.
    fn done(&mut self, sizes: Sizes) -> Result<(f64, usize), RunError> {
        self.progress.step += 1;
        self.progress.global_step += 1;
        self.progress.position = self.batches.position();
        let loss = |id: &OutputId| self.engine.step.machine.report(*id);
        if !self.losses.iter().map(loss).all(f64::is_finite) {
            return Err(self.diverged());
        }
        Ok((self.losses.first().map_or(f64::NAN, loss), sizes.rows as usize))
    }

    /// What each player's objective was in the last step.
    pub fn losses(&self) -> Vec<f64> {
        self.losses.iter().map(|id| self.engine.step.machine.report(*id)).collect()
    }

    /// Runs the step of these numbers on the next batch, of so many rows, which is in the machine's own buffers then.
    pub(super) fn repeat_step(&mut self, step: u64, global_step: u64) -> Result<Sizes, RunError> {
        let rows = self.batches.advance();
        let mut sizes = Sizes::from(rows.len() as u64);
        self.feed.fill(&mut self.engine.step.machine, rows)?;
        if let Some(second) = &mut self.second {
            let rows = second.rows(step).to_vec();
            sizes.beside = rows.len() as u64;
            second.feed.fill(&mut self.engine.step.machine, &rows)?;
        }
        self.number(step, global_step)?;
        self.engine.step.run(&mut self.engine.memory, sizes)?;
        Ok(sizes)
    }

    /// Gives the step the rows of the next batch: copies them, or keeps where they lie.
    fn feed_next(&mut self, step: u64) -> Result<Sizes, RunError> {
        self.lent.clear();
        let rows = self.batches.advance();
        let mut sizes = Sizes::from(rows.len() as u64);
        self.feed.give(&mut self.engine.step.machine, rows, &mut self.lent)?;
        if let Some(second) = &mut self.second {
            let rows = second.rows(step).to_vec();
            sizes.beside = rows.len() as u64;
            second.feed.give(&mut self.engine.step.machine, &rows, &mut self.lent)?;
        }
        Ok(sizes)
    }

    /// Gives the step its numbers.
    fn number(&mut self, step: u64, global_step: u64) -> Result<(), RunError> {
        self.engine.step.number(global_step)?;
        Ok(self.engine.step.count(step, self.batches.position().epoch, &self.progress.watches)?)
    }

    /// Fails if the last step has left a parameter or a state that is not finite, which its loss does not show.
    pub fn check_finite(&mut self) -> Result<(), RunError> {
        let memory = &self.engine.memory;
        if memory.ids().all(|id| divergence::all_finite(memory.view(id))) {
            return Ok(());
        }
        Err(self.diverged())
    }

    /// Why the steps done so far have led to a number that is not finite.
    fn diverged(&mut self) -> RunError {
        let trace = std::mem::take(&mut self.trace);
        let explained = trace.explain(self);
        self.trace = trace;
        match explained {
            Ok(found) => RunError::Diverged(Box::new(found)),
            Err(error) => error,
        }
    }

    /// Whether the batches of this epoch are done. Without data there are no epochs.
    pub fn epoch_done(&self) -> bool {
        !self.dataset.is_none() && self.progress.position.batch >= self.batches.per_epoch() as u64
    }

    /// What players optimize and what is measured over rows: means over chunks weighted by their rows, and metrics of all
    /// rows at once. Of an ensemble, it counts as if all members were as this one.
    pub fn evaluate(&mut self, rows: &Rows) -> Result<Metrics, RunError> {
        let (means, gathered) = self.chunks(rows)?;
        let repetition = self.source.program.train.as_ref().and_then(|t| t.repetition);
        self.summarize(rows, &means, &gathered, repetition.map_or(1, |r| r.count() as usize))
    }

    /// Means over chunks, and what is gathered of them for all rows at once.
    pub(super) fn chunks(&mut self, rows: &Rows) -> Result<(Metrics, Vec<Gathered>), RunError> {
        let phase = &self.source.model.phases[self.progress.phase];
        let mut gathered: Vec<Gathered> = phase.gathered.iter().map(|name| Gathered::new(name)).collect();
        let beside = self.beside();
        let (evaluate, memory) = self.engine.evaluate()?;
        let names = self.train.players.iter().map(|p| &p.name).chain(self.train.measures.iter().map(|m| &m.name));
        let reported: Vec<(String, OutputId)> =
            names.filter_map(|n| Some((n.clone(), evaluate.machine.output(n)?))).collect();
        let mut means = Means::new(reported.iter().map(|(name, _)| name.clone()));
        for (number, chunk) in rows.chunks(evaluate.rows() as usize).enumerate() {
            fill(evaluate, self.train, &self.dataset, &self.second, &beside, &chunk)?;
            evaluate.count(self.progress.step, self.progress.epoch, &self.progress.watches)?;
            evaluate.set("step", number as i64)?;
            evaluate.run(memory, sizes(chunk.len(), &beside))?;
            let machine = &evaluate.machine;
            means.add(reported.iter().map(|(_, id)| machine.report(*id)), chunk.len());
            for tensor in &mut gathered {
                tensor.take(machine);
            }
        }
        Ok((means.means(), gathered))
    }

    /// The means, and the metrics of what has been gathered; what is gathered of members stands for so many of them.
    pub(super) fn summarize(
        &mut self,
        rows: &Rows,
        means: &Metrics,
        gathered: &[Gathered],
        members: usize,
    ) -> Result<Metrics, RunError> {
        let beside = self.beside();
        let mut summary = if rows.is_empty() { None } else { self.engine.summary()? };
        if let Some((summary, memory)) = &mut summary {
            fill(summary, self.train, &self.dataset, &self.second, &beside, &rows.first(rows.len()))?;
            summary.count(self.progress.step, self.progress.epoch, &self.progress.watches)?;
            for tensor in gathered {
                tensor.give(&mut summary.machine, members)?;
            }
            summary.run(memory, sizes(rows.len(), &beside))?;
        }
        let mut metrics = Metrics::default();
        for name in self.train.players.iter().map(|p| &p.name).chain(self.train.measures.iter().map(|m| &m.name)) {
            let whole = summary.as_ref().and_then(|(summary, _)| summary.machine.read(name));
            let value = match (means.get(name), whole) {
                (Some(mean), _) => mean.clone(),
                (None, Some(whole)) => Measured::from(whole),
                (None, None) => Measured::Number(f64::NAN),
            };
            metrics.0.push((name.clone(), value));
        }
        Ok(metrics)
    }

    /// The rows of the second data set that every chunk sees in evaluation: the first batch of its part.
    fn beside(&self) -> Option<Vec<usize>> {
        self.second.as_ref().map(|s| s.batches.rows().first(s.batches.size()))
    }

    /// The parts of the data.
    pub(super) fn parts(&self) -> Vec<(String, Rows)> {
        self.dataset.parts.clone()
    }

    /// Loss and measures over every part of the data.
    pub fn evaluate_parts(&mut self) -> Result<Vec<(String, Metrics)>, RunError> {
        self.parts().into_iter().map(|(name, rows)| Ok((name, self.evaluate(&rows)?))).collect()
    }
}

/// The state of a phase that has looked at nothing yet.
fn fresh(train: &Train, mut progress: Progress) -> Progress {
    progress.stop = train.stop.as_ref().and_then(|s| match s.when {
        StopWhen::NotImproved { patience, .. } => Some(Patience::new(patience)),
        _ => None,
    });
    progress.watches = train.watches.iter().map(|w| Plateau::new(w.patience)).collect();
    progress.means = Means::new(train.players.iter().map(|p| p.name.clone()));
    progress
}

/// Before the name of a tensor from which a phase began, among those of a checkpoint.
const BEGINNING: &str = "beginning/";

/// The batches of a phase over rows, of at most so many.
fn batches(train: &Train, rows: Rows, most: u64, seed: u64, phase: usize) -> Batches {
    let size = train.batch.unwrap_or(rows.len() as u64).min(most).clamp(1, rows.len().max(1) as u64);
    let order = match train.in_order || train.on.is_none() {
        true => Order::InOrder,
        false => Order::Shuffled { seed: shuffling(seed, phase) },
    };
    Batches::new(rows, size as usize, order)
}

/// Fills the inputs of a machine that evaluates.
fn fill(
    batched: &mut Batched,
    train: &Train,
    dataset: &Dataset,
    second: &Option<Second>,
    beside: &Option<Vec<usize>>,
    rows: &[usize],
) -> Result<(), RunError> {
    Feed::new(dataset, batched, train, false)?.fill(&mut batched.machine, rows)?;
    if let (Some(second), Some(rows)) = (second, beside) {
        Feed::new(&second.dataset, batched, train, true)?.fill(&mut batched.machine, rows)?;
    }
    Ok(())
}

fn sizes(rows: usize, beside: &Option<Vec<usize>>) -> Sizes {
    Sizes { rows: rows as u64, beside: beside.as_ref().map_or(1, |rows| rows.len() as u64) }
}

/// The order of the rows of a second data set.
fn beside_order(in_order: bool, seed: u64, phase: usize) -> Order {
    if in_order { Order::InOrder } else { Order::Shuffled { seed: shuffling(!seed, phase) } }
}

/// The seed of the order of rows: each phase has orders of its own.
fn shuffling(seed: u64, phase: usize) -> u64 {
    seed.wrapping_add((phase as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// Replaces the starting value of a parameter or of a layer's state.
fn start_from(memory: &mut Memory, model: &Model, path: &str, tensor: &Tensor) -> Result<(), RunError> {
    // Constants are those of this program and its data.
    if model.constants.tensors.iter().any(|c| &*c.path == path) {
        return Ok(());
    }
    let known = || model.parameters.iter().chain(&model.layer_state);
    let Some(parameter) = known().find(|p| &*p.path == path) else {
        let names: Vec<&str> = known().map(|p| &*p.path).collect();
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
