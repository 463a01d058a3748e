//! Uniform draws in [0, 1): the random words of `scalar::random` on vectors of 32-bit words.
//!
//! Input: seed and step, and the number of the element in lane 0. Output: a vector of floats. Invariant: an element's draw
//! is the host's, bit for bit. Element numbers stay below 2^31, which is checked when the program is compiled.

use super::CodegenError;
use super::kernel::Emitter;
use super::lanes::Lanes;
use super::sizes::fixed;
use crate::ir::Size;
use crate::scalar::Lane;
use crate::scalar::random::{self, Words};
use crate::schedule::kernel::{AxisId, Expr, Index, Kernel, Stmt, ValueId};
use crate::schedule::program::BufferId;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use cranelift_frontend::FunctionBuilder;

/// Whether an element begins a block wherever the position along the axis is a multiple of one.
pub(super) fn is_paired(element: &Index, axis: AxisId) -> bool {
    let whole = |size: &Size| size.terms().all(|(c, _)| c % i128::from(random::BLOCK) == 0);
    element.values.is_empty()
        && whole(&element.offset)
        && element.stride(axis).as_constant() == Some(1)
        && element.terms.iter().all(|(a, s)| *a == axis || whole(s))
}

/// Scalar or vector 32-bit words.
struct WordLanes<'a, 'f> {
    builder: &'a mut FunctionBuilder<'f>,
    vector: bool,
}

impl Words for WordLanes<'_, '_> {
    type W = Value;

    fn word(&mut self, value: u32) -> Value {
        if self.vector {
            let bytes: Vec<u8> = value.to_le_bytes().repeat(4);
            let handle = self.builder.func.dfg.constants.insert(bytes.into());
            self.builder.ins().vconst(types::I32X4, handle)
        } else {
            self.builder.ins().iconst(types::I32, i64::from(value))
        }
    }

    fn add(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().iadd(a, b)
    }

    fn xor(&mut self, a: Value, b: Value) -> Value {
        self.builder.ins().bxor(a, b)
    }

    fn rotate_left(&mut self, a: Value, by: u32) -> Value {
        let left = self.builder.ins().iconst(types::I32, i64::from(by));
        if !self.vector {
            return self.builder.ins().rotl(a, left);
        }
        let right = self.builder.ins().iconst(types::I32, i64::from(32 - by));
        let high = self.builder.ins().ishl(a, left);
        let low = self.builder.ins().ushr(a, right);
        self.builder.ins().bor(high, low)
    }
}

/// Whether a body defines a value, however deep.
fn defines(body: &[Stmt], id: ValueId) -> bool {
    body.iter().any(|stmt| match stmt {
        Stmt::Let(value) => *value == id,
        Stmt::Loop(l) => defines(&l.body, id),
        Stmt::Reduce(r) => r.results.iter().any(|result| result.result == id) || defines(&r.body, id),
        Stmt::Store(_) => false,
    })
}

/// The draws computed in a body, however deep.
fn collect_draws(kernel: &Kernel, body: &[Stmt], draws: &mut Vec<ValueId>) {
    for stmt in body {
        match stmt {
            Stmt::Let(id) if matches!(kernel.value(*id).expr, Expr::Random { .. }) => draws.push(*id),
            Stmt::Loop(l) => collect_draws(kernel, &l.body, draws),
            Stmt::Reduce(r) => collect_draws(kernel, &r.body, draws),
            Stmt::Let(_) | Stmt::Store(_) => {}
        }
    }
}

impl Emitter<'_, '_> {
    fn halves(&mut self, value: Value) -> [Value; 2] {
        let high = self.builder.ins().ushr_imm_u(value, 32);
        [self.builder.ins().ireduce(types::I32, value), self.builder.ins().ireduce(types::I32, high)]
    }

    /// The seed or the step as a scalar. Where it is a scalar in memory it is read anew: it is the same everywhere, so that
    /// guards on it say only where the draw is used.
    fn wide_scalar(&mut self, id: ValueId) -> Result<Value, CodegenError> {
        if let Some(buffer) = self.scalar_in_memory(id) {
            let base = self.base(buffer)?;
            return Ok(self.builder.ins().load(types::I64, fixed(), base, 0));
        }
        let value = self.value(id, 0)?;
        let scalar = self.builder.func.dfg.value_type(value) == types::I64;
        Ok(if scalar { value } else { self.builder.ins().extractlane(value, 0) })
    }

    fn scalar_in_memory(&self, id: ValueId) -> Option<BufferId> {
        match &self.kernel.value(id).expr {
            Expr::Load { buffer, index, .. }
                if *index == Index::default()
                    && self.program.buffer(*buffer).dims.is_empty()
                    && !self.is_written(*buffer) =>
            {
                Some(*buffer)
            }
            _ => None,
        }
    }

    fn derive_key(&mut self, site: u64, seed: ValueId, step: ValueId) -> Result<[Value; 2], CodegenError> {
        let (seed, step, site) = (self.wide_scalar(seed)?, self.wide_scalar(step)?, self.integer(site as i64));
        let [seed, site, step] = [self.halves(seed), self.halves(site), self.halves(step)];
        let mut words = WordLanes { builder: &mut self.builder, vector: false };
        let of_site = random::threefry(&mut words, seed, site);
        let key = random::threefry(&mut words, of_site, step);
        Ok(key.map(|word| self.splat(types::I32X4, word)))
    }

    /// Runs `f` with the keys of the body's draws derived ahead, as far as their seed and step are known here.
    pub fn with_keys<R>(
        &mut self,
        body: &[Stmt],
        f: impl FnOnce(&mut Self) -> Result<R, CodegenError>,
    ) -> Result<R, CodegenError> {
        let mut draws = Vec::new();
        collect_draws(self.kernel, body, &mut draws);
        let mut added = Vec::new();
        for id in draws {
            let Expr::Random { site, seed, step, .. } = &self.kernel.value(id).expr else { continue };
            let known = |id: &ValueId| self.scalar_in_memory(*id).is_some() || self.is_held(*id) && !defines(body, *id);
            if self.keys.contains_key(&id) || !known(seed) || !known(step) {
                continue;
            }
            let key = self.derive_key(*site, *seed, *step)?;
            self.keys.insert(id, key);
            added.push(id);
        }
        let result = f(self);
        for id in added {
            self.keys.remove(&id);
        }
        result
    }

    /// Whether the body draws, and two neighbouring vectors of every draw share their counters.
    pub fn draws_in_pairs(&self, axis: AxisId, body: &[Stmt]) -> bool {
        let mut draws = Vec::new();
        collect_draws(self.kernel, body, &mut draws);
        !draws.is_empty() && self.vector.bytes == 4 && draws.iter().all(|id| self.is_paired(axis, *id))
    }

    /// Whether the first of each pair of vectors starts at a multiple of eight elements.
    fn is_paired(&self, axis: AxisId, id: ValueId) -> bool {
        matches!(&self.kernel.value(id).expr, Expr::Random { element, .. } if is_paired(element, axis))
    }

    pub fn random(&mut self, id: ValueId, copy: usize) -> Result<Value, CodegenError> {
        if let Some((of, words)) = self.second_words.take()
            && of == id
            && copy % 2 == 1
        {
            return Ok(self.unit_single(words));
        }
        let Expr::Random { site, seed, step, element } = &self.kernel.value(id).expr else {
            return Err(CodegenError::Internal(format!("value {} is no draw", id.0)));
        };
        let key = match self.keys.get(&id) {
            Some(key) => *key,
            None => self.derive_key(*site, *seed, *step)?,
        };
        let elements = self.element_words(element, copy)?;
        if self.vector.bytes == 8 {
            return self.draw_double(key, elements);
        }
        let pair = self.lane.is_some_and(|l| l.copies > 1 && self.is_paired(l.axis, id));
        let [first, second] = self.words_single(key, elements);
        if pair {
            self.second_words = Some((id, second));
            return Ok(self.unit_single(first));
        }
        let half = self.builder.ins().iconst(types::I32, 4);
        let half = self.splat(types::I32X4, half);
        let zero = self.lanes().int(0);
        let half = self.builder.ins().band(elements, half);
        let is_first = self.lanes().int_eq(half, zero);
        let bits = self.lanes().choose(is_first, first, second);
        Ok(self.unit_single(bits))
    }

    /// The numbers of the elements in the lanes as 32-bit words.
    fn element_words(&mut self, element: &Index, copy: usize) -> Result<Value, CodegenError> {
        let elements = self.index_vector(element, copy)?;
        if self.vector.bytes == 4 {
            return Ok(elements);
        }
        // The low words of two 64-bit lanes, side by side; the others repeat.
        let words = self.bits(types::I32X4, elements);
        let second = self.builder.ins().extractlane(words, 2);
        Ok(self.builder.ins().insertlane(words, second, 1))
    }

    fn bits(&mut self, ty: cranelift_codegen::ir::Type, value: Value) -> Value {
        let little = MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little);
        self.builder.ins().bitcast(ty, little, value)
    }

    fn shifted(&mut self, words: Value, by: i64) -> Value {
        let by = self.builder.ins().iconst(types::I32, by);
        self.builder.ins().ushr(words, by)
    }

    /// The words of counter 4·block + j, for element i = 8·block + 4·half + j: the element's are those of its half.
    fn words_single(&mut self, key: [Value; 2], elements: Value) -> [Value; 2] {
        let mut words = WordLanes { builder: &mut self.builder, vector: true };
        let (three, zero) = (words.word(3), words.word(0));
        let eighth = self.shifted(elements, 3);
        let two = self.builder.ins().iconst(types::I32, 2);
        let block = self.builder.ins().ishl(eighth, two);
        let within = self.builder.ins().band(elements, three);
        let counter = self.builder.ins().bor(block, within);
        let mut words = WordLanes { builder: &mut self.builder, vector: true };
        random::threefry(&mut words, key, [counter, zero])
    }

    /// The top 24 bits as a multiple of 2^-24.
    fn unit_single(&mut self, words: Value) -> Value {
        let top = self.shifted(words, 8);
        let number = self.builder.ins().fcvt_from_sint(types::F32X4, top);
        let unit = self.lanes().float(1.0 / f64::from(1 << 24));
        self.lanes().mul(number, unit)
    }

    /// Element i takes both words of counter i.
    fn draw_double(&mut self, key: [Value; 2], elements: Value) -> Result<Value, CodegenError> {
        let mut words = WordLanes { builder: &mut self.builder, vector: true };
        let zero = words.word(0);
        let [first, second] = random::threefry(&mut words, key, [elements, zero]);
        let float = |e: &mut Self, words: Value, by: i64| {
            let top = e.shifted(words, by);
            let wide = e.builder.ins().swiden_low(top);
            e.builder.ins().fcvt_from_sint(types::F64X2, wide)
        };
        let (high, low) = (float(self, first, 5), float(self, second, 6));
        let mut lanes: Lanes = self.lanes();
        let (coarse, fine) = (lanes.float(1.0 / (1_u64 << 27) as f64), lanes.float(1.0 / (1_u64 << 53) as f64));
        let high = lanes.mul(high, coarse);
        Ok(lanes.fma(low, fine, high))
    }
}
