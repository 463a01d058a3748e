//! Regions applied to operands, and single results of primitives that have several.

use super::region::{bundle, not_differentiable};
use super::{Lowering, Primitive, Region, arity, named};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, OutputRole, Role, Size, Tensor, Type};
use std::sync::Arc;

/// A region applied to operands, compiled once however often it is called. Results by [`Project`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Call {
    pub body: Region,
}

/// Result `index`, of type `ty`, of a primitive with several results.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Project {
    pub index: usize,
    pub ty: Type,
}

impl Primitive for Call {
    named!("call");
    not_differentiable!("a call");

    fn attributes(&self) -> Attributes {
        Attributes::none().with_region("body", &self.body)
    }

    fn parse(attributes: &Attributes) -> Result<Call, String> {
        Ok(Call { body: attributes.region("body")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        self.body.takes(&operands.iter().map(|t| (*t).clone()).collect::<Vec<_>>())?;
        Ok(bundle())
    }

    fn eval(&self, operands: &[&Tensor], _: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        self.body.eval(&operands.iter().map(|t| (*t).clone()).collect::<Vec<_>>(), bindings)
    }

    fn lowering(&self) -> Lowering {
        Lowering::Region
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let ty = Type::new(dtype, vec![Size::symbol("N")]);
        let mut b = Builder::new();
        let [x, y] = ["x", "y"].map(|name| b.input(name, Role::Bound, ty.clone()));
        let (product, sine) = (b.mul(x, y), b.sin(x));
        b.output("product", OutputRole::Report, product);
        b.output("sine", OutputRole::Report, sine);
        let operand = (ty, Draw::Uniform(-2.0, 2.0));
        vec![Sample::new(Call { body: Region(Arc::new(b.finish())) }, vec![operand.clone(), operand])]
    }
}

impl Primitive for Project {
    named!("project");
    not_differentiable!("a primitive with several results");

    fn attributes(&self) -> Attributes {
        Attributes::none().with("index", self.index).with("type", &self.ty)
    }

    fn parse(attributes: &Attributes) -> Result<Project, String> {
        Ok(Project { index: attributes.read("index")?, ty: attributes.read("type")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        Ok(self.ty.clone())
    }

    fn eval(&self, operands: &[&Tensor], _: &Type, _: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let result = operands.get(self.index).ok_or_else(|| EvalError::OutOfRange(format!("result {}", self.index)))?;
        Ok(vec![(*result).clone()])
    }

    fn lowering(&self) -> Lowering {
        Lowering::Region
    }

    /// None: it is tested with the primitives that have several results.
    fn samples(_: DType) -> Vec<Sample> {
        Vec::new()
    }
}
