//! Which steps of a chain are cut by columns: products of large matrices, and what follows them column by column.
//!
//! Before: tiles of rows, each of which reads all of a weight matrix; then sums over the rows of the whole result.
//! After: tiles of columns, each of which reads its own columns of the weights, once a step, and all of the activations, and
//! adds up its columns while they are in cache.
//!
//! Input: a chain and the program it is of. Output: ranges of its steps. Invariant: within a range, a step needs of the ones
//! before it, for a column, what they computed for that column.

use super::kernel::{AxisId, Expr, Index, Kernel, Stmt};
use super::memory::accesses;
use super::program::{BufferId, Options, Product, Program, Step, Work};
use super::waves::{Chain, column_loop, shared_loop};
use crate::ir::Size;
use std::collections::BTreeSet;
use std::ops::Range;

impl Program {
    /// The steps of a chain to be cut by columns.
    pub(super) fn columns(&self, chain: &Chain, options: &Options) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        if chain.rows.is_none() {
            return found;
        }
        let rows = chain.row_steps();
        if self.footprint(chain).shared >= options.shared_bytes {
            for s in rows.clone() {
                match &self.steps[s].work {
                    Work::Product(p) if self.is_wide(p, options) => found.push(s..s + 1),
                    Work::Kernel(_) => {
                        let range = found.last_mut().filter(|range| range.end == s);
                        let steps = |range: &Range<usize>| self.steps[range.clone()].iter().collect::<Vec<_>>();
                        if let Some(range) = range.filter(|range| follows(&self.steps[s], &steps(range))) {
                            range.end += 1;
                        }
                    }
                    _ => {}
                }
            }
        }
        if chain.down > 0 {
            let products = rows.clone().filter(|s| matches!(self.steps[*s].work, Work::Product(_))).count();
            match found.last_mut().filter(|range| range.end == rows.end) {
                Some(range) => range.end = chain.steps().end,
                // Nothing but one product with what follows it: rows have no advantage.
                None if products == 1 && matches!(self.steps[chain.first].work, Work::Product(_)) => {
                    found = vec![chain.steps()]
                }
                None => {}
            }
        }
        found
    }

    /// Whether a product has many columns, side by side, of a large right operand.
    fn is_wide(&self, product: &Product, options: &Options) -> bool {
        let at = |size: &Size| size.eval(&self.capacity).unwrap_or(0);
        product.batch.is_empty()
            && product.out.column_stride == Size::constant(1)
            && at(&product.n) >= options.fewest_columns
            && at(&product.n).saturating_mul(at(&product.k)).saturating_mul(4) >= options.shared_bytes / 4
    }
}

/// Whether a kernel needs of the steps before it, the first of them a product, for each row and column, that row and column
/// only.
fn follows(step: &Step, before: &[&Step]) -> bool {
    let (Some(Step { work: Work::Product(product), .. }), Work::Kernel(kernel)) = (before.first(), &step.work) else {
        return false;
    };
    let (Some(rows), Some(columns)) = (shared_loop(kernel), column_loop(kernel)) else { return false };
    if kernel.extent(rows.axis) != &product.m || kernel.extent(columns.axis) != &product.n {
        return false;
    }
    let touched = |step: &&Step| -> BTreeSet<BufferId> {
        let (reads, writes) = accesses(step);
        reads.into_iter().chain(writes).collect()
    };
    let earlier: BTreeSet<BufferId> = before.iter().flat_map(touched).collect();
    let written: BTreeSet<BufferId> = before.iter().flat_map(|step| accesses(step).1).collect();
    let mut local = true;
    accessed(kernel, &mut |buffer, index, stores| {
        let shared = written.contains(&buffer) || stores && earlier.contains(&buffer);
        local &= !shared || index.terms.len() == 2 && is_of_column(index, columns.axis, &product.n);
        // A store that does not move with the column would be made by every tile.
        local &= !stores || index.stride(columns.axis) != Size::default() && index.values.is_empty();
    });
    local
}

/// Whether a kernel runs over the columns of the last product of a chain, and needs of it, and of the kernels after it, for
/// each of its positions that column only. So many of the chain's last steps are such kernels already; fewer columns than
/// `fewest` are not worth it.
pub(super) fn goes_down(chain: &[&Step], down: usize, step: &Step, fewest: u64) -> bool {
    let Some(start) = chain.iter().rposition(|s| matches!(s.work, Work::Product(_))) else { return false };
    let (range, rows) = (&chain[start..], chain.len() - down - start);
    let (Work::Product(product), Work::Kernel(kernel)) = (&range[0].work, &step.work) else { return false };
    let (n, out) = (&product.n, &product.out);
    let Some(own) = shared_loop(kernel) else { return false };
    let fits = product.batch.is_empty()
        && n.as_constant().is_some_and(|n| n >= fewest)
        && (out.column_stride == Size::constant(1) && out.row_stride == *n && out.offset == Size::default())
        && kernel.extent(own.axis) == n
        && (1..rows).all(|k| follows(range[k], &range[..k]));
    if !fits {
        return false;
    }
    let (reads, writes) = accesses(step);
    let mut needs = false;
    for (k, other) in range.iter().enumerate() {
        let (their_reads, their_writes) = accesses(other);
        needs |= their_writes.intersection(&reads).next().is_some();
        let read = their_writes.iter().filter(|b| reads.contains(b) || writes.contains(b));
        let shared: BTreeSet<BufferId> = read.chain(their_reads.intersection(&writes)).copied().collect();
        let theirs = match &other.work {
            Work::Product(p) => shared.iter().all(|b| *b == p.out.buffer),
            Work::Kernel(kernel) => {
                let l = if k < rows { column_loop(kernel) } else { shared_loop(kernel) };
                l.is_some_and(|l| is_by_column(kernel, l.axis, &shared, n))
            }
            Work::Order(_) => shared.is_empty(),
        };
        if !theirs || !is_by_column(kernel, own.axis, &shared, n) {
            return false;
        }
    }
    needs
}

/// Whether a kernel accesses these buffers column by column.
fn is_by_column(kernel: &Kernel, columns: AxisId, buffers: &BTreeSet<BufferId>, width: &Size) -> bool {
    let mut local = true;
    accessed(kernel, &mut |buffer, index, _| {
        local &= !buffers.contains(&buffer) || is_of_column(index, columns, width);
    });
    local
}

/// Whether an index is that of a column: of a vector, or in some row of a dense matrix of this width.
fn is_of_column(index: &Index, columns: AxisId, width: &Size) -> bool {
    let others = || index.terms.iter().filter(|(axis, _)| *axis != columns);
    index.values.is_empty()
        && index.offset == Size::default()
        && index.stride(columns) == Size::constant(1)
        && others().count() <= 1
        && others().all(|(_, stride)| stride == width)
}

/// Calls `f` with every buffer a kernel accesses, the index, and whether it stores there.
fn accessed(kernel: &Kernel, f: &mut impl FnMut(BufferId, &Index, bool)) {
    for value in &kernel.values {
        if let Expr::Load { buffer, index, .. } = &value.expr {
            f(*buffer, index, false);
        }
    }
    kernel.walk(&mut |stmt| {
        if let Stmt::Store(store) = stmt {
            f(store.buffer, &store.index, true);
        }
    });
}
