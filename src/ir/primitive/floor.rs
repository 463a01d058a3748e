//! Rounding down.

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, Op, ScalarOp};
use crate::scalar::Function;

/// The largest integer not above x. Its derivative is 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Floor;

impl Elementwise for Floor {
    const NAME: &'static str = "floor";
    const RULE: Rule = Rule::Floats(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Function(Function::Floor)
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0].floor()
    }

    fn chain(&self, _: &mut Builder, _: Applied<'_>, _: usize, _: NodeId) -> Option<NodeId> {
        None
    }

    /// floor(floor(x)) = floor(x).
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        matches!(b.graph().op(x[0]), Op::Floor(Floor)).then_some(x[0])
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Away(-2.5, 2.5, &[-2.0, -1.0, 0.0, 1.0, 2.0])]]
    }
}
