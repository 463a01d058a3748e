//! Loops: counted ranges, and vector loops cut into unrolled blocks, single vectors and single elements.
//!
//! Invariant: positions run in ascending order and none beyond the extent is touched. A loop tests at its end, after one
//! test on entry, so that a pass takes one branch.

use super::CodegenError;
use super::kernel::{Emitter, LaneAxis, MOST_COPIES};
use crate::ir::{Atom, Bindings, Size};
use crate::scalar::Function;
use crate::schedule::kernel::{Along, AxisId, Expr, Loop, ScalarOp, Stmt, ValueId};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value, types};

/// The end of a range: its value, and what is known of it.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub value: Value,
    pub known: Option<u64>,
    /// It is a multiple of this, whatever the values of symbols: 64 rows of 10 and N rows of 64 leave no tail.
    pub multiple_of: u64,
    /// It never exceeds this, if the program's capacity bounds it.
    pub most: Option<u64>,
}

impl Extent {
    /// How many positions are left over after steps of `step`, or more than any where that is not known.
    pub fn left(&self, step: u64) -> u64 {
        match self.known {
            Some(n) => n % step,
            None if self.multiple_of.is_multiple_of(step) => 0,
            None => u64::MAX,
        }
    }
}

/// The greatest number that divides the size for all values of its symbols.
fn divisor(size: &Size) -> u64 {
    fn gcd(a: u64, b: u64) -> u64 {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    size.terms().fold(0, |d, (c, _)| gcd(d, u64::try_from(c.unsigned_abs()).unwrap_or(1))).max(1)
}

/// The greatest value of a size that grows with every symbol.
fn most(size: &Size, capacity: &Bindings) -> Option<u64> {
    let grows = size.terms().all(|(c, atoms)| c >= 0 && atoms.iter().all(|(a, _)| matches!(a, Atom::Symbol(_))));
    if grows { size.eval(capacity).ok() } else { None }
}

impl Emitter<'_, '_> {
    pub fn extent(&mut self, axis: AxisId) -> Result<Extent, CodegenError> {
        let size = self.kernel.extent(axis);
        let most = most(size, &self.program.capacity);
        Ok(Extent { value: self.size(size)?, known: size.as_constant(), multiple_of: divisor(size), most })
    }

    /// Runs `f` for `start`, `start + step`, … as long as a whole step fits below `end`; gives the first position left over.
    pub fn range(
        &mut self,
        start: Value,
        end: Value,
        step: u64,
        f: &mut dyn FnMut(&mut Self, Value) -> Result<(), CodegenError>,
    ) -> Result<Value, CodegenError> {
        let step = step as i64;
        let limit = self.builder.ins().iadd_imm_s(end, -step);
        let (body, exit) = (self.block(), self.block());
        let position = self.builder.append_block_param(body, types::I64);
        let left = self.builder.append_block_param(exit, types::I64);
        let enters = self.builder.ins().icmp(IntCC::SignedLessThanOrEqual, start, limit);
        let argument = [BlockArg::Value(start)];
        self.builder.ins().brif(enters, body, &argument, exit, &argument);
        self.enter(body);
        f(self, position)?;
        let next = self.builder.ins().iadd_imm_s(position, step);
        let again = self.builder.ins().icmp(IntCC::SignedLessThanOrEqual, next, limit);
        let argument = [BlockArg::Value(next)];
        self.builder.ins().brif(again, body, &argument, exit, &argument);
        self.builder.seal_block(body);
        self.builder.seal_block(exit);
        self.enter(exit);
        Ok(left)
    }

    pub fn run_loop(&mut self, l: &Loop) -> Result<(), CodegenError> {
        let extent = self.extent(l.axis)?;
        self.with_keys(&l.body, |e| {
            if l.vector && !l.ordered {
                return e.vector_loop(l, extent);
            }
            let zero = e.integer(0);
            e.range(zero, extent.value, 1, &mut |e, position| e.at(l.axis, position, |e| e.body(&l.body)))?;
            Ok(())
        })
    }

    fn vector_loop(&mut self, l: &Loop, extent: Extent) -> Result<(), CodegenError> {
        if self.lane.is_some() {
            return Err(CodegenError::Internal("a vector loop stands inside another".into()));
        }
        let lanes = self.vector.lanes as u64;
        let mut copies = self.copies_that_pay(l.axis, &l.body) as u64;
        if let Some(n) = extent.known {
            copies = copies.min(n / lanes);
        }
        let mut position = self.integer(0);
        let pass = |e: &mut Self, start: Value, copies: u64, single: bool| {
            let lane = LaneAxis { axis: l.axis, copies: copies as usize, single };
            let step = if single { 1 } else { copies * lanes };
            if !single && extent.known.is_some_and(|n| n / step == 1) {
                e.in_lanes(lane, start, |e| e.body(&l.body))?;
                return Ok(e.builder.ins().iadd_imm_s(start, step as i64));
            }
            e.range(start, extent.value, step, &mut |e, position| e.in_lanes(lane, position, |e| e.body(&l.body)))
        };
        if copies > 1 {
            position = pass(self, position, copies, false)?;
        }
        let vectors_left = match copies {
            0 | 1 => extent.known.is_none_or(|n| n >= lanes),
            _ => extent.left(copies * lanes) >= lanes,
        };
        if vectors_left {
            position = pass(self, position, 1, false)?;
        }
        if extent.left(lanes) > 0 {
            pass(self, position, 1, true)?;
        }
        Ok(())
    }

    /// How often a body is repeated in an unrolled loop: light bodies wait for their own results unless several run side
    /// by side, heavy ones fill the machine alone and cost time to compile.
    pub fn copies_that_pay(&self, axis: AxisId, body: &[Stmt]) -> usize {
        let weight = self.weight(axis, body);
        if weight < 400 && self.draws_in_pairs(axis, body) {
            return 2;
        }
        match weight {
            0..=14 => MOST_COPIES,
            15..=32 => 2,
            _ => 1,
        }
    }

    /// About how many instructions one vector of a body takes.
    pub fn weight(&self, axis: AxisId, body: &[Stmt]) -> usize {
        let stmts = body.iter().map(|stmt| match stmt {
            Stmt::Let(value) => self.weight_of(axis, *value),
            Stmt::Loop(l) => self.weight(axis, &l.body),
            Stmt::Reduce(r) => self.weight(axis, &r.body) + 2 * r.results.len(),
            Stmt::Store(store) => match store.index.along(self.kernel, axis) {
                Along::Stride(s) if s.as_constant() == Some(1) => 1,
                _ => 3 * self.vector.lanes,
            },
        });
        stmts.sum()
    }

    fn weight_of(&self, axis: AxisId, id: ValueId) -> usize {
        if !self.kernel.varies_along(id, axis) {
            return 1;
        }
        match &self.kernel.value(id).expr {
            Expr::Constant(_) | Expr::Size(_) | Expr::Reduced => 0,
            Expr::Position(_) => 2,
            Expr::Load { index, guards, .. } => match index.along(self.kernel, axis) {
                Along::Stride(s) if guards.is_empty() && s.as_constant().is_some_and(|s| s <= 1) => 1,
                _ => 4 * self.vector.lanes,
            },
            Expr::Within(guards) => 4 * guards.len(),
            Expr::Random { .. } => 150,
            Expr::Scalar { op, .. } => match op {
                ScalarOp::Function(function) => match function {
                    Function::Floor => 1,
                    Function::Sqrt | Function::Sign => 4,
                    Function::Exp | Function::Expm1 | Function::Sigmoid | Function::Tanh => 35,
                    Function::Log | Function::Log1p | Function::Erf | Function::Sin | Function::Cos => 45,
                    Function::Softplus => 70,
                },
                ScalarOp::Pow => 120,
                ScalarOp::Identity => 0,
                ScalarOp::Div | ScalarOp::Maximum | ScalarOp::Minimum => 3,
                _ => 1,
            },
        }
    }
}
