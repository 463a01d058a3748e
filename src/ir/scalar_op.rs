//! Scalar operations: what an elementwise primitive does to one element of each operand.
//!
//! Input and output: numbers, booleans as 0 and 1. Invariant: [`ScalarOp::single`] gives the bits compiled code gives.

use crate::scalar::{self, Function};

/// The operation of one element. Kernels are made of these.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ScalarOp {
    /// The value itself.
    Identity,
    /// Between the dtypes of operand and result: integers to floats rounded to nearest, floats to integers towards zero
    /// (saturating, NaN to 0), numbers to booleans as `x != 0`.
    Convert,
    Neg,
    Abs,
    /// A function of one variable, by its sequence in [`crate::scalar`].
    Function(Function),
    Add,
    Sub,
    Mul,
    Div,
    /// By the sequence of [`crate::scalar::pow`].
    Pow,
    /// `b` if `a < b` or `b` is NaN, else `a`.
    Maximum,
    /// `b` if `b < a` or `b` is NaN, else `a`.
    Minimum,
    Less,
    LessEqual,
    Equal,
    Not,
    And,
    Or,
    /// `a ? b : c`.
    Select,
}

impl ScalarOp {
    /// The f32 value. `exact` is the value in f64: for the arithmetic of f32 operands, rounding it once gives the
    /// correctly rounded f32 result, since 53 ≥ 2·24 + 2 digits (Figueroa, "When is double rounding innocuous?").
    pub fn single(self, operands: &[f32], exact: impl FnOnce() -> f64) -> f32 {
        match self {
            ScalarOp::Function(f) => f.apply_f32(operands[0]),
            ScalarOp::Pow => scalar::pow_f32(operands[0], operands[1]),
            _ => exact() as f32,
        }
    }

    /// The value over integers, which wrap; `None` if it has no meaning there.
    pub fn integer(self, x: &[i64]) -> Option<i64> {
        Some(match self {
            ScalarOp::Identity => x[0],
            ScalarOp::Neg => x[0].wrapping_neg(),
            ScalarOp::Abs => x[0].wrapping_abs(),
            ScalarOp::Function(Function::Sign) => x[0].signum(),
            ScalarOp::Add => x[0].wrapping_add(x[1]),
            ScalarOp::Sub => x[0].wrapping_sub(x[1]),
            ScalarOp::Mul => x[0].wrapping_mul(x[1]),
            ScalarOp::Maximum => x[0].max(x[1]),
            ScalarOp::Minimum => x[0].min(x[1]),
            ScalarOp::Less => i64::from(x[0] < x[1]),
            ScalarOp::LessEqual => i64::from(x[0] <= x[1]),
            ScalarOp::Equal => i64::from(x[0] == x[1]),
            ScalarOp::Not => i64::from(x[0] == 0),
            ScalarOp::And => x[0] & x[1],
            ScalarOp::Or => x[0] | x[1],
            ScalarOp::Select => {
                if x[0] != 0 {
                    x[1]
                } else {
                    x[2]
                }
            }
            ScalarOp::Convert | ScalarOp::Function(_) | ScalarOp::Div | ScalarOp::Pow => return None,
        })
    }
}
