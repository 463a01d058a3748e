//! Machines for what comes after the first steps: evaluation is planned when a phase begins, so that its errors are told
//! then, and compiled when it is first asked for.
//!
//! Input: a graph. Output: its machine, the same one whenever it is asked for. Invariant: a phase has all its tensors before
//! its first step, since a checkpoint is the whole memory: what a machine keeps there has its place ([`Later::reserve`])
//! before the machine is made.

use super::build::{Batched, BuildError, Settings, Sizes, compile_program, schedule_of};
use crate::codegen;
use crate::ir::Graph;
use crate::runtime::{Machine, Memory};
use crate::schedule::Program;

pub(super) struct Later {
    program: Program,
    most: Sizes,
    machine: Option<Batched>,
}

impl Later {
    /// Plans a graph for batches of up to so many rows.
    ///
    /// # Errors
    /// Those of making the machine, except that the system has no memory to give then.
    pub fn plan(graph: &Graph, most: Sizes, settings: &Settings) -> Result<Later, BuildError> {
        let program = schedule_of(graph, most, settings)?;
        codegen::check(&program)?;
        Ok(Later { program, most, machine: None })
    }

    /// Makes room for parameters and state, as the machine itself would.
    pub fn reserve(&self, memory: &mut Memory) -> Result<(), BuildError> {
        Ok(Machine::reserve(&self.program.buffers, &self.program.capacity, memory)?)
    }

    /// The machine, which is made now if it was not yet.
    pub fn machine(&mut self, settings: &Settings, memory: &mut Memory) -> Result<&mut Batched, BuildError> {
        let machine = match self.machine.take() {
            Some(machine) => machine,
            None => Batched::of(compile_program(&self.program, settings)?, self.most, settings, memory)?,
        };
        Ok(self.machine.insert(machine))
    }

    /// The machine, if there is one.
    pub fn made(&mut self) -> Option<&mut Batched> {
        self.machine.as_mut()
    }
}
