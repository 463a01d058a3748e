//! Reverse mode.
//!
//! Input: a scalar `y` and targets `xs`. Output: ∂y/∂x for each target, the other targets held fixed. Every node between
//! them is visited once, users before operands, and a value used several times sums the contributions of all its uses.

use super::{NotDifferentiable, accumulate, dependent, derived, guard, marked};
use crate::ir::{Applied, Builder, Lowering, NodeId, Op};

/// The gradient of `y` by each of `xs`, of the type of that target; zero where `y` does not depend on it.
pub fn gradient(b: &mut Builder, y: NodeId, xs: &[NodeId]) -> Result<Vec<NodeId>, NotDifferentiable> {
    let outer = b.origin().clone();
    let depends = dependent(b.graph(), y, xs);
    let targets = marked(y, xs);
    let mut cotangents: Vec<Option<NodeId>> = vec![None; y.index() + 1];
    let mut guarded = vec![false; y.index() + 1];
    cotangents[y.index()] = Some(b.full_like(y, 1.0));
    for id in b.graph().ids_to(y).rev() {
        let (Some(cotangent), true, false) = (cotangents[id.index()], depends[id.index()], targets[id.index()]) else {
            continue;
        };
        let node = b.graph().node(id).clone();
        let operands = b.graph().operands(id);
        let wanted: Vec<bool> = operands.iter().map(|o| depends[o.index()]).collect();
        b.set_origin(derived(&node.origin, "grad"));
        let at = Applied { operands: &operands, result: id, wanted: &wanted };
        let primitive = node.op.primitive();
        let contributions =
            primitive.vjp(b, at, cotangent).map_err(|why| NotDifferentiable { why, origin: node.origin.clone() })?;
        let lowering = primitive.lowering();
        for (operand, contribution) in operands.iter().zip(contributions) {
            let Some(mut term) = contribution.filter(|_| depends[operand.index()]) else { continue };
            if guarded[id.index()] && matches!(lowering, Lowering::Elementwise(_)) {
                term = guard::keep_zero(b, cotangent, term);
            }
            guarded[operand.index()] |=
                matches!(node.op, Op::Select(_)) || (guarded[id.index()] && lowering != Lowering::Contraction);
            cotangents[operand.index()] = Some(accumulate(b, cotangents[operand.index()], term));
        }
    }
    b.set_origin(outer);
    Ok(xs
        .iter()
        .map(|x| cotangents.get(x.index()).copied().flatten().unwrap_or_else(|| b.full_like(*x, 0.0)))
        .collect())
}
