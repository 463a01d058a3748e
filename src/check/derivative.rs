//! Derivatives of functions: `grad(f)(x)`, `jvp(f)(x, v)`, `vjp(f)(x, u)`, `hvp(f)(x, v)`, `jacobian(f)(x per N)`,
//! `hessian(f)(x)`; and of numbers by a name, `hvp(e, x, v)` and `hessian(e, x)`.
//!
//! The argument becomes a local of its own, the target; everything after that is a derivative by it.

use super::application::Given;
use super::globals::Global;
use super::scope::{Binding, Checker, Scope, poison, tensor};
use super::shape::distinct_labels;
use super::typed::{Axis, Element, Expr, ExprKind, Kind, LocalId, Origin, ReduceOp, Statement, Type, same_extent};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, BinaryOp, ExprKind as Ast, OverAxis};

impl Checker<'_> {
    /// Whether a name means a function that can be differentiated.
    pub fn is_function(&self, e: &ast::Expr) -> bool {
        let Some(name) = e.as_name() else { return matches!(e.kind, Ast::Field { .. }) };
        match self.lookup(name) {
            Some((Binding::Local(id), _)) => matches!(self.local(*id).ty, Type::Function(_)),
            Some((Binding::Shared(_), _)) => true,
            Some(_) => false,
            None => matches!(self.global(name), Some(Global::Definition(id))
                if !matches!(self.globals.kind(id), Kind::Optimizer | Kind::Init)),
        }
    }

    pub fn function_derivative(
        &mut self,
        word: &str,
        f: &ast::Expr,
        given: &[Given],
        over: Option<&ast::Over>,
        span: Span,
    ) -> Expr {
        let (count, usage) = match word {
            "grad" => (1, "grad(f)(x)"),
            "jvp" => (2, "jvp(f)(x, v)"),
            "vjp" => (2, "vjp(f)(x, u)"),
            "hvp" => (2, "hvp(f)(x, v)"),
            "jacobian" => (1, "jacobian(f)(x)` or `jacobian(f)(x per N)"),
            _ => (1, "hessian(f)(x)"),
        };
        let rows = match over {
            None => None,
            Some(o) if o.per && word == "jacobian" => match o.axes.as_slice() {
                [OverAxis::Label(name)] => Some(name),
                _ => return self.misused(usage, o.span, given),
            },
            Some(o) => return self.misused(usage, o.span, given),
        };
        if given.len() != count || given.iter().any(|(n, _)| n.is_some()) {
            return self.misused(usage, span, given);
        }
        let x = self.expression(given[0].1);
        let x = self.float_tensor(x, "a function is differentiated at");
        let direction = given.get(1).map(|(_, e)| {
            let v = self.expression(e);
            self.float_tensor(v, "a direction is")
        });
        if x.ty.is_error() || direction.as_ref().is_some_and(|d| d.ty.is_error()) {
            return poison(span);
        }
        let (place, x_span, x_ty) = (self.locals.len(), x.span, x.ty.clone());
        let name = format!("%{place}");
        let wrt = self.new_local(&name, x_ty, x_span, Origin::Temporary);
        self.locals[wrt.0 as usize].target = true;
        let argument =
            ast::Arg { name: None, value: ast::Expr { kind: Ast::Name(name.clone()), span: x_span }, span: x_span };
        let call = Ast::Call { callee: Box::new(f.clone()), args: vec![argument], over: None };
        let mut scope = Scope::default();
        scope.names.insert(name, (Binding::Local(wrt), x_span));
        self.scopes.push(scope);
        let y = self.application(&ast::Expr { kind: call, span });
        self.scopes.pop();
        let y = self.float_tensor(y, "a derivative is taken of");
        if y.ty.is_error() {
            return poison(span);
        }
        // What the function assigns to layer state is not kept: it is applied only to be differentiated.
        let ty = y.ty.clone();
        let y = Expr { kind: ExprKind::Peek(Box::new(y)), ty, span };
        let result = match (word, direction) {
            ("jvp", Some(v)) => {
                let axes = self.local(wrt).ty.tensor().map(|t| t.axes.clone()).unwrap_or_default();
                self.along_direction(y, wrt, v, &axes, span)
            }
            ("vjp", Some(u)) => {
                let axes = y.axes().to_vec();
                match self.stretch(u, &axes) {
                    Ok(u) => {
                        let product = self.binary(BinaryOp::Mul, u, y, span);
                        let total = self.reduction(ReduceOp::Sum, product, None, span);
                        self.gradient_of(total, wrt, span)
                    }
                    Err(u) => self.misdirected(u, &axes, span),
                }
            }
            ("jacobian", _) => self.jacobian(y, wrt, rows, span),
            ("hessian", _) => {
                let gradient = self.gradient_of(y, wrt, span);
                self.jacobian(gradient, wrt, None, span)
            }
            ("hvp", Some(v)) => {
                let gradient = self.gradient_of(y, wrt, span);
                let axes = gradient.axes().to_vec();
                self.along_direction(gradient, wrt, v, &axes, span)
            }
            _ => self.gradient_of(y, wrt, span),
        };
        self.with(vec![Statement::Let { local: wrt, value: x }], result)
    }

    /// `hvp(e, x, v)` and `hessian(e, x)`; `None` if the arguments are not of this form.
    pub fn second_derivative(&mut self, word: &str, given: &[Given], span: Span) -> Expr {
        let wanted = if word == "hvp" { 3 } else { 2 };
        if given.len() != wanted || given.iter().any(|(n, _)| n.is_some()) {
            let usage = if word == "hvp" { "hvp(e, x, v)" } else { "hessian(e, x)" };
            return self.misused(usage, span, given);
        }
        let gradient = self.gradient(given[0].1, given[1].1, span);
        let ExprKind::Grad { wrt, .. } = gradient.kind else { return poison(span) };
        if gradient.ty.tensor().is_none() {
            let error = Diagnostic::new(codes::BAD_GRADIENT_TARGET, "a second derivative is taken by one tensor")
                .at(given[1].1.span, format!("this is {}", self.describe(&gradient.ty)))
                .help("an optimizer has `hvp(J)(θ, z)`");
            return self.fail(span, error);
        }
        match given.get(2) {
            Some((_, v)) => {
                let v = self.expression(v);
                let v = self.float_tensor(v, "a direction is");
                let axes = gradient.axes().to_vec();
                self.along_direction(gradient, wrt, v, &axes, span)
            }
            None => self.jacobian(gradient, wrt, None, span),
        }
    }

    fn misused(&mut self, usage: &str, span: Span, given: &[Given]) -> Expr {
        self.check_all(given);
        let error = Diagnostic::new(codes::WRONG_ARGUMENTS, "this derivative takes other arguments")
            .at(span, format!("{} given", given.len()))
            .help(format!("write `{usage}`"));
        self.fail(span, error)
    }

    fn float_tensor(&mut self, e: Expr, what: &str) -> Expr {
        match &e.ty {
            Type::Tensor(t) if t.element != Element::Bool => self.float(e),
            Type::Error => e,
            other => {
                let error = Diagnostic::new(codes::WRONG_TYPE, format!("{what} a tensor of numbers"))
                    .at(e.span, format!("this is {}", self.describe(other)));
                self.fail(e.span, error)
            }
        }
    }

    fn gradient_of(&mut self, y: Expr, wrt: LocalId, span: Span) -> Expr {
        if y.ty.is_error() {
            return y;
        }
        if !y.axes().is_empty() {
            let error = Diagnostic::new(codes::NOT_A_SCALAR, "a gradient is taken of a single number")
                .at(span, format!("the function gives {}", self.show(&y.ty)))
                .help("use `vjp(f)(x, u)`, `jvp(f)(x, v)` or `jacobian(f)(x)`");
            return self.fail(span, error);
        }
        let ty = self.local(wrt).ty.clone();
        Expr { kind: ExprKind::Grad { of: Box::new(y), wrt }, ty, span }
    }

    /// The derivative of `y` by `wrt`, of these axes, along `v`.
    fn along_direction(&mut self, y: Expr, wrt: LocalId, v: Expr, axes: &[Axis], span: Span) -> Expr {
        if y.ty.is_error() || v.ty.is_error() {
            return poison(span);
        }
        match self.stretch(v, axes) {
            Ok(v) => {
                let ty = y.ty.clone();
                Expr { kind: ExprKind::Tangent { of: Box::new(y), wrt, along: Box::new(v) }, ty, span }
            }
            Err(v) => self.misdirected(v, axes, span),
        }
    }

    fn misdirected(&mut self, v: Expr, axes: &[Axis], span: Span) -> Expr {
        let error = Diagnostic::new(codes::SHAPE_MISMATCH, "this direction has another shape")
            .at(v.span, format!("this is {}", self.show(&v.ty)))
            .note(format!("it must fit {}", self.show_axes(axes)))
            .help("`jvp` takes a direction in the shape of x, `vjp` one in the shape of f(x)");
        let error = self.trace(error, &v);
        self.fail(span, error)
    }

    /// All derivatives of `y` by `wrt`: the axes of `y`, then those of `wrt`; `per` an axis, that one first and once.
    fn jacobian(&mut self, y: Expr, wrt: LocalId, per: Option<&ast::Name>, span: Span) -> Expr {
        if y.ty.is_error() {
            return y;
        }
        let x = self.local(wrt).ty.tensor().map(|t| t.axes.clone()).unwrap_or_default();
        let all = y.axes().iter().chain(&x);
        if all.clone().any(|a| matches!(a, Axis::Pack(_))) {
            let error = Diagnostic::new(codes::UNKNOWN_SIZE, "the axes of a Jacobian are named")
                .at(span, format!("f goes from {} to {}", self.show_axes(&x), self.show(&y.ty)))
                .help("give the value a type with an axis for each of `..`");
            return self.fail(span, error);
        }
        let mut rows = None;
        if let Some(name) = per {
            let labelled = |axes: &[Axis]| {
                axes.iter().position(|a| matches!(a, Axis::Sized { label: Some(l), .. } if **l == *name.text))
            };
            match (labelled(y.axes()), labelled(&x)) {
                (Some(a), Some(b)) if same_extent(&y.axes()[a], &x[b]) => rows = Some((a, b)),
                _ => {
                    let error =
                        Diagnostic::new(codes::NO_SUCH_AXIS, format!("there is no axis {} on both sides", name.text))
                            .at(name.span, "named here")
                            .at(span, format!("f goes from {} to {}", self.show_axes(&x), self.show(&y.ty)))
                            .help("without `per` the Jacobian has all axes of both sides");
                    return self.fail(span, error);
                }
            }
        }
        let mut axes: Vec<Axis> = rows.iter().map(|(a, _)| y.axes()[*a].clone()).collect();
        axes.extend(
            y.axes().iter().enumerate().filter(|(k, _)| rows.is_none_or(|r| r.0 != *k)).map(|(_, a)| a.clone()),
        );
        axes.extend(x.iter().enumerate().filter(|(k, _)| rows.is_none_or(|r| r.1 != *k)).map(|(_, a)| a.clone()));
        tensor(ExprKind::Jacobian { of: Box::new(y), wrt, rows }, Element::Float, distinct_labels(axes), span)
    }
}
