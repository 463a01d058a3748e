//! log, log1p, softplus: x = 2^e·(1 + f) with 1 + f in [√½, √2), and log x = e·ln 2 + f + (log(1 + f) - f).
//!
//! Input: any float. Output: within the bounds of the table in `scalar`. Invariant: e·(high part of ln 2) is exact and
//! its sum with f is kept in two parts, so that only the last addition rounds at the scale of the result.

use super::exponential::exp_not_high;
use super::lane::{Lane, Polynomial, Width};

/// q with log(1 + f) = f + f²·q(f) on [√½ - 1, √2 - 1]; error relative to the logarithm 2^-28.4.
const LOG_SINGLE: Polynomial = Polynomial {
    single: &[
        0.057240173,
        -0.11125439,
        0.12102572,
        -0.12538515,
        0.14203654,
        -0.16656739,
        0.20002668,
        -0.2500038,
        0.33333305,
        -0.49999997,
    ],
    double: &[],
};

/// R with 2·atanh(s) = 2·s + s·z·R(z), z = s² ≤ 0.02944; error relative to the logarithm 2^-59.5.
const LOG_DOUBLE: Polynomial = Polynomial {
    single: &[],
    double: &[
        0.14795296008813455,
        0.15314120016801072,
        0.18183561428029538,
        0.22222198632834322,
        0.2857142874176848,
        0.3999999999941756,
        0.6666666666666734,
    ],
};

/// q with log(1 + e) = e + e²·q(e) on [0, 1]; error relative to the logarithm 2^-27.4.
const SOFTPLUS_SINGLE: Polynomial = Polynomial {
    single: &[
        -0.0032896467,
        0.02008367,
        -0.05745425,
        0.10660977,
        -0.15344852,
        0.19692102,
        -0.24958019,
        0.33330464,
        -0.4999993,
    ],
    double: &[],
};

/// A positive normal number as 2^e·(1 + f).
pub(super) struct Split<L: Lane> {
    pub e: L::F,
    /// Bits whose exponent field is that of 2^e.
    moved: L::I,
    /// Their fraction field.
    fraction: L::I,
    pub f: L::F,
}

/// `offset` is added to e.
pub(super) fn split<L: Lane>(lane: &mut L, x: L::F, offset: L::F) -> Split<L> {
    let width = lane.width();
    let p = width.fraction_bits();
    let root_half = match width {
        Width::Single => 0x3f35_04f3,
        Width::Double => 0x3fe6_a09e_667f_3bcd,
    };
    // Moves √½ to where a power of two is, so that the exponent field becomes the one sought.
    let one_bits = width.bias() << p;
    let distance = lane.int(one_bits - root_half);
    let fraction_mask = lane.int((1 << p) - 1);
    let root_half = lane.int(root_half);
    let bits = lane.to_bits(x);
    let moved = lane.int_add(bits, distance);
    let fraction = lane.int_and(moved, fraction_mask);
    let significand = lane.int_add(fraction, root_half);
    let significand = lane.from_bits(significand);
    let one = lane.float(1.0);
    let f = lane.sub(significand, one);
    // The biased exponent in the low bits of 2^p makes the float 2^p + biased.
    let biased = lane.shift_right(moved, p);
    let spacing_bits = lane.int((width.bias() + i64::from(p)) << p);
    let e = lane.int_or(biased, spacing_bits);
    let e = lane.from_bits(e);
    let e = lane.sub(e, offset);
    Split { e, moved, fraction, f }
}

/// What turns the float 2^p + biased exponent into e.
fn unbias(width: Width) -> f64 {
    width.unit_spacing() + width.bias() as f64
}

/// The same for any positive finite number: a subnormal one is scaled up first.
pub(super) fn split_positive<L: Lane>(lane: &mut L, x: L::F) -> Split<L> {
    let width = lane.width();
    let shift = i64::from(width.fraction_bits()) + 1;
    let smallest = lane.float(width.smallest_normal());
    let up = lane.float((1_u64 << shift) as f64);
    let offset = lane.float(unbias(width));
    let offset_scaled = lane.float(unbias(width) + shift as f64);
    let subnormal = lane.lt(x, smallest);
    let scaled = lane.mul(x, up);
    let x = lane.select(subnormal, scaled, x);
    let offset = lane.select(subnormal, offset_scaled, offset);
    split(lane, x, offset)
}

/// log(1 + f) - f for 1 + f in [√½, √2).
fn tail<L: Lane>(lane: &mut L, f: L::F) -> L::F {
    let square = lane.mul(f, f);
    match lane.width() {
        Width::Single => {
            let q = lane.polynomial(&LOG_SINGLE, f);
            lane.mul(square, q)
        }
        // With s = f / (2 + f) and h = f²/2, log(1 + f) = 2·atanh(s) = f - h + s·(h + z·R(z)): half the polynomial.
        Width::Double => {
            let (half, two) = (lane.float(0.5), lane.float(2.0));
            let h = lane.mul(square, half);
            let divisor = lane.add(two, f);
            let s = lane.div(f, divisor);
            let z = lane.mul(s, s);
            let r = lane.polynomial(&LOG_DOUBLE, z);
            let sum = lane.fma(z, r, h);
            let minus_h = lane.neg(h);
            lane.fma(s, sum, minus_h)
        }
    }
}

/// e·ln 2 + f + tail.
fn combine<L: Lane>(lane: &mut L, e: L::F, f: L::F, tail: L::F) -> L::F {
    // The high part leaves as many zero bits as e may have bits.
    let high = lane.pick(0.69314575, 0.6931471805598903);
    let low = lane.pick(1.4286068e-6, 5.497923018708371e-14);
    let tail = lane.fma(e, low, tail);
    let exact = lane.mul(e, high);
    let sum = lane.add(exact, f);
    let rounded = lane.sub(sum, exact);
    let lost = lane.sub(f, rounded);
    let rest = lane.add(lost, tail);
    lane.add(sum, rest)
}

/// Puts in what a logarithm is outside (0, ∞), given its argument.
fn with_limits<L: Lane>(lane: &mut L, x: L::F, result: L::F) -> L::F {
    let zero = lane.float(0.0);
    let infinity = lane.float(f64::INFINITY);
    let minus_infinity = lane.float(f64::NEG_INFINITY);
    let nan = lane.float(f64::NAN);
    let finite = lane.lt(x, infinity);
    let result = lane.select(finite, result, infinity);
    let is_zero = lane.eq(x, zero);
    let invalid = lane.select(is_zero, minus_infinity, nan);
    let positive = lane.lt(zero, x);
    lane.select(positive, result, invalid)
}

/// The natural logarithm.
pub fn log<L: Lane>(lane: &mut L, x: L::F) -> L::F {
    let Split { e, f, .. } = split_positive(lane, x);
    let tail = tail(lane, f);
    let result = combine(lane, e, f, tail);
    with_limits(lane, x, result)
}

/// 1 + x rounded, and the logarithm of the exact 1 + x for -1 < x < ∞; where that rounds to x, x and so its sign.
fn log1p_inside<L: Lane>(lane: &mut L, x: L::F) -> (L::F, L::F) {
    let width = lane.width();
    let one = lane.float(1.0);
    let sum = lane.add(one, x);
    // What the addition lost, exactly.
    let x_part = lane.sub(sum, one);
    let one_part = lane.sub(sum, x_part);
    let one_lost = lane.sub(one, one_part);
    let x_lost = lane.sub(x, x_part);
    let lost = lane.add(one_lost, x_lost);
    let offset = lane.float(unbias(width));
    let Split { e, moved, fraction, f } = split(lane, sum, offset);
    // lost·2^-e, as (lost / 4)·2^(2 - e): the power stays normal for the largest e.
    let exponent = lane.int_sub(moved, fraction);
    let four_and_one = lane.int((2 * width.bias() + 2) << width.fraction_bits());
    let power = lane.int_sub(four_and_one, exponent);
    let power = lane.from_bits(power);
    let quarter = lane.float(0.25);
    let lost = lane.mul(lost, quarter);
    let corrected = lane.fma(lost, power, f);
    // What that rounds off is exact again, and goes where small terms are.
    let rounded = lane.sub(f, corrected);
    let rest = lane.fma(lost, power, rounded);
    let tail = tail(lane, corrected);
    let tail = lane.add(tail, rest);
    let result = combine(lane, e, corrected, tail);
    let tiny_bound = lane.float(0.125 / width.unit_spacing());
    let magnitude = lane.abs(x);
    let tiny = lane.lt(magnitude, tiny_bound);
    (sum, lane.select(tiny, x, result))
}

/// log(1 + x).
pub fn log1p<L: Lane>(lane: &mut L, x: L::F) -> L::F {
    let (sum, result) = log1p_inside(lane, x);
    with_limits(lane, sum, result)
}

/// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|).
pub fn softplus<L: Lane>(lane: &mut L, x: L::F) -> L::F {
    let zero = lane.float(0.0);
    let magnitude = lane.abs(x);
    let exponent = lane.neg(magnitude);
    let e = exp_not_high(lane, exponent);
    let log = match lane.width() {
        Width::Single => {
            let q = lane.polynomial(&SOFTPLUS_SINGLE, e);
            let square = lane.mul(e, e);
            lane.fma(square, q, e)
        }
        Width::Double => log1p_inside(lane, e).1,
    };
    let linear = lane.max(zero, x);
    lane.add(linear, log)
}
