//! Quotient.

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, DType, NodeId, ScalarOp};

/// a / b.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Div;

/// Whether `c` and `1 / c` are powers of two and normal numbers of the type, so that both ways are rounded alike.
fn has_exact_reciprocal(dtype: DType, c: f64) -> bool {
    let limit = if dtype == DType::F32 { 126 } else { 1022 };
    (-limit..=limit).contains(&(c.abs().log2().round() as i32)) && c.abs() == c.abs().log2().round().exp2()
}

impl Elementwise for Div {
    const NAME: &'static str = "div";
    const RULE: Rule = Rule::Floats(2);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Div
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0] / x[1]
    }

    /// ∂/∂a = 1/b; ∂/∂b = -(a/b)/b.
    fn chain(&self, b: &mut Builder, at: Applied<'_>, k: usize, seed: NodeId) -> Option<NodeId> {
        let scaled = b.div(seed, at.operands[1]);
        if k == 0 {
            return Some(scaled);
        }
        let product = b.mul(scaled, at.result);
        Some(b.neg(product))
    }

    /// x / c = x · (1/c) where c is a power of two.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        let c = b.constant_value(x[1])?;
        match c {
            1.0 => Some(x[0]),
            -1.0 => Some(b.neg(x[0])),
            c if has_exact_reciprocal(b.ty(x[0]).dtype, c) => {
                let reciprocal = b.full_like(x[0], 1.0 / c);
                Some(b.mul(x[0], reciprocal))
            }
            _ => None,
        }
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![
            vec![Draw::Uniform(-2.0, 2.0), Draw::Uniform(0.5, 2.0)],
            vec![Draw::Uniform(-2.0, 2.0), Draw::Uniform(-2.0, -0.5)],
        ]
    }
}
