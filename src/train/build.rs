//! Graphs to machines: optimize, schedule, compile, and the memory they share.
//!
//! Input: a [`Model`] and how to compile it. Output: an [`Engine`] whose parameters and state hold their starting values.

use super::model::shown;
use crate::codegen::{self, CodegenError, Compiled, Cpu};
use crate::elaborate::Model;
use crate::ir::{Bindings, DType, Graph, Op, Origin, Role, SizeError, Symbol};
use crate::optimize::{self, OptimizeError};
use crate::runtime::memory::available_bytes;
use crate::runtime::{Machine, Memory, RuntimeError, Subnormals};
use crate::schedule::{self, ScheduleError};
use crate::source::{Diagnostic, codes};
use std::collections::BTreeSet;
use std::fmt;
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

/// The values of the symbols when a batch has so many rows.
pub fn bindings(rows: u64) -> Bindings {
    Bindings::from([(crate::check::typed::Train::batch_symbol(), rows)])
}

/// Optimizes and schedules a graph for batches of up to `rows` rows.
pub fn schedule_of(graph: &Graph, rows: u64, settings: &Settings) -> Result<schedule::Program, BuildError> {
    let passes = optimize::Options { off: settings.off.clone(), ..optimize::Options::default() };
    let graph = optimize::optimize(graph, &passes, &mut |_, _| {})?;
    let mut plan = schedule::Options::new(bindings(rows));
    if let Some(bytes) = available_bytes() {
        plan.memory_limit = bytes;
    }
    Ok(schedule::schedule(&graph, &plan)?)
}

/// Compiles a graph for batches of up to `rows` rows.
fn compile(graph: &Graph, rows: u64, settings: &Settings) -> Result<Compiled, BuildError> {
    let program = schedule_of(graph, rows, settings)?;
    let options = codegen::Options { cpu: settings.cpu, threads: settings.threads, ..codegen::Options::default() };
    Ok(codegen::compile(&program, &options)?)
}

/// A machine for batches, with the inputs a run of it needs.
pub struct Batched {
    pub machine: Machine,
    /// The columns it reads, by input name.
    pub columns: Vec<String>,
    /// Whether its graph mentions the rows of the batch.
    symbols: Vec<Symbol>,
    rows: u64,
}

impl Batched {
    /// Compiles a graph for batches of up to `rows` rows.
    pub fn new(graph: &Graph, rows: u64, settings: &Settings, memory: &mut Memory) -> Result<Batched, BuildError> {
        Batched::of(compile(graph, rows, settings)?, graph, rows, settings, memory)
    }

    /// What `compile` made of the graph, as a machine.
    fn of(
        compiled: Compiled,
        graph: &Graph,
        rows: u64,
        settings: &Settings,
        memory: &mut Memory,
    ) -> Result<Batched, BuildError> {
        let machine = Machine::new(compiled, memory)?.with_subnormals(Subnormals::Flush);
        let columns = graph.inputs().filter_map(|id| match graph.op(id) {
            Op::Input(input) if input.role == Role::Data => Some(input.name.to_string()),
            _ => None,
        });
        let symbols = machine.compiled().interface().symbols.clone();
        let mut batched = Batched { columns: columns.collect(), symbols, rows, machine };
        batched.set("seed", settings.seed as i64)?;
        batched.set("step", 0)?;
        Ok(batched)
    }

    /// The most rows a run can have.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Sets the seed or the step, if the graph reads it.
    pub fn set(&mut self, name: &str, value: i64) -> Result<(), RuntimeError> {
        match self.machine.input(name) {
            Some(id) => self.machine.set_integer(id, value),
            None => Ok(()),
        }
    }

    /// Runs once over the first `rows` rows of the input buffers.
    pub fn run(&mut self, memory: &mut Memory, rows: u64) -> Result<(), RuntimeError> {
        let values = [rows];
        self.machine.run(memory, &values[..self.symbols.len()])
    }
}

/// Everything a run computes with.
pub struct Engine {
    pub memory: Memory,
    pub step: Batched,
    pub evaluate: Batched,
    /// From the graphs to machines ready to run.
    pub compile_time: Duration,
}

impl Engine {
    /// Compiles a model for training batches of `batch` rows and evaluation in chunks of `chunk`, and gives parameters
    /// and state their starting values.
    pub fn new(model: &Model, batch: u64, chunk: u64, settings: &Settings) -> Result<Engine, BuildError> {
        let start = Instant::now();
        // The step takes about as long to compile as the other two together.
        let (init, step, evaluate) = std::thread::scope(|scope| {
            let others = scope.spawn(|| (compile(&model.init, 1, settings), compile(&model.evaluate, chunk, settings)));
            let step = compile(&model.step, batch, settings);
            match others.join() {
                Ok((init, evaluate)) => (init, step, evaluate),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        });
        let mut memory = Memory::new();
        let mut init = Batched::of(init?, &model.init, 1, settings, &mut memory)?;
        let step = Batched::of(step?, &model.step, batch, settings, &mut memory)?;
        let evaluate = Batched::of(evaluate?, &model.evaluate, chunk, settings, &mut memory)?;
        let compile_time = start.elapsed();
        init.run(&mut memory, 1)?;
        Ok(Engine { memory, step, evaluate, compile_time })
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
