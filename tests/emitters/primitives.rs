//! Every primitive on its samples, at every size of N.

use crate::{flush, full, on_threads};
use dlc::codegen::Cpu;
use dlc::ir::sample::Sample;
use dlc::ir::{Bindings, Builder, DType, Graph, Lowering, Op, OutputRole, Role, Symbol, Type, interpret};
use dlc::schedule::{self, ScheduleError, schedule};
use std::collections::BTreeSet;

/// A sample as a graph with inputs `x0, x1, …`.
fn graph(sample: &Sample) -> Graph {
    let mut b = Builder::new();
    // Seeds and steps are scalars; other integers are data.
    let role = |ty: &Type| if ty.dtype == DType::I64 && ty.rank() == 0 { Role::Setting } else { Role::Data };
    let operands = sample.operands.iter().enumerate();
    let operands: Vec<_> = operands.map(|(k, (ty, _))| b.input(&format!("x{k}"), role(ty), ty.clone())).collect();
    let y = b.push(sample.op.clone(), &operands);
    b.output("y", OutputRole::Report, y);
    b.finish()
}

fn is_lowered(op: &Op) -> bool {
    !matches!(op.primitive().lowering(), Lowering::Request | Lowering::Region)
}

fn at_every_size(dtype: DType) {
    let sizes: Vec<u64> =
        if full() { (0..=67).collect() } else { vec![0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 48, 63, 64, 65, 67] };
    let (mut wanted, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for (number, sample) in Op::samples(dtype).into_iter().enumerate().filter(|(_, s)| is_lowered(&s.op)) {
        let name = sample.op.primitive().name();
        wanted.insert(name);
        let graph = graph(&sample);
        let mut options = schedule::Options::new(Bindings::from([(Symbol::new("N"), 67)]));
        options.small_product = u64::MAX;
        let program = match schedule(&graph, &options) {
            Ok(program) => program,
            // What only gives results that no kernel holds.
            Err(ScheduleError::Unsupported { .. }) => continue,
            Err(error) => panic!("{name}: {error}"),
        };
        let options = on_threads(&[3]);
        let compiled = flush::all(&program, &options);
        for n in &sizes {
            let bindings = Bindings::from([(Symbol::new("N"), *n)]);
            let Ok(drawn) = sample.draw(&bindings, number as u64) else { continue };
            let inputs = drawn.into_iter().enumerate().map(|(k, t)| (format!("x{k}"), t)).collect();
            let given = |name: &str| flush::Tensors::get(&inputs, name).cloned();
            // Some samples exist at some sizes only.
            let Ok(expected) = interpret(&graph, &given, &bindings) else { continue };
            let found = flush::outputs(&program, &bindings, &inputs, &compiled);
            for (outputs, options) in found.iter().zip(&options) {
                let (cpu, threads) = (options.cpu, options.threads);
                if let Some(place) = flush::difference(&found[0], outputs) {
                    panic!("{name}, N = {n}, {cpu:?} on {threads} threads, against {:?}: {place}", Cpu::Portable);
                }
                if dtype == DType::F32 {
                    if let Some(place) = flush::difference(&expected, outputs) {
                        panic!("{name}, N = {n}, {cpu:?} on {threads} threads: {place}\n{program}");
                    }
                } else {
                    let near = |(a, b): (&f64, &f64)| {
                        a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-12 * (1.0 + a.abs())
                    };
                    let (a, b) = (expected[0].to_f64(), outputs[0].to_f64());
                    assert!(
                        a.len() == b.len() && a.iter().zip(&b).all(near),
                        "{name}, N = {n}, {cpu:?}: {b:?} for {a:?}"
                    );
                }
            }
            seen.insert(name);
        }
    }
    let missing: Vec<_> = wanted.difference(&seen).collect();
    assert!(missing.is_empty(), "no kernel computes {missing:?}");
    assert!(seen.len() >= 45, "{} primitives: {seen:?}", seen.len());
}

#[test]
fn every_kernel_has_code_for_wide_vectors_but_scatters() {
    for (cpu, dtype) in [Cpu::Avx2, Cpu::Avx512].into_iter().flat_map(|cpu| [(cpu, DType::F32), (cpu, DType::F64)]) {
        let mut wide = BTreeSet::new();
        for sample in Op::samples(dtype).into_iter().filter(|s| is_lowered(&s.op) && cpu.is_available()) {
            let mut options = schedule::Options::new(Bindings::from([(Symbol::new("N"), 67)]));
            options.small_product = u64::MAX;
            // Without floats a program is one of f32, in which 64-bit integers are scalars.
            let Some(program) = schedule(&graph(&sample), &options).ok().filter(|p| p.dtype == dtype) else { continue };
            let compiled = flush::all(&program, &[flush::options(cpu, 1)]);
            for (step, is_wide) in program.steps.iter().zip(compiled[0].wide()).filter(|(s, _)| s.kernel().is_some()) {
                let name = sample.op.primitive().name();
                if *is_wide {
                    wide.insert(name);
                }
                assert!(*is_wide || name == "scatter_add", "{dtype} {cpu:?}: {} of {name}\n{program}", step.name);
            }
        }
        assert!(!cpu.is_available() || wide.len() >= 40, "{dtype} {cpu:?}: {wide:?}");
    }
}

#[test]
fn every_primitive_in_f32() {
    at_every_size(DType::F32);
}

#[test]
fn every_primitive_in_f64() {
    at_every_size(DType::F64);
}
