//! Runs in folders of their own, and what of two of them is to be equal.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A folder with `points.csv`, 40 rows of three features and a value.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "a,b,c,y\n".to_owned();
    for k in 0..40 {
        let [a, b, c] = [7, 11, 13].map(|m| f64::from(k * 37 % m) / f64::from(m) - 0.5);
        text += &format!("{a:.4},{b:.4},{c:.4},{:.4}\n", a * b + c);
    }
    fs::write(folder.path().join("points.csv"), text).unwrap();
    folder
}

pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
    command.current_dir(folder).env("NO_COLOR", "1").env_remove("RUST_BACKTRACE").args(args).stdin(Stdio::null());
    command
}

/// Runs `dlc`; its status and what it said.
pub fn dlc(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = command(folder, args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[track_caller]
pub fn fine(folder: &Path, args: &[&str]) {
    let (code, text) = dlc(folder, args);
    assert_eq!(code, Some(0), "{args:?}\n{text}");
}

/// The files of a run that are the same whenever its numbers are.
pub fn figures(run: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for name in names(run).split(' ').filter(|name| name.ends_with(".safetensors")) {
        files.push((name.to_owned(), fs::read(run.join(name)).unwrap_or_default()));
    }
    // All but the time it took.
    let csv = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let header: Vec<&str> = csv.lines().next().unwrap_or("").split(',').collect();
    let kept = |line: &str| -> String {
        let cells = line.split(',').zip(&header).filter(|(_, column)| **column != "seconds").map(|(cell, _)| cell);
        cells.collect::<Vec<_>>().join(",") + "\n"
    };
    files.push(("metrics.csv".to_owned(), csv.lines().map(kept).collect::<String>().into_bytes()));
    let jsonl = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let kept = |line: &str| {
        let mut row: serde_json::Value = serde_json::from_str(line).unwrap();
        row.as_object_mut().unwrap().remove("seconds");
        row.to_string() + "\n"
    };
    files.push(("metrics.jsonl".to_owned(), jsonl.lines().map(kept).collect::<String>().into_bytes()));
    files
}

/// The names of all files of a folder.
pub fn names(folder: &Path) -> String {
    let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.join(" ")
}

#[track_caller]
pub fn same(a: &Path, b: &Path) {
    let (a, b) = (figures(a), figures(b));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b));
    for ((name, a), (_, b)) in a.iter().zip(b) {
        assert!(*a == b, "{name} differs:\n{}\n{}", String::from_utf8_lossy(a), String::from_utf8_lossy(&b));
    }
}

/// Runs a program whole, and stopped at each of these numbers of steps and resumed: all are equal.
#[track_caller]
pub fn resumes(folder: &Path, program: &str, more: &[&str], stops: &[u64]) {
    fine(folder, &[&["run", program, "--name", "whole"], more].concat());
    for steps in stops {
        let (name, most) = (format!("at-{steps}"), steps.to_string());
        fine(folder, &[&["run", program, "--name", &name, "--max-steps", &most], more].concat());
        let run = folder.join("runs").join(name);
        fine(folder, &["run", "--resume", run.to_str().unwrap()]);
        same(&folder.join("runs/whole"), &run);
    }
}

/// The JSON of a file.
pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}
