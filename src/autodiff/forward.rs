//! Forward mode.
//!
//! Input: a value `y`, targets `xs` and directions `vs` of their types. Output: the derivative of `y` along `vs`, of the type
//! of `y`. Only nodes between the targets and `y` are visited, operands before users.

use super::{NotDifferentiable, dependent, derived};
use crate::ir::{Applied, Builder, NodeId};
use std::collections::HashMap;

/// The derivative of `y` along `vs` at `xs`; zero if `y` does not depend on them.
pub fn tangent(b: &mut Builder, y: NodeId, xs: &[NodeId], vs: &[NodeId]) -> Result<NodeId, NotDifferentiable> {
    let outer = b.origin().clone();
    let mut between = dependent(b.graph(), y, xs);
    let along_of: HashMap<NodeId, NodeId> = xs.iter().copied().zip(vs.iter().copied()).rev().collect();
    let mut reaches = vec![false; y.index() + 1];
    reaches[y.index()] = true;
    for id in b.graph().ids_to(y).rev() {
        between[id.index()] &= reaches[id.index()];
        if between[id.index()] && !along_of.contains_key(&id) {
            b.graph().operands(id).iter().for_each(|o| reaches[o.index()] = true);
        }
    }
    let mut tangents: Vec<Option<NodeId>> = vec![None; y.index() + 1];
    for id in b.graph().ids_to(y) {
        if let Some(along) = along_of.get(&id) {
            tangents[id.index()] = Some(*along);
        } else if between[id.index()] {
            let node = b.graph().node(id).clone();
            let operands = b.graph().operands(id);
            let along: Vec<Option<NodeId>> = operands.iter().map(|o| tangents[o.index()]).collect();
            if along.iter().all(Option::is_none) {
                continue;
            }
            let wanted: Vec<bool> = along.iter().map(Option::is_some).collect();
            b.set_origin(derived(&node.origin, "tangent"));
            let at = Applied { operands: &operands, result: id, wanted: &wanted };
            tangents[id.index()] = node
                .op
                .primitive()
                .jvp(b, at, &along)
                .map_err(|why| NotDifferentiable { why, origin: node.origin.clone() })?;
        }
    }
    b.set_origin(outer);
    Ok(tangents[y.index()].unwrap_or_else(|| b.full_like(y, 0.0)))
}
