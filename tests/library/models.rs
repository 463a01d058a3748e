//! Fifteen models, each with another rule, lose what they lose in PyTorch: a hundred steps in f64 within 1e-8.

use super::run::{Folder, at_tests, dlc, figures, numbers, starting};
use std::collections::BTreeMap;

#[test]
fn a_hundred_losses_are_those_of_pytorch() {
    let folder = Folder::new(&BTreeMap::new());
    let mut failures = String::new();
    for (name, figure) in figures("models").as_object().unwrap() {
        folder.start(&starting(&figure["start"]));
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
