//! Derivatives where there is a choice: kinks, ties, poles, and branches that are not taken.

use super::super::{gradient, tangent};
use super::*;

/// First and second derivative of a function of one variable at a point, and the first by forward mode.
fn derivatives(f: impl Fn(&mut Builder, NodeId) -> NodeId, x: f64) -> [f64; 3] {
    let mut b = Builder::new();
    let input = scalar_input(&mut b, "x");
    let y = f(&mut b, input);
    let first = gradient(&mut b, y, &[input]).unwrap()[0];
    let second = gradient(&mut b, first, &[input]).unwrap()[0];
    let one = b.constant(DType::F64, 1.0);
    let forward = tangent(&mut b, y, &[input], &[one]).unwrap();
    let inputs = Values::from([("x".to_string(), Tensor::scalar(DType::F64, x))]);
    let all = values(&b, &[first, second, forward], &inputs, &Bindings::new());
    [all[0].to_f64()[0], all[1].to_f64()[0], all[2].to_f64()[0]]
}

fn constant(b: &mut Builder, value: f64) -> NodeId {
    b.constant(DType::F64, value)
}

#[test]
fn subgradients_are_the_documented_ones() {
    type Function = fn(&mut Builder, NodeId) -> NodeId;
    let relu: Function = |b, x| {
        let zero = constant(b, 0.0);
        b.maximum(x, zero)
    };
    let power: fn(&mut Builder, NodeId, f64) -> NodeId = |b, x, p| {
        let p = constant(b, p);
        b.pow(x, p)
    };
    let exponential: fn(&mut Builder, NodeId, f64) -> NodeId = |b, x, base| {
        let base = constant(b, base);
        b.pow(base, x)
    };
    let table: Vec<(&str, Function, f64, f64, f64)> = vec![
        ("relu at 0", relu, 0.0, 0.0, 0.0),
        ("relu at -0", relu, -0.0, 0.0, 0.0),
        ("relu above", relu, 1e-30, 1.0, 0.0),
        (
            "max(0, x) at 0",
            |b, x| {
                let z = constant(b, 0.0);
                b.maximum(z, x)
            },
            0.0,
            1.0,
            0.0,
        ),
        ("max(x, x)", |b, x| b.maximum(x, x), 2.0, 1.0, 0.0),
        (
            "min(x, 0) at 0",
            |b, x| {
                let z = constant(b, 0.0);
                b.minimum(x, z)
            },
            0.0,
            0.0,
            0.0,
        ),
        ("abs at 0", |b, x| b.abs(x), 0.0, 0.0, 0.0),
        ("abs at -0", |b, x| b.abs(x), -0.0, 0.0, 0.0),
        ("abs below", |b, x| b.abs(x), -2.0, -1.0, 0.0),
        ("sign at 0", |b, x| b.sign(x), 0.0, 0.0, 0.0),
        ("floor at 1", |b, x| b.floor(x), 1.0, 0.0, 0.0),
        ("sqrt at 0", |b, x| b.sqrt(x), 0.0, 0.0, 0.0),
        ("sqrt at 4", |b, x| b.sqrt(x), 4.0, 0.25, -0.03125),
        (
            "sqrt(x²) at 0",
            |b, x| {
                let s = b.mul(x, x);
                b.sqrt(s)
            },
            0.0,
            0.0,
            0.0,
        ),
        ("stop", |b, x| b.stop(x), 3.0, 0.0, 0.0),
        (
            "where(x > 0, x, 0) at 0",
            |b, x| {
                let z = constant(b, 0.0);
                let c = b.less(z, x);
                b.select(c, x, z)
            },
            0.0,
            0.0,
            0.0,
        ),
    ];
    for (name, f, x, first, second) in table {
        assert_eq!(derivatives(f, x), [first, second, first], "{name}");
    }
    for (p, x, first, second) in [
        (0.0, 0.0, 0.0, 0.0),
        (1.0, 0.0, 1.0, 0.0),
        (2.0, 0.0, 0.0, 2.0),
        (3.0, 0.0, 0.0, 0.0),
        (0.5, 0.0, 0.0, 0.0),
        (1.5, 0.0, 0.0, 0.0),
        (-1.0, 0.0, 0.0, 0.0),
        (2.0, -3.0, -6.0, 2.0),
        (3.0, -2.0, 12.0, -12.0),
    ] {
        let d = derivatives(|b, x| power(b, x, p), x);
        assert_eq!(d, [first, second, first], "x^{p} at {x}");
    }
    // 0^x, whose logarithm is infinite.
    for x in [0.0, 1.0, 2.5] {
        assert_eq!(derivatives(|b, x| exponential(b, x, 0.0), x), [0.0; 3], "0^x at {x}");
    }
}

#[test]
fn a_maximum_shared_by_ties_is_split_equally() {
    let mut b = Builder::new();
    let x = b.input("x", Role::Data, Type::new(DType::F64, vec![4.into()]));
    let y = b.max_over(x, &[0]);
    let g = gradient(&mut b, y, &[x]).unwrap()[0];
    for (x, expected) in [
        ([1.0, 3.0, 3.0, 0.0], [0.0, 0.5, 0.5, 0.0]),
        ([0.0, -0.0, 0.0, -0.0], [0.25; 4]),
        ([f64::NEG_INFINITY; 4], [0.25; 4]),
        ([f64::NAN, 1.0, 2.0, 3.0], [0.0; 4]),
    ] {
        let inputs = Values::from([("x".to_string(), Tensor::from_f64(DType::F64, vec![4], x.to_vec()))]);
        assert_eq!(values(&b, &[g], &inputs, &Bindings::new())[0].to_f64(), expected, "{x:?}");
    }
}

/// where(x > limit, branch(x), 0).
fn guarded(b: &mut Builder, x: NodeId, limit: f64, branch: fn(&mut Builder, NodeId) -> NodeId) -> NodeId {
    let (limit, zero) = (constant(b, limit), constant(b, 0.0));
    let taken = b.less(limit, x);
    let value = branch(b, x);
    b.select(taken, value, zero)
}

#[test]
fn no_nan_leaks_from_the_branch_not_taken() {
    type Function = fn(&mut Builder, NodeId) -> NodeId;
    let branches: Vec<(&str, Function)> = vec![
        ("log", |b, x| b.log(x)),
        ("sqrt", |b, x| b.sqrt(x)),
        ("1/x", |b, x| {
            let one = constant(b, 1.0);
            b.div(one, x)
        }),
        ("x/x", |b, x| b.div(x, x)),
        ("x·log(x)", |b, x| {
            let l = b.log(x);
            b.mul(x, l)
        }),
        ("tanh(log(x))", |b, x| {
            let l = b.log(x);
            b.tanh(l)
        }),
        ("exp(1/x)", |b, x| {
            let one = constant(b, 1.0);
            let r = b.div(one, x);
            b.exp(r)
        }),
        ("x^x", |b, x| b.pow(x, x)),
        ("log1p(-1/x)", |b, x| {
            let one = constant(b, -1.0);
            let r = b.div(one, x);
            b.log1p(r)
        }),
        ("sum of 1/x", |b, x| {
            let stretched = b.broadcast(x, &[], &[3.into()]);
            let logs = b.log(stretched);
            b.sum(logs, &[0])
        }),
    ];
    for (name, branch) in branches {
        for x in [0.0, -0.0, -1.0, f64::NEG_INFINITY] {
            assert_eq!(derivatives(|b, x| guarded(b, x, 0.0, branch), x), [0.0; 3], "{name} at {x}");
        }
        // At order 2 the slope of the slope overflows here, which no guard of zeros covers.
        let [first, _, forward] = derivatives(|b, x| guarded(b, x, 0.0, branch), -1e-320);
        assert_eq!([first, forward], [0.0; 2], "{name} below 0");
        let inside = derivatives(|b, x| guarded(b, x, 0.0, branch), 1.7);
        let plain = derivatives(branch, 1.7);
        assert!(inside.iter().zip(plain).all(|(a, b)| close(*a, b, 1.0, 1e-12)), "{name}: {inside:?} {plain:?}");
    }
}

#[test]
fn a_zero_cotangent_in_the_taken_branch_keeps_its_second_derivative() {
    // f = where(x > 0, log(x)², 0) at x = 1: f' = 0, f'' = 2.
    let f = |b: &mut Builder, x: NodeId| {
        guarded(b, x, 0.0, |b, x| {
            let l = b.log(x);
            b.mul(l, l)
        })
    };
    assert_eq!(derivatives(f, 1.0), [0.0, 2.0, 0.0]);
}

#[test]
fn a_nan_that_is_real_stays() {
    let honest = derivatives(|b, x| guarded(b, x, -5.0, |b, x| b.log(x)), -1.0);
    assert!(honest[0] == -1.0, "{honest:?}");
    let infinite = derivatives(|b, x| b.log(x), 0.0);
    assert_eq!(infinite[0], f64::INFINITY);
    let nan = derivatives(
        |b, x| {
            guarded(b, x, -5.0, |b, x| {
                let l = b.log(x);
                b.mul(l, l)
            })
        },
        -1.0,
    );
    assert!(nan[0].is_nan(), "{nan:?}");
}
