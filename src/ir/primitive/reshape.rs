//! Other dims for the same elements.

use super::{Applied, Contributions, Lowering, Primitive, arity, named, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, NodeId, Op, Size, Tensor, Type};

/// The same elements in row-major order under other dims.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reshape {
    pub dims: Vec<Size>,
}

impl Primitive for Reshape {
    named!("reshape");

    fn attributes(&self) -> Attributes {
        Attributes::none().with_list("dims", &self.dims)
    }

    fn parse(attributes: &Attributes) -> Result<Reshape, String> {
        Ok(Reshape { dims: attributes.list("dims")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        let out = Type::new(operands[0].dtype, self.dims.clone());
        require(out.elements() == operands[0].elements(), || "the number of elements changes".into())?;
        Ok(out)
    }

    fn eval(&self, operands: &[&Tensor], out: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![Tensor { dims: out.shape(bindings)?, data: operands[0].data.clone() }])
    }

    fn vjp(&self, b: &mut Builder, at: Applied<'_>, cotangent: NodeId) -> Contributions {
        let dims = b.dims(at.operands[0]);
        Ok(vec![Some(b.reshape(cotangent, &dims))])
    }

    fn jvp(&self, b: &mut Builder, _: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        Ok(tangents[0].map(|v| b.reshape(v, &self.dims)))
    }

    /// To the same dims: x. Of a reshape: one reshape.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        if b.ty(x[0]).dims == self.dims {
            return Some(x[0]);
        }
        let Op::Reshape(_) = b.graph().op(x[0]) else { return None };
        let source = b.graph().operands(x[0])[0];
        Some(b.reshape(source, &self.dims))
    }

    fn lowering(&self) -> Lowering {
        Lowering::Movement
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let n = || Size::symbol("N");
        let sample = |from: Vec<Size>, to: Vec<Size>| {
            Sample::new(Reshape { dims: to }, vec![(Type::new(dtype, from), Draw::Uniform(-2.0, 2.0))])
        };
        vec![
            sample(vec![n(), 6.into()], vec![n(), 2.into(), 3.into()]),
            sample(vec![n(), 6.into()], vec![&n() * &6.into()]),
            sample(vec![], vec![1.into(), 1.into()]),
        ]
    }
}
