//! Constants that are computed from whole columns, before training.
//!
//! Input: a model and the data. Output: a tensor for each constant; it is put into the memory of every machine, where nothing
//! changes it, and so into checkpoints. A trained model takes its constants from there, and needs no data for them.

use super::build::{Settings, compile_program, schedule_at};
use super::dataset::training_set;
use super::divergence::finite;
use super::run::RunError;
use super::state::Snapshot;
use crate::check::typed::Program;
use crate::data::Table;
use crate::elaborate::{Constants, Model};
use crate::ir::{Bindings, DType, Tensor};
use crate::runtime::{Machine, Memory, RuntimeError, Subnormals};
use crate::source::{Diagnostic, codes};
use std::collections::BTreeMap;

/// The constants of a program.
pub fn computed(
    program: &Program,
    model: &Model,
    tables: &BTreeMap<String, Table>,
    settings: &Settings,
) -> Result<Snapshot, RunError> {
    let constants = &model.constants;
    if constants.tensors.is_empty() {
        return Ok(Snapshot::new());
    }
    let columns: Vec<_> = program.computed.iter().flat_map(|def| &program.definition(*def).columns).collect();
    let mut rows = BTreeMap::new();
    for column in &columns {
        let dataset = training_set(program, column.rows, tables)?;
        rows.insert(column.input.as_str(), dataset.rows(column.rows));
    }
    let symbols = rows.iter().filter_map(|(input, rows)| Some((Constants::rows_of(input)?, rows.len() as u64)));
    let bindings: Bindings = symbols.collect();

    let compiled = compile_program(&schedule_at(&constants.graph, bindings.clone(), settings)?, settings)?;
    let mut memory = Memory::new();
    let mut machine = Machine::new(compiled, &mut memory)?.with_subnormals(Subnormals::Flush);
    let given: Vec<u64> = machine.compiled().interface().symbols.iter().map(|s| bindings[s]).collect();
    for column in columns {
        let Some(id) = machine.input(&column.input) else { continue };
        let Some(table) = tables.get(&program.data_set(column.rows.data).name) else { continue };
        let selected = table.select(&column.name)?;
        let all = &rows[column.input.as_str()];
        let all = all.first(all.len());
        match machine.input_dtype(id) {
            DType::F32 => table.gather::<f32>(&selected, &all, machine.input_mut(id)?)?,
            DType::F64 => table.gather::<f64>(&selected, &all, machine.input_mut(id)?)?,
            DType::I64 => table.gather::<i64>(&selected, &all, machine.input_mut(id)?)?,
            DType::I32 | DType::Bool => table.gather::<i32>(&selected, &all, machine.input_mut(id)?)?,
        }
    }
    machine.run(&mut memory, &given)?;
    let mut tensors = Snapshot::new();
    for constant in &constants.tensors {
        let name = &*constant.path;
        let tensor = machine.read(name).ok_or_else(|| RuntimeError::Unknown(name.to_owned()))?;
        if !finite(&tensor) {
            let message = format!("the constant `{name}` holds a number that is not finite");
            let error = Diagnostic::new(codes::NOT_FINITE, message).at(constant.span, "computed here");
            return Err(error
                .note("a class without rows has the frequency 0: its logarithm and inverse are infinite")
                .into());
        }
        tensors.push((name.to_owned(), tensor));
    }
    Ok(tensors)
}

/// The constants of a trained model, among its tensors.
pub fn kept(model: &Model, tensors: &[(String, Tensor)]) -> Result<Snapshot, RunError> {
    let constants = model.constants.tensors.iter().map(|c| {
        let found = tensors.iter().find(|(name, _)| **name == *c.path);
        found.cloned().ok_or_else(|| RunError::Init(format!("the checkpoint does not hold `{}`", c.path)))
    });
    constants.collect()
}

/// Puts constants into a memory.
pub fn place(constants: &[(String, Tensor)], memory: &mut Memory) -> Result<(), RuntimeError> {
    for (name, tensor) in constants {
        memory.reserve(name, tensor.dtype(), &tensor.dims)?;
        memory.write(name, tensor)?;
    }
    Ok(())
}
