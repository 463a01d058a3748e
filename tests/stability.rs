//! Naive formulas are safe formulas: values and gradients of stabilized graphs against f64 references that never
//! overflow, for logits at which the naive formula does, in f32 and in f64.
//!
//! Where the exact result rounds to a finite value the computed one must be finite and close to it.

use dlc::ir::primitive::{Gather, Gradient, Iota, Project, Slice};
use dlc::ir::{Bindings, Builder, DType, Graph, NodeId, OutputRole, Role, Size, Symbol, Tensor, Type, interpret};
use dlc::optimize::{Options, optimize, passes};

const LOGITS: [f64; 13] = [0.0, 1.0, -1.0, 88.0, -88.0, 89.0, -89.0, 104.0, -104.0, 1e4, -1e4, 3e38, -3e38];

/// Every row of three logits.
fn triples() -> Vec<f64> {
    let mut rows = Vec::new();
    for a in LOGITS {
        for b in LOGITS {
            for c in LOGITS {
                rows.extend([a, b, c]);
            }
        }
    }
    rows
}

/// The value and the gradient of one row.
type Exact = (f64, Vec<f64>);

/// A formula of one row of logits.
struct Case {
    name: &'static str,
    /// Logits in a row, or 0 where a row is one number.
    classes: usize,
    build: fn(&mut Builder, NodeId) -> NodeId,
    /// In f64, without overflow.
    exact: fn(&[f64]) -> Exact,
}

const fn rows(name: &'static str, build: fn(&mut Builder, NodeId) -> NodeId, exact: fn(&[f64]) -> Exact) -> Case {
    Case { name, classes: 3, build, exact }
}

const fn numbers(name: &'static str, build: fn(&mut Builder, NodeId) -> NodeId, exact: fn(&[f64]) -> Exact) -> Case {
    Case { name, classes: 0, build, exact }
}

/// exp z / sum (exp z)
fn naive_softmax(b: &mut Builder, z: NodeId) -> NodeId {
    let dims = b.dims(z);
    let e = b.exp(z);
    let s = b.sum(e, &[1]);
    let s = b.broadcast(s, &[0], &dims);
    b.div(e, s)
}

/// The same with the maximum subtracted, as textbooks and the standard library write it.
fn softmax(b: &mut Builder, z: NodeId) -> NodeId {
    let dims = b.dims(z);
    let m = b.max_over(z, &[1]);
    let m = b.broadcast(m, &[0], &dims);
    let v = b.sub(z, m);
    naive_softmax(b, v)
}

fn sum_exp(b: &mut Builder, z: NodeId) -> NodeId {
    let e = b.exp(z);
    b.sum(e, &[1])
}

/// The class of every row is 1.
fn label(b: &mut Builder, z: NodeId) -> NodeId {
    let dtype = b.ty(z).dtype.int();
    let rows = b.dims(z)[..1].to_vec();
    let one = b.constant(dtype, 1.0);
    b.fill(one, &rows)
}

fn at_label(b: &mut Builder, x: NodeId, z: NodeId) -> NodeId {
    let y = label(b, z);
    b.push(Gather { axis: 1, batch: vec![(0, 0)] }, &[x, y])
}

/// One-hot rows, as floats made of a comparison.
fn one_hot(b: &mut Builder, z: NodeId) -> NodeId {
    let (dims, dtype) = (b.dims(z), b.ty(z).dtype);
    let y = label(b, z);
    let wide = b.broadcast(y, &[0], &dims);
    let position = b.push(Iota { axis: 1, dims, dtype: dtype.int() }, &[]);
    let here = b.equal(position, wide);
    b.convert(here, dtype)
}

const SOFT: [f64; 3] = [0.25, 0.75, 0.0];

fn soft_targets(b: &mut Builder, z: NodeId) -> NodeId {
    let (dims, dtype) = (b.dims(z), b.ty(z).dtype);
    let t = b.input("t", Role::Data, Type::new(dtype, vec![Size::constant(3)]));
    b.broadcast(t, &[1], &dims)
}

fn one_minus(b: &mut Builder, x: NodeId) -> NodeId {
    let one = b.full_like(x, 1.0);
    b.sub(one, x)
}

fn one_plus(b: &mut Builder, x: NodeId) -> NodeId {
    let one = b.full_like(x, 1.0);
    b.add(one, x)
}

fn minus_log(b: &mut Builder, x: NodeId) -> NodeId {
    let l = b.log(x);
    b.neg(l)
}

/// -Σ t l
fn minus_dot(b: &mut Builder, t: NodeId, l: NodeId) -> NodeId {
    let product = b.mul(t, l);
    let s = b.sum(product, &[1]);
    b.neg(s)
}

/// -(t log σ(x) + (1 - t) log(1 - σ(x)))
fn binary_cross_entropy(b: &mut Builder, x: NodeId, t: f64) -> NodeId {
    let p = b.sigmoid(x);
    let lp = b.log(p);
    let q = one_minus(b, p);
    let lq = b.log(q);
    let t = b.full_like(x, t);
    let rest = one_minus(b, t);
    let (left, right) = (b.mul(t, lp), b.mul(rest, lq));
    let sum = b.add(left, right);
    b.neg(sum)
}

fn max(z: &[f64]) -> f64 {
    z.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// The probabilities, and 1 minus each without cancellation.
fn probabilities(z: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let m = max(z);
    let e: Vec<f64> = z.iter().map(|x| (x - m).exp()).collect();
    let s: f64 = e.iter().sum();
    let p: Vec<f64> = e.iter().map(|x| x / s).collect();
    let rest = (0..p.len()).map(|k| (0..p.len()).filter(|j| *j != k).map(|j| p[j]).sum()).collect();
    (p, rest)
}

/// log Σ exp(z - max z)
fn excess(z: &[f64]) -> f64 {
    let m = max(z);
    let top = z.iter().position(|x| *x == m).unwrap();
    z.iter().enumerate().filter(|(k, _)| *k != top).map(|(_, x)| (x - m).exp()).sum::<f64>().ln_1p()
}

fn exact_log_sum_exp(z: &[f64]) -> Exact {
    (max(z) + excess(z), probabilities(z).0)
}

/// -Σ t log p; its gradient p Σt - t.
fn exact_cross_entropy(z: &[f64], t: &[f64]) -> Exact {
    let (m, l) = (max(z), excess(z));
    let value = z.iter().zip(t).map(|(z, t)| if *t == 0.0 { 0.0 } else { t * ((m - z) + l) }).sum();
    let (p, rest) = probabilities(z);
    let slope = |k: usize| if t[k] == 1.0 { -rest[k] } else { p[k] - t[k] };
    (value, (0..z.len()).map(slope).collect())
}

fn exact_one_hot(z: &[f64]) -> Exact {
    exact_cross_entropy(z, &[0.0, 1.0, 0.0])
}

fn exact_entry(z: &[f64]) -> Exact {
    let (p, rest) = probabilities(z);
    (p[1], vec![-p[1] * p[0], p[1] * rest[1], -p[1] * p[2]])
}

fn sigmoid(x: f64) -> f64 {
    if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
}

fn softplus(x: f64) -> f64 {
    if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }
}

fn exact_softplus(x: &[f64]) -> Exact {
    (softplus(x[0]), vec![sigmoid(x[0])])
}

fn exact_log_sigmoid(x: &[f64]) -> Exact {
    (-softplus(-x[0]), vec![sigmoid(-x[0])])
}

fn cross_entropies() -> Vec<Case> {
    vec![
        rows(
            "-log(softmax(z)[y])",
            |b, z| {
                let p = softmax(b, z);
                let chosen = at_label(b, p, z);
                minus_log(b, chosen)
            },
            exact_one_hot,
        ),
        rows(
            "-log(naive softmax(z)[y])",
            |b, z| {
                let p = naive_softmax(b, z);
                let chosen = at_label(b, p, z);
                minus_log(b, chosen)
            },
            exact_one_hot,
        ),
        rows(
            "-log(softmax(z))[y]",
            |b, z| {
                let p = softmax(b, z);
                let l = minus_log(b, p);
                at_label(b, l, z)
            },
            exact_one_hot,
        ),
        rows(
            "-log(sum(one_hot(y) * naive softmax(z)))",
            |b, z| {
                let (p, t) = (naive_softmax(b, z), one_hot(b, z));
                let product = b.mul(t, p);
                let chosen = b.sum(product, &[1]);
                minus_log(b, chosen)
            },
            exact_one_hot,
        ),
        rows(
            "log(sum(exp(z))) - z[y]",
            |b, z| {
                let s = sum_exp(b, z);
                let l = b.log(s);
                let chosen = at_label(b, z, z);
                b.sub(l, chosen)
            },
            exact_one_hot,
        ),
        rows(
            "-sum(t * log(softmax(z))), soft targets, one of them zero",
            |b, z| {
                let p = softmax(b, z);
                let l = b.log(p);
                let t = soft_targets(b, z);
                minus_dot(b, t, l)
            },
            |z| exact_cross_entropy(z, &SOFT),
        ),
        rows(
            "-sum(log(naive softmax(z)) * t), one-hot targets",
            |b, z| {
                let p = naive_softmax(b, z);
                let l = b.log(p);
                let t = one_hot(b, z);
                minus_dot(b, l, t)
            },
            exact_one_hot,
        ),
    ]
}

fn sums_of_exponentials() -> Vec<Case> {
    vec![
        rows(
            "naive softmax(z)[y]",
            |b, z| {
                let p = naive_softmax(b, z);
                at_label(b, p, z)
            },
            exact_entry,
        ),
        rows(
            "softmax(z)[y]",
            |b, z| {
                let p = softmax(b, z);
                at_label(b, p, z)
            },
            exact_entry,
        ),
        rows(
            "exp(z)[y] / sum(exp(z))",
            |b, z| {
                let e = b.exp(z);
                let chosen = at_label(b, e, z);
                let s = b.sum(e, &[1]);
                b.div(chosen, s)
            },
            exact_entry,
        ),
        rows(
            "log(sum(exp(z)))",
            |b, z| {
                let s = sum_exp(b, z);
                b.log(s)
            },
            exact_log_sum_exp,
        ),
        rows(
            "max(z) + log(sum(exp(z - max(z))))",
            |b, z| {
                let dims = b.dims(z);
                let m = b.max_over(z, &[1]);
                let wide = b.broadcast(m, &[0], &dims);
                let v = b.sub(z, wide);
                let s = sum_exp(b, v);
                let l = b.log(s);
                b.add(m, l)
            },
            exact_log_sum_exp,
        ),
        rows(
            "log(sum(exp(z)) / 3)",
            |b, z| {
                let s = sum_exp(b, z);
                let k = b.full_like(s, 3.0);
                let mean = b.div(s, k);
                b.log(mean)
            },
            |z| {
                let (value, gradient) = exact_log_sum_exp(z);
                (value - 3f64.ln(), gradient)
            },
        ),
        rows(
            "log(exp(z[0]) + exp(z[1]))",
            |b, z| {
                let at = |b: &mut Builder, k: u64| {
                    let one = b.push(Slice { axis: 1, start: k.into(), len: 1.into() }, &[z]);
                    b.exp(one)
                };
                let (e, f) = (at(b, 0), at(b, 1));
                let s = b.add(e, f);
                let l = b.log(s);
                b.sum(l, &[1])
            },
            |z| {
                let (value, mut gradient) = exact_log_sum_exp(&z[..2]);
                gradient.push(0.0);
                (value, gradient)
            },
        ),
    ]
}

fn sigmoids() -> Vec<Case> {
    vec![
        numbers(
            "log(1 + exp(x))",
            |b, x| {
                let e = b.exp(x);
                let s = one_plus(b, e);
                b.log(s)
            },
            exact_softplus,
        ),
        numbers(
            "log(sigmoid(x))",
            |b, x| {
                let p = b.sigmoid(x);
                b.log(p)
            },
            exact_log_sigmoid,
        ),
        numbers(
            "log(1 / (1 + exp(-x)))",
            |b, x| {
                let minus = b.neg(x);
                let e = b.exp(minus);
                let s = one_plus(b, e);
                let one = b.full_like(x, 1.0);
                let p = b.div(one, s);
                b.log(p)
            },
            exact_log_sigmoid,
        ),
        numbers(
            "-log(1 - sigmoid(x))",
            |b, x| {
                let p = b.sigmoid(x);
                let q = one_minus(b, p);
                minus_log(b, q)
            },
            exact_softplus,
        ),
        numbers(
            "binary cross-entropy of a positive",
            |b, x| binary_cross_entropy(b, x, 1.0),
            |x| (softplus(-x[0]), vec![-sigmoid(-x[0])]),
        ),
        numbers("binary cross-entropy of a negative", |b, x| binary_cross_entropy(b, x, 0.0), exact_softplus),
        numbers(
            "binary cross-entropy of a soft target",
            |b, x| binary_cross_entropy(b, x, 0.25),
            |x| (0.25 * softplus(-x[0]) + 0.75 * softplus(x[0]), vec![sigmoid(x[0]) - 0.25]),
        ),
        numbers(
            "exp(x) / (1 + exp(x))",
            |b, x| {
                let e = b.exp(x);
                let s = one_plus(b, e);
                b.div(e, s)
            },
            |x| (sigmoid(x[0]), vec![sigmoid(x[0]) * sigmoid(-x[0])]),
        ),
        numbers(
            "x / (1 + exp(-x))",
            |b, x| {
                let minus = b.neg(x);
                let e = b.exp(minus);
                let s = one_plus(b, e);
                b.div(x, s)
            },
            |x| (x[0] * sigmoid(x[0]), vec![sigmoid(x[0]) + x[0] * (sigmoid(x[0]) * sigmoid(-x[0]))]),
        ),
        numbers(
            "(exp(x) - exp(-x)) / (exp(x) + exp(-x))",
            |b, x| {
                let minus = b.neg(x);
                let (e, f) = (b.exp(x), b.exp(minus));
                let (p, q) = (b.sub(e, f), b.add(e, f));
                b.div(p, q)
            },
            |x| (x[0].tanh(), vec![1.0 - x[0].tanh() * x[0].tanh()]),
        ),
        numbers(
            "log(log(1 + exp(x)))",
            |b, x| {
                let e = b.exp(x);
                let s = one_plus(b, e);
                let l = b.log(s);
                b.log(l)
            },
            |x| {
                if x[0] < -40.0 {
                    (x[0], vec![1.0])
                } else {
                    (softplus(x[0]).ln(), vec![sigmoid(x[0]) / softplus(x[0])])
                }
            },
        ),
        numbers(
            "where(x > 0, x, exp(x) - 1)",
            |b, x| {
                let (zero, one) = (b.full_like(x, 0.0), b.full_like(x, 1.0));
                let e = b.exp(x);
                let low = b.sub(e, one);
                let positive = b.less(zero, x);
                b.select(positive, x, low)
            },
            |x| if x[0] > 0.0 { (x[0], vec![1.0]) } else { (x[0].exp_m1(), vec![x[0].exp()]) },
        ),
        numbers(
            "where(x > 0, sqrt(x) * log(x), 0)",
            |b, x| {
                let zero = b.full_like(x, 0.0);
                let positive = b.less(zero, x);
                let (r, l) = (b.sqrt(x), b.log(x));
                let product = b.mul(r, l);
                b.select(positive, product, zero)
            },
            |x| {
                let x = x[0];
                if x > 0.0 { (x.sqrt() * x.ln(), vec![(0.5 * x.ln() + 1.0) / x.sqrt()]) } else { (0.0, vec![0.0]) }
            },
        ),
        numbers(
            "sqrt(x^2)",
            |b, x| {
                let two = b.full_like(x, 2.0);
                let square = b.pow(x, two);
                b.sqrt(square)
            },
            |x| {
                let x = x[0];
                let slope = if x == 0.0 { 0.0 } else { x.signum() };
                // The square of the largest logits is infinite.
                if x.abs() > 1e19 { (f64::INFINITY, vec![f64::NAN]) } else { (x.abs(), vec![slope]) }
            },
        ),
    ]
}

/// Reports each row's value, and the gradient of their sum by the logits.
fn graph(case: &Case, dtype: DType) -> Graph {
    let mut b = Builder::new();
    let mut dims = vec![Size::symbol("N")];
    if case.classes > 0 {
        dims.push(Size::constant(case.classes as u64));
    }
    let ty = Type::new(dtype, dims);
    let z = b.input("z", Role::Data, ty.clone());
    let target = b.tag(z);
    let rows = (case.build)(&mut b, target);
    let total = b.sum(rows, &[0]);
    let request = b.push(Gradient, &[total, target]);
    let gradient = b.push(Project { index: 0, ty }, &[request]);
    b.output("rows", OutputRole::Report, rows);
    b.output("gradient", OutputRole::Report, gradient);
    b.finish()
}

fn rounds_to_finite(x: f64, dtype: DType) -> bool {
    if dtype == DType::F32 { (x as f32).is_finite() } else { x.is_finite() }
}

/// `scale` is the largest logit of the row where a formula adds logits, whose rounding no rewriting can undo.
fn close(got: f64, exact: f64, scale: f64, dtype: DType) -> bool {
    let (relative, absolute) = if dtype == DType::F32 { (4e-6, 4e-7) } else { (1e-13, 1e-15) };
    got == exact || (got - exact).abs() <= relative * exact.abs().max(scale) + absolute
}

fn check(case: &Case, dtype: DType, off: &[&str]) {
    let options = Options { off: off.iter().map(|s| s.to_string()).collect(), verify: true };
    let optimized = optimize(&graph(case, dtype), &options, &mut |_, _| {}).unwrap();
    let (width, mut values) = if case.classes > 0 { (case.classes, triples()) } else { (1, LOGITS.to_vec()) };
    if dtype == DType::F32 {
        values.iter_mut().for_each(|v| *v = f64::from(*v as f32));
    }
    let count = values.len() / width;
    let shape = if case.classes > 0 { vec![count, width] } else { vec![count] };
    let inputs = |name: &str| match name {
        "z" => Some(Tensor::float(dtype, shape.clone(), values.clone())),
        _ => Some(Tensor::float(dtype, vec![3], SOFT.to_vec())),
    };
    let bindings = Bindings::from([(Symbol::new("N"), count as u64)]);
    let outputs = interpret(&optimized, &inputs, &bindings).unwrap();
    let (got, slopes) = (outputs[0].to_f64(), outputs[1].to_f64());
    for row in 0..count {
        let z = &values[row * width..(row + 1) * width];
        let (value, gradient) = (case.exact)(z);
        let at = || format!("{} at {z:?} in {dtype} without {off:?}", case.name);
        let scale = if case.name.ends_with("- z[y]") { z[1].abs().max(max(z).abs()) } else { 0.0 };
        if rounds_to_finite(value, dtype) {
            assert!(close(got[row], value, scale, dtype), "{}: {} instead of {value}", at(), got[row]);
        }
        for (k, exact) in gradient.iter().enumerate().filter(|(_, g)| rounds_to_finite(**g, dtype)) {
            let slope = slopes[row * width + k];
            assert!(close(slope, *exact, 0.0, dtype), "{}: derivative {k} is {slope} instead of {exact}", at());
        }
    }
}

fn cases() -> impl Iterator<Item = Case> {
    cross_entropies().into_iter().chain(sums_of_exponentials()).chain(sigmoids())
}

#[test]
fn naive_formulas_are_finite_and_right_in_f32() {
    cases().for_each(|case| check(&case, DType::F32, &[]));
}

#[test]
fn naive_formulas_are_finite_and_right_in_f64() {
    cases().for_each(|case| check(&case, DType::F64, &[]));
}

#[test]
fn naive_formulas_are_finite_whatever_is_switched_off() {
    let optional: Vec<&str> = passes().iter().filter(|p| !p.mandatory).map(|p| p.name).collect();
    cases().for_each(|case| check(&case, DType::F32, &optional));
    for case in sigmoids() {
        optional.iter().for_each(|name| check(&case, DType::F32, &[name]));
    }
}
