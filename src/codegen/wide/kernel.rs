//! One kernel to wide code: its entry, its loops and statements.
//!
//! Input: a kernel. Output: the code of a function of the table and a range of the outermost loop, or a
//! refusal of what is not covered: guards, wide integers, scatters, arg-max. Invariants: a value is one
//! vector of the program's floats, of integers as wide or of -1 and 0 for a boolean, all lanes equal where it is uniform;
//! lanes beyond the end of an axis are computed and never loaded or stored.

use super::Simd;
use super::access::{Ahead, strides};
use super::code::{Code, Condition, Inst, Number, V};
use super::lanes::Lanes;
use super::strips::Strips;
use super::writer::Address;
use crate::codegen::crew::Span;
use crate::codegen::kernel::visit_sizes;
use crate::codegen::{CodegenError, TableLayout};
use crate::ir::{Atom, DType, Size};
use crate::scalar::Width;
use crate::schedule::kernel::{AxisId, Kernel, Loop, Stmt, ValueId};
use crate::schedule::program::Program;
use crate::schedule::waves::{column_loop, shared_loop};
use iced_x86::Register;
use std::collections::BTreeMap;
use std::mem::offset_of;

/// Why there is no wide code for a kernel.
pub enum Refusal {
    /// Something in it is left to the portable emitter.
    NotCovered,
    /// A bug in dlc.
    Broken(String),
}

/// General registers that hold positions and addresses; `rax`, `rcx` and `rdx` hold nothing for long.
const HOLDING: [Register; 9] = [
    Register::R14,
    Register::R13,
    Register::R12,
    Register::R11,
    Register::R10,
    Register::R9,
    Register::R8,
    Register::RBP,
    Register::RBX,
];

/// Statements from which a body is not repeated for the tail.
const LONG: usize = 160;

/// The axis whose positions are lanes.
#[derive(Clone, Copy)]
pub(super) struct LaneAxis {
    pub axis: AxisId,
    /// Whether only the lanes of the tail mask are positions.
    pub masked: bool,
    /// Vectors after the one at the axis's position.
    pub copy: usize,
}

/// Whether all lanes are positions.
#[derive(Clone, Copy)]
pub(super) enum Whole {
    Always,
    /// As long as the first number does not exceed the second.
    Where(Number, Number),
    /// Or where that does not matter.
    Never,
}

pub(super) struct Emitter<'a> {
    pub code: Code,
    pub program: &'a Program,
    pub kernel: &'a Kernel,
    pub layout: &'a TableLayout,
    sizes: BTreeMap<Size, Number>,
    free: Vec<Register>,
    pub positions: Vec<Option<Number>>,
    /// The open axes, outermost first.
    pub open: Vec<AxisId>,
    pub lane: Option<LaneAxis>,
    values: Vec<Option<V>>,
    pub ahead: Vec<Ahead>,
    pub strips: Strips,
    pub keys: BTreeMap<ValueId, [V; 2]>,
    /// The axis cut by the span's columns, with the first and the last of them.
    columns: Option<(AxisId, Number, Number)>,
    /// In a loop over pairs of vectors, the bits of draws for the second one.
    pub seconds: Option<BTreeMap<ValueId, V>>,
}

/// Emits a kernel. If it is cut by columns, the loop over them runs from the span's first to its last.
pub fn emit(
    program: &Program,
    kernel: &Kernel,
    layout: &TableLayout,
    simd: Simd,
    by_columns: bool,
) -> Result<Vec<u8>, Refusal> {
    let width = if program.dtype == DType::F64 { Width::Double } else { Width::Single };
    let mut emitter = Emitter {
        code: Code::new(simd, width),
        program,
        kernel,
        layout,
        sizes: BTreeMap::new(),
        free: HOLDING.to_vec(),
        positions: vec![None; kernel.axes.len()],
        open: Vec::new(),
        lane: None,
        values: vec![None; kernel.values.len()],
        ahead: Vec::new(),
        strips: Strips::default(),
        keys: BTreeMap::new(),
        columns: None,
        seconds: None,
    };
    emitter.prepare_sizes()?;
    if let Some(l) = column_loop(kernel).filter(|_| by_columns) {
        let (first, last) = (offset_of!(Span, first) as i64, offset_of!(Span, last) as i64);
        let (first, last) = (emitter.argument(first), emitter.argument(last));
        let extent = emitter.size(kernel.extent(l.axis))?;
        emitter.columns = Some((l.axis, first, emitter.least(last, extent)));
    }
    let shared = shared_loop(kernel).map(|l| l.axis);
    for stmt in &kernel.body {
        match stmt {
            Stmt::Loop(l) if Some(l.axis) == shared => {
                emitter.prepare_keys(&l.body)?;
                let (start, end) = (offset_of!(Span, start) as i64, offset_of!(Span, end) as i64);
                let (start, end) = (emitter.argument(start), emitter.argument(end));
                emitter.run_loop(l, start, end)?;
            }
            stmt => emitter.statement(stmt)?,
        }
    }
    emitter.code.finish().map_err(|e| Refusal::Broken(e.to_string()))
}

impl Emitter<'_> {
    pub fn lanes(&self) -> usize {
        self.code.lanes()
    }

    pub fn ops(&mut self) -> Lanes<'_> {
        self.code.ops()
    }

    /// Bytes of an element.
    pub fn bytes(&self) -> i64 {
        self.code.width.bytes() as i64
    }

    /// The type of integers that are vectors.
    pub fn integer(&self) -> DType {
        match self.code.width {
            Width::Single => DType::I32,
            Width::Double => DType::I64,
        }
    }

    /// Whether elements of a type are lanes.
    pub fn is_element(&self, dtype: DType) -> bool {
        dtype == self.program.dtype || dtype == self.integer()
    }

    fn prepare_sizes(&mut self) -> Result<(), Refusal> {
        let mut all = Vec::new();
        let collected = visit_sizes(self.kernel, &mut |size| {
            all.push(size.clone());
            Ok(())
        });
        collected.map_err(|e: CodegenError| Refusal::Broken(e.to_string()))?;
        for size in all {
            if size.as_constant().is_none() && !self.sizes.contains_key(&size) {
                let value = self.polynomial(&size)?;
                self.sizes.insert(size, value);
            }
        }
        Ok(())
    }

    /// Computes a size into a slot.
    fn polynomial(&mut self, size: &Size) -> Result<Number, Refusal> {
        self.code.push(Inst::Put(Register::RAX, Number::Constant(0)));
        for (coefficient, atoms) in size.terms() {
            let coefficient = i32::try_from(coefficient).map_err(|_| Refusal::NotCovered)?;
            self.code.push(Inst::Put(Register::RCX, Number::Constant(i64::from(coefficient))));
            for (atom, power) in atoms {
                let Atom::Symbol(symbol) = atom else { return Err(Refusal::NotCovered) };
                let word = self.layout.symbol(symbol).ok_or(Refusal::NotCovered)?;
                let from = Address::at(Register::RDI, word as i64 * 8);
                self.code.push(Inst::LoadNumber(Register::RDX, from));
                for _ in 0..*power {
                    self.code.push(Inst::Multiply(Register::RCX, Number::Register(Register::RDX)));
                }
            }
            self.code.push(Inst::Add(Register::RAX, Number::Register(Register::RCX)));
        }
        let slot = self.code.slot();
        self.code.push(Inst::Keep(slot, Register::RAX));
        Ok(Number::Slot(slot))
    }

    /// A size, computed before or small enough to stand in an instruction.
    pub fn size(&self, size: &Size) -> Result<Number, Refusal> {
        match size.as_constant() {
            Some(n) => i32::try_from(n as i64).map(|n| Number::Constant(n.into())).map_err(|_| Refusal::NotCovered),
            None => self.sizes.get(size).copied().ok_or(Refusal::NotCovered),
        }
    }

    fn argument(&mut self, offset: i64) -> Number {
        self.code.push(Inst::LoadNumber(Register::RAX, Address::at(Register::RSI, offset)));
        let slot = self.code.slot();
        self.code.push(Inst::Keep(slot, Register::RAX));
        Number::Slot(slot)
    }

    /// The lesser of two numbers.
    fn least(&mut self, a: Number, b: Number) -> Number {
        let done = self.code.label();
        self.code.push(Inst::Put(Register::RAX, a));
        self.code.push(Inst::Compare(Register::RAX, b));
        self.code.push(Inst::Jump(Condition::LessEqual, done));
        self.code.push(Inst::Put(Register::RAX, b));
        self.code.push(Inst::Place(done));
        let slot = self.code.slot();
        self.code.push(Inst::Keep(slot, Register::RAX));
        Number::Slot(slot)
    }

    /// A register, if one is free, or a slot.
    pub fn place(&mut self) -> Number {
        match self.free.pop() {
            Some(register) => Number::Register(register),
            None => Number::Slot(self.code.slot()),
        }
    }

    pub fn release(&mut self, place: Number) {
        if let Number::Register(register) = place {
            self.free.push(register);
        }
    }

    /// Copies a number, by `rax` where both are in memory.
    pub fn copy(&mut self, to: Number, from: Number) {
        match to {
            Number::Register(register) => self.code.push(Inst::Put(register, from)),
            Number::Slot(slot) => {
                self.code.push(Inst::Put(Register::RAX, from));
                self.code.push(Inst::Keep(slot, Register::RAX));
            }
            Number::Constant(_) => {}
        }
    }

    /// `number + by`.
    pub fn advance(&mut self, number: Number, by: i64) {
        match number {
            Number::Register(register) => self.code.push(Inst::Add(register, Number::Constant(by))),
            Number::Slot(slot) => {
                self.code.push(Inst::Put(Register::RAX, number));
                self.code.push(Inst::Add(Register::RAX, Number::Constant(by)));
                self.code.push(Inst::Keep(slot, Register::RAX));
            }
            Number::Constant(_) => {}
        }
    }

    pub fn compare(&mut self, a: Number, b: Number) {
        let register = match a {
            Number::Register(register) => register,
            other => {
                self.code.push(Inst::Put(Register::RAX, other));
                Register::RAX
            }
        };
        self.code.push(Inst::Compare(register, b));
    }

    /// `end - back` where it stays the same: a constant or a slot.
    fn limit(&mut self, end: Number, back: i64) -> Number {
        if let Number::Constant(n) = end {
            return Number::Constant(n - back);
        }
        let slot = self.code.slot();
        self.code.push(Inst::Put(Register::RAX, end));
        self.code.push(Inst::Add(Register::RAX, Number::Constant(-back)));
        self.code.push(Inst::Keep(slot, Register::RAX));
        Number::Slot(slot)
    }

    /// Runs `f` from the number in `position` on, as long as a whole step fits below `end`.
    pub fn range(
        &mut self,
        position: Number,
        end: Number,
        step: i64,
        f: &mut dyn FnMut(&mut Self) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let limit = self.limit(end, step);
        let (again, done) = (self.code.label(), self.code.label());
        self.compare(position, limit);
        self.code.push(Inst::Jump(Condition::Greater, done));
        self.code.push(Inst::LoopStart);
        self.code.push(Inst::Place(again));
        f(self)?;
        self.advance(position, step);
        self.compare(position, limit);
        self.code.push(Inst::Jump(Condition::LessEqual, again));
        self.code.push(Inst::LoopEnd);
        self.code.push(Inst::Place(done));
        Ok(())
    }

    /// Runs `f` with an axis open at a position, and the addresses its body needs computed ahead as far as they go.
    pub fn at(
        &mut self,
        axis: AxisId,
        position: Number,
        f: &mut dyn FnMut(&mut Self) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        self.positions[axis.index()] = Some(position);
        self.open.push(axis);
        let result = f(self);
        self.open.pop();
        result
    }

    pub fn body(&mut self, body: &[Stmt]) -> Result<(), Refusal> {
        body.iter().try_for_each(|stmt| self.statement(stmt))
    }

    fn statement(&mut self, stmt: &Stmt) -> Result<(), Refusal> {
        match stmt {
            Stmt::Let(id) => self.define(*id),
            Stmt::Store(store) => self.store(store),
            Stmt::Reduce(reduce) => {
                self.prepare_keys(&reduce.body)?;
                self.reduce(reduce)
            }
            Stmt::Loop(l) => {
                self.prepare_keys(&l.body)?;
                if let Some((axis, first, last)) = self.columns
                    && axis == l.axis
                {
                    return self.run_loop(l, first, last);
                }
                let end = self.size(self.kernel.extent(l.axis))?;
                self.run_loop(l, Number::Constant(0), end)
            }
        }
    }

    fn run_loop(&mut self, l: &Loop, start: Number, end: Number) -> Result<(), Refusal> {
        if l.ordered || l.vector && self.lane.is_some() {
            return Err(Refusal::NotCovered);
        }
        let position = self.place();
        self.copy(position, start);
        if l.vector {
            let before = self.prepare(&l.body, &|index, bytes| !strides(index, l.axis, bytes))?;
            self.vector_loop(l, position, start, end)?;
            self.forget_addresses(before);
        } else {
            let before = self.prepare_addresses(&l.body)?;
            self.range(position, end, 1, &mut |e| e.at(l.axis, position, &mut |e| e.body(&l.body)))?;
            self.forget_addresses(before);
        }
        self.release(position);
        Ok(())
    }

    /// A loop whose positions are lanes, from the number in `position`, which is `start`.
    fn vector_loop(&mut self, l: &Loop, position: Number, start: Number, end: Number) -> Result<(), Refusal> {
        let lanes = self.lanes() as i64;
        let known = match end {
            Number::Constant(n) => Some(n),
            _ => None,
        };
        let lane = |masked| Some(LaneAxis { axis: l.axis, masked, copy: 0 });
        let pass = |e: &mut Self, whole| e.at(l.axis, position, &mut |e| e.lanes_body(l, whole));
        if l.body.len() > LONG && known.is_none_or(|n| n % lanes != 0) {
            // Code that is long stands there once, its lanes always under a mask.
            let (bound, last) = (self.limit(end, 1 - lanes), self.limit(end, lanes));
            self.lane = lane(true);
            self.range(position, bound, lanes, &mut |e| {
                e.mask(position, end, 0);
                pass(e, Whole::Where(position, last))
            })?;
            self.lane = None;
            return Ok(());
        }
        if known.is_none_or(|n| n >= 2 * lanes) && self.draws_in_pairs(l) {
            self.pairs(l, position, start, end)?;
        }
        if known.is_none_or(|n| n >= lanes) {
            self.lane = lane(false);
            self.range(position, end, lanes, &mut |e| pass(e, Whole::Always))?;
        }
        if known.is_none_or(|n| n % lanes != 0) {
            let done = self.code.label();
            self.compare(position, end);
            self.code.push(Inst::Jump(Condition::GreaterEqual, done));
            self.mask(position, end, 0);
            self.lane = lane(true);
            pass(self, Whole::Never)?;
            self.code.push(Inst::Place(done));
        }
        self.lane = None;
        Ok(())
    }

    /// The body of a vector loop; where an access strides, its address is computed at the start.
    pub fn lanes_body(&mut self, l: &Loop, whole: Whole) -> Result<(), Refusal> {
        let before = self.prepare(&l.body, &|index, bytes| strides(index, l.axis, bytes))?;
        match whole {
            Whole::Always => self.plan_strips(l, None),
            Whole::Where(position, last) => self.plan_strips(l, Some((position, last))),
            Whole::Never => {}
        }
        self.body(&l.body)?;
        self.forget_strips();
        self.forget_addresses(before);
        Ok(())
    }

    /// Sets the tail mask to the lanes from `position` to `end`, less `skip`.
    pub fn mask(&mut self, position: Number, end: Number, skip: usize) {
        self.code.push(Inst::Put(Register::RCX, end));
        self.code.push(Inst::Subtract(Register::RCX, position));
        self.code.push(Inst::Mask { skip: skip as i64 });
    }

    pub fn value(&self, id: ValueId) -> Result<V, Refusal> {
        // A wide integer has no vector.
        self.values[id.index()].ok_or(Refusal::NotCovered)
    }

    pub fn hold(&mut self, id: ValueId, vector: V) {
        self.values[id.index()] = Some(vector);
    }

    pub fn is_masked(&self) -> bool {
        self.lane.is_some_and(|l| l.masked)
    }

    /// A number in every lane.
    pub fn splat(&mut self, number: Number) -> V {
        if let Number::Constant(n) = number {
            return self.code.splat(n as u64);
        }
        let register = match number {
            Number::Register(register) => register,
            other => {
                self.code.push(Inst::Put(Register::RAX, other));
                Register::RAX
            }
        };
        let to = self.code.vector();
        self.code.push(Inst::Splat { to, from: register });
        to
    }
}
