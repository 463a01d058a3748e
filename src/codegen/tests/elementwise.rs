//! Elementwise kernels: every scalar operation, strides, guards, gathers and draws.

use super::*;
use crate::scalar::{Function, random::Key};
use crate::schedule::kernel::{Guard, ScalarOp};

/// Applies an operation to `args` numbers of f32 and compares with the host.
fn check_f32(
    op: ScalarOp,
    args: usize,
    n: usize,
    symbolic: bool,
    inputs: &[Vec<f32>],
    expected: impl Fn(&[f32]) -> f32,
) {
    let mut fixture = Fixture::new(DType::F32);
    let extent = if symbolic { Size::symbol("N") } else { size(n as u64) };
    let axis = fixture.axis(extent.clone());
    let mut body = Vec::new();
    let mut values = Vec::new();
    for _ in 0..args {
        let buffer = fixture.buffer(DType::F32, std::slice::from_ref(&extent));
        let value = fixture.load(buffer, Index::axis(axis), &[axis]);
        body.push(Stmt::Let(value));
        values.push(value);
    }
    let out = fixture.buffer(DType::F32, &[extent]);
    let result = fixture.value(DType::F32, &[axis], Expr::Scalar { op, args: values });
    body.extend([Stmt::Let(result), store(out, Index::axis(axis), result)]);
    fixture.kernel.body = vec![vector_loop(axis, body)];
    let program = fixture.program(&rows(n as u64));
    let mut contents: Vec<Vec<u8>> = inputs.iter().map(|x| bytes_f32(&x[..n])).collect();
    contents.push(vec![0; 4 * n]);
    let after = run(&program, &contents);
    let expected: Vec<f32> = (0..n).map(|k| expected(&inputs.iter().map(|x| x[k]).collect::<Vec<_>>())).collect();
    assert_eq!(bits(&f32s(&after[args])), bits(&expected), "{op:?} on {n}");
}

fn with_extremes(len: usize, seed: u32) -> Vec<f32> {
    let mut x = numbers(len, seed);
    let extremes =
        [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MIN_POSITIVE / 8.0, f32::MAX, -f32::MAX];
    for (k, e) in extremes.into_iter().enumerate() {
        if let Some(slot) = x.get_mut(k * (1 + seed as usize) + 2) {
            *slot = e;
        }
    }
    x
}

#[test]
fn functions_agree_with_the_host_at_every_size() {
    for function in Function::ALL {
        for n in [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 67] {
            let x = with_extremes(n, 1);
            check_f32(ScalarOp::Function(function), 1, n, n % 2 == 0, &[x], |x| function.apply_f32(x[0]));
        }
    }
}

#[test]
fn arithmetic_agrees_with_the_host_at_every_size() {
    type Case = (ScalarOp, fn(&[f32]) -> f32);
    let cases: [Case; 9] = [
        (ScalarOp::Add, |x| x[0] + x[1]),
        (ScalarOp::Sub, |x| x[0] - x[1]),
        (ScalarOp::Mul, |x| x[0] * x[1]),
        (ScalarOp::Div, |x| x[0] / x[1]),
        (ScalarOp::Pow, |x| crate::scalar::pow_f32(x[0], x[1])),
        (ScalarOp::Maximum, |x| if x[0] < x[1] || x[1].is_nan() { x[1] } else { x[0] }),
        (ScalarOp::Minimum, |x| if x[1] < x[0] || x[1].is_nan() { x[1] } else { x[0] }),
        (ScalarOp::Neg, |x| -x[0]),
        (ScalarOp::Abs, |x| x[0].abs()),
    ];
    for (op, expected) in cases {
        let sizes: Vec<usize> = if op == ScalarOp::Add { (0..68).collect() } else { vec![3, 16, 67] };
        for n in sizes {
            for symbolic in [false, true] {
                check_f32(op, 2, n, symbolic, &[with_extremes(n, 0), with_extremes(n, 2)], expected);
            }
        }
    }
}

#[test]
fn doubles_agree_with_the_host() {
    for function in Function::ALL {
        for n in [1, 2, 3, 8, 19] {
            let mut fixture = Fixture::new(DType::F64);
            let axis = fixture.axis(Size::symbol("N"));
            let (x, y) =
                (fixture.buffer(DType::F64, &[Size::symbol("N")]), fixture.buffer(DType::F64, &[Size::symbol("N")]));
            let a = fixture.load(x, Index::axis(axis), &[axis]);
            let b =
                fixture.value(DType::F64, &[axis], Expr::Scalar { op: ScalarOp::Function(function), args: vec![a] });
            fixture.kernel.body =
                vec![vector_loop(axis, vec![Stmt::Let(a), Stmt::Let(b), store(y, Index::axis(axis), b)])];
            let input: Vec<f64> = numbers(n, 5).into_iter().map(f64::from).collect();
            let after = run(&fixture.program(&rows(n as u64)), &[bytes_f64(&input), vec![0; 8 * n]]);
            let expected: Vec<u64> = input.iter().map(|x| function.apply_f64(*x).to_bits()).collect();
            let got: Vec<u64> = f64s(&after[1]).iter().map(|x| x.to_bits()).collect();
            // NaN has one meaning but many bits.
            for ((g, e), x) in got.iter().zip(&expected).zip(&input) {
                let (g, e) = (f64::from_bits(*g), f64::from_bits(*e));
                assert!(g.to_bits() == e.to_bits() || g.is_nan() && e.is_nan(), "{function:?} of {x}: {g} for {e}");
            }
        }
    }
}

/// `out[n, j] = x[n, j] + bias[j] + column[j, n] + one[n]`, with the rows a symbol: unit, other and zero strides.
#[test]
fn strides_reach_the_elements_they_name() {
    for (n, h) in [(0u64, 5u64), (1, 1), (3, 5), (5, 16), (7, 33), (4, 67)] {
        let mut fixture = Fixture::new(DType::F32);
        let (rows_size, h_size) = (Size::symbol("N"), size(h));
        let (i, j) = (fixture.axis(rows_size.clone()), fixture.axis(h_size.clone()));
        let matrix = [rows_size.clone(), h_size.clone()];
        let x = fixture.buffer(DType::F32, &matrix);
        let bias = fixture.buffer(DType::F32, std::slice::from_ref(&h_size));
        let column = fixture.buffer(DType::F32, &[h_size.clone(), rows_size.clone()]);
        let one = fixture.buffer(DType::F32, std::slice::from_ref(&rows_size));
        let out = fixture.buffer(DType::F32, &matrix);
        let at = Index::axis(i).scale(&h_size).add(&Index::axis(j));
        let across = Index::axis(j).scale(&rows_size).add(&Index::axis(i));
        let a = fixture.load(x, at.clone(), &[i, j]);
        let b = fixture.load(bias, Index::axis(j), &[j]);
        let c = fixture.load(column, across, &[i, j]);
        let d = fixture.load(one, Index::axis(i), &[i]);
        let add =
            |f: &mut Fixture, a, b| f.value(DType::F32, &[i, j], Expr::Scalar { op: ScalarOp::Add, args: vec![a, b] });
        let (ab, abc, abcd) = {
            let ab = add(&mut fixture, a, b);
            let abc = add(&mut fixture, ab, c);
            (ab, abc, add(&mut fixture, abc, d))
        };
        let lets = [a, b, c, ab, abc, abcd].map(Stmt::Let);
        let mut body = lets.to_vec();
        body.push(store(out, at, abcd));
        fixture.kernel.body = vec![scalar_loop(i, vec![Stmt::Let(d), vector_loop(j, body)])];
        let (n, h) = (n as usize, h as usize);
        let data = [numbers(n * h, 1), numbers(h, 2), numbers(n * h, 3), numbers(n, 4), vec![0.0; n * h]];
        let after = run(&fixture.program(&rows(n as u64)), &data.each_ref().map(|d| bytes_f32(d)));
        for r in 0..n {
            for k in 0..h {
                let expected = data[0][r * h + k] + data[1][k] + data[2][k * n + r] + data[3][r];
                assert_eq!(f32s(&after[4])[r * h + k].to_bits(), expected.to_bits(), "{n}x{h} at {r},{k}");
            }
        }
    }
}

/// `out[j] = j < shift ? 0 : x[j - shift]`: a pad, whose loads are guarded, and a reversal by a gather.
#[test]
fn guards_and_gathers_touch_only_what_they_name() {
    for (n, shift) in [(1u64, 1u64), (5, 2), (16, 3), (37, 7), (64, 64)] {
        let mut fixture = Fixture::new(DType::F32);
        let axis = fixture.axis(size(n));
        let x = fixture.buffer(DType::F32, &[size(n - shift)]);
        let places = fixture.buffer(DType::I32, &[size(n)]);
        let y = fixture.buffer(DType::F32, &[size(n)]);
        let out = fixture.buffer(DType::F32, &[size(n)]);
        let index = Index { offset: &Size::constant(0) - &size(shift), ..Index::axis(axis) };
        let guard = Guard { index: Index::axis(axis), lower: size(shift), upper: size(n) };
        let load = Expr::Load { buffer: x, index, guards: vec![guard.clone()] };
        let padded = fixture.value(DType::F32, &[axis], load);
        let place = fixture.load(places, Index::axis(axis), &[axis]);
        let gathered = Index { values: vec![(place, size(1))], ..Index::default() };
        let gathered = fixture.load(y, gathered, &[axis]);
        let within = fixture.value(DType::Bool, &[axis], Expr::Within(vec![guard]));
        let chosen = Expr::Scalar { op: ScalarOp::Select, args: vec![within, padded, gathered] };
        let chosen = fixture.value(DType::F32, &[axis], chosen);
        let sum = Expr::Scalar { op: ScalarOp::Add, args: vec![chosen, padded] };
        let sum = fixture.value(DType::F32, &[axis], sum);
        let mut body = [padded, place, gathered, within, chosen, sum].map(Stmt::Let).to_vec();
        body.push(store(out, Index::axis(axis), sum));
        fixture.kernel.body = vec![vector_loop(axis, body)];
        let (n, shift) = (n as usize, shift as usize);
        let (x, y) = (numbers(n - shift, 1), numbers(n, 2));
        let places: Vec<i32> = (0..n as i32).rev().collect();
        let contents = [bytes_f32(&x), bytes_i32(&places), bytes_f32(&y), vec![0; 4 * n]];
        let after = run(&fixture.program(&Bindings::new()), &contents);
        let expected: Vec<f32> =
            (0..n).map(|j| if j < shift { y[n - 1 - j] } else { x[j - shift] + x[j - shift] }).collect();
        assert_eq!(bits(&f32s(&after[3])), bits(&expected), "{n} by {shift}");
    }
}

#[test]
fn draws_agree_with_the_host() {
    for dtype in [DType::F32, DType::F64] {
        // Rows of whole and of broken blocks, in one pass and in several, begun in the middle of a block by some threads.
        for (n, h) in [(3u64, 10u64), (1, 1), (5, 16), (2, 67), (3, 72), (1, 100), (2, 256), (1, 1000)] {
            let mut fixture = Fixture::new(dtype);
            let (i, j) = (fixture.axis(size(n)), fixture.axis(size(h)));
            let seed = fixture.buffer(DType::I64, &[]);
            let step = fixture.buffer(DType::I64, &[]);
            let out = fixture.buffer(dtype, &[size(n), size(h)]);
            let (a, b) = (fixture.load(seed, Index::default(), &[]), fixture.load(step, Index::default(), &[]));
            let rows = Index::axis(i).scale(&size(h));
            let at = if n == 1 { Index::axis(j) } else { rows.add(&Index::axis(j)) };
            let varies = if n == 1 { vec![j] } else { vec![i, j] };
            let draw = fixture.value(dtype, &varies, Expr::Random { site: 9, seed: a, step: b, element: at.clone() });
            let inner = vector_loop(j, vec![Stmt::Let(draw), store(out, at, draw)]);
            // The threads share a row if it is the only one.
            let nest = if n == 1 { inner } else { scalar_loop(i, vec![inner]) };
            fixture.kernel.body = vec![Stmt::Let(a), Stmt::Let(b), nest];
            let (seed, step) = (-123_456_789_012_345i64, 77i64);
            let len = (n * h * element_bytes(dtype)) as usize;
            let after =
                run(&fixture.program(&Bindings::new()), &[bytes_i64(&[seed]), bytes_i64(&[step]), vec![0; len]]);
            let key = Key::derive(seed as u64, 9, step as u64);
            for k in 0..n * h {
                if dtype == DType::F32 {
                    assert_eq!(f32s(&after[2])[k as usize], key.uniform_f32(k));
                } else {
                    assert_eq!(f64s(&after[2])[k as usize], key.uniform_f64(k));
                }
            }
        }
    }
}

/// `out[j] = j < before ? 0 : draw(j - before)`: the first numbers of elements are negative.
#[test]
fn draws_behind_other_columns_agree_with_the_host() {
    for dtype in [DType::F32, DType::F64] {
        for (before, h) in [(8u64, 16u64), (24, 100), (8, 200), (40, 64), (5, 77)] {
            let mut fixture = Fixture::new(dtype);
            let j = fixture.axis(size(h));
            let seed = fixture.buffer(DType::I64, &[]);
            let step = fixture.buffer(DType::I64, &[]);
            let out = fixture.buffer(dtype, &[size(h)]);
            let (a, b) = (fixture.load(seed, Index::default(), &[]), fixture.load(step, Index::default(), &[]));
            let element = Index { offset: &Size::constant(0) - &size(before), ..Index::axis(j) };
            let draw = fixture.value(dtype, &[j], Expr::Random { site: 9, seed: a, step: b, element });
            let guard = Guard { index: Index::axis(j), lower: size(before), upper: size(h) };
            let within = fixture.value(DType::Bool, &[j], Expr::Within(vec![guard]));
            let zero = fixture.value(dtype, &[], Expr::Constant(0.0));
            let args = vec![within, draw, zero];
            let chosen = fixture.value(dtype, &[j], Expr::Scalar { op: ScalarOp::Select, args });
            let mut body = [draw, within, chosen].map(Stmt::Let).to_vec();
            body.push(store(out, Index::axis(j), chosen));
            fixture.kernel.body = [a, b, zero].map(Stmt::Let).to_vec();
            fixture.kernel.body.push(vector_loop(j, body));
            let zeros = vec![0; (h * element_bytes(dtype)) as usize];
            let after = run(&fixture.program(&Bindings::new()), &[bytes_i64(&[5]), bytes_i64(&[77]), zeros]);
            let key = Key::derive(5, 9, 77);
            for k in before..h {
                let (at, element) = (k as usize, k - before);
                match dtype {
                    DType::F32 => assert_eq!(f32s(&after[2])[at], key.uniform_f32(element), "{before} of {h} at {k}"),
                    _ => assert_eq!(f64s(&after[2])[at], key.uniform_f64(element), "{before} of {h} at {k}"),
                }
            }
        }
    }
}
