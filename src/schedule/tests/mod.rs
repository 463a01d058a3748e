//! Programs against the interpreter, and the structure that fusion promises.

mod cost;
mod random;
mod structure;
mod updates;
mod waves;

use super::execute::execute;
use super::{Options, Program, schedule};
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, Graph, Op, OutputRole, Role, Symbol, Tensor, interpret};

pub(super) fn sizes(n: u64) -> Bindings {
    Bindings::from([(Symbol::new("N"), n)])
}

/// Schedules for a capacity.
pub(super) fn program(graph: &Graph, n: u64) -> Program {
    schedule(graph, &Options::new(sizes(n))).unwrap()
}

/// Values for every input, drawn by name and type.
pub(super) fn inputs(graph: &Graph, sizes: &Bindings) -> impl Fn(&str) -> Option<Tensor> + use<> {
    let mut all = Vec::new();
    for (k, id) in graph.inputs().enumerate() {
        let Op::Input(input) = graph.op(id) else { continue };
        let draw = match input.ty.dtype {
            DType::Bool => Draw::Bool,
            dtype if dtype.is_int() => Draw::Index(4),
            _ if input.name.ends_with(".v") => Draw::Uniform(0.0, 2.0),
            _ => Draw::Uniform(-2.0, 2.0),
        };
        all.push((input.name.clone(), draw.tensor(&input.ty, sizes, k as u64 + 1).unwrap()));
    }
    move |name| all.iter().find(|(n, _)| **n == *name).map(|(_, t)| t.clone())
}

/// Asserts that every result is the interpreter's: bit for bit in f32.
pub(super) fn check(graph: &Graph, capacity: u64, n: u64) -> Program {
    let program = program(graph, capacity);
    let sizes = sizes(n);
    let given = inputs(graph, &sizes);
    compare(graph, &program, &given, &sizes);
    program
}

fn compare(graph: &Graph, program: &Program, given: &dyn Fn(&str) -> Option<Tensor>, sizes: &Bindings) {
    let expected = interpret(graph, given, sizes).unwrap();
    let results = execute(program, given, sizes).unwrap_or_else(|e| panic!("{e:?}\n{program}\n{graph}"));
    // Loops over several contracted axes sum them one by one, the interpreter as one.
    let several = |id| matches!(graph.op(id), Op::Contraction(c) if c.contract.len() > 1);
    let exact = program.dtype == DType::F32 && !graph.ids().any(several);
    for ((output, e), r) in graph.outputs().iter().zip(&expected).zip(&results) {
        let equal = if exact && e.dtype() != DType::Bool { e.same_bits(r) } else { close(e, r, program.dtype) };
        assert!(equal, "{} at N = {sizes:?}: expected {e:?}, got {r:?}\n{program}\n{graph}", output.name);
    }
}

fn close(a: &Tensor, b: &Tensor, dtype: DType) -> bool {
    let tolerance = if dtype == DType::F32 { 1e-4 } else { 1e-12 };
    let near = |a: &f64, b: &f64| a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= tolerance * (1.0 + a.abs());
    a.dims == b.dims && a.to_f64().iter().zip(&b.to_f64()).all(|(a, b)| near(a, b))
}

fn graph_of(sample: &Sample) -> Graph {
    let mut b = Builder::new();
    let operands: Vec<_> = sample
        .operands
        .iter()
        .enumerate()
        .map(|(k, (ty, _))| b.input(&format!("x{k}"), Role::Data, ty.clone()))
        .collect();
    let result = b.push(sample.op.clone(), &operands);
    b.output("y", OutputRole::Report, result);
    b.finish()
}

#[test]
fn every_primitive_computes_its_meaning() {
    for sample in [Op::samples(DType::F32), Op::samples(DType::F64)].concat() {
        let skipped = matches!(
            sample.op,
            Op::Scan(_) | Op::While(_) | Op::Call(_) | Op::Project(_) | Op::Gradient(_) | Op::Tangent(_)
        );
        if skipped {
            continue;
        }
        let graph = graph_of(&sample);
        for n in [0, 1, 3, 17] {
            let Ok(tensors) = sample.draw(&sizes(n), 7) else { continue };
            let given = |name: &str| tensors.get(name[1..].parse::<usize>().ok()?).cloned();
            if interpret(&graph, &given, &sizes(n)).is_ok() {
                compare(&graph, &program(&graph, 17), &given, &sizes(n));
            }
        }
    }
}
