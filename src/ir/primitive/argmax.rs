//! Positions of maxima.

use super::sum::drop_axes;
use super::{Lowering, Primitive, Reduction, arity, named, no_derivative};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, NodeId, Size, Tensor, Type, reduction};

/// The position of the first largest element along `axis`, as integers of type `dtype`; a NaN counts as largest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ArgMax {
    pub axis: usize,
    pub dtype: DType,
}

impl Primitive for ArgMax {
    named!("argmax");
    no_derivative!();

    fn attributes(&self) -> Attributes {
        Attributes::none().with("axis", self.axis).with("dtype", self.dtype)
    }

    fn parse(attributes: &Attributes) -> Result<ArgMax, String> {
        Ok(ArgMax { axis: attributes.read("axis")?, dtype: attributes.read("dtype")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        Ok(drop_axes(operands[0], &[self.axis])?.with_dtype(self.dtype))
    }

    fn eval(&self, operands: &[&Tensor], _: &Type, _: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![reduction::argmax(operands[0], self.axis, self.dtype)])
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn lowering(&self) -> Lowering {
        Lowering::Reduction(Reduction::ArgMax)
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let operand = (Type::new(dtype, vec![Size::symbol("N"), 5.into()]), Draw::Distinct(0.5));
        let sample = |axis| Sample::new(ArgMax { axis, dtype: dtype.int() }, vec![operand.clone()]);
        vec![sample(0), sample(1)]
    }
}
