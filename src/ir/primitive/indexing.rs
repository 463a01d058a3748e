//! Reading and accumulating at positions that are data.

use super::{Primitive, arity, require};
use crate::ir::{Size, Type};

/// `out[index axes.., rest..] = x[.., index, ..]`: operands `(x, index)`. Along `axis`, `x` is read at `index`;
/// `batch` pairs axes of `x` with axes of the index that run together; `rest` are `x`'s other axes.
/// Positions out of range are refused where data is loaded; here they read the nearest one in range.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Gather {
    pub axis: usize,
    pub batch: Vec<(usize, usize)>,
}

/// The adjoint of [`Gather`]: operands `(updates, index)`, result of shape `dims` holding, at each position, the sum
/// of the updates that point there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ScatterAdd {
    pub axis: usize,
    pub batch: Vec<(usize, usize)>,
    pub dims: Vec<Size>,
}

/// The dims of what a gather reads from an `x` of shape `x_dims`.
fn gathered(x_dims: &[Size], index: &Type, axis: usize, batch: &[(usize, usize)]) -> Result<Vec<Size>, String> {
    require(axis < x_dims.len(), || "axis out of range".into())?;
    require(index.dtype.is_int(), || format!("the index has elements of type {}", index.dtype))?;
    for (a, b) in batch {
        require(*a < x_dims.len() && *b < index.rank() && *a != axis, || "a batch axis is out of range".into())?;
        require(x_dims[*a] == index.dims[*b], || "batch axes differ in size".into())?;
    }
    let rest = (0..x_dims.len()).filter(|k| *k != axis && !batch.iter().any(|(a, _)| a == k));
    Ok(index.dims.iter().cloned().chain(rest.map(|k| x_dims[k].clone())).collect())
}

impl Primitive for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 2)?;
        Ok(Type::new(operands[0].dtype, gathered(&operands[0].dims, operands[1], self.axis, &self.batch)?))
    }
}

impl Primitive for ScatterAdd {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 2)?;
        let expected = gathered(&self.dims, operands[1], self.axis, &self.batch)?;
        require(operands[0].dims == expected, || "the updates do not have the shape of a gather".into())?;
        Ok(Type::new(operands[0].dtype, self.dims.clone()))
    }
}
