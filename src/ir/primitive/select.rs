//! Choice by element.

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, Op, ScalarOp};

/// `condition ? a : b` per element. Cotangents are selected too, so nothing reaches the branch not taken but zeros;
/// reverse mode keeps those zeros zero (see [`crate::autodiff`]).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Select;

impl Elementwise for Select {
    const NAME: &'static str = "select";
    const RULE: Rule = Rule::Choice;

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Select
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        if x[0] != 0.0 { x[1] } else { x[2] }
    }

    fn chain(&self, b: &mut Builder, at: Applied<'_>, k: usize, seed: NodeId) -> Option<NodeId> {
        let condition = at.operands[0];
        match k {
            0 => None,
            1 => {
                let zero = b.full_like(seed, 0.0);
                Some(b.select(condition, seed, zero))
            }
            _ => {
                let zero = b.full_like(seed, 0.0);
                Some(b.select(condition, zero, seed))
            }
        }
    }

    /// c ? x : x = x; true ? a : b = a; false ? a : b = b; not c ? a : b = c ? b : a.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        if x[1] == x[2] {
            return Some(x[1]);
        }
        if let Some(c) = b.constant_value(x[0]) {
            return Some(if c != 0.0 { x[1] } else { x[2] });
        }
        if let Op::Not(_) = b.graph().op(x[0]) {
            let condition = b.graph().operands(x[0])[0];
            return Some(b.select(condition, x[2], x[1]));
        }
        None
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Bool, Draw::Uniform(-2.0, 2.0), Draw::Uniform(-2.0, 2.0)]]
    }
}
