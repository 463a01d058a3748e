//! Training steps under every emitter, on any number of threads, with memory that ends where a buffer does, and with passes left
//! out: in f32 to the bit what the interpreter makes of the same graph.
//!
//! Sizes are from 1 to 67, and batches also have no rows at all. Where products are the library's, threads change no bit.

use crate::flush;
use crate::generator::{RandomProgram, random_program_up_to};
use crate::stages::{Products, Tensors, batch, bindings, interpreted, keep, model, optimized};
use dlc::codegen::{self, Cpu};
use dlc::ir::{DType, Graph, Tensor};
use dlc::optimize::passes;
use dlc::schedule::{self, schedule};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// How often something was among what was tested.
type Count = BTreeMap<String, usize>;

/// Every width of vectors this CPU has, on so many threads.
fn on_threads(threads: &[usize]) -> Vec<codegen::Options> {
    let some = |cpu: Cpu| threads.iter().map(move |n| flush::options(cpu, *n)).collect::<Vec<_>>();
    flush::cpus().into_iter().flat_map(some).collect()
}

/// Runs a step at these numbers of rows; gives the outputs, once for each.
fn runs(
    graph: &Graph,
    program: &RandomProgram,
    kept: &Tensors,
    rows: &[u64],
    products: Products,
    threads: &[usize],
) -> Result<Vec<Vec<Tensor>>, TestCaseError> {
    let mut limits = schedule::Options::new(bindings(program.rows));
    limits.small_product = if products == Products::Loops { u64::MAX } else { 0 };
    let scheduled = schedule(graph, &limits).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    let options = on_threads(threads);
    let compiled = flush::all(&scheduled, &options);
    let mut all = Vec::new();
    for n in rows {
        let mut inputs = batch(program, DType::F32, *n, 1);
        inputs.extend(kept.clone());
        let found = flush::outputs(&scheduled, &bindings(*n), &inputs, &compiled);
        let expected = interpreted(graph, kept, &inputs, *n);
        for (group, of) in found.chunks(threads.len()).zip(options.chunks(threads.len())) {
            let expected = if products == Products::Loops { &expected } else { &group[0] };
            for (outputs, options) in group.iter().zip(of) {
                if let Some(place) = flush::difference(expected, outputs) {
                    let how = format!("{n} rows, {:?} on {} threads, {products:?}", options.cpu, options.threads);
                    return Err(TestCaseError::fail(format!("{how}: {place}\n{graph}\n{scheduled}")));
                }
            }
        }
        all.extend(found.into_iter().next());
    }
    Ok(all)
}

fn tested(program: &RandomProgram, words: &[u32], whole: bool, count: &mut Count) -> Result<(), TestCaseError> {
    let model = model(program, DType::F32).map_err(TestCaseError::fail)?;
    let mut kept = Tensors::new();
    let first = batch(program, DType::F32, 1, 0);
    let init = optimized(&model.init, &[]);
    keep(&init, &interpreted(&init, &kept, &first, 1), &mut kept);
    let step = &model.phases[0].step;
    let last = words.last().copied().unwrap_or(0);
    let rows = [program.rows, u64::from(last) % (program.rows + 1)];
    let (graph, evaluation) = (optimized(step, &[]), optimized(&model.phases[0].evaluate, &[]));
    occurring(&graph, count);
    occurring(&evaluation, count);
    runs(&evaluation, program, &kept, &rows, Products::Loops, &[1, 3])?;
    runs(&graph, program, &kept, &rows, Products::Loops, &[1, 3])?;
    runs(&graph, program, &kept, &rows, Products::Library, &[1, 2, 3, 8])?;
    // One pass left out, one alone, or none of them.
    let optional: Vec<_> = passes().iter().filter(|p| !p.mandatory).collect();
    let all: Vec<&str> = optional.iter().map(|p| p.name).collect();
    let none = runs(&optimized(step, &all), program, &kept, &rows, Products::Loops, &[1, 3])?;
    for (k, pass) in optional.iter().enumerate() {
        if !whole && k != words.len() % optional.len() {
            continue;
        }
        *count.entry(format!("without {}", pass.name)).or_insert(0) += 1;
        runs(&optimized(step, &[pass.name]), program, &kept, &rows, Products::Loops, &[1, 3])?;
        if pass.exact {
            let others: Vec<&str> = all.iter().copied().filter(|name| *name != pass.name).collect();
            let alone = runs(&optimized(step, &others), program, &kept, &rows, Products::Loops, &[1])?;
            for (none, alone) in none.iter().zip(&alone) {
                if let Some(place) = flush::difference(none, alone) {
                    return Err(TestCaseError::fail(format!("with {} alone: {place}", pass.name)));
                }
            }
        }
    }
    Ok(())
}

fn occurring(graph: &Graph, count: &mut Count) {
    for id in graph.ids() {
        *count.entry(graph.op(id).primitive().name().to_string()).or_insert(0) += 1;
    }
}

#[test]
fn steps_are_the_same_under_every_emitter() {
    let whole = std::env::var_os("DLC_FULL").is_some();
    let cases = if whole { 1_000 } else { 6 };
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let count = RefCell::new(Count::new());
    let words = prop::collection::vec(any::<u32>(), 1..120);
    let ran = TestRunner::new(config).run(&words, |mut words| {
        // Smooth programs are made of fewer kinds of operations.
        words[0] |= 1;
        let program = random_program_up_to(&words, 67);
        tested(&program, &words, whole, &mut count.borrow_mut()).map_err(|e| match e {
            TestCaseError::Fail(why) => TestCaseError::fail(format!("{}\n{why}", program.text)),
            reject => reject,
        })
    });
    ran.unwrap_or_else(|e| panic!("{e}"));
    let count = count.into_inner();
    println!("{count:?}");
    if whole {
        missing_in(&count);
        let left_out = count.keys().filter(|name| name.starts_with("without")).count();
        assert_eq!(left_out, passes().iter().filter(|p| !p.mandatory).count());
    }
}

/// What a softmax is made of, draws, lookups and what their derivatives are made of, sorting, and every kind of reduction.
fn missing_in(count: &Count) {
    let rare =
        ["exp", "max", "sum", "random", "gather", "scatter_add", "argmax", "order", "contract", "slice", "concat"];
    let missing: Vec<_> = rare.iter().filter(|name| count.get(**name).is_none_or(|n| *n < 3)).collect();
    assert!(missing.is_empty(), "{missing:?} are missing in {count:?}");
}

#[test]
fn programs_are_varied() {
    let mut count = Count::new();
    for seed in 0..60u32 {
        let mut words: Vec<u32> =
            (0..100).map(|k| (seed * 1000 + k).wrapping_mul(2654435761).rotate_left(13)).collect();
        words[0] |= 1;
        let model = model(&random_program_up_to(&words, 67), DType::F32).unwrap();
        occurring(&optimized(&model.phases[0].step, &[]), &mut count);
        occurring(&optimized(&model.phases[0].evaluate, &[]), &mut count);
    }
    missing_in(&count);
}
