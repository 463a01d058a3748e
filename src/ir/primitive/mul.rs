//! Product.

use super::elementwise::{Elementwise, Rule};
use super::{Applied, Neg};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, Op, ScalarOp};

/// a · b.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Mul;

impl Elementwise for Mul {
    const NAME: &'static str = "mul";
    const RULE: Rule = Rule::Numbers(2);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Mul
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0] * x[1]
    }

    fn chain(&self, b: &mut Builder, at: Applied<'_>, k: usize, seed: NodeId) -> Option<NodeId> {
        Some(b.mul(seed, at.operands[1 - k]))
    }

    /// x · 1 = x; x · -1 = -x; -x · -y = x · y. Not x · 0 = 0, which is NaN at infinities.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        for (factor, other) in [(x[1], x[0]), (x[0], x[1])] {
            match b.constant_value(factor) {
                Some(1.0) => return Some(other),
                Some(-1.0) => return Some(b.neg(other)),
                _ => {}
            }
        }
        match (b.graph().op(x[0]), b.graph().op(x[1])) {
            (Op::Neg(Neg), Op::Neg(Neg)) => {
                let inner = x.iter().map(|x| b.graph().operands(*x)[0]).collect::<Vec<_>>();
                Some(b.mul(inner[0], inner[1]))
            }
            _ => None,
        }
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(-2.0, 2.0), Draw::Uniform(-2.0, 2.0)]]
    }
}
