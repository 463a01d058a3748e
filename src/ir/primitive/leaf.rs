//! Leaves: inputs, constants, sizes as numbers, and positions along an axis.

use super::{Primitive, arity, require};
use crate::ir::{DType, Size, Type};
use std::sync::Arc;

/// What an input is to the step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Role {
    /// A trained tensor, named by its path.
    Parameter,
    /// A tensor a layer or an optimizer keeps between steps, named by its path.
    State,
    /// A column of the batch.
    Data,
    /// The run's seed, an `i64` scalar.
    Seed,
    /// The number of the step, an `i64` scalar from 0.
    Step,
    /// A scalar given from outside, such as a setting that may change between steps.
    Setting,
    /// A value bound by a region.
    Bound,
}

/// A value that comes from outside.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Input {
    pub name: Arc<str>,
    pub role: Role,
    pub ty: Type,
}

/// A scalar. Floats are kept as the bits of the f64 that was written and rounded to the dtype once;
/// integers and booleans as their value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Constant {
    pub dtype: DType,
    bits: u64,
}

impl Constant {
    pub fn new(dtype: DType, value: f64) -> Constant {
        let rounded = if dtype == DType::F32 { f64::from(value as f32) } else { value };
        Constant { dtype, bits: rounded.to_bits() }
    }

    pub fn value(&self) -> f64 {
        f64::from_bits(self.bits)
    }
}

/// A size as a scalar number.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SizeOf {
    pub size: Size,
    pub dtype: DType,
}

/// `dims`-shaped integers, each element its own position along `axis`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Iota {
    pub axis: usize,
    pub dims: Vec<Size>,
    pub dtype: DType,
}

impl Primitive for Input {
    fn name(&self) -> &'static str {
        "input"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 0)?;
        Ok(self.ty.clone())
    }
}

impl Primitive for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 0)?;
        Ok(Type::scalar(self.dtype))
    }
}

impl Primitive for SizeOf {
    fn name(&self) -> &'static str {
        "size"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 0)?;
        Ok(Type::scalar(self.dtype))
    }
}

impl Primitive for Iota {
    fn name(&self) -> &'static str {
        "iota"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 0)?;
        require(self.axis < self.dims.len(), || format!("axis {} of {} axes", self.axis, self.dims.len()))?;
        require(self.dtype.is_int(), || "positions are integers".into())?;
        Ok(Type::new(self.dtype, self.dims.clone()))
    }
}
