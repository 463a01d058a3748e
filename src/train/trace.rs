//! Explaining a NaN or an infinity: since updates happen in place, the evidence is gone when it shows, so copies of what
//! steps start from are kept every so often and the steps since are run again, one by one, with checks.

use super::build::{Engine, Sizes, bindings};
use super::divergence::{self, Culprit};
use super::run::RunError;
use super::session::Session;
use super::state::{Progress, copy, restore};
use crate::data::Position;
use crate::ir::{DType, Data, Graph, Tensor};
use crate::optimize;
use crate::runtime::{Memory, RuntimeError};

/// Steps between copies.
const APART: u64 = 64;

/// A step whose result is not finite.
#[derive(Clone, PartialEq, Debug)]
pub struct Diverged {
    /// The name of its phase, if that has one.
    pub phase: Option<String>,
    /// The first such step of the phase, from 0.
    pub step: u64,
    /// `None` without data.
    pub epoch: Option<u64>,
    /// What made the first number that is not finite, if evaluation step by step shows it too.
    pub culprit: Option<Culprit>,
}

/// The epoch of the step that was run last.
fn epoch(session: &Session) -> Option<u64> {
    (!session.dataset.is_none()).then(|| session.batches.position().epoch)
}

/// What steps can be run again from.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Base {
    #[default]
    Nothing,
    /// The starting values, which can be computed again.
    Start,
    Copy,
}

/// What the steps since the last copy began from, and where the run stood.
#[derive(Default)]
pub struct Trace {
    step: u64,
    global_step: u64,
    position: Position,
    from: Base,
    kept: Memory,
}

impl Trace {
    /// What is kept explains nothing from here on: the next step is to start with a copy.
    pub fn forget(&mut self) {
        self.from = Base::Nothing;
    }

    /// The next step starts from what [`Session::compute_start`] computes, so that no copy is needed.
    pub fn starts(&mut self, progress: &Progress) {
        self.stand(progress);
        self.from = Base::Start;
    }

    fn stand(&mut self, progress: &Progress) {
        (self.step, self.global_step, self.position) = (progress.step, progress.global_step, progress.position);
    }

    /// Whether a copy is to be made before this step.
    pub fn due(&self, step: u64) -> bool {
        match self.from {
            Base::Nothing => true,
            Base::Start => step > self.step && step.is_multiple_of(APART),
            Base::Copy => step.is_multiple_of(APART),
        }
    }

    /// Copies what the next step starts from, unless it is spoiled already and there is an older copy.
    pub fn keep(&mut self, progress: &Progress, memory: &Memory) -> Result<(), RuntimeError> {
        if self.from != Base::Nothing && !memory.ids().all(|id| divergence::all_finite(memory.view(id))) {
            return Ok(());
        }
        self.kept.copy_from(memory)?;
        self.stand(progress);
        self.from = Base::Copy;
        Ok(())
    }

    /// Runs the steps since the copy again up to the last, whose loss was not finite, and explains the first one that leaves
    /// anything that is not.
    pub(super) fn explain(&self, session: &mut Session) -> Result<Diverged, RunError> {
        let last = session.progress.step.saturating_sub(1);
        let mut before = match self.from {
            Base::Nothing => {
                let phase = session.phase().name.clone();
                return Ok(Diverged { phase, step: last, epoch: epoch(session), culprit: None });
            }
            Base::Start => {
                session.compute_start()?;
                copy(&session.engine.memory)
            }
            Base::Copy => {
                let kept = copy(&self.kept);
                restore(&mut session.engine.memory, &kept)?;
                kept
            }
        };
        session.batches.seek(self.position);
        for step in self.step..=last {
            let global_step = self.global_step + (step - self.step);
            let rows = session.repeat_step(step, global_step)?;
            let after = copy(&session.engine.memory);
            let spoiled = !after.iter().all(|(_, t)| divergence::finite(t));
            if spoiled || step == last {
                let phase = session.phase().name.clone();
                let step_graph = session.phase().step.clone();
                let culprit = self.blame(&step_graph, &mut session.engine, &before, rows)?;
                return Ok(Diverged { phase, step, epoch: epoch(session), culprit });
            }
            before = after;
        }
        let phase = session.phase().name.clone();
        Ok(Diverged { phase, step: last, epoch: epoch(session), culprit: None })
    }

    /// Evaluates the step's graph, differentiated but not optimized further, at the inputs of the step.
    fn blame(
        &self,
        step: &Graph,
        engine: &mut Engine,
        before: &[(String, Tensor)],
        rows: Sizes,
    ) -> Result<Option<Culprit>, RunError> {
        let mut graph = Graph::default();
        let optional = optimize::passes().iter().filter(|p| !p.mandatory).map(|p| p.name.to_owned()).collect();
        let options = optimize::Options { off: optional, ..optimize::Options::default() };
        optimize::optimize(step, &options, &mut |_, g| graph = g.clone()).map_err(super::build::BuildError::from)?;
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
