//! The arena: each buffer lives from the step that writes it first to the one that reads it last; buffers that never live
//! together share bytes.
//!
//! A step's result takes the bytes of an operand that dies in it where the step reads each element just before it writes it.

use super::ScheduleError;
use super::kernel::{Expr, Index, Kernel, Stmt};
use super::program::{Buffer, BufferId, Place, Step, Work, element_bytes};
use crate::ir::{Bindings, Origin};
use std::collections::{BTreeMap, BTreeSet};

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
    sizes: &Bindings,
    limit: u64,
) -> Result<u64, ScheduleError> {
    let all: Vec<u64> = buffers.iter().map(|b| buffer_bytes(b, sizes)).collect::<Result<_, _>>()?;
    let total = all.iter().try_fold(0u64, |sum, b| sum.checked_add(*b));
    let in_arena = |b: &BufferId| matches!(buffers[b.index()].place, Place::Arena { .. });
    let lives: Vec<(BTreeSet<BufferId>, BTreeSet<BufferId>)> = steps.iter().map(accesses).collect();
    let mut last: BTreeMap<BufferId, usize> = BTreeMap::new();
    for (at, (reads, writes)) in lives.iter().enumerate() {
        reads.iter().chain(writes).filter(|b| in_arena(b)).for_each(|b| {
            last.insert(*b, at);
        });
    }
    let mut arena = Arena::default();
    let mut offsets: BTreeMap<BufferId, u64> = BTreeMap::new();
    for (at, (reads, writes)) in lives.iter().enumerate() {
        let mut dying: BTreeSet<BufferId> =
            reads.iter().filter(|b| last.get(b) == Some(&at) && offsets.contains_key(b)).copied().collect();
        let mut fresh: Vec<BufferId> = Vec::new();
        for b in writes.iter().filter(|b| in_arena(b) && !offsets.contains_key(b)).copied().collect::<Vec<_>>() {
            let b = &b;
            let heir = dying
                .iter()
                .copied()
                .find(|d| all[d.index()] == all[b.index()] && steps[at].kernel().is_some_and(|k| replaces(k, *d, *b)));
            let offset = match heir {
                Some(dead) => {
                    dying.remove(&dead);
                    offsets[&dead]
                }
                None => arena.take(all[b.index()]).ok_or(ScheduleError::TooLarge { bytes: None, limit })?,
            };
            offsets.insert(*b, offset);
            fresh.push(*b);
        }
        let fresh = fresh.into_iter().filter(|b| last.get(b) == Some(&at));
        for b in dying.into_iter().chain(fresh) {
            arena.give(offsets[&b], all[b.index()]);
        }
    }
    if total.is_none_or(|total| total > limit) {
        return Err(ScheduleError::TooLarge { bytes: total, limit });
    }
    for (b, offset) in offsets {
        buffers[b.index()].place = Place::Arena { offset, bytes: all[b.index()] };
    }
    Ok(arena.top)
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
