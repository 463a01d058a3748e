//! Groups whose reductions are short: the rows are the lanes, and the positions of a row are written out.
//!
//! Before: `for n { m = max z over c < 4 lanes; …; for c < 4 lanes { p[n, c] = … } }`, a vector partly filled and a
//! reduction across its lanes for each row.
//! After: `for n lanes { m = max(max(z₀, z₂), max(z₁, z₃)); …; p[n, 0] = …; p[n, 1] = …; … }`, as many rows at once as there
//! are lanes, and what an earlier phase computed of a row stays in values.
//!
//! Invariant: numbers are combined in the order that [`Order::Lanes`](super::kernel::Order::Lanes) promises, so the bits
//! are the same either way. Limits: [`LONGEST`] positions a row, [`HEAVIEST`]
//! operations a kernel, and rows enough to fill lanes.

use super::collapse::collapse;
use super::emit::Emitter;
use super::groups::Group;
use super::kernel::{Expr, Index, Kernel, Loop, Stmt, ValueId};
use super::lower::{Lowered, Memory, full_map, lower_rows, needed};
use super::nodes::{Class, Nodes, expensive, reduced_axes};
use crate::ir::{DType, NodeId, Op, ScalarOp, Size};

/// The longest rows that are written out: two vectors of the widest lanes.
const LONGEST: u64 = 32;
/// The longest rows that are written out where there is little to compute: an access that strides takes longer than one of
/// neighbours, which functions in full lanes, and a single logarithm for many rows, make up for.
const LONGEST_LIGHT: u64 = 12;
/// The most operations of a kernel, so that the time to compile it is bounded.
const HEAVIEST: usize = 3000;
/// With fewer rows most lanes would be empty.
const FEWEST: u64 = 8;

/// The extents of the axes that a reduction reduces, if they are constant and few positions together.
fn short(nodes: &Nodes, id: NodeId) -> Option<Vec<u64>> {
    let operand = nodes.operands(id)[0];
    let axes = reduced_axes(nodes.graph.op(id))?;
    let extents = axes.iter().map(|a| nodes.size(operand, *a).as_constant()).collect::<Option<Vec<u64>>>()?;
    let positions = extents.iter().try_fold(1u64, |n, e| n.checked_mul(*e))?;
    (1..=LONGEST).contains(&positions).then_some(extents)
}

/// Lowers a group with its rows as lanes, if it has only short reductions and that pays.
pub(super) fn lower(nodes: &Nodes, group: &Group, memory: &mut Memory) -> Option<Lowered> {
    let reductions = || group.members.iter().filter(|id| nodes.class(**id) == Class::Reduction);
    let positions = |id: &NodeId| short(nodes, *id).map(|extents| extents.iter().product::<u64>());
    let longest = reductions().map(positions).try_fold(0, |most, n| Some(most.max(n?)))?;
    let all_over_lanes = !group.contracts_over_lanes() && group.patterns.iter().all(|p| p.lanes);
    if group.rank == 0 || longest == 0 || !all_over_lanes || group.members.len() as u64 * longest > HEAVIEST as u64 {
        return None;
    }
    let mut emitter = Emitter::new(nodes, group, memory);
    lower_rows(&mut emitter, group, true, write_reductions, write_others);
    let (mut kernel, members) = emitter.finish()?;
    collapse(&mut kernel);
    pays(nodes, &kernel, longest).then_some(Lowered { kernel, nodes: members })
}

/// Whether the kernel has lanes to fill, none of them a wide integer's, and enough to compute, but not too much.
fn pays(nodes: &Nodes, kernel: &Kernel, longest: u64) -> bool {
    let (mut lanes, mut stores) = (None, 0usize);
    kernel.walk(&mut |stmt| match stmt {
        Stmt::Loop(Loop { axis, vector: true, .. }) => lanes = Some(*axis),
        Stmt::Store(_) => stores += 1,
        _ => {}
    });
    let Some(axis) = lanes else { return false };
    let wide = |dtype: DType| dtype == DType::I64 && nodes.float == DType::F32;
    let lanes_are_narrow = !kernel.values.iter().any(|v| wide(v.dtype) && v.varies.contains(&axis));
    let mut heavy = false;
    let weights = kernel.values.iter().map(|v| match &v.expr {
        Expr::Scalar { op, .. } if expensive(*op) => {
            heavy = true;
            24
        }
        Expr::Random { .. } => 100,
        Expr::Load { .. } => 4,
        _ => 1,
    });
    let light_enough = weights.sum::<usize>() + 4 * stores <= HEAVIEST;
    let fits = lanes_are_narrow && light_enough && nodes.most(kernel.extent(axis)) >= FEWEST;
    fits && longest <= if heavy { LONGEST } else { LONGEST_LIGHT }
}

/// What no phase stored, position by position.
fn write_others(emitter: &mut Emitter, group: &Group, pattern: usize, rows: &[Index], rest: &[NodeId]) {
    let dims = emitter.nodes.graph.ty(rest[0]).dims.clone();
    for map in maps(&dims, &group.patterns[pattern].kept, rows) {
        for id in rest {
            let value = emitter.value(*id, &map);
            emitter.store_element(*id, value, &map);
        }
    }
    rest.iter().for_each(|id| emitter.mark_stored(*id));
}

/// Where each position of a row is, in row-major order.
fn maps(dims: &[Size], kept: &[usize], rows: &[Index]) -> Vec<Vec<Index>> {
    let reduced: Vec<usize> = (0..dims.len()).filter(|k| !kept.contains(k)).collect();
    let extents: Vec<usize> = reduced.iter().map(|k| dims[*k].as_constant().unwrap_or(0) as usize).collect();
    let map = |at: Vec<usize>| {
        let inner: Vec<Index> = at.iter().map(|p| Index::constant((*p as u64).into())).collect();
        full_map(rows, &inner, kept, dims.len())
    };
    crate::ir::positions(&extents).map(map).collect()
}

/// Reductions over one pattern, position by position.
fn write_reductions(emitter: &mut Emitter, group: &Group, pattern: usize, rows: &[Index], results: &[NodeId]) {
    let nodes = emitter.nodes;
    let operand = |id: &NodeId| nodes.operands(*id)[0];
    let dims = nodes.graph.ty(operand(&results[0])).dims.clone();
    let last = dims.last().and_then(Size::as_constant).unwrap_or(1).max(1) as usize;
    let mut leaves: Vec<Vec<ValueId>> = vec![Vec::new(); results.len()];
    for map in maps(&dims, &group.patterns[pattern].kept, rows) {
        for id in needed(emitter, group, pattern, results) {
            emitter.value(id, &map);
        }
        for (id, leaves) in results.iter().zip(&mut leaves) {
            leaves.push(emitter.value(operand(id), &map));
        }
    }
    for (id, leaves) in results.iter().zip(leaves) {
        let dtype = nodes.graph.ty(operand(id)).dtype;
        let value = match nodes.graph.op(*id) {
            Op::ReduceSum(_) => sum(emitter, &leaves, last, dtype),
            Op::ReduceMax(_) => {
                let lanes = in_lanes(emitter, ScalarOp::Maximum, &leaves, last, dtype);
                tree(emitter, ScalarOp::Maximum, lanes, dtype)
            }
            _ => greatest(emitter, &leaves, dtype, nodes.graph.ty(*id).dtype),
        };
        emitter.know(*id, rows, value);
        emitter.store_at_home(*id, value, rows);
    }
}

/// Combines what falls into the same lane, `last` numbers along the last axis.
fn in_lanes(emitter: &mut Emitter, op: ScalarOp, leaves: &[ValueId], last: usize, dtype: DType) -> Vec<ValueId> {
    let width = if matches!(dtype, DType::F64 | DType::I64) { 8 } else { 16 };
    let mut lanes: Vec<ValueId> = Vec::new();
    for row in leaves.chunks(last) {
        for (j, leaf) in row.iter().enumerate() {
            match lanes.get(j % width).copied() {
                Some(lane) => lanes[j % width] = emitter.scalar(op, vec![lane, *leaf], dtype),
                None => lanes.push(*leaf),
            }
        }
    }
    lanes
}

/// Combines as many numbers as there are lanes, or fewer, as lanes are: lane `i` and lane `i + half` by halves. A lane that
/// holds nothing changes nothing: -inf in a maximum, +0 in a sum that is not -0.
pub(super) fn tree(emitter: &mut Emitter, op: ScalarOp, mut lanes: Vec<ValueId>, dtype: DType) -> ValueId {
    while lanes.len() > 1 {
        let half = lanes.len().next_power_of_two() / 2;
        for k in half..lanes.len() {
            lanes[k - half] = emitter.scalar(op, vec![lanes[k - half], lanes[k]], dtype);
        }
        lanes.truncate(half);
    }
    lanes[0]
}

/// The sum, rows of several axes by Kahan's method. Sums start at +0: added once at the end, it makes of a sum of nothing but
/// -0 what it would have at the start, and of no other sum anything else.
fn sum(emitter: &mut Emitter, leaves: &[ValueId], last: usize, dtype: DType) -> ValueId {
    let rows: Vec<Vec<ValueId>> =
        leaves.chunks(last).map(|row| in_lanes(emitter, ScalarOp::Add, row, last, dtype)).collect();
    let zero = emitter.constant(0.0, dtype);
    let mut lanes = rows[0].clone();
    if rows.len() > 1 {
        for (lane, total) in lanes.iter_mut().enumerate() {
            let column: Vec<ValueId> = rows.iter().map(|row| row[lane]).collect();
            *total = if dtype.is_float() {
                compensated(emitter, zero, &column, dtype)
            } else {
                plain(emitter, &column, dtype)
            };
        }
    }
    let total = tree(emitter, ScalarOp::Add, lanes, dtype);
    if dtype.is_float() { emitter.scalar(ScalarOp::Add, vec![zero, total], dtype) } else { total }
}

fn plain(emitter: &mut Emitter, numbers: &[ValueId], dtype: DType) -> ValueId {
    let mut total = numbers[0];
    for x in &numbers[1..] {
        total = emitter.scalar(ScalarOp::Add, vec![total, *x], dtype);
    }
    total
}

/// Kahan's sum. (Of the first number alone, the compensation is zero unless that number is not finite.)
fn compensated(emitter: &mut Emitter, zero: ValueId, numbers: &[ValueId], dtype: DType) -> ValueId {
    let mut total = emitter.scalar(ScalarOp::Add, vec![zero, numbers[0]], dtype);
    let mut rest = emitter.scalar(ScalarOp::Sub, vec![total, numbers[0]], dtype);
    for x in &numbers[1..] {
        let y = emitter.scalar(ScalarOp::Sub, vec![*x, rest], dtype);
        let next = emitter.scalar(ScalarOp::Add, vec![total, y], dtype);
        let gained = emitter.scalar(ScalarOp::Sub, vec![next, total], dtype);
        rest = emitter.scalar(ScalarOp::Sub, vec![gained, y], dtype);
        total = next;
    }
    total
}

/// The position of the first largest number, NaN being largest.
fn greatest(emitter: &mut Emitter, leaves: &[ValueId], dtype: DType, places: DType) -> ValueId {
    let mut place = emitter.constant(0.0, places);
    let mut best = leaves[0];
    for (k, x) in leaves.iter().enumerate().skip(1) {
        let mut later = emitter.scalar(ScalarOp::Less, vec![best, *x], DType::Bool);
        if dtype.is_float() {
            let number = emitter.scalar(ScalarOp::Equal, vec![*x, *x], DType::Bool);
            let nan = emitter.scalar(ScalarOp::Not, vec![number], DType::Bool);
            let before = emitter.scalar(ScalarOp::Equal, vec![best, best], DType::Bool);
            let first_nan = emitter.scalar(ScalarOp::And, vec![nan, before], DType::Bool);
            later = emitter.scalar(ScalarOp::Or, vec![later, first_nan], DType::Bool);
        }
        let here = emitter.constant(k as f64, places);
        place = emitter.scalar(ScalarOp::Select, vec![later, here, place], places);
        best = emitter.scalar(ScalarOp::Select, vec![later, *x, best], dtype);
    }
    place
}
