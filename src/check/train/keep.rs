//! `keep`: a constraint by name, or as the inequality it stands for.

use super::super::scope::Checker;
use super::super::typed::{AxisRole, Condition, ExprKind, Keep, Kind, Selection};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, BinaryOp, ExprKind as Ast, OverAxis};

const FORMS: &str = "write a constraint such as `max_norm(bound: 3)`, or `norm(W over fan_in) <= 3`, `norm(W) == 1`, `W >= 0`, `W <= 1`";

impl Checker<'_> {
    pub(super) fn keep(&mut self, e: &ast::Expr, sets: &[ast::Expr], span: Span) -> Option<Keep> {
        let of = if sets.is_empty() { None } else { Some(self.selection(sets)?) };
        let (subject, condition) = match &e.kind {
            Ast::Binary { op, left, right } => self.inequality(*op, left, right, e.span)?,
            Ast::Name(_) | Ast::Call { .. } | Ast::Field { .. } => {
                (None, Condition::Call(self.rule_call(e, e.span, Kind::Constraint)?))
            }
            _ => return self.no_condition(e.span, "this is none of them"),
        };
        if let (Some(subject), Some(of)) = (&subject, &of) {
            let error =
                Diagnostic::new(codes::BAD_CONSTRAINT, "this constraint says twice of which parameters it holds")
                    .at(of.span, "here")
                    .at(subject.span, "and here")
                    .help("call the tensor by a free name: `keep W >= 0 for weights`");
            self.report(error);
            return None;
        }
        Some(Keep { span, of: of.or(subject), condition })
    }

    /// `norm(W over fan_in) <= b` and its kin: of which parameters, if the left side names any, and what.
    fn inequality(
        &mut self,
        op: BinaryOp,
        left: &ast::Expr,
        right: &ast::Expr,
        span: Span,
    ) -> Option<(Option<Selection>, Condition)> {
        if !matches!(op, BinaryOp::Le | BinaryOp::Ge | BinaryOp::Eq) {
            return self.no_condition(span, &format!("`{}` is no condition that a projection can keep", op.symbol()));
        }
        let norm = match &left.kind {
            Ast::Call { callee, args, over } if callee.as_name() == Some("norm") => match args.as_slice() {
                [arg] if arg.name.is_none() => Some((&arg.value, over.as_ref())),
                _ => return self.no_condition(left.span, "`norm` takes one tensor"),
            },
            _ => None,
        };
        let subject = self.subject(norm.map_or(left, |(inner, _)| inner))?;
        let bound = self.scalar(right, "a bound");
        if bound.ty.is_error() {
            return None;
        }
        let condition = match (norm, op) {
            (Some((_, over)), BinaryOp::Le | BinaryOp::Eq) => {
                let roles = over.map_or(&[][..], |over| &over.axes).iter().map(|axis| match axis {
                    OverAxis::Label(name) => AxisRole::Label(name.text.as_str().into()),
                    OverAxis::Pack(_) => AxisRole::Others,
                });
                Condition::Norm { over: roles.collect(), equal: op == BinaryOp::Eq, bound }
            }
            (None, BinaryOp::Ge) => Condition::AtLeast(bound),
            (None, BinaryOp::Le) => Condition::AtMost(bound),
            (Some(_), _) => return self.no_condition(span, "a norm can be kept below a bound, or at it"),
            (None, _) => return self.no_condition(span, "what is kept at a value is not trained"),
        };
        Some((subject, condition))
    }

    /// What an inequality is about: a free name stands for each tensor of the set after `for`.
    fn subject(&mut self, e: &ast::Expr) -> Option<Option<Selection>> {
        if let Some(name) = e.as_name()
            && self.lookup(name).is_none()
            && self.global(name).is_none()
            && !self.is_set_word(name)
        {
            return Some(None);
        }
        match self.selection_expression(e).map(|set| set.kind) {
            Some(ExprKind::Selection(selection)) => Some(Some(selection)),
            Some(_) => None,
            None => self.no_condition(e.span, "this is no parameter and no free name"),
        }
    }

    fn no_condition<T>(&mut self, span: Span, why: &str) -> Option<T> {
        let error = Diagnostic::new(codes::BAD_CONSTRAINT, "this cannot be kept").at(span, why).help(FORMS);
        self.report(error);
        None
    }
}
