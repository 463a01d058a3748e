//! Random graphs with sizes from 0 to 67, three of four in f32.

use crate::{Dice, flush, full, on_threads};
use dlc::ir::random_graph::{Style, random_graph_of};
use dlc::ir::{Bindings, DType, Symbol, interpret};
use dlc::schedule::{self, schedule};
use std::collections::BTreeMap;

#[test]
fn random_graphs_of_all_sizes() {
    let cases = if full() { 4_000 } else { 80 };
    let all: Vec<u64> = (0..=67).collect();
    let options = on_threads(&[2, 3, 8]);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut dice = Dice(7);
    for case in 0..cases {
        let words: Vec<u64> = (0..6 + dice.below(18)).map(|_| dice.next()).collect();
        let dtype = if case % 4 == 3 { DType::F64 } else { DType::F32 };
        let random = random_graph_of(&words, dtype, Style::Any, &all);
        for id in random.graph.ids() {
            *seen.entry(random.graph.op(id).primitive().name()).or_insert(0) += 1;
        }
        // As loops, of which every bit is known, or as products.
        let loops = case % 3 != 0;
        let mut limits = schedule::Options::new(Bindings::from([(Symbol::new("N"), 67)]));
        limits.small_product = if loops { u64::MAX } else { 0 };
        let program = schedule(&random.graph, &limits).unwrap_or_else(|e| panic!("{e}\n{}", random.graph));
        let compiled = flush::all(&program, &options);
        for n in [dice.below(68), dice.size()] {
            let bindings = Bindings::from([(Symbol::new("N"), n)]);
            let inputs = random.inputs(&bindings, words[0]).unwrap();
            let meant = interpret(&random.graph, &|name| inputs.get(name).cloned(), &bindings).unwrap();
            let found = flush::outputs(&program, &bindings, &inputs, &compiled);
            // In f64 the interpreter rounds otherwise; the emitters agree with each other.
            let expected = if dtype == DType::F32 { &meant } else { &found[0] };
            for (group, of) in found.chunks(4).zip(options.chunks(4)) {
                for (outputs, options) in group.iter().zip(of) {
                    let expected = if loops { expected } else { &group[0] };
                    if let Some(place) = flush::difference(expected, outputs) {
                        let how = format!("{:?} on {} threads", options.cpu, options.threads);
                        panic!("case {case}, N = {n}, {how}: {place}\n{}\n{program}", random.graph);
                    }
                }
            }
        }
    }
    let rare = ["random", "gather", "scatter_add", "order", "argmax", "max", "sum", "contract", "pad", "slice"];
    let missing: Vec<_> = rare.iter().filter(|name| seen.get(*name).is_none_or(|n| *n < 3)).collect();
    assert!(missing.is_empty() && seen.len() >= 46, "{missing:?} are missing in {} primitives: {seen:?}", seen.len());
}
