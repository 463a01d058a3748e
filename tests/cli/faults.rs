//! Input that no file of the golden cases can hold: files that cannot be read, programs that are generated, streams that
//! are closed.

use super::{Ran, digits, dlc};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a program made of the digits example with `relu` replaced by `f`, and definitions before it.
fn with_definitions(folder: &Path, definitions: &str) -> Ran {
    let text = fs::read_to_string(folder.join("digits.dl")).unwrap().replace("relu", "f");
    fs::write(folder.join("made.dl"), format!("{text}\n{definitions}\n")).unwrap();
    dlc(folder, &["run", "made.dl", "--max-steps", "2"])
}

#[test]
fn programs_that_cannot_be_read() {
    let folder = digits();
    let path = folder.path();
    fs::write(path.join("latin.dl"), b"a = 1\nb = \xe9\n").unwrap();
    fs::create_dir(path.join("folder.dl")).unwrap();
    fs::write(path.join("large.dl"), "# a comment\n".repeat(1 << 18)).unwrap();
    for command in ["run", "check", "grad", "test", "bench", "graph"] {
        let fails = |file: &str, parts: &[&str]| dlc(path, &[command, file]).fails(1, parts);
        fails("nothing.dl", &["error[E0301]: cannot read nothing.dl: there is no such file or folder"]);
        fails("digit.dl", &["error[E0301]", "help: did you mean `digits.dl`?"]);
        fails("folder.dl", &["error[E0301]: cannot read folder.dl: this is a folder"]);
        fails("latin.dl", &["error[E0302]", "latin.dl:2:5", "0xe9", "save the file as UTF-8"]);
        fails("large.dl", &["error[E0502]: large.dl is larger than 2 MiB"]);
    }
    if cfg!(target_os = "linux") {
        dlc(path, &["check", "/dev/zero"]).fails(1, &["error[E0502]"]);
    }
}

#[test]
fn starting_values_that_do_not_fit() {
    let folder = digits();
    let path = folder.path();
    let write = |name: &str, tensor: &str, values: &[f32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, vec![values.len()], &bytes).unwrap();
        fs::write(path.join(name), safetensors::serialize([(tensor, view)], None).unwrap()).unwrap();
    };
    write("name.safetensors", "classifier.dense.b", &[0.0; 10]);
    write("shape.safetensors", "classifier.dense_2.b", &[0.0; 9]);
    write("nan.safetensors", "classifier.dense_2.b", &[f32::NAN; 10]);
    write("good.safetensors", "classifier.dense_2.b", &[3.0; 10]);
    for command in ["run", "bench"] {
        let fails = |file: &str, parts: &[&str]| dlc(path, &[command, "digits.dl", "--init", file]).fails(1, parts);
        fails("name.safetensors", &["`classifier.dense.b`", "did you mean `classifier.dense_1.b`?"]);
        fails("shape.safetensors", &["`classifier.dense_2.b` is f32[10] in the program, but [9] in the file"]);
        fails("nan.safetensors", &["nan.safetensors: the tensor `classifier.dense_2.b` holds NaN"]);
        fails("digits.dl", &["error[E0310]", "in digits.dl"]);
        fails("none.safetensors", &["error[E0301]", "in none.safetensors"]);
    }
    let run = |more: &[&str]| dlc(path, &[&["run", "digits.dl", "--max-steps", "1", "--json"], more].concat()).fine();
    let last = |out: String| out.lines().last().unwrap().split("metrics").nth(1).unwrap().to_owned();
    assert_ne!(last(run(&[])), last(run(&["--init", "good.safetensors"])));
}

#[test]
fn deep_nesting_is_refused_and_not_overflowed() {
    let folder = tempfile::tempdir().unwrap();
    let repeated =
        |before: &str, n: usize, inner: &str, after: &str| format!("{}{inner}{}", before.repeat(n), after.repeat(n));
    let n = 40_000;
    let bodies = [
        repeated("(", n, "x", ")"),
        repeated("exp(", n, "x", ")"),
        repeated("-", n, "x", ""),
        repeated("", n, "x", " + x"),
        repeated("", n, "x", " |> exp"),
        repeated("", n, "x", "^2"),
        repeated("if x > 0 then ", n, "x", " else x"),
        repeated("when training { ", n, "x", " } else { x }"),
        repeated("grad(", n, "x", ", x)"),
    ];
    for body in bodies {
        fs::write(folder.path().join("deep.dl"), format!("fn f(x) = {body}\n")).unwrap();
        let beginning: String = body.chars().take(20).collect();
        let ran = dlc(folder.path(), &["check", "deep.dl"]);
        assert!(ran.err.contains("error[E0501]"), "{beginning}: {}", ran.err);
        ran.fails(1, &["128 levels", "deep.dl:1:"]);
    }
}

#[test]
fn nesting_within_the_bound_goes_through_every_stage() {
    let folder = digits();
    let body = format!("{}x{}", "tanh(".repeat(120), ")".repeat(120));
    with_definitions(folder.path(), &format!("fn f(x) = {body}")).fine();
    for command in [&["grad", "made.dl"][..], &["dump", "made.dl", "--after", "asm"], &["graph", "made.dl"]] {
        dlc(folder.path(), command).fine();
    }
}

#[test]
fn values_used_twice_do_not_double_the_program() {
    let folder = digits();
    let lets: String = (1..=10).map(|k| format!("    a{k} = 0.5*a{} + 0.5*a{}\n", k - 1, k - 1)).collect();
    with_definitions(folder.path(), &format!("fn f(x) {{\n    a0 = x\n{lets}    a10\n}}")).fine();
    // So many that a doubling at each would never end.
    let lets: String = (1..=500).map(|k| format!("    a{k} = 0.5*a{} + 0.5*a{}\n", k - 1, k - 1)).collect();
    with_definitions(folder.path(), &format!("fn f(x) {{\n    a0 = x\n{lets}    a500\n}}")).fine();
}

#[test]
fn expansion_has_bounds() {
    let folder = digits();
    let doubling: String = (1..=40).map(|k| format!("fn f{k}(x) = f{}(x) + f{}(x)\n", k - 1, k - 1)).collect();
    with_definitions(folder.path(), &format!("fn f0(x) = x\n{doubling}fn f(x) = f40(x)"))
        .fails(1, &["error[E0506]: this program expands to more than 250000 expressions", "made.dl:"]);
    let chain: String = (1..=5000).map(|k| format!("fn f{k}(x) = f{}(x) + 1\n", k - 1)).collect();
    with_definitions(folder.path(), &format!("fn f0(x) = x\n{chain}fn f(x) = f5000(x)"))
        .fails(1, &["error[E0501]: definitions expand to more than 2000 levels", "made.dl:"]);
    let chain: String = (1..=100).map(|k| format!("fn f{k}(x) = f{}(x) + 1\n", k - 1)).collect();
    with_definitions(folder.path(), &format!("fn f0(x) = x\n{chain}fn f(x) = f100(x) - 100")).fine();
}

/// Runs `dlc`, reads one line of its output and closes the pipe.
fn first_line(folder: &Path, args: &[&str]) -> (String, Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dlc"))
        .current_dir(folder)
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (line, child.wait().unwrap().code(), err)
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = digits();
    let (line, code, err) = first_line(folder.path(), &["run", "digits.dl", "--json"]);
    assert!(line.starts_with(r#"{"event":"start""#), "{line}");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for args in [&["dump", "digits.dl", "--after", "asm"][..], &["dump", "digits.dl", "--after", "tokens"], &["--help"]]
    {
        let (line, code, err) = first_line(folder.path(), args);
        assert!(!line.is_empty());
        assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let folder = digits();
    for args in [&["run", "digits.dl", "--json", "--max-steps", "2"][..], &["dump", "digits.dl", "--after", "asm"]] {
        let full = fs::File::create("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_dlc"))
            .current_dir(folder.path())
            .args(args)
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.ends_with("error: the output cannot be written: no space is left on the device\n"), "{err}");
    }
}

#[cfg(unix)]
#[test]
fn closed_streams_are_survived() {
    let folder = digits();
    for (script, code) in [
        (r#""$0" run digits.dl --max-steps 2 >&-"#, 0),
        (r#""$0" run digits.dl --max-steps 2 --json 2>&- >&-"#, 0),
        (r#""$0" check nothing.dl 2>&-"#, 1),
        (r#""$0" check digits.dl <&-"#, 0),
    ] {
        let status = Command::new("sh")
            .current_dir(folder.path())
            .args(["-c", script, env!("CARGO_BIN_EXE_dlc")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{script}");
    }
}

const PANIC: &str = "DLC_TEST_PANIC";

/// Run by the test below in a process of its own.
#[test]
fn panics_when_asked_to() {
    if std::env::var_os(PANIC).is_some() {
        dlc::cli::report_bugs();
        panic!("the pass is broken");
    }
}

#[test]
fn a_panic_is_told_as_a_bug() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::panics_when_asked_to", "--nocapture"])
        .env(PANIC, "1")
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    let told: Vec<&str> = err.lines().filter(|l| l.starts_with("error: ") || l.starts_with("help: ")).collect();
    assert_eq!(told.len(), 2, "{err}");
    assert!(told[0].contains("this is a bug in dlc") && told[0].contains("the pass is broken (tests"), "{err}");
    assert!(told[1].contains("please report it"), "{err}");
    assert!(!err.contains("stack backtrace") && !err.contains("RUST_BACKTRACE"), "{err}");
}
