//! `dlc dump FILE --after STAGE`: what a stage makes of a file.

use super::failure::Failure;
use super::load::{load, load_trainable, parsed, read};
use super::options::{Compile, Dump, Phases, Source};
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
        "schedule" | "clif" | "asm" => machines(options),
        stage => {
            let graphs = graphs_after(&options.source, &options.phases, &options.compile, stage)?;
            let several = graphs.len() > 1;
            let texts = graphs.iter().map(|(phase, graph)| match phase.as_ref().filter(|_| several) {
                Some(phase) => format!("# phase {phase}\n{graph}"),
                None => graph.to_string(),
            });
            Ok(texts.collect())
        }
    }
}

/// The graph of each phase's step after a stage (`graph`, `gradient`, or a pass) with the phase's name.
pub fn graphs_after(
    source: &Source,
    phases: &Phases,
    compile: &Compile,
    stage: &str,
) -> Result<Vec<(Option<String>, Graph)>, Failure> {
    if !stages::graphs().any(|s| s == stage) {
        return Err(stages::unknown(stage));
    }
    let settings = settings(compile, 0)?;
    let (model, loaded) = stages::model(load_trainable(source, FloatType::of(settings.dtype))?, settings.dtype)?;
    let mut graphs = Vec::new();
    for (k, _) in stages::phases(&model, phases)? {
        let phase = &model.phases[k];
        match stages::after(&phase.step, &settings.off, stage) {
            Ok(graph) => graphs.push((phase.name.clone(), graph)),
            Err(error) => return Err(failure(error, loaded.files)),
        }
    }
    Ok(graphs)
}

fn machines(options: &Dump) -> Result<String, Failure> {
    let settings = settings(&options.compile, 0)?;
    let loaded = load_trainable(&options.source, FloatType::of(settings.dtype))?;
    let (model, loaded) = stages::model(loaded, settings.dtype)?;
    let mut text = String::new();
    for (k, heading) in stages::phases(&model, &options.phases)? {
        let program = training_batch(&loaded.program, k, &loaded.tables)
            .map_err(RunError::from)
            .and_then(|batch| Ok(schedule_of(&model.phases[k].step, batch, &settings)?));
        let program = match program {
            Ok(program) => program,
            Err(error) => return Err(failure(error, loaded.files)),
        };
        text += &heading;
        let (cpu, threads) = (settings.cpu, settings.threads);
        let how = codegen::Options { cpu, threads, text: options.after != "schedule", ..codegen::Options::default() };
        let compiled = codegen::compile(&program, &how).map_err(Failure::message)?;
        text += &match options.after.as_str() {
            "schedule" => format!("{program}\n{}", compiled.plan()),
            "clif" => compiled.clif().to_owned(),
            _ => compiled.asm().to_owned(),
        };
    }
    Ok(text)
}
