//! One kernel to wide code: loops, addresses and statements.
//!
//! Input: a kernel of an f32 program. Output: the code of a function of the table and a range of the outermost loop, or a
//! refusal of what is not covered: guards, wide integers, scatters, arg-max, strided stores. Invariants: a value is one
//! vector of floats, of 32-bit integers or of -1 and 0 for a boolean, all lanes equal where it is uniform; lanes beyond
//! the end of an axis are computed and never loaded or stored.

use super::Simd;
use super::code::{Code, Condition, Inst, Number, V};
use super::lanes::Lanes;
use super::writer::{Address, Binary};
use crate::codegen::kernel::visit_sizes;
use crate::codegen::{CodegenError, TableLayout};
use crate::ir::{Atom, DType, Size};
use crate::schedule::kernel::{AxisId, Expr, Index, Kernel, Loop, Stmt, Store, ValueId};
use crate::schedule::program::{BufferId, Program};
use crate::schedule::waves::shared_loop;
use iced_x86::Register;
use std::collections::BTreeMap;

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

/// The axis whose positions are lanes.
#[derive(Clone, Copy)]
pub(super) struct LaneAxis {
    pub axis: AxisId,
    /// Whether only the lanes of the tail mask are positions.
    pub masked: bool,
    /// Vectors after the one at the axis's position.
    pub copy: usize,
}

/// An address computed ahead of a loop.
pub(super) struct Ahead {
    buffer: BufferId,
    index: Index,
    /// How many axes were open.
    depth: usize,
    at: Number,
}

pub(super) struct Emitter<'a> {
    pub code: Code,
    pub program: &'a Program,
    pub kernel: &'a Kernel,
    layout: &'a TableLayout,
    sizes: BTreeMap<Size, Number>,
    free: Vec<Register>,
    positions: Vec<Option<Number>>,
    open: Vec<AxisId>,
    pub lane: Option<LaneAxis>,
    values: Vec<Option<V>>,
    pub ahead: Vec<Ahead>,
    pub keys: BTreeMap<ValueId, [V; 2]>,
    /// In a loop over pairs of vectors, the bits of draws for the second one.
    pub seconds: Option<BTreeMap<ValueId, V>>,
}

/// Emits a kernel.
pub fn emit(program: &Program, kernel: &Kernel, layout: &TableLayout, simd: Simd) -> Result<Vec<u8>, Refusal> {
    if program.dtype != DType::F32 {
        return Err(Refusal::NotCovered);
    }
    let mut emitter = Emitter {
        code: Code::new(simd),
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
        keys: BTreeMap::new(),
        seconds: None,
    };
    emitter.prepare_sizes()?;
    let shared = shared_loop(kernel).map(|l| l.axis);
    for stmt in &kernel.body {
        match stmt {
            Stmt::Loop(l) if Some(l.axis) == shared => {
                emitter.prepare_keys(&l.body)?;
                let (start, end) = (emitter.argument(0), emitter.argument(8));
                emitter.run_loop(l, start, end)?;
            }
            stmt => emitter.statement(stmt)?,
        }
    }
    emitter.code.finish().map_err(|e| Refusal::Broken(e.to_string()))
}

impl Emitter<'_> {
    pub fn lanes(&self) -> usize {
        self.code.simd.lanes()
    }

    pub fn ops(&mut self) -> Lanes<'_> {
        Lanes { code: &mut self.code }
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

    /// Computes addresses of the accesses that stand directly in a loop's body ahead of it; gives how many there were.
    pub fn prepare_addresses(&mut self, body: &[Stmt]) -> Result<usize, Refusal> {
        let before = self.ahead.len();
        for stmt in body {
            let (buffer, index) = match stmt {
                Stmt::Let(id) => match &self.kernel.value(*id).expr {
                    Expr::Load { buffer, index, .. } => (*buffer, index),
                    _ => continue,
                },
                Stmt::Store(store) => (store.buffer, &store.index),
                _ => continue,
            };
            if self.ahead[before..].iter().any(|a| a.buffer == buffer && a.index == *index) {
                continue;
            }
            self.base(buffer);
            self.offset(index, 0, true)?;
            let at = self.place();
            self.copy(at, Number::Register(Register::RAX));
            self.ahead.push(Ahead { buffer, index: index.clone(), depth: self.open.len(), at });
        }
        Ok(before)
    }

    pub fn forget_addresses(&mut self, before: usize) {
        while self.ahead.len() > before {
            if let Some(ahead) = self.ahead.pop() {
                self.release(ahead.at);
            }
        }
    }

    /// The address of a buffer in `rax`.
    pub fn base(&mut self, buffer: BufferId) {
        let word = self.layout.buffer(buffer) as i64 * 8;
        self.code.push(Inst::LoadNumber(Register::RAX, Address::at(Register::RDI, word)));
    }

    /// Adds to `rax` the bytes of the terms over the axes open from `depth` on, and those of the offset if asked for. Uses
    /// `rcx`.
    fn offset(&mut self, index: &Index, depth: usize, with_offset: bool) -> Result<(), Refusal> {
        if with_offset && index.offset.as_constant() != Some(0) {
            let offset = self.size(&index.offset)?;
            self.add_scaled(offset, Number::Constant(1));
        }
        for (axis, stride) in &index.terms {
            let opened = self.open.iter().position(|a| a == axis);
            if opened.is_some_and(|at| at >= depth) {
                let (stride, position) = (self.size(stride)?, self.position(*axis)?);
                self.add_scaled(position, stride);
            }
        }
        Ok(())
    }

    fn add_scaled(&mut self, number: Number, stride: Number) {
        self.code.push(Inst::Put(Register::RCX, number));
        match stride {
            Number::Constant(1) => {}
            stride => self.code.push(Inst::Multiply(Register::RCX, stride)),
        }
        self.code.push(Inst::Multiply(Register::RCX, Number::Constant(4)));
        self.code.push(Inst::Add(Register::RAX, Number::Register(Register::RCX)));
    }

    pub fn position(&self, axis: AxisId) -> Result<Number, Refusal> {
        self.positions[axis.index()].ok_or_else(|| Refusal::Broken(format!("axis {} is not open", axis.0)))
    }

    /// The address of an element, that of the first lane; uses `rax` and `rcx`.
    pub fn address(&mut self, buffer: BufferId, index: &Index) -> Result<Address, Refusal> {
        let ahead = self.ahead.iter().rev().find(|a| a.buffer == buffer && a.index == *index);
        let (from, depth, hoisted) = match ahead {
            Some(ahead) => (ahead.at, ahead.depth, true),
            None => {
                self.base(buffer);
                (Number::Register(Register::RAX), 0, false)
            }
        };
        let mut rest: Vec<(AxisId, Size)> = Vec::new();
        for (axis, stride) in &index.terms {
            match self.open.iter().position(|a| a == axis) {
                Some(at) if at >= depth => rest.push((*axis, stride.clone())),
                Some(_) => {}
                None => return Err(Refusal::Broken(format!("axis {} is not open", axis.0))),
            }
        }
        let copied = |e: &Self| e.lane.filter(|l| l.copy > 0).map(|l| (l.axis, (l.copy * e.lanes() * 4) as i64));
        let mut displacement = 0;
        if let Some((axis, bytes)) = copied(self) {
            displacement = match index.stride(axis).as_constant() {
                Some(stride) => bytes * stride as i64,
                None => return Err(Refusal::NotCovered),
            };
        }
        let whole = hoisted || index.offset.as_constant() == Some(0);
        if let ([(axis, stride)], Number::Register(base), true) = (rest.as_slice(), from, whole)
            && let (Some(1 | 2), Number::Register(position)) = (stride.as_constant(), self.position(*axis)?)
        {
            let scale = 4 * stride.as_constant().unwrap_or(1) as u32;
            return Ok(Address { displacement, ..Address::scaled(base, position, scale) });
        }
        if let (true, Number::Register(base), true) = (rest.is_empty(), from, whole) {
            return Ok(Address::at(base, displacement));
        }
        if from != Number::Register(Register::RAX) {
            self.code.push(Inst::Put(Register::RAX, from));
        }
        self.offset(index, depth, !hoisted)?;
        Ok(Address::at(Register::RAX, displacement))
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
        let before = self.prepare_addresses(&l.body)?;
        if l.vector {
            self.vector_loop(l, position, start, end)?;
        } else {
            self.range(position, end, 1, &mut |e| e.at(l.axis, position, &mut |e| e.body(&l.body)))?;
        }
        self.forget_addresses(before);
        self.release(position);
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

    /// 0, 1, 2, … in the lanes of the current copy.
    pub fn iota(&mut self) -> V {
        let first = self.lane.map_or(0, |l| l.copy * self.lanes()) as u32;
        let words = (0..self.lanes() as u32).map(|k| first + k).collect();
        self.code.constant(words)
    }

    /// A number in every lane.
    pub fn splat(&mut self, number: Number) -> V {
        if let Number::Constant(n) = number {
            return self.code.splat(n as u32);
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

    /// The index in every lane, as 32-bit integers.
    pub fn index_vector(&mut self, index: &Index) -> Result<V, Refusal> {
        let mut sum = self.lane_terms(index)?;
        self.code.push(Inst::Put(Register::RAX, self.size(&index.offset)?));
        for (axis, stride) in &index.terms {
            let (stride, position) = (self.size(stride)?, self.position(*axis)?);
            self.code.push(Inst::Put(Register::RCX, position));
            if stride != Number::Constant(1) {
                self.code.push(Inst::Multiply(Register::RCX, stride));
            }
            self.code.push(Inst::Add(Register::RAX, Number::Register(Register::RCX)));
        }
        let start = self.splat(Number::Register(Register::RAX));
        sum = Some(match sum {
            Some(sum) => self.code.binary(Binary::IntAdd, start, sum),
            None => start,
        });
        sum.ok_or(Refusal::NotCovered)
    }

    /// What differs by lane in an index, and what is in vectors.
    fn lane_terms(&mut self, index: &Index) -> Result<Option<V>, Refusal> {
        let mut terms = Vec::new();
        if let Some(lane) = self.lane {
            let stride = index.stride(lane.axis);
            if stride.as_constant() != Some(0) {
                terms.push((self.iota(), stride));
            }
        }
        for (value, stride) in &index.values {
            terms.push((self.value(*value)?, stride.clone()));
        }
        let mut sum = None;
        for (vector, stride) in terms {
            let scaled = match stride.as_constant() {
                Some(1) => vector,
                _ => {
                    let stride = self.size(&stride)?;
                    let stride = self.splat(stride);
                    self.code.binary(Binary::IntMul, vector, stride)
                }
            };
            sum = Some(match sum {
                Some(sum) => self.code.binary(Binary::IntAdd, sum, scaled),
                None => scaled,
            });
        }
        Ok(sum)
    }

    pub fn load(&mut self, buffer: BufferId, index: &Index) -> Result<V, Refusal> {
        if !matches!(self.program.buffer(buffer).elem, DType::F32 | DType::I32) {
            return Err(Refusal::NotCovered);
        }
        let stride = self.lane.map_or(Size::default(), |l| index.stride(l.axis));
        let gathers = !index.values.is_empty() || !matches!(stride.as_constant(), Some(0 | 1));
        let masked = self.is_masked();
        if gathers {
            let offsets = self.lane_terms(index)?.ok_or(Refusal::NotCovered)?;
            // The lanes' own part is in the offsets, beyond that of their copy.
            let copy = self.lane.map(|l| l.copy);
            if let Some(lane) = &mut self.lane {
                lane.copy = 0;
            }
            let address = self.address(buffer, index)?;
            if let (Some(lane), Some(copy)) = (&mut self.lane, copy) {
                lane.copy = copy;
            }
            let base = self.lea(address);
            let to = self.code.vector();
            self.code.push(Inst::Gather { to, base, index: offsets, masked });
            return Ok(to);
        }
        let from = self.address(buffer, index)?;
        let to = self.code.vector();
        if stride.as_constant() == Some(0) {
            self.code.push(Inst::Broadcast { to, from });
        } else {
            self.code.push(Inst::Load { to, from, masked });
        }
        Ok(to)
    }

    /// An address as one register.
    fn lea(&mut self, address: Address) -> Register {
        if address.index == Register::None && address.displacement == 0 {
            return address.base;
        }
        self.code.push(Inst::AddressOf(Register::RAX, address));
        Register::RAX
    }

    fn store(&mut self, store: &Store) -> Result<(), Refusal> {
        let elem = self.program.buffer(store.buffer).elem;
        if store.accumulate || !store.index.values.is_empty() || !matches!(elem, DType::F32 | DType::I32) {
            return Err(Refusal::NotCovered);
        }
        let from = self.value(store.value)?;
        let Some(lane) = self.lane else {
            let to = self.address(store.buffer, &store.index)?;
            self.code.push(Inst::StoreFirst { to, from });
            return Ok(());
        };
        if store.index.stride(lane.axis).as_constant() != Some(1) {
            return Err(Refusal::NotCovered);
        }
        let to = self.address(store.buffer, &store.index)?;
        self.code.push(Inst::Store { to, from, masked: lane.masked });
        Ok(())
    }
}
