//! Where every kept node lives, and the order of the steps.
//!
//! Invariant: an input is updated only after its last reader, or, within the kernel that updates it, each element after it
//! was read. Where that is not possible the new value goes through the arena and is copied at the end.

use super::ScheduleError;
use super::groups::{Edge, Groups, Level, Relation};
use super::lower::{Memory, stored_type};
use super::nodes::{Class, Nodes};
use super::program::{Buffer, BufferId, Place, ProgramOutput};
use crate::ir::{NodeId, Op, OutputRole};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

/// A node's value copied to another buffer.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub from: NodeId,
    /// An earlier copy of the same value, to be copied on.
    pub staged: Option<usize>,
    pub to: BufferId,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Unit {
    Group(usize),
    Copy(usize),
}

/// A value that becomes the next value of an input, in place.
#[derive(Clone, Debug)]
struct Update {
    node: NodeId,
    input: NodeId,
    /// Of the input.
    buffer: BufferId,
}

pub(super) struct Plan {
    pub memory: Memory,
    pub outputs: Vec<ProgramOutput>,
    pub copies: Vec<Copy>,
    pub order: Vec<Unit>,
}

pub(super) fn plan(nodes: &Nodes, edges: &[Vec<Edge>], groups: &Groups) -> Result<Plan, ScheduleError> {
    let n = nodes.graph.len();
    let memory = Memory { homes: vec![Vec::new(); n], updates: vec![false; n], buffers: Vec::new() };
    let mut planner = Planner { nodes, edges, groups, memory, copies: Vec::new(), updates: Vec::new() };
    let inputs = planner.place_inputs();
    let outputs = planner.place_outputs(&inputs)?;
    planner.place_what_others_read();
    let order = planner.order();
    for update in &planner.updates {
        planner.memory.updates[update.node.index()] = true;
    }
    Ok(Plan { memory: planner.memory, outputs, copies: planner.copies, order })
}

struct Planner<'a, 'g> {
    nodes: &'a Nodes<'g>,
    edges: &'a [Vec<Edge>],
    groups: &'a Groups,
    memory: Memory,
    copies: Vec<Copy>,
    updates: Vec<Update>,
}

impl Planner<'_, '_> {
    fn buffer(&mut self, id: NodeId, name: Arc<str>, place: Place) -> BufferId {
        let ty = self.nodes.graph.ty(id);
        let elem = stored_type(ty.dtype, self.nodes.float);
        self.memory.buffers.push(Buffer { name, elem, dims: ty.dims.clone(), place });
        BufferId(self.memory.buffers.len() as u32 - 1)
    }

    fn arena(&mut self, id: NodeId) -> BufferId {
        let node = self.nodes.graph.node(id);
        let dot = if node.origin.path.is_empty() { "" } else { "." };
        let name = format!("{}{dot}{}{id}", node.origin.path, node.op.primitive().name());
        self.buffer(id, name.into(), Place::Arena { offset: 0, bytes: 0 })
    }

    fn place_inputs(&mut self) -> BTreeMap<Arc<str>, NodeId> {
        let mut inputs = BTreeMap::new();
        for id in self.nodes.graph.inputs() {
            let Op::Input(input) = self.nodes.graph.op(id) else { continue };
            let place = Place::Input { name: input.name.clone(), role: input.role, updated: false };
            let buffer = self.buffer(id, input.name.clone(), place);
            self.memory.homes[id.index()].push(buffer);
            inputs.insert(input.name.clone(), id);
        }
        inputs
    }

    fn place_outputs(&mut self, inputs: &BTreeMap<Arc<str>, NodeId>) -> Result<Vec<ProgramOutput>, ScheduleError> {
        let mut outputs = Vec::new();
        for output in self.nodes.graph.outputs() {
            let node = self.nodes.same_value(output.node);
            let buffer = match output.role {
                OutputRole::Report => {
                    let buffer = self.buffer(node, output.name.clone(), Place::Output { name: output.name.clone() });
                    self.write_to(node, buffer);
                    buffer
                }
                OutputRole::Next => {
                    let graph = self.nodes.graph;
                    let input = inputs.get(&output.name).copied().filter(|i| graph.ty(*i) == graph.ty(node));
                    let Some(input) = input else {
                        return Err(ScheduleError::NoSuchInput { name: output.name.clone() });
                    };
                    let buffer = self.memory.homes[input.index()][0];
                    if node != input {
                        self.update(node, input, buffer);
                    }
                    buffer
                }
            };
            outputs.push(ProgramOutput { name: output.name.clone(), role: output.role.clone(), buffer });
        }
        Ok(outputs)
    }

    /// Products, sorts and scatters write one place only.
    fn writes_once(&self, node: NodeId) -> bool {
        matches!(self.nodes.class(node), Class::Product | Class::Scatter | Class::Order)
    }

    fn write_to(&mut self, node: NodeId, buffer: BufferId) {
        let kept = self.nodes.kept(node);
        let direct = match self.nodes.class(node) {
            Class::Scatter | Class::Product | Class::Order => self.memory.homes[node.index()].is_empty(),
            _ => true,
        };
        if kept && direct {
            self.memory.homes[node.index()].push(buffer);
        } else {
            self.copies.push(Copy { from: node, staged: None, to: buffer });
        }
    }

    fn update(&mut self, node: NodeId, input: NodeId, buffer: BufferId) {
        if let Place::Input { updated, .. } = &mut self.memory.buffers[buffer.index()].place {
            *updated = true;
        }
        let free = !self.writes_once(node)
            || self.nodes.class(node) == Class::Product && self.memory.homes[node.index()].is_empty();
        if self.nodes.kept(node) && free && self.reads_before_writing(node, input) {
            self.memory.homes[node.index()].push(buffer);
            self.updates.push(Update { node, input, buffer });
        } else {
            self.copies.push(Copy { from: node, staged: None, to: buffer });
        }
    }

    /// Whether the step that computes `node` reads `input`, if at all, element for element before it writes.
    fn reads_before_writing(&self, node: NodeId, input: NodeId) -> bool {
        let group = self.groups.group(self.groups.of(node));
        let own = group.level(self.nodes, node);
        let rank = self.nodes.graph.ty(input).rank();
        let fits = |edge: &Edge| {
            let Relation::Axes(axes) = &edge.relation else { return false };
            match (own, group.reading_level(self.nodes, edge.to)) {
                (Level::Row, Level::Row) => axes.len() == rank && axes.len() == group.rank,
                (Level::Row, Level::Full(k)) => *axes == group.patterns[k].kept,
                (Level::Full(i), Level::Full(k)) => i == k && axes.len() == rank,
                (Level::Full(_), Level::Row) => false,
            }
        };
        group.members.iter().flat_map(|m| &self.edges[m.index()]).filter(|e| e.from == input).all(fits)
    }

    /// Gives an arena buffer to what another step reads.
    fn place_what_others_read(&mut self) {
        let mut wanted = vec![false; self.nodes.graph.len()];
        for edge in self.edges.iter().flatten().filter(|e| self.nodes.kept(e.from)) {
            wanted[edge.from.index()] |= self.groups.of(edge.from) != self.groups.of(edge.to);
        }
        self.copies.iter().for_each(|c| wanted[c.from.index()] = true);
        for id in self.nodes.graph.ids() {
            let needed = wanted[id.index()] || self.nodes.kept(id) && self.writes_once(id);
            if needed && self.memory.homes[id.index()].is_empty() {
                let buffer = self.arena(id);
                self.memory.homes[id.index()].push(buffer);
            }
        }
    }

    /// Groups and copies such that values come before their readers, and readers of an input before what overwrites it.
    fn order(&mut self) -> Vec<Unit> {
        loop {
            let arcs = self.arcs();
            let mut order = self.topological(&arcs);
            let total = self.groups.groups.iter().flatten().count() + self.copies.len();
            if order.len() == total {
                return order;
            }
            // An input that is read after its next value is needed: that value waits in the arena. Other updates only wait for
            // what comes of it.
            order.sort_unstable();
            let stuck = |u: &Update| order.binary_search(&Unit::Group(self.groups.of(u.node))).is_err();
            let at = self.updates.iter().position(|u| stuck(u) && self.is_read_later(u, &arcs));
            let at = at.or_else(|| self.updates.iter().position(stuck));
            let Some(at) = at else {
                // Inputs that take each other's values: one of them is put aside first.
                let waits =
                    |k: &usize| order.binary_search(&Unit::Copy(*k)).is_err() && self.copies[*k].staged.is_none();
                let Some(k) = (0..self.copies.len()).find(waits) else { return order };
                let from = self.copies[k].from;
                let to = self.arena(from);
                self.copies[k].staged = Some(self.copies.len());
                self.copies.push(Copy { from, staged: None, to });
                continue;
            };
            let update = self.updates.remove(at);
            self.memory.homes[update.node.index()].retain(|b| *b != update.buffer);
            self.copies.push(Copy { from: update.node, staged: None, to: update.buffer });
            if self.memory.homes[update.node.index()].is_empty() {
                let buffer = self.arena(update.node);
                self.memory.homes[update.node.index()].push(buffer);
            }
        }
    }

    /// Whether something that reads an input before its update depends on that update.
    fn is_read_later(&self, update: &Update, arcs: &[Vec<usize>]) -> bool {
        let own = self.groups.of(update.node);
        let read = |e: &&Edge| e.from == update.input && self.groups.of(e.to) != own;
        let readers: Vec<usize> = self.edges.iter().flatten().filter(read).map(|e| self.groups.of(e.to)).collect();
        let mut seen = vec![false; arcs.len()];
        let mut reached = vec![own];
        while let Some(unit) = reached.pop() {
            if readers.contains(&unit) {
                return true;
            }
            for next in &arcs[unit] {
                if !std::mem::replace(&mut seen[*next], true) {
                    reached.push(*next);
                }
            }
        }
        false
    }

    /// What must come after each group and, numbered after them, each copy.
    fn arcs(&self) -> Vec<Vec<usize>> {
        let groups = self.groups.groups.len();
        let mut after: Vec<Vec<usize>> = vec![Vec::new(); groups + self.copies.len()];
        let mut arc = |from: usize, to: usize| {
            if from != to {
                after[from].push(to);
            }
        };
        for (k, group) in self.groups.groups.iter().enumerate() {
            for before in group.iter().flat_map(|g| g.before()) {
                arc(self.groups.find(*before), k);
            }
        }
        let mut readers: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        for edge in self.edges.iter().flatten() {
            readers.entry(edge.from).or_default().push(self.groups.of(edge.to));
        }
        for (k, copy) in self.copies.iter().enumerate() {
            if let Some(staged) = copy.staged {
                arc(groups + staged, groups + k);
                continue;
            }
            readers.entry(copy.from).or_default().push(groups + k);
            if self.nodes.kept(copy.from) {
                arc(self.groups.of(copy.from), groups + k);
            }
        }
        let written = self.copies.iter().enumerate().map(|(k, c)| (c.to, groups + k));
        let written = self.updates.iter().map(|u| (u.buffer, self.groups.of(u.node))).chain(written);
        let inputs: BTreeMap<BufferId, NodeId> =
            self.nodes.graph.inputs().map(|id| (self.memory.homes[id.index()][0], id)).collect();
        for (buffer, writer) in written {
            let read = inputs.get(&buffer).and_then(|input| readers.get(input));
            read.into_iter().flatten().for_each(|reader| arc(*reader, writer));
        }
        after
    }

    /// As many groups and copies as can be put in order.
    fn topological(&self, after: &[Vec<usize>]) -> Vec<Unit> {
        let groups = self.groups.groups.len();
        let unit = |k: usize| if k < groups { Unit::Group(k) } else { Unit::Copy(k - groups) };
        let mut waits = vec![0usize; after.len()];
        after.iter().flatten().for_each(|to| waits[*to] += 1);
        let key = |k: usize| (if k < groups { self.groups.position[k] } else { k }, k);
        let exists = |k: &usize| *k >= groups || self.groups.groups[*k].is_some();
        let mut ready: BinaryHeap<Reverse<(usize, usize)>> =
            (0..after.len()).filter(exists).filter(|k| waits[*k] == 0).map(|k| Reverse(key(k))).collect();
        let mut order = Vec::new();
        while let Some(Reverse((_, k))) = ready.pop() {
            order.push(unit(k));
            for next in &after[k] {
                waits[*next] -= 1;
                if waits[*next] == 0 {
                    ready.push(Reverse(key(*next)));
                }
            }
        }
        order
    }
}
