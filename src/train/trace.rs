//! Explaining a NaN or an infinity: since updates happen in place, the evidence is gone when it shows, so copies of what
//! steps start from are kept every so often and the steps since are run again, one by one, with checks.

use super::build::{Engine, bindings};
use super::dataset::Feed;
use super::divergence::{self, Culprit};
use super::run::{RunError, copy, restore};
use crate::data::{Batches, Position};
use crate::elaborate::Model;
use crate::ir::{DType, Data, Graph, Tensor};
use crate::optimize;
use crate::runtime::Memory;

/// Steps between copies.
const APART: u64 = 64;

/// A step whose result is not finite.
#[derive(Clone, PartialEq, Debug)]
pub struct Diverged {
    /// The first such step, from 0.
    pub step: u64,
    pub epoch: u64,
    /// What made the first number that is not finite, if evaluation step by step shows it too.
    pub culprit: Option<Culprit>,
}

/// The last copy.
pub struct Trace {
    step: u64,
    position: Position,
    tensors: Vec<(String, Tensor)>,
}

impl Trace {
    pub fn new(memory: &Memory) -> Trace {
        Trace { step: 0, position: Position::default(), tensors: copy(memory) }
    }

    /// Whether a copy is to be made before this step.
    pub fn due(&self, step: u64) -> bool {
        step.is_multiple_of(APART)
    }

    /// Copies what this step starts from, unless it is spoiled already.
    pub fn keep(&mut self, step: u64, position: Position, memory: &Memory) {
        let tensors = copy(memory);
        if tensors.iter().all(|(_, t)| divergence::finite(t)) {
            *self = Trace { step, position, tensors };
        }
    }

    /// Runs the steps since the copy again up to `last`, whose loss was not finite, and explains the first one that leaves
    /// anything that is not.
    pub(super) fn explain(
        &self,
        model: &Model,
        engine: &mut Engine,
        batches: &mut Batches,
        feed: &Feed,
        last: u64,
    ) -> Result<Diverged, RunError> {
        restore(&mut engine.memory, &self.tensors)?;
        batches.seek(self.position);
        let mut before = self.tensors.clone();
        for step in self.step..=last {
            let rows = batches.advance().to_vec();
            feed.fill(&mut engine.step.machine, &rows)?;
            engine.step.set("step", step as i64)?;
            engine.step.run(&mut engine.memory, rows.len() as u64)?;
            let after = copy(&engine.memory);
            let spoiled = !after.iter().all(|(_, t)| divergence::finite(t));
            if spoiled || step == last {
                let culprit = self.blame(model, engine, &before, rows.len() as u64)?;
                return Ok(Diverged { step, epoch: batches.position().epoch, culprit });
            }
            before = after;
        }
        Ok(Diverged { step: last, epoch: batches.position().epoch, culprit: None })
    }

    /// Evaluates the step's graph, differentiated but not optimized further, at the inputs of the step.
    fn blame(
        &self,
        model: &Model,
        engine: &mut Engine,
        before: &[(String, Tensor)],
        rows: u64,
    ) -> Result<Option<Culprit>, RunError> {
        let mut graph = Graph::default();
        let optional = optimize::passes().iter().filter(|p| !p.mandatory).map(|p| p.name.to_owned()).collect();
        let options = optimize::Options { off: optional, ..optimize::Options::default() };
        optimize::optimize(&model.step, &options, &mut |_, g| graph = g.clone())
            .map_err(super::build::BuildError::from)?;
        let mut inputs: Vec<(String, Tensor)> = before.to_vec();
        let names: Vec<(String, crate::ir::Type)> = graph
            .inputs()
            .filter_map(|id| match graph.op(id) {
                crate::ir::Op::Input(input) => Some((input.name.to_string(), input.ty.clone())),
                _ => None,
            })
            .collect();
        let bindings = bindings(rows);
        for (name, ty) in names {
            let Some(id) = engine.step.machine.input(&name) else { continue };
            let dims: Vec<usize> = ty.dims.iter().map(|d| d.eval(&bindings).unwrap_or(0) as usize).collect();
            let count: usize = dims.iter().product();
            let data = match ty.dtype {
                DType::F32 => Data::F32(engine.step.machine.input_mut::<f32>(id)?[..count].to_vec()),
                DType::F64 => Data::F64(engine.step.machine.input_mut::<f64>(id)?[..count].to_vec()),
                DType::I64 => Data::I64(engine.step.machine.input_mut::<i64>(id)?[..count].to_vec()),
                DType::I32 | DType::Bool => Data::I32(engine.step.machine.input_mut::<i32>(id)?[..count].to_vec()),
            };
            inputs.push((name, Tensor { dims, data }));
        }
        let find = |name: &str| inputs.iter().find(|(n, _)| n == name).map(|(_, t)| t.clone());
        Ok(divergence::culprit(&graph, &find, &bindings).unwrap_or(None))
    }
}
