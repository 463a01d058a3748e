//! Where a number that is not finite first came from.
//!
//! Input: the graph of a step and the values it started from, all finite. Output: the node that made the first NaN or
//! infinity which reached an output. An infinity that no output depends on (in a branch not taken, say) is none.

use crate::ir::{Bindings, Data, EvalError, Graph, NodeId, Op, Origin, Tensor, interpret_all};
use crate::runtime::View;

/// The node to blame for a NaN or an infinity.
#[derive(Clone, PartialEq, Debug)]
pub struct Culprit {
    /// The primitive that made it out of finite operands.
    pub primitive: &'static str,
    pub origin: Origin,
    /// What it made: NaN, inf or -inf.
    pub value: f64,
    /// The output it reached.
    pub output: String,
    /// The operand values at the position where it first appears, where operands and result have one shape.
    pub operands: Vec<f64>,
}

/// Whether every number is finite.
pub fn finite(tensor: &Tensor) -> bool {
    first_not_finite(tensor).is_none()
}

/// Whether every number in memory is finite.
pub fn all_finite(view: View<'_>) -> bool {
    // Many at once without looking in between, which vectors can do.
    const TOGETHER: usize = 256;
    match view {
        View::F32(v) => v.chunks(TOGETHER).all(|all| all.iter().fold(true, |fine, x| fine & x.is_finite())),
        View::F64(v) => v.chunks(TOGETHER).all(|all| all.iter().fold(true, |fine, x| fine & x.is_finite())),
        View::I32(_) | View::I64(_) => true,
    }
}

fn first_not_finite(tensor: &Tensor) -> Option<(usize, f64)> {
    match &tensor.data {
        Data::F32(v) => v.iter().position(|x| !x.is_finite()).map(|k| (k, f64::from(v[k]))),
        Data::F64(v) => v.iter().position(|x| !x.is_finite()).map(|k| (k, v[k])),
        _ => None,
    }
}

/// Evaluates the graph and follows the first output that is not finite back to where it arose. `None` if all outputs are
/// finite, or an input is not.
pub fn culprit(
    graph: &Graph,
    inputs: &dyn Fn(&str) -> Option<Tensor>,
    bindings: &Bindings,
) -> Result<Option<Culprit>, EvalError> {
    let values = interpret_all(graph, inputs, bindings)?;
    let bad = |id: NodeId| values[id.index()].iter().find_map(first_not_finite);
    let Some(output) = graph.outputs().iter().find(|o| bad(o.node).is_some()) else { return Ok(None) };
    let mut node = output.node;
    while let Some(cause) = graph.operands(node).into_iter().find(|o| bad(*o).is_some()) {
        node = cause;
    }
    let Some((position, value)) = bad(node) else { return Ok(None) };
    if matches!(graph.op(node), Op::Input(_)) {
        return Ok(None);
    }
    let operands = graph.operands(node);
    let dims = &values[node.index()][0].dims;
    let same = operands.iter().all(|o| values[o.index()].first().is_some_and(|t| t.dims == *dims));
    let at = |o: &NodeId| values[o.index()][0].to_f64()[position];
    Ok(Some(Culprit {
        primitive: graph.op(node).primitive().name(),
        origin: graph.node(node).origin.clone(),
        value,
        output: output.name.to_string(),
        operands: if same { operands.iter().map(at).collect() } else { Vec::new() },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Builder, DType, OutputRole, Role, Type};

    fn scalar(value: f64) -> Tensor {
        Tensor::float(DType::F64, vec![], vec![value])
    }

    #[test]
    fn the_first_node_is_found_through_what_it_spoiled() {
        let mut b = Builder::new();
        let x = b.input("x", Role::Data, Type::scalar(DType::F64));
        let zero = b.constant(DType::F64, 0.0);
        let log = b.log(x);
        let spoiled = b.mul(log, zero);
        b.output("loss", OutputRole::Report, spoiled);
        let graph = b.finish();
        let found = culprit(&graph, &|_| Some(scalar(0.0)), &Bindings::new()).unwrap().unwrap();
        assert_eq!((found.primitive, found.value, found.operands), ("log", f64::NEG_INFINITY, vec![0.0]));
    }

    #[test]
    fn a_constant_that_its_type_cannot_hold_is_found() {
        let mut b = Builder::new();
        let x = b.input("x", Role::Data, Type::scalar(DType::F32));
        let rate = b.constant(DType::F32, 1e39);
        let step = b.mul(x, rate);
        b.output("loss", OutputRole::Report, step);
        let graph = b.finish();
        let one = Tensor::float(DType::F32, vec![], vec![1.0]);
        let found = culprit(&graph, &|_| Some(one.clone()), &Bindings::new()).unwrap().unwrap();
        assert_eq!((found.primitive, found.value), ("constant", f64::INFINITY));
    }

    #[test]
    fn an_infinity_that_goes_nowhere_is_none() {
        let mut b = Builder::new();
        let x = b.input("x", Role::Data, Type::scalar(DType::F64));
        let zero = b.constant(DType::F64, 0.0);
        let log = b.log(x);
        let positive = b.less(zero, x);
        let kept = b.select(positive, log, zero);
        b.output("loss", OutputRole::Report, kept);
        let graph = b.finish();
        assert_eq!(culprit(&graph, &|_| Some(scalar(0.0)), &Bindings::new()).unwrap(), None);
    }
}
