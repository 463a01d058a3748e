//! Computes what depends on constants alone, in the dtype it runs in.
//!
//! ```text
//! before   %1 = constant f32 1; %2 = constant f32 3; %3 = div %1 %2; %4 = broadcast %3 [N]
//! after    %3 = constant f32 0.33333334; %4 = broadcast %3 [N]
//! ```
//! Operands that are stretched constants count too: their result is one constant, stretched.
//! Invariant: exact; a constant is what the primitive's own rule computes for one element of that type.
//! Limits: tensors of different elements (positions, draws) are not computed here, nor are reductions.

use super::rewrite::{rewrite, splat};
use crate::autodiff::NotDifferentiable;
use crate::ir::{Bindings, Builder, Graph, Lowering, NodeId, Op, ScalarOp, Tensor, Type};

pub(super) fn run(graph: &Graph) -> Result<Graph, NotDifferentiable> {
    Ok(rewrite(graph, &mut |b, op, operands| match folded(b, &op, operands) {
        Some(value) => value,
        None => b.push(op, operands),
    }))
}

fn folded(b: &mut Builder, op: &Op, operands: &[NodeId]) -> Option<NodeId> {
    if let Op::SizeOf(size) = op {
        let n = size.size.as_constant()?;
        return Some(b.constant(size.dtype, n as f64));
    }
    if operands.is_empty() || !computes(op) {
        return None;
    }
    let mut elements = Vec::with_capacity(operands.len());
    for operand in operands {
        elements.push(Tensor::scalar(b.ty(*operand).dtype, splat(b, *operand)?));
    }
    let types: Vec<Type> = operands.iter().map(|o| Type::scalar(b.ty(*o).dtype)).collect();
    let out = op.primitive().infer(&types.iter().collect::<Vec<_>>()).ok()?;
    let results = op.primitive().eval(&elements.iter().collect::<Vec<_>>(), &out, &Bindings::new()).ok()?;
    let value = *results.first()?.to_f64().first()?;
    // A constant keeps its value as f64, which holds every float and boolean, but not every 64-bit integer.
    if out.dtype.is_int() && value.abs() > 2f64.powi(53) {
        return None;
    }
    let dims = b.dims(operands[0]);
    let scalar = b.constant(out.dtype, value);
    Some(b.fill(scalar, &dims))
}

/// Whether the primitive computes each element from those of its operands, and is no mark on a value.
fn computes(op: &Op) -> bool {
    matches!(op.primitive().lowering(), Lowering::Elementwise(scalar) if scalar != ScalarOp::Identity)
}
