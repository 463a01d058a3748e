//! Every command on the digits example.

use super::{digits, dlc, dlc_in, json_lines};
use serde_json::Value;
use std::fs;

/// The losses of all epochs, and the metrics at the end.
fn losses(out: &str) -> Vec<Value> {
    let keep = |e: &Value| match e["event"].as_str() {
        Some("epoch") => Some(Value::from(vec![e["train"].clone(), e["valid"].clone()])),
        Some("done") => Some(e["metrics"].clone()),
        _ => None,
    };
    json_lines(out).iter().filter_map(keep).collect()
}

#[test]
fn run_tells_people_what_happened() {
    let folder = digits();
    let ran = dlc(folder.path(), &["run", "digits.dl", "--max-steps", "20"]);
    assert!(ran.err.contains("9610 parameters, rows: train 1258, valid 270, test 269"), "{}", ran.err);
    assert!(ran.err.contains("epoch 1/100"), "{}", ran.err);
    let out = ran.fine();
    let rows: Vec<Vec<&str>> = out.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["loss", "accuracy"]);
    assert_eq!([rows[1][0], rows[2][0], rows[3][0]], ["train", "valid", "test"]);
    assert!(rows[3][2].parse::<f64>().unwrap() > 0.3, "{out}");
}

#[test]
fn run_as_json_ends_with_the_metrics_of_every_part() {
    let folder = digits();
    let out = dlc(folder.path(), &["run", "digits.dl", "--max-steps", "25", "--json"]).fine();
    let events = json_lines(&out);
    let kinds: Vec<&str> = events.iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["start", "epoch", "epoch", "stop", "done"]);
    assert_eq!(events[1]["steps"], 20);
    assert_eq!(events[4]["steps"], 25);
    for part in ["train", "valid", "test"] {
        let metrics = &events[4]["metrics"][part];
        assert!(metrics["loss"].as_f64().unwrap() > 0.0 && metrics["accuracy"].as_f64().unwrap() > 0.3, "{metrics}");
    }
    assert_eq!(events[4]["metrics"]["valid"], events[2]["valid"]);
}

#[test]
fn runs_repeat_whatever_the_threads_and_differ_by_seed() {
    let folder = digits();
    let run = |more: &[&str]| {
        let args = [&["run", "digits.dl", "--max-steps", "41", "--json"], more].concat();
        losses(&dlc(folder.path(), &args).fine())
    };
    let first = run(&["--seed", "7", "--threads", "1"]);
    assert_eq!(first.len(), 4);
    assert_eq!(first, run(&["--seed", "7", "--threads", "1"]));
    assert_eq!(first, run(&["--seed", "7", "--threads", "2"]));
    assert_ne!(first, run(&["--seed", "8", "--threads", "1"]));
    // An exact pass keeps the bits.
    assert_eq!(first, run(&["--seed", "7", "--off", "fold", "--off", "simplify"]));
}

#[test]
fn a_constant_of_the_file_is_set_from_the_command_line() {
    let folder = digits();
    let path = folder.path().join("digits.dl");
    let text = fs::read_to_string(&path).unwrap().replace("lr: 1e-3", "lr: rate") + "\nrate = 1e-3\n";
    fs::write(&path, text).unwrap();
    let run = |more: &[&str]| {
        losses(&dlc(folder.path(), &[&["run", "digits.dl", "--max-steps", "3", "--json"], more].concat()).fine())
    };
    assert_eq!(run(&[]), run(&["--set", "rate=0.001"]));
    assert_ne!(run(&[]), run(&["--set", "rate=0.01"]));
    dlc(folder.path(), &["check", "digits.dl", "--set", "rat=1"])
        .fails(1, &["error[E0201]: no constant is called `rat`", "did you mean `rate`?"]);
}

#[test]
fn check_is_silent_about_a_program_without_errors() {
    let folder = digits();
    let ran = dlc(folder.path(), &["check", "digits.dl"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "", ""));
    assert_eq!(dlc(folder.path(), &["check", "digits.dl", "--json"]).fine(), "[]\n");
}

#[test]
fn grad_prints_the_derivatives_of_the_parameters_asked_for() {
    let folder = digits();
    let all = dlc(folder.path(), &["grad", "digits.dl"]).fine();
    let some = dlc(folder.path(), &["grad", "digits.dl", "--of", "classifier.dense_2"]).fine();
    for (text, of) in [(&all, 4), (&some, 2)] {
        assert_eq!(text.lines().filter(|l| l.starts_with("grad ")).count(), of, "{text}");
    }
    dlc(folder.path(), &["grad", "digits.dl", "--of", "classifier.hidden"])
        .fails(1, &["no parameter begins with `classifier.hidden`", "classifier.dense_1.W"]);
}

#[test]
fn the_schedule_says_what_it_chose() {
    let folder = tempfile::tempdir().unwrap();
    let program = "data d(x, y) = wide() seed 1\nfn wide() = (normal([128, 600]), normal([128, 1]))\n\
                   net f(x: [N, 600]) -> [N, 1] = x |> dense(512) |> relu |> dense(1)\n\
                   train {\n    minimize mse(f(x), y)\n    on d, batch 128\n    using momentum(lr: 1e-3)\n    \
                   steps 1\n}\n";
    std::fs::write(folder.path().join("wide.dl"), program).unwrap();
    // Tiles are of wide code, and of the products that passes leave.
    let dump = |threads: &str| {
        let args = ["dump", "wide.dl", "--after", "schedule", "--threads", threads];
        dlc_in(&[("DLC_CPU", ""), ("DLC_OFF", "")], folder.path(), &args).fine()
    };
    let (one, two) = (dump("1"), dump("2"));
    assert!(one.contains("by columns: steps"), "{one}");
    assert!(one.contains("stage 0 on 1 thread:") && !one.contains("on 2 threads"), "{one}");
    assert!(two.contains("on 2 threads: steps") && two.contains("tiles of 64 columns"), "{two}");
    assert!(two.contains("rows, 2 buffers asked for ahead"), "{two}");
}

#[test]
fn the_environment_gives_defaults_of_vectors_and_passes() {
    let folder = digits();
    let path = folder.path();
    let dump = ["dump", "digits.dl", "--after", "schedule"];
    let with = |off: &str, more: &[&str]| dlc_in(&[("DLC_OFF", off)], path, &[&dump, more].concat()).fine();
    let whole = with("", &[]);
    let left_out = with("", &["--off", "contract", "--off", "fold"]);
    assert_ne!(left_out, whole);
    assert_eq!(with("contract, fold,", &[]), left_out);
    assert_eq!(with("simplify", &["--off", "contract", "--off", "fold"]), left_out, "the command line says it better");
    // A run that is resumed leaves out what it left out before.
    let run = ["run", "digits.dl", "--name", "a", "--max-steps", "3"];
    dlc_in(&[("DLC_OFF", "fold")], path, &run).fine();
    let kept = fs::read_to_string(path.join("runs/a/config.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap()["off"], serde_json::json!(["fold"]));
    dlc_in(&[("DLC_OFF", "contract")], path, &["run", "--resume", "runs/a", "--max-steps", "5"]).fine();
    let portable = ["bench", "digits.dl", "--steps", "1"];
    dlc_in(&[("DLC_CPU", "portable"), ("DLC_OFF", "dead")], path, &portable).fine();
    for (name, value, told) in [
        ("DLC_CPU", "sse", "the environment's DLC_CPU: there are no vectors `sse`; there are portable, avx2, avx512"),
        ("DLC_OFF", "fold,foldd", "the environment's DLC_OFF: the pass `foldd` does not exist"),
        ("DLC_OFF", "stabilize", "the pass `stabilize` cannot be switched off"),
    ] {
        dlc_in(&[(name, value)], path, &["bench", "digits.dl"]).fails(1, &[told]);
    }
}

#[test]
fn dump_prints_every_stage() {
    let folder = digits();
    let stages = [
        ("tokens", "Newline"),
        ("ast", "net classifier"),
        ("check", "net classifier(x: [N, 64]) -> [N, 10]"),
        ("graph", "classifier.dense_1.W"),
        ("gradient", "classifier.dense_1.W"),
        ("stabilize", "classifier.dense_1.W"),
        ("differentiate", "classifier.dense_1.W"),
        ("stabilize-derivatives", "classifier.dense_1.W"),
        ("canonicalize", "classifier.dense_1.W"),
        ("fold", "classifier.dense_1.W"),
        ("simplify", "classifier.dense_1.W"),
        ("contract", "contract["),
        ("reciprocals", "contract["),
        ("row-sums", "contract["),
        ("dead", "contract["),
        ("schedule", "kernels"),
        ("clif", "function"),
        ("asm", "block0:"),
    ];
    for (stage, part) in stages {
        let text = dlc(folder.path(), &["dump", "digits.dl", "--after", stage]).fine();
        assert!(text.contains(part), "{stage}: `{part}` is not in\n{text}");
    }
    let named: Vec<&str> = stages.iter().map(|s| s.0).collect();
    let ran = dlc(folder.path(), &["dump", "digits.dl", "--after", "shedule"]);
    assert!(ran.err.contains(&named.join(", ")), "{}", ran.err);
    ran.fails(1, &["there is no stage `shedule`", "did you mean `schedule`?"]);
}

#[test]
fn graph_writes_both_files_here_or_where_it_is_told() {
    let folder = digits();
    fs::create_dir_all(folder.path().join("here/there")).unwrap();
    let here = folder.path().join("here");
    assert_eq!(dlc(&here, &["graph", "../digits.dl"]).fine(), "digits.dot\ndigits.svg\n");
    assert_eq!(
        dlc(&here, &["graph", "../digits.dl", "-o", "there", "--after", "dead"]).fine(),
        "there/digits.dot\nthere/digits.svg\n"
    );
    for place in ["here", "here/there"] {
        let read = |name: &str| fs::read_to_string(folder.path().join(place).join(name)).unwrap();
        assert!(read("digits.dot").starts_with("digraph"));
        assert!(read("digits.svg").contains("</svg>"));
    }
    assert!(!folder.path().join("digits.dot").exists());
}

#[test]
fn graph_says_which_file_cannot_be_written() {
    let folder = digits();
    dlc(folder.path(), &["graph", "digits.dl", "-o", "nowhere"])
        .fails(1, &["error[E0315]", "there is no such file or folder", "nowhere/digits.dot"]);
    // A file stands where the folder should be.
    dlc(folder.path(), &["graph", "digits.dl", "-o", "digits.dl"]).fails(1, &["error[E0315]", "digits.dl/digits.dot"]);
}

#[cfg(unix)]
#[test]
fn graph_leaves_nothing_in_a_folder_it_may_not_write() {
    use std::os::unix::fs::PermissionsExt;
    let folder = digits();
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write everywhere.
    if fs::File::create(locked.join("probe")).is_err() {
        dlc(folder.path(), &["graph", "digits.dl", "-o", "locked"])
            .fails(1, &["permission denied", "locked/digits.dot"]);
        assert_eq!(fs::read_dir(&locked).unwrap().count(), 0);
    }
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn test_compares_the_gradient_of_every_parameter() {
    let folder = digits();
    let out = dlc(folder.path(), &["test", "digits.dl"]).fine();
    assert!(out.contains("the gradient agrees with differences") && out.ends_with('\n'), "{out}");
    let report = &json_lines(&dlc(folder.path(), &["test", "digits.dl", "--json"]).fine())[0];
    assert_eq!(report["passed"], true);
    assert_eq!(report["parameters"].as_array().unwrap().len(), 4);
    for parameter in report["parameters"].as_array().unwrap() {
        assert!(parameter["checked"].as_u64().unwrap() >= 10, "{parameter}");
        assert!(parameter["worst"]["relative_error"].as_f64().unwrap() < 1e-6, "{parameter}");
    }
    let ran = dlc(folder.path(), &["test", "digits.dl", "--tolerance", "1e-13"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("DISAGREES"), "{}", ran.out);
}

#[test]
fn bench_reports_one_object() {
    let folder = digits();
    let args = ["bench", "digits.dl", "--steps", "20", "--threads", "2", "--losses", "3", "--json"];
    let lines = json_lines(&dlc(folder.path(), &args).fine());
    assert_eq!(lines.len(), 1);
    let report = &lines[0];
    assert_eq!(report["threads"], 2);
    assert_eq!(report["losses"].as_array().unwrap().len(), 3);
    let mut figures = vec!["ms_median", "ms_min", "compile_ms", "first_step_ms"];
    if cfg!(target_os = "linux") {
        figures.push("peak_rss_mb");
    }
    for figure in figures {
        assert!(report[figure].as_f64().unwrap_or(0.0) > 0.0, "{figure}: {report}");
    }
    assert!(report["ms_min"].as_f64() <= report["ms_median"].as_f64());
    let text = dlc(folder.path(), &["bench", "digits.dl", "--steps", "5"]).fine();
    assert!(text.contains("ms/step"), "{text}");
}

#[test]
fn errors_are_explained() {
    let folder = digits();
    for code in ["E0203", "e0203", "0203", "203"] {
        let text = dlc(folder.path(), &["explain-error", code]).fine();
        assert!(text.starts_with("E0203: these shapes do not fit\n\n"), "{code}: {text}");
    }
    dlc(folder.path(), &["explain-error", "E9999"]).fails(1, &["there is no error code `E9999`"]);
}

#[test]
fn help_and_version() {
    let folder = digits();
    let help = dlc(folder.path(), &["--help"]).fine();
    for command in
        ["run", "check", "grad", "dump", "graph", "test", "bench", "profile", "fmt", "doc", "new", "explain-error"]
    {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        let help = dlc(folder.path(), &[command, "--help"]).fine();
        assert!(help.contains("Usage: dlc"), "{help}");
    }
    assert_eq!(dlc(folder.path(), &["--version"]).fine(), format!("dlc {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn usage_errors_end_with_2() {
    let folder = digits();
    let cases: [(&[&str], &str); 13] = [
        (&[], "Usage: dlc"),
        (&["run"], "<FILE>"),
        (&["fly"], "unrecognized subcommand 'fly'"),
        (&["run", "digits.dl", "--fly"], "unexpected argument '--fly'"),
        (&["run", "digits.dl", "--threads", "0"], "'--threads <THREADS>'"),
        (&["run", "digits.dl", "--seed", "x"], "'--seed <SEED>'"),
        (&["run", "digits.dl", "--dtype", "f16"], "possible values: f32, f64"),
        (&["run", "digits.dl", "--set", "lr"], "expected NAME=VALUE"),
        (&["run", "digits.dl", "--set", "=1"], "expected NAME=VALUE"),
        (&["run", "digits.dl", "--set", "lr=fast"], "`fast` is not a number"),
        (&["run", "digits.dl", "--set", "lr=nan"], "`nan` is not a finite number"),
        (&["bench", "digits.dl", "--steps", "0"], "'--steps <STEPS>'"),
        (&["dump", "digits.dl"], "--after"),
    ];
    for (args, part) in cases {
        dlc(folder.path(), args).fails(2, &[part]);
    }
}

#[test]
fn passes_that_cannot_be_switched_off() {
    let folder = digits();
    for command in [&["run", "digits.dl"][..], &["dump", "digits.dl", "--after", "graph"], &["bench", "digits.dl"]] {
        let with = |pass| dlc(folder.path(), &[command, &["--off", pass]].concat());
        with("simplfy").fails(1, &["the pass `simplfy` does not exist", "fold, simplify", "did you mean `simplify`?"]);
        with("differentiate").fails(1, &["the pass `differentiate` cannot be switched off"]);
    }
}
