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
    println!("{}", formula(b.graph(), None));
    panic!();
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
    println!("{}", formula(b.graph(), None));
    panic!();
}
