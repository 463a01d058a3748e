//! Sizes as numbers.

use super::{Lowering, Primitive, arity, named, no_derivative};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::Sample;
use crate::ir::{Bindings, Builder, DType, NodeId, Size, Tensor, Type};

/// A size as a scalar number.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SizeOf {
    pub size: Size,
    pub dtype: DType,
}

impl Primitive for SizeOf {
    named!("size");
    no_derivative!();

    fn attributes(&self) -> Attributes {
        Attributes::none().with("size", &self.size).with("dtype", self.dtype)
    }

    fn parse(attributes: &Attributes) -> Result<SizeOf, String> {
        Ok(SizeOf { size: attributes.read("size")?, dtype: attributes.read("dtype")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 0)?;
        Ok(Type::scalar(self.dtype))
    }

    fn eval(&self, _: &[&Tensor], _: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![Tensor::from_i64(self.dtype, Vec::new(), vec![self.size.eval(bindings)? as i64])])
    }

    /// A size without symbols is a constant, where the constant holds it exactly.
    fn simplify(&self, b: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        let value = self.size.as_constant().filter(|n| *n <= 1 << f32::MANTISSA_DIGITS)?;
        Some(b.constant(self.dtype, value as f64))
    }

    fn lowering(&self) -> Lowering {
        Lowering::Leaf
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let size = &Size::symbol("N") * &3.into();
        let sample = |size: &Size, dtype| Sample::new(SizeOf { size: size.clone(), dtype }, Vec::new());
        vec![sample(&size, dtype), sample(&size, dtype.int()), sample(&5.into(), dtype)]
    }
}
