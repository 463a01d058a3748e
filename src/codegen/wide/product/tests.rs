//! Products against the definition, bit for bit, with every operand flush against memory that cannot be accessed.

use super::*;
use crate::codegen::tests::{self, Guarded};
use std::fmt::Debug;

/// Nothing is there: what is asked for is not accessed.
const SOON: [Stretch; 2] = [Stretch { start: 1 << 12, bytes: 5000 }, Stretch { start: u64::MAX - 64, bytes: 300 }];

fn simds() -> impl Iterator<Item = Simd> {
    [Simd::Avx2, Simd::Avx512].into_iter().filter(|s| s.is_available())
}

trait Number: Element + Debug {
    const NAN: Self;
    /// A number with all its digits.
    fn of(x: f32) -> Self;
    fn bits(self) -> u64;
    unsafe fn by_library(shape: &Shape, out: *mut Self, lhs: *const Self, rhs: *const Self);
}

impl Number for f32 {
    const NAN: f32 = f32::NAN;
    fn of(x: f32) -> f32 {
        x
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
    unsafe fn by_library(shape: &Shape, out: *mut f32, lhs: *const f32, rhs: *const f32) {
        // SAFETY: passed on.
        unsafe { crate::codegen::product::product_f32(shape, out, lhs, rhs) }
    }
}

impl Number for f64 {
    const NAN: f64 = f64::NAN;
    fn of(x: f32) -> f64 {
        f64::from(x) / 3.0
    }
    fn bits(self) -> u64 {
        self.to_bits()
    }
    unsafe fn by_library(shape: &Shape, out: *mut f64, lhs: *const f64, rhs: *const f64) {
        // SAFETY: passed on.
        unsafe { crate::codegen::product::product_f64(shape, out, lhs, rhs) }
    }
}

fn numbers<T: Number>(len: usize, seed: u32) -> Vec<T> {
    tests::numbers(len, seed).into_iter().map(T::of).collect()
}

/// How a matrix lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    Rows,
    Columns,
    /// Rows of elements that are two apart.
    Spread,
}

fn strides(layout: Layout, rows: usize, columns: usize) -> [isize; 3] {
    match layout {
        Layout::Rows => [(rows * columns) as isize, columns as isize, 1],
        Layout::Columns => [(rows * columns) as isize, 1, rows as isize],
        Layout::Spread => [2 * (rows * columns) as isize, 2 * columns as isize, 2],
    }
}

/// Elements from the first to the last of a matrix.
fn length(strides: &[isize; 3], sizes: [usize; 3]) -> usize {
    let last = sizes.iter().zip(strides).map(|(n, stride)| n.saturating_sub(1) * *stride as usize);
    if sizes.contains(&0) { 0 } else { last.sum::<usize>() + 1 }
}

/// The promised order: chains of as many as a piece has fused multiply-adds, their sums added in order.
fn expected<T: Number>(shape: &Shape, lhs: &[T], rhs: &[T], out: &mut [T]) {
    let at = |s: &[isize; 3], b: usize, r: usize, c: usize| b * s[0] as usize + r * s[1] as usize + c * s[2] as usize;
    for b in 0..shape.batch {
        for i in 0..shape.m {
            for j in 0..shape.n {
                let place = at(&shape.out, b, i, j);
                if is_of_dots::<T>(shape) {
                    let mut lanes = [T::default(); 16];
                    let count = dots::LANES / T::BYTES;
                    for l in 0..shape.k {
                        let (x, y) = (lhs[at(&shape.lhs, b, i, l)], rhs[at(&shape.rhs, b, l, j)]);
                        lanes[l % count] = lanes[l % count].plus_product(x, y);
                    }
                    for half in [8, 4, 2, 1].into_iter().filter(|half| *half < count) {
                        (0..half).for_each(|l| lanes[l] = lanes[l] + lanes[l + half]);
                    }
                    out[place] = if shape.accumulate != 0 { out[place] + lanes[0] } else { lanes[0] };
                    continue;
                }
                let mut total = (shape.accumulate != 0).then(|| out[place]);
                for start in (0..shape.k.max(1)).step_by(piece(shape.k)) {
                    let chain = (start..shape.k.min(start + piece(shape.k))).fold(T::default(), |sum, l| {
                        sum.plus_product(lhs[at(&shape.lhs, b, i, l)], rhs[at(&shape.rhs, b, l, j)])
                    });
                    total = Some(total.map_or(chain, |t| t + chain));
                }
                out[place] = total.unwrap_or_default();
            }
        }
    }
}

fn guarded<T: Number>(content: &[T], front: bool) -> Guarded {
    let memory = Guarded::new(size_of_val(content), front);
    // SAFETY: the memory has the content's length.
    unsafe { std::ptr::copy_nonoverlapping(content.as_ptr(), memory.start.cast(), content.len()) };
    memory
}

fn check(simd: Simd, sizes: [usize; 4], layouts: [Layout; 2], accumulate: usize, threads: usize) {
    check_of::<f32>(simd, sizes, layouts, accumulate, threads);
    check_of::<f64>(simd, sizes, layouts, accumulate, threads);
}

fn check_of<T: Number>(
    simd: Simd,
    [batch, m, n, k]: [usize; 4],
    layouts: [Layout; 2],
    accumulate: usize,
    threads: usize,
) {
    let shape = Shape {
        batch,
        m,
        n,
        k,
        out: strides(Layout::Rows, m, n),
        lhs: strides(layouts[0], m, k),
        rhs: strides(layouts[1], k, n),
        accumulate,
        threads,
        emitter: 0,
        rows: 0,
        scattered: 0,
    };
    let (lhs, rhs) = (numbers(length(&shape.lhs, [batch, m, k]), 1), numbers(length(&shape.rhs, [batch, k, n]), 2));
    let mut wanted: Vec<T> = numbers(batch * m * n, 3);
    let before = wanted.clone();
    expected(&shape, &lhs, &rhs, &mut wanted);
    for front in [false, true] {
        let (l, r, o) = (guarded(&lhs, front), guarded(&rhs, front), guarded(&before, front));
        // SAFETY: the memories hold what the shape reaches.
        let got = unsafe {
            product::<T>(simd, &shape, is_of_dots::<T>(&shape), o.start.cast(), l.start.cast(), r.start.cast(), &SOON);
            std::slice::from_raw_parts(o.start.cast::<T>(), wanted.len())
        };
        for (place, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
            assert_eq!(got.bits(), wanted.bits(), "{shape:?} {layouts:?} at {place}: {got:?} for {wanted:?}");
        }
    }
}

#[test]
fn every_size_and_layout_is_the_promised_chain() {
    let sizes = [0, 1, 2, 3, 5, 7, 8, 9, 13, 14, 15, 16, 17, 29, 31, 32, 33, 47, 64, 65, 67];
    for simd in simds() {
        let mut turn = 0;
        for m in sizes {
            for n in sizes {
                turn += 1;
                let k = sizes[(turn * 7) % sizes.len()];
                let layouts = [Layout::Rows, Layout::Columns, Layout::Spread];
                let layouts = [layouts[turn % 3], layouts[turn / 3 % 3]];
                check(simd, [1 + turn % 2, m, n, k], layouts, turn / 4 % 2, 1);
            }
        }
    }
}

#[test]
fn deep_and_wide_products_are_the_promised_chain_on_any_number_of_threads() {
    for simd in simds() {
        for (turn, [m, n, k]) in [
            [130, 70, 300],
            [3, 1100, 520],
            [700, 10, 257],
            [200, 550, 33],
            [901, 1, 900],
            [1, 999, 701],
            [2, 700, 400],
        ]
        .into_iter()
        .enumerate()
        {
            for threads in [1, 2, 3, 8] {
                let layouts = if turn % 2 == threads % 2 {
                    [Layout::Rows, Layout::Columns]
                } else {
                    [Layout::Columns, Layout::Rows]
                };
                check(simd, [1, m, n, k], layouts, turn % 2, threads);
            }
        }
    }
}

#[test]
fn rows_that_lie_apart_are_looked_up() {
    rows_apart::<f32>();
    rows_apart::<f64>();
}

fn rows_apart<T: Number>() {
    for simd in simds() {
        for (m, n, k) in
            [(37, 10, 70), (10, 37, 400), (5, 33, 641), (1, 1, 1), (29, 32, 20), (43, 1, 65), (1, 43, 65), (1, 1, 99)]
        {
            for operand in [Scattered::LeftRows, Scattered::LeftColumns, Scattered::Right] {
                for threads in [1, 3] {
                    let layouts = match operand {
                        Scattered::LeftColumns => [Layout::Columns, Layout::Rows],
                        _ => [Layout::Rows, Layout::Rows],
                    };
                    let plain = Shape {
                        batch: 1,
                        m,
                        n,
                        k,
                        out: strides(Layout::Rows, m, n),
                        lhs: strides(layouts[0], m, k),
                        rhs: strides(layouts[1], k, n),
                        accumulate: 0,
                        threads,
                        emitter: 0,
                        rows: 0,
                        scattered: 0,
                    };
                    let (lhs, rhs) = (numbers::<T>(m * k, 1), numbers::<T>(k * n, 2));
                    let mut wanted = vec![T::default(); m * n];
                    expected(&plain, &lhs, &rhs, &mut wanted);
                    // The rows in the opposite order, with one between each two that is never read.
                    let (rows, width) = match operand {
                        Scattered::LeftRows => (m, k),
                        Scattered::LeftColumns => (k, m),
                        Scattered::Right => (k, n),
                    };
                    let of = if operand == Scattered::Right { &rhs } else { &lhs };
                    let mut apart = vec![T::NAN; (2 * rows - 1) * width];
                    let places: Vec<u32> = (0..rows as u32).map(|row| 2 * (rows as u32 - 1 - row)).collect();
                    for (row, place) in places.iter().enumerate() {
                        apart[*place as usize * width..][..width].copy_from_slice(&of[row * width..][..width]);
                    }
                    let apart = guarded(&apart, false);
                    let (l, r) = match operand {
                        Scattered::Right => (lhs.as_ptr(), apart.start.cast_const().cast()),
                        _ => (apart.start.cast_const().cast(), rhs.as_ptr()),
                    };
                    let shape = Shape { rows: places.as_ptr() as usize, scattered: operand as usize, ..plain };
                    let mut got = vec![T::default(); m * n];
                    // SAFETY: the memories hold what the shape reaches.
                    unsafe { product::<T>(simd, &shape, is_of_dots::<T>(&shape), got.as_mut_ptr(), l, r, &SOON) };
                    let same = got.iter().zip(&wanted).all(|(a, b)| a.bits() == b.bits());
                    assert!(same, "{m} {n} {k} {operand:?} on {threads} threads");
                }
            }
        }
    }
}

#[test]
fn without_memory_for_code_a_block_is_computed_element_by_element() {
    by_elements::<f32>();
    by_elements::<f64>();
}

fn by_elements<T: Number>() {
    for kernels in simds().map(|simd| kernels(simd, T::WIDTH)) {
        let (lhs, rhs) = (numbers::<T>(5 * 23, 1), numbers::<T>(40 * 32, 2));
        let (bytes, half) = (T::BYTES as isize, T::of(0.5));
        let apart: Vec<*const T> = [3, 0, 2].iter().map(|row| lhs[row * 23..].as_ptr()).collect();
        let looked_up: Vec<u32> = (0..23).map(|k| (k * 7 + 3) % 40).collect();
        for (left, looks_up) in [(Left::Rows, false), (Left::Columns, true), (Left::Any, false), (Left::Apart, false)] {
            let columns = kernels.lanes() - 3;
            let form = Form { left, rows: 3, vectors: 1, ends: true, looks_up, lines: 0 };
            let mut results = [vec![half; 3 * 32], vec![half; 3 * 32]];
            for (made, out) in [true, false].into_iter().zip(&mut results) {
                let block = Block {
                    lhs: if left == Left::Apart { apart.as_ptr().cast() } else { lhs.as_ptr().cast() },
                    lhs_row: if left == Left::Columns { bytes } else { 23 * bytes },
                    lhs_column: if left == Left::Columns { 5 * bytes } else { bytes },
                    rhs: rhs.as_ptr().cast(),
                    rhs_row: 32 * bytes,
                    numbers: looked_up.as_ptr(),
                    out: out.as_mut_ptr().cast(),
                    out_row: 32 * bytes,
                    k: 23,
                    accumulate: 1,
                    mask: (1 << columns) - 1,
                    mask_words: MASK_WORDS[8usize.saturating_sub(columns * T::BYTES / 4)..].as_ptr(),
                    ahead: lhs.as_ptr().cast(),
                    ahead_row: 0,
                    soon: lhs.as_ptr().cast(),
                    soon_row: 0,
                };
                // SAFETY: the vectors hold what the block reaches.
                unsafe {
                    match kernels.get(form).filter(|_| made) {
                        Some(kernel) => kernel(&block),
                        None => micro::by_elements::<T>(&block, form, columns),
                    }
                }
            }
            let [made, by_elements] = results.map(|result| result.into_iter().map(T::bits).collect::<Vec<u64>>());
            assert_eq!(made, by_elements, "{left:?}");
            assert!(made.iter().filter(|x| **x == half.bits()).count() < 3 * 32 - 2 * columns);
        }
    }
}

/// Prints GFLOP/s beside the library's; run by hand with `--release --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn speed() {
    speed_of::<f32>();
    speed_of::<f64>();
}

fn speed_of<T: Number>() {
    use std::time::Instant;
    println!("{:?}", T::WIDTH);
    let cases = [
        ([128, 512, 784], [Layout::Rows, Layout::Rows]),
        ([128, 512, 512], [Layout::Rows, Layout::Columns]),
        ([512, 512, 128], [Layout::Columns, Layout::Rows]),
        ([784, 512, 128], [Layout::Columns, Layout::Rows]),
        ([64, 128, 64], [Layout::Rows, Layout::Rows]),
        ([64, 128, 64], [Layout::Columns, Layout::Rows]),
        ([64, 10, 128], [Layout::Rows, Layout::Rows]),
        ([64, 128, 10], [Layout::Rows, Layout::Columns]),
        ([128, 10, 64], [Layout::Columns, Layout::Rows]),
        ([256, 10, 20000], [Layout::Rows, Layout::Rows]),
        ([20000, 10, 256], [Layout::Columns, Layout::Rows]),
        ([1024, 1024, 1024], [Layout::Rows, Layout::Rows]),
        ([1, 512, 512], [Layout::Rows, Layout::Rows]),
        ([1, 512, 512], [Layout::Rows, Layout::Columns]),
        ([2, 512, 512], [Layout::Rows, Layout::Rows]),
        ([3, 512, 512], [Layout::Rows, Layout::Rows]),
        ([1000, 1, 512], [Layout::Rows, Layout::Rows]),
        ([512, 1, 1000], [Layout::Columns, Layout::Rows]),
        ([1000, 2, 512], [Layout::Rows, Layout::Rows]),
        ([1000, 4, 512], [Layout::Rows, Layout::Rows]),
        ([1000, 512, 1], [Layout::Rows, Layout::Rows]),
        ([128, 512, 4], [Layout::Rows, Layout::Rows]),
    ];
    for ([m, n, k], layouts) in cases {
        let mut shape = Shape {
            batch: 1,
            m,
            n,
            k,
            out: strides(Layout::Rows, m, n),
            lhs: strides(layouts[0], m, k),
            rhs: strides(layouts[1], k, n),
            accumulate: 0,
            threads: 1,
            emitter: 0,
            rows: 0,
            scattered: 0,
        };
        let (lhs, rhs) = (numbers::<T>(m * k, 1), numbers::<T>(k * n, 2));
        let mut out = vec![T::default(); m * n];
        let flops = 2.0 * (m * n * k) as f64;
        let mut row = String::new();
        for threads in [1, 2] {
            shape.threads = threads;
            let mut time = |f: &mut dyn FnMut(*mut T)| {
                let repeats = (2e7 / flops).ceil() as usize;
                let mut best = f64::INFINITY;
                for _ in 0..15 {
                    let start = Instant::now();
                    (0..repeats).for_each(|_| f(out.as_mut_ptr()));
                    best = best.min(start.elapsed().as_secs_f64() / repeats as f64);
                }
                flops / best / 1e9
            };
            for simd in simds() {
                // SAFETY: the vectors hold what the shape reaches.
                let speed = time(&mut |out| unsafe {
                    product(simd, &shape, is_of_dots::<T>(&shape), out, lhs.as_ptr(), rhs.as_ptr(), &[])
                });
                row += &format!(" {:>7.1}", speed);
            }
            // SAFETY: as above.
            let speed = time(&mut |out| unsafe { T::by_library(&shape, out, lhs.as_ptr(), rhs.as_ptr()) });
            row += &format!(" lib {speed:>7.1} |");
        }
        println!("{m:>5} {n:>5} {k:>5} {:?}: {row}", layouts);
    }
}
