//! The objective as a function of the parameters.

use super::Elaborator;
use crate::ir::primitive::{Gradient, Project, Tangent};
use crate::ir::{NodeId, OutputRole};
use crate::source::Diagnostic;
use std::collections::{BTreeMap, HashMap};

/// One evaluation of the objective within a step.
#[derive(Clone, Debug)]
pub(super) struct Evaluation {
    /// Whose objective.
    player: usize,
    /// Values of all that the player trains.
    at: Vec<NodeId>,
    /// The same as targets of derivatives, if it has been differentiated.
    targets: Option<Vec<NodeId>>,
    gradient: Vec<NodeId>,
    pub loss: NodeId,
    /// Layer state after the step, by index.
    pub next_state: BTreeMap<usize, NodeId>,
}

impl<'p> Elaborator<'p> {
    /// What the words for sets mean: the parameters that are trained, once that is known.
    pub(super) fn trained(&self) -> Option<&[usize]> {
        let all = Some(self.instances.trained.as_slice()).filter(|trained| !trained.is_empty());
        self.players.get(self.player).map(Vec::as_slice).or(all)
    }

    /// The objective of the current player at the current point, as what is minimized.
    pub(super) fn objective_here(&mut self) -> Result<NodeId, Diagnostic> {
        let player = &self.train.players[self.player];
        let mut frame = self.train_frame()?;
        let value = self.tensor(&mut frame, &player.objective)?;
        self.at(&frame, player.span);
        Ok(if player.maximize { self.builder.neg(value) } else { value })
    }

    /// Reports a loss of a player with the sign that the player gives it.
    pub(super) fn report_objective(&mut self, player: usize, loss: NodeId) {
        let player = &self.train.players[player];
        let value = if player.maximize { self.builder.neg(loss) } else { loss };
        self.builder.output(player.name.as_str(), OutputRole::Report, value);
    }

    /// Reports what each player optimizes.
    pub(super) fn report_objectives(&mut self) -> Result<(), Diagnostic> {
        for player in 0..self.players.len() {
            self.player = player;
            self.next_state.clear();
            let loss = self.objective_here()?;
            self.report_objective(player, loss);
        }
        Ok(())
    }

    /// The objective with the player's parameters at `at`, and what it assigns to layer state.
    fn objective_at(&mut self, at: &[NodeId]) -> Result<(NodeId, BTreeMap<usize, NodeId>), Diagnostic> {
        let point = self.point.clone();
        let next_state = std::mem::take(&mut self.next_state);
        for (k, node) in self.players[self.player].iter().zip(at) {
            self.point[*k] = *node;
        }
        let loss = self.objective_here();
        self.point = point;
        Ok((loss?, std::mem::replace(&mut self.next_state, next_state)))
    }

    /// A value for all that the player trains: what the rule gives for its own, and what `other` gives for the rest.
    pub(super) fn complete(&mut self, own: &[NodeId], other: impl Fn(&mut Self, NodeId) -> NodeId) -> Vec<NodeId> {
        let all = self.players[self.player].clone();
        let given: HashMap<usize, NodeId> = self.updated.iter().copied().zip(own.iter().copied()).collect();
        let value = |k: usize| match given.get(&k) {
            Some(node) => *node,
            None => {
                let here = self.point[k];
                other(self, here)
            }
        };
        all.into_iter().map(value).collect()
    }

    /// Those of the player's parameters that the rule updates.
    fn own(&self, all: &[NodeId]) -> Vec<NodeId> {
        let of: HashMap<usize, NodeId> = self.players[self.player].iter().copied().zip(all.iter().copied()).collect();
        self.updated.iter().filter_map(|k| of.get(k).copied()).collect()
    }

    /// J(at).
    pub(super) fn evaluate(&mut self, at: &[NodeId]) -> Result<NodeId, Diagnostic> {
        let at = self.complete(at, |_, here| here);
        if let Some(known) = self.evaluations.iter().find(|e| e.player == self.player && e.at == at) {
            return Ok(known.loss);
        }
        let (loss, next_state) = self.objective_at(&at)?;
        let player = self.player;
        self.evaluations.push(Evaluation { player, at, targets: None, gradient: Vec::new(), loss, next_state });
        Ok(loss)
    }

    /// J(at) and its gradient there.
    pub(super) fn evaluate_gradient(&mut self, at: &[NodeId]) -> Result<(NodeId, Vec<NodeId>), Diagnostic> {
        let at = self.complete(at, |_, here| here);
        let (loss, gradient) = self.gradient_at(at)?;
        Ok((loss, self.own(&gradient)))
    }

    /// J at a value of all that the player trains, and its whole gradient there.
    fn gradient_at(&mut self, at: Vec<NodeId>) -> Result<(NodeId, Vec<NodeId>), Diagnostic> {
        let player = self.player;
        let known = self.evaluations.iter().find(|e| e.player == player && e.at == at && e.targets.is_some());
        if let Some(known) = known {
            return Ok((known.loss, known.gradient.clone()));
        }
        let targets: Vec<NodeId> = at.iter().map(|p| self.builder.tag(*p)).collect();
        let (loss, next_state) = self.objective_at(&targets)?;
        let gradient = self.gradients(loss, &targets);
        let known = Evaluation { player, at, targets: Some(targets), gradient: gradient.clone(), loss, next_state };
        self.evaluations.push(known);
        Ok((loss, gradient))
    }

    /// The Hessian at `at` times `along`: the derivative of the gradient along it.
    pub(super) fn evaluate_hvp(&mut self, at: &[NodeId], along: &[NodeId]) -> Result<Vec<NodeId>, Diagnostic> {
        let at = self.complete(at, |_, here| here);
        let along = self.complete(along, |e, here| e.builder.full_like(here, 0.0));
        let (_, gradient) = self.gradient_at(at.clone())?;
        let known = self.evaluations.iter().filter(|e| e.player == self.player && e.at == at);
        let targets = known.filter_map(|e| e.targets.clone()).next().expect("an evaluated gradient has targets");
        let products: Vec<NodeId> = self
            .own(&gradient)
            .iter()
            .map(|g| {
                let operands: Vec<NodeId> = [*g].iter().chain(&targets).chain(&along).copied().collect();
                self.builder.push(Tangent, &operands)
            })
            .collect();
        Ok(products)
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

    /// Reports what each player optimizes and its gradient with respect to all that the player trains.
    pub(super) fn report_gradient(&mut self) -> Result<(), Diagnostic> {
        for (player, trained) in self.players.clone().into_iter().enumerate() {
            self.player = player;
            let at: Vec<NodeId> = trained.iter().map(|k| self.point[*k]).collect();
            let (loss, gradient) = self.gradient_at(at)?;
            self.report_objective(player, loss);
            let maximize = self.train.players[player].maximize;
            for (k, g) in trained.into_iter().zip(gradient) {
                let name = format!("grad {}", self.instances.parameters[k].path);
                let g = if maximize { self.builder.neg(g) } else { g };
                self.builder.output(name, OutputRole::Report, g);
            }
        }
        Ok(())
    }

    /// The evaluation of the current player whose loss is reported and whose layer state is kept: the one that its rule
    /// commits to, else the one at θ, else the only one, else a further one at θ.
    pub(super) fn reported(&mut self) -> Result<Evaluation, Diagnostic> {
        let player = self.player;
        let theta = match self.committed.remove(&player) {
            Some(point) => point,
            None => self.players[player].iter().map(|k| self.point[*k]).collect(),
        };
        let of_player =
            |list: &[Evaluation]| -> Vec<Evaluation> { list.iter().filter(|e| e.player == player).cloned().collect() };
        let known = of_player(&self.evaluations);
        if let Some(evaluation) = known.iter().find(|e| e.at == theta) {
            return Ok(evaluation.clone());
        }
        if let Some(only) = known.first().filter(|f| known.iter().all(|e| e.at == f.at)) {
            return Ok(only.clone());
        }
        let (loss, next_state) = self.objective_at(&theta)?;
        Ok(Evaluation { player, at: theta, targets: None, gradient: Vec::new(), loss, next_state })
    }
}
