//! Whole texts of graphs built by hand, as differentiation and simplification leave them.

use super::*;
use crate::ir::primitive::*;
use crate::ir::{Builder, DType, OutputRole, Size, Type};

const F: DType = DType::F32;

fn n() -> Size {
    Size::symbol("N")
}

fn c(value: u64) -> Size {
    Size::constant(value)
}

fn data(b: &mut Builder, name: &str, dtype: DType, dims: &[Size]) -> NodeId {
    b.input(name, Role::Data, Type::new(dtype, dims))
}

fn parameter(b: &mut Builder, path: &str, dims: &[Size]) -> NodeId {
    b.input(path, Role::Parameter, Type::new(F, dims))
}

fn report(b: &mut Builder, name: &str, node: NodeId) {
    b.output(name, OutputRole::Report, node);
}

fn contract(b: &mut Builder, x: NodeId, i: usize, y: NodeId, j: usize) -> NodeId {
    b.push(Contraction { batch: vec![], contract: vec![(i, j)] }, &[x, y])
}

/// x W + b.
fn affine(b: &mut Builder, x: NodeId, w: NodeId, bias: NodeId) -> NodeId {
    let product = contract(b, x, 1, w, 0);
    let dims = b.dims(product);
    let bias = b.broadcast(bias, &[1], &dims);
    b.add(product, bias)
}

fn rows(b: &mut Builder) -> NodeId {
    b.push(SizeOf { size: n(), dtype: F }, &[])
}

/// -mean(log(softmax(z))[y]) in its stable form, and its derivative by z.
fn cross_entropy(b: &mut Builder, z: NodeId, y: NodeId) -> (NodeId, NodeId) {
    let dims = b.dims(z);
    let max = b.max_over(z, &[1]);
    let (low, high) = (b.full_like(max, f64::from(f32::MIN)), b.full_like(max, f64::from(f32::MAX)));
    let raised = b.maximum(max, low);
    let m = b.minimum(raised, high);
    let m = b.broadcast(m, &[0], &dims);
    let shifted = b.sub(z, m);
    let e = b.exp(shifted);
    let s = b.sum(e, &[1]);
    let log = b.log(s);
    let log = b.broadcast(log, &[0], &dims);
    let logp = b.sub(shifted, log);
    let picked = b.push(Gather { axis: 1, batch: vec![(0, 0)] }, &[logp, y]);
    let total = b.sum(picked, &[0]);
    let count = rows(b);
    let mean = b.div(total, count);
    let loss = b.neg(mean);

    let minus_one = b.constant(F, -1.0);
    let share = b.div(minus_one, count);
    let share_rows = b.fill(share, &[n()]);
    let positions = b.push(Iota { axis: 1, dims: dims.clone(), dtype: DType::I32 }, &[]);
    let labels = b.broadcast(y, &[0], &dims);
    let here = b.equal(positions, labels);
    let share = b.broadcast(share_rows, &[0], &dims);
    let zero = b.full_like(share, 0.0);
    let d_logp = b.select(here, share, zero);
    let d_log = b.sum(d_logp, &[1]);
    let d_log = b.neg(d_log);
    let d_s = b.div(d_log, s);
    let d_s = b.broadcast(d_s, &[0], &dims);
    let through_sum = b.mul(d_s, e);
    (loss, b.add(d_logp, through_sum))
}

struct Mlp {
    x: NodeId,
    y: NodeId,
    w: [NodeId; 2],
    b: [NodeId; 2],
}

fn mlp(b: &mut Builder) -> Mlp {
    let x = data(b, "x", F, &[n(), c(64)]);
    let y = data(b, "label", DType::I32, &[n()]);
    let w1 = parameter(b, "classifier.hidden.W", &[c(64), c(128)]);
    let b1 = parameter(b, "classifier.hidden.b", &[c(128)]);
    let w2 = parameter(b, "classifier.dense.W", &[c(128), c(10)]);
    let b2 = parameter(b, "classifier.dense.b", &[c(10)]);
    Mlp { x, y, w: [w1, w2], b: [b1, b2] }
}

#[test]
fn backpropagation_through_tanh_reads_as_in_the_textbook() {
    let b = &mut Builder::new();
    let Mlp { x, y, w, b: bias } = mlp(b);
    let z1 = affine(b, x, w[0], bias[0]);
    let h1 = b.tanh(z1);
    let z2 = affine(b, h1, w[1], bias[1]);
    let (loss, d_z2) = cross_entropy(b, z2, y);
    let d_h1 = contract(b, d_z2, 1, w[1], 1);
    let one = b.full_like(h1, 1.0);
    let square = b.mul(h1, h1);
    let slope = b.sub(one, square);
    let d_z1 = b.mul(d_h1, slope);
    report(b, "loss", loss);
    let dw1 = contract(b, x, 0, d_z1, 0);
    report(b, "grad classifier.hidden.W", dw1);
    let db1 = b.sum(d_z1, &[0]);
    report(b, "grad classifier.hidden.b", db1);
    let dw2 = contract(b, h1, 0, d_z2, 0);
    report(b, "grad classifier.dense.W", dw2);
    let db2 = b.sum(d_z2, &[0]);
    report(b, "grad classifier.dense.b", db2);
    let head = "\
# x: [N, 64]
# label: int[N]
# classifier.hidden.W: [64, 128]
# classifier.hidden.b: [128]
# classifier.dense.W: [128, K: 10]
# classifier.dense.b: [K: 10]
";
    let expected = "
z1 = x @ classifier.hidden.W + classifier.hidden.b  # [N, 128]
h1 = tanh(z1)                                       # [N, 128]
z2 = h1 @ classifier.dense.W + classifier.dense.b   # [N, K: 10]
p = softmax(z2)                                     # [N, K: 10]
loss = -mean(log(p)[label])                         # []

d_z2 = (p - one_hot(label)) / N                     # [N, K: 10]
d_z1 = d_z2 @ classifier.dense.Wᵀ * (1 - h1²)       # [N, 128]
grad classifier.hidden.W = xᵀ @ d_z1                # [64, 128]
grad classifier.hidden.b = sum(d_z1 over N)         # [128]
grad classifier.dense.W = h1ᵀ @ d_z2                # [128, K: 10]
grad classifier.dense.b = sum(d_z2 over N)          # [K: 10]
";
    assert_eq!(formula(b.graph(), None), format!("{head}{expected}"));
    // Of one parameter, only what its derivative needs is written.
    let part = formula(b.graph(), Some("classifier.dense.b"));
    assert!(part.contains("grad classifier.dense.b") && !part.contains("d_z1") && !part.contains("xᵀ"), "{part}");
}

#[test]
fn relu_dropout_and_a_penalty() {
    let b = &mut Builder::new();
    let Mlp { x, y, w, b: bias } = mlp(b);
    let z1 = affine(b, x, w[0], bias[0]);
    let zero = b.full_like(z1, 0.0);
    let h1 = b.maximum(z1, zero);
    let key = Type::scalar(DType::I64);
    let (seed, step) = (b.input("seed", Role::Seed, key.clone()), b.input("step", Role::Step, key));
    let dims = b.dims(z1);
    let u = b.push(Random { site: 7, dims, dtype: F }, &[seed, step]);
    let keep = b.full_like(u, 0.7);
    let hit = b.less(u, keep);
    let mask = b.convert(hit, F);
    let masked = b.mul(h1, mask);
    let dropped = b.div(masked, keep);
    let z2 = affine(b, dropped, w[1], bias[1]);
    let (loss, d_z2) = cross_entropy(b, z2, y);
    let squares = b.mul(w[0], w[0]);
    let norm = b.sum(squares, &[0, 1]);
    let weight = b.constant(F, 1e-4);
    let penalty = b.mul(weight, norm);
    let total = b.add(loss, penalty);
    report(b, "loss", total);

    let d_dropped = contract(b, d_z2, 1, w[1], 1);
    let d_masked = b.div(d_dropped, keep);
    let d_h1 = b.mul(d_masked, mask);
    let active = b.less(zero, z1);
    let d_z1 = b.select(active, d_h1, zero);
    let data_part = contract(b, x, 0, d_z1, 0);
    let weights = b.fill(weight, &[c(64), c(128)]);
    let once = b.mul(weights, w[0]);
    let twice = b.add(once, once);
    let dw1 = b.add(data_part, twice);
    report(b, "grad classifier.hidden.W", dw1);
    let db1 = b.sum(d_z1, &[0]);
    report(b, "grad classifier.hidden.b", db1);
    let text = formula(b.graph(), None);
    let equations = "
z1 = x @ classifier.hidden.W + classifier.hidden.b                        # [N, 128]
mask = bernoulli(0.7, like: z1)                                           # [N, 128]
z2 = (max(z1, 0) * mask / 0.7) @ classifier.dense.W + classifier.dense.b  # [N, K: 10]
p = softmax(z2)                                                           # [N, K: 10]
loss = 1e-4 * sum(classifier.hidden.W²) - mean(log(p)[label])             # []

d_z2 = (p - one_hot(label)) / N                                           # [N, K: 10]
d_z1 = where(z1 > 0, d_z2 @ classifier.dense.Wᵀ * mask / 0.7, 0)          # [N, 128]
grad classifier.hidden.W = xᵀ @ d_z1 + 2e-4 * classifier.hidden.W         # [64, 128]
grad classifier.hidden.b = sum(d_z1 over N)                               # [128]
";
    assert!(text.ends_with(equations), "{text}");
}

/// The equations of a graph with one output of derivatives.
fn of(b: &mut Builder, node: NodeId) -> String {
    report(b, "grad net.W", node);
    let text = formula(b.graph(), None);
    let equations: Vec<&str> = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    equations.join("\n")
}

#[test]
fn what_is_no_product_of_matrices_is_written_with_indices() {
    let b = &mut Builder::new();
    let x = data(b, "x", F, &[n(), c(3)]);
    let y = data(b, "y", F, &[n(), c(4)]);
    let outer = b.push(Contraction { batch: vec![(0, 0)], contract: vec![] }, &[x, y]);
    assert_eq!(of(b, outer), "grad net.W[n, i, j] = x[n, i] * y[n, j]  # [N, 3, 4]");

    let b = &mut Builder::new();
    let x = data(b, "x", F, &[n(), c(3), c(5)]);
    let y = data(b, "y", F, &[n(), c(3), c(4)]);
    let both = b.push(Contraction { batch: vec![], contract: vec![(0, 0), (1, 1)] }, &[x, y]);
    assert_eq!(of(b, both), "grad net.W[i, j] = sum(n, k) x[n, k, i] * y[n, k, j]  # [5, 4]");
}

#[test]
fn a_vector_beside_a_square_matrix_is_told_by_a_label_or_by_indices() {
    let b = &mut Builder::new();
    let w = parameter(b, "net.W", &[c(8), c(8)]);
    let v = parameter(b, "net.v", &[c(8)]);
    let first = b.broadcast(v, &[0], &[c(8), c(8)]);
    let product = b.mul(w, first);
    let text = of(b, product);
    assert_eq!(text, "grad net.W = net.W * net.v  # [H: 8, 8]");

    // An axis that is both: x xᵀ has two axes of rows.
    let b = &mut Builder::new();
    let x = data(b, "x", F, &[c(8), c(3)]);
    let gram = contract(b, x, 1, x, 1);
    let rows = b.sum(gram, &[1]);
    let rows = b.broadcast(rows, &[0], &[c(8), c(8)]);
    let scaled = b.div(gram, rows);
    let text = of(b, scaled);
    assert!(text.contains("g1 = x @ xᵀ") && text.contains("g2[i] = sum(j) g1[i, j]"), "{text}");
    assert!(text.contains("grad net.W[i, j] = g1[i, j] / g2[i]"), "{text}");
}

#[test]
fn scatters_are_products_with_one_hot_rows() {
    let b = &mut Builder::new();
    let tokens = data(b, "tokens", DType::I32, &[n()]);
    let updates = data(b, "u", F, &[n(), c(16)]);
    let table = b.push(ScatterAdd { axis: 0, batch: vec![], dims: vec![c(50), c(16)] }, &[updates, tokens]);
    assert_eq!(of(b, table), "grad net.W = one_hot(tokens)ᵀ @ u  # [50, 16]");
}

#[test]
fn numbers_and_repeated_values() {
    let b = &mut Builder::new();
    let zero = b.constant(F, 0.0);
    let zeros = b.fill(zero, &[c(3), c(4)]);
    assert_eq!(of(b, zeros), "grad net.W = zeros(like: net.W)  # [3, 4]");
    for (value, written) in [(0.1, "0.1"), (1e-4, "1e-4"), (3.0, "3"), (1.5e6, "1.5e6"), (1e30, "1e30")] {
        assert_eq!(form::number(form::shortest(f64::from(value as f32), F)), written);
    }
}

#[test]
fn a_long_chain_needs_no_deep_stack() {
    let b = &mut Builder::new();
    let mut x = data(b, "x", F, &[n()]);
    let start = x;
    for _ in 0..5_000 {
        let y = b.sin(x);
        x = b.mul(y, start);
    }
    assert!(of(b, x).lines().all(|l| l.chars().count() < 120));
}
