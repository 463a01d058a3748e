//! Reductions in the promised order, as `kernel` IR states it.
//!
//! [`Order::Lanes`]: the virtual lanes, 16 or in f64 8, are one vector of 512 bits or two of 256; what is left over at the end of a row
//! goes to the first lanes under a mask. [`Order::Sequential`]: one accumulator a lane of the surrounding loop.
//!
//! The additions of a chunk wait for each other. So where little else is done, several chunks go on side by side, each with
//! an accumulator of its own, and are combined one after the other in their order: the bits are the same.

use super::access::Ahead;
use super::code::{Condition, Inst, Number, V};
use super::kernel::{Emitter, LaneAxis, Refusal};
use super::operation::{Binary, Unary};
use crate::ir::{Atom, DType, Size};
use crate::scalar::Function;
use crate::schedule::kernel::{AxisId, Combine, Expr, Order, Reduce, Reduction, ScalarOp, Stmt};
use iced_x86::Register;

/// Positions of a chunk per accumulator.
const CHUNK: i64 = 256;
/// Bytes of the virtual lanes of a reduction over lanes.
const VIRTUAL: usize = 64;
/// Statements whose work hides behind the additions of a chunk.
const FEW: usize = 6;

/// A value with, for an arg-max, its position.
#[derive(Clone, Copy)]
struct Partial {
    value: V,
    place: Option<V>,
}

/// One vector of the running state of one result.
#[derive(Clone, Copy)]
struct Accumulator {
    value: Partial,
    /// Kahan's sum of the chunks and its compensation.
    total: Option<(V, V)>,
}

/// The running state of every result, one vector after the other.
type Sums = Vec<Vec<Accumulator>>;

/// One of several chunks that go on side by side.
struct Way {
    /// Its row, where the chunks are rows.
    row: Option<(AxisId, Number)>,
    /// Vectors from the position to its own.
    after: usize,
    /// The addresses of its row.
    ahead: Vec<Ahead>,
    sums: Sums,
}

impl Way {
    fn alone(sums: &Sums) -> Way {
        Way { row: None, after: 0, ahead: Vec::new(), sums: sums.clone() }
    }
}

impl Emitter<'_> {
    /// The greatest value of a size that grows with every symbol.
    fn most(&self, size: &Size) -> Option<u64> {
        let grows = size.terms().all(|(c, atoms)| c >= 0 && atoms.iter().all(|(a, _)| matches!(a, Atom::Symbol(_))));
        if grows { size.eval(&self.program.capacity).ok() } else { None }
    }

    pub fn reduce(&mut self, reduce: &Reduce) -> Result<(), Refusal> {
        match reduce.order {
            Order::Lanes if self.lane.is_some() => Err(Refusal::NotCovered),
            Order::Lanes => self.reduce_lanes(reduce),
            Order::Sequential => self.reduce_sequentially(reduce),
        }
    }

    /// Virtual lanes of a reduction over lanes.
    fn virtual_lanes(&self) -> usize {
        VIRTUAL / self.code.width.bytes()
    }

    fn is_float(&self, reduction: &Reduction) -> bool {
        self.kernel.value(reduction.operand).dtype.is_float()
    }

    fn identity(&mut self, reduction: &Reduction) -> V {
        let dtype = self.kernel.value(reduction.operand).dtype;
        let number = match reduction.combine {
            Combine::Sum => 0.0,
            _ if dtype.is_float() => f64::NEG_INFINITY,
            _ if dtype == DType::I64 => i64::MIN as f64,
            _ => f64::from(i32::MIN),
        };
        self.constant(dtype, number)
    }

    /// A vector of its own with the value of another.
    fn variable(&mut self, from: V) -> V {
        self.code.unary(Unary::Move, from)
    }

    fn start(&mut self, reduce: &Reduce, vectors: usize, chunked: bool) -> Sums {
        let mut all = Vec::new();
        for reduction in &reduce.results {
            let total = chunked && reduction.combine == Combine::Sum && self.is_float(reduction);
            let mut row = Vec::new();
            for copy in 0..vectors {
                let initial = self.identity(reduction);
                let value = self.variable(initial);
                // Where nothing is larger than -inf, the lane's first position stands.
                let place = (reduction.combine == Combine::ArgMax).then(|| match reduce.order {
                    Order::Lanes => self.lane_numbers(copy),
                    Order::Sequential => self.code.splat(0),
                });
                let value = Partial { value, place: place.map(|place| self.variable(place)) };
                let zero = self.code.splat(0);
                let total = total.then(|| (self.variable(zero), self.variable(zero)));
                row.push(Accumulator { value, total });
            }
            all.push(row);
        }
        all
    }

    /// Accumulators of so many chunks, which share their totals; the first are those given.
    fn side_by_side(&mut self, all: &Sums, ways: usize) -> Vec<Sums> {
        let mut sets = vec![all.clone()];
        for _ in 1..ways {
            let zero = self.code.splat(0);
            let own = |e: &mut Self, a: &Accumulator| {
                let value = Partial { value: e.variable(zero), place: None };
                Accumulator { value, ..*a }
            };
            sets.push(all.iter().map(|row| row.iter().map(|a| own(self, a)).collect()).collect());
        }
        sets
    }

    /// How many chunks are worth summing side by side.
    fn ways(&self, reduce: &Reduce) -> usize {
        let cheap = |stmt: &Stmt| match stmt {
            Stmt::Let(id) => match &self.kernel.value(*id).expr {
                Expr::Load { guards, .. } => guards.is_empty(),
                Expr::Constant(_) => true,
                Expr::Scalar { op, .. } => match op {
                    ScalarOp::Function(function) => *function == Function::Sign,
                    op => !matches!(op, ScalarOp::Pow | ScalarOp::Div),
                },
                Expr::Size(_) | Expr::Position(_) | Expr::Within(_) | Expr::Random { .. } | Expr::Reduced => false,
            },
            Stmt::Loop(_) | Stmt::Reduce(_) | Stmt::Store(_) => false,
        };
        let sums = reduce.results.iter().all(|r| r.combine == Combine::Sum && self.is_float(r));
        match (sums && reduce.body.len() <= FEW && reduce.body.iter().all(cheap), reduce.results.len()) {
            (true, 1) => 4 * self.lanes() / self.virtual_lanes(),
            _ => 1,
        }
    }

    /// `a` combined with `b`, which stands later. `ties`: positions of equal values decide, as they do between lanes.
    fn combine(&mut self, reduction: &Reduction, a: Partial, b: Partial, ties: bool) -> Partial {
        let (x, y) = (a.value, b.value);
        let value = match (reduction.combine, self.is_float(reduction)) {
            (Combine::Sum, true) => self.code.binary(Binary::Add, x, y),
            (Combine::Sum, false) => self.code.binary(Binary::IntAdd, x, y),
            (Combine::Max, true) => self.float_max(x, y),
            (Combine::Max, false) => self.code.binary(Binary::IntMax, x, y),
            (Combine::ArgMax, float) => return self.later(a, b, float, ties),
        };
        Partial { value, place: None }
    }

    /// The larger of two values with its position; NaN is the largest.
    fn later(&mut self, a: Partial, b: Partial, float: bool, ties: bool) -> Partial {
        let (Some(place_a), Some(place_b)) = (a.place, b.place) else { return a };
        let (x, y) = (a.value, b.value);
        let mut binary = |op, a, b| self.code.binary(op, a, b);
        let (mut later, same) = if float {
            let (less, equal) = (binary(Binary::Less, x, y), binary(Binary::Equal, x, y));
            let (nan_a, nan_b) = (binary(Binary::Unordered, x, x), binary(Binary::Unordered, y, y));
            let both = binary(Binary::And, nan_a, nan_b);
            let only_b = binary(Binary::Xor, nan_b, both);
            (binary(Binary::Or, less, only_b), binary(Binary::Or, equal, both))
        } else {
            (binary(Binary::IntGreater, y, x), binary(Binary::IntEqual, x, y))
        };
        if ties {
            let earlier = binary(Binary::IntGreater, place_a, place_b);
            let earlier = binary(Binary::And, same, earlier);
            later = binary(Binary::Or, later, earlier);
        }
        let value = self.code.select(later, y, x);
        Partial { value, place: Some(self.code.select(later, place_b, place_a)) }
    }

    /// The numbers of the lanes of a vector.
    fn lane_numbers(&mut self, vector: usize) -> V {
        let first = (vector * self.lanes()) as u64;
        self.code.numbers(first..first + self.lanes() as u64)
    }

    /// The operand of a reduction over axes, the last of which counts for positions.
    fn operand(&mut self, reduction: &Reduction, axes: &[AxisId]) -> Result<Partial, Refusal> {
        let value = self.value(reduction.operand)?;
        let Some(axis) = axes.last().filter(|_| reduction.combine == Combine::ArgMax) else {
            return Ok(Partial { value, place: None });
        };
        let position = self.position(*axis)?;
        let mut place = self.splat(position);
        if let Some(lane) = self.lane.filter(|lane| lane.axis == *axis) {
            let numbers = self.lane_numbers(lane.copy);
            place = self.code.binary(Binary::IntAdd, place, numbers);
        }
        Ok(Partial { value, place: Some(place) })
    }

    /// Adds the chunks' sums to the totals and clears them.
    fn fold(&mut self, accumulators: &[Vec<Accumulator>]) {
        for accumulator in accumulators.iter().flatten() {
            let Some((s, c)) = accumulator.total else { continue };
            let value = accumulator.value.value;
            let y = self.code.binary(Binary::Sub, value, c);
            let t = self.code.binary(Binary::Add, s, y);
            let gained = self.code.binary(Binary::Sub, t, s);
            let rest = self.code.binary(Binary::Sub, gained, y);
            let zero = self.code.splat(0);
            self.code.push(Inst::Assign(s, t));
            self.code.push(Inst::Assign(c, rest));
            self.code.push(Inst::Assign(value, zero));
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
            let (old, operand) = (row[copy].value, self.operand(reduction, &reduce.axes)?);
            let new = self.combine(reduction, old, operand, false);
            let pairs = [Some((old.value, new.value)), old.place.zip(new.place)];
            for (old, new) in pairs.into_iter().flatten() {
                self.code.push(if merge { Inst::Merge(old, new) } else { Inst::Assign(old, new) });
            }
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

    /// A number in memory, at zero.
    fn counter(&mut self) -> Number {
        let counter = Number::Slot(self.code.slot());
        self.copy(counter, Number::Constant(0));
        counter
    }

    /// Runs `f` for the start and the end of every chunk of `length` positions from the number in `start` on.
    fn chunks(
        &mut self,
        start: Number,
        end: Number,
        length: i64,
        f: &mut dyn FnMut(&mut Self, Number, Number) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let stop = self.code.slot();
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
                let start = self.counter();
                self.chunks(start, end, CHUNK, &mut |e, start, stop| {
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
                let counter = self.counter();
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
            let partial = finished(&row[0]);
            self.hold(reduction.result, partial.place.unwrap_or(partial.value));
        }
        Ok(())
    }

    fn reduce_lanes(&mut self, reduce: &Reduce) -> Result<(), Refusal> {
        let Some((axis, outer)) = reduce.axes.split_last() else { return Err(Refusal::NotCovered) };
        let chunk = CHUNK * self.virtual_lanes() as i64;
        let one_chunk = self.most(self.kernel.extent(*axis)).is_some_and(|n| n <= chunk as u64);
        let chunked = !(outer.is_empty() && one_chunk);
        let all = self.start(reduce, self.virtual_lanes() / self.lanes(), chunked);
        let ways = if chunked { self.ways(reduce) } else { 1 };
        let sets = self.side_by_side(&all, ways);
        let position = self.place();
        match outer.split_last() {
            Some((row, outer)) if one_chunk => {
                self.nest(outer, &mut |e| e.rows_of_a_chunk(reduce, &sets, [*row, *axis], position))?;
            }
            _ => self.nest(outer, &mut |e| {
                let before = e.prepare_addresses(&reduce.body)?;
                if one_chunk {
                    let end = e.size(e.kernel.extent(*axis))?;
                    e.copy(position, Number::Constant(0));
                    e.sweep(reduce, &mut [Way::alone(&all)], *axis, position, end, false)?;
                } else {
                    e.chunks_of_a_row(reduce, &sets, *axis, position)?;
                }
                e.forget_addresses(before);
                Ok(())
            })?,
        }
        self.release(position);
        for (reduction, row) in reduce.results.iter().zip(&all) {
            let result = self.tree(reduction, row.iter().map(finished).collect());
            self.hold(reduction.result, result);
        }
        Ok(())
    }

    /// Rows of one chunk each, several side by side as far as they go.
    fn rows_of_a_chunk(
        &mut self,
        reduce: &Reduce,
        sets: &[Sums],
        [row, axis]: [AxisId; 2],
        position: Number,
    ) -> Result<(), Refusal> {
        let (rows, end) = (self.size(self.kernel.extent(row))?, self.size(self.kernel.extent(axis))?);
        let none = self.code.label();
        self.compare(end, Number::Constant(0));
        self.code.push(Inst::Jump(Condition::Equal, none));
        let first = self.kept(Number::Constant(0));
        let few = matches!(rows, Number::Constant(n) if n < sets.len() as i64);
        for sets in [sets, &sets[..1]].into_iter().skip(usize::from(few || sets.len() == 1)) {
            self.range(first, rows, sets.len() as i64, &mut |e| {
                let before = e.ahead.len();
                let mut ways = Vec::new();
                for (k, sums) in sets.iter().enumerate() {
                    let place = if k == 0 { first } else { e.kept(first) };
                    e.advance(place, k as i64);
                    e.at(row, place, &mut |e| e.prepare_addresses(&reduce.body).map(drop))?;
                    let ahead = e.ahead.split_off(before);
                    ways.push(Way { row: Some((row, place)), after: 0, ahead, sums: sums.clone() });
                }
                e.copy(position, Number::Constant(0));
                e.sweep(reduce, &mut ways, axis, position, end, false)?;
                for (k, way) in ways.into_iter().enumerate() {
                    e.fold(&way.sums);
                    e.ahead.extend(way.ahead);
                    if let (Some((_, place)), true) = (way.row, k > 0) {
                        e.release(place);
                    }
                }
                e.forget_addresses(before);
                Ok(())
            })?;
        }
        self.release(first);
        self.code.push(Inst::Place(none));
        Ok(())
    }

    /// The chunks of one row, several side by side as far as they go.
    fn chunks_of_a_row(
        &mut self,
        reduce: &Reduce,
        sets: &[Sums],
        axis: AxisId,
        position: Number,
    ) -> Result<(), Refusal> {
        let (end, chunk) = (self.size(self.kernel.extent(axis))?, CHUNK * self.virtual_lanes() as i64);
        let start = self.counter();
        if sets.len() > 1 {
            self.range(start, end, chunk * sets.len() as i64, &mut |e| {
                let stop = Number::Slot(e.code.slot());
                e.copy(stop, start);
                e.advance(stop, chunk);
                e.copy(position, start);
                let vectors = chunk as usize / e.lanes();
                let way = |(k, sums): (usize, &Sums)| Way { after: k * vectors, ..Way::alone(sums) };
                let mut ways: Vec<Way> = sets.iter().enumerate().map(way).collect();
                e.sweep(reduce, &mut ways, axis, position, stop, true)?;
                ways.iter().for_each(|way| e.fold(&way.sums));
                Ok(())
            })?;
        }
        self.chunks(start, end, chunk, &mut |e, start, stop| {
            e.copy(position, start);
            e.sweep(reduce, &mut [Way::alone(&sets[0])], axis, position, stop, false)?;
            e.fold(&sets[0]);
            Ok(())
        })
    }

    /// Accumulates the positions of one chunk in each way. `whole` says that they are a multiple of the lanes.
    fn sweep(
        &mut self,
        reduce: &Reduce,
        ways: &mut [Way],
        axis: AxisId,
        position: Number,
        end: Number,
        whole: bool,
    ) -> Result<(), Refusal> {
        let (lanes, block) = (self.lanes(), self.virtual_lanes() as i64);
        let copies = block as usize / lanes;
        let known = match end {
            Number::Constant(n) => Some(n),
            _ => None,
        };
        if known.is_none_or(|n| n >= block) {
            self.range(position, end, block, &mut |e| {
                for copy in 0..copies {
                    for way in &mut *ways {
                        e.accumulate_in(reduce, way, LaneAxis { axis, masked: false, copy }, position)?;
                    }
                }
                Ok(())
            })?;
        }
        if !whole && known.is_none_or(|n| n % block != 0) {
            let done = self.code.label();
            self.compare(position, end);
            self.code.push(Inst::Jump(Condition::GreaterEqual, done));
            for copy in 0..copies {
                self.mask(position, end, copy * lanes);
                for way in &mut *ways {
                    self.accumulate_in(reduce, way, LaneAxis { axis, masked: true, copy }, position)?;
                }
            }
            self.code.push(Inst::Place(done));
        }
        self.lane = None;
        Ok(())
    }

    /// One vector of a way.
    fn accumulate_in(
        &mut self,
        reduce: &Reduce,
        way: &mut Way,
        lane: LaneAxis,
        position: Number,
    ) -> Result<(), Refusal> {
        self.lane = Some(LaneAxis { copy: way.after + lane.copy, ..lane });
        let before = self.ahead.len();
        self.ahead.append(&mut way.ahead);
        let sums = &way.sums;
        let mut body =
            |e: &mut Self| e.at(lane.axis, position, &mut |e| e.accumulate(reduce, sums, lane.copy, lane.masked));
        match way.row {
            Some((row, place)) => self.at(row, place, &mut body)?,
            None => body(self)?,
        }
        way.ahead = self.ahead.split_off(before);
        Ok(())
    }

    /// Combines the virtual lanes by halves: lane `i` with lane `i + half`.
    fn tree(&mut self, reduction: &Reduction, mut partials: Vec<Partial>) -> V {
        while partials.len() > 1 {
            let half = partials.len() / 2;
            for k in 0..half {
                partials[k] = self.combine(reduction, partials[k], partials[k + half], true);
            }
            partials.truncate(half);
        }
        let mut lanes = self.lanes();
        let mut partial = partials[0];
        while lanes > 1 {
            let upper = |e: &mut Self, from: V| {
                let to = e.code.vector();
                e.code.push(Inst::Upper(to, from, lanes));
                to
            };
            let other = Partial { value: upper(self, partial.value), place: partial.place.map(|p| upper(self, p)) };
            partial = self.combine(reduction, partial, other, true);
            lanes /= 2;
        }
        let to = self.code.vector();
        self.code.push(Inst::Spread(to, partial.place.unwrap_or(partial.value)));
        to
    }
}

/// The final value of an accumulator.
fn finished(accumulator: &Accumulator) -> Partial {
    accumulator.total.map_or(accumulator.value, |(sum, _)| Partial { value: sum, place: None })
}
