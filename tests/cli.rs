//! The command line as a stranger meets it: every command, its options, and what is said of bad input.
//!
//! Each `tests/golden/cli/<case>.dl` stands beside `<case>.out`: the command, what it wrote and its exit status. A first
//! line `# dlc check --json` gives the command; without one it is `run --max-steps 3`. `DLC_BLESS=1` writes the `.out` files
//! anew.

use command::{Ran, dlc, dlc_in, json_lines};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

#[path = "support/command.rs"]
mod command;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/desk.rs"]
mod desk;
#[path = "cli/faults.rs"]
mod faults;
#[path = "cli/mistakes.rs"]
mod mistakes;
#[path = "cli/predict.rs"]
mod predict;
#[path = "cli/profile.rs"]
mod profile;
#[path = "cli/runs.rs"]
mod runs;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A folder of its own with `digits.dl` and its data.
fn digits() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    for file in ["digits.dl", "data/digits.csv"] {
        fs::copy(root().join("examples").join(file), folder.path().join(file)).unwrap();
    }
    folder
}

/// The text with what differs from run to run and from machine to machine replaced by `…`.
fn normalised(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        for (before, after) in [("compiled in ", " ms"), ("time: ", " s"), ("note: ", " are available")] {
            if let Some(start) = line.find(before).map(|at| at + before.len())
                && let Some(length) = line[start..].find(after)
            {
                line.replace_range(start..start + length, "…");
            }
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

#[test]
fn golden() {
    let folder = root().join("tests/golden/cli");
    let bless = std::env::var_os("DLC_BLESS").is_some();
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "dl"));
    cases.sort();
    assert!(!cases.is_empty());
    let mut failures = String::new();
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let source = fs::read_to_string(&case).unwrap();
        let command = source.lines().next().and_then(|line| line.strip_prefix("# dlc ")).unwrap_or("run --max-steps 3");
        let mut args: Vec<&str> = command.split(' ').collect();
        args.insert(1, name);
        // The cases stand in this folder, not their runs.
        let unkept: &[&str] = if args[0] == "run" { &["--no-save"] } else { &[] };
        // Numbers are as golden as words, so passes and vectors are the usual ones.
        let ran = dlc_in(&[("DLC_CPU", ""), ("DLC_OFF", "")], &folder, &[&args, unkept].concat());
        let status = ran.code.map_or("killed".to_owned(), |code| code.to_string());
        let actual =
            format!("$ dlc {}\n{}{}exit status {status}\n", args.join(" "), normalised(&ran.out), normalised(&ran.err));
        let expected_path = case.with_extension("out");
        if bless {
            fs::write(&expected_path, &actual).unwrap();
            continue;
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if actual != expected {
            let _ = writeln!(failures, "--- {name}: expected\n{expected}--- found\n{actual}");
        }
    }
    assert!(failures.is_empty(), "{failures}run with DLC_BLESS=1 to accept what was found");
}
