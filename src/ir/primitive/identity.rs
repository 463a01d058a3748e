//! The value itself: hidden from derivatives, or as the target of one.

use super::elementwise::{Elementwise, Rule};
use super::{Applied, Contributions, Lowering, Primitive, arity, named};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, NodeId, Op, ScalarOp, Tensor, Type};

/// The value, constant to every derivative.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Stop;

/// The value, merging with nothing else, so that a derivative has a target of its own.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tag {
    pub id: u32,
}

impl Elementwise for Stop {
    const NAME: &'static str = "stop";
    const RULE: Rule = Rule::Any;

    fn scalar(&self) -> ScalarOp {
        ScalarOp::Identity
    }

    fn meaning(&self, x: &[f64]) -> f64 {
        x[0]
    }

    fn chain(&self, _: &mut Builder, _: Applied<'_>, _: usize, _: NodeId) -> Option<NodeId> {
        None
    }

    /// stop(stop(x)) = stop(x).
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        matches!(b.graph().op(x[0]), Op::Stop(Stop)).then_some(x[0])
    }

    /// None among floats: the gradient is not that of the value, on purpose.
    fn draws() -> Vec<Vec<Draw>> {
        Vec::new()
    }
}

impl Primitive for Tag {
    named!("tag");

    fn attributes(&self) -> Attributes {
        Attributes::none().with("id", self.id)
    }

    fn parse(attributes: &Attributes) -> Result<Tag, String> {
        Ok(Tag { id: attributes.read("id")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        Ok(operands[0].clone())
    }

    fn eval(&self, operands: &[&Tensor], _: &Type, _: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![operands[0].clone()])
    }

    fn vjp(&self, _: &mut Builder, _: Applied<'_>, cotangent: NodeId) -> Contributions {
        Ok(vec![Some(cotangent)])
    }

    fn jvp(&self, _: &mut Builder, _: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        Ok(tangents[0])
    }

    /// None: only differentiation may drop it.
    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn lowering(&self) -> Lowering {
        Lowering::Elementwise(ScalarOp::Identity)
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let ty = Op::elementwise_types(dtype)[0].clone();
        vec![Sample::new(Tag { id: 0 }, vec![(ty, Draw::Uniform(-2.0, 2.0))])]
    }
}
