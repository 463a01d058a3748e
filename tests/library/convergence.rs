//! Every update rule finds the bottom of a bowl and of Rosenbrock's valley, and fits a small net.
//!
//! All rules run side by side in one program, each on parameters of its own. What counts as converged: on the bowl and in the
//! valley the distance from the bottom after the steps, on the net the mean cross-entropy after the epochs. Rules whose steps
//! shrink with the gradient get there to rounding. Those whose steps keep their length (lion always, rmsprop and the likes of
//! adam where gradients are next to nothing) end in a circle of about the length of a step, so they are held to that.

use super::run::dlc;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// A rule and the distance that it must come to.
type Case = (&'static str, f64);

const EXACT: f64 = 1e-6;

/// Curvatures 1 and 4; 3000 steps.
const BOWL: [Case; 20] = [
    ("sgd(lr: 0.2)", EXACT),
    ("momentum(lr: 0.02)", EXACT),
    ("nesterov(lr: 0.02)", EXACT),
    ("sgdw(lr: 0.02, decay: 0)", EXACT),
    ("adagrad(lr: 0.5)", EXACT),
    ("rmsprop(lr: 2e-3)", 2e-3),
    ("rmsprop_nesterov(lr: 5e-4)", 1e-2),
    ("adadelta(lr: 1)", EXACT),
    ("adam(lr: 0.02)", EXACT),
    ("adamw(lr: 0.02, decay: 0)", EXACT),
    ("amsgrad(lr: 0.02)", EXACT),
    ("adamax(lr: 0.02)", EXACT),
    ("nadam(lr: 0.02)", EXACT),
    ("adahessian(lr: 0.02)", EXACT),
    ("lion(lr: 2e-3)", 1e-2),
    ("momentum_clip_norm(lr: 0.02)", EXACT),
    ("momentum_clip_value(lr: 0.02)", EXACT),
    ("adam_clip_norm(lr: 0.02)", EXACT),
    ("ista(lr: 0.2, alpha: 0)", EXACT),
    ("fista(lr: 0.1, alpha: 0)", EXACT),
];

/// 20000 steps from (-1.5, 2), 2.7 from the bottom.
const VALLEY: [Case; 21] = [
    ("sgd(lr: 1e-3)", 1e-2),
    ("momentum(lr: 1e-3)", EXACT),
    ("nesterov(lr: 1e-3)", EXACT),
    ("sgdw(lr: 1e-3, decay: 0)", EXACT),
    ("adagrad(lr: 0.5)", 1e-2),
    ("rmsprop(lr: 5e-4)", 1e-2),
    ("rmsprop_nesterov(lr: 1e-4)", 1e-2),
    // Its steps are as long as the ones before, whatever the gradient: at a constant rate it circles far from the bottom, ever
    // wider. With a rate that falls, it gets there.
    ("adadelta(lr: 1)", 1.0),
    ("adadelta(lr: exponential(step, start: 1, every: 2000))", EXACT),
    ("adam(lr: 0.02)", 1e-3),
    ("adamw(lr: 0.02, decay: 0)", 1e-3),
    ("amsgrad(lr: 0.1)", EXACT),
    ("adamax(lr: 0.02)", 1e-3),
    ("nadam(lr: 0.01)", 1e-2),
    ("adahessian(lr: 0.5)", 1e-2),
    ("lion(lr: 5e-4)", 1e-2),
    ("momentum_clip_norm(lr: 1e-3)", EXACT),
    ("momentum_clip_value(lr: 1e-3)", EXACT),
    ("adam_clip_norm(lr: 0.02)", 1e-2),
    ("ista(lr: 1e-3, alpha: 0)", 1e-2),
    ("fista(lr: 5e-4, alpha: 0)", 1e-3),
];

/// 200 points of two moons in batches of 50, 100 epochs; the loss is 0.7 at first.
const NET: [Case; 20] = [
    ("sgd(lr: 1)", 0.1),
    ("momentum(lr: 0.2)", 0.1),
    ("nesterov(lr: 0.2)", 0.1),
    ("sgdw(lr: 0.2, decay: 0)", 0.1),
    ("adagrad(lr: 0.2)", 0.1),
    ("rmsprop(lr: 0.02)", 0.1),
    ("rmsprop_nesterov(lr: 3e-3)", 0.1),
    ("adadelta(lr: 10)", 0.1),
    ("adam(lr: 0.03)", 0.1),
    ("adamw(lr: 0.03, decay: 0)", 0.1),
    ("amsgrad(lr: 0.1)", 0.1),
    ("adamax(lr: 0.1)", 0.1),
    ("nadam(lr: 0.03)", 0.1),
    ("adahessian(lr: 0.1)", 0.1),
    ("lion(lr: 0.01)", 0.1),
    ("momentum_clip_norm(lr: 0.2)", 0.1),
    ("momentum_clip_value(lr: 0.2)", 0.1),
    ("adam_clip_norm(lr: 0.03)", 0.1),
    ("ista(lr: 1, alpha: 0)", 0.1),
    ("fista(lr: 0.2, alpha: 0)", 0.1),
];

fn end(program: &str) -> Value {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("rules.dl");
    fs::write(&path, program).unwrap();
    dlc(&["run", "--json", "--no-save", "--dtype", "f64"], &path).pop().unwrap()["metrics"].take()
}

/// Fails with every rule whose measure, by its number, is not below its bound.
#[track_caller]
fn hold(cases: &[Case], measured: &Value) {
    let mut failures = String::new();
    for (k, (rule, bound)) in cases.iter().enumerate() {
        let found = measured[format!("m{k}")].as_f64().unwrap();
        if found > *bound {
            failures += &format!("{rule}: {found}, not within {bound}\n");
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// The distances from (1, 1) at which the rules end.
fn distances(cases: &[Case], objective: &str, steps: u64) -> Value {
    let mut program = format!(
        "layer start() -> [2] {{
            param p: [2] = stack(-1.5, 2)
            p
        }}
        fn objective(p: [2]) -> [] {{
            (a, b) = split(p, 2)
            sum({objective})
        }}
        train {{
            steps {steps}\n"
    );
    let mut nets = String::new();
    for (k, (rule, _)) in cases.iter().enumerate() {
        nets += &format!("net at{k}() -> [2] = start()\n");
        program += &format!("minimize j{k} = objective(at{k}()) over at{k} using {rule}\n");
        program += &format!("measure m{k} = norm(at{k}() - 1)\n");
    }
    end(&format!("{nets}{program}}}"))["value"].take()
}

#[test]
fn rules_find_the_bottom_of_a_bowl() {
    hold(&BOWL, &distances(&BOWL, "0.5 * (a - 1)^2 + 2 * (b - 1)^2", 3000));
}

#[test]
fn rules_find_the_bottom_of_a_valley() {
    hold(&VALLEY, &distances(&VALLEY, "(1 - a)^2 + 100 * (b - a^2)^2", 20_000));
}

#[test]
fn rules_fit_a_small_net() {
    let mut nets = "layer small(x: [N, 2]) -> [N, 2] = x |> dense(12) |> tanh |> dense(2)\n".to_owned();
    let mut train = String::new();
    for (k, (rule, _)) in NET.iter().enumerate() {
        nets += &format!("net f{k}(x: [N, 2]) -> [N, 2] = small(x)\n");
        train += &format!("minimize j{k} = cross_entropy(f{k}(x), label) over f{k} using {rule}\n");
        train += &format!("measure m{k} = cross_entropy(f{k}(x), label)\n");
    }
    let program = format!(
        "data moons(x, label) = two_moons(200) seed 1
        {nets}
        train {{
            on moons, batch 50
            epochs 100
            {train}
        }}"
    );
    hold(&NET, &end(&program)["train"]);
}

/// A rule that is added to the library without being held to converge shows here.
#[test]
fn every_rule_of_the_library_is_held_to_converge() {
    for cases in [&BOWL[..], &VALLEY, &NET] {
        let held: BTreeSet<&str> = cases.iter().filter_map(|(rule, _)| rule.split('(').next()).collect();
        for (_, text) in dlc::check::LIBRARY {
            for line in text.lines().filter_map(|line| line.strip_prefix("optimizer ")) {
                let name = line.split('(').next().unwrap();
                assert!(held.contains(name), "{name} is not held to converge");
            }
        }
    }
}
