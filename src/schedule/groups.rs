//! Groups: which kept nodes one step computes, in an order without cycles.
//!
//! A group has *rows*, the dims its outer loops run over, and *patterns*: the dims it reduces from, with the axes that are
//! rows. A node with the dims of the rows is computed once a row, one with the dims of a pattern inside a loop over
//! the reduced axes. An edge within a group must connect elements of the same row (and position).
//!
//! Invariant: `position` is a topological order of the groups at all times (kept by the algorithm of Pearce and Kelly,
//! "A dynamic topological sort algorithm for directed acyclic graphs", 2006), so merging never makes a cycle.

use super::nodes::{Class, Nodes};
use crate::ir::NodeId;
use std::collections::BTreeSet;

/// How a reader's loops see a kept node it reads: which of the reader's axes are the node's, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Relation {
    /// Element for element along these axes of the reader, the others repeating.
    Axes(Vec<usize>),
    /// In any other way: only through memory.
    Other,
}

/// A read of a kept node or of an input.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub from: NodeId,
    pub to: NodeId,
    pub relation: Relation,
}

/// Dims that a group reduces from, and which of their axes are its rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pattern {
    /// The dims by [`Nodes::dims`].
    pub dims: u32,
    pub kept: Vec<usize>,
    /// Whether the last axis is reduced: over lanes.
    pub lanes: bool,
}

#[derive(Debug)]
pub(super) struct Group {
    /// Ascending.
    pub members: Vec<NodeId>,
    pub rows: u32,
    pub rank: usize,
    pub patterns: Vec<Pattern>,
    /// Whether it computes loops, which others may join.
    pub open: bool,
    /// Whether a contraction over lanes is in it.
    lanes: bool,
    /// Whether it needs the batch.
    data: bool,
    incoming: Vec<Edge>,
    before: Vec<usize>,
    after: Vec<usize>,
}

/// The level of a node in its group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    Row,
    /// Inside the loops of this pattern.
    Full(usize),
}

/// Members a group may have: bounds the time of a merge and the size of a kernel.
const MOST_MEMBERS: usize = 96;
/// Groups a merge may visit before it is given up.
const MOST_VISITED: usize = 768;

pub(super) struct Groups {
    pub groups: Vec<Option<Group>>,
    /// The group of each kept node.
    of: Vec<usize>,
    /// Where merged groups went.
    parent: Vec<usize>,
    pub position: Vec<usize>,
    /// The nodes that are operands of products.
    multiplied: Vec<bool>,
}

/// The axes along which the loops of a reduction's rows run.
pub(super) fn kept_axes(rank: usize, reduced: &[usize]) -> Vec<usize> {
    (0..rank).filter(|k| !reduced.contains(k)).collect()
}

impl Group {
    /// The level of a member, by its dims.
    pub fn level(&self, nodes: &Nodes, id: NodeId) -> Level {
        let dims = nodes.dims[id.index()];
        if dims == self.rows {
            return Level::Row;
        }
        self.patterns.iter().position(|p| p.dims == dims).map_or(Level::Row, Level::Full)
    }

    /// The level at which a member's operands are read: for a reduction, the loop it reduces over.
    pub fn reading_level(&self, nodes: &Nodes, id: NodeId) -> Level {
        if nodes.class(id) == Class::Reduction {
            let dims = nodes.dims[nodes.operands(id)[0].index()];
            return self.patterns.iter().position(|p| p.dims == dims).map_or(Level::Row, Level::Full);
        }
        self.level(nodes, id)
    }

    /// What a member reads of kept nodes.
    pub fn reads_of(&self, id: NodeId) -> impl Iterator<Item = &Edge> {
        self.incoming.iter().filter(move |e| e.to == id)
    }

    /// The groups that must run before, as [`Groups::find`] knows them.
    pub fn before(&self) -> &[usize] {
        &self.before
    }

    /// Whether a reduction over lanes is in it, so that its rows are no lanes.
    pub fn over_lanes(&self) -> bool {
        self.lanes || self.patterns.iter().any(|p| p.lanes)
    }

    /// Whether a contraction over lanes is in it.
    pub fn contracts_over_lanes(&self) -> bool {
        self.lanes
    }

    /// Whether an edge between two members stays within a row and position.
    fn holds(&self, nodes: &Nodes, edge: &Edge) -> bool {
        let Relation::Axes(axes) = &edge.relation else { return false };
        let (from, to) = (self.level(nodes, edge.from), self.reading_level(nodes, edge.to));
        match to {
            Level::Row => from == to && axes.len() == self.rank && nodes.class(edge.to) != Class::SmallContraction,
            Level::Full(k) => {
                from == to && axes.len() > self.patterns[k].kept.len()
                    || from == Level::Row && *axes == self.patterns[k].kept
            }
        }
    }
}

/// Whether the loop of one group runs within the rows of another, which reduces from the same dims.
fn inside(outer: &Group, inner: &Group) -> bool {
    // A reduction to a scalar has no rows to share: what uses its result over all positions is another loop.
    outer.rank > 0 && inner.patterns.is_empty() && !inner.lanes && outer.patterns.iter().any(|p| p.dims == inner.rows)
}

impl Groups {
    /// Puts every kept node in a group: first with producers, then with other readers of the same values.
    pub fn new(nodes: &Nodes, edges: &[Vec<Edge>]) -> Groups {
        let n = nodes.graph.len();
        let mut multiplied = vec![false; n];
        for edge in edges.iter().flatten().filter(|e| nodes.class(e.to) == Class::Product) {
            multiplied[edge.from.index()] = true;
        }
        let (of, parent) = (vec![usize::MAX; n], Vec::new());
        let mut groups = Groups { groups: Vec::new(), of, parent, position: Vec::new(), multiplied };
        for id in nodes.graph.ids().filter(|id| nodes.kept(*id)) {
            let own = groups.push(nodes, id, &edges[id.index()]);
            let mut tried = BTreeSet::new();
            for edge in edges[id.index()].iter().rev() {
                if edge.relation != Relation::Other && nodes.kept(edge.from) && tried.insert(edge.from) {
                    let (a, b) = (groups.of(edge.from), groups.find(own));
                    groups.merge(nodes, a, b);
                }
            }
        }
        groups.merge_readers(nodes, edges);
        groups
    }

    /// The group of a kept node.
    pub fn of(&self, id: NodeId) -> usize {
        self.find(self.of[id.index()])
    }

    pub fn find(&self, mut k: usize) -> usize {
        while self.parent[k] != k {
            k = self.parent[k];
        }
        k
    }

    pub fn group(&self, k: usize) -> &Group {
        self.groups[k].as_ref().expect("merged groups are found through their parent")
    }

    fn push(&mut self, nodes: &Nodes, id: NodeId, edges: &[Edge]) -> usize {
        let own = self.groups.len();
        let mut patterns = Vec::new();
        if nodes.class(id) == Class::Reduction {
            let operand = nodes.operands(id)[0];
            let rank = nodes.graph.ty(operand).rank();
            let reduced = super::nodes::reduced_axes(nodes.graph.op(id)).unwrap_or_default();
            let lanes = rank > 0 && reduced.contains(&(rank - 1));
            patterns.push(Pattern { dims: nodes.dims[operand.index()], kept: kept_axes(rank, &reduced), lanes });
        }
        let mut before: Vec<usize> = edges.iter().filter(|e| nodes.kept(e.from)).map(|e| self.of(e.from)).collect();
        before.sort_unstable();
        before.dedup();
        for b in &before {
            self.groups[*b].as_mut().expect("found").after.push(own);
        }
        self.groups.push(Some(Group {
            members: vec![id],
            rows: nodes.dims[id.index()],
            rank: nodes.graph.ty(id).rank(),
            patterns,
            open: !matches!(nodes.class(id), Class::Product | Class::Scatter | Class::Order),
            lanes: nodes.class(id) == Class::SmallContraction && nodes.brief(id).is_none(),
            data: nodes.data[id.index()],
            incoming: edges.iter().filter(|e| nodes.kept(e.from)).cloned().collect(),
            before,
            after: Vec::new(),
        }));
        self.of[id.index()] = own;
        self.parent.push(own);
        self.position.push(own);
        own
    }

    /// Merges groups that read the same value element for element.
    fn merge_readers(&mut self, nodes: &Nodes, edges: &[Vec<Edge>]) {
        let mut readers: Vec<Vec<NodeId>> = vec![Vec::new(); nodes.graph.len()];
        for edge in edges.iter().flatten() {
            if let Relation::Axes(axes) = &edge.relation
                && axes.len() == nodes.graph.ty(edge.from).rank()
            {
                readers[edge.from.index()].push(edge.to);
            }
        }
        for (from, readers) in nodes.graph.ids().zip(&readers) {
            let scalar = nodes.graph.ty(from).rank() == 0;
            for pair in readers.windows(2) {
                let (a, b) = (self.of(pair[0]), self.of(pair[1]));
                if a == b {
                    continue;
                }
                let (x, y) = (self.group(a), self.group(b));
                let alike = x.rows == y.rows && (x.rank > 0 || x.patterns.is_empty() && y.patterns.is_empty());
                // Rows are gone through anyway; columns would take what else reads the value out of its rows.
                let within = |x: &Group, y| inside(x, y) && x.patterns.iter().all(|p| p.lanes);
                let together = alike || !scalar && (within(x, y) || within(y, x));
                if together && (!scalar || x.rank == 0) {
                    self.merge(nodes, a, b);
                }
            }
        }
    }

    /// What the merged group would look like, if the two loop nests fit.
    fn joined(&self, nodes: &Nodes, a: usize, b: usize) -> Option<Group> {
        let (x, y) = (self.group(a), self.group(b));
        if !x.open || !y.open || x.members.len() + y.members.len() > MOST_MEMBERS {
            return None;
        }
        let outer = if x.rows == y.rows || inside(x, y) {
            x
        } else if inside(y, x) {
            y
        } else {
            return None;
        };
        let mut patterns = x.patterns.clone();
        for p in &y.patterns {
            match patterns.iter().find(|q| q.dims == p.dims) {
                Some(q) if q.kept != p.kept => return None,
                Some(_) => {}
                None => patterns.push(p.clone()),
            }
        }
        // What parameters alone decide does not wait for the batch.
        let sums = !x.patterns.is_empty() || !y.patterns.is_empty();
        if outer.rank == 0 && sums && x.data != y.data {
            return None;
        }
        let lanes = x.lanes || y.lanes;
        let mixed = patterns.iter().any(|p| !p.lanes) && (lanes || patterns.iter().any(|p| p.lanes));
        if mixed && outer.rank > 0 {
            return None;
        }
        let mut members = [x.members.as_slice(), &y.members].concat();
        members.sort_unstable();
        let group = Group {
            members,
            rows: outer.rows,
            rank: outer.rank,
            patterns,
            open: true,
            lanes,
            data: x.data || y.data,
            incoming: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
        };
        let between = |e: &&Edge, other: usize| self.of(e.from) == other;
        let crossing = x.incoming.iter().filter(|e| between(e, b)).chain(y.incoming.iter().filter(|e| between(e, a)));
        let fits = |e: &Edge| group.holds(nodes, e) && !self.breaks_rows(nodes, &group, e);
        crossing.into_iter().all(fits).then_some(group)
    }

    /// Whether an operand of a product would no longer be computed row by row: it can be, tile by tile with the product,
    /// and a sum over its rows reads it afterwards.
    fn breaks_rows(&self, nodes: &Nodes, group: &Group, edge: &Edge) -> bool {
        let Level::Full(k) = group.reading_level(nodes, edge.to) else { return false };
        let pattern = &group.patterns[k];
        let by_rows = group.rank > 0 && !pattern.lanes && !pattern.kept.contains(&0);
        by_rows && self.multiplied[edge.from.index()] && group.level(nodes, edge.from) == Level::Full(k)
    }

    /// Merges two groups if their loops fit and no path leads from one to the other through a third.
    fn merge(&mut self, nodes: &Nodes, a: usize, b: usize) -> bool {
        if a == b {
            return false;
        }
        let (a, b) = if self.position[a] < self.position[b] { (a, b) } else { (b, a) };
        let Some(mut group) = self.joined(nodes, a, b) else { return false };
        let Some(order) = self.order_for(a, b) else { return false };
        let mut pool: Vec<usize> = order.iter().map(|k| self.position[*k]).collect();
        pool.sort_unstable();
        for (k, position) in order.iter().zip(pool) {
            self.position[*k] = position;
        }
        let (x, y) = (self.groups[a].take().expect("found"), self.groups[b].take().expect("found"));
        let others = |lists: [Vec<usize>; 2]| {
            let mut all: Vec<usize> = lists.concat().iter().map(|k| self.find(*k)).collect();
            all.sort_unstable();
            all.dedup();
            all.retain(|k| *k != a && *k != b);
            all
        };
        group.before = others([x.before, y.before]);
        group.after = others([x.after, y.after]);
        group.incoming = x.incoming.into_iter().chain(y.incoming).collect();
        self.groups[a] = Some(group);
        self.parent[b] = a;
        true
    }

    /// An order of the groups that merging `a` with the later `b` moves: what `b` needs, the two, what needs `a`.
    fn order_for(&self, a: usize, b: usize) -> Option<Vec<usize>> {
        let (low, high) = (self.position[a], self.position[b]);
        let after = self.reach(a, |g| &g.after, |k| self.position[k] < high)?;
        if after.iter().any(|k| *k != a && self.group(*k).after.iter().any(|s| self.find(*s) == b)) {
            return None;
        }
        let before = self.reach(b, |g| &g.before, |k| self.position[k] > low)?;
        let sorted = |mut set: Vec<usize>, without: usize| {
            set.retain(|k| *k != without);
            set.sort_unstable_by_key(|k| self.position[*k]);
            set
        };
        // The merged group keeps the slot of `a`; that of `b` is left empty behind it.
        Some([sorted(before, b), vec![a, b], sorted(after, a)].concat())
    }

    fn reach<'a>(
        &'a self,
        from: usize,
        next: impl Fn(&'a Group) -> &'a Vec<usize>,
        within: impl Fn(usize) -> bool,
    ) -> Option<Vec<usize>> {
        let mut seen = BTreeSet::from([from]);
        let mut stack = vec![from];
        while let Some(k) = stack.pop() {
            for s in next(self.group(k)) {
                let s = self.find(*s);
                if within(s) && seen.insert(s) {
                    stack.push(s);
                }
            }
            if seen.len() > MOST_VISITED {
                return None;
            }
        }
        Some(seen.into_iter().collect())
    }
}
