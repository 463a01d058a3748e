//! The graph: nodes in a petgraph, operands on its edges.
//!
//! Invariants: a node's operands were added before it, so ascending [`NodeId`] is a topological order; a node
//! is never changed after it was added (passes rebuild); `outputs` keep the order in which they were declared.

use super::{Bindings, Builder, Op, Tensor, Type};
use crate::source::Span;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::{Direction, visit::EdgeRef};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A node of one graph. Its `Display` is the name in the text form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    pub fn index(self) -> usize {
        self.0 as usize
    }

    fn raw(self) -> NodeIndex {
        NodeIndex::new(self.0 as usize)
    }

    fn from_raw(n: NodeIndex) -> NodeId {
        NodeId(n.index() as u32)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// Where a node comes from: a place in the source and an application path such as `classifier.hidden`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origin {
    pub span: Option<Span>,
    pub path: Arc<str>,
}

/// A primitive applied to operands, with its type and origin.
#[derive(Clone, Debug)]
pub struct Node {
    pub op: Op,
    pub ty: Type,
    pub origin: Origin,
}

/// What becomes of an output.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum OutputRole {
    /// The value, after the step, of the input with this name.
    Next,
    /// Reported to whoever runs the graph: a loss, a metric, a prediction.
    Report,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    pub name: Arc<str>,
    pub role: OutputRole,
    pub node: NodeId,
}

/// A directed acyclic graph of primitive applications.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: DiGraph<Node, u32>,
    outputs: Vec<Output>,
}

impl Graph {
    pub fn len(&self) -> usize {
        self.nodes.node_count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every node, operands before users.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.node_count() as u32).map(NodeId)
    }

    /// The nodes that were added before `last`, and `last`.
    pub fn ids_to(&self, last: NodeId) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..=last.0).map(NodeId)
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.raw()]
    }

    pub fn op(&self, id: NodeId) -> &Op {
        &self.node(id).op
    }

    pub fn ty(&self, id: NodeId) -> &Type {
        &self.node(id).ty
    }

    /// The operands in position order. Edges are added last operand first, because petgraph lists the newest first.
    pub fn operands(&self, id: NodeId) -> Vec<NodeId> {
        let edges = self.nodes.edges_directed(id.raw(), Direction::Incoming);
        let operands: Vec<_> = edges.map(|e| (*e.weight(), NodeId::from_raw(e.source()))).collect();
        debug_assert!(operands.iter().enumerate().all(|(k, (position, _))| k as u32 == *position));
        operands.into_iter().map(|(_, n)| n).collect()
    }

    /// The value of a scalar that is made of constants, by few operations.
    pub fn number(&self, id: NodeId) -> Option<f64> {
        const MOST: usize = 64;
        let mut needed: BTreeMap<NodeId, Option<Tensor>> = BTreeMap::from([(id, None)]);
        let mut open = vec![id];
        while let Some(at) = open.pop() {
            if self.ty(at).rank() > 0 || matches!(self.op(at), Op::Input(_)) || needed.len() > MOST {
                return None;
            }
            open.extend(self.operands(at).into_iter().filter(|o| needed.insert(*o, None).is_none()));
        }
        // Operands come before what they are operands of.
        let order: Vec<NodeId> = needed.keys().copied().collect();
        for at in order {
            let operands = self.operands(at);
            let values: Option<Vec<&Tensor>> = operands.iter().map(|o| needed.get(o)?.as_ref()).collect();
            let value =
                self.op(at).primitive().eval(&values?, self.ty(at), &Bindings::new()).ok()?.into_iter().next()?;
            needed.insert(at, Some(value));
        }
        needed.get(&id)?.as_ref()?.to_f64().first().copied()
    }

    /// Whether these are the operands, in position order.
    pub(super) fn is_of(&self, id: NodeId, operands: &[NodeId]) -> bool {
        let edges = self.nodes.edges_directed(id.raw(), Direction::Incoming);
        edges.map(|e| NodeId::from_raw(e.source())).eq(operands.iter().copied())
    }

    /// The nodes that use this one, ascending, each as often as it uses it.
    pub fn users(&self, id: NodeId) -> Vec<NodeId> {
        let mut users: Vec<_> =
            self.nodes.edges_directed(id.raw(), Direction::Outgoing).map(|e| NodeId::from_raw(e.target())).collect();
        users.sort();
        users
    }

    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The input nodes, in the order in which they were added.
    pub fn inputs(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.ids().filter(|id| matches!(self.op(*id), Op::Input(_)))
    }

    /// Which nodes an output depends on.
    pub fn live(&self) -> Vec<bool> {
        let mut live = vec![false; self.len()];
        for output in &self.outputs {
            live[output.node.index()] = true;
        }
        for id in self.ids().rev() {
            if live[id.index()] {
                self.operands(id).iter().for_each(|o| live[o.index()] = true);
            }
        }
        live
    }

    pub(super) fn push(&mut self, node: Node, operands: &[NodeId]) -> NodeId {
        let id = self.nodes.add_node(node);
        for (position, operand) in operands.iter().enumerate().rev() {
            self.nodes.add_edge(operand.raw(), id, position as u32);
        }
        NodeId::from_raw(id)
    }

    pub(super) fn push_output(&mut self, output: Output) {
        self.outputs.push(output);
    }

    /// Rebuilds the graph: `f` gives the new node for each live node, having the builder, the old id and the new
    /// operands. Inputs are kept even when dead, so that a program's signature does not depend on its passes.
    pub fn rebuild(&self, mut f: impl FnMut(&mut Builder, NodeId, &[NodeId]) -> NodeId) -> Graph {
        let live = self.live();
        let mut builder = Builder::new();
        let mut new: Vec<Option<NodeId>> = vec![None; self.len()];
        for id in self.ids() {
            if !live[id.index()] && !matches!(self.op(id), Op::Input(_)) {
                continue;
            }
            let operands: Vec<NodeId> =
                self.operands(id).iter().map(|o| new[o.index()].expect("operands of live nodes are live")).collect();
            builder.set_origin(self.node(id).origin.clone());
            new[id.index()] = Some(f(&mut builder, id, &operands));
        }
        for output in &self.outputs {
            let node = new[output.node.index()].expect("outputs are live");
            builder.output(output.name.clone(), output.role.clone(), node);
        }
        builder.finish()
    }
}
