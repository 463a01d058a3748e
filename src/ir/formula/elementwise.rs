//! How each elementwise primitive is written.

use super::axes::Class;
use super::form::{AND, COMPARISON, Form, Kind, OR, over, plus, power, times};
use crate::ir::Op;

/// Whether [`combined`] knows the primitive.
pub(super) fn elementwise(op: &Op) -> bool {
    combines(op).is_some()
}

/// The function that writes a primitive, or a blank for an operator.
fn combines(op: &Op) -> Option<&'static str> {
    Some(match op {
        Op::Abs(_) => "abs",
        Op::Sign(_) => "sign",
        Op::Floor(_) => "floor",
        Op::Sqrt(_) => "sqrt",
        Op::Exp(_) => "exp",
        Op::Log(_) => "log",
        Op::Log1p(_) => "log1p",
        Op::Expm1(_) => "expm1",
        Op::Tanh(_) => "tanh",
        Op::Sigmoid(_) => "sigmoid",
        Op::Softplus(_) => "softplus",
        Op::Erf(_) => "erf",
        Op::Sin(_) => "sin",
        Op::Cos(_) => "cos",
        Op::Maximum(_) => "max",
        Op::Minimum(_) => "min",
        Op::Select(_) => "where",
        Op::Stop(_) => "stop",
        Op::Neg(_) | Op::Not(_) | Op::Convert(_) | Op::Add(_) | Op::Sub(_) | Op::Mul(_) | Op::Div(_) => "",
        Op::Pow(_) | Op::Less(_) | Op::LessEqual(_) | Op::Equal(_) | Op::And(_) | Op::Or(_) => "",
        _ => return None,
    })
}

/// An elementwise primitive of forms that fit into `axes`.
pub(super) fn combined(op: &Op, x: &[Form], axes: &[Class]) -> Form {
    let infix = |symbol, precedence, a: &Form, b: &Form| {
        Form::new(Kind::Infix(symbol, precedence, Box::new(a.clone()), Box::new(b.clone())), axes)
    };
    // A number reads better on the right: z > 0.
    let compare = |symbol, flipped, a: &Form, b: &Form| match (&a.kind, &b.kind) {
        (Kind::Number(_), kind) if !matches!(kind, Kind::Number(_)) => infix(flipped, COMPARISON, b, a),
        _ => infix(symbol, COMPARISON, a, b),
    };
    match (op, x) {
        (Op::Neg(_), [a]) => times(&Form::number(-1.0), a, axes),
        (Op::Not(_), [a]) => Form::new(Kind::Not(Box::new(a.clone())), axes),
        (Op::Convert(to), [a]) if to.dtype.is_float() => {
            Form::call("where", vec![a.clone(), Form::number(1.0), Form::number(0.0)], axes)
        }
        (Op::Convert(_), [a]) => Form::call("floor", vec![a.clone()], axes),
        (Op::Add(_), [a, b]) => plus(a, 1.0, b, axes),
        (Op::Sub(_), [a, b]) => plus(a, -1.0, b, axes),
        (Op::Mul(_), [a, b]) => times(a, b, axes),
        (Op::Div(_), [a, b]) => over(a, b, axes),
        (Op::Pow(_), [a, b]) => power(a, b, axes),
        (Op::Less(_), [a, b]) => compare("<", ">", a, b),
        (Op::LessEqual(_), [a, b]) => compare("<=", ">=", a, b),
        (Op::Equal(_), [a, b]) => compare("==", "==", a, b),
        (Op::And(_), [a, b]) => infix("and", AND, a, b),
        (Op::Or(_), [a, b]) => infix("or", OR, a, b),
        _ => Form::call(combines(op).unwrap_or_default(), x.to_vec(), axes),
    }
}
