//! Reductions over axes.

use super::{Primitive, arity, require};
use crate::ir::{DType, Type};

/// The sum over `axes` (ascending), which disappear.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ReduceSum {
    pub axes: Vec<usize>,
}

/// The maximum over `axes` (ascending); -inf over nothing; NaN if any element is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ReduceMax {
    pub axes: Vec<usize>,
}

/// The position of the first largest element along `axis`, as integers of type `dtype`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ArgMax {
    pub axis: usize,
    pub dtype: DType,
}

fn drop_axes(ty: &Type, axes: &[usize]) -> Result<Type, String> {
    require(axes.is_sorted_by(|a, b| a < b), || format!("axes {axes:?} do not ascend"))?;
    require(axes.iter().all(|a| *a < ty.rank()), || format!("axes {axes:?} of {} axes", ty.rank()))?;
    require(ty.dtype != DType::Bool, || "expects numbers, got booleans".into())?;
    let kept = ty.dims.iter().enumerate().filter(|(k, _)| !axes.contains(k)).map(|(_, d)| d.clone());
    Ok(Type::new(ty.dtype, kept.collect::<Vec<_>>()))
}

impl Primitive for ReduceSum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        drop_axes(operands[0], &self.axes)
    }
}

impl Primitive for ReduceMax {
    fn name(&self) -> &'static str {
        "max"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        drop_axes(operands[0], &self.axes)
    }
}

impl Primitive for ArgMax {
    fn name(&self) -> &'static str {
        "argmax"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        Ok(drop_axes(operands[0], &[self.axis])?.with_dtype(self.dtype))
    }
}
