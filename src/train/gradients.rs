//! The gradient check of a phase: its compiled objective in f64 against its compiled gradient.

use super::build::{Batched, Settings, Sizes};
use super::constants;
use super::dataset::{Feed, second_set, training_set};
use super::gradient_check::{self, Options, Parameter, Report};
use super::run::RunError;
use crate::check::typed::Program;
use crate::data::Table;
use crate::elaborate::{Model, Player};
use crate::ir::{Data, Tensor};
use crate::runtime::{Memory, RuntimeError};
use std::collections::BTreeMap;

/// Rows of the batch that the objective is checked on: few, since it is evaluated many times.
const ROWS: usize = 8;

/// Compares derivatives with differences at the starting values, on the first rows of the training data.
pub fn check_gradients(
    program: &Program,
    tables: &BTreeMap<String, Table>,
    model: &Model,
    phase: usize,
    settings: &Settings,
    options: &Options,
) -> Result<Report, RunError> {
    let train = program.train.as_ref().and_then(|t| t.phases.get(phase));
    let train = train.ok_or_else(|| RunError::Init("the program has no such phase".into()))?;
    let graphs = &model.phases[phase];
    let dataset = training_set(program, train.on, tables)?;
    let rows = dataset.rows(train.on).first(ROWS);
    let mut count = Sizes::from(rows.len() as u64);
    let second = second_set(program, train, tables)?.map(|(dataset, rows, _)| {
        let rows = rows.first(ROWS);
        count.beside = rows.len() as u64;
        (dataset, rows)
    });

    let mut memory = Memory::new();
    constants::place(&constants::computed(program, model, tables, settings)?, &mut memory)?;
    let mut init = Batched::new(&model.init, 1, settings, &mut memory)?;
    let mut objective = Batched::new(&graphs.objective, count, settings, &mut memory)?;
    let mut gradient = Batched::new(&graphs.gradient, count, settings, &mut memory)?;
    init.run(&mut memory, 1)?;
    for batched in [&mut objective, &mut gradient] {
        Feed::new(&dataset, batched, train, false)?.fill(&mut batched.machine, &rows)?;
        if let Some((dataset, rows)) = &second {
            Feed::new(dataset, batched, train, true)?.fill(&mut batched.machine, rows)?;
        }
    }
    gradient.run(&mut memory, count)?;
    let mut report: Option<Report> = None;
    for player in &graphs.players {
        let found = of_player(model, player, &mut objective, &gradient, &mut memory, count, options)?;
        match &mut report {
            Some(report) => report.merge(found),
            None => report = Some(found),
        }
    }
    report.ok_or_else(|| RunError::Init("the phase minimizes nothing".into()))
}

/// The derivatives of what one player optimizes by what the player trains.
fn of_player(
    model: &Model,
    player: &Player,
    objective: &mut Batched,
    gradient: &Batched,
    memory: &mut Memory,
    count: Sizes,
    options: &Options,
) -> Result<Report, RunError> {
    let parameters: Vec<Parameter> = player
        .trained
        .iter()
        .map(|k| &model.parameters[*k])
        .map(|p| Parameter {
            name: p.path.to_string(),
            dims: p.ty.dims.iter().map(|d| d.as_constant().unwrap_or(0) as usize).collect(),
        })
        .collect();
    let point: Vec<Vec<f64>> =
        parameters.iter().map(|p| memory.read(&p.name).map(|t| t.to_f64()).unwrap_or_default()).collect();
    let loss = objective.machine.output(&player.name).ok_or(RuntimeError::Unknown(player.name.clone()))?;
    let analytic: Vec<Vec<f64>> = parameters
        .iter()
        .map(|p| gradient.machine.read(&format!("grad {}", p.name)).map(|t| t.to_f64()).unwrap_or_default())
        .collect();
    // The first failure ends the check with its error; the differences taken after it are not used.
    let mut failed: Option<RuntimeError> = None;
    let report = gradient_check::check(
        &parameters,
        &point,
        |at| {
            let written = parameters.iter().zip(at).try_for_each(|(p, values)| {
                memory.write(&p.name, &Tensor { dims: p.dims.clone(), data: Data::F64(values.clone()) })
            });
            match written.and_then(|()| objective.run(memory, count)) {
                Ok(()) => objective.machine.report(loss),
                Err(error) => {
                    failed.get_or_insert(error);
                    f64::NAN
                }
            }
        },
        |_| analytic,
        options,
    );
    // What other players see is where they all began.
    for (p, values) in parameters.iter().zip(&point) {
        memory.write(&p.name, &Tensor { dims: p.dims.clone(), data: Data::F64(values.clone()) })?;
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(report),
    }
}
