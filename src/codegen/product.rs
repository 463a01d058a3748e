//! Matrix products by emitted kernels or by the library, callable from compiled code.
//!
//! Input: addresses, sizes and strides in elements. Output: `out = lhs · rhs`, or `out += lhs · rhs`. Invariant: every
//! element's additions happen in an order given by sizes and strides alone, so the number of threads changes time only.

use super::crew::Span;
use super::soon::Stretch;
use crate::schedule::scattered::Scattered;
use gemm::Parallelism;

/// Multiply-adds from which a product is shared among threads: below, waking them costs more than they save.
const SHARED_FROM: usize = 1 << 22;

/// One product, or `batch` of them: `out[b, i, j] = Σ_k lhs[b, i, k] · rhs[b, k, j]`. Strides are in elements.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Shape {
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Strides of the batch, the row and the column.
    pub out: [isize; 3],
    pub lhs: [isize; 3],
    pub rhs: [isize; 3],
    /// Whether `out` is added to rather than overwritten.
    pub accumulate: usize,
    /// How many threads may share a large product.
    pub threads: usize,
    /// Who multiplies: [`LIBRARY`], or the emitted kernels of a width.
    pub emitter: usize,
    /// The numbers of the rows of an operand that lie apart, its row stride from one number to the next; null if none do. Only
    /// emitted kernels take them.
    pub rows: usize,
    /// Which operand that is: 0 the left one, its rows along `m`; 1 the left one, along `k`; 2 the right one, along `k`.
    pub scattered: usize,
}

/// What is known of the work around some rows of a product; none of it changes what is computed.
#[derive(Clone, Copy, Default)]
pub struct Hints<'a> {
    /// What is read right after it.
    pub soon: &'a [Stretch],
    /// The number of the stage, in which the right operand stays as it is for other rows; 0 if there are no others.
    pub stage: u64,
}

impl Shape {
    /// The numbers of the rows of an operand, if they are looked up.
    pub fn looks_up(&self, operand: Scattered) -> Option<*const u32> {
        (self.rows != 0 && self.scattered == operand as usize).then_some(self.rows as *const u32)
    }
}

/// Values of [`Shape::emitter`].
pub const LIBRARY: usize = 0;
#[cfg(target_arch = "x86_64")]
const AVX2: usize = 1;
#[cfg(target_arch = "x86_64")]
const AVX512: usize = 2;

/// Who multiplies matrices with these vectors.
pub fn emitter(cpu: super::Cpu) -> usize {
    match cpu {
        #[cfg(target_arch = "x86_64")]
        super::Cpu::Avx2 => AVX2,
        #[cfg(target_arch = "x86_64")]
        super::Cpu::Avx512 => AVX512,
        _ => LIBRARY,
    }
}

/// Rows that a micro-kernel computes at once: tiles of rows lose least where they are cut between those.
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
pub fn rows_at_once(cpu: super::Cpu) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = cpu.simd() {
        return super::wide::product::rows_at_once(simd);
    }
    1
}

/// A product by the library.
///
/// # Safety
/// Every element that `shape` reaches from `out`, `lhs` and `rhs` must be in memory that may be accessed, and those of
/// `out` must be apart from each other and from the operands'.
unsafe fn by_library<T: Copy + 'static>(shape: &Shape, out: *mut T, lhs: *const T, rhs: *const T, zero: T, one: T) {
    let work = shape.m.saturating_mul(shape.n).saturating_mul(shape.k);
    let shared = shape.threads > 1 && work >= SHARED_FROM;
    let parallelism = if shared { Parallelism::Rayon(shape.threads) } else { Parallelism::None };
    let accumulate = shape.accumulate != 0;
    for b in 0..shape.batch as isize {
        let at = |strides: &[isize; 3]| b * strides[0];
        // SAFETY: what the caller guarantees is what `gemm` asks for; the offsets stay within what `shape` reaches.
        unsafe {
            gemm::gemm(
                shape.m,
                shape.n,
                shape.k,
                out.offset(at(&shape.out)),
                shape.out[2],
                shape.out[1],
                accumulate,
                lhs.offset(at(&shape.lhs)),
                shape.lhs[2],
                shape.lhs[1],
                rhs.offset(at(&shape.rhs)),
                shape.rhs[2],
                shape.rhs[1],
                if accumulate { one } else { zero },
                one,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

/// A float that matrices are of.
#[cfg(target_arch = "x86_64")]
trait Float: super::wide::element::Element + From<f32> {}
#[cfg(not(target_arch = "x86_64"))]
trait Float: Copy + From<f32> + 'static {}

impl Float for f32 {}
impl Float for f64 {}

/// A product by whom the shape says, or the part of a whole one that a shape describes: its order of additions is the whole's.
///
/// # Safety
/// As for `by_library`; the CPU must have the vectors of the emitter that the shape names.
unsafe fn product<T: Float>(whole: &Shape, shape: &Shape, out: *mut T, lhs: *const T, rhs: *const T, hints: Hints<'_>) {
    #[cfg(target_arch = "x86_64")]
    {
        use super::wide::{Simd, product};
        let simd = match shape.emitter {
            AVX512 => Some(Simd::Avx512),
            AVX2 => Some(Simd::Avx2),
            _ => None,
        };
        // A shape whose result has gaps between columns stays with the library.
        if let Some(simd) = simd.filter(|_| shape.out[2] == 1) {
            // SAFETY: passed on from the caller.
            return unsafe { product::product(simd, shape, product::is_of_dots::<T>(whole), out, lhs, rhs, hints) };
        }
    }
    // SAFETY: passed on from the caller.
    unsafe { by_library(shape, out, lhs, rhs, 0.0.into(), 1.0.into()) }
}

/// Some rows and columns of a product, on this thread.
///
/// # Safety
/// As for `product`; the span must be within the rows and begin within the columns, and there must be as many stretches as
/// it says.
unsafe fn part<T: Float>(shape: &Shape, out: *mut T, lhs: *const T, rhs: *const T, span: &Span) {
    let (rows, columns) = (span.end - span.start, span.last.min(shape.n as u64) - span.first);
    let mut some = Shape { m: rows as usize, n: columns as usize, threads: 1, ..*shape };
    let (row, column) = (span.start as isize, span.first as isize);
    // SAFETY: the caller vouches for the shape and the span, whose elements are within what the shape reaches.
    unsafe {
        let out = out.offset(row * shape.out[1] + column * shape.out[2]);
        let lhs = match shape.looks_up(Scattered::LeftRows) {
            Some(numbers) => {
                some.rows = numbers.add(span.start as usize) as usize;
                lhs
            }
            None => lhs.offset(row * shape.lhs[1]),
        };
        let soon = match span.soons {
            0 => &[],
            soons => std::slice::from_raw_parts(span.soon, soons),
        };
        product(shape, &some, out, lhs, rhs.offset(column * shape.rhs[2]), Hints { soon, stage: span.stage })
    }
}

/// The product of `f32` matrices.
///
/// # Safety
/// `shape` must be valid; for the rest see `by_library`: every element reached must be accessible, and `out` apart from the
/// operands.
pub(super) unsafe extern "C" fn product_f32(shape: *const Shape, out: *mut f32, lhs: *const f32, rhs: *const f32) {
    // SAFETY: passed on from the caller.
    unsafe { product(&*shape, &*shape, out, lhs, rhs, Hints::default()) }
}

/// The product of `f64` matrices.
///
/// # Safety
/// As for [`product_f32`].
pub(super) unsafe extern "C" fn product_f64(shape: *const Shape, out: *mut f64, lhs: *const f64, rhs: *const f64) {
    // SAFETY: passed on from the caller.
    unsafe { product(&*shape, &*shape, out, lhs, rhs, Hints::default()) }
}

/// Some rows and columns of the product of `f32` matrices, on this thread.
///
/// # Safety
/// As for [`product_f32`]; the span must be within the rows and begin within the columns.
pub(super) unsafe extern "C" fn span_f32(
    shape: *const Shape,
    out: *mut f32,
    lhs: *const f32,
    rhs: *const f32,
    span: *const Span,
) {
    // SAFETY: passed on from the caller.
    unsafe { part(&*shape, out, lhs, rhs, &*span) }
}

/// Some rows and columns of the product of `f64` matrices, on this thread.
///
/// # Safety
/// As for [`span_f32`].
pub(super) unsafe extern "C" fn span_f64(
    shape: *const Shape,
    out: *mut f64,
    lhs: *const f64,
    rhs: *const f64,
    span: *const Span,
) {
    // SAFETY: passed on from the caller.
    unsafe { part(&*shape, out, lhs, rhs, &*span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(len: usize, seed: u32) -> Vec<f32> {
        let mut x = seed;
        let next = || {
            x = x.wrapping_mul(1664525).wrapping_add(1013904223);
            (x >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        std::iter::repeat_with(next).take(len).collect()
    }

    fn row_major(shape: [usize; 3]) -> Shape {
        let [m, n, k] = shape;
        let strides = |rows: usize, columns: usize| [(rows * columns) as isize, columns as isize, 1];
        Shape {
            batch: 1,
            m,
            n,
            k,
            out: strides(m, n),
            lhs: strides(m, k),
            rhs: strides(k, n),
            accumulate: 0,
            threads: 1,
            emitter: LIBRARY,
            rows: 0,
            scattered: 0,
        }
    }

    fn run(shape: &Shape, out: &mut [f32], lhs: &[f32], rhs: &[f32]) {
        // SAFETY: the tests give as many elements as the shapes reach.
        unsafe { product_f32(shape, out.as_mut_ptr(), lhs.as_ptr(), rhs.as_ptr()) }
    }

    #[test]
    fn threads_do_not_change_bits() {
        for dims in [[512, 512, 512], [2049, 130, 67], [100, 4096, 33], [1, 4097, 2048], [3000, 1, 2000]] {
            let [m, n, k] = dims;
            let (lhs, rhs) = (matrix(m * k, 1), matrix(k * n, 2));
            let mut shape = row_major(dims);
            let mut one = vec![0.0; m * n];
            run(&shape, &mut one, &lhs, &rhs);
            for threads in [2, 3, 8] {
                shape.threads = threads;
                let mut many = vec![0.0; m * n];
                run(&shape, &mut many, &lhs, &rhs);
                assert!(
                    one.iter().zip(&many).all(|(a, b)| a.to_bits() == b.to_bits()),
                    "{dims:?} on {threads} threads"
                );
            }
        }
    }

    #[test]
    fn products_of_every_stride_agree_with_the_definition() {
        for dims in [[0, 3, 4], [1, 1, 1], [3, 5, 0], [5, 7, 9], [17, 33, 65], [1, 64, 9], [64, 1, 9], [8, 8, 1]] {
            let [m, n, k] = dims;
            for transposed in 0..8 {
                for accumulate in [0, 1] {
                    let (lhs, rhs) = (matrix(2 * m * k, 3), matrix(2 * k * n, 4));
                    let mut shape = Shape { batch: 2, accumulate, ..row_major(dims) };
                    for (bit, strides, rows) in [(1, &mut shape.lhs, m), (2, &mut shape.rhs, k), (4, &mut shape.out, m)]
                    {
                        if transposed & bit != 0 {
                            *strides = [strides[0], 1, rows as isize];
                        }
                    }
                    let mut out = matrix(2 * m * n, 5);
                    let before = out.clone();
                    run(&shape, &mut out, &lhs, &rhs);
                    for (b, i, j) in (0..2).flat_map(|b| (0..m).flat_map(move |i| (0..n).map(move |j| (b, i, j)))) {
                        let at = |s: &[isize; 3], r: usize, c: usize| {
                            b * s[0] as usize + r * s[1] as usize + c * s[2] as usize
                        };
                        let sum: f64 = (0..k)
                            .map(|l| f64::from(lhs[at(&shape.lhs, i, l)]) * f64::from(rhs[at(&shape.rhs, l, j)]))
                            .sum();
                        let place = at(&shape.out, i, j);
                        let expected = sum + if accumulate == 1 { f64::from(before[place]) } else { 0.0 };
                        assert!((f64::from(out[place]) - expected).abs() < 1e-4, "{shape:?}");
                    }
                }
            }
        }
    }
}
