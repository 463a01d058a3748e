//! What every pass is made of: rebuilding a graph node by node, regions included, and asking what a node is.
//!
//! Input: a graph and a constructor. Output: the graph in which every node was made by the constructor from its
//! operands' new nodes. Invariant: types and the order of inputs and outputs stay; a region that occurs twice
//! is rewritten once, so that calls of it still merge.

use crate::ir::primitive::*;
use crate::ir::{Builder, Graph, NodeId, Op, Size};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

/// Makes the node for a primitive applied to operands, perhaps another one of the same meaning.
pub(super) type Make<'a> = dyn FnMut(&mut Builder, Op, &[NodeId]) -> NodeId + 'a;

/// Rebuilds a graph, and the bodies of its regions, with `make`.
pub(super) fn rewrite(graph: &Graph, make: &mut Make) -> Graph {
    rewrite_nodes(graph, &mut |b, _, op, operands| make(b, op, operands))
}

/// A node of the graph that is rebuilt.
#[derive(Clone, Copy)]
pub(super) struct Old<'a> {
    pub graph: &'a Graph,
    pub id: NodeId,
}

/// As [`Make`], with the node that the new one stands for.
pub(super) type MakeOf<'a> = dyn FnMut(&mut Builder, Old, Op, &[NodeId]) -> NodeId + 'a;

/// As [`rewrite`], where what is made depends on the old node too.
pub(super) fn rewrite_nodes(graph: &Graph, make: &mut MakeOf) -> Graph {
    // By address: a region is equal only to itself.
    let mut known: HashMap<*const Graph, Region> = HashMap::new();
    graph.rebuild(|b, id, operands| {
        let rewritten = |region: &Region| {
            let rewrite = || Region(Arc::new(rewrite_nodes(&region.0, make)));
            Ok::<_, Infallible>(known.entry(Arc::as_ptr(&region.0)).or_insert_with(rewrite).clone())
        };
        let Ok(op) = graph.op(id).map_regions(rewritten);
        make(b, Old { graph, id }, op, operands)
    })
}

/// The only operand of `x`, if `x` is of the asked kind.
pub(super) fn operand(b: &Builder, x: NodeId, kind: impl Fn(&Op) -> bool) -> Option<NodeId> {
    if kind(b.graph().op(x)) { b.graph().operands(x).first().copied() } else { None }
}

/// The two operands of `x`, if `x` is of the asked kind.
pub(super) fn operands2(b: &Builder, x: NodeId, kind: impl Fn(&Op) -> bool) -> Option<(NodeId, NodeId)> {
    if !kind(b.graph().op(x)) {
        return None;
    }
    match b.graph().operands(x).as_slice() {
        [p, q] => Some((*p, *q)),
        _ => None,
    }
}

/// The value that every element of `x` has, where a constant was stretched to make it.
pub(super) fn splat(b: &Builder, mut x: NodeId) -> Option<f64> {
    loop {
        match b.graph().op(x) {
            Op::Constant(c) => return Some(c.value()),
            Op::Broadcast(_) | Op::Reshape(_) | Op::Permute(_) | Op::Stop(_) => x = b.graph().operands(x)[0],
            _ => return None,
        }
    }
}

/// Whether every element of `x` is the constant `value`, zeros told apart by sign.
pub(super) fn is(b: &Builder, x: NodeId, value: f64) -> bool {
    splat(b, x).is_some_and(|v| v.to_bits() == value.to_bits())
}

/// `-x`, without a second sign.
pub(super) fn negated(b: &mut Builder, x: NodeId) -> NodeId {
    match operand(b, x, |op| matches!(op, Op::Neg(_))) {
        Some(inner) => inner,
        None => b.neg(x),
    }
}

/// The largest finite value of the type of `x`.
pub(super) fn largest(b: &Builder, x: NodeId) -> f64 {
    match b.ty(x).dtype {
        crate::ir::DType::F32 => f64::from(f32::MAX),
        _ => f64::MAX,
    }
}

/// Which operand axis each output axis of a movement shows; none where the operand is repeated.
pub(super) fn axis_map(op: &Op) -> Option<Vec<Option<usize>>> {
    match op {
        Op::Broadcast(bc) => {
            let mut map = vec![None; bc.dims.len()];
            bc.axes.iter().enumerate().for_each(|(k, a)| map[*a] = Some(k));
            Some(map)
        }
        Op::Permute(p) => Some(p.order.iter().map(|k| Some(*k)).collect()),
        _ => None,
    }
}

/// The tensor of shape `dims` whose axis `k` is axis `map[k]` of `x`, or repeats `x` where there is none.
pub(super) fn arranged(b: &mut Builder, x: NodeId, map: &[Option<usize>], dims: &[Size]) -> NodeId {
    let order: Vec<usize> = map.iter().flatten().copied().collect();
    let axes: Vec<usize> = (0..map.len()).filter(|k| map[*k].is_some()).collect();
    let permuted = b.permute(x, &order);
    b.broadcast(permuted, &axes, dims)
}

/// The names of the live primitives that are neither leaves nor movement, in the order of the graph.
#[cfg(test)]
pub(super) fn work(graph: &Graph) -> Vec<&'static str> {
    let live = graph.live();
    let idle = |op: &Op| {
        matches!(
            op,
            Op::Input(_)
                | Op::Constant(_)
                | Op::SizeOf(_)
                | Op::Iota(_)
                | Op::Broadcast(_)
                | Op::Reshape(_)
                | Op::Stop(_)
        )
    };
    graph
        .ids()
        .filter(|id| live[id.index()] && !idle(graph.op(*id)))
        .map(|id| graph.op(id).primitive().name())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{DType, OutputRole, Role, Type};

    #[test]
    fn regions_are_rewritten_once_and_calls_of_them_still_merge() {
        let ty = Type::new(DType::F32, vec![Size::symbol("N")]);
        let mut inner = Builder::new();
        let x = inner.input("x", Role::Bound, ty.clone());
        let one = inner.full_like(x, 1.0);
        let product = inner.mul(x, one);
        let y = inner.exp(product);
        inner.output("y", OutputRole::Report, y);
        let body = Region(Arc::new(inner.finish()));

        let mut b = Builder::new();
        let (p, q) = (b.input("p", Role::Data, ty.clone()), b.input("q", Role::Data, ty.clone()));
        for (name, operand) in [("first", p), ("second", q), ("third", p)] {
            let call = b.push(Call { body: body.clone() }, &[operand]);
            let result = b.push(Project { index: 0, ty: ty.clone() }, &[call]);
            b.output(name, OutputRole::Report, result);
        }
        let after = super::super::simplify::run(&b.finish()).unwrap();
        let bodies: Vec<&Region> = after
            .ids()
            .filter_map(|id| if let Op::Call(call) = after.op(id) { Some(&call.body) } else { None })
            .collect();
        assert_eq!(bodies.len(), 2, "the first and the third call are one");
        assert_eq!(bodies[0], bodies[1]);
        assert_eq!(work(&bodies[0].0), ["exp"]);
    }
}
