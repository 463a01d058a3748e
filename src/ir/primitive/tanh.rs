//! The hyperbolic tangent.

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, ScalarOp};
use crate::scalar::Function;

/// tanh x.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Tanh;

impl Elementwise for Tanh {
    const NAME: &'static str = "tanh";
    const RULE: Rule = Rule::Floats(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Function(Function::Tanh)
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0].tanh()
    }

    /// 1 - tanh²x.
    fn chain(&self, b: &mut Builder, at: Applied<'_>, _: usize, seed: NodeId) -> Option<NodeId> {
        let one = b.full_like(seed, 1.0);
        let square = b.mul(at.result, at.result);
        let slope = b.sub(one, square);
        Some(b.mul(seed, slope))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(-2.0, 2.0)]]
    }
}
