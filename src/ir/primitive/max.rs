//! Maxima over axes.

use super::sum::drop_axes;
use super::{Applied, Contributions, Lowering, Primitive, Reduction, arity, named};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, NodeId, Size, Tensor, Type, reduction};

/// The maximum over `axes` (ascending); -∞ over nothing; NaN if any element is. Elements that tie share its derivative
/// equally; where the maximum is NaN the derivative is 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ReduceMax {
    pub axes: Vec<usize>,
}

impl ReduceMax {
    /// Which elements are the maximum, and how many they are.
    fn ties(&self, b: &mut Builder, at: Applied<'_>) -> (NodeId, NodeId) {
        let x = at.operands[0];
        let ty = b.ty(x).clone();
        let stretched = b.broadcast_over(at.result, &self.axes, &ty.dims);
        let mask = b.equal(x, stretched);
        let ones = b.convert(mask, ty.dtype);
        (mask, b.sum(ones, &self.axes))
    }
}

impl Primitive for ReduceMax {
    named!("max");

    fn attributes(&self) -> Attributes {
        Attributes::none().with_list("axes", &self.axes)
    }

    fn parse(attributes: &Attributes) -> Result<ReduceMax, String> {
        Ok(ReduceMax { axes: attributes.list("axes")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        drop_axes(operands[0], &self.axes)
    }

    fn eval(&self, operands: &[&Tensor], _: &Type, _: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![reduction::max(operands[0], &self.axes)])
    }

    fn vjp(&self, b: &mut Builder, at: Applied<'_>, cotangent: NodeId) -> Contributions {
        let (mask, count) = self.ties(b, at);
        let share = b.div(cotangent, count);
        let dims = b.dims(at.operands[0]);
        let share = b.broadcast_over(share, &self.axes, &dims);
        let zero = b.full_like(share, 0.0);
        Ok(vec![Some(b.select(mask, share, zero))])
    }

    fn jvp(&self, b: &mut Builder, at: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        let Some(v) = tangents[0] else { return Ok(None) };
        let (mask, count) = self.ties(b, at);
        let zero = b.full_like(v, 0.0);
        let at_ties = b.select(mask, v, zero);
        let total = b.sum(at_ties, &self.axes);
        let one = b.full_like(count, 1.0);
        let count = b.maximum(count, one);
        Ok(Some(b.div(total, count)))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn lowering(&self) -> Lowering {
        Lowering::Reduction(Reduction::Max)
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let dims = vec![Size::symbol("N"), 3.into(), 5.into()];
        let sample = |axes: &[usize]| {
            let operand = (Type::new(dtype, dims.clone()), Draw::Distinct(0.5));
            Sample::new(ReduceMax { axes: axes.to_vec() }, vec![operand])
        };
        vec![sample(&[0]), sample(&[1]), sample(&[2]), sample(&[0, 2]), sample(&[0, 1, 2])]
    }
}
