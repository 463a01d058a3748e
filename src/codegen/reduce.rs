//! Reductions in the promised order.
//!
//! [`Order::Lanes`]: the last axis runs over `W` virtual lanes (16 for f32, 8 for f64), held in four vectors; what is left
//! over a multiple of `W` goes to the lanes it belongs to under a mask. [`Order::Sequential`]: one accumulator a lane of the
//! surrounding vector loop. Float sums are cut into chunks whose results are added by Kahan's method. Invariant: the
//! order depends on extents alone, not on how the loop is cut.

use super::CodegenError;
use super::kernel::{Emitter, LaneAxis, MOST_COPIES};
use super::loops::Extent;
use crate::scalar::Lane;
use crate::schedule::kernel::{AxisId, Combine, Order, Reduce, Reduction};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_frontend::Variable;

/// Positions of a chunk per accumulator.
const CHUNK: u64 = 256;

/// Vectors that hold the virtual lanes.
const VECTORS: usize = 4;

const _: () = assert!(VECTORS == MOST_COPIES, "a block of virtual lanes is one unrolled body");

/// The running state of one result in one vector.
struct Accumulator {
    value: Variable,
    /// The position of the largest value so far.
    place: Option<Variable>,
    /// Kahan's sum of the chunks and its compensation.
    total: Option<(Variable, Variable)>,
}

/// A value with, for an arg-max, its position.
#[derive(Clone, Copy)]
struct Partial {
    value: Value,
    place: Option<Value>,
}

/// What is being reduced: the statement and, per result, its accumulators.
struct State<'r> {
    reduce: &'r Reduce,
    accumulators: Vec<Vec<Accumulator>>,
}

impl Emitter<'_, '_> {
    pub fn reduce(&mut self, reduce: &Reduce) -> Result<(), CodegenError> {
        self.with_keys(&reduce.body, |e| match reduce.order {
            // The order of integers does not matter, and wide ones have no lanes.
            Order::Lanes if reduce.results.iter().all(|r| e.is_wide(e.dtype(r.operand))) => {
                e.reduce_sequentially(reduce)
            }
            Order::Lanes => e.reduce_lanes(reduce),
            Order::Sequential => e.reduce_sequentially(reduce),
        })
    }

    fn is_float_sum(&self, reduction: &Reduction) -> bool {
        reduction.combine == Combine::Sum && self.dtype(reduction.operand).is_float()
    }

    /// Declares and clears the accumulators. `chunked`: float sums also keep the total of their chunks.
    fn start<'r>(
        &mut self,
        reduce: &'r Reduce,
        vectors: impl Fn(&Self, &Reduction) -> usize,
        chunked: bool,
    ) -> Result<State<'r>, CodegenError> {
        let mut accumulators = Vec::new();
        for reduction in &reduce.results {
            let dtype = self.dtype(reduction.operand);
            let (ty, int) = (self.held_type(dtype), self.vector.int);
            let mut row = Vec::new();
            for vector in 0..vectors(self, reduction) {
                let value = self.builder.declare_var(ty);
                let initial = self.identity(reduction);
                self.builder.def_var(value, initial);
                let place = (reduction.combine == Combine::ArgMax).then(|| self.builder.declare_var(int));
                if let Some(place) = place {
                    // Where nothing is larger than -inf, the lane's first position stands.
                    let first = match reduce.order {
                        Order::Lanes => self.lane_numbers(vector),
                        Order::Sequential => self.lanes().int(0),
                    };
                    self.builder.def_var(place, first);
                }
                let total = (chunked && self.is_float_sum(reduction))
                    .then(|| (self.builder.declare_var(ty), self.builder.declare_var(ty)));
                if let Some((sum, compensation)) = total {
                    let zero = self.zero();
                    self.builder.def_var(sum, zero);
                    self.builder.def_var(compensation, zero);
                }
                row.push(Accumulator { value, place, total });
            }
            accumulators.push(row);
        }
        Ok(State { reduce, accumulators })
    }

    fn identity(&mut self, reduction: &Reduction) -> Value {
        let dtype = self.dtype(reduction.operand);
        let number = match reduction.combine {
            Combine::Sum => 0.0,
            Combine::Max | Combine::ArgMax if dtype.is_float() => f64::NEG_INFINITY,
            Combine::Max | Combine::ArgMax if self.vector.bytes == 4 && !self.is_wide(dtype) => f64::from(i32::MIN),
            Combine::Max | Combine::ArgMax => i64::MIN as f64,
        };
        self.constant(dtype, number)
    }

    /// The numbers of the virtual lanes in one of the vectors.
    fn lane_numbers(&mut self, vector: usize) -> Value {
        let iota = self.iota();
        if vector == 0 {
            return iota;
        }
        let first = (vector * self.vector.lanes) as i64;
        let first = self.lanes().int(first);
        self.builder.ins().iadd(iota, first)
    }

    fn read(&mut self, accumulator: &Accumulator) -> Partial {
        let value = self.builder.use_var(accumulator.value);
        Partial { value, place: accumulator.place.map(|p| self.builder.use_var(p)) }
    }

    fn write(&mut self, accumulator: &Accumulator, partial: Partial) {
        self.builder.def_var(accumulator.value, partial.value);
        if let (Some(variable), Some(place)) = (accumulator.place, partial.place) {
            self.builder.def_var(variable, place);
        }
    }

    /// `a` combined with `b`, which stands later. `ties`: positions of equal values decide, as they do between lanes.
    fn combine(&mut self, combine: Combine, a: Partial, b: Partial, ties: bool) -> Result<Partial, CodegenError> {
        let ty = self.builder.func.dfg.value_type(a.value);
        let float = ty.lane_type().is_float();
        let wide = ty == types::I64;
        let value = match combine {
            Combine::Sum if float => self.lanes().add(a.value, b.value),
            Combine::Sum => self.builder.ins().iadd(a.value, b.value),
            Combine::Max if float => self.float_max(a.value, b.value),
            Combine::Max if wide => self.builder.ins().smax(a.value, b.value),
            Combine::Max => {
                let less = self.builder.ins().icmp(IntCC::SignedLessThan, a.value, b.value);
                self.lanes().choose(less, b.value, a.value)
            }
            Combine::ArgMax => return self.combine_places(a, b, float, ties),
        };
        Ok(Partial { value, place: None })
    }

    fn combine_places(&mut self, a: Partial, b: Partial, float: bool, ties: bool) -> Result<Partial, CodegenError> {
        let (Some(place_a), Some(place_b)) = (a.place, b.place) else {
            return Err(CodegenError::Internal("an arg-max without positions".into()));
        };
        let mut later;
        let same;
        if float {
            later = self.builder.ins().fcmp(FloatCC::LessThan, a.value, b.value);
            let nan_a = self.builder.ins().fcmp(FloatCC::Unordered, a.value, a.value);
            let nan_b = self.builder.ins().fcmp(FloatCC::Unordered, b.value, b.value);
            let only_b = self.builder.ins().band_not(nan_b, nan_a);
            later = self.builder.ins().bor(later, only_b);
            let equal = self.builder.ins().fcmp(FloatCC::Equal, a.value, b.value);
            let both = self.builder.ins().band(nan_a, nan_b);
            same = self.builder.ins().bor(equal, both);
        } else {
            later = self.builder.ins().icmp(IntCC::SignedLessThan, a.value, b.value);
            same = self.builder.ins().icmp(IntCC::Equal, a.value, b.value);
        }
        if ties {
            let earlier = self.builder.ins().icmp(IntCC::SignedLessThan, place_b, place_a);
            let earlier = self.builder.ins().band(same, earlier);
            later = self.builder.ins().bor(later, earlier);
        }
        let mut lanes = self.lanes();
        let value = lanes.choose(later, b.value, a.value);
        let place = lanes.choose(later, place_b, place_a);
        Ok(Partial { value, place: Some(place) })
    }

    /// The operand of a reduction in one copy, with its position along the last axis.
    fn operand(&mut self, reduction: &Reduction, axis: AxisId, copy: usize) -> Result<Partial, CodegenError> {
        let value = self.value(reduction.operand, copy)?;
        let mut place = None;
        if reduction.combine == Combine::ArgMax {
            let position = self.position(axis)?;
            let splat = self.splat_number(position);
            let in_lanes = self.lane.is_some_and(|l| l.axis == axis && !l.single);
            place = Some(if in_lanes {
                let numbers = self.lane_numbers(copy);
                self.builder.ins().iadd(splat, numbers)
            } else {
                splat
            });
        }
        Ok(Partial { value, place })
    }

    /// Adds the chunks' sums to the totals and clears them.
    fn fold(&mut self, state: &State) {
        for accumulator in state.accumulators.iter().flatten() {
            let Some((sum, compensation)) = accumulator.total else { continue };
            let (value, s, c) = (
                self.builder.use_var(accumulator.value),
                self.builder.use_var(sum),
                self.builder.use_var(compensation),
            );
            let mut lanes = self.lanes();
            let y = lanes.sub(value, c);
            let t = lanes.add(s, y);
            let gained = lanes.sub(t, s);
            let c = lanes.sub(gained, y);
            let zero = lanes.float(0.0);
            self.builder.def_var(sum, t);
            self.builder.def_var(compensation, c);
            self.builder.def_var(accumulator.value, zero);
        }
    }

    /// The final value of an accumulator.
    fn finished(&mut self, accumulator: &Accumulator) -> Partial {
        match accumulator.total {
            Some((sum, _)) => Partial { value: self.builder.use_var(sum), place: None },
            None => self.read(accumulator),
        }
    }

    fn result_of(reduction: &Reduction, partial: Partial) -> Result<Value, CodegenError> {
        match reduction.combine {
            Combine::ArgMax => {
                partial.place.ok_or_else(|| CodegenError::Internal("an arg-max without positions".into()))
            }
            _ => Ok(partial.value),
        }
    }

    fn reduce_sequentially(&mut self, reduce: &Reduce) -> Result<(), CodegenError> {
        let mut total = Some(1u64);
        for axis in &reduce.axes {
            let most = self.extent(*axis)?.most;
            total = total.and_then(|n| n.checked_mul(most?));
        }
        let chunked = total.is_none_or(|n| n > CHUNK);
        let state = self.start(reduce, |e, r| e.copies_of(r.result).max(e.copies_of(r.operand)), chunked)?;
        match reduce.axes.as_slice() {
            [axis] => {
                let extent = self.extent(*axis)?;
                let zero = self.integer(0);
                if chunked {
                    self.chunks(extent, CHUNK, &mut |e, start, end| {
                        e.range(start, end, 1, &mut |e, position| {
                            e.at(*axis, position, |e| e.accumulate_sequentially(&state))
                        })?;
                        e.fold(&state);
                        Ok(())
                    })?;
                } else {
                    self.range(zero, extent.value, 1, &mut |e, position| {
                        e.at(*axis, position, |e| e.accumulate_sequentially(&state))
                    })?;
                }
            }
            axes => {
                let counter = self.builder.declare_var(types::I64);
                let zero = self.integer(0);
                self.builder.def_var(counter, zero);
                self.nest(axes, &mut |e| {
                    e.accumulate_sequentially(&state)?;
                    if chunked {
                        let count = e.builder.use_var(counter);
                        let count = e.builder.ins().iadd_imm_s(count, 1);
                        e.builder.def_var(counter, count);
                        e.fold_at(&state, count, IntCC::Equal);
                    }
                    Ok(())
                })?;
                if chunked {
                    let count = self.builder.use_var(counter);
                    self.fold_at(&state, count, IntCC::NotEqual);
                }
            }
        }
        for (reduction, row) in reduce.results.iter().zip(&state.accumulators) {
            let mut held = [None; MOST_COPIES];
            for (slot, accumulator) in held.iter_mut().zip(row) {
                let partial = self.finished(accumulator);
                *slot = Some(Self::result_of(reduction, partial)?);
            }
            self.hold(reduction.result, held);
        }
        Ok(())
    }

    /// Folds the only chunk of a row: an empty chunk is none.
    fn fold_unless_empty(&mut self, state: &State, extent: Extent) {
        match extent.known {
            Some(0) => {}
            Some(_) => self.fold(state),
            None => {
                let zero = self.integer(0);
                let some = self.builder.ins().icmp(IntCC::NotEqual, extent.value, zero);
                self.fold_if(state, some);
            }
        }
    }

    /// Folds if the position within the chunk is (or is not) its start.
    fn fold_at(&mut self, state: &State, count: Value, condition: IntCC) {
        let within = self.builder.ins().band_imm_s(count, CHUNK as i64 - 1);
        let zero = self.integer(0);
        let now = self.builder.ins().icmp(condition, within, zero);
        self.fold_if(state, now);
    }

    fn fold_if(&mut self, state: &State, now: Value) {
        let (folds, after) = (self.block(), self.block());
        self.builder.ins().brif(now, folds, &[], after, &[]);
        self.builder.seal_block(folds);
        self.enter(folds);
        self.fold(state);
        self.builder.ins().jump(after, &[]);
        self.builder.seal_block(after);
        self.enter(after);
    }

    /// One position, all its copies.
    fn accumulate_sequentially(&mut self, state: &State) -> Result<(), CodegenError> {
        self.accumulate(state, state.reduce.axes.last().copied(), usize::MAX)
    }

    /// Copy `k` of the body goes to accumulator `k`, as far as there are so many.
    fn accumulate(&mut self, state: &State, axis: Option<AxisId>, copies: usize) -> Result<(), CodegenError> {
        self.body(&state.reduce.body)?;
        for (reduction, row) in state.reduce.results.iter().zip(&state.accumulators) {
            for (copy, accumulator) in row.iter().enumerate().take(copies) {
                let operand = match axis {
                    Some(axis) => self.operand(reduction, axis, copy)?,
                    None => Partial { value: self.value(reduction.operand, copy)?, place: None },
                };
                let old = self.read(accumulator);
                let new = self.combine(reduction.combine, old, operand, false)?;
                self.write(accumulator, new);
            }
        }
        Ok(())
    }

    /// Runs `f` for every position of several axes, the last innermost.
    fn nest(
        &mut self,
        axes: &[AxisId],
        f: &mut dyn FnMut(&mut Self) -> Result<(), CodegenError>,
    ) -> Result<(), CodegenError> {
        let Some((axis, inner)) = axes.split_first() else { return f(self) };
        let extent = self.extent(*axis)?;
        let zero = self.integer(0);
        self.range(zero, extent.value, 1, &mut |e, position| e.at(*axis, position, |e| e.nest(inner, f)))?;
        Ok(())
    }

    /// Runs `f` for the start and the end of every chunk of `length` positions, the last one shorter.
    fn chunks(
        &mut self,
        extent: Extent,
        length: u64,
        f: &mut dyn FnMut(&mut Self, Value, Value) -> Result<(), CodegenError>,
    ) -> Result<(), CodegenError> {
        // A whole step fits below this for every start below the extent.
        let bound = self.builder.ins().iadd_imm_s(extent.value, length as i64 - 1);
        let zero = self.integer(0);
        self.range(zero, bound, length, &mut |e, start| {
            let end = e.builder.ins().iadd_imm_s(start, length as i64);
            let end = e.builder.ins().smin(end, extent.value);
            f(e, start, end)
        })?;
        Ok(())
    }

    fn reduce_lanes(&mut self, reduce: &Reduce) -> Result<(), CodegenError> {
        let Some((axis, outer)) = reduce.axes.split_last() else {
            return Err(CodegenError::Internal("a reduction over lanes needs an axis".into()));
        };
        if self.lane.is_some() {
            return Err(CodegenError::Internal("a reduction over lanes stands inside a vector loop".into()));
        }
        let chunk = CHUNK * (VECTORS * self.vector.lanes) as u64;
        let extent = self.extent(*axis)?;
        let one_chunk = extent.most.is_some_and(|n| n <= chunk);
        let chunked = !(outer.is_empty() && one_chunk);
        let state = self.start(reduce, |_, _| VECTORS, chunked)?;
        self.nest(outer, &mut |e| {
            if one_chunk {
                let zero = e.integer(0);
                e.sweep(&state, *axis, zero, extent)?;
                if chunked {
                    e.fold_unless_empty(&state, extent);
                }
                return Ok(());
            }
            e.chunks(extent, chunk, &mut |e, start, end| {
                // Chunks are multiples of a block, so the last one leaves what the axis leaves.
                e.sweep(&state, *axis, start, Extent { value: end, known: None, ..extent })?;
                e.fold(&state);
                Ok(())
            })
        })?;
        for (reduction, row) in reduce.results.iter().zip(&state.accumulators) {
            let partials: Vec<Partial> = row.iter().map(|a| self.finished(a)).collect();
            let partial = self.tree(reduction.combine, partials)?;
            let result = Self::result_of(reduction, partial)?;
            self.hold(reduction.result, [Some(result), None, None, None]);
        }
        Ok(())
    }

    /// Accumulates the positions of one chunk.
    fn sweep(&mut self, state: &State, axis: AxisId, start: Value, end: Extent) -> Result<(), CodegenError> {
        let lanes = self.vector.lanes as u64;
        let block = lanes * VECTORS as u64;
        let light = self.copies_that_pay(axis, &state.reduce.body) == MOST_COPIES;
        let mut position = start;
        let lane = |copies: usize, single: bool| LaneAxis { axis, copies, single };
        if light && end.known.is_none_or(|n| n >= block) {
            position = self.range(position, end.value, block, &mut |e, position| {
                e.in_lanes(lane(VECTORS, false), position, |e| e.accumulate(state, Some(axis), VECTORS))
            })?;
        }
        let whole = end.known.map(|n| n / lanes * lanes);
        match whole.map(|w| if light { w % block } else { w }) {
            // What is left is known: its vectors belong to the first accumulators.
            Some(rest) if rest < block && (light || whole.is_some_and(|w| w < block)) => {
                if rest > 0 {
                    let vectors = (rest / lanes) as usize;
                    let at = position;
                    self.in_lanes(lane(vectors, false), at, |e| e.accumulate(state, Some(axis), vectors))?;
                    position = self.builder.ins().iadd_imm_s(position, rest as i64);
                }
            }
            _ if light && end.left(block) < lanes => {}
            _ => {
                position = self.range(position, end.value, lanes, &mut |e, position| {
                    e.in_lanes(lane(1, false), position, |e| e.accumulate_masked(state, axis, start, position))
                })?;
            }
        }
        if end.left(lanes) > 0 {
            self.range(position, end.value, 1, &mut |e, position| {
                e.in_lanes(lane(1, true), position, |e| e.accumulate_masked(state, axis, start, position))
            })?;
        }
        Ok(())
    }

    /// One vector, or one element, goes to the lanes its position belongs to.
    fn accumulate_masked(
        &mut self,
        state: &State,
        axis: AxisId,
        start: Value,
        position: Value,
    ) -> Result<(), CodegenError> {
        let single = self.lane.is_some_and(|l| l.single);
        self.body(&state.reduce.body)?;
        let block = (VECTORS * self.vector.lanes) as i64;
        let distance = self.builder.ins().isub(position, start);
        let lane = self.builder.ins().band_imm_s(distance, block - 1);
        let lane = self.splat_number(lane);
        let mut masks = Vec::new();
        for vector in 0..VECTORS {
            let first = (vector * self.vector.lanes) as i64;
            let numbers = if single { self.lane_numbers(vector) } else { self.lanes().int(first) };
            masks.push(self.lanes().int_eq(numbers, lane));
        }
        for (reduction, row) in state.reduce.results.iter().zip(&state.accumulators) {
            let mut operand = self.operand(reduction, axis, 0)?;
            if single {
                let element = self.builder.ins().extractlane(operand.value, 0);
                let ty = self.builder.func.dfg.value_type(operand.value);
                operand.value = self.splat(ty, element);
            }
            for (accumulator, mask) in row.iter().zip(&masks) {
                let old = self.read(accumulator);
                let new = self.combine(reduction.combine, old, operand, false)?;
                let value = self.lanes().choose(*mask, new.value, old.value);
                let place = match (new.place, old.place) {
                    (Some(new), Some(old)) => Some(self.lanes().choose(*mask, new, old)),
                    _ => None,
                };
                self.write(accumulator, Partial { value, place });
            }
        }
        Ok(())
    }

    /// Combines the virtual lanes by halves: lane `i` with lane `i + half`.
    fn tree(&mut self, combine: Combine, mut partials: Vec<Partial>) -> Result<Partial, CodegenError> {
        while partials.len() > 1 {
            let half = partials.len() / 2;
            for k in 0..half {
                partials[k] = self.combine(combine, partials[k], partials[k + half], true)?;
            }
            partials.truncate(half);
        }
        let Some(vector) = partials.pop() else {
            return Err(CodegenError::Internal("a reduction has no accumulator".into()));
        };
        let mut lanes: Vec<Partial> = (0..self.vector.lanes as u8)
            .map(|lane| {
                let mut spread = |value: Value| {
                    let ty = self.builder.func.dfg.value_type(value);
                    let element = self.builder.ins().extractlane(value, lane);
                    self.splat(ty, element)
                };
                Partial { value: spread(vector.value), place: vector.place.map(spread) }
            })
            .collect();
        while lanes.len() > 1 {
            let half = lanes.len() / 2;
            for k in 0..half {
                lanes[k] = self.combine(combine, lanes[k], lanes[k + half], true)?;
            }
            lanes.truncate(half);
        }
        lanes.pop().ok_or_else(|| CodegenError::Internal("a vector has no lanes".into()))
    }
}
