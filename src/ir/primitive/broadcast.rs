//! Repetition along axes.

use super::{Applied, Contributions, Lowering, Primitive, arity, named, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, NodeId, Op, Size, Tensor, Type};

/// Operand axis `k` becomes axis `axes[k]` (ascending) of `dims`; the other axes repeat the operand.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Broadcast {
    pub axes: Vec<usize>,
    pub dims: Vec<Size>,
}

impl Primitive for Broadcast {
    named!("broadcast");

    fn attributes(&self) -> Attributes {
        Attributes::none().with_list("axes", &self.axes).with_list("dims", &self.dims)
    }

    fn parse(attributes: &Attributes) -> Result<Broadcast, String> {
        Ok(Broadcast { axes: attributes.list("axes")?, dims: attributes.list("dims")? })
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

    fn eval(&self, operands: &[&Tensor], out: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let x = operands[0];
        let source = |p: &[usize]| Some(x.offset(&self.axes.iter().map(|a| p[*a]).collect::<Vec<_>>()));
        Ok(vec![x.rearranged(out.shape(bindings)?, source)])
    }

    fn vjp(&self, b: &mut Builder, _: Applied<'_>, cotangent: NodeId) -> Contributions {
        let repeated: Vec<usize> = (0..self.dims.len()).filter(|k| !self.axes.contains(k)).collect();
        Ok(vec![Some(b.sum(cotangent, &repeated))])
    }

    fn jvp(&self, b: &mut Builder, _: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        Ok(tangents[0].map(|v| b.broadcast(v, &self.axes, &self.dims)))
    }

    /// Along no axis: x. Of a broadcast: one broadcast.
    fn simplify(&self, b: &mut Builder, x: &[NodeId]) -> Option<NodeId> {
        if self.axes.len() == self.dims.len() {
            return Some(x[0]);
        }
        let Op::Broadcast(inner) = b.graph().op(x[0]).clone() else { return None };
        let axes: Vec<usize> = inner.axes.iter().map(|a| self.axes[*a]).collect();
        let source = b.graph().operands(x[0])[0];
        Some(b.broadcast(source, &axes, &self.dims))
    }

    fn lowering(&self) -> Lowering {
        Lowering::Movement
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let dims = vec![Size::symbol("N"), 3.into(), 5.into()];
        let sample = |axes: &[usize]| {
            let ty = Type::new(dtype, axes.iter().map(|a| dims[*a].clone()).collect::<Vec<_>>());
            Sample::new(Broadcast { axes: axes.to_vec(), dims: dims.clone() }, vec![(ty, Draw::Uniform(-2.0, 2.0))])
        };
        vec![sample(&[]), sample(&[0]), sample(&[1]), sample(&[2]), sample(&[0, 2])]
    }
}
