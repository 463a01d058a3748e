//! Folds and members of an ensemble: each is kept, goes on where it stood, and counts in what is predicted and measured.

use super::runs::{command, dlc, figures, fine, folder, json, names, same};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Phases, early stopping and noise, several times.
const PROGRAM: &str = r#"
data points = csv("points.csv", target: y)
split points into train 60%, valid 20%, test 20%, seed 3

net f(x: [N, 3]) -> [N] {
    h = x |> dense(5) |> batch_norm |> tanh |> dropout(0.1)
    o = dense(h, 1)
    y[n] = sum(k) o[n, k]
    y
}

length = 4

train {
    measure error = mean(abs(f(x) - y)), together = mean((mean(members(f(x)) over members) - y)^2)
    SEVERAL
    phase first {
        minimize mse(f(x), y)
        on       points.train, batch 8
        using    adam(lr: 0.1)
        average  ema(rho: 0.9)
        epochs   length
        stop     when points.valid loss has not improved for 1 epochs, then retrain on points.train for as many steps
    }
    phase second {
        minimize mse(f(x), y) over f.o
        on       points.train, batch 5
        using    momentum(lr: 0.05)
        epochs   2
    }
}
"#;

fn write(folder: &Path, several: &str) {
    let program = match several {
        "ensemble 3 resampled" => PROGRAM.to_owned(),
        _ => PROGRAM.replace(", together = mean((mean(members(f(x)) over members) - y)^2)", ""),
    };
    fs::write(folder.join("p.dl"), program.replace("SEVERAL", several)).unwrap();
}

/// The figures of a run with the rows of its metrics in the order of the runs.
fn sorted(run: &Path) -> Vec<(String, Vec<String>)> {
    let lines = |(name, bytes): (String, Vec<u8>)| {
        let mut lines: Vec<String> = match name.ends_with(".safetensors") {
            true => vec![format!("{bytes:?}")],
            false => String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect(),
        };
        lines.sort();
        (name, lines)
    };
    figures(run).into_iter().map(lines).collect()
}

/// What a run came to, but for the time it took.
fn outcome(run: &Path) -> Value {
    let mut summary = json(&run.join("summary.json"));
    summary.as_object_mut().unwrap().remove("seconds");
    summary
}

#[test]
fn every_fold_and_member_is_resumed() {
    for (several, kind) in [("folds 3", "fold"), ("ensemble 3 resampled", "member")] {
        let home = folder();
        let path = home.path();
        write(path, several);
        fine(path, &["run", "p.dl", "--name", "whole"]);
        let whole = path.join("runs/whole");
        assert!(names(&whole).contains(&format!("{kind}-1.safetensors {kind}-2.safetensors")), "{}", names(&whole));
        assert!(!names(&whole).contains("last") && !names(&whole).contains("best"), "{}", names(&whole));
        let csv = fs::read_to_string(whole.join("metrics.csv")).unwrap();
        assert!(csv.starts_with(&format!("{kind},phase,epoch,steps,")), "{csv}");
        let row: Value =
            serde_json::from_str(fs::read_to_string(whole.join("metrics.jsonl")).unwrap().lines().last().unwrap())
                .unwrap();
        assert_eq!(row[kind], several.chars().find(char::is_ascii_digit).unwrap().to_digit(10).unwrap());
        // In the midst of an epoch of the first phase, while it retrains, in the second: each run, then each goes on.
        for steps in ["2", "14"] {
            let name = format!("at-{steps}");
            fine(path, &["run", "p.dl", "--name", &name, "--max-steps", steps]);
            let run = path.join("runs").join(name);
            fine(path, &["run", "--resume", run.to_str().unwrap()]);
            assert_eq!(sorted(&run), sorted(&whole), "{several}, {steps}");
            assert_eq!(outcome(&run), outcome(&whole));
        }
        let (code, text) = dlc(path, &["run", "--resume", "runs/whole"]);
        assert_eq!(code, Some(0));
        assert!(text.contains("the run runs/whole has come to its end"), "{text}");
        // Killed after the last run and before anything was told of all of them.
        fs::remove_file(whole.join("summary.json")).unwrap();
        fine(path, &["run", "--resume", "runs/whole"]);
        assert_eq!(outcome(&whole), outcome(&path.join("runs/at-2")));
        same(&whole, &whole);
    }
}

#[test]
fn a_run_killed_in_the_midst_of_a_member_goes_on_with_it() {
    let home = folder();
    let path = home.path();
    write(path, "ensemble 3 resampled");
    let args = ["--set", "length=12"];
    fine(path, &[&["run", "p.dl", "--name", "whole"], &args[..]].concat());
    for (member, wait) in [(1, 0), (2, 5), (3, 15)] {
        let name = format!("killed-{member}");
        let run = path.join("runs").join(&name);
        let mut child = command(path, &[&["run", "p.dl", "--name", &name, "--save-every", "0"], &args[..]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while !run.join(format!("member-{member}.safetensors")).exists() && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_micros(300));
        }
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!run.join("summary.json").exists() || member == 3, "killed too late to show anything");
        let (code, text) = dlc(path, &["run", "--resume", run.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{text}");
        same(&path.join("runs/whole"), &run);
        assert_eq!(outcome(&run), outcome(&path.join("runs/whole")));
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_ensemble_says_which_member_was_at_work() {
    let home = folder();
    let path = home.path();
    write(path, "ensemble 3 resampled");
    let program = fs::read_to_string(path.join("p.dl")).unwrap();
    fs::write(path.join("p.dl"), program.replace("for 1 epochs", "for 100000 epochs")).unwrap();
    let mut child = command(path, &["run", "p.dl", "--set", "length=100000", "--save-every", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let run = path.join("runs/p");
    while !run.join("member-1.safetensors").exists() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    let signal = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.contains("member 1 of 3: first: "), "{err}");
    assert!(err.contains(" of member 1 of 3; go on by: dlc run --resume runs/p"), "{err}");
    let (code, text) = dlc(path, &["predict", "runs/p", "--data", "points.csv"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("has trained 1 of 3 models so far"), "{text}");
    fine(path, &["predict", "runs/p/member-1.safetensors", "--data", "points.csv"]);
}

/// The numbers of a CSV output without its header.
fn numbers(text: &str) -> Vec<f64> {
    text.lines().skip(1).flat_map(|line| line.split(',')).map(|cell| cell.parse().unwrap()).collect()
}

#[test]
fn an_ensemble_predicts_and_is_measured_as_one() {
    let home = folder();
    let path = home.path();
    write(path, "ensemble 3 resampled");
    fine(path, &["run", "p.dl", "--name", "e"]);
    let predict = |run: &str| {
        let (code, text) = dlc(path, &["predict", run, "--data", "points.csv"]);
        assert_eq!(code, Some(0), "{text}");
        numbers(&text)
    };
    let all = predict("runs/e");
    let members: Vec<Vec<f64>> = (1..=3).map(|k| predict(&format!("runs/e/member-{k}.safetensors"))).collect();
    assert_ne!(members[0], members[1]);
    for (k, value) in all.iter().enumerate() {
        let mean = members.iter().map(|member| member[k]).sum::<f64>() / 3.0;
        assert!((value - mean).abs() < 1e-6, "row {k}: {value} is not the mean {mean}");
    }
    let (code, text) = dlc(path, &["eval", "runs/e", "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["metrics"], json(&path.join("runs/e/summary.json"))["metrics"]);
    assert!(found["deviation"]["test"]["error"].as_f64().unwrap() > 0.0, "{found}");
    // The mean of all is better than they are in the mean, and what was measured is that of what is predicted.
    let (_, text) = dlc(path, &["eval", "runs/e", "--data", "points.csv", "--json"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    let measured = &found["metrics"]["points.csv"];
    assert!(measured["together"].as_f64() < measured["loss"].as_f64(), "{found}");
    let truth = numbers(&fs::read_to_string(path.join("points.csv")).unwrap());
    let squares = all.iter().zip(truth.chunks(4)).map(|(value, row)| (value - row[3]).powi(2));
    let error = squares.sum::<f64>() / all.len() as f64;
    assert!((measured["together"].as_f64().unwrap() - error).abs() < 1e-6, "{error}: {found}");
}

#[test]
fn classes_of_an_ensemble_have_mean_probabilities() {
    let home = folder();
    let path = home.path();
    let program = r#"
data points = csv("labels.csv", target: label)
net f(x: [N, 3]) -> [N, 2] = x |> dense(4) |> tanh |> dense(2)
train {
    minimize cross_entropy(f(x), label)
    on       points, batch 10
    using    adam(lr: 0.1)
    epochs   3
    ensemble 2
}
"#;
    fs::write(path.join("p.dl"), program).unwrap();
    let row = |line: &str| {
        let (x, y) = line.rsplit_once(',').unwrap();
        format!("{x},{}\n", u8::from(!y.starts_with('-')))
    };
    let points = fs::read_to_string(path.join("points.csv")).unwrap();
    let labels: String = points.lines().skip(1).map(row).collect();
    fs::write(path.join("labels.csv"), format!("a,b,c,label\n{labels}")).unwrap();
    fine(path, &["run", "p.dl", "--name", "e"]);
    let predict = |run: &str| {
        let (code, text) = dlc(path, &["predict", run, "--data", "labels.csv"]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.starts_with("class,p(0),p(1)\n"), "{text}");
        text
    };
    let text = predict("runs/e");
    let all = numbers(&text);
    let [one, two] = [1, 2].map(|k| numbers(&predict(&format!("runs/e/member-{k}.safetensors"))));
    for (k, row) in all.chunks(3).enumerate() {
        assert!((row[1] + row[2] - 1.0).abs() < 1e-6);
        assert!((row[1] - (one[3 * k + 1] + two[3 * k + 1]) / 2.0).abs() < 1e-6);
        assert_eq!(row[0], f64::from(row[2] > row[1]));
    }
    assert_ne!(one, two);
}

#[test]
fn folds_are_measured_and_predict_each_by_itself() {
    let home = folder();
    let path = home.path();
    write(path, "folds 3");
    fine(path, &["run", "p.dl", "--name", "f"]);
    let (code, text) = dlc(path, &["predict", "runs/f", "--data", "points.csv"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("the run runs/f is of folds") && text.contains("runs/f/fold-1.safetensors"), "{text}");
    fine(path, &["predict", "runs/f/fold-2.safetensors", "--data", "points.csv"]);
    let (_, text) = dlc(path, &["eval", "runs/f", "--json"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    let summary = json(&path.join("runs/f/summary.json"));
    assert_eq!(found["metrics"], summary["metrics"]);
    // That of one fold is of the rows that it was kept from.
    let of = |k: u32| -> f64 {
        let (_, text) = dlc(path, &["eval", &format!("runs/f/fold-{k}.safetensors"), "--json"]);
        serde_json::from_str::<Value>(&text).unwrap()["metrics"]["fold"]["loss"].as_f64().unwrap()
    };
    let mean = (of(1) + of(2) + of(3)) / 3.0;
    assert!((mean - summary["metrics"]["fold"]["loss"].as_f64().unwrap()).abs() < 1e-12);
}

/// Rows that are read block by block have folds and samples without a list of them.
#[test]
fn streamed_rows_have_folds_and_samples() {
    for several in ["folds 3", "ensemble 2 resampled"] {
        for (batch, steps) in [(", batch 6", "3"), ("", "2")] {
            let home = folder();
            let path = home.path();
            let program = format!(
                "data points = csv(\"points.csv\", target: y, stream: true)\n\
                 net f(x: [N, 3]) -> [N] {{\n    param w: [3] = normal(std: 0.1)\n    x @ w\n}}\n\
                 train {{\n    minimize mse(f(x), y)\n    on points{batch}\n    using adam(lr: 0.1)\n    epochs 6\n    \
                 {several}\n}}\n"
            );
            fs::write(path.join("p.dl"), program).unwrap();
            let (code, text) = dlc(path, &["run", "p.dl", "--name", "whole"]);
            assert_eq!(code, Some(0), "{text}");
            fine(path, &["run", "p.dl", "--name", "left", "--max-steps", steps]);
            fine(path, &["run", "--resume", "runs/left"]);
            assert_eq!(sorted(&path.join("runs/left")), sorted(&path.join("runs/whole")));
            let metrics = json(&path.join("runs/whole/summary.json"));
            assert_eq!(metrics["metrics"]["fold"]["loss"].is_number(), several == "folds 3", "{metrics}");
        }
    }
}
