//! Every primitive, on its own samples.

use super::super::{gradient, tangent};
use super::*;
use crate::ir::sample::Sample;
use crate::ir::{Lowering, Symbol};

/// A sample applied to inputs `x0, x1, …`.
struct Case {
    b: Builder,
    node: NodeId,
    operands: Vec<NodeId>,
    inputs: Values,
    bindings: Bindings,
    name: String,
}

fn cases(dtype: DType, sizes: &[u64]) -> Vec<Case> {
    let mut out = Vec::new();
    for (k, sample) in Op::samples(dtype).into_iter().enumerate() {
        for n in sizes {
            let bindings = Bindings::from([(Symbol::new("N"), *n)]);
            out.push(case(&sample, bindings, k as u64));
        }
    }
    out
}

fn case(sample: &Sample, bindings: Bindings, seed: u64) -> Case {
    let mut b = Builder::new();
    let input = |(k, (ty, _)): (usize, &(Type, _))| b.input(&format!("x{k}"), Role::Data, ty.clone());
    let operands: Vec<NodeId> = sample.operands.iter().enumerate().map(input).collect();
    let drawn = sample.draw(&bindings, seed).unwrap().into_iter().enumerate();
    let inputs = drawn.map(|(k, value)| (format!("x{k}"), value)).collect();
    let node = b.push(sample.op.clone(), &operands);
    let name = format!("{:?} of {:?} with {bindings:?}", sample.op, sample.operands);
    Case { b, node, operands, inputs, bindings, name }
}

/// The smooth cases: a float result, made into a scalar, and the float operands as targets.
fn smooth_cases() -> impl Iterator<Item = (Case, NodeId, Vec<NodeId>)> {
    cases(DType::F64, &[0, 1, 3]).into_iter().enumerate().filter_map(|(k, mut case)| {
        let targets: Vec<NodeId> =
            case.operands.iter().copied().filter(|x| case.b.ty(*x).dtype == DType::F64).collect();
        let region = case.b.graph().op(case.node).primitive().lowering() == Lowering::Region;
        if region || targets.is_empty() || case.b.ty(case.node).dtype != DType::F64 {
            return None;
        }
        // The maximum of nothing is -∞, whose sine is NaN.
        let value = &values(&case.b, &[case.node], &case.inputs, &case.bindings)[0];
        if !value.to_f64().iter().all(|v| v.is_finite()) {
            return None;
        }
        let y = objective(&mut case.b, &[case.node]);
        fill(&case.b, &mut case.inputs, &case.bindings, k as u64);
        Some((case, y, targets))
    })
}

fn name_of(b: &Builder, x: NodeId) -> String {
    let Op::Input(input) = b.graph().op(x) else { unreachable!() };
    input.name.to_string()
}

/// Inputs in (-1, 1) of the targets' types, called `name0, …`.
fn directions(case: &mut Case, targets: &[NodeId], name: &str) -> Vec<NodeId> {
    let input = |(k, x): (usize, &NodeId)| {
        let ty = case.b.ty(*x).clone();
        case.b.input(&format!("{name}{k}"), Role::Data, ty)
    };
    let nodes = targets.iter().enumerate().map(input).collect();
    fill(&case.b, &mut case.inputs, &case.bindings, 77);
    nodes
}

/// The targets' names with the values of directions.
fn along(case: &Case, targets: &[NodeId], name: &str) -> Values {
    let value = |(k, x): (usize, &NodeId)| (name_of(&case.b, *x), case.inputs[&format!("{name}{k}")].clone());
    targets.iter().enumerate().map(value).collect()
}

/// Σ aᵢ·bᵢ as graph.
fn inner(b: &mut Builder, left: &[NodeId], right: &[NodeId]) -> NodeId {
    let mut total = b.constant(DType::F64, 0.0);
    for (l, r) in left.iter().zip(right) {
        let axes: Vec<usize> = (0..b.ty(*l).rank()).collect();
        let product = b.mul(*l, *r);
        let term = b.sum(product, &axes);
        total = b.add(total, term);
    }
    total
}

#[test]
fn values_have_the_inferred_types() {
    for dtype in [DType::F32, DType::F64] {
        for case in cases(dtype, &[0, 1, 2, 9, 33]) {
            if case.b.graph().op(case.node).primitive().lowering() == Lowering::Region {
                continue;
            }
            let value = &values(&case.b, &[case.node], &case.inputs, &case.bindings)[0];
            assert_eq!(value.dims, case.b.ty(case.node).shape(&case.bindings).unwrap(), "{}", case.name);
            assert_eq!(value.dtype(), case.b.ty(case.node).dtype, "{}", case.name);
        }
    }
}

#[test]
fn single_precision_is_close_to_the_meaning() {
    for case in cases(DType::F32, &[9]) {
        let primitive = case.b.graph().op(case.node).primitive();
        if matches!(primitive.lowering(), Lowering::Region | Lowering::Random) {
            continue;
        }
        let single = &values(&case.b, &[case.node], &case.inputs, &case.bindings)[0];
        let wide: Vec<Tensor> = (0..case.operands.len())
            .map(|k| {
                let x = &case.inputs[&format!("x{k}")];
                let dtype = if x.dtype() == DType::F32 { DType::F64 } else { x.dtype() };
                Tensor::from_f64(dtype, x.dims.clone(), x.to_f64())
            })
            .collect();
        let mut out = case.b.ty(case.node).clone();
        if out.dtype == DType::F32 {
            out.dtype = DType::F64;
        }
        let double = primitive.eval(&wide.iter().collect::<Vec<_>>(), &out, &case.bindings).unwrap();
        for (s, d) in single.to_f64().iter().zip(double[0].to_f64()) {
            let agree = *s == d || (s.is_nan() && d.is_nan()) || (s - d).abs() <= 2e-6 * d.abs().max(1.0);
            assert!(agree, "{s} {d} {}", case.name);
        }
    }
}

#[test]
fn gradients_are_differences() {
    for (mut case, y, targets) in smooth_cases() {
        let gradients = gradient(&mut case.b, y, &targets).unwrap();
        let gradients = values(&case.b, &gradients, &case.inputs, &case.bindings);
        let largest = gradients.iter().flat_map(Tensor::to_f64).fold(1e-3, |m, g| g.abs().max(m));
        for (x, symbolic) in targets.iter().zip(&gradients) {
            let name = name_of(&case.b, *x);
            assert_eq!(symbolic.dims, case.inputs[&name].dims, "{}", case.name);
            for (k, g) in symbolic.to_f64().iter().enumerate() {
                let mut unit = vec![0.0; symbolic.len()];
                unit[k] = 1.0;
                let unit = Tensor::from_f64(DType::F64, symbolic.dims.clone(), unit);
                let along = Values::from([(name.clone(), unit)]);
                let numeric = difference(&case.b, y, &case.inputs, &along, 0.02, &case.bindings);
                assert!(close(*g, numeric, largest, 1e-9), "{name}[{k}]: {g} {numeric} in {}", case.name);
            }
        }
    }
}

#[test]
fn reverse_mode_is_forward_mode() {
    for (mut case, y, targets) in smooth_cases() {
        let v = directions(&mut case, &targets, "v");
        let reverse = gradient(&mut case.b, y, &targets).unwrap();
        let reverse = inner(&mut case.b, &reverse, &v);
        let forward = tangent(&mut case.b, y, &targets, &v).unwrap();
        let [r, f] = [reverse, forward].map(|n| scalar(&case.b, n, &case.inputs, &case.bindings));
        assert!(close(r, f, 1.0, 1e-12), "{r} {f} in {}", case.name);
    }
}

#[test]
fn second_derivatives_are_differences_and_symmetric() {
    for (mut case, y, targets) in smooth_cases() {
        let u = directions(&mut case, &targets, "u");
        let v = directions(&mut case, &targets, "v");
        let first = gradient(&mut case.b, y, &targets).unwrap();
        let along_u = inner(&mut case.b, &first, &u);
        let hu = gradient(&mut case.b, along_u, &targets).unwrap();
        let vhu = inner(&mut case.b, &hu, &v);
        let along_v = inner(&mut case.b, &first, &v);
        let hv = gradient(&mut case.b, along_v, &targets).unwrap();
        let uhv = inner(&mut case.b, &hv, &u);
        let forward = tangent(&mut case.b, along_u, &targets, &v).unwrap();
        let once = tangent(&mut case.b, y, &targets, &u).unwrap();
        let twice = tangent(&mut case.b, once, &targets, &v).unwrap();
        let at = |n: NodeId| scalar(&case.b, n, &case.inputs, &case.bindings);
        let exact = at(vhu);
        for other in [uhv, forward, twice] {
            assert!(close(exact, at(other), 1.0, 1e-12), "{exact} {} in {}", at(other), case.name);
        }
        let along = along(&case, &targets, "v");
        let numeric = difference(&case.b, along_u, &case.inputs, &along, 0.02, &case.bindings);
        assert!(close(exact, numeric, 1.0, 1e-8), "{exact} {numeric} in {}", case.name);
    }
}

#[test]
fn regions_say_that_they_have_no_derivative() {
    for case in cases(DType::F64, &[2]) {
        let mut b = case.b;
        if b.graph().op(case.node).primitive().lowering() != Lowering::Region {
            continue;
        }
        let ty = b.ty(case.operands[0]).clone();
        let result = b.push(crate::ir::primitive::Project { index: 0, ty }, &[case.node]);
        let axes: Vec<usize> = (0..b.ty(result).rank()).collect();
        let y = b.sum(result, &axes);
        assert!(gradient(&mut b, y, &case.operands[..1]).unwrap_err().why.contains("not available"), "{}", case.name);
    }
}
