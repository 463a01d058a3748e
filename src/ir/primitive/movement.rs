//! Movement: the same elements in another arrangement.

use super::{Primitive, arity, require};
use crate::ir::{Size, Type};

/// Operand axis `k` becomes axis `axes[k]` (ascending) of `dims`; the other axes repeat the operand.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Broadcast {
    pub axes: Vec<usize>,
    pub dims: Vec<Size>,
}

/// Output axis `k` is operand axis `order[k]`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Permute {
    pub order: Vec<usize>,
}

/// The same elements in row-major order under other dims.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reshape {
    pub dims: Vec<Size>,
}

/// `len` positions of `axis` from `start` on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Slice {
    pub axis: usize,
    pub start: Size,
    pub len: Size,
}

/// Zeros before and after along `axis`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pad {
    pub axis: usize,
    pub before: Size,
    pub after: Size,
}

/// Any number of operands one after another along `axis`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Concat {
    pub axis: usize,
}

impl Primitive for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        let ty = operands[0];
        require(self.axes.len() == ty.rank(), || "names as many axes as the operand has".into())?;
        require(self.axes.is_sorted_by(|a, b| a < b), || "axes must ascend".into())?;
        for (k, a) in self.axes.iter().enumerate() {
            require(self.dims.get(*a) == Some(&ty.dims[k]), || format!("axis {k} does not keep its size"))?;
        }
        Ok(Type::new(ty.dtype, self.dims.clone()))
    }
}

impl Primitive for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        let ty = operands[0];
        let mut seen = self.order.clone();
        seen.sort();
        require(seen == (0..ty.rank()).collect::<Vec<_>>(), || format!("{:?} is no permutation", self.order))?;
        Ok(Type::new(ty.dtype, self.order.iter().map(|k| ty.dims[*k].clone()).collect::<Vec<_>>()))
    }
}

impl Primitive for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        let out = Type::new(operands[0].dtype, self.dims.clone());
        require(out.elements() == operands[0].elements(), || "the number of elements changes".into())?;
        Ok(out)
    }
}

impl Primitive for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        let mut ty = operands[0].clone();
        require(self.axis < ty.rank(), || "axis out of range".into())?;
        if let (Some(s), Some(l), Some(n)) =
            (self.start.as_constant(), self.len.as_constant(), ty.dims[self.axis].as_constant())
        {
            require(s.checked_add(l).is_some_and(|e| e <= n), || format!("{s}+{l} positions of {n}"))?;
        }
        ty.dims[self.axis] = self.len.clone();
        Ok(ty)
    }
}

impl Primitive for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        let mut ty = operands[0].clone();
        require(self.axis < ty.rank(), || "axis out of range".into())?;
        ty.dims[self.axis] = &(&ty.dims[self.axis] + &self.before) + &self.after;
        Ok(ty)
    }
}

impl Primitive for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        require(!operands.is_empty(), || "expects at least one operand".into())?;
        let mut ty = operands[0].clone();
        require(self.axis < ty.rank(), || "axis out of range".into())?;
        for o in &operands[1..] {
            require(o.dtype == ty.dtype && o.rank() == ty.rank(), || "operands differ in type".into())?;
            let fits = (0..ty.rank()).all(|k| k == self.axis || o.dims[k] == ty.dims[k]);
            require(fits, || "operands differ along another axis".into())?;
            ty.dims[self.axis] = &ty.dims[self.axis] + &o.dims[self.axis];
        }
        Ok(ty)
    }
}
