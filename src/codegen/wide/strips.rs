//! Neighbouring columns of rows that are lanes: four at once, by pieces of the rows that are turned in registers.
//!
//! Before: four gathers, each of one element of every row. After: a load of four neighbours for every row, and eight shuffles;
//! likewise for stores. Invariants: only elements that the kernel names are touched; where some lanes are no positions, gathers and
//! scatters stay. Limit: bodies of values and then stores, so that a load may move ahead and a store wait for others;
//! elements of 32 bits.

use super::access::split;
use super::code::{Condition, Inst, Number, V};
use super::kernel::{Emitter, Refusal};
use super::operation::Binary;
use super::writer::Address;
use crate::schedule::kernel::{AxisId, Expr, Index, Loop, Stmt, Store, ValueId};
use crate::schedule::program::BufferId;

/// Columns of a strip.
const COLUMNS: usize = 4;
/// Bytes of an element.
const BYTES: i64 = 4;

/// Four neighbouring columns of a buffer.
struct Strip {
    buffer: BufferId,
    /// Without its constant part.
    index: Index,
    /// The bytes from there to the first column.
    first: i64,
    /// The bytes from row to row.
    pitch: i64,
    /// Columns of no earlier strip.
    wanted: [bool; COLUMNS],
    /// What is stored; nothing for a load.
    values: Vec<ValueId>,
    /// The columns that were loaded.
    loaded: [Option<V>; COLUMNS],
    done: bool,
}

impl Strip {
    fn column(&self, buffer: BufferId, index: &Index, bytes: i64) -> Option<usize> {
        let column = usize::try_from((bytes - self.first) / BYTES).ok().filter(|_| bytes >= self.first)?;
        let wanted = *self.wanted.get(column)?;
        (wanted && self.buffer == buffer && self.index == *index).then_some(column)
    }

    fn index_of(&self, column: usize) -> Index {
        let elements = (self.first / BYTES + column as i64) as u64;
        Index { offset: elements.into(), ..self.index.clone() }
    }
}

/// The strips of a body.
#[derive(Default)]
pub(super) struct Strips {
    loads: Vec<Strip>,
    stores: Vec<Strip>,
    /// The position of the first lane and the last one from which all lanes are positions, where that is not sure.
    whole: Option<(Number, Number)>,
}

/// Accesses to columns of one buffer.
struct Columns {
    buffer: BufferId,
    index: Index,
    pitch: i64,
    columns: Vec<(i64, Option<ValueId>)>,
}

impl Columns {
    /// Runs of neighbours, four at a time; the last four may overlap those before.
    fn strips(mut self) -> Vec<Strip> {
        self.columns.sort();
        let stores = self.columns.iter().any(|(_, value)| value.is_some());
        if stores && self.columns.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Vec::new();
        }
        self.columns.dedup();
        let mut strips = Vec::new();
        for run in self.columns.chunk_by(|a, b| a.0 + BYTES == b.0).filter(|run| run.len() >= COLUMNS) {
            for start in (0..run.len()).step_by(COLUMNS) {
                let first = start.min(run.len() - COLUMNS);
                let columns = &run[first..first + COLUMNS];
                strips.push(Strip {
                    buffer: self.buffer,
                    index: self.index.clone(),
                    first: columns[0].0,
                    pitch: self.pitch,
                    wanted: std::array::from_fn(|k| first + k >= start),
                    values: columns.iter().filter_map(|(_, value)| *value).collect(),
                    loaded: [None; COLUMNS],
                    done: false,
                });
            }
        }
        strips
    }
}

impl Emitter<'_> {
    /// Finds the strips of a body of lanes. `whole`: as in [`Strips`].
    pub fn plan_strips(&mut self, l: &Loop, whole: Option<(Number, Number)>) {
        let is_store = |stmt: &Stmt| matches!(stmt, Stmt::Store(_));
        let plain = l.body.iter().all(|stmt| is_store(stmt) || matches!(stmt, Stmt::Let(_)));
        if !plain || !l.body.is_sorted_by_key(is_store) {
            return;
        }
        let (mut loads, mut stores) = (Vec::new(), Vec::new());
        for stmt in &l.body {
            match stmt {
                Stmt::Let(id) => {
                    if let Expr::Load { buffer, index, guards } = &self.kernel.value(*id).expr
                        && guards.is_empty()
                    {
                        self.collect(&mut loads, *buffer, index, l.axis, None);
                    }
                }
                Stmt::Store(store) if !store.accumulate => {
                    self.collect(&mut stores, store.buffer, &store.index, l.axis, Some(store.value));
                }
                _ => {}
            }
        }
        let strips = |all: Vec<Columns>| all.into_iter().flat_map(Columns::strips).collect();
        self.strips = Strips { loads: strips(loads), stores: strips(stores), whole };
    }

    pub fn forget_strips(&mut self) {
        self.strips = Strips::default();
    }

    fn collect(&self, all: &mut Vec<Columns>, buffer: BufferId, index: &Index, axis: AxisId, value: Option<ValueId>) {
        let narrow = self.bytes() == BYTES && self.is_element(self.program.buffer(buffer).elem);
        let stride = index.stride(axis).as_constant().filter(|s| (COLUMNS as u64..1 << 24).contains(s));
        let (Some(stride), Some(_)) =
            (stride.filter(|_| narrow && index.values.is_empty()), index.offset.as_constant())
        else {
            return;
        };
        let (index, bytes) = split(index, BYTES);
        if index.offset.as_constant() != Some(0) {
            return;
        }
        match all.iter_mut().find(|c| c.buffer == buffer && c.index == index) {
            Some(columns) => columns.columns.push((bytes, value)),
            None => {
                let pitch = stride as i64 * BYTES;
                all.push(Columns { buffer, index, pitch, columns: vec![(bytes, value)] });
            }
        }
    }

    /// Runs `fast` where all lanes are positions and `slow` elsewhere.
    fn where_whole(
        &mut self,
        fast: &mut dyn FnMut(&mut Self) -> Result<(), Refusal>,
        slow: &mut dyn FnMut(&mut Self) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let Some((position, last)) = self.strips.whole else { return fast(self) };
        let (partly, done) = (self.code.label(), self.code.label());
        self.compare(position, last);
        self.code.push(Inst::Jump(Condition::Greater, partly));
        fast(self)?;
        self.code.push(Inst::Jump(Condition::Always, done));
        self.code.push(Inst::Place(partly));
        slow(self)?;
        self.code.push(Inst::Place(done));
        Ok(())
    }

    /// The column of a strip, if the load is of one.
    pub fn load_strip(&mut self, buffer: BufferId, index: &Index) -> Result<Option<V>, Refusal> {
        let (key, bytes) = split(index, BYTES);
        let found = self.strips.loads.iter().enumerate();
        let found = found.filter_map(|(k, strip)| Some((k, strip.column(buffer, &key, bytes)?))).next();
        let Some((k, column)) = found else { return Ok(None) };
        if !self.strips.loads[k].done {
            let columns = self.strips.loads[k].wanted.map(|wanted| wanted.then(|| self.code.vector()));
            let strip = &mut self.strips.loads[k];
            (strip.loaded, strip.done) = (columns, true);
            let (pitch, first) = (strip.pitch, strip.index_of(0));
            let indices: Vec<Index> = (0..COLUMNS).map(|c| strip.index_of(c)).collect();
            self.where_whole(
                &mut |e| {
                    let from = e.first_address(buffer, &first)?;
                    let pieces = e.load_pieces(from, pitch);
                    e.turn(pieces, columns);
                    Ok(())
                },
                &mut |e| {
                    for (index, to) in indices.iter().zip(columns).filter_map(|(i, to)| Some((i, to?))) {
                        e.gather_to(to, buffer, index, None)?;
                    }
                    Ok(())
                },
            )?;
        }
        Ok(self.strips.loads[k].loaded[column])
    }

    /// Stores the strip that a store belongs to; whether there is one.
    pub fn store_strip(&mut self, store: &Store) -> Result<bool, Refusal> {
        let (key, bytes) = split(&store.index, BYTES);
        let found = self.strips.stores.iter().position(|s| s.column(store.buffer, &key, bytes).is_some());
        let Some(k) = found else { return Ok(false) };
        let strip = &mut self.strips.stores[k];
        if std::mem::replace(&mut strip.done, true) {
            return Ok(true);
        }
        let (pitch, first, buffer, wanted) = (strip.pitch, strip.index_of(0), strip.buffer, strip.wanted);
        let indices: Vec<Index> = (0..COLUMNS).map(|c| strip.index_of(c)).collect();
        let values = strip.values.clone();
        let columns = values.iter().map(|v| self.value(*v)).collect::<Result<Vec<V>, Refusal>>()?;
        let columns: [V; COLUMNS] =
            columns.try_into().map_err(|_| Refusal::Broken("a strip of other than four columns".into()))?;
        self.where_whole(
            &mut |e| {
                let rows = std::array::from_fn(|_| Some(e.code.vector()));
                e.turn(columns, rows);
                let to = e.first_address(buffer, &first)?;
                e.store_pieces(to, pitch, rows);
                Ok(())
            },
            &mut |e| {
                for k in (0..COLUMNS).filter(|k| wanted[*k]) {
                    let (index, value) = (indices[k].clone(), values[k]);
                    e.store_apart(&Store { buffer, index, value, accumulate: false })?;
                }
                Ok(())
            },
        )?;
        Ok(true)
    }

    /// Four vectors whose pieces are of the rows 4·piece + k.
    fn load_pieces(&mut self, from: Address, pitch: i64) -> [V; COLUMNS] {
        let pieces = self.lanes() / COLUMNS;
        std::array::from_fn(|k| {
            let row =
                |piece: usize| Address { displacement: from.displacement + (4 * piece + k) as i64 * pitch, ..from };
            let mut vector = self.code.vector();
            self.code.push(Inst::LoadPiece { to: vector, from: row(0) });
            for piece in 1..pieces {
                let to = self.code.vector();
                self.code.push(Inst::InsertPiece { to, into: vector, from: row(piece), piece });
                vector = to;
            }
            vector
        })
    }

    fn store_pieces(&mut self, to: Address, pitch: i64, rows: [Option<V>; COLUMNS]) {
        for (k, from) in rows.into_iter().enumerate().filter_map(|(k, v)| Some((k, v?))) {
            for piece in 0..self.lanes() / COLUMNS {
                let displacement = to.displacement + (4 * piece + k) as i64 * pitch;
                self.code.push(Inst::StorePiece { to: Address { displacement, ..to }, from, piece });
            }
        }
    }

    /// Turns four by four in every piece: element `k` of the vectors goes to vector `k`, as far as it is wanted.
    fn turn(&mut self, from: [V; COLUMNS], to: [Option<V>; COLUMNS]) {
        let [a, b, c, d] = from;
        let halves = [(Binary::UnpackLow, to[0], to[1]), (Binary::UnpackHigh, to[2], to[3])];
        for (unpack, even, odd) in halves {
            if even.is_none() && odd.is_none() {
                continue;
            }
            let (x, y) = (self.code.binary(unpack, a, b), self.code.binary(unpack, c, d));
            if let Some(to) = even {
                self.code.push(Inst::Binary(Binary::UnpackLowPairs, to, x, y));
            }
            if let Some(to) = odd {
                self.code.push(Inst::Binary(Binary::UnpackHighPairs, to, x, y));
            }
        }
    }
}
