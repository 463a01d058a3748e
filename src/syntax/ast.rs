//! The abstract syntax tree: what a `.dl` file says, before anything is known about names, kinds or shapes.
//!
//! Produced by [`super::parse`]. Every node has a [`Span`] into its source; parentheses and comments are not
//! nodes (the token list keeps them). Invariant: no tree is higher than [`MAX_HEIGHT`], so recursion over it
//! is safe; after a parse with diagnostics the items in error are absent and the others complete.

mod train;

pub use train::*;

use crate::source::Span;
use std::fmt;

/// The greatest height of any expression, type or block; deeper sources are refused with a diagnostic.
pub const MAX_HEIGHT: usize = 128;

/// An identifier, normalised: `θ` and `theta` have the same text.
#[derive(Clone, PartialEq, Debug)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

/// `digits.train`, `classifier.hidden.W`: at least one part.
#[derive(Clone, PartialEq, Debug)]
pub struct Path {
    pub parts: Vec<Name>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub struct File {
    pub items: Vec<Item>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    /// The `##` lines above the item, without the marks.
    pub doc: Vec<String>,
    pub kind: ItemKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ItemKind {
    Definition(Definition),
    Data(Data),
    Split(Split),
    Standardize(Standardize),
    Train(Train),
    Search(Search),
    Constant(Constant),
    Use(Use),
}

/// What a definition defines; decides what it may own and which signature it must have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Kind {
    Fn,
    Layer,
    Net,
    Loss,
    Penalty,
    Constraint,
    Optimizer,
    Schedule,
    Init,
    Augment,
    Metric,
    Average,
}

impl Kind {
    pub const ALL: [Kind; 12] = [
        Kind::Fn,
        Kind::Layer,
        Kind::Net,
        Kind::Loss,
        Kind::Penalty,
        Kind::Constraint,
        Kind::Optimizer,
        Kind::Schedule,
        Kind::Init,
        Kind::Augment,
        Kind::Metric,
        Kind::Average,
    ];

    /// The keyword that starts such a definition.
    pub fn keyword(self) -> &'static str {
        match self {
            Kind::Fn => "fn",
            Kind::Layer => "layer",
            Kind::Net => "net",
            Kind::Loss => "loss",
            Kind::Penalty => "penalty",
            Kind::Constraint => "constraint",
            Kind::Optimizer => "optimizer",
            Kind::Schedule => "schedule",
            Kind::Init => "init",
            Kind::Augment => "augment",
            Kind::Metric => "metric",
            Kind::Average => "average",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.keyword())
    }
}

/// `kind name(inputs; options) -> result { body }` or `... = expr`.
#[derive(Clone, PartialEq, Debug)]
pub struct Definition {
    pub kind: Kind,
    pub kind_span: Span,
    pub name: Name,
    pub inputs: Vec<Input>,
    pub options: Vec<OptionInput>,
    pub result: Option<Type>,
    pub requires: Vec<Require>,
    pub body: Block,
    pub derivative: Option<Derivative>,
}

/// `drop < 1`, `G divides C`: what must hold of sizes and options where the definition is applied.
#[derive(Clone, PartialEq, Debug)]
pub struct Require {
    pub value: Expr,
    /// What the value divides; without it the value is a comparison.
    pub divides: Option<Expr>,
    pub span: Span,
}

/// `derivative(dy) = e`, `derivative(da, db) { ... }`: the cotangents of the inputs for those of the results.
#[derive(Clone, PartialEq, Debug)]
pub struct Derivative {
    pub cotangents: Vec<Name>,
    pub body: Block,
    pub span: Span,
}

/// `x`, `x: [N, 64]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Input {
    pub name: Name,
    pub ty: Option<Type>,
    pub span: Span,
}

/// `lr = 1e-3`, or `lr` alone when it must be given.
#[derive(Clone, PartialEq, Debug)]
pub struct OptionInput {
    pub name: Name,
    pub default: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Type {
    pub kind: TypeKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum TypeKind {
    /// `[N, 64]`, `index(K)[N]`, `bool[N]`, `int[N]`; without brackets after the element, a scalar.
    Tensor { element: Element, shape: Shape },
    /// `params`: a parameter set.
    Params,
    /// `objective`: the function an optimizer minimizes.
    Objective,
    /// `[N, D] -> [N, K]`, `([N, D], [N]) -> []`.
    Function { inputs: Vec<Type>, result: Box<Type> },
    /// `([N], [N, K])`: two or more.
    Tuple(Vec<Type>),
}

#[derive(Clone, PartialEq, Debug)]
pub enum Element {
    Float,
    Int,
    Bool,
    /// `index(K)`: the size of the axis it points into.
    Index(Box<Expr>),
}

/// The axes between brackets; `[]` is a scalar's.
#[derive(Clone, PartialEq, Debug)]
pub struct Shape {
    pub axes: Vec<Axis>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    pub kind: AxisKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum AxisKind {
    /// `..`
    Pack,
    /// `A: H` (label written), `H`, `64`, `4*H`.
    Size { label: Option<Name>, size: Expr },
}

impl Axis {
    /// The axis's label: the one written, or the variable itself when the size is a lone variable.
    pub fn label(&self) -> Option<&str> {
        match &self.kind {
            AxisKind::Pack => None,
            AxisKind::Size { label: Some(label), .. } => Some(&label.text),
            AxisKind::Size { label: None, size } => size.as_name(),
        }
    }
}

/// Statements and the value they lead to. Also stands for a bare expression where a block could be:
/// `fn f(x) = e` and `when training e else e` have blocks without statements and `braced` false.
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    pub statements: Vec<Statement>,
    pub result: Option<Box<Expr>>,
    pub braced: bool,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Statement {
    /// The `##` lines above the statement, without the marks.
    pub doc: Vec<String>,
    pub kind: StatementKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum StatementKind {
    /// `h = e`
    Let { name: Name, value: Expr },
    /// `(a, b) = e`: two names or more.
    LetTuple { names: Vec<Name>, value: Expr },
    /// `y[n, o] = e` in index notation: one index or more, `..` being the name of the pack.
    LetIndexed { name: Name, indices: Vec<Name>, value: Expr },
    /// `param W: [I, O] = init`
    Param { name: Name, shape: Shape, init: Expr },
    /// `state v = e`, `state v: [C] = e`
    State { name: Name, ty: Option<Type>, init: Expr },
    /// `v' = e`: the value after this step.
    Next { name: Name, value: Expr },
    /// `shared d = dense(8)`: one instance of a layer, all its arguments given but the first.
    Shared { name: Name, layer: Expr },
}

#[derive(Clone, PartialEq, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    Int(i64),
    Float(f64),
    Bool(bool),
    Str(String),
    /// A name, normalised; its span is the expression's.
    Name(String),
    /// `v'`: the name without the prime.
    Next(String),
    Unary {
        op: UnaryOp,
        operand: Box<Expr>,
    },
    Binary {
        op: BinaryOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// `f(a, b: c over N)`. Reductions, built-ins, layers and `grad(J)(p)` all look like this.
    Call {
        callee: Box<Expr>,
        args: Vec<Arg>,
        over: Option<Over>,
    },
    /// `sum(i, k) body`: a reduction over index variables.
    IndexReduce {
        reduction: Name,
        indices: Vec<Name>,
        body: Box<Expr>,
    },
    /// `x |> f`, `x |> f(a)`: the callee is a name, a path or a call.
    Pipe {
        value: Box<Expr>,
        callee: Box<Expr>,
    },
    /// `e[y]`, `e[i, j]`: one index or more, `..` being the name of the pack.
    Index {
        base: Box<Expr>,
        indices: Vec<Expr>,
    },
    /// `e.name`
    Field {
        base: Box<Expr>,
        name: Name,
    },
    /// `encoder.*`: every parameter below the path.
    Wildcard {
        base: Box<Expr>,
    },
    /// `e.T`, `eᵀ`
    Transpose {
        base: Box<Expr>,
    },
    /// `(a, b)`: two or more.
    Tuple(Vec<Expr>),
    /// `if c then a else b`
    If {
        condition: Box<Expr>,
        then: Block,
        otherwise: Block,
    },
    /// `when training a else b`; the mode is a name, today always `training`.
    When {
        mode: Name,
        then: Block,
        otherwise: Block,
    },
    /// `for k in 1..20 (h = x) { h' = e }`
    For(Box<For>),
    /// `[N, D]`, where a shape is wanted.
    Shape(Shape),
    /// `peek f(x)`, `commit J(p)`
    Marked {
        mark: Mark,
        value: Box<Expr>,
    },
}

/// Equations repeated for every whole number of a range, both ends included, when compiling.
#[derive(Clone, PartialEq, Debug)]
pub struct For {
    pub index: Name,
    pub from: Expr,
    pub to: Expr,
    pub carried: Vec<Carried>,
    /// Without a result.
    pub body: Block,
}

/// `h = x`, `c: [N] = 0`: a value carried from one repetition to the next.
#[derive(Clone, PartialEq, Debug)]
pub struct Carried {
    pub name: Name,
    pub ty: Option<Type>,
    pub init: Expr,
    pub span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mark {
    /// The layer state that the application assigns is not kept.
    Peek,
    /// The evaluation of the objective whose loss is reported and whose layer state is kept.
    Commit,
}

impl Mark {
    pub fn keyword(self) -> &'static str {
        match self {
            Mark::Peek => "peek",
            Mark::Commit => "commit",
        }
    }
}

impl Expr {
    /// The text of a lone name.
    pub fn as_name(&self) -> Option<&str> {
        match &self.kind {
            ExprKind::Name(text) => Some(text),
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Arg {
    /// `lr` in `lr: 1e-3`.
    pub name: Option<Name>,
    pub value: Expr,
    pub span: Span,
}

/// `over N, ..` at the end of a call's arguments: one axis or more; or `per N`.
#[derive(Clone, PartialEq, Debug)]
pub struct Over {
    /// `per` instead of `over`.
    pub per: bool,
    pub axes: Vec<OverAxis>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum OverAxis {
    Label(Name),
    Pack(Span),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnaryOp {
    Neg,
    Not,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BinaryOp {
    Or,
    And,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    Add,
    Sub,
    Mul,
    Div,
    MatMul,
    Pow,
}

/// `data digits = csv("data/digits.csv", target: label)`; the source is a call.
#[derive(Clone, PartialEq, Debug)]
pub struct Data {
    pub name: Name,
    /// The columns that a generator gives, `(x, y)`; empty for a reader.
    pub columns: Vec<Name>,
    pub source: Expr,
    /// `seed 3`, of a generator.
    pub seed: Option<Expr>,
}

/// `split digits into train 70%, valid 15%, test 15% stratified by label, seed 7`.
#[derive(Clone, PartialEq, Debug)]
pub struct Split {
    pub data: Name,
    pub parts: Vec<Part>,
    /// The column whose classes every part has in the same proportions.
    pub stratified: Option<Name>,
    pub seed: Option<Expr>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    pub name: Name,
    pub percent: f64,
    pub span: Span,
}

/// `standardize digits.x by digits.train`.
#[derive(Clone, PartialEq, Debug)]
pub struct Standardize {
    /// A column of a data set, or a data set: its columns of floats but the targets.
    pub what: Path,
    /// The rows whose mean and deviation count.
    pub by: Path,
}

/// `use "blocks.dl"`, `use "blocks.dl" as b`.
#[derive(Clone, PartialEq, Debug)]
pub struct Use {
    pub path: String,
    pub path_span: Span,
    pub alias: Option<Name>,
}

/// `batch_size = 64`: a top-level constant.
#[derive(Clone, PartialEq, Debug)]
pub struct Constant {
    pub name: Name,
    pub value: Expr,
}
