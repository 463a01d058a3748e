//! Packing: a panel of the right operand copied so that its columns lie side by side, row after row.
//!
//! Input: a strided matrix of `f32`. Output: panels of `width` columns, each row of a panel `width` floats, the last panel
//! filled up with zeros. Invariant: only elements of the matrix are read.

/// A matrix in memory; strides in elements.
#[derive(Clone, Copy)]
pub struct Matrix {
    pub start: *const f32,
    pub row: isize,
    pub column: isize,
}

impl Matrix {
    /// # Safety
    /// The element must be in memory that may be read.
    unsafe fn at(&self, row: usize, column: usize) -> *const f32 {
        // SAFETY: passed on from the caller.
        unsafe { self.start.offset(row as isize * self.row + column as isize * self.column) }
    }
}

/// Packs `rows` by `columns` of the matrix into panels at `to`.
///
/// # Safety
/// The elements must be readable, and there must be room for `rows · width` floats per panel at `to`.
pub unsafe fn pack(from: Matrix, rows: usize, columns: usize, width: usize, to: *mut f32) {
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
/// There must be room for `width` floats.
unsafe fn fill(row: *mut f32, columns: usize, width: usize) {
    if columns < width {
        // SAFETY: passed on.
        unsafe { std::slice::from_raw_parts_mut(row.add(columns), width - columns).fill(0.0) }
    }
}

/// # Safety
/// As for [`pack`], for one panel.
unsafe fn pack_any(
    from: Matrix,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    width: usize,
    to: *mut f32,
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
unsafe fn pack_rows(from: Matrix, rows: usize, columns: usize, width: usize, to: *mut f32) {
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
                    here => std::ptr::copy_nonoverlapping(from, to, here),
                }
                fill(to, here, width);
            }
        }
    }
}

/// Columns lie in one piece: blocks of 8 by 8 are transposed in registers.
///
/// # Safety
/// As for [`pack`], for one panel.
unsafe fn pack_columns(from: Matrix, rows: usize, columns: usize, width: usize, to: *mut f32) {
    let (whole_rows, whole_columns) = (rows / 8 * 8, columns / 8 * 8);
    for column in (0..whole_columns).step_by(8) {
        for row in (0..whole_rows).step_by(8) {
            // SAFETY: the block is within the panel; the CPU has AVX2, as wherever wide code runs.
            unsafe { transpose_8(from.at(row, column), from.column, to.add(row * width + column), width) };
        }
    }
    // SAFETY: as for the whole panel.
    unsafe {
        pack_any(from, whole_rows..rows, 0..whole_columns, width, to);
        pack_any(from, 0..rows, whole_columns..columns, width, to);
    }
}

/// `to[i][j] = from[j][i]` for 8 by 8 floats with these distances between rows.
///
/// # Safety
/// The elements must be accessible, and the CPU must have AVX2.
#[target_feature(enable = "avx2")]
pub unsafe fn transpose_8(from: *const f32, from_row: isize, to: *mut f32, to_row: usize) {
    use std::arch::x86_64::*;
    // SAFETY: eight floats at each of eight rows are accessible, as the caller vouches.
    unsafe {
        // The halves of rows j and j + 4 side by side.
        let half = |row: isize, at: usize| {
            let low = _mm_loadu_ps(from.offset(row * from_row).add(at));
            let high = _mm_loadu_ps(from.offset((row + 4) * from_row).add(at));
            _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
        };
        for at in [0, 4] {
            let (a, b, c, d) = (half(0, at), half(1, at), half(2, at), half(3, at));
            let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            let (ef, gh) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            let out = to.add(at * to_row);
            _mm256_storeu_ps(out, _mm256_shuffle_ps::<0b0100_0100>(ab, cd));
            _mm256_storeu_ps(out.add(to_row), _mm256_shuffle_ps::<0b1110_1110>(ab, cd));
            _mm256_storeu_ps(out.add(2 * to_row), _mm256_shuffle_ps::<0b0100_0100>(ef, gh));
            _mm256_storeu_ps(out.add(3 * to_row), _mm256_shuffle_ps::<0b1110_1110>(ef, gh));
        }
    }
}
