//! Random draws as functions of (seed, step, site).

use super::{Primitive, arity, require};
use crate::ir::{DType, Size, Type};

/// Uniform draws in [0, 1): operands `(seed, step)`, both `i64` scalars. Element `k` (row-major) depends on the seed,
/// the step, the site and `k` only, so two draws of one site within a step are the same.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Random {
    pub site: u64,
    pub dims: Vec<Size>,
    pub dtype: DType,
}

impl Primitive for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 2)?;
        let key = Type::scalar(DType::I64);
        require(operands.iter().all(|o| **o == key), || "seed and step are i64 scalars".into())?;
        require(self.dtype.is_float(), || "draws are floats".into())?;
        Ok(Type::new(self.dtype, self.dims.clone()))
    }
}
