//! The program: buffers in one memory plan, and the steps that run over them in order.
//!
//! Sizes may contain the program's symbols, whose values come with each run; arena offsets are fixed for the capacity.
//! Buffers are dense and row-major in the order their kernels index them; views have no buffer.

use super::kernel::Kernel;
use super::waves::Wave;
use crate::ir::{Bindings, DType, Origin, OutputRole, Role, Size, SizeError, Symbol};
use std::sync::Arc;

/// A buffer of one program: an index into [`Program::buffers`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct BufferId(pub u32);

impl BufferId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the schedule is made for.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// The greatest value of every symbol.
    pub capacity: Bindings,
    /// Contractions of at most this many multiplications (at capacity) become loops.
    pub small_product: u64,
    /// Bytes that all tiles of rows read from which products are cut by columns instead: what does not stay in a
    /// second-level cache beside a tile is read again for each.
    pub shared_bytes: u64,
    /// Columns from which a product may be cut by them: enough vectors for several threads.
    pub fewest_columns: u64,
    /// The arena must not exceed this many bytes.
    pub memory_limit: u64,
}

impl Options {
    pub fn new(capacity: Bindings) -> Options {
        Options { capacity, small_product: 4096, shared_bytes: 512 << 10, fewest_columns: 128, memory_limit: 1 << 40 }
    }
}

/// Kernels and products in execution order over planned memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Program {
    /// The float type the program computes in.
    pub dtype: DType,
    /// The symbols whose values a run gives, sorted.
    pub symbols: Vec<Symbol>,
    /// The greatest values of the symbols.
    pub capacity: Bindings,
    pub buffers: Vec<Buffer>,
    pub steps: Vec<Step>,
    /// Which of the steps may run at the same time or tile by tile; run one after the other they give the same.
    pub waves: Vec<Wave>,
    /// The graph's outputs in their order.
    pub outputs: Vec<ProgramOutput>,
    /// Bytes of the arena at capacity.
    pub arena: u64,
}

/// Memory that steps read and write.
#[derive(Clone, PartialEq, Debug)]
pub struct Buffer {
    pub name: Arc<str>,
    /// Never a boolean: those are held as integers 0 and 1 of the width of the program's floats.
    pub elem: DType,
    pub dims: Vec<Size>,
    pub place: Place,
}

/// Where a buffer lies. Every place is aligned to 64 bytes, except that an input which is only read may be lent for a run
/// from any address that its elements may have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// Given by the caller. `updated`: the program writes the input's next value into it.
    Input { name: Arc<str>, role: Role, updated: bool },
    /// Given by the caller, written by the program.
    Output { name: Arc<str> },
    /// Within the arena: byte offset and length at capacity.
    Arena { offset: u64, bytes: u64 },
}

/// Where an output of the graph is found after a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgramOutput {
    pub name: Arc<str>,
    pub role: OutputRole,
    /// For `Next`, the buffer of the input itself: it was updated in place.
    pub buffer: BufferId,
}

/// One piece of work.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// Unique within the program, made of what the step computes.
    pub name: String,
    /// Of the node that gave the step its name.
    pub origin: Origin,
    /// What was fused into the step, in graph order: primitive and origin.
    pub fused: Vec<Fused>,
    pub work: Work,
}

/// A primitive application that a step carries out.
#[derive(Clone, PartialEq, Debug)]
pub struct Fused {
    pub primitive: &'static str,
    pub origin: Origin,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Work {
    Kernel(Kernel),
    Product(Product),
    Order(Order),
}

/// For each of `rows` rows of `length` elements: the positions of the elements in ascending order, as `Op::Order` has them.
#[derive(Clone, PartialEq, Debug)]
pub struct Order {
    pub rows: Size,
    pub length: Size,
    /// Dense and row-major, as is `to`, which never overlaps it.
    pub from: BufferId,
    pub to: BufferId,
}

/// For every batch position: `out[m, n] (+)= Σ_k lhs[m, k] · rhs[k, n]`, by the product library.
#[derive(Clone, PartialEq, Debug)]
pub struct Product {
    pub m: Size,
    pub n: Size,
    pub k: Size,
    /// Loops around the product, outermost first; none for a plain product.
    pub batch: Vec<Batch>,
    /// Rows run along `m`, columns along `k`.
    pub lhs: Operand,
    /// Rows run along `k`, columns along `n`.
    pub rhs: Operand,
    /// Rows run along `m`, columns along `n`. Never overlaps an operand.
    pub out: Operand,
    /// Adds to what `out` holds instead of replacing it.
    pub accumulate: bool,
}

/// A matrix in a buffer: element (row, column) is at `offset + row · row_stride + column · column_stride`.
#[derive(Clone, PartialEq, Debug)]
pub struct Operand {
    pub buffer: BufferId,
    pub offset: Size,
    pub row_stride: Size,
    pub column_stride: Size,
}

/// A batch axis of a product with the strides of its three matrices.
#[derive(Clone, PartialEq, Debug)]
pub struct Batch {
    pub extent: Size,
    pub lhs: Size,
    pub rhs: Size,
    pub out: Size,
}

impl Buffer {
    pub fn elements(&self) -> Size {
        self.dims.iter().fold(Size::constant(1), |n, d| &n * d)
    }
}

/// The bytes of one element in memory.
pub fn element_bytes(elem: DType) -> u64 {
    match elem {
        DType::F32 | DType::I32 => 4,
        DType::F64 | DType::I64 => 8,
        DType::Bool => 1,
    }
}

impl Program {
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.index()]
    }

    /// The buffer of the input of this name.
    pub fn input(&self, name: &str) -> Option<BufferId> {
        let found = self.buffers.iter().position(|b| matches!(&b.place, Place::Input { name: n, .. } if **n == *name));
        found.map(|k| BufferId(k as u32))
    }

    /// The buffer of the output of this name and role.
    pub fn output(&self, name: &str, role: &OutputRole) -> Option<BufferId> {
        self.outputs.iter().find(|o| *o.name == *name && o.role == *role).map(|o| o.buffer)
    }

    pub fn kernels(&self) -> impl Iterator<Item = (&Step, &Kernel)> {
        self.steps.iter().filter_map(|s| Some((s, s.kernel()?)))
    }

    pub fn products(&self) -> impl Iterator<Item = (&Step, &Product)> {
        self.steps.iter().filter_map(|s| match &s.work {
            Work::Product(p) => Some((s, p)),
            Work::Kernel(_) | Work::Order(_) => None,
        })
    }

    /// Bytes of the arena at capacity.
    pub fn arena_bytes(&self) -> u64 {
        self.arena
    }

    /// Whether a run with these values of the symbols fits: every symbol bound and within capacity, every size
    /// defined, every buffer within its place.
    pub fn admits(&self, bindings: &Bindings) -> Result<(), SizeError> {
        for symbol in &self.symbols {
            let value = bindings.get(symbol).ok_or_else(|| SizeError::Unbound(symbol.clone()))?;
            if self.capacity.get(symbol).is_none_or(|most| value > most) {
                return Err(SizeError::Overflow);
            }
        }
        for buffer in &self.buffers {
            let mut bytes = element_bytes(buffer.elem);
            for dim in &buffer.dims {
                bytes = bytes.checked_mul(dim.eval(bindings)?).ok_or(SizeError::Overflow)?;
            }
            // A size that shrinks with its symbol is largest below capacity.
            if matches!(buffer.place, Place::Arena { bytes: planned, .. } if bytes > planned) {
                return Err(SizeError::Overflow);
            }
        }
        Ok(())
    }
}
