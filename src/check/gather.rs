//! Selection by an index: `e[y]`.

use super::scope::{Checker, poison, tensor};
use super::shape::distinct_labels;
use super::typed::{Axis, Element, Expr, ExprKind, Type, same_extent};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast;

impl Checker<'_> {
    /// `e[y]`: along the axis of `e` that `y` points into; labels both share run together.
    pub fn gather(&mut self, base: &ast::Expr, indices: &[ast::Expr], span: Span) -> Expr {
        if let Some(name) = indices.iter().filter_map(|i| i.as_name()).find(|n| self.indices.contains_key(*n)) {
            let error = Diagnostic::new(codes::BAD_INDEX_NOTATION, format!("`{name}` is an index of this equation"))
                .at(span, "index notation cannot stand inside this operation")
                .help("name the inner part first: `z[n] = ...`");
            return self.fail(span, error);
        }
        let value = self.expression(base);
        let [index] = indices else {
            let error = Diagnostic::new(codes::BAD_INDEX_NOTATION, "several indices mean index notation")
                .at(span, "but no equation `y[i, j] = ...` or `sum(i) ...` says what they are")
                .help("give the value a name with its indices: `y[i, j] = ...`");
            return self.fail(span, error);
        };
        let index = self.expression(index);
        let index = self.column_into_only_axis(&value, index);
        let (Type::Tensor(v), Type::Tensor(i)) = (&value.ty, &index.ty) else {
            if value.ty.is_error() || index.ty.is_error() {
                return poison(span);
            }
            let error = Diagnostic::new(codes::WRONG_TYPE, "`e[y]` selects from a tensor by an index")
                .at(value.span, format!("this is {}", self.describe(&value.ty)))
                .at(index.span, format!("this is {}", self.describe(&index.ty)));
            return self.fail(span, error);
        };
        let Element::Index(size) = &i.element else {
            let error = Diagnostic::new(codes::WRONG_INDEX, "`e[y]` needs to know which axis y points into")
                .at(index.span, format!("this is {}", self.show(&index.ty)))
                .help("declare it as an index, `y: index(K)[N]`, or take one from `argmax`");
            let error = self.trace(error, &index);
            return self.fail(span, error);
        };
        let label_of = |a: &Axis| match a {
            Axis::Sized { label, .. } => label.clone(),
            Axis::Pack(_) => None,
        };
        let mut batch: Vec<(usize, usize)> = Vec::new();
        for (a, x) in v.axes.iter().enumerate() {
            for (b, y) in i.axes.iter().enumerate() {
                let shared = match (x, y) {
                    (Axis::Pack(p), Axis::Pack(q)) => p == q,
                    (Axis::Sized { .. }, Axis::Sized { .. }) => label_of(x).is_some() && label_of(x) == label_of(y),
                    _ => false,
                };
                if shared && same_extent(x, y) {
                    batch.push((a, b));
                }
            }
        }
        // An axis that the index points into does not run together with an axis of the index that has its label, unless there
        // is another it could point into.
        let points = |a: &Axis| matches!(a, Axis::Sized { size: s, .. } if s == size);
        if !(0..v.axes.len()).any(|k| points(&v.axes[k]) && !batch.iter().any(|(a, _)| *a == k)) {
            let own: Vec<usize> = batch.iter().map(|(a, _)| *a).filter(|a| points(&v.axes[*a])).collect();
            if let [only] = own[..] {
                batch.retain(|(a, _)| *a != only);
            }
        }
        let taken = |k: usize| batch.iter().any(|(a, _)| *a == k);
        let mut candidates: Vec<usize> = (0..v.axes.len()).filter(|k| !taken(*k) && points(&v.axes[*k])).collect();
        if candidates.len() > 1
            && let Some(symbol) = size.as_symbol()
        {
            let named: Vec<usize> =
                candidates.iter().copied().filter(|k| label_of(&v.axes[*k]).is_some_and(|l| *l == *symbol.0)).collect();
            if named.len() == 1 {
                candidates = named;
            }
        }
        let [axis] = candidates[..] else {
            let message = match candidates.len() {
                0 => format!("this index points into an axis of size {size}, and there is none"),
                _ => format!("this index points into an axis of size {size}, and there are several"),
            };
            let error = Diagnostic::new(codes::WRONG_INDEX, message)
                .at(index.span, format!("this is {}", self.show(&index.ty)))
                .at(value.span, format!("this is {}", self.show(&value.ty)));
            let error = self.trace(self.trace(error, &value), &index);
            let error = match candidates.len() {
                0 => error.help(format!("the value needs an axis of size {size}, or the index another type")),
                _ => error.help("give the axes labels: `e: [A: K, K]`"),
            };
            return self.fail(span, error);
        };
        let mut axes = i.axes.clone();
        axes.extend((0..v.axes.len()).filter(|k| *k != axis && !taken(*k)).map(|k| v.axes[k].clone()));
        let element = v.element.clone();
        let kind = ExprKind::Gather { value: Box::new(value), index: Box::new(index), axis, batch };
        tensor(kind, element, distinct_labels(axes), span)
    }
}
