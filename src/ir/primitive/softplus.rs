//! The softplus function, a smooth max(x, 0).

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, ScalarOp};
use crate::scalar::Function;

/// log(1 + e^x), written so that nothing overflows.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Softplus;

impl Elementwise for Softplus {
    const NAME: &'static str = "softplus";
    const RULE: Rule = Rule::Floats(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Function(Function::Softplus)
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0].max(0.0) + (-x[0].abs()).exp().ln_1p()
    }

    /// σ(x).
    fn chain(&self, b: &mut Builder, at: Applied<'_>, _: usize, seed: NodeId) -> Option<NodeId> {
        let slope = b.sigmoid(at.operands[0]);
        Some(b.mul(seed, slope))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(-3.0, 3.0)]]
    }
}
