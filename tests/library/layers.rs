//! Every layer: its output and the derivatives in its parameters by three steps of gradient descent, and its evaluation, which
//! sees running averages and no noise, as PyTorch has them.

use super::run::{Folder, arrays, compare, figures, numbers, starting};
use std::collections::{BTreeMap, BTreeSet};

fn axes(dims: &[usize], labels: &[&str]) -> String {
    let axes = dims[1..].iter().zip(labels).map(|(n, label)| format!(", {label}: {n}"));
    format!("[N{}]", axes.collect::<String>())
}

fn check(dtype: &str, tolerance: f64) {
    let figures = figures("layers");
    let columns = arrays(&figures["columns"]);
    let kinds: Vec<i64> = numbers(&figures["kind"]).iter().map(|k| *k as i64).collect();
    let mut failures = String::new();
    for case in figures["cases"].as_array().unwrap() {
        let (layer, column) = (case["layer"].as_str().unwrap(), case["column"].as_str().unwrap());
        let out: Vec<usize> = numbers(&case["out"]).iter().map(|d| *d as usize).collect();
        let mut data = BTreeMap::from([("probe".to_owned(), (out.clone(), numbers(&case["probe"])))]);
        let mut labels = BTreeMap::new();
        let input = match columns.get(column) {
            Some(values) => {
                data.insert("x".to_owned(), values.clone());
                axes(&values.0, if values.0.len() == 3 { &["P", "C"] } else { &["C"] })
            }
            None => {
                labels.insert("x".to_owned(), kinds.clone());
                "index(5)[N]".to_owned()
            }
        };
        let result = axes(&out, if out.len() == 3 { &["P", "O"] } else { &["O"] });
        let folder = Folder::new(&data);
        folder.write("data.safetensors", &data, &labels);
        folder.start(&starting(&case["start"]));
        let losses = numbers(&case["losses"]);
        // A layer with noise in training is only evaluated, where it starts.
        let rate = if losses.is_empty() { 0.0 } else { case["lr"].as_f64().unwrap() };
        let run = folder.run(
            &format!(
                "net net(x: {input}) -> {result} {{
                    layer = {layer}
                    layer
                }}
                train {{
                    minimize sum(probe * net(x))
                    on       d in order
                    using    sgd(lr: {rate})
                    steps    3
                    measure  evaluated = sum(probe * net(x))
                }}"
            ),
            dtype,
        );
        for (k, loss) in losses.iter().enumerate() {
            compare(&mut failures, &format!("{layer} of {column}, step {k}"), run.losses[k], *loss, tolerance);
        }
        let evaluated = case["evaluated"].as_f64().unwrap();
        compare(&mut failures, &format!("{layer} of {column}"), run.measure("evaluated"), evaluated, tolerance);
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn layers_give_and_learn_what_they_should() {
    check("f64", 1e-12);
    check("f32", 2e-5);
}

/// A layer that is added to the library without figures shows here.
#[test]
fn every_layer_of_the_library_has_figures() {
    let figures = figures("layers");
    let layers = figures["cases"].as_array().unwrap().iter().map(|c| c["layer"].as_str().unwrap());
    let known: BTreeSet<&str> = layers.map(|l| l.split('(').next().unwrap()).collect();
    for (_, text) in dlc::check::LIBRARY {
        for line in text.lines().filter_map(|line| line.strip_prefix("layer ")) {
            let name = line.split('(').next().unwrap();
            assert!(known.contains(name), "{name} has no figures");
        }
    }
}
