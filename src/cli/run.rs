//! `dlc run FILE`: trains, and reports loss and measures on every part of the data.

use super::failure::Failure;
use super::load::{Loaded, load_trainable};
use super::options::{Compile, Run, Vectors};
use super::stages;
use crate::codegen::Cpu;
use crate::data::{FloatType, safetensors};
use crate::ir::{DType, Tensor};
use crate::runtime::memory::ProcessClock;
use crate::source::{Diagnostic, Files, codes};
use crate::train::{self, Diverged, Reporter, Request, RunError, Settings, divergence};
use std::path::Path;

pub fn execute(options: &Run, clock: &ProcessClock) -> Result<(), Failure> {
    let settings = settings(&options.compile, options.seed)?;
    let Loaded { files, program, tables, .. } = load_trainable(&options.source, FloatType::of(settings.dtype))?;
    let request = Request {
        file: options.source.file.display().to_string(),
        init: starting_tensors(options.init.as_deref(), settings.dtype)?,
        settings,
        max_steps: options.max_steps,
        clock,
    };
    let mut reporter = if options.json { Reporter::json() } else { Reporter::human() };
    train::run(&program, &tables, &request, &mut reporter).map_err(|e| failure(e, files))
}

/// The settings of a compilation.
pub fn settings(compile: &Compile, seed: u64) -> Result<Settings, Failure> {
    for name in &compile.off {
        stages::optional_pass(name)?;
    }
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Settings {
        dtype: compile.dtype.dtype(),
        threads: compile.threads.map_or_else(cores, usize::from),
        cpu: compile.cpu.map_or_else(Cpu::native, Vectors::cpu),
        seed,
        off: compile.off.iter().cloned().collect(),
    })
}

/// The tensors of a safetensors file, as a run of this float type holds them.
pub fn starting_tensors(path: Option<&Path>, dtype: DType) -> Result<Vec<(String, Tensor)>, Failure> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let read = safetensors::read(path, None).map_err(|e| Failure::data(&e))?;
    let tensors: Vec<(String, Tensor)> =
        read.tensors.into_iter().map(|(name, array)| (name, array.tensor(dtype))).collect();
    match tensors.iter().find(|(_, tensor)| !divergence::finite(tensor)) {
        Some((name, _)) => {
            let place = format!("{}: the tensor `{name}`", path.display());
            Err(Failure::message(format!("{place} holds NaN or an infinity, so training cannot start from it")))
        }
        None => Ok(tensors),
    }
}

/// A run's error with its place in the program, where it has one.
pub fn failure(error: RunError, files: Files) -> Failure {
    match error {
        RunError::Diagnostic(diagnostic) => Failure::Diagnostics(Box::new(files), vec![*diagnostic]),
        RunError::Diverged(diverged) => Failure::Diagnostics(Box::new(files), vec![blamed(&diverged)]),
        RunError::Data(error) => Failure::data(&error),
        RunError::Io(error) => error.into(),
        RunError::Build(error) => match error.diagnostic() {
            Some(diagnostic) => Failure::Diagnostics(Box::new(files), vec![diagnostic]),
            None => Failure::message(error),
        },
        other => Failure::message(other),
    }
}

fn blamed(diverged: &Diverged) -> Diagnostic {
    let message = format!("training diverged at step {} (epoch {})", diverged.step, diverged.epoch + 1);
    let mut diagnostic = Diagnostic::new(codes::DIVERGED, message);
    if let Some(culprit) = &diverged.culprit {
        if let Some(span) = culprit.origin.span {
            diagnostic =
                diagnostic.at(span, format!("the first value that is not finite arises here: {}", culprit.value));
        }
        let operands: Vec<String> = culprit.operands.iter().map(|v| number(*v)).collect();
        let of = if operands.is_empty() { String::new() } else { format!(" of {}", operands.join(" and ")) };
        let path =
            if culprit.origin.path.is_empty() { String::new() } else { format!(" in `{}`", culprit.origin.path) };
        diagnostic = diagnostic
            .note(format!("{}{of}{path} gave {}; it reached `{}`", culprit.primitive, culprit.value, culprit.output));
    }
    diagnostic
        .help("lower the learning rate, clip the gradient, or look at the values that go into the marked expression")
}

/// A number in as few digits as tell it apart, without rows of zeros.
fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && size.is_finite() && !(1e-4..1e7).contains(&size) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}
