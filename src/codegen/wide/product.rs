//! Matrix products by micro-kernels: blocks for the caches, packing where it pays, and shares for the threads.
//!
//! Input: a [`Shape`] with addresses. Output: `out = lhs · rhs`, or added to it. Invariant: every element is summed over
//! `k` in pieces of [`DEPTH`] whose partial sums are added in order, each a chain of fused multiply-adds: its bits depend on
//! `k` alone, not on blocks, threads or the width of vectors, nor on whether `outᵀ = rhsᵀ · lhsᵀ` is computed instead.

use super::Simd;
use super::micro::{self, Block, MicroKernel};
use super::pack::{Matrix, pack};
use super::turn::{Tile, is_less};
use crate::codegen::CodegenError;
use crate::codegen::executable::{Executable, module};
use crate::codegen::product::Shape;
use crate::codegen::{target, team};
use cranelift_codegen::ir::{AbiParam, types};
use cranelift_module::{Linkage, Module};
use std::ops::Range;
use std::sync::OnceLock;

/// Positions of `k` summed in registers at a time: a panel of that many rows stays in the nearest cache.
const DEPTH: usize = 256;
/// Columns of the right operand packed at a time: with [`DEPTH`] rows they fill half of a small second-level cache.
const PACKED_COLUMNS: usize = 512;
/// Bytes of the right operand that rows of blocks go through at a time, where it is not packed: they stay in a second-level
/// cache, and every row of the left operand is read in long runs.
const RUN_BYTES: usize = 256 << 10;
/// Blocks of rows from which packing costs less than it saves.
const PACKED_FROM: usize = 8;
/// Floats from the first to the last row of a right operand beyond which it is not sure to stay in a second-level cache:
/// reading it once, in long runs, saves more.
const FAR: usize = 256 << 10;
/// Multiply-adds from which a product is shared among threads.
const SHARED_FROM: usize = 1 << 20;

/// The micro-kernels of one width: by rows, then by vectors.
pub struct Kernels {
    pub simd: Simd,
    pub rows: usize,
    vectors: usize,
    functions: Vec<MicroKernel>,
    /// Keeps the code alive.
    _code: Executable,
}

// SAFETY: the code is immutable once made, and functions may run on any thread.
unsafe impl Send for Kernels {}
// SAFETY: as above.
unsafe impl Sync for Kernels {}

/// Makes everything that products with these vectors on so many threads need.
pub fn prepare(simd: Simd, threads: usize) -> Result<(), CodegenError> {
    kernels(simd)?;
    team::prepare(threads);
    Ok(())
}

/// The micro-kernels of a width, made on first use.
pub fn kernels(simd: Simd) -> Result<&'static Kernels, CodegenError> {
    static WIDE: OnceLock<Result<Kernels, CodegenError>> = OnceLock::new();
    static NARROW: OnceLock<Result<Kernels, CodegenError>> = OnceLock::new();
    let made = match simd {
        Simd::Avx512 => WIDE.get_or_init(|| Kernels::new(Simd::Avx512)),
        Simd::Avx2 => NARROW.get_or_init(|| Kernels::new(Simd::Avx2)),
    };
    made.as_ref().map_err(Clone::clone)
}

impl Kernels {
    fn new(simd: Simd) -> Result<Kernels, CodegenError> {
        let mut module = module(target::native(false)?, &[])?;
        let mut signature = module.make_signature();
        signature.params.push(AbiParam::new(types::I64));
        let (rows, vectors) = micro::largest(simd);
        let mut ids = Vec::new();
        for row in 1..=rows {
            for vector in 1..=vectors {
                let name = format!("micro_{row}_{vector}");
                let id = module.declare_function(&name, Linkage::Local, &signature);
                let id = id.map_err(|e| CodegenError::internal(&e))?;
                let code = micro::emit(simd, row, vector).map_err(|e| CodegenError::internal(&e))?;
                module.define_function_bytes(id, 64, &code, &[]).map_err(|e| CodegenError::internal(&e))?;
                ids.push(id);
            }
        }
        let code = Executable::new(module)?;
        let function = |id| {
            // SAFETY: `emit` gives functions of this type.
            unsafe { std::mem::transmute::<*const u8, MicroKernel>(code.address(id)) }
        };
        let functions = ids.into_iter().map(function).collect();
        Ok(Kernels { simd, rows, vectors, functions, _code: code })
    }

    fn get(&self, rows: usize, vectors: usize) -> MicroKernel {
        self.functions[(rows - 1) * self.vectors + vectors - 1]
    }

    /// Columns of a panel.
    fn width(&self) -> usize {
        self.vectors * self.simd.lanes()
    }
}

/// -1 for the first 8 words, then 0: eight words from `8 - n` are a mask of the first `n`.
static MASK_WORDS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

const _: () = assert!(team::WORKSPACE >= DEPTH * (PACKED_COLUMNS + 32), "a piece of all panels fits the workspace");

/// One product with its operands.
struct Job<'a> {
    kernels: &'a Kernels,
    shape: &'a Shape,
    out: *mut f32,
    lhs: *const f32,
    rhs: *const f32,
}

// SAFETY: shares of a job write disjoint parts of `out` and only read the rest.
unsafe impl Sync for Job<'_> {}

/// The product of one shape, batches included.
///
/// # Safety
/// Every element that the shape reaches must be in memory that may be accessed, and those of `out` apart from each other
/// and from the operands'; the columns of `out` must lie side by side.
pub unsafe fn product(kernels: &Kernels, shape: &Shape, out: *mut f32, lhs: *const f32, rhs: *const f32) {
    if shape.m == 0 || shape.n == 0 {
        return;
    }
    let turned = is_less(kernels, shape);
    let other = turn(shape);
    let (shape, lhs, rhs) = if turned { (&other, rhs, lhs) } else { (shape, lhs, rhs) };
    let work = shape.m.saturating_mul(shape.n).saturating_mul(shape.k);
    let threads = if work < SHARED_FROM { 1 } else { shape.threads };
    for batch in 0..shape.batch as isize {
        // SAFETY: the offsets stay within what the shape reaches.
        let job = unsafe {
            Job {
                kernels,
                shape,
                out: out.offset(batch * shape.out[0]),
                lhs: lhs.offset(batch * shape.lhs[0]),
                rhs: rhs.offset(batch * shape.rhs[0]),
            }
        };
        job.share(threads);
    }
}

/// The transposed product: rows are columns, and left is right.
fn turn(shape: &Shape) -> Shape {
    let turned = |s: &[isize; 3]| [s[0], s[2], s[1]];
    let (out, lhs, rhs) = (turned(&shape.out), turned(&shape.rhs), turned(&shape.lhs));
    Shape { m: shape.n, n: shape.m, out, lhs, rhs, ..*shape }
}

impl Job<'_> {
    /// Cuts the product into shares of whole panels or of whole blocks of rows.
    fn share(&self, threads: usize) {
        let (m, n) = (self.shape.m, self.shape.n);
        let (panels, blocks) = (n.div_ceil(self.kernels.width()), m.div_ceil(self.kernels.rows));
        if threads <= 1 {
            // SAFETY: the whole product, on this thread.
            return unsafe { self.part(0..m, 0..n) };
        }
        let by_columns = panels >= 2 * threads || panels >= blocks;
        let (units, unit, total) =
            if by_columns { (panels, self.kernels.width(), n) } else { (blocks, self.kernels.rows, m) };
        let parts = units.min(threads * if self.packs(m) && !by_columns { 1 } else { 2 });
        team::run(threads, parts, &|part| {
            let cut = |k: usize| (units * k / parts * unit).min(total);
            let share = cut(part)..cut(part + 1);
            // SAFETY: shares are disjoint and within the product.
            unsafe { if by_columns { self.part(0..m, share) } else { self.part(share, 0..n) } }
        });
    }

    /// Whether the right operand is packed for this many rows: where its columns do not lie side by side, and where
    /// enough rows use it again.
    fn packs(&self, rows: usize) -> bool {
        let blocks = rows / self.kernels.rows;
        let from = match self.shape.k.saturating_mul(self.shape.rhs[1].unsigned_abs()) {
            floats if floats > 2 * FAR => 0,
            floats if floats > FAR => PACKED_FROM / 2,
            _ => PACKED_FROM,
        };
        self.shape.rhs[2] != 1 && self.shape.n > 1 || blocks >= from && self.shape.n > self.kernels.width()
    }

    /// # Safety
    /// Rows and columns are within the product, and no other thread writes these elements of `out`.
    unsafe fn part(&self, rows: Range<usize>, columns: Range<usize>) {
        let (k, width) = (self.shape.k, self.kernels.width());
        let packs = self.packs(rows.len());
        for start in columns.clone().step_by(PACKED_COLUMNS) {
            let columns = start..columns.end.min(start + PACKED_COLUMNS);
            let run = if packs { DEPTH } else { (RUN_BYTES / (4 * columns.len()) / DEPTH).max(1) * DEPTH };
            let mut at = 0;
            loop {
                let depth = at..k.min(at + run);
                // SAFETY: the elements are within the operand.
                let right = unsafe {
                    let start =
                        self.rhs.offset(at as isize * self.shape.rhs[1] + columns.start as isize * self.shape.rhs[2]);
                    Matrix { start, row: self.shape.rhs[1], column: self.shape.rhs[2] }
                };
                if packs {
                    team::with_workspace(|buffer| {
                        // SAFETY: the buffer holds `DEPTH` rows of all panels of so many columns.
                        unsafe { pack(right, depth.len(), columns.len(), width, buffer.as_mut_ptr()) };
                        let panel = |number: usize| (buffer[number * depth.len() * width..].as_ptr(), width as isize);
                        // SAFETY: passed on.
                        unsafe { self.panels(&rows, &columns, &depth, &panel) }
                    });
                } else {
                    // SAFETY: panel starts are elements of the operand.
                    let panel = |number: usize| (unsafe { right.start.add(number * width) }, right.row);
                    // SAFETY: passed on.
                    unsafe { self.panels(&rows, &columns, &depth, &panel) }
                }
                at = depth.end;
                if at >= k {
                    break;
                }
            }
        }
    }

    /// All blocks of these rows and columns, for some positions of `k`.
    ///
    /// # Safety
    /// As for `part`; `panel` gives the address and the row stride of each panel of the right operand.
    unsafe fn panels(
        &self,
        rows: &Range<usize>,
        columns: &Range<usize>,
        depth: &Range<usize>,
        panel: &dyn Fn(usize) -> (*const f32, isize),
    ) {
        let (width, lanes) = (self.kernels.width(), self.kernels.simd.lanes());
        let (lhs, out) = (&self.shape.lhs, &self.shape.out);
        // Where columns of `out` do not lie side by side, a block goes through a tile.
        let mut tile = (out[2] != 1).then(Tile::new);
        for (number, column) in columns.clone().step_by(width).enumerate() {
            let here = width.min(columns.end - column);
            let vectors = here.div_ceil(lanes);
            let last = here - (vectors - 1) * lanes;
            let (rhs, rhs_row) = panel(number);
            // Blocks of rows as equal as can be.
            let blocks = rows.len().div_ceil(self.kernels.rows);
            for block in 0..blocks {
                let cut = |b: usize| rows.start + rows.len() * b / blocks;
                let (row, end) = (cut(block), cut(block + 1));
                // SAFETY: the first element of the block is within the matrix.
                let place = unsafe { self.out.offset(row as isize * out[1] + column as isize * out[2]) };
                let mut at = depth.start;
                loop {
                    let piece = DEPTH.min(depth.end - at);
                    let adds = at > 0 || self.shape.accumulate != 0;
                    let (to, to_row, accumulate) = match &mut tile {
                        Some(tile) => (tile.start(), Tile::ROW as isize, false),
                        None => (place, out[1], adds),
                    };
                    // SAFETY: the first element of the block and of its operands are within the matrices, and the
                    // micro-kernel reaches no others than those of the block, which a tile has room for; the mask words
                    // cover every count of columns.
                    unsafe {
                        let call = Block {
                            lhs: self.lhs.offset(row as isize * lhs[1] + at as isize * lhs[2]).cast(),
                            lhs_row: lhs[1] * 4,
                            lhs_column: lhs[2] * 4,
                            rhs: rhs.offset((at - depth.start) as isize * rhs_row).cast(),
                            rhs_row: rhs_row * 4,
                            out: to.cast(),
                            out_row: to_row * 4,
                            k: piece,
                            accumulate: usize::from(accumulate),
                            mask: (1 << last) - 1,
                            mask_words: MASK_WORDS.as_ptr().add(8 - last.min(8)),
                        };
                        self.kernels.get(end - row, vectors)(&call);
                    }
                    at += piece;
                    if let Some(tile) = &mut tile {
                        // SAFETY: the block is within `out`, whose rows lie side by side.
                        unsafe { tile.put(end - row, here, place, out[2], adds) };
                    }
                    if at >= depth.end {
                        break;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
