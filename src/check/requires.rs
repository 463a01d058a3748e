//! Conditions that a definition sets on its sizes and options, and whether an application known when checking meets them.
//!
//! Where sizes are not yet numbers, the condition is looked at again when the definition is expanded.

use super::scope::Checker;
use super::shape::Substitution;
use super::typed::{Definition, Element, Expr, ExprKind, Known, LocalId, Origin, Relation, Require, Type};
use crate::ir::{Op, Size};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, BinaryOp, ExprKind as Ast};

impl Checker<'_> {
    /// `requires G divides C, drop < 1`
    pub fn requires(&mut self, d: &ast::Definition) -> Vec<Require> {
        d.requires.iter().filter_map(|written| self.require(written)).collect()
    }

    fn require(&mut self, written: &ast::Require) -> Option<Require> {
        let (relation, left, right) = match (&written.value.kind, &written.divides) {
            (_, Some(whole)) => (Relation::Divides, &written.value, whole),
            (Ast::Binary { op, left, right }, None) => {
                let relation = match op {
                    BinaryOp::Lt => Relation::Less,
                    BinaryOp::Le => Relation::LessEqual,
                    BinaryOp::Gt => Relation::Greater,
                    BinaryOp::Ge => Relation::GreaterEqual,
                    BinaryOp::Eq => Relation::Equal,
                    BinaryOp::Ne => Relation::Unequal,
                    _ => return self.no_comparison(&written.value),
                };
                (relation, &**left, &**right)
            }
            _ => return self.no_comparison(&written.value),
        };
        let text = match relation {
            Relation::Divides => format!("{left} divides {right}"),
            _ => written.value.to_string(),
        };
        let (left, right) = (self.quantity(left)?, self.quantity(right)?);
        Some(Require { relation, left, right, span: written.span, text })
    }

    fn no_comparison<T>(&mut self, e: &ast::Expr) -> Option<T> {
        let error = Diagnostic::new(codes::WRONG_TYPE, "what is required is a comparison")
            .at(e.span, "this is none")
            .help("write `requires G divides C, 0 <= drop, drop < 1`");
        self.report(error);
        None
    }

    /// A number made of sizes and options.
    fn quantity(&mut self, e: &ast::Expr) -> Option<Expr> {
        let value = self.expression(e);
        if value.ty.is_error() {
            return None;
        }
        match self.stray(&value) {
            None => Some(value),
            Some(stray) => {
                let error = Diagnostic::new(codes::WRONG_TYPE, "a definition requires something of sizes and options")
                    .at(stray, "this is something else")
                    .help("name sizes, options that are numbers, constants, and + - * / ^ floor");
                self.report(error);
                None
            }
        }
    }

    /// The part of a value that is neither a number nor a size nor an option nor arithmetic.
    fn stray(&self, e: &Expr) -> Option<Span> {
        let number = matches!(&e.ty, Type::Tensor(t) if t.axes.is_empty() && t.element != Element::Bool);
        match &e.kind {
            _ if !number => Some(e.span),
            ExprKind::Number(_) | ExprKind::SizeValue(_) => None,
            ExprKind::Local(local) if self.local(*local).origin == Origin::Option => None,
            ExprKind::Convert(value) => self.stray(value),
            ExprKind::Elementwise {
                op: Op::Add(_) | Op::Sub(_) | Op::Mul(_) | Op::Div(_) | Op::Pow(_) | Op::Neg(_) | Op::Floor(_),
                operands,
            } => operands.iter().find_map(|o| self.stray(o)),
            _ => Some(e.span),
        }
    }

    /// Whether an application is known to break a condition, which is then reported.
    pub fn breaks(&mut self, callee: &Definition, s: &Substitution, options: &[Option<Expr>], span: Span) -> bool {
        let size = |size: &Size| s.size(size).as_constant();
        let nothing = Known { size: &Size::as_constant, option: &|_| None };
        let option = |local: LocalId| {
            let at = callee.options.iter().position(|o| o.local == local)?;
            match options.get(at)?.as_ref() {
                Some(given) => nothing.value(given),
                None => callee.options[at].default.as_ref().and_then(|default| nothing.value(default)),
            }
        };
        let known = Known { size: &size, option: &option };
        let Some(broken) = callee.requires.iter().find(|r| r.holds(&known) == Some(false)) else { return false };
        let error = broken_requirement(callee, broken, &known, span);
        self.report(error);
        true
    }
}

/// The error of an application that breaks a condition of the definition.
pub fn broken_requirement(callee: &Definition, broken: &Require, known: &Known, span: Span) -> Diagnostic {
    let values: Vec<String> = broken
        .mentioned()
        .into_iter()
        .filter_map(|e| {
            let name = match &e.kind {
                ExprKind::SizeValue(size) => size.to_string(),
                ExprKind::Local(local) => callee.local(*local).name.clone(),
                _ => return None,
            };
            Some(format!("{name} is {}", known.value(e)?))
        })
        .collect();
    let here = if values.is_empty() { "not so here".into() } else { format!("here {}", values.join(" and ")) };
    Diagnostic::new(codes::REQUIRED, format!("`{}` requires {}", callee.name, broken.text))
        .at(span, here)
        .at(broken.span, "required here")
}
