//! Telling what happens in a run: JSON lines for programs; for people a progress line on a terminal, or a line every so
//! many epochs where there is none, and a table of results.
//!
//! Results (JSON lines or the table) go to `out`, progress to `err`.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

use super::event::{Action, Event, Named, PhaseEnd, RunKind, Start, StopReason, Then};
use super::metrics::{Measured, Metrics};

/// Where a run's events go.
pub struct Reporter {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    style: Style,
    /// The most epochs there can be.
    epochs: Option<u64>,
    /// The phase that runs has no data, and so no epochs.
    without_data: bool,
    /// The most steps there can be, if they are bounded.
    steps: Option<u64>,
    /// Which of several runs is at work, as it stands before a line about it.
    part: String,
    /// Evaluations in the phase that runs, and of its steps how many of `LINES` equal shares were done at the last line.
    evaluations: u64,
    shares: u64,
    /// The last results that were told.
    results: Option<Named<Metrics>>,
}

enum Style {
    Json,
    Line(ProgressBar),
    Plain,
    /// Nothing is told.
    Quiet,
}

/// How the progress line looks.
fn style() -> ProgressStyle {
    // The template is constant; were it wrong, indicatif's own would serve.
    ProgressStyle::with_template("{bar:24} {elapsed} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// About how many lines a run writes where there is no terminal.
const LINES: u64 = 20;

impl Drop for Reporter {
    /// A run that fails leaves no progress line before its error.
    fn drop(&mut self) {
        if let Style::Line(bar) = &self.style {
            bar.finish_and_clear();
        }
    }
}

impl Reporter {
    /// One JSON object a line on standard output.
    pub fn json() -> Self {
        Reporter::new(Box::new(io::stdout()), Box::new(io::stderr()), Style::Json)
    }

    /// Tells nothing, and keeps the results.
    pub fn quiet() -> Self {
        Reporter::new(Box::new(io::sink()), Box::new(io::sink()), Style::Quiet)
    }

    /// The results of the run that has ended.
    pub fn results(&self) -> Option<&Named<Metrics>> {
        self.results.as_ref()
    }

    /// For people: a progress line if standard error is a terminal.
    pub fn human() -> Self {
        let style = if io::stderr().is_terminal() { Style::Line(ProgressBar::no_length()) } else { Style::Plain };
        Reporter::new(Box::new(io::stdout()), Box::new(io::stderr()), style)
    }

    fn new(out: Box<dyn Write>, err: Box<dyn Write>, style: Style) -> Self {
        Reporter {
            out,
            err,
            style,
            epochs: None,
            without_data: false,
            steps: None,
            part: String::new(),
            evaluations: 0,
            shares: 0,
            results: None,
        }
    }

    /// Tells an event. An error is that of writing, for instance to a pipe that is closed.
    pub fn report(&mut self, event: &Event) -> io::Result<()> {
        if let Event::Done { end, .. } = event {
            self.results = Some(end.metrics.clone());
        }
        if let Style::Quiet = self.style {
            return Ok(());
        }
        if let Style::Json = self.style {
            serde_json::to_writer(&mut self.out, event)?;
            self.out.write_all(b"\n")?;
            return self.out.flush();
        }
        match event {
            Event::Start(start) => self.start(start),
            Event::Epoch { phase, epoch, steps, train, valid, .. } => {
                self.epoch(phase.as_deref(), *epoch, *steps, train, valid.as_ref())
            }
            Event::Stop { phase, reason, epoch, steps, best_epoch, best_step } => {
                let (unit, at, best) =
                    if self.without_data { ("step", *steps, *best_step) } else { ("epoch", *epoch, *best_epoch) };
                self.stop(phase.as_deref(), *reason, unit, at, best)
            }
            Event::Evaluation { phase, steps, metrics, .. } => self.evaluation(phase.as_deref(), *steps, metrics),
            Event::Then(then) => self.then(then),
            Event::Run { kind, number, of } => self.run(*kind, *number, *of),
            Event::RunDone { kind, number, metrics } => self.run_done(*kind, *number, metrics),
            Event::PhaseDone(end) => self.end(end),
            Event::Done { end, .. } => self.end(end),
        }
    }

    /// Tells of something that went wrong and does not end the run.
    pub fn warn(&mut self, text: &str) -> io::Result<()> {
        let mut write = || writeln!(self.err, "warning: {text}");
        match &self.style {
            Style::Line(bar) => bar.suspend(write),
            _ => write(),
        }
    }

    /// Moves the progress line within an epoch; cheap enough for every step.
    pub fn step(&mut self, steps: u64) {
        if let Style::Line(bar) = &self.style {
            bar.set_position(steps);
        }
    }

    fn end(&mut self, end: &PhaseEnd) -> io::Result<()> {
        self.clear();
        let PhaseEnd { phase, epochs, steps, seconds, metrics, deviation } = end;
        let of = self.before(phase.as_deref());
        let epochs = if self.without_data { String::new() } else { format!("epochs: {epochs}, ") };
        writeln!(self.err, "{of}{epochs}steps: {steps}, time: {seconds:.2} s")?;
        if let Some(phase) = phase {
            writeln!(self.out, "{phase}")?;
        }
        self.out.write_all(table(metrics).as_bytes())?;
        if let Some(deviation) = deviation {
            write!(self.out, "standard deviation\n{}", table(deviation))?;
        }
        self.out.flush()
    }

    /// One of several runs begins.
    fn run(&mut self, kind: RunKind, number: u64, of: u64) -> io::Result<()> {
        self.clear();
        self.part = format!("{} {number} of {of}: ", kind.name());
        Ok(())
    }

    /// One of several runs has ended.
    fn run_done(&mut self, kind: RunKind, number: u64, metrics: &Named<Metrics>) -> io::Result<()> {
        self.clear();
        self.part.clear();
        let parts: Vec<String> = metrics.0.iter().map(|(part, found)| format!("{part} {}", listed(found))).collect();
        writeln!(self.err, "{} {number}  {}", kind.name(), parts.join("  "))
    }

    /// A line of its own only where there is no progress line, and not for each of very many.
    fn evaluation(&mut self, phase: Option<&str>, steps: u64, metrics: &Named<Metrics>) -> io::Result<()> {
        let part = |part: &str| if self.without_data { String::new() } else { format!("{part} ") };
        let parts: Vec<String> =
            metrics.0.iter().map(|(name, found)| format!("{}{}", part(name), listed(found))).collect();
        let line = format!("{}step {steps}  {}", self.before(phase), parts.join("  "));
        self.evaluations += 1;
        let told = match self.steps {
            Some(most) => {
                let before = std::mem::replace(&mut self.shares, steps * LINES / most.max(1));
                self.shares > before
            }
            None => self.evaluations.is_multiple_of(LINES.pow(self.evaluations.ilog(LINES))),
        };
        match &self.style {
            Style::Line(bar) => bar.set_message(line),
            _ if told => writeln!(self.err, "{line}")?,
            _ => {}
        }
        Ok(())
    }

    fn then(&mut self, then: &Then) -> io::Result<()> {
        self.epochs = then.epochs;
        let line = format!("{}{}", self.part, following(then));
        if let Style::Line(bar) = &mut self.style {
            bar.finish_and_clear();
            *bar = ProgressBar::no_length();
            bar.set_style(style());
        }
        writeln!(self.err, "{line}")
    }

    /// What comes before a line about a phase of the run that is at work.
    fn before(&self, phase: Option<&str>) -> String {
        format!("{}{}", self.part, prefix(phase))
    }

    /// Takes the progress line away, so that other lines can be written.
    fn clear(&mut self) {
        if let Style::Line(bar) = &self.style {
            bar.finish_and_clear();
        }
    }

    fn start(&mut self, start: &Start) -> io::Result<()> {
        (self.epochs, self.steps, self.without_data) = (start.epochs, start.steps, start.rows.is_empty());
        (self.evaluations, self.shares) = (0, 0);
        let rows: Vec<String> = start.rows.0.iter().map(|(part, rows)| format!("{part} {rows}")).collect();
        let rows = if rows.is_empty() { String::new() } else { format!(", rows: {}", rows.join(", ")) };
        writeln!(
            self.err,
            "{}: {}{} parameters{rows}; {}, seed {}; compiled in {:.1} ms",
            start.file,
            self.before(start.phase.as_deref()),
            start.parameters,
            start.dtype,
            start.seed,
            start.compile_ms
        )?;
        if let Style::Line(bar) = &mut self.style {
            if bar.is_finished() {
                *bar = ProgressBar::no_length();
            }
            bar.set_style(style());
            let of_epochs = start.epochs.zip(start.steps_per_epoch).map(|(n, each)| n.saturating_mul(each));
            if let Some(steps) = of_epochs.or(start.steps) {
                bar.set_length(steps);
            }
        }
        Ok(())
    }

    fn epoch(
        &mut self,
        phase: Option<&str>,
        epoch: u64,
        steps: u64,
        train: &Metrics,
        valid: Option<&Metrics>,
    ) -> io::Result<()> {
        let of = self.epochs.map_or(String::new(), |epochs| format!("/{epochs}"));
        let mut line = format!("{}epoch {epoch}{of}  train {}", self.before(phase), listed(train));
        if let Some(valid) = valid {
            line += &format!("  valid {}", listed(valid));
        }
        match &self.style {
            Style::Line(bar) => {
                bar.set_position(steps);
                bar.set_message(line);
                Ok(())
            }
            _ if self.is_told(epoch) => writeln!(self.err, "{line}"),
            _ => Ok(()),
        }
    }

    /// Whether an epoch gets a line of its own: the first, the last, and evenly spaced ones between.
    fn is_told(&self, epoch: u64) -> bool {
        // Without a bound the distance grows with the epochs done: 1, 2, … 19, 20, 40, 60, … 400, 800, …
        let apart = match self.epochs {
            Some(epochs) => epochs.div_ceil(LINES).max(1),
            None => LINES.pow(epoch.max(1).ilog(LINES)),
        };
        epoch == 1 || Some(epoch) == self.epochs || epoch.is_multiple_of(apart)
    }

    /// `unit` is what the phase counts: epochs, or without data steps.
    fn stop(
        &mut self,
        phase: Option<&str>,
        reason: StopReason,
        unit: &str,
        at: u64,
        best: Option<u64>,
    ) -> io::Result<()> {
        let kept = best.map_or(String::new(), |best| format!("; the parameters of {unit} {best} are kept"));
        let reason = match reason {
            StopReason::Finished if best.is_none() => return Ok(()),
            StopReason::Finished => "finished",
            StopReason::NoImprovement => "no further improvement: stopped",
            StopReason::Reached => "the bound is reached: stopped",
            StopReason::Interrupted => "interrupted: stopped",
        };
        self.clear();
        writeln!(self.err, "{}{reason} after {unit} {at}{kept}", self.before(phase))
    }
}

/// How it is said that a phase goes on.
fn following(then: &Then) -> String {
    let Then { phase, action, on, steps, epochs, below } = then;
    let length = match (steps, epochs) {
        (Some(n), _) => format!("for {n} steps"),
        (None, Some(n)) => format!("for {n} epochs"),
        (None, None) => String::new(),
    };
    let of = prefix(phase.as_deref());
    match (action, below, epochs) {
        (Action::Continue, Some(below), Some(epoch)) => {
            format!("{of}continues on {on} until the loss is below {}, up to epoch {epoch}", number(*below))
        }
        _ => format!("{of}begins anew on {on} {length}"),
    }
}

/// What comes before a line about a phase.
fn prefix(phase: Option<&str>) -> String {
    phase.map_or(String::new(), |phase| format!("{phase}: "))
}

fn listed(metrics: &Metrics) -> String {
    let values = metrics.0.iter().filter_map(|(name, value)| match value {
        Measured::Number(value) => Some(format!("{name} {}", number(*value))),
        Measured::Table { .. } => None,
    });
    values.collect::<Vec<String>>().join(" ")
}

/// A value for people: four decimals, or an exponent where these would show nothing or too much.
fn number(value: f64) -> String {
    let plain = value == 0.0 || !value.is_finite() || (1e-3..1e6).contains(&value.abs());
    if plain { format!("{value:.4}") } else { format!("{value:.3e}") }
}

/// Parts down, metrics across.
pub fn table(parts: &Named<Metrics>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, value) in parts.0.iter().flat_map(|(_, metrics)| &metrics.0) {
        if !names.contains(&name.as_str()) && matches!(value, Measured::Number(_)) {
            names.push(name);
        }
    }
    let mut rows = vec![std::iter::once("").chain(names.iter().copied()).map(str::to_string).collect::<Vec<_>>()];
    for (part, metrics) in &parts.0 {
        let values = names.iter().map(|name| match metrics.get(name) {
            Some(Measured::Number(value)) => number(*value),
            _ => String::new(),
        });
        rows.push(std::iter::once(part.clone()).chain(values).collect());
    }
    let mut text = aligned(&rows);
    for (part, metrics) in &parts.0 {
        for (name, value) in &metrics.0 {
            if let Measured::Table { dims, values } = value {
                text += &format!("\n{part} {name}\n{}", block(dims, values));
            }
        }
    }
    text
}

/// The values of a tensor, the last axis across, a line for each place on the others.
fn block(dims: &[usize], values: &[f64]) -> String {
    let width = dims.last().copied().unwrap_or(1).max(1);
    let whole = values.iter().all(|v| v.fract() == 0.0 && v.abs() < 1e15);
    let shown = |v: &f64| if whole { format!("{v:.0}") } else { number(*v) };
    let line = |row: &[f64]| std::iter::once(String::new()).chain(row.iter().map(shown)).collect::<Vec<String>>();
    aligned(&values.chunks(width).map(line).collect::<Vec<_>>())
}

/// Rows of cells in columns, the first to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = format!("{:<width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            line += &format!("  {cell:>width$}");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// A place to write to that can be looked at.
    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Shared {
        fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    fn metrics(loss: f64, accuracy: f64) -> Metrics {
        Named(vec![("loss".into(), loss.into()), ("accuracy".into(), accuracy.into())])
    }

    fn run(style: Style, epochs: u64) -> (String, String) {
        let (out, err) = (Shared::default(), Shared::default());
        let mut reporter = Reporter::new(Box::new(out.clone()), Box::new(err.clone()), style);
        let start = Start {
            phase: None,
            file: "digits.dl".into(),
            seed: 7,
            dtype: "f32",
            threads: 1,
            parameters: 9610,
            rows: Named(vec![("train".into(), 1258), ("test".into(), 539)]),
            batch: Some(64),
            epochs: Some(epochs),
            steps: None,
            steps_per_epoch: Some(20),
            compile_ms: 4.25,
        };
        let mut events = vec![Event::Start(start)];
        for epoch in 1..=epochs {
            let train = metrics(1.0 / epoch as f64, 0.5);
            events.push(Event::Epoch { phase: None, epoch, steps: epoch * 20, seconds: 0.1, train, valid: None });
        }
        events.push(Event::Stop {
            phase: None,
            reason: StopReason::NoImprovement,
            epoch: epochs,
            steps: epochs * 20,
            best_epoch: Some(1),
            best_step: None,
        });
        events.push(Event::Done {
            end: PhaseEnd {
                phase: None,
                epochs,
                steps: epochs * 20,
                seconds: 1.234,
                metrics: Named(vec![("train".into(), metrics(0.00012, 1.0)), ("test".into(), metrics(0.5, 0.97))]),
                deviation: None,
            },
            first_step_ms: Some(31.0),
            peak_rss_mb: None,
        });
        for event in &events {
            reporter.report(event).unwrap();
        }
        (out.text(), err.text())
    }

    #[test]
    fn people_read_lines_and_a_table() {
        let (out, err) = run(Style::Plain, 2);
        assert_eq!(out, "           loss  accuracy\ntrain  1.200e-4    1.0000\ntest     0.5000    0.9700\n");
        assert_eq!(
            err,
            "digits.dl: 9610 parameters, rows: train 1258, test 539; f32, seed 7; compiled in 4.2 ms\n\
             epoch 1/2  train loss 1.0000 accuracy 0.5000\n\
             epoch 2/2  train loss 0.5000 accuracy 0.5000\n\
             no further improvement: stopped after epoch 2; the parameters of epoch 1 are kept\n\
             epochs: 2, steps: 40, time: 1.23 s\n"
        );
    }

    #[test]
    fn tensors_have_tables_of_their_own() {
        let confusion = Measured::Table { dims: vec![2, 2], values: vec![40.0, 3.0, 1.0, 106.0] };
        let metrics = Named(vec![("loss".into(), 0.25.into()), ("confusion".into(), confusion)]);
        let text = table(&Named(vec![("test".into(), metrics)]));
        assert_eq!(text, "        loss\ntest  0.2500\n\ntest confusion\n  40    3\n   1  106\n");
    }

    #[test]
    fn long_runs_write_few_lines() {
        let (_, err) = run(Style::Plain, 1000);
        let told = err.lines().filter(|line| line.starts_with("epoch ")).count();
        assert_eq!(told, LINES as usize + 1);
        let mut unbounded = Reporter::new(Box::new(io::sink()), Box::new(io::sink()), Style::Plain);
        unbounded.epochs = None;
        let told = (1..=1000).filter(|&epoch| unbounded.is_told(epoch)).count();
        assert_eq!(told, 19 + 19 + 2);
    }

    #[test]
    fn the_terminal_gets_no_results() {
        let (out, _) = run(Style::Line(ProgressBar::hidden()), 3);
        assert_eq!(out.lines().count(), 3);
    }

    #[test]
    fn programs_read_one_object_a_line() {
        let (out, err) = run(Style::Json, 3);
        assert_eq!(err, "");
        let events: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["start", "epoch", "epoch", "epoch", "stop", "done"]);
        assert_eq!(events[0]["rows"]["train"], 1258);
        assert_eq!(events[4]["reason"], "no_improvement");
        assert_eq!(events[5]["metrics"]["test"]["accuracy"], 0.97);
    }
}
