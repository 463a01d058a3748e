//! Inputs whose rows may lie apart: those that products alone read, and few columns are multiplied with.
//!
//! Input: a program. Output: for a product, which of its axes such rows run along. Invariant: an input that may be scattered is
//! only ever an operand of products that can look its rows up.

use super::program::{BufferId, Operand, Place, Product, Program, Step, Work};
use crate::ir::{Role, Size};

/// Columns that rows are looked up for at most: each panel of columns looks them up again, which for many costs more than
/// copying the rows together once.
const MOST_COLUMNS: u64 = 32;

/// The operand of a product that is a scattered input, and the axis of its rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scattered {
    /// The left operand, its rows along `m`.
    LeftRows,
    /// The left operand, its rows along `k`.
    LeftColumns,
    /// The right operand, its rows along `k`.
    Right,
}

impl Program {
    /// The inputs whose rows may lie apart, ascending.
    pub fn scattered(&self) -> Vec<BufferId> {
        let ids = (0..self.buffers.len() as u32).map(BufferId);
        ids.filter(|b| self.may_be_scattered(*b)).collect()
    }

    fn may_be_scattered(&self, b: BufferId) -> bool {
        let buffer = self.buffer(b);
        let data = matches!(buffer.place, Place::Input { role: Role::Data, updated: false, .. });
        if !data || buffer.elem != self.dtype || buffer.dims.len() < 2 {
            return false;
        }
        let mut uses = self.steps.iter().filter(|step| self.touches(step).contains(&b)).peekable();
        let multiplies = |step: &Step| matches!(&step.work, Work::Product(p) if self.scattered_in(p, b).is_some());
        uses.peek().is_some() && uses.all(multiplies)
    }

    /// How a product reads an input whose rows lie apart, if it can.
    pub fn scattered_in(&self, product: &Product, b: BufferId) -> Option<Scattered> {
        let width = self.buffer(b).dims[1..].iter().fold(Size::constant(1), |n, d| &n * d);
        let one = Size::constant(1);
        let whole = |o: &Operand| o.offset == Size::default();
        let few = |n: &Size| n.eval(&self.capacity).is_ok_and(|n| n <= MOST_COLUMNS);
        let (lhs, rhs) = (&product.lhs, &product.rhs);
        if !product.batch.is_empty() || (lhs.buffer == b) == (rhs.buffer == b) {
            return None;
        }
        if rhs.buffer == b {
            let along_k = rhs.row_stride == width && rhs.column_stride == one && product.n == width;
            return (along_k && whole(rhs) && few(&product.m)).then_some(Scattered::Right);
        }
        let along_m = lhs.row_stride == width && lhs.column_stride == one && product.k == width;
        let along_k = lhs.row_stride == one && lhs.column_stride == width && product.m == width;
        let found = match (along_m, along_k) {
            (true, _) => Scattered::LeftRows,
            (_, true) => Scattered::LeftColumns,
            _ => return None,
        };
        (whole(lhs) && few(&product.n)).then_some(found)
    }
}
