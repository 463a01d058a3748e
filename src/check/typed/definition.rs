//! Definitions, their inputs, options and locals, and the statements of their bodies.

use super::{DefId, Expr, Kind, LocalId, Require, Requirement, Rows, Type};
use crate::ir::Symbol;
use crate::source::Span;

/// A definition, checked for all sizes.
#[derive(Clone, Debug)]
pub struct Definition {
    pub kind: Kind,
    pub name: String,
    /// The place of the name.
    pub span: Span,
    /// The `##` lines above it.
    pub doc: Vec<String>,
    /// Its size variables, in order of appearance. A call gives each a value.
    pub sizes: Vec<Symbol>,
    /// How many packs it has: `PackVar(0)..PackVar(packs)`. A call gives each its axes.
    pub packs: u32,
    /// How each pack is written: `..`, and `..x` for an input `x` without a type.
    pub pack_names: Vec<String>,
    pub inputs: Vec<Input>,
    pub options: Vec<OptionInput>,
    pub requires: Vec<Require>,
    /// Every name bound anywhere in it; temporaries included.
    pub locals: Vec<Local>,
    /// The type of the value. [`Type::Nothing`] for an optimizer.
    pub result: Type,
    pub body: Block,
    /// The derivative it says it has.
    pub derivative: Option<Derivative>,
    /// In an optimizer, what its first two inputs are.
    pub optimizer: Option<OptimizerRoles>,
    /// Its parameters and the applications that own parameters or state, by path segment, in order of application.
    pub members: Vec<Member>,
    /// What a computed constant reads.
    pub columns: Vec<WholeColumn>,
    /// What must hold of these columns for the indices taken from them.
    pub requirements: Vec<Requirement>,
}

/// Every row of a column of a part, or of all of a data set: a local whose first axis are these rows.
#[derive(Clone, Debug)]
pub struct WholeColumn {
    pub local: LocalId,
    pub rows: Rows,
    pub name: String,
    /// The graph's input that holds it, `digits.train.label`. The symbol of its rows is the part of it before the column.
    pub input: String,
}

impl Definition {
    pub fn local(&self, id: LocalId) -> &Local {
        &self.locals[id.0 as usize]
    }
}

/// What takes the place of the derivative of a definition's value.
#[derive(Clone, Debug)]
pub struct Derivative {
    /// The cotangent of the value, of its type.
    pub cotangent: LocalId,
    /// The inputs that are float tensors, in order.
    pub inputs: Vec<LocalId>,
    /// Gives the cotangent of each of them, of its type; a tuple if there are several.
    pub body: Block,
}

#[derive(Clone, Debug)]
pub struct Input {
    pub name: String,
    pub span: Span,
    pub kind: InputKind,
}

#[derive(Clone, PartialEq, Debug)]
pub enum InputKind {
    /// A value of the local's type: a tensor, a function, a set, an objective. In an `init`, the first input has no
    /// value, only the shape of the parameter, and nothing reads it.
    Value(LocalId),
    /// A size, bound like every other in `Call::sizes`; reads of it are `ExprKind::SizeValue`.
    Size(Symbol),
}

/// A number, a truth value (scalars) or an init, whichever the local's type says.
#[derive(Clone, Debug)]
pub struct OptionInput {
    pub name: String,
    pub span: Span,
    pub local: LocalId,
    /// Over the definition's sizes and the options before it. `None`: must be given.
    pub default: Option<Expr>,
}

#[derive(Clone, Debug)]
pub struct Local {
    /// As written; temporaries have names that start with `%`, next values end with `'`.
    pub name: String,
    pub ty: Type,
    pub span: Span,
    pub origin: Origin,
    /// Some `ExprKind::Grad` differentiates with respect to it: its value must be a node of its own (a tag), and
    /// everything that reads the local reads that node.
    pub target: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    Input,
    Option,
    Let,
    Param,
    State,
    /// The value of a state (or of an optimizer's parameter set) after the step.
    Next,
    /// A column of the batch.
    Column,
    /// The number of the step or of the epoch.
    Counter,
    /// Made by the checker for a value used twice.
    Temporary,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct OptimizerRoles {
    pub objective: LocalId,
    pub theta: LocalId,
    /// `θ'`; exactly one [`Statement::Next`] assigns it.
    pub theta_next: LocalId,
}

#[derive(Clone, Debug)]
pub enum Member {
    Param { name: String, rank: Rank, loops: usize },
    Application { segment: String, def: DefId, loops: usize },
}

impl Member {
    /// Whether a part of a path means this member. One that stands in repetitions has the number of each behind its name:
    /// `block_3`.
    pub fn is(&self, part: &str) -> bool {
        let (name, loops) = match self {
            Member::Param { name, loops, .. } => (name, *loops),
            Member::Application { segment, loops, .. } => (segment, *loops),
        };
        let Some(numbers) = part.strip_prefix(name.as_str()) else { return false };
        let count =
            numbers.split('_').skip(1).filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())).count();
        count == loops && numbers.split('_').count() == loops + 1 && (loops > 0 || numbers.is_empty())
    }

    /// How the member is written in a path.
    pub fn shown(&self) -> String {
        let (name, loops) = match self {
            Member::Param { name, loops, .. } => (name, *loops),
            Member::Application { segment, loops, .. } => (segment, *loops),
        };
        format!("{name}{}", "_1".repeat(loops))
    }
}

/// The rank of a parameter as far as its definition tells; with a pack, at least so many axes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rank {
    pub axes: u32,
    pub pack: bool,
}

#[derive(Clone, Debug)]
pub struct Block {
    /// In an order in which locals are defined before they are read.
    pub statements: Vec<Statement>,
    /// `None` in an optimizer's body.
    pub result: Option<Box<Expr>>,
}

#[derive(Clone, Debug)]
pub enum Statement {
    Let {
        local: LocalId,
        value: Expr,
    },
    /// The value is a tuple of as many components.
    LetTuple {
        locals: Vec<LocalId>,
        value: Expr,
    },
    Param(Param),
    State(State),
    /// The value after this step, of the state's own type. Stands at the top of the body or in a branch of a `when`; where no
    /// branch that runs assigns it, the state stays as it is.
    Next {
        state: LocalId,
        next: LocalId,
        value: Expr,
    },
}

/// A parameter of the instance: a float tensor of the local's type, named `name` below the instance's path.
#[derive(Clone, Debug)]
pub struct Param {
    pub local: LocalId,
    pub name: String,
    pub init: Initial,
    pub span: Span,
    /// The indices of the repetitions around it, whose values number it.
    pub loops: Vec<Symbol>,
}

/// How a parameter starts.
#[derive(Clone, Debug)]
pub enum Initial {
    /// A value of the parameter's shape.
    Value(Expr),
    /// An expression of type [`Type::Init`] (an `ExprKind::Init` or an option's local) applied to the shape.
    Apply(Expr),
}

/// A value kept between steps: a tensor, an integer counter, or a set.
#[derive(Clone, Debug)]
pub struct State {
    pub local: LocalId,
    /// Its value after the step; unassigned if no [`Statement::Next`] names it.
    pub next: LocalId,
    pub name: String,
    /// The value before the first step, of the local's type.
    pub init: Expr,
    pub span: Span,
}
