//! What the clauses of a phase say about its step: players, rules, constraints, augmentations.

use super::{DefId, Expr, Label, LocalId, Rows, Selection};
use crate::source::Span;

/// An optimizer, a constraint or an average with its options.
#[derive(Clone, Debug)]
pub struct RuleCall {
    pub def: DefId,
    /// One for every option of the definition; `None`: its default.
    pub options: Vec<Option<Expr>>,
    pub span: Span,
}

/// What is minimized or maximized, over which parameters.
#[derive(Clone, Debug)]
pub struct Player {
    pub span: Span,
    /// Under which its value is reported: `loss` for the first player.
    pub name: String,
    /// The value grows: what is minimized is its negative.
    pub maximize: bool,
    /// A float scalar.
    pub objective: Expr,
    /// What is trained; `None`: everything the objective applies.
    pub over: Option<Selection>,
    /// The rule of its own; `None`: those of [`super::Train::using`].
    pub using: Option<RuleCall>,
}

/// `using rule(…) for S`.
#[derive(Clone, Debug)]
pub struct Rule {
    pub call: RuleCall,
    /// Whose rule it is; `None`: of the parameters that no other rule names.
    pub of: Option<Selection>,
}

/// What holds of parameters after every update.
#[derive(Clone, Debug)]
pub struct Keep {
    pub span: Span,
    /// Of which parameters; `None`: of all that are trained.
    pub of: Option<Selection>,
    pub condition: Condition,
}

#[derive(Clone, Debug)]
pub enum Condition {
    /// A definition of kind `constraint`: of each tensor that fits its input, or of all as a set.
    Call(RuleCall),
    /// `norm(W over A) <= b`, or `== b`: the norm over the axes of these roles, over all without any.
    Norm { over: Vec<AxisRole>, equal: bool, bound: Expr },
    /// `W >= b`
    AtLeast(Expr),
    /// `W <= b`
    AtMost(Expr),
}

/// Which axis of a parameter is meant.
#[derive(Clone, PartialEq, Debug)]
pub enum AxisRole {
    /// The axis of this label; else `fan_out` is the last one, `fan_in` the one before.
    Label(Label),
    /// `..`: all but the last two.
    Others,
}

/// `augment (x, y) = e`.
#[derive(Clone, Debug)]
pub struct Augment {
    pub targets: Vec<Target>,
    /// A tensor, or a tuple of as many as there are targets.
    pub value: Expr,
}

#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub local: LocalId,
    /// A column, which evaluation sees as it is in the data; otherwise a name of its own.
    pub column: bool,
}

/// Rows of a second data set in every step; the first one decides when an epoch ends.
#[derive(Clone, Debug)]
pub struct Beside {
    pub rows: Rows,
    /// `None`: all.
    pub batch: Option<u64>,
    pub in_order: bool,
}

/// What the runner counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Counter {
    /// Steps of the phase, from 0.
    Step,
    /// Epochs of the phase, from 0.
    Epoch,
    /// The count of this `watch` clause of the phase.
    Watch(u32),
}

impl Counter {
    /// Those that every phase has, with their names.
    pub const NAMED: [(Counter, &'static str); 2] = [(Counter::Step, "step"), (Counter::Epoch, "epoch")];

    /// The graph's input that holds it.
    pub fn input(self) -> String {
        match self {
            Counter::Step => "step of the phase".into(),
            Counter::Epoch => "epoch of the phase".into(),
            Counter::Watch(k) => format!("watch {k}"),
        }
    }
}
