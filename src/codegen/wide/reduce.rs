//! Reductions in the promised order, as `kernel` IR states it.
//!
//! [`Order::Lanes`]: the 16 virtual lanes are one vector of 512 bits or two of 256; what is left over at the end of a row
//! goes to the first lanes under a mask. [`Order::Sequential`]: one accumulator a lane of the surrounding loop.

use super::code::{Condition, Inst, Number, V};
use super::kernel::{Emitter, LaneAxis, Refusal};
use super::writer::{Binary, Unary};
use crate::ir::{Atom, Size};
use crate::schedule::kernel::{AxisId, Combine, Order, Reduce, Reduction};
use iced_x86::Register;

/// Positions of a chunk per accumulator.
const CHUNK: i64 = 256;
/// Virtual lanes of a reduction over lanes.
const VIRTUAL: usize = 16;

/// One vector of the running state of one result.
#[derive(Clone, Copy)]
struct Accumulator {
    value: V,
    /// Kahan's sum of the chunks and its compensation.
    total: Option<(V, V)>,
}

impl Emitter<'_> {
    /// The greatest value of a size that grows with every symbol.
    fn most(&self, size: &Size) -> Option<u64> {
        let grows = size.terms().all(|(c, atoms)| c >= 0 && atoms.iter().all(|(a, _)| matches!(a, Atom::Symbol(_))));
        if grows { size.eval(&self.program.capacity).ok() } else { None }
    }

    pub fn reduce(&mut self, reduce: &Reduce) -> Result<(), Refusal> {
        if reduce.results.iter().any(|r| r.combine == Combine::ArgMax) {
            return Err(Refusal::NotCovered);
        }
        match reduce.order {
            Order::Lanes if self.lane.is_some() => Err(Refusal::NotCovered),
            Order::Lanes => self.reduce_lanes(reduce),
            Order::Sequential => self.reduce_sequentially(reduce),
        }
    }

    fn is_float(&self, reduction: &Reduction) -> bool {
        self.kernel.value(reduction.operand).dtype.is_float()
    }

    fn identity(&mut self, reduction: &Reduction) -> V {
        let dtype = self.kernel.value(reduction.operand).dtype;
        let number = match reduction.combine {
            Combine::Sum => 0.0,
            _ if dtype.is_float() => f64::NEG_INFINITY,
            _ => f64::from(i32::MIN),
        };
        self.constant(dtype, number)
    }

    /// A vector of its own with the value of another.
    fn variable(&mut self, from: V) -> V {
        self.code.unary(Unary::Move, from)
    }

    fn start(&mut self, reduce: &Reduce, vectors: usize, chunked: bool) -> Vec<Vec<Accumulator>> {
        let mut all = Vec::new();
        for reduction in &reduce.results {
            let total = chunked && reduction.combine == Combine::Sum && self.is_float(reduction);
            let mut row = Vec::new();
            for _ in 0..vectors {
                let initial = self.identity(reduction);
                let value = self.variable(initial);
                let zero = self.code.splat(0);
                let total = total.then(|| (self.variable(zero), self.variable(zero)));
                row.push(Accumulator { value, total });
            }
            all.push(row);
        }
        all
    }

    /// `a` combined with `b`, which stands later.
    fn combine(&mut self, reduction: &Reduction, a: V, b: V) -> V {
        match (reduction.combine, self.is_float(reduction)) {
            (Combine::Sum, true) => self.code.binary(Binary::Add, a, b),
            (Combine::Sum, false) => self.code.binary(Binary::IntAdd, a, b),
            (_, true) => self.float_max(a, b),
            (_, false) => self.code.binary(Binary::IntMax, a, b),
        }
    }

    /// Adds the chunks' sums to the totals and clears them.
    fn fold(&mut self, accumulators: &[Vec<Accumulator>]) {
        for accumulator in accumulators.iter().flatten() {
            let Some((s, c)) = accumulator.total else { continue };
            let y = self.code.binary(Binary::Sub, accumulator.value, c);
            let t = self.code.binary(Binary::Add, s, y);
            let gained = self.code.binary(Binary::Sub, t, s);
            let rest = self.code.binary(Binary::Sub, gained, y);
            let zero = self.code.splat(0);
            self.code.push(Inst::Assign(s, t));
            self.code.push(Inst::Assign(c, rest));
            self.code.push(Inst::Assign(accumulator.value, zero));
        }
    }

    /// The body once, its operands combined into the accumulators of one copy.
    fn accumulate(
        &mut self,
        reduce: &Reduce,
        all: &[Vec<Accumulator>],
        copy: usize,
        merge: bool,
    ) -> Result<(), Refusal> {
        self.body(&reduce.body)?;
        for (reduction, row) in reduce.results.iter().zip(all) {
            let (old, operand) = (row[copy].value, self.value(reduction.operand)?);
            let new = self.combine(reduction, old, operand);
            self.code.push(if merge { Inst::Merge(old, new) } else { Inst::Assign(old, new) });
        }
        Ok(())
    }

    /// Runs `f` for every position of the axes, the last innermost.
    fn nest(&mut self, axes: &[AxisId], f: &mut dyn FnMut(&mut Self) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let Some((axis, inner)) = axes.split_first() else { return f(self) };
        let end = self.size(self.kernel.extent(*axis))?;
        let position = self.kept(Number::Constant(0));
        self.range(position, end, 1, &mut |e| e.at(*axis, position, &mut |e| e.nest(inner, f)))?;
        self.release(position);
        Ok(())
    }

    /// Runs `f` for the start and the end of every chunk of `length` positions.
    fn chunks(
        &mut self,
        end: Number,
        length: i64,
        f: &mut dyn FnMut(&mut Self, Number, Number) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let (start, stop) = (Number::Slot(self.code.slot()), self.code.slot());
        self.copy(start, Number::Constant(0));
        let bound = Number::Slot(self.code.slot());
        self.copy(bound, end);
        self.advance(bound, length - 1);
        self.range(start, bound, length, &mut |e| {
            let whole = e.code.label();
            e.code.push(Inst::Put(Register::RAX, start));
            e.code.push(Inst::Add(Register::RAX, Number::Constant(length)));
            e.code.push(Inst::Compare(Register::RAX, end));
            e.code.push(Inst::Jump(Condition::LessEqual, whole));
            e.code.push(Inst::Put(Register::RAX, end));
            e.code.push(Inst::Place(whole));
            e.code.push(Inst::Keep(stop, Register::RAX));
            f(e, start, Number::Slot(stop))
        })
    }

    fn reduce_sequentially(&mut self, reduce: &Reduce) -> Result<(), Refusal> {
        let mut total = Some(1u64);
        for axis in &reduce.axes {
            let most = self.most(self.kernel.extent(*axis));
            total = total.and_then(|n| n.checked_mul(most?));
        }
        let chunked = total.is_none_or(|n| n > CHUNK as u64);
        let all = self.start(reduce, 1, chunked);
        let before = self.prepare_addresses(&reduce.body)?;
        match reduce.axes.as_slice() {
            [axis] if chunked => {
                let end = self.size(self.kernel.extent(*axis))?;
                let position = self.place();
                self.chunks(end, CHUNK, &mut |e, start, stop| {
                    e.copy(position, start);
                    e.range(position, stop, 1, &mut |e| {
                        e.at(*axis, position, &mut |e| e.accumulate(reduce, &all, 0, false))
                    })?;
                    e.fold(&all);
                    Ok(())
                })?;
                self.release(position);
            }
            axes => {
                let counter = Number::Slot(self.code.slot());
                self.copy(counter, Number::Constant(0));
                self.nest(axes, &mut |e| {
                    e.accumulate(reduce, &all, 0, false)?;
                    if chunked {
                        e.advance(counter, 1);
                        let more = e.code.label();
                        e.compare(counter, Number::Constant(CHUNK));
                        e.code.push(Inst::Jump(Condition::Less, more));
                        e.fold(&all);
                        e.copy(counter, Number::Constant(0));
                        e.code.push(Inst::Place(more));
                    }
                    Ok(())
                })?;
                if chunked {
                    let none = self.code.label();
                    self.compare(counter, Number::Constant(0));
                    self.code.push(Inst::Jump(Condition::Equal, none));
                    self.fold(&all);
                    self.code.push(Inst::Place(none));
                }
            }
        }
        self.forget_addresses(before);
        for (reduction, row) in reduce.results.iter().zip(&all) {
            self.hold(reduction.result, row[0].total.map_or(row[0].value, |t| t.0));
        }
        Ok(())
    }

    fn reduce_lanes(&mut self, reduce: &Reduce) -> Result<(), Refusal> {
        let Some((axis, outer)) = reduce.axes.split_last() else { return Err(Refusal::NotCovered) };
        let chunk = CHUNK * VIRTUAL as i64;
        let one_chunk = self.most(self.kernel.extent(*axis)).is_some_and(|n| n <= chunk as u64);
        let chunked = !(outer.is_empty() && one_chunk);
        let all = self.start(reduce, VIRTUAL / self.lanes(), chunked);
        let end = self.size(self.kernel.extent(*axis))?;
        let position = self.place();
        self.nest(outer, &mut |e| {
            let before = e.prepare_addresses(&reduce.body)?;
            if one_chunk {
                e.copy(position, Number::Constant(0));
                e.sweep(reduce, &all, *axis, position, end)?;
                if chunked {
                    let none = e.code.label();
                    e.code.push(Inst::Put(Register::RAX, end));
                    e.code.push(Inst::Compare(Register::RAX, Number::Constant(0)));
                    e.code.push(Inst::Jump(Condition::Equal, none));
                    e.fold(&all);
                    e.code.push(Inst::Place(none));
                }
            } else {
                e.chunks(end, chunk, &mut |e, start, stop| {
                    e.copy(position, start);
                    e.sweep(reduce, &all, *axis, position, stop)?;
                    e.fold(&all);
                    Ok(())
                })?;
            }
            e.forget_addresses(before);
            Ok(())
        })?;
        self.release(position);
        for (reduction, row) in reduce.results.iter().zip(&all) {
            let finished: Vec<V> = row.iter().map(|a| a.total.map_or(a.value, |t| t.0)).collect();
            let result = self.tree(reduction, finished);
            self.hold(reduction.result, result);
        }
        Ok(())
    }

    /// Accumulates the positions of one chunk.
    fn sweep(
        &mut self,
        reduce: &Reduce,
        all: &[Vec<Accumulator>],
        axis: AxisId,
        position: Number,
        end: Number,
    ) -> Result<(), Refusal> {
        let (lanes, copies) = (self.lanes(), VIRTUAL / self.lanes());
        let known = match end {
            Number::Constant(n) => Some(n),
            _ => None,
        };
        if known.is_none_or(|n| n >= VIRTUAL as i64) {
            self.range(position, end, VIRTUAL as i64, &mut |e| {
                for copy in 0..copies {
                    e.lane = Some(LaneAxis { axis, masked: false, copy });
                    e.at(axis, position, &mut |e| e.accumulate(reduce, all, copy, false))?;
                }
                Ok(())
            })?;
        }
        if known.is_none_or(|n| n % VIRTUAL as i64 != 0) {
            let done = self.code.label();
            self.compare(position, end);
            self.code.push(Inst::Jump(Condition::GreaterEqual, done));
            for copy in 0..copies {
                self.mask(position, end, copy * lanes);
                self.lane = Some(LaneAxis { axis, masked: true, copy });
                self.at(axis, position, &mut |e| e.accumulate(reduce, all, copy, true))?;
            }
            self.code.push(Inst::Place(done));
        }
        self.lane = None;
        Ok(())
    }

    /// Combines the virtual lanes by halves: lane `i` with lane `i + half`.
    fn tree(&mut self, reduction: &Reduction, mut vectors: Vec<V>) -> V {
        while vectors.len() > 1 {
            let half = vectors.len() / 2;
            for k in 0..half {
                vectors[k] = self.combine(reduction, vectors[k], vectors[k + half]);
            }
            vectors.truncate(half);
        }
        let mut lanes = self.lanes();
        let mut vector = vectors[0];
        while lanes > 1 {
            let upper = self.code.vector();
            self.code.push(Inst::Upper(upper, vector, lanes));
            vector = self.combine(reduction, vector, upper);
            lanes /= 2;
        }
        let to = self.code.vector();
        self.code.push(Inst::Spread(to, vector));
        to
    }
}
