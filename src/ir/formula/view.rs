//! What a node means to a reader: several primitives may be one idea.
//!
//! Input: a graph and a node. Output: a [`View`] of it, whose operands are what the expression needs; what stands between is
//! not written. Means, one-hot vectors, masks and squares are recognised here by their structure alone.

use crate::ir::primitive::{ReduceSum, Select};
use crate::ir::{DType, Graph, NodeId, Op, Role, Size};

pub(super) enum View {
    Leaf,
    /// The value of another node, perhaps stretched or of another element type.
    Same(NodeId),
    Mean(NodeId, Vec<usize>),
    Sum(NodeId, Vec<usize>),
    Max(NodeId, Vec<usize>),
    /// 1 where the position along the last axis is the index, else 0.
    OneHot(NodeId),
    /// The value where the position along the last axis is the index, else 0.
    Chosen(NodeId, NodeId),
    /// 1 with this probability, else 0.
    Bernoulli(NodeId),
    /// A primitive of its operands.
    Plain(Vec<NodeId>),
}

impl View {
    pub fn operands(&self) -> Vec<NodeId> {
        match self {
            View::Leaf => Vec::new(),
            View::Same(x) | View::Mean(x, _) | View::Sum(x, _) | View::Max(x, _) => vec![*x],
            View::OneHot(x) | View::Bernoulli(x) => vec![*x],
            View::Chosen(index, value) => vec![*index, *value],
            View::Plain(operands) => operands.clone(),
        }
    }
}

/// How a node is read.
pub(super) fn view(graph: &Graph, id: NodeId) -> View {
    let operands = graph.operands(id);
    match (graph.op(id), operands.as_slice()) {
        (Op::Input(_) | Op::Constant(_) | Op::SizeOf(_) | Op::Iota(_), _) => View::Leaf,
        (Op::Broadcast(_) | Op::Tag(_), [x]) => View::Same(*x),
        (Op::Permute(p), [x]) if p.order.is_sorted() => View::Same(*x),
        (Op::Convert(to), [x]) if to.dtype.is_float() && graph.ty(*x).dtype == DType::Bool => {
            if let Some(index) = one_hot(graph, *x) {
                return View::OneHot(index);
            }
            match (graph.op(core(graph, *x)), graph.operands(core(graph, *x)).as_slice()) {
                (Op::Less(_), [u, p]) if matches!(graph.op(core(graph, *u)), Op::Random(_)) => View::Bernoulli(*p),
                _ => View::Plain(operands),
            }
        }
        (Op::Convert(to), [x]) if to.dtype.is_float() => View::Same(*x),
        (Op::Minimum(_), [x, limit]) => match bounded(graph, *x, *limit) {
            Some(inner) => View::Same(inner),
            None => View::Plain(operands),
        },
        (Op::Maximum(_), [x, zero]) => match clamped(graph, *x, *zero) {
            Some(index) => View::Same(index),
            None => View::Plain(operands),
        },
        (Op::Select(Select), [c, value, other]) if splat(graph, *other) == Some(0.0) => match one_hot(graph, *c) {
            Some(index) if splat(graph, *value) == Some(1.0) => View::OneHot(index),
            Some(index) => View::Chosen(index, *value),
            None => View::Plain(operands),
        },
        (Op::Div(_), [total, count]) => match mean(graph, *total, *count) {
            Some((x, axes)) => View::Mean(x, axes),
            None => View::Plain(operands),
        },
        (Op::ReduceSum(sum), [x]) => {
            // The sum along the axis of choice is the value that was chosen.
            if let View::Chosen(_, value) = view(graph, core(graph, *x))
                && sum.axes == [graph.ty(*x).rank() - 1]
                && graph.ty(core(graph, *x)).rank() == graph.ty(*x).rank()
                && repeats_along(graph, value, sum.axes[0])
            {
                return View::Same(value);
            }
            View::Sum(*x, sum.axes.clone())
        }
        (Op::ReduceMax(max), [x]) => View::Max(*x, max.axes.clone()),
        (Op::Random(_), _) => View::Plain(Vec::new()),
        _ => View::Plain(operands),
    }
}

/// The node whose value this is, perhaps stretched or of another element type.
pub(super) fn core(graph: &Graph, mut id: NodeId) -> NodeId {
    while let View::Same(x) = view(graph, id) {
        id = x;
    }
    id
}

/// The core, and for each of its axes the axis of `id` that it is; `None` for an axis that was summed away.
pub(super) fn stretched(graph: &Graph, mut id: NodeId) -> (NodeId, Vec<Option<usize>>) {
    let mut map: Vec<Option<usize>> = (0..graph.ty(id).rank()).map(Some).collect();
    while let View::Same(x) = view(graph, id) {
        map = match graph.op(id) {
            Op::Broadcast(b) => b.axes.iter().map(|a| map[*a]).collect(),
            Op::ReduceSum(ReduceSum { axes }) => {
                let mut kept = map.into_iter();
                (0..graph.ty(x).rank()).map(|k| if axes.contains(&k) { None } else { kept.next().flatten() }).collect()
            }
            _ => map,
        };
        id = x;
    }
    (id, map)
}

/// The number that every element is.
pub(super) fn splat(graph: &Graph, id: NodeId) -> Option<f64> {
    match graph.op(core(graph, id)) {
        Op::Constant(c) => Some(c.value()),
        _ => None,
    }
}

/// The size that a number stands for.
fn size(graph: &Graph, id: NodeId) -> Option<Size> {
    match graph.op(core(graph, id)) {
        Op::SizeOf(s) => Some(s.size.clone()),
        Op::Constant(c) if c.value() >= 1.0 && c.value().fract() == 0.0 && c.value() < 1e15 => {
            Some(Size::constant(c.value() as u64))
        }
        _ => None,
    }
}

fn repeats_along(graph: &Graph, id: NodeId, axis: usize) -> bool {
    let (_, map) = stretched(graph, id);
    !map.contains(&Some(axis))
}

/// A sum divided by the number of its terms.
fn mean(graph: &Graph, total: NodeId, count: NodeId) -> Option<(NodeId, Vec<usize>)> {
    let total = core(graph, total);
    let Op::ReduceSum(sum) = graph.op(total) else { return None };
    let x = graph.operands(total)[0];
    let terms = sum.axes.iter().fold(Size::constant(1), |n, a| &n * &graph.ty(x).dims[*a]);
    (size(graph, count)? == terms).then(|| (x, sum.axes.clone()))
}

/// The index, if a condition says that the position along the last axis is that index.
fn one_hot(graph: &Graph, condition: NodeId) -> Option<NodeId> {
    let condition = core(graph, condition);
    let Op::Equal(_) = graph.op(condition) else { return None };
    let operands = graph.operands(condition);
    let last = graph.ty(condition).rank().checked_sub(1)?;
    let other = match (graph.op(operands[0]), graph.op(operands[1])) {
        (Op::Iota(i), _) if i.axis == last => operands[1],
        (_, Op::Iota(i)) if i.axis == last => operands[0],
        _ => return None,
    };
    let (_, map) = stretched(graph, other);
    let leading = map.iter().enumerate().all(|(k, a)| *a == Some(k));
    (leading && map.len() == last).then_some(other)
}

/// `x` within the range of its element type, whose limits only infinities exceed.
fn bounded(graph: &Graph, x: NodeId, limit: NodeId) -> Option<NodeId> {
    let high = splat(graph, limit)?;
    if !graph.ty(x).dtype.is_float() || high < f64::from(f32::MAX) {
        return None;
    }
    let Op::Maximum(_) = graph.op(x) else { return None };
    let operands = graph.operands(x);
    (splat(graph, operands[1])? == -high).then_some(operands[0])
}

/// An index kept within its range, as indices of checked data are.
fn clamped(graph: &Graph, x: NodeId, zero: NodeId) -> Option<NodeId> {
    if !graph.ty(x).dtype.is_int() || splat(graph, zero)? != 0.0 {
        return None;
    }
    let Op::Minimum(_) = graph.op(x) else { return None };
    Some(graph.operands(x)[0])
}

/// Whether a node is a parameter, perhaps stretched.
pub(super) fn is_parameter(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.op(core(graph, id)), Op::Input(input) if input.role == Role::Parameter)
}
