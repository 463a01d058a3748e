//! The functions around wide code and products, written without Cranelift: they only put numbers together and call, and a
//! step has many of them.
//!
//! Input: what to call, with sizes in symbols of the table. Output: x86-64 code of the convention of Unix, with the calls to be
//! resolved; nothing for what takes a loop or a division, which stays with Cranelift. Invariant: they do what the functions
//! of `step` do.

use super::crew::Span;
use super::product::{Shape, emitter};
use super::table::TableLayout;
use super::{Cpu, Options};
use crate::ir::{Atom, Size};
use crate::schedule::kernel::Kernel;
use crate::schedule::program::{Operand, Product, Program, element_bytes};
use crate::schedule::waves::{column_loop, shared_loop};
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::isa::CallConv;
use cranelift_module::{FuncId, Module, ModuleReloc};
use std::mem::offset_of;

/// The code of a function, and where it names others.
pub(super) struct Calls {
    pub code: Vec<u8>,
    pub names: Vec<ModuleReloc>,
}

/// Whether such functions can be used: with text, all functions are Cranelift's, which prints them.
pub(super) fn apply<M: Module>(module: &M, options: &Options) -> bool {
    let unix = module.make_signature().call_conv == CallConv::SystemV;
    cfg!(target_arch = "x86_64") && unix && options.cpu != Cpu::Portable && !options.text
}

/// Calls every function with the table.
pub(super) fn step(functions: &[FuncId]) -> Calls {
    let mut calls = Calls { code: Vec::new(), names: Vec::new() };
    // push rbx; mov rbx, rdi
    calls.put(&[0x53, 0x48, 0x89, 0xfb]);
    for function in functions {
        // mov rdi, rbx
        calls.put(&[0x48, 0x89, 0xdf]);
        calls.call_near(*function);
    }
    // pop rbx; ret
    calls.put(&[0x5b, 0xc3]);
    calls
}

/// Calls a kernel's wide code for all positions of its outermost loop, and all columns.
pub(super) fn whole(kernel: &Kernel, layout: &TableLayout, wide: FuncId) -> Option<Calls> {
    let mut calls = Calls::framed(size_of::<Span>());
    let one = Size::constant(1);
    let extent = shared_loop(kernel).map_or(&one, |l| kernel.extent(l.axis));
    let columns = column_loop(kernel).map_or(&one, |l| kernel.extent(l.axis));
    let none = Size::constant(0);
    let fields = [
        (offset_of!(Span, start), &none),
        (offset_of!(Span, end), extent),
        (offset_of!(Span, first), &none),
        (offset_of!(Span, last), columns),
        (offset_of!(Span, soon), &none),
        (offset_of!(Span, soons), &none),
        (offset_of!(Span, stage), &none),
    ];
    for (at, size) in fields {
        calls.store_size(at, size, layout)?;
    }
    // mov rsi, rsp
    calls.put(&[0x48, 0x89, 0xe6]);
    calls.call_near(wide);
    calls.leave(size_of::<Span>());
    Some(calls)
}

/// Calls the library for a product with at most one batch axis; `of_span` gives a function of the table and a span.
pub(super) fn product(
    program: &Program,
    product: &Product,
    layout: &TableLayout,
    library: FuncId,
    options: &Options,
    of_span: bool,
) -> Option<Calls> {
    let (one, none) = (Size::constant(1), Size::constant(0));
    let batch = match &product.batch[..] {
        [] => None,
        [batch] => Some(batch),
        _ => return None,
    };
    let mut calls = Calls::framed(size_of::<Shape>());
    if of_span {
        // mov r8, rsi
        calls.put(&[0x49, 0x89, 0xf0]);
    }
    let sizes = [
        (offset_of!(Shape, batch), batch.map_or(&one, |b| &b.extent)),
        (offset_of!(Shape, m), &product.m),
        (offset_of!(Shape, n), &product.n),
        (offset_of!(Shape, k), &product.k),
    ];
    for (at, size) in sizes {
        calls.store_size(at, size, layout)?;
    }
    let strides = [
        (offset_of!(Shape, out), &product.out, batch.map_or(&none, |b| &b.out)),
        (offset_of!(Shape, lhs), &product.lhs, batch.map_or(&none, |b| &b.lhs)),
        (offset_of!(Shape, rhs), &product.rhs, batch.map_or(&none, |b| &b.rhs)),
    ];
    for (at, operand, batch) in strides {
        for (k, stride) in [batch, &operand.row_stride, &operand.column_stride].into_iter().enumerate() {
            calls.store_size(at + k * size_of::<isize>(), stride, layout)?;
        }
    }
    let numbers = [
        (offset_of!(Shape, accumulate), u64::from(product.accumulate)),
        (offset_of!(Shape, emitter), emitter(options.cpu) as u64),
        (offset_of!(Shape, threads), options.threads as u64),
    ];
    for (at, number) in numbers {
        calls.store_size(at, &Size::constant(number), layout)?;
    }
    let operands = [product.lhs.buffer, product.rhs.buffer];
    let found = operands.into_iter().find_map(|b| Some((layout.rows(b)?, program.scattered_in(product, b)?)));
    match found {
        Some((word, _)) => {
            // mov rax, [rdi + word]
            calls.put(&[0x48, 0x8b, 0x87]);
            calls.word(word);
            calls.store(offset_of!(Shape, rows));
        }
        None => calls.store_size(offset_of!(Shape, rows), &none, layout)?,
    }
    let which = found.map_or(0, |(_, which)| which as u64);
    calls.store_size(offset_of!(Shape, scattered), &Size::constant(which), layout)?;
    // Into rsi, rdx and rcx: mov register, [rdi + word]; add register, rax
    let into = [(&product.out, 0xb7, 0xc6), (&product.lhs, 0x97, 0xc2), (&product.rhs, 0x8f, 0xc1)];
    for (operand, load, add) in into {
        calls.offset(program, operand, layout)?;
        calls.put(&[0x48, 0x8b, load]);
        calls.word(layout.buffer(operand.buffer));
        calls.put(&[0x48, 0x01, add]);
    }
    // mov rdi, rsp
    calls.put(&[0x48, 0x89, 0xe7]);
    calls.call_far(library);
    calls.leave(size_of::<Shape>());
    Some(calls)
}

/// Bytes of the frame that holds so many: the stack is aligned for the call, after the return address.
fn frame(bytes: usize) -> i32 {
    (bytes.next_multiple_of(16) + 8) as i32
}

impl Calls {
    fn framed(bytes: usize) -> Calls {
        let mut calls = Calls { code: Vec::new(), names: Vec::new() };
        // sub rsp, frame
        calls.put(&[0x48, 0x81, 0xec]);
        calls.put(&frame(bytes).to_le_bytes());
        calls
    }

    fn leave(&mut self, bytes: usize) {
        // add rsp, frame; ret
        self.put(&[0x48, 0x81, 0xc4]);
        self.put(&frame(bytes).to_le_bytes());
        self.put(&[0xc3]);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.code.extend_from_slice(bytes);
    }

    /// The displacement of a word of the table.
    fn word(&mut self, word: usize) {
        self.put(&(word as i32 * 8).to_le_bytes());
    }

    /// Stores `rax` into the frame.
    fn store(&mut self, at: usize) {
        // mov [rsp + at], rax
        self.put(&[0x48, 0x89, 0x84, 0x24]);
        self.put(&(at as i32).to_le_bytes());
    }

    fn store_size(&mut self, at: usize, size: &Size, layout: &TableLayout) -> Option<()> {
        if let Some(number) = size.as_constant().and_then(|n| i32::try_from(n).ok()) {
            // mov qword [rsp + at], number
            self.put(&[0x48, 0xc7, 0x84, 0x24]);
            self.put(&(at as i32).to_le_bytes());
            self.put(&number.to_le_bytes());
            return Some(());
        }
        self.size(size, layout)?;
        self.store(at);
        Some(())
    }

    /// The bytes before an operand's first element, in `rax`.
    fn offset(&mut self, program: &Program, operand: &Operand, layout: &TableLayout) -> Option<()> {
        self.size(&operand.offset, layout)?;
        let bytes = element_bytes(program.buffer(operand.buffer).elem) as i32;
        // imul rax, rax, bytes
        self.put(&[0x48, 0x69, 0xc0]);
        self.put(&bytes.to_le_bytes());
        Some(())
    }

    /// A size in `rax`, with the table in `rdi`; changes `rcx`.
    fn size(&mut self, size: &Size, layout: &TableLayout) -> Option<()> {
        // mov rax, 0
        self.put(&[0x48, 0xc7, 0xc0, 0, 0, 0, 0]);
        for (coefficient, atoms) in size.terms() {
            // mov rcx, coefficient
            self.put(&[0x48, 0xb9]);
            self.put(&i64::try_from(coefficient).ok()?.to_le_bytes());
            for (atom, power) in atoms {
                let Atom::Symbol(symbol) = atom else { return None };
                let word = layout.symbol(symbol)?;
                for _ in 0..*power {
                    // imul rcx, [rdi + word]
                    self.put(&[0x48, 0x0f, 0xaf, 0x8f]);
                    self.word(word);
                }
            }
            // add rax, rcx
            self.put(&[0x48, 0x01, 0xc8]);
        }
        Some(())
    }

    /// Calls a function of the same module.
    fn call_near(&mut self, function: FuncId) {
        self.put(&[0xe8]);
        self.name(function, Reloc::X86CallPCRel4, -4);
        self.put(&[0; 4]);
    }

    /// Calls a function wherever it is.
    fn call_far(&mut self, function: FuncId) {
        // mov rax, address; call rax
        self.put(&[0x48, 0xb8]);
        self.name(function, Reloc::Abs8, 0);
        self.put(&[0; 8]);
        self.put(&[0xff, 0xd0]);
    }

    /// The address of a function stands here.
    fn name(&mut self, function: FuncId, kind: Reloc, addend: i64) {
        let offset = self.code.len() as u32;
        self.names.push(ModuleReloc { offset, kind, name: function.into(), addend });
    }
}
