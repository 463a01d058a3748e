//! The interpreter: every node's meaning, one after another. It defines what compiled code must compute.
//!
//! Input: a graph, a tensor for each input by name, values of symbols. Output: the graph's outputs in order.
//! Invariant: each node is evaluated once, by its primitive's `eval`, and only if an output depends on it.

use super::primitive::Input;
use super::{Bindings, Graph, NodeId, Op, SizeError, Tensor};
use std::fmt;
use std::sync::Arc;

/// Why a graph has no value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EvalError {
    Size(SizeError),
    /// There is no tensor for the input with this name.
    MissingInput(Arc<str>),
    /// The tensor for the input with this name does not have its type.
    WrongInput(Arc<str>),
    /// A position lies outside of a tensor.
    OutOfRange(String),
    /// A request for a derivative has not been expanded.
    Request,
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvalError::Size(e) => write!(f, "{e}"),
            EvalError::MissingInput(name) => write!(f, "the input {name} has no value"),
            EvalError::WrongInput(name) => write!(f, "the value of the input {name} does not have its type"),
            EvalError::OutOfRange(what) => write!(f, "{what} is out of range"),
            EvalError::Request => write!(f, "the graph still asks for a derivative"),
        }
    }
}

impl From<SizeError> for EvalError {
    fn from(e: SizeError) -> EvalError {
        EvalError::Size(e)
    }
}

/// The outputs of a graph, given its inputs by name.
pub fn interpret(
    graph: &Graph,
    inputs: &dyn Fn(&str) -> Option<Tensor>,
    bindings: &Bindings,
) -> Result<Vec<Tensor>, EvalError> {
    let values = interpret_all(graph, inputs, bindings)?;
    Ok(graph.outputs().iter().map(|o| values[o.node.index()][0].clone()).collect())
}

/// The results of every live node, by [`NodeId::index`]: one, or all results of a region. Empty for nodes that are not live.
pub fn interpret_all(
    graph: &Graph,
    inputs: &dyn Fn(&str) -> Option<Tensor>,
    bindings: &Bindings,
) -> Result<Vec<Vec<Tensor>>, EvalError> {
    let live = graph.live();
    let mut values: Vec<Vec<Tensor>> = vec![Vec::new(); graph.len()];
    for id in graph.ids().filter(|id| live[id.index()]) {
        values[id.index()] = match graph.op(id) {
            Op::Input(input) => vec![bind(input, inputs, bindings)?],
            op => {
                let operands = operand_values(graph, id, &values);
                op.primitive().eval(&operands, graph.ty(id), bindings)?
            }
        };
    }
    Ok(values)
}

/// The operands' values; all of them where the operand has several.
fn operand_values<'v>(graph: &Graph, id: NodeId, values: &'v [Vec<Tensor>]) -> Vec<&'v Tensor> {
    graph.operands(id).iter().flat_map(|o| &values[o.index()]).collect()
}

fn bind(input: &Input, inputs: &dyn Fn(&str) -> Option<Tensor>, bindings: &Bindings) -> Result<Tensor, EvalError> {
    let value = inputs(&input.name).ok_or_else(|| EvalError::MissingInput(input.name.clone()))?;
    if value.dtype() != input.ty.dtype || value.dims != input.ty.shape(bindings)? {
        return Err(EvalError::WrongInput(input.name.clone()));
    }
    Ok(value)
}
