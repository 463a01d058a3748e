//! Every local identity keeps value and gradient, on special values too.

use super::super::gradient;
use super::*;
use crate::ir::sample::Draw;
use crate::ir::{Lowering, Size};

const COUNT: u64 = 1000;

/// Operands that identities look for: inputs, constants, and primitives applied to an input.
fn templates(b: &mut Builder, ty: &Type, k: usize) -> Vec<NodeId> {
    let x = b.input(&format!("x{k}{}", ty.dtype), Role::Data, ty.clone());
    let mut out = vec![x];
    if ty.dtype == DType::Bool {
        let not = b.not(x);
        out.push(not);
        for value in [0.0, 1.0] {
            out.push(b.full_like(x, value));
        }
        return out;
    }
    for value in [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -0.25, 3.0, f64::INFINITY, f64::NAN] {
        if ty.dtype.is_float() || value.fract() == 0.0 {
            out.push(b.full_like(x, value));
        }
    }
    out.extend([b.neg(x), b.abs(x), b.sign(x)]);
    if ty.dtype.is_float() {
        out.push(b.floor(x));
    }
    out
}

fn special(b: &Builder, bindings: &Bindings) -> Values {
    b.graph()
        .inputs()
        .map(|id| {
            let Op::Input(input) = b.graph().op(id) else { unreachable!() };
            let draw = match input.ty.dtype {
                DType::Bool => Draw::Bool,
                d if d.is_int() => Draw::Index(3),
                _ => Draw::Special,
            };
            (input.name.to_string(), draw.tensor(&input.ty, bindings, id.index() as u64).unwrap())
        })
        .collect()
}

/// The operands' elements at one place, to say where an identity fails.
fn at(b: &Builder, operands: &[NodeId], inputs: &Values, bindings: &Bindings, k: usize) -> String {
    let elements = values(b, operands, inputs, bindings);
    format!("{:?}", elements.iter().map(|v| v.to_f64().get(k).copied()).collect::<Vec<_>>())
}

/// Simplifies `op` of `operands` if it can, and compares values and gradients by all float inputs. Whether it could.
fn check(b: &mut Builder, op: &Op, operands: &[NodeId], bindings: &Bindings) -> bool {
    let Some(simple) = op.primitive().simplify(b, operands) else { return false };
    let node = b.push(op.clone(), operands);
    assert_eq!(b.ty(simple), b.ty(node), "{op:?}");
    let mut compared = vec![(node, simple)];
    let targets: Vec<NodeId> = b.graph().inputs().filter(|id| b.ty(*id).dtype.is_float()).collect();
    let axes: Vec<usize> = (0..b.ty(node).rank()).collect();
    if b.ty(node).dtype.is_float() && !matches!(op, Op::Stop(_)) {
        let [before, after] = [node, simple].map(|n| {
            let y = b.sum(n, &axes);
            gradient(b, y, &targets).unwrap()
        });
        compared.extend(before.into_iter().zip(after));
    }
    let inputs = special(b, bindings);
    let nodes: Vec<NodeId> = compared.iter().flat_map(|(before, after)| [*before, *after]).collect();
    let all = values(b, &nodes, &inputs, bindings);
    for (pair, v) in compared.iter().zip(all.chunks(2)) {
        let gradient = pair.0 != node;
        for (k, (p, q)) in v[0].to_f64().iter().zip(v[1].to_f64()).enumerate() {
            // The sign of a zero gradient is left open, since contributions are added to it.
            let same = p.to_bits() == q.to_bits() || (p.is_nan() && q.is_nan()) || (gradient && *p == q);
            assert!(same, "{op:?} of {}: {p} became {q} (gradient: {gradient})", at(b, operands, &inputs, bindings, k));
        }
    }
    true
}

#[test]
fn elementwise_identities() {
    let bindings = Bindings::new();
    let mut fired = std::collections::BTreeSet::new();
    for dtype in [DType::F64, DType::F32, DType::I64] {
        let ty = Type::new(dtype, vec![COUNT.into()]);
        for sample in Op::samples(if dtype.is_int() { DType::F64 } else { dtype }) {
            let Lowering::Elementwise(_) = sample.op.primitive().lowering() else { continue };
            let types: Vec<Type> = sample
                .operands
                .iter()
                .map(|(t, _)| if t.dtype.is_float() && dtype.is_int() { ty.clone() } else { ty.with_dtype(t.dtype) })
                .collect();
            if sample.op.primitive().infer(&types.iter().collect::<Vec<_>>()).is_err() {
                continue;
            }
            let arity = types.len();
            // With three operands, the first few constants stand for the others.
            let most = if arity == 3 { 5 } else { usize::MAX };
            let templates = |b: &mut Builder, k: usize| {
                let mut templates = templates(b, &types[k], k);
                templates.truncate(most);
                templates
            };
            let counts: Vec<usize> = (0..arity).map(|k| templates(&mut Builder::new(), k).len() + k).collect();
            for choice in 0..counts.iter().product::<usize>() {
                let mut b = Builder::new();
                let mut rest = choice;
                let mut operands: Vec<NodeId> = Vec::new();
                for (k, count) in counts.iter().enumerate() {
                    let templates = templates(&mut b, k);
                    let pick = rest % count;
                    rest /= count;
                    // Beyond its own templates, an operand may be the same as an earlier one.
                    operands.push(*templates.get(pick).unwrap_or_else(|| &operands[pick - templates.len()]));
                }
                // Nested: the primitive of itself, where that fits.
                if arity == 1
                    && let Ok(inner) = b.try_push(sample.op.clone(), &operands)
                    && sample.op.primitive().infer(&[b.ty(inner)]).is_ok()
                    && check(&mut b, &sample.op, &[inner], &bindings)
                {
                    fired.insert(sample.op.primitive().name());
                }
                let fits: Vec<&Type> = operands.iter().map(|o| b.ty(*o)).collect();
                if sample.op.primitive().infer(&fits).is_ok() && check(&mut b, &sample.op, &operands, &bindings) {
                    fired.insert(sample.op.primitive().name());
                }
            }
        }
    }
    let expected = [
        "abs", "add", "and", "convert", "div", "floor", "less", "maximum", "minimum", "mul", "neg", "not", "or", "pow",
        "select", "sign", "stop", "sub",
    ];
    assert_eq!(fired.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn movement_identities() {
    use crate::ir::primitive::*;
    let bindings = Bindings::from([(crate::ir::Symbol::new("N"), 7)]);
    let n = || Size::symbol("N");
    let ops = |dims: &[Size]| -> Vec<Op> {
        let flat = vec![dims.iter().fold(Size::constant(1), |a, d| &a * d)];
        let mut larger = dims.to_vec();
        larger.insert(1, 5.into());
        let size = dims[0].clone();
        vec![
            Permute { order: vec![0, 1] }.into(),
            Permute { order: vec![1, 0] }.into(),
            Reshape { dims: flat }.into(),
            Reshape { dims: dims.to_vec() }.into(),
            Broadcast { axes: vec![0, 2], dims: larger }.into(),
            Broadcast { axes: vec![0, 1], dims: dims.to_vec() }.into(),
            Slice { axis: 0, start: 0.into(), len: size }.into(),
            Pad { axis: 1, before: 0.into(), after: 0.into() }.into(),
            Concat { axis: 1 }.into(),
        ]
    };
    let dims = vec![n(), 20.into()];
    let mut fired = 0;
    let mut b = Builder::new();
    let x = b.input("x", Role::Data, Type::new(DType::F64, dims.clone()));
    let s = b.input("s", Role::Data, Type::scalar(DType::F64));
    let stretched = b.fill(s, &dims);
    let mut level = vec![x, stretched];
    for _ in 0..2 {
        for operand in level.clone() {
            let dims = b.dims(operand);
            if dims.len() != 2 {
                continue;
            }
            for op in ops(&dims) {
                fired += usize::from(check(&mut b, &op, &[operand], &bindings));
                level.push(b.push(op, &[operand]));
            }
        }
    }
    // Flat operands reshape back.
    for operand in level {
        let back: Op = Reshape { dims: dims.clone() }.into();
        if b.dims(operand).len() == 1 {
            fired += usize::from(check(&mut b, &back, &[operand], &bindings));
        }
    }
    assert!(fired >= 20, "{fired}");
}
