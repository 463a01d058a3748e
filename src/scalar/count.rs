//! How many steps a sequence has, by carrying it out and counting.
//!
//! Input: a function and a width. Output: the operations an executor carries out for one value.

use super::{Function, Lane, Width, emit, pow};

/// An executor that counts; constants and reinterpretations of bits cost nothing in a loop.
struct Counter {
    width: Width,
    steps: u64,
}

impl Counter {
    fn step(&mut self) {
        self.steps += 1;
    }
}

macro_rules! counted {
    ($($name:ident($($argument:ident),*);)*) => {
        $(fn $name(&mut self, $($argument: ()),*) { let _ = ($($argument,)*); self.step(); })*
    };
}

impl Lane for Counter {
    type F = ();
    type I = ();
    type M = ();

    fn width(&self) -> Width {
        self.width
    }
    fn float(&mut self, _: f64) {}
    fn int(&mut self, _: i64) {}
    fn to_bits(&mut self, _: ()) {}
    fn from_bits(&mut self, _: ()) {}
    fn shift_left(&mut self, _: (), _: u32) {
        self.step();
    }
    fn shift_right(&mut self, _: (), _: u32) {
        self.step();
    }
    fn min(&mut self, _: (), _: ()) {
        self.step();
    }
    fn max(&mut self, _: (), _: ()) {
        self.step();
    }
    counted! {
        add(a, b); sub(a, b); mul(a, b); div(a, b); fma(a, b, c); sqrt(a); floor(a); neg(a); abs(a);
        lt(a, b); le(a, b); eq(a, b); int_eq(a, b); and(a, b); or(a, b); not(a); select(m, a, b);
        int_add(a, b); int_sub(a, b); int_and(a, b); int_or(a, b); int_xor(a, b);
    }
}

impl Function {
    /// The steps of the function's sequence.
    pub fn steps(self, width: Width) -> u64 {
        let mut counter = Counter { width, steps: 0 };
        emit(self, &mut counter, ());
        counter.steps
    }
}

/// The steps of [`pow`].
pub fn pow_steps(width: Width) -> u64 {
    let mut counter = Counter { width, steps: 0 };
    pow(&mut counter, (), ());
    counter.steps
}
