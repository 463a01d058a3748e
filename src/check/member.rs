//! Values inside an application: `thin(x).h3` is what the equation `h3 = …` of `thin` gives there.

use super::scope::{Checker, poison};
use super::shape::Substitution;
use super::typed::{Definition, Expr, ExprKind, LocalId, PackVar, Statement, Type};
use crate::source::{Diagnostic, Span, closest, codes};
use crate::syntax::ast::{self, ExprKind as Ast};

/// Whether this is an application, as a path of names is not.
pub fn is_application(e: &ast::Expr) -> bool {
    matches!(e.kind, Ast::Call { .. } | Ast::Pipe { .. })
}

impl Checker<'_> {
    /// `f(x).name`
    pub fn member(&mut self, application: &ast::Expr, name: &ast::Name, span: Span) -> Expr {
        let value = self.expression(application);
        if value.ty.is_error() {
            return value;
        }
        let ExprKind::Call(call) = value.kind else {
            let error = Diagnostic::new(codes::WRONG_KIND, "this has no equations")
                .at(value.span, "no application of a definition of the file or the library")
                .at(name.span, "so nothing in it has a name");
            return self.fail(span, error);
        };
        let definitions = self.definitions;
        let definition = &definitions[call.def.0 as usize];
        let names = equations(definition);
        let Some((_, local)) = names.iter().find(|(known, _)| *known == name.text) else {
            let message = format!("no equation of `{}` is called `{}`", definition.name, name.text);
            let mut error = Diagnostic::new(codes::UNKNOWN_NAME, message)
                .at(name.span, "unknown here")
                .at(definition.span, "defined here");
            let known = || names.iter().map(|(known, _)| *known);
            error = match closest(&name.text, known()) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None if names.is_empty() => {
                    error.help(format!("give the value a name in `{}`: `{} = …`", definition.name, name.text))
                }
                None => error.note(format!("its equations are {}", known().collect::<Vec<_>>().join(", "))),
            };
            return self.fail(span, error);
        };
        let packs = call.packs.iter().cloned().enumerate().map(|(k, axes)| (PackVar(k as u32), axes));
        let s = Substitution { sizes: call.sizes.clone(), packs: packs.collect(), ..Substitution::default() };
        let ty = match &definition.local(*local).ty {
            declared @ (Type::Tensor(_) | Type::Tuple(_)) => s.ty(declared),
            _ => return poison(span),
        };
        Expr { kind: ExprKind::Member { call, local: *local }, ty, span }
    }
}

/// The names that equations at the top of a body give to tensors.
fn equations(definition: &Definition) -> Vec<(&str, LocalId)> {
    let mut names = Vec::new();
    for statement in &definition.body.statements {
        let locals = match statement {
            Statement::Let { local, .. } => std::slice::from_ref(local),
            Statement::LetTuple { locals, .. } => locals,
            _ => continue,
        };
        for local in locals {
            let known = definition.local(*local);
            // What the checker names itself begins with `%`.
            if !known.name.starts_with('%') && matches!(known.ty, Type::Tensor(_) | Type::Tuple(_)) {
                names.push((known.name.as_str(), *local));
            }
        }
    }
    names
}
