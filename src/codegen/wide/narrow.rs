//! What vectors of 256 bits have no instruction for: products, extremes and conversions of 64-bit integers.
//!
//! Input: vectors. Output: vectors with the bits that the instruction of the wider vectors gives.

use super::code::{Code, V};
use super::operation::{Binary, Unary};
use crate::scalar::Lane;

/// 2^52: the float 2^52 + n, n below 2^52, has n in its low bits.
const MAGIC: u64 = 0x4330_0000_0000_0000;

/// An operation of two vectors that is no instruction.
pub fn binary(code: &mut Code, op: Binary, a: V, b: V) -> Option<V> {
    Some(match op {
        Binary::IntMul => {
            // The high halves of both count 2^32 each; their product is beyond.
            let (high_a, high_b) = (code.shift(false, a, 32), code.shift(false, b, 32));
            let (low, first) = (code.binary(Binary::WordMul, a, b), code.binary(Binary::WordMul, high_a, b));
            let second = code.binary(Binary::WordMul, a, high_b);
            let cross = code.binary(Binary::IntAdd, first, second);
            let cross = code.shift(true, cross, 32);
            code.binary(Binary::IntAdd, low, cross)
        }
        Binary::IntMin | Binary::IntMax => {
            let greater = code.binary(Binary::IntGreater, a, b);
            let (yes, no) = if op == Binary::IntMax { (a, b) } else { (b, a) };
            code.select(greater, yes, no)
        }
        _ => return None,
    })
}

/// An operation of one vector that is no instruction.
pub fn unary(code: &mut Code, op: Unary, a: V) -> Option<V> {
    let mut ops = code.ops();
    Some(match op {
        Unary::IntAbs => {
            let zero = ops.int(0);
            let negative = ops.code.binary(Binary::IntGreater, zero, a);
            let flipped = ops.int_xor(a, negative);
            ops.int_sub(flipped, negative)
        }
        Unary::FromInt => {
            // 2^84 + 2^63 + the high half, and 2^52 + the low one; the constants leave exactly, and the sum is rounded once.
            let (low_half, magic) = (ops.int(0xffff_ffff), ops.int(MAGIC as i64));
            let high = ops.shift_right(a, 32);
            let above = ops.int(0x4530_0000_8000_0000);
            let high = ops.int_xor(high, above);
            let low = ops.int_and(a, low_half);
            let low = ops.int_or(low, magic);
            let constants = ops.int(0x4530_0000_8010_0000);
            let high = ops.sub(high, constants);
            Lane::add(&mut ops, high, low)
        }
        Unary::Truncate => {
            let (zero, unit) = (ops.float(0.0), ops.float(2f64.powi(-32)));
            let magnitude = ops.abs(a);
            let magnitude = ops.floor(magnitude);
            let minus = ops.neg(magnitude);
            let negative = ops.lt(a, zero);
            let whole = ops.select(negative, minus, magnitude);
            let high = ops.mul(whole, unit);
            let high = ops.floor(high);
            let back = ops.float(-(2f64.powi(32)));
            let low = ops.fma(high, back, whole);
            // The halves, each in the low bits of a float: the high one in two's complement.
            let signed_magic = ops.float(1.5 * 2f64.powi(52));
            let high = Lane::add(&mut ops, high, signed_magic);
            let high = ops.shift_left(high, 32);
            let magic = ops.float(2f64.powi(52));
            let low = Lane::add(&mut ops, low, magic);
            let low_half = ops.int(0xffff_ffff);
            let low = ops.int_and(low, low_half);
            let number = ops.int_or(high, low);
            let (bound, least) = (ops.float(2f64.powi(63)), ops.int(i64::MIN));
            let fits = ops.lt(magnitude, bound);
            ops.select(fits, number, least)
        }
        Unary::Move | Unary::Sqrt | Unary::Floor => return None,
    })
}
