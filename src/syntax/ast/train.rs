//! The train block and the search: clauses as they are written.

use super::{Expr, Name, Path};
use crate::source::Span;

/// `search 20 random { rate in log_uniform(1e-4, 1e-1); hidden in 32, 64 } by digits.valid accuracy`.
#[derive(Clone, PartialEq, Debug)]
pub struct Search {
    pub keyword: Span,
    /// How many settings are drawn; all there are without it.
    pub random: Option<Expr>,
    pub ranges: Vec<Range>,
    /// `None` where the program has no data.
    pub data: Option<Path>,
    pub metric: Name,
}

/// `hidden in 32, 64`
#[derive(Clone, PartialEq, Debug)]
pub struct Range {
    pub name: Name,
    /// At least one.
    pub values: Vec<Expr>,
}

/// `train { clauses }`.
#[derive(Clone, PartialEq, Debug)]
pub struct Train {
    pub keyword: Span,
    pub clauses: Vec<Clause>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Clause {
    pub kind: ClauseKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ClauseKind {
    /// `minimize e over weights, classifier.hidden using sgd`, `maximize gain = e`.
    Minimize(Player),
    /// `on digits.train, batch 64 in order with unlabelled, batch 128`
    On { rows: OnRows, beside: Option<OnRows> },
    /// `using adam(lr: 1e-3)`, `using sgd for classifier.head`; `sets` is empty when not written.
    Using { optimizer: Expr, sets: Vec<Expr> },
    /// `augment x = e`, `augment (x, y) = e`: one name or more.
    Augment { names: Vec<Name>, value: Expr },
    /// `average ema(rho: 0.999)`
    Average { rule: Expr },
    /// `measure accuracy(y, label), top = e`
    Measure { metrics: Vec<Metric> },
    /// `epochs 100`
    Epochs { count: Expr },
    /// `steps 1000`
    Steps { count: Expr },
    /// `stop when digits.valid loss has not improved for 10 epochs`
    Stop(Stop),
    /// `watch plateau = digits.valid loss, patience 5`; the data may be left out, as in [`Stop`].
    Watch { name: Name, data: Option<Path>, metric: Name, patience: Expr },
    /// `evaluate every 50 steps`
    Evaluate { steps: Expr },
    /// `folds 5`
    Folds { count: Expr },
    /// `ensemble 5`, `ensemble 5 resampled`
    Ensemble { count: Expr, resampled: bool },
    /// `keep norm(W over fan_in) <= 3 for weights`; `sets` is empty when not written.
    Keep { constraint: Expr, sets: Vec<Expr> },
    /// `phase hint { clauses }`
    Phase { name: Name, clauses: Vec<Clause> },
}

/// `digits.valid loss has not improved for 10 epochs, then retrain on digits for as many steps`
#[derive(Clone, PartialEq, Debug)]
pub struct Stop {
    /// `None` in a phase without data.
    pub data: Option<Path>,
    pub metric: Name,
    pub when: StopWhen,
    pub then: Option<Then>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum StopWhen {
    /// `has not improved for 10 epochs`
    NotImproved { patience: Expr, unit: StopUnit },
    /// `< 0.1`
    Below(Expr),
    /// `> 0.99`
    Above(Expr),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopUnit {
    Epochs,
    Evaluations,
}

impl StopUnit {
    pub fn word(self) -> &'static str {
        match self {
            StopUnit::Epochs => "epochs",
            StopUnit::Evaluations => "evaluations",
        }
    }
}

/// What follows when training has stopped.
#[derive(Clone, PartialEq, Debug)]
pub enum Then {
    /// `retrain on digits for as many steps`
    Retrain { data: Path, epochs: bool },
    /// `continue on digits at most 50 epochs`
    Continue { data: Path, most: Expr },
}

/// What one player of a step minimizes or maximizes.
#[derive(Clone, PartialEq, Debug)]
pub struct Player {
    /// `maximize` rather than `minimize`.
    pub maximize: bool,
    pub name: Option<Name>,
    pub objective: Expr,
    /// Empty when not written.
    pub over: Vec<Expr>,
    pub using: Option<Expr>,
}

/// `digits.train, batch 64 in order`; without `batch`, all rows at once.
#[derive(Clone, PartialEq, Debug)]
pub struct OnRows {
    pub data: Path,
    pub batch: Option<Expr>,
    pub in_order: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Metric {
    pub name: Option<Name>,
    pub value: Expr,
    pub span: Span,
}
