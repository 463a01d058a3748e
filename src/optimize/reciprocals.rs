//! Divides once by a value that repeats, and multiplies by its reciprocal wherever it repeats.
//!
//! ```text
//! before   %3 = broadcast %c [N, K]; %4 = div %x %3
//! after    %3 = div 1 %c; %4 = broadcast %3 [N, K]; %5 = mul %x %4
//! ```
//! A division takes about ten times as long as a multiplication. Bias corrections, deviations of a batch, sums of a row and
//! constants divide many numbers alike.
//!
//! The reciprocal of a number beyond 2^126 is subnormal, and that of one below 2^-128 is infinite, though a quotient by it
//! may be neither. So where the size of the divisor is not known, it is scaled to a moderate one by a power of two `s`, and
//! the quotient is `x · (1 / (c · s)) · s`, whose last product is exact or as subnormal as the quotient itself.
//!
//! Invariant: a reordering: a finite quotient is rounded once more, to 1.5 units in the last place; zeros, infinities and
//! NaN come out as they do from a division, and `|x| ≤ |c|` still gives `|x / c| ≤ 1`.
//! Limits: a quotient that is compared or rounded stays, since there a unit in the last place decides; that of a sum stays,
//! so that the mean of equal numbers is that number; and one that shares its divisor with few others is not worth it.

use super::rewrite::{Old, rewrite_nodes, splat};
use crate::autodiff::NotDifferentiable;
use crate::ir::{Builder, DType, Graph, NodeId, Op, Size};

/// So many quotients by one number, at least, are worth a reciprocal.
const LEAST: u64 = 4;

pub(super) fn run(graph: &Graph) -> Result<Graph, NotDifferentiable> {
    Ok(rewrite_nodes(graph, &mut |b, old, op, operands| {
        let product = match (&op, operands) {
            (Op::Div(_), [x, c]) if !decides(old) => product(b, *x, *c),
            _ => None,
        };
        product.unwrap_or_else(|| b.push(op, operands))
    }))
}

/// Whether the last bit of a node decides something.
fn decides(Old { graph, id }: Old) -> bool {
    let by = |user: NodeId| match graph.op(user) {
        Op::Floor(_) | Op::Less(_) | Op::LessEqual(_) | Op::Equal(_) => true,
        Op::Convert(to) => !to.dtype.is_float(),
        _ => false,
    };
    graph.users(id).into_iter().any(by)
}

/// `x / c` as a product with a reciprocal, where `c` repeats often enough.
fn product(b: &mut Builder, x: NodeId, c: NodeId) -> Option<NodeId> {
    let Op::Broadcast(stretch) = b.graph().op(c).clone() else { return None };
    let repeats = (0..stretch.dims.len()).filter(|k| !stretch.axes.contains(k));
    let times = repeats.fold(Size::constant(1), |n, k| &n * &stretch.dims[k]);
    if times.as_constant().is_some_and(|n| n < LEAST) || matches!(b.graph().op(x), Op::ReduceSum(_)) {
        return None;
    }
    if let Some(value) = splat(b, c) {
        let moderate = (least(b, c)..=1.0 / least(b, c)).contains(&value.abs());
        let reciprocal = moderate.then(|| b.full_like(x, 1.0 / value))?;
        return Some(b.mul(x, reciprocal));
    }
    let divisor = b.graph().operands(c)[0];
    let scale = scale(b, divisor);
    let moderate = scale.map_or(divisor, |s| b.mul(divisor, s));
    let one = b.full_like(divisor, 1.0);
    let reciprocal = b.div(one, moderate);
    let reciprocal = b.push(stretch.clone(), &[reciprocal]);
    let quotient = b.mul(x, reciprocal);
    let Some(scale) = scale else { return Some(quotient) };
    let scale = b.push(stretch, &[scale]);
    Some(b.mul(quotient, scale))
}

/// The least normal number of the type of `x` whose reciprocal is one too.
fn least(b: &Builder, x: NodeId) -> f64 {
    if b.ty(x).dtype == DType::F32 { 2f64.powi(-126) } else { 2f64.powi(-1022) }
}

/// A power of two by which `c` is to be multiplied to be neither so small nor so large that its reciprocal is no normal
/// number; none where `c` is a size, which never is.
fn scale(b: &mut Builder, c: NodeId) -> Option<NodeId> {
    if matches!(b.graph().op(c), Op::SizeOf(_)) {
        return None;
    }
    // A number is so far from 1 that its scaled reciprocal still makes every number but zero a normal one.
    let (far, scale) = if b.ty(c).dtype == DType::F32 { (100, 64) } else { (900, 512) };
    let mut power = |exponent| b.full_like(c, 2f64.powi(exponent));
    let (least, most, up, down, one) = (power(-far), power(far), power(scale), power(-scale), power(0));
    let size = b.abs(c);
    let (small, large) = (b.less(size, least), b.less(most, size));
    let reduced = b.select(large, down, one);
    Some(b.select(small, up, reduced))
}

#[cfg(test)]
mod tests {
    use super::super::rewrite::work;
    use super::*;
    use crate::ir::{Bindings, OutputRole, Role, Symbol, Tensor, Type, interpret};

    /// `x / c` for `x` of `[N, 8]` and `c` of `[N]`.
    fn quotients(dtype: DType) -> Graph {
        let mut b = Builder::new();
        let dims = vec![Size::symbol("N"), Size::constant(8)];
        let x = b.input("x", Role::Data, Type::new(dtype, dims.clone()));
        let c = b.input("c", Role::Data, Type::new(dtype, dims[..1].to_vec()));
        let wide = b.broadcast(c, &[0], &dims);
        let y = b.div(x, wide);
        b.output("y", OutputRole::Report, y);
        b.finish()
    }

    /// Whether two numbers are the same but for the last bits of an f32.
    fn near(a: f64, b: f64) -> bool {
        let ulp = (f64::from(f32::EPSILON) * a.abs()).max(2f64.powi(-149));
        a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1.5 * ulp
    }

    #[test]
    fn quotients_keep_their_value_at_every_size() {
        let sizes = [0.0, 1e-45, 1e-39, 1.2e-38, 3e-20, 0.1, 1.0, 3.0, 7e18, 8.5e37, 3e38, f64::INFINITY, f64::NAN];
        let numbers: Vec<f64> = sizes.iter().flat_map(|x| [*x, -x]).collect();
        let n = numbers.len();
        let graph = quotients(DType::F32);
        let after = run(&graph).unwrap();
        let bindings = Bindings::from([(Symbol::new("N"), n as u64)]);
        for shift in 0..n {
            let xs: Vec<f64> = (0..n * 8).map(|k| numbers[(k / 8 + k % 8 + shift) % n]).collect();
            let tensor = |name: &str| match name {
                "x" => Some(Tensor::from_f64(DType::F32, vec![n, 8], xs.clone())),
                _ => Some(Tensor::from_f64(DType::F32, vec![n], numbers.clone())),
            };
            let value = |graph: &Graph| interpret(graph, &tensor, &bindings).unwrap()[0].to_f64();
            for (k, (old, new)) in value(&graph).into_iter().zip(value(&after)).enumerate() {
                let (x, c) = (xs[k], numbers[k / 8]);
                assert!(near(old, new), "{x:e} / {c:e} = {old:e} became {new:e}");
                assert!(old != 0.0 || old.is_sign_negative() == new.is_sign_negative(), "{x:e} / {c:e}: sign of zero");
            }
        }
    }

    #[test]
    fn there_is_one_division_a_row() {
        let graph = run(&quotients(DType::F64)).unwrap();
        let divisions: Vec<NodeId> = graph.ids().filter(|id| matches!(graph.op(*id), Op::Div(_))).collect();
        let live = graph.live();
        let ranks: Vec<usize> =
            divisions.into_iter().filter(|id| live[id.index()]).map(|id| graph.ty(id).rank()).collect();
        assert_eq!(ranks, [1]);
    }

    fn after(build: impl Fn(&mut Builder, NodeId) -> NodeId) -> Vec<&'static str> {
        let mut b = Builder::new();
        let x = b.input("x", Role::Data, Type::new(DType::F32, vec![Size::symbol("N"), Size::constant(3)]));
        let y = build(&mut b, x);
        b.output("y", OutputRole::Report, y);
        work(&run(&b.finish()).unwrap())
    }

    #[test]
    fn constants_and_sizes_need_no_scale() {
        let constant = |value: f64| {
            after(|b, x| {
                let c = b.full_like(x, value);
                b.div(x, c)
            })
        };
        assert_eq!(constant(10.0), ["mul"]);
        assert_eq!(constant(1e-39), ["div"], "its reciprocal overflows");
        let by_size = after(|b, x| {
            let (count, dims) = (b.count(x, &[0]), b.dims(x));
            let wide = b.fill(count, &dims);
            b.div(x, wide)
        });
        assert_eq!(by_size, ["div", "mul"]);
    }

    #[test]
    fn quotients_stay_where_the_last_bit_decides_and_where_there_are_few() {
        let floor = after(|b, x| {
            let c = b.full_like(x, 10.0);
            let q = b.div(x, c);
            b.floor(q)
        });
        assert_eq!(floor, ["div", "floor"]);
        let mean = after(|b, x| {
            let total = b.sum(x, &[1]);
            let c = b.full_like(total, 3.0);
            b.div(total, c)
        });
        assert_eq!(mean, ["sum", "div"]);
        let few = after(|b, x| {
            let (total, dims) = (b.sum(x, &[1]), b.dims(x));
            let wide = b.broadcast(total, &[0], &dims);
            b.div(x, wide)
        });
        assert_eq!(few, ["sum", "div"]);
    }
}
