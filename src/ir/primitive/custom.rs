//! A value with a derivative of its own.

use super::{Applied, Contributions, Lowering, Primitive, named, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::Sample;
use crate::ir::{Bindings, Builder, DType, NodeId, Tensor, Type};

/// Operands `(y, p, x₁, …, xₖ, d₁, …, dₖ)`, k being `inputs`. The value is y, to derivatives a function of the xᵢ alone: the
/// cotangent of xᵢ is dᵢ, computed with the cotangent of the value in place of the tag p. Differentiation replaces it by y.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Custom {
    pub inputs: usize,
}

impl Primitive for Custom {
    named!("custom");

    fn attributes(&self) -> Attributes {
        Attributes::none().with("inputs", self.inputs)
    }

    fn parse(attributes: &Attributes) -> Result<Custom, String> {
        Ok(Custom { inputs: attributes.read("inputs")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        require(operands.len() == 2 + 2 * self.inputs, || "expects a cotangent for each input".into())?;
        let (given, wanted) = operands[2..].split_at(self.inputs);
        require(operands[0] == operands[1] && given == wanted, || "cotangents have the types of their values".into())?;
        Ok(operands[0].clone())
    }

    fn eval(&self, operands: &[&Tensor], _: &Type, _: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![operands[0].clone()])
    }

    fn vjp(&self, b: &mut Builder, at: Applied<'_>, cotangent: NodeId) -> Contributions {
        let (wanted, given) = (&at.wanted[2..], &at.operands[2 + self.inputs..]);
        let needed: Vec<NodeId> = (0..self.inputs).filter(|k| wanted[*k]).map(|k| given[k]).collect();
        let mut values = replayed(b, &needed, at.operands[1], cotangent).into_iter();
        let mut contributions = vec![None; at.operands.len()];
        for k in (0..self.inputs).filter(|k| wanted[*k]) {
            contributions[2 + k] = values.next();
        }
        Ok(contributions)
    }

    fn jvp(&self, _: &mut Builder, _: Applied<'_>, _: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        Err("a definition with a derivative of its own, which is known backwards only".into())
    }

    /// None: only differentiation may drop it.
    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn lowering(&self) -> Lowering {
        Lowering::Request
    }

    /// None: its derivative is not that of its value, on purpose.
    fn samples(_: DType) -> Vec<Sample> {
        Vec::new()
    }
}

/// Nodes as they would be if another one stood in the place of `from`.
fn replayed(b: &mut Builder, roots: &[NodeId], from: NodeId, to: NodeId) -> Vec<NodeId> {
    let Some(last) = roots.iter().copied().max() else { return Vec::new() };
    let mut needed = vec![false; last.index() + 1];
    roots.iter().for_each(|r| needed[r.index()] = true);
    for id in b.graph().ids_to(last).rev() {
        if needed[id.index()] && id != from {
            b.graph().operands(id).iter().for_each(|o| needed[o.index()] = true);
        }
    }
    let mut new: Vec<Option<NodeId>> = vec![None; last.index() + 1];
    if let Some(place) = new.get_mut(from.index()) {
        *place = Some(to);
    }
    let order: Vec<NodeId> = b.graph().ids_to(last).filter(|id| needed[id.index()] && *id != from).collect();
    for id in order {
        let operands = b.graph().operands(id);
        if operands.iter().any(|o| new[o.index()].is_some()) {
            let operands: Vec<NodeId> = operands.iter().map(|o| new[o.index()].unwrap_or(*o)).collect();
            let op = b.graph().op(id).clone();
            new[id.index()] = Some(b.push(op, &operands));
        }
    }
    roots.iter().map(|r| new[r.index()].unwrap_or(*r)).collect()
}
