//! sin and cos: x = n·π/2 + r with |r| ≤ π/4, a polynomial for each of sin r and cos r, one of them selected.
//!
//! Input: any float. Output: within the bounds of the table in `scalar` while n stays below 2^(p-2) (|x| < 3·10^6 in
//! single, 1.5·10^15 in double). Beyond that a float's neighbours are so far apart in phase that no use is known for
//! the exact value, and the result is that of x = 0; it is NaN for an infinity. Invariant: the first step of the
//! reduction is exact, since the product is not rounded by itself.

use super::exponential::{Nearest, nearest};
use super::lane::{Lane, Polynomial};

/// (sin(r)/r - 1)/r² in r²; error relative to sin 2^-27.8 and 2^-63.2.
const SIN: Polynomial = Polynomial {
    single: &[-0.00019507884, 0.008332106, -0.16666654],
    double: &[
        -7.389728428662295e-13,
        1.6054315345678015e-10,
        -2.505207094090952e-08,
        2.755731907401406e-06,
        -0.0001984126984096248,
        0.008333333333333042,
        -0.16666666666666666,
    ],
};

/// (cos(r) - 1 + r²/2)/r⁴ in r²; error relative to cos 2^-33.0 and 2^-63.8.
const COS: Polynomial = Polynomial {
    single: &[2.4432102e-05, -0.0013887308, 0.041666646],
    double: &[
        -1.1357343322803311e-11,
        2.0875678166838737e-09,
        -2.755731401542976e-07,
        2.4801587288295705e-05,
        -0.0013888888888872186,
        0.04166666666666659,
    ],
};

/// sin(x + quarter·π/2).
fn wave<L: Lane>(lane: &mut L, x: L::F, quarter: i64) -> L::F {
    let width = lane.width();
    let limit = lane.float(width.unit_spacing() * (0.25 * std::f64::consts::FRAC_PI_2 * 0.9));
    let magnitude = lane.abs(x);
    let reducible = lane.lt(magnitude, limit);
    let zero_or_nan = lane.sub(x, x);
    let x = lane.select(reducible, x, zero_or_nan);

    let two_over_pi = lane.float(std::f64::consts::FRAC_2_PI);
    let Nearest { bits, value: n } = nearest(lane, x, two_over_pi, quarter);
    let high = lane.pick(-std::f32::consts::FRAC_PI_2, -std::f64::consts::FRAC_PI_2);
    let middle = lane.pick(4.371139e-8, -6.123233995736766e-17);
    let low = lane.pick(1.7151245e-15, 1.4973849048591698e-33);
    let r = lane.fma(n, high, x);
    let r = lane.fma(n, middle, r);
    let r = lane.fma(n, low, r);

    let square = lane.mul(r, r);
    let s = lane.polynomial(&SIN, square);
    let cube = lane.mul(square, r);
    let sin = lane.fma(cube, s, r);
    let c = lane.polynomial(&COS, square);
    let (minus_half, one) = (lane.float(-0.5), lane.float(1.0));
    let c = lane.fma(c, square, minus_half);
    let cos = lane.fma(c, square, one);

    let (int_zero, int_one, int_two) = (lane.int(0), lane.int(1), lane.int(2));
    let odd = lane.int_and(bits, int_one);
    let even = lane.int_eq(odd, int_zero);
    let value = lane.select(even, sin, cos);
    let half_turn = lane.int_and(bits, int_two);
    // Bit 1 moves to the place of the sign.
    let sign = lane.shift_left(half_turn, width.sign_bit().trailing_zeros() - 1);
    let value = lane.to_bits(value);
    let signed = lane.int_xor(value, sign);
    lane.from_bits(signed)
}

/// The sine of x radians.
pub fn sin<L: Lane>(lane: &mut L, x: L::F) -> L::F {
    let result = wave(lane, x, 0);
    // The reduction loses the sign of zero.
    let zero = lane.float(0.0);
    let is_zero = lane.eq(x, zero);
    lane.select(is_zero, x, result)
}

/// The cosine of x radians.
pub fn cos<L: Lane>(lane: &mut L, x: L::F) -> L::F {
    wave(lane, x, 1)
}
