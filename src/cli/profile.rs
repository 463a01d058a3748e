//! `dlc profile FILE`: what the time of a training step goes to, against what the machine can do.
//!
//! Input: a program. Output: a table or a JSON object whose shares of the step's time add up to one.

use super::failure::Failure;
use super::load::{Loaded, load_trainable};
use super::options::Profile as Asked;
use super::run::{failure, settings, starting_tensors};
use super::{print, stages};
use crate::codegen::{self, Peaks};
use crate::data::{FloatType, describe};
use crate::schedule::program::{Program, Step, Work};
use crate::source::{FileId, Files, Span};
use crate::train::{self, Profile, RunError, Session, Settings, schedule_of, training_batch};
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;

/// Characters of an expression that the table shows.
const LONGEST: usize = 60;

pub fn execute(asked: &Asked) -> Result<(), Failure> {
    let settings = settings(&asked.compile, asked.start.seed)?;
    let loaded = load_trainable(&asked.source, FloatType::of(settings.dtype))?;
    let own = loaded.sources();
    let Loaded { files, program, tables, .. } = loaded;
    let init = starting_tensors(asked.start.init.as_deref(), settings.dtype)?;
    let origin = match train::Source::new(&program, &tables, &settings) {
        Ok(origin) => origin,
        Err(error) => return Err(failure(error, files)),
    };
    let phase = asked.phase.as_deref().map_or(Ok(0), |name| stages::phase(&origin.model, name))?;
    let measured = (|| {
        let batch = training_batch(&program, phase, &tables)?;
        let scheduled = schedule_of(&origin.model.phases[phase].step, batch, &settings)?;
        let profile = train::profile(&mut Session::start(origin, phase, &init)?, asked.steps)?;
        Ok::<_, RunError>((scheduled, batch.rows, profile))
    })();
    let (program, rows, profile) = match measured {
        Ok(measured) => measured,
        Err(error) => return Err(failure(error, files)),
    };
    let peaks = codegen::measure(settings.threads, settings.dtype);
    let told = Told { asked, settings: &settings, files: &files, own, program: &program, rows, profile, peaks };
    match &asked.json {
        None => print(&told.table()),
        Some(None) => print(&format!("{}\n", told.json())),
        Some(Some(path)) => {
            let written = fs::write(path, format!("{:#}\n", told.json()));
            written.map_err(|e| Failure::message(format!("cannot write {}: {}", path.display(), describe(&e))))?;
            print(&told.table())
        }
    }
}

/// What was measured, and what it is about.
struct Told<'a> {
    asked: &'a Asked,
    settings: &'a Settings,
    files: &'a Files,
    /// The user's own files.
    own: Vec<FileId>,
    program: &'a Program,
    /// Of a full batch.
    rows: u64,
    profile: Profile,
    peaks: Peaks,
}

/// A stretch of a step: what it took and what it did.
struct Line {
    number: Option<usize>,
    seconds: f64,
    flops: u64,
    bytes: u64,
    what: String,
}

/// An expression of the source that a kernel computes.
struct Expression {
    span: Span,
    path: String,
}

impl Told<'_> {
    /// The expressions a step computes, each in no other of them, and the place among them of the one that names the step: the
    /// last that the user wrote.
    fn expressions(&self, step: &Step) -> (Vec<Expression>, Option<usize>) {
        let origins = step.fused.iter().map(|f| &f.origin).chain([&step.origin]);
        let mut all: Vec<Expression> = Vec::new();
        for origin in origins {
            let Some(span) = origin.span else { continue };
            if !all.iter().any(|e| e.span == span && *e.path == *origin.path) {
                all.push(Expression { span, path: origin.path.to_string() });
            }
        }
        let within = |a: &Expression, b: &Expression| {
            let (x, y) = (a.span, b.span);
            x != y && a.path == b.path && x.file == y.file && y.start <= x.start && x.end <= y.end
        };
        let keep: Vec<bool> = all.iter().map(|a| !all.iter().any(|b| within(a, b))).collect();
        let mut keep = keep.into_iter();
        all.retain(|_| keep.next().unwrap_or(true));
        let named = all.iter().rposition(|e| self.own.contains(&e.span.file)).or(all.len().checked_sub(1));
        (all, named)
    }

    /// The text of an expression on one line.
    fn text(&self, span: Span) -> String {
        self.files.slice(span).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn place(&self, span: Span) -> (String, usize) {
        (self.files.path(span.file).display().to_string(), self.files.line_column(span).0)
    }

    /// What a step computes, in a line: its place, its path, its text.
    fn title(&self, step: &Step) -> String {
        let (all, named) = self.expressions(step);
        let Some(named) = named.and_then(|k| all.get(k)) else { return step.name.clone() };
        let (file, line) = self.place(named.span);
        let file = file.rsplit('/').next().unwrap_or_default().to_owned();
        let path = if named.path.is_empty() { String::new() } else { format!("{}: ", named.path) };
        let mut text = self.text(named.span);
        if text.chars().count() > LONGEST {
            text = text.chars().take(LONGEST - 1).chain(['…']).collect();
        }
        let updates = self.program.updates(step);
        let updates = if updates.is_empty() { String::new() } else { format!(" -> {}", updates.join(", ")) };
        let more = if all.len() > 1 { format!(" (and {} more)", all.len() - 1) } else { String::new() };
        format!("{file}:{line}  {path}{text}{more}{updates}")
    }

    /// Every stretch of a step, in the order in which they run.
    fn lines(&self) -> Vec<Line> {
        let steps = self.program.steps.iter().zip(&self.profile.parts).enumerate();
        let kernels = steps.map(|(number, (step, seconds))| {
            let cost = self.program.cost(step);
            let bytes = cost.read.saturating_add(cost.written);
            Line { number: Some(number), seconds: *seconds, flops: cost.flops, bytes, what: self.title(step) }
        });
        let other =
            |seconds: f64, what: &str| Line { number: None, seconds, flops: 0, bytes: 0, what: what.to_owned() };
        let gather = other(self.profile.gather, "gathering the rows of the batch");
        let waiting = other(self.profile.waiting, "forking and joining threads, and their waiting for each other");
        let driver = other(self.profile.driver, "around the step: numbering it, looking at its losses");
        kernels.chain([gather, waiting, driver]).collect()
    }

    fn table(&self) -> String {
        let (profile, peaks) = (&self.profile, &self.peaks);
        let share = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
        let mut lines = self.lines();
        let (flops, bytes) =
            lines.iter().fold((0u64, 0u64), |(f, b), l| (f.saturating_add(l.flops), b.saturating_add(l.bytes)));
        let mut text = format!(
            "{}: {} rows a step, {} threads, {:?}\n\
             a step takes {:.3} us; timed part by part {:.3} us, forking {:.1} times\n\
             machine: {:.1} GFLOP/s on one thread, {:.1} on {}; memory {:.1} GB/s read, {:.1} copied; fork and join {:.2} us\n\n",
            self.asked.source.file.display(),
            self.rows,
            self.settings.threads,
            self.settings.cpu,
            profile.plain * 1e6,
            profile.whole() * 1e6,
            profile.forks,
            peaks.thread_flops / 1e9,
            peaks.flops / 1e9,
            peaks.threads,
            peaks.read / 1e9,
            peaks.copy / 1e9,
            peaks.fork_join * 1e6,
        );
        text += "    kernel    us/step   share  GFLOP/s  of peak     GB/s  of memory  expression\n";
        lines.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        let whole = Line { number: None, seconds: profile.whole(), flops, bytes, what: "the step".into() };
        for line in lines.iter().chain([&whole]) {
            let number = line.number.map_or(String::new(), |n| n.to_string());
            let rate = |amount: u64, peak: f64| match (amount, line.seconds > 0.0) {
                (0, _) | (_, false) => (String::new(), String::new()),
                (amount, _) => {
                    let rate = amount as f64 / line.seconds;
                    (format!("{:.1}", rate / 1e9), format!("{:.0} %", 100.0 * share(rate, peak)))
                }
            };
            let (operations, of_peak) = rate(line.flops, peaks.flops);
            let (traffic, of_memory) = rate(line.bytes, peaks.bandwidth());
            let _ = writeln!(
                text,
                "    {number:>6} {:>10.3} {:>5.1} % {operations:>8} {of_peak:>8} {traffic:>8} {of_memory:>10}  {}",
                line.seconds * 1e6,
                100.0 * share(line.seconds, profile.whole()),
                line.what
            );
        }
        text += "\nBeyond 100 % of memory, a kernel works in the caches.\n";
        text
    }

    fn json(&self) -> Value {
        let (profile, peaks) = (&self.profile, &self.peaks);
        let share = |seconds: f64| if profile.whole() > 0.0 { seconds / profile.whole() } else { 0.0 };
        let rate =
            |amount: u64, seconds: f64| if seconds > 0.0 { json!(amount as f64 / seconds / 1e9) } else { json!(0.0) };
        let steps = self.program.steps.iter().zip(&profile.parts);
        let kernels: Vec<Value> = steps
            .map(|(step, seconds)| {
                let cost = self.program.cost(step);
                let (all, named) = self.expressions(step);
                let expression = |e: &Expression| {
                    let (file, line) = self.place(e.span);
                    json!({ "file": file, "line": line, "text": self.text(e.span), "path": e.path })
                };
                json!({
                    "name": step.name,
                    "kind": if matches!(step.work, Work::Product(_)) { "product" } else { "loops" },
                    "expression": named.and_then(|k| all.get(k)).map(expression),
                    "expressions": all.iter().map(expression).collect::<Vec<_>>(),
                    "updates": self.program.updates(step),
                    "us": seconds * 1e6,
                    "predicted_us": self.program.nanoseconds(step) / 1e3,
                    "share": share(*seconds),
                    "flops": cost.flops,
                    "read_bytes": cost.read,
                    "written_bytes": cost.written,
                    "gflop_per_s": rate(cost.flops, *seconds),
                    "gb_per_s": rate(cost.read.saturating_add(cost.written), *seconds),
                })
            })
            .collect();
        let other = |name: &str, seconds: f64| json!({ "name": name, "us": seconds * 1e6, "share": share(seconds) });
        json!({
            "file": self.asked.source.file.display().to_string(),
            "rows": self.rows,
            "threads": self.settings.threads,
            "cpu": format!("{:?}", self.settings.cpu).to_lowercase(),
            "steps": profile.steps,
            "step_us": profile.plain * 1e6,
            "timed_step_us": profile.whole() * 1e6,
            "forks": profile.forks,
            "machine": {
                "thread_gflop_per_s": peaks.thread_flops / 1e9,
                "gflop_per_s": peaks.flops / 1e9,
                "read_gb_per_s": peaks.read / 1e9,
                "copy_gb_per_s": peaks.copy / 1e9,
                "fork_join_us": peaks.fork_join * 1e6,
            },
            "kernels": kernels,
            "other": [other("gather", profile.gather), other("waiting", profile.waiting), other("driver", profile.driver)],
        })
    }
}
