//! Each penalty of activations makes the code of an autoencoder sparser than it is without.

use super::run::{at_tests, dlc};
use std::fs;

/// The share of activations near 0 after five epochs.
fn share(activation: &str, penalty: &str) -> f64 {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("code.dl");
    let digits = at_tests("../../examples/data/digits.csv");
    let program = format!(
        "data digits = csv({digits:?}, target: label)
        net code(x: [N, 64]) -> [N, 16] = x / 16 |> dense(16) |> {activation}
        net image(h: [N, 16]) -> [N, 64] = dense(h, 64)
        train {{
            minimize quadratic(image(code(x)), x / 16){penalty}
            on       digits, batch 60
            using    adam(lr: 0.01)
            measure  small = mean(abs(code(x)) < 0.1)
            epochs   5
        }}"
    );
    fs::write(&path, program).unwrap();
    let events = dlc(&["run", "--json", "--no-save"], &path);
    events.last().unwrap()["metrics"]["train"]["small"].as_f64().unwrap()
}

#[test]
fn penalties_of_activations_make_codes_sparse() {
    for (activation, penalties) in [
        ("tanh", [" + 0.1 * l1_activation(code(x))", " + 0.3 * student_t(code(x))"]),
        ("sigmoid", [" + 0.3 * kl_sparsity(code(x))", " + 10 * mean_activation(code(x), target: 0.05)"]),
    ] {
        let without = share(activation, "");
        for penalty in penalties {
            let with = share(activation, penalty);
            assert!(with > 1.5 * without, "{penalty}: {with} after {without}");
        }
    }
}
