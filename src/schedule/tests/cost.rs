//! What is predicted of steps, and that the text tells it.

use super::{check, program};
use crate::ir::primitive::Contraction;
use crate::ir::{Builder, DType, Graph, NodeId, OutputRole, Role, Size, Type};
use crate::schedule::Program;

fn elementwise(elements: u64, dtype: DType, op: fn(&mut Builder, NodeId, NodeId) -> NodeId) -> Program {
    let mut b = Builder::new();
    let ty = Type::new(dtype, vec![elements.into()]);
    let (x, y) = (b.input("x", Role::Data, ty.clone()), b.input("y", Role::Data, ty));
    let z = op(&mut b, x, y);
    b.output("z", OutputRole::Report, z);
    program(&b.finish(), 1)
}

fn product(m: u64, n: u64, k: u64) -> Graph {
    let mut b = Builder::new();
    let x = b.input("x", Role::Data, Type::new(DType::F32, vec![m.into(), k.into()]));
    let w = b.input("w", Role::Data, Type::new(DType::F32, vec![k.into(), n.into()]));
    let y = b.push(Contraction { batch: vec![], contract: vec![(1, 0)] }, &[x, w]);
    b.output("y", OutputRole::Report, y);
    b.finish()
}

#[test]
fn operations_take_vectors_and_functions_their_steps() {
    let instructions = |elements, op| {
        let program = elementwise(elements, DType::F32, op);
        program.cost(&program.steps[0]).instructions
    };
    // A tail is a vector more.
    assert_eq!([16, 17, 160].map(|n| instructions(n, Builder::add)), [1, 2, 10]);
    assert_eq!(instructions(16, |b, x, _| b.exp(x)), 18);
    assert!(instructions(16, Builder::div) > instructions(16, Builder::mul));
    let double = elementwise(16, DType::F64, Builder::add);
    assert_eq!(double.cost(&double.steps[0]).instructions, 2);
}

#[test]
fn time_is_the_arithmetic_and_the_traffic_of_a_step() {
    let program = elementwise(1 << 16, DType::F32, Builder::add);
    let (step, bytes) = (&program.steps[0], 3 << 18);
    let (cost, time) = (program.cost(step), program.time(step));
    assert_eq!((cost.flops, cost.read, cost.written), (1 << 16, bytes / 3 * 2, bytes / 3));
    assert!(time.memory > time.arithmetic, "{time:?}");
    assert_eq!(program.nanoseconds(step), time.total());
    // What no cache holds takes longer.
    let far = elementwise(1 << 23, DType::F32, Builder::add);
    assert!(far.time(&far.steps[0]).memory > 1.5 * 128.0 * time.memory);
    let whole = check(&product(64, 64, 64), 1, 1);
    let time = whole.time(&whole.steps[0]);
    assert!(time.arithmetic > time.memory, "{time:?}");
    let twice = check(&product(64, 128, 64), 1, 1);
    assert_eq!(twice.time(&twice.steps[0]).arithmetic, 2.0 * time.arithmetic);
}

#[test]
fn a_short_reduction_costs_more_than_its_operations() {
    let sums = |columns: u64| {
        let mut b = Builder::new();
        let x = b.input("x", Role::Data, Type::new(DType::F32, vec![Size::symbol("N"), columns.into()]));
        let s = b.sum(x, &[1]);
        b.output("s", OutputRole::Report, s);
        let program = program(&b.finish(), 64);
        program.time(&program.steps[0]).arithmetic
    };
    let (short, longer) = (sums(40), sums(160));
    assert!(short * 2.0 > longer, "combining the lanes is most of a short row's time: {short}, {longer}");
    assert!(sums(100_000) > 100.0 * short);
}

#[test]
fn the_text_adds_up() {
    let text = check(&product(64, 64, 64), 1, 1).to_string();
    let times = text.split(" us predicted").filter_map(|part| part.rsplit(' ').next()?.parse::<f64>().ok());
    let times: Vec<f64> = times.collect();
    assert_eq!(times.len(), 3, "of the wave, its chain and its step:\n{text}");
    assert!(times.iter().all(|t| *t == times[0] && *t > 0.0), "{text}");
    assert!(text.contains("most of it arithmetic") && text.contains("flops/B"), "{text}");
}
