//! Ten steps of every update rule, alone, by a schedule, averaged or beside another, equal its transcription in NumPy.

use super::run::{Folder, arrays, compare, figures, numbers};
use std::collections::BTreeSet;

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
