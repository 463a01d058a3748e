//! A training run: the phases of a program one after the other; in each, epochs of steps, evaluation, stopping.
//!
//! Input: a checked program, its data and settings. Output: events, and the trained parameters in memory. Invariant: the run
//! is a function of program, data and seed; threads change its time only.

use super::build::{BuildError, Settings};
use super::division::Part;
use super::event::{Event, Named, PhaseEnd, Start, StopReason, Then};
use super::metrics::Metrics;
use super::progress::Reporter;
use super::record::{Keeper, Row, Sight, Stood};
use super::session::{Session, Source};
use super::state::Stage;
use super::stopping::Verdict;
use super::trace::Diverged;
use super::watching::Look;
use crate::check::typed::{Duration as Length, Program};
use crate::data::{DataError, Table};
use crate::ir::{Op, Role, Tensor};
use crate::runtime::RuntimeError;
use crate::runtime::memory::{ProcessClock, peak_rss_mb};
use crate::source::Diagnostic;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// Whether the run is to end after the step it is in.
    pub interrupted: &'r AtomicBool,
}

/// How a run has ended that did not fail.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Ended {
    /// At the program's end, or after the steps asked for.
    Finished,
    Interrupted {
        /// Steps done since the start, or since that of the part.
        steps: u64,
        /// Which of several runs it was.
        part: Option<Part>,
    },
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

/// Runs a program from its first step, or from where a run of it stood, to its last.
pub fn run(
    program: &Program,
    tables: &BTreeMap<String, Table>,
    request: &Request,
    stood: Stood,
    keeper: &mut Keeper,
    reporter: &mut Reporter,
) -> Result<Ended, RunError> {
    let source = Source::new(program, tables, &request.settings)?;
    let reached = stood.reached();
    let session = match stood.last {
        Some(standing) => Session::resumed(source, standing)?,
        None => Session::start(source, 0, &request.init)?,
    };
    keeper.begin(&reached, &request.init)?;
    let before = keeper.seconds();
    let mut run = Run { request, reporter, keeper, began: Instant::now(), before, first_step_ms: None, left: false };
    let ended = match program.train.as_ref().and_then(|t| t.repetition) {
        Some(repetition) => run.repeat(session, repetition, stood.parts),
        None => run.phases(session),
    };
    if let Err(error) = &ended {
        let how = if matches!(error, RunError::Diverged(_)) { "diverged" } else { "failed" };
        run.keeper.summary(&json!({ "ended": how, "why": error.to_string() }))?;
    }
    ended
}

/// What lasts from the first step of a run to its last.
pub(super) struct Run<'r> {
    pub(super) request: &'r Request<'r>,
    pub(super) reporter: &'r mut Reporter,
    keeper: &'r mut Keeper,
    began: Instant,
    /// Seconds of training before the run was resumed.
    before: f64,
    first_step_ms: Option<f64>,
    /// Whether the run has been saved to be taken up again: what comes after is told and not kept.
    pub(super) left: bool,
}

impl Run<'_> {
    fn phases(&mut self, mut session: Session) -> Result<Ended, RunError> {
        let phases = session.source.model.phases.len();
        loop {
            let reason = self.phase(&mut session)?;
            if reason == StopReason::Interrupted {
                return self.interrupted(&session);
            }
            let end = self.end(&mut session)?;
            if self.left || session.progress.phase + 1 == phases {
                self.conclude(&session, reason, end)?;
                return Ok(Ended::Finished);
            }
            self.reporter.report(&Event::PhaseDone(end))?;
            session = session.next_phase()?;
        }
    }

    /// The end of a run that the user has ended, after it has been saved.
    pub(super) fn interrupted(&mut self, session: &Session) -> Result<Ended, RunError> {
        let (steps, part, reason) = (session.progress.global_step, session.part, StopReason::Interrupted);
        self.keeper.summary(&json!({ "ended": reason, "steps": steps, "seconds": self.seconds() }))?;
        Ok(Ended::Interrupted { steps, part })
    }

    /// Keeps what a run, or one of several, has come to.
    pub(super) fn keep_end(&mut self, session: &Session) -> Result<(), RunError> {
        Ok(self.keeper.end(&sight(session), true)?)
    }

    /// From where a phase stands to its end.
    pub(super) fn phase(&mut self, session: &mut Session) -> Result<StopReason, RunError> {
        self.reporter.report(&Event::Start(start(session, self.request)))?;
        loop {
            let reason = self.stage(session)?;
            let epoch = session.progress.epoch;
            let kept = reason != StopReason::Interrupted;
            let best = session.progress.best.filter(|_| kept && session.best.is_some());
            if kept {
                session.take_best()?;
            }
            let phase = session.phase().name.clone();
            let (steps, without_data) = (session.steps(), session.dataset.is_none());
            let best_epoch = best.map(|best| best.epoch).filter(|best| *best != epoch);
            let best_step = best.map(|best| best.step).filter(|best| without_data && *best != steps);
            self.reporter.report(&Event::Stop { phase, reason, epoch, steps, best_epoch, best_step })?;
            let following = if self.left || !kept { None } else { session.follow()? };
            let Some(following) = following else { return Ok(reason) };
            self.reporter.report(&Event::Then(Then::of(session.phase().name.clone(), following)))?;
        }
    }

    /// From where a stage of a phase stands to its end.
    fn stage(&mut self, session: &mut Session) -> Result<StopReason, RunError> {
        while !session.stage_done() {
            let interrupted = self.request.interrupted.load(Ordering::Relaxed);
            if interrupted || self.exhausted(session) {
                self.left = true;
                self.keeper.end(&sight(session), false)?;
                if interrupted {
                    return Ok(StopReason::Interrupted);
                }
                if !session.progress.means.is_empty() || session.dataset.is_none() {
                    self.look(session, true, session.train.evaluate_every.is_none())?;
                }
                break;
            }
            let (_, rows) = session.step()?;
            self.first_step_ms.get_or_insert_with(|| self.request.clock.elapsed_ms());
            if !session.dataset.is_none() {
                let losses = session.losses();
                session.progress.means.add(losses, rows);
            }
            self.reporter.step(session.steps());
            let ended = session.epoch_done() || session.steps_done();
            let due = session.look_due(ended);
            if (ended || due) && self.look(session, ended, due)? == Some(Verdict::Stop) {
                let threshold = session.progress.stop.is_none() || session.progress.stage != Stage::Training;
                return Ok(if threshold { StopReason::Reached } else { StopReason::NoImprovement });
            }
            if self.keeper.due() {
                self.save(session)?;
            }
        }
        Ok(StopReason::Finished)
    }

    /// Saves where the run stands, so that it can be taken up from here. A disk that is full now may not be so later.
    fn save(&mut self, session: &Session) -> Result<(), RunError> {
        match self.keeper.save(&sight(session)) {
            Some(error) => Ok(self.reporter.warn(&error.message)?),
            None => Ok(()),
        }
    }

    /// The last of a run: its end is kept and told.
    pub(super) fn conclude(&mut self, session: &Session, reason: StopReason, end: PhaseEnd) -> Result<(), RunError> {
        let ended = if self.left { json!("max_steps") } else { json!(reason) };
        let (steps, metrics) = (session.progress.global_step, &end.metrics);
        let mut summary = json!({ "ended": ended, "steps": steps, "epochs": end.epochs, "seconds": end.seconds });
        summary["metrics"] = json!(metrics);
        if let Some(phase) = &end.phase {
            summary["phase"] = json!(phase);
        }
        self.keeper.summary(&summary)?;
        // After all else: who finds a run finished finds everything of it.
        if !self.left && session.part.is_none() {
            self.keep_end(session)?;
        }
        let (first_step_ms, peak_rss_mb) = (self.first_step_ms, peak_rss_mb());
        Ok(self.reporter.report(&Event::Done { end, first_step_ms, peak_rss_mb })?)
    }

    /// Seconds of training, those before the run was resumed included.
    pub(super) fn seconds(&self) -> f64 {
        self.before + self.began.elapsed().as_secs_f64()
    }

    /// After a step that ends an epoch (or the steps there are), or after which it is time to evaluate, or both.
    fn look(&mut self, session: &mut Session, ended: bool, due: bool) -> Result<Option<Verdict>, RunError> {
        let ended = ended && !session.dataset.is_none();
        if ended {
            session.progress.epoch += 1;
        }
        session.check_finite()?;
        let Look { parts, verdict } = if due { session.look()? } else { Look::default() };
        let (phase, epoch, steps) = (session.phase().name.clone(), session.progress.epoch, session.steps());
        let seconds = self.seconds();
        if ended {
            let train = session.progress.means.means();
            session.progress.means.clear();
            let watched = !session.train.watches.is_empty() || session.train.stop.is_some();
            let valid = parts.first().filter(|_| watched).map(|(_, metrics)| metrics.clone());
            self.tell(session, Event::Epoch { phase: phase.clone(), epoch, steps, seconds, train, valid })?;
        }
        if due && session.train.evaluate_every.is_some() {
            self.tell(session, Event::Evaluation { phase, epoch, steps, seconds, metrics: Named(parts) })?;
        }
        Ok(verdict)
    }

    /// Tells an event, and keeps its figures.
    fn tell(&mut self, session: &Session, event: Event) -> Result<(), RunError> {
        self.reporter.report(&event)?;
        // The rest of an epoch that is left will be part of the same row.
        if let (Some(row), false) = (Row::of(&event, session.progress.global_step, session.part), self.left) {
            self.keeper.row(&row)?;
        }
        Ok(())
    }

    /// Loss and measures on every part, as the phase has left them.
    pub(super) fn end(&self, session: &mut Session) -> Result<PhaseEnd, RunError> {
        let metrics: Vec<(String, Metrics)> = session.evaluate_parts()?;
        Ok(PhaseEnd {
            phase: session.phase().name.clone(),
            epochs: session.progress.epoch,
            steps: session.steps(),
            seconds: self.seconds(),
            metrics: Named(metrics),
            deviation: None,
        })
    }

    /// Whether the steps asked for, over all phases, are done.
    fn exhausted(&self, session: &Session) -> bool {
        self.request.max_steps.is_some_and(|n| session.progress.global_step >= n)
    }
}

/// What a session has that is to be kept.
fn sight<'s>(session: &'s Session) -> Sight<'s> {
    let tensors = session.tensors();
    // Averages are state that evaluation reads.
    let model = &session.source.model;
    let evaluated = session.phase().evaluate.inputs().filter_map(|id| match session.phase().evaluate.op(id) {
        Op::Input(input) if input.role == Role::State => Some(input.name.to_string()),
        _ => None,
    });
    let lasting = model.parameters.iter().chain(&model.layer_state).chain(&model.constants.tensors);
    let lasting = lasting.map(|p| p.path.to_string());
    let weights = lasting.chain(evaluated).collect();
    let (best, tables) = (session.best.as_ref(), session.source.tables);
    Sight { progress: &session.progress, part: session.part, tensors, best, weights, tables }
}

fn start(session: &Session, request: &Request) -> Start {
    let data = !session.dataset.is_none();
    let parts = session.dataset.parts.iter().filter(|_| data);
    let (epochs, steps) = match session.train.duration {
        Length::Epochs(n) => (Some(n), None),
        Length::Steps(n) => (None, Some(n)),
    };
    Start {
        phase: session.phase().name.clone(),
        file: request.file.clone(),
        seed: request.settings.seed,
        dtype: if request.settings.dtype == crate::ir::DType::F64 { "f64" } else { "f32" },
        threads: request.settings.threads,
        parameters: session.parameters(),
        rows: Named(parts.map(|(name, rows)| (name.clone(), rows.len() as u64)).collect()),
        batch: data.then_some(session.batches.size() as u64),
        epochs,
        steps,
        steps_per_epoch: data.then_some(session.batches.per_epoch() as u64),
        compile_ms: session.engine.compile_time.as_secs_f64() * 1e3,
    }
}
