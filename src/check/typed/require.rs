//! What a definition requires of its sizes and options, and whether that holds.

use super::{Expr, ExprKind, LocalId};
use crate::ir::{Op, Size};
use crate::source::Span;

/// A condition on sizes and options, which must hold wherever the definition is applied.
#[derive(Clone, Debug)]
pub struct Require {
    pub relation: Relation,
    /// Made of numbers, sizes, options and arithmetic, as is `right`.
    pub left: Expr,
    pub right: Expr,
    pub span: Span,
    /// As it is written.
    pub text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relation {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    Unequal,
    Divides,
}

impl Relation {
    fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Relation::Less => a < b,
            Relation::LessEqual => a <= b,
            Relation::Greater => a > b,
            Relation::GreaterEqual => a >= b,
            Relation::Equal => a == b,
            Relation::Unequal => a != b,
            Relation::Divides => a != 0.0 && b % a == 0.0,
        }
    }
}

/// What is known where a definition is applied.
pub struct Known<'k> {
    pub size: &'k dyn Fn(&Size) -> Option<u64>,
    pub option: &'k dyn Fn(LocalId) -> Option<f64>,
}

impl Require {
    /// Whether the condition holds; `None` if that is not known.
    pub fn holds(&self, known: &Known) -> Option<bool> {
        Some(self.relation.holds(known.value(&self.left)?, known.value(&self.right)?))
    }

    /// The sizes and options it mentions, each once, in order.
    pub fn mentioned(&self) -> Vec<&Expr> {
        let mut found: Vec<&Expr> = Vec::new();
        leaves(&self.left, &mut found);
        leaves(&self.right, &mut found);
        found
    }
}

fn leaves<'e>(e: &'e Expr, found: &mut Vec<&'e Expr>) {
    let same = |a: &Expr, b: &Expr| match (&a.kind, &b.kind) {
        (ExprKind::SizeValue(a), ExprKind::SizeValue(b)) => a == b,
        (ExprKind::Local(a), ExprKind::Local(b)) => a == b,
        _ => false,
    };
    match &e.kind {
        ExprKind::SizeValue(_) | ExprKind::Local(_) if !found.iter().any(|known| same(known, e)) => found.push(e),
        ExprKind::Elementwise { operands, .. } => operands.iter().for_each(|o| leaves(o, found)),
        ExprKind::Convert(value) => leaves(value, found),
        _ => {}
    }
}

impl Known<'_> {
    /// The value of a number made of sizes and options.
    pub fn value(&self, e: &Expr) -> Option<f64> {
        match &e.kind {
            ExprKind::Number(value) => Some(*value),
            ExprKind::SizeValue(size) => (self.size)(size).map(|n| n as f64),
            ExprKind::Local(local) => (self.option)(*local),
            ExprKind::Convert(value) => self.value(value),
            ExprKind::Elementwise { op, operands } => {
                let values = operands.iter().map(|o| self.value(o)).collect::<Option<Vec<f64>>>()?;
                match (op, values.as_slice()) {
                    (Op::Add(_), [a, b]) => Some(a + b),
                    (Op::Sub(_), [a, b]) => Some(a - b),
                    (Op::Mul(_), [a, b]) => Some(a * b),
                    (Op::Div(_), [a, b]) => Some(a / b),
                    (Op::Pow(_), [a, b]) => Some(a.powf(*b)),
                    (Op::Neg(_), [a]) => Some(-a),
                    (Op::Floor(_), [a]) => Some(a.floor()),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Relation;

    #[test]
    fn divisors_leave_no_rest_and_are_not_zero() {
        assert!(Relation::Divides.holds(4.0, 12.0) && Relation::Divides.holds(4.0, 0.0));
        assert!(!Relation::Divides.holds(5.0, 12.0) && !Relation::Divides.holds(0.0, 12.0));
        assert!(!Relation::Less.holds(f64::NAN, 1.0));
    }
}
