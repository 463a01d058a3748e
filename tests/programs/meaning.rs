//! What programs mean: compiled code against the interpreter, gradients against differences, passes left out, formulas
//! written otherwise.

use crate::cases;
use crate::generator::{Column, RandomProgram, Values, random_program};
use crate::stages::{Bound, Compiled, Products, Tensors, batch, interpreted, jostled, keep, model, optimized, same};
use dlc::ir::{DType, Data, Tensor};
use dlc::optimize;
use dlc::runtime::Memory;
use dlc::train::gradient_check::{self, Parameter};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::collections::BTreeMap;

/// The sizes of the batches of a run: two whole ones and a short one.
fn batches(program: &RandomProgram, words: &[u32]) -> [u64; 3] {
    let last = words.last().copied().unwrap_or(0);
    [program.rows, program.rows, 1 + u64::from(last) % program.rows]
}

/// Starting values, three steps and an evaluation: compiled against the interpreter. In f32 to the bit, in which products
/// are loops; in f64 nearly, in which they are products of matrices.
fn trains(program: &RandomProgram, words: &[u32], dtype: DType) -> Result<(), TestCaseError> {
    let products = if dtype == DType::F32 { Products::Loops } else { Products::Library };
    let model = model(program, dtype).map_err(TestCaseError::fail)?;
    let mut memory = Memory::new();
    let (init, step, evaluate) =
        (optimized(&model.init, &[]), optimized(&model.phases[0].step, &[]), optimized(&model.phases[0].evaluate, &[]));
    fn bound(dtype: DType, changed: &dyn Fn(u64) -> Vec<Tensor>) -> Bound<'_> {
        if dtype == DType::F32 { Bound::Bits } else { Bound::Within(1e-10, changed) }
    }
    let mut kept = Tensors::new();
    let first = batch(program, dtype, 1, 0);
    let mut start = Compiled::new(&init, 1, products, &mut memory);
    let mut compiled = Compiled::new(&step, program.rows, products, &mut memory);
    let mut evaluation = Compiled::new(&evaluate, program.rows, products, &mut memory);
    let expected = interpreted(&init, &kept, &first, 1);
    same(
        &init,
        &start.run(&mut memory, &first, 1),
        &expected,
        &bound(dtype, &|seed| interpreted(&init, &kept, &jostled(&first, seed), 1)),
        "starting values",
    )?;
    keep(&init, &expected, &mut kept);
    for (number, rows) in batches(program, words).into_iter().enumerate() {
        let inputs = batch(program, dtype, rows, number as i64);
        let expected = interpreted(&step, &kept, &inputs, rows);
        let got = compiled.run(&mut memory, &inputs, rows);
        let changed = |seed| interpreted(&step, &jostled(&kept, seed), &jostled(&inputs, seed), rows);
        same(&step, &got, &expected, &bound(dtype, &changed), &format!("step {number} of {rows} rows"))?;
        keep(&step, &expected, &mut kept);
        // What errors there are do not add up.
        for (name, tensor) in &kept {
            memory.write(name, tensor).unwrap();
        }
    }
    let rows = batches(program, words)[2];
    let inputs = batch(program, dtype, rows, 9);
    let expected = interpreted(&evaluate, &kept, &inputs, rows);
    let changed = |seed| interpreted(&evaluate, &jostled(&kept, seed), &jostled(&inputs, seed), rows);
    same(&evaluate, &evaluation.run(&mut memory, &inputs, rows), &expected, &bound(dtype, &changed), "evaluation")
}

/// One pass left out, and all of them: the same step.
fn passes_keep_the_meaning(program: &RandomProgram, words: &[u32]) -> Result<(), TestCaseError> {
    let optional: Vec<&optimize::Pass> = optimize::passes().iter().filter(|p| !p.mandatory).collect();
    let model = model(program, DType::F64).map_err(TestCaseError::fail)?;
    let start = batch(program, DType::F64, 1, 0);
    let mut kept = Tensors::new();
    keep(&model.init, &interpreted(&optimized(&model.init, &[]), &kept, &start, 1), &mut kept);
    let inputs = batch(program, DType::F64, program.rows, 0);
    let run = |off: &[&str]| interpreted(&optimized(&model.phases[0].step, off), &kept, &inputs, program.rows);
    let whole = optimized(&model.phases[0].step, &[]);
    let changed = |seed| interpreted(&whole, &jostled(&kept, seed), &jostled(&inputs, seed), program.rows);
    let within = Bound::Within(1e-10, &changed);
    let first = words.first().copied().unwrap_or(0) as usize / 2;
    let pass = optional[first % optional.len()];
    let all: Vec<&str> = optional.iter().map(|p| p.name).collect();
    let expected = run(&[]);
    same(&model.phases[0].step, &run(&[pass.name]), &expected, &within, &format!("without {}", pass.name))?;
    if pass.exact {
        // By itself: beside it a reordering pass may find other sums.
        let others: Vec<&str> = all.iter().copied().filter(|name| *name != pass.name).collect();
        same(&model.phases[0].step, &run(&others), &run(&all), &Bound::Bits, &format!("with {} alone", pass.name))?;
    }
    same(&model.phases[0].step, &run(&all), &expected, &within, "without optional passes")
}

/// The first step of a program and of the same one with other formulas.
fn means_the_same_otherwise(program: &RandomProgram) -> Result<(), TestCaseError> {
    if program.otherwise == program.text {
        return Ok(());
    }
    let other = RandomProgram { text: program.otherwise.clone(), ..program.clone() };
    let start = batch(program, DType::F64, 1, 0);
    let inputs = batch(program, DType::F64, program.rows, 0);
    let step = |program: &RandomProgram| {
        let model = model(program, DType::F64).map_err(|e| TestCaseError::fail(format!("{e}\n{}", program.text)))?;
        let mut kept = Tensors::new();
        keep(&model.init, &interpreted(&optimized(&model.init, &[]), &kept, &start, 1), &mut kept);
        let graph = optimized(&model.phases[0].step, &[]);
        let outputs = interpreted(&graph, &kept, &inputs, program.rows);
        Ok::<_, TestCaseError>((graph, outputs, kept))
    };
    let ((graph, expected, kept), (_, got, _)) = (step(program)?, step(&other)?);
    let changed = |seed| interpreted(&graph, &jostled(&kept, seed), &jostled(&inputs, seed), program.rows);
    let bound = Bound::Within(1e-9, &changed);
    same(&graph, &got, &expected, &bound, &format!("the other formulas of\n{}", other.text))
}

/// The gradient of a smooth program against differences of its objective.
fn gradient_agrees(program: &RandomProgram) -> Result<(), TestCaseError> {
    let model = model(program, DType::F64).map_err(TestCaseError::fail)?;
    let mut memory = Memory::new();
    let rows = program.rows;
    let (init, objective, gradient) = (
        optimized(&model.init, &[]),
        optimized(&model.phases[0].objective, &[]),
        optimized(&model.phases[0].gradient, &[]),
    );
    let inputs = batch(program, DType::F64, rows, 0);
    let mut start = Compiled::new(&init, 1, Products::Loops, &mut memory);
    let mut objective = Compiled::new(&objective, rows, Products::Loops, &mut memory);
    let mut gradient = Compiled::new(&gradient, rows, Products::Loops, &mut memory);
    start.run(&mut memory, &inputs, 1);
    let trained = model.trained(0);
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

/// Tests a property of random programs; a failure shows the smallest program found.
fn holds(cases: u32, smooth: bool, property: impl Fn(&RandomProgram, &[u32]) -> Result<(), TestCaseError>) {
    holds_of(0, cases, smooth, property);
}

/// As [`holds`], on the programs of this part of the sequence.
fn holds_of(
    part: u64,
    cases: u32,
    smooth: bool,
    property: impl Fn(&RandomProgram, &[u32]) -> Result<(), TestCaseError>,
) {
    let mut config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    if let RngSeed::Fixed(seed) = config.rng_seed {
        config.rng_seed = RngSeed::Fixed(seed.wrapping_add(part));
    }
    let words = prop::collection::vec(any::<u32>(), 1..120);
    let tested = TestRunner::new(config).run(&words, |mut words| {
        // Programs whose first word is even are smooth.
        words[0] &= if smooth { !1 } else { !0 };
        let program = random_program(&words);
        property(&program, &words).map_err(|e| match e {
            TestCaseError::Fail(why) => TestCaseError::fail(format!("{}\n{why}", program.text)),
            reject => reject,
        })
    });
    tested.unwrap_or_else(|e| panic!("{e}"));
}

/// Compiled code against the interpreter to the bit, on a quarter of the programs: the longest test, cut for more processors.
fn quarter(part: u64) {
    holds_of(part, (cases() * 10 / 3).min(10_000) / 4, false, |program, words| trains(program, words, DType::F32));
}

#[test]
fn random_programs_mean_what_the_interpreter_says_1() {
    quarter(1);
}

#[test]
fn random_programs_mean_what_the_interpreter_says_2() {
    quarter(2);
}

#[test]
fn random_programs_mean_what_the_interpreter_says_3() {
    quarter(3);
}

#[test]
fn random_programs_mean_what_the_interpreter_says_4() {
    quarter(4);
}

#[test]
fn random_programs_agree_in_f64() {
    holds(cases(), false, |program, words| trains(program, words, DType::F64));
}

#[test]
fn random_programs_keep_their_meaning_without_passes() {
    holds(cases(), false, passes_keep_the_meaning);
}

#[test]
fn random_programs_mean_the_same_with_other_formulas() {
    holds(cases(), false, |program, _| means_the_same_otherwise(program));
}

#[test]
fn gradients_of_random_smooth_programs_agree_with_differences() {
    holds(cases(), true, |program, _| gradient_agrees(program));
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
        let program = RandomProgram { otherwise: text.clone(), text, columns: vec![column("x"), column("y")], rows: 5 };
        let all = trains(&program, &[1], DType::F32)
            .and_then(|()| trains(&program, &[1], DType::F64))
            .and_then(|()| passes_keep_the_meaning(&program, &[1]));
        all.unwrap_or_else(|e| panic!("{what}: {e}"));
    }
}
