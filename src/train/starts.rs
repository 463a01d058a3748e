//! How a phase begins: the machines that compute what its tensors start from, and the memory they fill.
//!
//! Input: a model, its constants and, for a phase after another, the memory of that one. Output: the phase's memory, with a
//! place and a starting value for all that outlives a step. Invariant: run again with the same seed and the same tensors
//! before, they give the same values.

use super::build::{Batched, BuildError, Settings};
use super::constants;
use crate::elaborate::Model;
use crate::ir::Tensor;
use crate::runtime::{Memory, RuntimeError};

pub(super) enum Starts {
    /// Of the first phase: the starting values of the whole program include those of its optimizer.
    Program(Batched),
    /// Of a later phase.
    Optimizer {
        optimizer: Batched,
        /// The program's, of a phase that begins as if it were the first, and what they are computed in: it also has the state
        /// of the first phase's optimizer.
        apart: Option<Box<(Batched, Memory)>>,
    },
}

impl Starts {
    /// For a phase with these constants, after `before` and so many steps: with a memory in which all that outlives a phase
    /// has its place and its starting value.
    pub fn new(
        model: &Model,
        constants: &[(String, Tensor)],
        phase: usize,
        before: Option<(&Memory, u64)>,
        settings: &Settings,
    ) -> Result<(Starts, Memory), BuildError> {
        let mut memory = Memory::new();
        constants::place(constants, &mut memory)?;
        let mut starts = if phase == 0 && before.is_none() {
            Starts::Program(Batched::once(&model.init, settings, &mut memory)?)
        } else {
            let apart = match before {
                Some((before, _)) => {
                    reserve(model, before, &mut memory)?;
                    None
                }
                None => {
                    let mut carried = Memory::new();
                    constants::place(constants, &mut carried)?;
                    let program = Batched::once(&model.init, settings, &mut carried)?;
                    reserve(model, &carried, &mut memory)?;
                    Some(Box::new((program, carried)))
                }
            };
            let optimizer = Batched::once(&model.phases[phase].start, settings, &mut memory)?;
            Starts::Optimizer { optimizer, apart }
        };
        starts.run(model, before, settings.seed, &mut memory)?;
        Ok((starts, memory))
    }

    /// Gives all tensors of the phase their starting values.
    ///
    /// # Errors
    /// Besides those of running machines, [`RuntimeError::OtherMemory`] if the phase goes on from another and there is none.
    pub fn run(
        &mut self,
        model: &Model,
        before: Option<(&Memory, u64)>,
        seed: u64,
        memory: &mut Memory,
    ) -> Result<(), RuntimeError> {
        let begin = |program: &mut Batched, memory: &mut Memory| {
            program.set("seed", seed as i64)?;
            program.run(memory, 1)
        };
        match self {
            Starts::Program(program) => begin(program, memory),
            Starts::Optimizer { optimizer, apart } => {
                let (before, steps) = match (before, apart) {
                    (Some(before), _) => before,
                    (None, Some(apart)) => {
                        let (program, carried) = &mut **apart;
                        begin(program, carried)?;
                        (&*carried, 0)
                    }
                    (None, None) => return Err(RuntimeError::OtherMemory),
                };
                carry(model, before, memory)?;
                optimizer.set("step", steps as i64)?;
                begin(optimizer, memory)
            }
        }
    }
}

/// Makes room for what outlives phases.
fn reserve(model: &Model, from: &Memory, to: &mut Memory) -> Result<(), RuntimeError> {
    for tensor in model.parameters.iter().chain(&model.layer_state) {
        if let Some(id) = from.find(&tensor.path) {
            to.reserve(&tensor.path, from.dtype(id), from.dims(id))?;
        }
    }
    Ok(())
}

/// Copies what outlives phases from the memory of one to that of the next.
fn carry(model: &Model, from: &Memory, to: &mut Memory) -> Result<(), RuntimeError> {
    for tensor in model.parameters.iter().chain(&model.layer_state) {
        if let Some(value) = from.read(&tensor.path) {
            to.write(&tensor.path, &value)?;
        }
    }
    Ok(())
}
