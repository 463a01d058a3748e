//! What looks at the data while training goes on, and what the whole program is run several times for.

use super::{LocalId, Rows};
use crate::source::Span;

/// `stop when ROWS METRIC …`
#[derive(Clone, Debug)]
pub struct Stop {
    /// `None` in a phase without data.
    pub rows: Option<Rows>,
    pub metric: StopMetric,
    pub when: StopWhen,
    pub then: Option<Then>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum StopMetric {
    Loss,
    /// Index into [`super::Train::measures`].
    Measure(usize),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum StopWhen {
    /// After so many epochs without improvement, or so many evaluations.
    NotImproved {
        patience: u64,
        evaluations: bool,
    },
    Below(f64),
    Above(f64),
}

/// What follows a stop.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    /// From the phase's beginning, on these rows, for as many steps (or epochs) as the best parameters took.
    Retrain { on: Rows, epochs: bool },
    /// From the best parameters, on these rows, until the loss of the stop's part is below that of the training rows at the
    /// stop, or for so many epochs.
    Continue { on: Rows, most: u64 },
}

/// `watch name = ROWS METRIC, patience 5`: how often the metric has gone so many evaluations without improving.
#[derive(Clone, Debug)]
pub struct Watch {
    pub local: LocalId,
    pub name: String,
    /// As in [`Stop`].
    pub rows: Option<Rows>,
    pub metric: StopMetric,
    pub patience: u64,
}

/// The program is run once for each of several settings of its constants.
#[derive(Clone, Debug)]
pub struct Search {
    pub span: Span,
    /// How many settings are drawn; `None`: all combinations.
    pub random: Option<u64>,
    pub ranges: Vec<Range>,
    /// The part that decides, by its name, and what is measured on it.
    pub part: String,
    pub metric: String,
    /// More of it is better.
    pub grows: bool,
}

/// A constant and what it may be.
#[derive(Clone, PartialEq, Debug)]
pub struct Range {
    pub name: String,
    /// Values are whole numbers.
    pub integer: bool,
    pub choices: Choices,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Choices {
    /// At least one.
    Values(Vec<f64>),
    /// Between two numbers; `log`: their logarithms are.
    Between { low: f64, high: f64, log: bool },
}

/// The part that a run of a cross-validation does not train on.
pub const HELD_OUT: &str = "fold";

/// Why a program is run more than once.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Repetition {
    /// One run for each part of the training rows, which it does not see and is measured on.
    Folds { count: u64, span: Span },
    /// Members with seeds of their own, and each with a bootstrap sample of the training rows.
    Ensemble { count: u64, resampled: bool, span: Span },
}

impl Repetition {
    /// How many runs there are.
    pub fn count(self) -> u64 {
        match self {
            Repetition::Folds { count, .. } | Repetition::Ensemble { count, .. } => count,
        }
    }
}
