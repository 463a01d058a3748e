//! What `dlc profile` tells of the digits example.

use super::{digits, dlc, json_lines};
use serde_json::Value;
use std::fs;

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("`{name}` is no number in {value}"))
}

#[test]
fn the_shares_of_a_profile_add_up_and_its_kernels_have_places() {
    let folder = digits();
    let args = ["profile", "digits.dl", "--steps", "40", "--threads", "2", "--json"];
    let lines = json_lines(&dlc(folder.path(), &args).fine());
    assert_eq!(lines.len(), 1);
    let profile = &lines[0];
    assert_eq!(profile["threads"], 2);
    assert_eq!(profile["rows"], 64);
    assert!(number(profile, "steps") >= 40.0);
    for peak in ["thread_gflop_per_s", "gflop_per_s", "read_gb_per_s", "copy_gb_per_s", "fork_join_us"] {
        assert!(number(&profile["machine"], peak) > 0.0, "{profile}");
    }
    let kernels = profile["kernels"].as_array().unwrap();
    let other = profile["other"].as_array().unwrap();
    let shares: f64 = kernels.iter().chain(other).map(|k| number(k, "share")).sum();
    assert!((shares - 1.0).abs() < 1e-6, "the shares add up to {shares}");
    let times: f64 = kernels.iter().chain(other).map(|k| number(k, "us")).sum();
    assert!((times / number(profile, "timed_step_us") - 1.0).abs() < 1e-6, "{profile}");
    assert!(number(profile, "step_us") > 0.0);
    let names: Vec<&str> = other.iter().map(|o| o["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["gather", "waiting", "driver"]);
    // The first product of the perceptron: 64 rows of 64 pixels to 128 units.
    let product = kernels.iter().find(|k| k["kind"] == "product").unwrap();
    let predicted = product["predicted_us"].as_f64().unwrap();
    assert!(predicted > 1.0 && predicted < 100.0, "{predicted}");
    assert_eq!(product["flops"], 2 * 64 * 64 * 128);
    assert_eq!(product["read_bytes"], 4 * (64 * 64 + 64 * 128));
    assert_eq!(product["expression"]["text"], "x @ W");
    // A kernel of the file's own mathematics is named by its line.
    let source = fs::read_to_string(folder.path().join("digits.dl")).unwrap();
    let own: Vec<&Value> = kernels.iter().map(|k| &k["expression"]).filter(|e| e["file"] == "digits.dl").collect();
    assert!(!own.is_empty(), "{profile}");
    for expression in own {
        let line = source.lines().nth(number(expression, "line") as usize - 1).unwrap();
        let first = expression["text"].as_str().unwrap().split(' ').next().unwrap();
        assert!(line.contains(first), "{expression} does not stand in `{line}`");
    }
}

#[test]
fn a_profile_for_people_and_one_in_a_file() {
    let folder = digits();
    let text = dlc(folder.path(), &["profile", "digits.dl", "--steps", "10", "--json=profile.json"]).fine();
    for part in ["a step takes", "GFLOP/s", "of memory", "x @ W", "the step", "100.0 %"] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    let written = fs::read_to_string(folder.path().join("profile.json")).unwrap();
    let profile: Value = serde_json::from_str(&written).unwrap();
    assert!(!profile["kernels"].as_array().unwrap().is_empty());
    dlc(folder.path(), &["profile", "digits.dl", "--steps", "10", "--json=none/profile.json"])
        .fails(1, &["cannot write none/profile.json"]);
    dlc(folder.path(), &["profile", "digits.dl", "--steps", "0"]).fails(2, &["'--steps <N>'"]);
    dlc(folder.path(), &["profile", "digits.dl", "--phase", "x"]).fails(1, &["the program has no phase `x`"]);
}
