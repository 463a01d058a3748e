//! Tensors of a part put together from its chunks, for metrics of all rows at once.
//!
//! Input: a report of a machine that runs on chunks. Output: an input of a machine that runs on the whole part.

use crate::ir::{Data, Tensor};
use crate::runtime::{Machine, RuntimeError};

/// The rows of a tensor, as far as chunks have given them.
pub struct Gathered {
    name: String,
    rows: Option<Data>,
}

impl Gathered {
    pub fn new(name: &str) -> Gathered {
        Gathered { name: name.to_string(), rows: None }
    }

    /// Takes the rows of the chunk that the machine has run on.
    pub fn take(&mut self, machine: &Machine) {
        let Some(Tensor { data, .. }) = machine.read(&self.name) else { return };
        match (&mut self.rows, data) {
            (Some(Data::F32(all)), Data::F32(more)) => all.extend(more),
            (Some(Data::F64(all)), Data::F64(more)) => all.extend(more),
            (Some(Data::I32(all)), Data::I32(more)) => all.extend(more),
            (Some(Data::I64(all)), Data::I64(more)) => all.extend(more),
            (rows, data) => *rows = Some(data),
        }
    }

    /// Gives all rows to a machine that reads them.
    pub fn give(&self, machine: &mut Machine) -> Result<(), RuntimeError> {
        let (Some(id), Some(rows)) = (machine.input(&self.name), &self.rows) else { return Ok(()) };
        match rows {
            Data::F32(rows) => machine.input_mut::<f32>(id)?[..rows.len()].copy_from_slice(rows),
            Data::F64(rows) => machine.input_mut::<f64>(id)?[..rows.len()].copy_from_slice(rows),
            Data::I32(rows) => machine.input_mut::<i32>(id)?[..rows.len()].copy_from_slice(rows),
            Data::I64(rows) => machine.input_mut::<i64>(id)?[..rows.len()].copy_from_slice(rows),
            // Truth values are not gathered.
            _ => {}
        }
        Ok(())
    }
}
