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
use crate::ir::{Builder, DType, Graph, NodeId, Op};

pub(super) fn run(graph: &Graph) -> Result<Graph, String> {
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
    if let Op::Project(_) | Op::Tag(_) = op {
        return None;
    }
    let values: Option<Vec<(DType, f64)>> = operands.iter().map(|o| Some((b.ty(*o).dtype, splat(b, *o)?))).collect();
    let (dtype, value) = element(op, &values.filter(|v| !v.is_empty())?)?;
    let dims = b.dims(operands[0]);
    let scalar = b.constant(dtype, value);
    Some(b.fill(scalar, &dims))
}

/// The primitive's own meaning for one element.
fn element(op: &Op, operands: &[(DType, f64)]) -> Option<(DType, f64)> {
    let x: Vec<f64> = operands.iter().map(|o| o.1).collect();
    let dtype = operands[0].0;
    let value = match (op, x.as_slice()) {
        (Op::Neg(_), [x]) => -x,
        (Op::Add(_), [x, y]) => x + y,
        (Op::Sub(_), [x, y]) => x - y,
        (Op::Mul(_), [x, y]) => x * y,
        (Op::Div(_), [x, y]) => x / y,
        _ => return None,
    };
    Some((dtype, value))
}
