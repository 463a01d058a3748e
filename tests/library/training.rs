//! What the clauses of a phase mean: players, rules, constraints, schedules, averages, augmentations, metrics of whole parts.
//!
//! Most programs here have one number or a few as parameters and an objective whose steps can be written down.

use super::run::{Array, Folder, dlc};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// A column `x` of 1300 rows and 3 numbers, and what depends on it: `y` nearly, `c` in {0, 1}.
fn columns() -> BTreeMap<String, Array> {
    let rows = 1300;
    let noise = |k: usize| ((k as f64 * 0.754_877_666).fract() - 0.5) * 2.0;
    let x: Vec<f64> = (0..3 * rows).map(|k| noise(k + 1)).collect();
    let y: Vec<f64> = x.chunks(3).enumerate().map(|(k, r)| r[0] - 2.0 * r[1] + 0.3 * noise(7 * k)).collect();
    let c: Vec<f64> = y.iter().map(|y| f64::from(*y > 0.2)).collect();
    BTreeMap::from([("x".into(), (vec![rows, 3], x)), ("y".into(), (vec![rows], y)), ("c".into(), (vec![rows], c))])
}

fn folder() -> Folder {
    Folder::new(&columns())
}

/// The events of a program on these columns, in f64.
fn events(folder: &Folder, program: &str) -> Vec<Value> {
    let path = folder.path("program.dl");
    fs::write(&path, format!("data d = safetensors(\"data.safetensors\")\n{program}")).unwrap();
    dlc(&["run", "--json", "--no-save", "--dtype", "f64"], &path)
}

/// What is measured in the end.
fn measures(program: &str) -> Value {
    events(&folder(), program).last().unwrap()["metrics"]["train"].clone()
}

fn close(found: &Value, expected: f64, what: &str) {
    let found = found.as_f64().unwrap_or_else(|| panic!("{what}: {found} is no number"));
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{what}: {found} instead of {expected}");
}

/// A net that is one number.
const P: &str = "net p() -> [] { param a: [] = 1; a }\n";
const Q: &str = "net q() -> [] { param a: [] = 1; a }\n";

#[test]
fn definitions_get_the_axes_of_a_parameter_by_their_roles() {
    let found = measures(
        "net a() -> [A: 3, B: 4] { param W: [fan_out: 3, fan_in: 4] = normal(std: 3); W }
         train {
             minimize sum(a()^2) + group_lasso(a) + mean(y) * 0 over a
             on       d
             using    sgd(lr: 0)
             keep     unit_norm for a
             measure  kept = max(abs(norm(a() over B) - 1)), by_role = max(abs(norm(a.W over fan_in) - 1)),
                      lasso = group_lasso(a), rows = sum(norm(a.W over fan_in))
             steps    1
         }",
    );
    close(&found["kept"], 0.0, "the weights into each unit");
    close(&found["by_role"], 0.0, "the same by the path");
    close(&found["lasso"], 3.0, "norms of three units");
    close(&found["rows"], 3.0, "the same written out");
}

#[test]
fn constraints_hold_after_every_step_whatever_the_rule() {
    for rule in ["momentum(lr: 0.5)", "adam(lr: 0.3)", "sgd(lr: 2)"] {
        let told = events(
            &folder(),
            &format!(
                "net a() -> [I: 3, O: 4] {{ param W: [I: 3, O: 4] = normal(std: 3); W }}
                 net b() -> [I: 3, O: 4] {{ param W: [fan_out: 3, fan_in: 4] = normal(std: 3); W }}
                 net s() -> [K: 3] {{ param w: [K: 3] = 0; w }}
                 net t() -> [K: 3] {{ param w: [K: 3] = 0; w }}
                 train {{
                     minimize mean((x @ (a() + b()) @ ones(like: mean(a() over I)) - y)^2) +
                              mean((x @ s() - y)^2) + mean((x @ t() - y)^2) + sum(a()^2) * 0.01
                     on       d
                     using    {rule}
                     keep     max_norm(bound: 0.7) for a
                     keep     norm(V over fan_in) == 1 for b
                     keep     simplex for s
                     keep     t >= -0.25
                     keep     box(low: -1, high: 0.5) for t
                     measure  a = max(norm(a() over I)), b = max(abs(norm(b() over O) - 1)),
                              s = abs(sum(s()) - 1) + max(-min(s()), 0), low = min(t()), high = max(t())
                     epochs   200
                     stop     when d loss has not improved for 500 epochs
                 }}"
            ),
        );
        let steps: Vec<&Value> = told.iter().filter(|e| e["event"] == "epoch").map(|e| &e["valid"]).collect();
        assert_eq!(steps.len(), 200);
        for (step, found) in steps.iter().enumerate() {
            let value = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("{found}"));
            let tolerance = 1e-12;
            assert!(value("a") <= 0.7 + tolerance, "{rule}, step {step}: {found}");
            assert!(value("b") <= tolerance && value("s") <= tolerance, "{rule}, step {step}: {found}");
            assert!(value("low") >= -0.25 && value("high") <= 0.5, "{rule}, step {step}: {found}");
        }
    }
}

/// The norm of a tensor, that of all tensors, and signs.
#[test]
fn balls_and_signs_hold_after_every_step_whatever_the_rule() {
    for rule in ["nesterov(lr: 0.5)", "rmsprop(lr: 0.3)", "lion(lr: 0.2)", "sgd(lr: 2)"] {
        let told = events(
            &folder(),
            &format!(
                "net f(x: [N, 3]) -> [N] {{
                     hidden = dense(x, 4, init: normal(std: 3))
                     affine(tanh(hidden), init: ones)
                 }}
                 net g(x: [N, 3]) -> [N] {{
                     hidden = dense(x, 4, init: normal(std: 3))
                     affine(tanh(hidden), init: ones)
                 }}
                 net s(x: [N, 3]) -> [N] = affine(x, init: normal(std: 2))
                 train {{
                     minimize mse(f(x), y) + mse(g(x), y) + mse(s(x), y)
                     on       d
                     using    {rule}
                     keep     frobenius(bound: 0.8) for f.hidden.W
                     keep     ball(bound: 1.1) for g
                     keep     non_negative for s
                     measure  f = norm(f.hidden.W), g = sqrt(sum(g^2)), s = min(s.affine.w)
                     epochs   60
                     stop     when d loss has not improved for 500 epochs
                 }}"
            ),
        );
        let steps: Vec<&Value> = told.iter().filter(|e| e["event"] == "epoch").map(|e| &e["valid"]).collect();
        assert_eq!(steps.len(), 60);
        let value = |found: &Value, name: &str| found[name].as_f64().unwrap_or_else(|| panic!("{found}"));
        for (step, found) in steps.iter().enumerate() {
            let held = value(found, "f") <= 0.8 + 1e-12 && value(found, "g") <= 1.1 + 1e-12 && value(found, "s") >= 0.0;
            assert!(held, "{rule}, step {step}: {found}");
        }
        // They bind: this is no test of small parameters.
        assert!(steps.iter().any(|found| value(found, "f") > 0.799), "{rule}");
        assert!(steps.iter().any(|found| value(found, "g") > 1.099), "{rule}");
        assert!(steps.iter().any(|found| value(found, "s") == 0.0), "{rule}");
    }
}

#[test]
fn players_move_at_once() {
    // From (1, 1) along (-b, a): each step multiplies the distance by √(1 + h²) and turns by atan h.
    let found = measures(&format!(
        "{P}{Q}train {{
             minimize p() * q() over p using sgd(lr: 0.1)
             maximize gain = p() * q() over q using sgd(lr: 0.1)
             on       d
             measure  p = p(), q = q()
             steps    25
         }}"
    ));
    let (mut a, mut b) = (1.0, 1.0);
    for _ in 0..25 {
        (a, b) = (a - 0.1 * b, b + 0.1 * a);
    }
    close(&found["p"], a, "p");
    close(&found["q"], b, "q");
    close(&found["loss"], a * b, "loss");
    close(&found["gain"], a * b, "gain");
}

#[test]
fn a_multiplier_meets_the_constraint_or_vanishes() {
    let program = |bound: f64| {
        format!(
            "net w() -> [K: 3] {{ param w: [K: 3] = 0; w }}
             net price() -> [] {{ param a: [] = 0; a }}
             train {{
                 minimize mean((x @ w() - y)^2) + price() * (sum(w()^2) - {bound}) over w using sgd(lr: 0.3)
                 maximize price() * (sum(w()^2) - {bound}) over price using sgd(lr: 0.1)
                 keep     price >= 0
                 on       d
                 measure  size = sum(w()^2), price = price()
                 steps    4000
             }}"
        )
    };
    let active = measures(&program(1.0));
    close(&active["size"], 1.0, "an active constraint is met");
    assert!(active["price"].as_f64().unwrap() > 0.01, "{active}");
    let idle = measures(&program(9.0));
    close(&idle["price"], 0.0, "the price of an idle constraint");
    assert!(idle["size"].as_f64().unwrap() < 8.0, "{idle}");
}

#[test]
fn rules_have_parameters_of_their_own() {
    let found = measures(&format!(
        "{P}{Q}net r() -> [] {{ param a: [] = 1; a }}
         train {{
             minimize 0.5 * (p()^2 + q()^2 + r()^2) + p() * q()
             on       d
             using    sgd(lr: 0.1) for p
             using    sgd(lr: 0.01)
             measure  p = p(), q = q(), r = r()
             steps    12
         }}"
    ));
    let (mut p, mut q, mut r) = (1.0, 1.0, 1.0);
    for _ in 0..12 {
        (p, q, r) = (p - 0.1 * (p + q), q - 0.01 * (q + p), r - 0.01 * r);
    }
    close(&found["p"], p, "p");
    close(&found["q"], q, "q");
    close(&found["r"], r, "r");
}

#[test]
fn schedules_count_steps_and_epochs() {
    // The gradient is 1, so the parameter falls by the rates.
    let run = |rate: &str| {
        let program = format!(
            "{P}train {{ minimize p(); on d, batch 130 in order; using sgd(lr: {rate}); measure p = p(); epochs 4 }}"
        );
        1.0 - measures(&program)["p"].as_f64().unwrap()
    };
    let sum = |rate: &dyn Fn(f64) -> f64| (0..40).map(|k| rate(k as f64)).sum::<f64>();
    let pi = std::f64::consts::PI;
    let cases: Vec<(&str, f64)> = vec![
        (
            "linear(step, start: 0.2, end: 0.02, tau: 25)",
            sum(&|k| {
                let a = (k / 25.0).min(1.0);
                (1.0 - a) * 0.2 + a * 0.02
            }),
        ),
        ("stepwise(step, start: 0.1, every: 7)", sum(&|k| 0.1 * 0.5f64.powf((k / 7.0).floor()))),
        ("stepwise(epoch, start: 0.1, every: 2)", sum(&|k| 0.1 * 0.5f64.powf(((k / 10.0).floor() / 2.0).floor()))),
        ("exponential(step, start: 0.1, every: 7)", sum(&|k| 0.1 * 0.5f64.powf(k / 7.0))),
        ("inverse_time(step, start: 0.1, decay: 0.5)", sum(&|k| 0.1 / (1.0 + 0.5 * k))),
        ("cosine(step, start: 0.1, tau: 30)", sum(&|k| 0.05 * (1.0 + (pi * (k / 30.0).min(1.0)).cos()))),
        ("cosine_restarts(step, start: 0.1, tau: 8)", sum(&|k| 0.05 * (1.0 + (pi * ((k % 8.0) / 8.0)).cos()))),
        ("0.1 * warm_up(step, tau: 16)", sum(&|k| 0.1 * ((k + 1.0) / 16.0).min(1.0))),
        (
            "one_cycle(step, peak: 0.2, tau: 40, rise: 0.25)",
            sum(&|k| {
                let wave = |from: f64, to: f64, a: f64| to + (from - to) * (1.0 + (pi * a.min(1.0)).cos()) / 2.0;
                if k < 10.0 { wave(0.008, 0.2, k / 10.0) } else { wave(0.2, 0.00002, (k - 10.0) / 30.0) }
            }),
        ),
        ("0.1 * turn(step, of: 3, which: 1)", sum(&|k| if k % 3.0 == 1.0 { 0.1 } else { 0.0 })),
        ("0.1 * (step + 2 * epoch)", sum(&|k| 0.1 * (k + 2.0 * (k / 10.0).floor()))),
    ];
    for (rate, expected) in cases {
        let found = run(rate);
        assert!((found - expected).abs() < 1e-9, "{rate}: {found} instead of {expected}");
    }
}

#[test]
fn averages_stand_for_the_parameters() {
    // After step k the parameter is 1 - k.
    let run = |average: &str| {
        let program = format!(
            "{P}train {{ minimize p(); on d; using sgd(lr: 1); average {average}; measure p = p(); steps 10 }}"
        );
        measures(&program)["p"].clone()
    };
    let after = |k: u32| 1.0 - f64::from(k);
    close(&run("polyak"), (1..=10).map(after).sum::<f64>() / 10.0, "polyak");
    close(&run("polyak(after: 4)"), (5..=10).map(after).sum::<f64>() / 6.0, "polyak from a step on");
    let ema = (1..=10).fold(1.0, |a, k| 0.9 * a + 0.1 * after(k));
    close(&run("ema(rho: 0.9)"), ema, "ema");
    let unbiased = (1..=10).fold(0.0, |a, k| 0.9 * a + 0.1 * after(k)) / (1.0 - 0.9f64.powi(10));
    close(&run("unbiased_ema(rho: 0.9)"), unbiased, "unbiased_ema");
}

/// A metric of 1300 rows does not depend on how they are cut into chunks, and equals its formula.
#[test]
fn metrics_are_of_all_rows() {
    let run = |batch: usize| {
        measures(&format!(
            "net f(x: [N, 3]) -> [N] {{ param w: [3] = normal(std: 1); x @ w }}
             metric counts(z: [N], y: [N]) -> [K: 2, S: 2] {{
                 k = where(z > 0, 1, 0)
                 one_hot(index(y, 2)).T @ one_hot(index(k, 2))
             }}
             train {{
                 minimize mse(f(x), y)
                 on       d, batch {batch}
                 using    sgd(lr: 0)
                 measure  r = r_squared(f(x), y), area = auc(f(x), c), both = 1 - r_squared(f(x), y), counts(f(x), c),
                          by_hand = mse(f(x), y) / mean((y - mean(y))^2)
                 steps    1
             }}"
        ))
    };
    let (chunked, whole) = (run(7), run(1300));
    for name in ["r", "area", "both"] {
        close(&chunked[name], whole[name].as_f64().unwrap(), name);
    }
    close(&whole["both"], whole["by_hand"].as_f64().unwrap(), "r_squared");
    assert_eq!(chunked["counts"], whole["counts"]);
    let total: f64 = whole["counts"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|v| v.as_f64().unwrap())
        .sum();
    assert_eq!(total, 1300.0, "{whole}");
}

#[test]
fn draws_differ_and_evaluation_has_none() {
    let found = measures(
        "net f(x: [N, 3]) -> [N, 3] { param a: [] = 1; a * dropout(ones(like: x), 0.25) }
         train {
             minimize mean(f(x))
             on       d
             using    sgd(lr: 0)
             measure  drawn = mean(draws(f(x), 20)), still = mean(f(x)),
                      spread = mean(mean(draws(f(x), 20)^2 over draws) - mean(draws(f(x), 20) over draws)^2),
                      off = mean(draws(evaluating(f(x)), 2))
             steps    1
         }",
    );
    // 78000 draws with the variance 1/3.
    assert!((found["drawn"].as_f64().unwrap() - 1.0).abs() < 0.02, "{found}");
    assert!((found["spread"].as_f64().unwrap() - 19.0 / 60.0).abs() < 0.02, "{found}");
    close(&found["still"], 1.0, "without draws");
    close(&found["off"], 1.0, "evaluating");
}

#[test]
fn a_net_that_is_not_trained_evaluates() {
    let told = events(
        &folder(),
        "layer noisy(x: [N, D]) -> [N, D] {
             state seen: [] = 0
             seen' = seen + 1
             dropout(x, 0.5) + seen
         }
         net teacher(x: [N, 3]) -> [N] { param w: [3] = ones; noisy(x) @ w }
         net student(x: [N, 3]) -> [N] { param w: [3] = zeros; x @ w }
         train {
             minimize mse(student(x), teacher(x)) over student
             on       d
             using    sgd(lr: 0)
             measure  mse(student(x), x @ ones(like: mean(x over N)))
             epochs   3
         }",
    );
    let losses: Vec<f64> = told.iter().filter_map(|e| e["train"]["loss"].as_f64()).collect();
    let expected = told.last().unwrap()["metrics"]["train"]["mse"].as_f64().unwrap();
    assert_eq!(losses.len(), 3);
    assert!(losses.iter().all(|loss| (loss - expected).abs() < 1e-12), "{losses:?} instead of {expected}");
}

#[test]
fn two_data_sets_in_a_step() {
    let folder = folder();
    let u: Vec<f64> = (0..30).map(|k| f64::from(k * k)).collect();
    folder.write("second.safetensors", &BTreeMap::from([("u".into(), (vec![30], u.clone()))]), &BTreeMap::new());
    let found = events(
        &folder,
        &format!(
            "data e = safetensors(\"second.safetensors\")
             {P}train {{
                 minimize p() * (mean(e.u) + 0 * mean(x))
                 on       d, batch 100 with e, batch 7 in order
                 using    sgd(lr: 0.001)
                 measure  p = p(), first = mean(e.u)
                 steps    12
             }}"
        ),
    );
    let means: Vec<f64> = u.chunks(7).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect();
    let expected = 1.0 - 0.001 * means.iter().cycle().take(12).sum::<f64>();
    let last = &found.last().unwrap()["metrics"]["train"];
    close(&last["p"], expected, "p");
    close(&last["first"], means[0], "evaluation sees the first batch");
}

#[test]
fn augmentations_change_what_training_sees() {
    let program = |augment: &str| {
        let text = format!(
            "{P}train {{
                 {augment}
                 minimize p() * mean(x^2)
                 on       d
                 using    sgd(lr: 1)
                 measure  p = p(), square = mean(x^2)
                 steps    1
             }}"
        );
        measures(&text)
    };
    let plain = program("");
    let square = plain["square"].as_f64().unwrap();
    let doubled = program("augment x = 2*x\n augment x = 2*x");
    close(&doubled["p"], 1.0 - 16.0 * square, "two augmentations");
    close(&doubled["square"], square, "evaluation sees the column");
    close(&doubled["loss"], (1.0 - 16.0 * square) * square, "and so does its loss");
    let erased = program("augment (x, kept) = (0*x, x)\n augment x = x + kept");
    close(&erased["p"], 1.0 - square, "a name of its own");
}

/// What the augmentations of the library leave as it is.
#[test]
fn augmentations_keep_what_they_should() {
    let found = measures(
        "fn image(x: [N, D]) -> [N, H: 6, W: 6] {
             r = mean(x over D)
             p = range(6)
             y[n, h, w] = where(p[h] > 1, 1, 0) * where(p[h] < 4, 1, 0) * where(p[w] > 1, 1, 0) * where(p[w] < 4, 1, 0)
                          * (1 + r[n] * r[n] + p[h] + 0.1 * p[w])
             y
         }
         net p() -> [] { param a: [] = 1; a }
         train {
             minimize p()
             on       d
             using    sgd(lr: 0)
             measure  plain = mean(image(x)), still = mean(abs(shift_2d(image(x)) - image(x))),
                      shifted = mean(draws(shift_2d(image(x), most: 2), 1)),
                      moved = mean(abs(draws(shift_2d(image(x), most: 2), 1) - draws(image(x), 1))),
                      flipped = mean(draws(flip(image(x)), 1)), turned = mean(draws(flip(x), 1)), x = mean(x),
                      erased = mean(draws(erase(0*image(x), edge: 3, value: 4), 1))
             steps    1
         }",
    );
    let value = |name: &str| found[name].as_f64().unwrap();
    // The bright middle stays inside, so what comes in and goes out is 0.
    close(&found["shifted"], value("plain"), "a shift");
    assert!(value("moved") > 0.1 * value("plain"), "{found}");
    close(&found["still"], 0.0, "a shift in evaluation");
    close(&found["flipped"], value("plain"), "flipped images");
    close(&found["turned"], value("x"), "flipped rows");
    close(&found["erased"], 4.0 * 9.0 / 36.0, "a square");
}

#[test]
fn a_run_repeats_with_draws_of_its_own() {
    let run = || {
        let told = events(
            &folder(),
            "net f(x: [N, 3]) -> [N] { param w: [3] = zeros; dropout(x, 0.5) @ w }
             train {
                 augment  x = jitter(x)
                 minimize mse(f(x), y)
                 on       d, batch 64
                 using    sgd(lr: 0.1)
                 average  ema(rho: 0.9)
                 epochs   2
             }",
        );
        told.last().unwrap()["metrics"].clone()
    };
    assert_eq!(run(), run());
}
