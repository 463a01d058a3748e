//! What a newcomer may ask of runs that cannot be: each is told why, and nothing of a run is lost.

use super::{digits, dlc};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// All files of a folder with their contents.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        all.push((name, if path.is_file() { fs::read(&path).unwrap() } else { Vec::new() }));
    }
    all.sort();
    all
}

#[test]
fn what_is_no_run() {
    let folder = digits();
    let path = folder.path();
    dlc(path, &["run", "digits.dl", "--name", "first", "--max-steps", "3"]).fine();
    let before = contents(&path.join("runs/first"));
    for (named, parts) in [
        ("nothing", ["nothing is not the folder of a run", "there is no such folder"]),
        ("runs/firts", ["runs/firts is not the folder of a run", "did you mean `runs/first`?"]),
        ("runs", ["runs is not the folder of a run", "it holds runs; name one of them, such as `runs/first`"]),
        ("data", ["data is not the folder of a run", "a run's folder holds `config.json`"]),
        ("data/digits.csv", ["data/digits.csv is not the folder of a run", "a run's folder holds"]),
    ] {
        dlc(path, &["run", "--resume", named]).fails(1, &parts);
        dlc(path, &["eval", named]).fails(1, &parts);
        dlc(path, &["predict", named, "--data", "data/digits.csv"]).fails(1, &parts);
    }
    dlc(path, &["eval", "digits.dl"]).fails(1, &["error[E0603]", "this is a program; `dlc run digits.dl` trains it"]);
    dlc(path, &["run", "--resume"]).fails(1, &["name the run to go on with"]);
    dlc(path, &["eval", "runs/first/model.dl"]).fails(1, &["error[E0601]: runs/first/model.dl is not used"]);
    assert!(before == contents(&path.join("runs/first")));
}

#[test]
fn files_that_are_named_on_the_command_line() {
    let folder = digits();
    let path = folder.path();
    dlc(path, &["run", "digits.dl", "--name", "a", "--max-steps", "3"]).fine();
    fs::write(path.join("other.csv"), "a,b\n1,2\n").unwrap();
    for command in [&["predict", "runs/a"][..], &["eval", "runs/a"]] {
        let with = |file: &str| dlc(path, &[command, &["--data", file]].concat());
        let ran = with("none.csv");
        assert!(!ran.err.contains("relative to the `.dl` file"), "{}", ran.err);
        ran.fails(1, &["error[E0301]", "there is no such file or folder", "in none.csv"]);
        with("data").fails(1, &["the data file is not a regular file"]);
        with("other.csv").fails(1, &["error[E0309]: the data has no column `p00`", "its columns are `a`, `b`"]);
    }
    let predict = |out: &str| dlc(path, &["predict", "runs/a", "--data", "data/digits.csv", "-o", out]);
    predict("nowhere/p.csv").fails(1, &["error[E0315]", "nowhere/p.csv"]);
    predict("p.txt").fails(1, &["predictions are written as .csv or .npy"]);
    dlc(path, &["run", "digits.dl", "--init", "runs/a"])
        .fails(1, &["runs/a is a folder", "did you mean `runs/a/last.safetensors`?"]);
    dlc(path, &["run", "digits.dl", "--init", "runs/a/last.safetensors", "--max-steps", "1", "--name", "b"]).fine();
    dlc(path, &["run", "digits.dl", "--init", "other.csv"]).fails(1, &["error[E0310]", "other.csv"]);
    dlc(path, &["eval", "runs/a", "--part", "tset"]).fails(1, &["no part `tset`; there are train, valid, test"]);
}

#[test]
fn places_where_no_run_can_be_kept() {
    let folder = digits();
    let path = folder.path();
    let run = |runs: &str| dlc(path, &["run", "digits.dl", "--max-steps", "3", "--runs", runs]);
    run("digits.dl")
        .fails(1, &["error[E0315]: digits.dl cannot be written", "there is something of this name already"]);
    run("data/digits.csv/runs").fails(1, &["error[E0315]", "a file is in the way", "`--no-save` keeps nothing"]);
    if cfg!(target_os = "linux") {
        // No one may write here, not even root.
        run("/proc/runs").fails(1, &["error[E0315]: /proc/runs cannot be written"]);
    }
    assert!(!path.join("runs").exists());
}

#[cfg(unix)]
#[test]
fn a_run_that_may_not_be_written_is_left_as_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let folder = digits();
    let path = folder.path();
    dlc(path, &["run", "digits.dl", "--name", "a", "--max-steps", "3"]).fine();
    let run = path.join("runs/a");
    let before = contents(&run);
    fs::set_permissions(&run, fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write everywhere.
    if fs::File::create(run.join("probe")).is_err() {
        dlc(path, &["run", "--resume", "runs/a", "--max-steps", "6"]).fails(1, &["error[E0315]", "permission denied"]);
        assert!(before == contents(&run));
        dlc(path, &["eval", "runs/a"]).fine();
    }
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn runs_with_parts_that_are_missing_or_damaged() {
    let folder = digits();
    let path = folder.path();
    dlc(path, &["run", "digits.dl", "--name", "a", "--max-steps", "20"]).fine();
    let run = path.join("runs/a");
    let resume = || dlc(path, &["run", "--resume", "runs/a", "--max-steps", "25"]);
    let whole = contents(&run);
    let with = |file: &str, contents: Option<&[u8]>, parts: &[&str]| {
        let path = run.join(file);
        let kept = fs::read(&path).unwrap();
        match contents {
            Some(contents) => fs::write(&path, contents).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        resume().fails(1, parts);
        fs::write(&path, kept).unwrap();
    };
    with("config.json", Some(b"{"), &["error[E0603]: runs/a/config.json does not hold the settings of a run"]);
    with("config.json", None, &["error[E0603]: runs/a is not the folder of a run"]);
    with("model.dl", None, &["error[E0301]: cannot read runs/a/model.dl"]);
    let last = fs::read(run.join("last.safetensors")).unwrap();
    let cut = &last[..last.len() / 2];
    with("last.safetensors", Some(cut), &["error[E0601]", "`--init runs/a/best.safetensors` starts a new run"]);
    fs::rename(path.join("data"), path.join("away")).unwrap();
    resume().fails(1, &["error[E0301]: the data file cannot be read", "runs/a/model.dl:"]);
    fs::rename(path.join("away"), path.join("data")).unwrap();
    assert!(whole == contents(&run));
    // What can be made anew is.
    fs::remove_file(run.join("last.safetensors")).unwrap();
    fs::remove_file(run.join("metrics.csv")).unwrap();
    let ran = resume();
    assert!(ran.err.contains("the run runs/a ended before it was first saved: it begins again"), "{}", ran.err);
    ran.fine();
}

#[test]
fn two_processes_do_not_keep_one_run() {
    let folder = digits();
    let path = folder.path();
    let mut child = Command::new(env!("CARGO_BIN_EXE_dlc"))
        .current_dir(path)
        .args(["run", "digits.dl", "--name", "a", "--json", "--save-every", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    dlc(path, &["run", "--resume", "runs/a"]).fails(1, &["error[E0602]: another process goes on with the run runs/a"]);
    dlc(path, &["run", "digits.dl", "--name", "a", "--overwrite"]).fails(1, &["another process goes on with"]);
    child.kill().unwrap();
    child.wait().unwrap();
    dlc(path, &["run", "--resume", "runs/a", "--max-steps", "1"]).fine();
}
