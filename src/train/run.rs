//! A training run: the phases of a program one after the other; in each, epochs of steps, evaluation, stopping.
//!
//! Input: a checked program, its data and settings. Output: events, and the trained parameters in memory. Invariant: the run
//! is a function of program, data and seed; threads change its time only.

use super::build::{BuildError, Settings};
use super::event::{Event, Named, PhaseEnd, Start, StopReason};
use super::metrics::Metrics;
use super::progress::Reporter;
use super::session::{Session, Source};
use super::state::{copy, restore};
use super::stopping::{Patience, Verdict};
use super::trace::Diverged;
use crate::check::typed::{Duration as Length, ExprKind, Kind, Measure, Program, StopMetric};
use crate::data::{DataError, Table};
use crate::ir::Tensor;
use crate::runtime::RuntimeError;
use crate::runtime::memory::{ProcessClock, peak_rss_mb};
use crate::source::Diagnostic;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Instant;

/// What a run is asked for besides its program.
pub struct Request<'r> {
    /// The program's file, as it is shown.
    pub file: String,
    pub settings: Settings,
    /// Tensors to start from, by path.
    pub init: Vec<(String, Tensor)>,
    /// The most steps, whatever the program says.
    pub max_steps: Option<u64>,
    pub clock: &'r ProcessClock,
}

/// Why a run ended early.
#[derive(Debug)]
pub enum RunError {
    Diagnostic(Box<Diagnostic>),
    Build(BuildError),
    Data(DataError),
    Runtime(RuntimeError),
    /// A NaN or an infinity.
    Diverged(Box<Diverged>),
    /// A given tensor does not fit the program.
    Init(String),
    Io(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Diagnostic(d) => write!(f, "{}", d.message),
            RunError::Build(e) => write!(f, "{e}"),
            RunError::Data(e) => write!(f, "{}", e.message()),
            RunError::Runtime(e) => write!(f, "{e}"),
            RunError::Diverged(d) => write!(f, "the loss is not finite at step {}", d.step),
            RunError::Init(why) => write!(f, "{why}"),
            RunError::Io(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for RunError {}

macro_rules! from {
    ($($source:ty => $variant:ident),+ $(,)?) => {
        $(impl From<$source> for RunError {
            fn from(e: $source) -> RunError {
                RunError::$variant(e.into())
            }
        })+
    };
}

from! { Diagnostic => Diagnostic, BuildError => Build, DataError => Data, RuntimeError => Runtime, io::Error => Io }

/// Whether more of a measure is better: it is the value of a `metric`, not of a loss or a formula.
fn grows(program: &Program, measure: &Measure) -> bool {
    match &measure.value.kind {
        ExprKind::Call(call) => program.definition(call.def).kind == Kind::Metric,
        _ => false,
    }
}

/// Runs a program from its first step to its last.
pub fn run(
    program: &Program,
    tables: &BTreeMap<String, Table>,
    request: &Request,
    reporter: &mut Reporter,
) -> Result<(), RunError> {
    let source = Source::new(program, tables, &request.settings)?;
    let mut session = Session::start(source, 0, &request.init)?;
    let mut run = Run { request, reporter, began: Instant::now(), first_step_ms: None };
    let phases = session.source.model.phases.len();
    loop {
        run.phase(&mut session)?;
        let end = run.end(&mut session)?;
        let last = session.progress.phase + 1 == phases || run.exhausted(&session);
        if last {
            return Ok(run.reporter.report(&Event::Done {
                end,
                first_step_ms: run.first_step_ms,
                peak_rss_mb: peak_rss_mb(),
            })?);
        }
        run.reporter.report(&Event::PhaseDone(end))?;
        session = session.next_phase()?;
    }
}

/// What lasts from the first step of a run to its last.
struct Run<'r> {
    request: &'r Request<'r>,
    reporter: &'r mut Reporter,
    began: Instant,
    first_step_ms: Option<f64>,
}

impl Run<'_> {
    /// From where a phase stands to its end.
    fn phase(&mut self, session: &mut Session) -> Result<(), RunError> {
        self.reporter.report(&Event::Start(start(session, self.request)))?;
        let mut reason = StopReason::Finished;
        while !self.done(session) {
            let (loss, rows) = session.step()?;
            self.first_step_ms.get_or_insert_with(|| self.request.clock.elapsed_ms());
            session.progress.means.add([loss], rows);
            self.reporter.step(session.steps());
            if (session.epoch_done() || self.steps_done(session)) && self.epoch(session)? == Some(Verdict::Stop) {
                reason = StopReason::NoImprovement;
                break;
            }
        }
        let epoch = session.progress.epoch;
        let best_epoch = session.progress.stop.as_ref().and_then(Patience::best_epoch).filter(|b| *b != epoch);
        if let Some(best) = session.best.take() {
            restore(&mut session.engine.memory, &best)?;
        }
        let phase = session.phase().name.clone();
        Ok(self.reporter.report(&Event::Stop { phase, reason, epoch, best_epoch })?)
    }

    /// The end of an epoch, or of the steps there are: evaluates what decides whether to go on.
    fn epoch(&mut self, session: &mut Session) -> Result<Option<Verdict>, RunError> {
        session.progress.epoch += 1;
        session.check_finite()?;
        let train = session.train;
        let watched = match &train.stop {
            Some(stop) => {
                let rows = session.dataset.rows(stop.rows);
                Some(session.evaluate(&rows)?)
            }
            None => None,
        };
        let progress = &mut session.progress;
        let verdict = match (&train.stop, &watched, &mut progress.stop) {
            (Some(stop), Some(metrics), Some(patience)) => {
                let value = |name: &str| metrics.get(name).copied().unwrap_or(f64::NAN);
                let falling = match stop.metric {
                    StopMetric::Loss => value("loss"),
                    StopMetric::Measure(k) if grows(session.source.program, &train.measures[k]) => {
                        -value(&train.measures[k].name)
                    }
                    StopMetric::Measure(k) => value(&train.measures[k].name),
                };
                Some(patience.observe(progress.epoch, falling))
            }
            _ => None,
        };
        if verdict == Some(Verdict::Improved) {
            session.best = Some(copy(&session.engine.memory));
        }
        let means = session.progress.means.means();
        session.progress.means.clear();
        self.reporter.report(&Event::Epoch {
            phase: session.phase().name.clone(),
            epoch: session.progress.epoch,
            steps: session.steps(),
            seconds: self.began.elapsed().as_secs_f64(),
            train: means,
            valid: watched,
        })?;
        Ok(verdict)
    }

    /// Loss and measures on every part, as the phase has left them.
    fn end(&self, session: &mut Session) -> Result<PhaseEnd, RunError> {
        let metrics: Vec<(String, Metrics)> = session.evaluate_parts()?;
        Ok(PhaseEnd {
            phase: session.phase().name.clone(),
            epochs: session.progress.epoch,
            steps: session.steps(),
            seconds: self.began.elapsed().as_secs_f64(),
            metrics: Named(metrics),
        })
    }

    /// Whether the steps asked for, over all phases, are done.
    fn exhausted(&self, session: &Session) -> bool {
        self.request.max_steps.is_some_and(|n| session.progress.global_step >= n)
    }

    fn steps_done(&self, session: &Session) -> bool {
        let all = matches!(session.train.duration, Length::Steps(n) if session.steps() >= n);
        all || self.exhausted(session)
    }

    /// Whether the phase is.
    fn done(&self, session: &Session) -> bool {
        let epochs = matches!(session.train.duration, Length::Epochs(n) if session.progress.epoch >= n);
        epochs || self.steps_done(session)
    }
}

fn start(session: &Session, request: &Request) -> Start {
    Start {
        phase: session.phase().name.clone(),
        file: request.file.clone(),
        seed: request.settings.seed,
        dtype: if request.settings.dtype == crate::ir::DType::F64 { "f64" } else { "f32" },
        threads: request.settings.threads,
        parameters: session.parameters(),
        rows: Named(session.dataset.parts.iter().map(|(name, rows)| (name.clone(), rows.len() as u64)).collect()),
        batch: session.batches.size() as u64,
        epochs: match session.train.duration {
            Length::Epochs(n) => Some(n),
            Length::Steps(_) => None,
        },
        steps_per_epoch: session.batches.per_epoch() as u64,
        compile_ms: session.engine.compile_time.as_secs_f64() * 1e3,
    }
}
