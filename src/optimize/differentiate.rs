//! Expands every request for a derivative into ordinary graph.
//!
//! ```text
//! before   %1 = tag %0; %2 = mul %1 %1; %3 = gradient %2 %1; %4 = project 0 %3
//! after    %1 = add %0 %0
//! ```
//! The rules are the primitives' own; `autodiff` walks the graph. Invariant: no request and no tag is left, so that
//! evaluations at the same point merge. Limits: requests are expanded innermost first, in the order of the graph.

use crate::autodiff::{self, NotDifferentiable};
use crate::ir::Graph;

pub(super) fn run(graph: &Graph) -> Result<Graph, NotDifferentiable> {
    autodiff::differentiate(graph)
}
