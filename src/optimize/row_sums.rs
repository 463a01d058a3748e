//! Adds up the rows of a large array first, and then their sums.
//!
//! ```text
//! before   %2 = reduce_sum %w [0, 1]
//! after    %2 = reduce_sum %w [1]; %3 = reduce_sum %2 [0]
//! ```
//! A sum of all is one piece of work. Rows can be shared among threads, and added up where something else goes through them
//! anyway: a penalty's squares, or those of a gradient to be clipped, beside the update of the same parameter.
//!
//! Invariant: a reordering of one sum; the same one for every size of a batch.
//! Limits: arrays whose size is written down, with rows long enough to fill vectors.

use super::rewrite::rewrite;
use crate::autodiff::NotDifferentiable;
use crate::ir::{Graph, Op, Size};

/// Elements from which an array is large: fewer stay in the nearest cache.
const LARGE: u64 = 1 << 14;
/// The fewest elements of a row.
const LEAST_ROW: u64 = 64;

pub(super) fn run(graph: &Graph) -> Result<Graph, NotDifferentiable> {
    Ok(rewrite(graph, &mut |b, op, operands| match (&op, operands) {
        (Op::ReduceSum(sum), [x]) if is_large(&b.ty(*x).dims, &sum.axes) => {
            let (rows, last) = sum.axes.split_at(sum.axes.len() - 1);
            let of_rows = b.sum(*x, last);
            b.sum(of_rows, rows)
        }
        _ => b.push(op, operands),
    }))
}

/// Whether these axes are several, the last one among them, of a large array.
fn is_large(dims: &[Size], axes: &[usize]) -> bool {
    let known: Option<Vec<u64>> = dims.iter().map(Size::as_constant).collect();
    let Some(known) = known else { return false };
    let elements = known.iter().fold(1u64, |n, d| n.saturating_mul(*d));
    let row = known.last().copied().unwrap_or(0);
    axes.len() > 1 && axes.last() == Some(&(dims.len() - 1)) && elements >= LARGE && row >= LEAST_ROW
}
