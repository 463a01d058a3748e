//! What runs within the update of a parameter: sums over its rows, and gradients of few terms.

use super::check;
use crate::ir::primitive::Contraction;
use crate::ir::{Builder, DType, Graph, NodeId, OutputRole, Role, Size, Type};

const F: DType = DType::F32;

fn matrix(b: &mut Builder, name: &str, role: Role, rows: impl Into<Size>, columns: u64) -> NodeId {
    b.input(name, role, Type::new(F, vec![rows.into(), columns.into()]))
}

fn descend(b: &mut Builder, w: NodeId, g: NodeId) {
    let rate = b.full_like(g, 0.1);
    let change = b.mul(rate, g);
    let new = b.sub(w, change);
    b.output("w", OutputRole::Next, new);
}

#[test]
fn a_penalty_sums_rows_where_they_are_updated() {
    let mut b = Builder::new();
    let w = matrix(&mut b, "w", Role::Parameter, 40, 37);
    let g = matrix(&mut b, "g", Role::Data, 40, 37);
    let square = b.mul(w, w);
    let rows = b.sum(square, &[1]);
    let all = b.sum(rows, &[0]);
    b.output("penalty", OutputRole::Report, all);
    descend(&mut b, w, g);
    let program = check(&b.finish(), 1, 1);
    // The rows with the update, and the sum of the rows.
    assert_eq!(program.kernels().count(), 2, "{program}");
}

/// `w' = w - 0.1 x' d` for a batch.
fn outer() -> Graph {
    let mut b = Builder::new();
    let w = matrix(&mut b, "w", Role::Parameter, 90, 70);
    let x = matrix(&mut b, "x", Role::Data, Size::symbol("N"), 90);
    let d = matrix(&mut b, "d", Role::Data, Size::symbol("N"), 70);
    let g = b.push(Contraction { batch: vec![], contract: vec![(0, 0)] }, &[x, d]);
    descend(&mut b, w, g);
    b.finish()
}

#[test]
fn a_gradient_of_few_terms_has_no_buffer() {
    for capacity in [1, 2] {
        for n in 0..=capacity {
            let program = check(&outer(), capacity, n);
            assert_eq!(program.kernels().count(), 1, "{program}");
            assert_eq!((program.steps.len(), program.arena), (1, 0), "{program}");
        }
    }
    assert_eq!(check(&outer(), 8, 8).kernels().count(), 1);
    assert_eq!(check(&outer(), 8, 8).steps.len(), 2);
}
