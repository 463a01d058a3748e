//! Sub-graphs. A region is a closed graph: whatever it reads from outside is an operand of the primitive that has it.

use super::{Call, Scan, While, require};
use crate::ir::interpret::{EvalError, interpret};
use crate::ir::{Bindings, DType, Graph, Op, Role, Tensor, Type};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A sub-graph. Its inputs (role [`Role::Bound`]) are bound by position, its outputs are its results.
/// Two regions are equal when they are the same one.
#[derive(Clone, Debug)]
pub struct Region(pub Arc<Graph>);

impl PartialEq for Region {
    fn eq(&self, other: &Region) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Region {}

impl Hash for Region {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Region {
    /// The types of its inputs, in order.
    pub fn parameters(&self) -> Vec<Type> {
        self.0.inputs().map(|id| self.0.ty(id).clone()).collect()
    }

    /// The types of its results, in order.
    pub fn results(&self) -> Vec<Type> {
        self.0.outputs().iter().map(|o| self.0.ty(o.node).clone()).collect()
    }

    /// Its results for operands bound by position.
    pub fn eval(&self, operands: &[Tensor], bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let names: Vec<Arc<str>> = self.0.inputs().filter_map(|id| bound_name(self.0.op(id))).collect();
        let value = |name: &str| names.iter().position(|n| &**n == name).and_then(|k| operands.get(k)).cloned();
        interpret(&self.0, &value, bindings)
    }

    fn closed(&self) -> Result<(), String> {
        let closed = self.0.inputs().all(|id| match self.0.op(id) {
            Op::Input(input) => input.role == Role::Bound,
            _ => true,
        });
        require(closed, || "a region reads only what is bound to it".into())
    }

    pub(super) fn takes(&self, operands: &[Type]) -> Result<(), String> {
        self.closed()?;
        require(self.parameters() == operands, || "operands do not fit the region's inputs".into())
    }
}

impl Op {
    /// Its regions.
    pub fn regions(&self) -> Vec<&Region> {
        match self {
            Op::Scan(scan) => vec![&scan.body],
            Op::While(repeat) => vec![&repeat.condition, &repeat.body],
            Op::Call(call) => vec![&call.body],
            _ => Vec::new(),
        }
    }

    /// The primitive with other regions.
    ///
    /// # Errors
    /// The first of `f`.
    pub fn map_regions<E>(&self, mut f: impl FnMut(&Region) -> Result<Region, E>) -> Result<Op, E> {
        Ok(match self {
            Op::Scan(scan) => Scan { body: f(&scan.body)?, ..scan.clone() }.into(),
            Op::While(repeat) => {
                While { condition: f(&repeat.condition)?, body: f(&repeat.body)?, ..repeat.clone() }.into()
            }
            Op::Call(call) => Call { body: f(&call.body)? }.into(),
            other => other.clone(),
        })
    }
}

fn bound_name(op: &Op) -> Option<Arc<str>> {
    if let Op::Input(input) = op { Some(input.name.clone()) } else { None }
}

/// The type of a primitive with several results: the node itself stands for all of them.
pub(super) fn bundle() -> Type {
    Type::scalar(DType::Bool)
}

/// Writes the derivative rules of a primitive with regions.
macro_rules! not_differentiable {
    ($what:literal) => {
        fn vjp(&self, _: &mut crate::ir::Builder, _: super::Applied<'_>, _: crate::ir::NodeId) -> super::Contributions {
            Err(concat!("the derivative of ", $what, " is not available").into())
        }

        fn jvp(
            &self,
            _: &mut crate::ir::Builder,
            _: super::Applied<'_>,
            _: &[Option<crate::ir::NodeId>],
        ) -> Result<Option<crate::ir::NodeId>, String> {
            Err(concat!("the derivative of ", $what, " is not available").into())
        }

        fn simplify(&self, _: &mut crate::ir::Builder, _: &[crate::ir::NodeId]) -> Option<crate::ir::NodeId> {
            None
        }
    };
}
pub(super) use not_differentiable;
