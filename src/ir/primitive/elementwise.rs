//! Elementwise primitives. Operands have equal dims; stretching is [`super::Broadcast`]'s.

use super::{Primitive, arity, require};
use crate::ir::{DType, Type};

fn same(operands: &[&Type]) -> Result<Type, String> {
    require(operands.windows(2).all(|w| w[0] == w[1]), || "operands differ in type".into())?;
    Ok(operands[0].clone())
}

fn numeric(ty: Type) -> Result<Type, String> {
    require(ty.dtype != DType::Bool, || "expects numbers, got booleans".into())?;
    Ok(ty)
}

fn float(ty: Type) -> Result<Type, String> {
    require(ty.dtype.is_float(), || format!("expects floats, got {}", ty.dtype))?;
    Ok(ty)
}

fn boolean(ty: Type) -> Result<Type, String> {
    require(ty.dtype == DType::Bool, || format!("expects booleans, got {}", ty.dtype))?;
    Ok(ty)
}

fn comparison(ty: Type) -> Result<Type, String> {
    Ok(numeric(ty)?.with_dtype(DType::Bool))
}

macro_rules! elementwise {
    ($($(#[$doc:meta])* $op:ident $name:literal $arity:literal $rule:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub struct $op;

        impl Primitive for $op {
            fn name(&self) -> &'static str {
                $name
            }

            fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
                arity(operands, $arity)?;
                $rule(same(operands)?)
            }
        }
    )+};
}

elementwise! {
    Neg "neg" 1 numeric,
    Abs "abs" 1 numeric,
    /// -1, 0 or 1; NaN of NaN; 0 of either zero.
    Sign "sign" 1 numeric,
    Floor "floor" 1 float,
    Sqrt "sqrt" 1 float,
    Exp "exp" 1 float,
    Log "log" 1 float,
    /// log(1 + x).
    Log1p "log1p" 1 float,
    /// exp(x) - 1.
    Expm1 "expm1" 1 float,
    Tanh "tanh" 1 float,
    /// 1 / (1 + exp(-x)).
    Sigmoid "sigmoid" 1 float,
    /// log(1 + exp(x)).
    Softplus "softplus" 1 float,
    Erf "erf" 1 float,
    Sin "sin" 1 float,
    Cos "cos" 1 float,
    Not "not" 1 boolean,
    /// The value, constant to every derivative.
    Stop "stop" 1 same_one,
    Add "add" 2 numeric,
    Sub "sub" 2 numeric,
    Mul "mul" 2 numeric,
    Div "div" 2 float,
    Pow "pow" 2 float,
    Maximum "maximum" 2 numeric,
    Minimum "minimum" 2 numeric,
    /// a < b; false if either is NaN.
    Less "less" 2 comparison,
    /// a <= b; false if either is NaN.
    LessEqual "less_equal" 2 comparison,
    /// a = b; false if either is NaN.
    Equal "equal" 2 comparison,
    And "and" 2 boolean,
    Or "or" 2 boolean,
}

fn same_one(ty: Type) -> Result<Type, String> {
    Ok(ty)
}

/// Converts the element type: integers and booleans to floats, floats to integers towards zero.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Convert {
    pub dtype: DType,
}

impl Primitive for Convert {
    fn name(&self) -> &'static str {
        "convert"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        Ok(operands[0].with_dtype(self.dtype))
    }
}

/// `condition ? a : b` per element.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Select;

impl Primitive for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 3)?;
        boolean(operands[0].clone())?;
        require(operands[0].dims == operands[1].dims, || "the condition differs in shape".into())?;
        same(&operands[1..])
    }
}

/// An identity that merges with nothing else, so that a derivative has a target of its own.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tag {
    pub id: u32,
}

impl Primitive for Tag {
    fn name(&self) -> &'static str {
        "tag"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        Ok(operands[0].clone())
    }
}
