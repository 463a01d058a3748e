//! Sine and cosine.

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, ScalarOp};
use crate::scalar::Function;

/// sin x, x in radians.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Sin;

/// cos x, x in radians.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Cos;

impl Elementwise for Sin {
    const NAME: &'static str = "sin";
    const RULE: Rule = Rule::Floats(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Function(Function::Sin)
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0].sin()
    }

    /// cos x.
    fn chain(&self, b: &mut Builder, at: Applied<'_>, _: usize, seed: NodeId) -> Option<NodeId> {
        let slope = b.cos(at.operands[0]);
        Some(b.mul(seed, slope))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(-3.0, 3.0)]]
    }
}

impl Elementwise for Cos {
    const NAME: &'static str = "cos";
    const RULE: Rule = Rule::Floats(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Function(Function::Cos)
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0].cos()
    }

    /// -sin x.
    fn chain(&self, b: &mut Builder, at: Applied<'_>, _: usize, seed: NodeId) -> Option<NodeId> {
        let sine = b.sin(at.operands[0]);
        let slope = b.neg(sine);
        Some(b.mul(seed, slope))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(-3.0, 3.0)]]
    }
}
