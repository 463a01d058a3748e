//! Applies identities that hold for all inputs, and works on values before they are stretched or moved.
//!
//! ```text
//! before   %2 = broadcast %0 [N]; %3 = broadcast %1 [N]; %4 = div %2 %3; %5 = mul %4 %one
//! after    %2 = div %0 %1; %3 = broadcast %2 [N]
//! ```
//! An elementwise primitive of values that repeat along an axis is computed before the repetition: bias corrections and
//! means of scalars are done once. Movement of movement becomes one movement. [`Stop`] has done its work and goes.
//!
//! The primitives state their own identities; those between several primitives are here.
//!
//! Invariant: exact, for ±0, ±inf, NaN and subnormals: no `x/x = 1`, no `0·x = 0`, no `x + 0 = x` (which is not so for
//! -0; `x - 0` and `x + -0` are `x`), no `-(x - y) = y - x`.
//! Limits: nothing is reassociated; a value that is stretched in two ways stays as it is.
//!
//! [`Stop`]: crate::ir::primitive::Stop

use super::canonicalize::ordered;
use super::rewrite::{axis_map, operand, operands2, rewrite, splat};
use super::stabilize::of_repeated;
use crate::autodiff::NotDifferentiable;
use crate::ir::primitive::*;
use crate::ir::{Builder, DType, Graph, Lowering, NodeId, Op, ScalarOp};

pub(super) fn run(graph: &Graph) -> Result<Graph, NotDifferentiable> {
    let requests = graph.ids().any(|id| matches!(graph.op(id), Op::Gradient(_) | Op::Tangent(_)));
    Ok(rewrite(graph, &mut |b, op, operands| match (&op, operands) {
        (Op::Stop(_), [x]) if !requests => *x,
        _ => simplified(b, op, operands),
    }))
}

/// The primitive applied to operands that are simple already.
pub(super) fn simplified(b: &mut Builder, op: Op, operands: &[NodeId]) -> NodeId {
    if let Some(x) = op.primitive().simplify(b, operands) {
        // The node may be new, and simple only in the eyes of the rule that made it.
        let (op, operands) = (b.graph().op(x).clone(), b.graph().operands(x));
        return if operands.is_empty() { x } else { simplified(b, op, &operands) };
    }
    if let Some(x) = signs(b, &op, operands).or_else(|| movement(b, &op, operands)) {
        return x;
    }
    if elementwise(&op)
        && let Some(x) = before_stretching(b, &op, operands)
    {
        return x;
    }
    ordered(b, op, operands)
}

/// Signs move out of products and quotients, where they meet others, or into a constant for good. Booleans reach floats
/// without an integer between.
fn signs(b: &mut Builder, op: &Op, operands: &[NodeId]) -> Option<NodeId> {
    match (op, operands) {
        (Op::Neg(_), [x]) => {
            let (y, c) = operands2(b, *x, |op| matches!(op, Op::Mul(_)))?;
            let value = splat(b, c).filter(|_| b.ty(c).dtype.is_float())?;
            let flipped = b.full_like(y, -value);
            Some(simplified(b, Mul.into(), &[y, flipped]))
        }
        (Op::Mul(_), [x, y]) => product(b, *x, *y).or_else(|| product(b, *y, *x)),
        (Op::Div(_), [x, y]) => quotient(b, *x, *y),
        (Op::Convert(to), [x]) => {
            let inner = operand(b, *x, |op| matches!(op, Op::Convert(_)))?;
            if b.ty(inner).dtype != DType::Bool {
                return None;
            }
            Some(simplified(b, to.clone().into(), &[inner]))
        }
        _ => None,
    }
}

fn neg_of(b: &Builder, x: NodeId) -> Option<NodeId> {
    operand(b, x, |op| matches!(op, Op::Neg(_)))
}

fn product(b: &mut Builder, x: NodeId, y: NodeId) -> Option<NodeId> {
    let inner = neg_of(b, y)?;
    if let Some(c) = splat(b, x).filter(|_| b.ty(x).dtype.is_float()) {
        let flipped = b.full_like(x, -c);
        return Some(simplified(b, Mul.into(), &[inner, flipped]));
    }
    let magnitude = simplified(b, Mul.into(), &[x, inner]);
    Some(simplified(b, Neg.into(), &[magnitude]))
}

fn quotient(b: &mut Builder, x: NodeId, y: NodeId) -> Option<NodeId> {
    match (neg_of(b, x), neg_of(b, y)) {
        (Some(p), Some(q)) => Some(simplified(b, Div.into(), &[p, q])),
        (None, None) => None,
        (p, q) => {
            let magnitude = simplified(b, Div.into(), &[p.unwrap_or(x), q.unwrap_or(y)]);
            Some(simplified(b, Neg.into(), &[magnitude]))
        }
    }
}

fn movement(b: &mut Builder, op: &Op, operands: &[NodeId]) -> Option<NodeId> {
    let [x, rest @ ..] = operands else { return None };
    let x = *x;
    let inner = b.graph().op(x).clone();
    let source = b.graph().operands(x).first().copied();
    match (op, &inner) {
        (Op::Permute(outer), Op::Broadcast(stretch)) => {
            let map = axis_map(&inner)?;
            let moved: Vec<Option<usize>> = outer.order.iter().map(|k| map[*k]).collect();
            let dims: Vec<_> = outer.order.iter().map(|k| stretch.dims[*k].clone()).collect();
            let order: Vec<usize> = moved.iter().flatten().copied().collect();
            let axes: Vec<usize> = (0..moved.len()).filter(|k| moved[*k].is_some()).collect();
            let permuted = simplified(b, Permute { order }.into(), &[source?]);
            Some(simplified(b, Broadcast { axes, dims }.into(), &[permuted]))
        }
        (Op::Reshape(outer), Op::Broadcast(stretch)) if stretch.axes.is_empty() => {
            Some(simplified(b, Broadcast { axes: vec![], dims: outer.dims.clone() }.into(), &[source?]))
        }
        (Op::Slice(cut), Op::Broadcast(stretch)) if !stretch.axes.contains(&cut.axis) => {
            let mut dims = stretch.dims.clone();
            dims[cut.axis] = cut.len.clone();
            Some(simplified(b, Broadcast { axes: stretch.axes.clone(), dims }.into(), &[source?]))
        }
        (Op::ReduceMax(max), Op::Broadcast(stretch)) => max_of_repeated(b, max, stretch, source?),
        (Op::Gather(gather), Op::Broadcast(stretch)) if !stretch.axes.contains(&gather.axis) => {
            Some(of_repeated(b, gather, stretch, source?, *rest.first()?))
        }
        _ => None,
    }
}

/// The maximum over axes along which the operand repeats is the operand, unless there is nothing along them.
fn max_of_repeated(b: &mut Builder, max: &ReduceMax, stretch: &Broadcast, source: NodeId) -> Option<NodeId> {
    let repeated = |a: &usize| !stretch.axes.contains(a) && stretch.dims[*a].as_constant().is_some_and(|n| n > 0);
    if !max.axes.iter().all(repeated) {
        return None;
    }
    let kept: Vec<usize> = (0..stretch.dims.len()).filter(|k| !max.axes.contains(k)).collect();
    let axes = stretch.axes.iter().filter_map(|a| kept.iter().position(|k| k == a)).collect();
    let dims = kept.iter().map(|k| stretch.dims[*k].clone()).collect();
    Some(simplified(b, Broadcast { axes, dims }.into(), &[source]))
}

/// Primitives that act on each element alone, at the operands' own dims; identities that only mark a value are none.
fn elementwise(op: &Op) -> bool {
    matches!(op.primitive().lowering(), Lowering::Elementwise(scalar) if scalar != ScalarOp::Identity)
}

/// An elementwise primitive of broadcasts, computed before the broadcast with the most axes of its own; the others
/// must repeat wherever that one does.
fn before_stretching(b: &mut Builder, op: &Op, operands: &[NodeId]) -> Option<NodeId> {
    let mut stretches = Vec::with_capacity(operands.len());
    for x in operands {
        let Op::Broadcast(stretch) = b.graph().op(*x) else { return None };
        stretches.push((stretch.clone(), b.graph().operands(*x)[0]));
    }
    let widest = stretches.iter().map(|(s, _)| s).max_by_key(|s| s.axes.len())?.clone();
    if stretches.iter().any(|(s, _)| s.axes.iter().any(|a| !widest.axes.contains(a))) {
        return None;
    }
    let dims: Vec<_> = widest.axes.iter().map(|a| widest.dims[*a].clone()).collect();
    let mut inner = Vec::with_capacity(operands.len());
    for (stretch, x) in &stretches {
        let axes: Vec<usize> = stretch.axes.iter().filter_map(|a| widest.axes.iter().position(|w| w == a)).collect();
        inner.push(b.broadcast(*x, &axes, &dims));
    }
    let value = simplified(b, op.clone(), &inner);
    Some(simplified(b, widest.into(), &[value]))
}

#[cfg(test)]
mod tests {
    use super::super::rewrite::work;
    use super::*;
    use crate::ir::{OutputRole, Size, Type};

    fn after(build: impl Fn(&mut Builder, NodeId, NodeId) -> NodeId) -> Graph {
        let mut b = Builder::new();
        let ty = Type::new(DType::F32, vec![Size::symbol("N")]);
        let x = b.input("x", Role::Data, ty);
        let s = b.input("s", Role::Setting, Type::scalar(DType::F32));
        let y = build(&mut b, x, s);
        b.output("y", OutputRole::Report, y);
        run(&b.finish()).unwrap()
    }

    #[test]
    fn scalar_work_is_done_before_stretching() {
        let graph = after(|b, x, s| {
            let dims = b.dims(x);
            let one = b.full_like(x, 1.0);
            let wide = b.fill(s, &dims);
            let rest = b.sub(one, wide);
            b.div(x, rest)
        });
        assert_eq!(work(&graph), ["sub", "div"]);
        let difference = graph.ids().find(|id| matches!(graph.op(*id), Op::Sub(_))).unwrap();
        assert_eq!(graph.ty(difference).rank(), 0);
    }

    #[test]
    fn identities_hold_for_signed_zeros_only_where_they_do() {
        let kept =
            |build: fn(&mut Builder, NodeId, f64) -> NodeId, c: f64| !work(&after(|b, x, _| build(b, x, c))).is_empty();
        let add = |b: &mut Builder, x, c| {
            let c = b.full_like(x, c);
            b.add(x, c)
        };
        let sub = |b: &mut Builder, x, c| {
            let c = b.full_like(x, c);
            b.sub(x, c)
        };
        let mul = |b: &mut Builder, x, c| {
            let c = b.full_like(x, c);
            b.mul(x, c)
        };
        assert!(kept(add, 0.0) && !kept(add, -0.0));
        assert!(!kept(sub, 0.0) && kept(sub, -0.0));
        assert!(kept(mul, 0.0) && !kept(mul, 1.0));
    }

    #[test]
    fn nothing_divided_by_itself_or_subtracted_from_itself_is_assumed() {
        assert_eq!(work(&after(|b, x, _| b.div(x, x))), ["div"]);
        assert_eq!(work(&after(|b, x, _| b.sub(x, x))), ["sub"]);
    }

    #[test]
    fn division_by_a_power_of_two_is_a_product() {
        let by = |c: f64| {
            work(&after(|b, x, _| {
                let c = b.full_like(x, c);
                b.div(x, c)
            }))
        };
        assert_eq!(by(16.0), ["mul"]);
        assert_eq!(by(10.0), ["div"]);
        assert_eq!(by(2f64.powi(127)), ["div"], "its inverse is subnormal");
    }

    #[test]
    fn signs_meet() {
        let graph = after(|b, x, _| {
            let (p, q) = (b.exp(x), b.sin(x));
            let (np, nq) = (b.neg(p), b.neg(q));
            let product = b.mul(np, nq);
            let negative = b.neg(product);
            b.sub(p, negative)
        });
        assert_eq!(work(&graph), ["exp", "sin", "mul", "add"]);
    }
}
