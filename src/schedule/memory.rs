//! The arena: each buffer lives from the wave that writes it first to the one that reads it last, or, if it is one chain's
//! own, from step to step; buffers that never live together share bytes.
//!
//! A step's result takes the bytes of an operand that dies in it where the step reads each element just before it writes it.

use super::ScheduleError;
use super::kernel::{Expr, Index, Kernel, Stmt};
use super::program::{Buffer, BufferId, Place, Step, Work, element_bytes};
use super::waves::{Chain, Wave};
use crate::ir::{Bindings, Origin};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What places are aligned to: a cache line, and the widest vector.
pub const ALIGNMENT: u64 = 64;

/// Free bytes by offset, with a total that grows as needed.
#[derive(Default)]
struct Arena {
    free: BTreeMap<u64, u64>,
    top: u64,
}

impl Arena {
    /// The smallest hole that is large enough, or the end.
    fn take(&mut self, bytes: u64) -> Option<u64> {
        let hole = self.free.iter().filter(|(_, len)| **len >= bytes).min_by_key(|(at, len)| (**len, **at));
        if let Some((at, len)) = hole.map(|(at, len)| (*at, *len)) {
            self.free.remove(&at);
            if len > bytes {
                self.free.insert(at + bytes, len - bytes);
            }
            return Some(at);
        }
        // A hole at the end grows.
        let last = self.free.last_key_value().map(|(at, len)| (*at, *len)).filter(|(at, len)| at + len == self.top);
        let at = last.map_or(self.top, |(at, _)| at);
        self.free.remove(&at);
        self.top = at.checked_add(bytes)?;
        Some(at)
    }

    fn give(&mut self, mut at: u64, mut bytes: u64) {
        if let Some((before, len)) = self.free.range(..at).next_back().map(|(a, l)| (*a, *l))
            && before + len == at
        {
            self.free.remove(&before);
            (at, bytes) = (before, len + bytes);
        }
        if let Some(len) = self.free.remove(&(at + bytes)) {
            bytes += len;
        }
        self.free.insert(at, bytes);
    }
}

/// The bytes of a buffer at these sizes, rounded up; at least one line, so that every buffer has an address of its own.
pub(super) fn buffer_bytes(buffer: &Buffer, sizes: &Bindings) -> Result<u64, ScheduleError> {
    let size = |error| ScheduleError::Size { error, origin: Origin::default() };
    let mut bytes = element_bytes(buffer.elem);
    for dim in &buffer.dims {
        let dim = dim.eval(sizes).map_err(size)?;
        bytes = bytes.checked_mul(dim).ok_or_else(|| size(crate::ir::SizeError::Overflow))?;
    }
    let lines = bytes.max(1).checked_next_multiple_of(ALIGNMENT);
    lines.ok_or_else(|| size(crate::ir::SizeError::Overflow))
}

/// What a step reads and writes.
pub(super) fn accesses(step: &Step) -> (BTreeSet<BufferId>, BTreeSet<BufferId>) {
    let (mut reads, mut writes) = (BTreeSet::new(), BTreeSet::new());
    match &step.work {
        Work::Product(product) => {
            reads.extend([product.lhs.buffer, product.rhs.buffer]);
            writes.insert(product.out.buffer);
        }
        Work::Order(order) => {
            reads.insert(order.from);
            writes.insert(order.to);
        }
        Work::Kernel(kernel) => {
            for value in &kernel.values {
                if let Expr::Load { buffer, .. } = &value.expr {
                    reads.insert(*buffer);
                }
            }
            kernel.walk(&mut |stmt| {
                if let Stmt::Store(store) = stmt {
                    writes.insert(store.buffer);
                    if store.accumulate {
                        reads.insert(store.buffer);
                    }
                }
            });
        }
    }
    (reads, writes)
}

/// Gives every arena buffer its offset, and the bytes of the arena.
pub(super) fn place(
    buffers: &mut [Buffer],
    steps: &[Step],
    waves: &[Wave],
    sizes: &Bindings,
    limit: u64,
) -> Result<u64, ScheduleError> {
    let bytes: Vec<u64> = buffers.iter().map(|b| buffer_bytes(b, sizes)).collect::<Result<_, _>>()?;
    let total = bytes.iter().try_fold(0u64, |sum, b| sum.checked_add(*b));
    let too_large = || ScheduleError::TooLarge { bytes: None, limit };
    let in_arena = |b: &BufferId| matches!(buffers[b.index()].place, Place::Arena { .. });
    let mut lives: Vec<[BTreeSet<BufferId>; 2]> = Vec::new();
    for step in steps {
        let (mut reads, mut writes) = accesses(step);
        reads.retain(in_arena);
        writes.retain(in_arena);
        lives.push([reads, writes]);
    }
    let mut last: BTreeMap<BufferId, usize> = BTreeMap::new();
    for (at, [reads, writes]) in lives.iter().enumerate() {
        last.extend(reads.union(writes).map(|b| (*b, at)));
    }
    let mut placer = Placer { steps, lives: &lives, bytes: &bytes, last, offsets: BTreeMap::new() };
    let mut arena = Arena::default();
    for wave in waves {
        let private = |chain: &Chain| chain.private.iter().map(|(b, _)| *b).collect::<BTreeSet<_>>();
        let own: BTreeSet<BufferId> = wave.chains.iter().flat_map(&private).collect();
        let ended = placer.common(wave.steps(), &own, &mut arena).ok_or_else(too_large)?;
        // What is a chain's own lies in one piece, apart from that of chains that run at the same time.
        let mut pieces = Vec::new();
        for chain in &wave.chains {
            let own = private(chain);
            let mut piece = Arena::default();
            placer.own(chain.steps(), &own, &mut piece).ok_or_else(too_large)?;
            if piece.top > 0 {
                let start = arena.take(piece.top).ok_or_else(too_large)?;
                for buffer in &own {
                    placer.offsets.entry(*buffer).and_modify(|at| *at += start);
                }
                pieces.push((start, piece.top));
            }
        }
        for (start, bytes) in ended.into_iter().chain(pieces) {
            arena.give(start, bytes);
        }
    }
    if total.is_none_or(|total| total > limit) {
        return Err(ScheduleError::TooLarge { bytes: total, limit });
    }
    for (b, offset) in placer.offsets {
        buffers[b.index()].place = Place::Arena { offset, bytes: bytes[b.index()] };
    }
    Ok(arena.top)
}

struct Placer<'a> {
    steps: &'a [Step],
    /// What each step reads and writes of the arena.
    lives: &'a [[BTreeSet<BufferId>; 2]],
    bytes: &'a [u64],
    /// The last step that touches a buffer; none where another buffer has taken its bytes.
    last: BTreeMap<BufferId, usize>,
    offsets: BTreeMap<BufferId, u64>,
}

impl Placer<'_> {
    fn touched(&self, at: usize) -> impl Iterator<Item = BufferId> + use<'_> {
        self.lives[at][0].union(&self.lives[at][1]).copied()
    }

    /// Places what a step writes first; `heirs` are buffers whose bytes it may take over.
    fn write(
        &mut self,
        at: usize,
        which: impl Fn(&BufferId) -> bool,
        mut heirs: Vec<BufferId>,
        arena: &mut Arena,
    ) -> Option<()> {
        for b in self.lives[at][1].iter().filter(|b| which(b)) {
            if self.offsets.contains_key(b) {
                continue;
            }
            let fits = |d: &BufferId| {
                self.bytes[d.index()] == self.bytes[b.index()]
                    && self.steps[at].kernel().is_some_and(|k| replaces(k, *d, *b))
            };
            let offset = match heirs.iter().position(fits) {
                Some(heir) => {
                    let dead = heirs.remove(heir);
                    self.last.remove(&dead);
                    self.offsets[&dead]
                }
                None => arena.take(self.bytes[b.index()])?,
            };
            self.offsets.insert(*b, offset);
        }
        Some(())
    }

    /// Places what the steps of a wave write for others; gives what none needs any more after the wave.
    fn common(&mut self, steps: Range<usize>, own: &BTreeSet<BufferId>, arena: &mut Arena) -> Option<Vec<(u64, u64)>> {
        let mut users: BTreeMap<BufferId, usize> = BTreeMap::new();
        steps.clone().flat_map(|at| self.touched(at)).for_each(|b| *users.entry(b).or_insert(0) += 1);
        for at in steps.clone() {
            let dies = |b: &BufferId| self.last.get(b) == Some(&at) && users[b] == 1 && self.offsets.contains_key(b);
            let heirs = self.lives[at][0].iter().copied().filter(|b| !own.contains(b) && dies(b)).collect();
            self.write(at, |b| !own.contains(b), heirs, arena)?;
        }
        let over = |b: &BufferId| !own.contains(b) && self.last.get(b).is_some_and(|at| steps.contains(at));
        Some(users.into_keys().filter(over).map(|b| (self.offsets[&b], self.bytes[b.index()])).collect())
    }

    /// Places what only the steps of a chain touch, from step to step.
    fn own(&mut self, steps: Range<usize>, own: &BTreeSet<BufferId>, arena: &mut Arena) -> Option<()> {
        for at in steps {
            let dies = |b: &BufferId| self.last.get(b) == Some(&at) && self.offsets.contains_key(b);
            let heirs = self.lives[at][0].iter().copied().filter(|b| own.contains(b) && dies(b)).collect();
            self.write(at, |b| own.contains(b), heirs, arena)?;
            for b in self.touched(at).filter(|b| own.contains(b) && self.last.get(b) == Some(&at)) {
                arena.give(self.offsets[&b], self.bytes[b.index()]);
            }
        }
        Some(())
    }
}

/// Whether the kernel may write `new` over `old`: it is free of reductions and reads each element of `old` only where it
/// writes the same element of `new`.
fn replaces(kernel: &Kernel, old: BufferId, new: BufferId) -> bool {
    let mut plain = true;
    let mut target: Option<&Index> = None;
    kernel.walk(&mut |stmt| match stmt {
        Stmt::Reduce(_) => plain = false,
        Stmt::Loop(l) => plain &= !l.ordered,
        Stmt::Store(s) if s.buffer == new => {
            plain &= target.is_none() && s.index.values.is_empty() && !s.accumulate;
            target = Some(&s.index);
        }
        Stmt::Store(s) => plain &= s.buffer != old,
        Stmt::Let(_) => {}
    });
    let same = |expr: &Expr| match expr {
        Expr::Load { buffer, index, guards } if *buffer == old => guards.is_empty() && Some(index) == target,
        Expr::Load { buffer, .. } => *buffer != new,
        _ => true,
    };
    plain && kernel.values.iter().all(|v| same(&v.expr))
}
