//! Training steps in waves of tiles: on any number of threads and with vectors of either width, the same bits; and the step
//! that the graph means.
//!
//! 60 random networks, or 3,000 with `DLC_FULL=1`; every contraction is a product. Every second one is cut by columns.

use dlc::codegen::{self, Cpu, compile};
use dlc::ir::primitive::{Contraction, Random};
use dlc::ir::{Bindings, Builder, DType, Graph, NodeId, OutputRole, Role, Size, Symbol, Tensor, Type, interpret};
use dlc::runtime::{Machine, Memory};
use dlc::schedule::{self, Program, schedule};
use std::collections::BTreeMap;

const F: DType = DType::F32;

/// Numbers from a linear congruential generator.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }

    fn tensor(&mut self, dims: Vec<usize>) -> Tensor {
        let numbers = (0..dims.iter().product()).map(|_| self.below(4001) as f64 / 2000.0 - 1.0);
        Tensor::float(F, dims.clone(), numbers.collect())
    }
}

fn product(b: &mut Builder, x: NodeId, y: NodeId) -> NodeId {
    b.push(Contraction { batch: vec![], contract: vec![(1, 0)] }, &[x, y])
}

/// A network of random depth and widths with what training steps are made of; gives its parameters' dims by name.
fn network(dice: &mut Dice) -> (Graph, Vec<(String, Vec<usize>)>, usize) {
    let n = Size::symbol("N");
    let mut b = Builder::new();
    let inputs = 1 + dice.below(67);
    let x = b.input("x", Role::Data, Type::new(F, vec![n.clone(), inputs.into()]));
    let scalar = Type::scalar(DType::I64);
    let (seed, step) = (b.input("seed", Role::Seed, scalar.clone()), b.input("step", Role::Step, scalar));
    let (mut h, mut width, mut parameters) = (x, inputs, Vec::new());
    for layer in 0..1 + dice.below(4) {
        let next = 1 + dice.below(67);
        let names = [format!("w{layer}"), format!("b{layer}")];
        let w = b.input(&names[0], Role::Parameter, Type::new(F, vec![width.into(), next.into()]));
        let bias = b.input(&names[1], Role::Parameter, Type::new(F, vec![next.into()]));
        let (w, bias) = (b.tag(w), b.tag(bias));
        parameters.push((names[0].clone(), w, vec![width as usize, next as usize]));
        parameters.push((names[1].clone(), bias, vec![next as usize]));
        let z = product(&mut b, h, w);
        let dims = b.dims(z);
        let spread = b.broadcast(bias, &[1], &dims);
        let z = b.add(z, spread);
        h = match dice.below(5) {
            0 => b.tanh(z),
            1 => {
                let zero = b.full_like(z, 0.0);
                b.maximum(z, zero)
            }
            2 => {
                // Across rows: a barrier in the middle of the network.
                let total = b.sum(z, &[0]);
                let total = b.broadcast(total, &[1], &dims);
                let small = b.full_like(z, 0.0625);
                let total = b.mul(total, small);
                b.sub(z, total)
            }
            3 => {
                // Within rows.
                let e = b.exp(z);
                let s = b.sum(e, &[1]);
                let s = b.broadcast(s, &[0], &dims);
                b.div(e, s)
            }
            _ => {
                let draw = b.push(Random { site: layer + 1, dims, dtype: F }, &[seed, step]);
                let half = b.full_like(draw, 0.5);
                let kept = b.less(draw, half);
                let kept = b.convert(kept, F);
                b.mul(z, kept)
            }
        };
        width = next;
    }
    let squares = b.mul(h, h);
    let mut loss = b.sum(squares, &[0, 1]);
    if dice.below(2) == 0 {
        let w = parameters[0].1;
        let squares = b.mul(w, w);
        let penalty = b.sum(squares, &[0, 1]);
        loss = b.add(loss, penalty);
    }
    b.output("loss", OutputRole::Report, loss);
    let theta: Vec<NodeId> = parameters.iter().map(|(_, id, _)| *id).collect();
    let gradients = dlc::autodiff::gradient(&mut b, loss, &theta).unwrap();
    for ((name, parameter, _), gradient) in parameters.iter().zip(gradients) {
        let rate = b.full_like(gradient, 0.001);
        let change = b.mul(rate, gradient);
        let new = b.sub(*parameter, change);
        b.output(name.as_str(), OutputRole::Next, new);
    }
    let dims = parameters.into_iter().map(|(name, _, dims)| (name, dims)).collect();
    (b.finish(), dims, inputs as usize)
}

/// The loss and the parameters after two steps.
fn run(program: &Program, options: &codegen::Options, n: usize, given: &BTreeMap<String, Tensor>) -> Vec<Tensor> {
    let mut memory = Memory::new();
    let compiled = compile(program, options).unwrap_or_else(|e| panic!("{e}\n{program}"));
    let mut machine = Machine::new(compiled, &mut memory).unwrap();
    for (name, tensor) in given {
        match machine.input(name) {
            Some(id) => {
                let numbers: Vec<f32> = tensor.to_f64().iter().map(|x| *x as f32).collect();
                machine.input_mut::<f32>(id).unwrap()[..numbers.len()].copy_from_slice(&numbers);
            }
            None => memory.write(name, tensor).unwrap(),
        }
    }
    for step in 0..2 {
        for (name, value) in [("seed", 3), ("step", step)] {
            machine.input(name).into_iter().for_each(|id| machine.set_integer(id, value).unwrap());
        }
        let values: Vec<u64> = program.symbols.iter().map(|_| n as u64).collect();
        machine.run(&mut memory, &values).unwrap();
    }
    let parameters = given.keys().filter_map(|name| memory.read(name));
    machine.read("loss").into_iter().chain(parameters).collect()
}

#[test]
fn threads_tiles_and_widths_change_no_bit() {
    let cases = if std::env::var_os("DLC_FULL").is_some() { 3_000 } else { 60 };
    let wide: Vec<Cpu> = [Cpu::Avx2, Cpu::Avx512].into_iter().filter(|c| c.is_available()).collect();
    let (mut by_columns, mut down) = (0, 0);
    for case in 0..cases {
        let mut dice = Dice(case * 7919 + 17);
        let (graph, parameters, inputs) = network(&mut dice);
        let n = dice.below(68) as usize;
        let mut given: BTreeMap<String, Tensor> =
            parameters.into_iter().map(|(name, dims)| (name, dice.tensor(dims))).collect();
        given.insert("x".into(), dice.tensor(vec![n, inputs]));
        let capacity = Bindings::from([(Symbol::new("N"), n as u64 + dice.below(30))]);
        let mut limits = schedule::Options::new(capacity);
        limits.small_product = 0;
        if case % 2 == 1 {
            (limits.shared_bytes, limits.fewest_columns) = (0, 1);
        }
        let program = schedule(&graph, &limits).unwrap();
        let chains = || program.waves.iter().flat_map(|wave| &wave.chains);
        down += chains().filter(|chain| chain.down > 0 && !chain.columns.is_empty()).count();
        by_columns += chains().flat_map(|chain| &chain.columns).filter(|steps| steps.len() > 1).count();
        let options = |cpu, threads| {
            let (wide_from, fork_ns) = (0, 0);
            codegen::Options { cpu, threads, wide_from, fork_ns, ..codegen::Options::default() }
        };
        let portable = run(&program, &options(Cpu::Portable, 1), n, &given);
        let mut first: Option<Vec<Tensor>> = None;
        for cpu in &wide {
            for threads in [1, 2, 3, 8] {
                let got = run(&program, &options(*cpu, threads), n, &given);
                for (a, b) in portable.iter().zip(&got) {
                    let near = |(a, b): (&f64, &f64)| a == b || (a - b).abs() <= 1e-3 * (1.0 + a.abs());
                    let near = a.to_f64().iter().zip(&b.to_f64()).all(near);
                    assert!(near, "case {case}, {n} rows, {cpu:?}: {b:?} for {a:?}\n{program}");
                }
                let expected = first.get_or_insert_with(|| got.clone());
                let same = expected.iter().zip(&got).all(|(a, b)| a.same_bits(b));
                assert!(same, "case {case}, {n} rows, {cpu:?} on {threads} threads\n{program}");
            }
        }
    }
    assert!(by_columns > cases as usize / 4, "products with what follows them, cut by columns: {by_columns}");
    assert!(down > cases as usize / 8, "sums over rows cut with the product before them: {down}");
}

#[test]
fn a_step_in_waves_is_the_graphs() {
    for case in 0..20 {
        let mut dice = Dice(case * 104729 + 5);
        let (graph, parameters, inputs) = network(&mut dice);
        let n = 1 + dice.below(40) as usize;
        let mut given: BTreeMap<String, Tensor> =
            parameters.into_iter().map(|(name, dims)| (name, dice.tensor(dims))).collect();
        given.insert("x".into(), dice.tensor(vec![n, inputs]));
        let bindings = Bindings::from([(Symbol::new("N"), n as u64)]);
        let mut program = schedule(&graph, &schedule::Options::new(bindings.clone())).unwrap();
        let integer = |value: f64| Some(Tensor::scalar(DType::I64, value));
        let all = |name: &str| match name {
            "seed" => integer(3.0),
            "step" => integer(0.0),
            name => given.get(name).cloned(),
        };
        let expected = schedule::execute::execute(&program, &all, &bindings).unwrap();
        let meant = interpret(&graph, &all, &bindings).unwrap();
        // In the order that a wave may also take.
        for wave in program.waves.clone() {
            let mut chains: Vec<_> = wave.chains.iter().map(|c| program.steps[c.steps()].to_vec()).collect();
            chains.reverse();
            program.steps.splice(wave.steps(), chains.concat());
        }
        let other = schedule::execute::execute(&program, &all, &bindings).unwrap();
        for ((a, b), meant) in expected.iter().zip(&other).zip(&meant) {
            assert!(a.same_bits(b), "case {case}: chains of a wave depend on each other\n{program}");
            let near = |(a, b): (&f64, &f64)| a == b || (a - b).abs() <= 1e-3 * (1.0 + a.abs());
            assert!(a.to_f64().iter().zip(&meant.to_f64()).all(near), "case {case}: {a:?} for {meant:?}");
        }
    }
}
