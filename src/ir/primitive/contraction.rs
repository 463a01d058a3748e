//! The general product: sums of products over shared axes.

use super::{Primitive, arity, require};
use crate::ir::{Size, Type};

/// `out[batch.., lhs free.., rhs free..] = Σ over contracted axes lhs · rhs`.
///
/// `batch` and `contract` pair an axis of the left operand with one of the right; free axes keep their order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Contraction {
    pub batch: Vec<(usize, usize)>,
    pub contract: Vec<(usize, usize)>,
}

impl Contraction {
    /// The axes of the left and of the right operand that are neither batch nor contracted.
    pub fn free(&self, lhs_rank: usize, rhs_rank: usize) -> (Vec<usize>, Vec<usize>) {
        let used = |k: usize, side: fn(&(usize, usize)) -> usize| {
            self.batch.iter().chain(&self.contract).any(|pair| side(pair) == k)
        };
        ((0..lhs_rank).filter(|k| !used(*k, |p| p.0)).collect(), (0..rhs_rank).filter(|k| !used(*k, |p| p.1)).collect())
    }
}

impl Primitive for Contraction {
    fn name(&self) -> &'static str {
        "contract"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 2)?;
        let (l, r) = (operands[0], operands[1]);
        require(l.dtype == r.dtype && l.dtype.is_float(), || "operands must be floats of one type".into())?;
        for (a, b) in self.batch.iter().chain(&self.contract) {
            require(*a < l.rank() && *b < r.rank(), || format!("axes {a} and {b} are out of range"))?;
            require(l.dims[*a] == r.dims[*b], || format!("{} and {} do not pair", l.dims[*a], r.dims[*b]))?;
        }
        let (lf, rf) = self.free(l.rank(), r.rank());
        let pairs = self.batch.len() + self.contract.len();
        require(lf.len() + pairs == l.rank() && rf.len() + pairs == r.rank(), || "an axis is paired twice".into())?;
        let batch = self.batch.iter().map(|(a, _)| l.dims[*a].clone());
        let dims: Vec<Size> =
            batch.chain(lf.iter().map(|k| l.dims[*k].clone())).chain(rf.iter().map(|k| r.dims[*k].clone())).collect();
        Ok(Type::new(l.dtype, dims))
    }
}
