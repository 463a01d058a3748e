//! Runs that are stopped, killed and damaged: a resumed run equals the uninterrupted one, and a checkpoint is whole or refused.
//!
//! `DLC_FULL=1` kills a thousand times.

use dlc::train::record::{Folder, Standing};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Everything a run can carry from step to step: parameters, the optimizer's moments and count, layer state, draws, an order
/// of rows, the mean of an epoch, patience and a best copy. There are 4 steps to an epoch, the last with fewer rows.
const PROGRAM: &str = r#"
data points = csv("points.csv", target: y)
split points into train 70%, valid 30% seed 3

layer centred(x: [N, D]; keep = 0.9) {
    state running: [D] = 0
    m = mean(x over N)
    running' = keep*running + (1 - keep)*m
    y[n, d] = x[n, d] - m[d]
    z[n, d] = x[n, d] - running[d]
    when training { y } else { z }
}

net f(x: [N, 3]) -> [N] {
    h = x |> dense(6) |> centred |> tanh |> dropout(0.3) |> dense(1)
    y[n] = sum(o) h[n, o]
    y
}

rate = 0.01
length = 6
patience = 2

train {
    minimize mean((f(x) - y)^2) + 1e-3 * l2(weights)
    on       points.train, batch 8
    using    adam(lr: rate)
    measure  error = mean(abs(f(x) - y))
    epochs   length
    stop     when points.valid loss has not improved for patience epochs
}
"#;

/// Phases; stopping and training again on all rows; a rate that falls on plateaus; an average; evaluation between epochs.
const STAGES: &str = r#"
data points = csv("points.csv", target: y)
split points into train 70%, valid 30% seed 3

net f(x: [N, 3]) -> [N] {
    h = x |> dense(4) |> tanh |> dropout(0.2)
    o = dense(h, 1)
    y[n] = sum(k) o[n, k]
    y
}

train {
    measure error = mean(abs(f(x) - y))
    phase first {
        minimize mean((f(x) - y)^2)
        on       points.train, batch 8
        using    adam(lr: 0.3 * 0.5^plateaus)
        average  ema(rho: 0.9)
        watch    plateaus = points.valid loss, patience 1
        epochs   8
        stop     when points.valid loss has not improved for 2 epochs, then retrain on points for as many steps
    }
    phase second {
        minimize mean((f(x) - y)^2) over f.o
        on       points.train, batch 10 in order
        using    momentum(lr: 0.01)
        evaluate every 2 steps
        steps    7
    }
}
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.dl"), PROGRAM).unwrap();
    fs::write(folder.path().join("stages.dl"), STAGES).unwrap();
    let mut text = "a,b,c,y\n".to_owned();
    for k in 0..40 {
        let [a, b, c] = [7, 11, 13].map(|m| f64::from(k * 37 % m) / f64::from(m) - 0.5);
        text += &format!("{a:.4},{b:.4},{c:.4},{:.4}\n", a * b + c);
    }
    fs::write(folder.path().join("points.csv"), text).unwrap();
    folder
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlc"));
    command.current_dir(folder).env("NO_COLOR", "1").env_remove("RUST_BACKTRACE").args(args).stdin(Stdio::null());
    command
}

/// Runs `dlc`; its status and what it said.
fn dlc(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = command(folder, args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[track_caller]
fn fine(folder: &Path, args: &[&str]) {
    let (code, text) = dlc(folder, args);
    assert_eq!(code, Some(0), "{args:?}\n{text}");
}

/// The files of a run that are the same whenever its numbers are.
fn figures(run: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for name in ["last.safetensors", "best.safetensors"] {
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
fn names(folder: &Path) -> String {
    let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn same(a: &Path, b: &Path) {
    for ((name, a), (_, b)) in figures(a).iter().zip(figures(b)) {
        assert!(*a == b, "{name} differs:\n{}\n{}", String::from_utf8_lossy(a), String::from_utf8_lossy(&b));
    }
}

#[test]
fn a_run_stopped_anywhere_and_resumed_equals_the_uninterrupted_one() {
    let home = folder();
    let path = home.path();
    fine(path, &["run", "p.dl", "--name", "whole"]);
    let whole = path.join("runs/whole");
    let at = |steps: u64| path.join(format!("runs/at-{steps}"));
    // Every place in an epoch, the borders, and places before and after the best one.
    for steps in [1, 2, 3, 4, 5, 7, 8, 11, 12, 17, 20, 23] {
        let name = format!("at-{steps}");
        fine(path, &["run", "p.dl", "--name", &name, "--max-steps", &steps.to_string()]);
        let run = at(steps).display().to_string();
        fine(path, &["run", "--resume", &run]);
        same(&whole, &at(steps));
    }
}

#[test]
fn phases_and_what_follows_a_stop_are_resumed() {
    let home = folder();
    let path = home.path();
    fine(path, &["run", "stages.dl", "--name", "whole"]);
    let whole = path.join("runs/whole");
    let summary: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(whole.join("summary.json")).unwrap()).unwrap();
    let most = summary["steps"].as_u64().unwrap();
    // Each phase and stage in its midst and around its borders.
    for part in 1..12 {
        let (name, steps) = (format!("at-{part}"), (most * part / 12).max(1).to_string());
        fine(path, &["run", "stages.dl", "--name", &name, "--max-steps", &steps]);
        let run = path.join("runs").join(name);
        fine(path, &["run", "--resume", run.to_str().unwrap()]);
        same(&whole, &run);
    }
    // A process for each step, from the second training of the first phase on.
    fine(path, &["run", "stages.dl", "--name", "slow", "--max-steps", &(most - 22).to_string()]);
    for steps in most - 21..=most {
        fine(path, &["run", "--resume", "runs/slow", "--max-steps", &steps.to_string()]);
    }
    fine(path, &["run", "--resume", "runs/slow"]);
    same(&whole, &path.join("runs/slow"));
}

#[test]
fn a_run_stopped_at_every_step_equals_one_stopped_once() {
    let home = folder();
    let path = home.path();
    for (dtype, last) in [("f32", 9), ("f64", 6)] {
        let (once, often) = (format!("once-{dtype}"), format!("often-{dtype}"));
        let most = last.to_string();
        fine(path, &["run", "p.dl", "--dtype", dtype, "--seed", "5", "--name", &once, "--max-steps", &most]);
        fine(path, &["run", "p.dl", "--dtype", dtype, "--seed", "5", "--name", &often, "--max-steps", "1"]);
        let often = path.join("runs").join(often);
        for steps in 2..=last {
            fine(path, &["run", "--resume", often.to_str().unwrap(), "--max-steps", &steps.to_string()]);
        }
        same(&path.join("runs").join(once), &often);
    }
}

#[test]
fn a_run_killed_at_any_moment_leaves_a_checkpoint_to_go_on_from() {
    let full = std::env::var_os("DLC_FULL").is_some();
    let home = folder();
    let path = home.path();
    let run = path.join("runs/k");
    fine(
        path,
        &["run", "p.dl", "--name", "k", "--set", "length=1000000", "--set", "patience=1000000", "--max-steps", "1"],
    );
    let mut noise: u64 = 1;
    let mut furthest = 1;
    let mut advanced = 0;
    let kills = if full { 1000 } else { 30 };
    for kill in 0..kills {
        noise = noise.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mut child = command(path, &["run", "--resume", "runs/k", "--save-every", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The first moment is that of the first save; the next ones are spread over some saves.
        let begun = Instant::now();
        let before = fs::metadata(run.join("last.safetensors")).unwrap().modified().unwrap();
        let changed = || fs::metadata(run.join("last.safetensors")).is_ok_and(|m| m.modified().unwrap() != before);
        while !changed() && begun.elapsed() < Duration::from_secs(20) {
            assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_micros((noise >> 33) % 20_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let standing = Standing::read(&Folder::open(&run).unwrap().last()).unwrap();
        let steps = standing.about.progress.global_step;
        assert!(steps >= furthest, "kill {kill}: {steps} after {furthest}");
        advanced += u64::from(steps > furthest);
        furthest = steps;
    }
    assert!(advanced > kills / 2, "{advanced} of {kills} runs came further");
    // What is left goes on as if nothing had been.
    let most = (furthest + 5).to_string();
    fine(path, &["run", "--resume", "runs/k", "--max-steps", &most]);
    fine(
        path,
        &["run", "p.dl", "--name", "w", "--set", "length=1000000", "--set", "patience=1000000", "--max-steps", &most],
    );
    same(&path.join("runs/w"), &run);
    assert!(!names(&run).contains("partial"));
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let home = folder();
    let path = home.path();
    fine(path, &["run", "p.dl", "--name", "d", "--max-steps", "6"]);
    let last = path.join("runs/d/last.safetensors");
    let whole = fs::read(&last).unwrap();
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&last, bytes).unwrap();
        let (code, text) = dlc(path, &["run", "--resume", "runs/d"]);
        assert_eq!(code, Some(1), "{what}: {text}");
        assert!(text.contains("error[E0601]: runs/d/last.safetensors is not used"), "{what}: {text}");
    };
    for length in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..length], &format!("cut to {length}"));
    }
    for at in [0, 9, 60, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        refused(&bytes, &format!("changed at {at}"));
    }
    // Through the whole file by the library, since a process takes its time.
    let mut bytes = whole.clone();
    for at in 0..bytes.len() {
        let bit = 1 << (at % 8);
        bytes[at] ^= bit;
        assert!(dlc::train::checkpoint::open::<serde_json::Value>(&bytes).is_err(), "byte {at}");
        bytes[at] ^= bit;
    }
    fs::write(&last, &whole).unwrap();
    fine(path, &["run", "--resume", "runs/d"]);
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_checkpoint() {
    let home = folder();
    let path = home.path();
    fine(path, &["run", "p.dl", "--name", "full", "--max-steps", "6"]);
    let last = path.join("runs/full/last.safetensors");
    let before = fs::read(&last).unwrap();
    // No file may grow beyond a block of 512 or 1024 bytes; the write that would is an error.
    let script = r#"trap '' XFSZ; ulimit -f 1; exec "$0" run --resume runs/full --save-every 0 --max-steps 12"#;
    let output = Command::new("sh")
        .current_dir(path)
        .args(["-c", script, env!("CARGO_BIN_EXE_dlc")])
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error[E0315]: runs/full/last.safetensors cannot be written"), "{text}");
    assert_eq!(fs::read(&last).unwrap(), before);
    assert!(!names(&path.join("runs/full")).contains("partial"));
    fine(path, &["run", "--resume", "runs/full"]);
    fine(path, &["run", "p.dl", "--name", "whole"]);
    same(&path.join("runs/whole"), &path.join("runs/full"));
}
