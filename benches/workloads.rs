//! Times the workloads of `benches/workloads` and prints the table: `cargo bench --bench workloads`.
//!
//! Of each: milliseconds a step, the median of interleaved runs, and the quickest steps; the least it could take by counting
//! operations and bytes against the most that the machine was measured to do in between, and how much of this the quickest
//! steps reach, so that neither is of a moment when others had the machine; what the input pipeline adds; from the start of
//! the process to the end of the first step, less reading the data; peak memory, less the data. With `-- --peers PYTHON DIR`, `torch_bench.py` and
//! `jax_bench.py` of that directory run on the same numbers in between, and the ratio to the best of them is told; those that
//! cannot be run are left out with a note. Further: `--only NAME`, `--threads N`, `--runs N`.

#[path = "../tests/support/workloads.rs"]
mod workloads;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use workloads::{WORKLOADS, Workload};

/// The other frameworks' scripts with their variants.
const PEERS: [(&str, &str); 4] =
    [("torch_bench.py", "eager"), ("torch_bench.py", "compile"), ("jax_bench.py", "jit"), ("jax_bench.py", "scan")];

/// Milliseconds of stepping that a run is timed for, about.
const BUDGET_MS: f64 = 1000.0;

/// Operations from which a step is counted as work for all threads: less is not worth waking them.
const SHARED_FROM: f64 = 1e7;

/// What the command line asks for.
struct Asked {
    threads: usize,
    runs: usize,
    only: Option<String>,
    peers: Option<(String, PathBuf)>,
}

impl Asked {
    fn new() -> Asked {
        let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
        let after = |flag: &str, n: usize| args.iter().position(|a| a == flag).and_then(|k| args.get(k + n)).cloned();
        let number = |flag: &str, or: usize| after(flag, 1).and_then(|t| t.parse().ok()).unwrap_or(or);
        Asked {
            threads: number("--threads", 2),
            runs: number("--runs", 5),
            only: after("--only", 1),
            peers: after("--peers", 1).zip(after("--peers", 2).map(PathBuf::from)),
        }
    }
}

fn json(command: &mut Command) -> Option<Value> {
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last()?).ok()
}

/// `dlc` with one of its timing commands on a workload.
fn dlc(command: &str, program: &Path, workload: &Workload, asked: &Asked, steps: u64) -> Option<Value> {
    let mut dlc = Command::new(env!("CARGO_BIN_EXE_dlc"));
    dlc.args([command, "--json"]).arg(program).arg("--init").arg(workload.init());
    json(dlc.args(["--threads", &asked.threads.to_string(), "--steps", &steps.to_string()]))
}

fn peer(script: &str, variant: &str, workload: &Workload, asked: &Asked) -> Option<f64> {
    let (python, directory) = asked.peers.as_ref()?;
    let mut peer = Command::new(python);
    peer.arg(directory.join(script)).args([workload.name, "--variant", variant]);
    json(peer.args(["--threads", &asked.threads.to_string()]))?["ms_median"].as_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// How much longer a step takes for having its batch gathered.
fn input(profile: Option<Value>) -> String {
    let Some(profile) = profile else { return "failed".into() };
    let others = profile["other"].as_array().cloned().unwrap_or_default();
    let gather = others.iter().find(|o| o["name"] == "gather").map_or(f64::NAN, |o| number(&o["share"]));
    format!("{:.3}x", 1.0 / (1.0 - gather))
}

/// The most that the machine was measured to do: operations on one thread and on all, and bytes, a nanosecond each.
#[derive(Default)]
struct Machine {
    thread: f64,
    all: f64,
    bytes: f64,
}

impl Machine {
    fn note(&mut self, profile: &Value) {
        let rate = |name: &str| number(&profile["machine"][name]);
        self.thread = self.thread.max(rate("thread_gflop_per_s"));
        self.all = self.all.max(rate("gflop_per_s"));
        self.bytes = self.bytes.max(rate("read_gb_per_s")).max(rate("copy_gb_per_s"));
    }

    /// The least milliseconds of a step.
    fn floor(&self, workload: &Workload) -> f64 {
        let flops = if workload.operations < SHARED_FROM { self.thread } else { self.all };
        (workload.operations / flops).max(workload.traffic / self.bytes) / 1e6
    }
}

/// One row of the table, and notes on what could not be run.
fn row(workload: &Workload, asked: &Asked) -> Option<(String, Vec<String>)> {
    let program = workload.program();
    let trial = dlc("bench", &program, workload, asked, 20)?;
    let steps = (BUDGET_MS / number(&trial["ms_median"])).clamp(20.0, 1e7) as u64;
    let names = ["ms_median", "ms_min", "first_step_ms", "reading_ms", "peak_rss_mb"];
    let mut own: [Vec<f64>; 5] = Default::default();
    let (mut machine, mut in_order) = (Machine::default(), None);
    let mut theirs: Vec<Vec<f64>> = vec![Vec::new(); PEERS.len()];
    for _ in 0..asked.runs {
        if let Some(result) = dlc("bench", &program, workload, asked, steps) {
            own.iter_mut().zip(names).for_each(|(all, name)| all.push(number(&result[name])));
        }
        for ((script, variant), times) in PEERS.iter().zip(&mut theirs) {
            times.extend(peer(script, variant, workload, asked));
        }
        if let Some(profile) = dlc("profile", &program, workload, asked, steps.min(1000)) {
            machine.note(&profile);
            in_order = Some(profile);
        }
    }
    let quickest = own[1].iter().copied().fold(f64::NAN, f64::min);
    let [ms, _, first, reading, memory] = own.map(|mut all| median(&mut all));
    let mut notes = Vec::new();
    let mut best: Option<(f64, String)> = None;
    for ((script, variant), times) in PEERS.iter().zip(&mut theirs) {
        let name = format!("{} {variant}", script.trim_end_matches("_bench.py"));
        if times.is_empty() && asked.peers.is_some() {
            notes.push(format!("{name} does not run {}", workload.name));
        } else if !times.is_empty() {
            let time = median(times);
            best = best.filter(|(least, _)| *least <= time).or(Some((time, name)));
        }
    }
    let floor = machine.floor(workload);
    let shuffled = dlc("profile", &workload.shuffled(), workload, asked, steps.min(1000));
    let (peer, ahead) = best
        .map_or_else(Default::default, |(time, name)| (format!("{time:.5} ({name})"), format!("{:.2}x", time / ms)));
    let data = workload.data_bytes() as f64 / 1e6;
    let row = format!(
        "| {} | {ms:.5} | {peer} | {ahead} | {quickest:.5} | {floor:.5} | {:.0} % | {} | {} | {:.1} | {memory:.1} - {data:.1} |",
        workload.name,
        100.0 * floor / quickest,
        input(in_order),
        input(shuffled),
        first - reading,
    );
    Some((row, notes))
}

fn main() {
    let asked = Asked::new();
    println!(
        "| workload | dlc, ms/step | best peer, ms/step | ahead by | quickest, ms | floor, ms | reached | \
         input, in order | shuffled | first step, ms | memory - data, MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let mut notes = Vec::new();
    for workload in WORKLOADS.iter().filter(|w| asked.only.as_deref().is_none_or(|o| o == w.name)) {
        workload.prepare();
        match row(workload, &asked) {
            Some((row, more)) => {
                println!("{row}");
                notes.extend(more);
            }
            None => println!("| {} | failed |", workload.name),
        }
    }
    if asked.peers.is_none() {
        notes.push("no other framework was asked for: `-- --peers PYTHON DIR`".into());
    }
    for note in notes {
        println!("note: {note}");
    }
}
