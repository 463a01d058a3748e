//! Which steps of a chain are cut by columns: products of large matrices and what follows them element by element.
//!
//! Before: tiles of rows, each of which reads all of a weight matrix.
//! After: tiles of columns, each of which reads its own columns of the weights, once a step, and all of the activations.
//!
//! Input: a chain and the program it is of. Output: ranges of its steps. Invariant: within a range, a step needs of the ones
//! before it, for an element of a row and a column, what they computed for that row and column.

use super::kernel::{AxisId, Expr, Index, Kernel, Stmt};
use super::program::{BufferId, Options, Product, Program, Work};
use super::waves::{Chain, column_loop, shared_loop};
use crate::ir::Size;
use std::collections::BTreeSet;
use std::ops::Range;

impl Program {
    /// The steps of a chain to be cut by columns.
    pub(super) fn columns(&self, chain: &Chain, options: &Options) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        if chain.rows.is_none() || self.footprint(chain).shared < options.shared_bytes {
            return found;
        }
        for s in chain.steps() {
            match &self.steps[s].work {
                Work::Product(p) if self.is_wide(p, options) => found.push(s..s + 1),
                Work::Kernel(kernel) => {
                    let range = found.last_mut().filter(|range| range.end == s);
                    if let Some(range) = range.filter(|range| self.follows(kernel, range)) {
                        range.end += 1;
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Whether a product has many columns, side by side, of a large right operand.
    fn is_wide(&self, product: &Product, options: &Options) -> bool {
        let at = |size: &Size| size.eval(&self.capacity).unwrap_or(0);
        let one = Size::constant(1);
        product.batch.is_empty()
            && product.out.column_stride == one
            && at(&product.n) >= options.fewest_columns
            && at(&product.n).saturating_mul(at(&product.k)).saturating_mul(4) >= options.shared_bytes / 4
    }

    /// Whether a kernel needs of the steps before it, for each row and column, that row and column only.
    fn follows(&self, kernel: &Kernel, before: &Range<usize>) -> bool {
        let Work::Product(product) = &self.steps[before.start].work else { return false };
        let (Some(rows), Some(columns)) = (shared_loop(kernel), column_loop(kernel)) else { return false };
        if kernel.extent(rows.axis) != &product.m || kernel.extent(columns.axis) != &product.n {
            return false;
        }
        let steps = || self.steps[before.clone()].iter();
        let earlier: BTreeSet<BufferId> = steps().flat_map(|step| self.touches(step)).collect();
        let written: BTreeSet<BufferId> = steps().flat_map(|step| super::memory::accesses(step).1).collect();
        let mut local = true;
        accessed(kernel, &mut |buffer, index, stores| {
            let shared = written.contains(&buffer) || stores && earlier.contains(&buffer);
            local &= !shared || is_element(index, rows.axis, columns.axis, &product.n);
            // A store that does not move with the column would be made by every tile.
            local &= !stores || index.stride(columns.axis) != Size::default() && index.values.is_empty();
        });
        local
    }
}

/// Whether an index is that of an element of a dense matrix of these rows and columns.
fn is_element(index: &Index, rows: AxisId, columns: AxisId, width: &Size) -> bool {
    index.values.is_empty()
        && index.offset == Size::default()
        && index.terms.len() == 2
        && index.stride(rows) == *width
        && index.stride(columns) == Size::constant(1)
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
