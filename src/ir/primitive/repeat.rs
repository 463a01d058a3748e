//! Loops while a condition holds.

use super::region::{bundle, not_differentiable};
use super::{Lowering, Primitive, Region, named, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, OutputRole, Role, Tensor, Type};
use std::sync::Arc;

/// A loop of at most `bound` iterations while `condition(carried.., captures..)` holds. Operands: `carried` initial
/// values, then captures. Results, by [`super::Project`]: final carried values.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct While {
    pub condition: Region,
    pub body: Region,
    pub carried: usize,
    pub bound: u64,
}

impl Primitive for While {
    named!("while");
    not_differentiable!("a bounded loop");

    fn attributes(&self) -> Attributes {
        Attributes::none()
            .with("carried", self.carried)
            .with("bound", self.bound)
            .with_region("condition", &self.condition)
            .with_region("body", &self.body)
    }

    fn parse(attributes: &Attributes) -> Result<While, String> {
        Ok(While {
            condition: attributes.region("condition")?,
            body: attributes.region("body")?,
            carried: attributes.read("carried")?,
            bound: attributes.read("bound")?,
        })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        require(operands.len() >= self.carried, || "too few operands".into())?;
        let inner: Vec<Type> = operands.iter().map(|t| (*t).clone()).collect();
        self.condition.takes(&inner)?;
        self.body.takes(&inner)?;
        require(self.condition.results() == [Type::scalar(DType::Bool)], || "the condition is no boolean".into())?;
        require(self.body.results() == inner[..self.carried], || "carried values change type".into())?;
        Ok(bundle())
    }

    fn eval(&self, operands: &[&Tensor], _: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let mut values: Vec<Tensor> = operands.iter().map(|t| (*t).clone()).collect();
        for _ in 0..self.bound {
            if self.condition.eval(&values, bindings)?[0].to_i64() != [1] {
                break;
            }
            let next = self.body.eval(&values, bindings)?;
            values.splice(..self.carried, next);
        }
        values.truncate(self.carried);
        Ok(values)
    }

    fn lowering(&self) -> Lowering {
        Lowering::Region
    }

    /// A value doubled until it reaches a limit.
    fn samples(dtype: DType) -> Vec<Sample> {
        let ty = Type::scalar(dtype);
        let region = |build: fn(&mut Builder, crate::ir::NodeId, crate::ir::NodeId) -> crate::ir::NodeId| {
            let mut b = Builder::new();
            let [x, limit] = ["x", "limit"].map(|name| b.input(name, Role::Bound, ty.clone()));
            let result = build(&mut b, x, limit);
            b.output("result", OutputRole::Report, result);
            Region(Arc::new(b.finish()))
        };
        let (condition, body) = (region(|b, x, limit| b.less(x, limit)), region(|b, x, _| b.add(x, x)));
        let operands = vec![(ty.clone(), Draw::Uniform(0.5, 1.0)), (ty.clone(), Draw::Uniform(20.0, 30.0))];
        vec![Sample::new(While { condition, body, carried: 1, bound: 4 }, operands)]
    }
}
