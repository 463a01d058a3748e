//! The elements of products: floats of either width.
//!
//! Invariant: what is generic over elements says the same of both; a vector, a cache line and a panel have a number of bytes,
//! whatever the elements.

use crate::scalar::Width;
use std::arch::x86_64::*;
use std::ops::Add;

/// Bytes of a cache line.
pub const LINE: usize = 64;

/// A float.
pub trait Element: Copy + Default + Add<Output = Self> + Send + Sync + 'static {
    const WIDTH: Width;
    /// Bytes.
    const BYTES: usize = Self::WIDTH.bytes();
    /// Elements of a row of the blocks that [`Element::transpose`] takes: a vector of 256 bits.
    const BLOCK: usize = 32 / Self::BYTES;

    /// A vector of 256 bits.
    type Vector: Copy;

    /// # Safety
    /// The CPU must have AVX2.
    unsafe fn zeros() -> Self::Vector;

    /// # Safety
    /// A vector from there on must be readable, and the CPU must have AVX2.
    unsafe fn load(from: *const Self) -> Self::Vector;

    /// # Safety
    /// A vector from there on must be writable, and the CPU must have AVX2.
    unsafe fn store(to: *mut Self, vector: Self::Vector);

    /// `a · b + c`, each element rounded once.
    ///
    /// # Safety
    /// The CPU must have FMA.
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// `a · b + self`, rounded once.
    fn plus_product(self, a: Self, b: Self) -> Self;

    /// `to[i][j] = from[j][i]` for a square block with these distances between rows.
    ///
    /// # Safety
    /// The elements must be accessible, and the CPU must have AVX2.
    unsafe fn transpose(from: *const Self, from_row: isize, to: *mut Self, to_row: usize);
}

impl Element for f32 {
    const WIDTH: Width = Width::Single;

    type Vector = __m256;

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn zeros() -> __m256 {
        _mm256_setzero_ps()
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(from: *const f32) -> __m256 {
        // SAFETY: passed on.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn store(to: *mut f32, vector: __m256) {
        // SAFETY: passed on.
        unsafe { _mm256_storeu_ps(to, vector) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn multiply_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        _mm256_fmadd_ps(a, b, c)
    }

    #[inline]
    fn plus_product(self, a: f32, b: f32) -> f32 {
        a.mul_add(b, self)
    }

    unsafe fn transpose(from: *const f32, from_row: isize, to: *mut f32, to_row: usize) {
        // SAFETY: passed on.
        unsafe { transpose_singles(from, from_row, to, to_row) }
    }
}

impl Element for f64 {
    const WIDTH: Width = Width::Double;

    type Vector = __m256d;

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn zeros() -> __m256d {
        _mm256_setzero_pd()
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(from: *const f64) -> __m256d {
        // SAFETY: passed on.
        unsafe { _mm256_loadu_pd(from) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn store(to: *mut f64, vector: __m256d) {
        // SAFETY: passed on.
        unsafe { _mm256_storeu_pd(to, vector) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn multiply_add(a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        _mm256_fmadd_pd(a, b, c)
    }

    #[inline]
    fn plus_product(self, a: f64, b: f64) -> f64 {
        a.mul_add(b, self)
    }

    unsafe fn transpose(from: *const f64, from_row: isize, to: *mut f64, to_row: usize) {
        // SAFETY: passed on.
        unsafe { transpose_doubles(from, from_row, to, to_row) }
    }
}

/// # Safety
/// As for [`Element::transpose`].
#[target_feature(enable = "avx2")]
unsafe fn transpose_doubles(from: *const f64, from_row: isize, to: *mut f64, to_row: usize) {
    // SAFETY: four doubles at each of four rows are accessible, as the caller vouches.
    unsafe {
        // The halves of rows j and j + 2 side by side.
        let half = |row: isize, at: usize| {
            let low = _mm_loadu_pd(from.offset(row * from_row).add(at));
            let high = _mm_loadu_pd(from.offset((row + 2) * from_row).add(at));
            _mm256_insertf128_pd::<1>(_mm256_castpd128_pd256(low), high)
        };
        for at in [0, 2] {
            let (a, b) = (half(0, at), half(1, at));
            let out = to.add(at * to_row);
            _mm256_storeu_pd(out, _mm256_unpacklo_pd(a, b));
            _mm256_storeu_pd(out.add(to_row), _mm256_unpackhi_pd(a, b));
        }
    }
}

/// # Safety
/// As for [`Element::transpose`].
#[target_feature(enable = "avx2")]
unsafe fn transpose_singles(from: *const f32, from_row: isize, to: *mut f32, to_row: usize) {
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
