//! Whether each row of a value depends on the same row of another alone.
//!
//! Every node between the two is given the axis along which its rows lie, from its operands'; where an operation has no such
//! axis, or is not known to keep rows apart, it is named as what mixes them.

use crate::ir::{Graph, Lowering, NodeId, Op, Size};

/// Fails with the first node that mixes rows, if row `i` of `y` along `y_axis` may depend on others than row `i` of `x` along
/// `x_axis`.
pub(super) fn keeps_apart(graph: &Graph, x: NodeId, x_axis: usize, y: NodeId, y_axis: usize) -> Result<(), NodeId> {
    let mut rows: Vec<Option<usize>> = vec![None; y.index() + 1];
    if let Some(at) = rows.get_mut(x.index()) {
        *at = Some(x_axis);
    }
    let live = needed(graph, y);
    for id in graph.ids_to(y).filter(|id| live[id.index()] && *id != x) {
        let operands = graph.operands(id);
        let given: Vec<Option<usize>> = operands.iter().map(|o| rows[o.index()]).collect();
        if given.iter().any(Option::is_some) {
            rows[id.index()] = Some(axis_of(graph, id, &operands, &given).ok_or(id)?);
        }
    }
    match rows[y.index()] {
        Some(axis) if axis != y_axis => Err(y),
        _ => Ok(()),
    }
}

/// The nodes that one is computed from, and itself.
fn needed(graph: &Graph, y: NodeId) -> Vec<bool> {
    let mut needed = vec![false; y.index() + 1];
    needed[y.index()] = true;
    for id in graph.ids_to(y).rev() {
        if needed[id.index()] {
            graph.operands(id).iter().for_each(|o| needed[o.index()] = true);
        }
    }
    needed
}

/// The axis along which the rows of a result lie, if there is one.
fn axis_of(graph: &Graph, id: NodeId, operands: &[NodeId], given: &[Option<usize>]) -> Option<usize> {
    let dims = |k: usize| &graph.ty(operands[k]).dims;
    let same = || {
        let mut axes = given.iter().flatten();
        let first = *axes.next()?;
        axes.all(|a| *a == first).then_some(first)
    };
    let op = graph.op(id);
    match op {
        Op::ReduceSum(p) => kept(&p.axes, given[0]?),
        Op::ReduceMax(p) => kept(&p.axes, given[0]?),
        Op::ArgMax(p) => kept(&[p.axis], given[0]?),
        Op::Order(_) => given[0].filter(|row| row + 1 < dims(0).len()),
        Op::Broadcast(p) => p.axes.get(given[0]?).copied(),
        Op::Permute(p) => p.order.iter().position(|k| Some(*k) == given[0]),
        Op::Reshape(p) => {
            let row = given[0]?;
            let product = |dims: &[Size]| dims.iter().fold(Size::constant(1), |n, d| &n * d);
            let before = product(&dims(0)[..row]);
            (0..p.dims.len()).find(|k| p.dims[*k] == dims(0)[row] && product(&p.dims[..*k]) == before)
        }
        Op::Slice(p) => given[0].filter(|row| *row != p.axis),
        Op::Pad(p) => given[0].filter(|row| *row != p.axis),
        Op::Concat(p) => same().filter(|row| *row != p.axis),
        Op::Contraction(p) => {
            let pair =
                |of: usize, row: usize| p.batch.iter().position(|(a, b)| if of == 0 { *a == row } else { *b == row });
            let free = |of: usize, row: usize| {
                let contracted = p.contract.iter().any(|(a, b)| if of == 0 { *a == row } else { *b == row });
                let mine = |k: &usize| {
                    let taken = |(a, b): &(usize, usize)| if of == 0 { a == k } else { b == k };
                    !p.batch.iter().any(taken) && !p.contract.iter().any(taken)
                };
                let left =
                    (0..dims(0).len()).filter(|k| !p.batch.iter().chain(&p.contract).any(|(a, _)| a == k)).count();
                let before = (0..row).filter(mine).count();
                (!contracted).then_some(p.batch.len() + before + if of == 0 { 0 } else { left })
            };
            match (given[0], given[1]) {
                (Some(a), Some(b)) => pair(0, a).filter(|k| pair(1, b) == Some(*k)),
                (Some(a), None) => pair(0, a).or_else(|| free(0, a)),
                (None, Some(b)) => pair(1, b).or_else(|| free(1, b)),
                (None, None) => None,
            }
        }
        Op::Gather(p) => {
            let index_rank = graph.ty(operands[1]).rank();
            let value = given[0].map(|row| match p.batch.iter().find(|(a, _)| *a == row) {
                Some((_, b)) => Some(*b),
                None if row == p.axis => None,
                None => {
                    let rest = (0..row).filter(|k| *k != p.axis && !p.batch.iter().any(|(a, _)| a == k)).count();
                    Some(index_rank + rest)
                }
            });
            match (value, given[1]) {
                (Some(row), None) => row,
                (None, at) => at,
                (Some(row), Some(at)) => row.filter(|r| *r == at),
            }
        }
        Op::Custom(p) => {
            let (inputs, cotangents) = given[2..].split_at(p.inputs);
            let apart = inputs.iter().zip(cotangents).all(|(x, d)| x.is_none() || d.is_none() || x == d);
            given[0].filter(|_| apart)
        }
        Op::Tag(_) | Op::Stop(_) | Op::Convert(_) => given[0],
        _ => match op.primitive().lowering() {
            Lowering::Elementwise(_) => same(),
            _ => None,
        },
    }
}

/// Where an axis is once others are reduced, unless it is one of them.
fn kept(reduced: &[usize], row: usize) -> Option<usize> {
    (!reduced.contains(&row)).then(|| row - reduced.iter().filter(|k| **k < row).count())
}
