//! The executor of scalar sequences that appends Cranelift instructions on 128-bit vectors.
//!
//! Input: vectors of four 32-bit or two 64-bit lanes. Output: the same. Invariant: each operation is the exactly rounded
//! one that `Lane` names, in every lane, so compiled code and the host executor agree bit for bit.

use crate::scalar::{Lane, Width};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{ConstantData, Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FunctionBuilder;

/// The vector types of one width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Vector {
    pub width: Width,
    pub float: Type,
    pub int: Type,
    /// Elements in a vector.
    pub lanes: usize,
    /// Bytes of one element.
    pub bytes: usize,
}

impl Vector {
    pub const fn new(width: Width) -> Vector {
        match width {
            Width::Single => Vector { width, float: types::F32X4, int: types::I32X4, lanes: 4, bytes: 4 },
            Width::Double => Vector { width, float: types::F64X2, int: types::I64X2, lanes: 2, bytes: 8 },
        }
    }
}

/// Appends instructions to the current block of a function.
pub(super) struct Lanes<'a, 'f> {
    pub builder: &'a mut FunctionBuilder<'f>,
    pub vector: Vector,
}

/// How bits are reinterpreted: lanes keep their order.
fn lane_order() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

impl Lanes<'_, '_> {
    fn constant(&mut self, ty: Type, bits: u64) -> Value {
        let bytes: Vec<u8> = bits.to_le_bytes()[..self.vector.bytes].repeat(self.vector.lanes);
        let handle = self.builder.func.dfg.constants.insert(ConstantData::from(bytes));
        self.builder.ins().vconst(ty, handle)
    }

    fn compare(&mut self, condition: FloatCC, a: Value, b: Value) -> Value {
        self.builder.ins().fcmp(condition, a, b)
    }

    /// `a` where the integer mask holds, `b` elsewhere; integers or floats.
    pub fn choose(&mut self, mask: Value, a: Value, b: Value) -> Value {
        let ty = self.builder.func.dfg.value_type(a);
        let mask = if ty == self.vector.int { mask } else { self.builder.ins().bitcast(ty, lane_order(), mask) };
        self.builder.ins().bitselect(mask, a, b)
    }

    pub fn bitcast(&mut self, ty: Type, a: Value) -> Value {
        self.builder.ins().bitcast(ty, lane_order(), a)
    }

    /// `b` where it is NaN, else `a`.
    pub fn keep_nan(&mut self, b: Value, a: Value) -> Value {
        let nan = self.compare(FloatCC::Unordered, b, b);
        self.choose(nan, b, a)
    }

    pub fn int_compare(&mut self, condition: IntCC, a: Value, b: Value) -> Value {
        self.builder.ins().icmp(condition, a, b)
    }
}

impl Lane for Lanes<'_, '_> {
    type F = Value;
    type I = Value;
    type M = Value;

    fn width(&self) -> Width {
        self.vector.width
    }

    fn float(&mut self, value: f64) -> Value {
        let bits = match self.vector.width {
            Width::Single => u64::from((value as f32).to_bits()),
            Width::Double => value.to_bits(),
        };
        self.constant(self.vector.float, bits)
    }

    fn int(&mut self, value: i64) -> Value {
        self.constant(self.vector.int, value as u64)
    }

    fn add(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().fadd(a, b)
    }

    fn sub(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().fsub(a, b)
    }

    fn mul(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().fmul(a, b)
    }

    fn div(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().fdiv(a, b)
    }

    fn fma(&mut self, a: Value, b: Value, c: Value) -> Value {
        self.builder.ins().fma(a, b, c)
    }

    fn sqrt(&mut self, a: Value) -> Value {
        self.builder.ins().sqrt(a)
    }

    fn floor(&mut self, a: Value) -> Value {
        self.builder.ins().floor(a)
    }

    fn neg(&mut self, a: Value) -> Value {
        self.builder.ins().fneg(a)
    }

    fn abs(&mut self, a: Value) -> Value {
        self.builder.ins().fabs(a)
    }

    fn lt(&mut self, a: Value, b: Value) -> Value {
        self.compare(FloatCC::LessThan, a, b)
    }

    fn le(&mut self, a: Value, b: Value) -> Value {
        self.compare(FloatCC::LessThanOrEqual, a, b)
    }

    fn eq(&mut self, a: Value, b: Value) -> Value {
        self.compare(FloatCC::Equal, a, b)
    }

    fn int_eq(&mut self, a: Value, b: Value) -> Value {
        self.int_compare(IntCC::Equal, a, b)
    }

    fn and(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().band(a, b)
    }

    fn or(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().bor(a, b)
    }

    fn not(&mut self, a: Value) -> Value {
        self.builder.ins().bnot(a)
    }

    fn select(&mut self, mask: Value, a: Value, b: Value) -> Value {
        self.choose(mask, a, b)
    }

    fn to_bits(&mut self, a: Value) -> Value {
        self.bitcast(self.vector.int, a)
    }

    fn from_bits(&mut self, a: Value) -> Value {
        self.bitcast(self.vector.float, a)
    }

    fn int_add(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().iadd(a, b)
    }

    fn int_sub(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().isub(a, b)
    }

    fn int_and(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().band(a, b)
    }

    fn int_or(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().bor(a, b)
    }

    fn int_xor(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().bxor(a, b)
    }

    fn shift_left(&mut self, a: Value, by: u32) -> Value {
        let by = self.builder.ins().iconst(types::I32, i64::from(by));
        self.builder.ins().ishl(a, by)
    }

    fn shift_right(&mut self, a: Value, by: u32) -> Value {
        let by = self.builder.ins().iconst(types::I32, i64::from(by));
        self.builder.ins().ushr(a, by)
    }
}
