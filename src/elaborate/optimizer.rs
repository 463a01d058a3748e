//! The optimizer: a rule applied once per step to the trained parameters.

use super::frame::{Frame, Value, mix, site_of_path};
use super::{Elaborator, Purpose};
use crate::check::typed::{Definition, State, Statement};
use crate::ir::{NodeId, OutputRole, Role};
use crate::source::Diagnostic;
use std::collections::BTreeMap;
use std::sync::Arc;

impl<'p> Elaborator<'p> {
    /// Creates the optimizer's state: only the starting values of the rule are read.
    pub(super) fn start_optimizer(&mut self) -> Result<(), Diagnostic> {
        let (definition, mut frame) = self.optimizer_frame()?;
        for statement in &definition.body.statements {
            if let Statement::State(state) = statement {
                self.optimizer_state(&mut frame, state)?;
            }
        }
        Ok(())
    }

    /// Applies the rule and reports the next values of everything it trains.
    pub(super) fn run_optimizer(&mut self) -> Result<(), Diagnostic> {
        let (definition, mut frame) = self.optimizer_frame()?;
        self.block(&mut frame, &definition.body)?;
        let roles = definition.optimizer.expect("checked to be an optimizer");
        let theta = self.local(&frame, roles.theta).into_set();
        let evaluation = self.reported(&theta)?;
        let next = self.local(&frame, roles.theta_next).into_set();
        for (k, node) in self.instances.trained.clone().into_iter().zip(next) {
            let path = self.instances.parameters[k].path.clone();
            self.builder.output(path, OutputRole::Next, node);
        }
        for (k, node) in &evaluation.next_state {
            let path = self.instances.layer_state[*k].path.clone();
            self.builder.output(path, OutputRole::Next, *node);
        }
        for statement in &definition.body.statements {
            if let Statement::State(state) = statement {
                let value = self.local(&frame, state.next);
                for (path, node) in self.state_members(&frame, state, &value) {
                    self.builder.output(path.as_str(), OutputRole::Next, node);
                }
            }
        }
        self.builder.output("loss", OutputRole::Report, evaluation.loss);
        Ok(())
    }

    fn optimizer_frame(&mut self) -> Result<(&'p Definition, Frame<'p>), Diagnostic> {
        let train = self.train;
        let definition = self.program.definition(train.using.def);
        let mut outer = self.train_frame();
        let options = self.options(&mut outer, &train.using.options)?;
        let mut frame = Frame {
            definition: Some(definition),
            locals: vec![None; definition.locals.len()],
            sizes: BTreeMap::new(),
            packs: vec![Vec::new(); definition.packs as usize],
            path: self.optimizer_path(definition),
            chain: mix(site_of_path(&definition.name), 1),
        };
        let roles = definition.optimizer.expect("checked to be an optimizer");
        let theta: Vec<NodeId> = self.instances.trained.iter().map(|k| self.point[*k]).collect();
        frame.bind(roles.objective, Value::Objective);
        self.bind(&mut frame, roles.theta, Value::Set(theta));
        self.bind_options(&mut frame, definition, &options)?;
        Ok((definition, frame))
    }

    /// Below which its state lies: with the phase's name first if there are several phases.
    fn optimizer_path(&self, definition: &Definition) -> Arc<str> {
        let several = self.program.train.as_ref().is_some_and(|t| t.phases.len() > 1);
        match self.train.name.as_ref().filter(|_| several) {
            Some(phase) => format!("{phase}.{}", definition.name).into(),
            None => definition.name.as_str().into(),
        }
    }

    /// Binds a state of the optimizer, its next value being the same unless the rule assigns another.
    pub(super) fn optimizer_state(&mut self, frame: &mut Frame<'p>, state: &'p State) -> Result<(), Diagnostic> {
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

    /// The tensors of a state with their paths: one, or one for every trained parameter.
    fn state_members(&self, frame: &Frame<'p>, state: &State, value: &Value) -> Vec<(String, NodeId)> {
        let path = frame.path_of(&state.name);
        match value {
            Value::Set(nodes) => {
                let members = self.instances.trained.iter().zip(nodes);
                members.map(|(k, n)| (format!("{path}.{}", self.instances.parameters[*k].path), *n)).collect()
            }
            other => vec![(path.to_string(), other.clone().into_tensor())],
        }
    }
}
