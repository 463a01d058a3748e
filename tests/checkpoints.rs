//! Runs that are stopped, killed and damaged: a resumed run equals the uninterrupted one, and a checkpoint is whole or refused.
//!
//! `DLC_FULL=1` kills a thousand times.

use dlc::train::record::{Folder, Standing};
use runs::{command, dlc, fine, json, names, resumes, same};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[path = "checkpoints/kinds.rs"]
mod kinds;
#[path = "checkpoints/runs.rs"]
mod runs;
#[path = "checkpoints/searches.rs"]
mod searches;
#[path = "checkpoints/several.rs"]
mod several;

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
    let folder = runs::folder();
    fs::write(folder.path().join("p.dl"), PROGRAM).unwrap();
    fs::write(folder.path().join("stages.dl"), STAGES).unwrap();
    folder
}

#[test]
fn a_run_stopped_anywhere_and_resumed_equals_the_uninterrupted_one() {
    let home = folder();
    // Every place in an epoch, the borders, and places before and after the best one.
    resumes(home.path(), "p.dl", &[], &[1, 2, 3, 4, 5, 7, 8, 11, 12, 17, 20, 23]);
}

#[test]
fn phases_and_what_follows_a_stop_are_resumed() {
    let home = folder();
    let path = home.path();
    fine(path, &["run", "stages.dl", "--name", "whole"]);
    let whole = path.join("runs/whole");
    let most = json(&whole.join("summary.json"))["steps"].as_u64().unwrap();
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

/// Every rule of the library, each for a net of its own.
#[test]
fn the_state_of_every_rule_survives() {
    let home = folder();
    let path = home.path();
    let (mut nets, mut players, mut kept) = (String::new(), String::new(), Vec::new());
    for (_, text) in dlc::check::LIBRARY {
        for definition in text.split("\noptimizer ").skip(1) {
            let (name, body) = definition.split_once('(').unwrap();
            nets += &format!("net of_{name}(x: [N, 3]) -> [N, 1] = x |> dense(4) |> tanh |> dense(1)\n");
            players += &format!(
                "minimize j_{name} = mean((sum(of_{name}(x)) / N - y)^2) over of_{name} using {name}(lr: 0.03)\n"
            );
            let end = body.find("\n}").unwrap();
            for state in body[..end].lines().filter_map(|line| line.trim().strip_prefix("state ")) {
                kept.push(format!("{name}.{}", state.split_whitespace().next().unwrap()));
            }
        }
    }
    assert!(kept.len() >= 30, "{kept:?}");
    let program = format!(
        "data points = csv(\"points.csv\", target: y)\n{nets}train {{\n on points, batch 16\n steps 11\n{players}}}"
    );
    fs::write(path.join("rules.dl"), program).unwrap();
    fine(path, &["run", "rules.dl", "--name", "whole"]);
    let whole = path.join("runs/whole");
    let standing = Standing::read(&Folder::open(&whole).unwrap().last()).unwrap();
    let names: Vec<&str> = standing.tensors.iter().map(|(name, _)| &**name).collect();
    for state in kept {
        let there = |name: &&str| *name == state || name.starts_with(&format!("{state}."));
        assert!(names.iter().any(there), "{state} is not in the checkpoint: {names:?}");
    }
    for steps in ["1", "6"] {
        let name = format!("at-{steps}");
        fine(path, &["run", "rules.dl", "--name", &name, "--max-steps", steps]);
        fine(path, &["run", "--resume", &format!("runs/{name}")]);
        same(&whole, &path.join("runs").join(name));
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
    let kills = if full { 1000 } else { 20 };
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

/// Goes on with a run where no file may grow beyond so many blocks of 512 or 1024 bytes; the write that would is an error.
#[cfg(unix)]
fn confined(folder: &Path, blocks: u32, args: &str) -> (Option<i32>, String) {
    let script = format!(r#"trap '' XFSZ; ulimit -f {blocks}; exec "$0" run {args}"#);
    let output = Command::new("sh")
        .current_dir(folder)
        .args(["-c", &script, env!("CARGO_BIN_EXE_dlc")])
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_checkpoint() {
    let home = folder();
    let path = home.path();
    fine(path, &["run", "p.dl", "--name", "whole"]);
    let mut told = Vec::new();
    // From room for nothing to room for all: the first file that does not fit is another each time.
    for blocks in [0, 1, 3, 4, 6, 40] {
        let name = format!("full-{blocks}");
        fine(path, &["run", "p.dl", "--name", &name, "--max-steps", "6"]);
        let run = path.join("runs").join(&name);
        let before = fs::read(run.join("last.safetensors")).unwrap();
        let (code, text) = confined(path, blocks, &format!("--resume runs/{name} --save-every 0"));
        let after = fs::read(run.join("last.safetensors")).unwrap();
        if code == Some(0) {
            told.push("");
            same(&path.join("runs/whole"), &run);
            continue;
        }
        assert_eq!(code, Some(1), "{text}");
        let files = ["metrics.jsonl", "metrics.csv", "best.safetensors", "last.safetensors", "summary.json"];
        let file = files.into_iter().find(|file| {
            text.contains(&format!("error[E0315]: runs/{name}/{file} cannot be written: the file would be too large"))
        });
        told.push(file.unwrap_or_else(|| panic!("{text}")));
        assert_eq!(after, before);
        assert!(!names(&run).contains("partial"));
        fine(path, &["run", "--resume", run.to_str().unwrap()]);
        same(&path.join("runs/whole"), &run);
    }
    assert_eq!((told[0], told[5]), ("metrics.jsonl", ""), "{told:?}");
    assert!(told.contains(&"last.safetensors") && told.contains(&"best.safetensors"), "{told:?}");
}

#[cfg(unix)]
#[test]
fn a_second_interrupt_ends_a_save_and_leaves_a_checkpoint() {
    let home = folder();
    let path = home.path();
    let endless = ["--set", "length=1000000", "--set", "patience=1000000"];
    fine(path, &[&["run", "p.dl", "--name", "i", "--max-steps", "1"], &endless[..]].concat());
    let run = path.join("runs/i");
    let mut last = 1;
    for wait in [0, 1, 3, 10] {
        let mut child = command(path, &["run", "--resume", "runs/i", "--save-every", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let interrupt = || Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success();
        let begun = Instant::now();
        // Saved at every step: the handler is there.
        while Standing::read(&run.join("last.safetensors")).unwrap().about.progress.global_step <= last {
            assert!(begun.elapsed() < Duration::from_secs(20), "the run does not begin");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(interrupt());
        std::thread::sleep(Duration::from_millis(wait));
        // The process may have ended by itself.
        interrupt();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let steps = Standing::read(&run.join("last.safetensors")).unwrap().about.progress.global_step;
        assert!(steps > last);
        last = steps;
    }
    let most = (last + 5).to_string();
    fine(path, &["run", "--resume", "runs/i", "--max-steps", &most]);
    assert!(!names(&run).contains("partial"));
    fine(path, &[&["run", "p.dl", "--name", "w", "--max-steps", &most], &endless[..]].concat());
    same(&path.join("runs/w"), &run);
}
