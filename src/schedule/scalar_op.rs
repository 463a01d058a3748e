//! The scalar operations kernels compute with, each the meaning of an elementwise primitive on one element.

use crate::ir::Op;
use crate::scalar::Function;

/// A scalar operation, between the types of the operands and of the result.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ScalarOp {
    Identity,
    /// Integers to floats rounded to nearest, floats to integers towards zero (saturating, NaN to 0), numbers to
    /// booleans as `x != 0`.
    Convert,
    Neg,
    Abs,
    Function(Function),
    Add,
    Sub,
    Mul,
    Div,
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

/// The scalar operation of an elementwise primitive.
pub fn scalar_op(op: &Op) -> Option<ScalarOp> {
    Some(match op {
        Op::Neg(_) => ScalarOp::Neg,
        Op::Abs(_) => ScalarOp::Abs,
        Op::Sign(_) => ScalarOp::Function(Function::Sign),
        Op::Floor(_) => ScalarOp::Function(Function::Floor),
        Op::Sqrt(_) => ScalarOp::Function(Function::Sqrt),
        Op::Exp(_) => ScalarOp::Function(Function::Exp),
        Op::Log(_) => ScalarOp::Function(Function::Log),
        Op::Log1p(_) => ScalarOp::Function(Function::Log1p),
        Op::Expm1(_) => ScalarOp::Function(Function::Expm1),
        Op::Tanh(_) => ScalarOp::Function(Function::Tanh),
        Op::Sigmoid(_) => ScalarOp::Function(Function::Sigmoid),
        Op::Softplus(_) => ScalarOp::Function(Function::Softplus),
        Op::Erf(_) => ScalarOp::Function(Function::Erf),
        Op::Sin(_) => ScalarOp::Function(Function::Sin),
        Op::Cos(_) => ScalarOp::Function(Function::Cos),
        Op::Not(_) => ScalarOp::Not,
        Op::Convert(_) => ScalarOp::Convert,
        Op::Add(_) => ScalarOp::Add,
        Op::Sub(_) => ScalarOp::Sub,
        Op::Mul(_) => ScalarOp::Mul,
        Op::Div(_) => ScalarOp::Div,
        Op::Pow(_) => ScalarOp::Pow,
        Op::Maximum(_) => ScalarOp::Maximum,
        Op::Minimum(_) => ScalarOp::Minimum,
        Op::Less(_) => ScalarOp::Less,
        Op::LessEqual(_) => ScalarOp::LessEqual,
        Op::Equal(_) => ScalarOp::Equal,
        Op::And(_) => ScalarOp::And,
        Op::Or(_) => ScalarOp::Or,
        Op::Select(_) => ScalarOp::Select,
        _ => return None,
    })
}
