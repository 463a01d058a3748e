//! The larger and the smaller of two.

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, ScalarOp};

/// `b` if `a < b` or `b` is NaN, else `a`: NaN if either is. The derivative goes to `a` where `a > b` and to `b`
/// otherwise, so max(x, 0) has derivative 0 at 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Maximum;

/// `b` if `b < a` or `b` is NaN, else `a`: NaN if either is. The derivative goes to `a` where `a < b` and to `b` otherwise.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Minimum;

fn draws() -> Vec<Vec<Draw>> {
    vec![vec![Draw::Distinct(0.25), Draw::Distinct(0.75)]]
}

/// All goes to the first operand where it is chosen, else to the second.
fn of_chosen(b: &mut Builder, first: NodeId, k: usize, seed: NodeId) -> NodeId {
    let zero = b.full_like(seed, 0.0);
    if k == 0 { b.select(first, seed, zero) } else { b.select(first, zero, seed) }
}

impl Elementwise for Maximum {
    const NAME: &'static str = "maximum";
    const RULE: Rule = Rule::Numbers(2);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Maximum
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        if x[0] < x[1] || x[1].is_nan() { x[1] } else { x[0] }
    }

    fn chain(&self, b: &mut Builder, at: Applied<'_>, k: usize, seed: NodeId) -> Option<NodeId> {
        let first = b.less(at.operands[1], at.operands[0]);
        Some(of_chosen(b, first, k, seed))
    }

    /// max(x, x) = x.
    fn simplify(&self, _: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        (x[0] == x[1]).then_some(x[0])
    }

    fn draws() -> Vec<Vec<Draw>> {
        draws()
    }
}

impl Elementwise for Minimum {
    const NAME: &'static str = "minimum";
    const RULE: Rule = Rule::Numbers(2);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Minimum
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        if x[1] < x[0] || x[1].is_nan() { x[1] } else { x[0] }
    }

    fn chain(&self, b: &mut Builder, at: Applied<'_>, k: usize, seed: NodeId) -> Option<NodeId> {
        let first = b.less(at.operands[0], at.operands[1]);
        Some(of_chosen(b, first, k, seed))
    }

    /// min(x, x) = x.
    fn simplify(&self, _: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        (x[0] == x[1]).then_some(x[0])
    }

    fn draws() -> Vec<Vec<Draw>> {
        draws()
    }
}
