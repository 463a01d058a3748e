//! How a phase begins: the machines that compute what its tensors start from, and the memory they fill.
//!
//! Invariant: run again with the same seed and the same tensors before, they give the same values.

use super::build::{Batched, BuildError, Settings};
use super::constants;
use crate::elaborate::Model;
use crate::ir::Tensor;
use crate::runtime::{Memory, RuntimeError};

pub(super) struct Starts {
    /// Of the whole program, and of the first phase's optimizer.
    init: Option<Batched>,
    /// Of this phase's optimizer.
    own: Option<Batched>,
    /// What `init` works on if the phase has a memory of its own.
    carried: Memory,
    /// The phase is the first, and `init` works on its memory.
    first: bool,
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
        // The starting values of the first phase include those of its optimizer.
        let first = phase == 0 && before.is_none();
        let (mut memory, mut carried) = (Memory::new(), Memory::new());
        constants::place(constants, &mut memory)?;
        constants::place(constants, &mut carried)?;
        let mut init = None;
        if before.is_none() {
            let memory = if first { &mut memory } else { &mut carried };
            init = Some(Batched::once(&model.init, settings, memory)?);
        }
        let mut own = None;
        if !first {
            reserve(model, before.map_or(&carried, |(memory, _)| memory), &mut memory)?;
            own = Some(Batched::once(&model.phases[phase].start, settings, &mut memory)?);
        }
        let mut starts = Starts { init, own, carried, first };
        starts.run(model, before, settings.seed, &mut memory)?;
        Ok((starts, memory))
    }

    /// Gives all tensors of the phase their starting values.
    pub fn run(
        &mut self,
        model: &Model,
        before: Option<(&Memory, u64)>,
        seed: u64,
        memory: &mut Memory,
    ) -> Result<(), RuntimeError> {
        let Starts { init, own, carried, first } = self;
        for machine in init.iter_mut().chain(&mut *own) {
            machine.set("seed", seed as i64)?;
        }
        if let Some(init) = init.as_mut().filter(|_| before.is_none()) {
            init.run(if *first { &mut *memory } else { carried }, 1)?;
        }
        if let Some(own) = own {
            let (before, steps) = before.unwrap_or((carried, 0));
            carry(model, before, memory)?;
            own.set("step", steps as i64)?;
            own.run(memory, 1)?;
        }
        Ok(())
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
