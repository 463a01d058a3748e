//! The exponential function and its relative exp(x) - 1.

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, ScalarOp};
use crate::scalar::Function;

/// e^x.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Exp;

/// e^x - 1, exact near 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Expm1;

impl Elementwise for Exp {
    const NAME: &'static str = "exp";
    const RULE: Rule = Rule::Floats(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Function(Function::Exp)
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0].exp()
    }

    /// e^x.
    fn chain(&self, b: &mut Builder, at: Applied<'_>, _: usize, seed: NodeId) -> Option<NodeId> {
        Some(b.mul(seed, at.result))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(-2.0, 2.0)]]
    }
}

impl Elementwise for Expm1 {
    const NAME: &'static str = "expm1";
    const RULE: Rule = Rule::Floats(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Function(Function::Expm1)
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0].exp_m1()
    }

    /// e^x.
    fn chain(&self, b: &mut Builder, at: Applied<'_>, _: usize, seed: NodeId) -> Option<NodeId> {
        let slope = b.exp(at.operands[0]);
        Some(b.mul(seed, slope))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(-2.0, 2.0)]]
    }
}
