//! Logic.

use super::Applied;
use super::elementwise::{Elementwise, Rule};
use crate::ir::sample::Draw;
use crate::ir::{Builder, NodeId, Op, ScalarOp};

/// Whether x does not hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Not;

/// Whether both hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct And;

/// Whether at least one holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Or;

/// The result of an operation that a constant `neutral` leaves alone and its opposite decides.
fn absorb(b: &Builder, x: &[NodeId], neutral: f64) -> Option<NodeId> {
    if x[0] == x[1] {
        return Some(x[0]);
    }
    [(x[0], x[1]), (x[1], x[0])]
        .into_iter()
        .find_map(|(constant, other)| b.constant_value(constant).map(|c| if c == neutral { other } else { constant }))
}

impl Elementwise for Not {
    const NAME: &'static str = "not";
    const RULE: Rule = Rule::Booleans(1);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Not
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        1.0 - x[0]
    }

    fn chain(&self, _: &mut Builder, _: Applied<'_>, _: usize, _: NodeId) -> Option<NodeId> {
        None
    }

    /// not not x = x.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        matches!(b.graph().op(x[0]), Op::Not(Not)).then(|| b.graph().operands(x[0])[0])
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Bool; 1]]
    }
}

impl Elementwise for And {
    const NAME: &'static str = "and";
    const RULE: Rule = Rule::Booleans(2);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::And
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0] * x[1]
    }

    fn chain(&self, _: &mut Builder, _: Applied<'_>, _: usize, _: NodeId) -> Option<NodeId> {
        None
    }

    /// x and true = x; x and false is false; x and x = x.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        absorb(b, x, 1.0)
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Bool; 2]]
    }
}

impl Elementwise for Or {
    const NAME: &'static str = "or";
    const RULE: Rule = Rule::Booleans(2);

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Or
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0].max(x[1])
    }

    fn chain(&self, _: &mut Builder, _: Applied<'_>, _: usize, _: NodeId) -> Option<NodeId> {
        None
    }

    /// x or false = x; x or true is true; x or x = x.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        absorb(b, x, 0.0)
    }

    fn draws() -> Vec<Vec<Draw>> {
        vec![vec![Draw::Bool; 2]]
    }
}
