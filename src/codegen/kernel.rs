//! One kernel to one function: its entry, its values and its statements.
//!
//! Input: a kernel and the table's layout. Output: the instructions of a function that takes the table's address.
//! Invariants: a value of the program's float or integer type is a vector, a boolean a mask of the integer vector type,
//! with all lanes equal where the value is uniform; only wide integers (i64 in an f32 program) are scalars. A value that
//! varies along the lane axis has one vector per copy of an unrolled body, and in a single-element body only lane 0 counts.

use super::CodegenError;
use super::lanes::{Lanes, Vector};
use super::sizes::{Sizes, fixed};
use super::table::TableLayout;
use crate::ir::{DType, Size};
use crate::scalar::{Lane, Width};
use crate::schedule::kernel::{AxisId, Expr, Guard, Index, Kernel, Stmt, ValueId};
use crate::schedule::program::{BufferId, Place, Program};
use cranelift_codegen::ir::{Block, InstBuilder, Type, Value, types};
use cranelift_frontend::FunctionBuilder;
use std::collections::BTreeMap;

/// The most copies of a body that an unrolled loop holds.
pub(super) const MOST_COPIES: usize = 4;

/// What a value is held in: one CLIF value per copy, the same one in each if it is uniform.
pub(super) type Held = [Option<Value>; MOST_COPIES];

/// The axis whose positions are lanes at the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneAxis {
    pub axis: AxisId,
    /// How many vectors one pass of the body computes.
    pub copies: usize,
    /// Whether only one element is computed, in lane 0.
    pub single: bool,
}

pub(super) struct Emitter<'a, 'f> {
    pub builder: FunctionBuilder<'f>,
    pub program: &'a Program,
    pub kernel: &'a Kernel,
    pub vector: Vector,
    pub table: Value,
    pub sizes: Sizes<'a>,
    /// The address of each buffer the kernel touches.
    bases: Vec<Option<Value>>,
    /// Whether the kernel writes the memory of a buffer.
    written: Vec<bool>,
    /// The current position of each open axis; of the lane axis, that of lane 0 of copy 0.
    pub positions: Vec<Option<Value>>,
    /// The open axes, outermost first.
    pub open: Vec<AxisId>,
    pub lane: Option<LaneAxis>,
    values: Vec<Held>,
    /// The keys of draws, where they were derived ahead of a loop.
    pub keys: BTreeMap<ValueId, [Value; 2]>,
    /// The second word of a pair of vectors of draws, from one copy to the next.
    pub second_words: Option<(ValueId, Value)>,
}

impl<'a, 'f> Emitter<'a, 'f> {
    /// Starts the function: computes sizes and addresses in its entry block.
    pub fn new(
        mut builder: FunctionBuilder<'f>,
        program: &'a Program,
        kernel: &'a Kernel,
        layout: &'a TableLayout,
    ) -> Result<Emitter<'a, 'f>, CodegenError> {
        let width = if program.dtype == DType::F64 { Width::Double } else { Width::Single };
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        builder.seal_block(entry);
        let table = builder.block_params(entry)[0];
        let mut sizes = Sizes::new(layout, table);
        visit_sizes(kernel, &mut |size| sizes.prepare(&mut builder, size))?;
        let (touched, stored) = buffers(kernel);
        let mut bases = vec![None; program.buffers.len()];
        for buffer in &touched {
            let word = layout.buffer(*buffer);
            bases[buffer.index()] = Some(builder.ins().load(types::I64, fixed(), table, (word * 8) as i32));
        }
        let mut written = vec![false; program.buffers.len()];
        for buffer in touched {
            written[buffer.index()] = stored.iter().any(|s| *s == buffer || overlap(program, *s, buffer));
        }
        Ok(Emitter {
            builder,
            program,
            kernel,
            vector: Vector::new(width),
            table,
            sizes,
            bases,
            written,
            positions: vec![None; kernel.axes.len()],
            open: Vec::new(),
            lane: None,
            values: vec![[None; MOST_COPIES]; kernel.values.len()],
            keys: BTreeMap::new(),
            second_words: None,
        })
    }

    /// Emits the whole kernel and its return.
    pub fn run(mut self) -> Result<FunctionBuilder<'f>, CodegenError> {
        let kernel = self.kernel;
        self.body(&kernel.body)?;
        self.builder.ins().return_(&[]);
        Ok(self.builder)
    }

    pub fn body(&mut self, body: &[Stmt]) -> Result<(), CodegenError> {
        for stmt in body {
            match stmt {
                Stmt::Let(value) => self.define(*value)?,
                Stmt::Loop(l) => self.run_loop(l)?,
                Stmt::Reduce(r) => self.reduce(r)?,
                Stmt::Store(s) => self.store(s)?,
            }
        }
        Ok(())
    }

    fn define(&mut self, id: ValueId) -> Result<(), CodegenError> {
        let mut held = [None; MOST_COPIES];
        for (copy, slot) in held.iter_mut().enumerate().take(self.copies_of(id)) {
            *slot = Some(self.expression(id, copy)?);
        }
        self.hold(id, held);
        Ok(())
    }

    /// How many copies of a value the current body has: one if it is uniform.
    pub fn copies_of(&self, id: ValueId) -> usize {
        match self.lane {
            Some(lane) if self.kernel.varies_along(id, lane.axis) => lane.copies,
            _ => 1,
        }
    }

    /// Records a value's copies; a single one stands for all.
    pub fn hold(&mut self, id: ValueId, mut held: Held) {
        for copy in 1..MOST_COPIES {
            held[copy] = held[copy].or(held[0]);
        }
        self.values[id.index()] = held;
    }

    /// Whether a value stands ready.
    pub fn is_held(&self, id: ValueId) -> bool {
        self.values[id.index()][0].is_some()
    }

    pub fn value(&self, id: ValueId, copy: usize) -> Result<Value, CodegenError> {
        let value = self.values[id.index()][copy];
        value.ok_or_else(|| CodegenError::Internal(format!("value {} is used before it is defined", id.0)))
    }

    pub fn base(&self, buffer: BufferId) -> Result<Value, CodegenError> {
        let base = self.bases[buffer.index()];
        base.ok_or_else(|| CodegenError::Internal(format!("buffer {} was not prepared", buffer.0)))
    }

    pub fn is_written(&self, buffer: BufferId) -> bool {
        self.written[buffer.index()]
    }

    pub fn dtype(&self, id: ValueId) -> DType {
        self.kernel.value(id).dtype
    }

    /// Whether a type is held as a scalar.
    pub fn is_wide(&self, dtype: DType) -> bool {
        dtype == DType::I64 && self.vector.width == Width::Single
    }

    /// The vector type a type of the program is held in.
    pub fn held_type(&self, dtype: DType) -> Type {
        if self.is_wide(dtype) {
            types::I64
        } else if dtype.is_float() {
            self.vector.float
        } else {
            self.vector.int
        }
    }

    pub fn lanes(&mut self) -> Lanes<'_, 'f> {
        Lanes { builder: &mut self.builder, vector: self.vector }
    }

    pub fn size(&mut self, size: &Size) -> Result<Value, CodegenError> {
        self.sizes.get(&mut self.builder, size)
    }

    pub fn integer(&mut self, value: i64) -> Value {
        self.builder.ins().iconst(types::I64, value)
    }

    pub fn position(&self, axis: AxisId) -> Result<Value, CodegenError> {
        let position = self.positions[axis.index()];
        position.ok_or_else(|| CodegenError::Internal(format!("axis {} is not open", axis.0)))
    }

    /// Runs `f` with an axis open at `position`.
    pub fn at<R>(
        &mut self,
        axis: AxisId,
        position: Value,
        f: impl FnOnce(&mut Self) -> Result<R, CodegenError>,
    ) -> Result<R, CodegenError> {
        self.positions[axis.index()] = Some(position);
        self.open.push(axis);
        let result = f(self);
        self.open.pop();
        result
    }

    /// Runs `f` with the positions of an axis as lanes.
    pub fn in_lanes<R>(
        &mut self,
        lane: LaneAxis,
        position: Value,
        f: impl FnOnce(&mut Self) -> Result<R, CodegenError>,
    ) -> Result<R, CodegenError> {
        let outer = self.lane.replace(lane);
        let result = self.at(lane.axis, position, f);
        self.lane = outer;
        result
    }

    pub fn block(&mut self) -> Block {
        self.builder.create_block()
    }

    pub fn enter(&mut self, block: Block) {
        self.builder.switch_to_block(block);
    }

    /// A vector with the scalar in every lane.
    pub fn splat(&mut self, ty: Type, scalar: Value) -> Value {
        self.builder.ins().splat(ty, scalar)
    }

    /// The vector 0, 1, 2, … of integers.
    pub fn iota(&mut self) -> Value {
        let numbers: Vec<u8> =
            (0..self.vector.lanes as u64).flat_map(|k| k.to_le_bytes()[..self.vector.bytes].to_vec()).collect();
        let handle = self.builder.func.dfg.constants.insert(numbers.into());
        self.builder.ins().vconst(self.vector.int, handle)
    }

    pub fn zero(&mut self) -> Value {
        self.lanes().float(0.0)
    }
}

/// Calls `f` with every size the kernel mentions.
pub(super) fn visit_sizes(
    kernel: &Kernel,
    f: &mut impl FnMut(&Size) -> Result<(), CodegenError>,
) -> Result<(), CodegenError> {
    fn index(i: &Index, f: &mut impl FnMut(&Size) -> Result<(), CodegenError>) -> Result<(), CodegenError> {
        f(&i.offset)?;
        i.terms.iter().try_for_each(|(_, s)| f(s))?;
        i.values.iter().try_for_each(|(_, s)| f(s))
    }
    fn guards(g: &[Guard], f: &mut impl FnMut(&Size) -> Result<(), CodegenError>) -> Result<(), CodegenError> {
        g.iter().try_for_each(|guard| {
            index(&guard.index, f)?;
            f(&guard.lower)?;
            f(&guard.upper)
        })
    }
    kernel.axes.iter().try_for_each(&mut *f)?;
    for value in &kernel.values {
        match &value.expr {
            Expr::Size(size) => f(size)?,
            Expr::Position(i) => index(i, f)?,
            Expr::Load { index: i, guards: g, .. } => {
                index(i, f)?;
                guards(g, f)?;
            }
            Expr::Within(g) => guards(g, f)?,
            Expr::Random { element, .. } => index(element, f)?,
            Expr::Constant(_) | Expr::Scalar { .. } | Expr::Reduced => {}
        }
    }
    let mut result = Ok(());
    kernel.walk(&mut |stmt| {
        if let (Stmt::Store(store), Ok(())) = (stmt, &result) {
            result = index(&store.index, f);
        }
    });
    result
}

/// The buffers a kernel touches and those it stores to, each once, ascending.
fn buffers(kernel: &Kernel) -> (Vec<BufferId>, Vec<BufferId>) {
    let mut stored = Vec::new();
    kernel.walk(&mut |stmt| {
        if let Stmt::Store(store) = stmt {
            stored.push(store.buffer);
        }
    });
    let loaded = kernel.values.iter().filter_map(|v| match &v.expr {
        Expr::Load { buffer, .. } => Some(*buffer),
        _ => None,
    });
    let mut touched: Vec<BufferId> = loaded.chain(stored.iter().copied()).collect();
    touched.sort();
    touched.dedup();
    (touched, stored)
}

/// Whether two buffers of the arena share memory.
fn overlap(program: &Program, a: BufferId, b: BufferId) -> bool {
    match (&program.buffer(a).place, &program.buffer(b).place) {
        (Place::Arena { offset: a, bytes: n }, Place::Arena { offset: b, bytes: m }) => *a < b + m && *b < a + n,
        _ => false,
    }
}
