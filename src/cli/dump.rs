//! `dlc dump FILE --after STAGE`: what a stage makes of a file.

use super::failure::Failure;
use super::load::{load, load_trainable, parsed, read};
use super::options::{Compile, Dump, Source};
use super::run::{failure, settings};
use super::{print, stages};
use crate::check;
use crate::codegen;
use crate::data::FloatType;
use crate::ir::Graph;
use crate::syntax::{dump, tokenize};
use crate::train::{RunError, schedule_of, training_batch};

pub fn execute(options: &Dump) -> Result<(), Failure> {
    print(&text(options)?)
}

fn text(options: &Dump) -> Result<String, Failure> {
    match options.after.as_str() {
        "tokens" => {
            let (files, file) = read(&options.source.file)?;
            let (tokens, errors) = tokenize(file, files.text(file));
            if errors.is_empty() {
                Ok(dump::dump_tokens(&files, &tokens))
            } else {
                Err(Failure::Diagnostics(Box::new(files), errors))
            }
        }
        "ast" => {
            let (files, _, tree) = parsed(&options.source.file)?;
            Ok(dump::dump_ast(&files, &tree))
        }
        "check" => {
            let loaded = load(&options.source, FloatType::of(options.compile.dtype.dtype()))?;
            let library = loaded.program.definitions.iter().take_while(|d| d.span.file != loaded.user).count();
            Ok(check::print::print(&loaded.program, library))
        }
        "schedule" | "clif" | "asm" => machine(&options.source, &options.compile, &options.after),
        stage => Ok(graph_after(&options.source, &options.compile, stage)?.to_string()),
    }
}

/// The step's graph after a stage: `graph`, `gradient`, or a pass.
pub fn graph_after(source: &Source, compile: &Compile, stage: &str) -> Result<Graph, Failure> {
    if !stages::graphs().any(|s| s == stage) {
        return Err(stages::unknown(stage));
    }
    let settings = settings(compile, 0)?;
    let (model, loaded) = stages::model(load_trainable(source, FloatType::of(settings.dtype))?, settings.dtype)?;
    stages::after(&model.step, &settings.off, stage).map_err(|e| failure(e, loaded.files))
}

fn machine(source: &Source, compile: &Compile, stage: &str) -> Result<String, Failure> {
    let settings = settings(compile, 0)?;
    let loaded = load_trainable(source, FloatType::of(settings.dtype))?;
    let batch = training_batch(&loaded.program, &loaded.tables);
    let (model, loaded) = stages::model(loaded, settings.dtype)?;
    let program = batch
        .map_err(RunError::from)
        .and_then(|batch| Ok(schedule_of(&model.step, batch, &settings)?))
        .map_err(|e| failure(e, loaded.files))?;
    if stage == "schedule" {
        return Ok(program.to_string());
    }
    let options =
        codegen::Options { cpu: settings.cpu, threads: settings.threads, text: true, ..codegen::Options::default() };
    let compiled = codegen::compile(&program, &options).map_err(Failure::message)?;
    Ok(if stage == "clif" { compiled.clif() } else { compiled.asm() }.to_owned())
}
