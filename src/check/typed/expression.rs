//! Expressions, with every decision about axes written out.

use super::{Axis, Block, DefId, LocalId, Selection, SiteId, Type};
use crate::ir::{Op, Size, Symbol};
use crate::source::Span;
use std::collections::BTreeMap;

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
    /// Integers as positions `0..K`, K in the type's element: the same numbers. Only in `train`, see `Requirement`.
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
    /// One or the other by the mode the graph is made for. Only here may a branch hold `Statement::Next`.
    When {
        training: Box<Block>,
        otherwise: Box<Block>,
    },

    /// The value with nets in evaluation mode.
    Evaluating(Box<Expr>),
    /// A tensor in training mode so many times, each with draws of its own, along a new first axis.
    Draws {
        value: Box<Expr>,
        count: u64,
    },

    /// The value in every member of the ensemble, along a new first axis; only in measures.
    Members {
        value: Box<Expr>,
        count: u64,
    },

    Call(Box<Call>),
    /// The value of an equation at the top of the callee's body, in an application of it.
    Member {
        call: Box<Call>,
        local: LocalId,
    },
    /// A call of a function-typed input.
    CallLocal {
        function: LocalId,
        args: Vec<Expr>,
        site: SiteId,
    },
    /// A definition passed where a function is expected.
    Function(Box<FunctionValue>),
    Init(Box<InitValue>),

    /// ∂of/∂wrt, of `wrt`'s type (a tensor or a set); `of` is a float scalar and `wrt` a `Local::target`.
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
    /// One for every `Definition::sizes` of the callee, in the caller's size variables.
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
/// input with the parameter's, see `match_axes`.
#[derive(Clone, Debug)]
pub struct InitValue {
    pub def: DefId,
    /// One for every option of the init; `None`: its default.
    pub options: Vec<Option<Expr>>,
    /// The draw's site is the parameter's path, so that two parameters never share one.
    pub site: SiteId,
}
