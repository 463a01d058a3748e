//! Square root.

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, ScalarOp};
use crate::scalar::Function;

/// √x; NaN below 0. Its derivative at 0 is 0, not ∞, so that the gradient of a norm at 0 is 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Sqrt;

impl Elementwise for Sqrt {
    const NAME: &'static str = "sqrt";
    const RULE: Rule = Rule::Floats(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Function(Function::Sqrt)
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0].sqrt()
    }

    /// 1/(2√x), but 0 at 0.
    fn chain(&self, b: &mut Builder, at: Applied<'_>, _: usize, seed: NodeId) -> Option<NodeId> {
        let zero = b.full_like(seed, 0.0);
        let at_zero = b.equal(at.operands[0], zero);
        let twice = b.add(at.result, at.result);
        let term = b.div(seed, twice);
        Some(b.select(at_zero, zero, term))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(0.3, 3.0)]]
    }
}
