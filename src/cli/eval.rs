//! `dlc eval RUN`: loss and measures of a trained model, on the parts of its data or on a new file.

use super::failure::Failure;
use super::keep::{self, Trained};
use super::options::Eval;
use super::print;
use super::run::failure;
use crate::check::typed::Program;
use crate::data::FloatType;
use crate::train::{self, table};
use serde_json::json;
use std::collections::BTreeMap;

pub fn execute(options: &Eval) -> Result<(), Failure> {
    let trained = match &options.data {
        Some(_) => keep::trained(&options.run, options.threads)?,
        None => keep::trained_with_data(&options.run, options.threads)?,
    };
    let Trained { loaded, settings, models, data, folder } = trained;
    let (mut program, mut tables) = (loaded.program, loaded.tables);
    if let Some(file) = &options.data {
        let name = keep::training_data(&program, models.first().map_or(0, |model| model.progress.phase))?;
        let encoded = data.get(&name).ok_or_else(|| Failure::message(format!("no data set `{name}` is known")))?;
        let read = encoded.encoding.read(file, FloatType::of(settings.dtype)).map_err(|e| Failure::data(&e))?;
        keep::fits(&program, &name, &read)?;
        undivided(&mut program, &name);
        tables = BTreeMap::from([(name, read)]);
    }
    let whole = options.data.is_some();
    let (mut metrics, mut deviation) =
        train::measure(&program, &tables, &settings, &models, whole).map_err(|e| failure(e, loaded.files))?;
    for found in deviation.iter_mut().chain([&mut metrics]) {
        if let (Some(file), [(name, _)]) = (&options.data, found.0.as_mut_slice()) {
            *name = file.display().to_string();
        }
        if let Some(part) = &options.part {
            let there: Vec<String> = found.0.iter().map(|(name, _)| name.clone()).collect();
            found.0.retain(|(name, _)| name == part);
            if found.is_empty() {
                let there = there.join(", ");
                return Err(Failure::message(format!("the data has no part `{part}`; there are {there}")));
            }
        }
    }
    if options.json {
        let mut object = json!({ "run": folder.path().display().to_string(), "metrics": metrics });
        if let Some(deviation) = &deviation {
            object["deviation"] = json!(deviation);
        }
        return print(&format!("{object}\n"));
    }
    let spread = deviation.map_or(String::new(), |found| format!("standard deviation\n{}", table(&found)));
    print(&(table(&metrics) + &spread))
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
