//! The rules of a step: each applied once to the parameters that are its own, then constraints, then the average.
//!
//! Invariant: every rule reads the parameters and the state from before the step, whatever other rules make of them.

use super::frame::{Frame, Value, mix, site_of_path};
use super::{Elaborator, Purpose};
use crate::check::typed::{Definition, RuleCall, State, Statement};
use crate::ir::{NodeId, OutputRole, Role};
use crate::source::{Diagnostic, codes};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A rule of a player and what it updates.
struct Ruled<'p> {
    player: usize,
    call: &'p RuleCall,
    updated: Vec<usize>,
    /// What its state is called by, unless several phases have to be told apart.
    name: String,
}

impl<'p> Elaborator<'p> {
    /// Creates the state of every rule: only starting values are read.
    pub(super) fn start_rules(&mut self) -> Result<(), Diagnostic> {
        for ruled in self.ruled()? {
            let (definition, mut frame) = self.rule_frame(&ruled)?;
            self.starting_values(&mut frame, definition)?;
        }
        self.start_average()
    }

    /// Applies every rule and reports the next values of all that is trained and kept.
    pub(super) fn run_rules(&mut self) -> Result<(), Diagnostic> {
        let mut next: BTreeMap<usize, NodeId> = BTreeMap::new();
        let mut states = Vec::new();
        for ruled in self.ruled()? {
            let (definition, mut frame) = self.rule_frame(&ruled)?;
            self.block(&mut frame, &definition.body)?;
            let roles = definition.optimizer.expect("checked to be an optimizer");
            let theta = self.local(&frame, roles.theta_next).into_set();
            next.extend(ruled.updated.iter().copied().zip(theta));
            states.extend(self.states_after(&frame, definition));
        }
        let mut losses = Vec::new();
        let mut kept: BTreeMap<usize, NodeId> = BTreeMap::new();
        for player in 0..self.players.len() {
            self.player = player;
            let evaluation = self.reported()?;
            losses.push(evaluation.loss);
            // A layer that several players apply keeps what the first of them says.
            for (k, node) in evaluation.next_state {
                kept.entry(k).or_insert(node);
            }
        }
        self.player = 0;
        self.keep(&mut next)?;
        // Parameters come first: what a number that is not finite is said to have reached.
        for (k, node) in &next {
            let path = self.instances.parameters[*k].path.clone();
            self.builder.output(path, OutputRole::Next, *node);
        }
        for (k, node) in kept {
            let path = self.instances.layer_state[k].path.clone();
            self.builder.output(path, OutputRole::Next, node);
        }
        for (path, node) in states {
            self.builder.output(path.as_str(), OutputRole::Next, node);
        }
        self.run_average(&next)?;
        for (player, loss) in losses.into_iter().enumerate() {
            self.report_objective(player, loss);
        }
        Ok(())
    }

    /// The rules of the step with what each updates, those of one definition numbered.
    fn ruled(&self) -> Result<Vec<Ruled<'p>>, Diagnostic> {
        let train = self.train;
        let mut out: Vec<Ruled> = Vec::new();
        for (player, (clauses, trained)) in train.players.iter().zip(&self.players).enumerate() {
            let name = |call: &RuleCall| self.program.definition(call.def).name.clone();
            if let Some(call) = &clauses.using {
                out.push(Ruled { player, call, updated: trained.clone(), name: name(call) });
                continue;
            }
            let mut left = trained.clone();
            for rule in
                train.using.iter().filter(|r| r.of.is_some()).chain(train.using.iter().filter(|r| r.of.is_none()))
            {
                let named = match &rule.of {
                    Some(of) => self.instances.select(&of.items, Some(trained)),
                    None => left.clone(),
                };
                let named: BTreeSet<usize> = named.into_iter().collect();
                let (updated, rest) = left.into_iter().partition::<Vec<usize>, _>(|k| named.contains(k));
                left = rest;
                if !updated.is_empty() {
                    out.push(Ruled { player, call: &rule.call, updated, name: name(&rule.call) });
                }
            }
            if let Some(k) = left.first() {
                let path = &self.instances.parameters[*k].path;
                return Err(Diagnostic::new(codes::NO_RULE, format!("no rule says how `{path}` is trained"))
                    .at(clauses.span, "trained here")
                    .help("add a rule for what the others leave: `using adam(lr: 1e-3)`"));
            }
        }
        let names: Vec<String> = out.iter().map(|r| r.name.clone()).collect();
        for (at, ruled) in out.iter_mut().enumerate() {
            let same = |list: &[String]| list.iter().filter(|n| **n == ruled.name).count();
            if same(&names) > 1 {
                ruled.name = format!("{}_{}", ruled.name, same(&names[..at]) + 1);
            }
        }
        Ok(out)
    }

    fn rule_frame(&mut self, ruled: &Ruled<'p>) -> Result<(&'p Definition, Frame<'p>), Diagnostic> {
        let definition = self.program.definition(ruled.call.def);
        self.player = ruled.player;
        self.updated = ruled.updated.clone();
        let mut outer = self.train_frame()?;
        let options = self.options(&mut outer, &ruled.call.options)?;
        let packs = vec![Vec::new(); definition.packs as usize];
        let (path, chain) = (self.phase_path(&ruled.name), mix(site_of_path(&ruled.name), 1));
        let mut frame = Frame::new(definition, BTreeMap::new(), packs, path, chain);
        let roles = definition.optimizer.expect("checked to be an optimizer");
        let theta: Vec<NodeId> = ruled.updated.iter().map(|k| self.point[*k]).collect();
        frame.bind(roles.objective, Value::Objective);
        self.bind(&mut frame, roles.theta, Value::Set(theta));
        self.bind_options(&mut frame, definition, &options, ruled.call.span)?;
        Ok((definition, frame))
    }

    /// Below which the state of a rule lies: with the phase's name first if there are several phases.
    pub(super) fn phase_path(&self, name: &str) -> Arc<str> {
        let several = self.program.train.as_ref().is_some_and(|t| t.phases.len() > 1);
        match self.train.name.as_ref().filter(|_| several) {
            Some(phase) => format!("{phase}.{name}").into(),
            None => name.into(),
        }
    }

    /// Creates the states of a rule, with the equations that come before the last of them.
    pub(super) fn starting_values(
        &mut self,
        frame: &mut Frame<'p>,
        definition: &'p Definition,
    ) -> Result<(), Diagnostic> {
        let statements = &definition.body.statements;
        let last = statements.iter().rposition(|s| matches!(s, Statement::State(_))).map_or(0, |k| k + 1);
        for statement in &statements[..last] {
            match statement {
                Statement::State(state) => self.rule_state(frame, state)?,
                Statement::Let { local, value } => {
                    let value = self.expression(frame, value)?;
                    self.bind(frame, *local, value);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The values of a rule's states after the step, by path.
    pub(super) fn states_after(&self, frame: &Frame<'p>, definition: &'p Definition) -> Vec<(String, NodeId)> {
        let mut states = Vec::new();
        for statement in &definition.body.statements {
            if let Statement::State(state) = statement {
                states.extend(self.state_members(frame, state, &self.local(frame, state.next)));
            }
        }
        states
    }

    /// Binds a state of a rule, its next value being the same unless the rule assigns another.
    pub(super) fn rule_state(&mut self, frame: &mut Frame<'p>, state: &'p State) -> Result<(), Diagnostic> {
        let value = self.expression(frame, &state.init)?;
        let members = self.state_members(frame, state, &value);
        let mut nodes = Vec::new();
        for (path, node) in members {
            let ty = self.builder.ty(node).clone();
            if self.purpose == Purpose::Start {
                self.start(&path, Role::State, &ty, node);
                let persistent = self.persistent(path.into(), ty, state.span);
                self.instances.optimizer_state.push(persistent);
                nodes.push(node);
            } else {
                nodes.push(self.builder.input(&path, Role::State, ty));
            }
        }
        let value = match value {
            Value::Set(_) => Value::Set(nodes),
            _ => Value::Tensor(nodes[0]),
        };
        self.bind(frame, state.local, value.clone());
        frame.bind(state.next, value);
        Ok(())
    }

    /// The tensors of a state with their paths: one, or one for every parameter that the rule updates.
    fn state_members(&self, frame: &Frame<'p>, state: &State, value: &Value) -> Vec<(String, NodeId)> {
        let path = frame.path_of(&state.name);
        match value {
            Value::Set(nodes) => {
                let members = self.updated.iter().zip(nodes);
                members.map(|(k, n)| (format!("{path}.{}", self.instances.parameters[*k].path), *n)).collect()
            }
            other => vec![(path.to_string(), other.clone().into_tensor())],
        }
    }
}
