//! The primitives: few, and closed under differentiation.

mod contraction;
mod derivative;
mod elementwise;
mod indexing;
mod leaf;
mod movement;
mod random;
mod reduce;
mod region;

pub use contraction::*;
pub use derivative::*;
pub use elementwise::*;
pub use indexing::*;
pub use leaf::*;
pub use movement::*;
pub use random::*;
pub use reduce::*;
pub use region::*;

use super::Type;

/// Everything the compiler knows about one primitive.
pub trait Primitive {
    /// The name in the text form.
    fn name(&self) -> &'static str;

    /// The type of the result, or why the operands do not fit.
    fn infer(&self, operands: &[&Type]) -> Result<Type, String>;
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
    ReduceSum, ReduceMax, ArgMax, Contraction,
    Broadcast, Permute, Reshape, Slice, Pad, Concat, Gather, ScatterAdd, Random, Stop, Tag,
    Scan, While, Call, Project, Gradient, Tangent,
}

/// Fails with `why` unless `condition` holds.
fn require(condition: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(why()) }
}

fn arity(operands: &[&Type], n: usize) -> Result<(), String> {
    require(operands.len() == n, || format!("expects {n} operands, got {}", operands.len()))
}
