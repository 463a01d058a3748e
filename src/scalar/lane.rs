//! What executes a sequence of scalar steps: the host's own arithmetic, or an emitter that appends vector instructions.
//!
//! Input: values of the executor's own types. Output: the same. Invariant: every operation is exactly rounded
//! (IEEE 754, nearest even, subnormals kept), so two executors that run one sequence agree bit for bit; only the payload
//! and the sign of a NaN are left open. Each operation is one or two instructions on 128-bit x86-64-v3 vectors, for
//! which reason there is no conversion between integers and floats: sequences add a large constant instead.

/// The floating-point format of a lane; its integers have the same number of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// binary32 beside 32-bit integers.
    Single,
    /// binary64 beside 64-bit integers.
    Double,
}

impl Width {
    /// Bytes of a number.
    pub const fn bytes(self) -> usize {
        match self {
            Width::Single => 4,
            Width::Double => 8,
        }
    }

    /// Stored bits of the significand.
    pub const fn fraction_bits(self) -> u32 {
        match self {
            Width::Single => 23,
            Width::Double => 52,
        }
    }

    /// What is added to an exponent before it is stored.
    pub const fn bias(self) -> i64 {
        match self {
            Width::Single => 127,
            Width::Double => 1023,
        }
    }

    /// The bit that holds the sign.
    pub const fn sign_bit(self) -> i64 {
        match self {
            Width::Single => 1 << 31,
            Width::Double => i64::MIN,
        }
    }

    /// The smallest positive normal number.
    pub const fn smallest_normal(self) -> f64 {
        match self {
            Width::Single => f32::MIN_POSITIVE as f64,
            Width::Double => f64::MIN_POSITIVE,
        }
    }

    /// 2^`fraction_bits`: from here on the spacing of numbers is one.
    pub const fn unit_spacing(self) -> f64 {
        (1_u64 << self.fraction_bits()) as f64
    }
}

/// Coefficients for both widths, highest power first.
pub struct Polynomial {
    pub single: &'static [f32],
    pub double: &'static [f64],
}

/// An executor of scalar steps. Methods take `&mut self` so that an emitter can append instructions.
pub trait Lane {
    /// A float, or a vector of floats.
    type F: Copy;
    /// Integers of the same width, without sign: arithmetic wraps.
    type I: Copy;
    /// Outcomes of comparisons.
    type M: Copy;

    fn width(&self) -> Width;
    /// The constant rounded to the lane's width.
    fn float(&mut self, value: f64) -> Self::F;
    /// The low bits of the constant.
    fn int(&mut self, value: i64) -> Self::I;

    fn add(&mut self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(&mut self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(&mut self, a: Self::F, b: Self::F) -> Self::F;
    fn div(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// a·b + c, rounded once.
    fn fma(&mut self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    fn sqrt(&mut self, a: Self::F) -> Self::F;
    /// The largest integer not above `a`; keeps -0, infinities and NaN.
    fn floor(&mut self, a: Self::F) -> Self::F;
    /// Flips the sign bit, also of NaN.
    fn neg(&mut self, a: Self::F) -> Self::F;
    /// Clears the sign bit, also of NaN.
    fn abs(&mut self, a: Self::F) -> Self::F;

    /// a < b; false when either is NaN.
    fn lt(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// a ≤ b; false when either is NaN.
    fn le(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// a = b; false when either is NaN; the two zeros are equal.
    fn eq(&mut self, a: Self::F, b: Self::F) -> Self::M;
    fn int_eq(&mut self, a: Self::I, b: Self::I) -> Self::M;
    fn and(&mut self, a: Self::M, b: Self::M) -> Self::M;
    fn or(&mut self, a: Self::M, b: Self::M) -> Self::M;
    fn not(&mut self, a: Self::M) -> Self::M;
    /// `a` where the mask holds, `b` elsewhere.
    fn select(&mut self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F;

    /// The same bits as an integer.
    fn to_bits(&mut self, a: Self::F) -> Self::I;
    /// The float that has these bits.
    #[expect(clippy::wrong_self_convention, reason = "`self` executes, it is not converted")]
    fn from_bits(&mut self, a: Self::I) -> Self::F;
    fn int_add(&mut self, a: Self::I, b: Self::I) -> Self::I;
    fn int_sub(&mut self, a: Self::I, b: Self::I) -> Self::I;
    fn int_and(&mut self, a: Self::I, b: Self::I) -> Self::I;
    fn int_or(&mut self, a: Self::I, b: Self::I) -> Self::I;
    fn int_xor(&mut self, a: Self::I, b: Self::I) -> Self::I;
    fn shift_left(&mut self, a: Self::I, by: u32) -> Self::I;
    /// Zeros come in from above.
    fn shift_right(&mut self, a: Self::I, by: u32) -> Self::I;

    /// `a` if a < b, else `b`: so `b` when either is NaN. One instruction on x86-64.
    fn min(&mut self, a: Self::F, b: Self::F) -> Self::F {
        let less = self.lt(a, b);
        self.select(less, a, b)
    }

    /// `a` if a > b, else `b`: so `b` when either is NaN. One instruction on x86-64.
    fn max(&mut self, a: Self::F, b: Self::F) -> Self::F {
        let greater = self.lt(b, a);
        self.select(greater, a, b)
    }

    /// A constant whose value depends on the width.
    fn pick(&mut self, single: f32, double: f64) -> Self::F {
        match self.width() {
            Width::Single => self.float(f64::from(single)),
            Width::Double => self.float(double),
        }
    }

    /// Horner's rule with one rounding a step.
    fn polynomial(&mut self, polynomial: &Polynomial, x: Self::F) -> Self::F {
        let width = self.width();
        let count = match width {
            Width::Single => polynomial.single.len(),
            Width::Double => polynomial.double.len(),
        };
        let mut sum = None;
        for k in 0..count {
            let coefficient = match width {
                Width::Single => self.float(f64::from(polynomial.single[k])),
                Width::Double => self.float(polynomial.double[k]),
            };
            sum = Some(match sum {
                None => coefficient,
                Some(sum) => self.fma(sum, x, coefficient),
            });
        }
        match sum {
            Some(sum) => sum,
            None => self.float(0.0),
        }
    }

    /// The magnitude of `a`, whose sign bit must be clear, with the sign of `x`.
    fn with_sign_of(&mut self, a: Self::F, x: Self::F) -> Self::F {
        let mask = self.int(self.width().sign_bit());
        let x = self.to_bits(x);
        let sign = self.int_and(x, mask);
        let a = self.to_bits(a);
        let signed = self.int_or(a, sign);
        self.from_bits(signed)
    }
}
