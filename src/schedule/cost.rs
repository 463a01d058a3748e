//! What a step costs: operations and bytes at capacity, the time these take on one thread, and how often it runs over a buffer.
//!
//! The time is a call, the arithmetic and the memory traffic, one after the other. For most kernels it is right to a factor of
//! 1.5, which is enough to decide about threads and tiles; it does not know the machine, but assumes one ([`super::hardware`]).

use super::hardware::{
    BYTES_A_NS, CACHED_BYTES, CALL_NS, CHUNK, DIVISION, DRAW, FAR_BYTES_A_NS, INSTRUCTIONS_A_NS, LANES,
    PRODUCT_OPERATIONS_A_NS, TREE,
};
use super::kernel::{Expr, Kernel, Order, Reduce, ScalarOp, Stmt, Value};
use super::memory::{accesses, buffer_bytes};
use super::program::{BufferId, Place, Program, Step, Work, element_bytes};
use crate::ir::{Bindings, DType, Role};
use crate::scalar::{self, Function, Width};
use std::collections::BTreeMap;

/// Positions of a chunk, in vectors.
const CHUNK_VECTORS: u64 = 256;

/// Work and memory traffic of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cost {
    /// Scalar operations; a product counts a multiplication and an addition each.
    pub flops: u64,
    /// What these are in vector instructions, where a function counts the steps of its sequence, and what takes longer as many
    /// as take that time. A scalar is as long as a vector. Zero for a product.
    pub instructions: u64,
    /// Bytes read: of each buffer, those it has at most, however often they are read.
    pub read: u64,
    pub written: u64,
}

/// What the time of a step goes to, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Time {
    pub arithmetic: f64,
    pub memory: f64,
}

impl Time {
    pub fn total(self) -> f64 {
        CALL_NS + self.arithmetic + self.memory
    }
}

impl Cost {
    /// Operations for each byte that is read or written; none if there is no byte.
    pub fn intensity(&self) -> Option<f64> {
        let bytes = self.bytes();
        (bytes > 0).then(|| self.flops as f64 / bytes as f64)
    }

    pub fn bytes(&self) -> u64 {
        self.read.saturating_add(self.written)
    }

    /// Operations and 4-byte elements moved together: about proportional to the time.
    pub fn total(&self) -> u64 {
        self.flops.saturating_add(self.read.saturating_add(self.written) / 4)
    }
}

impl Program {
    /// Nanoseconds that one thread takes for a step at capacity, about.
    pub fn nanoseconds(&self, step: &Step) -> f64 {
        self.time(step).total()
    }

    /// What these nanoseconds go to.
    pub fn time(&self, step: &Step) -> Time {
        let cost = self.cost(step);
        let arithmetic = match step.work {
            Work::Product(_) if self.dtype == DType::F64 => 2.0 * cost.flops as f64 / PRODUCT_OPERATIONS_A_NS,
            Work::Product(_) => cost.flops as f64 / PRODUCT_OPERATIONS_A_NS,
            Work::Kernel(_) | Work::Order(_) => cost.instructions as f64 / INSTRUCTIONS_A_NS,
        };
        let rate = if cost.bytes() > CACHED_BYTES { FAR_BYTES_A_NS } else { BYTES_A_NS };
        Time { arithmetic, memory: cost.bytes() as f64 / rate }
    }

    /// The cost of a step at capacity.
    pub fn cost(&self, step: &Step) -> Cost {
        match &step.work {
            Work::Product(product) => {
                let (reads, writes) = accesses(step);
                let bytes = |b: &BufferId| buffer_bytes(self.buffer(*b), &self.capacity).unwrap_or(u64::MAX);
                let sum = |all: std::collections::BTreeSet<BufferId>| {
                    all.iter().fold(0u64, |n, b| n.saturating_add(bytes(b)))
                };
                let flops = super::product::flops(product, &self.capacity);
                Cost { flops, instructions: 0, read: sum(reads), written: sum(writes) }
            }
            Work::Order(order) => {
                let bytes = |b| buffer_bytes(self.buffer(b), &self.capacity).unwrap_or(u64::MAX);
                let size = |size: &crate::ir::Size| size.eval(&self.capacity).unwrap_or(u64::MAX);
                let (rows, length) = (size(&order.rows), size(&order.length));
                // Comparisons, each of which looks up two elements.
                let flops = rows.saturating_mul(length).saturating_mul(4 * u64::from(length.max(2).ilog2()));
                Cost { flops, instructions: flops, read: bytes(order.from), written: bytes(order.to) }
            }
            Work::Kernel(kernel) => self.kernel_cost(kernel),
        }
    }

    fn kernel_cost(&self, kernel: &Kernel) -> Cost {
        let (read, written) = (BTreeMap::new(), BTreeMap::new());
        let mut count = Count { program: self, kernel, flops: 0, instructions: 0, read, written };
        count.block(&kernel.body, Times { positions: 1, vectors: 1 });
        let total = |by_buffer: &BTreeMap<BufferId, u64>| {
            by_buffer.iter().fold(0u64, |n, (b, accesses)| {
                let width = element_bytes(self.buffer(*b).elem);
                let all = self.buffer(*b).elements().eval(&self.capacity).unwrap_or(u64::MAX).saturating_mul(width);
                n.saturating_add(accesses.saturating_mul(width).min(all))
            })
        };
        let Count { flops, instructions, .. } = count;
        Cost { flops, instructions, read: total(&count.read), written: total(&count.written) }
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
    instructions: u64,
    read: BTreeMap<BufferId, u64>,
    written: BTreeMap<BufferId, u64>,
}

/// How often a statement is carried out.
#[derive(Clone, Copy)]
struct Times {
    positions: u64,
    /// Likewise, all lanes of a vector at once.
    vectors: u64,
}

impl Times {
    fn each(self, positions: u64, vectors: u64) -> Times {
        let Times { positions: p, vectors: v } = self;
        Times { positions: p.saturating_mul(positions), vectors: v.saturating_mul(vectors) }
    }
}

impl Count<'_> {
    fn block(&mut self, body: &[Stmt], times: Times) {
        for stmt in body {
            match stmt {
                Stmt::Let(v) => match &self.kernel.value(*v).expr {
                    Expr::Scalar { .. } | Expr::Random { .. } => {
                        let each = instructions(self.kernel.value(*v));
                        self.flops = self.flops.saturating_add(times.positions);
                        self.takes(times.vectors, each);
                    }
                    Expr::Load { buffer, .. } => add(&mut self.read, *buffer, times.positions),
                    _ => {}
                },
                Stmt::Store(s) => add(&mut self.written, s.buffer, times.positions),
                Stmt::Loop(l) => {
                    let extent = self.extent(l.axis);
                    let vectors = if l.vector { self.vectors(extent) } else { extent };
                    self.block(&l.body, times.each(extent, vectors));
                }
                Stmt::Reduce(r) => self.reduction(r, times),
            }
        }
    }

    fn reduction(&mut self, reduce: &Reduce, times: Times) {
        let results = reduce.results.len() as u64;
        let Some((last, outer)) = reduce.axes.split_last() else { return };
        let outer = outer.iter().fold(1u64, |n, a| n.saturating_mul(self.extent(*a)));
        let last = self.extent(*last);
        let lanes = reduce.order == Order::Lanes;
        let vectors = if lanes { self.vectors(last) } else { last };
        let inner = times.each(outer.saturating_mul(last), outer.saturating_mul(vectors));
        self.flops = self.flops.saturating_add(inner.positions.saturating_mul(results));
        self.takes(inner.vectors, results);
        if lanes {
            let chunks = outer.saturating_mul(vectors.div_ceil(CHUNK_VECTORS));
            self.takes(times.vectors, results.saturating_mul(chunks.saturating_mul(CHUNK).saturating_add(TREE)));
        }
        self.block(&reduce.body, inner);
    }

    fn takes(&mut self, vectors: u64, each: u64) {
        self.instructions = self.instructions.saturating_add(vectors.saturating_mul(each));
    }

    /// Vectors of so many positions.
    fn vectors(&self, extent: u64) -> u64 {
        extent.div_ceil(if self.program.dtype == DType::F64 { LANES / 2 } else { LANES })
    }

    fn extent(&self, axis: super::kernel::AxisId) -> u64 {
        let sizes: &Bindings = &self.program.capacity;
        self.kernel.extent(axis).eval(sizes).unwrap_or(u64::MAX)
    }
}

/// Vector instructions of an operation or a draw.
fn instructions(value: &Value) -> u64 {
    let width = if value.dtype == DType::F64 { Width::Double } else { Width::Single };
    match &value.expr {
        Expr::Scalar { op: ScalarOp::Function(Function::Sqrt) | ScalarOp::Div, .. } => DIVISION,
        Expr::Scalar { op: ScalarOp::Function(function), .. } => function.steps(width),
        Expr::Scalar { op: ScalarOp::Pow, .. } => scalar::pow_steps(width),
        Expr::Scalar { .. } => 1,
        Expr::Random { .. } => DRAW,
        _ => 0,
    }
}

fn add(counts: &mut BTreeMap<BufferId, u64>, buffer: BufferId, times: u64) {
    let count = counts.entry(buffer).or_insert(0);
    *count = count.saturating_add(times);
}
