//! The objective an optimizer gets: its value, gradient and Hessian at any point.

use super::application::Given;
use super::scope::{Binding, Checker, poison};
use super::typed::{Element, Expr, ExprKind, LocalId, Type};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast;

impl Checker<'_> {
    /// `J(p)`
    pub fn evaluate_objective(&mut self, objective: LocalId, given: &[Given], span: Span) -> Expr {
        let Some(at) = self.points(given, 1, span, "J(θ)") else { return poison(span) };
        let at = at.into_iter().next().map(Box::new);
        match at {
            Some(at) => Expr { kind: ExprKind::Evaluate { objective, at }, ty: Type::scalar(Element::Float), span },
            None => poison(span),
        }
    }

    /// `grad(J)(p)` and `hvp(J)(p, z)`
    pub fn objective_derivative(&mut self, word: &str, objective: &ast::Expr, given: &[Given], span: Span) -> Expr {
        let id = match objective.as_name().and_then(|n| self.lookup(n).cloned()) {
            Some((Binding::Local(id), _)) if self.local(id).ty == Type::Objective => id,
            Some((Binding::Error, _)) => return poison(span),
            _ => {
                if let Some(name) = objective.as_name()
                    && self.lookup(name).is_none()
                    && self.global(name).is_none()
                {
                    return self.unknown(name, objective.span);
                }
                let error = Diagnostic::new(codes::WRONG_TYPE, format!("`{word}(J)` takes the objective"))
                    .at(objective.span, "this is no objective")
                    .help("the first input of an optimizer is; a `fn` declares it: `fn f(J: objective, p: params)`");
                return self.fail(span, error);
            }
        };
        let (count, usage) = if word == "hvp" { (2, "hvp(J)(θ, z)") } else { (1, "grad(J)(θ)") };
        let Some(points) = self.points(given, count, span, usage) else { return poison(span) };
        let mut points = points.into_iter().map(Box::new);
        let kind = match (points.next(), points.next()) {
            (Some(at), Some(along)) => ExprKind::EvaluateHvp { objective: id, at, along },
            (Some(at), None) => ExprKind::EvaluateGrad { objective: id, at },
            _ => return poison(span),
        };
        Expr { kind, ty: Type::Set(Element::Float), span }
    }

    fn points(&mut self, given: &[Given], count: usize, span: Span, usage: &str) -> Option<Vec<Expr>> {
        if given.len() != count || given.iter().any(|(n, _)| n.is_some()) {
            self.check_all(given);
            let error = Diagnostic::new(codes::WRONG_ARGUMENTS, "the objective is evaluated at parameters")
                .at(span, format!("{} argument(s) given", given.len()))
                .help(format!("write `{usage}`"));
            self.report(error);
            return None;
        }
        let mut points = Vec::new();
        for (_, e) in given {
            let point = self.expression(e);
            match &point.ty {
                Type::Set(Element::Float) => points.push(point),
                Type::Error => return None,
                other => {
                    let error = Diagnostic::new(codes::WRONG_TYPE, "the objective is evaluated at parameters")
                        .at(point.span, format!("this is {}", self.describe(other)))
                        .help(format!("write `{usage}`, with a parameter set such as θ + α*v"));
                    self.report(error);
                    return None;
                }
            }
        }
        Some(points)
    }

    /// An argument where a parameter set is wanted: a set, names of parameters in `train`, or a tensor as a set of one.
    pub fn set_argument(&mut self, e: &ast::Expr) -> Expr {
        if let Some(selection) = self.selection_expression(e) {
            return selection;
        }
        let value = self.expression(e);
        match &value.ty {
            Type::Tensor(t) if t.element == Element::Float => {
                let span = value.span;
                Expr { kind: ExprKind::SetOf(Box::new(value)), ty: Type::Set(Element::Float), span }
            }
            _ => value,
        }
    }
}
