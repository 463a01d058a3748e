//! The error function.

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, ScalarOp};
use crate::scalar::Function;

/// 2/√π·∫₀ˣ e^(-t²) dt.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Erf;

impl Elementwise for Erf {
    const NAME: &'static str = "erf";
    const RULE: Rule = Rule::Floats(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Function(Function::Erf)
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        erf(x[0])
    }

    /// 2/√π·e^(-x²).
    fn chain(&self, b: &mut Builder, at: Applied<'_>, _: usize, seed: NodeId) -> Option<NodeId> {
        let square = b.mul(at.operands[0], at.operands[0]);
        let exponent = b.neg(square);
        let bell = b.exp(exponent);
        let scale = b.full_like(seed, std::f64::consts::FRAC_2_SQRT_PI);
        let slope = b.mul(scale, bell);
        Some(b.mul(seed, slope))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Uniform(-2.0, 2.0)]]
    }
}

/// 2/√π·e^(-x²)·Σ 2ⁿx^(2n+1)/(1·3·…·(2n+1)): all terms of one sign, so nothing cancels (Abramowitz and Stegun 7.1.6).
fn erf(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 {
        return x;
    }
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > 1e-18 * sum.abs() {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}
