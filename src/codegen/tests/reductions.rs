//! Reductions against the promised order, written out.

use super::*;
use crate::schedule::kernel::{Combine, Order, Reduce, Reduction};

/// The sum of `rows` as `ir` promises it: 16 lanes, chunks of 4096, Kahan between chunks, a tree at the end.
fn lane_sum(rows: &[Vec<f32>]) -> f32 {
    let (mut s, mut c) = ([0f32; 16], [0f32; 16]);
    for row in rows {
        for chunk in row.chunks(256 * 16) {
            let mut acc = [0f32; 16];
            for (j, x) in chunk.iter().enumerate() {
                acc[j % 16] += x;
            }
            for l in 0..16 {
                let y = acc[l] - c[l];
                let t = s[l] + y;
                c[l] = (t - s[l]) - y;
                s[l] = t;
            }
        }
    }
    for half in [8, 4, 2, 1] {
        for l in 0..half {
            s[l] += s[l + half];
        }
    }
    s[0]
}

fn sequential_sum(x: impl Iterator<Item = f32>) -> f32 {
    let x: Vec<f32> = x.collect();
    let (mut s, mut c) = (0f32, 0f32);
    for chunk in x.chunks(256) {
        let acc = chunk.iter().fold(0f32, |a, x| a + x);
        let y = acc - c;
        let t = s + y;
        c = (t - s) - y;
        s = t;
    }
    s
}

/// Reduces x[m, n] over both axes, or over the last one per row.
fn reduce_lanes(dtype: DType, [m, n]: [u64; 2], both: bool, symbolic: bool, heavy: bool, x: &[f32]) -> Vec<Vec<u8>> {
    let mut fixture = Fixture::new(dtype);
    let integer = if dtype == DType::F64 { DType::I64 } else { DType::I32 };
    let n_size = if symbolic { Size::symbol("N") } else { size(n) };
    let (i, j) = (fixture.axis(size(m)), fixture.axis(n_size.clone()));
    let input = fixture.buffer(dtype, &[size(m), n_size.clone()]);
    let out_dims: &[Size] = if both { &[] } else { &[size(m)] };
    let sums = fixture.buffer(dtype, out_dims);
    let maxima = fixture.buffer(dtype, out_dims);
    let places = fixture.buffer(integer, out_dims);
    let at = Index::axis(i).scale(&n_size).add(&Index::axis(j));
    let a = fixture.load(input, at, &[i, j]);
    let mut body = vec![Stmt::Let(a)];
    let mut operand = a;
    // Twenty negations in pairs change nothing but the weight of the body.
    for _ in 0..if heavy { 40 } else { 0 } {
        let op = crate::schedule::kernel::ScalarOp::Neg;
        operand = fixture.value(dtype, &[i, j], Expr::Scalar { op, args: vec![operand] });
        body.push(Stmt::Let(operand));
    }
    let varies: &[AxisId] = if both { &[] } else { &[i] };
    let sum = fixture.value(dtype, varies, Expr::Reduced);
    let max = fixture.value(dtype, varies, Expr::Reduced);
    let place = fixture.value(integer, varies, Expr::Reduced);
    let mut results = vec![
        Reduction { combine: Combine::Sum, operand, result: sum },
        Reduction { combine: Combine::Max, operand, result: max },
    ];
    if !both {
        results.push(Reduction { combine: Combine::ArgMax, operand, result: place });
    }
    let axes = if both { vec![i, j] } else { vec![j] };
    let reduce = Stmt::Reduce(Reduce { axes, order: Order::Lanes, body, results });
    let index = if both { Index::default() } else { Index::axis(i) };
    let mut stmts = vec![reduce, store(sums, index.clone(), sum), store(maxima, index.clone(), max)];
    if !both {
        stmts.push(store(places, index, place));
    }
    fixture.kernel.body = if both { stmts } else { vec![scalar_loop(i, stmts)] };
    let len = element_bytes(dtype) as usize * if both { 1 } else { m as usize };
    let capacity = if symbolic { rows(n) } else { Bindings::new() };
    run(&fixture.program(&capacity), &[floats(dtype, x), vec![0; len], vec![0; len], vec![0; len]])
}

fn max(x: &[f32]) -> f32 {
    x.iter().fold(f32::NEG_INFINITY, |a, b| if a < *b || b.is_nan() { *b } else { a })
}

fn argmax(x: &[f32]) -> i32 {
    let mut best = 0;
    for (k, v) in x.iter().enumerate() {
        if x[best] < *v || v.is_nan() && !x[best].is_nan() {
            best = k;
        }
    }
    best as i32
}

#[test]
fn rows_are_reduced_in_the_promised_order() {
    let sizes: Vec<usize> = (0..68).chain([128, 1000, 4096, 4097, 9000]).collect();
    for n in sizes {
        for (symbolic, heavy) in [(false, false), (true, false), (false, true), (true, true)] {
            if heavy && n > 40 && n < 1000 && n % 3 > 0 {
                continue;
            }
            let m = if n > 100 { 1 } else { 3 };
            let mut x = numbers(m * n, n as u32 + 1);
            if n > 5 && m == 3 {
                x[2 * n + 4] = f32::NAN;
                x[n + 5] = x[n + 2];
                x[5] = f32::INFINITY;
                x[n - 1] = f32::INFINITY;
            }
            // In f64 the emitters are compared with each other.
            reduce_lanes(DType::F64, [m as u64, n as u64], false, symbolic, heavy, &x);
            let after = reduce_lanes(DType::F32, [m as u64, n as u64], false, symbolic, heavy, &x);
            let row = |r: usize| &x[r * n..(r + 1) * n];
            let sums: Vec<f32> = (0..m).map(|r| lane_sum(&[row(r).to_vec()])).collect();
            let maxima: Vec<f32> = (0..m).map(|r| max(row(r))).collect();
            assert_eq!(bits(&f32s(&after[1])), bits(&sums), "{n} {symbolic} {heavy}");
            assert_eq!(bits(&f32s(&after[2])), bits(&maxima), "{n} {symbolic} {heavy}");
            if n > 0 {
                let places: Vec<i32> = (0..m).map(|r| argmax(row(r))).collect();
                assert_eq!(i32s(&after[3]), places, "{n} {symbolic} {heavy}");
            }
        }
    }
}

#[test]
fn several_axes_are_chunks_of_the_last() {
    for (m, n) in [(0, 5), (5, 0), (1, 7), (4, 10), (3, 16), (9, 67), (2, 4100), (300, 10)] {
        for (symbolic, heavy) in [(false, false), (true, false), (false, true), (true, true)] {
            let x = numbers(m * n, 3);
            reduce_lanes(DType::F64, [m as u64, n as u64], true, symbolic, heavy, &x);
            let after = reduce_lanes(DType::F32, [m as u64, n as u64], true, symbolic, heavy, &x);
            let rows: Vec<Vec<f32>> = (0..m).map(|r| x[r * n..(r + 1) * n].to_vec()).collect();
            assert_eq!(bits(&f32s(&after[1])), bits(&[lane_sum(&rows)]), "{m}x{n} {symbolic} {heavy}");
            assert_eq!(bits(&f32s(&after[2])), bits(&[max(&x)]), "{m}x{n} {symbolic} {heavy}");
        }
    }
}

/// Sums and maxima of x[m, p, n] over the leading axes, for each column.
#[test]
fn columns_are_reduced_one_after_another() {
    columns(DType::F32);
    // The emitters are compared with each other.
    columns(DType::F64);
}

fn columns(dtype: DType) {
    let shapes = [(0u64, 1u64, 5u64), (1, 1, 1), (3, 1, 67), (64, 1, 10), (256, 1, 4), (257, 1, 33), (1000, 1, 3)];
    for (m, p, n) in shapes.into_iter().chain([(5, 7, 9), (16, 16, 5), (20, 30, 3), (2, 128, 16)]) {
        for symbolic in [false, true] {
            let mut fixture = Fixture::new(dtype);
            let m_size = if symbolic { Size::symbol("N") } else { size(m) };
            let (i, q, j) = (fixture.axis(m_size.clone()), fixture.axis(size(p)), fixture.axis(size(n)));
            let input = fixture.buffer(dtype, &[m_size, size(p), size(n)]);
            let (sums, maxima) = (fixture.buffer(dtype, &[size(n)]), fixture.buffer(dtype, &[size(n)]));
            let at = Index::axis(i).scale(&size(p * n)).add(&Index::axis(q).scale(&size(n))).add(&Index::axis(j));
            let a = fixture.load(input, at, &[i, q, j]);
            let sum = fixture.value(dtype, &[j], Expr::Reduced);
            let max = fixture.value(dtype, &[j], Expr::Reduced);
            let axes = if p == 1 { vec![i] } else { vec![i, q] };
            let reduce = Stmt::Reduce(Reduce {
                axes: axes.clone(),
                order: Order::Sequential,
                body: vec![Stmt::Let(a)],
                results: vec![
                    Reduction { combine: Combine::Sum, operand: a, result: sum },
                    Reduction { combine: Combine::Max, operand: a, result: max },
                ],
            });
            let stmts = vec![reduce, store(sums, Index::axis(j), sum), store(maxima, Index::axis(j), max)];
            let inner = vector_loop(j, stmts);
            fixture.kernel.body = if p == 1 { vec![scalar_loop(q, vec![inner])] } else { vec![inner] };
            let x = numbers((m * p * n) as usize, 11);
            let capacity = if symbolic { rows(m) } else { Bindings::new() };
            let zero = vec![0; (element_bytes(dtype) * n) as usize];
            let after = run(&fixture.program(&capacity), &[floats(dtype, &x), zero.clone(), zero]);
            for k in (0..n as usize).filter(|_| dtype == DType::F32) {
                let column = || x.iter().copied().skip(k).step_by(n as usize);
                let got = (f32s(&after[1])[k].to_bits(), f32s(&after[2])[k].to_bits());
                let largest = column().fold(f32::NEG_INFINITY, |a, b| if a < b { b } else { a });
                assert_eq!(got, (sequential_sum(column()).to_bits(), largest.to_bits()), "{m}x{p}x{n} {symbolic}");
            }
        }
    }
}

fn rows_and_columns(m: u64, n: u64) -> Bindings {
    [("M", m), ("N", n)].map(|(symbol, size)| (crate::ir::Symbol::new(symbol), size)).into()
}

/// The sum of squares of x[m, n], over both axes or, of one row, over its only one.
fn sum_of_squares(dtype: DType, m: u64, n: u64, symbolic: bool, x: &[f32]) -> f64 {
    let mut fixture = Fixture::new(dtype);
    let symbolic_rows = symbolic && m > 1;
    let rows = if symbolic_rows { Size::symbol("M") } else { size(m) };
    let columns = if symbolic { Size::symbol("N") } else { size(n) };
    let (i, j) = (fixture.axis(rows.clone()), fixture.axis(columns.clone()));
    let dims = if m == 1 { vec![columns.clone()] } else { vec![rows, columns.clone()] };
    let (axes, at) = match m {
        1 => (vec![j], Index::axis(j)),
        _ => (vec![i, j], Index::axis(i).scale(&columns).add(&Index::axis(j))),
    };
    let (input, out) = (fixture.buffer(dtype, &dims), fixture.buffer(dtype, &[]));
    let a = fixture.load(input, at, &axes);
    let square = crate::schedule::kernel::ScalarOp::Mul;
    let operand = fixture.value(dtype, &axes, Expr::Scalar { op: square, args: vec![a, a] });
    let result = fixture.value(dtype, &[], Expr::Reduced);
    let results = vec![Reduction { combine: Combine::Sum, operand, result }];
    let body = vec![Stmt::Let(a), Stmt::Let(operand)];
    let reduce = Stmt::Reduce(Reduce { axes, order: Order::Lanes, body, results });
    fixture.kernel.body = vec![reduce, store(out, Index::default(), result)];
    let mut capacity = if symbolic { rows_and_columns(m, n) } else { Bindings::new() };
    capacity.retain(|symbol, _| symbolic_rows || &*symbol.0 == "N");
    let zero = vec![0; element_bytes(dtype) as usize];
    let after = run(&fixture.program(&capacity), &[floats(dtype, x), zero]);
    if dtype == DType::F64 { f64s(&after[1])[0] } else { f32s(&after[1])[0].into() }
}

#[test]
fn chunks_side_by_side_are_combined_in_their_order() {
    let shapes = [
        // One row of several chunks: groups of them, some left over, a part of one.
        (1u64, 4096 * 4),
        (1, 4096 * 5 + 100),
        (1, 4096 * 9 - 1),
        (1, 4097),
        // Rows of one chunk each.
        (2, 512),
        (4, 16),
        (7, 37),
        (9, 4096),
        (13, 1),
        (3, 0),
        // Rows of several.
        (3, 9000),
        (2, 4096 * 4 + 5),
    ];
    for (m, n) in shapes {
        let x = numbers((m * n) as usize, 3);
        let rows: Vec<Vec<f32>> = match n {
            0 => vec![],
            n => x.chunks(n as usize).map(|row| row.iter().map(|x| x * x).collect()).collect(),
        };
        for symbolic in [false, true] {
            let sum = sum_of_squares(DType::F32, m, n, symbolic, &x);
            assert_eq!(sum.to_bits(), f64::from(lane_sum(&rows)).to_bits(), "[{m}, {n}], symbolic: {symbolic}");
            let near = sum_of_squares(DType::F64, m, n, symbolic, &x);
            assert!((sum - near).abs() <= 1e-5 * near, "[{m}, {n}], symbolic: {symbolic}: {near} for {sum}");
        }
    }
}
