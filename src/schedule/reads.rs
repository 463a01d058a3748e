//! Which kept nodes and inputs each kept node reads, through everything inlined, and in what relation.

use super::groups::{Edge, Relation};
use super::index_map::reshape_blocks;
use super::nodes::{Class, Nodes};
use crate::ir::{NodeId, Op};

/// Per axis of a node, the axis of the reader's loops it runs with, if it is just that.
type Axes = Vec<Option<usize>>;

/// The reads of every kept node, by node index; each once per relation.
pub(super) fn edges(nodes: &Nodes) -> Vec<Vec<Edge>> {
    nodes.graph.ids().map(|id| if nodes.kept(id) { reads(nodes, id) } else { Vec::new() }).collect()
}

fn reads(nodes: &Nodes, id: NodeId) -> Vec<Edge> {
    let mut walk = Walk { nodes, reader: id, edges: Vec::new() };
    let operands = nodes.operands(id);
    match nodes.class(id) {
        Class::Reduction => {
            let rank = nodes.graph.ty(operands[0]).rank();
            walk.visit(operands[0], &(0..rank).map(Some).collect::<Axes>());
        }
        Class::Order => walk.elsewhere(nodes.same_value(operands[0])),
        Class::Product => operands.iter().for_each(|o| walk.elsewhere(super::product::stored_base(nodes, *o))),
        Class::SmallContraction | Class::Scatter => operands.iter().for_each(|o| walk.elsewhere(*o)),
        _ => walk.visit_operands(id, &(0..nodes.graph.ty(id).rank()).map(Some).collect::<Axes>()),
    }
    walk.edges
}

struct Walk<'a, 'g> {
    nodes: &'a Nodes<'g>,
    reader: NodeId,
    edges: Vec<Edge>,
}

impl Walk<'_, '_> {
    fn elsewhere(&mut self, id: NodeId) {
        self.visit(id, &vec![None; self.nodes.graph.ty(id).rank()]);
    }

    fn visit(&mut self, id: NodeId, axes: &[Option<usize>]) {
        if !self.nodes.kept(id) && !matches!(self.nodes.graph.op(id), Op::Input(_)) {
            return self.visit_operands(id, axes);
        }
        let known: Option<Vec<usize>> = axes.iter().copied().collect();
        let relation = match known {
            Some(axes) if axes.is_sorted_by(|a, b| a < b) => Relation::Axes(axes),
            _ => Relation::Other,
        };
        if !self.edges.iter().any(|e| e.from == id && e.relation == relation) {
            self.edges.push(Edge { from: id, to: self.reader, relation });
        }
    }

    fn visit_operands(&mut self, id: NodeId, axes: &[Option<usize>]) {
        let nodes = self.nodes;
        let operands = nodes.operands(id);
        match nodes.graph.op(id) {
            Op::Broadcast(b) => self.visit(operands[0], &b.axes.iter().map(|a| axes[*a]).collect::<Axes>()),
            Op::Permute(p) => {
                let mut moved = vec![None; axes.len()];
                p.order.iter().zip(axes).for_each(|(k, a)| moved[*k] = *a);
                self.visit(operands[0], &moved);
            }
            Op::Slice(s) => self.visit(operands[0], &without(axes, s.axis)),
            Op::Pad(p) => self.visit(operands[0], &without(axes, p.axis)),
            Op::Concat(c) => operands.iter().for_each(|o| self.visit(*o, &without(axes, c.axis))),
            Op::Reshape(_) if nodes.class(id) == Class::Relinear => self.elsewhere(nodes.linear_base(id)),
            Op::Reshape(r) => {
                let from = &nodes.graph.ty(operands[0]).dims;
                let mut moved = vec![None; from.len()];
                for (from, to) in reshape_blocks(from, &r.dims).unwrap_or_default() {
                    if let ([f], [t]) = (from.as_slice(), to.as_slice()) {
                        moved[*f] = axes[*t];
                    }
                }
                self.visit(operands[0], &moved);
            }
            Op::Gather(g) => {
                let rank = nodes.graph.ty(operands[1]).rank();
                self.visit(operands[1], &axes[..rank]);
                let mut rest = axes[rank..].iter();
                let x = (0..nodes.graph.ty(operands[0]).rank()).map(|k| match g.batch.iter().find(|(a, _)| *a == k) {
                    _ if k == g.axis => None,
                    Some((_, b)) => axes[*b],
                    None => rest.next().copied().flatten(),
                });
                self.visit(operands[0], &x.collect::<Axes>());
            }
            Op::Random(_) => operands.iter().for_each(|o| self.visit(*o, &[])),
            _ => operands.iter().for_each(|o| self.visit(*o, axes)),
        }
    }
}

fn without(axes: &[Option<usize>], axis: usize) -> Axes {
    let mut axes = axes.to_vec();
    axes[axis] = None;
    axes
}
