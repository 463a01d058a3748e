//! Inits draw what they say: mean, variance and bounds of many draws, orthogonality, numbers of zeros.

use super::run::{Folder, compare};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Inputs and outputs of the sampled matrices.
const I: usize = 160;
const O: usize = 240;

/// Init, mean, variance, least and greatest value; the last two are limits that half of the range comes near to.
fn expected() -> Vec<(&'static str, f64, f64, f64, f64)> {
    let (i, o) = (I as f64, O as f64);
    let flat = |variance: f64| (0.0, variance, -(3.0 * variance).sqrt(), (3.0 * variance).sqrt());
    let normal = |variance: f64| (0.0, variance, -6.0 * variance.sqrt(), 6.0 * variance.sqrt());
    // The variance of a standard normal variable between -2 and 2: 1 - 4 φ(2) / (2 Φ(2) - 1).
    let cut = 1.0 - 4.0 * 0.053_990_966_513_188_06 / 0.954_499_736_103_641_6;
    let table = [
        ("zeros", (0.0, 0.0, 0.0, 0.0)),
        ("ones", (1.0, 0.0, 1.0, 1.0)),
        ("constant(value: 0.3)", (0.3, 0.0, 0.3, 0.3)),
        ("uniform", (0.0, 0.01 / 12.0, -0.05, 0.05)),
        ("uniform(low: 1, high: 4)", (2.5, 9.0 / 12.0, 1.0, 4.0)),
        ("normal", normal(0.0025)),
        ("normal(mean: 2, std: 3)", (2.0, 9.0, -16.0, 20.0)),
        ("unit_normal", normal(1.0)),
        ("truncated_normal(std: 2)", (0.0, 4.0 * cut, -4.0, 4.0)),
        ("truncated_normal(mean: 1, std: 0.5)", (1.0, 0.25 * cut, 0.0, 2.0)),
        ("uniform_fan_in", flat(1.0 / (3.0 * i))),
        ("glorot_uniform", flat(2.0 / (i + o))),
        ("glorot_normal", normal(2.0 / (i + o))),
        ("he_uniform", flat(2.0 / i)),
        ("he_normal", normal(2.0 / i)),
        ("lecun_uniform", flat(1.0 / i)),
        ("lecun_normal", normal(1.0 / i)),
        ("variance_scaling", normal(1.0 / i)),
        ("variance_scaling(scale: 2, inputs: 0, outputs: 1)", normal(2.0 / o)),
        ("variance_scaling_uniform(inputs: 0.5, outputs: 0.5)", flat(2.0 / (i + o))),
        ("identity", (1.0 / o, 1.0 / o - 1.0 / (o * o), 0.0, 1.0)),
        ("orthogonal", (0.0, 1.0 / o, -1.0, 1.0)),
        ("orthogonal(gain: 2)", (0.0, 4.0 / o, -2.0, 2.0)),
        ("sparse", (0.0, 15.0 / i, -6.0, 6.0)),
    ];
    table.into_iter().map(|(init, (mean, variance, low, high))| (init, mean, variance, low, high)).collect()
}

/// One net for each init, its weights measured after a step of length 0.
fn sampled(inits: &[&str], measures: &[(&str, &str)], shape: (usize, usize), dtype: &str) -> super::run::Run {
    let mut program = String::new();
    let mut told = Vec::new();
    for (k, init) in inits.iter().enumerate() {
        let (i, o) = shape;
        let _ = writeln!(
            program,
            "net net_{k}(x: [N, {i}]) -> [N, {o}] {{\n    param W: [{i}, {o}] = {init}\n    x @ W\n}}"
        );
        for (name, measure) in measures {
            told.push(format!("{name}_{k} = {}", measure.replace("NET", &format!("net_{k}"))));
        }
    }
    let nets: Vec<String> = (0..inits.len()).map(|k| format!("sum(net_{k}(x))")).collect();
    let _ = writeln!(
        program,
        "train {{
            minimize 0 * ({})
            on       d in order
            using    sgd(lr: 0)
            steps    1
            {}
        }}",
        nets.join(" + "),
        if told.is_empty() { String::new() } else { format!("measure {}", told.join(", ")) }
    );
    // The rows are the identity, so that each net gives its weights.
    let n = shape.0;
    let identity = (0..n * n).map(|k| if k % (n + 1) == 0 { 1.0 } else { 0.0 }).collect();
    Folder::new(&BTreeMap::from([("x".to_owned(), (vec![n, n], identity))])).run(&program, dtype)
}

#[test]
fn draws_have_their_mean_variance_and_bounds() {
    let expected = expected();
    let inits: Vec<&str> = expected.iter().map(|e| e.0).collect();
    let measures =
        [("mean", "mean(NET.W)"), ("square", "mean(NET.W^2)"), ("low", "min(NET.W)"), ("high", "max(NET.W)")];
    for dtype in ["f32", "f64"] {
        let run = sampled(&inits, &measures, (I, O), dtype);
        let mut failures = String::new();
        for (k, (init, mean, variance, low, high)) in expected.iter().enumerate() {
            let found = |name: &str| run.measure(&format!("{name}_{k}"));
            // Six standard errors of means of I·O draws; no distribution here has a kurtosis above 40.
            let error = 6.0 / ((I * O) as f64).sqrt();
            let spread = variance.sqrt();
            compare(&mut failures, &format!("{init}: mean"), found("mean") - mean, 0.0, spread * error + 1e-6);
            let sampled = found("square") - found("mean").powi(2);
            let kurtosis: f64 = if *init == "sparse" { 3.0 * I as f64 / 15.0 } else { 3.0 };
            let tolerance = variance * error * kurtosis.sqrt() + 1e-6;
            compare(&mut failures, &format!("{init}: variance"), sampled - variance, 0.0, tolerance);
            let slack = 1e-6 * high.abs().max(1.0);
            if found("low") < low - slack || found("high") > high + slack {
                failures += &format!("{init}: {} to {}\n", found("low"), found("high"));
            }
            let flat = (high - low) / 12f64.sqrt() - spread;
            if flat.abs() < 1e-9 && (found("high") - found("low")) < 0.999 * (high - low) {
                failures += &format!("{init}: only from {} to {}\n", found("low"), found("high"));
            }
        }
        assert!(failures.is_empty(), "{dtype}\n{failures}");
    }
}

/// The greatest difference between WᵀW, or WWᵀ if that is smaller, and the identity times `square`.
fn defect(w: &[f64], (i, o): (usize, usize), square: f64) -> f64 {
    let n = i.min(o);
    let at = |k: usize, unit: usize| if o <= i { w[k * o + unit] } else { w[unit * o + k] };
    let vectors: Vec<Vec<f64>> = (0..n).map(|unit| (0..i.max(o)).map(|k| at(k, unit)).collect()).collect();
    let mut most: f64 = 0.0;
    for (a, u) in vectors.iter().enumerate() {
        for (b, v) in vectors[..=a].iter().enumerate() {
            let dot: f64 = u.iter().zip(v).map(|(x, y)| x * y).sum();
            most = most.max((dot - if a == b { square } else { 0.0 }).abs());
        }
    }
    most
}

#[test]
fn orthogonal_is_orthogonal() {
    for shape in [(1, 1), (32, 100), (200, 64), (100, 100), (256, 256)] {
        let run = sampled(&["orthogonal", "orthogonal(gain: 1.5)"], &[], shape, "f32");
        for (path, gain) in [("net_0.W", 1.0), ("net_1.W", 1.5f64)] {
            let defect = defect(&run.parameter(path), shape, gain.powi(2));
            assert!(defect < 1e-5 * gain.powi(2), "{shape:?} with gain {gain}: {defect}");
        }
    }
    let run = sampled(&["orthogonal"], &[], (60, 60), "f64");
    assert!(defect(&run.parameter("net_0.W"), (60, 60), 1.0) < 1e-13);
}

#[test]
fn sparse_units_have_as_many_inputs_as_they_say() {
    let least = "min(sum(NET(x) != 0 over N))";
    let most = "max(sum(NET(x) != 0 over N))";
    for dtype in ["f32", "f64"] {
        let run = sampled(&["sparse", "sparse(k: 3, std: 2)"], &[("least", least), ("most", most)], (300, 50), dtype);
        for (name, count) in [("least_0", 15.0), ("most_0", 15.0), ("least_1", 3.0), ("most_1", 3.0)] {
            assert_eq!(run.measure(name), count, "{dtype} {name}");
        }
    }
}
