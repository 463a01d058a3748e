//! The examples do what they say: each runs for a few steps, the gradients of all its phases agree with differences, and full
//! runs give the figures of their headers.
//!
//! Here the examples of a few seconds run in full; `DLC_FULL=1` runs all of them.

use serde_json::Value;
use std::collections::BTreeSet;
use std::f64::consts::LN_2;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "dl"));
    paths.sort();
    assert!(paths.len() > 20, "the examples were not found");
    paths
}

fn stem(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

/// What `dlc` writes, or why it failed.
fn dlc(arguments: &[&str], path: &Path) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_dlc")).args(arguments).arg(path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{}: {}{text}\n", stem(path), String::from_utf8_lossy(&output.stderr)))
}

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Failures of every example, two at a time.
fn all(check: impl Fn(&Path) -> Result<(), String> + Sync) {
    let paths = examples();
    let (even, odd): (Vec<_>, Vec<_>) = paths.iter().enumerate().partition(|(k, _)| k % 2 == 0);
    let failed =
        |half: Vec<(usize, &PathBuf)>| half.into_iter().filter_map(|(_, p)| check(p).err()).collect::<String>();
    let failures = std::thread::scope(|scope| {
        let other = scope.spawn(|| failed(odd));
        failed(even) + &other.join().unwrap()
    });
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn every_example_trains_for_a_few_steps() {
    all(|path| {
        // Others run to their end below.
        if FIGURES.iter().any(|f| f.0 == stem(path) && f.6) {
            return Ok(());
        }
        let told = events(&dlc(&["run", "--json", "--no-save", "--max-steps", "3"], path)?);
        let done = told.last().is_some_and(|e| e["event"] == "done");
        if done { Ok(()) } else { Err(format!("{} does not end: {:?}\n", stem(path), told.last())) }
    });
}

#[test]
fn every_gradient_of_every_example_agrees_with_differences() {
    let full = std::env::var_os("DLC_FULL").is_some();
    all(|path| {
        // Seven times the same net.
        if stem(path) == "regularizers" && !full {
            return Ok(());
        }
        let text = dlc(&["test"], path)?;
        let agrees = text.lines().any(|line| line.contains("the gradient agrees with differences"));
        if agrees { Ok(()) } else { Err(format!("{}: {text}\n", stem(path))) }
    });
}

/// Example, its phase, the part of the data, a measure, and the bounds it lies between; `true`: it is run in every test.
type Figure = (&'static str, &'static str, &'static str, &'static str, f64, f64, bool);

const FIGURES: [Figure; 48] = [
    ("adversarial", "plain", "test", "under_attack", 0.2, 0.45, false),
    ("adversarial", "robust", "test", "under_attack", 0.7, 0.9, false),
    ("adversarial", "robust", "test", "clean", 0.95, 1.0, false),
    ("autoencoders", "denoising", "test", "error", 0.012, 0.022, false),
    ("autoencoders", "sparse", "test", "error", 0.006, 0.016, false),
    ("autoencoders", "contractive", "test", "error", 0.006, 0.016, false),
    ("bagging", "", "test", "member", 0.95, 0.975, true),
    ("bagging", "", "test", "mean_of_all", 0.97, 1.0, true),
    ("breast_cancer", "", "test", "binary_accuracy", 0.94, 1.0, true),
    ("breast_cancer", "", "test", "auc", 0.98, 1.0, true),
    ("continuation", "", "value", "direct", 100.0, 170.0, true),
    ("continuation", "", "value", "continued", 0.0, 1e-6, true),
    ("diabetes", "", "train", "r_squared", 0.506, 0.507, true),
    ("diabetes", "", "test", "r_squared", 0.532, 0.534, true),
    ("digits", "", "test", "accuracy", 0.96, 1.0, false),
    ("digits_batch_norm", "", "test", "accuracy", 0.96, 1.0, false),
    ("digits_max_norm", "", "test", "accuracy", 0.96, 1.0, false),
    ("hints", "task", "test", "accuracy", 0.91, 0.96, false),
    ("initialization", "zeros", "train", "loss", LN_2 - 1e-5, LN_2 + 1e-5, true),
    ("initialization", "zeros", "train", "binary_accuracy", 0.5, 0.5, true),
    ("initialization", "large", "train", "binary_accuracy", 0.45, 0.7, true),
    ("initialization", "he", "train", "binary_accuracy", 0.99, 1.0, true),
    ("initialization", "xavier", "train", "binary_accuracy", 0.99, 1.0, true),
    ("kkt", "", "train", "square", 999.9, 1000.1, false),
    ("kkt", "", "train", "multiplier", 0.193, 0.195, false),
    ("lasso_path", "", "train", "zeros", 19.0, 21.0, true),
    ("multi_task", "", "test", "accuracy", 0.95, 1.0, true),
    ("multi_task", "", "test", "odd", 0.94, 1.0, true),
    ("pretraining", "tuned", "test", "accuracy", 0.86, 0.92, false),
    ("pseudo_inverse", "", "train", "free", 0.0, 1e-4, true),
    ("pseudo_inverse", "", "train", "hundredth", 0.05, 0.08, true),
    ("pseudo_inverse", "", "train", "one", 1.8, 2.0, true),
    ("regularizers", "bare", "test", "accuracy", 0.88, 0.915, false),
    ("regularizers", "dropout", "test", "accuracy", 0.9, 0.93, false),
    ("regularizers", "smoothing", "test", "accuracy", 0.9, 0.93, false),
    ("residual", "plain", "test", "accuracy", 0.05, 0.15, true),
    ("residual", "plain", "train", "loss", 2.30, 2.31, true),
    ("residual", "skipping", "test", "accuracy", 0.93, 1.0, true),
    ("schedules", "constant", "test", "accuracy", 0.95, 1.0, false),
    ("schedules", "halving", "test", "accuracy", 0.95, 1.0, false),
    ("semi_supervised", "alone", "test", "accuracy", 0.8, 0.86, false),
    ("semi_supervised", "helped", "test", "accuracy", 0.86, 0.92, false),
    ("separable", "free", "train", "size", 11.0, 13.0, false),
    ("separable", "held", "train", "size", 3.3, 3.6, false),
    ("sparse_coding", "", "train", "error", 0.0, 0.005, true),
    ("sparse_coding", "", "train", "in_use", 0.1, 0.3, true),
    ("valley", "", "value", "adam", 0.0, 1e-6, true),
    ("valley", "", "value", "newton", 0.0, 1e-12, true),
];

#[test]
fn full_runs_give_the_figures_of_their_headers() {
    let full = std::env::var_os("DLC_FULL").is_some();
    all(|path| {
        let figures: Vec<&Figure> = FIGURES.iter().filter(|f| f.0 == stem(path) && (f.6 || full)).collect();
        if figures.is_empty() {
            return Ok(());
        }
        let told = events(&dlc(&["run", "--json", "--no-save"], path)?);
        let mut failures = String::new();
        for (example, phase, part, measure, low, high, _) in figures {
            let ends = |e: &&Value| e["event"] == "done" || e["event"] == "phase_done";
            let end = told.iter().filter(ends).find(|e| phase.is_empty() || e["phase"] == *phase);
            let found = end.map_or(f64::NAN, |e| e["metrics"][part][measure].as_f64().unwrap_or(f64::NAN));
            if !(*low..=*high).contains(&found) {
                let _ = writeln!(failures, "{example} {phase}: {part} {measure} is {found}, not in {low}..{high}");
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    });
}

#[test]
fn every_example_has_figures() {
    let known: BTreeSet<&str> = FIGURES.iter().map(|f| f.0).collect();
    for path in examples() {
        assert!(known.contains(stem(&path)), "{} has no figures", stem(&path));
    }
}
