//! Runs of every kind of program are resumed to the bit: what each carries from step to step is in its checkpoint.

use super::runs::{dlc, fine, folder, resumes, same};
use std::fs;

/// Generated data, of which every step sees rows of a second set too; running averages of a layer; an average of iterates.
const BESIDE: &str = r#"
data moons(x, label) = two_moons(60, noise: 0.1) seed 3
data others(x, label) = two_moons(26, noise: 0.3) seed 4
split moons into train 80%, test 20%

net f(x: [N, 2]) -> [N, 2] = x |> dense(4) |> batch_norm |> tanh |> dropout(0.2) |> dense(2)

train {
    augment  x = jitter(x, std: 0.1)
    minimize cross_entropy(f(x), label) + 0.1 * epoch * mean(evaluating(f(others.x))^2)
    on       moons.train, batch 10 with others, batch 7
    using    adam(lr: linear(step, start: 0.1, end: 0.01, tau: 12))
    average  ema(rho: 0.8)
    measure  accuracy(f(x), label)
    epochs   4
}
"#;

/// Two players with rules of their own, a projection, and an average of one.
const PLAYERS: &str = r#"
data points = csv("points.csv", target: y)
split points into train 70%, test 30%
standardize points by points.train

net line(x: [N, 3]) -> [N] {
    param w: [3] = normal(std: 0.3)
    x @ w
}
net price() -> [] {
    param a: [] = 0
    a
}

train {
    minimize mse(line(x), y) + price() * (sum(line.w^2) - 0.1) over line using momentum(lr: 0.1)
    maximize slack = price() * (sum(line.w^2) - 0.1) over price using adam(lr: 0.05)
    keep     price >= 0
    on       points.train, batch 5
    average  polyak
    measure  excess = sum(line.w^2) - 0.1
    steps    20
}
"#;

/// Rows read block by block; a bound by evaluations; training that goes on from the best parameters.
const CONTINUED: &str = r#"
data points = csv("points.csv", target: y, stream: true)
split points into train 60%, valid 40%, seed 5
standardize points.x by points.train

net f(x: [N, 3]) -> [N] {
    h = x |> dense(5) |> layer_norm |> tanh |> dense(1)
    y[n] = sum(o) h[n, o]
    y
}

train {
    minimize mse(f(x), y)
    on       points.train, batch 6
    using    adam(lr: 0.2 * 0.5^slow)
    watch    slow = points.valid loss, patience 1
    evaluate every 3 steps
    steps    40
    stop     when points.valid loss has not improved for 2 evaluations, then continue on points at most 3 epochs
}
"#;

fn check(program: &str, more: &[&str], stops: &[u64]) {
    let home = folder();
    fs::write(home.path().join("p.dl"), program).unwrap();
    resumes(home.path(), "p.dl", more, stops);
}

#[test]
fn generated_data_a_second_set_batch_norm_and_averages() {
    check(BESIDE, &["--seed", "2"], &[1, 5, 13, 19]);
}

#[test]
fn two_players() {
    check(PLAYERS, &["--dtype", "f64"], &[1, 6, 19]);
}

#[test]
fn streamed_rows_and_what_continues_after_a_stop() {
    check(CONTINUED, &[], &[1, 4, 8, 12, 16]);
}

#[test]
fn a_checkpoint_can_be_the_start_of_another_run() {
    let home = folder();
    let path = home.path();
    fs::write(path.join("p.dl"), PLAYERS).unwrap();
    fine(path, &["run", "p.dl", "--name", "first", "--max-steps", "4"]);
    fine(path, &["run", "--resume", "runs/first"]);
    // What rules and averages keep is not taken over.
    for checkpoint in ["last", "best"] {
        let file = format!("runs/first/{checkpoint}.safetensors");
        fine(path, &["run", "p.dl", "--init", &file, "--name", checkpoint]);
    }
    let best = |name: &str| fs::read(path.join("runs").join(name).join("best.safetensors")).unwrap();
    assert!(best("last") == best("best"));
    assert!(best("first") != best("best"));
}

#[test]
fn a_run_that_ended_before_its_first_save_begins_again() {
    let home = folder();
    let path = home.path();
    fs::write(path.join("p.dl"), PLAYERS).unwrap();
    fine(path, &["run", "p.dl", "--name", "first"]);
    fs::copy(path.join("runs/first/best.safetensors"), path.join("start.safetensors")).unwrap();
    fine(path, &["run", "p.dl", "--name", "whole", "--init", "start.safetensors"]);
    let killed = path.join("runs/killed");
    fine(path, &["run", "p.dl", "--name", "killed", "--init", "start.safetensors", "--max-steps", "2"]);
    fs::remove_file(path.join("start.safetensors")).unwrap();
    fs::remove_file(killed.join("last.safetensors")).unwrap();
    fine(path, &["run", "--resume", "runs/killed"]);
    same(&path.join("runs/whole"), &killed);
    fs::remove_file(killed.join("last.safetensors")).unwrap();
    fs::remove_file(killed.join("init.safetensors")).unwrap();
    let (code, text) = dlc(path, &["run", "--resume", "runs/killed"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("ended before the tensors were kept that it was to start from"), "{text}");
}

/// Statistics of the data are kept as text, which must not round them.
#[test]
fn standardized_rows_are_the_same_from_a_checkpoint() {
    let home = folder();
    let path = home.path();
    let program = "data points = csv(\"points.csv\", target: y)\nstandardize points by points\n\
        net f(x: [N, 3]) -> [N] {\n    param w: [3] = ones\n    x @ w\n}\n\
        train {\n    minimize mse(f(x), y)\n    on points\n    using sgd(lr: 0)\n    steps 1\n}\n";
    fs::write(path.join("p.dl"), program).unwrap();
    fine(path, &["run", "p.dl", "--dtype", "f64"]);
    let (code, text) = dlc(path, &["predict", "runs/p", "--data", "points.csv"]);
    assert_eq!(code, Some(0), "{text}");
    let rows: Vec<Vec<f64>> = fs::read_to_string(path.join("points.csv"))
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect())
        .collect();
    let standing = dlc::train::record::Standing::read(&path.join("runs/p/best.safetensors")).unwrap();
    let source =
        dlc::data::Source::Csv { path: path.join("points.csv"), options: dlc::data::csv::Options::target("y") };
    let table = source.read(dlc::data::FloatType::F64).unwrap();
    let width = table.measured("x").unwrap();
    let standard = table.statistics("x", width, &table.all_rows()).unwrap();
    // To the bit, not about.
    assert_eq!(standing.about.data["points"].encoding.standard("x"), Some(&standard));
    assert_eq!(text.lines().count(), rows.len() + 1);
}
