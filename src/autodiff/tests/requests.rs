//! What `differentiate` makes of requests and tags.

use super::super::differentiate;
use super::*;
use crate::ir::primitive::{Gradient, Project, Tangent};
use crate::ir::{Origin, Stage, verify};

/// A request for the gradient of `y` by scalar `x`.
fn request(b: &mut Builder, y: NodeId, x: NodeId) -> NodeId {
    let bundle = b.push(Gradient, &[y, x]);
    b.push(Project { index: 0, ty: Type::scalar(DType::F64) }, &[bundle])
}

fn value_of(b: Builder, node: NodeId, inputs: &[(&str, f64)]) -> f64 {
    let mut b = b;
    b.output("result", OutputRole::Report, node);
    let graph = b.finish();
    assert_eq!(verify(&graph, Stage::Elaborated), Ok(()));
    let graph = differentiate(&graph).unwrap();
    assert_eq!(verify(&graph, Stage::Differentiated), Ok(()));
    let value = |name: &str| inputs.iter().find(|(n, _)| *n == name).map(|(_, v)| Tensor::scalar(DType::F64, *v));
    interpret(&graph, &value, &Bindings::new()).unwrap()[0].to_f64()[0]
}

#[test]
fn a_tag_is_a_target_of_its_own() {
    // x = 2a; z = 2a; ∂(x·z)/∂x = z, although x and z are equal.
    let mut b = Builder::new();
    let a = scalar_input(&mut b, "a");
    let two = b.constant(DType::F64, 2.0);
    let x = b.mul(two, a);
    let x = b.tag(x);
    let z = b.mul(two, a);
    let y = b.mul(x, z);
    let dx = request(&mut b, y, x);
    assert_eq!(value_of(b, dx, &[("a", 3.0)]), 6.0);
}

#[test]
fn a_gradient_stops_at_its_target() {
    // x = a²; ∂x³/∂x = 3x².
    let mut b = Builder::new();
    let a = scalar_input(&mut b, "a");
    let square = b.mul(a, a);
    let x = b.tag(square);
    let xx = b.mul(x, x);
    let y = b.mul(xx, x);
    let dx = request(&mut b, y, x);
    assert_eq!(value_of(b, dx, &[("a", 2.0)]), 48.0);
}

#[test]
fn requests_nest() {
    // ∂/∂x (∂(x³·y)/∂x · y) = 6·x·y².
    let mut b = Builder::new();
    let (x, y) = (scalar_input(&mut b, "x"), scalar_input(&mut b, "y"));
    let x = b.tag(x);
    let xx = b.mul(x, x);
    let xxx = b.mul(xx, x);
    let f = b.mul(xxx, y);
    let inner = request(&mut b, f, x);
    let g = b.mul(inner, y);
    let outer = request(&mut b, g, x);
    assert_eq!(value_of(b, outer, &[("x", 2.0), ("y", 3.0)]), 108.0);
}

#[test]
fn a_tangent_of_a_gradient_is_a_hessian_vector_product() {
    // f = x²·y: ∂/∂x along (v, w) = 2·y·v + 2·x·w.
    let mut b = Builder::new();
    let [x, y, v, w] = ["x", "y", "v", "w"].map(|n| scalar_input(&mut b, n));
    let (x, y) = (b.tag(x), b.tag(y));
    let xx = b.mul(x, x);
    let f = b.mul(xx, y);
    let dx = request(&mut b, f, x);
    let hv = b.push(Tangent, &[dx, x, y, v, w]);
    assert_eq!(value_of(b, hv, &[("x", 2.0), ("y", 3.0), ("v", 5.0), ("w", 7.0)]), 58.0);
}

#[test]
fn values_that_do_not_depend_have_zero_gradients() {
    let mut b = Builder::new();
    let (x, y) = (scalar_input(&mut b, "x"), scalar_input(&mut b, "y"));
    let stopped = b.stop(x);
    let f = b.mul(stopped, y);
    let dx = request(&mut b, f, x);
    assert_eq!(value_of(b, dx, &[("x", 2.0), ("y", 3.0)]), 0.0);
}

#[test]
fn evaluations_at_the_same_point_merge() {
    let mut b = Builder::new();
    let x = scalar_input(&mut b, "x");
    let [p, q] = [b.tag(x), b.tag(x)].map(|x| b.tanh(x));
    let y = b.add(p, q);
    b.output("y", OutputRole::Report, y);
    let graph = differentiate(&b.finish()).unwrap();
    assert_eq!(graph.to_string().matches("tanh").count(), 1, "{graph}");
}

#[test]
fn gradients_carry_the_origin_of_the_forward_node() {
    let mut b = Builder::new();
    let x = scalar_input(&mut b, "x");
    b.set_origin(Origin { span: None, path: "classifier.hidden".into() });
    let y = b.tanh(x);
    b.set_origin(Origin::default());
    let dx = request(&mut b, y, x);
    b.output("dx", OutputRole::Report, dx);
    let graph = differentiate(&b.finish()).unwrap();
    assert!(graph.ids().any(|id| &*graph.node(id).origin.path == "grad of classifier.hidden"), "{graph}");
}
