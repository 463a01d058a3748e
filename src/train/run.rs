//! A training run: epochs of steps, evaluation, stopping.
//!
//! Input: a checked program, its data and settings. Output: events, and the trained parameters in memory. Invariant: the run
//! is a function of program, data and seed; threads change its time only.

use super::build::{BuildError, Engine, Settings};
use super::dataset::{Dataset, Feed, training_set};
use super::divergence;
use super::event::{Event, Named, Start, StopReason};
use super::metrics::{Means, Metrics};
use super::model::model;
use super::progress::Reporter;
use super::stopping::{Patience, Verdict};
use super::trace::{Diverged, Trace};
use crate::check::typed::{Duration as Length, ExprKind, Kind, Measure, Program, StopMetric, Train};
use crate::data::{Batches, DataError, Order, Table};
use crate::elaborate::{Model, Persistent};
use crate::ir::Tensor;
use crate::runtime::memory::{ProcessClock, peak_rss_mb};
use crate::runtime::{Memory, OutputId, RuntimeError};
use crate::source::{Diagnostic, closest};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Instant;

/// Rows an evaluation takes at once, at most.
const CHUNK: u64 = 512;

/// What a run is asked for besides its program.
pub struct Request<'r> {
    /// The program's file, as it is shown.
    pub file: String,
    pub settings: Settings,
    /// Tensors to start from, by path.
    pub init: Vec<(String, Tensor)>,
    /// The most steps, whatever the program says.
    pub max_steps: Option<u64>,
    pub clock: &'r ProcessClock,
}

/// Why a run ended early.
#[derive(Debug)]
pub enum RunError {
    Diagnostic(Box<Diagnostic>),
    Build(BuildError),
    Data(DataError),
    Runtime(RuntimeError),
    /// A NaN or an infinity.
    Diverged(Box<Diverged>),
    /// A given tensor does not fit the program.
    Init(String),
    Io(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Diagnostic(d) => write!(f, "{}", d.message),
            RunError::Build(e) => write!(f, "{e}"),
            RunError::Data(e) => write!(f, "{}", e.message()),
            RunError::Runtime(e) => write!(f, "{e}"),
            RunError::Diverged(d) => write!(f, "the loss is not finite at step {}", d.step),
            RunError::Init(why) => write!(f, "{why}"),
            RunError::Io(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for RunError {}

macro_rules! from {
    ($($source:ty => $variant:ident),+ $(,)?) => {
        $(impl From<$source> for RunError {
            fn from(e: $source) -> RunError {
                RunError::$variant(e.into())
            }
        })+
    };
}

from! { Diagnostic => Diagnostic, BuildError => Build, DataError => Data, RuntimeError => Runtime, io::Error => Io }

/// A program compiled and fed, before its first step.
pub struct Session<'t> {
    pub model: Model,
    pub engine: Engine,
    pub dataset: Dataset<'t>,
    pub batches: Batches,
    train: &'t Train,
    feed: Feed<'t>,
    loss: OutputId,
    steps: u64,
    trace: Trace,
}

impl<'t> Session<'t> {
    /// Elaborates and compiles a program for its data.
    pub fn new(
        program: &'t Program,
        tables: &'t BTreeMap<String, Table>,
        settings: &Settings,
        init: &[(String, Tensor)],
    ) -> Result<Session<'t>, RunError> {
        let model = model(program, settings.dtype)?;
        let train = program.train.as_ref().ok_or_else(|| RunError::Init("the program has no `train` block".into()))?;
        let dataset = training_set(program, train.on, tables)?;
        let rows = dataset.rows(train.on);
        let size = train.batch.unwrap_or(rows.len() as u64).clamp(1, rows.len().max(1) as u64);
        let order = if train.in_order { Order::InOrder } else { Order::Shuffled { seed: settings.seed } };
        let batches = Batches::new(rows, size as usize, order);
        let largest = dataset.parts.iter().map(|(_, rows)| rows.len() as u64).max().unwrap_or(1).max(1);
        let mut engine = Engine::new(&model, size, CHUNK.max(size).min(largest), settings)?;
        for (path, tensor) in init {
            start_from(&mut engine.memory, &model.parameters, path, tensor)?;
        }
        let feed = Feed::new(&dataset, &engine.step)?;
        let loss = engine.step.machine.output("loss").expect("a step reports its loss");
        let trace = Trace::new(&engine.memory);
        Ok(Session { model, engine, dataset, batches, train, feed, loss, steps: 0, trace })
    }

    /// Numbers that are trained.
    pub fn parameters(&self) -> u64 {
        let count = |k: &usize| self.model.parameters[*k].ty.elements().as_constant().unwrap_or(0);
        self.model.trained.iter().map(count).sum()
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One step on the next batch: its loss and rows. Goes on to the next epoch at the end of one.
    pub fn step(&mut self) -> Result<(f64, usize), RunError> {
        if self.trace.due(self.steps) {
            self.trace.keep(self.steps, self.batches.position(), &self.engine.memory);
        }
        let rows = self.batches.advance();
        let count = rows.len();
        self.feed.fill(&mut self.engine.step.machine, rows)?;
        self.engine.step.set("step", self.steps as i64)?;
        self.engine.step.run(&mut self.engine.memory, count as u64)?;
        self.steps += 1;
        let loss = self.engine.step.machine.report(self.loss);
        if !loss.is_finite() {
            return Err(self.diverged());
        }
        Ok((loss, count))
    }

    /// Fails if the last step has left a parameter or a state that is not finite, which its loss does not show.
    fn check_finite(&mut self) -> Result<(), RunError> {
        let memory = &self.engine.memory;
        if memory.ids().all(|id| divergence::finite(&memory.view(id).to_tensor(memory.dims(id).to_vec()))) {
            return Ok(());
        }
        Err(self.diverged())
    }

    /// Why the steps done so far have led to a number that is not finite.
    fn diverged(&mut self) -> RunError {
        let last = self.steps.saturating_sub(1);
        match self.trace.explain(&self.model, &mut self.engine, &mut self.batches, &self.feed, last) {
            Ok(found) => RunError::Diverged(Box::new(found)),
            Err(error) => error,
        }
    }

    /// Whether the batches of this epoch are done.
    fn epoch_done(&self) -> bool {
        self.batches.position().batch >= self.batches.per_epoch() as u64
    }

    /// Loss and measures over rows, weighted by the rows of each chunk.
    pub fn evaluate(&mut self, rows: &[usize]) -> Result<Metrics, RunError> {
        let names: Vec<String> =
            std::iter::once("loss".to_owned()).chain(self.train.measures.iter().map(|m| m.name.clone())).collect();
        let machine = &self.engine.evaluate.machine;
        let outputs: Vec<OutputId> = names.iter().filter_map(|n| machine.output(n)).collect();
        let feed = Feed::new(&self.dataset, &self.engine.evaluate)?;
        let mut means = Means::new(names);
        for chunk in rows.chunks(self.engine.evaluate.rows() as usize) {
            feed.fill(&mut self.engine.evaluate.machine, chunk)?;
            self.engine.evaluate.run(&mut self.engine.memory, chunk.len() as u64)?;
            means.add(outputs.iter().map(|o| self.engine.evaluate.machine.report(*o)), chunk.len());
        }
        Ok(means.means())
    }
}

/// Whether more of a measure is better: it is the value of a `metric`, not of a loss or a formula.
fn grows(program: &Program, measure: &Measure) -> bool {
    match &measure.value.kind {
        ExprKind::Call(call) => program.definition(call.def).kind == Kind::Metric,
        _ => false,
    }
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

/// A copy of every tensor that outlives a step.
pub(super) fn copy(memory: &Memory) -> Vec<(String, Tensor)> {
    let tensors = memory.ids().map(|id| {
        let name = memory.name(id).to_owned();
        let value = memory.view(id).to_tensor(memory.dims(id).to_vec());
        (name, value)
    });
    tensors.collect()
}

/// Puts a copy back.
pub(super) fn restore(memory: &mut Memory, copy: &[(String, Tensor)]) -> Result<(), RuntimeError> {
    copy.iter().try_for_each(|(name, tensor)| memory.write(name, tensor))
}

/// Runs a program from its first step to its last.
pub fn run(
    program: &Program,
    tables: &BTreeMap<String, Table>,
    request: &Request,
    reporter: &mut Reporter,
) -> Result<(), RunError> {
    let mut session = Session::new(program, tables, &request.settings, &request.init)?;
    let train = session.train;
    let (epochs, steps) = match train.duration {
        Length::Epochs(n) => (Some(n), None),
        Length::Steps(n) => (None, Some(n)),
    };
    let most = match (steps, request.max_steps) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    reporter.report(&Event::Start(start(&session, request, epochs)))?;
    let began = Instant::now();
    let mut first_step_ms = None;
    let mut patience = train.stop.as_ref().map(|s| Patience::new(s.patience));
    let mut best: Option<Vec<(String, Tensor)>> = None;
    let mut reason = StopReason::Finished;
    let mut epoch = 0;
    let done =
        |session: &Session, epoch: u64| epochs.is_some_and(|n| epoch >= n) || most.is_some_and(|n| session.steps >= n);
    while !done(&session, epoch) {
        let mut means = Means::new(["loss".to_owned()]);
        loop {
            let (loss, rows) = session.step()?;
            first_step_ms.get_or_insert_with(|| request.clock.elapsed_ms());
            means.add([loss], rows);
            reporter.step(session.steps);
            if session.epoch_done() || most.is_some_and(|n| session.steps >= n) {
                break;
            }
        }
        epoch += 1;
        session.check_finite()?;
        let watched = match &train.stop {
            Some(stop) => {
                let rows = session.dataset.rows(stop.rows);
                Some(session.evaluate(&rows)?)
            }
            None => None,
        };
        let seconds = began.elapsed().as_secs_f64();
        let verdict = match (&train.stop, &watched, &mut patience) {
            (Some(stop), Some(metrics), Some(patience)) => {
                let value = |name: &str| metrics.get(name).copied().unwrap_or(f64::NAN);
                let falling = match stop.metric {
                    StopMetric::Loss => value("loss"),
                    StopMetric::Measure(k) if grows(program, &train.measures[k]) => -value(&train.measures[k].name),
                    StopMetric::Measure(k) => value(&train.measures[k].name),
                };
                Some(patience.observe(epoch, falling))
            }
            _ => None,
        };
        reporter.report(&Event::Epoch {
            epoch,
            steps: session.steps,
            seconds,
            train: means.means(),
            valid: watched,
        })?;
        match verdict {
            Some(Verdict::Improved) => best = Some(copy(&session.engine.memory)),
            Some(Verdict::Stop) => {
                reason = StopReason::NoImprovement;
                break;
            }
            _ => {}
        }
    }
    let best_epoch = patience.as_ref().and_then(Patience::best_epoch).filter(|b| *b != epoch);
    if let Some(best) = &best {
        restore(&mut session.engine.memory, best)?;
    }
    reporter.report(&Event::Stop { reason, epoch, best_epoch })?;
    let mut metrics = Vec::new();
    for (name, rows) in session.dataset.parts.clone() {
        metrics.push((name, session.evaluate(&rows)?));
    }
    reporter.report(&Event::Done {
        epochs: epoch,
        steps: session.steps,
        seconds: began.elapsed().as_secs_f64(),
        first_step_ms,
        peak_rss_mb: peak_rss_mb(),
        metrics: Named(metrics),
    })?;
    Ok(())
}

fn start(session: &Session, request: &Request, epochs: Option<u64>) -> Start {
    Start {
        file: request.file.clone(),
        seed: request.settings.seed,
        dtype: if request.settings.dtype == crate::ir::DType::F64 { "f64" } else { "f32" },
        threads: request.settings.threads,
        parameters: session.parameters(),
        rows: Named(session.dataset.parts.iter().map(|(name, rows)| (name.clone(), rows.len() as u64)).collect()),
        batch: session.batches.size() as u64,
        epochs,
        steps_per_epoch: session.batches.per_epoch() as u64,
        compile_ms: session.engine.compile_time.as_secs_f64() * 1e3,
    }
}
