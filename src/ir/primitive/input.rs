//! Values that come from outside.

use super::{Lowering, Primitive, arity, named, no_derivative};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::Sample;
use crate::ir::{Bindings, Builder, DType, NodeId, Tensor, Type};
use std::fmt;
use std::str::FromStr;
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

impl Role {
    const ALL: [Role; 7] =
        [Role::Parameter, Role::State, Role::Data, Role::Seed, Role::Step, Role::Setting, Role::Bound];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Parameter => "parameter",
            Role::State => "state",
            Role::Data => "data",
            Role::Seed => "seed",
            Role::Step => "step",
            Role::Setting => "setting",
            Role::Bound => "bound",
        })
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Role, String> {
        Role::ALL.into_iter().find(|r| r.to_string() == text).ok_or_else(|| format!("`{text}` is no role"))
    }
}

/// A value that comes from outside.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Input {
    pub name: Arc<str>,
    pub role: Role,
    pub ty: Type,
}

impl Primitive for Input {
    named!("input");
    no_derivative!();

    fn attributes(&self) -> Attributes {
        Attributes::none().with_text("name", &self.name).with("role", self.role).with("type", &self.ty)
    }

    fn parse(attributes: &Attributes) -> Result<Input, String> {
        Ok(Input { name: attributes.text("name")?, role: attributes.read("role")?, ty: attributes.read("type")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 0)?;
        Ok(self.ty.clone())
    }

    /// An input has no value of its own: the interpreter gives it one before it asks.
    fn eval(&self, _: &[&Tensor], _: &Type, _: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        Err(EvalError::MissingInput(self.name.clone()))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn lowering(&self) -> Lowering {
        Lowering::Leaf
    }

    /// None: every other primitive's operands are inputs.
    fn samples(_: DType) -> Vec<Sample> {
        Vec::new()
    }
}
