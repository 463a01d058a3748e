//! Every pass alone: on written cases, whose result is golden, and on random graphs; values before and after are the
//! same bits for an exact pass and close for a reordering one.
//!
//! `tests/golden/<pass>/<case>.graph` stands beside `<case>.out`; `DLC_BLESS=1 cargo test --test passes` writes the
//! `.out` files anew.

use dlc::autodiff::gradient;
use dlc::ir::random_graph::{RandomGraph, Style, random_graph};
use dlc::ir::sample::Draw;
use dlc::ir::{Bindings, Builder, DType, Graph, Op, OutputRole, Stage, Symbol, Tensor, interpret, text, verify};
use dlc::optimize::{OptimizeError, Options, Pass, optimize, passes};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

fn pass(name: &str) -> &'static Pass {
    passes().iter().find(|p| p.name == name).unwrap()
}

/// Values for the inputs: special floats or moderate ones, and indices in range.
fn inputs(graph: &Graph, bindings: &Bindings, seed: u64, floats: &Draw) -> BTreeMap<String, Tensor> {
    let mut values = BTreeMap::new();
    for (k, id) in graph.inputs().enumerate() {
        let Op::Input(input) = graph.op(id) else { continue };
        let draw = match input.ty.dtype {
            DType::Bool => Draw::Bool,
            dtype if dtype.is_int() => Draw::Index(3),
            _ => floats.clone(),
        };
        let tensor = draw.tensor(&input.ty, bindings, seed.wrapping_mul(31).wrapping_add(k as u64)).unwrap();
        values.insert(input.name.to_string(), tensor);
    }
    values
}

fn outputs(graph: &Graph, inputs: &BTreeMap<String, Tensor>, bindings: &Bindings) -> Vec<Tensor> {
    interpret(graph, &|name| inputs.get(name).cloned(), bindings).unwrap()
}

/// Where both are finite, within a few roundings of the largest.
fn close(a: &Tensor, b: &Tensor) -> bool {
    let (a, b) = (a.to_f64(), b.to_f64());
    let scale = a.iter().filter(|x| x.is_finite()).fold(1.0, |m: f64, x| m.max(x.abs()));
    a.iter().zip(&b).all(|(x, y)| !x.is_finite() || !y.is_finite() || (x - y).abs() <= 1e-5 * scale)
}

/// Runs a pass on every case in its folder and compares results with the golden ones, and values with those before.
fn golden(name: &str) {
    let (tested, dead) = (pass(name), pass("dead"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let mut cases: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "graph"))
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    let mut failures = String::new();
    for case in cases {
        let shown = case.file_name().unwrap().to_string_lossy();
        let before = text::parse(&std::fs::read_to_string(&case).unwrap()).unwrap_or_else(|e| panic!("{shown}: {e}"));
        let rewritten = (tested.run)(&before).unwrap();
        verify(&rewritten, Stage::Differentiated).unwrap_or_else(|e| panic!("{shown}: {e}"));
        let after = (dead.run)(&rewritten).unwrap();
        let path = case.with_extension("out");
        if std::env::var_os("DLC_BLESS").is_some() {
            std::fs::write(&path, after.to_string()).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if after.to_string() != expected {
            let _ = writeln!(failures, "--- {name}/{shown}: expected\n{expected}--- found\n{after}");
        }
        compare(&before, &after, tested.exact, &shown);
        if tested.mandatory {
            compare(&with_gradients(&before), &with_gradients(&rewritten), false, &shown);
        }
    }
    assert!(failures.is_empty(), "{failures}run with DLC_BLESS=1 to accept what was found");
}

/// The graph reporting also the gradient of the sum of its outputs by each of its float inputs.
fn with_gradients(graph: &Graph) -> Graph {
    let mut b = Builder::from_graph(graph.clone());
    let mut total = b.constant(DType::F32, 0.0);
    for output in graph.outputs() {
        let axes: Vec<usize> = (0..graph.ty(output.node).rank()).collect();
        let sum = b.sum(output.node, &axes);
        total = b.add(total, sum);
    }
    let targets: Vec<_> = graph.inputs().filter(|id| graph.ty(*id).dtype.is_float()).collect();
    for (k, slope) in gradient(&mut b, total, &targets).unwrap().into_iter().enumerate() {
        b.output(format!("slope{k}"), OutputRole::Report, slope);
    }
    b.finish()
}

/// A thousand elements a case where it has N of them, special values among them; otherwise as many draws.
fn compare(before: &Graph, after: &Graph, exact: bool, case: &str) {
    for (n, seed) in [(1000, 1), (0, 2), (1, 3), (17, 4)].into_iter().chain((0..50).map(|k| (20, 5 + k))) {
        let bindings = Bindings::from([(Symbol::new("N"), n)]);
        for draw in [Draw::Special, Draw::Uniform(-3.0, 3.0)] {
            let special = draw == Draw::Special;
            let values = inputs(before, &bindings, seed, &draw);
            let (old, new) = (outputs(before, &values, &bindings), outputs(after, &values, &bindings));
            for (k, (old, new)) in old.iter().zip(&new).enumerate() {
                assert_eq!(old.dims, new.dims);
                if exact {
                    assert!(old.same_bits(new), "{case}, output {k}, N = {n}: {old:?} became {new:?}");
                } else if !special {
                    assert!(close(old, new), "{case}, output {k}, N = {n}: {old:?} became {new:?}");
                }
            }
        }
    }
}

#[test]
fn stabilize() {
    golden("stabilize");
}

#[test]
fn canonicalize() {
    golden("canonicalize");
}

#[test]
fn fold() {
    golden("fold");
}

#[test]
fn simplify() {
    golden("simplify");
}

#[test]
fn contract() {
    golden("contract");
}

#[test]
fn reciprocals() {
    golden("reciprocals");
}

#[test]
fn row_sums() {
    golden("row-sums");
}

#[test]
fn dead() {
    golden("dead");
}

#[test]
fn names_are_checked() {
    let graph = Graph::default();
    let off = |name: &str| Options { off: [name.to_string()].into(), verify: true };
    let refused = |name: &str| optimize(&graph, &off(name), &mut |_, _| {}).unwrap_err();
    assert_eq!(refused("stabilize"), OptimizeError::Mandatory("stabilize"));
    assert!(refused("sipmlify").to_string().contains("simplify"));
    let mut seen = Vec::new();
    optimize(&graph, &off("fold"), &mut |name, _| seen.push(name.to_string())).unwrap();
    let expected: Vec<&str> = passes().iter().map(|p| p.name).filter(|n| *n != "fold").collect();
    assert_eq!(seen, expected);
}

/// Words for a random graph of about `size` nodes.
fn words(seed: u64, size: u64) -> Vec<u64> {
    (0..size).map(|k| seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(k.wrapping_mul(0x0100_0000_01b3))).collect()
}

/// Optional passes, each alone and all in an order chosen by `seed`: any order is legal after differentiation.
fn schedules(seed: u64) -> Vec<Vec<&'static Pass>> {
    let mut optional: Vec<&Pass> = passes().iter().filter(|p| !p.mandatory).collect();
    let mut schedules: Vec<Vec<&Pass>> = optional.iter().map(|p| vec![*p]).collect();
    schedules.push(optional.clone());
    for k in (1..optional.len()).rev() {
        optional.swap(k, (seed.rotate_left(7 * k as u32) % (k as u64 + 1)) as usize);
    }
    schedules.push(optional);
    schedules
}

/// Quality campaign 3: 300 graphs here, 3000 with `DLC_FULL=1`.
#[test]
fn optional_passes_in_any_order_keep_the_values_of_random_graphs() {
    let count = if std::env::var_os("DLC_FULL").is_some() { 3000 } else { 300 };
    let mut compared = 0;
    for seed in 0..count {
        let dtype = if seed % 3 == 0 { DType::F64 } else { DType::F32 };
        let style = if seed % 2 == 0 { Style::Any } else { Style::Smooth };
        let random = random_graph(&words(seed, 4 + seed % 37), dtype, style);
        let bindings = RandomGraph::bindings(seed);
        let values = random.inputs(&bindings, seed).unwrap();
        let expected = outputs(&random.graph, &values, &bindings);
        for schedule in schedules(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            let names: Vec<&str> = schedule.iter().map(|p| p.name).collect();
            let exact = schedule.iter().all(|p| p.exact);
            let mut graph = random.graph.clone();
            for pass in schedule {
                graph = (pass.run)(&graph).unwrap();
                verify(&graph, Stage::Differentiated).unwrap_or_else(|e| panic!("{names:?}: {e}"));
            }
            let got = outputs(&graph, &values, &bindings);
            for (k, (old, new)) in expected.iter().zip(&got).enumerate() {
                let same = match (exact, style) {
                    (true, _) => old.same_bits(new),
                    (false, Style::Smooth) => close(old, new),
                    // With values of any size another order of additions may overflow where the first did not.
                    (false, Style::Any) => true,
                };
                assert!(same, "seed {seed}, output {k} after {names:?}: {old:?} became {new:?}\n{}", random.graph);
                compared += 1;
            }
        }
    }
    assert!(compared > count, "{compared} outputs compared");
}
