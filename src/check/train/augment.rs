//! `augment`: what training sees in the place of columns.

use super::super::scope::{Binding, Checker};
use super::super::typed::{Augment, Element, Expr, Origin, Target, Type};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast;

impl Checker<'_> {
    /// The augmentations in the order written, each seeing what those before it have made.
    pub(super) fn augments(&mut self, written: &[(&[ast::Name], &ast::Expr)]) -> Option<Vec<Augment>> {
        let checked: Vec<_> = written.iter().map(|(names, value)| self.augment(names, value)).collect();
        checked.into_iter().collect()
    }

    fn augment(&mut self, names: &[ast::Name], value: &ast::Expr) -> Option<Augment> {
        let value = self.expression(value);
        let parts = match &value.ty {
            Type::Error => Vec::new(),
            Type::Tuple(parts) if parts.len() == names.len() => parts.clone(),
            one if names.len() == 1 => vec![one.clone()],
            other => {
                let error =
                    Diagnostic::new(codes::WRONG_TYPE, format!("{} names, but not as many values", names.len()))
                        .at(value.span, format!("this is {}", self.describe(other)));
                self.report(error);
                Vec::new()
            }
        };
        let mut targets = Vec::new();
        for (k, name) in names.iter().enumerate() {
            targets.push(self.target(name, parts.get(k), value.span));
        }
        let targets = targets.into_iter().collect::<Option<Vec<_>>>()?;
        (parts.len() == names.len()).then_some(Augment { targets, value })
    }

    /// A column, which gets a value of its own type, or a name not used yet.
    fn target(&mut self, name: &ast::Name, given: Option<&Type>, place: Span) -> Option<Target> {
        let known = match self.lookup(&name.text) {
            Some((Binding::Local(local), _)) if self.local(*local).origin != Origin::Counter => Some(*local),
            _ => None,
        };
        let Some(local) = known else {
            if self.columns_unknown || given.is_none() {
                self.bind_over(name, Binding::Error);
                return None;
            }
            let (Some(ty @ Type::Tensor(_)), None) = (given, self.global(&name.text)) else {
                return self.not_augmented(name, "this is no column of the data");
            };
            let local = self.new_local(&name.text, ty.clone(), name.span, Origin::Let);
            self.bind_over(name, Binding::Local(local));
            return Some(Target { local, column: false });
        };
        let column = self.columns.contains_key(&local);
        let held = self.local(local).ty.clone();
        if column && matches!(&held, Type::Tensor(t) if t.element != Element::Float) {
            return self.not_augmented(name, "this column holds integers, which may be classes");
        }
        let given = given?;
        let value = Expr { kind: super::super::typed::ExprKind::Error, ty: given.clone(), span: place };
        let fits = match (&held, given) {
            (Type::Tensor(a), Type::Tensor(b)) => {
                a.element == b.element
                    && a.axes.len() == b.axes.len()
                    && a.axes.iter().zip(&b.axes).all(|(a, b)| super::super::typed::same_extent(a, b))
            }
            _ => false,
        };
        if !fits {
            let error = Diagnostic::new(codes::SHAPE_MISMATCH, format!("`{}` stays what it is", name.text))
                .at(value.span, format!("this is {}", self.describe(given)))
                .at(name.span, format!("`{}` is {}", name.text, self.show(&held)))
                .help("an augmented column has the type of the column; give another value a name of its own");
            self.report(error);
            return None;
        }
        self.columns_read.insert(local);
        Some(Target { local, column })
    }

    /// Binds a name in place of a counter's.
    fn bind_over(&mut self, name: &ast::Name, binding: Binding) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.names.insert(name.text.clone(), (binding, name.span));
        }
    }

    fn not_augmented(&mut self, name: &ast::Name, why: &str) -> Option<Target> {
        let error = Diagnostic::new(codes::BAD_AUGMENT, format!("`{}` cannot be augmented", name.text))
            .at(name.span, why)
            .help(
                "augment a column of numbers, or give the value a new name: `augment (x, soft) = mixup(x, one_hot(y))`",
            );
        self.report(error);
        None
    }
}
