//! Products computed as their transpose: `outᵀ = rhsᵀ · lhsᵀ`.
//!
//! Input: a shape. Output: whether the transpose costs less, and the way of its blocks into `out`. It does where the result has
//! fewer columns than a vector has lanes, or where the right operand would have to be transposed and the left one is smaller.

use super::Simd;
use super::element::Element;
use super::product::Kernels;
use crate::codegen::product::Shape;
use std::marker::PhantomData;

/// Cycles an element takes that is moved to the place of its transpose.
const MOVED: f64 = 0.8;
/// Cycles a micro-kernel takes besides its arithmetic.
const CALL: f64 = 40.0;

/// Cycles of `m` rows by `n` columns, by counting: what is multiplied, what is packed, and what goes through tiles.
fn effort(kernels: &Kernels, [m, n, k]: [usize; 3], packs: bool, tiles: bool) -> f64 {
    let lanes = kernels.lanes();
    let blocks = m.div_ceil(kernels.rows).max(1);
    let rows = m.div_ceil(blocks) as f64;
    // Two multiply-adds a cycle, each of which the next one of its chain waits for four.
    let panel = |vectors: f64| (rows * vectors / 2.0).max((rows + vectors) / 2.0).max(4.0) * k as f64 + CALL;
    let vectors = n.div_ceil(lanes);
    let panels = (vectors / 2) as f64 * panel(2.0) + (vectors % 2) as f64 * panel(1.0);
    let packed = if packs && n > 1 { MOVED * (n * k) as f64 } else { 0.0 };
    let tiled = if tiles { MOVED * (m * n) as f64 } else { 0.0 };
    blocks as f64 * panels + packed + tiled
}

/// Whether the transpose of a product costs less.
pub fn is_less(kernels: &Kernels, shape: &Shape) -> bool {
    let plain = effort(kernels, [shape.m, shape.n, shape.k], shape.rhs[2] != 1, false);
    let turned = effort(kernels, [shape.n, shape.m, shape.k], shape.lhs[1] != 1, true);
    shape.out[2] == 1 && turned < 0.9 * plain
}

const ROWS: usize = 14;

/// Bytes of a row of a tile.
const ROW: usize = 128;

/// A block of a result, on its way to the place of its transpose.
#[repr(C, align(64))]
pub struct Tile<T> {
    bytes: [u8; ROWS * ROW],
    elements: PhantomData<T>,
}

impl<T: Element> Tile<T> {
    /// Elements of a row.
    pub const ROW: usize = ROW / T::BYTES;

    pub fn new() -> Tile<T> {
        Tile { bytes: [0; ROWS * ROW], elements: PhantomData }
    }

    pub fn start(&mut self) -> *mut T {
        self.bytes.as_mut_ptr().cast()
    }

    /// Writes, or adds, `rows` by `columns` to where rows lie side by side and columns `column` elements apart.
    ///
    /// # Safety
    /// These elements must be accessible, and the CPU must have AVX2.
    pub unsafe fn put(&self, rows: usize, columns: usize, to: *mut T, column: isize, adds: bool) {
        let size = T::BLOCK;
        let whole = |n: usize| if adds || n < size { n / size * size } else { n };
        let (whole_rows, whole_columns) = (whole(rows), whole(columns));
        // Square blocks; the last ones overlap those before where elements are replaced.
        let starts = |n: usize| (0..n.div_ceil(size)).map(move |k| (k * size).min(n - size));
        let start: *const T = self.bytes.as_ptr().cast();
        for c in starts(whole_columns) {
            for r in starts(whole_rows) {
                // SAFETY: the block is within the tile and within the result.
                unsafe {
                    let from = start.add(r * Self::ROW + c);
                    let to = to.offset(c as isize * column).add(r);
                    if !adds {
                        T::transpose(from, Self::ROW as isize, to, column as usize);
                        continue;
                    }
                    let mut block = [T::default(); MOST];
                    T::transpose(from, Self::ROW as isize, block.as_mut_ptr(), size);
                    for (k, row) in block.chunks_exact(size).take(size).enumerate() {
                        let to = std::slice::from_raw_parts_mut(to.offset(k as isize * column), size);
                        to.iter_mut().zip(row).for_each(|(to, add)| *to = *to + *add);
                    }
                }
            }
        }
        for c in 0..columns {
            let from = if c < whole_columns { whole_rows } else { 0 };
            for r in from..rows {
                // SAFETY: the element is within the tile and its place within the result.
                unsafe {
                    let (value, to) = (*start.add(r * Self::ROW + c), to.offset(c as isize * column).add(r));
                    *to = if adds { *to + value } else { value };
                }
            }
        }
    }
}

/// The most elements of a block.
const MOST: usize = 64;

const _: () = assert!(ROWS >= super::micro::largest(Simd::Avx512).0 && ROWS >= super::micro::largest(Simd::Avx2).0);
