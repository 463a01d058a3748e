//! The objective as a function of the parameters.

use super::Elaborator;
use crate::ir::primitive::{Gradient, Project, Tangent};
use crate::ir::{NodeId, OutputRole};
use crate::source::Diagnostic;
use std::collections::BTreeMap;

/// One evaluation of the objective within a step.
#[derive(Clone, Debug)]
pub(super) struct Evaluation {
    /// The trained parameters it was asked at.
    at: Vec<NodeId>,
    /// The same as targets of derivatives, if it has been differentiated.
    targets: Option<Vec<NodeId>>,
    gradient: Vec<NodeId>,
    pub loss: NodeId,
    /// Layer state after the step, by index.
    pub next_state: BTreeMap<usize, NodeId>,
}

impl<'p> Elaborator<'p> {
    /// The objective at the current point.
    pub(super) fn objective_here(&mut self) -> Result<NodeId, Diagnostic> {
        let train = self.train;
        let mut frame = self.train_frame();
        self.tensor(&mut frame, &train.minimize)
    }

    /// The objective with the trained parameters at `at`, and what it assigns to layer state.
    fn objective_at(&mut self, at: &[NodeId]) -> Result<(NodeId, BTreeMap<usize, NodeId>), Diagnostic> {
        let point = self.point.clone();
        let next_state = std::mem::take(&mut self.next_state);
        for (k, node) in self.instances.trained.clone().into_iter().zip(at) {
            self.point[k] = *node;
        }
        let loss = self.objective_here();
        self.point = point;
        Ok((loss?, std::mem::replace(&mut self.next_state, next_state)))
    }

    /// J(at).
    pub(super) fn evaluate(&mut self, at: &[NodeId]) -> Result<NodeId, Diagnostic> {
        if let Some(known) = self.evaluations.iter().find(|e| e.at == at) {
            return Ok(known.loss);
        }
        let (loss, next_state) = self.objective_at(at)?;
        self.evaluations.push(Evaluation { at: at.to_vec(), targets: None, gradient: Vec::new(), loss, next_state });
        Ok(loss)
    }

    /// J(at) and its gradient there.
    pub(super) fn evaluate_gradient(&mut self, at: &[NodeId]) -> Result<(NodeId, Vec<NodeId>), Diagnostic> {
        let known = self.evaluations.iter().find(|e| e.at == at && e.targets.is_some());
        if let Some(known) = known {
            return Ok((known.loss, known.gradient.clone()));
        }
        let targets: Vec<NodeId> = at.iter().map(|p| self.builder.tag(*p)).collect();
        let (loss, next_state) = self.objective_at(&targets)?;
        let gradient = self.gradients(loss, &targets);
        self.evaluations.push(Evaluation {
            at: at.to_vec(),
            targets: Some(targets),
            gradient: gradient.clone(),
            loss,
            next_state,
        });
        Ok((loss, gradient))
    }

    /// The Hessian at `at` times `along`: the derivative of the gradient along it.
    pub(super) fn evaluate_hvp(&mut self, at: &[NodeId], along: &[NodeId]) -> Result<Vec<NodeId>, Diagnostic> {
        let (_, gradient) = self.evaluate_gradient(at)?;
        let known = self.evaluations.iter().filter(|e| e.at == at).find_map(|e| e.targets.clone());
        let targets = known.expect("an evaluated gradient has targets");
        let products = gradient.iter().map(|g| {
            let operands: Vec<NodeId> = [*g].iter().chain(&targets).chain(along).copied().collect();
            self.builder.push(Tangent, &operands)
        });
        Ok(products.collect())
    }

    /// Requests ∂y/∂xᵢ for every target.
    pub(super) fn gradients(&mut self, y: NodeId, xs: &[NodeId]) -> Vec<NodeId> {
        let operands: Vec<NodeId> = std::iter::once(&y).chain(xs).copied().collect();
        let request = self.builder.push(Gradient, &operands);
        let results = xs.iter().enumerate().map(|(index, x)| {
            let ty = self.builder.ty(*x).clone();
            self.builder.push(Project { index, ty }, &[request])
        });
        results.collect()
    }

    /// Reports the loss and the gradient with respect to every trained parameter.
    pub(super) fn report_gradient(&mut self) -> Result<(), Diagnostic> {
        let trained = self.instances.trained.clone();
        let at: Vec<NodeId> = trained.iter().map(|k| self.point[*k]).collect();
        let (loss, gradient) = self.evaluate_gradient(&at)?;
        self.builder.output("loss", OutputRole::Report, loss);
        for (k, g) in trained.into_iter().zip(gradient) {
            let name = format!("grad {}", self.instances.parameters[k].path);
            self.builder.output(name, OutputRole::Report, g);
        }
        Ok(())
    }

    /// The evaluation whose loss is reported and whose layer state is kept: the one committed to, the one at θ, else the only one, else a further one
    /// at θ.
    pub(super) fn reported(&mut self, theta: &[NodeId]) -> Result<Evaluation, Diagnostic> {
        let theta = &self.committed.clone().unwrap_or_else(|| theta.to_vec())[..];
        let here = |list: &[Evaluation]| list.iter().find(|e| e.at == theta).cloned();
        if let Some(evaluation) = here(&self.evaluations) {
            return Ok(evaluation);
        }
        let first = self.evaluations.first().cloned();
        if let Some(only) = first.filter(|f| self.evaluations.iter().all(|e| e.at == f.at)) {
            return Ok(only);
        }
        self.evaluate(theta)?;
        Ok(here(&self.evaluations).expect("it was evaluated just now"))
    }
}
