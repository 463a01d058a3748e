//! Sorting rows, callable from compiled code.
//!
//! Input: rows of numbers. Output: for each row the positions of its elements in ascending order, as the primitive `order` has
//! them. Invariant: nothing is allocated, and the order depends on the values alone.

use crate::ir::DType;
use crate::ir::primitive::ascending;

/// The function that sorts elements of this type, and its name.
pub(super) fn function(elem: DType) -> (&'static str, *const u8) {
    match elem {
        DType::F64 => ("dlc_order_f64", order_f64 as *const u8),
        DType::I64 => ("dlc_order_i64", order_i64 as *const u8),
        DType::F32 => ("dlc_order_f32", order_f32 as *const u8),
        DType::I32 | DType::Bool => ("dlc_order_i32", order_i32 as *const u8),
    }
}

macro_rules! functions {
    ($($name:ident: $element:ty => $place:ty),+ $(,)?) => {
        $(
            /// # Safety
            /// `from` and `to` must point to `rows * length` elements each, which nothing else touches during the call.
            unsafe extern "C" fn $name(rows: usize, length: usize, from: *const $element, to: *mut $place) {
                if rows == 0 || length == 0 {
                    return;
                }
                // SAFETY: what the caller guarantees is what slices ask for.
                let (from, to) = unsafe {
                    (std::slice::from_raw_parts(from, rows * length), std::slice::from_raw_parts_mut(to, rows * length))
                };
                for (x, places) in from.chunks_exact(length).zip(to.chunks_exact_mut(length)) {
                    places.iter_mut().enumerate().for_each(|(k, place)| *place = k as $place);
                    // Positions tell equal elements apart, so that the order is that of a stable sort.
                    places.sort_unstable_by(|a, b| ascending(x[*a as usize], x[*b as usize]).then(a.cmp(b)));
                }
            }
        )+
    };
}

functions! {
    order_f32: f32 => i32,
    order_f64: f64 => i64,
    order_i32: i32 => i32,
    order_i64: i64 => i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_apart_and_ties_keep_their_order() {
        let x = [2.0f32, f32::NAN, 2.0, -1.0, 0.0, -0.0, 0.0, f32::NEG_INFINITY];
        let mut places = [9; 8];
        // SAFETY: both hold two rows of four.
        unsafe { order_f32(2, 4, x.as_ptr(), places.as_mut_ptr()) };
        assert_eq!(places, [3, 0, 2, 1, 3, 0, 1, 2]);
        // SAFETY: no element is reached.
        unsafe { order_f32(0, 4, x.as_ptr(), places.as_mut_ptr()) };
    }
}
