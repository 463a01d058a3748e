//! Requests for derivatives. Differentiation replaces them by ordinary graph, innermost first.

use super::{Primitive, arity, require};
use crate::ir::{DType, Type};

/// Operands `(y, x₁, …, xₖ)`, `y` a float scalar. Results, by [`super::Project`]: ∂y/∂xᵢ, of the type of `xᵢ`;
/// zero where `y` does not depend on `xᵢ`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Gradient;

/// Operands `(y, x₁, …, xₖ, v₁, …, vₖ)`: the derivative of `y` along `v` at `x`, of the type of `y`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tangent;

impl Primitive for Gradient {
    fn name(&self) -> &'static str {
        "gradient"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        require(operands.len() >= 2, || "expects a scalar and at least one target".into())?;
        require(operands[0].rank() == 0 && operands[0].dtype.is_float(), || "the value is no float scalar".into())?;
        Ok(Type::scalar(DType::Bool))
    }
}

impl Primitive for Tangent {
    fn name(&self) -> &'static str {
        "tangent"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        let k = operands.len() / 2;
        arity(operands, 2 * k + 1)?;
        require(operands[1..=k] == operands[k + 1..], || "directions differ from targets in type".into())?;
        Ok(operands[0].clone())
    }
}
