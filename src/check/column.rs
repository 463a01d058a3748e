//! Columns of integers used as indices in `train`.
//!
//! A column has no axis of its own to point into; where one is expected, or where a value has just one axis besides those it
//! shares with the column, the column becomes an index and the data is required to stay within the axis.

use super::scope::{Checker, tensor};
use super::typed::{Axis, Element, Expr, ExprKind, Requirement, Type};
use crate::ir::Size;

impl Checker<'_> {
    /// Whether this is a column of the data as it is.
    pub fn is_column(&self, expr: &Expr) -> bool {
        matches!(&expr.kind, ExprKind::Local(id) if self.columns.contains_key(id))
    }

    /// Whether this is a column of the data that holds other numbers than integers.
    pub fn is_float_column(&self, expr: &Expr) -> bool {
        matches!(&expr.kind, ExprKind::Local(id) if self.is_column(expr) && self.standardized_integers(*id).is_none())
    }

    /// A column of integers as positions on an axis of this size.
    pub fn column_as_index(&mut self, column: Expr, size: u64) -> Expr {
        let known = match &column.kind {
            ExprKind::Local(id) => self.columns.get(id).cloned(),
            _ => None,
        };
        if let Some((data, name)) = known {
            let requirement = Requirement { data, column: name, size, span: column.span };
            let same = |r: &Requirement| (r.data, &r.column, r.size) == (data, &requirement.column, size);
            if !self.requirements.iter().any(same) {
                self.requirements.push(requirement);
            }
        }
        let (axes, span) = (column.axes().to_vec(), column.span);
        tensor(ExprKind::ToIndex(Box::new(column)), Element::Index(Size::constant(size)), axes, span)
    }

    /// In `value[index]`: a column of integers as an index into the only axis of `value` that it does not share, if there is
    /// one of known size; anything else as it is.
    pub fn column_into_only_axis(&mut self, value: &Expr, index: Expr) -> Expr {
        let integers = matches!(&index.ty, Type::Tensor(t) if t.element == Element::Int);
        if !integers || !self.is_column(&index) {
            return index;
        }
        let others: Vec<&Axis> = value.axes().iter().filter(|a| !index.axes().contains(a)).collect();
        match others[..] {
            [Axis::Sized { size, .. }] => match size.as_constant() {
                Some(n) => self.column_as_index(index, n),
                None => index,
            },
            _ => index,
        }
    }
}
