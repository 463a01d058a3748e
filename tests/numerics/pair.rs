//! Arithmetic on numbers kept as the unevaluated sum of two f64, and the functions tested against it: about 2^-95 relative
//! for exp and its kin, 2^-75 for erf. Meant to be obviously right, not fast.

/// high + low with |low| at most half a unit of high.
pub type Pair = (f64, f64);

const TWO_OVER_ROOT_PI: Pair = (std::f64::consts::FRAC_2_SQRT_PI, 1.533545961316588e-17);

fn ordered_sum(high: f64, low: f64) -> Pair {
    let sum = high + low;
    (sum, low - (sum - high))
}

fn pair_sum(a: Pair, b: Pair) -> Pair {
    let high = a.0 + b.0;
    let part = high - a.0;
    ordered_sum(high, (a.0 - (high - part)) + (b.0 - part) + a.1 + b.1)
}

fn pair_product(a: Pair, b: Pair) -> Pair {
    let high = a.0 * b.0;
    ordered_sum(high, a.0.mul_add(b.0, -high) + (a.0 * b.1 + a.1 * b.0))
}

fn pair_quotient(a: Pair, b: f64) -> Pair {
    let high = a.0 / b;
    ordered_sum(high, ((-high).mul_add(b, a.0) + a.1) / b)
}

fn scaled(a: Pair, factor: f64) -> Pair {
    (a.0 * factor, a.1 * factor)
}

const LN_2: [f64; 3] = [std::f64::consts::LN_2, 2.3190468138462996e-17, 5.707708438416212e-34];

/// e^x as 2^n·(1 + m).
fn exp_parts(x: Pair) -> (f64, Pair) {
    let n = (x.0 / LN_2[0]).round();
    let mut r = x;
    for part in LN_2 {
        r = pair_sum(r, pair_product((-n, 0.0), (part, 0.0)));
    }
    // e^r - 1 from e^(r/64) - 1, since e^(2a) - 1 = m·(m + 2).
    let r = scaled(r, 1.0 / 64.0);
    let mut sum = (0.0, 0.0);
    for k in (1..=14).rev() {
        sum = pair_quotient(pair_product(r, pair_sum((1.0, 0.0), sum)), f64::from(k));
    }
    for _ in 0..6 {
        sum = pair_product(sum, pair_sum(sum, (2.0, 0.0)));
    }
    (n, sum)
}

/// For results that are normal numbers.
pub fn exp(x: Pair) -> Pair {
    let (n, m) = exp_parts(x);
    let half = 2f64.powi((n / 2.0) as i32);
    scaled(scaled(pair_sum((1.0, 0.0), m), half), 2f64.powi(n as i32 - (n / 2.0) as i32))
}

pub fn expm1(x: Pair) -> Pair {
    let (n, m) = exp_parts(x);
    if n == 0.0 { m } else { pair_sum(exp(x), (-1.0, 0.0)) }
}

/// log(1 + x) by a step of Newton's method.
pub fn log1p(x: Pair) -> Pair {
    let guess = (x.0.ln_1p(), 0.0);
    let excess = expm1(guess);
    let difference = pair_sum(x, (-excess.0, -excess.1));
    pair_sum(guess, (difference.0 / (1.0 + excess.0), 0.0))
}

/// For normal x.
pub fn log(x: f64) -> Pair {
    let guess = x.ln();
    let ratio = pair_product((x, 0.0), exp((-guess, 0.0)));
    pair_sum((guess, 0.0), pair_sum(ratio, (-1.0, 0.0)))
}

fn ratio(a: Pair, b: Pair) -> Pair {
    let high = a.0 / b.0;
    let remainder = pair_sum(a, pair_product((-high, 0.0), b));
    ordered_sum(high, remainder.0 / b.0)
}

pub fn tanh(x: f64) -> Pair {
    let m = expm1((2.0 * x, 0.0));
    ratio(m, pair_sum(m, (2.0, 0.0)))
}

pub fn sigmoid(x: f64) -> Pair {
    let e = exp((x, 0.0));
    ratio(e, pair_sum(e, (1.0, 0.0)))
}

pub fn softplus(x: f64) -> Pair {
    if x > 0.0 { pair_sum((x, 0.0), log1p(exp((-x, 0.0)))) } else { log1p(exp((x, 0.0))) }
}

/// erf to about 2^-75: the alternating series in pairs, then the continued fraction of erfc.
pub fn erf(x: f64) -> Pair {
    let magnitude = x.abs();
    if x.is_nan() || magnitude < 1e-280 {
        // The error of a product this small is not representable.
        return (x * TWO_OVER_ROOT_PI.0, 0.0);
    }
    if magnitude < 1e-9 {
        return pair_product((x, 0.0), TWO_OVER_ROOT_PI);
    }
    let positive = if magnitude < 2.5 {
        let square = pair_product((magnitude, 0.0), (magnitude, 0.0));
        let mut power = (magnitude, 0.0);
        let mut sum = power;
        for n in 1..80 {
            power = pair_quotient(pair_product(power, (-square.0, -square.1)), f64::from(n));
            sum = pair_sum(sum, pair_quotient(power, f64::from(2 * n + 1)));
            if power.0.abs() < 1e-34 * magnitude {
                break;
            }
        }
        pair_product(sum, TWO_OVER_ROOT_PI)
    } else if magnitude > 7.0 {
        (1.0, 0.0)
    } else {
        let mut fraction = magnitude;
        for k in (1..120).rev() {
            fraction = magnitude + 0.5 * f64::from(k) / fraction;
        }
        let erfc = (-magnitude * magnitude).exp() / fraction * (0.5 * TWO_OVER_ROOT_PI.0);
        pair_sum((1.0, 0.0), (-erfc, 0.0))
    };
    if x < 0.0 { (-positive.0, -positive.1) } else { positive }
}
