//! A group becomes a kernel: its rows are the outer loops, its reductions run in phases, and everything else is
//! computed where it is first needed, as far out as its operands allow.
//!
//! Before: `m = max z over C`, `e = exp(z - m)`, `s = sum e over C`, `p = e / s`.
//! After: `for n { m = reduce c max z; s = reduce c { e = exp(z - m); row[c] = e; sum e }; for c { p[n, c] = row[c] / s } }`.
//!
//! Invariants: within a block, stores come after everything computed in it, so a value is read before it is updated; a
//! row's stores come after all its phases; an update in place happens in the last loop over its pattern.

use super::across::{self, tree};
use super::collapse::collapse;
use super::emit::Emitter;
use super::groups::{Group, Level};
use super::index_map::times;
use super::kernel::{Combine, Index, Kernel, Order, Reduce, Reduction, Stmt, Store, ValueId};
use super::nodes::{Brief, Class, Nodes};
use super::program::{Buffer, BufferId};
use crate::ir::ScalarOp;
use crate::ir::primitive::{Contraction, ScatterAdd};
use crate::ir::{DType, NodeId, Op, Size};
use std::collections::BTreeSet;

/// What lowering knows about memory.
pub(super) struct Memory {
    /// Where each node is read from; then further places that get its value.
    pub homes: Vec<Vec<BufferId>>,
    /// Nodes whose first home is an input that the same kernel may read.
    pub updates: Vec<bool>,
    pub buffers: Vec<Buffer>,
}

/// A kernel and the nodes it computes, ascending.
pub(super) struct Lowered {
    pub kernel: Kernel,
    pub nodes: BTreeSet<NodeId>,
}

/// Lowers a group of loops, or a scatter. `None` is a bug: a node was not where the plan said.
pub(super) fn lower(nodes: &Nodes, group: &Group, memory: &mut Memory) -> Option<Lowered> {
    if let Some(lowered) = across::lower(nodes, group, memory) {
        return Some(lowered);
    }
    let mut emitter = Emitter::new(nodes, group, memory);
    match nodes.graph.op(group.members[0]) {
        Op::ScatterAdd(scatter) => lower_scatter(&mut emitter, group.members[0], scatter),
        _ => lower_rows(&mut emitter, group, !group.over_lanes(), lower_reductions, lower_others),
    }
    let (mut kernel, nodes) = emitter.finish()?;
    collapse(&mut kernel);
    Some(Lowered { kernel, nodes })
}

/// The phase after which each member is known: a reduction ends the phase after those of its operands.
fn phases(nodes: &Nodes, group: &Group) -> Vec<usize> {
    let mut phase = vec![0; group.members.len()];
    for (k, id) in group.members.iter().enumerate() {
        for edge in group.reads_of(*id) {
            if let Ok(at) = group.members.binary_search(&edge.from) {
                phase[k] = phase[k].max(phase[at]);
            }
        }
        phase[k] += usize::from(nodes.class(*id) == Class::Reduction);
    }
    phase
}

/// The reductions of a pattern that end a phase.
fn reductions_of(nodes: &Nodes, group: &Group, phase: &[usize], p: usize, pattern: usize) -> Vec<NodeId> {
    (group.members.iter().zip(phase))
        .filter(|(id, q)| **q == p && nodes.class(**id) == Class::Reduction)
        .filter(|(id, _)| group.reading_level(nodes, **id) == Level::Full(pattern))
        .map(|(id, _)| *id)
        .collect()
}

/// Computes members inside a pattern's loops for one row: reductions that end a phase together, or what else is to be stored.
pub(super) type Write = fn(&mut Emitter, &Group, usize, &[Index], &[NodeId]);

/// Loops over a group's rows, each computed phase by phase; `vector` where the rows are lanes.
pub(super) fn lower_rows(emitter: &mut Emitter, group: &Group, vector: bool, reductions: Write, others: Write) {
    let nodes = emitter.nodes;
    let first = group.members.iter().find(|id| group.level(nodes, **id) == Level::Row);
    let Some(first) = first else { return emitter.fail() };
    let rows = emitter.open_loops(&nodes.graph.ty(*first).dims, vector, false);
    let phase = phases(nodes, group);
    for p in 0..=phase.iter().copied().max().unwrap_or(0) {
        for pattern in 0..group.patterns.len() {
            let results = reductions_of(nodes, group, &phase, p, pattern);
            if !results.is_empty() {
                reductions(emitter, group, pattern, &rows, &results);
            }
        }
        for (id, q) in group.members.iter().zip(&phase) {
            if *q == p && group.level(nodes, *id) == Level::Row && nodes.class(*id) != Class::Reduction {
                let value = emitter.value(*id, &rows);
                emitter.store_at_home(*id, value, &rows);
            }
        }
    }
    for pattern in 0..group.patterns.len() {
        let full = group.members.iter().copied().filter(|id| group.level(nodes, *id) == Level::Full(pattern));
        let rest: Vec<NodeId> = full.filter(|id| !emitter.is_stored(*id)).collect();
        if !rest.is_empty() {
            others(emitter, group, pattern, &rows, &rest);
        }
    }
    emitter.close_to(0);
}

/// A loop over a pattern that stores what no phase did.
fn lower_others(emitter: &mut Emitter, group: &Group, pattern: usize, rows: &[Index], rest: &[NodeId]) {
    let dims = emitter.nodes.graph.ty(rest[0]).dims.clone();
    let kept = &group.patterns[pattern].kept;
    let depth = emitter.depth();
    let inner: Vec<Size> = (0..dims.len()).filter(|k| !kept.contains(k)).map(|k| dims[k].clone()).collect();
    let axes = emitter.open_loops(&inner, group.patterns[pattern].lanes, false);
    let map = full_map(rows, &axes, kept, dims.len());
    emitter.enter_full(&map);
    for id in rest {
        let value = emitter.value(*id, &map);
        emitter.store_at_home(*id, value, &map);
    }
    emitter.leave_full();
    emitter.close_to(depth);
}

pub(super) fn full_map(rows: &[Index], reduced: &[Index], kept: &[usize], rank: usize) -> Vec<Index> {
    let (mut rows, mut reduced) = (rows.iter(), reduced.iter());
    let next = |k| if kept.contains(&k) { rows.next() } else { reduced.next() };
    (0..rank).map(next).map(|index| index.cloned().unwrap_or_default()).collect()
}

/// One loop over a pattern that computes several reductions, and stores what else it computed.
fn lower_reductions(emitter: &mut Emitter, group: &Group, pattern: usize, rows: &[Index], results: &[NodeId]) {
    let nodes = emitter.nodes;
    let pattern_facts = &group.patterns[pattern];
    let operand = nodes.operands(results[0])[0];
    let dims = nodes.graph.ty(operand).dims.clone();
    let kept = &pattern_facts.kept;
    let axes: Vec<_> = (0..dims.len()).filter(|k| !kept.contains(k)).map(|k| emitter.axis(dims[k].clone())).collect();
    let inner: Vec<Index> = axes.iter().map(|a| Index::axis(*a)).collect();
    let map = full_map(rows, &inner, kept, dims.len());
    emitter.open_block(&axes);
    emitter.enter_full(&map);
    for id in needed(emitter, group, pattern, results) {
        emitter.value(id, &map);
    }
    let mut reductions: Vec<(NodeId, Combine, ValueId)> = Vec::new();
    for id in results {
        let combine = match nodes.graph.op(*id) {
            Op::ReduceSum(_) => Combine::Sum,
            Op::ReduceMax(_) => Combine::Max,
            _ => Combine::ArgMax,
        };
        reductions.push((*id, combine, emitter.value(nodes.operands(*id)[0], &map)));
    }
    let computed: Vec<(NodeId, ValueId)> = group
        .members
        .iter()
        .filter(|id| group.level(nodes, **id) == Level::Full(pattern) && !emitter.updates(**id))
        .filter_map(|id| Some((*id, emitter.known(*id, &map)?)))
        .collect();
    for (id, value) in computed {
        emitter.store_at_home(id, value, &map);
    }
    let body = emitter.take_block();
    let order = if pattern_facts.lanes { Order::Lanes } else { Order::Sequential };
    let defined = reductions.iter().map(|(id, combine, operand)| {
        let result = emitter.reduced(*id, &axes, *operand, rows);
        Reduction { combine: *combine, operand: *operand, result }
    });
    let results = defined.collect();
    emitter.push_reduce(Reduce { axes: axes.clone(), order, body, results });
    emitter.leave_full();
    for (id, _, _) in reductions {
        if let Some(value) = emitter.known(id, rows) {
            emitter.store_at_home(id, value, rows);
        }
    }
}

/// The members inside a pattern's loops that some reductions need, in graph order: computed in this order, none waits for
/// a long chain of others.
pub(super) fn needed(emitter: &Emitter, group: &Group, pattern: usize, results: &[NodeId]) -> BTreeSet<NodeId> {
    let nodes = emitter.nodes;
    let mut needed = BTreeSet::new();
    for id in group.members.iter().rev() {
        if results.contains(id) || needed.contains(id) && !emitter.is_fetched(*id) {
            let inside = |from: &NodeId| {
                group.members.binary_search(from).is_ok() && group.level(nodes, *from) == Level::Full(pattern)
            };
            needed.extend(group.reads_of(*id).map(|e| e.from).filter(inside));
        }
    }
    needed
}

/// A contraction by loops: the sum over its contracted axes, for one element of the result.
pub(super) fn lower_contraction(
    emitter: &mut Emitter,
    id: NodeId,
    contraction: &Contraction,
    map: &[Index],
) -> ValueId {
    let nodes = emitter.nodes;
    let (l, r) = (nodes.operands(id)[0], nodes.operands(id)[1]);
    let (ld, rd) = (nodes.graph.ty(l).dims.clone(), nodes.graph.ty(r).dims.clone());
    let axes: Vec<_> = contraction.contract.iter().map(|(a, _)| emitter.axis(ld[*a].clone())).collect();
    let (lf, rf) = contraction.free(ld.len(), rd.len());
    let (mut lm, mut rm) = (vec![Index::default(); ld.len()], vec![Index::default(); rd.len()]);
    for ((a, b), axis) in contraction.contract.iter().zip(&axes) {
        (lm[*a], rm[*b]) = (Index::axis(*axis), Index::axis(*axis));
    }
    for ((a, b), index) in contraction.batch.iter().zip(map) {
        (lm[*a], rm[*b]) = (index.clone(), index.clone());
    }
    let free = &map[contraction.batch.len()..];
    lf.iter().zip(free).for_each(|(a, index)| lm[*a] = index.clone());
    rf.iter().zip(&free[lf.len()..]).for_each(|(b, index)| rm[*b] = index.clone());
    let dtype = nodes.graph.ty(id).dtype;
    if axes.is_empty() {
        let (x, y) = (emitter.value(l, &lm), emitter.value(r, &rm));
        let product = emitter.scalar(ScalarOp::Mul, vec![x, y], dtype);
        // A sum starts at +0, which a product of -0 does not change to -0.
        let zero = emitter.constant(0.0, dtype);
        return emitter.scalar(ScalarOp::Add, vec![zero, product], dtype);
    }
    let brief = nodes.brief(id);
    if let (Some(Brief::Written(n)), [(a, b)]) = (brief, contraction.contract.as_slice()) {
        let mut leaf = |k: u64| {
            (lm[*a], rm[*b]) = (Index::constant(k.into()), Index::constant(k.into()));
            let (x, y) = (emitter.value(l, &lm), emitter.value(r, &rm));
            let product = emitter.scalar(ScalarOp::Mul, vec![x, y], dtype);
            let zero = emitter.constant(0.0, dtype);
            emitter.scalar(ScalarOp::Add, vec![zero, product], dtype)
        };
        let leaves: Vec<ValueId> = (0..n).map(&mut leaf).collect();
        return tree(emitter, ScalarOp::Add, leaves, dtype);
    }
    emitter.open_block(&axes);
    let (x, y) = (emitter.value(l, &lm), emitter.value(r, &rm));
    let operand = emitter.scalar(ScalarOp::Mul, vec![x, y], dtype);
    let body = emitter.take_block();
    let result = emitter.reduced(id, &axes, operand, map);
    let results = vec![Reduction { combine: Combine::Sum, operand, result }];
    // Of two numbers there is one sum.
    let order = if brief.is_some() { Order::Sequential } else { Order::Lanes };
    emitter.push_reduce(Reduce { axes, order, body, results });
    result
}

/// Zeros, then every update added in row-major order.
fn lower_scatter(emitter: &mut Emitter, id: NodeId, scatter: &ScatterAdd) {
    let nodes = emitter.nodes;
    let dtype = nodes.graph.ty(id).dtype;
    let total = scatter.dims.iter().fold(Size::constant(1), |n, d| times(&n, d));
    let map = emitter.open_loops(&[total], true, false);
    let zero = emitter.constant(0.0, dtype);
    let Some(out) = emitter.home(id) else { return emitter.fail() };
    emitter.store(Store { buffer: out, index: map[0].clone(), value: zero, accumulate: false });
    emitter.close_to(0);
    emitter.settle();
    // Into an axis that is empty nothing is added: a loop that runs once where it is not.
    let size = &scatter.dims[scatter.axis];
    match size.as_constant() {
        Some(0) => return,
        Some(_) => {}
        None => {
            let once = times(size, &2.into()).floor_div(&(size + &1.into()));
            emitter.open_loops(&[once], false, true);
        }
    }
    let (updates, positions) = (nodes.operands(id)[0], nodes.operands(id)[1]);
    let rank = nodes.graph.ty(positions).rank();
    let dims = nodes.graph.ty(updates).dims.clone();
    let mut map = emitter.open_loops(&dims[..rank], false, true);
    map.extend(emitter.open_loops(&dims[rank..], true, false));
    let update = emitter.value(updates, &map);
    let at = emitter.clamped(positions, &map[..rank], &scatter.dims[scatter.axis]);
    let mut rest = map[rank..].iter();
    let target: Vec<Index> = (0..scatter.dims.len())
        .map(|k| match scatter.batch.iter().find(|(a, _)| *a == k) {
            _ if k == scatter.axis => at.clone(),
            Some((_, b)) => map[*b].clone(),
            None => rest.next().cloned().unwrap_or_default(),
        })
        .collect();
    let index = super::index_map::linear(&target, &scatter.dims);
    emitter.store(Store { buffer: out, index, value: update, accumulate: true });
    emitter.close_to(0);
}

/// Whether a statement stores or computes anything: an empty kernel needs no step.
pub(super) fn is_empty(kernel: &Kernel) -> bool {
    let mut stores = false;
    kernel.walk(&mut |s| stores |= matches!(s, Stmt::Store(_)));
    !stores
}

/// The integer a boolean is stored as.
pub(super) fn stored_type(dtype: DType, float: DType) -> DType {
    if dtype == DType::Bool { float.int() } else { dtype }
}
