//! Reordering of axes.

use super::{Applied, Contributions, Lowering, Primitive, arity, named, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, NodeId, Op, Size, Tensor, Type};

/// Output axis `k` is operand axis `order[k]`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Permute {
    pub order: Vec<usize>,
}

impl Permute {
    fn inverse(&self) -> Vec<usize> {
        let mut inverse = vec![0; self.order.len()];
        self.order.iter().enumerate().for_each(|(k, o)| inverse[*o] = k);
        inverse
    }
}

impl Primitive for Permute {
    named!("permute");

    fn attributes(&self) -> Attributes {
        Attributes::none().with_list("order", &self.order)
    }

    fn parse(attributes: &Attributes) -> Result<Permute, String> {
        Ok(Permute { order: attributes.list("order")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        let ty = operands[0];
        let mut seen = self.order.clone();
        seen.sort();
        require(seen == (0..ty.rank()).collect::<Vec<_>>(), || format!("{:?} is no permutation", self.order))?;
        Ok(Type::new(ty.dtype, self.order.iter().map(|k| ty.dims[*k].clone()).collect::<Vec<_>>()))
    }

    fn eval(&self, operands: &[&Tensor], out: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let (x, inverse) = (operands[0], self.inverse());
        let source = |p: &[usize]| Some(x.offset(&inverse.iter().map(|k| p[*k]).collect::<Vec<_>>()));
        Ok(vec![x.rearranged(out.shape(bindings)?, source)])
    }

    fn vjp(&self, b: &mut Builder, _: Applied<'_>, cotangent: NodeId) -> Contributions {
        Ok(vec![Some(b.permute(cotangent, &self.inverse()))])
    }

    fn jvp(&self, b: &mut Builder, _: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        Ok(tangents[0].map(|v| b.permute(v, &self.order)))
    }

    /// In the same order: x. Of a permutation: one permutation. Of a repeated scalar: repeated to the new dims.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        if self.order.iter().enumerate().all(|(k, o)| k == *o) {
            return Some(x[0]);
        }
        let inner = b.graph().operands(x[0]);
        match b.graph().op(x[0]).clone() {
            Op::Permute(first) => {
                let order: Vec<usize> = self.order.iter().map(|k| first.order[*k]).collect();
                Some(b.permute(inner[0], &order))
            }
            Op::Broadcast(first) if first.axes.is_empty() => {
                let dims: Vec<Size> = self.order.iter().map(|k| first.dims[*k].clone()).collect();
                Some(b.broadcast(inner[0], &[], &dims))
            }
            _ => None,
        }
    }

    fn lowering(&self) -> Lowering {
        Lowering::Movement
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let sample = |order: &[usize]| {
            let ty = Type::new(dtype, vec![Size::symbol("N"), 3.into(), 5.into()]);
            Sample::new(Permute { order: order.to_vec() }, vec![(ty, Draw::Uniform(-2.0, 2.0))])
        };
        vec![sample(&[1, 0, 2]), sample(&[2, 0, 1]), sample(&[1, 2, 0])]
    }
}
