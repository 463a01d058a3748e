//! Names for bound values, as a textbook would choose them.
//!
//! Input: a graph and the nodes to name. Output: `z1`, `z2`, … for the affine maps that the loss is made of, `h1`, … for what
//! is made of one of them elementwise, `p` for probabilities, `mask` for draws of 0 and 1, `d_z1` and `d_h1` for the
//! derivative of the loss with respect to `z1` and `h1`; else a letter for the primitive.
//! Invariant: names are distinct, and differ from those of the inputs.

use super::axes::Axes;
use super::view::{View, core, is_parameter, view};
use crate::ir::{Graph, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet};

/// What the values of a graph are to its loss.
pub(super) struct Parts {
    /// The number of each affine map, by its contraction and by its sum with a bias.
    layers: BTreeMap<NodeId, usize>,
    /// The whole of each affine map: with its bias, if it has one.
    wholes: BTreeMap<usize, NodeId>,
    count: usize,
    /// The layer that an elementwise value is made of.
    activations: BTreeMap<NodeId, usize>,
    /// For derivatives of the loss, the value they are taken by.
    cotangents: BTreeMap<NodeId, NodeId>,
    forward: Vec<bool>,
}

impl Parts {
    pub fn new(graph: &Graph, axes: &Axes) -> Parts {
        let mut forward = vec![false; graph.len()];
        if let Some(loss) = graph.outputs().iter().find(|o| &*o.name == "loss") {
            forward[loss.node.index()] = true;
        }
        for id in graph.ids().rev() {
            if forward[id.index()] {
                graph.operands(id).iter().for_each(|o| forward[o.index()] = true);
            }
        }
        let mut parts = Parts {
            layers: BTreeMap::new(),
            wholes: BTreeMap::new(),
            count: 0,
            activations: BTreeMap::new(),
            cotangents: BTreeMap::new(),
            forward,
        };
        graph.ids().for_each(|id| parts.read_forward(graph, id));
        graph.ids().for_each(|id| parts.read_backward(graph, axes, id));
        parts
    }

    /// Whether the node is an affine map, whole.
    pub fn is_layer(&self, id: NodeId) -> bool {
        self.layers.get(&id).is_some_and(|number| self.wholes.get(number) == Some(&id))
    }

    /// Whether the node has a name in textbooks, however often it is used: z, and the derivative by it.
    pub fn is_named(&self, id: NodeId) -> bool {
        self.is_layer(id) || self.cotangents.get(&id).is_some_and(|z| self.layers.contains_key(z))
    }

    fn read_forward(&mut self, graph: &Graph, id: NodeId) {
        if !self.forward[id.index()] {
            return;
        }
        let operands: Vec<NodeId> = graph.operands(id).iter().map(|o| core(graph, *o)).collect();
        match graph.op(id) {
            Op::Contraction(_) if operands.iter().any(|o| is_parameter(graph, *o)) => {
                self.count += 1;
                self.layers.insert(id, self.count);
                self.wholes.insert(self.count, id);
            }
            Op::Add(_) if operands.iter().any(|o| is_parameter(graph, *o)) => {
                let product = operands.iter().find(|o| matches!(graph.op(**o), Op::Contraction(_)));
                if let Some(number) = product.and_then(|p| self.layers.get(p)).copied() {
                    self.layers.insert(id, number);
                    self.wholes.insert(number, id);
                }
            }
            _ => {
                let rank = graph.ty(id).rank();
                let made_of: BTreeSet<usize> = operands
                    .iter()
                    .filter(|o| graph.ty(**o).rank() == rank && rank > 0)
                    .filter_map(|o| self.layers.get(o).or_else(|| self.activations.get(o)))
                    .copied()
                    .collect();
                let reduces = matches!(graph.op(id), Op::ReduceSum(_) | Op::ReduceMax(_) | Op::Contraction(_));
                if made_of.len() == 1 && !reduces {
                    self.activations.extend(made_of.first().map(|number| (id, *number)));
                }
            }
        }
    }

    /// In the derivative of `z = h W`, the other factor of `hᵀ · δ` is δ, and `δ · Wᵀ` is the derivative by `h`.
    fn read_backward(&mut self, graph: &Graph, axes: &Axes, id: NodeId) {
        let Op::Contraction(_) = graph.op(id) else { return };
        if self.forward[id.index()] {
            return;
        }
        let operands = graph.operands(id);
        let layers: Vec<NodeId> =
            self.layers.keys().copied().filter(|z| matches!(graph.op(*z), Op::Contraction(_))).collect();
        for z in layers {
            let factors: Vec<NodeId> = graph.operands(z);
            for (this, that) in [(0, 1), (1, 0)] {
                let (shared, other) = (core(graph, operands[this]), operands[that]);
                let Some(side) = factors.iter().position(|f| core(graph, *f) == shared) else { continue };
                if axes.of(other) != axes.of(z) || self.forward[core(graph, other).index()] {
                    continue;
                }
                self.cotangents.entry(core(graph, other)).or_insert(z);
                let factor = factors[1 - side];
                if !is_parameter(graph, factor) && axes.of(factor) == axes.of(id) {
                    self.cotangents.entry(id).or_insert(core(graph, factor));
                }
            }
        }
    }

    fn stem(&self, graph: &Graph, id: NodeId, softmax: bool) -> String {
        let numbered = |letter: &str, number: &usize| {
            if self.count > 1 { format!("{letter}{number}") } else { letter.to_owned() }
        };
        if softmax {
            return "p".to_owned();
        }
        if let Some(of) = self.cotangents.get(&id) {
            if let Some(number) = self.layers.get(of) {
                return numbered("d_z", number);
            }
            if let Some(number) = self.activations.get(of) {
                return numbered("d_h", number);
            }
        }
        if !self.forward[id.index()] {
            return "g".to_owned();
        }
        if let Some(number) = self.layers.get(&id) {
            return numbered(if self.is_layer(id) { "z" } else { "a" }, number);
        }
        let fixed = match (view(graph, id), graph.op(id)) {
            (View::Bernoulli(_), _) => Some("mask"),
            (View::Mean(..), _) => Some("mu"),
            (_, Op::Random(_)) => Some("u"),
            (_, Op::ReduceMax(_)) => Some("m"),
            (_, Op::ReduceSum(_)) => Some("s"),
            (_, Op::Exp(_)) => Some("e"),
            _ => None,
        };
        match (fixed, self.activations.get(&id)) {
            (Some(name), _) => name.to_owned(),
            (None, Some(number)) => numbered("h", number),
            _ => "v".to_owned(),
        }
    }

    /// Distinct names for `bound` (ascending), of which `softmaxes` are probabilities.
    pub fn names(
        &self,
        graph: &Graph,
        bound: &[NodeId],
        softmaxes: &BTreeSet<NodeId>,
        taken: &BTreeSet<String>,
    ) -> BTreeMap<NodeId, String> {
        let stems: Vec<String> = bound.iter().map(|id| self.stem(graph, *id, softmaxes.contains(id))).collect();
        let mut many: BTreeMap<&str, usize> = BTreeMap::new();
        stems.iter().for_each(|stem| *many.entry(stem).or_default() += 1);
        let mut next: BTreeMap<&str, usize> = BTreeMap::new();
        let mut used = taken.clone();
        let mut names = BTreeMap::new();
        for (id, stem) in bound.iter().zip(&stems) {
            // What is one of many is numbered from the first on, unless its stem has a number already.
            let numbered = stem.ends_with(|c: char| c.is_ascii_digit());
            let alone = numbered || many[stem.as_str()] == 1;
            let next = next.entry(stem).or_insert(usize::from(!alone));
            let name = loop {
                let name = match (*next, numbered) {
                    (0, _) => stem.clone(),
                    (k, true) => format!("{stem}_{}", k + 1),
                    (k, false) => format!("{stem}{k}"),
                };
                *next += 1;
                if used.insert(name.clone()) {
                    break name;
                }
            };
            names.insert(*id, name);
        }
        names
    }
}
