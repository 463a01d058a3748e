//! Thirteen models, each with another rule, lose what they lose in PyTorch: a hundred steps in f64 within 1e-8.

use super::run::{Array, Folder, at_tests, dlc, figures, numbers};
use serde_json::Value;
use std::collections::BTreeMap;

/// The tensor that the figures describe by its shape, scale, phase and shift.
fn parameter(figure: &Value) -> Array {
    let dims: Vec<usize> = numbers(&figure["dims"]).iter().map(|d| *d as usize).collect();
    let number = |name: &str| figure[name].as_f64().unwrap();
    let value = |k: usize| {
        let at = k as f64 * 0.618_033_988_749_894_9 + number("phase");
        number("scale") * (2.0 * (at - at.floor()) - 1.0) + number("shift")
    };
    let count: usize = dims.iter().product();
    (dims, (1..=count).map(value).collect())
}

#[test]
fn a_hundred_losses_are_those_of_pytorch() {
    let folder = Folder::new(&BTreeMap::new());
    let mut failures = String::new();
    for (name, figure) in figures("models").as_object().unwrap() {
        let start = figure["start"].as_object().unwrap();
        folder.start(&start.iter().map(|(path, f)| (path.clone(), parameter(f))).collect());
        let init = folder.path("start.safetensors");
        let arguments = ["bench", "--json", "--steps", "1", "--losses", "100", "--dtype", "f64", "--init"];
        let arguments: Vec<&str> = arguments.into_iter().chain([init.to_str().unwrap()]).collect();
        let events = dlc(&arguments, &at_tests(&format!("models/{name}.dl")));
        let (found, expected) = (numbers(&events[0]["losses"]), numbers(&figure["losses"]));
        assert_eq!((found.len(), expected.len()), (100, 100), "{name}");
        assert!(expected[99] < expected[0], "{name} learns nothing");
        if let Some(k) = (0..100).find(|k| (found[*k] - expected[*k]).abs() > 1e-8) {
            failures += &format!("{name}, step {k}: {} instead of {}\n", found[k], expected[k]);
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
