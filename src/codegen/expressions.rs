//! The value of an expression: constants, positions, loads and scalar operations on vectors.
//!
//! Invariant: each operation gives in every lane the bits that the host's arithmetic gives; `max(a, b)` is `b` if `a < b`
//! or `b` is NaN, else `a`, so that NaN stays.

use super::CodegenError;
use super::kernel::Emitter;
use crate::ir::DType;
use crate::scalar::{self, Function, Lane};
use crate::schedule::kernel::{Expr, ScalarOp, ValueId};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

impl Emitter<'_, '_> {
    /// Computes one copy of a value.
    pub fn expression(&mut self, id: ValueId, copy: usize) -> Result<Value, CodegenError> {
        let value = self.kernel.value(id);
        match &value.expr {
            Expr::Constant(number) => Ok(self.constant(value.dtype, *number)),
            Expr::Size(size) => {
                let size = self.size(size)?;
                Ok(self.number(value.dtype, size))
            }
            Expr::Position(index) if self.is_wide(value.dtype) => self.index_number(index, copy, 0),
            Expr::Position(index) => self.index_vector(index, copy),
            Expr::Load { buffer, index, guards } => self.load(*buffer, index, guards, copy),
            Expr::Within(guards) => self.within(guards, copy),
            Expr::Scalar { op, args } => self.scalar(*op, args, value.dtype, copy),
            Expr::Random { .. } => self.random(id, copy),
            Expr::Reduced => Err(CodegenError::Internal(format!("value {} is not a reduction's", id.0))),
        }
    }

    pub fn constant(&mut self, dtype: DType, number: f64) -> Value {
        if self.is_wide(dtype) {
            self.integer(number as i64)
        } else if dtype == DType::Bool {
            self.truth(number != 0.0)
        } else if dtype.is_float() {
            self.lanes().float(number)
        } else {
            self.lanes().int(number as i64)
        }
    }

    pub fn truth(&mut self, holds: bool) -> Value {
        self.lanes().int(if holds { -1 } else { 0 })
    }

    /// A 64-bit number as a uniform value of a type.
    fn number(&mut self, dtype: DType, number: Value) -> Value {
        if self.is_wide(dtype) {
            number
        } else if dtype.is_float() {
            let scalar = self.vector.float.lane_type();
            let converted = self.builder.ins().fcvt_from_sint(scalar, number);
            self.splat(self.vector.float, converted)
        } else {
            self.splat_number(number)
        }
    }

    fn scalar(&mut self, op: ScalarOp, args: &[ValueId], result: DType, copy: usize) -> Result<Value, CodegenError> {
        let mut x = [None; 3];
        for (slot, arg) in x.iter_mut().zip(args) {
            *slot = Some(self.value(*arg, copy)?);
        }
        let missing = || CodegenError::Internal(format!("{op:?} lacks an operand"));
        let a = x[0].ok_or_else(missing)?;
        let of = args.first().map_or(result, |v| self.dtype(*v));
        let b = || x[1].ok_or_else(missing);
        match op {
            ScalarOp::Identity => Ok(a),
            ScalarOp::Convert => self.convert(a, of, result),
            ScalarOp::Not => Ok(self.builder.ins().bnot(a)),
            ScalarOp::And => Ok(self.builder.ins().band(a, b()?)),
            ScalarOp::Or => Ok(self.builder.ins().bor(a, b()?)),
            ScalarOp::Select => {
                let (yes, no) = (b()?, x[2].ok_or_else(missing)?);
                Ok(self.select(a, yes, no, result))
            }
            _ if of.is_float() => self.float_op(op, a, x[1]),
            _ if self.is_wide(of) => self.wide_op(op, a, x[1]),
            _ => self.integer_op(op, a, x[1]),
        }
    }

    fn select(&mut self, mask: Value, yes: Value, no: Value, dtype: DType) -> Value {
        if self.is_wide(dtype) {
            let lane = self.builder.ins().extractlane(mask, 0);
            self.builder.ins().select(lane, yes, no)
        } else {
            self.lanes().choose(mask, yes, no)
        }
    }

    fn float_op(&mut self, op: ScalarOp, a: Value, b: Option<Value>) -> Result<Value, CodegenError> {
        let mut lanes = self.lanes();
        if let ScalarOp::Function(function) = op {
            return Ok(scalar::emit(function, &mut lanes, a));
        }
        let b = || b.ok_or_else(|| CodegenError::Internal(format!("{op:?} lacks an operand")));
        Ok(match op {
            ScalarOp::Neg => lanes.neg(a),
            ScalarOp::Abs => lanes.abs(a),
            ScalarOp::Add => lanes.add(a, b()?),
            ScalarOp::Sub => lanes.sub(a, b()?),
            ScalarOp::Mul => lanes.mul(a, b()?),
            ScalarOp::Div => lanes.div(a, b()?),
            ScalarOp::Pow => scalar::pow(&mut lanes, a, b()?),
            ScalarOp::Less => lanes.lt(a, b()?),
            ScalarOp::LessEqual => lanes.le(a, b()?),
            ScalarOp::Equal => lanes.eq(a, b()?),
            ScalarOp::Maximum => self.float_max(a, b()?),
            ScalarOp::Minimum => {
                let b = b()?;
                let less = lanes.min(b, a);
                lanes.keep_nan(b, less)
            }
            _ => return Err(CodegenError::Internal(format!("{op:?} has no meaning for floats"))),
        })
    }

    /// `b` if `a < b` or `b` is NaN, else `a`.
    pub fn float_max(&mut self, a: Value, b: Value) -> Value {
        let mut lanes = self.lanes();
        let greater = lanes.max(b, a);
        lanes.keep_nan(b, greater)
    }

    fn integer_op(&mut self, op: ScalarOp, a: Value, b: Option<Value>) -> Result<Value, CodegenError> {
        let b = || b.ok_or_else(|| CodegenError::Internal(format!("{op:?} lacks an operand")));
        let mut lanes = self.lanes();
        Ok(match op {
            ScalarOp::Neg => lanes.builder.ins().ineg(a),
            ScalarOp::Abs => lanes.builder.ins().iabs(a),
            ScalarOp::Function(Function::Sign) => {
                // The masks are 0 or -1: (a < 0) - (0 < a).
                let zero = lanes.int(0);
                let negative = lanes.int_compare(IntCC::SignedLessThan, a, zero);
                let positive = lanes.int_compare(IntCC::SignedLessThan, zero, a);
                lanes.int_sub(negative, positive)
            }
            ScalarOp::Add => lanes.int_add(a, b()?),
            ScalarOp::Sub => lanes.int_sub(a, b()?),
            ScalarOp::Mul => lanes.builder.ins().imul(a, b()?),
            ScalarOp::Less => lanes.int_compare(IntCC::SignedLessThan, a, b()?),
            ScalarOp::LessEqual => lanes.int_compare(IntCC::SignedLessThanOrEqual, a, b()?),
            ScalarOp::Equal => lanes.int_eq(a, b()?),
            ScalarOp::Maximum => {
                let b = b()?;
                let less = lanes.int_compare(IntCC::SignedLessThan, a, b);
                lanes.choose(less, b, a)
            }
            ScalarOp::Minimum => {
                let b = b()?;
                let less = lanes.int_compare(IntCC::SignedLessThan, b, a);
                lanes.choose(less, b, a)
            }
            _ => return Err(CodegenError::Internal(format!("{op:?} has no meaning for integers"))),
        })
    }

    fn wide_op(&mut self, op: ScalarOp, a: Value, b: Option<Value>) -> Result<Value, CodegenError> {
        let b = || b.ok_or_else(|| CodegenError::Internal(format!("{op:?} lacks an operand")));
        let compared = |e: &mut Self, condition, b| {
            let holds = e.builder.ins().icmp(condition, a, b);
            let mask = e.builder.ins().bmask(types::I32, holds);
            e.splat(types::I32X4, mask)
        };
        Ok(match op {
            ScalarOp::Neg => self.builder.ins().ineg(a),
            ScalarOp::Abs => self.builder.ins().iabs(a),
            ScalarOp::Function(Function::Sign) => {
                let (one, least) = (self.integer(1), self.integer(-1));
                let bounded = self.builder.ins().smin(a, one);
                self.builder.ins().smax(bounded, least)
            }
            ScalarOp::Add => self.builder.ins().iadd(a, b()?),
            ScalarOp::Sub => self.builder.ins().isub(a, b()?),
            ScalarOp::Mul => self.builder.ins().imul(a, b()?),
            ScalarOp::Maximum => self.builder.ins().smax(a, b()?),
            ScalarOp::Minimum => self.builder.ins().smin(a, b()?),
            ScalarOp::Less => compared(self, IntCC::SignedLessThan, b()?),
            ScalarOp::LessEqual => compared(self, IntCC::SignedLessThanOrEqual, b()?),
            ScalarOp::Equal => compared(self, IntCC::Equal, b()?),
            _ => return Err(CodegenError::Internal(format!("{op:?} has no meaning for integers"))),
        })
    }

    /// Converts: integers to floats rounded, floats to integers towards zero (saturating, NaN to 0), numbers to booleans
    /// as `x != 0`, booleans to 0 and 1.
    fn convert(&mut self, a: Value, from: DType, to: DType) -> Result<Value, CodegenError> {
        let (float, int) = (self.vector.float, self.vector.int);
        if from == to {
            return Ok(a);
        }
        match (from, to) {
            (DType::Bool, _) if to.is_float() => {
                let one = self.lanes().float(1.0);
                let bits = self.lanes().bitcast(int, one);
                let kept = self.builder.ins().band(a, bits);
                Ok(self.lanes().bitcast(float, kept))
            }
            (DType::Bool, _) if self.is_wide(to) => {
                let lane = self.builder.ins().extractlane(a, 0);
                let lane = self.builder.ins().sextend(types::I64, lane);
                Ok(self.builder.ins().ineg(lane))
            }
            (DType::Bool, _) => Ok(self.builder.ins().ineg(a)),
            (_, DType::Bool) if from.is_float() => {
                let zero = self.zero();
                let equal = self.lanes().eq(a, zero);
                Ok(self.builder.ins().bnot(equal))
            }
            (_, DType::Bool) if self.is_wide(from) => {
                let mask = self.builder.ins().bmask(types::I32, a);
                Ok(self.splat(int, mask))
            }
            (_, DType::Bool) => {
                let zero = self.lanes().int(0);
                let equal = self.lanes().int_eq(a, zero);
                Ok(self.builder.ins().bnot(equal))
            }
            _ if self.is_wide(from) => Ok(self.number(to, a)),
            _ if self.is_wide(to) && from.is_float() => {
                let lane = self.builder.ins().extractlane(a, 0);
                Ok(self.builder.ins().fcvt_to_sint_sat(types::I64, lane))
            }
            _ if self.is_wide(to) => {
                let lane = self.builder.ins().extractlane(a, 0);
                Ok(self.builder.ins().sextend(types::I64, lane))
            }
            _ if from.is_int() && to.is_float() => Ok(self.builder.ins().fcvt_from_sint(float, a)),
            _ if from.is_float() && to.is_int() && self.vector.bytes == 4 => {
                Ok(self.builder.ins().fcvt_to_sint_sat(int, a))
            }
            _ if from.is_float() && to.is_int() => {
                // There is no vector instruction for 64 bits.
                let mut converted = self.lanes().int(0);
                for lane in 0..self.vector.lanes as u8 {
                    let element = self.builder.ins().extractlane(a, lane);
                    let number = self.builder.ins().fcvt_to_sint_sat(types::I64, element);
                    converted = self.builder.ins().insertlane(converted, number, lane);
                }
                Ok(converted)
            }
            _ => Err(CodegenError::Internal(format!("no conversion from {from} to {to} in one program"))),
        }
    }
}
