//! The functions around kernels: one per product, and the step itself, which calls everything in order.
//!
//! Input: a program. Output: functions that take the table's address and return nothing. Invariant: the step decides
//! nothing, and allocates nothing once its products have made what they multiply with; sizes come from the table.

use super::crew::Span;
use super::product::Shape;
use super::sizes::{Sizes, fixed};
use super::table::TableLayout;
use super::{CodegenError, Options};
use crate::ir::Size;
use crate::schedule::kernel::Kernel;
use crate::schedule::program::{Operand, Order, Product, Program, element_bytes};
use crate::schedule::waves::{column_loop, shared_loop};
use cranelift_codegen::ir::{FuncRef, InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, Value, types};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::FunctionBuilder;
use std::mem::offset_of;

/// Opens the entry block and gives the table's address.
fn enter(builder: &mut FunctionBuilder) -> Value {
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    builder.seal_block(entry);
    builder.block_params(entry)[0]
}

/// Emits the step: calls each function with the table.
pub(super) fn emit_step(builder: &mut FunctionBuilder, functions: &[FuncRef]) {
    let table = enter(builder);
    for function in functions {
        builder.ins().call(*function, &[table]);
    }
    builder.ins().return_(&[]);
}

/// Emits the call of a kernel's wide code for all positions of its outermost loop, and all columns.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) fn emit_wide(
    mut builder: FunctionBuilder,
    kernel: &Kernel,
    layout: &TableLayout,
    wide: FuncRef,
    config: TargetFrontendConfig,
) -> Result<(), CodegenError> {
    let table = enter(&mut builder);
    let mut sizes = Sizes::new(layout, table);
    let one = Size::constant(1);
    let extent = shared_loop(kernel).map_or(&one, |l| kernel.extent(l.axis));
    sizes.prepare(&mut builder, extent)?;
    let extent = sizes.get(&mut builder, extent)?;
    let columns = column_loop(kernel).map_or(&one, |l| kernel.extent(l.axis));
    sizes.prepare(&mut builder, columns)?;
    let columns = sizes.get(&mut builder, columns)?;
    let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, size_of::<Span>() as u32, 3);
    let slot = builder.create_sized_stack_slot(slot);
    let zero = builder.ins().iconst(types::I64, 0);
    builder.ins().stack_store(types::I64, zero, slot, offset_of!(Span, start) as i32);
    builder.ins().stack_store(types::I64, extent, slot, offset_of!(Span, end) as i32);
    builder.ins().stack_store(types::I64, zero, slot, offset_of!(Span, first) as i32);
    builder.ins().stack_store(types::I64, columns, slot, offset_of!(Span, last) as i32);
    builder.ins().stack_store(types::I64, zero, slot, offset_of!(Span, soon) as i32);
    builder.ins().stack_store(types::I64, zero, slot, offset_of!(Span, soons) as i32);
    builder.ins().stack_store(types::I64, zero, slot, offset_of!(Span, stage) as i32);
    let span = builder.ins().stack_addr(types::I64, slot, 0);
    builder.ins().call(wide, &[table, span]);
    builder.ins().return_(&[]);
    builder.seal_all_blocks();
    builder.finalize(config);
    Ok(())
}

/// Emits the sort of the rows of a buffer.
pub(super) fn emit_order(
    mut builder: FunctionBuilder,
    order: &Order,
    layout: &TableLayout,
    library: FuncRef,
    config: TargetFrontendConfig,
) -> Result<(), CodegenError> {
    let table = enter(&mut builder);
    let mut sizes = Sizes::new(layout, table);
    let mut arguments = Vec::new();
    for size in [&order.rows, &order.length] {
        sizes.prepare(&mut builder, size)?;
        arguments.push(sizes.get(&mut builder, size)?);
    }
    for buffer in [order.from, order.to] {
        let word = layout.buffer(buffer);
        arguments.push(builder.ins().load(types::I64, fixed(), table, (word * 8) as i32));
    }
    builder.ins().call(library, &arguments);
    builder.ins().return_(&[]);
    builder.seal_all_blocks();
    builder.finalize(config);
    Ok(())
}

/// Emits one product as loops over its outer batch axes around calls of the library; the last batch axis is the
/// library's. A function of the table and a span hands the library its span.
pub(super) fn emit_product(
    mut builder: FunctionBuilder,
    program: &Program,
    product: &Product,
    layout: &TableLayout,
    library: FuncRef,
    options: &Options,
    config: TargetFrontendConfig,
) -> Result<(), CodegenError> {
    let table = enter(&mut builder);
    let entry = builder.current_block().map(|entry| builder.block_params(entry).to_vec());
    let span = entry.and_then(|parameters| parameters.get(1).copied());
    let mut emitter = ProductEmitter { sizes: Sizes::new(layout, table), builder: &mut builder };
    emitter.prepare(product)?;
    let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, size_of::<Shape>() as u32, 3);
    let slot = emitter.builder.create_sized_stack_slot(slot);
    let shape = emitter.builder.ins().stack_addr(types::I64, slot, 0);
    emitter.fill(shape, product, options)?;
    emitter.look_up(shape, program, product, layout, table);
    let mut bases = Vec::new();
    for operand in [&product.out, &product.lhs, &product.rhs] {
        bases.push(emitter.start(program, layout, table, operand)?);
    }
    let bytes = element_bytes(program.buffer(product.out.buffer).elem);
    let outer = &product.batch[..product.batch.len().saturating_sub(1)];
    emitter.batches(outer, bytes, &bases, &mut |builder, bases| {
        let arguments = [shape, bases[0], bases[1], bases[2]].into_iter().chain(span);
        builder.ins().call(library, &arguments.collect::<Vec<_>>());
    })?;
    builder.ins().return_(&[]);
    builder.seal_all_blocks();
    builder.finalize(config);
    Ok(())
}

struct ProductEmitter<'a, 'b, 'f> {
    builder: &'b mut FunctionBuilder<'f>,
    sizes: Sizes<'a>,
}

impl ProductEmitter<'_, '_, '_> {
    fn prepare(&mut self, product: &Product) -> Result<(), CodegenError> {
        let operands = [&product.out, &product.lhs, &product.rhs];
        let of_operands = operands.iter().flat_map(|o| [&o.offset, &o.row_stride, &o.column_stride]);
        let of_batches = product.batch.iter().flat_map(|b| [&b.extent, &b.out, &b.lhs, &b.rhs]);
        let sizes = [&product.m, &product.n, &product.k].into_iter().chain(of_operands).chain(of_batches);
        for size in sizes {
            self.sizes.prepare(self.builder, size)?;
        }
        Ok(())
    }

    fn put(&mut self, shape: Value, offset: usize, size: &Size) -> Result<(), CodegenError> {
        let value = self.sizes.get(self.builder, size)?;
        self.builder.ins().store(MemFlagsData::trusted(), value, shape, offset as i32);
        Ok(())
    }

    fn fill(&mut self, shape: Value, product: &Product, options: &Options) -> Result<(), CodegenError> {
        let last = product.batch.last();
        let (one, none) = (Size::constant(1), Size::constant(0));
        self.put(shape, offset_of!(Shape, batch), last.map_or(&one, |b| &b.extent))?;
        self.put(shape, offset_of!(Shape, m), &product.m)?;
        self.put(shape, offset_of!(Shape, n), &product.n)?;
        self.put(shape, offset_of!(Shape, k), &product.k)?;
        let strides = [
            (offset_of!(Shape, out), &product.out, last.map_or(&none, |b| &b.out)),
            (offset_of!(Shape, lhs), &product.lhs, last.map_or(&none, |b| &b.lhs)),
            (offset_of!(Shape, rhs), &product.rhs, last.map_or(&none, |b| &b.rhs)),
        ];
        for (at, operand, batch) in strides {
            for (k, stride) in [batch, &operand.row_stride, &operand.column_stride].into_iter().enumerate() {
                self.put(shape, at + k * size_of::<isize>(), stride)?;
            }
        }
        self.put(shape, offset_of!(Shape, accumulate), &Size::constant(u64::from(product.accumulate)))?;
        self.put(shape, offset_of!(Shape, emitter), &Size::constant(super::product::emitter(options.cpu) as u64))?;
        self.put(shape, offset_of!(Shape, threads), &Size::constant(options.threads as u64))
    }

    /// Says where the row numbers of an operand are, if its rows may lie apart.
    fn look_up(&mut self, shape: Value, program: &Program, product: &Product, layout: &TableLayout, table: Value) {
        let operands = [product.lhs.buffer, product.rhs.buffer];
        let found = operands.into_iter().find_map(|b| Some((layout.rows(b)?, program.scattered_in(product, b)?)));
        let (numbers, which) = match found {
            Some((word, which)) => {
                (self.builder.ins().load(types::I64, fixed(), table, (word * 8) as i32), which as i64)
            }
            None => (self.builder.ins().iconst(types::I64, 0), 0),
        };
        let which = self.builder.ins().iconst(types::I64, which);
        for (value, at) in [(numbers, offset_of!(Shape, rows)), (which, offset_of!(Shape, scattered))] {
            self.builder.ins().store(MemFlagsData::trusted(), value, shape, at as i32);
        }
    }

    /// The address of an operand's first element.
    fn start(
        &mut self,
        program: &Program,
        layout: &TableLayout,
        table: Value,
        operand: &Operand,
    ) -> Result<Value, CodegenError> {
        let word = layout.buffer(operand.buffer);
        let base = self.builder.ins().load(types::I64, fixed(), table, (word * 8) as i32);
        let offset = self.sizes.get(self.builder, &operand.offset)?;
        let bytes = element_bytes(program.buffer(operand.buffer).elem) as i64;
        let offset = self.builder.ins().imul_imm_s(offset, bytes);
        Ok(self.builder.ins().iadd(base, offset))
    }

    fn batches(
        &mut self,
        outer: &[crate::schedule::program::Batch],
        bytes: u64,
        bases: &[Value],
        call: &mut dyn FnMut(&mut FunctionBuilder, &[Value]),
    ) -> Result<(), CodegenError> {
        use cranelift_codegen::ir::{BlockArg, condcodes::IntCC};
        let Some((batch, inner)) = outer.split_first() else {
            call(self.builder, bases);
            return Ok(());
        };
        let extent = self.sizes.get(self.builder, &batch.extent)?;
        let zero = self.builder.ins().iconst(types::I64, 0);
        let mut steps = Vec::new();
        for stride in [&batch.out, &batch.lhs, &batch.rhs] {
            let stride = self.sizes.get(self.builder, stride)?;
            steps.push(self.builder.ins().imul_imm_s(stride, bytes as i64));
        }
        let (head, body, exit) =
            (self.builder.create_block(), self.builder.create_block(), self.builder.create_block());
        let parameters: Vec<Value> = (0..4).map(|_| self.builder.append_block_param(head, types::I64)).collect();
        let start: Vec<BlockArg> = std::iter::once(zero).chain(bases.iter().copied()).map(BlockArg::Value).collect();
        self.builder.ins().jump(head, &start);
        self.builder.switch_to_block(head);
        let more = self.builder.ins().icmp(IntCC::SignedLessThan, parameters[0], extent);
        self.builder.ins().brif(more, body, &[], exit, &[]);
        self.builder.switch_to_block(body);
        self.batches(inner, bytes, &parameters[1..], call)?;
        let next = self.builder.ins().iadd_imm_s(parameters[0], 1);
        let moved = parameters[1..].iter().zip(&steps).map(|(p, s)| self.builder.ins().iadd(*p, *s));
        let moved: Vec<BlockArg> =
            std::iter::once(next).chain(moved.collect::<Vec<_>>()).map(BlockArg::Value).collect();
        self.builder.ins().jump(head, &moved);
        self.builder.switch_to_block(exit);
        Ok(())
    }
}
