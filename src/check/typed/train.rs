//! Data, the `train` block and selections of parameters.

use super::{
    Augment, Beside, Counter, DataId, Expr, Keep, Local, LocalId, Player, Repetition, Rule, RuleCall, Stop, Watch,
};
use crate::ir::Symbol;
use crate::source::Span;

#[derive(Clone, Debug)]
pub struct DataSet {
    pub name: String,
    pub span: Span,
    /// `csv`, `npy`, …
    pub reader: String,
    pub arguments: Vec<DataArgument>,
    /// The parts of its `split`, in order; empty without one.
    pub parts: Vec<Part>,
    pub split_seed: Option<u64>,
    /// The column whose classes every part has in the same proportions, and where that is asked for.
    pub stratified: Option<(String, Span)>,
    pub standardized: Vec<Standardized>,
}

/// Columns that are centred and scaled by the statistics of some rows.
#[derive(Clone, PartialEq, Debug)]
pub struct Standardized {
    /// `None`: every column of floats that is no target.
    pub column: Option<String>,
    /// Rows of any data set that has the column.
    pub by: Rows,
    pub span: Span,
}

/// `"data/digits.csv"`, `target: label`.
#[derive(Clone, PartialEq, Debug)]
pub struct DataArgument {
    pub name: Option<String>,
    pub value: DataValue,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum DataValue {
    Text(String),
    Name(String),
    Names(Vec<String>),
    Number(f64),
    Bool(bool),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    pub name: String,
    pub percent: f64,
    pub span: Span,
}

/// A data set, or one part of it (an index into [`DataSet::parts`]).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rows {
    pub data: DataId,
    pub part: Option<usize>,
    pub span: Span,
}

/// The `train` block: its phases, one after the other.
#[derive(Clone, Debug)]
pub struct Training {
    pub span: Span,
    /// At least one; each has a name of its own unless it is the only one.
    pub phases: Vec<Train>,
    /// The phases are run more than once.
    pub repetition: Option<Repetition>,
}

impl Training {
    /// The phase of this name.
    pub fn phase(&self, name: &str) -> Option<usize> {
        self.phases.iter().position(|p| p.name.as_deref() == Some(name))
    }
}

/// A phase of the `train` block. Its expressions have the size variables
/// [`Train::batch_symbol`], the rows of a batch, and [`Train::beside_symbol`], those of the second data set.
#[derive(Clone, Debug)]
pub struct Train {
    /// `None` if the block has no phases.
    pub name: Option<String>,
    pub span: Span,
    /// The columns of the data that some expression reads, and temporaries.
    pub locals: Vec<Local>,
    /// Where the locals of origin `Origin::Column` come from.
    pub columns: Vec<Column>,
    /// What must hold of the data for the indices taken from it.
    pub requirements: Vec<Requirement>,
    /// The locals of origin `Origin::Counter` that some expression reads.
    pub counters: Vec<(LocalId, Counter)>,
    /// In the order in which they act.
    pub augments: Vec<Augment>,
    /// At least one.
    pub players: Vec<Player>,
    /// `None`: no data, and so no columns, batches, epochs or parts.
    pub on: Option<Rows>,
    /// Rows in a batch; `None`: all.
    pub batch: Option<u64>,
    pub in_order: bool,
    pub beside: Option<Beside>,
    /// The rules of the players that have none of their own.
    pub using: Vec<Rule>,
    /// In the order in which they act after an update.
    pub keeps: Vec<Keep>,
    /// What stands for the parameters in evaluation.
    pub average: Option<RuleCall>,
    /// Scalars, or tensors of known size that metrics give, reported for every part.
    pub measures: Vec<Measure>,
    pub duration: Duration,
    /// Steps between evaluations; `None`: each epoch ends with one. Never `None` without data.
    pub evaluate_every: Option<u64>,
    pub watches: Vec<Watch>,
    pub stop: Option<Stop>,
}

impl Train {
    /// What stands for the part in the figures of a phase without data.
    pub const VALUE: &str = "value";

    /// The rows of a batch.
    pub fn batch_symbol() -> Symbol {
        Symbol::new("N")
    }

    /// The rows of the second data set in a step.
    pub fn beside_symbol() -> Symbol {
        Symbol::new("M")
    }

    pub fn local(&self, id: LocalId) -> &Local {
        &self.locals[id.0 as usize]
    }
}

/// A column as a local of type `[N, …]`; integer columns have elements `Element::Int`.
#[derive(Clone, Debug)]
pub struct Column {
    pub local: LocalId,
    pub name: String,
    /// The graph's input that holds it.
    pub input: String,
    /// Of the second data set, with its rows.
    pub beside: bool,
}

/// Every value of an integer column lies in `0..size`.
#[derive(Clone, PartialEq, Debug)]
pub struct Requirement {
    pub data: DataId,
    pub column: String,
    pub size: u64,
    /// The use that asks for it.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Measure {
    pub name: String,
    /// It speaks of all members of an ensemble.
    pub together: bool,
    pub value: Expr,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Duration {
    Epochs(u64),
    Steps(u64),
}

/// Parameters by name: the union of the items, each parameter once, in the program's order.
#[derive(Clone, PartialEq, Debug)]
pub struct Selection {
    pub items: Vec<SelectionItem>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum SelectionItem {
    /// Every parameter with two axes or more (of those in `over`, inside `minimize`).
    Weights,
    /// Every parameter with fewer axes.
    Biases,
    All,
    /// The parameter of this path or every parameter below it. The path has been checked to exist.
    Path(Vec<String>),
    /// Every parameter below the path.
    Wildcard(Vec<String>),
}
