//! Looking at the data while a phase goes on: what stops it, what it counts, and what follows.
//!
//! Input: a session after a step. Output: figures, a verdict, and the session turned to its next stage. Invariant: all that a
//! later look depends on is in [`Session::progress`], [`Session::best`] and [`Session::beginning`].

use super::metrics::Metrics;
use super::run::RunError;
use super::session::Session;
use super::state::{Instant, Length, Stage, copy, restore};
use super::stopping::{Plateau, Verdict};
use crate::check::typed::{Duration, ExprKind, Kind, Rows, StopMetric, StopWhen, Then};
use crate::data::Position;
use crate::runtime::RuntimeError;

/// What a look has shown.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Look {
    /// By part, in the order in which they were looked at; that of `stop` first.
    pub parts: Vec<(String, Metrics)>,
    pub verdict: Option<Verdict>,
}

/// What a phase goes on with after it has stopped.
#[derive(Clone, PartialEq, Debug)]
pub struct Following {
    pub rows: String,
    pub stage: Stage,
}

impl Session<'_> {
    /// Whether the steps of this stage are done, where it is steps that bound it.
    pub fn steps_done(&self) -> bool {
        let steps = match (self.progress.stage, self.train.duration) {
            (Stage::Training, Duration::Steps(n)) => Some(n),
            (Stage::Retraining { until: Length::Steps(n) }, _) => Some(n),
            _ => None,
        };
        steps.is_some_and(|n| self.progress.step >= n)
    }

    /// Whether this stage is done, whatever a look would show.
    pub fn stage_done(&self) -> bool {
        let epochs = match (self.progress.stage, self.train.duration) {
            (Stage::Training, Duration::Epochs(n)) => Some(n),
            (Stage::Retraining { until: Length::Epochs(n) }, _) => Some(n),
            (Stage::Continuing { epoch, .. }, _) => Some(epoch),
            _ => None,
        };
        epochs.is_some_and(|n| self.progress.epoch >= n) || self.steps_done()
    }

    /// Whether it is time to look, after a step that has or has not ended an epoch.
    pub fn look_due(&self, epoch_ended: bool) -> bool {
        match self.train.evaluate_every {
            Some(steps) => self.progress.step.is_multiple_of(steps),
            None => epoch_ended,
        }
    }

    /// Evaluates what decides something, or what `evaluate` asks for, and takes note of it.
    pub fn look(&mut self) -> Result<Look, RunError> {
        let train = self.train;
        // Retraining goes on for as long as it was said to.
        let deciding = !matches!(self.progress.stage, Stage::Retraining { .. });
        let stop = train.stop.as_ref().filter(|_| deciding);
        // The data is that of the phase; without data, the part is `None`, as it is for all of the data.
        let part = |rows: Option<Rows>| rows.and_then(|rows| rows.part);
        let mut wanted: Vec<Option<Rows>> = Vec::new();
        for rows in stop.map(|s| s.rows).into_iter().chain(train.watches.iter().map(|w| w.rows)) {
            if !wanted.iter().any(|known| part(*known) == part(rows)) {
                wanted.push(rows);
            }
        }
        let mut parts: Vec<(Option<usize>, String, Metrics)> = Vec::new();
        for rows in wanted {
            let metrics = self.evaluate(&self.dataset.rows(rows))?;
            parts.push((part(rows), self.dataset.part_name(rows).to_owned(), metrics));
        }
        if parts.is_empty() && train.evaluate_every.is_some() {
            let all = 0..self.dataset.parts.len();
            let on = part(train.on);
            let others: Vec<usize> = all.clone().filter(|k| Some(*k) != on && on.is_some()).collect();
            for k in if others.is_empty() { all.collect() } else { others } {
                let (name, rows) = self.dataset.parts[k].clone();
                parts.push((Some(k), name, self.evaluate(&rows)?));
            }
        }
        if !parts.is_empty() {
            self.progress.evaluations += 1;
        }
        let of = |rows: Option<Rows>| parts.iter().find(|(p, ..)| *p == part(rows)).map(|(.., metrics)| metrics);
        let mut verdict = None;
        if let Some((stop, metrics)) = stop.and_then(|s| Some((s, of(s.rows)?))) {
            verdict = match self.progress.stage {
                Stage::Continuing { below, .. } => {
                    Some(if self.value(metrics, StopMetric::Loss) < below { Verdict::Stop } else { Verdict::Waiting })
                }
                _ => self.judge(stop.when, self.value(metrics, stop.metric), self.falling(metrics, stop.metric)),
            };
        }
        let seen: Vec<f64> =
            train.watches.iter().map(|w| of(w.rows).map_or(f64::NAN, |m| self.falling(m, w.metric))).collect();
        let mut grown = false;
        for (plateau, loss) in self.progress.watches.iter_mut().zip(seen) {
            grown |= plateau.observe(loss);
        }
        if verdict == Some(Verdict::Improved) {
            self.best = Some(copy(&self.engine.memory));
            self.progress.best = Some(self.now());
        }
        if grown {
            // Steps from here on see another count than those before.
            self.keep_trace();
        }
        Ok(Look { parts: parts.into_iter().map(|(_, name, metrics)| (name, metrics)).collect(), verdict })
    }

    fn judge(&mut self, when: StopWhen, value: f64, falling: f64) -> Option<Verdict> {
        let reached = match when {
            StopWhen::NotImproved { evaluations, .. } => {
                let at = if evaluations { self.progress.evaluations } else { self.progress.epoch };
                return self.progress.stop.as_mut().map(|patience| patience.observe(at, falling));
            }
            StopWhen::Below(bound) => value < bound,
            StopWhen::Above(bound) => value > bound,
        };
        Some(if reached { Verdict::Stop } else { Verdict::Waiting })
    }

    fn now(&self) -> Instant {
        Instant { step: self.progress.step, epoch: self.progress.epoch }
    }

    fn value(&self, metrics: &Metrics, metric: StopMetric) -> f64 {
        match metric {
            StopMetric::Loss => metrics.number(&self.train.players[0].name),
            StopMetric::Measure(k) => metrics.number(&self.train.measures[k].name),
        }
    }

    /// The value with the sign with which less of it is better: a metric should grow, and so should what is maximized.
    fn falling(&self, metrics: &Metrics, metric: StopMetric) -> f64 {
        let grows = match metric {
            StopMetric::Loss => self.train.players[0].maximize,
            StopMetric::Measure(k) => match &self.train.measures[k].value.kind {
                ExprKind::Call(call) => self.source.program.definition(call.def).kind == Kind::Metric,
                _ => false,
            },
        };
        let value = self.value(metrics, metric);
        if grows { -value } else { value }
    }

    /// Takes back the tensors of the best evaluation, if there was one.
    pub fn take_best(&mut self) -> Result<(), RuntimeError> {
        match self.best.take() {
            Some(best) => restore(&mut self.engine.memory, &best),
            None => Ok(()),
        }
    }

    /// Turns from the end of training, with the best parameters in place, to what is to follow; `None` if nothing is.
    pub fn follow(&mut self) -> Result<Option<Following>, RunError> {
        let then = self.train.stop.as_ref().and_then(|s| s.then);
        let (Stage::Training, Some(then)) = (self.progress.stage, then) else { return Ok(None) };
        let best = self.progress.best.unwrap_or_else(|| self.now());
        let on = match then {
            Then::Retrain { on, epochs } => {
                if let Some(beginning) = self.beginning.take() {
                    restore(&mut self.engine.memory, &beginning)?;
                }
                let until = if epochs { Length::Epochs(best.epoch) } else { Length::Steps(best.step) };
                let progress = &mut self.progress;
                (progress.step, progress.epoch, progress.position) = (0, 0, Position::default());
                progress.watches = self.train.watches.iter().map(|w| Plateau::new(w.patience)).collect();
                progress.stage = Stage::Retraining { until };
                on
            }
            Then::Continue { on, most } => {
                let metrics = self.evaluate(&self.dataset.rows(self.train.on))?;
                let below = self.value(&metrics, StopMetric::Loss);
                let progress = &mut self.progress;
                progress.position = Position { epoch: progress.epoch, batch: 0 };
                progress.stage = Stage::Continuing { below, epoch: progress.epoch + most };
                on
            }
        };
        self.progress.means.clear();
        self.turn_to_stage();
        let rows = match on.part {
            Some(_) => format!("{}.{}", self.dataset.name, self.dataset.part_name(Some(on))),
            None => self.dataset.name.clone(),
        };
        Ok(Some(Following { rows, stage: self.progress.stage }))
    }

    /// The rows that this stage trains on.
    pub fn stage_rows(&self) -> Option<Rows> {
        match (self.progress.stage, self.train.stop.as_ref().and_then(|s| s.then)) {
            (Stage::Training, _) | (_, None) => self.train.on,
            (_, Some(Then::Retrain { on, .. } | Then::Continue { on, .. })) => Some(on),
        }
    }
}
