//! Sum and difference.

use super::elementwise::{Elementwise, Rule};
use super::{Applied, Neg};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, Op, ScalarOp};

/// a + b.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Add;

/// a - b.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Sub;

/// The operand of a negation.
fn negated(b: &Builder, x: NodeId) -> Option<NodeId> {
    matches!(b.graph().op(x), Op::Neg(Neg)).then(|| b.graph().operands(x)[0])
}

impl Elementwise for Add {
    const NAME: &'static str = "add";
    const RULE: Rule = Rule::Numbers(2);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Add
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0] + x[1]
    }

    fn chain(&self, _: &mut Builder, _: Applied<'_>, _: usize, seed: NodeId) -> Option<NodeId> {
        Some(seed)
    }

    /// x + -0 = x (but not x + 0, which turns -0 into 0); x + -y = x - y.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        let float = b.ty(x[0]).dtype.is_float();
        let nothing = |c: f64| c == 0.0 && (c.is_sign_negative() || !float);
        match (b.constant_value(x[0]), b.constant_value(x[1])) {
            (_, Some(c)) if nothing(c) => return Some(x[0]),
            (Some(c), _) if nothing(c) => return Some(x[1]),
            _ => {}
        }
        match (negated(b, x[0]), negated(b, x[1])) {
            (_, Some(y)) => Some(b.sub(x[0], y)),
            (Some(y), _) => Some(b.sub(x[1], y)),
            _ => None,
        }
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(-2.0, 2.0), Draw::Uniform(-2.0, 2.0)]]
    }
}

impl Elementwise for Sub {
    const NAME: &'static str = "sub";
    const RULE: Rule = Rule::Numbers(2);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Sub
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0] - x[1]
    }

    fn chain(&self, b: &mut Builder, _: Applied<'_>, k: usize, seed: NodeId) -> Option<NodeId> {
        Some(if k == 0 { seed } else { b.neg(seed) })
    }

    /// x - 0 = x; -0 - x = -x; x - -y = x + y.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        let float = b.ty(x[0]).dtype.is_float();
        match (b.constant_value(x[0]), b.constant_value(x[1])) {
            (_, Some(c)) if c == 0.0 && (c.is_sign_positive() || !float) => return Some(x[0]),
            (Some(c), _) if c == 0.0 && (c.is_sign_negative() || !float) => return Some(b.neg(x[1])),
            _ => {}
        }
        negated(b, x[1]).map(|y| b.add(x[0], y))
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(-2.0, 2.0), Draw::Uniform(-2.0, 2.0)]]
    }
}
