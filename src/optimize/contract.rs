//! Turns sums of products into contractions, and transposes into their axes.
//!
//! ```text
//! before   %2 = broadcast %x [N, I, O]; %3 = broadcast %W [N, I, O]; %4 = mul %2 %3; %5 = sum %4 over 1
//! after    %2 = contract %x %W, pairing axis 1 with axis 0
//! ```
//! A product of several factors is contracted two at a time, the smallest intermediate result first. Permutations and
//! broadcasts of a contraction's operands move into its axes or behind it, and repetitions are counted instead of added.
//!
//! Invariant: a reordering. Sums and products run in another order, and a factor that is constant along a contracted
//! axis is multiplied once, after the sum; no reduction without a free axis on both sides (a dot product, a weighted
//! sum of rows) becomes a contraction, since as a fused loop it reads its operands only once.
//! Limits: reshapes between factors are not looked through; the order of contraction is greedy.

use super::rewrite::{Old, arranged, axis_map, operands2, rewrite_nodes};
use super::simplify::simplified;
use crate::autodiff::NotDifferentiable;
use crate::ir::primitive::*;
use crate::ir::{Builder, Graph, NodeId, Op, Size};

/// More factors than this are left as they are.
const FACTORS: usize = 6;

pub(super) fn run(graph: &Graph) -> Result<Graph, NotDifferentiable> {
    Ok(rewrite_nodes(graph, &mut |b, old, op, operands| {
        let contracted = match (&op, operands) {
            (Op::ReduceSum(sum), [x]) => reduction(b, &sum.axes, *x),
            (Op::Contraction(c), [l, r]) => absorbed(b, c, *l, *r, None),
            (Op::Permute(p), [x]) => match b.graph().op(*x).clone() {
                Op::Contraction(c) if is_only_use(old) => {
                    let sides = b.graph().operands(*x);
                    absorbed(b, &c, sides[0], sides[1], Some(&p.order))
                }
                _ => None,
            },
            _ => None,
        };
        contracted.unwrap_or_else(|| simplified(b, op, operands))
    }))
}

/// Whether nothing else uses the operand: a product that is wanted in both orders is computed once.
fn is_only_use(Old { graph, id }: Old) -> bool {
    let operand = graph.operands(id)[0];
    graph.users(operand).len() == 1 && !graph.outputs().iter().any(|o| o.node == operand)
}

/// A tensor seen from the axes of a product: axis `k` of the product is axis `map[k]` of the node, if it has it.
#[derive(Clone, Debug)]
struct Factor {
    node: NodeId,
    map: Vec<Option<usize>>,
}

impl Factor {
    fn has(&self, axis: usize) -> bool {
        self.map[axis].is_some()
    }

    /// Takes broadcasts and permutations off the node.
    fn bared(mut self, b: &Builder) -> Factor {
        while let Some(inner) = axis_map(b.graph().op(self.node)) {
            self.map.iter_mut().for_each(|k| *k = k.and_then(|k| inner[k]));
            self.node = b.graph().operands(self.node)[0];
        }
        self
    }

    /// Sums over the product's axes for which `gone` holds.
    fn summed(mut self, b: &mut Builder, gone: impl Fn(usize) -> bool) -> Factor {
        let mut axes: Vec<usize> = (0..self.map.len()).filter(|k| gone(*k)).filter_map(|k| self.map[k]).collect();
        axes.sort();
        self.node = b.sum(self.node, &axes);
        for (k, axis) in self.map.iter_mut().enumerate() {
            *axis = axis.filter(|_| !gone(k)).map(|a| a - axes.iter().filter(|s| **s < a).count());
        }
        self
    }
}

/// `sum` over `axes` of `x`.
fn reduction(b: &mut Builder, axes: &[usize], x: NodeId) -> Option<NodeId> {
    let inner = b.graph().op(x).clone();
    let source = b.graph().operands(x).first().copied()?;
    match inner {
        Op::Neg(_) => {
            let total = sum_over(b, axes, source);
            Some(simplified(b, Neg.into(), &[total]))
        }
        Op::Broadcast(_) | Op::Permute(_) => {
            let dims = b.dims(x);
            let identity = (0..dims.len()).map(Some).collect();
            let factor = Factor { node: x, map: identity }.bared(b);
            let repeats: Vec<usize> = axes.iter().copied().filter(|a| !factor.has(*a)).collect();
            let total = factor.summed(b, |k| axes.contains(&k));
            Some(finished(b, total, &dims, axes, &repeats))
        }
        Op::Mul(_) => product(b, axes, x),
        _ => None,
    }
}

/// The sum, through the rules above.
fn sum_over(b: &mut Builder, axes: &[usize], x: NodeId) -> NodeId {
    if axes.is_empty() {
        return x;
    }
    reduction(b, axes, x).unwrap_or_else(|| b.sum(x, axes))
}

/// The factor in the product's shape without `axes`, times the sizes of the axes in `repeats`.
fn finished(b: &mut Builder, factor: Factor, dims: &[Size], axes: &[usize], repeats: &[usize]) -> NodeId {
    let kept: Vec<usize> = (0..dims.len()).filter(|k| !axes.contains(k)).collect();
    let map: Vec<Option<usize>> = kept.iter().map(|k| factor.map[*k]).collect();
    let kept_dims: Vec<Size> = kept.iter().map(|k| dims[*k].clone()).collect();
    let count = repeats.iter().fold(Size::constant(1), |n, k| &n * &dims[*k]);
    let mut node = factor.node;
    if count != Size::constant(1) {
        let dtype = b.ty(node).dtype;
        let scalar = match count.as_constant() {
            Some(n) => b.constant(dtype, n as f64),
            None => b.push(SizeOf { size: count, dtype }, &[]),
        };
        let shape = b.dims(node);
        let stretched = b.fill(scalar, &shape);
        node = simplified(b, Mul.into(), &[node, stretched]);
    }
    arranged(b, node, &map, &kept_dims)
}

/// A sum over `axes` of a product some of whose factors are broadcasts.
fn product(b: &mut Builder, axes: &[usize], x: NodeId) -> Option<NodeId> {
    if !b.ty(x).dtype.is_float() {
        return None;
    }
    let dims = b.dims(x);
    let mut factors = Vec::new();
    collect(b, x, dims.len(), &mut factors);
    if factors.len() > FACTORS || factors.iter().filter(|f| f.map.contains(&None)).count() == 0 {
        return None;
    }
    let (scalars, mut factors): (Vec<Factor>, Vec<Factor>) =
        factors.into_iter().partition(|f| f.map.iter().all(Option::is_none));
    if factors.len() < 2 {
        return None;
    }
    let mut contracted = false;
    while factors.len() > 1 {
        let (i, j) = cheapest(&factors, axes, &dims);
        let r = factors.remove(j);
        let l = factors.remove(i);
        let gone: Vec<bool> = (0..dims.len()).map(|k| axes.contains(&k) && factors.iter().all(|f| !f.has(k))).collect();
        let (combined, contraction) = combine(b, l, r, &dims, &gone, false);
        contracted |= contraction;
        factors.push(combined);
    }
    let mut factor = factors.pop()?;
    let repeats: Vec<usize> = axes.iter().copied().filter(|a| !covered(b, x, *a)).collect();
    if !contracted {
        return None;
    }
    for scalar in scalars {
        let shape = b.dims(factor.node);
        let stretched = b.fill(scalar.node, &shape);
        factor.node = simplified(b, Mul.into(), &[factor.node, stretched]);
    }
    Some(finished(b, factor, &dims, axes, &repeats))
}

/// Whether some factor of the product has the axis.
fn covered(b: &Builder, x: NodeId, axis: usize) -> bool {
    let mut factors = Vec::new();
    collect(b, x, b.ty(x).rank(), &mut factors);
    factors.iter().any(|f| f.has(axis))
}

/// The factors of a product, each without its broadcast and permutation.
fn collect(b: &Builder, x: NodeId, rank: usize, factors: &mut Vec<Factor>) {
    match operands2(b, x, |op| matches!(op, Op::Mul(_))) {
        Some((l, r)) if factors.len() <= FACTORS => {
            collect(b, l, rank, factors);
            collect(b, r, rank, factors);
        }
        _ => factors.push(Factor { node: x, map: (0..rank).map(Some).collect() }.bared(b)),
    }
}

/// The pair whose combination has the fewest axes, then the one that eliminates most; the first of equals.
fn cheapest(factors: &[Factor], axes: &[usize], dims: &[Size]) -> (usize, usize) {
    let mut best = ((usize::MAX, usize::MAX), (0, 1));
    for i in 0..factors.len() {
        for j in i + 1..factors.len() {
            let others = |k: usize| (0..factors.len()).any(|f| f != i && f != j && factors[f].has(k));
            let union = |k: &usize| factors[i].has(*k) || factors[j].has(*k);
            let left = (0..dims.len()).filter(union).filter(|k| !axes.contains(k) || others(*k)).count();
            let before = (0..dims.len()).filter(union).count();
            let cost = (left, usize::MAX - (before - left));
            if cost < best.0 {
                best = (cost, (i, j));
            }
        }
    }
    best.1
}

/// The product of two factors summed over the axes in `gone`, and whether it is a contraction. With `always`, it is
/// one whenever both have an axis to sum over.
fn combine(b: &mut Builder, l: Factor, r: Factor, dims: &[Size], gone: &[bool], always: bool) -> (Factor, bool) {
    let alone = |k: usize, other: &Factor| gone[k] && !other.has(k);
    let (l, r) = (l.clone().summed(b, |k| alone(k, &r)), r.summed(b, |k| alone(k, &l)));
    let both: Vec<usize> = (0..dims.len()).filter(|k| l.has(*k) && r.has(*k)).collect();
    let free = |f: &Factor| {
        let mut axes: Vec<usize> = (0..dims.len()).filter(|k| f.has(*k) && !both.contains(k)).collect();
        axes.sort_by_key(|k| f.map[*k]);
        axes
    };
    let sized = |axes: &[usize]| axes.iter().any(|k| dims[*k].as_constant() != Some(1));
    let (l_free, r_free) = (free(&l), free(&r));
    let contracted = both.iter().any(|k| gone[*k]);
    if contracted && (always || sized(&l_free) && sized(&r_free)) {
        return (contraction(b, &l, &r, &both, (l_free, r_free), gone), true);
    }
    let union: Vec<usize> = (0..dims.len()).filter(|k| l.has(*k) || r.has(*k)).collect();
    let shape: Vec<Size> = union.iter().map(|k| dims[*k].clone()).collect();
    let stretched = |b: &mut Builder, f: &Factor| {
        let map: Vec<Option<usize>> = union.iter().map(|k| f.map[*k]).collect();
        arranged(b, f.node, &map, &shape)
    };
    let (ls, rs) = (stretched(b, &l), stretched(b, &r));
    let node = simplified(b, Mul.into(), &[ls, rs]);
    let map = (0..dims.len()).map(|k| union.iter().position(|u| *u == k)).collect();
    (Factor { node, map }.summed(b, |k| gone[k]), false)
}

/// The contraction of two factors, sides swapped if only that gives the product's order of axes.
fn contraction(
    b: &mut Builder,
    l: &Factor,
    r: &Factor,
    both: &[usize],
    (l_free, r_free): (Vec<usize>, Vec<usize>),
    gone: &[bool],
) -> Factor {
    let batch: Vec<usize> = both.iter().copied().filter(|k| !gone[*k]).collect();
    let summed: Vec<usize> = both.iter().copied().filter(|k| gone[*k]).collect();
    let order = |first: &[usize], second: &[usize]| -> Vec<usize> {
        batch.iter().chain(first).chain(second).copied().collect()
    };
    let (straight, swapped) = (order(&l_free, &r_free), order(&r_free, &l_free));
    let (l, r, axes) = if !straight.is_sorted() && swapped.is_sorted() { (r, l, swapped) } else { (l, r, straight) };
    let pair = |k: &usize| l.map[*k].zip(r.map[*k]);
    let op = Contraction {
        batch: batch.iter().filter_map(pair).collect(),
        contract: summed.iter().filter_map(pair).collect(),
    };
    let node = b.push(op, &[l.node, r.node]);
    Factor { node, map: (0..gone.len()).map(|k| axes.iter().position(|a| *a == k)).collect() }
}

/// A contraction whose operands, or whose result, are moved: the movement goes into the pairing of axes where it can,
/// else behind the contraction.
fn absorbed(b: &mut Builder, c: &Contraction, l: NodeId, r: NodeId, order: Option<&[usize]>) -> Option<NodeId> {
    let moved = |b: &Builder, x: NodeId| axis_map(b.graph().op(x)).is_some();
    if order.is_none() && !moved(b, l) && !moved(b, r) {
        return None;
    }
    let (ld, rd) = (b.dims(l), b.dims(r));
    let (lf, rf) = c.free(ld.len(), rd.len());
    // The result's axes, then the contracted ones: where each stands in the operands.
    let mut sides: Vec<(Option<usize>, Option<usize>)> = c.batch.iter().map(|(x, y)| (Some(*x), Some(*y))).collect();
    sides.extend(lf.iter().map(|k| (Some(*k), None)));
    sides.extend(rf.iter().map(|k| (None, Some(*k))));
    if let Some(order) = order {
        sides = order.iter().map(|k| sides[*k]).collect();
    }
    let kept = sides.len();
    sides.extend(c.contract.iter().map(|(x, y)| (Some(*x), Some(*y))));
    let dims: Vec<Size> =
        sides.iter().filter_map(|(x, y)| x.map(|x| ld[x].clone()).or_else(|| y.map(|y| rd[y].clone()))).collect();
    let left = Factor { node: l, map: sides.iter().map(|s| s.0).collect() }.bared(b);
    let right = Factor { node: r, map: sides.iter().map(|s| s.1).collect() }.bared(b);
    let axes: Vec<usize> = (kept..sides.len()).collect();
    let repeats: Vec<usize> = axes.iter().copied().filter(|k| !left.has(*k) && !right.has(*k)).collect();
    let gone: Vec<bool> = (0..sides.len()).map(|k| k >= kept).collect();
    let (factor, _) = combine(b, left, right, &dims, &gone, true);
    Some(finished(b, factor, &dims, &axes, &repeats))
}

#[cfg(test)]
mod tests {
    use super::super::rewrite::work;
    use super::*;
    use crate::ir::{DType, OutputRole, Type};

    fn tensor(b: &mut Builder, name: &str, dims: &[&str]) -> NodeId {
        let dims: Vec<Size> = dims.iter().map(|d| Size::symbol(d)).collect();
        b.input(name, Role::Data, Type::new(DType::F32, dims))
    }

    fn sizes(names: &[&str]) -> Vec<Size> {
        names.iter().map(|d| Size::symbol(d)).collect()
    }

    fn contracted(mut b: Builder, y: NodeId) -> Graph {
        b.output("y", OutputRole::Report, y);
        let before = b.finish();
        let after = run(&before).unwrap();
        let ty = |g: &Graph| g.ty(g.outputs()[0].node).clone();
        assert_eq!(ty(&before), ty(&after));
        after
    }

    fn contraction_of(graph: &Graph) -> Contraction {
        let found: Vec<Contraction> = graph
            .ids()
            .filter(|id| graph.live()[id.index()])
            .filter_map(|id| if let Op::Contraction(c) = graph.op(id) { Some(c.clone()) } else { None })
            .collect();
        assert_eq!(found.len(), 1);
        found[0].clone()
    }

    #[test]
    fn index_notation_becomes_one_contraction() {
        let mut b = Builder::new();
        let (x, w) = (tensor(&mut b, "x", &["N", "I"]), tensor(&mut b, "W", &["I", "O"]));
        let dims = sizes(&["N", "I", "O"]);
        let (xs, ws) = (b.broadcast(x, &[0, 1], &dims), b.broadcast(w, &[1, 2], &dims));
        let product = b.mul(xs, ws);
        let y = b.sum(product, &[1]);
        let after = contracted(b, y);
        assert_eq!(work(&after), ["contract"]);
        assert_eq!(contraction_of(&after), Contraction { batch: vec![], contract: vec![(1, 0)] });
    }

    #[test]
    fn three_factors_are_contracted_two_at_a_time() {
        let mut b = Builder::new();
        let (x, v, w) =
            (tensor(&mut b, "x", &["N", "I"]), tensor(&mut b, "V", &["I", "H"]), tensor(&mut b, "W", &["H", "O"]));
        let dims = sizes(&["N", "I", "H", "O"]);
        let xs = b.broadcast(x, &[0, 1], &dims);
        let vs = b.broadcast(v, &[1, 2], &dims);
        let ws = b.broadcast(w, &[2, 3], &dims);
        let product = b.mul(xs, vs);
        let product = b.mul(product, ws);
        let y = b.sum(product, &[1, 2]);
        assert_eq!(work(&contracted(b, y)), ["contract", "contract"]);
    }

    #[test]
    fn dot_products_and_weighted_sums_of_rows_stay_reductions() {
        let mut b = Builder::new();
        let (x, w) = (tensor(&mut b, "x", &["N", "K"]), tensor(&mut b, "w", &["K"]));
        let dims = sizes(&["N", "K"]);
        let ws = b.broadcast(w, &[1], &dims);
        let product = b.mul(x, ws);
        let y = b.sum(product, &[1]);
        assert_eq!(work(&contracted(b, y)), ["mul", "sum"]);
    }

    #[test]
    fn transposes_of_operands_and_result_become_pairs_of_axes() {
        let mut b = Builder::new();
        let (x, g) = (tensor(&mut b, "x", &["N", "I"]), tensor(&mut b, "g", &["N", "O"]));
        let xt = b.permute(x, &[1, 0]);
        let dw = b.push(Contraction { batch: vec![], contract: vec![(1, 0)] }, &[xt, g]);
        let y = b.permute(dw, &[1, 0]);
        let after = contracted(b, y);
        assert_eq!(work(&after), ["contract"]);
        assert_eq!(contraction_of(&after), Contraction { batch: vec![], contract: vec![(0, 0)] });
        let product = after.outputs()[0].node;
        let names: Vec<&Op> = after.operands(product).into_iter().map(|o| after.op(o)).collect();
        assert!(matches!(names[0], Op::Input(i) if &*i.name == "g"), "the sides are swapped: {names:?}");
    }

    #[test]
    fn a_constant_operand_of_a_contraction_becomes_a_sum() {
        let mut b = Builder::new();
        let x = tensor(&mut b, "x", &["N", "I"]);
        let c = b.constant(DType::F32, 3.0);
        let ones = b.fill(c, &sizes(&["N", "O"]));
        let y = b.push(Contraction { batch: vec![], contract: vec![(0, 0)] }, &[x, ones]);
        assert_eq!(work(&contracted(b, y)), ["sum", "mul"]);
    }

    #[test]
    fn batch_axes_pair_up() {
        let mut b = Builder::new();
        let (q, k) = (tensor(&mut b, "q", &["B", "T", "D"]), tensor(&mut b, "k", &["B", "S", "D"]));
        let dims = sizes(&["B", "T", "S", "D"]);
        let (qs, ks) = (b.broadcast(q, &[0, 1, 3], &dims), b.broadcast(k, &[0, 2, 3], &dims));
        let product = b.mul(qs, ks);
        let y = b.sum(product, &[3]);
        let after = contracted(b, y);
        assert_eq!(work(&after), ["contract"]);
        assert_eq!(contraction_of(&after), Contraction { batch: vec![(0, 0)], contract: vec![(2, 2)] });
    }

    #[test]
    fn a_sum_over_repetitions_is_a_multiple() {
        let mut b = Builder::new();
        let x = tensor(&mut b, "x", &["N", "K"]);
        let wide = b.broadcast(x, &[0, 2], &sizes(&["N", "M", "K"]));
        let y = b.sum(wide, &[0, 1, 2]);
        assert_eq!(work(&contracted(b, y)), ["sum", "mul"]);
    }
}
