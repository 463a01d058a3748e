//! The natural logarithm and its relative log(1 + x).

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, ScalarOp};
use crate::scalar::Function;

/// log x; -∞ at 0, NaN below.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Log;

/// log(1 + x), exact near 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Log1p;

impl Elementwise for Log {
    const NAME: &'static str = "log";
    const RULE: Rule = Rule::Floats(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Function(Function::Log)
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0].ln()
    }

    /// 1/x.
    fn chain(&self, b: &mut Builder, at: Applied<'_>, _: usize, seed: NodeId) -> Option<NodeId> {
        Some(b.div(seed, at.operands[0]))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(0.3, 3.0)]]
    }
}

impl Elementwise for Log1p {
    const NAME: &'static str = "log1p";
    const RULE: Rule = Rule::Floats(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Function(Function::Log1p)
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0].ln_1p()
    }

    /// 1/(1 + x).
    fn chain(&self, b: &mut Builder, at: Applied<'_>, _: usize, seed: NodeId) -> Option<NodeId> {
        let one = b.full_like(seed, 1.0);
        let shifted = b.add(one, at.operands[0]);
        Some(b.div(seed, shifted))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(-0.6, 2.0)]]
    }
}
