//! Negation.

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, Op, ScalarOp};

/// -x: the sign flipped, also of zeros.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Neg;

impl Elementwise for Neg {
    const NAME: &'static str = "neg";
    const RULE: Rule = Rule::Numbers(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Neg
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        -x[0]
    }

    fn chain(&self, b: &mut Builder, _: Applied<'_>, _: usize, seed: NodeId) -> Option<NodeId> {
        Some(b.neg(seed))
    }

    /// --x = x. Not -(a - b) = b - a, which differs at a = b.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        matches!(b.graph().op(x[0]), Op::Neg(Neg)).then(|| b.graph().operands(x[0])[0])
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(-2.0, 2.0)]]
    }
}
