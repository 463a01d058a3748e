//! The functions around wide code and products, written without Cranelift: they only put numbers together and call, and a
//! step has many of them.
//!
//! Input: what to call, with sizes in symbols of the table. Output: x86-64 code of the convention of Unix, with the calls to be
//! resolved; nothing for what takes a loop or a division, which stays with Cranelift. Invariant: they do what the functions
//! of `step` do.

use super::crew::Span;
use super::fields::{self, Field, Held};
use super::product::Shape;
use super::table::TableLayout;
use super::{Cpu, Options};
use crate::ir::{Atom, Size};
use crate::schedule::kernel::Kernel;
use crate::schedule::program::{Operand, Product, Program, element_bytes};
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::isa::CallConv;
use cranelift_module::{FuncId, Module, ModuleReloc};

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
    calls.fill(&fields::whole_span(kernel), layout)?;
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
    if product.batch.len() > 1 {
        return None;
    }
    let mut calls = Calls::framed(size_of::<Shape>());
    if of_span {
        // mov r8, rsi
        calls.put(&[0x49, 0x89, 0xf0]);
    }
    calls.fill(&fields::shape(program, product, layout, options), layout)?;
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

    /// Stores the fields of a structure into the frame.
    fn fill(&mut self, fields: &[Field], layout: &TableLayout) -> Option<()> {
        for Field { at, held } in fields {
            let constant = match held {
                Held::Number(number) => Some(*number),
                Held::Size(size) => size.as_constant(),
                Held::Word(_) => None,
            };
            if let Some(number) = constant.and_then(|n| i32::try_from(n).ok()) {
                // mov qword [rsp + at], number
                self.put(&[0x48, 0xc7, 0x84, 0x24]);
                self.put(&(*at as i32).to_le_bytes());
                self.put(&number.to_le_bytes());
                continue;
            }
            match held {
                Held::Number(_) => return None,
                Held::Size(size) => self.size(size, layout)?,
                Held::Word(word) => {
                    // mov rax, [rdi + word]
                    self.put(&[0x48, 0x8b, 0x87]);
                    self.word(*word);
                }
            }
            self.store(*at);
        }
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
