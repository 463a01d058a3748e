//! Derivatives of every primitive's samples and of random graphs, against differences and against each other.

mod identities;
mod kinks;
mod primitives;
mod random;
mod requests;

use super::differences::ridders;
use crate::ir::{Bindings, Builder, DType, NodeId, Op, OutputRole, Role, Tensor, Type, interpret};
use std::collections::BTreeMap;

/// Values of inputs by name.
type Values = BTreeMap<String, Tensor>;

/// The values of nodes.
fn values(b: &Builder, nodes: &[NodeId], inputs: &Values, bindings: &Bindings) -> Vec<Tensor> {
    let mut b = Builder::from_graph(b.graph().clone());
    nodes.iter().for_each(|n| b.output("y", OutputRole::Report, *n));
    let all = interpret(&b.finish(), &|name| inputs.get(name).cloned(), bindings).unwrap();
    all[all.len() - nodes.len()..].to_vec()
}

fn scalar(b: &Builder, node: NodeId, inputs: &Values, bindings: &Bindings) -> f64 {
    values(b, &[node], inputs, bindings)[0].to_f64()[0]
}

/// The value of `y` with `x` moved by `t` times a direction.
fn moved(b: &Builder, y: NodeId, inputs: &Values, along: &Values, t: f64, bindings: &Bindings) -> f64 {
    let mut inputs = inputs.clone();
    for (name, direction) in along {
        let x = &inputs[name];
        let sum = x.to_f64().iter().zip(direction.to_f64()).map(|(x, v)| x + t * v).collect();
        let sum = Tensor::from_f64(DType::F64, x.dims.clone(), sum);
        inputs.insert(name.clone(), sum);
    }
    scalar(b, y, &inputs, bindings)
}

/// The derivative of `y` along a direction by Ridders' method.
fn difference(b: &Builder, y: NodeId, inputs: &Values, along: &Values, step: f64, bindings: &Bindings) -> f64 {
    ridders(|t| moved(b, y, inputs, along, t, bindings), step).value
}

/// Σ sin(node)·weight: a scalar with derivatives of every order.
fn objective(b: &mut Builder, nodes: &[NodeId]) -> NodeId {
    let mut total = b.constant(DType::F64, 0.0);
    for (k, node) in nodes.iter().enumerate() {
        let ty = b.ty(*node).clone();
        let axes: Vec<usize> = (0..ty.rank()).collect();
        let weight = b.input(&format!("weight{k}"), Role::Data, ty);
        let sine = b.sin(*node);
        let term = b.mul(sine, weight);
        let term = b.sum(term, &axes);
        total = b.add(total, term);
    }
    total
}

fn dot(a: &[Tensor], b: &[Tensor]) -> f64 {
    let one = |(a, b): (&Tensor, &Tensor)| a.to_f64().iter().zip(b.to_f64()).map(|(a, b)| a * b).sum::<f64>();
    a.iter().zip(b).map(one).sum()
}

fn close(a: f64, b: f64, scale: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * scale.max(a.abs()).max(b.abs())
}

/// Draws a value for every input of `b`'s graph that has none: floats in (-1, 1).
fn fill(b: &Builder, inputs: &mut Values, bindings: &Bindings, seed: u64) {
    for id in b.graph().inputs() {
        let Op::Input(input) = b.graph().op(id) else { unreachable!() };
        let draw = crate::ir::sample::Draw::Uniform(-1.0, 1.0);
        let value = draw.tensor(&input.ty, bindings, seed + id.index() as u64).unwrap();
        inputs.entry(input.name.to_string()).or_insert(value);
    }
}

/// A scalar input.
fn scalar_input(b: &mut Builder, name: &str) -> NodeId {
    b.input(name, Role::Parameter, Type::scalar(DType::F64))
}
