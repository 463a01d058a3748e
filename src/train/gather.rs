//! Tensors of a part put together from its chunks, for metrics of all rows at once.
//!
//! Input: a report of a machine that runs on chunks. Output: an input of a machine that runs on the whole part.

use super::metrics::Metrics;
use crate::elaborate::MEMBERS;
use crate::ir::{Data, Tensor};
use crate::runtime::{Machine, RuntimeError};

/// What has been gathered of each member, as one: the rows of its members one after the other, and the means of the last.
pub fn stacked(members: Vec<(Metrics, Vec<Gathered>)>) -> Option<(Metrics, Vec<Gathered>)> {
    members.into_iter().reduce(|(_, mut all), (means, more)| {
        for (known, more) in all.iter_mut().zip(more) {
            if known.name.starts_with(MEMBERS) {
                known.extend(more.rows);
            }
        }
        (means, all)
    })
}

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
        self.extend(Some(data));
    }

    fn extend(&mut self, more: Option<Data>) {
        let Some(data) = more else { return };
        match (&mut self.rows, data) {
            (Some(Data::F32(all)), Data::F32(more)) => all.extend(more),
            (Some(Data::F64(all)), Data::F64(more)) => all.extend(more),
            (Some(Data::I32(all)), Data::I32(more)) => all.extend(more),
            (Some(Data::I64(all)), Data::I64(more)) => all.extend(more),
            (rows, data) => *rows = Some(data),
        }
    }

    /// Gives all rows to a machine that reads them; where it reads those of members of an ensemble side by side, so many times.
    pub fn give(&self, machine: &mut Machine, members: usize) -> Result<(), RuntimeError> {
        fn put<T: Copy>(to: &mut [T], rows: &[T], times: usize) {
            for k in 0..times {
                to[k * rows.len()..(k + 1) * rows.len()].copy_from_slice(rows);
            }
        }
        let (Some(id), Some(rows)) = (machine.input(&self.name), &self.rows) else { return Ok(()) };
        let times = if self.name.starts_with(MEMBERS) { members } else { 1 };
        match rows {
            Data::F32(rows) => put(machine.input_mut::<f32>(id)?, rows, times),
            Data::F64(rows) => put(machine.input_mut::<f64>(id)?, rows, times),
            Data::I32(rows) => put(machine.input_mut::<i32>(id)?, rows, times),
            Data::I64(rows) => put(machine.input_mut::<i64>(id)?, rows, times),
            // Truth values are not gathered.
            _ => {}
        }
        Ok(())
    }
}
