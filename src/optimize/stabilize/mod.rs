//! Replaces formulas that overflow or cancel by formulas of the same meaning that do not.
//!
//! ```text
//! before   log (gather (div (exp z) (broadcast (sum (exp z)))) y)
//! after    m = stop (max z);  sub (sub (gather z y) m) (log (sum (exp (sub z (broadcast m)))))
//! ```
//! It runs before differentiation, so that gradients come from the stable forms (for the example: softmax minus
//! one-hot), and again after, for what the derivatives and the dropped tags uncover. It is mandatory: the meaning of
//! a program is that of its stabilized graph.
//!
//! Invariant: wherever the naive formula is finite and accurate, the stable one agrees within rounding; where the
//! exact result of a finite input rounds to a finite value, the stable one is finite, and so is its gradient.
//! Limits: patterns are recognised through movement, signs and constant factors, not through a [`Tag`], which is a
//! value of its own until differentiation is done; a sum is shifted only by its own maximum.
//!
//! [`Tag`]: crate::ir::primitive::Tag

mod exponential;
mod logarithm;

pub(super) use logarithm::of_repeated;

use super::rewrite::{is, operand, operands2, rewrite, splat};
use crate::autodiff::NotDifferentiable;
use crate::ir::primitive::*;
use crate::ir::{Builder, Graph, NodeId, Op};

pub(super) fn run(graph: &Graph) -> Result<Graph, NotDifferentiable> {
    Ok(rewrite(graph, &mut make))
}

/// The stable form of a primitive applied to operands that are stable already.
fn make(b: &mut Builder, op: Op, operands: &[NodeId]) -> NodeId {
    let stable = match (&op, operands) {
        (Op::Log(_), [x]) => logarithm::log(b, *x),
        (Op::Log1p(_), [x]) => logarithm::log1p(b, *x),
        (Op::Add(_), [p, q]) => exponential::add(b, *p, *q),
        (Op::Sub(_), [p, q]) => exponential::sub(b, *p, *q),
        (Op::Mul(_), [p, q]) => logarithm::weighted(b, *p, *q).or_else(|| logarithm::weighted(b, *q, *p)),
        (Op::Div(_), [p, q]) => exponential::div(b, *p, *q),
        (Op::Pow(_), [x, y]) => power(b, *x, *y),
        _ => None,
    };
    stable.unwrap_or_else(|| b.push(op, operands))
}

/// Powers with a constant exponent for which products or a quotient are exact or nearly so; the general power
/// goes through logarithms, whose derivative is undefined at and below zero.
fn power(b: &mut Builder, x: NodeId, y: NodeId) -> Option<NodeId> {
    let exponent = splat(b, y)?;
    if exponent == 0.0 {
        return Some(b.full_like(x, 1.0));
    }
    if exponent == 1.0 {
        return Some(x);
    }
    if exponent == 2.0 {
        return Some(b.mul(x, x));
    }
    if exponent == 3.0 {
        let square = b.mul(x, x);
        return Some(b.mul(square, x));
    }
    if exponent == -1.0 {
        let one = b.full_like(x, 1.0);
        return Some(make(b, Div.into(), &[one, x]));
    }
    if exponent == 0.5 && logarithm::nonnegative(b, x, &mut 16) {
        return Some(b.sqrt(x));
    }
    None
}

fn exp_of(b: &Builder, x: NodeId) -> Option<NodeId> {
    operand(b, x, |op| matches!(op, Op::Exp(_)))
}

fn sigmoid_of(b: &Builder, x: NodeId) -> Option<NodeId> {
    operand(b, x, |op| matches!(op, Op::Sigmoid(_)))
}

/// The `y` of `1 + y`.
fn one_plus(b: &Builder, x: NodeId) -> Option<NodeId> {
    let (p, q) = operands2(b, x, |op| matches!(op, Op::Add(_)))?;
    if is(b, p, 1.0) {
        Some(q)
    } else if is(b, q, 1.0) {
        Some(p)
    } else {
        None
    }
}

/// Movement that keeps each element's value and has one operand.
fn is_movement(op: &Op) -> bool {
    matches!(op, Op::Broadcast(_) | Op::Permute(_) | Op::Reshape(_) | Op::Slice(_))
}

/// What `x` moves, without the movement, and the movements from the inside out.
fn unmoved(b: &Builder, mut x: NodeId) -> (NodeId, Vec<Op>) {
    let mut path = Vec::new();
    while is_movement(b.graph().op(x)) {
        path.push(b.graph().op(x).clone());
        x = b.graph().operands(x)[0];
    }
    path.reverse();
    (x, path)
}

fn moved(b: &mut Builder, x: NodeId, path: &[Op]) -> NodeId {
    path.iter().fold(x, |x, op| b.push(op.clone(), &[x]))
}

/// `z - max z` taken apart: `(z, max z)`, where the maximum runs over exactly `axes` and may be bounded or stopped.
fn shift_of(b: &Builder, v: NodeId, axes: &[usize]) -> Option<(NodeId, NodeId)> {
    let (z, stretched) = operands2(b, v, |op| matches!(op, Op::Sub(_)))?;
    let Op::Broadcast(broadcast) = b.graph().op(stretched) else { return None };
    if (0..broadcast.dims.len()).any(|k| broadcast.axes.contains(&k) == axes.contains(&k)) {
        return None;
    }
    let shift = b.graph().operands(stretched)[0];
    let mut inner = shift;
    loop {
        match b.graph().op(inner) {
            Op::Stop(_) => inner = b.graph().operands(inner)[0],
            Op::Maximum(_) | Op::Minimum(_) if splat(b, b.graph().operands(inner)[1]).is_some() => {
                inner = b.graph().operands(inner)[0];
            }
            Op::ReduceMax(max) if max.axes == axes && b.graph().operands(inner)[0] == z => return Some((z, shift)),
            _ => return None,
        }
    }
}
