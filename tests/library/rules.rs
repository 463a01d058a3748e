//! Ten steps of every update rule, alone, by a schedule, averaged or beside another, equal its transcription in NumPy; and every
//! rule finds the minimum of a bowl and of a valley.

use super::run::{Folder, arrays, compare, figures, numbers};
use std::collections::{BTreeMap, BTreeSet};

const BOWL: &str = "
net bowl(x: [N, 5]) -> [N] {
    param w: [5] = zeros
    x @ w
}
train {
    minimize 0.5 * sum(bowl(e) * bowl(a)) - sum(b * bowl(e))
    on       d in order
    using    RULE
    steps    10
}";

const NET: &str = "
net net(x: [N, 3]) -> [N, 2] {
    hidden = dense(x, 4)
    out    = dense(tanh(hidden), 2)
    out
}
train {
    minimize mse(net(x), y)
    on       d in order
    using    RULE
    steps    10
}";

fn check(dtype: &str, tolerance: f64) {
    let figures = figures("rules");
    let folder = |problem: &str| {
        let folder = Folder::new(&arrays(&figures[problem]["columns"]));
        folder.start(&arrays(&figures[problem]["start"]));
        folder
    };
    let problems = [("bowl", BOWL, folder("bowl")), ("axes", BOWL, folder("axes")), ("net", NET, folder("net"))];
    let mut failures = String::new();
    for case in figures["rules"].as_array().unwrap() {
        let rule = case["rule"].as_str().unwrap();
        for (problem, program, folder) in problems.iter().filter(|(p, ..)| !case[*p].is_null()) {
            let run = folder.run(&program.replace("RULE", rule), dtype);
            assert_eq!(run.losses.len(), 10, "{rule}");
            for (path, expected) in case[problem].as_object().unwrap() {
                let found = if path == "loss" { vec![run.measure("loss")] } else { run.parameter(path) };
                assert_eq!(found.len(), expected.as_array().unwrap().len(), "{path}");
                for (k, (found, expected)) in found.into_iter().zip(numbers(expected)).enumerate() {
                    compare(&mut failures, &format!("{rule}: {path}, element {k}"), found, expected, tolerance);
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn ten_steps_are_those_of_the_transcription_in_f64() {
    check("f64", 1e-12);
}

#[test]
fn ten_steps_are_those_of_the_transcription_in_f32() {
    check("f32", 1e-5);
}

/// Rules with steps that suit a bowl with curvatures 1 and 4, and those that suit Rosenbrock's valley.
const CONVERGING: [(&str, &str); 21] = [
    ("sgd(lr: 0.2)", "sgd(lr: 1e-3)"),
    ("momentum(lr: 0.02)", "momentum(lr: 2e-4)"),
    ("nesterov(lr: 0.02)", "nesterov(lr: 2e-4)"),
    ("sgdw(lr: 0.02, decay: 0)", "sgdw(lr: 2e-4, decay: 0)"),
    ("adagrad(lr: 0.5)", "adagrad(lr: 0.5)"),
    ("rmsprop(lr: 1e-3)", "rmsprop(lr: 5e-4)"),
    ("rmsprop_nesterov(lr: 1e-4)", "rmsprop_nesterov(lr: 1e-4)"),
    // Its steps grow with their own size, so that it circles in the valley.
    ("adadelta(lr: 3)", ""),
    ("adam(lr: 0.02)", "adam(lr: 0.01)"),
    ("adamw(lr: 0.02, decay: 0)", "adamw(lr: 0.01, decay: 0)"),
    ("amsgrad(lr: 0.02)", "amsgrad(lr: 0.03)"),
    ("adamax(lr: 0.02)", "adamax(lr: 0.02)"),
    ("nadam(lr: 0.02)", "nadam(lr: 0.01)"),
    // Far from the valley's bottom curvatures are not those along it.
    ("adahessian(lr: 0.02)", ""),
    ("lion(lr: 5e-4)", "lion(lr: 5e-4)"),
    ("momentum_clip_norm(lr: 0.02)", "momentum_clip_norm(lr: 1e-3)"),
    ("momentum_clip_value(lr: 0.02)", "momentum_clip_value(lr: 1e-3)"),
    ("adam_clip_norm(lr: 0.02)", "adam_clip_norm(lr: 0.01)"),
    ("ista(lr: 0.2, alpha: 0)", "ista(lr: 1e-3, alpha: 0)"),
    ("fista(lr: 0.1, alpha: 0)", "fista(lr: 5e-4, alpha: 0)"),
    ("momentum(lr: 0.1, alpha: 0.5)", "momentum(lr: 5e-4, alpha: 0.5)"),
];

#[test]
fn rules_find_the_bottom_of_a_bowl_and_of_a_valley() {
    // As many rows as steps of an epoch, whose end is told and looked at.
    let folder = Folder::new(&BTreeMap::from([("x".to_owned(), (vec![5000], vec![0.0; 5000]))]));
    let mut failures = String::new();
    for (bowl, valley) in CONVERGING {
        for (rule, objective) in [(bowl, "bowl"), (valley, "valley")].into_iter().filter(|(rule, _)| !rule.is_empty()) {
            let program = format!(
                "fn bowl(a: [], b: []) -> [] = 0.5 * (a - 1)^2 + 2 * (b - 1)^2
                fn valley(a: [], b: []) -> [] = (1 - a)^2 + 100 * (b - a^2)^2
                net at(x: [N]) -> [] {{
                    param a: [] = -1.2
                    param b: [] = 1.5
                    {objective}(a, b) + 0 * sum(x)
                }}
                train {{
                    minimize at(x)
                    on       d, batch 1
                    using    {rule}
                    steps    20000
                    measure  a = sum(at.a), b = sum(at.b)
                }}"
            );
            let run = folder.run(&program, "f64");
            for name in ["a", "b"] {
                compare(&mut failures, &format!("{rule} on the {objective}, {name}"), run.measure(name), 1.0, 0.01);
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// A rule that is added to the library without figures shows here.
#[test]
fn every_rule_of_the_library_has_figures() {
    let figures = figures("rules");
    let rules = figures["rules"].as_array().unwrap().iter().map(|c| c["rule"].as_str().unwrap());
    let known: BTreeSet<&str> = rules.map(|r| r.split('(').next().unwrap()).collect();
    for (_, text) in dlc::check::LIBRARY {
        for line in text.lines().filter_map(|line| line.strip_prefix("optimizer ")) {
            let name = line.split('(').next().unwrap();
            assert!(known.contains(name), "{name} has no figures");
        }
    }
}
