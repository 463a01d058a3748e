//! Applying a trained net to rows of data, and measuring on them what training measured.

use super::build::{Batched, Settings};
use super::dataset::{Dataset, Feed};
use super::division::Part;
use super::event::Named;
use super::metrics::Metrics;
use super::repetition::{mean_and_deviation, restore_known};
use super::run::RunError;
use super::session::{CHUNK, Session, Source};
use super::state::{Progress, Snapshot};
use crate::check::typed::{Program, Repetition};
use crate::data::Table;
use crate::elaborate::Prediction;
use crate::ir::{Data, Tensor};
use crate::runtime::{Memory, RuntimeError};
use std::collections::BTreeMap;

/// Applies a net to every row, with these parameters: a tensor whose first axis are the rows.
pub fn predict(
    program: &Program,
    prediction: &Prediction,
    weights: &[(String, Tensor)],
    table: &Table,
    settings: &Settings,
) -> Result<Tensor, RunError> {
    let rows = table.all_rows();
    let mut memory = Memory::new();
    let most = CHUNK.min(rows.len().max(1) as u64);
    let mut batched = Batched::new(&prediction.graph, most, settings, &mut memory)?;
    put(&mut memory, weights)?;
    let dataset = Dataset::whole("", table);
    let phases = program.train.as_ref().map_or(&[][..], |t| &t.phases);
    let Some(train) = phases.get(prediction.phase) else {
        return Err(RunError::Init("the program has no such phase".into()));
    };
    let feed = Feed::new(&dataset, &batched, train, false)?;
    let mut all: Option<Tensor> = None;
    for chunk in rows.chunks(most as usize) {
        feed.fill(&mut batched.machine, &chunk)?;
        batched.run(&mut memory, chunk.len() as u64)?;
        let part = batched.machine.read("prediction").ok_or(RuntimeError::Unknown("prediction".into()))?;
        match &mut all {
            Some(all) => append(all, part),
            None => all = Some(part),
        }
    }
    Ok(all.unwrap_or(Tensor { dims: vec![0], data: Data::F64(Vec::new()) }))
}

/// Gives every tensor of a memory its trained value.
fn put(memory: &mut Memory, weights: &[(String, Tensor)]) -> Result<(), RunError> {
    for id in memory.ids() {
        let name = memory.name(id).to_owned();
        match weights.iter().find(|(known, _)| *known == name) {
            Some((_, tensor)) => memory.write(&name, tensor)?,
            None => return Err(RunError::Init(format!("the checkpoint does not hold `{name}`"))),
        }
    }
    Ok(())
}

fn append(all: &mut Tensor, part: Tensor) {
    if let (Some(rows), Some(more)) = (all.dims.first_mut(), part.dims.first()) {
        *rows += more;
    }
    match (&mut all.data, part.data) {
        (Data::F32(all), Data::F32(part)) => all.extend(part),
        (Data::F64(all), Data::F64(part)) => all.extend(part),
        (Data::I32(all), Data::I32(part)) => all.extend(part),
        (Data::I64(all), Data::I64(part)) => all.extend(part),
        (Data::Bool(all), Data::Bool(part)) => all.extend(part),
        _ => unreachable!("this is a bug in dlc: one output of two types"),
    }
}

/// A model as a checkpoint has it.
#[derive(Clone, PartialEq, Debug)]
pub struct Trained {
    pub progress: Progress,
    /// Which of several runs of the program it is.
    pub part: Option<Part>,
    /// Parameters, layer state and averages by path.
    pub weights: Snapshot,
}

/// Loss and measures of models of a program, on every part of the training data, or on all rows of it instead: of one model,
/// or as its run would tell them of all folds or members, then with standard deviations.
pub fn measure(
    program: &Program,
    tables: &BTreeMap<String, Table>,
    settings: &Settings,
    models: &[Trained],
    whole: bool,
) -> Result<(Named<Metrics>, Option<Named<Metrics>>), RunError> {
    let Some(any) = models.first() else { return Ok((Named::default(), None)) };
    let phase = models.iter().map(|model| model.progress.phase).max().unwrap_or(0);
    let mut session = Session::start(Source::trained(program, tables, settings, &any.weights)?, phase, &[])?;
    let mut each = Vec::new();
    for model in models {
        if let (Some(part), false) = (model.part, whole) {
            session.begin_part(part, settings.seed, None, &[])?;
        }
        restore_known(&mut session.engine.memory, &model.weights)?;
        // What is measured may depend on how far training has come.
        session.progress = Progress { phase, ..model.progress.clone() };
        let rows = if whole { vec![(session.dataset.name.clone(), session.dataset.all())] } else { session.parts() };
        let mut metrics = Vec::new();
        for (name, rows) in &rows {
            metrics.push((name.clone(), session.evaluate(rows)?));
        }
        each.push((rows, metrics));
    }
    let Some((rows, first)) = each.first() else { return Ok((Named::default(), None)) };
    if each.len() == 1 {
        return Ok((Named(first.clone()), None));
    }
    let results: Vec<Vec<(String, Metrics)>> = each.iter().map(|(_, metrics)| metrics.clone()).collect();
    let (mut metrics, deviation) = mean_and_deviation(&results);
    if let Some(Part { repetition: Repetition::Ensemble { .. }, .. }) = models[0].part {
        let members: Vec<Snapshot> = models.iter().map(|model| model.weights.clone()).collect();
        metrics = Named(session.evaluate_members(rows, &members)?);
    }
    Ok((metrics, Some(deviation)))
}
