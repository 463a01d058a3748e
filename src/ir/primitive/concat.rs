//! One after another.

use super::{Applied, Contributions, Lowering, Primitive, Slice, named, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, NodeId, Size, Tensor, Type};

/// Any number of operands one after another along `axis`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Concat {
    pub axis: usize,
}

impl Primitive for Concat {
    named!("concat");

    fn attributes(&self) -> Attributes {
        Attributes::none().with("axis", self.axis)
    }

    fn parse(attributes: &Attributes) -> Result<Concat, String> {
        Ok(Concat { axis: attributes.read("axis")? })
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

    fn eval(&self, operands: &[&Tensor], out: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let dims = out.shape(bindings)?;
        // The rows of one flat tensor that holds all operands' elements, operand after operand.
        let starts: Vec<usize> = operands
            .iter()
            .scan(0, |at, o| {
                *at += o.len();
                Some(*at - o.len())
            })
            .collect();
        let flat = if out.dtype.is_float() {
            Tensor::from_f64(out.dtype, Vec::new(), operands.iter().flat_map(|o| o.to_f64()).collect())
        } else {
            Tensor::from_i64(out.dtype, Vec::new(), operands.iter().flat_map(|o| o.to_i64()).collect())
        };
        let source = |p: &[usize]| {
            let mut from = p.to_vec();
            for (operand, start) in operands.iter().zip(&starts) {
                if from[self.axis] < operand.dims[self.axis] {
                    return Some(start + operand.offset(&from));
                }
                from[self.axis] -= operand.dims[self.axis];
            }
            None
        };
        Ok(vec![flat.rearranged(dims, source)])
    }

    fn vjp(&self, b: &mut Builder, at: Applied<'_>, cotangent: NodeId) -> Contributions {
        let mut start = Size::default();
        let mut out = Vec::new();
        for (operand, wanted) in at.operands.iter().zip(at.wanted) {
            let len = b.ty(*operand).dims[self.axis].clone();
            let slice = Slice { axis: self.axis, start: start.clone(), len: len.clone() };
            out.push(wanted.then(|| b.push(slice, &[cotangent])));
            start = &start + &len;
        }
        Ok(out)
    }

    fn jvp(&self, b: &mut Builder, at: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        let parts: Vec<NodeId> =
            tangents.iter().zip(at.operands).map(|(v, x)| v.unwrap_or_else(|| b.full_like(*x, 0.0))).collect();
        Ok(Some(b.push(self.clone(), &parts)))
    }

    /// Of one operand: that operand.
    fn simplify(&self, _: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        (x.len() == 1).then_some(x[0])
    }

    fn lowering(&self) -> Lowering {
        Lowering::Movement
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let n = || Size::symbol("N");
        let operand = |a: Size, b: u64| (Type::new(dtype, vec![a, b.into()]), Draw::Uniform(-2.0, 2.0));
        vec![
            Sample::new(Concat { axis: 0 }, vec![operand(n(), 3), operand(2.into(), 3), operand(n(), 3)]),
            Sample::new(Concat { axis: 1 }, vec![operand(n(), 3), operand(n(), 4)]),
            Sample::new(Concat { axis: 0 }, vec![operand(n(), 3)]),
        ]
    }
}
