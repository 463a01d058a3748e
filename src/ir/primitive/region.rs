//! Primitives with sub-graphs. A region is a closed graph: whatever it reads from outside is an operand.

use super::{Primitive, arity, require};
use crate::ir::{DType, Graph, Role, Size, Type};
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

    fn closed(&self) -> Result<(), String> {
        let closed = self.0.inputs().all(|id| match self.0.op(id) {
            crate::ir::Op::Input(input) => input.role == Role::Bound,
            _ => true,
        });
        require(closed, || "a region reads only what is bound to it".into())
    }

    fn takes(&self, operands: &[Type]) -> Result<(), String> {
        self.closed()?;
        require(self.parameters() == operands, || "operands do not fit the region's inputs".into())
    }
}

/// A loop over `length` positions of an axis. Operands: `carried` initial values, then `scanned` tensors (leading axis
/// `length`), then captures. The body takes (carried.., one row of each scanned.., captures..) and gives
/// (carried'.., one row of each output..). Results, by [`Project`]: final carried values, then outputs with leading axis `length`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Scan {
    pub body: Region,
    pub carried: usize,
    pub scanned: usize,
    pub length: Size,
    pub reverse: bool,
}

/// A loop of at most `bound` iterations while `condition(carried.., captures..)` holds. Operands: `carried` initial
/// values, then captures. Results, by [`Project`]: final carried values.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct While {
    pub condition: Region,
    pub body: Region,
    pub carried: usize,
    pub bound: u64,
}

/// A region applied to operands, compiled once however often it is called. Results by [`Project`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Call {
    pub body: Region,
}

/// Result `index`, of type `ty`, of a region primitive.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Project {
    pub index: usize,
    pub ty: Type,
}

/// Region primitives have several results; the node itself stands for all of them.
fn bundle() -> Type {
    Type::scalar(DType::Bool)
}

impl Primitive for Scan {
    fn name(&self) -> &'static str {
        "scan"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        require(operands.len() >= self.carried + self.scanned, || "too few operands".into())?;
        let mut inner: Vec<Type> = operands.iter().map(|t| (*t).clone()).collect();
        for ty in &mut inner[self.carried..self.carried + self.scanned] {
            require(ty.dims.first() == Some(&self.length), || "a scanned operand has another length".into())?;
            ty.dims.remove(0);
        }
        self.body.takes(&inner)?;
        let results = self.body.results();
        require(results.get(..self.carried) == Some(&inner[..self.carried]), || "carried values change type".into())?;
        Ok(bundle())
    }
}

impl Primitive for While {
    fn name(&self) -> &'static str {
        "while"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        require(operands.len() >= self.carried, || "too few operands".into())?;
        let inner: Vec<Type> = operands.iter().map(|t| (*t).clone()).collect();
        self.condition.takes(&inner)?;
        self.body.takes(&inner)?;
        require(self.condition.results() == [Type::scalar(DType::Bool)], || "the condition is no boolean".into())?;
        require(self.body.results() == inner[..self.carried], || "carried values change type".into())?;
        Ok(bundle())
    }
}

impl Primitive for Call {
    fn name(&self) -> &'static str {
        "call"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        self.body.takes(&operands.iter().map(|t| (*t).clone()).collect::<Vec<_>>())?;
        Ok(bundle())
    }
}

impl Primitive for Project {
    fn name(&self) -> &'static str {
        "project"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        Ok(self.ty.clone())
    }
}
