//! Matrix products of every kind: each of the sizes m, n and k in turn the symbol N, at 0 to 67; either operand either way round;
//! alone, between what is fused around them, and many at once.

use crate::{Dice, flush, full, on_threads};
use dlc::ir::primitive::Contraction;
use dlc::ir::{Bindings, Builder, DType, Graph, OutputRole, Role, Size, Symbol, Tensor, Type};
use dlc::schedule::{self, schedule};
use std::collections::BTreeMap;

/// `out[b.., m, n] = Σ_k lhs · rhs`, and what is made of it.
struct Product {
    batch: Option<Size>,
    m: Size,
    n: Size,
    k: Size,
    /// Whether the rows of an operand run along its last axis but one.
    turned: [bool; 2],
    /// Whether the product stands between other operations: the left operand is a function of an input, and the result is
    /// biased, bent, and summed over rows.
    between: bool,
    dtype: DType,
}

impl Product {
    fn dims(&self, side: usize) -> Vec<Size> {
        let (rows, columns) = if side == 0 { (&self.m, &self.k) } else { (&self.k, &self.n) };
        let pair = if self.turned[side] { [columns, rows] } else { [rows, columns] };
        self.batch.iter().chain(pair).cloned().collect()
    }

    fn graph(&self) -> Graph {
        let mut b = Builder::new();
        let input = |b: &mut Builder, name: &str, dims| b.input(name, Role::Data, Type::new(self.dtype, dims));
        let (mut x, y) = (input(&mut b, "x", self.dims(0)), input(&mut b, "y", self.dims(1)));
        if self.between {
            x = b.neg(x);
        }
        let at = usize::from(self.batch.is_some());
        let contract = vec![(at + usize::from(!self.turned[0]), at + usize::from(self.turned[1]))];
        let batch = self.batch.iter().map(|_| (0, 0)).collect();
        let product = b.push(Contraction { batch, contract }, &[x, y]);
        b.output("product", OutputRole::Report, product);
        if self.between {
            let bias = input(&mut b, "bias", vec![self.n.clone()]);
            let dims = b.dims(product);
            let bias = b.broadcast(bias, &[at + 1], &dims);
            let shifted = b.add(product, bias);
            let bent = b.tanh(shifted);
            let total = b.sum(bent, &[at]);
            b.output("bent", OutputRole::Report, bent);
            b.output("total", OutputRole::Report, total);
        }
        b.finish()
    }
}

/// A tensor's elements by rows and columns of a product's operand, whichever way it lies.
fn matrix(
    values: &[f64],
    batch: usize,
    rows: usize,
    columns: usize,
    turned: bool,
) -> impl Fn(usize, usize) -> f64 + '_ {
    let from = batch * rows * columns;
    move |row, column| values[from + if turned { column * rows + row } else { row * columns + column }]
}

/// Compares with sums in f64: rounding each product and sum changes them by no more than the bound.
fn check(product: &Product, bindings: &Bindings, inputs: &flush::Tensors, outputs: &[Tensor], what: &str) {
    let at = |size: &Size| size.eval(bindings).unwrap() as usize;
    let (m, n, k) = (at(&product.m), at(&product.n), at(&product.k));
    let batch = product.batch.as_ref().map_or(1, at);
    let (x, y) = (inputs["x"].to_f64(), inputs["y"].to_f64());
    let got = outputs[0].to_f64();
    assert_eq!(got.len(), batch * m * n, "{what}");
    let unit = if product.dtype == DType::F32 { 2f64.powi(-24) } else { 2f64.powi(-52) };
    let sign = if product.between { -1.0 } else { 1.0 };
    for b in 0..batch {
        let (lhs, rhs) = (matrix(&x, b, m, k, product.turned[0]), matrix(&y, b, k, n, product.turned[1]));
        for i in 0..m {
            for j in 0..n {
                let (mut sum, mut size) = (0.0, 0.0);
                for l in 0..k {
                    let term = sign * lhs(i, l) * rhs(l, j);
                    sum += term;
                    size += term.abs();
                }
                let found = got[(b * m + i) * n + j];
                let bound = (k as f64 + 2.0) * unit * size;
                assert!((found - sum).abs() <= bound, "{what}: [{b}, {i}, {j}] is {found} instead of {sum} +- {bound}");
            }
        }
    }
    if product.between {
        let (bias, bent, total) = (inputs["bias"].to_f64(), outputs[1].to_f64(), outputs[2].to_f64());
        let bits = 1e3 * unit;
        for (e, bent) in bent.iter().enumerate() {
            let meant = (got[e] + bias[e % n]).tanh();
            assert!((bent - meant).abs() <= bits, "{what}: {bent} instead of {meant}");
        }
        for (e, total) in total.iter().enumerate() {
            let meant: f64 = (0..m).map(|i| bent[(e / n * m + i) * n + e % n]).sum();
            assert!((total - meant).abs() <= bits * (1.0 + m as f64), "{what}: {total} instead of {meant}");
        }
    }
}

fn random(dims: &[Size], dtype: DType, bindings: &Bindings, dice: &mut Dice) -> Tensor {
    let dims: Vec<usize> = dims.iter().map(|d| d.eval(bindings).unwrap() as usize).collect();
    let values = (0..dims.iter().product()).map(|_| dice.below(4001) as f64 / 2000.0 - 1.0).collect();
    Tensor::float(dtype, dims, values)
}

/// Every kind of product, with sizes that `dice` throws; gives how many were compared.
fn products(dice: &mut Dice, each: usize, dtype: DType, compared: &mut BTreeMap<String, usize>) {
    for kind in 0..48 {
        let (named, turned, between, many) =
            (kind % 3, [kind / 3 % 2 == 1, kind / 6 % 2 == 1], kind / 12 % 2 == 1, kind / 24 == 1);
        for _ in 0..each {
            let mut sizes = [(); 3].map(|()| Size::constant(dice.size()));
            sizes[named] = Size::symbol("N");
            let [m, n, k] = sizes;
            let batch = many.then(|| Size::constant([0, 1, 3, 5][dice.below(4) as usize]));
            let product = Product { batch, m, n, k, turned, between, dtype };
            let graph = product.graph();
            let mut options = schedule::Options::new(Bindings::from([(Symbol::new("N"), 67)]));
            options.small_product = 0;
            let program = schedule(&graph, &options).unwrap();
            let options = on_threads(&[2, 3, 8]);
            let compiled = flush::all(&program, &options);
            for size in [0, 1, 67, dice.size(), dice.size()] {
                let bindings = Bindings::from([(Symbol::new("N"), size)]);
                let mut inputs = flush::Tensors::new();
                for (name, dims) in [("x", product.dims(0)), ("y", product.dims(1)), ("bias", vec![product.n.clone()])]
                {
                    inputs.insert(name.into(), random(&dims, dtype, &bindings, dice));
                }
                let found = flush::outputs(&program, &bindings, &inputs, &compiled);
                for (group, of) in found.chunks(4).zip(options.chunks(4)) {
                    let what = format!("{dtype}, N = {size}, {:?}\n{program}", of[0].cpu);
                    check(&product, &bindings, &inputs, &group[0], &what);
                    for (other, options) in group.iter().zip(of) {
                        if let Some(place) = flush::difference(&group[0], other) {
                            panic!("{} threads give other bits, {what}: {place}", options.threads);
                        }
                    }
                }
                *compared.entry(format!("{} {turned:?}", ["m", "n", "k"][named])).or_insert(0) += 1;
            }
        }
    }
}

#[test]
fn products_of_every_kind_and_size() {
    let mut dice = Dice(20160);
    let mut compared = BTreeMap::new();
    let each = if full() { 60 } else { 1 };
    products(&mut dice, each, DType::F32, &mut compared);
    products(&mut dice, each.div_ceil(4), DType::F64, &mut compared);
    assert_eq!(compared.len(), 12, "{compared:?}");
    assert!(compared.values().all(|n| *n >= 20 * each), "{compared:?}");
}
