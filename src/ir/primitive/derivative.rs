//! Requests for derivatives. Differentiation replaces them by ordinary graph, innermost first.

use super::region::not_differentiable;
use super::{Lowering, Primitive, arity, named, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::Sample;
use crate::ir::{Bindings, DType, Tensor, Type};

/// Operands `(y, x₁, …, xₖ)`, `y` a float scalar. Results, by [`super::Project`]: ∂y/∂xᵢ, of the type of `xᵢ`;
/// zero where `y` does not depend on `xᵢ`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Gradient;

/// Operands `(y, x₁, …, xₖ, v₁, …, vₖ)`: the derivative of `y` along `v` at `x`, of the type of `y`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tangent;

impl Primitive for Gradient {
    named!("gradient");
    not_differentiable!("a request that is not expanded");

    fn attributes(&self) -> Attributes {
        Attributes::none()
    }

    fn parse(_: &Attributes) -> Result<Gradient, String> {
        Ok(Gradient)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        require(operands.len() >= 2, || "expects a scalar and at least one target".into())?;
        require(operands[0].rank() == 0 && operands[0].dtype.is_float(), || "the value is no float scalar".into())?;
        Ok(Type::scalar(DType::Bool))
    }

    fn eval(&self, _: &[&Tensor], _: &Type, _: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        Err(EvalError::Request)
    }

    fn lowering(&self) -> Lowering {
        Lowering::Request
    }

    /// None: a request has no value before it is expanded.
    fn samples(_: DType) -> Vec<Sample> {
        Vec::new()
    }
}

impl Primitive for Tangent {
    named!("tangent");
    not_differentiable!("a request that is not expanded");

    fn attributes(&self) -> Attributes {
        Attributes::none()
    }

    fn parse(_: &Attributes) -> Result<Tangent, String> {
        Ok(Tangent)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        let k = operands.len() / 2;
        arity(operands, 2 * k + 1)?;
        require(operands[1..=k] == operands[k + 1..], || "directions differ from targets in type".into())?;
        Ok(operands[0].clone())
    }

    fn eval(&self, _: &[&Tensor], _: &Type, _: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        Err(EvalError::Request)
    }

    fn lowering(&self) -> Lowering {
        Lowering::Request
    }

    /// None: a request has no value before it is expanded.
    fn samples(_: DType) -> Vec<Sample> {
        Vec::new()
    }
}
