//! A derivative that a definition says it has: `fn ste(x) = sign(x) derivative(dy) = dy`.

use super::scope::{Binding, Checker, Scope};
use super::typed::{Derivative, Element, Expr, ExprKind, Input, InputKind, Kind, LocalId, Origin, Type};
use crate::source::{Diagnostic, codes};
use crate::syntax::ast;

impl Checker<'_> {
    pub fn own_derivative(
        &mut self,
        d: &ast::Definition,
        written: &ast::Derivative,
        inputs: &[Input],
        result: &Type,
    ) -> Option<Derivative> {
        let refused = |why: &str, help: &str| {
            Diagnostic::new(codes::BAD_SIGNATURE, "this definition cannot have a derivative of its own")
                .at(written.span, why)
                .help(help)
        };
        let (floats, others) = self.differentiable(inputs);
        let error = match result {
            _ if d.kind != Kind::Fn => {
                Some(refused(&format!("it belongs to a `fn`, and this is a {}", d.kind), "put the formula into a `fn`"))
            }
            Type::Error => return None,
            Type::Tensor(t) if t.element == Element::Float => match (others, floats.is_empty()) {
                (true, _) => Some(refused(
                    "an input is a function or a parameter set, on whose parameters the value depends too",
                    "apply the function outside, and give its value as an input",
                )),
                (_, true) => Some(refused("no input is a tensor of numbers", "there is nothing to differentiate by")),
                _ => None,
            },
            _ => Some(refused("the value is not one tensor of numbers", "give one tensor")),
        };
        if let Some(error) = error {
            self.report(error);
            return None;
        }
        let name = match written.cotangents.as_slice() {
            [name] => name,
            [_, second, ..] => {
                let error = Diagnostic::new(codes::WRONG_ARGUMENTS, "the value is one tensor, which has one cotangent")
                    .at(second.span, "one too many")
                    .help("write `derivative(dy) = ...`");
                self.report(error);
                return None;
            }
            [] => return None,
        };
        self.scopes.push(Scope::default());
        let cotangent = self.new_local(&name.text, result.clone(), name.span, Origin::Input);
        self.bind(&name.text, name.span, Binding::Local(cotangent));
        let mut body = self.inner_block(&written.body);
        self.scopes.pop();
        let value = *body.result.take()?;
        body.result = Some(Box::new(self.cotangents(value, &floats)?));
        Some(Derivative { cotangent, inputs: floats, body })
    }

    /// The inputs that are float tensors; and whether there are inputs through which a derivative could pass otherwise.
    fn differentiable(&self, inputs: &[Input]) -> (Vec<LocalId>, bool) {
        let locals = inputs.iter().filter_map(|i| match i.kind {
            InputKind::Value(local) => Some(local),
            InputKind::Size(_) => None,
        });
        let (mut floats, mut others) = (Vec::new(), false);
        for local in locals {
            match &self.local(local).ty {
                Type::Tensor(t) if t.element == Element::Float => floats.push(local),
                Type::Tensor(_) => {}
                _ => others = true,
            }
        }
        (floats, others)
    }

    /// The value of a derivative, a cotangent in the shape of each input.
    fn cotangents(&mut self, value: Expr, inputs: &[LocalId]) -> Option<Expr> {
        let span = value.span;
        let count = match &value.ty {
            Type::Error => return None,
            Type::Tuple(parts) => parts.len(),
            _ => 1,
        };
        let parts = match value {
            one if count == 1 && inputs.len() == 1 => vec![one],
            Expr { kind: ExprKind::Tuple(parts), .. } if count == inputs.len() => parts,
            other => {
                let names: Vec<String> = inputs.iter().map(|i| format!("d{}", self.local(*i).name)).collect();
                let error = Diagnostic::new(codes::WRONG_TYPE, "a derivative gives a cotangent for each tensor input")
                    .at(other.span, format!("this is {}", self.describe(&other.ty)))
                    .help(match names.as_slice() {
                        [_] => "give one tensor in the shape of the input".into(),
                        names => format!("end with a tuple of as many: `({})`", names.join(", ")),
                    });
                self.report(error);
                return None;
            }
        };
        let mut fitted = Vec::with_capacity(parts.len());
        for (part, input) in parts.into_iter().zip(inputs) {
            let part = self.numeric(part, "a cotangent is made of");
            let part = self.float(part);
            let (wanted, declared) = (self.local(*input).ty.clone(), self.local(*input).span);
            let axes = wanted.tensor().map(|t| t.axes.clone()).unwrap_or_default();
            match self.stretch(part, &axes) {
                Ok(part) => fitted.push(part),
                Err(part) if part.ty.is_error() => return None,
                Err(part) => {
                    let error = Diagnostic::new(codes::SHAPE_MISMATCH, "a cotangent has the shape of its input")
                        .at(part.span, format!("this is {}", self.show(&part.ty)))
                        .at(declared, format!("the input is {}", self.show(&wanted)));
                    self.report(error);
                    return None;
                }
            }
        }
        let ty = Type::Tuple(fitted.iter().map(|p| p.ty.clone()).collect());
        Some(match fitted.pop() {
            Some(only) if fitted.is_empty() => only,
            last => Expr { kind: ExprKind::Tuple(fitted.into_iter().chain(last).collect()), ty, span },
        })
    }
}
