//! Constants computed from whole columns: where they are read, what they are of, and that checkpoints hold them.

#[path = "support/command.rs"]
mod command;

use serde_json::Value;
use std::fs;
use std::path::Path;

/// 60 rows of three classes, of 30, 20 and 10 rows.
fn points() -> String {
    let mut text = "a,b,class\n".to_owned();
    for k in 0..60u32 {
        let class = [0, 0, 0, 1, 1, 2][k as usize % 6];
        let (x, y) = (f64::from(k * 37 % 11) / 7.0 + f64::from(class), f64::from(k * 53 % 13) / 5.0 - 1.0);
        text += &format!("{x:.4},{y:.4},{class}\n");
    }
    text
}

const PROGRAM: &str = "
data d = csv(\"points.csv\", target: class)
f = mean(one_hot(d.class) over N)
w = 1 / (size(f) * f)
centre = mean(d.x over N)
net model(x: [N, 2]) -> [N, 3] = x - centre |> dense(4) |> tanh |> dense(3, init: zeros, bias: log(f))
";

fn dlc(folder: &Path, arguments: &[&str]) -> String {
    command::dlc(folder, arguments).fine()
}

fn folder(program: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("points.csv"), points()).unwrap();
    fs::write(folder.path().join("p.dl"), program).unwrap();
    folder
}

/// The measures of the parts after a run, in f64.
fn metrics(program: &str) -> Value {
    let folder = folder(program);
    let out = dlc(folder.path(), &["run", "p.dl", "--json", "--no-save", "--dtype", "f64"]);
    command::json_lines(&out).last().unwrap()["metrics"].clone()
}

fn close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap_or(f64::NAN);
    assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
}

#[test]
fn biases_start_at_the_frequencies_of_the_classes() {
    let found = metrics(&format!(
        "{PROGRAM}
        train {{
            minimize cross_entropy(model(x), class)
            on       d, batch 10
            using    sgd(lr: 0)
            measure  off = max(abs(softmax(model(x)) - f)), centre_of = norm(mean(x - centre over N))
            steps    1
        }}"
    ));
    let entropy: f64 = [0.5, 1.0 / 3.0, 1.0 / 6.0].iter().map(|p: &f64| -p * p.ln()).sum();
    close(&found["train"]["loss"], entropy);
    close(&found["train"]["off"], 0.0);
    close(&found["train"]["centre_of"], 0.0);
}

#[test]
fn class_weights_make_classes_count_alike() {
    let found = metrics(&format!(
        "{PROGRAM}
        train {{
            minimize weighted_cross_entropy(model(x), class, w)
            on       d, batch 10
            using    adam(lr: 0.05)
            measure  by_class = mean(sum(one_hot(class) * loss_of(model(x)) over N) / sum(one_hot(class) over N))
            epochs   4
        }}
        fn loss_of(z: [N, K]) -> [N, K] = log(sum(exp(z) over K)) - z"
    ));
    close(&found["train"]["loss"], found["train"]["by_class"].as_f64().unwrap());
    assert!(found["train"]["loss"].as_f64().unwrap() < 1.0, "{found}");
}

#[test]
fn constants_are_of_the_part_that_is_named() {
    let found = metrics(
        "data d = csv(\"points.csv\", target: class)
        split d into train 50%, test 50%
        standardize d.x by d.train
        data moons(x, y) = two_moons(20) seed 1
        rows = size(d.train.x over N) + 100 * size(d.x over N)
        of_train = mean(d.train.x over N)
        of_both = of_train + mean(d.test.x over N)
        share = mean(moons.y)
        greatest = max(d.class)
        net model(x: [N, 2]) -> [N, 3] = dense(x, 3)
        train {
            minimize cross_entropy(model(x), class)
            on       d.train, batch 10 with moons, batch 3
            using    sgd(lr: 0.1)
            measure  counted = rows, centred = norm(of_train), whole = norm(2 * mean(x over N) - of_both), half = share, most = greatest
            epochs   2
            folds    2
        }",
    );
    let fold = &found["fold"];
    close(&fold["counted"], 6030.0);
    close(&fold["centred"], 0.0);
    close(&fold["half"], 0.5);
    close(&fold["most"], 2.0);
}

#[test]
fn a_trained_model_needs_no_data_for_its_constants() {
    let folder = folder(&format!(
        "{PROGRAM}
        train {{
            minimize weighted_cross_entropy(model(x), class, w)
            on       d, batch 10
            using    adam(lr: 0.05)
            measure  accuracy(model(x), class)
            epochs   3
        }}"
    ));
    let path = folder.path();
    dlc(path, &["run", "p.dl", "--name", "a"]);
    let rest: String = points().lines().take(9).map(|line| format!("{line}\n")).collect();
    fs::write(path.join("new.csv"), rest).unwrap();
    let predicted = dlc(path, &["predict", "runs/a", "--data", "new.csv"]);
    let measured = dlc(path, &["eval", "runs/a", "--data", "new.csv"]);
    assert_eq!(predicted.lines().count(), 9);
    fs::remove_file(path.join("points.csv")).unwrap();
    assert_eq!(dlc(path, &["predict", "runs/a", "--data", "new.csv"]), predicted);
    assert_eq!(dlc(path, &["eval", "runs/a", "--data", "new.csv"]), measured);
}

#[test]
fn a_resumed_run_has_the_same_constants() {
    let folder = folder(&format!(
        "{PROGRAM}
        train {{
            on    d, batch 7
            phase first {{
                minimize weighted_cross_entropy(model(x), class, w)
                using    adam(lr: 0.05)
                epochs   2
            }}
            phase second {{
                minimize cross_entropy(model(x), class) + mean((model(x) - log(f))^2)
                using    momentum(lr: 0.01)
                epochs   2
            }}
        }}"
    ));
    let path = folder.path();
    dlc(path, &["run", "p.dl", "--name", "whole"]);
    for steps in ["5", "25"] {
        dlc(path, &["run", "p.dl", "--name", "part", "--overwrite", "--max-steps", steps]);
        dlc(path, &["run", "--resume", "runs/part"]);
        let last = |name: &str| fs::read(path.join("runs").join(name).join("last.safetensors")).unwrap();
        assert_eq!(last("part"), last("whole"), "stopped after {steps} steps");
    }
    // Another run may start from the parameters; its constants are its own.
    dlc(path, &["run", "p.dl", "--no-save", "--init", "runs/whole/best.safetensors"]);
}
