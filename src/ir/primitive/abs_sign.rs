//! Magnitude and sign.

use super::elementwise::{Elementwise, Rule};
use super::{Applied, Neg};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, Op, ScalarOp};
use crate::scalar::Function;

/// |x|. Its derivative at 0 is 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Abs;

/// 1 or -1 with the sign of x; x itself where it is 0, -0 or NaN. Its derivative is 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Sign;

impl Elementwise for Abs {
    const NAME: &'static str = "abs";
    const RULE: Rule = Rule::Numbers(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Abs
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0].abs()
    }

    /// sign(x).
    fn chain(&self, b: &mut Builder, at: Applied<'_>, _: usize, seed: NodeId) -> Option<NodeId> {
        let sign = b.sign(at.operands[0]);
        Some(b.mul(seed, sign))
    }

    /// |-x| = |x|.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        match b.graph().op(x[0]) {
            Op::Neg(Neg) => {
                let inner = b.graph().operands(x[0])[0];
                Some(b.abs(inner))
            }
            Op::Abs(Abs) => Some(x[0]),
            _ => None,
        }
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Away(-2.0, 2.0, &[0.0])]]
    }
}

impl Elementwise for Sign {
    const NAME: &'static str = "sign";
    const RULE: Rule = Rule::Numbers(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Function(Function::Sign)
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        if x[0] == 0.0 || x[0].is_nan() { x[0] } else { x[0].signum() }
    }

    fn chain(&self, _: &mut Builder, _: Applied<'_>, _: usize, _: NodeId) -> Option<NodeId> {
        None
    }

    /// sign(sign(x)) = sign(x).
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        matches!(b.graph().op(x[0]), Op::Sign(Sign)).then_some(x[0])
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Away(-2.0, 2.0, &[0.0])]]
    }
}
