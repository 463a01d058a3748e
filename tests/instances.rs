//! Parameters and state across the evaluations of one program, through the command line.

use assert_cmd::Command;
use std::fs;
use std::path::Path;

/// The last event of a run of this program on the digits, its measures over the training rows.
fn metrics(program: &str) -> serde_json::Value {
    let folder = tempfile::TempDir::new().unwrap();
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/digits.csv");
    fs::copy(digits, folder.path().join("digits.csv")).unwrap();
    let path = folder.path().join("program.dl");
    let data = "data digits = csv(\"digits.csv\", target: label)\nsplit digits into train 50%, test 50%\n";
    fs::write(&path, format!("{data}{program}")).unwrap();
    let run = Command::cargo_bin("dlc").unwrap().args(["run", "--no-save", "--json"]).arg(&path).output().unwrap();
    let stdout = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{stdout}{}", String::from_utf8_lossy(&run.stderr));
    let last: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    last["metrics"]["train"].clone()
}

#[test]
fn a_net_with_state_may_be_minimized_and_measured() {
    let metrics = metrics(
        "layer centred(x: [N, C]) -> [N, C] {
             state centre: [C] = 0
             when training {
                 mu = mean(x over N)
                 centre' = 0.9*centre + 0.1*mu
                 x - mu
             } else x - centre
         }
         net classifier(x: [N, 64]) -> [N, 10] = x / 16 |> centred |> dense(10)
         train {
             minimize cross_entropy(classifier(x), label)
             on       digits.train, batch 64
             using    adam(lr: 1e-2)
             measure  accuracy(classifier(x), label), again = accuracy(classifier(x), label)
             epochs   5
         }",
    );
    assert!(metrics["accuracy"].as_f64().unwrap() > 0.9, "{metrics}");
    assert_eq!(metrics["accuracy"], metrics["again"]);
}

#[test]
fn words_mean_trained_parameters_and_paths_any() {
    let metrics = metrics(
        "net encoder(x: [N, 64]) -> [N, 16] = x / 16 |> dense(16)
         net head(h: [N, 16]) -> [N, 10] = dense(h, 10)
         train {
             minimize cross_entropy(head(encoder(x)), label) over head
             on       digits.train
             using    sgd
             measure  trained = l2(weights), head = l2(head.dense.W), frozen = l2(encoder)
             steps    1
         }",
    );
    assert_eq!(metrics["trained"], metrics["head"]);
    assert!(metrics["frozen"].as_f64().unwrap() > 0.0, "{metrics}");
}
