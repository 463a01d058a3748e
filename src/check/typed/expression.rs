//! Expressions, with every decision about axes written out.

use super::{Axis, Block, DefId, Initial, LocalId, Selection, SiteId, Statement, Type};
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

impl Expr {
    /// Calls `visit` with each expression directly below this one; through blocks.
    pub fn for_each_child(&self, visit: &mut dyn FnMut(&Expr)) {
        match &self.kind {
            ExprKind::Error
            | ExprKind::Number(_)
            | ExprKind::SizeValue(_)
            | ExprKind::Count(_)
            | ExprKind::Local(_)
            | ExprKind::Selection(_)
            | ExprKind::Positions
            | ExprKind::Computed(_)
            | ExprKind::Parameter(_) => {}
            ExprKind::Tuple(values)
            | ExprKind::Elementwise { operands: values, .. }
            | ExprKind::Concat { values, .. } => {
                values.iter().for_each(visit);
            }
            ExprKind::CallLocal { args, .. } => args.iter().for_each(visit),
            ExprKind::Block(block) => block.for_each_expression(visit),
            ExprKind::Convert(value)
            | ExprKind::Start(value)
            | ExprKind::ToIndex(value)
            | ExprKind::OneHot(value)
            | ExprKind::SetOf(value)
            | ExprKind::Evaluating(value)
            | ExprKind::Draws { value, .. }
            | ExprKind::Members { value, .. }
            | ExprKind::Reshape(value)
            | ExprKind::Peek(value)
            | ExprKind::Commit(value)
            | ExprKind::Slice { value, .. }
            | ExprKind::Jacobian { of: value, .. }
            | ExprKind::Broadcast { value, .. }
            | ExprKind::Permute { value, .. }
            | ExprKind::Reduce { value, .. }
            | ExprKind::ArgMax { value, .. }
            | ExprKind::Order { value, .. }
            | ExprKind::ReduceSet { value, .. }
            | ExprKind::Grad { of: value, .. }
            | ExprKind::Evaluate { at: value, .. }
            | ExprKind::EvaluateGrad { at: value, .. } => visit(value),
            ExprKind::Contract { left: a, right: b, .. }
            | ExprKind::Gather { value: a, index: b, .. }
            | ExprKind::EvaluateHvp { at: a, along: b, .. }
            | ExprKind::Tangent { of: a, along: b, .. }
            | ExprKind::FillSet { value: a, like: b } => {
                visit(a);
                visit(b);
            }
            ExprKind::Random { like, .. } => like.iter().for_each(|like| visit(like)),
            ExprKind::If { condition, then, otherwise } => {
                visit(condition);
                then.for_each_expression(visit);
                otherwise.for_each_expression(visit);
            }
            ExprKind::When { training, otherwise } => {
                training.for_each_expression(visit);
                otherwise.for_each_expression(visit);
            }
            ExprKind::For(repeat) => {
                repeat.carried.iter().for_each(|c| visit(&c.init));
                repeat.body.for_each_expression(visit);
            }
            ExprKind::Call(call) | ExprKind::Member { call, .. } => {
                call.args.iter().for_each(&mut *visit);
                call.options.iter().flatten().for_each(visit);
            }
            ExprKind::Map(map) => {
                visit(&map.set);
                map.options.iter().flatten().for_each(visit);
            }
            ExprKind::Function(function) => function.options.iter().flatten().for_each(visit),
            ExprKind::Init(init) => init.options.iter().flatten().for_each(visit),
        }
    }
}

impl Block {
    /// Calls `visit` with the right side of each statement and the result.
    pub fn for_each_expression(&self, visit: &mut dyn FnMut(&Expr)) {
        for statement in &self.statements {
            match statement {
                Statement::Let { value, .. } | Statement::LetTuple { value, .. } | Statement::Next { value, .. } => {
                    visit(value);
                }
                Statement::Param(param) => match &param.init {
                    Initial::Value(value) | Initial::Apply(value) => visit(value),
                },
                Statement::State(state) => visit(&state.init),
            }
        }
        self.result.iter().for_each(|result| visit(result));
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
    /// The positions along `axis` at which its elements stand in ascending order, equal ones as they stood; the type's element is an
    /// index.
    Order {
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
    /// The elements in row-major order under the axes of the type. Sizes that divide are compared when they are known.
    Reshape(Box<Expr>),
    /// As many positions of an axis as the type has there, from `start` on; `last`: up to the end of the axis.
    Slice {
        value: Box<Expr>,
        axis: usize,
        start: Size,
        last: bool,
    },
    /// Integers, each its own position along the only axis of the type.
    Positions,
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

    /// The equations of the body for every value of its index; the value is what is carried after the last, a tuple if
    /// several values are.
    For(Box<For>),
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
    /// The derivative of the float tensor `of` by the target `wrt` along `along`, of `of`'s type.
    Tangent {
        of: Box<Expr>,
        wrt: LocalId,
        along: Box<Expr>,
    },
    /// Every derivative of the float tensor `of` by the target `wrt`: the axes of `of`, then those of `wrt`. `rows` is an axis in
    /// each that runs together, and comes first.
    Jacobian {
        of: Box<Expr>,
        wrt: LocalId,
        rows: Option<(usize, usize)>,
    },
    /// The value; what it assigns to layer state is not kept.
    Peek(Box<Expr>),
    /// The value, an evaluation of the objective or of its gradient: its loss is reported and its layer state kept.
    Commit(Box<Expr>),
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
    /// A definition applied to each tensor of a set.
    Map(Box<Map>),
    /// Parameters by name; only in `train`.
    Selection(Selection),
    /// One parameter, a tensor.
    Parameter(ParameterPath),
    /// A constant that is computed before training.
    Computed(DefId),
    /// A tensor as an init: the parameter starts with it, or with it everywhere if it is a number.
    Start(Box<Expr>),
}

/// A definition of one float tensor, bound anew to each tensor of a set, see `match_axes`.
#[derive(Clone, Debug)]
pub struct Map {
    pub def: DefId,
    pub set: Expr,
    /// One for every option of the definition; `None`: its default.
    pub options: Vec<Option<Expr>>,
    pub site: SiteId,
    /// The values are numbers, and the value is their sum; else they are the tensors of a set.
    pub total: bool,
}

/// A parameter by its path: below the instance that is written, or a net's own.
#[derive(Clone, PartialEq, Debug)]
pub struct ParameterPath {
    /// A shared instance of the definition around it.
    pub instance: Option<(String, Vec<Symbol>)>,
    pub rest: Vec<String>,
}

/// Equations repeated when expanding, for `index` from `from` to `to`, both included.
#[derive(Clone, Debug)]
pub struct For {
    /// Bound to each number in turn, in the sizes of the place where the repetition stands.
    pub index: Symbol,
    pub from: Size,
    pub to: Size,
    pub carried: Vec<Carried>,
    /// Without a result; binds every `Carried::next` that is not to keep its value.
    pub body: Block,
    pub site: SiteId,
}

#[derive(Clone, Debug)]
pub struct Carried {
    pub local: LocalId,
    /// Its value in the next repetition, of the same type.
    pub next: LocalId,
    pub init: Expr,
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
    /// One of the caller's, at this segment below its path; the values of the indices of the repetitions around it number it.
    New { segment: String, loops: Vec<Symbol> },
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
