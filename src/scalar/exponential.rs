//! exp, expm1, tanh, sigmoid: x = n·ln 2 + r with |r| ≤ ln 2 / 2, a polynomial in r, and a multiplication by 2^n.
//!
//! Input: any float. Output: within the bounds of the table in `scalar`. Invariant: n is found by adding 1.5·2^p (p the
//! fraction bits), so that n stands both in the low bits of the sum and, once the constant is subtracted, as a float.

use super::lane::{Lane, Polynomial, Width};

/// q with e^r = 1 + r + r²·q(r) on |r| ≤ 0.3476; error relative to e^r - 1: 2^-25.9 and 2^-60.4.
const EXP: Polynomial = Polynomial {
    single: &[0.001382983, 0.008367142, 0.041667834, 0.16666539, 0.49999997],
    double: &[
        2.0923601535041377e-09,
        2.5109303398241766e-08,
        2.75572348532819e-07,
        2.755724339639358e-06,
        2.4801587376524357e-05,
        0.00019841269886995293,
        0.0013888888888860607,
        0.008333333333321301,
        0.0416666666666667,
        0.16666666666666677,
        0.5,
    ],
};

/// The same q on |r| ≤ 0.5; errors 2^-27.5 and 2^-59.0.
const EXPM1: Polynomial = Polynomial {
    single: &[0.00020051215, 0.0014004766, 0.008332967, 0.041665092, 0.16666669, 0.50000006],
    double: &[
        1.605419549160183e-10,
        2.0967348433014243e-09,
        2.505255123170078e-08,
        2.755704982337043e-07,
        2.7557317499126454e-06,
        2.4801587672445177e-05,
        0.00019841269843653354,
        0.0013888888888658785,
        0.008333333333332126,
        0.041666666666667164,
        0.16666666666666669,
        0.5,
    ],
};

/// The integer nearest to a product.
pub(super) struct Nearest<L: Lane> {
    /// Its low bits, plus the offset asked for; what stands above bit p - 2 is of no meaning.
    pub bits: L::I,
    pub value: L::F,
}

/// The integer nearest to x·factor, whose magnitude plus offset must stay below 2^(p-2).
pub(super) fn nearest<L: Lane>(lane: &mut L, x: L::F, factor: L::F, offset: i64) -> Nearest<L> {
    let magic = lane.float(1.5 * lane.width().unit_spacing() + offset as f64);
    let sum = lane.fma(x, factor, magic);
    Nearest { bits: lane.to_bits(sum), value: lane.sub(sum, magic) }
}

/// n with its offset, and r = x - n·ln 2. For |n| < 2^11 the first step is exact.
fn reduce<L: Lane>(lane: &mut L, x: L::F, source: L::F, offset: i64) -> (Nearest<L>, L::F) {
    let log2_e = lane.float(std::f64::consts::LOG2_E);
    let n = nearest(lane, source, log2_e, offset);
    let high = lane.pick(-std::f32::consts::LN_2, -std::f64::consts::LN_2);
    let low = lane.pick(1.9046542e-9, -2.3190468138462996e-17);
    let r = lane.fma(n.value, high, x);
    let r = lane.fma(n.value, low, r);
    (n, r)
}

/// 2^n, n given with the bias added; the exponent must be a normal one.
fn power_of_two<L: Lane>(lane: &mut L, biased: L::I) -> L::F {
    let bits = lane.shift_left(biased, lane.width().fraction_bits());
    lane.from_bits(bits)
}

/// What `nearest` must add for `scale`.
pub(super) fn scale_offset(width: Width) -> i64 {
    2 * width.bias()
}

/// a·2^n for a in [1/2, 2] and |n| < 2·bias, n given with twice the bias added. The factor is split in two normal
/// powers of two; the first product is exact, so a subnormal result is rounded once.
pub(super) fn scale<L: Lane>(lane: &mut L, a: L::F, twice_biased: L::I) -> L::F {
    let width = lane.width();
    let p = width.fraction_bits();
    let exponent_mask = lane.int((width.bias() * 2 + 1) << p);
    let halved = lane.shift_left(twice_biased, p - 1);
    let first = lane.int_and(halved, exponent_mask);
    let both = lane.shift_left(twice_biased, p);
    let second = lane.int_sub(both, first);
    let (first, second) = (lane.from_bits(first), lane.from_bits(second));
    let a = lane.mul(a, first);
    lane.mul(a, second)
}

/// e^r for |r| ≤ ln 2 / 2.
fn exp_reduced<L: Lane>(lane: &mut L, r: L::F) -> L::F {
    let q = lane.polynomial(&EXP, r);
    let one = lane.float(1.0);
    let q = lane.fma(q, r, one);
    lane.fma(q, r, one)
}

/// e^x.
pub fn exp<L: Lane>(lane: &mut L, x: L::F) -> L::F {
    let highest = lane.pick(89.0, 710.0);
    let x = lane.min(highest, x);
    exp_not_high(lane, x)
}

/// e^x for x ≤ 0.
pub(super) fn exp_not_high<L: Lane>(lane: &mut L, x: L::F) -> L::F {
    let lowest = lane.pick(-104.0, -746.0);
    let x = lane.max(lowest, x);
    let offset = scale_offset(lane.width());
    let (n, r) = reduce(lane, x, x, offset);
    let e = exp_reduced(lane, r);
    scale(lane, e, n.bits)
}

/// e^x where that is a normal number.
pub(super) fn exp_normal<L: Lane>(lane: &mut L, x: L::F) -> L::F {
    let offset = lane.width().bias();
    let (n, r) = reduce(lane, x, x, offset);
    let e = exp_reduced(lane, r);
    let power = power_of_two(lane, n.bits);
    lane.mul(e, power)
}

/// e^x - 1. For |x| < 1/2 the polynomial alone, which spares the cancellation that n = ±1 would bring.
pub fn expm1<L: Lane>(lane: &mut L, x: L::F) -> L::F {
    let (highest, lowest) = (lane.pick(89.0, 710.0), lane.pick(-18.0, -38.0));
    let (half, zero) = (lane.float(0.5), lane.float(0.0));
    let magnitude = lane.abs(x);
    let near = lane.lt(magnitude, half);
    let is_zero = lane.eq(x, zero);
    let bounded = lane.min(highest, x);
    let bounded = lane.max(lowest, bounded);
    let source = lane.select(near, zero, bounded);
    // Half of 2^n, since 2^n itself may overflow where the result does not.
    let offset = lane.width().bias() - 1;
    let (n, r) = reduce(lane, bounded, source, offset);
    let power = power_of_two(lane, n.bits);
    let q = lane.polynomial(&EXPM1, r);
    let square = lane.mul(r, r);
    let reduced = lane.fma(square, q, r);
    let rest = lane.sub(power, half);
    let far = lane.fma(power, reduced, rest);
    let far = lane.add(far, far);
    let result = lane.select(near, reduced, far);
    lane.select(is_zero, x, result)
}

/// A sum and, in double precision, what rounding took from it.
struct Sum<L: Lane> {
    rounded: L::F,
    lost: L::F,
}

/// a·b + c for |c| ≥ |a·b|.
fn product_plus<L: Lane>(lane: &mut L, a: L::F, b: L::F, c: L::F) -> Sum<L> {
    let rounded = lane.fma(a, b, c);
    let lost = match lane.width() {
        Width::Single => lane.float(0.0),
        Width::Double => {
            let part = lane.sub(c, rounded);
            lane.fma(a, b, part)
        }
    };
    Sum { rounded, lost }
}

/// The quotient of two sums; in double precision of what they stood for, to keep the result within two units.
fn divide<L: Lane>(lane: &mut L, a: Sum<L>, b: Sum<L>) -> L::F {
    match lane.width() {
        Width::Single => lane.div(a.rounded, b.rounded),
        Width::Double => {
            let one = lane.float(1.0);
            let reciprocal = lane.div(one, b.rounded);
            let quotient = lane.mul(a.rounded, reciprocal);
            let minus_quotient = lane.neg(quotient);
            let remainder = lane.fma(minus_quotient, b.rounded, a.rounded);
            let remainder = lane.fma(minus_quotient, b.lost, remainder);
            let remainder = lane.add(remainder, a.lost);
            lane.fma(remainder, reciprocal, quotient)
        }
    }
}

/// tanh |x| = -d / (d + 2) with d = e^(-2|x|) - 1.
pub fn tanh<L: Lane>(lane: &mut L, x: L::F) -> L::F {
    // From here on the result rounds to one.
    let saturated = lane.pick(10.0, 20.0);
    let (one, minus_two) = (lane.float(1.0), lane.float(-2.0));
    let magnitude = lane.abs(x);
    let magnitude = lane.min(saturated, magnitude);
    let exponent = lane.mul(magnitude, minus_two);
    let offset = lane.width().bias();
    let (n, r) = reduce(lane, exponent, exponent, offset);
    let power = power_of_two(lane, n.bits);
    let q = lane.polynomial(&EXP, r);
    let square = lane.mul(r, r);
    let reduced = lane.fma(square, q, r);
    // d and d + 2 each from exact parts, so that their roundings do not add up.
    let rest = lane.sub(power, one);
    let d = product_plus(lane, power, reduced, rest);
    let rest = lane.add(power, one);
    let divisor = product_plus(lane, power, reduced, rest);
    let quotient = divide(lane, d, divisor);
    let quotient = lane.abs(quotient);
    lane.with_sign_of(quotient, x)
}

/// 1 / (1 + e^-x), from e^-|x| so that nothing overflows and small results keep their digits.
pub fn sigmoid<L: Lane>(lane: &mut L, x: L::F) -> L::F {
    let (zero, one) = (lane.float(0.0), lane.float(1.0));
    let magnitude = lane.abs(x);
    let exponent = lane.neg(magnitude);
    let e = exp_not_high(lane, exponent);
    let negative = lane.lt(x, zero);
    let numerator = lane.select(negative, e, one);
    let divisor = product_plus(lane, e, one, one);
    divide(lane, Sum { rounded: numerator, lost: zero }, divisor)
}
