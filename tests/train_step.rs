//! The passes on a whole training step: what is left of it, how long they take, and that they grow with its size.

use dlc::ir::primitive::{Contraction, Gather, Gradient, Project};
use dlc::ir::{Bindings, Builder, DType, Graph, NodeId, Op, OutputRole, Role, Size, Symbol, Tensor, Type, interpret};
use dlc::optimize::{Options, optimize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn full(b: &mut Builder, like: NodeId, value: f64) -> NodeId {
    b.full_like(like, value)
}

/// x W + b over rows.
fn dense(b: &mut Builder, x: NodeId, w: NodeId, bias: NodeId) -> NodeId {
    let product = b.push(Contraction { batch: vec![], contract: vec![(1, 0)] }, &[x, w]);
    let dims = b.dims(product);
    let bias = b.broadcast(bias, &[1], &dims);
    b.add(product, bias)
}

fn relu(b: &mut Builder, x: NodeId) -> NodeId {
    let zero = full(b, x, 0.0);
    b.maximum(x, zero)
}

/// mean(-log(softmax(z)[y])), as the standard library writes it.
fn cross_entropy(b: &mut Builder, z: NodeId, y: NodeId) -> NodeId {
    let dims = b.dims(z);
    let m = b.max_over(z, &[1]);
    let m = b.broadcast(m, &[0], &dims);
    let v = b.sub(z, m);
    let e = b.exp(v);
    let s = b.sum(e, &[1]);
    let s = b.broadcast(s, &[0], &dims);
    let p = b.div(e, s);
    let chosen = b.push(Gather { axis: 1, batch: vec![(0, 0)] }, &[p, y]);
    let l = b.log(chosen);
    let l = b.neg(l);
    let total = b.sum(l, &[0]);
    let count = b.count(l, &[0]);
    b.div(total, count)
}

/// One step of Adam on a perceptron with `layers` layers of 16 units, 4 inputs and 3 classes.
fn train_step(layers: usize) -> Graph {
    let mut b = Builder::new();
    let ty = |dims: &[u64]| Type::new(DType::F32, dims.iter().map(|d| Size::constant(*d)).collect::<Vec<_>>());
    let rows = |dims: &[u64], dtype| {
        let mut all = vec![Size::symbol("N")];
        all.extend(dims.iter().map(|d| Size::constant(*d)));
        Type::new(dtype, all)
    };
    let x = b.input("x", Role::Data, rows(&[4], DType::F32));
    let y = b.input("y", Role::Data, rows(&[], DType::I32));
    let mut parameters = Vec::new();
    for k in 0..layers {
        let (from, to) = (if k == 0 { 4 } else { 16 }, if k + 1 == layers { 3 } else { 16 });
        parameters.push((format!("net.{k}.W"), ty(&[from, to])));
        parameters.push((format!("net.{k}.b"), ty(&[to])));
    }
    let inputs: Vec<NodeId> = parameters.iter().map(|(name, ty)| b.input(name, Role::Parameter, ty.clone())).collect();
    let tags: Vec<NodeId> = inputs.iter().map(|p| b.tag(*p)).collect();

    let mut h = x;
    for (k, pair) in tags.chunks(2).enumerate() {
        h = dense(&mut b, h, pair[0], pair[1]);
        if k + 1 < layers {
            h = relu(&mut b, h);
        }
    }
    let loss = cross_entropy(&mut b, h, y);
    let request = b.push(Gradient, &[&[loss], tags.as_slice()].concat());

    let step = b.input("t", Role::State, Type::scalar(DType::F32));
    let one = b.constant(DType::F32, 1.0);
    let next = b.add(step, one);
    for (k, (name, ty)) in parameters.iter().enumerate() {
        let gradient = b.push(Project { index: k, ty: ty.clone() }, &[request]);
        let theta = adam(&mut b, (name, inputs[k]), gradient, next);
        b.output(name.clone(), OutputRole::Next, theta);
    }
    b.output("t", OutputRole::Next, next);
    b.output("loss", OutputRole::Report, loss);
    b.finish()
}

fn adam(b: &mut Builder, (name, theta): (&str, NodeId), g: NodeId, t: NodeId) -> NodeId {
    let ty = b.ty(theta).clone();
    let moment = |b: &mut Builder, suffix: &str, rho: f64, value: NodeId| {
        let old = b.input(&format!("{name}.{suffix}"), Role::State, ty.clone());
        let (keep, take) = (full(b, old, rho), full(b, old, 1.0 - rho));
        let (kept, taken) = (b.mul(keep, old), b.mul(take, value));
        let new = b.add(kept, taken);
        b.output(format!("{name}.{suffix}"), OutputRole::Next, new);
        // rho^t, stretched before it is subtracted, as broadcasting source does.
        let (rho, one) = (b.constant(DType::F32, rho), b.constant(DType::F32, 1.0));
        let power = b.pow(rho, t);
        let rest = b.sub(one, power);
        let wide = b.fill(rest, &ty.dims);
        b.div(new, wide)
    };
    let s = moment(b, "s", 0.9, g);
    let square = b.mul(g, g);
    let r = moment(b, "r", 0.999, square);
    let root = b.sqrt(r);
    let delta = full(b, root, 1e-8);
    let below = b.add(root, delta);
    let direction = b.div(s, below);
    let lr = full(b, direction, 1e-3);
    let change = b.mul(lr, direction);
    b.sub(theta, change)
}

fn optimized(graph: &Graph, off: &[&str]) -> Graph {
    let options = Options { off: off.iter().map(|s| s.to_string()).collect(), verify: false };
    optimize(graph, &options, &mut |_, _| {}).unwrap()
}

fn count(graph: &Graph, kind: impl Fn(&Op) -> bool) -> usize {
    graph.ids().filter(|id| kind(graph.op(*id))).count()
}

#[test]
fn a_step_has_five_products_no_transposes_and_no_scatter() {
    let graph = optimized(&train_step(2), &[]);
    // Two forward, two for the weights, one for the hidden layer's cotangent.
    assert_eq!(count(&graph, |op| matches!(op, Op::Contraction(_))), 5, "{graph}");
    assert_eq!(count(&graph, |op| matches!(op, Op::Permute(_))), 0, "{graph}");
    assert_eq!(count(&graph, |op| matches!(op, Op::ScatterAdd(_))), 0, "{graph}");
    // One softmax, and one bias correction for each moment: all parameters share them.
    assert_eq!(count(&graph, |op| matches!(op, Op::Exp(_))), 1, "{graph}");
    assert_eq!(count(&graph, |op| matches!(op, Op::Pow(_))), 2, "{graph}");
    assert_eq!(count(&graph, |op| matches!(op, Op::ArgMax(_) | Op::ReduceMax(_))), 1, "{graph}");
}

#[test]
fn every_exact_pass_switched_off_gives_the_same_step() {
    let before = train_step(2);
    let bindings = Bindings::from([(Symbol::new("N"), 7)]);
    let mut inputs = BTreeMap::new();
    for id in before.inputs() {
        let Op::Input(input) = before.op(id) else { continue };
        let dims: Vec<usize> = input.ty.dims.iter().map(|d| d.eval(&bindings).unwrap() as usize).collect();
        let n: usize = dims.iter().product();
        let scale = if input.role == Role::State { 0.1 } else { 1.0 };
        let value = |k: usize| scale * (0.1 + ((k * 37 + id.index() * 11) % 23) as f64 / 23.0);
        let tensor = match input.ty.dtype {
            DType::I32 => Tensor::from_i64(DType::I32, dims, (0..n).map(|k| k as i64 % 3).collect()),
            dtype => Tensor::from_f64(dtype, dims, (0..n).map(value).collect()),
        };
        inputs.insert(input.name.to_string(), tensor);
    }
    let run = |off: &[&str]| interpret(&optimized(&before, off), &|name| inputs.get(name).cloned(), &bindings).unwrap();
    let expected = run(&["contract", "reciprocals", "row-sums"]);
    for pass in dlc::optimize::passes().iter().filter(|p| p.exact && !p.mandatory) {
        for (k, (a, b)) in expected.iter().zip(run(&["contract", "reciprocals", "row-sums", pass.name])).enumerate() {
            assert!(a.same_bits(&b), "output {k} without {}: {a:?} and {b:?}", pass.name);
        }
    }
}

/// The least of three runs, which is the one least disturbed.
fn time(graph: &Graph) -> Duration {
    let run = || {
        let start = Instant::now();
        std::hint::black_box(optimized(graph, &[]));
        start.elapsed()
    };
    (0..3).map(|_| run()).min().unwrap_or_default()
}

#[test]
fn time_grows_with_the_size_of_the_graph() {
    let (small, large) = (train_step(15), train_step(60));
    let (a, b) = (time(&small), time(&large));
    println!("{} nodes: {a:?}; {} nodes: {b:?}; two layers: {:?}", small.len(), large.len(), time(&train_step(2)));
    // Four times the nodes: quadratic work would take sixteen times as long.
    assert!(b < a * 8, "{} nodes take {a:?}, {} nodes {b:?}", small.len(), large.len());
}
