//! Scalar functions as sequences of exactly rounded steps, written once and run by any executor.
//!
//! Input: a [`Function`] (or [`pow`]) and an executor, the [`Lane`]. Output: the function's value, or the instructions
//! that compute it. Invariant: no branch and no table depends on a value, so the host, which runs a sequence on one
//! number, and an emitter, which runs it on a vector, give the same bits.
//!
//! Largest error in units of the last place, and steps of each sequence (`tests/numerics.rs` and `tests.rs` here hold both).
//! Single: over all 2^32 inputs (pow: 2^32 pairs; sin and cos: a sample of |x| < 10^4, while over all |x| < 2.9·10^6 they
//! reach 2.44 and 2.62). Double: over some 10^5 inputs against arithmetic of 240 bits.
//!
//! | function | single | double | steps single | steps double |
//! |----------|-------:|-------:|-------------:|-------------:|
//! | exp      | 0.92   | 0.84   | 18           | 24           |
//! | expm1    | 1.44   | 1.12   | 23           | 29           |
//! | log      | 0.89   | 0.76   | 35           | 38           |
//! | log1p    | 1.01   | 0.83   | 47           | 50           |
//! | tanh     | 1.91   | 1.50   | 22           | 38           |
//! | sigmoid  | 2.41   | 1.34   | 23           | 37           |
//! | softplus | 1.85   | 1.49   | 31           | 71           |
//! | erf      | 1.09   | 1.09   | 33           | 58           |
//! | sin      | 1.40   | 1.39   | 26           | 33           |
//! | cos      | 1.37   | 1.46   | 24           | 31           |
//! | pow      | 0.95   | 0.94   | 110          | 120          |
//!
//! sqrt, floor and sign are exactly rounded. All are exact at zeros (with their sign), infinities and NaN; subnormal
//! numbers are neither flushed on the way in nor on the way out.
//!
//! [`random`] holds the counter-based random words in the same manner.

pub mod lane;
pub mod host;
mod count;
pub mod exponential;
pub mod logarithm;
pub mod error_function;
pub mod trigonometric;
pub mod power;
pub mod random;

#[cfg(test)]
mod tests;

pub use count::pow_steps;
pub use lane::{Lane, Width};
pub use power::pow;

/// The functions of one variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    Exp,
    Expm1,
    Log,
    Log1p,
    Sqrt,
    Tanh,
    Sigmoid,
    Softplus,
    Erf,
    Sin,
    Cos,
    Floor,
    Sign,
}

impl Function {
    /// Every function, in order of declaration.
    pub const ALL: [Function; 13] = [
        Function::Exp,
        Function::Expm1,
        Function::Log,
        Function::Log1p,
        Function::Sqrt,
        Function::Tanh,
        Function::Sigmoid,
        Function::Softplus,
        Function::Erf,
        Function::Sin,
        Function::Cos,
        Function::Floor,
        Function::Sign,
    ];

    /// The name in the language and in text forms.
    pub const fn name(self) -> &'static str {
        match self {
            Function::Exp => "exp",
            Function::Expm1 => "expm1",
            Function::Log => "log",
            Function::Log1p => "log1p",
            Function::Sqrt => "sqrt",
            Function::Tanh => "tanh",
            Function::Sigmoid => "sigmoid",
            Function::Softplus => "softplus",
            Function::Erf => "erf",
            Function::Sin => "sin",
            Function::Cos => "cos",
            Function::Floor => "floor",
            Function::Sign => "sign",
        }
    }

    pub fn from_name(name: &str) -> Option<Function> {
        Function::ALL.into_iter().find(|function| function.name() == name)
    }

    /// The value at `x`, by the host.
    pub fn apply_f32(self, x: f32) -> f32 {
        emit(self, &mut host::F32, x)
    }

    /// The value at `x`, by the host.
    pub fn apply_f64(self, x: f64) -> f64 {
        emit(self, &mut host::F64, x)
    }
}

/// Runs the function's sequence on `lane`.
pub fn emit<L: Lane>(function: Function, lane: &mut L, x: L::F) -> L::F {
    match function {
        Function::Exp => exponential::exp(lane, x),
        Function::Expm1 => exponential::expm1(lane, x),
        Function::Log => logarithm::log(lane, x),
        Function::Log1p => logarithm::log1p(lane, x),
        Function::Sqrt => lane.sqrt(x),
        Function::Tanh => exponential::tanh(lane, x),
        Function::Sigmoid => exponential::sigmoid(lane, x),
        Function::Softplus => logarithm::softplus(lane, x),
        Function::Erf => error_function::erf(lane, x),
        Function::Sin => trigonometric::sin(lane, x),
        Function::Cos => trigonometric::cos(lane, x),
        Function::Floor => lane.floor(x),
        Function::Sign => sign(lane, x),
    }
}

/// 1 or -1 with the sign of x; x itself when it is 0, -0 or NaN.
fn sign<L: Lane>(lane: &mut L, x: L::F) -> L::F {
    let (zero, one, minus_one) = (lane.float(0.0), lane.float(1.0), lane.float(-1.0));
    let positive = lane.lt(zero, x);
    let negative = lane.lt(x, zero);
    let result = lane.select(negative, minus_one, x);
    lane.select(positive, one, result)
}

/// x^y by the host.
pub fn pow_f32(x: f32, y: f32) -> f32 {
    pow(&mut host::F32, x, y)
}

/// x^y by the host.
pub fn pow_f64(x: f64, y: f64) -> f64 {
    pow(&mut host::F64, x, y)
}
