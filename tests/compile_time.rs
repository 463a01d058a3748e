//! What compiling takes, stage by stage, as nets grow deeper: it grows with the text, not faster.
//!
//! ```sh
//! DLC_FULL=1 cargo test --release --test compile_time -- --nocapture
//! ```
//! prints the table for nets of 50 to 400 layers.

use dlc::check::typed::Train;
use dlc::check::{self, ColumnKind, ColumnSchema, Schema, Schemas};
use dlc::codegen::{self, compile};
use dlc::elaborate::{self, Model};
use dlc::ir::{Bindings, DType, Graph};
use dlc::optimize;
use dlc::runtime::{Machine, Memory};
use dlc::schedule::{self, schedule};
use dlc::source::Files;
use dlc::syntax;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// So many affine layers with relu, trained by Adam.
fn net(layers: usize) -> String {
    let mut text = "data d = csv(\"d.csv\", target: y)\nnet model(x: [N, 64]) -> [N, 10] {\n a0 = x\n".to_string();
    for k in 1..layers {
        let _ = writeln!(text, " a{k} = relu(dense(a{}, 64))", k - 1);
    }
    let _ = write!(
        text,
        " dense(a{}, 10)\n}}\ntrain {{\n minimize cross_entropy(model(x), y) + 1e-4 * l2(weights)\n on d, batch 128\n \
         using adam\n epochs 1\n}}\n",
        layers - 1
    );
    text
}

fn schemas() -> Schemas {
    let x = ColumnSchema { name: "x".into(), axes: vec![64], kind: ColumnKind::Float };
    let y = ColumnSchema { name: "y".into(), axes: Vec::new(), kind: ColumnKind::Int { min: 0, max: 9 } };
    Schemas::from([("d".to_string(), Schema { rows: 1000, columns: vec![x, y] })])
}

/// What the process has computed, where the system tells it: other work on the machine does not count.
fn busy() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name in parentheses: user and system time are the 12th and 13th, in hundredths of a second.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks()? + ticks()?)))
}

/// The value, and the processor time it took or the time that has passed, whichever is less.
fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let (start, before) = (Instant::now(), busy());
    let value = run();
    let spent = busy().zip(before).map(|(after, before)| after.saturating_sub(before) + Duration::from_millis(10));
    (value, start.elapsed().min(spent.unwrap_or(Duration::MAX)))
}

/// The stages with the time each takes.
fn stages(layers: usize) -> Vec<(&'static str, Duration)> {
    let mut out = Vec::new();
    let text = net(layers);
    let mut files = Files::default();
    let file = files.add("net.dl", &*text);
    let ((tree, errors), time) = timed(|| syntax::parse(file, &text));
    assert!(errors.is_empty());
    out.push(("parse", time));
    let prelude = check::prelude(&mut files);
    let prelude: Vec<_> = prelude.iter().collect();
    let ((program, errors), time) = timed(|| check::check(&prelude, &tree, &schemas(), &[]));
    assert!(errors.is_empty(), "{errors:?}");
    out.push(("check", time));
    let options = elaborate::Options { dtype: DType::F32 };
    let (model, time): (Model, _) = timed(|| elaborate::elaborate(&program, options).unwrap());
    out.push(("elaborate", time));
    assert_eq!(model.parameters.len(), 2 * layers);
    let step = &model.phases[0].step;
    let mut graph: Graph = step.clone();
    for pass in optimize::passes() {
        let (after, time) = timed(|| (pass.run)(&graph).unwrap());
        out.push((pass.name, time));
        graph = after;
    }
    let options = schedule::Options::new(Bindings::from([(Train::batch_symbol(), 128)]));
    let (scheduled, time) = timed(|| schedule(&graph, &options).unwrap());
    out.push(("schedule", time));
    let options = codegen::Options { threads: 2, ..codegen::Options::default() };
    let (compiled, time) = timed(|| compile(&scheduled, &options).unwrap());
    out.push(("codegen", time));
    let (machine, time) = timed(|| Machine::new(compiled, &mut Memory::new()).unwrap());
    out.push(("machine", time));
    drop(machine);
    out
}

#[test]
fn time_grows_with_the_depth_of_a_net() {
    let full = std::env::var_os("DLC_FULL").is_some();
    let depths: &[usize] = if full { &[50, 100, 200, 400] } else { &[20, 160] };
    let mut rows: Vec<(&'static str, Vec<Duration>)> = Vec::new();
    for depth in depths {
        for (name, time) in stages(*depth) {
            match rows.iter_mut().find(|(known, _)| *known == name) {
                Some((_, times)) => times.push(time),
                None => rows.push((name, vec![time])),
            }
        }
    }
    let total = |k: usize| rows.iter().map(|(_, times)| times[k]).sum::<Duration>();
    for (name, times) in &rows {
        println!("{name:>24} {}", times.iter().map(|t| format!("{:>10.1}", t.as_secs_f64() * 1e3)).collect::<String>());
    }
    let totals: Vec<f64> = (0..depths.len()).map(|k| total(k).as_secs_f64()).collect();
    println!("{:>24} {}", "total, ms", totals.iter().map(|t| format!("{:>10.1}", t * 1e3)).collect::<String>());
    let growth = totals[depths.len() - 1] / totals[0];
    let depth = depths[depths.len() - 1] as f64 / depths[0] as f64;
    assert!(growth < 2.0 * depth, "a net {depth} times as deep takes {growth:.1} times as long to compile");
}
