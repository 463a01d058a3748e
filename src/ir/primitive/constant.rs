//! Known scalars.

use super::{Lowering, Primitive, arity, named, no_derivative};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::Sample;
use crate::ir::{Bindings, Builder, DType, NodeId, Tensor, Type};

/// A scalar. Floats are kept as the bits of the f64 that was written and rounded to the dtype once;
/// integers and booleans as their value. There is one NaN.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Constant {
    pub dtype: DType,
    bits: u64,
}

impl Constant {
    pub fn new(dtype: DType, value: f64) -> Constant {
        let rounded = if dtype == DType::F32 { f64::from(value as f32) } else { value };
        Constant { dtype, bits: if rounded.is_nan() { f64::NAN } else { rounded }.to_bits() }
    }

    pub fn value(&self) -> f64 {
        f64::from_bits(self.bits)
    }
}

impl Primitive for Constant {
    named!("constant");
    no_derivative!();

    fn attributes(&self) -> Attributes {
        Attributes::none().with("value", format!("{:?}", self.value())).with("dtype", self.dtype)
    }

    fn parse(attributes: &Attributes) -> Result<Constant, String> {
        Ok(Constant::new(attributes.read("dtype")?, attributes.read("value")?))
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 0)?;
        Ok(Type::scalar(self.dtype))
    }

    fn eval(&self, _: &[&Tensor], _: &Type, _: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![Tensor::scalar(self.dtype, self.value())])
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn lowering(&self) -> Lowering {
        Lowering::Leaf
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let sample = |dtype, value| Sample::new(Constant::new(dtype, value), Vec::new());
        vec![
            sample(dtype, 0.1),
            sample(dtype, -0.0),
            sample(dtype, f64::NEG_INFINITY),
            sample(dtype, f64::NAN),
            sample(dtype.int(), 3.0),
            sample(DType::Bool, 1.0),
        ]
    }
}
