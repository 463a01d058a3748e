//! The primitives: few, and closed under differentiation.
//!
//! Each file holds all the compiler knows about a primitive or a tightly-knit pair. A rule that is missing does not
//! compile, because [`Primitive`] requires every one.

mod elementwise;

mod input;
mod constant;
mod size_of;
mod iota;
mod random;
mod add_sub;
mod mul;
mod div;
mod pow;
mod neg;
mod abs_sign;
mod floor;
mod sqrt;
mod exp;
mod log;
mod tanh;
mod sigmoid;
mod softplus;
mod erf;
mod sin_cos;
mod extremum;
mod compare;
mod logic;
mod select;
mod convert;
mod custom;
mod identity;
mod sum;
mod max;
mod argmax;
mod order;
mod contraction;
mod broadcast;
mod permute;
mod reshape;
mod slice_pad;
mod concat;
mod gather;
mod region;
mod scan;
mod repeat;
mod call;
mod derivative;

pub use abs_sign::{Abs, Sign};
pub use add_sub::{Add, Sub};
pub use argmax::ArgMax;
pub use broadcast::Broadcast;
pub use call::{Call, Project};
pub use compare::{Equal, Less, LessEqual};
pub use concat::Concat;
pub use constant::Constant;
pub use contraction::Contraction;
pub use convert::Convert;
pub use custom::Custom;
pub use derivative::{Gradient, Tangent};
pub use div::Div;
pub use elementwise::{Elementwise, Rule};
pub use erf::Erf;
pub use exp::{Exp, Expm1};
pub use extremum::{Maximum, Minimum};
pub use floor::Floor;
pub use gather::{Gather, ScatterAdd};
pub use identity::{Stop, Tag};
pub use input::{Input, Role};
pub use iota::Iota;
pub use log::{Log, Log1p};
pub use logic::{And, Not, Or};
pub use max::ReduceMax;
pub use mul::Mul;
pub use neg::Neg;
pub use order::{Order, ascending};
pub use permute::Permute;
pub use pow::Pow;
pub use random::Random;
pub use region::Region;
pub use repeat::While;
pub use reshape::Reshape;
pub use scan::Scan;
pub use select::Select;
pub use sigmoid::Sigmoid;
pub use sin_cos::{Cos, Sin};
pub use size_of::SizeOf;
pub use slice_pad::{Pad, Slice};
pub use softplus::Softplus;
pub use sqrt::Sqrt;
pub use sum::ReduceSum;
pub use tanh::Tanh;

use super::attributes::Attributes;
use super::interpret::EvalError;
use super::sample::Sample;
use super::{Bindings, Builder, DType, NodeId, ScalarOp, Tensor, Type};

/// What a primitive is to the schedule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lowering {
    /// No operands: an input, or a value known from attributes and sizes.
    Leaf,
    /// The same scalar operation for every element.
    Elementwise(ScalarOp),
    Reduction(Reduction),
    /// The positions of the elements of each row in ascending order.
    Order,
    Contraction,
    /// The same elements, or zeros, in another arrangement.
    Movement,
    Gather,
    ScatterAdd,
    Random,
    /// Has sub-graphs, or is a result of one that has.
    Region,
    /// A derivative yet to be expanded.
    Request,
}

/// What a reduction computes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reduction {
    Sum,
    Max,
    ArgMax,
}

/// One application of a primitive, as its derivative rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Applied<'a> {
    pub operands: &'a [NodeId],
    pub result: NodeId,
    /// For which operands a derivative is needed.
    pub wanted: &'a [bool],
}

/// One contribution for each operand, where there is one: what a `vjp` gives.
pub type Contributions = Result<Vec<Option<NodeId>>, String>;

/// Everything the compiler knows about one primitive.
pub trait Primitive {
    /// The name in the text form.
    fn keyword() -> &'static str
    where
        Self: Sized;

    /// The name in the text form.
    fn name(&self) -> &'static str;

    /// The static attributes in the text form.
    fn attributes(&self) -> Attributes;

    /// Reads what [`Primitive::attributes`] wrote.
    fn parse(attributes: &Attributes) -> Result<Self, String>
    where
        Self: Sized;

    /// The type of the result, or why the operands do not fit.
    fn infer(&self, operands: &[&Type]) -> Result<Type, String>;

    /// The meaning: the result, of type `out`, or all results of a region. A [`Project`] is given all results of its operand.
    /// In f64 functions are those of the standard library; in f32 every bit is what compiled code gives, except for a
    /// [`Contraction`] that a product library computes.
    fn eval(&self, operands: &[&Tensor], out: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError>;

    /// Reverse mode: what the cotangent of the result contributes to the cotangent of each wanted operand.
    fn vjp(&self, b: &mut Builder, at: Applied<'_>, cotangent: NodeId) -> Contributions;

    /// Forward mode: the tangent of the result, given those of the operands; `None` is zero.
    fn jvp(&self, b: &mut Builder, at: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String>;

    /// An equal node, if local identities give a simpler one. Each holds, with its gradient, for all values, ±0, ±∞ and NaN included.
    fn simplify(&self, b: &mut Builder, operands: &[NodeId]) -> Option<NodeId>;

    /// How the schedule treats it.
    fn lowering(&self) -> Lowering;

    /// Operands to test it on, floats of type `dtype`.
    fn samples(dtype: DType) -> Vec<Sample>
    where
        Self: Sized;
}

macro_rules! primitives {
    ($($name:ident),+ $(,)?) => {
        /// A primitive with its static attributes.
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub enum Op { $($name($name)),+ }

        impl Op {
            pub fn primitive(&self) -> &dyn Primitive {
                match self { $(Op::$name(p) => p),+ }
            }

            /// The primitive of this name in the text form, with these attributes.
            pub fn parse(name: &str, attributes: &Attributes) -> Result<Op, String> {
                $(if name == $name::keyword() {
                    return Ok(Op::$name($name::parse(attributes)?));
                })+
                Err(format!("no primitive is called `{name}`"))
            }

            /// The samples of every primitive.
            pub fn samples(dtype: DType) -> Vec<Sample> {
                [$($name::samples(dtype)),+].concat()
            }
        }

        $(impl From<$name> for Op {
            fn from(p: $name) -> Op { Op::$name(p) }
        })+
    };
}

primitives! {
    Input, Constant, SizeOf, Iota,
    Neg, Abs, Sign, Floor, Sqrt, Exp, Log, Log1p, Expm1, Tanh, Sigmoid, Softplus, Erf, Sin, Cos, Not, Convert,
    Add, Sub, Mul, Div, Pow, Maximum, Minimum, Less, LessEqual, Equal, And, Or, Select,
    ReduceSum, ReduceMax, ArgMax, Order, Contraction,
    Broadcast, Permute, Reshape, Slice, Pad, Concat, Gather, ScatterAdd, Random, Stop, Tag,
    Scan, While, Call, Project, Gradient, Tangent, Custom,
}

/// Fails with `why` unless `condition` holds.
fn require(condition: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(why()) }
}

fn arity(operands: &[&Type], n: usize) -> Result<(), String> {
    require(operands.len() == n, || format!("expects {n} operands, got {}", operands.len()))
}

/// The contributions of a primitive whose result does not change with small changes of its operands.
fn no_contributions(at: Applied<'_>) -> Contributions {
    Ok(vec![None; at.operands.len()])
}

/// Writes the two methods that give a primitive's name.
macro_rules! named {
    ($name:literal) => {
        fn keyword() -> &'static str {
            $name
        }

        fn name(&self) -> &'static str {
            $name
        }
    };
}
use named;

/// Writes the derivative rules of a primitive that has no differentiable operand or a result that is constant almost everywhere.
macro_rules! no_derivative {
    () => {
        fn vjp(
            &self,
            _: &mut crate::ir::Builder,
            at: super::Applied<'_>,
            _: crate::ir::NodeId,
        ) -> super::Contributions {
            super::no_contributions(at)
        }

        fn jvp(
            &self,
            _: &mut crate::ir::Builder,
            _: super::Applied<'_>,
            _: &[Option<crate::ir::NodeId>],
        ) -> Result<Option<crate::ir::NodeId>, String> {
            Ok(None)
        }
    };
}
use no_derivative;
