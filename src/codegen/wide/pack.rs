//! Packing: a panel of the right operand copied so that its columns lie side by side, row after row.
//!
//! Input: a strided matrix. Output: panels of `width` columns, each row of a panel `width` elements, the last panel
//! filled up with zeros. Invariant: only elements of the matrix are read.

use super::element::Element;

/// A matrix in memory; strides in elements.
#[derive(Clone, Copy)]
pub struct Matrix<T> {
    pub start: *const T,
    pub row: isize,
    pub column: isize,
}

impl<T: Element> Matrix<T> {
    /// # Safety
    /// The element must be in memory that may be read.
    unsafe fn at(&self, row: usize, column: usize) -> *const T {
        // SAFETY: passed on from the caller.
        unsafe { self.start.offset(row as isize * self.row + column as isize * self.column) }
    }
}

/// Packs `rows` by `columns` of the matrix into panels at `to`.
///
/// # Safety
/// The elements must be readable, and there must be room for `rows · width` elements per panel at `to`.
pub unsafe fn pack<T: Element>(from: Matrix<T>, rows: usize, columns: usize, width: usize, to: *mut T) {
    if from.column == 1 {
        // SAFETY: passed on.
        return unsafe { pack_rows(from, rows, columns, width, to) };
    }
    for (number, start) in (0..columns).step_by(width).enumerate() {
        let here = width.min(columns - start);
        // SAFETY: the panel's first element is within the matrix, and its place within the room.
        let (panel, to) = unsafe { (Matrix { start: from.at(0, start), ..from }, to.add(number * rows * width)) };
        // SAFETY: as above, for the panel's rows and columns.
        unsafe {
            match panel.row {
                1 => pack_columns(panel, rows, here, width, to),
                _ => pack_any(panel, 0..rows, 0..here, width, to),
            }
            for row in 0..rows {
                fill(to.add(row * width), here, width);
            }
        }
    }
}

/// Zeros behind the columns there are in a row of a panel.
///
/// # Safety
/// There must be room for `width` elements.
unsafe fn fill<T: Element>(row: *mut T, columns: usize, width: usize) {
    if columns < width {
        // SAFETY: passed on.
        unsafe { std::slice::from_raw_parts_mut(row.add(columns), width - columns).fill(T::default()) }
    }
}

/// # Safety
/// As for [`pack`], for one panel.
unsafe fn pack_any<T: Element>(
    from: Matrix<T>,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    width: usize,
    to: *mut T,
) {
    for row in rows {
        for column in columns.clone() {
            // SAFETY: both elements are within what the caller vouches for.
            unsafe { *to.add(row * width + column) = *from.at(row, column) };
        }
    }
}

/// Rows lie in one piece each: every one is read from its beginning to its end.
///
/// # Safety
/// As for [`pack`]; the CPU must have AVX2.
#[target_feature(enable = "avx2")]
unsafe fn pack_rows<T: Element>(from: Matrix<T>, rows: usize, columns: usize, width: usize, to: *mut T) {
    for (number, start) in (0..columns).step_by(width).enumerate() {
        let here = width.min(columns - start);
        for row in 0..rows {
            // SAFETY: a panel's part of a row is one piece in both places, which do not overlap.
            unsafe {
                let (from, to) = (from.at(row, start), to.add((number * rows + row) * width));
                // Of a known length the copy is a few vector moves.
                match here {
                    32 => std::ptr::copy_nonoverlapping(from, to, 32),
                    16 => std::ptr::copy_nonoverlapping(from, to, 16),
                    8 => std::ptr::copy_nonoverlapping(from, to, 8),
                    here => std::ptr::copy_nonoverlapping(from, to, here),
                }
                fill(to, here, width);
            }
        }
    }
}

/// Columns lie in one piece: blocks of a vector by as many are transposed in registers.
///
/// # Safety
/// As for [`pack`], for one panel.
unsafe fn pack_columns<T: Element>(from: Matrix<T>, rows: usize, columns: usize, width: usize, to: *mut T) {
    let (whole_rows, whole_columns) = (rows / T::BLOCK * T::BLOCK, columns / T::BLOCK * T::BLOCK);
    for column in (0..whole_columns).step_by(T::BLOCK) {
        for row in (0..whole_rows).step_by(T::BLOCK) {
            // SAFETY: the block is within the panel; the CPU has AVX2, as wherever wide code runs.
            unsafe { T::transpose(from.at(row, column), from.column, to.add(row * width + column), width) };
        }
    }
    // SAFETY: as for the whole panel.
    unsafe {
        pack_any(from, whole_rows..rows, 0..whole_columns, width, to);
        pack_any(from, 0..rows, whole_columns..columns, width, to);
    }
}
