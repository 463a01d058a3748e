//! Derivatives as graph.
//!
//! Input: a graph with requests for gradients and tangents. Output: one without, in which every derivative is ordinary graph.
//! Invariant: a derivative can be differentiated again, since each primitive's rules give primitives.
//!
//! [`gradient`] is reverse mode, [`tangent`] forward mode; [`differentiate`] expands all requests, innermost first, and then
//! drops the tags that were their targets, so that evaluations at the same point merge.
//!
//! No NaN comes out of a branch that was not taken: what [`Select`](crate::ir::primitive::Select) gives the branch is exact
//! zeros, and below a select every elementwise contribution `p` of a cotangent `g` is guarded as `g = 0 and p is NaN ? 0 : p`,
//! unless zero times its factor cannot be NaN. The guard ends at contractions: rows of products mix, and a product of an
//! infinite operand with zeros is NaN.

pub mod differences;
mod differentiate;
mod forward;
mod guard;
mod reverse;

pub use differentiate::differentiate;
pub use forward::tangent;
pub use reverse::gradient;

use crate::ir::{Builder, DType, Graph, Lowering, NodeId, Op, Origin};
use std::fmt;

/// A node that has no derivative, met on the way from a value to what it is differentiated by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotDifferentiable {
    pub why: String,
    pub origin: Origin,
}

impl fmt::Display for NotDifferentiable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Which nodes up to `y` change with `xs`, by index: floats, and regions with several results. Nothing changes through
/// a target, since it is varied itself.
fn dependent(graph: &Graph, y: NodeId, xs: &[NodeId]) -> Vec<bool> {
    let mut dependent = marked(y, xs);
    for id in graph.ids_to(y) {
        let varies = match graph.op(id) {
            Op::Stop(_) => false,
            op => {
                graph.ty(id).dtype.is_float() || op.primitive().lowering() == Lowering::Region || is_bundle(graph, id)
            }
        };
        let changes = varies && graph.operands(id).iter().any(|o| dependent[o.index()]);
        dependent[id.index()] |= changes;
    }
    dependent
}

/// Which nodes up to `y` are targets, by index.
fn marked(y: NodeId, xs: &[NodeId]) -> Vec<bool> {
    let mut marked = vec![false; y.index() + 1];
    for x in xs.iter().filter(|x| **x <= y) {
        marked[x.index()] = true;
    }
    marked
}

/// A request stands for several results.
fn is_bundle(graph: &Graph, id: NodeId) -> bool {
    graph.op(id).primitive().lowering() == Lowering::Request && graph.ty(id).dtype == DType::Bool
}

/// The origin of a node of a derivative: that of the node it comes from, its path prefixed.
fn derived(from: &Origin, prefix: &str) -> Origin {
    let path = if from.path.is_empty() { prefix.into() } else { format!("{prefix} of {}", from.path).into() };
    Origin { span: from.span, path }
}

/// A sum where one term may be absent.
fn accumulate(b: &mut Builder, total: Option<NodeId>, term: NodeId) -> NodeId {
    total.map_or(term, |sum| b.add(sum, term))
}

#[cfg(test)]
mod tests;
