//! Change of element type.

use super::{Applied, Contributions, Lowering, Primitive, arity, named, no_contributions};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, NodeId, Op, ScalarOp, Tensor, Type};

/// Converts the element type: integers and booleans to floats, floats to integers towards zero. Between floats the
/// derivative is converted; otherwise it is 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Convert {
    pub dtype: DType,
}

impl Primitive for Convert {
    named!("convert");

    fn attributes(&self) -> Attributes {
        Attributes::none().with("dtype", self.dtype)
    }

    fn parse(attributes: &Attributes) -> Result<Convert, String> {
        Ok(Convert { dtype: attributes.read("dtype")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        Ok(operands[0].with_dtype(self.dtype))
    }

    fn eval(&self, operands: &[&Tensor], _: &Type, _: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let (x, dims) = (operands[0], operands[0].dims.clone());
        Ok(vec![if x.dtype().is_float() {
            Tensor::from_f64(self.dtype, dims, x.to_f64())
        } else {
            Tensor::from_i64(self.dtype, dims, x.to_i64())
        }])
    }

    fn vjp(&self, b: &mut Builder, at: Applied<'_>, cotangent: NodeId) -> Contributions {
        let from = b.ty(at.operands[0]).dtype;
        if !(from.is_float() && self.dtype.is_float()) {
            return no_contributions(at);
        }
        Ok(vec![Some(b.convert(cotangent, from))])
    }

    fn jvp(&self, b: &mut Builder, _: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        Ok(tangents[0].filter(|_| self.dtype.is_float()).map(|v| b.convert(v, self.dtype)))
    }

    /// To the same type: x.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        (b.ty(x[0]).dtype == self.dtype).then_some(x[0])
    }

    fn lowering(&self) -> Lowering {
        Lowering::Elementwise(ScalarOp::Convert)
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let ty = &Op::elementwise_types(dtype)[0];
        let sample =
            |to: DType, from: DType, draw: Draw| Sample::new(Convert { dtype: to }, vec![(ty.with_dtype(from), draw)]);
        vec![
            sample(dtype, dtype, Draw::Uniform(-2.0, 2.0)),
            sample(dtype, dtype.int(), Draw::Index(9)),
            sample(dtype, DType::Bool, Draw::Bool),
            sample(dtype.int(), dtype, Draw::Away(-2.5, 2.5, &[-2.0, -1.0, 0.0, 1.0, 2.0])),
        ]
    }
}
