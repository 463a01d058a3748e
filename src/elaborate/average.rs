//! Averages of parameters: a rule with state whose value stands for the parameters in evaluation.

use super::frame::{Frame, Value, mix, site_of_path};
use super::{Elaborator, Purpose};
use crate::check::typed::{Definition, InputKind};
use crate::ir::{NodeId, OutputRole, Role};
use crate::source::Diagnostic;
use std::collections::BTreeMap;
use std::sync::Arc;

impl<'p> Elaborator<'p> {
    /// Creates the state of the average, and the values that stand for the parameters, which start as they do.
    pub(super) fn start_average(&mut self) -> Result<(), Diagnostic> {
        let trained = self.instances.trained.clone();
        let theta: Vec<NodeId> = trained.iter().map(|k| self.point[*k]).collect();
        let Some((definition, mut frame)) = self.average_frame(theta)? else { return Ok(()) };
        self.starting_values(&mut frame, definition)?;
        for (k, path) in self.averaged() {
            let (ty, span, node) = (self.instances.parameters[k].ty.clone(), definition.span, self.point[k]);
            self.start(&path, Role::State, &ty, node);
            let persistent = self.persistent(path, ty, span);
            self.instances.optimizer_state.push(persistent);
        }
        Ok(())
    }

    /// Takes the values after the step into the average.
    pub(super) fn run_average(&mut self, next: &BTreeMap<usize, NodeId>) -> Result<(), Diagnostic> {
        let trained = self.instances.trained.clone();
        let theta: Vec<NodeId> = trained.iter().map(|k| next[k]).collect();
        let Some((definition, mut frame)) = self.average_frame(theta)? else { return Ok(()) };
        let value = self.block(&mut frame, &definition.body)?.expect("an average has a value").into_set();
        for (path, node) in self.states_after(&frame, definition) {
            self.builder.output(path.as_str(), OutputRole::Next, node);
        }
        for ((_, path), node) in self.averaged().into_iter().zip(value) {
            let ty = self.builder.ty(node).clone();
            self.builder.input(&path, Role::State, ty);
            self.builder.output(path, OutputRole::Next, node);
        }
        Ok(())
    }

    /// For each trained parameter where the value lies that stands for it. A state cannot be called as the input is.
    pub(super) fn averaged(&self) -> Vec<(usize, Arc<str>)> {
        let Some(call) = &self.train.average else { return Vec::new() };
        let definition = self.program.definition(call.def);
        let input = definition.inputs.first().map_or("", |i| &i.name);
        let path = self.phase_path(&definition.name);
        let named = |k: &usize| (*k, format!("{path}.{input}.{}", self.instances.parameters[*k].path).into());
        self.instances.trained.iter().map(named).collect()
    }

    /// Lets averages stand for the parameters.
    pub(super) fn stand_in(&mut self, averaged: &[(usize, Arc<str>)]) {
        for (k, path) in averaged {
            let ty = self.instances.parameters[*k].ty.clone();
            self.point[*k] = self.builder.input(path, Role::State, ty);
        }
    }

    fn average_frame(&mut self, theta: Vec<NodeId>) -> Result<Option<(&'p Definition, Frame<'p>)>, Diagnostic> {
        let Some(call) = &self.train.average else { return Ok(None) };
        let definition = self.program.definition(call.def);
        self.updated = self.instances.trained.clone();
        let mut outer = self.train_frame()?;
        let options = self.options(&mut outer, &call.options)?;
        let packs = vec![Vec::new(); definition.packs as usize];
        let (path, chain) = (self.phase_path(&definition.name), mix(site_of_path(&definition.name), 3));
        let mut frame = Frame::new(definition, BTreeMap::new(), packs, path, chain);
        let Some(InputKind::Value(input)) = definition.inputs.first().map(|i| i.kind.clone()) else {
            return Ok(None);
        };
        self.bind(&mut frame, input, Value::Set(theta));
        self.bind_options(&mut frame, definition, &options, call.span)?;
        debug_assert!(self.purpose != Purpose::Evaluate, "evaluation reads what the steps have kept");
        Ok(Some((definition, frame)))
    }
}
