//! Addresses, and loads and stores in all the ways an access moves along the lanes.
//!
//! Invariants: addresses are computed ahead of the loops they do not change in; those that differ by constants share one. Lanes
//! that are no positions are neither loaded nor stored.

use super::Simd;
use super::code::{Condition, Inst, Number, V};
use super::kernel::{Emitter, LaneAxis, Refusal};
use super::operation::Binary;
use super::writer::Address;
use crate::ir::Size;
use crate::scalar::Lane;
use crate::schedule::kernel::{AxisId, Expr, Guard, Index, Stmt, Store};
use crate::schedule::program::BufferId;
use iced_x86::Register;

/// The most bytes from one position to the next that an address takes by itself.
const MOST_SCALE: u64 = 8;

/// An address computed ahead of a loop.
pub(super) struct Ahead {
    buffer: BufferId,
    index: Index,
    /// How many axes were open.
    depth: usize,
    at: Number,
}

/// An index without the constant it begins with, and the bytes of that, given those of an element.
pub(super) fn split(index: &Index, bytes: i64) -> (Index, i64) {
    let bytes = index.offset.as_constant().and_then(|n| i32::try_from((n as i64).checked_mul(bytes)?).ok());
    match bytes {
        Some(bytes) => (Index { offset: Size::default(), ..index.clone() }, i64::from(bytes)),
        None => (index.clone(), 0),
    }
}

/// Whether an index moves along an axis by steps that no address takes by itself, given the bytes of an element.
pub(super) fn strides(index: &Index, axis: AxisId, bytes: i64) -> bool {
    index.stride(axis).as_constant().is_none_or(|stride| stride > MOST_SCALE / bytes as u64)
}

impl Emitter<'_> {
    /// Computes addresses of the accesses that stand directly in a loop's body ahead of it; gives how many there were.
    pub fn prepare_addresses(&mut self, body: &[Stmt]) -> Result<usize, Refusal> {
        self.prepare(body, &|_, _| true)
    }

    /// As [`Emitter::prepare_addresses`], for some of them.
    pub fn prepare(&mut self, body: &[Stmt], wanted: &dyn Fn(&Index, i64) -> bool) -> Result<usize, Refusal> {
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
            let (index, _) = split(index, self.bytes());
            if !wanted(&index, self.bytes())
                || self.ahead[before..].iter().any(|a| a.buffer == buffer && a.index == index)
            {
                continue;
            }
            self.base(buffer);
            self.offset(&index, 0, true)?;
            let at = self.place();
            self.copy(at, Number::Register(Register::RAX));
            self.ahead.push(Ahead { buffer, index, depth: self.open.len(), at });
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
        self.code.push(Inst::Multiply(Register::RCX, Number::Constant(self.bytes())));
        self.code.push(Inst::Add(Register::RAX, Number::Register(Register::RCX)));
    }

    pub fn position(&self, axis: AxisId) -> Result<Number, Refusal> {
        self.positions[axis.index()].ok_or_else(|| Refusal::Broken(format!("axis {} is not open", axis.0)))
    }

    /// The address of an element, that of the first lane; uses `rax` and `rcx`.
    pub fn address(&mut self, buffer: BufferId, index: &Index) -> Result<Address, Refusal> {
        let (index, mut displacement) = split(index, self.bytes());
        let ahead = self.ahead.iter().rev().find(|a| a.buffer == buffer && a.index == index);
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
        let copied = |e: &Self| e.lane.filter(|l| l.copy > 0).map(|l| (l.axis, (l.copy * e.code.simd.bytes()) as i64));
        if let Some((axis, bytes)) = copied(self) {
            displacement += match index.stride(axis).as_constant() {
                Some(stride) => bytes * stride as i64,
                None => return Err(Refusal::NotCovered),
            };
        }
        let whole = hoisted || index.offset.as_constant() == Some(0);
        if let ([(axis, stride)], Number::Register(base), true) = (rest.as_slice(), from, whole)
            && let (Some(stride), Number::Register(position)) = (stride.as_constant(), self.position(*axis)?)
            && (1..=MOST_SCALE / self.bytes() as u64).contains(&stride)
        {
            let scale = stride as u32 * self.bytes() as u32;
            return Ok(Address { displacement, ..Address::scaled(base, position, scale) });
        }
        if let (true, Number::Register(base), true) = (rest.is_empty(), from, whole) {
            return Ok(Address::at(base, displacement));
        }
        if from != Number::Register(Register::RAX) {
            self.code.push(Inst::Put(Register::RAX, from));
        }
        self.offset(&index, depth, !hoisted)?;
        Ok(Address::at(Register::RAX, displacement))
    }

    /// As [`Emitter::address`], that of the first position of all copies.
    pub fn first_address(&mut self, buffer: BufferId, index: &Index) -> Result<Address, Refusal> {
        let lane = self.lane;
        self.lane = lane.map(|l| LaneAxis { copy: 0, ..l });
        let address = self.address(buffer, index);
        self.lane = lane;
        let address = address?;
        if address.index == Register::None {
            return Ok(address);
        }
        self.code.push(Inst::AddressOf(Register::RAX, address));
        Ok(Address::base(Register::RAX))
    }

    /// The index in every lane, as integers.
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
        let mut sum = None;
        if let Some(lane) = self.lane {
            sum = match index.stride(lane.axis) {
                stride if stride.as_constant() == Some(0) => None,
                stride => Some(self.iota_by(&stride)?),
            };
        }
        for (value, stride) in &index.values {
            let vector = self.value(*value)?;
            let scaled = match stride.as_constant() {
                Some(1) => vector,
                _ => {
                    let stride = self.size(stride)?;
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

    /// The numbers of the lanes times a stride.
    fn iota_by(&mut self, stride: &Size) -> Result<V, Refusal> {
        let lane = self.lane.map_or(0, |l| l.copy * self.lanes()) as u64;
        let lanes = lane..lane + self.lanes() as u64;
        if let Some(stride) = stride.as_constant() {
            if stride >= 1 << 26 {
                return Err(Refusal::NotCovered);
            }
            return Ok(self.code.numbers(lanes.map(|k| k.wrapping_mul(stride))));
        }
        let iota = self.code.numbers(lanes);
        let stride = self.size(stride)?;
        let stride = self.splat(stride);
        Ok(self.code.binary(Binary::IntMul, iota, stride))
    }

    pub fn load(&mut self, buffer: BufferId, index: &Index, guards: &[Guard]) -> Result<V, Refusal> {
        if !self.is_element(self.program.buffer(buffer).elem) {
            return Err(Refusal::NotCovered);
        }
        let stride = self.lane.map_or(Size::default(), |l| index.stride(l.axis));
        let gathers = !index.values.is_empty() || !matches!(stride.as_constant(), Some(0 | 1));
        let masked = self.is_masked();
        if !guards.is_empty() {
            let wanted = self.within(guards)?;
            let to = self.code.vector();
            if gathers || stride.as_constant() == Some(0) {
                self.gather_to(to, buffer, index, Some(wanted))?;
            } else {
                let from = self.address(buffer, index)?;
                self.code.push(Inst::LoadWhere { to, from, wanted, masked });
            }
            return Ok(to);
        }
        if gathers {
            if let Some(column) = self.load_strip(buffer, index)? {
                return Ok(column);
            }
            let to = self.code.vector();
            self.gather_to(to, buffer, index, None)?;
            return Ok(to);
        }
        let from = self.address(buffer, index)?;
        let to = self.code.vector();
        if stride.as_constant() == Some(0) {
            self.code.push(Inst::Broadcast { to, from, word: false });
        } else {
            self.code.push(Inst::Load { to, from, masked });
        }
        Ok(to)
    }

    pub fn gather_to(&mut self, to: V, buffer: BufferId, index: &Index, wanted: Option<V>) -> Result<(), Refusal> {
        let masked = self.is_masked();
        let offsets = self.lane_terms(index)?.unwrap_or_else(|| self.code.splat(0));
        // The lanes' own part is in the offsets, beyond that of their copy.
        let from = self.first_address(buffer, index)?;
        self.code.push(Inst::Gather { to, from, index: offsets, wanted, masked });
        Ok(())
    }

    /// Where all guards hold, as a mask.
    pub fn within(&mut self, guards: &[Guard]) -> Result<V, Refusal> {
        let mut all = self.code.splat(u64::MAX);
        for guard in guards {
            let narrow = |size: &Size| size.eval(&self.program.capacity).is_ok_and(|n| n < 1 << 31);
            if !narrow(&guard.lower) || !narrow(&guard.upper) {
                return Err(Refusal::NotCovered);
            }
            let index = self.index_vector(&guard.index)?;
            let (lower, upper) = (self.size(&guard.lower)?, self.size(&guard.upper)?);
            let (lower, upper) = (self.splat(lower), self.splat(upper));
            let below = self.code.binary(Binary::IntGreater, lower, index);
            let above = Lane::not(&mut self.ops(), below);
            let within = self.code.binary(Binary::IntGreater, upper, index);
            let within = self.code.binary(Binary::And, within, above);
            all = self.code.binary(Binary::And, all, within);
        }
        Ok(all)
    }

    pub fn store(&mut self, store: &Store) -> Result<(), Refusal> {
        let elem = self.program.buffer(store.buffer).elem;
        if store.accumulate || !store.index.values.is_empty() || !self.is_element(elem) {
            return Err(Refusal::NotCovered);
        }
        let from = self.value(store.value)?;
        let Some(lane) = self.lane else {
            let to = self.address(store.buffer, &store.index)?;
            self.code.push(Inst::StoreFirst { to, from });
            return Ok(());
        };
        let stride = store.index.stride(lane.axis);
        match stride.as_constant() {
            Some(0) => Err(Refusal::NotCovered),
            Some(1) => {
                let to = self.address(store.buffer, &store.index)?;
                self.code.push(Inst::Store { to, from, masked: lane.masked });
                Ok(())
            }
            _ if self.store_strip(store)? => Ok(()),
            _ => self.store_apart(store),
        }
    }

    /// Stores lanes that are apart.
    pub fn store_apart(&mut self, store: &Store) -> Result<(), Refusal> {
        let (from, masked) = (self.value(store.value)?, self.is_masked());
        if self.code.simd == Simd::Avx2 {
            return self.store_lane_by_lane(store, from, masked);
        }
        let offsets = self.lane_terms(&store.index)?.ok_or(Refusal::NotCovered)?;
        let to = self.first_address(store.buffer, &store.index)?;
        self.code.push(Inst::Scatter { to, from, index: offsets, masked });
        Ok(())
    }

    /// Stores lanes that are apart, one after the other, the last of them where the tail ends.
    fn store_lane_by_lane(&mut self, store: &Store, from: V, masked: bool) -> Result<(), Refusal> {
        let mut to = self.address(store.buffer, &store.index)?;
        let stride = self.lane.map_or(Size::default(), |l| store.index.stride(l.axis));
        let step = self.size(&stride)?;
        let known = match step {
            Number::Constant(n) => i32::try_from(self.bytes() * n).ok().map(i64::from),
            _ => None,
        };
        if known.is_none() {
            self.code.push(Inst::AddressOf(Register::RAX, to));
            self.code.push(Inst::Put(Register::RCX, step));
            self.code.push(Inst::Multiply(Register::RCX, Number::Constant(self.bytes())));
            to = Address::base(Register::RAX);
        }
        let done = self.code.label();
        if masked {
            self.code.push(Inst::MaskBits(Register::RDX));
        }
        let lanes = self.lanes();
        let mut part = from;
        for lane in 0..lanes {
            if masked {
                self.code.push(Inst::TestBit(Register::RDX, lane));
                self.code.push(Inst::Jump(Condition::Equal, done));
            }
            if lane == lanes / 2 {
                part = self.code.vector();
                self.code.push(Inst::Upper(part, from, lanes));
            }
            self.code.push(Inst::StoreLane { to, from: part, lane: lane % (lanes / 2) });
            match known {
                Some(bytes) => to.displacement += bytes,
                None => self.code.push(Inst::Add(Register::RAX, Number::Register(Register::RCX))),
            }
        }
        self.code.push(Inst::Place(done));
        Ok(())
    }
}
