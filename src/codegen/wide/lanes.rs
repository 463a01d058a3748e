//! The executors of scalar sequences and of random words that append wide instructions.
//!
//! Input: vectors. Output: vectors; outcomes of comparisons are -1 or 0 in every lane. Invariant: each operation is the
//! exactly rounded one that `Lane` names, so bits agree with the host's.

use super::Simd;
use super::code::{Code, Inst, V};
use super::operation::{Binary, Unary};
use crate::scalar::random::Words;
use crate::scalar::{Lane, Width};

pub struct Lanes<'a> {
    pub code: &'a mut Code,
}

impl Lane for Lanes<'_> {
    type F = V;
    type I = V;
    type M = V;

    fn width(&self) -> Width {
        self.code.width
    }

    fn float(&mut self, value: f64) -> V {
        let bits = match self.code.width {
            Width::Single => u64::from((value as f32).to_bits()),
            Width::Double => value.to_bits(),
        };
        self.code.splat(bits)
    }

    fn int(&mut self, value: i64) -> V {
        self.code.splat(value as u64)
    }

    fn add(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::Add, a, b)
    }

    fn sub(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::Sub, a, b)
    }

    fn mul(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::Mul, a, b)
    }

    fn div(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::Div, a, b)
    }

    fn fma(&mut self, a: V, b: V, c: V) -> V {
        let to = self.code.vector();
        self.code.push(Inst::Fma(to, a, b, c));
        to
    }

    fn sqrt(&mut self, a: V) -> V {
        self.code.unary(Unary::Sqrt, a)
    }

    fn floor(&mut self, a: V) -> V {
        self.code.unary(Unary::Floor, a)
    }

    fn neg(&mut self, a: V) -> V {
        let sign = self.int(self.code.width.sign_bit());
        self.code.binary(Binary::Xor, a, sign)
    }

    fn abs(&mut self, a: V) -> V {
        let rest = self.int(!self.code.width.sign_bit());
        self.code.binary(Binary::And, a, rest)
    }

    fn lt(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::Less, a, b)
    }

    fn le(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::LessEqual, a, b)
    }

    fn eq(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::Equal, a, b)
    }

    fn int_eq(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::IntEqual, a, b)
    }

    fn and(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::And, a, b)
    }

    fn or(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::Or, a, b)
    }

    fn not(&mut self, a: V) -> V {
        let ones = self.int(-1);
        self.code.binary(Binary::Xor, a, ones)
    }

    fn select(&mut self, mask: V, a: V, b: V) -> V {
        self.code.select(mask, a, b)
    }

    fn to_bits(&mut self, a: V) -> V {
        a
    }

    fn from_bits(&mut self, a: V) -> V {
        a
    }

    fn int_add(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::IntAdd, a, b)
    }

    fn int_sub(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::IntSub, a, b)
    }

    fn int_and(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::And, a, b)
    }

    fn int_or(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::Or, a, b)
    }

    fn int_xor(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::Xor, a, b)
    }

    fn shift_left(&mut self, a: V, by: u32) -> V {
        self.code.shift(true, a, by)
    }

    fn shift_right(&mut self, a: V, by: u32) -> V {
        self.code.shift(false, a, by)
    }

    fn min(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::Min, a, b)
    }

    fn max(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::Max, a, b)
    }
}

impl Words for Lanes<'_> {
    type W = V;

    fn word(&mut self, value: u32) -> V {
        self.code.splat_word(value)
    }

    fn add(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::WordAdd, a, b)
    }

    fn xor(&mut self, a: V, b: V) -> V {
        self.code.binary(Binary::Xor, a, b)
    }

    fn rotate_left(&mut self, a: V, by: u32) -> V {
        if self.code.simd == Simd::Avx512 {
            let to = self.code.vector();
            self.code.push(Inst::Rotate { to, from: a, by });
            return to;
        }
        let [high, low] = [(true, by), (false, 32 - by)].map(|(left, by)| {
            let to = self.code.vector();
            self.code.push(Inst::Shift { left, to, from: a, by, words: true });
            to
        });
        self.code.binary(Binary::Or, high, low)
    }
}
