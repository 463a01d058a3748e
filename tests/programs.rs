//! Random `.dl` programs through every stage: compiled steps against the interpreter, gradients against differences,
//! passes left out.
//!
//! 1,000 programs, or 10,000 with `DLC_FULL=1`.

#[path = "support/random_program/mod.rs"]
mod random_program;

use dlc::check::{self, ColumnKind, ColumnSchema, Schema, Schemas};
use dlc::codegen;
use dlc::elaborate::{self, Model, elaborate};
use dlc::ir::{Bindings, DType, Data, Graph, OutputRole, Tensor, interpret};
use dlc::optimize::{self, optimize};
use dlc::runtime::{Machine, Memory};
use dlc::scalar::random::Key;
use dlc::schedule::{self, schedule};
use dlc::source::{Files, render};
use dlc::syntax::{ast, parse};
use dlc::train::gradient_check::{self, Parameter};
use proptest::prelude::*;
use random_program::{Column, RandomProgram, Values, random_program};
use std::collections::BTreeMap;

type Tensors = BTreeMap<String, Tensor>;

/// The graphs of a program, or what the front end says against it.
fn model(program: &RandomProgram, dtype: DType) -> Result<Model, String> {
    let mut files = Files::default();
    let file = files.add("random.dl", program.text.clone());
    let (tree, errors) = parse(file, &program.text);
    if !errors.is_empty() {
        return Err(render(&files, &errors, false));
    }
    let prelude = check::prelude(&mut files);
    let prelude: Vec<&ast::File> = prelude.iter().collect();
    let columns = program.columns.iter().map(|c| ColumnSchema {
        name: c.name.to_string(),
        axes: c.axes.clone(),
        kind: match c.values {
            Values::Class(classes) => ColumnKind::Int { min: 0, max: classes - 1 },
            _ => ColumnKind::Float,
        },
    });
    let schema = Schema { rows: 3 * program.rows, columns: columns.collect() };
    let (typed, errors) = check::check(&prelude, &tree, &Schemas::from([("d".into(), schema)]), &[]);
    if !errors.is_empty() {
        return Err(render(&files, &errors, false));
    }
    elaborate(&typed, elaborate::Options { dtype }).map_err(|e| render(&files, &[e], false))
}

fn bindings(rows: u64) -> Bindings {
    Bindings::from([(check::typed::Train::batch_symbol(), rows)])
}

/// A batch of a program's data, with the seed and the step.
fn batch(program: &RandomProgram, dtype: DType, rows: u64, step: i64) -> Tensors {
    let mut tensors = Tensors::new();
    for (k, column) in program.columns.iter().enumerate() {
        let key = Key::derive(41, step as u64, k as u64);
        let dims: Vec<usize> = [rows].iter().chain(&column.axes).map(|d| *d as usize).collect();
        let uniform = (0..dims.iter().product::<usize>()).map(|i| key.uniform_f64(i as u64));
        let tensor = match column.values {
            Values::Class(classes) => {
                let wide = if dtype == DType::F32 { DType::I32 } else { DType::I64 };
                Tensor::from_i64(wide, dims, uniform.map(|u| (u * classes as f64) as i64).collect())
            }
            // Few bits, so that both precisions read the same numbers.
            Values::Any => Tensor::from_f64(dtype, dims, uniform.map(|u| (u * 768.0).floor() / 256.0 - 1.5).collect()),
            Values::Share => Tensor::from_f64(dtype, dims, uniform.map(|u| (u * 256.0).floor() / 256.0).collect()),
            Values::Sign => Tensor::from_f64(dtype, dims, uniform.map(|u| if u < 0.5 { -1.0 } else { 1.0 }).collect()),
        };
        tensors.insert(column.name.to_string(), tensor);
    }
    let integer = |value| Tensor::from_i64(DType::I64, Vec::new(), vec![value]);
    tensors.insert("seed".into(), integer(7));
    tensors.insert("step".into(), integer(step));
    tensors
}

fn optimized(graph: &Graph, off: &[&str]) -> Graph {
    let options = optimize::Options { off: off.iter().map(|s| s.to_string()).collect(), verify: true };
    optimize(graph, &options, &mut |_, _| {}).unwrap_or_else(|e| panic!("{e}\n{graph}"))
}

/// How a graph is compiled.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Products {
    /// Loops in the order that is promised.
    Loops,
    /// The library, whatever the size.
    Library,
}

struct Compiled<'g> {
    graph: &'g Graph,
    machine: Machine,
}

impl<'g> Compiled<'g> {
    fn new(graph: &'g Graph, rows: u64, products: Products, memory: &mut Memory) -> Compiled<'g> {
        let mut options = schedule::Options::new(bindings(rows));
        options.small_product = if products == Products::Loops { u64::MAX } else { 0 };
        let program = schedule(graph, &options).unwrap_or_else(|e| panic!("{e}\n{graph}"));
        let options = codegen::Options { verify: true, ..codegen::Options::default() };
        let compiled = codegen::compile(&program, &options).unwrap_or_else(|e| panic!("{e}\n{program}"));
        Compiled { graph, machine: Machine::new(compiled, memory).unwrap() }
    }

    /// The outputs in the graph's order.
    fn run(&mut self, memory: &mut Memory, inputs: &Tensors, rows: u64) -> Vec<Tensor> {
        for (name, tensor) in inputs {
            let Some(id) = self.machine.input(name) else { continue };
            match &tensor.data {
                Data::F32(v) => self.machine.input_mut::<f32>(id).unwrap()[..v.len()].copy_from_slice(v),
                Data::F64(v) => self.machine.input_mut::<f64>(id).unwrap()[..v.len()].copy_from_slice(v),
                Data::I32(v) => self.machine.input_mut::<i32>(id).unwrap()[..v.len()].copy_from_slice(v),
                Data::I64(v) => self.machine.input_mut::<i64>(id).unwrap()[..v.len()].copy_from_slice(v),
                Data::Bool(_) => unreachable!("no input is boolean"),
            }
        }
        let symbols = self.machine.compiled().interface().symbols.len();
        self.machine.run(memory, &[rows][..symbols]).unwrap();
        let outputs = self.graph.outputs().iter().map(|o| match o.role {
            OutputRole::Report => self.machine.read(&o.name).unwrap(),
            OutputRole::Next => memory.read(&o.name).unwrap(),
        });
        outputs.collect()
    }
}

fn interpreted(graph: &Graph, kept: &Tensors, inputs: &Tensors, rows: u64) -> Vec<Tensor> {
    let value = |name: &str| kept.get(name).or_else(|| inputs.get(name)).cloned();
    interpret(graph, &value, &bindings(rows)).unwrap_or_else(|e| panic!("{e}\n{graph}"))
}

/// Puts next values in the place of those before.
fn keep(graph: &Graph, outputs: &[Tensor], kept: &mut Tensors) {
    for (output, tensor) in graph.outputs().iter().zip(outputs) {
        if output.role == OutputRole::Next {
            kept.insert(output.name.to_string(), tensor.clone());
        }
    }
}

/// Fails unless the outputs are equal: to the bit, or within a part of the largest element.
fn same(
    graph: &Graph,
    got: &[Tensor],
    expected: &[Tensor],
    tolerance: Option<f64>,
    what: &str,
) -> Result<(), TestCaseError> {
    for ((output, got), expected) in graph.outputs().iter().zip(got).zip(expected) {
        prop_assert_eq!(&got.dims, &expected.dims, "{} {}", what, output.name);
        let (g, e) = (got.to_f64(), expected.to_f64());
        let scale = e.iter().filter(|x| x.is_finite()).fold(1e-3f64, |a, b| a.max(b.abs()));
        let wrong = g.iter().zip(&e).position(|(g, e)| match tolerance {
            _ if g.is_nan() && e.is_nan() => false,
            None => g.to_bits() != e.to_bits(),
            Some(t) => !(g == e || (g - e).abs() <= t * scale),
        });
        if let Some(k) = wrong {
            let place = format!("{what}: {} element {k}: {:?} for {:?}", output.name, g[k], e[k]);
            return Err(TestCaseError::fail(format!("{place}\n{graph}")));
        }
    }
    Ok(())
}

/// The sizes of the batches of a run: two whole ones and a short one.
fn batches(program: &RandomProgram, words: &[u32]) -> [u64; 3] {
    let last = words.last().copied().unwrap_or(0);
    [program.rows, program.rows, 1 + u64::from(last) % program.rows]
}

/// Starting values, three steps and evaluations: compiled against the interpreter.
fn trains(
    program: &RandomProgram,
    words: &[u32],
    dtype: DType,
    products: Products,
    tolerance: Option<f64>,
) -> Result<(), TestCaseError> {
    let model = model(program, dtype).map_err(TestCaseError::fail)?;
    let mut memory = Memory::new();
    let (init, step, evaluate) =
        (optimized(&model.init, &[]), optimized(&model.step, &[]), optimized(&model.evaluate, &[]));
    let mut kept = Tensors::new();
    let first = batch(program, dtype, 1, 0);
    let mut start = Compiled::new(&init, 1, products, &mut memory);
    let mut compiled = Compiled::new(&step, program.rows, products, &mut memory);
    let mut evaluation = Compiled::new(&evaluate, program.rows, products, &mut memory);
    let expected = interpreted(&init, &kept, &first, 1);
    same(&init, &start.run(&mut memory, &first, 1), &expected, tolerance, "starting values")?;
    keep(&init, &expected, &mut kept);
    for (number, rows) in batches(program, words).into_iter().enumerate() {
        let inputs = batch(program, dtype, rows, number as i64);
        let expected = interpreted(&step, &kept, &inputs, rows);
        let got = compiled.run(&mut memory, &inputs, rows);
        same(&step, &got, &expected, tolerance, &format!("step {number} of {rows} rows"))?;
        keep(&step, &expected, &mut kept);
        // What errors there are do not add up.
        for (name, tensor) in &kept {
            memory.write(name, tensor).unwrap();
        }
    }
    let rows = batches(program, words)[2];
    let inputs = batch(program, dtype, rows, 9);
    let expected = interpreted(&evaluate, &kept, &inputs, rows);
    same(&evaluate, &evaluation.run(&mut memory, &inputs, rows), &expected, tolerance, "evaluation")
}

/// One pass left out, and all of them: the same step.
fn passes_keep_the_meaning(program: &RandomProgram, words: &[u32]) -> Result<(), TestCaseError> {
    let optional: Vec<&optimize::Pass> = optimize::passes().iter().filter(|p| !p.mandatory).collect();
    let model = model(program, DType::F64).map_err(TestCaseError::fail)?;
    let start = batch(program, DType::F64, 1, 0);
    let mut kept = Tensors::new();
    keep(&model.init, &interpreted(&optimized(&model.init, &[]), &kept, &start, 1), &mut kept);
    let inputs = batch(program, DType::F64, program.rows, 0);
    let run = |off: &[&str]| interpreted(&optimized(&model.step, off), &kept, &inputs, program.rows);
    let first = words.first().copied().unwrap_or(0) as usize / 2;
    let pass = optional[first % optional.len()];
    let all: Vec<&str> = optional.iter().map(|p| p.name).collect();
    let expected = run(&[]);
    let tolerance = if pass.exact { None } else { Some(1e-10) };
    same(&model.step, &run(&[pass.name]), &expected, tolerance, &format!("without {}", pass.name))?;
    same(&model.step, &run(&all), &expected, Some(1e-10), "without optional passes")
}

/// The gradient of a smooth program against differences of its objective.
fn gradient_agrees(program: &RandomProgram) -> Result<(), TestCaseError> {
    let model = model(program, DType::F64).map_err(TestCaseError::fail)?;
    let mut memory = Memory::new();
    let rows = program.rows;
    let (init, objective, gradient) =
        (optimized(&model.init, &[]), optimized(&model.objective, &[]), optimized(&model.gradient, &[]));
    let inputs = batch(program, DType::F64, rows, 0);
    let mut start = Compiled::new(&init, 1, Products::Loops, &mut memory);
    let mut objective = Compiled::new(&objective, rows, Products::Loops, &mut memory);
    let mut gradient = Compiled::new(&gradient, rows, Products::Loops, &mut memory);
    start.run(&mut memory, &inputs, 1);
    let trained = model.trained.iter().map(|k| &model.parameters[*k]);
    let parameters: Vec<Parameter> = trained
        .map(|p| Parameter { name: p.path.to_string(), dims: memory.read(&p.path).map(|t| t.dims).unwrap_or_default() })
        .collect();
    let point: Vec<Vec<f64>> = parameters.iter().map(|p| memory.read(&p.name).unwrap().to_f64()).collect();
    let got = gradient.run(&mut memory, &inputs, rows);
    let named: BTreeMap<String, Vec<f64>> =
        gradient.graph.outputs().iter().zip(got).map(|(o, t)| (o.name.to_string(), t.to_f64())).collect();
    let analytic: Vec<Vec<f64>> = parameters.iter().map(|p| named[&format!("grad {}", p.name)].clone()).collect();
    if !named["loss"][0].is_finite() {
        return Err(TestCaseError::reject("the loss is not finite"));
    }
    let options = gradient_check::Options { tolerance: 1e-6, whole: 4, largest: 2, sampled: 2, directions: 1, seed: 3 };
    let report = gradient_check::check(
        &parameters,
        &point,
        |at| {
            for (p, values) in parameters.iter().zip(at) {
                memory.write(&p.name, &Tensor { dims: p.dims.clone(), data: Data::F64(values.clone()) }).unwrap();
            }
            objective.run(&mut memory, &inputs, rows)[0].to_f64()[0]
        },
        |_| analytic,
        &options,
    );
    prop_assert!(report.worst().is_none_or(|(_, w)| w.relative_error <= options.tolerance), "{}", report);
    Ok(())
}

fn cases() -> u32 {
    let given = std::env::var("DLC_CASES").ok().and_then(|n| n.parse().ok());
    given.unwrap_or(if std::env::var_os("DLC_FULL").is_some() { 10_000 } else { 1_000 })
}

fn named(program: &RandomProgram, result: Result<(), TestCaseError>) -> Result<(), TestCaseError> {
    result.map_err(|e| match e {
        TestCaseError::Fail(why) => TestCaseError::fail(format!("{}\n{why}", program.text)),
        reject => reject,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_mean_what_the_interpreter_says(words in prop::collection::vec(any::<u32>(), 1..120)) {
        let program = random_program(&words);
        named(&program, trains(&program, &words, DType::F32, Products::Loops, None))?;
    }

    #[test]
    fn random_programs_agree_in_f64(words in prop::collection::vec(any::<u32>(), 1..120)) {
        let program = random_program(&words);
        named(&program, trains(&program, &words, DType::F64, Products::Library, Some(1e-10)))?;
    }

    #[test]
    fn random_programs_keep_their_meaning_without_passes(words in prop::collection::vec(any::<u32>(), 1..120)) {
        let program = random_program(&words);
        named(&program, passes_keep_the_meaning(&program, &words))?;
    }

    #[test]
    fn gradients_of_random_smooth_programs_agree_with_differences(words in prop::collection::vec(any::<u32>(), 1..120)) {
        let mut words = words;
        words[0] &= !1;
        let program = random_program(&words);
        named(&program, gradient_agrees(&program))?;
    }
}
/// What once went wrong: the end of a program whose data are `x: [N, 7]` and `y: [N, 7]`, for batches of 5.
const FIXED: &[(&str, &str)] = &[(
    "the objective's value asked for before its second derivative",
    "net model(x: [N, 7]) -> [N, 7] = x |> dense(3) |> tanh |> dense(7)
     optimizer rule(J, θ; lr = 0.01) {
         now = J(θ)
         h = hvp(J)(θ, rademacher(like: θ))
         θ' = θ - lr * now * h - lr * grad(J)(θ)
     }
     train { minimize mse(model(x), y); on d, batch 5; using rule; steps 3 }",
)];

#[test]
fn what_once_went_wrong() {
    for (what, text) in FIXED {
        let column = |name| Column { name, axes: vec![7], values: Values::Any };
        let text = format!("data d = safetensors(\"d.safetensors\")\n{text}");
        let program = RandomProgram { text, columns: vec![column("x"), column("y")], rows: 5 };
        let all = trains(&program, &[1], DType::F32, Products::Loops, None)
            .and_then(|()| trains(&program, &[1], DType::F64, Products::Library, Some(1e-10)))
            .and_then(|()| passes_keep_the_meaning(&program, &[1]));
        all.unwrap_or_else(|e| panic!("{what}: {e}"));
    }
}

#[test]
fn survey() {
    let mut bad: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let n: u64 = std::env::var("SURVEY").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    for seed in 0..n {
        let key = Key::derive(seed, 1, 2);
        let len = 1 + key.bits64(1000) % 119;
        let words: Vec<u32> = (0..len).map(|k| key.bits64(k) as u32).collect();
        let program = random_program(&words);
        if let Err(e) = std::panic::catch_unwind(|| model(&program, DType::F32)).unwrap_or_else(|_| Err("PANIC".into()))
        {
            let first = e.lines().next().unwrap_or("").to_string();
            let entry = bad.entry(first).or_insert((0, format!("{e}\n{}", program.text)));
            entry.0 += 1;
        }
    }
    for (_, (n, e)) in &bad {
        println!("=== {n}\n{e}");
    }
}
