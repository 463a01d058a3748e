//! The typed AST: what a program means, with every name resolved and every shape decided.
//!
//! Each definition is checked once, for all values of its size variables and all expansions of its packs. Sizes are
//! polynomials over the definition's own size variables (a [`Symbol`] means nothing outside its definition); a pack
//! `..` counts as **one axis position** everywhere in this tree: in types, and in every axis number of
//! [`ExprKind`]. Whoever interprets the tree replaces a pack by the axes it stands for and renumbers.
//!
//! Invariants of a tree returned without diagnostics:
//! - no [`Type::Error`] and no [`ExprKind::Error`] anywhere; the call graph of definitions has no cycle;
//! - the operands of [`ExprKind::Elementwise`] have equal axes: stretching, reordering and conversion are nodes of
//!   their own (the one exception are sets, see there);
//! - statements of a block stand in an order in which every local is defined before it is read;
//! - no subtree stands for a value twice: a value used twice is a local.

use crate::ir::{Op, Size, Symbol};
use crate::source::Span;
pub use crate::syntax::ast::Kind;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Index into [`Program::definitions`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DefId(pub u32);

/// Index into [`Program::data`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DataId(pub u32);

/// Index into the `locals` of the definition (or of the [`Train`] block) it stands in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LocalId(pub u32);

/// A pack of axes of the definition it stands in: 0 is the one written `..`, the others belong to inputs without
/// a type. Packs are rigid: no two of them are equal, and no named axis is in them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PackVar(pub u32);

/// A textual application or draw, unique within its definition or `train` block. A random draw is a function of the
/// chain of sites from the program down to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SiteId(pub u32);

#[derive(Clone, Debug)]
pub struct Program {
    /// The prelude's definitions, then the user's; a user's definition hides the prelude's of the same name.
    pub definitions: Vec<Definition>,
    pub constants: Vec<Constant>,
    pub data: Vec<DataSet>,
    pub train: Option<Train>,
}

impl Program {
    pub fn definition(&self, id: DefId) -> &Definition {
        &self.definitions[id.0 as usize]
    }

    pub fn data_set(&self, id: DataId) -> &DataSet {
        &self.data[id.0 as usize]
    }

    /// The definition a name means: the user's, else the prelude's.
    pub fn find(&self, name: &str) -> Option<DefId> {
        self.definitions.iter().rposition(|d| d.name == name).map(|k| DefId(k as u32))
    }
}

/// A top-level constant with its value, settings from outside applied. Uses of it are [`ExprKind::Number`]s.
#[derive(Clone, PartialEq, Debug)]
pub struct Constant {
    pub name: String,
    pub value: f64,
    pub integer: bool,
    pub span: Span,
}

// ---------------------------------------------------------------------------------------------------- types

/// A label of an axis. Labels decide broadcasting and `over` while checking; later stages may ignore them, except in
/// the shapes of parameters, where they are roles (`fan_in`).
pub type Label = Arc<str>;

#[derive(Clone, PartialEq, Debug)]
pub enum Axis {
    /// All axes of a pack, as one position.
    Pack(PackVar),
    Sized {
        label: Option<Label>,
        size: Size,
    },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Element {
    Float,
    Int,
    Bool,
    /// A position on an axis of this size; an integer in the graph.
    Index(Size),
}

#[derive(Clone, PartialEq, Debug)]
pub struct TensorType {
    pub element: Element,
    pub axes: Vec<Axis>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct FunctionType {
    pub inputs: Vec<TensorType>,
    pub result: TensorType,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Type {
    Tensor(TensorType),
    /// A parameter set: one tensor for each parameter of the selection. All sets inside one definition have the same
    /// selection, except in the `train` block.
    Set(Element),
    /// The function an optimizer minimizes.
    Objective,
    Function(Arc<FunctionType>),
    /// A rule that makes a parameter's starting value: the type of an option such as `init = glorot_uniform`.
    Init,
    Tuple(Vec<Type>),
    /// No value: the result of an optimizer.
    Nothing,
    /// Something that was reported already; fits everywhere.
    Error,
}

impl Type {
    pub fn scalar(element: Element) -> Type {
        Type::Tensor(TensorType { element, axes: Vec::new() })
    }

    pub fn tensor(&self) -> Option<&TensorType> {
        match self {
            Type::Tensor(t) => Some(t),
            _ => None,
        }
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Type::Error)
    }
}

// -------------------------------------------------------------------------------------------------- definitions

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
    /// Every name bound anywhere in it; temporaries included.
    pub locals: Vec<Local>,
    /// The type of the value. [`Type::Nothing`] for an optimizer.
    pub result: Type,
    pub body: Block,
    /// In an optimizer, what its first two inputs are.
    pub optimizer: Option<OptimizerRoles>,
    /// Its parameters and the applications that own parameters or state, by path segment, in order of application.
    pub members: Vec<Member>,
}

impl Definition {
    pub fn local(&self, id: LocalId) -> &Local {
        &self.locals[id.0 as usize]
    }
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
    /// A size, bound like every other in [`Call::sizes`]; reads of it are [`ExprKind::SizeValue`].
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
    /// Some [`ExprKind::Grad`] differentiates with respect to it: its value must be a node of its own (a tag), and
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
    Param { name: String, rank: Rank },
    Application { segment: String, def: DefId },
}

/// The rank of a parameter as far as its definition tells; with a pack, at least so many axes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rank {
    pub axes: u32,
    pub pack: bool,
}

// -------------------------------------------------------------------------------------------------- statements

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
}

/// How a parameter starts.
#[derive(Clone, Debug)]
pub enum Initial {
    /// A value of the parameter's shape.
    Value(Expr),
    /// An expression of type [`Type::Init`] (an [`ExprKind::Init`] or an option's local) applied to the shape.
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

// -------------------------------------------------------------------------------------------------- expressions

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub ty: Type,
    pub span: Span,
}

impl Expr {
    /// The axes of a tensor; none of anything else.
    pub fn axes(&self) -> &[Axis] {
        self.ty.tensor().map_or(&[], |t| &t.axes)
    }
}

/// Axis numbers are positions in the operand's (or result's) axes, a pack being one position; lists of axes ascend.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// Reported already.
    Error,
    /// A scalar of the type's element: a float, an integer, or 0 and 1 for false and true.
    Number(f64),
    /// A size of this definition as an integer scalar.
    SizeValue(Size),
    /// How many elements these axes hold, as an integer scalar.
    Count(Vec<Axis>),
    Local(LocalId),
    Tuple(Vec<Expr>),
    Block(Box<Block>),

    /// An elementwise primitive with as many operands as it takes (`Select` with three). Operands and result have the
    /// same axes. If the type is [`Type::Set`], it maps over the tensors of the operands that are sets, and each other operand is a
    /// scalar, to be stretched to every tensor.
    Elementwise {
        op: Op,
        operands: Vec<Expr>,
    },
    /// To the element of the type: integers, indices and truth values to floats, truth values to integers. Tensors and sets.
    Convert(Box<Expr>),
    /// Integers as positions `0..K`, K in the type's element: the same numbers. Only in `train`, see [`Requirement`].
    ToIndex(Box<Expr>),
    /// Operand axis `k` becomes axis `axes[k]` of the type; the others repeat the operand.
    Broadcast {
        value: Box<Expr>,
        axes: Vec<usize>,
    },
    /// Result axis `k` is operand axis `order[k]`.
    Permute {
        value: Box<Expr>,
        order: Vec<usize>,
    },
    /// Over `axes`, which disappear; over nothing, the value itself.
    Reduce {
        op: ReduceOp,
        value: Box<Expr>,
        axes: Vec<usize>,
    },
    /// The position of the first largest element along `axis`; the type's element is an index.
    ArgMax {
        value: Box<Expr>,
        axis: usize,
    },
    /// `out[batch.., left free.., right free..] = Σ left · right`, pairs being (left axis, right axis).
    Contract {
        left: Box<Expr>,
        right: Box<Expr>,
        contract: Vec<(usize, usize)>,
        batch: Vec<(usize, usize)>,
    },
    /// `out[index axes.., rest..]`: along `axis`, `value` is read at `index`; `batch` pairs axes of `value` with axes of
    /// `index` that run together; the rest are `value`'s other axes. (A pack in `batch` stands for all its axes.)
    Gather {
        value: Box<Expr>,
        index: Box<Expr>,
        axis: usize,
        batch: Vec<(usize, usize)>,
    },
    /// 1 where the position along the new last axis is the index, else 0.
    OneHot(Box<Expr>),
    Concat {
        values: Vec<Expr>,
        axis: usize,
    },
    /// A draw of the type's shape; for a set, of the shapes of `like`.
    Random {
        site: SiteId,
        draw: Draw,
        like: Option<Box<Expr>>,
    },

    /// The condition is a scalar; both branches have this type.
    If {
        condition: Box<Expr>,
        then: Box<Block>,
        otherwise: Box<Block>,
    },
    /// One or the other by the mode the graph is made for. Only here may a branch hold [`Statement::Next`].
    When {
        training: Box<Block>,
        otherwise: Box<Block>,
    },

    Call(Box<Call>),
    /// A call of a function-typed input.
    CallLocal {
        function: LocalId,
        args: Vec<Expr>,
        site: SiteId,
    },
    /// A definition passed where a function is expected.
    Function(Box<FunctionValue>),
    Init(Box<InitValue>),

    /// ∂of/∂wrt, of `wrt`'s type (a tensor or a set); `of` is a float scalar and `wrt` a [`Local::target`].
    Grad {
        of: Box<Expr>,
        wrt: LocalId,
    },
    /// J(at), a scalar.
    Evaluate {
        objective: LocalId,
        at: Box<Expr>,
    },
    /// grad(J)(at), a set.
    EvaluateGrad {
        objective: LocalId,
        at: Box<Expr>,
    },
    /// The Hessian of J at `at` times `along`, a set.
    EvaluateHvp {
        objective: LocalId,
        at: Box<Expr>,
        along: Box<Expr>,
    },

    /// A tensor as a set of one.
    SetOf(Box<Expr>),
    /// The scalar `value` in every element of every tensor of `like`.
    FillSet {
        value: Box<Expr>,
        like: Box<Expr>,
    },
    /// Over every element of every tensor of the set: a scalar.
    ReduceSet {
        op: ReduceOp,
        value: Box<Expr>,
    },
    /// Parameters by name; only in `train`.
    Selection(Selection),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReduceOp {
    Sum,
    /// The sum divided by the number of elements reduced.
    Mean,
    Max,
    Min,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Draw {
    /// In [0, 1).
    Uniform,
    /// Mean 0, variance 1.
    Normal,
}

/// An application of a definition.
#[derive(Clone, Debug)]
pub struct Call {
    pub def: DefId,
    /// One for every [`Definition::sizes`] of the callee, in the caller's size variables.
    pub sizes: BTreeMap<Symbol, Size>,
    /// The axes each of the callee's packs stands for, in the caller's axes; one list for every pack.
    pub packs: Vec<Vec<Axis>>,
    /// One for every input of the callee, in order. The callee's input types match them by position and size; a size
    /// input's argument is an [`ExprKind::SizeValue`] that repeats what `sizes` says.
    pub args: Vec<Expr>,
    /// One for every option of the callee; `None`: its default, evaluated in the callee.
    pub options: Vec<Option<Expr>>,
    pub site: SiteId,
    pub instance: Instance,
}

/// Which parameters and state an application uses.
#[derive(Clone, PartialEq, Debug)]
pub enum Instance {
    /// The callee owns none.
    None,
    /// A new one at this segment below the caller's path.
    New(String),
    /// A net: one instance for the whole program, at the net's own name.
    Net,
}

/// A `fn` or a `net` as a value: options not named have their defaults.
#[derive(Clone, Debug)]
pub struct FunctionValue {
    pub def: DefId,
    /// As in [`Call`], in the size variables of the place where the value stands.
    pub sizes: BTreeMap<Symbol, Size>,
    pub packs: Vec<Vec<Axis>>,
    pub options: Vec<Option<Expr>>,
    pub instance: Instance,
}

/// `normal(std: 0.1)`: an `init` with some of its options. Its sizes and packs are bound by matching the axes of its first
/// input with the parameter's, see [`match_axes`].
#[derive(Clone, Debug)]
pub struct InitValue {
    pub def: DefId,
    /// One for every option of the init; `None`: its default.
    pub options: Vec<Option<Expr>>,
    /// The draw's site is the parameter's path, so that two parameters never share one.
    pub site: SiteId,
}

/// Binds size variables and packs so that `declared` becomes `actual`, by position: a lone size variable not yet
/// bound takes the actual size, a pack takes as many axes as are left over; other sizes must be equal after
/// substitution. `None` if they do not fit. `actual` may be axes of any definition or of none.
pub fn match_axes(
    declared: &[Axis],
    actual: &[Axis],
    sizes: &mut BTreeMap<Symbol, Size>,
    packs: &mut BTreeMap<PackVar, Vec<Axis>>,
) -> Option<()> {
    let unbound = |axis: &Axis, packs: &BTreeMap<PackVar, Vec<Axis>>| match axis {
        Axis::Pack(p) => packs.get(p).map_or(0, Vec::len),
        Axis::Sized { .. } => 1,
    };
    let fixed: usize = declared.iter().map(|a| unbound(a, packs)).sum();
    let mut spare = actual.len().checked_sub(fixed)?;
    let mut at = 0;
    for axis in declared {
        match axis {
            Axis::Pack(p) => {
                let taken = match packs.get(p) {
                    Some(axes) => axes.len(),
                    None => std::mem::take(&mut spare),
                };
                let axes = actual.get(at..at + taken)?;
                at += taken;
                match packs.get(p) {
                    Some(known) if !known.iter().zip(axes).all(|(a, b)| same_extent(a, b)) => return None,
                    Some(_) => {}
                    None => {
                        packs.insert(*p, axes.to_vec());
                    }
                }
            }
            Axis::Sized { size, .. } => {
                let Axis::Sized { size: found, .. } = actual.get(at)? else { return None };
                at += 1;
                match size.as_symbol() {
                    Some(s) if !sizes.contains_key(s) => {
                        sizes.insert(s.clone(), found.clone());
                    }
                    _ if size.symbols().iter().all(|s| sizes.contains_key(s))
                        && size.substitute(&|s| sizes.get(s).cloned()) == *found => {}
                    _ => return None,
                }
            }
        }
    }
    (at == actual.len()).then_some(())
}

/// Equal whatever the labels.
pub fn same_extent(a: &Axis, b: &Axis) -> bool {
    match (a, b) {
        (Axis::Pack(p), Axis::Pack(q)) => p == q,
        (Axis::Sized { size: m, .. }, Axis::Sized { size: n, .. }) => m == n,
        _ => false,
    }
}

// ------------------------------------------------------------------------------------------------------ program

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

/// The `train` block. Its expressions have one size variable, [`Train::batch_symbol`], the rows of a batch.
#[derive(Clone, Debug)]
pub struct Train {
    pub span: Span,
    /// The columns of the data that some expression reads, and temporaries.
    pub locals: Vec<Local>,
    /// Where the locals of origin [`Origin::Column`] come from.
    pub columns: Vec<Column>,
    /// What must hold of the data for the indices taken from it.
    pub requirements: Vec<Requirement>,
    /// A float scalar.
    pub minimize: Expr,
    /// What is trained; `None`: everything.
    pub over: Option<Selection>,
    pub on: Rows,
    /// Rows in a batch; `None`: all.
    pub batch: Option<u64>,
    pub in_order: bool,
    pub using: OptimizerCall,
    /// Scalars reported for every part.
    pub measures: Vec<Measure>,
    pub duration: Duration,
    pub stop: Option<Stop>,
}

impl Train {
    /// The rows of a batch.
    pub fn batch_symbol() -> Symbol {
        Symbol::new("N")
    }

    pub fn local(&self, id: LocalId) -> &Local {
        &self.locals[id.0 as usize]
    }
}

/// A column as a local of type `[N, …]`; integer columns have elements [`Element::Int`].
#[derive(Clone, Debug)]
pub struct Column {
    pub local: LocalId,
    pub name: String,
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
pub struct OptimizerCall {
    pub def: DefId,
    /// One for every option of the optimizer; `None`: its default.
    pub options: Vec<Option<Expr>>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Measure {
    pub name: String,
    pub value: Expr,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Duration {
    Epochs(u64),
    Steps(u64),
}

/// `stop when ROWS METRIC has not improved for PATIENCE epochs`.
#[derive(Clone, Debug)]
pub struct Stop {
    pub rows: Rows,
    pub metric: StopMetric,
    pub patience: u64,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum StopMetric {
    Loss,
    /// Index into [`Train::measures`].
    Measure(usize),
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
