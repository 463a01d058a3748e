//! Positions along an axis.

use super::{Lowering, Primitive, arity, named, no_derivative, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::Sample;
use crate::ir::tensor::positions;
use crate::ir::{Bindings, Builder, DType, NodeId, Size, Tensor, Type};

/// `dims`-shaped integers, each element its own position along `axis`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Iota {
    pub axis: usize,
    pub dims: Vec<Size>,
    pub dtype: DType,
}

impl Primitive for Iota {
    named!("iota");
    no_derivative!();

    fn attributes(&self) -> Attributes {
        Attributes::none().with("axis", self.axis).with_list("dims", &self.dims).with("dtype", self.dtype)
    }

    fn parse(attributes: &Attributes) -> Result<Iota, String> {
        Ok(Iota { axis: attributes.read("axis")?, dims: attributes.list("dims")?, dtype: attributes.read("dtype")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 0)?;
        require(self.axis < self.dims.len(), || format!("axis {} of {} axes", self.axis, self.dims.len()))?;
        require(self.dtype.is_int(), || "positions are integers".into())?;
        Ok(Type::new(self.dtype, self.dims.clone()))
    }

    fn eval(&self, _: &[&Tensor], out: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let dims = out.shape(bindings)?;
        let values = positions(&dims).map(|p| p[self.axis] as i64).collect();
        Ok(vec![Tensor::from_i64(self.dtype, dims, values)])
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn lowering(&self) -> Lowering {
        Lowering::Leaf
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let dims = vec![Size::symbol("N"), 5.into()];
        let sample = |axis| Sample::new(Iota { axis, dims: dims.clone(), dtype: dtype.int() }, Vec::new());
        vec![sample(0), sample(1)]
    }
}
