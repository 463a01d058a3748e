//! What happens in a run, as `dlc run --json` tells it: one JSON object a line, told apart by `"event"`.
//!
//! Numbers that are not finite become `null`, which JSON has instead of them.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::metrics::Metrics;
use super::state::{Length, Stage};
use super::watching::Following;

/// Values by name, in an order that is kept; a JSON object.
#[derive(Clone, PartialEq, Debug)]
pub struct Named<T>(pub Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Named<T> {
        Named(Vec::new())
    }
}

impl<T> Named<T> {
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[derive(Clone, PartialEq, Debug, serde::Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Start(Start),
    /// An epoch has ended. Means are over the epoch for `train` and over the part as it is now for `valid`.
    Epoch {
        #[serde(skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
        /// From 1.
        epoch: u64,
        /// Steps done since the start of the phase.
        steps: u64,
        /// Since the start of training.
        seconds: f64,
        train: Metrics,
        #[serde(skip_serializing_if = "Option::is_none")]
        valid: Option<Metrics>,
    },
    Stop {
        #[serde(skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
        reason: StopReason,
        epoch: u64,
        /// Steps done since the start of the phase, or of what followed a stop.
        steps: u64,
        /// The epoch whose parameters are kept, if that is not the last.
        #[serde(skip_serializing_if = "Option::is_none")]
        best_epoch: Option<u64>,
        /// Without data: the steps after which the parameters were those that are kept, if these are not the last.
        #[serde(skip_serializing_if = "Option::is_none")]
        best_step: Option<u64>,
    },
    /// `evaluate every …` has looked at parts of the data, or at the one value that there is without data.
    Evaluation {
        #[serde(skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
        /// Epochs that have ended.
        epoch: u64,
        steps: u64,
        seconds: f64,
        /// By part.
        metrics: Named<Metrics>,
    },
    /// A phase goes on after its stop.
    Then(Then),
    /// A phase has ended that is not the last.
    PhaseDone(PhaseEnd),
    /// One of several runs of the program begins: the events up to the next one are about it.
    Run {
        kind: RunKind,
        number: u64,
        of: u64,
    },
    /// It has ended.
    RunDone {
        kind: RunKind,
        number: u64,
        metrics: Named<Metrics>,
    },
    /// Always the last.
    Done {
        #[serde(flatten)]
        end: PhaseEnd,
        /// From the start of the process to the end of the first step.
        #[serde(skip_serializing_if = "Option::is_none")]
        first_step_ms: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        peak_rss_mb: Option<f64>,
    },
}

/// Why there are several runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    Fold,
    Member,
}

impl RunKind {
    pub fn name(self) -> &'static str {
        match self {
            RunKind::Fold => "fold",
            RunKind::Member => "member",
        }
    }
}

/// What a phase goes on with after its stop.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Then {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    pub action: Action,
    /// The data, or the part of it.
    pub on: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Retraining: so many epochs. Continuing: up to the end of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Until the loss of the part that was watched is below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Retrain,
    Continue,
}

impl Then {
    pub fn of(phase: Option<String>, following: Following) -> Then {
        let Following { rows: on, stage } = following;
        let (action, steps, epochs, below) = match stage {
            Stage::Continuing { below, epoch } => (Action::Continue, None, Some(epoch), Some(below)),
            Stage::Retraining { until: Length::Steps(n) } => (Action::Retrain, Some(n), None, None),
            Stage::Retraining { until: Length::Epochs(n) } => (Action::Retrain, None, Some(n), None),
            Stage::Training => (Action::Retrain, None, None, None),
        };
        Then { phase, action, on, steps, epochs, below }
    }
}

/// What a phase has come to.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct PhaseEnd {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    pub epochs: u64,
    pub steps: u64,
    /// Since the start of training.
    pub seconds: f64,
    /// By part; of several runs, their means.
    pub metrics: Named<Metrics>,
    /// The standard deviations of several runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviation: Option<Named<Metrics>>,
}

/// What is known before the first step of a phase.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Start {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    pub file: String,
    pub seed: u64,
    pub dtype: &'static str,
    pub threads: usize,
    /// Numbers trained.
    pub parameters: u64,
    /// Rows by part; empty without data.
    pub rows: Named<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u64>,
    /// The most epochs there can be, if it is a number of epochs that bounds the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// The most steps, if it is a number of steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps_per_epoch: Option<u64>,
    pub compile_ms: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All epochs or steps are done.
    Finished,
    /// The watched loss has not improved for long enough.
    NoImprovement,
    /// A bound has been reached.
    Reached,
    Interrupted,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(values: &[(&str, f64)]) -> Metrics {
        Named(values.iter().map(|&(name, value)| (name.to_string(), value.into())).collect())
    }

    #[test]
    fn the_last_event_holds_metrics_by_part() {
        let parts = ["train", "valid", "test"];
        let named = parts.map(|part| (part.to_string(), metrics(&[("loss", 0.25), ("accuracy", 0.5)])));
        let metrics = Named(named.to_vec());
        let end = PhaseEnd { phase: None, epochs: 2, steps: 10, seconds: 0.5, metrics, deviation: None };
        let done = Event::Done { end, first_step_ms: None, peak_rss_mb: None };
        let part = r#"{"loss":0.25,"accuracy":0.5}"#;
        assert_eq!(
            serde_json::to_string(&done).unwrap(),
            format!(
                r#"{{"event":"done","epochs":2,"steps":10,"seconds":0.5,"metrics":{{"train":{part},"valid":{part},"test":{part}}}}}"#
            )
        );
    }

    #[test]
    fn numbers_that_are_not_finite_are_null() {
        let epoch = Event::Epoch {
            phase: None,
            epoch: 1,
            steps: 5,
            seconds: 1.0,
            train: metrics(&[("loss", f64::NAN)]),
            valid: None,
        };
        assert_eq!(
            serde_json::to_string(&epoch).unwrap(),
            r#"{"event":"epoch","epoch":1,"steps":5,"seconds":1.0,"train":{"loss":null}}"#
        );
    }
}
