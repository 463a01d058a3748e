//! Special values, agreement of names, and the number of steps of each sequence. Error bounds are in `tests/numerics.rs`.

use super::*;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

fn check(function: Function, x: f64, expected: f64) {
    let double = function.apply_f64(x);
    assert!(same(double, expected), "f64 {}({x:e}) = {double:e}, expected {expected:e}", function.name());
    let single = f64::from(function.apply_f32(x as f32));
    let expected = f64::from(expected as f32);
    assert!(same(single, expected), "f32 {}({x:e}) = {single:e}, expected {expected:e}", function.name());
}

#[test]
fn limits_and_zeros_are_exact() {
    let ln_2 = std::f64::consts::LN_2;
    // At 0, -0, ∞ and -∞.
    let expected = [
        (Function::Exp, [1.0, 1.0, INF, 0.0]),
        (Function::Expm1, [0.0, -0.0, INF, -1.0]),
        (Function::Log, [-INF, -INF, INF, NAN]),
        (Function::Log1p, [0.0, -0.0, INF, NAN]),
        (Function::Sqrt, [0.0, -0.0, INF, NAN]),
        (Function::Tanh, [0.0, -0.0, 1.0, -1.0]),
        (Function::Sigmoid, [0.5, 0.5, 1.0, 0.0]),
        (Function::Softplus, [ln_2, ln_2, INF, 0.0]),
        (Function::Erf, [0.0, -0.0, 1.0, -1.0]),
        (Function::Sin, [0.0, -0.0, NAN, NAN]),
        (Function::Cos, [1.0, 1.0, NAN, NAN]),
        (Function::Floor, [0.0, -0.0, INF, -INF]),
        (Function::Sign, [0.0, -0.0, 1.0, -1.0]),
    ];
    assert_eq!(expected.map(|(function, _)| function), Function::ALL);
    for (function, values) in expected {
        for (x, value) in [0.0, -0.0, INF, -INF].into_iter().zip(values) {
            check(function, x, value);
        }
        check(function, NAN, NAN);
        check(function, -NAN, NAN);
    }
}

#[test]
fn arguments_out_of_the_domain() {
    for x in [-1e-300, -1.0, -1e300] {
        assert!(Function::Log.apply_f64(x).is_nan());
        assert!(Function::Log.apply_f32(x as f32).is_nan() || x as f32 == 0.0);
    }
    check(Function::Log, 1.0, 0.0);
    check(Function::Log1p, -1.0, -INF);
    for x in [-1.0000002, -2.0, -1e30] {
        check(Function::Log1p, x, NAN);
    }
}

#[test]
fn saturation() {
    for x in [1e3, 1e10, 1e38] {
        check(Function::Exp, x, INF);
        check(Function::Exp, -x, 0.0);
        check(Function::Expm1, x, INF);
        check(Function::Expm1, -x, -1.0);
        check(Function::Tanh, x, 1.0);
        check(Function::Tanh, -x, -1.0);
        check(Function::Sigmoid, x, 1.0);
        check(Function::Sigmoid, -x, 0.0);
        check(Function::Softplus, x, x);
        check(Function::Softplus, -x, 0.0);
        check(Function::Erf, x, 1.0);
        check(Function::Erf, -x, -1.0);
    }
}

#[test]
fn subnormal_numbers_go_in_and_come_out() {
    let (tiny, tiny_f32) = (f64::from_bits(3), f32::from_bits(3));
    for function in [Function::Expm1, Function::Log1p, Function::Tanh, Function::Sin] {
        assert_eq!(function.apply_f64(tiny), tiny, "{}", function.name());
        assert_eq!(function.apply_f64(-tiny), -tiny, "{}", function.name());
        assert_eq!(function.apply_f32(tiny_f32), tiny_f32, "{}", function.name());
        assert_eq!(function.apply_f32(-tiny_f32), -tiny_f32, "{}", function.name());
    }
    for function in [Function::Exp, Function::Sigmoid, Function::Softplus] {
        assert_eq!(function.apply_f32(-100.0), (-100f64).exp() as f32, "{}", function.name());
        assert_eq!(function.apply_f64(-740.0), (-740f64).exp(), "{}", function.name());
    }
    assert_eq!(Function::Log.apply_f32(tiny_f32), f64::from(tiny_f32).ln() as f32);
    assert_eq!(Function::Log.apply_f64(tiny), tiny.ln());
    assert_eq!(pow_f32(2.0, -149.0), f32::from_bits(1));
    assert_eq!(pow_f64(2.0, -1074.0), f64::from_bits(1));
    assert_eq!(pow_f32(f32::from_bits(1), 0.5), f64::from(f32::from_bits(1)).sqrt() as f32);
}

#[test]
fn odd_and_even_functions() {
    for k in 1..2000 {
        let x = f64::from(k) * 0.0137;
        for function in [Function::Tanh, Function::Erf, Function::Sin, Function::Sign] {
            assert_eq!(function.apply_f64(-x), -function.apply_f64(x), "{}({x})", function.name());
            assert_eq!(function.apply_f32(-x as f32), -function.apply_f32(x as f32), "{}({x})", function.name());
        }
        assert_eq!(Function::Cos.apply_f64(-x), Function::Cos.apply_f64(x));
    }
}

#[test]
fn arguments_beyond_the_trigonometric_range() {
    for x in [1e16, 1e300] {
        assert_eq!((Function::Sin.apply_f64(x), Function::Cos.apply_f64(x)), (0.0, 1.0));
    }
    for x in [3e6, 1e30] {
        assert_eq!((Function::Sin.apply_f32(x), Function::Cos.apply_f32(x)), (0.0, 1.0));
    }
}

#[test]
fn special_cases_of_pow_are_those_of_ieee_754() {
    let values = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.0,
        -2.0,
        3.0,
        -3.0,
        0.5,
        -0.5,
        0.25,
        1.5,
        -1.5,
        2.5,
        -2.5,
        1e30,
        -1e30,
        1e-30,
        -1e-30,
        INF,
        -INF,
        NAN,
        16777215.0,
        -16777215.0,
        16777216.0,
        1e-42,
        -1e-42,
    ];
    for x in values {
        for y in values {
            let double = pow_f64(x, y);
            let expected = x.powf(y);
            let special = !expected.is_finite() || expected == 0.0 || expected.abs() == 1.0;
            let close = (double - expected).abs() <= 4e-16 * expected.abs();
            assert!(same(double, expected) || !special && close, "{x:e} ^ {y:e} = {double:e}, expected {expected:e}");

            let (x, y) = (x as f32, y as f32);
            let single = pow_f32(x, y);
            let expected = f64::from(x).powf(f64::from(y)) as f32;
            let special = !expected.is_finite() || expected == 0.0 || expected.abs() == 1.0;
            let close = (single - expected).abs() <= 2e-7 * expected.abs() + 2e-45;
            let agrees = same(f64::from(single), f64::from(expected)) || !special && close;
            assert!(agrees, "f32 {x:e} ^ {y:e} = {single:e}, expected {expected:e}");
        }
    }
}

#[test]
fn names_are_found_again() {
    for function in Function::ALL {
        assert_eq!(Function::from_name(function.name()), Some(function));
    }
    assert_eq!(Function::from_name("exq"), None);
}

/// Single then double; a longer sequence is a decision to take, since these run in inner loops.
#[test]
fn sequences_keep_to_their_number_of_steps() {
    let expected = [
        (Function::Exp, 18, 24),
        (Function::Expm1, 23, 29),
        (Function::Log, 35, 38),
        (Function::Log1p, 47, 50),
        (Function::Sqrt, 1, 1),
        (Function::Tanh, 22, 38),
        (Function::Sigmoid, 23, 37),
        (Function::Softplus, 31, 71),
        (Function::Erf, 33, 58),
        (Function::Sin, 26, 33),
        (Function::Cos, 24, 31),
        (Function::Floor, 1, 1),
        (Function::Sign, 4, 4),
    ];
    for (function, single, double) in expected {
        let counted = [Width::Single, Width::Double].map(|width| function.steps(width));
        assert_eq!(counted, [single, double], "{}", function.name());
    }
    assert_eq!([Width::Single, Width::Double].map(pow_steps), [110, 120], "pow");
}
