//! Logarithms of exponentials, of their sums and quotients: log-softmax, log-sum-exp, log-sigmoid, softplus.

use super::super::rewrite::{arranged, is, negated, operand, operands2, splat};
use super::exponential::{bounded_max, shifted_pair};
use super::{exp_of, one_plus, shift_of, sigmoid_of, unmoved};
use crate::ir::primitive::*;
use crate::ir::{Builder, NodeId, Op};

/// How many nodes a search looks at: patterns are small, and a search of everything below would be quadratic.
const REACH: u32 = 24;

/// `log x`, where a better form is known.
pub(super) fn log(b: &mut Builder, x: NodeId) -> Option<NodeId> {
    stable(b, x, &mut { REACH }).or_else(|| plain(b, x))
}

/// `log (1 + x)` for the forms of `x` that saturate.
pub(super) fn log1p(b: &mut Builder, x: NodeId) -> Option<NodeId> {
    if let Some(u) = exp_of(b, x) {
        return Some(b.softplus(u));
    }
    let u = sigmoid_of(b, operand(b, x, |op| matches!(op, Op::Neg(_)))?)?;
    let s = b.softplus(u);
    Some(b.neg(s))
}

/// Forms that are no worse for a number of any origin.
fn plain(b: &mut Builder, x: NodeId) -> Option<NodeId> {
    if let Some(y) = one_plus(b, x) {
        return Some(b.log1p(y));
    }
    if let Some((one, y)) = operands2(b, x, |op| matches!(op, Op::Sub(_)))
        && is(b, one, 1.0)
    {
        let minus = negated(b, y);
        return Some(b.log1p(minus));
    }
    if let Op::Broadcast(stretch) = b.graph().op(x).clone() {
        let inner = b.graph().operands(x)[0];
        let value = log(b, inner).unwrap_or_else(|| b.log(inner));
        return Some(b.push(stretch, &[value]));
    }
    None
}

fn log_or_plain(b: &mut Builder, x: NodeId, reach: &mut u32) -> NodeId {
    match stable(b, x, reach) {
        Some(value) => value,
        None => plain(b, x).unwrap_or_else(|| b.log(x)),
    }
}

/// `log x` where `x` is made of exponentials, so that its logarithm needs none of them.
fn stable(b: &mut Builder, x: NodeId, reach: &mut u32) -> Option<NodeId> {
    *reach = reach.checked_sub(1)?;
    let operands = b.graph().operands(x);
    match (b.graph().op(x).clone(), operands.as_slice()) {
        (Op::Exp(_), [u]) => Some(*u),
        (Op::Sigmoid(_), [u]) => {
            let minus = negated(b, *u);
            let s = b.softplus(minus);
            Some(b.neg(s))
        }
        (Op::Sub(_), [one, s]) if is(b, *one, 1.0) => {
            let u = sigmoid_of(b, *s)?;
            let s = b.softplus(u);
            Some(b.neg(s))
        }
        (Op::Add(_), [p, q]) => {
            if let Some(u) = one_plus(b, x).and_then(|e| exp_of(b, e)) {
                return Some(b.softplus(u));
            }
            let (u, w) = (exp_of(b, *p)?, exp_of(b, *q)?);
            let (m, total) = shifted_pair(b, u, w);
            let l = b.log(total);
            Some(b.add(m, l))
        }
        (Op::ReduceSum(sum), [terms]) => log_sum(b, *terms, &sum.axes, reach),
        (Op::Div(_), [p, q]) => {
            if nonnegative(b, *p, reach)
                && let Some(l) = stable(b, *p, reach)
            {
                let r = log_or_plain(b, *q, reach);
                return Some(b.sub(l, r));
            }
            // Below: a numerator without exponentials over a denominator made of them.
            if !splat(b, *p).is_some_and(|c| c > 0.0) {
                return None;
            }
            let r = stable(b, *q, reach)?;
            if is(b, *p, 1.0) {
                return Some(negated(b, r));
            }
            let l = log_or_plain(b, *p, reach);
            Some(b.sub(l, r))
        }
        (Op::Mul(_), [p, q]) => {
            if !nonnegative(b, *p, reach) || !nonnegative(b, *q, reach) {
                return None;
            }
            match (stable(b, *p, reach), stable(b, *q, reach)) {
                (None, None) => None,
                (l, r) => {
                    let l = l.unwrap_or_else(|| log_or_plain(b, *p, reach));
                    let r = r.unwrap_or_else(|| log_or_plain(b, *q, reach));
                    Some(b.add(l, r))
                }
            }
        }
        (Op::Sqrt(_), [u]) => {
            let l = stable(b, *u, reach)?;
            let half = b.full_like(l, 0.5);
            Some(b.mul(half, l))
        }
        (Op::Softplus(_), [u]) => Some(log_softplus(b, *u)),
        (Op::Stop(_), [u]) => {
            let l = stable(b, *u, reach)?;
            Some(b.stop(l))
        }
        (Op::Gather(gather), [u, index]) => {
            let l = stable(b, *u, reach)?;
            Some(gathered(b, &gather, l, *index))
        }
        (op @ (Op::Broadcast(_) | Op::Permute(_) | Op::Reshape(_) | Op::Slice(_)), [u]) => {
            let l = stable(b, *u, reach)?;
            Some(b.push(op, &[l]))
        }
        (Op::Select(_), [condition, p, q]) => match (stable(b, *p, reach), stable(b, *q, reach)) {
            (None, None) => None,
            (l, r) => {
                let l = l.unwrap_or_else(|| log_or_plain(b, *p, reach));
                let r = r.unwrap_or_else(|| log_or_plain(b, *q, reach));
                Some(b.select(*condition, l, r))
            }
        },
        _ => None,
    }
}

/// `log (sum terms)` where the terms are exponentials, perhaps masked.
fn log_sum(b: &mut Builder, terms: NodeId, axes: &[usize], reach: &mut u32) -> Option<NodeId> {
    match operands2(b, terms, |op| matches!(op, Op::Mul(_))) {
        Some((p, q)) => {
            let (mask, e) = match (mask_of(b, p), mask_of(b, q)) {
                (Some(mask), _) => (mask, q),
                (None, Some(mask)) => (mask, p),
                (None, None) => return unmasked(b, terms, axes, reach),
            };
            let u = exponent(b, e, reach)?;
            Some(masked_log_sum_exp(b, mask, u, axes))
        }
        None => unmasked(b, terms, axes, reach),
    }
}

/// `log (sum (mask · exp w))`. What is subtracted from all of `w` alike is subtracted from the result instead: where
/// the mask leaves one term, that term may be as small as the subtraction makes it.
fn masked_log_sum_exp(b: &mut Builder, mask: NodeId, mut w: NodeId, axes: &[usize]) -> NodeId {
    let mut subtracted = Vec::new();
    while let Some((inner, stretched)) = operands2(b, w, |op| matches!(op, Op::Sub(_)))
        && let Op::Broadcast(stretch) = b.graph().op(stretched)
        && (0..stretch.dims.len()).all(|k| stretch.axes.contains(&k) != axes.contains(&k))
    {
        subtracted.push(b.graph().operands(stretched)[0]);
        w = inner;
    }
    let nothing = b.full_like(w, f64::NEG_INFINITY);
    let kept = b.select(mask, w, nothing);
    let (m, l) = shifted_sum(b, kept, axes);
    let shift = subtracted.into_iter().rev().fold(m, |shift, c| b.sub(shift, c));
    b.add(shift, l)
}

fn unmasked(b: &mut Builder, terms: NodeId, axes: &[usize], reach: &mut u32) -> Option<NodeId> {
    let w = exponent(b, terms, reach)?;
    if shift_of(b, w, axes).is_some() {
        return None;
    }
    Some(log_sum_exp(b, w, axes))
}

/// `m + log (sum (exp (w - m)))`, `m` the stopped maximum of `w`: the derivative is the softmax of `w`.
fn log_sum_exp(b: &mut Builder, w: NodeId, axes: &[usize]) -> NodeId {
    let (m, l) = shifted_sum(b, w, axes);
    b.add(m, l)
}

/// The two terms of [`log_sum_exp`].
fn shifted_sum(b: &mut Builder, w: NodeId, axes: &[usize]) -> (NodeId, NodeId) {
    let m = bounded_max(b, w, axes);
    let dims = b.dims(w);
    let stretched = b.broadcast_over(m, axes, &dims);
    let v = b.sub(w, stretched);
    let e = b.exp(v);
    let total = b.sum(e, axes);
    (m, b.log(total))
}

/// The condition of which `x` is the 0 or 1.
fn mask_of(b: &Builder, x: NodeId) -> Option<NodeId> {
    match (b.graph().op(x), b.graph().operands(x).as_slice()) {
        (Op::Convert(_), [c]) if b.ty(*c).dtype == crate::ir::DType::Bool => Some(*c),
        (Op::Select(_), [c, p, q]) if is(b, *p, 1.0) && is(b, *q, 0.0) => Some(*c),
        _ => None,
    }
}

/// The `u` of which `x` is the exponential.
pub(super) fn exponent(b: &mut Builder, x: NodeId, reach: &mut u32) -> Option<NodeId> {
    *reach = reach.checked_sub(1)?;
    let operands = b.graph().operands(x);
    match (b.graph().op(x).clone(), operands.as_slice()) {
        (Op::Exp(_), [u]) => Some(*u),
        (Op::Mul(_), [p, q]) => {
            let (l, r) = (exponent(b, *p, reach)?, exponent(b, *q, reach)?);
            Some(b.add(l, r))
        }
        (Op::Div(_), [p, q]) => {
            let l = exponent(b, *p, reach)?;
            if !nonnegative(b, *q, reach) {
                return None;
            }
            let r = log_or_plain(b, *q, reach);
            Some(b.sub(l, r))
        }
        (Op::Gather(gather), [u, index]) => {
            let l = exponent(b, *u, reach)?;
            Some(gathered(b, &gather, l, *index))
        }
        (op @ (Op::Broadcast(_) | Op::Permute(_) | Op::Reshape(_) | Op::Slice(_)), [u]) => {
            let l = exponent(b, *u, reach)?;
            Some(b.push(op, &[l]))
        }
        (Op::Select(_), [condition, p, q]) => {
            let (l, r) = (exponent(b, *p, reach)?, exponent(b, *q, reach)?);
            Some(b.select(*condition, l, r))
        }
        _ => None,
    }
}

/// Whether no element of `x` is negative (NaN counts as not negative: every form here keeps it).
pub(super) fn nonnegative(b: &Builder, x: NodeId, reach: &mut u32) -> bool {
    let Some(rest) = reach.checked_sub(1) else { return false };
    *reach = rest;
    let operands = b.graph().operands(x);
    match (b.graph().op(x), operands.as_slice()) {
        (Op::Exp(_) | Op::Sigmoid(_) | Op::Softplus(_) | Op::Abs(_) | Op::SizeOf(_) | Op::Random(_), _) => true,
        (Op::Constant(c), _) => c.value() > 0.0 || is(b, x, 0.0),
        (Op::Convert(_), [u]) => b.ty(*u).dtype == crate::ir::DType::Bool,
        (Op::Mul(_), [p, q]) if p == q => true,
        (Op::Mul(_) | Op::Div(_) | Op::Add(_) | Op::Minimum(_), [p, q]) => {
            nonnegative(b, *p, reach) && nonnegative(b, *q, reach)
        }
        (Op::Select(_), [_, p, q]) => nonnegative(b, *p, reach) && nonnegative(b, *q, reach),
        (Op::ReduceSum(_) | Op::Stop(_) | Op::Gather(_), [u, ..]) => nonnegative(b, *u, reach),
        (Op::Broadcast(_) | Op::Permute(_) | Op::Reshape(_) | Op::Slice(_), [u]) => nonnegative(b, *u, reach),
        (Op::Sub(_), [one, s]) => is(b, *one, 1.0) && sigmoid_of(b, *s).is_some(),
        _ => false,
    }
}

/// The gather of a value of which something repeated along the gathered axis was subtracted subtracts it afterwards: only
/// the chosen elements are computed, and what is read is the tensor the formula began with.
fn gathered(b: &mut Builder, gather: &Gather, x: NodeId, index: NodeId) -> NodeId {
    let operands = b.graph().operands(x);
    let repeated = |b: &Builder, x: &NodeId| match b.graph().op(*x) {
        Op::Broadcast(stretch) => !stretch.axes.contains(&gather.axis),
        _ => false,
    };
    match (b.graph().op(x).clone(), operands.as_slice()) {
        (op @ (Op::Sub(_) | Op::Add(_)), [p, q]) if repeated(b, p) || repeated(b, q) => {
            let (l, r) = (gathered(b, gather, *p, index), gathered(b, gather, *q, index));
            b.push(op, &[l, r])
        }
        (op @ Op::Neg(_), [p]) => {
            let l = gathered(b, gather, *p, index);
            b.push(op, &[l])
        }
        (Op::Broadcast(stretch), [inner]) if repeated(b, &x) => of_repeated(b, gather, &stretch, *inner, index),
        _ => b.push(gather.clone(), &[x, index]),
    }
}

/// The gather of a broadcast that repeats along the gathered axis: another arrangement of the broadcast operand.
pub(in crate::optimize) fn of_repeated(
    b: &mut Builder,
    gather: &Gather,
    stretch: &Broadcast,
    inner: NodeId,
    index: NodeId,
) -> NodeId {
    let positions = b.dims(index);
    let rest: Vec<usize> = (0..stretch.dims.len())
        .filter(|k| *k != gather.axis && !gather.batch.iter().any(|(axis, _)| axis == k))
        .collect();
    let source = |axis: usize| stretch.axes.iter().position(|a| *a == axis);
    let mut map: Vec<Option<usize>> = (0..positions.len())
        .map(|k| gather.batch.iter().find(|(_, i)| *i == k).and_then(|(axis, _)| source(*axis)))
        .collect();
    map.extend(rest.iter().map(|axis| source(*axis)));
    let mut dims = positions;
    dims.extend(rest.iter().map(|axis| stretch.dims[*axis].clone()));
    arranged(b, inner, &map, &dims)
}

/// `log (softplus x)`; below the point where softplus is the exponential to the last bit, `x` itself.
fn log_softplus(b: &mut Builder, x: NodeId) -> NodeId {
    let low = b.full_like(x, -40.0);
    let zero = b.full_like(x, 0.0);
    let below = b.less(x, low);
    let safe = b.select(below, zero, x);
    let s = b.softplus(safe);
    let l = b.log(s);
    b.select(below, x, l)
}

/// `t · log p` for a log-softmax `log p = z - m - log s`, computed at half scale: `log p` may overflow where `t · log p`
/// does not, and `0 · inf` is no number. Halving and doubling are exact.
pub(super) fn weighted(b: &mut Builder, t: NodeId, l: NodeId) -> Option<NodeId> {
    if splat(b, t).is_some() {
        return None;
    }
    if let Some(inner) = operand(b, l, |op| matches!(op, Op::Neg(_))) {
        let product = weighted(b, t, inner)?;
        return Some(b.neg(product));
    }
    let (v, stretched) = operands2(b, l, |op| matches!(op, Op::Sub(_)))?;
    let (logarithm, path) = unmoved(b, stretched);
    let total = operand(b, logarithm, |op| matches!(op, Op::Log(_)))?;
    let Op::ReduceSum(sum) = b.graph().op(total).clone() else { return None };
    if exp_of(b, b.graph().operands(total)[0])? != v {
        return None;
    }
    let (z, m) = shift_of(b, v, &sum.axes)?;
    let dims = b.dims(z);
    let half = |b: &mut Builder, x: NodeId| {
        let c = b.full_like(x, 0.5);
        b.mul(x, c)
    };
    let (half_z, half_m, half_log) = (half(b, z), half(b, m), half(b, logarithm));
    let half_m = b.broadcast_over(half_m, &sum.axes, &dims);
    let half_log = super::moved(b, half_log, &path);
    let shifted = b.sub(half_z, half_m);
    let halved = b.sub(shifted, half_log);
    let product = b.mul(t, halved);
    let two = b.full_like(product, 2.0);
    Some(b.mul(product, two))
}
