//! pow: 2^(y·log2 |x|) with log2 |x| and the product carried in two parts, then the cases IEEE 754 singles out.
//!
//! Input: any two floats. Output: within the bounds of the table in `scalar`. Invariant: a pair (high, low) holds about
//! twice a float's digits, so the exponent's absolute error stays below half a unit of the result's last place.

use super::exponential::{Nearest, nearest, scale, scale_offset};
use super::lane::{Lane, Polynomial, Width};
use super::logarithm::{Split, split_positive};

/// P with log2((1 + s)/(1 - s)) = s·(C1 + z·(C3 + z·P(z))), z = s² ≤ 0.02944, C1 = 2·log2 e, C3 = C1/3; error relative
/// to the logarithm 2^-36.8 and 2^-66.3.
const LOG2: Polynomial = Polynomial {
    single: &[0.33781976, 0.41184995, 0.5770802],
    double: &[
        0.19037913417550673,
        0.19125586891474325,
        0.22198396598005968,
        0.2623077018473896,
        0.32059890226491994,
        0.41219858309199076,
        0.5770780163556178,
    ],
};

/// q with 2^r = 1 + r·q(r) on |r| ≤ 0.501; errors 2^-27.5 and 2^-59.1.
const EXP2: Polynomial = Polynomial {
    single: &[0.00015811583, 0.0013418101, 0.009617069, 0.055502728, 0.24022655, 0.69314724],
    double: &[
        2.7857984975374683e-11,
        4.4679105258083845e-10,
        7.05343415929296e-09,
        1.0177964929660677e-07,
        1.3215490424007387e-06,
        1.525273410028035e-05,
        0.00015403530389527113,
        0.0013333558146085265,
        0.009618129107630097,
        0.055504108664823255,
        0.2402265069591007,
        std::f64::consts::LN_2,
    ],
};

/// A number as the unevaluated sum of two floats.
struct Pair<L: Lane> {
    high: L::F,
    low: L::F,
}

/// a + b exactly, for |a| ≥ |b| or a = 0.
fn ordered_sum<L: Lane>(lane: &mut L, a: L::F, b: L::F) -> Pair<L> {
    let high = lane.add(a, b);
    let rounded = lane.sub(high, a);
    let low = lane.sub(b, rounded);
    Pair { high, low }
}

/// a·b exactly, unless the low part is subnormal.
fn product<L: Lane>(lane: &mut L, a: L::F, b: L::F) -> Pair<L> {
    let high = lane.mul(a, b);
    let minus_high = lane.neg(high);
    let low = lane.fma(a, b, minus_high);
    Pair { high, low }
}

/// log2 of a positive finite number.
fn log2<L: Lane>(lane: &mut L, x: L::F) -> Pair<L> {
    let Split { e, f, .. } = split_positive(lane, x);
    let (one, two) = (lane.float(1.0), lane.float(2.0));
    // s = f / (2 + f), with the remainder of the division in the low part.
    let divisor = ordered_sum(lane, two, f);
    let reciprocal = lane.div(one, divisor.high);
    let s = lane.mul(f, reciprocal);
    let minus_s = lane.neg(s);
    let remainder = lane.fma(minus_s, divisor.high, f);
    let remainder = lane.fma(minus_s, divisor.low, remainder);
    let s_low = lane.mul(remainder, reciprocal);
    // z = s².
    let z = product(lane, s, s);
    let twice_s = lane.add(s, s);
    let z_low = lane.fma(twice_s, s_low, z.low);
    // C3 + z·P(z).
    let p = lane.polynomial(&LOG2, z.high);
    let c3 = lane.pick(0.9617967, 0.9617966939259756);
    let c3_low = lane.pick(-7.028462e-9, 5.0577616648125907e-17);
    let p = lane.fma(z.high, p, c3_low);
    let inner = ordered_sum(lane, c3, p);
    // C1 + z·inner.
    let c1 = lane.pick(2.88539, 2.8853900817779268);
    let c1_low = lane.pick(3.851926e-8, 4.0710547481862066e-17);
    let term = product(lane, z.high, inner.high);
    let term_low = lane.fma(z.high, inner.low, term.low);
    let term_low = lane.fma(z_low, inner.high, term_low);
    let term_low = lane.add(term_low, c1_low);
    let outer = ordered_sum(lane, c1, term.high);
    let outer_low = lane.add(outer.low, term_low);
    // e + s·outer.
    let fraction = product(lane, s, outer.high);
    let fraction_low = lane.fma(s, outer_low, fraction.low);
    let fraction_low = lane.fma(s_low, outer.high, fraction_low);
    let sum = ordered_sum(lane, e, fraction.high);
    let low = lane.add(sum.low, fraction_low);
    Pair { high: sum.high, low }
}

/// 2^(y·log) rounded once, with overflow and underflow.
fn exp2_product<L: Lane>(lane: &mut L, y: L::F, log: Pair<L>) -> L::F {
    // A larger y changes nothing: the smallest nonzero logarithm already takes the result out of range.
    let y_limit = (1_u128 << if lane.width() == Width::Single { 40 } else { 70 }) as f64;
    let (highest, lowest) = (lane.float(y_limit), lane.float(-y_limit));
    let y = lane.min(highest, y);
    let y = lane.max(lowest, y);
    let v = product(lane, y, log.high);
    let v_low = lane.fma(y, log.low, v.low);
    let (zero, one) = (lane.float(0.0), lane.float(1.0));
    let (limit, minus_limit) = (lane.pick(200.0, 1500.0), lane.pick(-200.0, -1500.0));
    let magnitude = lane.abs(v.high);
    let inside = lane.lt(magnitude, limit);
    let v_low = lane.select(inside, v_low, zero);
    let bounded = lane.min(limit, v.high);
    let bounded = lane.max(minus_limit, bounded);
    let offset = scale_offset(lane.width());
    let Nearest { bits, value: n } = nearest(lane, bounded, one, offset);
    let r = lane.sub(bounded, n);
    let r = lane.add(r, v_low);
    let q = lane.polynomial(&EXP2, r);
    let power = lane.fma(r, q, one);
    scale(lane, power, bits)
}

/// x^y as IEEE 754 `pow`: x^0 = 1 and 1^y = 1 even for NaN, (-1)^±∞ = 1, a negative x to an integer y keeps or loses its
/// sign with y's parity, and to any other finite y is NaN.
pub fn pow<L: Lane>(lane: &mut L, x: L::F, y: L::F) -> L::F {
    let (zero, one, half) = (lane.float(0.0), lane.float(1.0), lane.float(0.5));
    let (infinity, minus_infinity) = (lane.float(f64::INFINITY), lane.float(f64::NEG_INFINITY));
    let magnitude = lane.abs(x);
    let log = log2(lane, magnitude);
    let result = exp2_product(lane, y, log);

    // |x| is 0 or ∞: the result is the other one where the sign of y says so.
    let x_zero = lane.eq(magnitude, zero);
    let x_infinite = lane.eq(magnitude, infinity);
    let minus_y = lane.neg(y);
    let direction = lane.select(x_zero, minus_y, y);
    let grows = lane.lt(zero, direction);
    let limit = lane.select(grows, infinity, zero);
    let at_limit = lane.or(x_zero, x_infinite);
    let result = lane.select(at_limit, limit, result);

    let floor = lane.floor(y);
    let y_integer = lane.eq(floor, y);
    let halved = lane.mul(y, half);
    let floor = lane.floor(halved);
    let y_even = lane.eq(floor, halved);
    let y_not_even = lane.not(y_even);
    let y_odd = lane.and(y_integer, y_not_even);
    let signed = lane.with_sign_of(result, x);
    let result = lane.select(y_odd, signed, result);

    let negative = lane.lt(x, zero);
    let bounded = lane.lt(minus_infinity, x);
    let negative = lane.and(negative, bounded);
    let y_fractional = lane.not(y_integer);
    let invalid = lane.and(negative, y_fractional);
    let nan = lane.float(f64::NAN);
    let result = lane.select(invalid, nan, result);

    let x_number = lane.eq(x, x);
    let y_number = lane.eq(y, y);
    let numbers = lane.and(x_number, y_number);
    let result = lane.select(numbers, result, nan);

    let x_one = lane.eq(x, one);
    let y_zero = lane.eq(y, zero);
    let always_one = lane.or(x_one, y_zero);
    lane.select(always_one, one, result)
}
