//! Executors in plain Rust, one value at a time: what the interpreter runs, and the oracle of the emitters.
//!
//! Input and output: `f32` or `f64`. Invariant: every step is the exactly rounded operation `Lane` names; `mul_add`
//! rounds once whether or not the processor has the instruction.

use super::lane::{Lane, Width};

/// `f32` arithmetic.
pub struct F32;

/// `f64` arithmetic.
pub struct F64;

macro_rules! host {
    ($executor:ty, $float:ty, $int:ty, $width:expr) => {
        impl Lane for $executor {
            type F = $float;
            type I = $int;
            type M = bool;

            fn width(&self) -> Width {
                $width
            }
            fn float(&mut self, value: f64) -> $float {
                value as $float
            }
            fn int(&mut self, value: i64) -> $int {
                value as $int
            }
            fn add(&mut self, a: $float, b: $float) -> $float {
                a + b
            }
            fn sub(&mut self, a: $float, b: $float) -> $float {
                a - b
            }
            fn mul(&mut self, a: $float, b: $float) -> $float {
                a * b
            }
            fn div(&mut self, a: $float, b: $float) -> $float {
                a / b
            }
            fn fma(&mut self, a: $float, b: $float, c: $float) -> $float {
                a.mul_add(b, c)
            }
            fn sqrt(&mut self, a: $float) -> $float {
                a.sqrt()
            }
            fn floor(&mut self, a: $float) -> $float {
                a.floor()
            }
            fn neg(&mut self, a: $float) -> $float {
                -a
            }
            fn abs(&mut self, a: $float) -> $float {
                a.abs()
            }
            fn lt(&mut self, a: $float, b: $float) -> bool {
                a < b
            }
            fn le(&mut self, a: $float, b: $float) -> bool {
                a <= b
            }
            fn eq(&mut self, a: $float, b: $float) -> bool {
                a == b
            }
            fn int_eq(&mut self, a: $int, b: $int) -> bool {
                a == b
            }
            fn and(&mut self, a: bool, b: bool) -> bool {
                a & b
            }
            fn or(&mut self, a: bool, b: bool) -> bool {
                a | b
            }
            fn not(&mut self, a: bool) -> bool {
                !a
            }
            fn select(&mut self, mask: bool, a: $float, b: $float) -> $float {
                if mask { a } else { b }
            }
            fn to_bits(&mut self, a: $float) -> $int {
                a.to_bits()
            }
            fn from_bits(&mut self, a: $int) -> $float {
                <$float>::from_bits(a)
            }
            fn int_add(&mut self, a: $int, b: $int) -> $int {
                a.wrapping_add(b)
            }
            fn int_sub(&mut self, a: $int, b: $int) -> $int {
                a.wrapping_sub(b)
            }
            fn int_and(&mut self, a: $int, b: $int) -> $int {
                a & b
            }
            fn int_or(&mut self, a: $int, b: $int) -> $int {
                a | b
            }
            fn int_xor(&mut self, a: $int, b: $int) -> $int {
                a ^ b
            }
            fn shift_left(&mut self, a: $int, by: u32) -> $int {
                a << by
            }
            fn shift_right(&mut self, a: $int, by: u32) -> $int {
                a >> by
            }
        }
    };
}

host!(F32, f32, u32, Width::Single);
host!(F64, f64, u64, Width::Double);
