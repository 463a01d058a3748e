//! The functions around kernels: one per product, and the step itself, which calls everything in order.
//!
//! Input: a program. Output: functions that take the table's address and return nothing. Invariant: the step decides
//! nothing, and allocates nothing once its products have made what they multiply with; sizes come from the table.

use super::crew::Span;
use super::fields::{self, Field, Held};
use super::product::Shape;
use super::sizes::Sizes;
use super::table::TableLayout;
use super::{CodegenError, Options};
use crate::schedule::kernel::Kernel;
use crate::schedule::program::{Batch, Order, Product, Program, element_bytes};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, FuncRef, InstBuilder, StackSlotData, StackSlotKind, Value, types};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::FunctionBuilder;

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
    let span = fill(&mut builder, &mut sizes, &fields::whole_span(kernel), size_of::<Span>())?;
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
        arguments.push(sizes.value(&mut builder, size)?);
    }
    for buffer in [order.from, order.to] {
        arguments.push(sizes.word(&mut builder, layout.buffer(buffer)));
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
    let mut sizes = Sizes::new(layout, table);
    let fields = fields::shape(program, product, layout, options);
    let shape = fill(&mut builder, &mut sizes, &fields, size_of::<Shape>())?;
    let mut bases = Vec::new();
    for operand in [&product.out, &product.lhs, &product.rhs] {
        let base = sizes.word(&mut builder, layout.buffer(operand.buffer));
        let offset = sizes.value(&mut builder, &operand.offset)?;
        let bytes = element_bytes(program.buffer(operand.buffer).elem) as i64;
        let offset = builder.ins().imul_imm_s(offset, bytes);
        bases.push(builder.ins().iadd(base, offset));
    }
    let bytes = element_bytes(program.buffer(product.out.buffer).elem);
    let outer = &product.batch[..product.batch.len().saturating_sub(1)];
    for size in outer.iter().flat_map(|b| [&b.extent, &b.out, &b.lhs, &b.rhs]) {
        sizes.prepare(&mut builder, size)?;
    }
    batches(&mut builder, &sizes, outer, bytes, &bases, &mut |builder, bases| {
        let arguments = [shape, bases[0], bases[1], bases[2]].into_iter().chain(span);
        builder.ins().call(library, &arguments.collect::<Vec<_>>());
    })?;
    builder.ins().return_(&[]);
    builder.seal_all_blocks();
    builder.finalize(config);
    Ok(())
}

/// Makes a structure of so many bytes on the stack, in the entry block; gives its address.
fn fill(
    builder: &mut FunctionBuilder,
    sizes: &mut Sizes,
    fields: &[Field],
    bytes: usize,
) -> Result<Value, CodegenError> {
    let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes as u32, 3);
    let slot = builder.create_sized_stack_slot(slot);
    for Field { at, held } in fields {
        let value = match held {
            Held::Number(number) => builder.ins().iconst(types::I64, *number as i64),
            Held::Size(size) => sizes.value(builder, size)?,
            Held::Word(word) => sizes.word(builder, *word),
        };
        builder.ins().stack_store(types::I64, value, slot, *at as i32);
    }
    Ok(builder.ins().stack_addr(types::I64, slot, 0))
}

/// Loops over batch axes of a product, whose sizes are prepared, around a call with the operands' addresses.
fn batches(
    builder: &mut FunctionBuilder,
    sizes: &Sizes,
    outer: &[Batch],
    bytes: u64,
    bases: &[Value],
    call: &mut dyn FnMut(&mut FunctionBuilder, &[Value]),
) -> Result<(), CodegenError> {
    let Some((batch, inner)) = outer.split_first() else {
        call(builder, bases);
        return Ok(());
    };
    let extent = sizes.get(builder, &batch.extent)?;
    let zero = builder.ins().iconst(types::I64, 0);
    let mut steps = Vec::new();
    for stride in [&batch.out, &batch.lhs, &batch.rhs] {
        let stride = sizes.get(builder, stride)?;
        steps.push(builder.ins().imul_imm_s(stride, bytes as i64));
    }
    let (head, body, exit) = (builder.create_block(), builder.create_block(), builder.create_block());
    let parameters: Vec<Value> = (0..4).map(|_| builder.append_block_param(head, types::I64)).collect();
    let start: Vec<BlockArg> = std::iter::once(zero).chain(bases.iter().copied()).map(BlockArg::Value).collect();
    builder.ins().jump(head, &start);
    builder.switch_to_block(head);
    let more = builder.ins().icmp(IntCC::SignedLessThan, parameters[0], extent);
    builder.ins().brif(more, body, &[], exit, &[]);
    builder.switch_to_block(body);
    batches(builder, sizes, inner, bytes, &parameters[1..], call)?;
    let next = builder.ins().iadd_imm_s(parameters[0], 1);
    let moved = parameters[1..].iter().zip(&steps).map(|(p, s)| builder.ins().iadd(*p, *s));
    let moved: Vec<BlockArg> = std::iter::once(next).chain(moved.collect::<Vec<_>>()).map(BlockArg::Value).collect();
    builder.ins().jump(head, &moved);
    builder.switch_to_block(exit);
    Ok(())
}
