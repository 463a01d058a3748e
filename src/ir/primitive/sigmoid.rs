//! The logistic function.

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, ScalarOp};
use crate::scalar::Function;

/// 1 / (1 + e^-x).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Sigmoid;

impl Elementwise for Sigmoid {
    const NAME: &'static str = "sigmoid";
    const RULE: Rule = Rule::Floats(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Function(Function::Sigmoid)
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        1.0 / (1.0 + (-x[0]).exp())
    }

    /// σ(x)·(1 - σ(x)).
    fn chain(&self, b: &mut Builder, at: Applied<'_>, _: usize, seed: NodeId) -> Option<NodeId> {
        let one = b.full_like(seed, 1.0);
        let rest = b.sub(one, at.result);
        let slope = b.mul(at.result, rest);
        Some(b.mul(seed, slope))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(-3.0, 3.0)]]
    }
}
