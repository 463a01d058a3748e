//! Orders the operands of commutative primitives, so that equal expressions merge.
//!
//! ```text
//! before   %2 = mul %1 %0; %3 = mul %0 %1; %4 = add %2 %3
//! after    %2 = mul %0 %1; %3 = add %2 %2
//! ```
//! A constant goes to the right, otherwise the older node to the left. It stands after differentiation: merging
//! earlier would change the order in which cotangents are added.
//! Invariant: exact; floating-point sums and products of two are commutative to the bit.
//! Limits: `maximum` and `minimum` stay, because of zeros they give the left one; nothing is reassociated.

use super::rewrite::{rewrite, splat};
use crate::autodiff::NotDifferentiable;
use crate::ir::{Builder, Graph, NodeId, Op};

pub(super) fn run(graph: &Graph) -> Result<Graph, NotDifferentiable> {
    Ok(rewrite(graph, &mut ordered))
}

/// Applies a primitive to its operands in canonical order.
pub(super) fn ordered(b: &mut Builder, op: Op, operands: &[NodeId]) -> NodeId {
    let commutative = matches!(op, Op::Add(_) | Op::Mul(_) | Op::Equal(_) | Op::And(_) | Op::Or(_));
    match operands {
        [l, r] if commutative => {
            let rank = |b: &Builder, x: NodeId| (splat(b, x).is_some(), x);
            let pair = if rank(b, *l) <= rank(b, *r) { [*l, *r] } else { [*r, *l] };
            b.push(op, &pair)
        }
        _ => b.push(op, operands),
    }
}
