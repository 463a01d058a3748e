//! Techniques against the formulas that fix their meaning: short programs in `techniques/`, each of which says in its header what
//! holds in the end.
//!
//! `# holds: a < 2 * b` compares measures of the training rows, or `test.a` of another part; `=` is equality to 1e-9.
//! A program runs in f64 unless it says `# precision: f32`.

use super::run::{at_tests, dlc};
use serde_json::Value;
use std::fs;

/// A number, a measure, or a number times a measure.
fn value(text: &str, metrics: &Value) -> Option<f64> {
    if let Some((factor, rest)) = text.split_once('*') {
        return Some(value(factor.trim(), metrics)? * value(rest.trim(), metrics)?);
    }
    let (part, name) = text.split_once('.').unwrap_or(("train", text));
    metrics[part][name].as_f64().or_else(|| text.parse().ok())
}

fn holds(condition: &str, metrics: &Value) -> bool {
    let words: Vec<&str> = condition.split(' ').collect();
    let at = words.iter().position(|w| ["<", ">", "<=", ">=", "=="].contains(w));
    let at = at.or_else(|| words.iter().position(|w| *w == "=")).expect("a comparison");
    let side = |words: &[&str]| value(&words.join(" "), metrics);
    let (Some(a), Some(b)) = (side(&words[..at]), side(&words[at + 1..])) else { return false };
    match words[at] {
        "<" => a < b,
        ">" => a > b,
        "<=" => a <= b,
        ">=" => a >= b,
        "==" => a == b,
        _ => (a - b).abs() <= 1e-9 * b.abs().max(1.0),
    }
}

#[test]
fn what_programs_say_of_themselves_holds() {
    let mut paths: Vec<_> = fs::read_dir(at_tests("techniques")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "dl"));
    paths.sort();
    assert!(paths.len() > 10, "the programs were not found");
    let mut failures = String::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let header = |word: &str| {
            let word = format!("# {word}: ");
            text.lines().filter_map(|line| line.strip_prefix(&word).map(str::to_owned)).collect::<Vec<_>>()
        };
        let precision = header("precision").pop().unwrap_or("f64".into());
        let told = dlc(&["run", "--json", "--no-save", "--dtype", &precision], &path);
        let metrics = &told.last().unwrap()["metrics"];
        let conditions = header("holds");
        assert!(!conditions.is_empty(), "{} says nothing of itself", path.display());
        for condition in conditions.iter().filter(|c| !holds(c, metrics)) {
            failures += &format!("{}: {condition} is not so: {metrics}\n", path.display());
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
