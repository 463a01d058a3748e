//! What a step costs: operations and bytes at given sizes, and how often it runs over a buffer.

use super::kernel::{Expr, Kernel, Stmt};
use super::memory::{accesses, buffer_bytes};
use super::program::{BufferId, Place, Program, Step, Work, element_bytes};
use crate::ir::{Bindings, Role};
use std::collections::BTreeMap;

/// Work and memory traffic of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cost {
    /// Scalar operations; a product counts a multiplication and an addition each.
    pub flops: u64,
    /// Bytes read: of each buffer, those it has at most, however often they are read.
    pub read: u64,
    pub written: u64,
}

impl Cost {
    /// Operations and 4-byte elements moved together: about proportional to the time.
    pub fn total(&self) -> u64 {
        self.flops.saturating_add(self.read.saturating_add(self.written) / 4)
    }
}

impl Program {
    /// The cost of a step at capacity.
    pub fn cost(&self, step: &Step) -> Cost {
        match &step.work {
            Work::Product(product) => {
                let (reads, writes) = accesses(step);
                let bytes = |b: &BufferId| buffer_bytes(self.buffer(*b), &self.capacity).unwrap_or(u64::MAX);
                let sum = |all: std::collections::BTreeSet<BufferId>| {
                    all.iter().fold(0u64, |n, b| n.saturating_add(bytes(b)))
                };
                Cost { flops: super::product::flops(product, &self.capacity), read: sum(reads), written: sum(writes) }
            }
            Work::Order(order) => {
                let bytes = |b| buffer_bytes(self.buffer(b), &self.capacity).unwrap_or(u64::MAX);
                let size = |size: &crate::ir::Size| size.eval(&self.capacity).unwrap_or(u64::MAX);
                let (rows, length) = (size(&order.rows), size(&order.length));
                // Comparisons, each of which looks up two elements.
                let flops = rows.saturating_mul(length).saturating_mul(4 * u64::from(length.max(2).ilog2()));
                Cost { flops, read: bytes(order.from), written: bytes(order.to) }
            }
            Work::Kernel(kernel) => self.kernel_cost(kernel),
        }
    }

    fn kernel_cost(&self, kernel: &Kernel) -> Cost {
        let mut count = Count { program: self, kernel, flops: 0, read: BTreeMap::new(), written: BTreeMap::new() };
        count.block(&kernel.body, 1);
        let total = |by_buffer: &BTreeMap<BufferId, u64>| {
            by_buffer.iter().fold(0u64, |n, (b, accesses)| {
                let width = element_bytes(self.buffer(*b).elem);
                let all = self.buffer(*b).elements().eval(&self.capacity).unwrap_or(u64::MAX).saturating_mul(width);
                n.saturating_add(accesses.saturating_mul(width).min(all))
            })
        };
        Cost { flops: count.flops, read: total(&count.read), written: total(&count.written) }
    }

    /// The parameters that a step gives their next values.
    pub fn updates(&self, step: &Step) -> Vec<&str> {
        let written = accesses(step).1.into_iter().map(|b| self.buffer(b));
        let updated = written.filter_map(|b| match &b.place {
            Place::Input { name, role: Role::Parameter, updated: true } => Some(&**name),
            _ => None,
        });
        updated.collect()
    }

    /// How many loops run over the buffer in a step: each block of a kernel that reads or writes it, and each operand of a product.
    pub fn passes_over(&self, buffer: BufferId) -> usize {
        let passes = |step: &Step| match &step.work {
            Work::Product(p) => [&p.lhs, &p.rhs, &p.out].iter().filter(|o| o.buffer == buffer).count(),
            Work::Order(order) => [order.from, order.to].iter().filter(|b| **b == buffer).count(),
            Work::Kernel(kernel) => blocks_with(kernel, &kernel.body, buffer),
        };
        self.steps.iter().map(passes).sum()
    }

    /// The bytes of the arena that are in use at once at most, and the sum over all its buffers.
    pub fn arena_use(&self) -> (u64, u64) {
        let planned = self.buffers.iter().map(|b| match b.place {
            super::program::Place::Arena { bytes, .. } => bytes,
            _ => 0,
        });
        (self.arena, planned.sum())
    }
}

fn blocks_with(kernel: &Kernel, body: &[Stmt], buffer: BufferId) -> usize {
    let mut inner = 0;
    let mut here = false;
    for stmt in body {
        match stmt {
            Stmt::Let(v) => here |= matches!(&kernel.value(*v).expr, Expr::Load { buffer: b, .. } if *b == buffer),
            Stmt::Store(s) => here |= s.buffer == buffer,
            Stmt::Loop(l) => inner += blocks_with(kernel, &l.body, buffer),
            Stmt::Reduce(r) => inner += blocks_with(kernel, &r.body, buffer),
        }
    }
    inner + usize::from(here)
}

struct Count<'a> {
    program: &'a Program,
    kernel: &'a Kernel,
    flops: u64,
    read: BTreeMap<BufferId, u64>,
    written: BTreeMap<BufferId, u64>,
}

impl Count<'_> {
    fn block(&mut self, body: &[Stmt], times: u64) {
        for stmt in body {
            match stmt {
                Stmt::Let(v) => match &self.kernel.value(*v).expr {
                    Expr::Scalar { .. } | Expr::Random { .. } => self.flops = self.flops.saturating_add(times),
                    Expr::Load { buffer, .. } => add(&mut self.read, *buffer, times),
                    _ => {}
                },
                Stmt::Store(s) => add(&mut self.written, s.buffer, times),
                Stmt::Loop(l) => self.block(&l.body, times.saturating_mul(self.extent(l.axis))),
                Stmt::Reduce(r) => {
                    let inner = r.axes.iter().fold(times, |n, a| n.saturating_mul(self.extent(*a)));
                    self.flops = self.flops.saturating_add(inner.saturating_mul(r.results.len() as u64));
                    self.block(&r.body, inner);
                }
            }
        }
    }

    fn extent(&self, axis: super::kernel::AxisId) -> u64 {
        let sizes: &Bindings = &self.program.capacity;
        self.kernel.extent(axis).eval(sizes).unwrap_or(u64::MAX)
    }
}

fn add(counts: &mut BTreeMap<BufferId, u64>, buffer: BufferId, times: u64) {
    let count = counts.entry(buffer).or_insert(0);
    *count = count.saturating_add(times);
}
