//! Joins nested loops that every index runs through as one: `for i { for j { a[H·i + j] } }` becomes `for k { a[k] }`.
//!
//! Limits: perfect nests of plain loops only; reductions are left alone, since their order depends on their axes.

use super::index_map::times;
use super::kernel::{AxisId, Expr, Index, Kernel, Loop, Stmt};

/// Joins what can be joined anywhere in the kernel's outer nest.
pub(super) fn collapse(kernel: &mut Kernel) {
    let mut body = std::mem::take(&mut kernel.body);
    for stmt in &mut body {
        if let Stmt::Loop(nest) = stmt {
            collapse_nest(kernel, nest);
        }
    }
    kernel.body = body;
}

/// Joins from the inside out: the innermost pair first.
fn collapse_nest(kernel: &mut Kernel, outer: &mut Loop) {
    let [Stmt::Loop(inner)] = outer.body.as_mut_slice() else { return };
    collapse_nest(kernel, inner);
    if outer.ordered != inner.ordered {
        return;
    }
    let (a, b) = (outer.axis, inner.axis);
    let extent = kernel.extent(b).clone();
    let mut joins = true;
    let mut fits = |index: &Index| joins &= index.stride(a) == times(&index.stride(b), &extent);
    each_index(kernel, &inner.body, &mut fits);
    if !joins {
        return;
    }
    kernel.axes[b.index()] = times(kernel.extent(a), &extent);
    kernel.axes[a.index()] = 1.into();
    let mut values = std::mem::take(&mut kernel.values);
    let drop_outer = |index: &mut Index| index.terms.retain(|(axis, _)| *axis != a);
    for value in &mut values {
        value.varies.retain(|axis| *axis != a);
        match &mut value.expr {
            Expr::Position(index) | Expr::Random { element: index, .. } => drop_outer(index),
            Expr::Load { index, guards, .. } => {
                drop_outer(index);
                guards.iter_mut().for_each(|g| drop_outer(&mut g.index));
            }
            Expr::Within(guards) => guards.iter_mut().for_each(|g| drop_outer(&mut g.index)),
            Expr::Constant(_) | Expr::Size(_) | Expr::Scalar { .. } | Expr::Reduced => {}
        }
    }
    kernel.values = values;
    drop_axis(&mut inner.body, a);
    let (vector, body) = (inner.vector, std::mem::take(&mut inner.body));
    *outer = Loop { axis: b, vector, ordered: outer.ordered, body };
}

fn drop_axis(body: &mut [Stmt], axis: AxisId) {
    for stmt in body {
        match stmt {
            Stmt::Store(store) => store.index.terms.retain(|(a, _)| *a != axis),
            Stmt::Loop(l) => drop_axis(&mut l.body, axis),
            Stmt::Reduce(r) => drop_axis(&mut r.body, axis),
            Stmt::Let(_) => {}
        }
    }
}

/// Every index that statements use, except those of values defined outside them.
fn each_index(kernel: &Kernel, body: &[Stmt], f: &mut impl FnMut(&Index)) {
    for stmt in body {
        match stmt {
            Stmt::Store(store) => f(&store.index),
            Stmt::Loop(l) => each_index(kernel, &l.body, f),
            Stmt::Reduce(r) => each_index(kernel, &r.body, f),
            Stmt::Let(value) => match &kernel.value(*value).expr {
                Expr::Position(index) | Expr::Random { element: index, .. } => f(index),
                Expr::Load { index, guards, .. } => {
                    f(index);
                    guards.iter().for_each(|g| f(&g.index));
                }
                Expr::Within(guards) => guards.iter().for_each(|g| f(&g.index)),
                Expr::Constant(_) | Expr::Size(_) | Expr::Scalar { .. } | Expr::Reduced => {}
            },
        }
    }
}
