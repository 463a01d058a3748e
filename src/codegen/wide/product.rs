//! Matrix products by micro-kernels: blocks for the caches, packing where it pays, and shares for the threads.
//!
//! Input: a [`Shape`] with addresses. Output: `out = lhs · rhs`, or added to it. Invariant: every element is summed over
//! `k` in equal pieces of at most [`DEPTH`] whose partial sums are added in order, each a chain of fused multiply-adds: its
//! bits depend on `k` alone, but for dot products (`dots`), not on blocks, threads or the width of vectors, nor on whether
//! `outᵀ = rhsᵀ · lhsᵀ` is computed instead.

use super::Simd;
use super::dots::{self, Dots};
use super::element::{Element, LINE};
use super::kept::Panels;
use super::micro::{self, Block, Form, Left, MOST_APART, MicroKernel};
use super::pack::{Matrix, pack};
use super::turn::{Tile, is_less};
use crate::codegen::CodegenError;
use crate::codegen::executable::{Executable, module};
use crate::codegen::product::{Hints, Shape};
use crate::codegen::soon::Soon;
use crate::codegen::{target, team};
use crate::scalar::Width;
use crate::schedule::scattered::Scattered;
use cranelift_codegen::ir::{AbiParam, types};
use cranelift_module::{Linkage, Module};
use std::ops::Range;
use std::sync::OnceLock;

/// The most positions of `k` summed in registers at a time: a panel of that many rows stays in the nearest cache.
const DEPTH: usize = 320;
/// Bytes of the left operand that panels go over one after the other: they stay in a second-level cache.
const NEAR: usize = 768 << 10;
/// Bytes of a panel that is not packed, which every block of rows reads: they stay in a second-level cache.
const RUN: usize = 256 << 10;
/// Blocks of rows beyond which packing costs less than it saves.
const PACKED_FROM: usize = 2;
/// Bytes from the first to the last row of a right operand so near that packing costs more than it saves.
const SMALL: usize = 64 << 10;
/// Bytes of a right operand that stays in the nearest cache as a whole.
const NEAREST: usize = 32 << 10;
/// Multiply-adds from which a product is shared among threads.
const SHARED_FROM: usize = 1 << 20;

/// The micro-kernels of one width of vectors and of elements, each made when it is first needed.
pub struct Kernels {
    pub simd: Simd,
    pub width: Width,
    pub rows: usize,
    vectors: usize,
    /// By how the left operand lies, by rows, by vectors, by whether the right operand is looked up,
    /// by whether it ends, and by lines.
    functions: Vec<OnceLock<Option<Made>>>,
}

/// The most rows for which a panel is wider than others, and the most vectors of such a panel.
const FEW_ROWS: usize = 3;
const MOST_VECTORS: usize = 8;
/// Micro-kernels of a number of rows and of vectors.
const KINDS: usize = 4 * 2 * 2 * 3;

/// Vectors of a panel for so few rows: as many as their accumulators leave registers for, since a multiply-add waits for the
/// one before it, and more of a row of the right operand is read in one piece.
fn vectors_for(simd: Simd, rows: usize) -> usize {
    match (simd, rows) {
        (Simd::Avx512, 0..=1) => MOST_VECTORS,
        (Simd::Avx512, 2) | (Simd::Avx2, 0..=1) => 6,
        (Simd::Avx512, _) | (Simd::Avx2, 2) => 4,
        (Simd::Avx2, _) => 3,
    }
}

/// A micro-kernel and what keeps its code alive.
struct Made {
    function: MicroKernel,
    _code: Executable,
}

// SAFETY: the code is immutable once made, and functions may run on any thread.
unsafe impl Send for Made {}
// SAFETY: as above.
unsafe impl Sync for Made {}

/// Rows of the largest block of a micro-kernel.
pub fn rows_at_once(simd: Simd) -> u64 {
    micro::largest(simd).0 as u64
}

/// The micro-kernels of these widths of vectors and of elements.
pub fn kernels(simd: Simd, width: Width) -> &'static Kernels {
    static ALL: [OnceLock<Kernels>; 4] = [const { OnceLock::new() }; 4];
    let number = 2 * usize::from(simd == Simd::Avx512) + usize::from(width == Width::Double);
    ALL[number].get_or_init(|| Kernels::new(simd, width))
}

impl Made {
    fn new(simd: Simd, width: Width, form: Form) -> Result<Made, CodegenError> {
        let mut module = module(target::native(false)?, &[])?;
        let mut signature = module.make_signature();
        signature.params.push(AbiParam::new(types::I64));
        let id = module.declare_function("micro", Linkage::Local, &signature);
        let id = id.map_err(|e| CodegenError::internal(&e))?;
        let code = micro::emit(simd, width, form).map_err(|e| CodegenError::internal(&e))?;
        module.define_function_bytes(id, 64, &code, &[]).map_err(|e| CodegenError::internal(&e))?;
        let code = Executable::new(module)?;
        // SAFETY: `emit` gives functions of this type.
        let function = unsafe { std::mem::transmute::<*const u8, MicroKernel>(code.address(id)) };
        Ok(Made { function, _code: code })
    }
}

impl Kernels {
    fn new(simd: Simd, width: Width) -> Kernels {
        let (rows, vectors) = micro::largest(simd);
        let kinds = rows * vectors + FEW_ROWS * MOST_VECTORS;
        let functions = (0..KINDS * kinds).map(|_| OnceLock::new()).collect();
        Kernels { simd, width, rows, vectors, functions }
    }

    /// Elements of a vector.
    pub fn lanes(&self) -> usize {
        self.simd.lanes(self.width)
    }

    /// The micro-kernel of a form; none if the system gives no memory for it.
    fn get(&self, form: Form) -> Option<MicroKernel> {
        let size = match form.vectors > self.vectors {
            true => self.rows * self.vectors + (form.rows - 1) * MOST_VECTORS + form.vectors - 1,
            false => (form.rows - 1) * self.vectors + form.vectors - 1,
        };
        let number = 2 * form.left as usize + usize::from(form.looks_up);
        let number = 3 * (2 * number + usize::from(form.ends)) + form.lines;
        let slot = &self.functions[KINDS * size + number];
        slot.get_or_init(|| Made::new(self.simd, self.width, form).ok()).as_ref().map(|made| made.function)
    }

    /// Columns of a panel.
    fn columns(&self) -> usize {
        self.vectors * self.lanes()
    }
}

/// -1 for the first 8 words, then 0: eight words from `8 - n` on are a mask of the first `n`.
static MASK_WORDS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

const _: () = assert!(team::WORKSPACE >= DEPTH * 32, "a piece of a panel fits the workspace");

/// One product with its operands.
struct Job<'a, T> {
    kernels: &'a Kernels,
    shape: &'a Shape,
    out: *mut T,
    lhs: *const T,
    rhs: *const T,
    /// The stage in which the right operand may be kept for other tiles of rows; 0 if it is of this one only.
    stage: u64,
}

// SAFETY: shares of a job write disjoint parts of `out` and only read the rest.
unsafe impl<T: Element> Sync for Job<'_, T> {}

/// A panel of columns of the right operand, for some positions of `k`.
struct Panel<T> {
    columns: Range<usize>,
    depth: Range<usize>,
    /// Its first element, and elements from one row to the next.
    start: *const T,
    row: isize,
    packed: bool,
    /// From where on the right operand is needed next, if its columns lie side by side.
    ahead: Option<Matrix<T>>,
}

/// Whether a product is one of dot products.
pub fn is_of_dots<T: Element>(shape: &Shape) -> bool {
    dots::are_less::<T>(shape)
}

/// The product of one shape, batches included. `dots` is whether the whole product, of which this may be a part, is one of dot
/// products.
///
/// # Safety
/// Every element that the shape reaches must be in memory that may be accessed, and those of `out` apart from each other
/// and from the operands'; the columns of `out` must lie side by side, and the CPU must have the vectors.
pub unsafe fn product<T: Element>(
    simd: Simd,
    shape: &Shape,
    dots: bool,
    out: *mut T,
    lhs: *const T,
    rhs: *const T,
    hints: Hints<'_>,
) {
    let (kernels, mut soon) = (kernels(simd, T::WIDTH), Soon::new(hints.soon));
    if dots {
        let threads =
            if shape.m.saturating_mul(shape.n).saturating_mul(shape.k) < SHARED_FROM { 1 } else { shape.threads };
        for batch in 0..shape.batch as isize {
            let at = |strides: &[isize; 3]| batch * strides[0];
            // SAFETY: the offsets stay within what the shape reaches, for which the caller vouches.
            unsafe {
                let (lhs, rhs) = (lhs.offset(at(&shape.lhs)), rhs.offset(at(&shape.rhs)));
                Dots::new(shape, out.offset(at(&shape.out)), lhs, rhs).run(threads);
            }
        }
        return;
    }
    if shape.m == 0 || shape.n == 0 {
        return;
    }
    let turned = match shape.rows {
        // A matrix whose rows along the vector's elements lie side by side is read as it lies.
        0 if shape.n == 1 && shape.m > 1 && shape.lhs[1] == 1 => true,
        0 if shape.m == 1 && shape.rhs[2] == 1 => false,
        0 => is_less(kernels, shape),
        _ => shape.scattered == Scattered::LeftColumns as usize,
    };
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
                stage: if turned { 0 } else { hints.stage },
            }
        };
        job.share(threads, &mut soon);
    }
}

/// The transposed product: rows are columns, and left is right.
fn turn(shape: &Shape) -> Shape {
    let turned = |s: &[isize; 3]| [s[0], s[2], s[1]];
    let (out, lhs, rhs) = (turned(&shape.out), turned(&shape.rhs), turned(&shape.lhs));
    Shape { m: shape.n, n: shape.m, out, lhs, rhs, scattered: Scattered::Right as usize, ..*shape }
}

/// Positions of `k` summed in registers at a time: pieces as equal as can be.
fn piece(k: usize) -> usize {
    k.div_ceil(k.div_ceil(DEPTH).max(1)).max(1)
}

impl<T: Element> Job<'_, T> {
    /// Cuts the product into shares of whole panels or of whole blocks of rows.
    fn share(&self, threads: usize, soon: &mut Soon<'_>) {
        let (m, n) = (self.shape.m, self.shape.n);
        let (panels, blocks) = (n.div_ceil(self.kernels.columns()), m.div_ceil(self.kernels.rows));
        if threads <= 1 {
            // SAFETY: the whole product, on this thread.
            return unsafe { self.part(0..m, 0..n, soon) };
        }
        let by_columns = panels >= 2 * threads || panels >= blocks;
        let (units, unit, total) =
            if by_columns { (panels, self.kernels.columns(), n) } else { (blocks, self.kernels.rows, m) };
        let parts = units.min(2 * threads);
        team::run(threads, parts, &|part| {
            let cut = |k: usize| (units * k / parts * unit).min(total);
            let share = cut(part)..cut(part + 1);
            // SAFETY: shares are disjoint and within the product.
            unsafe {
                let mut soon = Soon::new(&[]);
                if by_columns { self.part(0..m, share, &mut soon) } else { self.part(share, 0..n, &mut soon) }
            }
        });
    }

    /// Columns of a panel for so many rows.
    fn columns(&self, rows: usize, packs: bool) -> usize {
        match rows <= FEW_ROWS && !packs && self.shape.out[2] == 1 && self.shape.rows == 0 {
            true => vectors_for(self.kernels.simd, rows) * self.kernels.lanes(),
            false => self.kernels.columns(),
        }
    }

    /// Whether panels of the right operand are packed for this many rows: where its columns do not lie side by side, and
    /// where enough blocks of rows use a panel again.
    fn packs(&self, rows: usize) -> bool {
        let used_again = rows > PACKED_FROM * self.kernels.rows && self.shape.n > self.kernels.columns();
        let far = self.shape.k.saturating_mul(self.shape.rhs[1].unsigned_abs()) > SMALL / T::BYTES;
        self.shape.rhs[2] != 1 && self.shape.n > 1
            || used_again && far && self.shape.looks_up(Scattered::Right).is_none()
    }

    /// Some rows by some columns: groups of rows, runs of `k` of which the left operand stays in a second-level cache, and
    /// panels, each packed for the nearest cache.
    ///
    /// # Safety
    /// Rows and columns are within the product, and no other thread writes these elements of `out`.
    unsafe fn part(&self, rows: Range<usize>, columns: Range<usize>, soon: &mut Soon<'_>) {
        let k = self.shape.k;
        let most = piece(k);
        let panels = columns.len().div_ceil(self.columns(rows.len(), self.packs(rows.len())));
        soon.cut(rows.len().div_ceil(self.kernels.rows) * panels * k.div_ceil(most));
        let (near, run) = (NEAR / T::BYTES, RUN / T::BYTES);
        // Where the whole right operand stays in the nearest cache, rows of `out` are written from end to end.
        let stays = !self.packs(rows.len()) && k.saturating_mul(columns.len()) <= NEAREST / T::BYTES;
        let group = if stays { self.kernels.rows } else { near / most };
        let groups = rows.len().div_ceil(group).max(1);
        for group in 0..groups {
            let cut = |g: usize| rows.start + rows.len() * g / groups;
            let rows = cut(group)..cut(group + 1);
            let packs = self.packs(rows.len());
            let width = self.columns(rows.len(), packs);
            let run = match packs {
                _ if columns.len() <= width => run / columns.len().max(1),
                true => near / rows.len().max(1),
                false => (near / rows.len().max(1)).min(run / width),
            };
            let run = (run / most).max(1) * most;
            let packed = packs.then(|| {
                let right = self.right(0, columns.start);
                Panels::new(right, k, &columns, width, Some(self.stage).filter(|stage| *stage != 0))
            });
            let mut at = 0;
            loop {
                let depth = at..k.min(at + run);
                at = depth.end;
                for start in columns.clone().step_by(width) {
                    let next = (start + width < columns.end).then_some(start + width);
                    let here = start..columns.end.min(start + width);
                    // SAFETY: passed on.
                    unsafe {
                        match &packed {
                            Some(panels) => self.pieces(&rows, here, &depth, next, panels, soon),
                            None => {
                                let ahead = next.and_then(|next| self.ahead(depth.start, next));
                                let Matrix { start, row, .. } = self.right(depth.start, start);
                                let depth = depth.clone();
                                self.panel(
                                    &rows,
                                    &Panel { columns: here, depth, start, row, packed: false, ahead },
                                    soon,
                                )
                            }
                        }
                    }
                }
                if at >= k {
                    break;
                }
            }
            if let Some(panels) = packed {
                panels.are_packed();
            }
        }
    }

    /// One panel of columns, piece by piece of `k`, each packed unless it is already. `next` is the first column of the next panel.
    ///
    /// # Safety
    /// As for `part`.
    unsafe fn pieces(
        &self,
        rows: &Range<usize>,
        columns: Range<usize>,
        depth: &Range<usize>,
        next: Option<usize>,
        panels: &Panels<T>,
        soon: &mut Soon<'_>,
    ) {
        let (most, width) = (piece(self.shape.k), self.columns(rows.len(), true));
        let mut panel =
            Panel { columns, depth: depth.clone(), start: self.rhs, row: width as isize, packed: true, ahead: None };
        loop {
            let (from, end) = (panel.depth.start, depth.end.min(panel.depth.start + most));
            panel.depth.end = end;
            let next = if end < depth.end { Some((end, panel.columns.start)) } else { next.map(|c| (depth.start, c)) };
            panel.ahead = next.and_then(|(row, column)| panels.there(row, column).or_else(|| self.ahead(row, column)));
            let (place, is_there) = panels.place(from, panel.columns.start);
            panel.start = place;
            // SAFETY: passed on; the place has room for a piece of a panel.
            unsafe {
                if !is_there {
                    pack(self.right(from, panel.columns.start), end - from, panel.columns.len(), width, place);
                }
                self.panel(rows, &panel, soon);
            }
            panel.depth = end..depth.end;
            if end >= depth.end {
                break;
            }
        }
    }

    /// The right operand from a row and a column on, if it can be asked for line by line.
    fn ahead(&self, row: usize, column: usize) -> Option<Matrix<T>> {
        (self.shape.rhs[2] == 1 && self.shape.rows == 0).then(|| self.right(row, column))
    }

    /// The right operand from a row and a column on.
    fn right(&self, row: usize, column: usize) -> Matrix<T> {
        let strides = &self.shape.rhs;
        let start = self.rhs.wrapping_offset(column as isize * strides[2]);
        let start = match self.shape.looks_up(Scattered::Right) {
            Some(_) => start,
            None => start.wrapping_offset(row as isize * strides[1]),
        };
        Matrix { start, row: strides[1], column: strides[2] }
    }

    /// All blocks of rows of one panel.
    ///
    /// # Safety
    /// As for `part`; the panel is one of the right operand.
    unsafe fn panel(&self, rows: &Range<usize>, panel: &Panel<T>, soon: &mut Soon<'_>) {
        let Panel { columns, depth, .. } = panel;
        let lanes = self.kernels.lanes();
        // Elements of a cache line, and bytes of an element.
        let (line, bytes) = (LINE / T::BYTES, T::BYTES as isize);
        let (lhs, out) = (&self.shape.lhs, &self.shape.out);
        // Where columns of `out` do not lie side by side, a block goes through a tile.
        let mut tile = (out[2] != 1).then(Tile::<T>::new);
        let most = piece(self.shape.k);
        let vectors = columns.len().div_ceil(lanes);
        let last = columns.len() - (vectors - 1) * lanes;
        let apart = self.shape.looks_up(Scattered::LeftRows);
        let (left, most_rows) = match apart {
            Some(_) => (Left::Apart, self.kernels.rows.min(MOST_APART)),
            None => (Left::of(lhs[1], lhs[2]), self.kernels.rows),
        };
        let numbers = self.shape.looks_up(Scattered::Right);
        let lines = match apart.or(numbers) {
            Some(_) => 0,
            None if vectors > self.kernels.vectors => 0,
            None if rows.len() <= most_rows => 2,
            None => 1,
        };
        let (ends, looks_up) = (!panel.packed && last < lanes, numbers.is_some());
        let form = Form { left, rows: 0, vectors, ends, looks_up, lines };
        // Blocks of rows as equal as can be: the first ones have a row more.
        let blocks = rows.len().div_ceil(most_rows).max(1);
        let (height, higher) = (rows.len() / blocks, rows.len() % blocks);
        let micro = |height: usize| self.kernels.get(Form { rows: height, ..form });
        let kernels = [micro(height.max(1)), if higher > 0 { micro(height + 1) } else { micro(height.max(1)) }];
        let mut row = rows.start;
        for block in 0..blocks {
            let end = row + height + usize::from(block < higher);
            // SAFETY: the first element of the block is within the matrix.
            let place = unsafe { self.out.offset(row as isize * out[1] + columns.start as isize * out[2]) };
            let mut at = depth.start;
            loop {
                let piece = most.min(depth.end - at);
                let adds = at > 0 || self.shape.accumulate != 0;
                let (to, to_row, accumulate) = match &mut tile {
                    Some(tile) => (tile.start(), Tile::<T>::ROW as isize, false),
                    None => (place, out[1], adds),
                };
                let lhs_start = self.lhs.wrapping_offset(at as isize * lhs[2]);
                let mut addresses = [lhs_start; MOST_APART];
                let lhs_start = match apart {
                    Some(numbers) => {
                        for (address, row) in addresses.iter_mut().zip(row..end) {
                            // SAFETY: there is a number for each row.
                            let number = unsafe { *numbers.add(row) };
                            *address = address.wrapping_offset(number as isize * lhs[1]);
                        }
                        addresses.as_ptr().cast()
                    }
                    None => lhs_start.wrapping_offset(row as isize * lhs[1]),
                };
                let (ahead, ahead_row) = match &panel.ahead {
                    // Its lines one after the other, a line of each row with a block.
                    Some(from) if block * line < columns.len() => {
                        let row = (at - depth.start) as isize * from.row;
                        (from.start.wrapping_offset(row).wrapping_add(block * line), from.row)
                    }
                    _ if lhs[1] == 1 => (lhs_start.wrapping_add(end - row), lhs[2]),
                    _ => (lhs_start, 0),
                };
                let (soon, soon_row) = soon.next(piece).unwrap_or((lhs_start.cast(), 0));
                // SAFETY: the first element of the block and of its operands are within the matrices, and the
                // micro-kernel reaches no others than those of the block, which a tile has room for; the mask words
                // cover every count of columns.
                unsafe {
                    let call = Block {
                        lhs: lhs_start.cast(),
                        lhs_row: lhs[1] * bytes,
                        lhs_column: lhs[2] * bytes,
                        rhs: match numbers {
                            Some(_) => panel.start.cast(),
                            None => panel.start.offset((at - depth.start) as isize * panel.row).cast(),
                        },
                        rhs_row: panel.row * bytes,
                        numbers: numbers.map_or(std::ptr::null(), |numbers| numbers.add(at)),
                        out: to.cast(),
                        out_row: to_row * bytes,
                        k: piece,
                        accumulate: usize::from(accumulate),
                        mask: (1 << last) - 1,
                        mask_words: MASK_WORDS.as_ptr().add(8usize.saturating_sub(last * T::BYTES / 4)),
                        // The last byte of a line's length: where lines do not begin with a panel, its first one is there
                        // already, with the panel before.
                        ahead: ahead.wrapping_add(line).cast::<u8>().wrapping_sub(1),
                        ahead_row: ahead_row * bytes,
                        soon,
                        soon_row,
                    };
                    match kernels[usize::from(block < higher)] {
                        Some(kernel) => kernel(&call),
                        None => micro::by_elements::<T>(&call, Form { rows: end - row, ..form }, columns.len()),
                    }
                }
                at += piece;
                if let Some(tile) = &mut tile {
                    // SAFETY: the block is within `out`, whose rows lie side by side.
                    unsafe { tile.put(end - row, columns.len(), place, out[2], adds) };
                }
                if at >= depth.end {
                    break;
                }
            }
            row = end;
        }
    }
}

#[cfg(test)]
mod tests;
