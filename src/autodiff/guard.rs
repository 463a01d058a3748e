//! Contributions that must stay zero where the cotangent is zero, below a select.
//!
//! `where(x > 0, log(x), 0)` at x = 0: the cotangent of the logarithm is 0 and 0/x is NaN. The guard replaces NaN at zero
//! cotangents only, so a derivative that is NaN for another reason stays NaN, and where the contribution is finite its own
//! derivative by the cotangent is unchanged.

use crate::ir::{Builder, NodeId, Op};

/// `cotangent = 0 and term is NaN ? 0 : term`, or `term` itself if that cannot happen.
pub(super) fn keep_zero(b: &mut Builder, cotangent: NodeId, term: NodeId) -> NodeId {
    if b.ty(cotangent) != b.ty(term) || preserves_zero(b, cotangent, term) {
        return term;
    }
    let zero = b.full_like(term, 0.0);
    let at_zero = b.equal(cotangent, zero);
    let number = b.equal(term, term);
    let nan = b.not(number);
    let spoiled = b.and(at_zero, nan);
    b.select(spoiled, zero, term)
}

/// Whether `term` is zero wherever `cotangent` is, because it is made from it by steps that turn zero into nothing else.
fn preserves_zero(b: &Builder, cotangent: NodeId, term: NodeId) -> bool {
    if term == cotangent {
        return true;
    }
    let graph = b.graph();
    let x = graph.operands(term);
    let preserves = |k: usize| preserves_zero(b, cotangent, x[k]);
    match graph.op(term) {
        Op::Neg(_) | Op::Convert(_) => preserves(0),
        Op::Mul(_) => (finite(b, x[1]) && preserves(0)) || (finite(b, x[0]) && preserves(1)),
        Op::Div(_) => b.constant_value(x[1]).is_some_and(|c| c != 0.0 && !c.is_nan()) && preserves(0),
        Op::Select(_) => [1, 2].into_iter().all(|k| b.constant_value(x[k]) == Some(0.0) || preserves(k)),
        _ => false,
    }
}

/// Whether the value is finite whatever the inputs are.
fn finite(b: &Builder, id: NodeId) -> bool {
    match b.graph().op(id) {
        Op::SizeOf(_) => true,
        Op::Broadcast(_) => finite(b, b.graph().operands(id)[0]),
        _ => b.constant_value(id).is_some_and(f64::is_finite),
    }
}
