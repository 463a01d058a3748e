//! `dlc eval RUN`: loss and measures of a trained model, on the parts of its data or on a new file.

use super::failure::Failure;
use super::keep::{self, Trained};
use super::options::Eval;
use super::print;
use super::run::failure;
use crate::check::typed::Program;
use crate::data::FloatType;
use crate::train::{self, Named, table};
use serde_json::json;
use std::collections::BTreeMap;

pub fn execute(options: &Eval) -> Result<(), Failure> {
    let trained = match &options.data {
        Some(_) => keep::trained(&options.run, options.threads)?,
        None => keep::trained_with_data(&options.run, options.threads)?,
    };
    let Trained { loaded, settings, about, weights, folder } = trained;
    let (mut program, mut tables) = (loaded.program, loaded.tables);
    let phase = about.progress.phase;
    if let Some(file) = &options.data {
        let name = keep::training_data(&program, phase)?;
        let encoded =
            about.data.get(&name).ok_or_else(|| Failure::message(format!("no data set `{name}` is known")))?;
        let read = encoded.encoding.read(file, FloatType::of(settings.dtype)).map_err(|e| Failure::data(&e))?;
        keep::fits(&program, &name, &read)?;
        undivided(&mut program, &name);
        tables = BTreeMap::from([(name, read)]);
    }
    let whole = options.data.is_some();
    let mut metrics =
        train::measure(&program, &tables, &settings, phase, &weights, whole).map_err(|e| failure(e, loaded.files))?;
    if let (Some(file), [(name, _)]) = (&options.data, metrics.as_mut_slice()) {
        *name = file.display().to_string();
    }
    if let Some(part) = &options.part {
        let names: Vec<String> = metrics.iter().map(|(name, _)| name.clone()).collect();
        metrics.retain(|(name, _)| name == part);
        if metrics.is_empty() {
            let there = names.join(", ");
            return Err(Failure::message(format!("the data has no part `{part}`; there are {there}")));
        }
    }
    let metrics = Named(metrics);
    if options.json {
        return print(&format!("{}\n", json!({ "run": folder.path().display().to_string(), "metrics": metrics })));
    }
    print(&table(&metrics))
}

/// Takes all rows of a data set as one.
fn undivided(program: &mut Program, name: &str) {
    let Some(index) = program.data.iter().position(|d| d.name == name) else { return };
    let set = &mut program.data[index];
    set.parts.clear();
    set.stratified = None;
    set.standardized.clear();
    for phase in program.train.iter_mut().flat_map(|t| &mut t.phases) {
        if let Some(on) = phase.on.as_mut().filter(|on| on.data.0 as usize == index) {
            on.part = None;
        }
    }
}
