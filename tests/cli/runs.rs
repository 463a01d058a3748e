//! Runs in folders: their names and files, resuming, Ctrl-C.

use super::{Ran, digits, dlc, json_lines};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn run(folder: &Path, more: &[&str]) -> Ran {
    dlc(folder, &[&["run", "digits.dl", "--max-steps", "45"], more].concat())
}

/// The names of what is in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_run_leaves_its_program_settings_figures_and_checkpoints() {
    let folder = digits();
    let path = folder.path();
    let ran = run(path, &["--seed", "3", "--json"]);
    let events = json_lines(&ran.fine());
    let digits = path.join("runs/digits");
    let files = [
        "best.safetensors",
        "config.json",
        "last.safetensors",
        "metrics.csv",
        "metrics.jsonl",
        "model.dl",
        "summary.json",
    ];
    assert_eq!(names(&digits), files);
    assert_eq!(fs::read(digits.join("model.dl")).unwrap(), fs::read(path.join("digits.dl")).unwrap());
    let config = json(&digits.join("config.json"));
    assert_eq!((&config["seed"], &config["dtype"]), (&Value::from(3), &Value::from("f32")));
    assert_eq!(config["data"]["digits"][0]["path"], "data/digits.csv");
    assert_eq!(config["data"]["digits"][0]["bytes"], fs::metadata(path.join("data/digits.csv")).unwrap().len());
    // Two epochs and a part of a third, which is told but is no row.
    let rows = json_lines(&fs::read_to_string(digits.join("metrics.jsonl")).unwrap());
    let told: Vec<&Value> = events.iter().filter(|e| e["event"] == "epoch").collect();
    assert_eq!((rows.len(), told.len()), (2, 3));
    for (row, told) in rows.iter().zip(told) {
        for key in ["epoch", "steps", "train", "valid"] {
            assert_eq!(row[key], told[key], "{key}");
        }
    }
    let csv = fs::read_to_string(digits.join("metrics.csv")).unwrap();
    assert!(csv.starts_with("epoch,steps,seconds,train.loss,valid.loss,valid.accuracy\n1,20,"), "{csv}");
    assert_eq!(csv.lines().count(), 3);
    let summary = json(&digits.join("summary.json"));
    assert_eq!((&summary["ended"], &summary["steps"]), (&Value::from("max_steps"), &Value::from(45)));
    assert_eq!(summary["metrics"], events.last().unwrap()["metrics"]);
}

#[test]
fn runs_get_names_of_their_own() {
    let folder = digits();
    let path = folder.path();
    let ran = run(path, &[]);
    assert!(ran.err.ends_with("kept in runs/digits\n"), "{}", ran.err);
    run(path, &[]).fine();
    run(path, &["--name", "mine"]).fine();
    run(path, &["--runs", "elsewhere/runs"]).fine();
    run(path, &["--no-save", "--runs", "nowhere"]).fine();
    assert_eq!(names(&path.join("runs")), ["digits", "digits-2", "mine"]);
    assert_eq!(names(&path.join("elsewhere/runs")), ["digits"]);
    assert!(!path.join("nowhere").exists());
    run(path, &["--name", "mine"]).fails(1, &["error[E0602]: there is a run runs/mine already", "--overwrite"]);
    fs::write(path.join("runs/mine/notes.txt"), "mine").unwrap();
    run(path, &["--name", "mine", "--overwrite", "--seed", "9"]).fine();
    assert_eq!(json(&path.join("runs/mine/config.json"))["seed"], 9);
    assert_eq!(fs::read_to_string(path.join("runs/mine/notes.txt")).unwrap(), "mine");
    run(path, &["--name", "../mine"]).fails(1, &["error[E0602]: a run cannot be called `../mine`"]);
    // A folder of something else is not taken for a run.
    run(path, &["--runs", ".", "--name", "data", "--overwrite"]).fails(1, &["nothing in it is removed"]);
    assert!(path.join("data/digits.csv").exists());
    for usage in [&["--overwrite"][..], &["--no-save", "--name", "x"], &["--save-every", "-1"]] {
        run(path, usage).fails(2, &["--"]);
    }
}

#[test]
fn a_program_that_fails_leaves_no_folder() {
    let folder = digits();
    let path = folder.path();
    let text = fs::read_to_string(path.join("digits.dl")).unwrap();
    fs::write(path.join("digits.dl"), text.replace("dense(10)", "dense(11) |> relu(3)")).unwrap();
    assert_eq!(run(path, &[]).code, Some(1));
    fs::write(path.join("digits.dl"), text.replace("digits.csv", "none.csv")).unwrap();
    assert_eq!(run(path, &[]).code, Some(1));
    assert!(!path.join("runs").exists());
    fs::write(path.join("digits.dl"), text).unwrap();
    fs::write(path.join("runs"), "a file where the folder should be").unwrap();
    run(path, &[]).fails(1, &["error[E0315]: runs", "--no-save"]);
}

#[test]
fn a_run_is_resumed_by_its_folder_or_by_its_program() {
    let folder = digits();
    let path = folder.path();
    run(path, &["--name", "a", "--seed", "4"]).fine();
    run(path, &["--name", "b"]).fine();
    let resume = |args: &[&str]| dlc(path, &[&["run", "--max-steps", "50"], args].concat());
    let ran = resume(&["--resume", "runs/a"]);
    assert!(ran.err.contains("seed 4") && ran.err.contains("kept in runs/a"), "{}", ran.err);
    assert_eq!(json(&path.join("runs/a/summary.json"))["steps"], 50);
    // From another folder, too: the data is found from where the run is.
    let ran = dlc(&path.join("data"), &["run", "--max-steps", "55", "--resume", "../runs/a"]);
    ran.fine();
    let ran = dlc(path, &["run", "digits.dl", "--resume", "--max-steps", "60"]);
    assert!(ran.err.contains("kept in runs/b"), "{}", ran.err);
    assert!(dlc(path, &["run", "--resume", "digits.dl", "--max-steps", "60"]).err.contains("kept in runs/b"));
    let ran = resume(&["--resume", "runs/c"]);
    ran.fails(1, &["error[E0603]: runs/c is not the folder of a run"]);
    resume(&["--resume", "data"]).fails(1, &["error[E0603]: data is not the folder of a run", "config.json"]);
    resume(&["--resume", "runs/a", "--seed", "4"]).fails(2, &["--resume", "--seed"]);
    let stopped = |name: &str| fs::read(path.join("runs").join(name).join("last.safetensors")).unwrap();
    assert_ne!(stopped("a"), stopped("b"));
}

#[test]
fn a_run_whose_program_or_data_has_changed_is_refused() {
    let folder = digits();
    let path = folder.path();
    run(path, &["--name", "a"]).fine();
    let program = fs::read_to_string(path.join("digits.dl")).unwrap();
    let resume = |args: &[&str]| dlc(path, &[&["run", "--max-steps", "50"], args].concat());
    fs::write(path.join("digits.dl"), program.replace("dropout(0.5)", "dropout(0.4)")).unwrap();
    let line = program.lines().position(|l| l.contains("dropout")).unwrap() + 1;
    for args in [&["--resume", "runs/a"][..], &["digits.dl", "--resume", "runs/a"], &["digits.dl", "--resume"]] {
        let changed =
            format!("error[E0604]: digits.dl is no longer that of the run runs/a: it has changed in line {line}");
        resume(args).fails(1, &[&changed, "dlc run runs/a/model.dl --resume runs/a"]);
    }
    resume(&["runs/a/model.dl", "--resume", "runs/a"]).fine();
    fs::write(path.join("digits.dl"), &program).unwrap();
    let copy = path.join("runs/a/model.dl");
    fs::write(&copy, program.replace("batch 64", "batch 32")).unwrap();
    fs::remove_file(path.join("digits.dl")).unwrap();
    resume(&["--resume", "runs/a"])
        .fails(1, &["error[E0604]: the run runs/a cannot go on: the program has changed (model.dl)"]);
    fs::write(&copy, &program).unwrap();
    let data = fs::read_to_string(path.join("data/digits.csv")).unwrap();
    let cut = data.trim_end().rfind('\n').unwrap() + 1;
    fs::write(path.join("data/digits.csv"), &data[..cut]).unwrap();
    let had = format!("and had {}", data.len());
    resume(&["--resume", "runs/a"])
        .fails(1, &["error[E0604]", "data/digits.csv has", &had, "--init runs/a/best.safetensors"]);
    fs::write(path.join("data/digits.csv"), &data).unwrap();
    resume(&["--resume", "runs/a"]).fine();
}

#[test]
fn the_files_a_program_uses_are_kept_with_it() {
    let folder = digits();
    let path = folder.path();
    fs::create_dir(path.join("nets")).unwrap();
    let program =
        fs::read_to_string(path.join("digits.dl")).unwrap().replace("relu", "bent").replace("data/d", "../data/d");
    fs::write(path.join("nets/m.dl"), format!("use \"../bent.dl\"\n{program}")).unwrap();
    let bent = "fn bent(x: [..]) -> [..] = max(x, 0.1*x)\n";
    fs::write(path.join("bent.dl"), bent).unwrap();
    dlc(path, &["run", "nets/m.dl", "--max-steps", "30"]).fine();
    assert_eq!(fs::read_to_string(path.join("runs/m/bent.dl")).unwrap(), bent);
    assert!(path.join("runs/m/nets/model.dl").exists());
    fs::write(path.join("bent.dl"), bent.replace("0.1", "0.2")).unwrap();
    let resume = |most: &str| dlc(path, &["run", "--resume", "runs/m", "--max-steps", most]);
    resume("40").fails(1, &["error[E0604]: bent.dl is no longer that of the run runs/m: it has changed in line 1"]);
    fs::remove_file(path.join("bent.dl")).unwrap();
    resume("40").fine();
    fs::remove_dir_all(path.join("nets")).unwrap();
    fs::write(path.join("bent.dl"), bent).unwrap();
    fs::remove_file(path.join("runs/m/bent.dl")).unwrap();
    dlc(path, &["predict", "runs/m", "--data", "data/digits.csv"]).fails(1, &["bent.dl"]);
    fs::write(path.join("runs/m/bent.dl"), bent).unwrap();
    dlc(path, &["predict", "runs/m", "--data", "data/digits.csv"]).fine();
}

#[test]
fn a_run_that_is_finished_is_not_resumed() {
    let folder = digits();
    let path = folder.path();
    let text = fs::read_to_string(path.join("digits.dl")).unwrap().replace("epochs   100", "epochs 2");
    fs::write(path.join("digits.dl"), text).unwrap();
    dlc(path, &["run", "digits.dl"]).fine();
    let files = |name: &str| fs::read(path.join("runs/digits").join(name)).unwrap();
    let before = (files("last.safetensors"), files("summary.json"));
    let ran = dlc(path, &["run", "--resume", "runs/digits"]);
    assert!(ran.err.contains("the run runs/digits has come to its end"), "{}", ran.err);
    ran.fine();
    assert!(before == (files("last.safetensors"), files("summary.json")));
    // The parameters can be the start of another run.
    dlc(path, &["run", "digits.dl", "--init", "runs/digits/best.safetensors", "--max-steps", "2"]).fine();
}

#[cfg(unix)]
#[test]
fn ctrl_c_finishes_the_step_and_the_run_goes_on_later() {
    let folder = digits();
    let path = folder.path();
    for (args, code) in [(&["--name", "a"][..], 130), (&["--no-save"], 130)] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dlc"))
            .current_dir(path)
            .args(["run", "digits.dl", "--json"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().contains("start"));
        assert!(lines.next().unwrap().unwrap().contains("epoch"));
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let last = lines.last().unwrap().unwrap();
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{err}");
        assert!(last.contains(r#""reason":"interrupted""#), "{last}");
        assert!(err.starts_with("interrupted after "), "{err}");
        assert_eq!(err.contains("go on by: dlc run --resume runs/a"), args[0] == "--name", "{err}");
    }
    assert_eq!(names(&path.join("runs")), ["a"]);
    let summary = json(&path.join("runs/a/summary.json"));
    assert_eq!(summary["ended"], "interrupted");
    let most = (summary["steps"].as_u64().unwrap() + 30).to_string();
    dlc(path, &["run", "--resume", "runs/a", "--max-steps", &most]).fine();
    dlc(path, &["run", "digits.dl", "--name", "b", "--max-steps", &most]).fine();
    let last = |name: &str| fs::read(path.join("runs").join(name).join("last.safetensors")).unwrap();
    assert!(last("a") == last("b"));
}
