//! Constants that are computed from whole columns.
//!
//! In the graphs of training and evaluation each is a state that nothing assigns. One graph of its own computes all of them
//! from the columns; there, a constant that another one reads is its value.

use super::apply::Place;
use super::frame::{mix, site_of_path};
use super::generated::no_training;
use super::instance::Instances;
use super::{Elaborator, Options, Persistent, Purpose};
use crate::check::typed::{DefId, Program};
use crate::ir::{Graph, NodeId, Op, OutputRole, Role, Symbol, Type};
use crate::source::{Diagnostic, Span, codes};
use std::collections::BTreeMap;

/// The constants of a program that have to be computed before training.
#[derive(Clone, Debug, Default)]
pub struct Constants {
    /// By the names of the constants.
    pub tensors: Vec<Persistent>,
    /// Reports each of them. Inputs: columns, as `digits.train.label`, whose rows have the symbol `digits.train`.
    pub graph: Graph,
}

impl Constants {
    /// The symbol of the rows of a column's input.
    pub fn rows_of(input: &str) -> Option<Symbol> {
        input.rsplit_once('.').map(|(rows, _)| Symbol::new(rows))
    }
}

/// The graph that computes a program's constants.
pub(super) fn constants(program: &Program, options: Options) -> Result<Constants, Diagnostic> {
    let mut tensors = Vec::new();
    let nothing = no_training(program.train.as_ref().map_or_else(Span::default, |t| t.span));
    let mut elaborator = Elaborator::new(program, &nothing, options, Purpose::Evaluate, Instances::default());
    elaborator.computed = Some(BTreeMap::new());
    for def in &program.computed {
        let definition = program.definition(*def);
        let node = elaborator.computed(*def)?;
        let ty = elaborator.builder.ty(node).clone();
        tensors.push(elaborator.persistent(definition.name.as_str().into(), ty, definition.span));
        elaborator.builder.output(definition.name.as_str(), OutputRole::Report, node);
    }
    let graph = elaborator.finish().0;
    if let Some(id) = graph.inputs().find(|id| matches!(graph.op(*id), Op::Input(input) if input.role == Role::Seed)) {
        let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, "a constant is computed without draws");
        return Err(match graph.node(id).origin.span {
            Some(span) => error.at(span, "drawn here"),
            None => error,
        });
    }
    Ok(Constants { tensors, graph })
}

impl Elaborator<'_> {
    /// The value of a constant that is computed.
    pub(super) fn computed(&mut self, def: DefId) -> Result<NodeId, Diagnostic> {
        let definition = self.program.definition(def);
        let path = definition.name.as_str();
        let Some(known) = &self.computed else {
            let ty = definition.result.tensor().expect("a constant is checked to be a tensor");
            let dims = ty.axes.iter().flat_map(|axis| match axis {
                crate::check::typed::Axis::Sized { size, .. } => Some(size.clone()),
                crate::check::typed::Axis::Pack(_) => None,
            });
            let ty = Type::new(self.element(&ty.element), dims.collect::<Vec<_>>());
            return Ok(self.builder.input(path, Role::State, ty));
        };
        if let Some(node) = known.get(&def) {
            return Ok(*node);
        }
        let place = Place { path: path.into(), chain: mix(site_of_path(path), 0) };
        let packs = vec![Vec::new(); definition.packs as usize];
        let value = self.apply(definition, BTreeMap::new(), packs, Vec::new(), &[], None, place, definition.span)?;
        let node = value.into_tensor();
        self.computed.get_or_insert_default().insert(def, node);
        Ok(node)
    }
}
