//! The value of an expression as one wide vector: constants, positions, loads and scalar operations.
//!
//! Invariant: each operation gives in every lane the bits that the portable emitter gives.

use super::code::{Number, V};
use super::kernel::{Emitter, Refusal};
use super::operation::{Binary, Unary};
use crate::ir::{DType, Size};
use crate::scalar::{self, Function, Lane, Width};
use crate::schedule::kernel::{Expr, ScalarOp, ValueId};

impl Emitter<'_> {
    pub fn define(&mut self, id: ValueId) -> Result<(), Refusal> {
        let kernel = self.kernel;
        let value = kernel.value(id);
        if value.dtype == DType::I64 && self.integer() != DType::I64 {
            // Seeds and steps: a draw reads them where they are; for any other use there is no vector.
            return Ok(());
        }
        let vector = match &value.expr {
            Expr::Constant(number) => self.constant(value.dtype, *number),
            Expr::Size(size) => self.size_value(value.dtype, size)?,
            Expr::Position(index) => self.index_vector(index)?,
            Expr::Load { buffer, index, guards } => self.load(*buffer, index, guards)?,
            Expr::Within(guards) => self.within(guards)?,
            Expr::Scalar { op, args } => self.scalar(*op, args, value.dtype)?,
            Expr::Random { element, .. } => self.draw(id, element)?,
            Expr::Reduced => return Err(Refusal::NotCovered),
        };
        self.hold(id, vector);
        Ok(())
    }

    pub fn constant(&mut self, dtype: DType, number: f64) -> V {
        match dtype {
            DType::Bool => self.code.splat(if number != 0.0 { u64::MAX } else { 0 }),
            DType::F32 | DType::F64 => self.ops().float(number),
            DType::I32 | DType::I64 => self.ops().int(number as i64),
        }
    }

    fn size_value(&mut self, dtype: DType, size: &Size) -> Result<V, Refusal> {
        let most = size.eval(&self.program.capacity).ok().filter(|n| *n < 1 << 31);
        if most.is_none() || dtype == DType::Bool {
            return Err(Refusal::NotCovered);
        }
        let number = self.size(size)?;
        let vector = self.splat(number);
        Ok(if dtype.is_float() { self.code.unary(Unary::FromInt, vector) } else { vector })
    }

    fn scalar(&mut self, op: ScalarOp, args: &[ValueId], result: DType) -> Result<V, Refusal> {
        let of = args.first().map_or(result, |v| self.kernel.value(*v).dtype);
        let x = args.iter().map(|v| self.value(*v)).collect::<Result<Vec<V>, Refusal>>()?;
        match (op, x.as_slice()) {
            (ScalarOp::Identity, [a]) => Ok(*a),
            (ScalarOp::Convert, [a]) => self.convert(*a, of, result),
            (ScalarOp::Not, [a]) => Ok(self.ops().not(*a)),
            (ScalarOp::And, [a, b]) => Ok(self.code.binary(Binary::And, *a, *b)),
            (ScalarOp::Or, [a, b]) => Ok(self.code.binary(Binary::Or, *a, *b)),
            (ScalarOp::Select, [mask, a, b]) => Ok(self.code.select(*mask, *a, *b)),
            (op, x) if of.is_float() => self.float_op(op, x),
            (op, x) if of == self.integer() => self.integer_op(op, x),
            _ => Err(Refusal::NotCovered),
        }
    }

    fn float_op(&mut self, op: ScalarOp, x: &[V]) -> Result<V, Refusal> {
        let mut ops = self.ops();
        Ok(match (op, x) {
            (ScalarOp::Function(function), [a]) => scalar::emit(function, &mut ops, *a),
            (ScalarOp::Neg, [a]) => ops.neg(*a),
            (ScalarOp::Abs, [a]) => ops.abs(*a),
            (ScalarOp::Add, [a, b]) => Lane::add(&mut ops, *a, *b),
            (ScalarOp::Sub, [a, b]) => ops.sub(*a, *b),
            (ScalarOp::Mul, [a, b]) => ops.mul(*a, *b),
            (ScalarOp::Div, [a, b]) => ops.div(*a, *b),
            (ScalarOp::Pow, [a, b]) => scalar::pow(&mut ops, *a, *b),
            (ScalarOp::Less, [a, b]) => ops.lt(*a, *b),
            (ScalarOp::LessEqual, [a, b]) => ops.le(*a, *b),
            (ScalarOp::Equal, [a, b]) => ops.eq(*a, *b),
            (ScalarOp::Maximum, [a, b]) => self.float_max(*a, *b),
            (ScalarOp::Minimum, [a, b]) => {
                let less = ops.min(*b, *a);
                self.keep_nan(*b, less)
            }
            _ => return Err(Refusal::NotCovered),
        })
    }

    /// `b` where it is NaN, else `a`.
    fn keep_nan(&mut self, b: V, a: V) -> V {
        let nan = self.code.binary(Binary::Unordered, b, b);
        self.code.select(nan, b, a)
    }

    /// `b` if `a < b` or `b` is NaN, else `a`.
    pub fn float_max(&mut self, a: V, b: V) -> V {
        let greater = self.code.binary(Binary::Max, b, a);
        self.keep_nan(b, greater)
    }

    fn integer_op(&mut self, op: ScalarOp, x: &[V]) -> Result<V, Refusal> {
        let zero = self.code.splat(0);
        let mut binary = |op, a: V, b: V| self.code.binary(op, a, b);
        Ok(match (op, x) {
            (ScalarOp::Neg, [a]) => binary(Binary::IntSub, zero, *a),
            (ScalarOp::Abs, [a]) => self.code.unary(Unary::IntAbs, *a),
            (ScalarOp::Function(Function::Sign), [a]) => {
                // The masks are 0 or -1: (a < 0) - (0 < a).
                let negative = binary(Binary::IntGreater, zero, *a);
                let positive = binary(Binary::IntGreater, *a, zero);
                binary(Binary::IntSub, negative, positive)
            }
            (ScalarOp::Add, [a, b]) => binary(Binary::IntAdd, *a, *b),
            (ScalarOp::Sub, [a, b]) => binary(Binary::IntSub, *a, *b),
            (ScalarOp::Mul, [a, b]) => binary(Binary::IntMul, *a, *b),
            (ScalarOp::Less, [a, b]) => binary(Binary::IntGreater, *b, *a),
            (ScalarOp::LessEqual, [a, b]) => {
                let greater = binary(Binary::IntGreater, *a, *b);
                self.ops().not(greater)
            }
            (ScalarOp::Equal, [a, b]) => binary(Binary::IntEqual, *a, *b),
            (ScalarOp::Maximum, [a, b]) => binary(Binary::IntMax, *a, *b),
            (ScalarOp::Minimum, [a, b]) => binary(Binary::IntMin, *a, *b),
            _ => return Err(Refusal::NotCovered),
        })
    }

    fn convert(&mut self, a: V, from: DType, to: DType) -> Result<V, Refusal> {
        let held = |t: DType| self.is_element(t) || t == DType::Bool;
        if !held(from) || !held(to) {
            return Err(Refusal::NotCovered);
        }
        Ok(match (from, to) {
            (DType::Bool, to) if to != DType::Bool => {
                let one = self.constant(to, 1.0);
                self.code.binary(Binary::And, a, one)
            }
            (from, DType::Bool) if from != DType::Bool => {
                let zero = self.code.splat(0);
                let equal = if from.is_float() { Binary::Equal } else { Binary::IntEqual };
                let equal = self.code.binary(equal, a, zero);
                self.ops().not(equal)
            }
            (from, to) if from.is_int() && to.is_float() => self.code.unary(Unary::FromInt, a),
            (from, to) if from.is_float() && to.is_int() => {
                // The instruction gives the least integer for whatever does not fit.
                let truncated = self.code.unary(Unary::Truncate, a);
                let (bound, most) = match self.code.width {
                    Width::Single => (2f64.powi(31), i64::from(i32::MAX)),
                    Width::Double => (2f64.powi(63), i64::MAX),
                };
                let (bound, most, zero) = (self.ops().float(bound), self.ops().int(most), self.code.splat(0));
                let above = self.code.binary(Binary::LessEqual, bound, a);
                let bounded = self.code.select(above, most, truncated);
                let nan = self.code.binary(Binary::Unordered, a, a);
                self.code.select(nan, zero, bounded)
            }
            _ => a,
        })
    }

    /// A number kept where it does not change.
    pub fn kept(&mut self, number: Number) -> Number {
        let place = self.place();
        self.copy(place, number);
        place
    }
}
