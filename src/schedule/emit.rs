//! Building one kernel: blocks that are open, values that are known, and the expression of every inlined node.
//!
//! Invariant: a value stands in the outermost open block in which its axes and operands are known, and is computed once for one
//! element; two uses of a node at one index share it.

use super::groups::{Group, Level};
use super::index_map::{linear, reshaped};
use super::kernel::{AxisId, Expr, Guard, Index, Kernel, Loop, Reduce, Stmt, Store, Value, ValueId};
use super::lower::{Memory, lower_contraction, stored_type};
use super::nodes::{Class, EXPENSIVE, Nodes, expensive};
use super::program::{Buffer, BufferId, Place};
use crate::ir::ScalarOp;
use crate::ir::primitive::Gather;
use crate::ir::{DType, NodeId, Op, Size};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A block under construction: the body of the kernel, of a loop or of a reduction.
#[derive(Default)]
struct Block {
    stmts: Vec<Stmt>,
    /// Come last, after everything computed here.
    stores: Vec<Stmt>,
    /// The loop it is the body of.
    header: Option<Loop>,
}

/// A node's value at an index map, under guards.
struct Known {
    map: Vec<Index>,
    guards: u32,
    value: ValueId,
}

/// Where a dear value of an earlier phase is: the reduction that computed it, and the row buffer once it has one.
struct Kept {
    /// The block and statement of the reduction, the map it ran over, and the value.
    at: (usize, usize),
    map: Vec<Index>,
    value: ValueId,
    row: Option<BufferId>,
}

pub(super) struct Emitter<'a, 'g> {
    pub nodes: &'a Nodes<'g>,
    group: &'a Group,
    memory: &'a mut Memory,
    float: DType,
    kernel: Kernel,
    blocks: Vec<Block>,
    axis_depth: Vec<usize>,
    value_depth: Vec<usize>,
    known: HashMap<NodeId, Vec<Known>>,
    guards: Vec<Guard>,
    /// Tells one state of `guards` from another; 0 is none.
    guard_state: u32,
    guard_states: u32,
    /// The map of the loop over a pattern that is open.
    full: Option<Vec<Index>>,
    dear: Vec<(NodeId, ValueId)>,
    earlier: BTreeMap<NodeId, Kept>,
    stored: BTreeSet<NodeId>,
    touched: BTreeSet<NodeId>,
    failed: bool,
}

impl<'a, 'g> Emitter<'a, 'g> {
    pub fn new(nodes: &'a Nodes<'g>, group: &'a Group, memory: &'a mut Memory) -> Emitter<'a, 'g> {
        Emitter {
            nodes,
            group,
            float: nodes.float,
            memory,
            kernel: Kernel::default(),
            blocks: vec![Block::default()],
            axis_depth: Vec::new(),
            value_depth: Vec::new(),
            known: HashMap::new(),
            guards: Vec::new(),
            guard_state: 0,
            guard_states: 0,
            full: None,
            dear: Vec::new(),
            earlier: BTreeMap::new(),
            stored: BTreeSet::new(),
            touched: BTreeSet::new(),
            failed: false,
        }
    }

    pub fn finish(mut self) -> Option<(Kernel, BTreeSet<NodeId>)> {
        self.close_to(0);
        let root = self.blocks.pop()?;
        self.kernel.body = [root.stmts, root.stores].concat();
        (!self.failed).then_some((self.kernel, self.touched))
    }

    /// Notes that the plan and the graph disagree: a bug, reported by whoever asked for the kernel.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    pub fn axis(&mut self, extent: Size) -> AxisId {
        self.kernel.axes.push(extent);
        self.axis_depth.push(usize::MAX);
        AxisId(self.kernel.axes.len() as u32 - 1)
    }

    pub fn depth(&self) -> usize {
        self.blocks.len() - 1
    }

    /// Opens loops over dims and gives a position per dim; a dim of size 1 needs no loop.
    pub fn open_loops(&mut self, dims: &[Size], vector: bool, ordered: bool) -> Vec<Index> {
        let innermost = dims.iter().rposition(|d| d.as_constant() != Some(1));
        let mut map = Vec::with_capacity(dims.len());
        for (k, dim) in dims.iter().enumerate() {
            if dim.as_constant() == Some(1) {
                map.push(Index::default());
                continue;
            }
            let axis = self.axis(dim.clone());
            self.open_block(&[axis]);
            let vector = vector && Some(k) == innermost;
            self.blocks.last_mut().expect("just opened").header =
                Some(Loop { axis, vector, ordered, body: Vec::new() });
            map.push(Index::axis(axis));
        }
        map
    }

    pub fn open_block(&mut self, axes: &[AxisId]) {
        self.blocks.push(Block::default());
        let depth = self.depth();
        axes.iter().for_each(|a| self.axis_depth[a.index()] = depth);
    }

    /// Closes a block opened for a reduction and gives its body.
    pub fn take_block(&mut self) -> Vec<Stmt> {
        let block = self.blocks.pop().unwrap_or_default();
        [block.stmts, block.stores].concat()
    }

    /// Closes loops until the block at `depth` is innermost.
    pub fn close_to(&mut self, depth: usize) {
        while self.depth() > depth {
            let header = self.blocks.last_mut().and_then(|b| b.header.take());
            let body = self.take_block();
            match header {
                Some(header) => self.push(Stmt::Loop(Loop { body, ..header })),
                None => self.fail(),
            }
        }
    }

    /// Stores of the open block are done before whatever comes next.
    pub fn settle(&mut self) {
        if let Some(block) = self.blocks.last_mut() {
            block.stmts.append(&mut block.stores);
        }
    }

    fn push(&mut self, stmt: Stmt) {
        self.blocks.last_mut().expect("the root block stays open").stmts.push(stmt);
    }

    /// Appends a reduction; dear values computed in it can be fetched back later.
    pub fn push_reduce(&mut self, reduce: Reduce) {
        let at = (self.depth(), self.blocks.last().map_or(0, |b| b.stmts.len()));
        if let Some(map) = &self.full {
            for (id, value) in std::mem::take(&mut self.dear) {
                if self.value_depth[value.index()] > at.0 {
                    let kept = Kept { at, map: map.clone(), value, row: None };
                    self.earlier.entry(id).or_insert(kept);
                }
            }
        }
        self.push(Stmt::Reduce(reduce));
    }

    pub fn enter_full(&mut self, map: &[Index]) {
        self.full = Some(map.to_vec());
        self.dear.clear();
    }

    pub fn leave_full(&mut self) {
        self.full = None;
        self.dear.clear();
    }

    pub fn updates(&self, id: NodeId) -> bool {
        self.memory.updates[id.index()]
    }

    pub fn home(&self, id: NodeId) -> Option<BufferId> {
        self.memory.homes[id.index()].first().copied()
    }

    pub fn is_stored(&self, id: NodeId) -> bool {
        self.stored.contains(&id) || self.memory.homes[id.index()].is_empty()
    }

    /// Whether an earlier phase left the value of a member where a later one fetches it.
    pub fn is_fetched(&self, id: NodeId) -> bool {
        self.stored.contains(&id) || self.earlier.contains_key(&id)
    }

    /// Stores a kept node wherever it belongs; nowhere if only this kernel reads it.
    pub fn store_at_home(&mut self, id: NodeId, value: ValueId, map: &[Index]) {
        if !self.is_stored(id) {
            self.mark_stored(id);
            self.store_element(id, value, map);
        }
    }

    /// Notes that all of a node is stored.
    pub fn mark_stored(&mut self, id: NodeId) {
        self.stored.insert(id);
    }

    /// Stores one element of a kept node wherever it belongs.
    pub fn store_element(&mut self, id: NodeId, value: ValueId, map: &[Index]) {
        let homes = self.memory.homes[id.index()].clone();
        let dtype = stored_type(self.nodes.graph.ty(id).dtype, self.float);
        let value = self.converted(value, dtype);
        let index = linear(map, &self.nodes.graph.ty(id).dims);
        for buffer in homes {
            self.store(Store { buffer, index: index.clone(), value, accumulate: false });
        }
    }

    pub fn store(&mut self, store: Store) {
        self.blocks.last_mut().expect("the root block stays open").stores.push(Stmt::Store(store));
    }

    /// The value of a node at a map, if it is known already.
    pub fn known(&self, id: NodeId, map: &[Index]) -> Option<ValueId> {
        let of = self.known.get(&id)?;
        let found = of.iter().find(|k| (k.guards == 0 || k.guards == self.guard_state) && k.map == map);
        found.map(|k| k.value)
    }

    /// Notes a member's value that was computed elsewhere.
    pub fn know(&mut self, id: NodeId, map: &[Index], value: ValueId) {
        self.touched.insert(id);
        self.learn(id, map, value);
    }

    fn learn(&mut self, id: NodeId, map: &[Index], value: ValueId) {
        let known = Known { map: map.to_vec(), guards: self.guard_state, value };
        self.known.entry(id).or_default().push(known);
    }

    /// A value in the outermost block where its axes and operands are known.
    fn define(&mut self, expr: Expr, dtype: DType) -> ValueId {
        let (mut varies, mut depth) = (BTreeSet::new(), 0);
        let mut uses: Vec<ValueId> = Vec::new();
        let mut indices: Vec<&Index> = Vec::new();
        match &expr {
            Expr::Position(index) => indices.push(index),
            Expr::Load { index, guards, .. } => indices.extend(guards.iter().map(|g| &g.index).chain([index])),
            Expr::Within(guards) => indices.extend(guards.iter().map(|g| &g.index)),
            Expr::Scalar { args, .. } => uses.extend(args),
            Expr::Random { seed, step, element, .. } => {
                uses.extend([seed, step]);
                indices.push(element);
            }
            Expr::Constant(_) | Expr::Size(_) | Expr::Reduced => {}
        }
        for index in indices {
            for (axis, _) in &index.terms {
                varies.insert(*axis);
                depth = depth.max(self.axis_depth[axis.index()]);
            }
            uses.extend(index.values.iter().map(|(v, _)| *v));
        }
        for value in uses {
            varies.extend(&self.kernel.values[value.index()].varies);
            depth = depth.max(self.value_depth[value.index()]);
        }
        let depth = depth.min(self.depth());
        self.place(Value { expr, dtype, varies: varies.into_iter().collect() }, depth)
    }

    fn place(&mut self, value: Value, depth: usize) -> ValueId {
        let id = ValueId(self.kernel.values.len() as u32);
        if value.expr != Expr::Reduced {
            self.blocks[depth].stmts.push(Stmt::Let(id));
        }
        self.kernel.values.push(value);
        self.value_depth.push(depth);
        id
    }

    pub fn constant(&mut self, value: f64, dtype: DType) -> ValueId {
        self.define(Expr::Constant(value), dtype)
    }

    pub fn scalar(&mut self, op: ScalarOp, args: Vec<ValueId>, dtype: DType) -> ValueId {
        self.define(Expr::Scalar { op, args }, dtype)
    }

    /// The result of a reduction over `axes`, defined in the current block.
    pub fn reduced(&mut self, id: NodeId, axes: &[AxisId], operand: ValueId, map: &[Index]) -> ValueId {
        let varies = self.kernel.value(operand).varies.iter().copied().filter(|a| !axes.contains(a)).collect();
        let dtype = self.nodes.graph.ty(id).dtype;
        let value = self.place(Value { expr: Expr::Reduced, dtype, varies }, self.depth());
        self.know(id, map, value);
        value
    }

    fn converted(&mut self, value: ValueId, dtype: DType) -> ValueId {
        if self.kernel.value(value).dtype == dtype { value } else { self.scalar(ScalarOp::Convert, vec![value], dtype) }
    }

    fn load(&mut self, id: NodeId, buffer: BufferId, index: Index) -> ValueId {
        let dtype = self.nodes.graph.ty(id).dtype;
        let guards = self.guards.clone();
        let loaded = self.define(Expr::Load { buffer, index, guards }, stored_type(dtype, self.float));
        self.converted(loaded, dtype)
    }

    /// Loads what this kernel stored in an earlier phase: here, and no further out.
    fn load_back(&mut self, id: NodeId, buffer: BufferId, index: Index) -> ValueId {
        let dtype = self.nodes.graph.ty(id).dtype;
        let varies = index.terms.iter().map(|(a, _)| *a).collect();
        let expr = Expr::Load { buffer, index, guards: Vec::new() };
        let loaded = self.place(Value { expr, dtype: stored_type(dtype, self.float), varies }, self.depth());
        self.converted(loaded, dtype)
    }

    fn load_node(&mut self, id: NodeId, index: Index) -> ValueId {
        match self.home(id) {
            Some(buffer) => self.load(id, buffer, index),
            None => {
                self.fail();
                self.constant(0.0, self.nodes.graph.ty(id).dtype)
            }
        }
    }

    /// The value of a node at an index map: known, loaded, or computed here.
    pub fn value(&mut self, id: NodeId, map: &[Index]) -> ValueId {
        // What is the same everywhere is known once.
        let map = if matches!(self.nodes.graph.op(id), Op::Constant(_) | Op::SizeOf(_)) { &[] } else { map };
        if let Some(value) = self.known(id, map) {
            return value;
        }
        let value = self.fetch(id, map);
        self.learn(id, map, value);
        value
    }

    fn fetch(&mut self, id: NodeId, map: &[Index]) -> ValueId {
        let nodes = self.nodes;
        if nodes.kept(id) && self.group.members.binary_search(&id).is_err() {
            return self.load_node(id, linear(map, &nodes.graph.ty(id).dims));
        }
        if nodes.class(id) == Class::Scatter || nodes.class(id) == Class::Reduction {
            // Reductions of the group are known before they are used.
            self.fail();
            return self.constant(0.0, nodes.graph.ty(id).dtype);
        }
        let inside = self.full.as_deref() == Some(map) && self.guards.is_empty();
        if inside && let Some(value) = self.fetch_earlier(id, map) {
            return value;
        }
        self.touched.insert(id);
        let value = self.compute(id, map);
        let dear = match nodes.class(id) {
            Class::Element(op) => expensive(op),
            Class::Chosen => nodes.price[id.index()] >= EXPENSIVE,
            _ => false,
        };
        if inside && dear {
            self.dear.push((id, value));
        }
        value
    }

    /// A dear value of an earlier phase, from where that phase stored it.
    fn fetch_earlier(&mut self, id: NodeId, map: &[Index]) -> Option<ValueId> {
        let dims = self.nodes.graph.ty(id).dims.clone();
        if self.stored.contains(&id) {
            let home = self.home(id)?;
            return Some(self.load_back(id, home, linear(map, &dims)));
        }
        let Level::Full(pattern) = self.level(&dims, id)? else { return None };
        let pattern = &self.group.patterns[pattern];
        if !pattern.lanes {
            return None;
        }
        let reduced: Vec<usize> = (0..dims.len()).filter(|k| !pattern.kept.contains(k)).collect();
        let row_dims: Vec<Size> = reduced.iter().map(|k| dims[*k].clone()).collect();
        let position = |map: &[Index]| linear(reduced.iter().map(|k| &map[*k]), &row_dims);
        let dtype = self.nodes.graph.ty(id).dtype;
        let kept = self.earlier.get(&id)?;
        if dtype == DType::Bool {
            return None;
        }
        let row = match kept.row {
            Some(row) => row,
            None => {
                let row = BufferId(self.memory.buffers.len() as u32);
                self.memory.buffers.push(Buffer {
                    name: format!("row of {id}").into(),
                    elem: dtype,
                    dims: row_dims.clone(),
                    place: Place::Arena { offset: 0, bytes: 0 },
                });
                let store = Store { buffer: row, index: position(&kept.map), value: kept.value, accumulate: false };
                let (block, stmt) = kept.at;
                let Some(Stmt::Reduce(reduce)) = self.blocks.get_mut(block).and_then(|b| b.stmts.get_mut(stmt)) else {
                    return None;
                };
                reduce.body.push(Stmt::Store(store));
                row
            }
        };
        if let Some(kept) = self.earlier.get_mut(&id) {
            kept.row = Some(row);
        }
        Some(self.load_back(id, row, position(map)))
    }

    fn level(&self, dims: &[Size], id: NodeId) -> Option<Level> {
        (dims.len() == self.full.as_ref()?.len()).then(|| self.group.level(self.nodes, id))
    }

    fn compute(&mut self, id: NodeId, map: &[Index]) -> ValueId {
        let nodes = self.nodes;
        let operands = nodes.operands(id);
        let ty = nodes.graph.ty(id);
        match nodes.graph.op(id) {
            Op::Input(_) => self.load_node(id, linear(map, &ty.dims)),
            Op::Constant(c) => self.constant(c.value(), ty.dtype),
            Op::SizeOf(s) => self.define(Expr::Size(s.size.clone()), ty.dtype),
            Op::Iota(i) => match map[i.axis].as_constant() {
                Some(at) => self.constant(at as f64, ty.dtype),
                None => self.define(Expr::Position(map[i.axis].clone()), ty.dtype),
            },
            Op::Stop(_) | Op::Tag(_) => self.value(operands[0], map),
            Op::Broadcast(b) => {
                let map: Vec<Index> = b.axes.iter().map(|a| map[*a].clone()).collect();
                self.value(operands[0], &map)
            }
            Op::Permute(p) => {
                let mut moved = vec![Index::default(); map.len()];
                p.order.iter().zip(map).for_each(|(k, index)| moved[*k] = index.clone());
                self.value(operands[0], &moved)
            }
            Op::Slice(s) => {
                let mut moved = map.to_vec();
                moved[s.axis] = moved[s.axis].add(&Index::constant(s.start.clone()));
                self.value(operands[0], &moved)
            }
            Op::Reshape(r) if nodes.class(id) == Class::Relinear => {
                let base = nodes.linear_base(id);
                self.load_node(base, linear(map, &r.dims))
            }
            Op::Reshape(r) => {
                let moved = reshaped(map, &nodes.graph.ty(operands[0]).dims, &r.dims);
                self.value(operands[0], &moved)
            }
            Op::Pad(p) => {
                let size = nodes.size(operands[0], p.axis).clone();
                let zero = self.constant(0.0, ty.dtype);
                self.part(operands[0], map, p.axis, &p.before, &size, zero)
            }
            Op::Concat(c) => {
                let mut value = self.constant(0.0, ty.dtype);
                let mut start = Size::default();
                for o in operands {
                    let size = nodes.size(*o, c.axis).clone();
                    value = self.part(*o, map, c.axis, &start, &size, value);
                    start = &start + &size;
                }
                value
            }
            Op::Gather(g) => self.gathered(g, operands, map),
            Op::Random(r) => {
                let (seed, step) = (self.value(operands[0], &[]), self.value(operands[1], &[]));
                let element = linear(map, &r.dims);
                self.define(Expr::Random { site: r.site, seed, step, element }, ty.dtype)
            }
            Op::Contraction(c) => lower_contraction(self, id, c, map),
            _ => match nodes.class(id) {
                Class::Element(op) => {
                    let args = operands.iter().map(|o| self.value(*o, map)).collect();
                    self.scalar(op, args, ty.dtype)
                }
                _ => {
                    self.fail();
                    self.constant(0.0, ty.dtype)
                }
            },
        }
    }

    /// The operand where the position along `axis` lies in `start..start + size`, else `otherwise`.
    fn part(
        &mut self,
        id: NodeId,
        map: &[Index],
        axis: usize,
        start: &Size,
        size: &Size,
        otherwise: ValueId,
    ) -> ValueId {
        let guard = Guard { index: map[axis].clone(), lower: start.clone(), upper: start + size };
        let mut moved = map.to_vec();
        moved[axis] = moved[axis].add(&Index::constant(&Size::default() - start));
        let state = self.guard_state;
        self.guards.push(guard.clone());
        self.guard_states += 1;
        self.guard_state = self.guard_states;
        let value = self.value(id, &moved);
        self.guards.pop();
        self.guard_state = state;
        let within = self.define(Expr::Within(vec![guard]), DType::Bool);
        self.scalar(ScalarOp::Select, vec![within, value, otherwise], self.nodes.graph.ty(id).dtype)
    }

    /// The position a node holds, clamped to an axis of this size.
    pub fn clamped(&mut self, id: NodeId, map: &[Index], size: &Size) -> Index {
        let dtype = self.nodes.graph.ty(id).dtype;
        let at = self.value(id, map);
        let last = self.define(Expr::Size(size - &Size::constant(1)), dtype);
        let zero = self.constant(0.0, dtype);
        let below = self.scalar(ScalarOp::Minimum, vec![at, last], dtype);
        let clamped = self.scalar(ScalarOp::Maximum, vec![below, zero], dtype);
        Index { values: vec![(clamped, Size::constant(1))], ..Index::default() }
    }

    fn gathered(&mut self, gather: &Gather, operands: &[NodeId], map: &[Index]) -> ValueId {
        let (x, index) = (operands[0], operands[1]);
        let rank = self.nodes.graph.ty(index).rank();
        let dims = self.nodes.graph.ty(x).dims.clone();
        let at = self.clamped(index, &map[..rank], &dims[gather.axis]);
        let mut rest = map[rank..].iter();
        let moved: Vec<Index> = (0..dims.len())
            .map(|k| match gather.batch.iter().find(|(a, _)| *a == k) {
                _ if k == gather.axis => at.clone(),
                Some((_, b)) => map[*b].clone(),
                None => rest.next().cloned().unwrap_or_default(),
            })
            .collect();
        // Of an axis that may be empty there is nothing to read.
        if dims[gather.axis].as_constant().is_some_and(|n| n > 0) {
            return self.value(x, &moved);
        }
        let zero = self.constant(0.0, self.nodes.graph.ty(x).dtype);
        self.part(x, &moved, gather.axis, &Size::default(), &dims[gather.axis], zero)
    }
}
