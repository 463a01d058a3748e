//! The error of every scalar function, in units of the last place.
//!
//! Single precision is compared with f64 arithmetic over a sample of all 2^32 inputs, or over all of them with
//! `DLC_FULL=1`. Double precision is compared with arithmetic of twice the digits; sin, cos and pow with the standard
//! library, whose own error is below one unit.

#[path = "numerics/pair.rs"]
mod pair;

use dlc::scalar::{Function, pow_f32, pow_f64};
use pair::Pair;
use std::sync::Mutex;

/// The largest error found and where.
#[derive(Clone, Copy, Debug)]
struct Worst {
    ulps: f64,
    at: f64,
    beside: f64,
}

impl Worst {
    const NONE: Worst = Worst { ulps: 0.0, at: 0.0, beside: 0.0 };

    fn see(&mut self, ulps: f64, at: f64, beside: f64) {
        if ulps > self.ulps {
            *self = Worst { ulps, at, beside };
        }
    }
}

/// The spacing of f32 at `value`.
fn spacing_f32(value: f64) -> f64 {
    let exponent = ((value.abs().to_bits() >> 52) as i64 - 1023).clamp(-126, 127);
    f64::from_bits(((exponent - 23 + 1023) as u64) << 52)
}

/// The spacing of f64 at `value`.
fn spacing_f64(value: f64) -> f64 {
    let exponent = ((value.abs().to_bits() >> 52) as i64 - 1023).clamp(-1022, 1023) - 52;
    if exponent >= -1022 {
        f64::from_bits(((exponent + 1023) as u64) << 52)
    } else {
        f64::from_bits(1 << (exponent + 1074))
    }
}

/// Infinity counts as the power of two after the largest number.
fn error_f32(got: f32, exact: f64) -> f64 {
    if got.is_nan() || exact.is_nan() {
        return if got.is_nan() && exact.is_nan() { 0.0 } else { f64::INFINITY };
    }
    let beyond = 2f64.powi(128);
    let exact = exact.clamp(-beyond, beyond);
    let got = f64::from(got).clamp(-beyond, beyond);
    if got == exact { 0.0 } else { (got - exact).abs() / spacing_f32(exact) }
}

/// `exact` is the unevaluated sum of two floats.
fn error_f64(got: f64, exact: Pair) -> f64 {
    if got.is_nan() || exact.0.is_nan() {
        return if got.is_nan() && exact.0.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if got == exact.0 && (exact.1 == 0.0 || got.is_infinite()) {
        return 0.0;
    }
    ((got - exact.0) - exact.1).abs() / spacing_f64(exact.0)
}

/// By f64 arithmetic, within two units of f64.
fn near_exact(function: Function, x: f64) -> f64 {
    match function {
        Function::Exp => x.exp(),
        Function::Expm1 => x.exp_m1(),
        Function::Log => x.ln(),
        Function::Log1p => x.ln_1p(),
        Function::Sqrt => x.sqrt(),
        Function::Tanh => x.tanh(),
        Function::Sigmoid if x < 0.0 => x.exp() / (1.0 + x.exp()),
        Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Function::Softplus if x > 0.0 => x + (-x).exp().ln_1p(),
        Function::Softplus => x.exp().ln_1p(),
        Function::Erf => pair::erf(x).0,
        Function::Sin => x.sin(),
        Function::Cos => x.cos(),
        Function::Floor => x.floor(),
        Function::Sign if x > 0.0 => 1.0,
        Function::Sign if x < 0.0 => -1.0,
        Function::Sign => x,
    }
}

/// By pairs where the function and its intermediate results are ordinary numbers.
fn exact(function: Function, x: f64) -> Pair {
    let magnitude = x.abs();
    match function {
        Function::Erf => pair::erf(x),
        Function::Log if x > 1e-300 && x < 1e300 => pair::log(x),
        Function::Log1p if x > -1.0 && (1e-200..1e300).contains(&magnitude) => pair::log1p((x, 0.0)),
        _ if !(1e-200..640.0).contains(&magnitude) => (near_exact(function, x), 0.0),
        Function::Exp => pair::exp((x, 0.0)),
        Function::Expm1 => pair::expm1((x, 0.0)),
        Function::Tanh if magnitude < 20.0 => pair::tanh(x),
        Function::Sigmoid => pair::sigmoid(x),
        Function::Softplus => pair::softplus(x),
        _ => (near_exact(function, x), 0.0),
    }
}

/// Runs `part` over every `step`-th number below `count` on two threads and keeps the worst.
fn in_parallel(count: u64, step: u64, part: impl Fn(u64, &mut Worst) + Sync) -> Worst {
    let worst = Mutex::new(Worst::NONE);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (worst, part) = (&worst, &part);
            scope.spawn(move || {
                let mut local = Worst::NONE;
                let mut number = thread * step;
                while number < count {
                    part(number, &mut local);
                    number += 2 * step;
                }
                worst.lock().unwrap().see(local.ulps, local.at, local.beside);
            });
        }
    });
    worst.into_inner().unwrap()
}

fn full() -> bool {
    std::env::var("DLC_FULL").is_ok_and(|value| value == "1")
}

/// The trigonometric functions state a range; infinities and NaN belong to it.
fn in_range(function: Function, x: f64, limit: f64) -> bool {
    !matches!(function, Function::Sin | Function::Cos) || !x.is_finite() || x.abs() < limit
}

fn check_f32(function: Function, bound: f64) {
    let step = if full() { 1 } else { 9973 };
    let worst = in_parallel(1 << 32, step, |bits, worst| {
        let x = f32::from_bits(bits as u32);
        if in_range(function, f64::from(x), 1e4) {
            worst.see(error_f32(function.apply_f32(x), near_exact(function, f64::from(x))), f64::from(x), 0.0);
        }
    });
    println!("f32 {:8} {:.3} ulp at {:e}", function.name(), worst.ulps, worst.at);
    assert!(worst.ulps <= bound, "{}: {worst:?}", function.name());
}

/// A deterministic sequence of well mixed words.
fn mixed(index: u64) -> u64 {
    let mut z = index.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Half of the numbers have any exponent, half lie where functions bend.
fn spread_f64(index: u64) -> f64 {
    let word = mixed(index);
    if index.is_multiple_of(2) {
        f64::from_bits(word)
    } else {
        let unit = (word >> 11) as f64 / 2f64.powi(53) * 2.0 - 1.0;
        unit * [1.0, 3.0, 10.0, 40.0, 800.0, 1e5][(index / 2 % 6) as usize]
    }
}

fn check_f64(function: Function, bound: f64) {
    let count = if full() { 20_000_000 } else { 200_000 };
    let worst = in_parallel(count, 1, |index, worst| {
        let x = spread_f64(index);
        if in_range(function, x, 1e15) {
            worst.see(error_f64(function.apply_f64(x), exact(function, x)), x, 0.0);
        }
    });
    println!("f64 {:8} {:.3} ulp at {:e}", function.name(), worst.ulps, worst.at);
    assert!(worst.ulps <= bound, "{}: {worst:?}", function.name());
}

macro_rules! bounds {
    ($check:ident; $($test:ident: $function:ident <= $bound:expr;)*) => {
        $(#[test] fn $test() { $check(Function::$function, $bound); })*
    };
}

bounds! { check_f32;
    exp_f32: Exp <= 1.0;
    expm1_f32: Expm1 <= 1.5;
    log_f32: Log <= 1.0;
    log1p_f32: Log1p <= 1.5;
    sqrt_f32: Sqrt <= 0.5000001;
    tanh_f32: Tanh <= 2.5;
    sigmoid_f32: Sigmoid <= 2.5;
    softplus_f32: Softplus <= 2.0;
    erf_f32: Erf <= 2.0;
    sin_f32: Sin <= 2.0;
    cos_f32: Cos <= 2.0;
    floor_f32: Floor <= 0.0;
    sign_f32: Sign <= 0.0;
}

// Where the standard library is the reference one unit may be its own error.
bounds! { check_f64;
    exp_f64: Exp <= 2.0;
    expm1_f64: Expm1 <= 2.0;
    log_f64: Log <= 2.0;
    log1p_f64: Log1p <= 2.0;
    sqrt_f64: Sqrt <= 0.0;
    tanh_f64: Tanh <= 2.0;
    sigmoid_f64: Sigmoid <= 2.0;
    softplus_f64: Softplus <= 2.0;
    erf_f64: Erf <= 2.0;
    sin_f64: Sin <= 2.0;
    cos_f64: Cos <= 2.0;
    floor_f64: Floor <= 0.0;
    sign_f64: Sign <= 0.0;
}

#[test]
fn pow_f32_over_both_arguments() {
    let count = if full() { 1 << 32 } else { 400_000 };
    let worst = in_parallel(count, 1, |index, worst| {
        let word = mixed(index);
        let x = f32::from_bits(word as u32);
        let high = word >> 32;
        let y = match index % 4 {
            0 => f32::from_bits(high as u32),
            // Results of every magnitude: the result's logarithm is spread evenly.
            1 => ((high as f64 / 2f64.powi(31) - 1.0) * 152.0 / f64::from(x.abs()).log2()) as f32,
            2 => (high % 41) as f32 - 20.0,
            _ => (high % 41) as f32 * 0.25 - 5.0,
        };
        worst.see(error_f32(pow_f32(x, y), f64::from(x).powf(f64::from(y))), f64::from(x), f64::from(y));
    });
    println!("f32 pow      {:.3} ulp at {:e} ^ {:e}", worst.ulps, worst.at, worst.beside);
    assert!(worst.ulps <= 2.0, "{worst:?}");
}

#[test]
fn pow_f64_over_both_arguments() {
    let count = if full() { 20_000_000 } else { 200_000 };
    let worst = in_parallel(count, 1, |index, worst| {
        let x = spread_f64(index / 4 * 6 + index % 2);
        let word = mixed(index ^ 0x5555_5555_5555);
        let y = match index / 2 % 4 {
            0 => f64::from_bits(word),
            1 => ((word >> 11) as f64 / 2f64.powi(52) - 1.0) * 1080.0 / x.abs().log2(),
            2 => (word % 41) as f64 - 20.0,
            _ => (word % 41) as f64 * 0.25 - 5.0,
        };
        worst.see(error_f64(pow_f64(x, y), (x.powf(y), 0.0)), x, y);
    });
    println!("f64 pow      {:.3} ulp at {:e} ^ {:e}", worst.ulps, worst.at, worst.beside);
    assert!(worst.ulps <= 2.0, "{worst:?}");
}
