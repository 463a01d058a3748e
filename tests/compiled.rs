//! Compiled programs against the interpreter: in f32 bit for bit, products of the library aside.
//!
//! 1,000 random graphs, or 10,000 with `DLC_FULL=1`.

use dlc::codegen::{self, Cpu, compile};
use dlc::ir::random_graph::{RandomGraph, Style, random_graph};
use dlc::ir::{Bindings, Builder, DType, Data, Graph, Op, OutputRole, Role, Symbol, Tensor, Type, interpret};
use dlc::runtime::{Machine, Memory};
use dlc::schedule::{self, ScheduleError, schedule};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Inputs = BTreeMap<String, Tensor>;

fn fill(machine: &mut Machine, memory: &mut Memory, inputs: &Inputs) {
    for (name, tensor) in inputs {
        let Some(id) = machine.input(name) else {
            if memory.find(name).is_some() {
                memory.write(name, tensor).unwrap();
            }
            continue;
        };
        match &tensor.data {
            Data::F32(x) => machine.input_mut::<f32>(id).unwrap()[..x.len()].copy_from_slice(x),
            Data::F64(x) => machine.input_mut::<f64>(id).unwrap()[..x.len()].copy_from_slice(x),
            Data::I32(x) => machine.input_mut::<i32>(id).unwrap()[..x.len()].copy_from_slice(x),
            Data::I64(x) => machine.input_mut::<i64>(id).unwrap()[..x.len()].copy_from_slice(x),
            Data::Bool(x) => {
                let numbers = x.iter().map(|b| i64::from(*b));
                match machine.input_dtype(id) {
                    DType::I64 => {
                        machine.input_mut::<i64>(id).unwrap().iter_mut().zip(numbers).for_each(|(a, b)| *a = b)
                    }
                    _ => machine.input_mut::<i32>(id).unwrap().iter_mut().zip(numbers).for_each(|(a, b)| *a = b as i32),
                }
            }
        }
    }
}

/// Every width of vectors this CPU has, also on several threads that share the smallest steps.
fn emitters() -> Vec<codegen::Options> {
    let all = [(Cpu::Portable, 1), (Cpu::Avx2, 1), (Cpu::Avx512, 1), (Cpu::native(), 3)];
    let some = |(cpu, threads)| codegen::Options {
        cpu,
        threads,
        wide_from: 0,
        fork_ns: 0,
        verify: true,
        ..Default::default()
    };
    all.into_iter().filter(|(cpu, _)| cpu.is_available()).map(some).collect()
}

/// Schedules, compiles and runs a graph; `None` if the schedule does not take it.
fn run(
    graph: &Graph,
    inputs: &Inputs,
    capacity: &Bindings,
    bindings: &Bindings,
    loops: bool,
    emitter: &codegen::Options,
) -> Option<Vec<Tensor>> {
    let mut options = schedule::Options::new(capacity.clone());
    if loops {
        options.small_product = u64::MAX;
    }
    let program = match schedule(graph, &options) {
        Ok(program) => program,
        Err(ScheduleError::Unsupported { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    let compiled = compile(&program, emitter).unwrap_or_else(|e| panic!("{e}\n{program}"));
    let mut memory = Memory::new();
    let mut machine = Machine::new(compiled, &mut memory).unwrap();
    fill(&mut machine, &mut memory, inputs);
    let values: Vec<u64> = program.symbols.iter().map(|s| bindings[s]).collect();
    machine.run(&mut memory, &values).unwrap();
    let outputs = graph.outputs().iter().map(|o| match o.role {
        OutputRole::Report => machine.read(&o.name).unwrap(),
        OutputRole::Next => memory.read(&o.name).unwrap(),
    });
    Some(outputs.collect())
}

/// The place and the values of the first element that differs; NaN equals NaN, booleans are 0 and 1.
fn difference(got: &Tensor, expected: &Tensor, tolerance: Option<f64>) -> Option<String> {
    if got.dims != expected.dims {
        return Some(format!("dims {:?} for {:?}", got.dims, expected.dims));
    }
    let (g, e) = (got.to_f64(), expected.to_f64());
    let scale = e.iter().filter(|x| x.is_finite()).fold(1e-30f64, |a, b| a.max(b.abs()));
    let k = g.iter().zip(&e).position(|(g, e)| match tolerance {
        _ if g.is_nan() && e.is_nan() => false,
        None => g.to_bits() != e.to_bits(),
        Some(t) => !(g == e || (g - e).abs() <= t * scale),
    })?;
    Some(format!("element {k}: {} for {}", g[k], e[k]))
}

fn check(
    graph: &Graph,
    inputs: &Inputs,
    capacity: &Bindings,
    bindings: &Bindings,
    loops: bool,
    tolerance: Option<f64>,
) -> bool {
    let expected = interpret(graph, &|name| inputs.get(name).cloned(), bindings).unwrap();
    for emitter in emitters() {
        let Some(got) = run(graph, inputs, capacity, bindings, loops, &emitter) else { return false };
        for ((output, got), expected) in graph.outputs().iter().zip(&got).zip(&expected) {
            if let Some(difference) = difference(got, expected, tolerance) {
                let options = schedule::Options::new(capacity.clone());
                let program = schedule(graph, &options).unwrap();
                panic!("{}: {difference}\nwith {bindings:?} and {emitter:?}\n{graph}\n{program}", output.name);
            }
        }
    }
    true
}

#[test]
fn every_primitive_compiles_to_its_meaning() {
    let mut compiled = std::collections::BTreeSet::new();
    for dtype in [DType::F32, DType::F64] {
        for (number, sample) in Op::samples(dtype).into_iter().enumerate() {
            if sample.op.primitive().lowering() == dlc::ir::Lowering::Request {
                continue;
            }
            let mut b = Builder::new();
            let mut operands = Vec::new();
            for (k, (ty, _)) in sample.operands.iter().enumerate() {
                let role = if ty.dtype == DType::I64 && ty.rank() == 0 { Role::Setting } else { Role::Data };
                operands.push(b.input(&format!("x{k}"), role, ty.clone()));
            }
            let y = b.push(sample.op.clone(), &operands);
            if sample.op.primitive().lowering() == dlc::ir::Lowering::Region {
                continue;
            }
            b.output("y", OutputRole::Report, y);
            let graph = b.finish();
            for n in [0u64, 1, 3, 8, 33] {
                let bindings = Bindings::from([(Symbol::new("N"), n)]);
                let Ok(tensors) = sample.draw(&bindings, number as u64) else { continue };
                let inputs: Inputs = tensors.into_iter().enumerate().map(|(k, t)| (format!("x{k}"), t)).collect();
                let reference = interpret(&graph, &|name| inputs.get(name).cloned(), &bindings);
                if reference.is_err() {
                    continue;
                }
                let capacity = Bindings::from([(Symbol::new("N"), 40)]);
                let tolerance = (dtype == DType::F64).then_some(1e-12);
                if check(&graph, &inputs, &capacity, &bindings, true, tolerance) {
                    compiled.insert(sample.op.primitive().name());
                }
            }
        }
    }
    println!("{} primitives compiled: {compiled:?}", compiled.len());
    assert!(compiled.len() >= 40, "only {compiled:?}");
}

fn cases() -> u32 {
    if std::env::var_os("DLC_FULL").is_some() { 10_000 } else { 1_000 }
}

fn draw(words: &[u64], dtype: DType, style: Style) -> (RandomGraph, Bindings, Inputs) {
    let random = random_graph(words, dtype, style);
    let first = words.first().copied().unwrap_or(0);
    let bindings = RandomGraph::bindings(first >> 7);
    let inputs = random.inputs(&bindings, first).unwrap();
    (random, bindings, inputs)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_graphs_compile_to_their_meaning(words in prop::collection::vec(any::<u64>(), 1..24)) {
        let (random, bindings, inputs) = draw(&words, DType::F32, Style::Any);
        let capacity = Bindings::from([(Symbol::new("N"), 33)]);
        check(&random.graph, &inputs, &capacity, &bindings, true, None);
    }

    #[test]
    fn random_smooth_graphs_agree_in_f64(words in prop::collection::vec(any::<u64>(), 1..24)) {
        let (random, bindings, inputs) = draw(&words, DType::F64, Style::Smooth);
        check(&random.graph, &inputs, &bindings, &bindings, false, Some(1e-9));
    }
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn small_graph() -> Graph {
    let mut b = Builder::new();
    let ty = Type::new(DType::F32, vec![64.into(), 64.into()]);
    let (x, w) = (b.input("x", Role::Data, ty.clone()), b.input("w", Role::Parameter, ty));
    let y = b.mul(x, w);
    let y = b.tanh(y);
    let loss = b.sum(y, &[0, 1]);
    b.output("loss", OutputRole::Report, loss);
    b.output("w", OutputRole::Next, y);
    b.finish()
}

#[test]
fn compiled_code_is_freed_and_the_same_every_time() {
    let program = schedule(&small_graph(), &schedule::Options::new(Bindings::new())).unwrap();
    let options = codegen::Options { text: true, ..codegen::Options::default() };
    let first = compile(&program, &options).unwrap();
    let mut after_warming_up = 0;
    for cycle in 0..220 {
        let again = compile(&program, &options).unwrap();
        assert_eq!(first.clif(), again.clif());
        assert_eq!(first.asm(), again.asm());
        assert!(first.code_bytes() > 0 && first.code_bytes() == again.code_bytes());
        let mut memory = Memory::new();
        Machine::new(again, &mut memory).unwrap().run(&mut memory, &[]).unwrap();
        if cycle == 20 {
            after_warming_up = resident();
        }
    }
    let grown = resident().saturating_sub(after_warming_up);
    assert!(grown < 4 << 20, "200 programs left {grown} bytes behind");
}

#[test]
fn machines_share_parameters() {
    let graph = small_graph();
    let program = schedule(&graph, &schedule::Options::new(Bindings::new())).unwrap();
    let mut memory = Memory::new();
    let mut machines: Vec<Machine> = (0..2)
        .map(|_| Machine::new(compile(&program, &codegen::Options::default()).unwrap(), &mut memory).unwrap())
        .collect();
    memory.write("w", &Tensor::float(DType::F32, vec![64, 64], vec![0.5; 4096])).unwrap();
    for machine in &mut machines {
        let x = machine.input("x").unwrap();
        machine.input_mut::<f32>(x).unwrap().fill(1.0);
        machine.run(&mut memory, &[]).unwrap();
    }
    let expected = 0.5f32.tanh();
    let twice = dlc::scalar::Function::Tanh.apply_f32(dlc::scalar::Function::Tanh.apply_f32(0.5));
    assert!((expected - 0.46).abs() < 0.01);
    assert!(memory.read("w").unwrap().to_f64().iter().all(|w| *w == f64::from(twice)));
    let mut other = Memory::new();
    assert!(machines[0].run(&mut other, &[]).is_err());
    assert!(machines[0].run(&mut memory, &[1]).is_err());
}
