//! Searches: every setting is a run that is kept, and a search goes on where it stood.

use super::runs::{command, dlc, figures, fine, folder, json, names};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const PROGRAM: &str = r#"
data points = csv("points.csv", target: y)
split points into train 60%, valid 40%, seed 3

rate = 0.01
hidden = 4
length = 3

net f(x: [N, 3]) -> [N] {
    h = x |> dense(hidden) |> tanh |> dropout(0.1) |> dense(1)
    y[n] = sum(k) h[n, k]
    y
}

train {
    minimize mse(f(x), y)
    on       points.train, batch 8
    using    sgd(lr: rate)
    measure  error = mean(abs(f(x) - y))
    epochs   length
}

search {
    rate   in 0.01, 0.2
    hidden in 2, 6
} by points.valid loss
"#;

fn home() -> tempfile::TempDir {
    let home = folder();
    fs::write(home.path().join("p.dl"), PROGRAM).unwrap();
    home
}

/// All that a search leaves, but for times.
fn all(run: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes.clone()).unwrap_or_else(|_| format!("{bytes:?}"));
    for folder in std::iter::once(run.to_owned()).chain((1..=4).map(|k| run.join(format!("trial-{k}")))) {
        files.push((names(&folder), String::new()));
        files.extend(figures(&folder).into_iter().map(|(name, bytes)| (name, text(bytes))));
        let mut summary = json(&folder.join("summary.json"));
        summary.as_object_mut().unwrap().remove("seconds");
        files.push(("summary.json".to_owned(), summary.to_string()));
    }
    files.push(("trials.csv".to_owned(), fs::read_to_string(run.join("trials.csv")).unwrap()));
    files
}

#[track_caller]
fn equal(a: &[(String, String)], b: &[(String, String)]) {
    for (a, b) in a.iter().zip(b) {
        assert!(a == b, "{a:?}\n{b:?}");
    }
}

#[test]
fn trials_are_kept_and_the_best_predicts() {
    let home = home();
    let path = home.path();
    let (code, out) = dlc(path, &["run", "p.dl", "--name", "s"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("trial 3 of 4: --set rate=0.2 --set hidden=2"), "{out}");
    let run = path.join("runs/s");
    assert_eq!(
        names(&run),
        "best.safetensors config.json metrics.csv metrics.jsonl model.dl summary.json \
         trial-1 trial-2 trial-3 trial-4 trials.csv"
    );
    let csv = fs::read_to_string(run.join("trials.csv")).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0][..3], ["trial", "rate", "hidden"]);
    assert_eq!(rows[3][..3], ["3", "0.2", "2.0"]);
    let loss = rows[0].iter().position(|column| *column == "valid.loss").unwrap();
    let best =
        (1..=4).min_by(|a, b| rows[*a][loss].parse::<f64>().unwrap().total_cmp(&rows[*b][loss].parse().unwrap()));
    let summary = json(&run.join("summary.json"));
    assert_eq!((&summary["best"]["trial"], &summary["ended"]), (&Value::from(best.unwrap()), &Value::from("finished")));
    assert_eq!(summary["best"]["value"].as_f64().unwrap(), rows[best.unwrap()][loss].parse::<f64>().unwrap());
    let own = run.join(format!("trial-{}", best.unwrap()));
    assert!(fs::read(run.join("best.safetensors")).unwrap() == fs::read(own.join("best.safetensors")).unwrap());
    let metrics = fs::read_to_string(run.join("metrics.csv")).unwrap();
    assert!(metrics.starts_with("trial,epoch,steps,"), "{metrics}");
    assert_eq!(metrics.lines().count(), 1 + 4 * 3);
    // The search, its best checkpoint and its best run are the same model.
    let predict = |run: &Path| {
        let (code, text) = dlc(path, &["predict", run.to_str().unwrap(), "--data", "points.csv"]);
        assert_eq!(code, Some(0), "{text}");
        text
    };
    assert_eq!(predict(&run), predict(&own));
    assert_eq!(predict(&run.join("best.safetensors")), predict(&own));
    let (_, text) = dlc(path, &["eval", "runs/s", "--json"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["metrics"]["valid"]["loss"], summary["best"]["value"]);
}

#[test]
fn a_search_goes_on_where_it_stood() {
    let home = home();
    let path = home.path();
    let long = ["--set", "length=40"];
    fine(path, &[&["run", "p.dl", "--name", "whole"], &long[..]].concat());
    let whole = all(&path.join("runs/whole"));
    for (trial, wait) in [(1, 0), (2, 10), (4, 3)] {
        let name = format!("killed-{trial}");
        let run = path.join("runs").join(&name);
        let mut child = command(path, &[&["run", "p.dl", "--name", &name, "--save-every", "0"], &long[..]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while !run.join(format!("trial-{trial}/config.json")).exists() && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_micros(300));
        }
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        let (code, out) = dlc(path, &["run", "--resume", run.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{out}");
        assert!(!out.contains(&format!("trial {} of 4:", trial - 1)), "{out}");
        equal(&all(&run), &whole);
    }
    // One that has ended tells again what it has found.
    let results = |args: &[&str]| {
        let output = command(path, args).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let again = results(&["run", "--resume", "runs/whole"]);
    assert_eq!(again, results(&["run", "--resume", "runs/killed-1"]));
    assert_eq!(again.lines().count(), 5);
    equal(&all(&path.join("runs/whole")), &whole);
    // A bound on the steps of each run can be lifted.
    fine(path, &[&["run", "p.dl", "--name", "bounded", "--max-steps", "5"], &long[..]].concat());
    fine(path, &["run", "--resume", "runs/bounded"]);
    equal(&all(&path.join("runs/bounded")), &whole);
    fine(path, &["run", "p.dl", "--name", "bounded", "--overwrite", "--set", "rate=0.1"]);
    assert!(!names(&path.join("runs/bounded")).contains("trial-3"));
}

#[test]
fn a_setting_that_diverges_is_not_the_best() {
    let home = home();
    let path = home.path();
    fs::write(path.join("p.dl"), PROGRAM.replace("0.01, 0.2", "1e30, 0.2")).unwrap();
    let (code, out) = dlc(path, &["run", "p.dl"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("--set rate=1000000000000000000000000000000 --set hidden=2  diverged"), "{out}");
    let summary = json(&path.join("runs/p/summary.json"));
    assert_eq!(summary["best"]["set"]["rate"], 0.2);
    let (code, again) = dlc(path, &["run", "--resume", "runs/p"]);
    assert_eq!(code, Some(0), "{again}");
    assert!(again.contains("  diverged\n"), "{again}");
}

#[test]
fn a_search_starts_every_run_from_given_tensors() {
    let home = home();
    let path = home.path();
    fs::write(path.join("p.dl"), PROGRAM.replace("    hidden in 2, 6\n", "")).unwrap();
    let set = ["--set", "hidden=4"];
    fine(path, &[&["run", "p.dl", "--name", "a", "--set", "rate=0.1"], &set[..]].concat());
    let start = "runs/a/trial-1/best.safetensors";
    fine(path, &["run", "p.dl", "--name", "b", "--init", start]);
    fine(path, &["run", "p.dl", "--name", "c"]);
    let trials = |name: &str| fs::read_to_string(path.join("runs").join(name).join("trials.csv")).unwrap();
    assert_ne!(trials("b"), trials("c"));
    // Later runs have them too, without the file that was named.
    fine(path, &["run", "p.dl", "--name", "d", "--init", start, "--max-steps", "1"]);
    fs::remove_dir_all(path.join("runs/a")).unwrap();
    fs::remove_dir_all(path.join("runs/d/trial-2")).unwrap();
    fine(path, &["run", "--resume", "runs/d"]);
    assert_eq!(trials("d"), trials("b"));
    let (code, text) = dlc(path, &["run", "p.dl", "--set", "hidden=7", "--init", "runs/b/init.safetensors"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("in the program, but"), "{text}");
}

#[test]
fn the_best_of_cross_validated_settings() {
    let home = home();
    let path = home.path();
    let program =
        PROGRAM.replace("epochs   length", "epochs   length\n    ensemble 2").replace("hidden in 2, 6", "hidden in 3");
    fs::write(path.join("p.dl"), program).unwrap();
    fine(path, &["run", "p.dl", "--name", "s"]);
    let run = path.join("runs/s");
    assert!(!names(&run).contains("best.safetensors"));
    let best = json(&run.join("summary.json"))["best"]["trial"].as_u64().unwrap();
    let own = run.join(format!("trial-{best}"));
    assert!(names(&own).contains("member-1.safetensors member-2.safetensors"));
    let predict = |run: &Path| dlc(path, &["predict", run.to_str().unwrap(), "--data", "points.csv"]);
    assert_eq!(predict(&run).0, Some(0));
    assert_eq!(predict(&run), predict(&own));
    assert!(fs::read_to_string(run.join("metrics.csv")).unwrap().starts_with("trial,member,epoch,"));
}
