//! The benchmark workloads start from the same numbers as in other frameworks and lose the same: the first five losses
//! with dropout off, as PyTorch 2.15 and JAX 0.10 give them in f32 (they agree with each other to 1e-6).

#[path = "support/workloads.rs"]
mod workloads;

use std::process::Command;
use workloads::WORKLOADS;

const EXPECTED: [(&str, &[f64]); 7] = [
    ("W1", &[2.783918, 2.823216, 2.693088, 2.581252, 2.529951]),
    ("W2", &[2.556408, 2.526582, 2.528702, 2.471899, 2.317312]),
    // What follows depends on the signs that are drawn.
    ("W5", &[2.593238]),
    ("W6", &[2.658117, 2.732369, 2.642957, 2.63759, 2.429713]),
    ("W7", &[3.155422, 3.729024, 3.822228, 4.45227, 0.02735754]),
    ("W8", &[0.7235575, 0.7400843, 0.71928, 0.7101214, 0.6930649]),
    ("W9", &[0.2876744, 0.2059959, 1.182055, 0.3957221, 0.2421715]),
];

/// Relative to the loss.
const TOLERANCE: f64 = 1e-4;

#[test]
fn the_first_losses_are_those_of_other_frameworks() {
    for (workload, (name, expected)) in WORKLOADS.iter().zip(EXPECTED) {
        assert_eq!(workload.name, name);
        workload.prepare();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
        command.arg("bench").arg(workload.program()).arg("--init").arg(workload.init());
        command.args(["--json", "--steps", "1", "--losses", "5"]);
        if name == "W2" {
            command.args(["--set", "drop=0"]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let losses: Vec<f64> = result["losses"].as_array().unwrap().iter().map(|l| l.as_f64().unwrap()).collect();
        assert_eq!(losses.len(), 5);
        for (step, (loss, expected)) in losses.iter().zip(expected).enumerate() {
            let error = (loss - expected).abs() / expected;
            assert!(error < TOLERANCE, "{name}, step {step}: {loss} instead of {expected}");
        }
    }
}
