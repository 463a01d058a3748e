//! Times the workloads of `benches/workloads` and prints a table: `cargo bench --bench workloads`.
//!
//! With `-- --peers PYTHON DIR` it also runs `torch_bench.py` and `jax_bench.py` of that directory on the same
//! workloads, interleaved, and prints the ratio to the best of them.

#[path = "../tests/support/workloads.rs"]
mod workloads;

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use workloads::{WORKLOADS, Workload};

/// Interleaved repetitions; the median of their medians is quoted.
const REPETITIONS: usize = 3;

/// The other frameworks' scripts with their variants.
const PEERS: [(&str, &str); 3] = [("torch_bench.py", "eager"), ("jax_bench.py", "jit"), ("jax_bench.py", "scan")];

/// Milliseconds of stepping a workload is timed for, about.
const BUDGET_MS: f64 = 1500.0;

fn json(command: &mut Command) -> Option<Value> {
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last()?).ok()
}

fn dlc(workload: &Workload, threads: usize, steps: u64) -> Option<Value> {
    json(
        Command::new(env!("CARGO_BIN_EXE_dlc"))
            .args(["bench", "--json"])
            .arg(workload.program())
            .arg("--init")
            .arg(workload.init())
            .args(["--threads", &threads.to_string(), "--steps", &steps.to_string()]),
    )
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let after = |flag: &str, n: usize| args.iter().position(|a| a == flag).and_then(|k| args.get(k + n)).cloned();
    let peers = after("--peers", 1).zip(after("--peers", 2));
    let threads: usize = after("--threads", 1).and_then(|t| t.parse().ok()).unwrap_or(2);
    let only = after("--only", 1);
    println!("| workload | dlc, ms/step | compile, ms | first step, ms | memory, MB | best peer, ms/step | ahead by |");
    println!("|---|---|---|---|---|---|---|");
    for workload in WORKLOADS.iter().filter(|w| only.as_deref().is_none_or(|o| o == w.name)) {
        workload.prepare();
        let Some(trial) = dlc(workload, threads, 20) else {
            println!("| {} | failed |", workload.name);
            continue;
        };
        let steps = (BUDGET_MS / trial["ms_median"].as_f64().unwrap_or(1.0)).clamp(20.0, 1e6) as u64;
        let (mut own, mut last) = (Vec::new(), Value::Null);
        let mut theirs: Vec<Vec<f64>> = vec![Vec::new(); PEERS.len()];
        for _ in 0..REPETITIONS {
            if let Some(result) = dlc(workload, threads, steps) {
                own.extend(result["ms_median"].as_f64());
                last = result;
            }
            if let Some((python, directory)) = &peers {
                for ((script, variant), times) in PEERS.iter().zip(&mut theirs) {
                    let result = json(Command::new(python).arg(Path::new(directory).join(script)).args([
                        workload.name,
                        "--variant",
                        variant,
                        "--threads",
                        &threads.to_string(),
                    ]));
                    times.extend(result.and_then(|r| r["ms_median"].as_f64()));
                }
            }
        }
        let own = median(&mut own);
        let best = theirs
            .iter_mut()
            .zip(PEERS)
            .filter(|(times, _)| !times.is_empty())
            .map(|(times, (script, variant))| (median(times), script, variant))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let (peer, ahead) = match best {
            Some((ms, script, variant)) => {
                (format!("{ms:.5} ({} {variant})", script.trim_end_matches("_bench.py")), format!("{:.2}x", ms / own))
            }
            None => ("".into(), "".into()),
        };
        println!(
            "| {} | {own:.5} | {:.1} | {:.1} | {:.1} | {peer} | {ahead} |",
            workload.name,
            last["compile_ms"].as_f64().unwrap_or(f64::NAN),
            last["first_step_ms"].as_f64().unwrap_or(f64::NAN),
            last["peak_rss_mb"].as_f64().unwrap_or(f64::NAN),
        );
    }
}
