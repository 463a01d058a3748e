//! Programs and phases without data, through every command.

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const VALLEY: &str = "
layer start() -> [2] {
    param p: [2] = stack(-1.5, 2)
    p
}
net point() -> [2] = start()
fn valley(p: [2]) -> [] {
    (a, b) = split(p, 2)
    sum((1 - a)^2 + 100 * (b - a^2)^2)
}
";

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
    command.current_dir(folder).env("NO_COLOR", "1").env_remove("RUST_BACKTRACE").args(args).stdin(Stdio::null());
    command
}

/// Runs `dlc` on a program that begins with the valley; whether it succeeded, what it said and what it told.
fn dlc(folder: &Path, program: &str, args: &[&str]) -> (bool, String, String) {
    fs::write(folder.join("p.dl"), format!("{VALLEY}{program}")).unwrap();
    let output = command(folder, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn fine(folder: &Path, program: &str, args: &[&str]) -> String {
    let (success, out, err) = dlc(folder, program, args);
    assert!(success, "{args:?}\n{out}{err}");
    out
}

/// The events of a run that is not kept.
#[track_caller]
fn events(program: &str, options: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let out = fine(folder.path(), program, &[&["run", "p.dl", "--json", "--no-save"], options].concat());
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|e| e["event"] == kind).collect()
}

const ADAM: &str = "
train {
    minimize valley(point())
    using    adam(lr: 0.1)
    measure  away = norm(point() - 1)
    steps    1000
}";

#[test]
fn an_objective_is_enough() {
    let events = events(ADAM, &["--dtype", "f64"]);
    let start = of(&events, "start")[0];
    assert_eq!(start["rows"], serde_json::json!({}));
    assert_eq!((&start["steps"], &start["parameters"]), (&Value::from(1000), &Value::from(2)));
    assert!(start.get("batch").is_none() && start.get("epochs").is_none());
    // A look after each hundredth of the steps, and nothing that speaks of epochs.
    let looks = of(&events, "evaluation");
    assert_eq!(looks.len(), 100);
    assert_eq!(looks[3]["steps"], 40);
    assert!(of(&events, "epoch").is_empty());
    let done = events.last().unwrap();
    assert_eq!(done["steps"], 1000);
    let value = &done["metrics"]["value"];
    // The distance is that of the point whose value is told: near the bottom the valley is (a - 1)² along its floor.
    let (loss, away) = (value["loss"].as_f64().unwrap(), value["away"].as_f64().unwrap());
    assert!(loss < 1e-6 && away < 5e-3, "{value}");
    assert_eq!(looks[99]["metrics"]["value"], *value, "the last look is at the end");
}

#[test]
fn the_table_has_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let (_, out, err) = dlc(folder.path(), ADAM, &["run", "p.dl", "--no-save"]);
    let table: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((table.len(), &table[0][..], table[1][0]), (2, &["loss", "away"][..], "value"));
    assert!(err.contains("p.dl: 2 parameters; f32") && err.contains("\nsteps: 1000, time"), "{err}");
    assert_eq!(err.lines().filter(|line| line.starts_with("step ")).count(), 20, "{err}");
}

#[test]
fn stops_and_counts_look_at_the_value() {
    let program = "
        train {
            minimize valley(point())
            using    adam(lr: 0.5 * 0.5^slow)
            watch    slow = loss, patience 2
            measure  away = norm(point() - 1)
            evaluate every 25 steps
            steps    100000
            stop     when away < 0.01
        }";
    let reached = events(program, &[]);
    let stop = of(&reached, "stop")[0];
    assert_eq!(stop["reason"], "reached");
    assert!(stop["steps"].as_u64().unwrap().is_multiple_of(25) && stop["steps"].as_u64() < Some(100_000), "{stop}");
    assert!(reached.last().unwrap()["metrics"]["value"]["away"].as_f64() < Some(0.01));
    // A rate this high climbs out of the valley again: the best point is taken back.
    let program = "
        train {
            minimize valley(point())
            using    adam(lr: 1)
            evaluate every 3 steps
            steps    100000
            stop     when loss has not improved for 4 evaluations
        }";
    let waited = events(program, &["--dtype", "f64"]);
    let stop = of(&waited, "stop")[0];
    assert_eq!(stop["reason"], "no_improvement");
    assert_eq!(stop["best_step"].as_u64().unwrap() + 12, stop["steps"].as_u64().unwrap());
    let loss = |e: &Value| e["metrics"]["value"]["loss"].as_f64().unwrap();
    let best = of(&waited, "evaluation").iter().map(|e| loss(e)).fold(f64::INFINITY, f64::min);
    assert_eq!(loss(waited.last().unwrap()), best);
}

/// Random walks, averages, layer state, and phases with data before and after one without.
const MIXED: &str = "
data pairs(x, y) = line(40) seed 3
fn line(N) {
    x = uniform([N])
    (x, 2*x + 1)
}
net model(x: [N]) -> [N] {
    param w: [] = 0
    param b: [] = 0
    w * x + b
}
net noisy() -> [2] {
    state seen: [] = 0
    p = point()
    when training { seen' = seen + 1; p + 0.01 * normal(like: p) } else { p }
}
train {
    measure  size = norm(point())
    phase fit {
        minimize mse(model(x), y)
        on       pairs, batch 8
        using    momentum(lr: 0.1)
        epochs   3
    }
    phase walk {
        minimize valley(noisy())
        using    adam(lr: 0.05 * 0.5^slow)
        average  ema(rho: 0.9)
        keep     P <= 1.5
        watch    slow = loss, patience 1
        evaluate every 4 steps
        steps    30
        stop     when loss has not improved for 3 evaluations
    }
    phase tie {
        minimize mse(model(x), y) + 0.1 * sum((point() - model.w)^2)
        on       pairs, batch 10
        using    sgd(lr: 0.05)
        epochs   2
    }
    phase rest {
        minimize valley(point()) over point
        using    sgd(lr: 1e-3)
        steps    9
    }
}";

#[test]
fn phases_with_and_without_data_follow_each_other() {
    let events = events(MIXED, &[]);
    let parts: Vec<Vec<&String>> = of(&events, "phase_done")
        .iter()
        .chain(&[events.last().unwrap()])
        .map(|e| e["metrics"].as_object().unwrap().keys().collect())
        .collect();
    assert_eq!(parts, [["train"], ["value"], ["train"], ["value"]]);
    let steps: Vec<&Value> = of(&events, "phase_done").iter().map(|e| &e["epochs"]).collect();
    assert_eq!(steps, [&Value::from(3), &Value::from(0), &Value::from(2)]);
}

#[test]
fn a_run_stopped_anywhere_and_resumed_equals_the_uninterrupted_one() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path();
    fine(path, MIXED, &["run", "p.dl", "--name", "whole"]);
    let file = |run: &str, name: &str| fs::read(path.join("runs").join(run).join(name)).unwrap();
    let rows = |run: &str| {
        let text = String::from_utf8(file(run, "metrics.jsonl")).unwrap();
        let without_time = |line: &str| {
            let mut row: Value = serde_json::from_str(line).unwrap();
            row.as_object_mut().unwrap().remove("seconds");
            row
        };
        text.lines().map(without_time).collect::<Vec<_>>()
    };
    // In the first phase, at its border, in the one without data beside and between its looks, and in the last.
    for steps in ["7", "15", "16", "19", "23", "27", "40", "50"] {
        let name = format!("at-{steps}");
        fine(path, MIXED, &["run", "p.dl", "--name", &name, "--max-steps", steps]);
        fine(path, MIXED, &["run", "--resume", &format!("runs/{name}")]);
        for saved in ["last.safetensors", "best.safetensors"] {
            assert!(file(&name, saved) == file("whole", saved), "{saved} after {steps} steps");
        }
        assert_eq!(rows(&name), rows("whole"), "after {steps} steps");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_lets_a_run_be_taken_up_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path();
    let endless = ADAM.replace("1000", "1000000000") + "\n";
    fs::write(
        path.join("p.dl"),
        format!("{VALLEY}{}", endless.replace("steps ", "evaluate every 1000 steps\n steps ")),
    )
    .unwrap();
    let mut child =
        command(path, &["run", "p.dl", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines.by_ref().map(|line| line.unwrap()).find(|line| line.contains("evaluation"));
    assert!(told.is_some());
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let ended = lines.map(|line| line.unwrap()).find(|line| line.contains("\"stop\"")).unwrap();
    assert!(ended.contains("interrupted"), "{ended}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let stopped: Value = serde_json::from_str(&ended).unwrap();
    let most = (stopped["steps"].as_u64().unwrap() + 500).to_string();
    let output = command(path, &["run", "--resume", "runs/p", "--max-steps", &most]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_command_takes_a_program_without_data() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path();
    let run = |args: &[&str]| fine(path, ADAM, args);
    assert_eq!(run(&["check", "p.dl"]), "");
    assert!(run(&["test", "p.dl"]).contains("point.start.p"));
    assert!(run(&["grad", "p.dl"]).contains("point.start.p"));
    assert!(run(&["bench", "p.dl", "--steps", "100"]).contains("median"));
    for stage in ["graph", "gradient", "simplify", "schedule", "clif", "asm"] {
        assert!(run(&["dump", "p.dl", "--after", stage]).len() > 100, "{stage}");
    }
    // No size of a step is that of a batch.
    assert!(!run(&["dump", "p.dl", "--after", "graph"]).contains("N"));
    run(&["graph", "p.dl"]);
    assert!(fs::read_to_string(path.join("p.svg")).unwrap().contains("point.start.p"));
    let out = run(&["run", "p.dl"]);
    assert_eq!(run(&["eval", "runs/p"]), out, "what the run has come to");
    assert_eq!(run(&["eval", "runs/p", "--part", "value"]), out);
    fs::write(path.join("more.csv"), "x\n1\n").unwrap();
    let (success, _, err) = dlc(path, ADAM, &["eval", "runs/p", "--data", "more.csv"]);
    assert!(!success && err.contains("has no data") && err.contains("leave `--data` out"), "{err}");
    let (success, _, err) = dlc(path, ADAM, &["predict", "runs/p", "--data", "more.csv"]);
    assert!(!success && err.contains("error[E0605]: the program applies no net to rows of data"), "{err}");
}

#[test]
fn searches_and_ensembles() {
    let search = "
        rate = 0.1
        train {
            minimize valley(point())
            using    adam(lr: rate)
            steps    300
        }
        search { rate in 1e-4, 0.1 } by loss";
    let folder = tempfile::tempdir().unwrap();
    let out = fine(folder.path(), search, &["run", "p.dl"]);
    assert!(out.lines().last().unwrap().starts_with("best: --set rate=0.1  value loss "), "{out}");
    let ensemble = "
        net anywhere() -> [2] {
            param p: [2] = normal(std: 1)
            p
        }
        train {
            minimize valley(anywhere())
            using    adam(lr: 0.1)
            steps    50
            ensemble 3
        }";
    let events = events(ensemble, &[]);
    let losses: Vec<f64> =
        of(&events, "run_done").iter().map(|e| e["metrics"]["value"]["loss"].as_f64().unwrap()).collect();
    assert_eq!(losses.len(), 3);
    assert!(losses[0] != losses[1] && losses[1] != losses[2], "members begin apart: {losses:?}");
    let mean = events.last().unwrap()["metrics"]["value"]["loss"].as_f64().unwrap();
    assert!((mean - losses.iter().sum::<f64>() / 3.0).abs() < 1e-6 * mean.abs().max(1.0));
}

#[test]
fn divergence_is_told_without_an_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let program = ADAM.replace("adam(lr: 0.1)", "sgd(lr: 1)");
    let (success, _, err) = dlc(folder.path(), &program, &["run", "p.dl", "--no-save"]);
    let first = err.lines().find(|line| line.starts_with("error")).unwrap();
    assert!(
        !success && first.starts_with("error[E0406]: training diverged at step ") && !first.contains("epoch"),
        "{err}"
    );
}
