//! Comparisons. Each is false if either operand is NaN; the two zeros are equal.

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, DType, NodeId, ScalarOp};

/// a < b.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Less;

/// a ≤ b.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct LessEqual;

/// a = b.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Equal;

fn draws() -> Vec<Vec<Draw>> {
    vec![vec![Draw::Distinct(0.25), Draw::Distinct(0.75)]]
}

impl Elementwise for Less {
    const NAME: &'static str = "less";
    const RULE: Rule = Rule::Comparison;

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Less
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        f64::from(x[0] < x[1])
    }

    fn chain(&self, _: &mut Builder, _: Applied<'_>, _: usize, _: NodeId) -> Option<NodeId> {
        None
    }

    /// x < x is false.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        let dims = b.dims(x[0]);
        (x[0] == x[1]).then(|| {
            let never = b.constant(DType::Bool, 0.0);
            b.fill(never, &dims)
        })
    }

    fn draws() -> Vec<Vec<Draw>> {
        draws()
    }
}

impl Elementwise for LessEqual {
    const NAME: &'static str = "less_equal";
    const RULE: Rule = Rule::Comparison;

    fn scalar(&self) -> ScalarOp {
        ScalarOp::LessEqual
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        f64::from(x[0] <= x[1])
    }

    fn chain(&self, _: &mut Builder, _: Applied<'_>, _: usize, _: NodeId) -> Option<NodeId> {
        None
    }

    /// None: x ≤ x is false where x is NaN.
    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn draws() -> Vec<Vec<Draw>> {
        draws()
    }
}

impl Elementwise for Equal {
    const NAME: &'static str = "equal";
    const RULE: Rule = Rule::Comparison;

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Equal
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        f64::from(x[0] == x[1])
    }

    fn chain(&self, _: &mut Builder, _: Applied<'_>, _: usize, _: NodeId) -> Option<NodeId> {
        None
    }

    /// None: x = x is false where x is NaN.
    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn draws() -> Vec<Vec<Draw>> {
        draws()
    }
}
