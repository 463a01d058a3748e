//! Drops what no output depends on.
//!
//! ```text
//! before   %0 = input x; %1 = exp %0; %2 = neg %0; output y = %2
//! after    %0 = input x; %1 = neg %0; output y = %1
//! ```
//! Invariant: inputs stay, used or not, so that a program's signature does not depend on its passes.
//! Limits: a result of a loop that nobody projects is still computed by its body.

use super::rewrite::rewrite;
use crate::autodiff::NotDifferentiable;
use crate::ir::Graph;

pub(super) fn run(graph: &Graph) -> Result<Graph, NotDifferentiable> {
    Ok(rewrite(graph, &mut |b, op, operands| b.push(op, operands)))
}
