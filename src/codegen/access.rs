//! Loads and stores: addresses, guards, and the ways an access moves along the lanes.
//!
//! Invariant: memory is touched only at elements the kernel names. A vector access stands only where all its lanes are
//! positions of the loop, and a guarded load whose guards fail reads the zeros at the start of the table instead.

use super::CodegenError;
use super::kernel::Emitter;
use crate::ir::{DType, Size};
use crate::schedule::kernel::{Along, AxisId, Guard, Index, Store};
use crate::schedule::program::{BufferId, element_bytes};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};

/// How an access moves from one lane to the next.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    /// Every lane is at the same element.
    Same,
    /// Lanes are neighbours in memory.
    Next,
    /// Lanes are this many elements apart.
    Apart(Size),
    /// Each lane goes where its own values point.
    Data,
}

/// An address: a computed part and a constant displacement in bytes.
#[derive(Clone, Copy)]
struct Address {
    base: Value,
    displacement: i32,
}

fn memory_type(dtype: DType) -> Type {
    match dtype {
        DType::F32 => types::F32,
        DType::F64 => types::F64,
        DType::I64 => types::I64,
        DType::I32 | DType::Bool => types::I32,
    }
}

impl Emitter<'_, '_> {
    fn step(&self, index: &Index) -> Step {
        let Some(lane) = self.lane else { return Step::Same };
        match index.along(self.kernel, lane.axis) {
            Along::Data => Step::Data,
            Along::Stride(s) => match s.as_constant() {
                Some(0) => Step::Same,
                Some(1) => Step::Next,
                _ => Step::Apart(s),
            },
        }
    }

    /// `position · stride · unit`.
    fn scaled(&mut self, position: Value, stride: &Size, unit: u64) -> Result<Value, CodegenError> {
        let (stride, unit) = match stride.as_constant() {
            Some(s) => (None, s.wrapping_mul(unit)),
            None => (Some(self.size(stride)?), unit),
        };
        let strided = match stride {
            Some(stride) => self.builder.ins().imul(position, stride),
            None => position,
        };
        Ok(match unit {
            1 => strided,
            _ if unit.is_power_of_two() => self.builder.ins().ishl_imm_u(strided, i64::from(unit.trailing_zeros())),
            _ => self.builder.ins().imul_imm_s(strided, unit as i64),
        })
    }

    /// The terms of an index, outer axes first and the lane axis last, so that what does not change in a loop leaves it.
    fn ordered_terms(&self, index: &Index) -> Vec<(AxisId, Size)> {
        let depth = |axis: AxisId| self.open.iter().position(|o| *o == axis).unwrap_or(usize::MAX);
        let lane = self.lane.map(|l| l.axis);
        let mut terms = index.terms.clone();
        terms.sort_by_key(|(axis, _)| (Some(*axis) == lane, depth(*axis)));
        terms
    }

    /// An integer value's lane as a 64-bit number.
    fn lane_number(&mut self, vector: Value, lane: usize) -> Value {
        if self.builder.func.dfg.value_type(vector) == types::I64 {
            return vector;
        }
        let number = self.builder.ins().extractlane(vector, lane as u8);
        if self.vector.bytes == 8 { number } else { self.builder.ins().sextend(types::I64, number) }
    }

    /// `start + unit · index` in lane `lane` of a copy, with the values that differ by lane (`data`) or without. What is
    /// constant goes to the displacement.
    fn affine(
        &mut self,
        start: Option<Value>,
        index: &Index,
        unit: u64,
        copy: usize,
        lane: usize,
        data: bool,
    ) -> Result<(Option<Value>, i64), CodegenError> {
        let mut sum = start;
        let mut displacement = 0i64;
        let axis = self.lane.map(|l| l.axis);
        let add = |e: &mut Self, sum: Option<Value>, term: Value| match sum {
            None => Some(term),
            Some(sum) => Some(e.builder.ins().iadd(sum, term)),
        };
        let one = Size::constant(1);
        match index.offset.as_constant() {
            Some(offset) => displacement += (offset * unit) as i64,
            None => {
                let offset = self.size(&index.offset)?;
                let term = self.scaled(offset, &one, unit)?;
                sum = add(self, sum, term);
            }
        }
        for (value, stride) in &index.values {
            let varies = axis.is_some_and(|a| self.kernel.varies_along(*value, a));
            if varies && !data {
                continue;
            }
            let vector = self.value(*value, copy)?;
            let number = self.lane_number(vector, if varies { lane } else { 0 });
            let term = self.scaled(number, stride, unit)?;
            sum = add(self, sum, term);
        }
        let shift = (copy * self.vector.lanes + lane) as i64;
        for (a, stride) in self.ordered_terms(index) {
            let mut position = self.position(a)?;
            if Some(a) == axis && shift != 0 {
                match stride.as_constant() {
                    Some(s) => displacement += shift * (s * unit) as i64,
                    None => position = self.builder.ins().iadd_imm_s(position, shift),
                }
            }
            let term = self.scaled(position, &stride, unit)?;
            sum = add(self, sum, term);
        }
        Ok((sum, displacement))
    }

    /// The index itself, in elements, in one lane of a copy.
    pub fn index_number(&mut self, index: &Index, copy: usize, lane: usize) -> Result<Value, CodegenError> {
        let (sum, displacement) = self.affine(None, index, 1, copy, lane, true)?;
        Ok(match sum {
            None => self.integer(displacement),
            Some(sum) if displacement == 0 => sum,
            Some(sum) => self.builder.ins().iadd_imm_s(sum, displacement),
        })
    }

    fn address(&mut self, buffer: BufferId, index: &Index, copy: usize, lane: usize) -> Result<Address, CodegenError> {
        let base = self.base(buffer)?;
        let unit = element_bytes(self.program.buffer(buffer).elem);
        let (sum, displacement) = self.affine(Some(base), index, unit, copy, lane, true)?;
        let base = sum.unwrap_or(base);
        Ok(match i32::try_from(displacement) {
            Ok(displacement) => Address { base, displacement },
            Err(_) => Address { base: self.builder.ins().iadd_imm_s(base, displacement), displacement: 0 },
        })
    }

    /// Whether all guards hold in one lane of a copy.
    fn holds(&mut self, guards: &[Guard], copy: usize, lane: usize) -> Result<Value, CodegenError> {
        let all = self.conjunction(guards, |e, guard| {
            let index = e.index_number(&guard.index, copy, lane)?;
            Ok([index, e.size(&guard.lower)?, e.size(&guard.upper)?])
        })?;
        Ok(all.unwrap_or_else(|| self.builder.ins().iconst(types::I8, 1)))
    }

    /// Whether all guards hold, each with an index and its bounds as `parts` gives them; `None` if there is no guard.
    fn conjunction(
        &mut self,
        guards: &[Guard],
        parts: impl Fn(&mut Self, &Guard) -> Result<[Value; 3], CodegenError>,
    ) -> Result<Option<Value>, CodegenError> {
        let mut all = None;
        for guard in guards {
            let [index, lower, upper] = parts(self, guard)?;
            let above = self.builder.ins().icmp(IntCC::SignedGreaterThanOrEqual, index, lower);
            let below = self.builder.ins().icmp(IntCC::SignedLessThan, index, upper);
            let within = self.builder.ins().band(above, below);
            all = Some(match all {
                None => within,
                Some(all) => self.builder.ins().band(all, within),
            });
        }
        Ok(all)
    }

    /// The address, or that of the zeros where the guards fail.
    fn guarded(
        &mut self,
        address: Address,
        guards: &[Guard],
        copy: usize,
        lane: usize,
    ) -> Result<Address, CodegenError> {
        if guards.is_empty() {
            return Ok(address);
        }
        let holds = self.holds(guards, copy, lane)?;
        let real = match address.displacement {
            0 => address.base,
            d => self.builder.ins().iadd_imm_s(address.base, i64::from(d)),
        };
        let base = self.builder.ins().select(holds, real, self.table);
        Ok(Address { base, displacement: 0 })
    }

    /// How a buffer may be read: freely, unless this kernel writes the memory.
    fn load_flags(&self, buffer: BufferId) -> MemFlagsData {
        let flags = MemFlagsData::new().with_notrap();
        if self.is_written(buffer) { flags } else { flags.with_readonly().with_can_move() }
    }

    pub fn load(
        &mut self,
        buffer: BufferId,
        index: &Index,
        guards: &[Guard],
        copy: usize,
    ) -> Result<Value, CodegenError> {
        let elem = self.program.buffer(buffer).elem;
        let (scalar, held) = (memory_type(elem), self.held_type(elem));
        let flags = self.load_flags(buffer);
        let step = self.step(index);
        let single = self.lane.is_none_or(|l| l.single);
        let uniform_guards = guards.iter().all(|g| self.step(&g.index) == Step::Same);
        if self.is_wide(elem) {
            let address = self.address(buffer, index, copy, 0)?;
            let address = self.guarded(address, guards, copy, 0)?;
            return Ok(self.builder.ins().load(scalar, flags, address.base, address.displacement));
        }
        if single || (step == Step::Same && uniform_guards) {
            let address = self.address(buffer, index, copy, 0)?;
            let address = self.guarded(address, guards, copy, 0)?;
            let element = self.builder.ins().load(scalar, flags, address.base, address.displacement);
            let varies = self.lane.is_some() && !(step == Step::Same && uniform_guards);
            return Ok(match varies {
                true => self.builder.ins().scalar_to_vector(held, element),
                false => self.splat(held, element),
            });
        }
        if step == Step::Next && uniform_guards {
            let address = self.address(buffer, index, copy, 0)?;
            let address = self.guarded(address, guards, copy, 0)?;
            return Ok(self.builder.ins().load(held, flags, address.base, address.displacement));
        }
        let mut vector = None;
        for lane in 0..self.vector.lanes {
            let address = self.address(buffer, index, copy, lane)?;
            let address = self.guarded(address, guards, copy, lane)?;
            let element = self.builder.ins().load(scalar, flags, address.base, address.displacement);
            vector = Some(match vector {
                None => self.builder.ins().scalar_to_vector(held, element),
                Some(vector) => self.builder.ins().insertlane(vector, element, lane as u8),
            });
        }
        vector.ok_or_else(|| CodegenError::Internal("a vector has no lanes".into()))
    }

    pub fn store(&mut self, store: &Store) -> Result<(), CodegenError> {
        let elem = self.program.buffer(store.buffer).elem;
        let step = self.step(&store.index);
        let copies = self.lane.map_or(1, |l| l.copies);
        let single = self.lane.is_none_or(|l| l.single);
        for copy in 0..copies {
            let value = self.value(store.value, copy)?;
            if step == Step::Next && !single && !self.is_wide(elem) {
                let address = self.address(store.buffer, &store.index, copy, 0)?;
                self.put(address, value, store.accumulate);
                continue;
            }
            for lane in 0..if single { 1 } else { self.vector.lanes } {
                let address = self.address(store.buffer, &store.index, copy, lane)?;
                let element = match self.is_wide(elem) {
                    true => value,
                    false => self.builder.ins().extractlane(value, lane as u8),
                };
                self.put(address, element, store.accumulate);
            }
        }
        Ok(())
    }

    fn put(&mut self, address: Address, value: Value, accumulate: bool) {
        let flags = MemFlagsData::new().with_notrap();
        let value = if accumulate {
            let ty = self.builder.func.dfg.value_type(value);
            let old = self.builder.ins().load(ty, flags, address.base, address.displacement);
            if ty.lane_type().is_float() {
                self.builder.ins().fadd(old, value)
            } else {
                self.builder.ins().iadd(old, value)
            }
        } else {
            value
        };
        self.builder.ins().store(flags, value, address.base, address.displacement);
    }

    /// The index as a vector of the program's integers.
    pub fn index_vector(&mut self, index: &Index, copy: usize) -> Result<Value, CodegenError> {
        let (sum, displacement) = self.affine(None, index, 1, copy, 0, false)?;
        let start = match sum {
            None => self.integer(displacement),
            Some(sum) => self.builder.ins().iadd_imm_s(sum, displacement),
        };
        let mut vector = self.splat_number(start);
        let lane = self.lane.map(|l| l.axis);
        if let Some(axis) = lane {
            let stride = index.stride(axis);
            if stride.as_constant() != Some(0) {
                let iota = self.iota();
                let lanes = self.times(iota, &stride)?;
                vector = self.builder.ins().iadd(vector, lanes);
            }
            for (value, stride) in &index.values {
                if self.kernel.varies_along(*value, axis) {
                    let number = self.value(*value, copy)?;
                    let term = self.times(number, stride)?;
                    vector = self.builder.ins().iadd(vector, term);
                }
            }
        }
        Ok(vector)
    }

    /// A 64-bit number in every lane of an integer vector.
    pub fn splat_number(&mut self, number: Value) -> Value {
        let number = if self.vector.bytes == 8 { number } else { self.builder.ins().ireduce(types::I32, number) };
        self.splat(self.vector.int, number)
    }

    /// An integer vector times a size.
    fn times(&mut self, vector: Value, by: &Size) -> Result<Value, CodegenError> {
        if by.as_constant() == Some(1) {
            return Ok(vector);
        }
        let by = self.size(by)?;
        let by = self.splat_number(by);
        Ok(self.builder.ins().imul(vector, by))
    }

    /// Where all guards hold, as a mask.
    pub fn within(&mut self, guards: &[Guard], copy: usize) -> Result<Value, CodegenError> {
        let all = self.conjunction(guards, |e, guard| {
            let index = e.index_vector(&guard.index, copy)?;
            let (lower, upper) = (e.size(&guard.lower)?, e.size(&guard.upper)?);
            Ok([index, e.splat_number(lower), e.splat_number(upper)])
        })?;
        Ok(all.unwrap_or_else(|| self.truth(true)))
    }
}
