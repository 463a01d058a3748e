//! The training step of a two-layer perceptron: what it takes to compile and to run, part by part.
//!
//! `cargo test --release --test step_speed -- --nocapture`

use dlc::codegen::{self, compile};
use dlc::ir::primitive::{Contraction, Gather, Role};
use dlc::ir::{Bindings, Builder, DType, Graph, NodeId, OutputRole, Size, Symbol, Type};
use dlc::optimize::{self, optimize};
use dlc::runtime::{Machine, Memory, clock};
use dlc::schedule::{self, schedule};
use std::time::{Duration, Instant};

/// Affine layer, relu, affine layer, cross-entropy, Adam.
fn perceptron(inputs: u64, hidden: u64, classes: u64) -> Graph {
    let f = DType::F32;
    let n = Size::symbol("N");
    let mut b = Builder::new();
    let x = b.input("x", Role::Data, Type::new(f, vec![n.clone(), inputs.into()]));
    let label = b.input("y", Role::Data, Type::new(DType::I32, vec![n.clone()]));
    let step = b.input("step", Role::Step, Type::scalar(DType::I64));
    let shapes: [(&str, Vec<Size>); 4] = [
        ("W1", vec![inputs.into(), hidden.into()]),
        ("b1", vec![hidden.into()]),
        ("W2", vec![hidden.into(), classes.into()]),
        ("b2", vec![classes.into()]),
    ];
    let theta: Vec<NodeId> =
        shapes.iter().map(|(name, dims)| b.input(name, Role::Parameter, Type::new(f, dims.clone()))).collect();
    let tagged: Vec<NodeId> = theta.iter().map(|t| b.tag(*t)).collect();
    let dense = |b: &mut Builder, x: NodeId, w: NodeId, bias: NodeId| {
        let product = b.push(Contraction { batch: vec![], contract: vec![(1, 0)] }, &[x, w]);
        let dims = b.dims(product);
        let bias = b.broadcast(bias, &[1], &dims);
        b.add(product, bias)
    };
    let h = dense(&mut b, x, tagged[0], tagged[1]);
    let zero = b.full_like(h, 0.0);
    let h = b.maximum(h, zero);
    let z = dense(&mut b, h, tagged[2], tagged[3]);
    let dims = b.dims(z);
    let largest = b.max_over(z, &[1]);
    let largest = b.push(dlc::ir::primitive::Stop, &[largest]);
    let spread = b.broadcast_over(largest, &[1], &dims);
    let shifted = b.sub(z, spread);
    let e = b.exp(shifted);
    let total = b.sum(e, &[1]);
    let total = b.log(total);
    let picked = b.push(Gather { axis: 1, batch: vec![(0, 0)] }, &[shifted, label]);
    let each = b.sub(total, picked);
    let sum = b.sum(each, &[0]);
    let count = b.count(each, &[0]);
    let loss = b.div(sum, count);
    b.output("loss", OutputRole::Report, loss);
    let gradients = dlc::autodiff::gradient(&mut b, loss, &tagged).unwrap();
    let one = b.constant(DType::I64, 1.0);
    let t = b.add(step, one);
    let t = b.convert(t, f);
    for ((name, dims), (theta, g)) in shapes.iter().zip(theta.iter().zip(gradients)) {
        let ty = Type::new(f, dims.clone());
        let m = b.input(&format!("adam.{name}.m"), Role::State, ty.clone());
        let v = b.input(&format!("adam.{name}.v"), Role::State, ty);
        let (next_m, m_hat) = average(&mut b, t, m, g, 0.9);
        let square = b.mul(g, g);
        let (next_v, v_hat) = average(&mut b, t, v, square, 0.999);
        let root = b.sqrt(v_hat);
        let epsilon = b.full_like(root, 1e-8);
        let root = b.add(root, epsilon);
        let direction = b.div(m_hat, root);
        let rate = b.full_like(direction, 1e-3);
        let change = b.mul(rate, direction);
        let next = b.sub(*theta, change);
        b.output(*name, OutputRole::Next, next);
        b.output(format!("adam.{name}.m"), OutputRole::Next, next_m);
        b.output(format!("adam.{name}.v"), OutputRole::Next, next_v);
    }
    b.finish()
}

/// The moving average of `new` over steps, and its value corrected for starting at zero.
fn average(b: &mut Builder, t: NodeId, old: NodeId, new: NodeId, beta: f64) -> (NodeId, NodeId) {
    let f = DType::F32;
    let dims = b.dims(old);
    let (keep, take) = (b.full_like(old, beta), b.full_like(old, 1.0 - beta));
    let (old, new) = (b.mul(keep, old), b.mul(take, new));
    let next = b.add(old, new);
    let (beta, one) = (b.constant(f, beta), b.constant(f, 1.0));
    let power = b.pow(beta, t);
    let correction = b.sub(one, power);
    let correction = b.fill(correction, &dims);
    (next, b.div(next, correction))
}

#[test]
fn a_perceptron_trains() {
    let rows = 64u64;
    let graph = perceptron(64, 128, 10);
    let capacity = Bindings::from([(Symbol::new("N"), rows)]);
    let mut fastest = [Duration::MAX; 3];
    let mut compiled = None;
    let mut shown = None;
    for _ in 0..5 {
        let start = Instant::now();
        let optimized = optimize(&graph, &optimize::Options::default(), &mut |_, _| {}).unwrap();
        let optimizing = start.elapsed();
        let start = Instant::now();
        let program = schedule(&optimized, &schedule::Options::new(capacity.clone())).unwrap();
        let scheduling = start.elapsed();
        let start = Instant::now();
        let options = codegen::Options { verify: false, ..codegen::Options::default() };
        let code = compile(&program, &options).unwrap();
        for (best, spent) in fastest.iter_mut().zip([optimizing, scheduling, start.elapsed()]) {
            *best = (*best).min(spent);
        }
        compiled = Some(code);
        shown = Some(program);
    }
    let (compiled, program) = (compiled.unwrap(), shown.unwrap());
    let text = compile(&program, &codegen::Options { text: true, ..codegen::Options::default() }).unwrap();
    println!("optimize {:?}, schedule {:?}, compile {:?}", fastest[0], fastest[1], fastest[2]);
    println!(
        "{} parts, {} bytes of code, {} lines of CLIF",
        program.steps.len(),
        compiled.code_bytes(),
        text.clif().lines().count()
    );
    if let Some(path) = std::env::var_os("DLC_DUMP") {
        std::fs::write(path, format!("{program}\n{}\n{}", text.clif(), text.asm())).unwrap();
    }

    let mut memory = Memory::new();
    let mut machine = Machine::new(compiled, &mut memory).unwrap();
    let mut x = 1u32;
    let mut draw = move || {
        x = x.wrapping_mul(1664525).wrapping_add(1013904223);
        (x >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    for name in ["W1", "W2"] {
        let id = memory.find(name).unwrap();
        memory.elements_mut::<f32>(id).unwrap().iter_mut().for_each(|w| *w = 0.1 * draw());
    }
    let input = machine.input("x").unwrap();
    machine.input_mut::<f32>(input).unwrap().iter_mut().for_each(|v| *v = draw());
    let labels = machine.input("y").unwrap();
    machine.input_mut::<i32>(labels).unwrap().iter_mut().enumerate().for_each(|(k, v)| *v = (k * 7 % 10) as i32);
    let (step, loss) = (machine.input("step").unwrap(), machine.output("loss").unwrap());
    machine.run(&mut memory, &[rows]).unwrap();
    let first = machine.report(loss);
    for k in 1..1000 {
        machine.set_integer(step, k).unwrap();
        machine.run(&mut memory, &[rows]).unwrap();
    }
    let last = machine.report(loss);
    println!("loss {first} to {last}");
    assert!((first - 2.3).abs() < 0.5 && last < 0.01, "the loss went from {first} to {last}");

    // The least time of each part: others may be using the machine.
    let parts = machine.compiled().interface().parts.clone();
    let mut least = vec![u64::MAX; parts.len()];
    let rate = clock::Rate::start();
    let mut best = Duration::MAX;
    for _ in 0..2000 {
        let mut spent = Vec::new();
        machine.profile(&mut memory, &[rows], &[], &mut spent).unwrap();
        least.iter_mut().zip(spent).for_each(|(least, spent)| *least = (*least).min(spent));
        let start = Instant::now();
        machine.run(&mut memory, &[rows]).unwrap();
        best = best.min(start.elapsed());
    }
    println!("{best:?} a step");
    for (name, least) in parts.iter().zip(&least) {
        println!("{:>10.3} us  {name}", *least as f64 * rate.seconds() * 1e6);
    }
}
