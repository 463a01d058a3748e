//! Products of a matrix and a vector both of which lie along `k`: a dot product for every row of the matrix.
//!
//! Input: a shape of one column, or of one row. Output: whether it is such a product, and its rows. Invariant: position `l` of
//! `k` goes to lane `l` modulo the lanes of 64 bytes, each lane a chain of fused multiply-adds in ascending order, and lanes are
//! combined by halves: the bits depend on `k` alone. Only elements of the operands are read.

use super::element::Element;
use crate::codegen::product::Shape;
use crate::codegen::team;
use crate::schedule::scattered::Scattered;
use std::ops::Range;

/// Bytes of the lanes: two vectors of 256 bits.
pub const LANES: usize = 64;
/// Times that the lanes go into `k` at least: shorter rows are faster side by side.
const FROM: usize = 2;
/// Rows that go on side by side, each with two chains of vectors: as many as are in flight at once.
const ROWS: usize = 4;

/// Whether a product is one of dot products.
pub fn are_less<T: Element>(shape: &Shape) -> bool {
    let along = shape.lhs[2] == 1 && shape.rhs[1] == 1;
    along && (shape.n == 1 || shape.m == 1) && shape.k * T::BYTES >= FROM * LANES
}

/// The rows of one product.
pub struct Dots<T> {
    /// Its rows lie along `k`, so many elements apart, or where the numbers say.
    matrix: *const T,
    row: isize,
    numbers: Option<*const u32>,
    vector: *const T,
    /// The numbers of its elements, where they are looked up.
    places: Option<*const u32>,
    out: *mut T,
    step: isize,
    rows: usize,
    k: usize,
    accumulate: bool,
}

// SAFETY: threads write disjoint rows and only read the rest.
unsafe impl<T: Element> Sync for Dots<T> {}

impl<T: Element> Dots<T> {
    /// Those of a shape that [`are_less`] names, from the first elements on.
    ///
    /// # Safety
    /// Where rows are looked up, there must be their numbers.
    pub unsafe fn new(shape: &Shape, out: *mut T, lhs: *const T, rhs: *const T) -> Dots<T> {
        let (k, accumulate) = (shape.k, shape.accumulate != 0);
        let [left_rows, left_columns, right] =
            [Scattered::LeftRows, Scattered::LeftColumns, Scattered::Right].map(|operand| shape.looks_up(operand));
        if shape.n == 1 && left_columns.is_none() {
            let (row, step, rows) = (shape.lhs[1], shape.out[1], shape.m);
            let (numbers, places) = (left_rows, right);
            return Dots { matrix: lhs, row, numbers, vector: rhs, places, out, step, rows, k, accumulate };
        }
        // SAFETY: the left operand has one row, whose number there is.
        let start = left_rows.map_or(0, |numbers| unsafe { *numbers } as isize * shape.lhs[1]);
        let (row, step, rows) = (shape.rhs[2], shape.out[2], shape.n);
        let (vector, places) = (lhs.wrapping_offset(start), left_columns);
        Dots { matrix: rhs, row, numbers: None, vector, places, out, step, rows, k, accumulate }
    }

    /// Computes all rows.
    ///
    /// # Safety
    /// What the shape reaches must be accessible, `out` apart from the operands, and the CPU must have AVX2 and FMA.
    pub unsafe fn run(&self, threads: usize) {
        let blocks = self.rows.div_ceil(ROWS);
        let parts = if threads > 1 { blocks.min(2 * threads) } else { 1 };
        let cut = |part: usize| (blocks * part / parts * ROWS).min(self.rows);
        if parts <= 1 {
            // SAFETY: passed on.
            return unsafe { self.some(0..self.rows) };
        }
        // SAFETY: passed on; parts are disjoint.
        team::run(threads, parts, &|part| unsafe { self.some(cut(part)..cut(part + 1)) });
    }

    /// # Safety
    /// As for [`Dots::run`]; the rows are within the matrix.
    unsafe fn some(&self, rows: Range<usize>) {
        let mut row = rows.start;
        while row < rows.end {
            // SAFETY: passed on.
            unsafe {
                match rows.end - row {
                    1 => self.several::<1>(row),
                    2 => self.several::<2>(row),
                    3 => self.several::<3>(row),
                    _ => self.several::<ROWS>(row),
                }
            }
            row += ROWS;
        }
    }

    /// So many rows side by side.
    ///
    /// # Safety
    /// As for [`Dots::some`].
    unsafe fn several<const R: usize>(&self, first: usize) {
        // SAFETY: the rows are within the matrix, and so are the numbers; the caller vouches for the CPU.
        unsafe {
            let starts = std::array::from_fn(|k| {
                let row = self.numbers.map_or(first + k, |numbers| *numbers.add(first + k) as usize);
                self.matrix.offset(row as isize * self.row)
            });
            let sums: [T; R] = match self.places {
                Some(places) => starts.map(|start| by_elements(start, self.vector, places, self.k)),
                None => dots(starts, self.vector, self.k),
            };
            for (k, sum) in sums.into_iter().enumerate() {
                let to = self.out.offset((first + k) as isize * self.step);
                *to = if self.accumulate { *to + sum } else { sum };
            }
        }
    }
}

/// The most lanes.
const MOST: usize = LANES / 4;

/// Combines the lanes by halves.
fn tree<T: Element>(mut chains: [T; MOST]) -> T {
    let mut width = LANES / T::BYTES / 2;
    while width > 0 {
        for l in 0..width {
            chains[l] = chains[l] + chains[l + width];
        }
        width /= 2;
    }
    chains[0]
}

/// The dot product of a row with a vector whose elements are looked up.
///
/// # Safety
/// There must be `k` elements in the row, `k` numbers, and elements at these.
unsafe fn by_elements<T: Element>(start: *const T, vector: *const T, places: *const u32, k: usize) -> T {
    let mut chains = [T::default(); MOST];
    for l in 0..k {
        let chain = &mut chains[l % (LANES / T::BYTES)];
        // SAFETY: passed on.
        *chain = unsafe { chain.plus_product(*start.add(l), *vector.add(*places.add(l) as usize)) };
    }
    tree(chains)
}

/// Dot products of several rows with a vector.
///
/// # Safety
/// There must be `k` elements at each address, and the CPU must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn dots<T: Element, const R: usize>(starts: [*const T; R], vector: *const T, k: usize) -> [T; R] {
    let (half, lanes) = (T::BLOCK, 2 * T::BLOCK);
    // SAFETY: whole vectors end before `k`, and what is left is read element by element.
    unsafe {
        let mut sums = [[T::zeros(); 2]; R];
        let mut at = 0;
        while at + lanes <= k {
            let x = [T::load(vector.add(at)), T::load(vector.add(at + half))];
            for (start, sum) in starts.iter().zip(&mut sums) {
                sum[0] = T::multiply_add(T::load(start.add(at)), x[0], sum[0]);
                sum[1] = T::multiply_add(T::load(start.add(at + half)), x[1], sum[1]);
            }
            at += lanes;
        }
        let mut results = [T::default(); R];
        for ((start, sum), result) in starts.iter().zip(sums).zip(&mut results) {
            let mut chains = [T::default(); MOST];
            T::store(chains.as_mut_ptr(), sum[0]);
            T::store(chains.as_mut_ptr().add(half), sum[1]);
            for (l, chain) in (at..k).zip(&mut chains) {
                *chain = chain.plus_product(*start.add(l), *vector.add(l));
            }
            *result = tree(chains);
        }
        results
    }
}
