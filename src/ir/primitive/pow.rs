//! Power.

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, ScalarOp};

/// a ^ b, as IEEE 754 `pow`: x^0 = 1, and NaN where `a` is negative and `b` no integer.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Pow;

impl Elementwise for Pow {
    const NAME: &'static str = "pow";
    const RULE: Rule = Rule::Floats(2);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Pow
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0].powf(x[1])
    }

    /// ∂/∂a = b·a^(b-1), but 0 where a = 0 and b < 1; ∂/∂b = a^b·log a where a > 0, else 0.
    fn chain(&self, b: &mut Builder, at: Applied<'_>, k: usize, seed: NodeId) -> Option<NodeId> {
        let (base, exponent) = (at.operands[0], at.operands[1]);
        let zero = b.full_like(base, 0.0);
        if k == 1 {
            let positive = b.less(zero, base);
            let log = b.log(base);
            let slope = b.mul(at.result, log);
            let term = b.mul(seed, slope);
            return Some(b.select(positive, term, zero));
        }
        let one = b.full_like(base, 1.0);
        let known = b.constant_value(exponent);
        let power = match known {
            Some(2.0) => base,
            Some(c) => {
                let lower = b.full_like(base, c - 1.0);
                b.pow(base, lower)
            }
            None => {
                let lower = b.sub(exponent, one);
                b.pow(base, lower)
            }
        };
        let slope = b.mul(exponent, power);
        let term = b.mul(seed, slope);
        if known.is_some_and(|c| c >= 1.0) {
            return Some(term);
        }
        let (at_zero, steep) = (b.equal(base, zero), b.less(exponent, one));
        let pole = b.and(at_zero, steep);
        Some(b.select(pole, zero, term))
    }

    /// x^1 = x.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        (b.constant_value(x[1]) == Some(1.0)).then_some(x[0])
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(0.3, 2.0), Draw::Uniform(-2.0, 3.0)]]
    }
}
