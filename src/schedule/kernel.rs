//! Kernel IR: a small loop nest over scalar expressions, independent of how it is emitted.
//!
//! Values are in single-assignment form and local to their kernel: a [`Stmt::Let`] or the results of a
//! [`Stmt::Reduce`] define a [`ValueId`] once, before its uses, in the same block or an enclosing one. Every axis is
//! opened by exactly one loop or reduction.
//!
//! Invariants an emitter may rely on:
//! - The iterations of a [`Loop`] are independent of each other, unless it is `ordered`.
//! - A vector loop and a [`Order::Lanes`] reduction run over lanes: the extent of the axis is the number of scalar
//!   iterations, so there is a tail. A load's index has, along the lane axis, stride 1 (a vector load), 0 (a splat), another
//!   stride, or none because a term varies by lane ([`Index::along`]): the last two are assembled lane by lane.
//! - Inside a vector loop stand only `Let`, `Store`, reductions in [`Order::Sequential`] (each lane its own) and scalar
//!   loops with these; inside a reduction only `Let` and `Store`.
//! - A buffer that a kernel writes may share its bytes with one that it reads: the next value of a parameter, or a result
//!   that takes the place of an operand. Each element is then read before it is written, in the same iteration; so no
//!   iteration may run twice (no overlapping tails), and a load of such a buffer may not move past a store.
//! - What was stored in an earlier phase of a row may be loaded in a later one: those loads stand after the reduction that
//!   stores, in the same block or further in.
//! - A guarded load touches memory only where its guards hold, and is zero elsewhere.
//! - Values of the type i64 in a program that computes in f32 are uniform: they vary along no lane axis.
//! - Memory holds no booleans: they are stored as integers 0 and 1, and converted explicitly.

use super::program::{BufferId, Step, Work};
pub use crate::ir::ScalarOp;
use crate::ir::{DType, Size};

/// An axis of one kernel: an index into [`Kernel::axes`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct AxisId(pub u32);

/// A value of one kernel: an index into [`Kernel::values`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ValueId(pub u32);

impl AxisId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl ValueId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What computes one or several buffers in one loop nest. Name and origin are those of its [`Step`].
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Kernel {
    /// The extent of each axis, known when the kernel is called.
    pub axes: Vec<Size>,
    pub values: Vec<Value>,
    pub body: Vec<Stmt>,
}

/// A scalar of the kernel: what it is, and along which axes it differs.
#[derive(Clone, PartialEq, Debug)]
pub struct Value {
    pub expr: Expr,
    pub dtype: DType,
    /// The axes along which the value varies, ascending. A value that does not vary along the lane axis is uniform.
    pub varies: Vec<AxisId>,
}

/// The definition of a value.
#[derive(Clone, PartialEq, Debug)]
pub enum Expr {
    /// The number, of the value's type: floats as f64 (already rounded to the type), integers and booleans exactly.
    Constant(f64),
    /// A size as a number of the value's type.
    Size(Size),
    /// An index as a number of the value's (integer) type.
    Position(Index),
    /// An element of a buffer, of the buffer's element type; zero where a guard fails.
    Load { buffer: BufferId, index: Index, guards: Vec<Guard> },
    /// Whether all guards hold: a boolean.
    Within(Vec<Guard>),
    /// A scalar function of values, operands in order. `Convert` converts to the value's type.
    Scalar { op: ScalarOp, args: Vec<ValueId> },
    /// The draw in [0, 1) of element `element` of a site for (seed, step), two uniform i64 values.
    Random { site: u64, seed: ValueId, step: ValueId, element: Index },
    /// Defined by a [`Reduce`].
    Reduced,
}

/// A position as an affine form: `offset + Σ axis · stride + Σ value · stride`, in elements.
///
/// The values are integers that the kernel computes (a gather); they are clamped into range by explicit operations.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Index {
    /// Axes with their strides, by ascending axis, each once, no stride zero.
    pub terms: Vec<(AxisId, Size)>,
    pub values: Vec<(ValueId, Size)>,
    /// May have negative terms (a pad); the whole index is not negative wherever it is used.
    pub offset: Size,
}

/// Holds where `lower <= index < upper`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guard {
    pub index: Index,
    pub lower: Size,
    pub upper: Size,
}

/// How an index moves along an axis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Along {
    /// By this many elements a position: zero where it does not depend on the axis.
    Stride(Size),
    /// Through a value that varies along the axis.
    Data,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Stmt {
    /// Computes the value (whose expression is in [`Kernel::values`]) here.
    Let(ValueId),
    Loop(Loop),
    Reduce(Reduce),
    Store(Store),
}

/// Runs the body for every position of the axis.
#[derive(Clone, PartialEq, Debug)]
pub struct Loop {
    pub axis: AxisId,
    /// Whether the positions are the lanes of vectors.
    pub vector: bool,
    /// Whether positions must run in ascending order, one after another: a scatter.
    pub ordered: bool,
    pub body: Vec<Stmt>,
}

/// Runs the body for every position of the axes, the last one innermost, and combines one value of it per result.
///
/// There is at least one axis.
#[derive(Clone, PartialEq, Debug)]
pub struct Reduce {
    pub axes: Vec<AxisId>,
    pub order: Order,
    pub body: Vec<Stmt>,
    pub results: Vec<Reduction>,
}

/// The order in which a reduction combines, of which its bits depend (`W` = 16 lanes for f32, 8 for f64).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Position `j` of the last axis goes to lane `j mod W`; the last axis is cut into chunks of 256·W positions whose lane
    /// vectors are combined by Kahan's sum, over the outer positions and chunks in turn; at the end a tree over the lanes.
    Lanes,
    /// One accumulator over all positions in row-major order, in chunks of 256 positions combined by Kahan's sum.
    Sequential,
}

/// One result of a reduction: `result` (an [`Expr::Reduced`] value) combines `operand` over all positions.
#[derive(Clone, PartialEq, Debug)]
pub struct Reduction {
    pub combine: Combine,
    pub operand: ValueId,
    pub result: ValueId,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Combine {
    Sum,
    /// Starts at -inf (the least integer for integers); NaN stays.
    Max,
    /// The position, along the only axis, of the first largest operand; NaN counts as largest. The result is an integer.
    ArgMax,
}

/// Writes a value (of the buffer's element type).
#[derive(Clone, PartialEq, Debug)]
pub struct Store {
    pub buffer: BufferId,
    pub index: Index,
    pub value: ValueId,
    /// Adds to what is there instead of replacing it.
    pub accumulate: bool,
}

impl Index {
    pub fn constant(offset: Size) -> Index {
        Index { offset, ..Index::default() }
    }

    pub fn axis(axis: AxisId) -> Index {
        Index { terms: vec![(axis, Size::constant(1))], ..Index::default() }
    }

    /// The position, if it is one and the same for all sizes.
    pub fn as_constant(&self) -> Option<u64> {
        if self.terms.is_empty() && self.values.is_empty() { self.offset.as_constant() } else { None }
    }

    /// The stride along an axis, apart from the values in the index.
    pub fn stride(&self, axis: AxisId) -> Size {
        self.terms.iter().find(|(a, _)| *a == axis).map_or_else(Size::default, |(_, s)| s.clone())
    }

    /// How the index moves along an axis of the kernel.
    pub fn along(&self, kernel: &Kernel, axis: AxisId) -> Along {
        if self.values.iter().any(|(v, _)| kernel.value(*v).varies.contains(&axis)) {
            return Along::Data;
        }
        Along::Stride(self.stride(axis))
    }

    pub fn add(&self, other: &Index) -> Index {
        let mut out = Index { offset: &self.offset + &other.offset, ..self.clone() };
        for (axis, stride) in &other.terms {
            match out.terms.binary_search_by_key(axis, |(a, _)| *a) {
                Ok(at) => {
                    out.terms[at].1 = &out.terms[at].1 + stride;
                    if out.terms[at].1.as_constant() == Some(0) {
                        out.terms.remove(at);
                    }
                }
                Err(at) => out.terms.insert(at, (*axis, stride.clone())),
            }
        }
        out.values.extend(other.values.iter().cloned());
        out
    }

    pub fn scale(&self, by: &Size) -> Index {
        match by.as_constant() {
            Some(1) => return self.clone(),
            Some(0) => return Index::default(),
            _ => {}
        }
        Index {
            terms: self.terms.iter().map(|(a, s)| (*a, s * by)).collect(),
            values: self.values.iter().map(|(v, s)| (*v, s * by)).collect(),
            offset: &self.offset * by,
        }
    }
}

impl Kernel {
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    pub fn extent(&self, axis: AxisId) -> &Size {
        &self.axes[axis.index()]
    }

    pub fn varies_along(&self, value: ValueId, axis: AxisId) -> bool {
        self.value(value).varies.contains(&axis)
    }

    /// Calls `f` on every statement, outer before inner, in program order.
    pub fn walk<'a>(&'a self, f: &mut impl FnMut(&'a Stmt)) {
        fn walk<'a>(body: &'a [Stmt], f: &mut impl FnMut(&'a Stmt)) {
            for stmt in body {
                f(stmt);
                match stmt {
                    Stmt::Loop(l) => walk(&l.body, f),
                    Stmt::Reduce(r) => walk(&r.body, f),
                    Stmt::Let(_) | Stmt::Store(_) => {}
                }
            }
        }
        walk(&self.body, f);
    }
}

impl Step {
    /// The kernel of the step, if it is one.
    pub fn kernel(&self) -> Option<&Kernel> {
        match &self.work {
            Work::Kernel(kernel) => Some(kernel),
            Work::Product(_) | Work::Order(_) => None,
        }
    }
}
