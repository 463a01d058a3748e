//! What each node is to the schedule, and which are worth a place of their own.
//!
//! Every live node is either *kept* (computed once by one step, in memory or in that step's registers) or *inlined*
//! (computed again wherever it is used). Views and leaves are inlined, as are elementwise values that are read once or cost no
//! more than a load. Reductions, products and scatters are kept, and so is what must lie in memory: outputs, operands of
//! products, and whatever is reshaped in a way no index map expresses.

use super::ScheduleError;
use super::index_map::reshape_is_affine;
use super::program::Options;
use crate::ir::{Bindings, DType, Graph, Lowering, NodeId, Op, Role, ScalarOp, Size};
use crate::scalar::Function;
use std::collections::HashMap;

/// The role of a node in a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// An input, a constant, a size or positions.
    Leaf,
    /// Another arrangement of its operand, by an affine index map.
    View,
    /// A reshape that only memory expresses: the operand's buffer, read at a linear position.
    Relinear,
    /// One element from one element of each operand.
    Element(ScalarOp),
    /// Pad, concat, gather, random draws: one element from elements chosen by position.
    Chosen,
    /// Reductions over axes.
    Reduction,
    /// A contraction computed by loops.
    SmallContraction,
    /// A contraction computed by the product library.
    Product,
    Scatter,
    /// The positions of the elements of each row in ascending order, by a sort.
    Order,
}

/// A contraction by loops whose sum needs no lanes: its elements are the lanes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Brief {
    /// Of so many products, written out.
    Written(u64),
    /// Of at most two products.
    Pair,
}

/// Facts about the nodes of one graph, by node index.
pub(super) struct Nodes<'g> {
    pub graph: &'g Graph,
    /// The float type the graph computes in.
    pub float: DType,
    pub operands: Vec<Vec<NodeId>>,
    pub live: Vec<bool>,
    pub class: Vec<Class>,
    pub kept: Vec<bool>,
    /// An id per distinct list of dims.
    pub dims: Vec<u32>,
    /// Whether it depends on the batch, be it on its size.
    pub data: Vec<bool>,
    /// The greatest values of symbols.
    capacity: &'g Bindings,
    /// The estimated cost of computing an element where it is used, in simple operations.
    pub price: Vec<u32>,
}

/// Costs from here on are not paid twice.
pub(super) const EXPENSIVE: u32 = 8;
/// A value read more than once is computed again up to this cost, if it takes one load.
const CHEAP: u32 = 4;
/// The greatest expression computed in place of a value, in nodes: bounds recursion and kernel size.
const LONGEST: u32 = 48;

pub(super) fn expensive(op: ScalarOp) -> bool {
    match op {
        ScalarOp::Function(f) => !matches!(f, Function::Sqrt | Function::Floor | Function::Sign),
        ScalarOp::Pow => true,
        _ => false,
    }
}

impl<'g> Nodes<'g> {
    pub fn new(graph: &'g Graph, options: &'g Options) -> Result<Nodes<'g>, ScheduleError> {
        let live = graph.live();
        let operands: Vec<Vec<NodeId>> = graph.ids().map(|id| graph.operands(id)).collect();
        let mut class = Vec::with_capacity(graph.len());
        let mut known: HashMap<&[Size], u32> = HashMap::new();
        let mut dims = Vec::with_capacity(graph.len());
        for id in graph.ids() {
            class.push(if live[id.index()] { classify(graph, id, &operands, options)? } else { Class::Leaf });
            let next = known.len() as u32;
            dims.push(*known.entry(&graph.ty(id).dims).or_insert(next));
        }
        let (kept, price) = (vec![false; graph.len()], vec![0; graph.len()]);
        let (capacity, mut data) = (&options.capacity, vec![false; graph.len()]);
        for id in graph.ids() {
            let own = match graph.op(id) {
                Op::Input(input) => input.role == Role::Data,
                Op::SizeOf(s) => s.size.as_constant().is_none(),
                _ => false,
            };
            let symbolic = graph.ty(id).dims.iter().any(|d| d.as_constant().is_none());
            data[id.index()] = own || symbolic || operands[id.index()].iter().any(|o| data[o.index()]);
        }
        let double = graph.ids().any(|id| graph.ty(id).dtype == DType::F64);
        let float = if double { DType::F64 } else { DType::F32 };
        let mut nodes = Nodes { graph, float, operands, live, class, kept, dims, data, capacity, price };
        nodes.keep_what_must_be_stored();
        nodes.keep_what_is_dear();
        Ok(nodes)
    }

    pub fn class(&self, id: NodeId) -> Class {
        self.class[id.index()]
    }

    pub fn kept(&self, id: NodeId) -> bool {
        self.kept[id.index()]
    }

    pub fn operands(&self, id: NodeId) -> &[NodeId] {
        &self.operands[id.index()]
    }

    pub fn size(&self, id: NodeId, axis: usize) -> &Size {
        &self.graph.ty(id).dims[axis]
    }

    /// The greatest value of a size, or more than any where it has none.
    pub fn most(&self, size: &Size) -> u64 {
        size.eval(self.capacity).unwrap_or(u64::MAX)
    }

    /// Whether a small contraction is brief.
    pub fn brief(&self, id: NodeId) -> Option<Brief> {
        let Op::Contraction(contraction) = self.graph.op(id) else { return None };
        let [(axis, _)] = contraction.contract.as_slice() else { return None };
        let size = self.size(self.operands(id)[0], *axis);
        let lanes = if self.float == DType::F64 { 8 } else { 16 };
        let loads = |o: &NodeId| self.kept(*o) || self.price[o.index()] == 0;
        let written = size.as_constant().filter(|n| (1..=lanes).contains(n));
        match written.filter(|_| self.operands(id).iter().all(loads)) {
            Some(n) => Some(Brief::Written(n)),
            None => size.eval(self.capacity).is_ok_and(|n| n <= 2).then_some(Brief::Pair),
        }
    }

    /// The same value under another name: through identities.
    pub fn same_value(&self, mut id: NodeId) -> NodeId {
        while matches!(self.graph.op(id), Op::Stop(_) | Op::Tag(_)) {
            id = self.operands(id)[0];
        }
        id
    }

    /// The node whose row-major buffer a [`Class::Relinear`] reshape reads.
    pub fn linear_base(&self, mut id: NodeId) -> NodeId {
        while matches!(self.graph.op(id), Op::Stop(_) | Op::Tag(_) | Op::Reshape(_)) {
            id = self.operands(id)[0];
        }
        id
    }

    fn is_input(&self, id: NodeId) -> bool {
        matches!(self.graph.op(id), Op::Input(_))
    }

    fn keep(&mut self, id: NodeId) {
        if !self.is_input(id) {
            self.kept[id.index()] = true;
        }
    }

    fn keep_what_must_be_stored(&mut self) {
        for output in self.graph.outputs() {
            self.keep(self.same_value(output.node));
        }
        for id in self.graph.ids() {
            if !self.live[id.index()] {
                continue;
            }
            if self.class(id) == Class::Product && !super::product::is_product(self, id) {
                self.class[id.index()] = Class::SmallContraction;
            }
            match self.class(id) {
                Class::Relinear => self.keep(self.linear_base(id)),
                Class::Reduction | Class::SmallContraction | Class::Scatter => self.keep(id),
                Class::Order => {
                    self.keep(id);
                    self.keep(self.same_value(self.operands(id)[0]));
                }
                Class::Product => {
                    self.keep(id);
                    for operand in self.operands[id.index()].clone() {
                        self.keep(super::product::stored_base(self, operand));
                    }
                }
                Class::Leaf | Class::View | Class::Element(_) | Class::Chosen => {}
            }
        }
    }

    /// Keeps elementwise values that are read several times and cost more than a load.
    fn keep_what_is_dear(&mut self) {
        let reads = self.reads();
        let reduced = self.reduced();
        // Whether a value is computed from results of reductions, row by row.
        let mut of_rows = vec![false; self.graph.len()];
        let mut length = vec![0u32; self.graph.len()];
        let mut loads = vec![0u32; self.graph.len()];
        for id in self.graph.ids() {
            let k = id.index();
            if !self.live[k] {
                continue;
            }
            let own = match self.class(id) {
                Class::Element(op) if expensive(op) => EXPENSIVE,
                Class::Element(ScalarOp::Div) => 3,
                Class::Element(ScalarOp::Function(Function::Sqrt)) => 3,
                Class::Element(_) => 1,
                Class::Chosen if matches!(self.graph.op(id), Op::Random(_)) => 4 * EXPENSIVE,
                Class::Chosen => 2 * self.operands(id).len() as u32,
                _ => 0,
            };
            let (mut price, mut long, mut load) = (own, 1u32, 0u32);
            for o in self.operands(id) {
                let o = o.index();
                if self.kept[o] {
                    load += 1;
                } else {
                    price = price.saturating_add(self.price[o]);
                    long = long.saturating_add(length[o]);
                    load += loads[o];
                }
            }
            match self.class(id) {
                Class::Leaf => (price, load) = (0, u32::from(self.is_input(id) && self.graph.ty(id).rank() > 0)),
                // Rows that repeat stay in registers or in the nearest cache.
                Class::View if matches!(self.graph.op(id), Op::Broadcast(_)) => load = 0,
                Class::View => self.kept[k] |= long > LONGEST,
                Class::Relinear => (price, load) = (0, 1),
                Class::Element(_) | Class::Chosen => {
                    let again = reads[k] <= 1 || (price <= CHEAP && load <= 1);
                    // One value stored beside the reductions is less than several for another loop to read.
                    of_rows[k] = self.operands(id).iter().any(|o| self.is_row(*o, &of_rows));
                    let gathered = reduced[k] && of_rows[k] && load > 1;
                    self.kept[k] |= !again || gathered || long > LONGEST;
                }
                _ => {}
            }
            (self.price[k], length[k], loads[k]) = (price, long, load);
        }
    }

    fn is_row(&self, id: NodeId, of_rows: &[bool]) -> bool {
        self.class(id) == Class::Reduction || of_rows[id.index()] && !self.kept(id)
    }

    /// Which nodes are the operand of a reduction.
    fn reduced(&self) -> Vec<bool> {
        let mut reduced = vec![false; self.graph.len()];
        for id in self.graph.ids().filter(|id| self.live[id.index()] && self.class(*id) == Class::Reduction) {
            reduced[self.operands(id)[0].index()] = true;
        }
        reduced
    }

    /// How often each node is read, as far as it matters: views stand for their readers, and a reader that repeats its
    /// operand counts twice.
    fn reads(&self) -> Vec<u32> {
        let mut reads = vec![0u32; self.graph.len()];
        for id in self.graph.ids().rev().filter(|id| self.live[id.index()]) {
            let times = match self.class(id) {
                Class::View if matches!(self.graph.op(id), Op::Broadcast(_)) => 2,
                Class::View if !self.kept(id) => reads[id.index()],
                Class::SmallContraction => 2,
                _ => 1,
            };
            for o in &self.operands[id.index()] {
                reads[o.index()] = reads[o.index()].saturating_add(times);
            }
        }
        reads
    }
}

/// The axes over which a primitive reduces, if it does.
pub(super) fn reduced_axes(op: &Op) -> Option<Vec<usize>> {
    match op {
        Op::ReduceSum(r) => Some(r.axes.clone()),
        Op::ReduceMax(r) => Some(r.axes.clone()),
        Op::ArgMax(r) => Some(vec![r.axis]),
        _ => None,
    }
}

fn classify(graph: &Graph, id: NodeId, operands: &[Vec<NodeId>], options: &Options) -> Result<Class, ScheduleError> {
    Ok(match graph.op(id) {
        Op::Input(_) | Op::Constant(_) | Op::SizeOf(_) | Op::Iota(_) => Class::Leaf,
        Op::Broadcast(_) | Op::Permute(_) | Op::Slice(_) | Op::Stop(_) | Op::Tag(_) => Class::View,
        Op::Reshape(reshape) => {
            let from = &graph.ty(operands[id.index()][0]).dims;
            if reshape_is_affine(from, &reshape.dims) { Class::View } else { Class::Relinear }
        }
        Op::Pad(_) | Op::Concat(_) | Op::Gather(_) | Op::Random(_) => Class::Chosen,
        op if reduced_axes(op).is_some_and(|axes| axes.is_empty()) => Class::Element(ScalarOp::Identity),
        op if reduced_axes(op).is_some() => Class::Reduction,
        Op::ScatterAdd(_) => Class::Scatter,
        Op::Order(_) => Class::Order,
        Op::Contraction(contraction) => {
            let (l, r) = (operands[id.index()][0], operands[id.index()][1]);
            let small = super::product::is_small(graph, contraction, l, r, options)
                .map_err(|error| ScheduleError::Size { error, origin: graph.node(id).origin.clone() })?;
            if small { Class::SmallContraction } else { Class::Product }
        }
        other => {
            if let Lowering::Elementwise(op) = other.primitive().lowering() {
                return Ok(Class::Element(op));
            }
            let (primitive, origin) = (other.primitive().name(), graph.node(id).origin.clone());
            return Err(ScheduleError::Unsupported { primitive, origin });
        }
    })
}
