//! Sums over axes.

use super::{Applied, Contributions, Lowering, Primitive, Reduction, arity, named, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, NodeId, Size, Tensor, Type, reduction};

/// The sum over `axes` (ascending), which disappear; in the order of [`crate::ir::reduction`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ReduceSum {
    pub axes: Vec<usize>,
}

/// The type without `axes`.
pub(super) fn drop_axes(ty: &Type, axes: &[usize]) -> Result<Type, String> {
    require(axes.is_sorted_by(|a, b| a < b), || format!("axes {axes:?} do not ascend"))?;
    require(axes.iter().all(|a| *a < ty.rank()), || format!("axes {axes:?} of {} axes", ty.rank()))?;
    require(ty.dtype != DType::Bool, || "expects numbers, got booleans".into())?;
    let kept = ty.dims.iter().enumerate().filter(|(k, _)| !axes.contains(k)).map(|(_, d)| d.clone());
    Ok(Type::new(ty.dtype, kept.collect::<Vec<_>>()))
}

impl Primitive for ReduceSum {
    named!("sum");

    fn attributes(&self) -> Attributes {
        Attributes::none().with_list("axes", &self.axes)
    }

    fn parse(attributes: &Attributes) -> Result<ReduceSum, String> {
        Ok(ReduceSum { axes: attributes.list("axes")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        drop_axes(operands[0], &self.axes)
    }

    fn eval(&self, operands: &[&Tensor], _: &Type, _: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![reduction::sum(operands[0], &self.axes)])
    }

    fn vjp(&self, b: &mut Builder, at: Applied<'_>, cotangent: NodeId) -> Contributions {
        let dims = b.dims(at.operands[0]);
        Ok(vec![Some(b.broadcast_over(cotangent, &self.axes, &dims))])
    }

    fn jvp(&self, b: &mut Builder, _: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        Ok(tangents[0].map(|v| b.sum(v, &self.axes)))
    }

    /// None: another order of terms has other bits, and even a sum of one term turns -0 into 0.
    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn lowering(&self) -> Lowering {
        Lowering::Reduction(Reduction::Sum)
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let dims = vec![Size::symbol("N"), 3.into(), 5.into()];
        let sample = |axes: &[usize]| {
            let operand = (Type::new(dtype, dims.clone()), Draw::Uniform(-2.0, 2.0));
            Sample::new(ReduceSum { axes: axes.to_vec() }, vec![operand])
        };
        vec![sample(&[0]), sample(&[1]), sample(&[2]), sample(&[0, 2]), sample(&[0, 1, 2])]
    }
}
