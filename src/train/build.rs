//! Graphs to machines: optimize, schedule, compile, and the memory they share.
//!
//! Input: a [`Model`] and how to compile it. Output: an [`Engine`] whose parameters and state hold their starting values.

use super::later::Later;
use super::model::shown;
use super::starts::Starts;
use super::state::Snapshot;
use super::stopping::Plateau;
use super::task::{Task, beside};
use crate::check::typed::{Counter, Train};
use crate::codegen::{self, CodegenError, Compiled, Cpu};
use crate::elaborate::Model;
use crate::ir::{Bindings, DType, Graph, Origin, SizeError};
use crate::optimize::{self, OptimizeError};
use crate::runtime::memory::available_bytes;
use crate::runtime::{InputId, Lent, Machine, Memory, RuntimeError, Subnormals};
use crate::schedule::{self, ScheduleError};
use crate::source::{Diagnostic, codes};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How to compile a program.
#[derive(Clone, Debug)]
pub struct Settings {
    pub dtype: DType,
    pub threads: usize,
    /// Which vectors code may use.
    pub cpu: Cpu,
    pub seed: u64,
    /// Optimization passes left out.
    pub off: BTreeSet<String>,
}

impl Settings {
    fn codegen(&self) -> codegen::Options {
        codegen::Options { cpu: self.cpu, threads: self.threads, ..codegen::Options::default() }
    }
}

/// Why there is no machine.
#[derive(Debug)]
pub enum BuildError {
    Optimize(OptimizeError),
    Schedule(ScheduleError),
    Codegen(CodegenError),
    Runtime(RuntimeError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Optimize(e) => write!(f, "{e}"),
            BuildError::Schedule(e) => write!(f, "{e}"),
            BuildError::Codegen(e) => write!(f, "{e}"),
            BuildError::Runtime(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for BuildError {}

impl BuildError {
    /// What is wrong with the program; `None` if it is not the program's fault.
    pub fn diagnostic(&self) -> Option<Diagnostic> {
        let placed = |diagnostic: Diagnostic, origin: &Origin, text: &str| match origin.span {
            Some(span) => diagnostic.at(span, text),
            None => diagnostic,
        };
        Some(match self {
            BuildError::Optimize(OptimizeError::NotDifferentiable(e)) => {
                let error = Diagnostic::new(codes::NOT_DIFFERENTIABLE, e.why.clone());
                placed(error, &e.origin, "a derivative is taken through this")
            }
            BuildError::Schedule(ScheduleError::Size { error: SizeError::Overflow, origin }) => {
                let error = Diagnostic::new(codes::TOO_MUCH_MEMORY, "this tensor has more elements than 64 bits count");
                placed(error, origin, "the size of this")
            }
            BuildError::Schedule(ScheduleError::Size { error, origin }) => {
                placed(Diagnostic::new(codes::UNKNOWN_SIZE, error.to_string()), origin, "the size of this")
            }
            BuildError::Schedule(ScheduleError::TooLarge { bytes, limit }) => {
                let needed = bytes.map_or("more than 64 bits address".to_owned(), |b| shown(b.into()));
                Diagnostic::new(codes::TOO_MUCH_MEMORY, format!("a step needs {needed} of memory"))
                    .note(format!("{} are available", shown((*limit).into())))
                    .help("take smaller batches, or make the sizes of the model smaller")
            }
            BuildError::Codegen(CodegenError::TooLarge(path)) => {
                Diagnostic::new(codes::TOO_MUCH_MEMORY, format!("a tensor of `{path}` has too many elements"))
                    .help("take smaller batches, or make the sizes of the model smaller")
            }
            BuildError::Runtime(RuntimeError::OutOfMemory(bytes)) => {
                let needed = shown((*bytes).into());
                Diagnostic::new(codes::TOO_MUCH_MEMORY, format!("the system does not give {needed} of memory"))
                    .help("take smaller batches, or make the sizes of the model smaller")
            }
            _ => return None,
        })
    }
}

impl From<OptimizeError> for BuildError {
    fn from(e: OptimizeError) -> BuildError {
        BuildError::Optimize(e)
    }
}

impl From<ScheduleError> for BuildError {
    fn from(e: ScheduleError) -> BuildError {
        BuildError::Schedule(e)
    }
}

impl From<CodegenError> for BuildError {
    fn from(e: CodegenError) -> BuildError {
        BuildError::Codegen(e)
    }
}

impl From<RuntimeError> for BuildError {
    fn from(e: RuntimeError) -> BuildError {
        BuildError::Runtime(e)
    }
}

/// The rows of a batch, at most or just now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    pub rows: u64,
    /// Of the second data set, if the step has one.
    pub beside: u64,
}

impl From<u64> for Sizes {
    fn from(rows: u64) -> Sizes {
        Sizes { rows, beside: 1 }
    }
}

/// The values of the symbols when a batch has so many rows.
pub fn bindings(sizes: Sizes) -> Bindings {
    Bindings::from([(Train::batch_symbol(), sizes.rows), (Train::beside_symbol(), sizes.beside)])
}

/// Optimizes and schedules a graph for batches of up to so many rows.
pub fn schedule_of(
    graph: &Graph,
    sizes: impl Into<Sizes>,
    settings: &Settings,
) -> Result<schedule::Program, BuildError> {
    schedule_at(graph, bindings(sizes.into()), settings)
}

/// Likewise, for symbols of up to these values.
pub(super) fn schedule_at(graph: &Graph, most: Bindings, settings: &Settings) -> Result<schedule::Program, BuildError> {
    let passes = optimize::Options { off: settings.off.clone(), ..optimize::Options::default() };
    let graph = optimize::optimize(graph, &passes, &mut |_, _| {})?;
    let mut plan = schedule::Options::new(most);
    if let Some(bytes) = available_bytes() {
        plan.memory_limit = bytes;
    }
    Ok(schedule::schedule(&graph, &plan)?)
}

/// Compiles a graph for batches of up to so many rows.
fn compile(graph: &Graph, sizes: Sizes, settings: &Settings) -> Result<Compiled, BuildError> {
    compile_program(&schedule_of(graph, sizes, settings)?, settings)
}

pub(super) fn compile_program(program: &schedule::Program, settings: &Settings) -> Result<Compiled, BuildError> {
    Ok(codegen::compile(program, &settings.codegen())?)
}

/// A machine for batches, with the inputs a run of it needs.
pub struct Batched {
    pub machine: Machine,
    /// Of the symbols that its graph mentions, whether each is the rows of the batch (or those beside).
    symbols: Vec<bool>,
    counters: Counters,
    most: Sizes,
    /// How many threads it may use.
    pub threads: usize,
}

/// The inputs that count, as far as the graph reads them.
struct Counters {
    global_step: Option<InputId>,
    step: Option<InputId>,
    epoch: Option<InputId>,
}

impl Batched {
    /// Compiles a graph for batches of up to so many rows.
    pub fn new(
        graph: &Graph,
        most: impl Into<Sizes>,
        settings: &Settings,
        memory: &mut Memory,
    ) -> Result<Batched, BuildError> {
        let most = most.into();
        Batched::of(compile(graph, most, settings)?, most, settings, memory)
    }

    /// As [`Batched::new`] for one row, of a graph that hardly ever runs: small kernels have wide code too, since that takes
    /// less time to make.
    pub fn once(graph: &Graph, settings: &Settings, memory: &mut Memory) -> Result<Batched, BuildError> {
        let program = schedule_of(graph, 1, settings)?;
        let options = codegen::Options { wide_from: 0, ..settings.codegen() };
        Batched::of(codegen::compile(&program, &options)?, 1.into(), settings, memory)
    }

    /// What `compile` made of a graph, as a machine.
    pub(super) fn of(
        compiled: Compiled,
        most: Sizes,
        settings: &Settings,
        memory: &mut Memory,
    ) -> Result<Batched, BuildError> {
        let machine = Machine::new(compiled, memory)?.with_subnormals(Subnormals::Flush);
        let rows = Train::batch_symbol();
        let symbols = machine.compiled().interface().symbols.iter().map(|s| *s == rows).collect();
        let counters = Counters {
            global_step: machine.input("step"),
            step: machine.input(&Counter::Step.input()),
            epoch: machine.input(&Counter::Epoch.input()),
        };
        let mut batched = Batched { symbols, counters, most, threads: settings.threads, machine };
        batched.set("seed", settings.seed as i64)?;
        batched.set("step", 0)?;
        Ok(batched)
    }

    /// The most rows a run can have.
    pub fn rows(&self) -> u64 {
        self.most.rows
    }

    /// Sets the seed or the step, if the graph reads it.
    pub fn set(&mut self, name: &str, value: i64) -> Result<(), RuntimeError> {
        match self.machine.input(name) {
            Some(id) => self.machine.set_integer(id, value),
            None => Ok(()),
        }
    }

    /// Sets the number of the step in the run, if the graph reads it.
    pub fn number(&mut self, global_step: u64) -> Result<(), RuntimeError> {
        self.put(self.counters.global_step, global_step)
    }

    /// Sets the numbers of the step and of the epoch within the phase, and the counts of `watch`, if the graph reads them.
    pub fn count(&mut self, step: u64, epoch: u64, watches: &[Plateau]) -> Result<(), RuntimeError> {
        for (k, watch) in watches.iter().enumerate() {
            self.set(&Counter::Watch(k as u32).input(), watch.count() as i64)?;
        }
        self.put(self.counters.step, step)?;
        self.put(self.counters.epoch, epoch)
    }

    fn put(&mut self, id: Option<InputId>, value: u64) -> Result<(), RuntimeError> {
        id.map_or(Ok(()), |id| self.machine.set_integer(id, value as i64))
    }

    /// Runs once over the first rows of the input buffers.
    pub fn run(&mut self, memory: &mut Memory, sizes: impl Into<Sizes>) -> Result<(), RuntimeError> {
        self.run_on(memory, sizes.into(), &[])
    }

    /// As [`Batched::run`], reading some inputs from where they are.
    pub fn run_on(&mut self, memory: &mut Memory, sizes: Sizes, lent: &[Lent]) -> Result<(), RuntimeError> {
        let (values, count) = self.values(sizes);
        self.machine.run_on(memory, &values[..count], lent)
    }

    /// As [`Batched::run_on`], with the ticks of each part of the machine added to `spent`.
    pub fn profile(
        &mut self,
        memory: &mut Memory,
        sizes: Sizes,
        lent: &[Lent],
        spent: &mut Vec<u64>,
    ) -> Result<(), RuntimeError> {
        let (values, count) = self.values(sizes);
        self.machine.profile(memory, &values[..count], lent, spent)
    }

    /// The values of the machine's symbols, and how many there are.
    fn values(&self, sizes: Sizes) -> ([u64; 2], usize) {
        let mut values = [0; 2];
        for (value, is_rows) in values.iter_mut().zip(&self.symbols) {
            *value = if *is_rows { sizes.rows } else { sizes.beside };
        }
        (values, self.symbols.len().min(2))
    }
}

/// Everything a phase computes with.
pub struct Engine {
    /// All parameters and layer states of the program, and what the phase's optimizer keeps.
    pub memory: Memory,
    pub step: Batched,
    evaluate: Later,
    /// `None` if no measure applies a metric.
    summary: Option<Later>,
    starts: Starts,
    /// How machines are made later; their draws follow its seed.
    settings: Settings,
    /// From the graphs to machines ready to run and starting values.
    pub compile_time: Duration,
}

impl Engine {
    /// Compiles a phase with these constants for training batches, and plans its evaluation in chunks, and of all rows of a
    /// part. Parameters and layer states have the values of `before`, or without it their starting values; the optimizer's
    /// state starts afresh, after so many steps of the phases before.
    pub fn new(
        model: &Arc<Model>,
        constants: &Arc<Snapshot>,
        phase: usize,
        before: Option<(&Memory, u64)>,
        [batch, chunk, all]: [Sizes; 3],
        settings: &Settings,
    ) -> Result<Engine, BuildError> {
        let start = Instant::now();
        // What another phase leaves cannot be handed to a helper.
        let started = before.is_none().then(|| {
            let (model, constants, settings) = (Arc::clone(model), Arc::clone(constants), settings.clone());
            Task::new(move || Starts::new(&model, &constants, phase, None, &settings))
        });
        let evaluation = {
            let (model, settings) = (Arc::clone(model), settings.clone());
            Task::new(move || {
                let graphs = &model.phases[phase];
                let summarized = !graphs.summary.outputs().is_empty();
                let summary = summarized.then(|| Later::plan(&graphs.summary, all, &settings)).transpose()?;
                Ok::<_, BuildError>((Later::plan(&graphs.evaluate, chunk, &settings)?, summary))
            })
        };
        let (first, second) = (started.as_ref().map(Task::help), evaluation.help());
        beside(move || {
            if let Some(first) = first {
                first();
            }
            second();
        });
        let step = compile(&model.phases[phase].step, batch, settings);
        let (starts, mut memory) = match started {
            Some(started) => started.take()?,
            None => Starts::new(model, constants, phase, before, settings)?,
        };
        let step = Batched::of(step?, batch, settings, &mut memory)?;
        let (evaluate, summary) = evaluation.take()?;
        for later in [&evaluate].into_iter().chain(&summary) {
            later.reserve(&mut memory)?;
        }
        let compile_time = start.elapsed();
        let settings = settings.clone();
        Ok(Engine { memory, step, evaluate, summary, starts, settings, compile_time })
    }

    /// The machine that evaluates a chunk of rows, and the memory it works on.
    pub fn evaluate(&mut self) -> Result<(&mut Batched, &mut Memory), BuildError> {
        Ok((self.evaluate.machine(&self.settings, &mut self.memory)?, &mut self.memory))
    }

    /// The machine of the measures that apply a metric, if there are any, and the memory it works on.
    pub fn summary(&mut self) -> Result<Option<(&mut Batched, &mut Memory)>, BuildError> {
        let Some(summary) = &mut self.summary else { return Ok(None) };
        Ok(Some((summary.machine(&self.settings, &mut self.memory)?, &mut self.memory)))
    }

    /// Gives parameters and state the values from which the phase begins, as in [`Engine::new`], with this seed from now on.
    pub fn begin(&mut self, model: &Model, before: Option<(&Memory, u64)>, seed: u64) -> Result<(), RuntimeError> {
        self.settings.seed = seed;
        let later = [&mut self.evaluate].into_iter().chain(&mut self.summary).filter_map(Later::made);
        for machine in [&mut self.step].into_iter().chain(later) {
            machine.set("seed", seed as i64)?;
        }
        self.starts.run(model, before, seed, &mut self.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_large_a_step_is_told_with_both_figures() {
        let error = BuildError::from(ScheduleError::TooLarge { bytes: Some(90_000_000_384), limit: 23_853_871_104 });
        let told = error.diagnostic().unwrap();
        assert_eq!((told.code, told.message.as_str()), (codes::TOO_MUCH_MEMORY, "a step needs 90.0 GB of memory"));
        assert_eq!(told.notes, ["23.9 GB are available"]);
        assert!(BuildError::from(ScheduleError::TooLarge { bytes: None, limit: 1 }).diagnostic().is_some());
    }
}
