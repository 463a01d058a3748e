//! Writes a scatter of at most one update per place as a comparison with the position.
//!
//! ```text
//! before   %2 = scatter_add %updates %index [N, K], one index per row
//! after    %2 = select (equal (iota 1) (broadcast %index)) (broadcast %updates) 0
//! ```
//! The derivative of `logp[y]` is such a scatter. As a comparison it is elementwise and fuses with its consumer, where
//! the scatter would write a tensor of zeros, and then touch one element of each row.
//!
//! Invariant: exact. An index out of range counts as the nearest one in range, as in [`ScatterAdd`]; an update of -0
//! becomes the +0 that adding it to a zero gives.
//! Limits: only where every axis of the index is paired with an axis of the result, so that no place has two updates.
//!
//! [`ScatterAdd`]: crate::ir::primitive::ScatterAdd

use super::rewrite::{arranged, rewrite};
use super::simplify::simplified;
use crate::autodiff::NotDifferentiable;
use crate::ir::primitive::*;
use crate::ir::{Builder, Graph, NodeId, Op};

pub(super) fn run(graph: &Graph) -> Result<Graph, NotDifferentiable> {
    Ok(rewrite(graph, &mut |b, op, operands| {
        let compared = match (&op, operands) {
            (Op::ScatterAdd(scatter), [updates, index]) => compared(b, scatter, *updates, *index),
            _ => None,
        };
        compared.unwrap_or_else(|| b.push(op, operands))
    }))
}

fn compared(b: &mut Builder, scatter: &ScatterAdd, updates: NodeId, index: NodeId) -> Option<NodeId> {
    let index_type = b.ty(index).clone();
    if scatter.batch.len() != index_type.rank() {
        return None;
    }
    let dims = &scatter.dims;
    let paired = |axis: usize| scatter.batch.iter().find(|(a, _)| *a == axis).map(|(_, i)| *i);
    let rest: Vec<usize> = (0..dims.len()).filter(|k| *k != scatter.axis && paired(*k).is_none()).collect();
    let index_map: Vec<Option<usize>> = (0..dims.len()).map(paired).collect();
    let update_map: Vec<Option<usize>> = (0..dims.len())
        .map(|k| paired(k).or_else(|| rest.iter().position(|r| *r == k).map(|p| index_type.rank() + p)))
        .collect();

    let dtype = index_type.dtype;
    let size = b.push(SizeOf { size: dims[scatter.axis].clone(), dtype }, &[]);
    let one = b.constant(dtype, 1.0);
    let last = b.sub(size, one);
    let last = b.fill(last, &index_type.dims);
    let first = b.full_like(index, 0.0);
    let below = b.minimum(index, last);
    let within = b.maximum(below, first);

    let zero = b.full_like(updates, 0.0);
    let added = simplified(b, Add.into(), &[updates, zero]);
    let wanted = arranged(b, within, &index_map, dims);
    let update = arranged(b, added, &update_map, dims);
    let position = b.push(Iota { axis: scatter.axis, dims: dims.clone(), dtype }, &[]);
    let here = b.equal(position, wanted);
    let nothing = b.full_like(update, 0.0);
    Some(b.select(here, update, nothing))
}
