//! Runs of the binary, and what is asserted of them.

#![allow(dead_code, reason = "no test file uses all of it")]

use assert_cmd::Command;
use std::path::Path;
use std::time::Duration;

/// What a run of `dlc` did.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Asserts success and gives stdout.
    #[track_caller]
    pub fn fine(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }

    /// Asserts that it failed without a panic, that nothing went to stdout, and that stderr holds all of `parts`.
    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        assert_eq!(self.out, "");
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is not in:\n{}", self.err);
        }
    }
}

/// Runs `dlc` in a folder.
pub fn dlc(folder: &Path, args: &[&str]) -> Ran {
    dlc_in(&[], folder, args)
}

/// As [`dlc`], with these variables in its environment; an empty one counts as not set.
pub fn dlc_in(environment: &[(&str, &str)], folder: &Path, args: &[&str]) -> Ran {
    let output = Command::cargo_bin("dlc")
        .unwrap()
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env_remove("RUST_BACKTRACE")
        .envs(environment.iter().copied())
        .args(args)
        .timeout(Duration::from_secs(60))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is UTF-8");
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// The lines of an output as JSON objects.
pub fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}
