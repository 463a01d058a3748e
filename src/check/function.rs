//! Functions as values: definitions passed as arguments, and inputs that are functions applied.

use super::application::{Given, bind, bound_axes, declared_type, settle};
use super::arguments::counted;
use super::globals::Global;
use super::scope::{Binding, Checker, poison};
use super::shape::{Names, Substitution};
use super::typed::{
    Definition, Element, Expr, ExprKind, FunctionType, FunctionValue, Kind, TensorType, Type, same_extent,
};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast;
use std::sync::Arc;

impl Checker<'_> {
    /// An argument for an input with a function type.
    pub fn function_argument(
        &mut self,
        e: &ast::Expr,
        wanted: &Arc<FunctionType>,
        s: &mut Substitution,
        callee: &Definition,
        k: usize,
    ) -> Expr {
        let input = &callee.inputs[k];
        let Some(name) = e.as_name() else {
            let error = Diagnostic::new(codes::WRONG_KIND, "the name of a function or net is wanted")
                .at(e.span, "this is an expression")
                .at(input.span, format!("`{}` of `{}` is a function", input.name, callee.name));
            return self.fail(e.span, error);
        };
        if let Some((binding, _)) = self.lookup(name).cloned() {
            if let Binding::Local(id) = binding
                && let Type::Function(f) = self.local(id).ty.clone()
            {
                let fits = f.inputs.len() == wanted.inputs.len()
                    && wanted.inputs.iter().zip(&f.inputs).all(|(w, g)| bind(&w.axes, &g.axes, s))
                    && bind(&wanted.result.axes, &f.result.axes, s);
                let value = self.read(id, e.span);
                return if fits { value } else { self.misfit_function(e.span, &value.ty, wanted, s, callee, k) };
            }
            let value = self.expression(e);
            return self.wrong_argument(value, &Type::Function(wanted.clone()), callee, k);
        }
        let definitions = self.definitions;
        let def = match self.global(name) {
            Some(Global::Definition(def)) => def,
            Some(_) => {
                let value = self.expression(e);
                return self.wrong_argument(value, &Type::Function(wanted.clone()), callee, k);
            }
            None => return self.unknown(name, e.span),
        };
        let f = &definitions[def.0 as usize];
        if f.result.is_error() {
            return poison(e.span);
        }
        if !matches!(f.kind, Kind::Fn | Kind::Net) {
            let error = Diagnostic::new(
                codes::WRONG_KIND,
                format!("`{name}` is {} {}", super::expression::article(f.kind), f.kind),
            )
            .at(e.span, "a function or a net is wanted here")
            .at(input.span, format!("`{}` of `{}` is a function", input.name, callee.name));
            return self.fail(e.span, error);
        }
        let mut t = Substitution::default();
        let tensors: Vec<&TensorType> =
            (0..f.inputs.len()).filter_map(|k| declared_type(f, k).and_then(Type::tensor)).collect();
        let result = f.result.tensor();
        let required = f.options.iter().any(|o| o.default.is_none());
        let fits = tensors.len() == f.inputs.len()
            && tensors.len() == wanted.inputs.len()
            && !required
            && wanted.inputs.iter().zip(&tensors).all(|(w, g)| {
                settle(&w.axes, &g.axes, s);
                bound_axes(&w.axes, s) && bind(&g.axes, &s.axes(&w.axes), &mut t)
            })
            && f.sizes.iter().all(|x| t.sizes.contains_key(x))
            && result.is_some_and(|r| bind(&wanted.result.axes, &t.axes(&r.axes), s));
        if !fits {
            let ty = match result {
                Some(r) if tensors.len() == f.inputs.len() => Type::Function(Arc::new(FunctionType {
                    inputs: tensors.into_iter().cloned().collect(),
                    result: r.clone(),
                })),
                _ => Type::Nothing,
            };
            return self.misfit_function(e.span, &ty, wanted, s, callee, k);
        }
        let instance = self.instance(def, f, e.span);
        let packs = (0..f.packs).map(|p| t.packs.get(&super::typed::PackVar(p)).cloned().unwrap_or_default()).collect();
        let options = vec![None; f.options.len()];
        let value = FunctionValue { def, sizes: t.sizes, packs, options, instance };
        let ty = Type::Function(Arc::new(FunctionType {
            inputs: wanted.inputs.iter().map(|w| s.tensor(w)).collect(),
            result: s.tensor(&wanted.result),
        }));
        Expr { kind: ExprKind::Function(Box::new(value)), ty, span: e.span }
    }

    fn misfit_function(
        &mut self,
        span: Span,
        found: &Type,
        wanted: &Arc<FunctionType>,
        s: &Substitution,
        callee: &Definition,
        k: usize,
    ) -> Expr {
        let input = &callee.inputs[k];
        let wanted = Names(&callee.pack_names).ty(&Type::Function(wanted.clone()));
        let text = match found {
            Type::Nothing => "its inputs cannot be those".to_string(),
            _ => format!("this is {}", self.show(found)),
        };
        let mut error = Diagnostic::new(codes::SHAPE_MISMATCH, "this function has another type")
            .at(span, text)
            .at(input.span, format!("`{}` of `{}` is {wanted}", input.name, callee.name));
        for (symbol, value) in s.sizes.iter().filter(|(symbol, value)| value.as_symbol() != Some(symbol)) {
            error = error.note(format!("{} is {value} by the other arguments", symbol.0));
        }
        self.fail(span, error)
    }

    pub fn call_local(
        &mut self,
        function: super::typed::LocalId,
        f: &FunctionType,
        name: &str,
        given: &[Given],
        span: Span,
    ) -> Expr {
        let args: Vec<Expr> = given.iter().map(|(_, e)| self.expression(e)).collect();
        let declared = self.local(function).span;
        if args.len() != f.inputs.len() || given.iter().any(|(n, _)| n.is_some()) {
            let error =
                Diagnostic::new(codes::WRONG_ARGUMENTS, format!("`{name}` takes {}", counted(f.inputs.len(), "input")))
                    .at(span, format!("{} given", args.len()))
                    .at(declared, "its type is declared here");
            return self.fail(span, error);
        }
        let mut fitted = Vec::with_capacity(args.len());
        for (arg, wanted) in args.into_iter().zip(&f.inputs) {
            let Type::Tensor(t) = &arg.ty else {
                if !arg.ty.is_error() {
                    let error = Diagnostic::new(codes::WRONG_TYPE, format!("`{name}` wants another kind of value"))
                        .at(arg.span, format!("this is {}", self.describe(&arg.ty)))
                        .at(declared, "its type is declared here");
                    self.report(error);
                }
                return poison(span);
            };
            let same = t.axes.len() == wanted.axes.len()
                && t.axes.iter().zip(&wanted.axes).all(|(a, b)| same_extent(a, b))
                && (t.element == wanted.element
                    || (wanted.element == Element::Float && matches!(t.element, Element::Int | Element::Index(_))));
            if !same {
                let shown = Names(&self.pack_names).tensor(wanted);
                let error = Diagnostic::new(codes::SHAPE_MISMATCH, format!("this does not fit the input of `{name}`"))
                    .at(arg.span, format!("this is {}", self.show(&arg.ty)))
                    .at(declared, format!("`{name}` takes {shown}"));
                let error = self.trace(error, &arg);
                return self.fail(span, error);
            }
            fitted.push(self.convert(arg, wanted.element.clone()));
        }
        let site = self.site();
        let ty = Type::Tensor(f.result.clone());
        Expr { kind: ExprKind::CallLocal { function, args: fitted, site }, ty, span }
    }
}
