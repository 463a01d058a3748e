//! `dlc run FILE`: trains, keeps the run in a folder, and reports loss and measures on every part of the data.

use super::failure::Failure;
use super::keep::{self, Kept};
use super::load::{Loaded, load_trainable};
use super::options::{Compile, Run, Source, Vectors};
use super::{search, stages};
use crate::codegen::Cpu;
use crate::data::{FloatType, safetensors};
use crate::ir::{DType, Tensor};
use crate::runtime::memory::ProcessClock;
use crate::source::{Diagnostic, Files, codes};
use crate::train::record::{Folder, Keeper, Keeping, Stood};
use crate::train::{self, Diverged, Ended, Reporter, Request, RunError, Settings, divergence};
use clap::ValueEnum;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

pub fn execute(options: &Run, clock: &ProcessClock) -> Result<(), Failure> {
    if let Some(named) = &options.resume {
        return resume(options, clock, keep::resumed(options, named.as_deref())?);
    }
    let settings = settings(&options.compile, options.start.seed)?;
    let file = options.file.clone().unwrap_or_default();
    let source = Source { file, set: options.set.clone(), data: None };
    let loaded = load_trainable(&source, FloatType::of(settings.dtype))?;
    let init = starting_tensors(options.start.init.as_deref(), settings.dtype)?;
    let plan = keep::plan(options, &source, &loaded, &settings)?;
    if loaded.program.search.is_some() {
        return search::begin(options, clock, search::Asked { source, settings, loaded, init }, plan);
    }
    let keeping = plan.map_or(Keeping::Nothing, |plan| Keeping::New(Box::new(plan)));
    let file = source.file.display().to_string();
    train(options, clock, Job { file, settings, loaded, init, stood: Stood::default(), keeping })
}

fn resume(options: &Run, clock: &ProcessClock, kept: Kept) -> Result<(), Failure> {
    let init = keep::started_from(&kept)?;
    if kept.is_search() {
        let Kept { source, settings, loaded, folder, .. } = kept;
        return search::resume(options, clock, search::Asked { source, settings, loaded, init }, folder);
    }
    let (stood, keeping) = keep::standing(&kept, options)?;
    let Kept { source, settings, loaded, folder, .. } = kept;
    let runs = loaded.program.train.as_ref().and_then(|t| t.repetition).map_or(1, |r| r.count());
    // Of several runs, the last may have ended without that anything was told of all.
    if stood.finished(runs) && (runs == 1 || folder.summary().exists()) {
        note(&format!("the run {} has come to its end: there is nothing to go on with", folder.path().display()));
        return Ok(());
    }
    if stood.all().next().is_none() {
        note(&format!("the run {} ended before it was first saved: it begins again", folder.path().display()));
    }
    let file = source.file.display().to_string();
    train(options, clock, Job { file, settings, loaded, init, stood, keeping })
}

/// A run, from its first step or from where it stood.
struct Job {
    /// The program's file, as it is shown.
    file: String,
    settings: Settings,
    loaded: Loaded,
    init: Vec<(String, Tensor)>,
    stood: Stood,
    keeping: Keeping,
}

fn train(options: &Run, clock: &ProcessClock, job: Job) -> Result<(), Failure> {
    let Job { file, settings, loaded, init, stood, keeping } = job;
    let Loaded { files, program, tables, .. } = loaded;
    let request = Request { file, init, settings, max_steps: options.max_steps, clock, interrupted: interrupted() };
    let mut reporter = if options.json { Reporter::json() } else { Reporter::human() };
    let mut keeper = Keeper::new(keeping);
    let ended = train::run(&program, &tables, &request, stood, &mut keeper, &mut reporter);
    drop(reporter);
    let folder = keeper.folder().map(|folder| folder.path().display().to_string());
    match (ended.map_err(|e| failure(e, files))?, folder) {
        (Ended::Interrupted { steps, part }, folder) => {
            let of = part.map_or(String::new(), |part| format!(" of {}", part.shown()));
            let then = match folder {
                Some(folder) => format!("go on by: dlc run --resume {folder}"),
                None => "nothing was kept".to_owned(),
            };
            Err(Failure::Interrupted(format!("interrupted after {steps} steps{of}; {then}")))
        }
        (Ended::Finished, Some(folder)) if !options.json => {
            note(&format!("kept in {folder}"));
            Ok(())
        }
        (Ended::Finished, _) => Ok(()),
    }
}

/// Tells what is no result.
pub fn note(text: &str) {
    // Nowhere is left to say that stderr is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Set by the first Ctrl-C, which lets the step be finished; the second ends the process.
pub fn interrupted() -> &'static AtomicBool {
    static INTERRUPTED: AtomicBool = AtomicBool::new(false);
    // Without a handler Ctrl-C ends the process, as it does everywhere.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(super::INTERRUPTED.into());
        }
    });
    &INTERRUPTED
}

/// The settings of a compilation: from the command line, else from the environment.
pub fn settings(compile: &Compile, seed: u64) -> Result<Settings, Failure> {
    let cpu = match (compile.cpu, variable("DLC_CPU")) {
        (Some(vectors), _) => vectors.cpu(),
        (None, Some(name)) => {
            let vectors = Vectors::from_str(&name, true);
            vectors.map(Vectors::cpu).map_err(|_| in_environment("DLC_CPU", &unknown_vectors(&name)))?
        }
        (None, None) => Cpu::native(),
    };
    let off: BTreeSet<String> = match (&compile.off, variable("DLC_OFF")) {
        (Some(names), _) => {
            names.iter().try_for_each(|name| stages::optional_pass(name).map_err(Failure::message))?;
            names.iter().cloned().collect()
        }
        (None, Some(list)) => {
            let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
            let checked = names.map(|name| stages::optional_pass(name).map(|()| name.to_owned()));
            checked.collect::<Result<_, _>>().map_err(|why| in_environment("DLC_OFF", &why))?
        }
        (None, None) => BTreeSet::new(),
    };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = compile.threads.threads.map_or_else(cores, usize::from);
    Ok(Settings { dtype: compile.dtype.dtype(), threads, cpu, seed, off })
}

/// A variable of the environment, unless it is empty.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(|value| value.to_string_lossy().into_owned())
}

fn in_environment(variable: &str, why: &str) -> Failure {
    Failure::message(format!("the environment's {variable}: {why}"))
}

fn unknown_vectors(name: &str) -> String {
    let all: Vec<_> = Vectors::value_variants().iter().filter_map(|v| v.to_possible_value()).collect();
    let names: Vec<&str> = all.iter().map(|value| value.get_name()).collect();
    format!("there are no vectors `{name}`; there are {}", names.join(", "))
}

/// The tensors of a safetensors file, as a run of this float type holds them.
pub fn starting_tensors(path: Option<&Path>, dtype: DType) -> Result<Vec<(String, Tensor)>, Failure> {
    let Some(path) = path else { return Ok(Vec::new()) };
    if path.is_dir() {
        let message = format!("{} is a folder, and training starts from a file of tensors", path.display());
        let start = Folder::open(path).ok().and_then(|folder| folder.start());
        let help = start.map_or(String::new(), |file| format!("\nhelp: did you mean `{}`?", file.display()));
        return Err(Failure::message(message + &help));
    }
    let read = safetensors::read(path, None).map_err(|e| Failure::data(&e))?;
    // Before the names of what a checkpoint holds of other moments stands a slash.
    let now = read.tensors.into_iter().filter(|(name, _)| !name.contains('/'));
    let tensors: Vec<(String, Tensor)> = now.map(|(name, array)| (name, array.tensor(dtype))).collect();
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
    let phase = diverged.phase.as_ref().map_or(String::new(), |phase| format!(" of phase `{phase}`"));
    let epoch = diverged.epoch.map_or(String::new(), |epoch| format!(" (epoch {})", epoch + 1));
    let message = format!("training diverged at step {}{epoch}{phase}", diverged.step);
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
