//! A range of positions along an axis, and its adjoint.

use super::{Applied, Contributions, Lowering, Primitive, arity, named, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, NodeId, Size, Tensor, Type};

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

fn position(size: &Size, bindings: &Bindings) -> Result<usize, EvalError> {
    Ok(size.eval(bindings)? as usize)
}

impl Primitive for Slice {
    named!("slice");

    fn attributes(&self) -> Attributes {
        Attributes::none().with("axis", self.axis).with("start", &self.start).with("len", &self.len)
    }

    fn parse(attributes: &Attributes) -> Result<Slice, String> {
        Ok(Slice { axis: attributes.read("axis")?, start: attributes.read("start")?, len: attributes.read("len")? })
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

    fn eval(&self, operands: &[&Tensor], out: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let (x, start, dims) = (operands[0], position(&self.start, bindings)?, out.shape(bindings)?);
        if start.checked_add(dims[self.axis]).is_none_or(|end| end > x.dims[self.axis]) {
            return Err(EvalError::OutOfRange(format!("slice of axis {}", self.axis)));
        }
        let source = |p: &[usize]| {
            let mut from = p.to_vec();
            from[self.axis] += start;
            Some(x.offset(&from))
        };
        Ok(vec![x.rearranged(dims, source)])
    }

    fn vjp(&self, b: &mut Builder, at: Applied<'_>, cotangent: NodeId) -> Contributions {
        let size = b.ty(at.operands[0]).dims[self.axis].clone();
        let after = &(&size - &self.start) - &self.len;
        Ok(vec![Some(b.push(Pad { axis: self.axis, before: self.start.clone(), after }, &[cotangent]))])
    }

    fn jvp(&self, b: &mut Builder, _: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        Ok(tangents[0].map(|v| b.push(self.clone(), &[v])))
    }

    /// Of everything: x.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        (self.start == Size::default() && b.ty(x[0]).dims[self.axis] == self.len).then_some(x[0])
    }

    fn lowering(&self) -> Lowering {
        Lowering::Movement
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let n = || Size::symbol("N");
        let sample = |axis, start: Size, len: Size| {
            let ty = Type::new(dtype, vec![&n() + &1.into(), 5.into()]);
            Sample::new(Slice { axis, start, len }, vec![(ty, Draw::Uniform(-2.0, 2.0))])
        };
        vec![sample(1, 1.into(), 3.into()), sample(0, 1.into(), n()), sample(0, n(), 1.into())]
    }
}

impl Primitive for Pad {
    named!("pad");

    fn attributes(&self) -> Attributes {
        Attributes::none().with("axis", self.axis).with("before", &self.before).with("after", &self.after)
    }

    fn parse(attributes: &Attributes) -> Result<Pad, String> {
        Ok(Pad { axis: attributes.read("axis")?, before: attributes.read("before")?, after: attributes.read("after")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        let mut ty = operands[0].clone();
        require(self.axis < ty.rank(), || "axis out of range".into())?;
        ty.dims[self.axis] = &(&ty.dims[self.axis] + &self.before) + &self.after;
        Ok(ty)
    }

    fn eval(&self, operands: &[&Tensor], out: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let (x, before) = (operands[0], position(&self.before, bindings)?);
        let source = |p: &[usize]| {
            let mut from = p.to_vec();
            from[self.axis] = from[self.axis].checked_sub(before).filter(|k| *k < x.dims[self.axis])?;
            Some(x.offset(&from))
        };
        Ok(vec![x.rearranged(out.shape(bindings)?, source)])
    }

    fn vjp(&self, b: &mut Builder, at: Applied<'_>, cotangent: NodeId) -> Contributions {
        let len = b.ty(at.operands[0]).dims[self.axis].clone();
        Ok(vec![Some(b.push(Slice { axis: self.axis, start: self.before.clone(), len }, &[cotangent]))])
    }

    fn jvp(&self, b: &mut Builder, _: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        Ok(tangents[0].map(|v| b.push(self.clone(), &[v])))
    }

    /// By nothing: x.
    fn simplify(&self, _: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        (self.before == Size::default() && self.after == Size::default()).then_some(x[0])
    }

    fn lowering(&self) -> Lowering {
        Lowering::Movement
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let n = || Size::symbol("N");
        let sample = |axis, before: Size, after: Size| {
            let ty = Type::new(dtype, vec![n(), 3.into()]);
            Sample::new(Pad { axis, before, after }, vec![(ty, Draw::Uniform(-2.0, 2.0))])
        };
        vec![sample(1, 1.into(), 2.into()), sample(0, 2.into(), n())]
    }
}
