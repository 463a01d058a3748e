//! Quotients and sums of exponentials: softmax, sigmoid, tanh, `expm1`.

use super::super::rewrite::{is, largest, negated, operand, operands2, splat};
use super::{exp_of, logarithm, make, moved, one_plus, shift_of, unmoved};
use crate::ir::primitive::*;
use crate::ir::{Builder, NodeId, Op};

/// `exp x + -1 -> expm1 x`.
pub(super) fn add(b: &mut Builder, p: NodeId, q: NodeId) -> Option<NodeId> {
    let (e, c) = if splat(b, p).is_some() { (q, p) } else { (p, q) };
    if is(b, c, -1.0) { exp_of(b, e).map(|x| b.expm1(x)) } else { None }
}

/// `exp x - 1 -> expm1 x`, `1 - exp x -> -expm1 x`.
pub(super) fn sub(b: &mut Builder, p: NodeId, q: NodeId) -> Option<NodeId> {
    if is(b, q, 1.0) {
        return exp_of(b, p).map(|x| b.expm1(x));
    }
    if is(b, p, 1.0) {
        let x = exp_of(b, q)?;
        let inner = b.expm1(x);
        return Some(b.neg(inner));
    }
    None
}

/// A bound on the shift of a sum of exponentials, constant to derivatives: the maximum over `axes`, kept finite so
/// that infinite elements give what the unshifted formula gives.
pub(super) fn bounded_max(b: &mut Builder, z: NodeId, axes: &[usize]) -> NodeId {
    let max = b.max_over(z, axes);
    stopped_within_range(b, max)
}

fn stopped_within_range(b: &mut Builder, max: NodeId) -> NodeId {
    let limit = largest(b, max);
    let (low, high) = (b.full_like(max, -limit), b.full_like(max, limit));
    let raised = b.maximum(max, low);
    let bounded = b.minimum(raised, high);
    b.stop(bounded)
}

/// `exp x + exp y` with its larger exponent taken out: `(m, exp (x - m) + exp (y - m))`.
pub(super) fn shifted_pair(b: &mut Builder, x: NodeId, y: NodeId) -> (NodeId, NodeId) {
    let max = b.maximum(x, y);
    let m = stopped_within_range(b, max);
    let (dx, dy) = (b.sub(x, m), b.sub(y, m));
    let (ex, ey) = (b.exp(dx), b.exp(dy));
    (m, b.add(ex, ey))
}

pub(super) fn div(b: &mut Builder, p: NodeId, q: NodeId) -> Option<NodeId> {
    if let Some(x) = tanh(b, p, q) {
        return Some(x);
    }
    if let Some(u) = one_plus(b, q).and_then(|e| exp_of(b, e)) {
        return Some(over_one_plus_exp(b, p, u));
    }
    if let (Some(x), Some(y)) = (exp_of(b, p), exp_of(b, q)) {
        let difference = b.sub(x, y);
        return Some(b.exp(difference));
    }
    if let (Some(x), Some((l, r))) = (exp_of(b, p), operands2(b, q, |op| matches!(op, Op::Add(_))))
        && let (Some(u), Some(w)) = (exp_of(b, l), exp_of(b, r))
        && (x == u || x == w)
    {
        let other = if x == u { w } else { u };
        let difference = b.sub(x, other);
        return Some(b.sigmoid(difference));
    }
    softmax(b, p, q)
}

/// `p / (1 + exp u)`: without the exponential, which overflows before its quotient vanishes.
fn over_one_plus_exp(b: &mut Builder, p: NodeId, u: NodeId) -> NodeId {
    if let Some(x) = exp_of(b, p) {
        if x == u {
            return b.sigmoid(u);
        }
        let decay = b.softplus(u);
        let exponent = b.sub(x, decay);
        return b.exp(exponent);
    }
    let minus = negated(b, u);
    let gate = b.sigmoid(minus);
    if is(b, p, 1.0) { gate } else { b.mul(p, gate) }
}

/// `(exp x - exp -x) / (exp x + exp -x) -> tanh x`, `expm1 w / (exp w + 1) -> tanh (w/2)`.
fn tanh(b: &mut Builder, p: NodeId, q: NodeId) -> Option<NodeId> {
    if let Some(w) = operand(b, p, |op| matches!(op, Op::Expm1(_)))
        && one_plus(b, q).and_then(|e| exp_of(b, e)) == Some(w)
    {
        let half = b.full_like(w, 0.5);
        let x = b.mul(w, half);
        return Some(b.tanh(x));
    }
    let (pa, pb) = operands2(b, p, |op| matches!(op, Op::Sub(_)))?;
    let (qa, qb) = operands2(b, q, |op| matches!(op, Op::Add(_)))?;
    let (x, y) = (exp_of(b, pa)?, exp_of(b, pb)?);
    let opposite = |s, t| operand(b, s, |op| matches!(op, Op::Neg(_))) == Some(t);
    let same_pair = (qa, qb) == (pa, pb) || (qb, qa) == (pa, pb);
    if same_pair && (opposite(y, x) || opposite(x, y)) { Some(b.tanh(x)) } else { None }
}

/// A quotient over a stretched sum of exponentials: numerator and sum are shifted by the same stopped maximum, which
/// drops out of the value and of the derivative.
fn softmax(b: &mut Builder, p: NodeId, q: NodeId) -> Option<NodeId> {
    let (total, path) = unmoved(b, q);
    let Op::ReduceSum(sum) = b.graph().op(total).clone() else { return None };
    let w = exp_of(b, b.graph().operands(total)[0])?;
    if let Some((c, e)) = operands2(b, p, |op| matches!(op, Op::Mul(_))) {
        let (factor, exponential) = match (exp_of(b, c), exp_of(b, e)) {
            (Some(_), None) => (e, c),
            (None, Some(_)) => (c, e),
            _ => return None,
        };
        let quotient = softmax(b, exponential, q)?;
        return Some(make(b, Mul.into(), &[factor, quotient]));
    }
    if let Some((z, max)) = shift_of(b, w, &sum.axes) {
        if exp_of(b, p)? != w || matches!(b.graph().op(max), Op::Stop(_)) {
            return None;
        }
        let m = b.stop(max);
        let dims = b.dims(z);
        let stretched = b.broadcast_over(m, &sum.axes, &dims);
        let v = b.sub(z, stretched);
        return Some(normalized(b, v, &sum.axes, &path));
    }
    let u = logarithm::exponent(b, p, &mut 16)?;
    let m = bounded_max(b, w, &sum.axes);
    let dims = b.dims(w);
    let stretched = b.broadcast_over(m, &sum.axes, &dims);
    let v = b.sub(w, stretched);
    if u == w {
        return Some(normalized(b, v, &sum.axes, &path));
    }
    let at_numerator = moved(b, m, &path);
    let exponent = b.sub(u, at_numerator);
    let numerator = b.exp(exponent);
    let e = b.exp(v);
    let shifted = b.sum(e, &sum.axes);
    let denominator = moved(b, shifted, &path);
    Some(b.div(numerator, denominator))
}

/// `exp v` over its sum along `axes`, moved along `path`.
fn normalized(b: &mut Builder, v: NodeId, axes: &[usize], path: &[Op]) -> NodeId {
    let e = b.exp(v);
    let total = b.sum(e, axes);
    let denominator = moved(b, total, path);
    b.div(e, denominator)
}
