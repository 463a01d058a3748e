//! Every loss, penalty, metric and activation: its value and its derivative along a direction, as PyTorch has them.
//!
//! All formulas are the measures of one program, each in a `fn` that takes every column.

use super::run::{Folder, arrays, compare, figures, numbers};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Labels of the axes by their size.
const LABELS: [(usize, &str); 4] = [(3, "P"), (4, "D"), (5, "K"), (6, "N")];

fn check(dtype: &str, tolerance: f64) {
    let figures = figures("formulas");
    let columns = arrays(&figures["columns"]);
    let label = |size: usize| LABELS.iter().find(|(n, _)| *n == size).unwrap().1;
    let mut inputs = Vec::new();
    for (name, (dims, _)) in &columns {
        let axes: String = dims[1..].iter().map(|n| format!(", {}: {n}", label(*n))).collect();
        inputs.push(format!("{name}: [N{axes}]"));
    }
    let mut labels = BTreeMap::new();
    for (name, v) in figures["labels"].as_object().unwrap() {
        inputs.push(format!("{name}: index({})[N]", v["classes"]));
        labels.insert(name.clone(), numbers(&v["values"]).iter().map(|k| *k as i64).collect::<Vec<_>>());
    }
    let names: Vec<&str> = inputs.iter().map(|i| i.split(':').next().unwrap()).collect();
    let (inputs, names) = (inputs.join(", "), names.join(", "));
    let mut program = String::from("net line(u: [N]) -> [N] {\n    param w: [] = 1\n    w * u\n}\n");
    let mut measures = Vec::new();
    let cases = figures["cases"].as_array().unwrap();
    for (k, case) in cases.iter().enumerate() {
        let (formula, by) = (case["formula"].as_str().unwrap(), case["by"].as_str().unwrap());
        let _ = writeln!(program, "fn value_{k}({inputs}) = {formula}");
        let _ = writeln!(program, "fn slope_{k}({inputs}) {{\n    e = {formula}\n    sum(d{by} * grad(e, {by}))\n}}");
        measures.push(format!("value_{k} = value_{k}({names}), slope_{k} = slope_{k}({names})"));
    }
    let measures = measures.join(", ");
    let _ = writeln!(
        program,
        "train {{\n    minimize mse(line(u), v)\n    on d in order\n    using sgd\n    steps 1\n    measure {measures}\n}}"
    );
    let folder = Folder::new(&columns);
    folder.write("data.safetensors", &columns, &labels);
    let run = folder.run(&program, dtype);
    let mut failures = String::new();
    for (k, case) in cases.iter().enumerate() {
        let what = format!("{} by {}", case["formula"], case["by"]);
        let (value, slope) = (case["value"].as_f64().unwrap(), case["slope"].as_f64().unwrap());
        compare(&mut failures, &what, run.measure(&format!("value_{k}")), value, tolerance);
        compare(&mut failures, &format!("slope of {what}"), run.measure(&format!("slope_{k}")), slope, tolerance);
    }
    assert!(cases.len() > 80 && failures.is_empty(), "{failures}");
}

#[test]
fn formulas_have_their_values_and_slopes() {
    check("f32", 1e-5);
    check("f64", 1e-12);
}

/// A definition that is added to the library without a figure shows here.
#[test]
fn every_formula_of_the_library_has_a_figure() {
    let figures = figures("formulas");
    let cases = figures["cases"].as_array().unwrap();
    let words: BTreeSet<&str> = cases
        .iter()
        .flat_map(|c| c["formula"].as_str().unwrap().split(|c: char| !c.is_alphanumeric() && c != '_'))
        .collect();
    // Penalties of parameter sets are in the tests of rules and closed forms, what takes a net in those of models and attacks, and
    // what sorts in those of ranks.
    let elsewhere = BTreeSet::from([
        "ranks",
        "median",
        "l1",
        "l2",
        "elastic",
        "contractive",
        "pseudo_labels",
        "spearman",
        "median_absolute_error",
    ]);
    for (name, text) in dlc::check::LIBRARY {
        let stem = name.rsplit('/').next().unwrap();
        if !["losses.dl", "penalties.dl", "metrics.dl", "activations.dl"].contains(&stem) {
            continue;
        }
        for line in text.lines() {
            let mut parts = line.split(['(', ' ']);
            let (kind, name) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            if ["fn", "loss", "penalty", "metric"].contains(&kind) {
                assert!(words.contains(name) || elsewhere.contains(name), "{name} has no figure");
            }
        }
    }
}
