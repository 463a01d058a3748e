//! Repetition known when compiling: `for k in 1..20 (h = x) { h' = f(h) }`.

use super::scope::{Binding, Checker, Scope, Stateful, poison};
use super::typed::{Block, Carried, Expr, ExprKind, For, Origin, Type};
use crate::ir::Symbol;
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast;

impl Checker<'_> {
    pub fn repetition(&mut self, r: &ast::For, span: Span) -> Expr {
        let limits = (self.size(&r.from, false), self.size(&r.to, false));
        let inits: Vec<Expr> = r.carried.iter().map(|c| self.starting(&c.init, c.ty.as_ref())).collect();
        let index = Symbol::new(&r.index.text);
        if self.sizes.contains(&index) {
            let error = Diagnostic::new(codes::DUPLICATE_NAME, format!("`{}` is a size already", r.index.text))
                .at(r.index.span, "a second time here")
                .help("choose another name for what counts");
            return self.fail(span, error);
        }
        self.scopes.push(Scope::default());
        self.bind(&r.index.text, r.index.span, Binding::Size(index.clone()));
        let outer_states = std::mem::replace(&mut self.carried_from, self.states.len());
        let outer_if = std::mem::take(&mut self.inside_if);
        self.loops.push(index.clone());
        let mut carried = Vec::new();
        let mut broken = false;
        for (c, init) in r.carried.iter().zip(inits) {
            if init.ty.is_error() {
                self.bind(&c.name.text, c.name.span, Binding::Error);
                broken = true;
                continue;
            }
            let local = self.new_local(&c.name.text, init.ty.clone(), c.name.span, Origin::Let);
            let next = self.new_local(format!("{}'", c.name.text), init.ty.clone(), c.name.span, Origin::Next);
            self.bind(&c.name.text, c.name.span, Binding::Local(local));
            self.states.push(Stateful { current: local, next });
            carried.push(Carried { local, next, init });
        }
        let statements = self.equations(&r.body, self.branches == 0);
        if let Some(result) = &r.body.result {
            let error = Diagnostic::new(codes::UNUSED_EXPRESSION, "the value of this expression goes nowhere")
                .at(result.span, "a repetition gives what it carries")
                .help("assign it: `h' = ...`");
            self.report(error);
        }
        let assigned = self.scopes.pop().map(|s| s.assigned).unwrap_or_default();
        self.loops.pop();
        self.inside_if = outer_if;
        self.states.truncate(self.carried_from);
        self.carried_from = outer_states;
        if let Some(idle) = carried.iter().find(|c| !broken && !assigned.contains(&c.local)) {
            let name = self.local(idle.local).name.clone();
            let error =
                Diagnostic::new(codes::UNASSIGNED, format!("`{name}` is carried, but nothing gives it a next value"))
                    .at(self.local(idle.local).span, format!("no equation `{name}' = ...` in the repetition"))
                    .help("what does not change stands outside, as an equation of its own");
            return self.fail(span, error);
        }
        if r.carried.is_empty() {
            let error = Diagnostic::new(codes::WRONG_ARGUMENTS, "a repetition carries values")
                .at(span, "this one carries none, so it has no value")
                .help("write `for k in 1..20 (h = x) { h' = f(h) }`; the value is the last h");
            return self.fail(span, error);
        }
        let (Some(from), Some(to), false) = (limits.0, limits.1, broken) else { return poison(span) };
        let mut types: Vec<Type> = carried.iter().map(|c| c.init.ty.clone()).collect();
        let ty = match types.pop() {
            Some(only) if types.is_empty() => only,
            last => Type::Tuple(types.into_iter().chain(last).collect()),
        };
        let body = Block { statements, result: None };
        let site = self.site();
        Expr { kind: ExprKind::For(Box::new(For { index, from, to, carried, body, site })), ty, span }
    }
}
