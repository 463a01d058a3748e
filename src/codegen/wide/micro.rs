//! Micro-kernels of matrix products: a block of rows by a few vectors of columns, held in registers over the whole of `k`.
//!
//! Input: the width of vectors, rows and vectors of the block, and how the left operand lies. Output: position-independent
//! code of a function that takes the address of a [`Block`]. Invariants: every element is one chain of fused multiply-adds
//! in ascending `k`, so its bits do not depend on the block it falls in or on the width; memory beyond the last column is not
//! touched (masks).

use super::Simd;
use super::element::Element;
use super::writer::{Address, Writer};
use crate::scalar::Width;
use iced_x86::code_asm::*;
use iced_x86::{IcedError, Register};
use std::mem::offset_of;

/// What one call of a micro-kernel computes: `out = lhs · rhs` or `out += lhs · rhs`. Strides are in bytes.
#[repr(C)]
pub struct Block {
    pub lhs: *const u8,
    pub lhs_row: isize,
    pub lhs_column: isize,
    /// Its columns lie side by side.
    pub rhs: *const u8,
    pub rhs_row: isize,
    /// The numbers of its rows, where they are looked up: `rhs_row` is from one number to the next.
    pub numbers: *const u32,
    pub out: *mut u8,
    pub out_row: isize,
    pub k: usize,
    pub accumulate: usize,
    /// The columns of the last vector, as the bits of a mask register.
    pub mask: u64,
    /// The same as words, for `vmaskmov`.
    pub mask_words: *const i32,
    /// What will be needed soon: a cache line for each position of `k`, so many bytes apart. Never accessed, only asked for.
    pub ahead: *const u8,
    pub ahead_row: isize,
    /// What will be needed after the product, likewise, where the left operand lies by columns.
    pub soon: *const u8,
    pub soon_row: isize,
}

/// A micro-kernel.
pub type MicroKernel = unsafe extern "sysv64" fn(*const Block);

/// How the left operand lies. Where one of its strides is known, several positions of `k` share the moving of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// Any strides.
    Any,
    /// The elements of a row lie side by side.
    Rows,
    /// The elements of a column lie side by side.
    Columns,
    /// The elements of a row lie side by side, each row where its own address says: `lhs` is that of the addresses.
    Apart,
}

impl Left {
    /// That of a matrix with these strides in elements.
    pub fn of(row: isize, column: isize) -> Left {
        match (row, column) {
            (_, 1) => Left::Rows,
            (1, _) => Left::Columns,
            _ => Left::Any,
        }
    }

    /// Positions of `k` that a pass of the loop computes.
    fn positions(self) -> usize {
        if self == Left::Any { 1 } else { 4 }
    }
}

/// Rows whose addresses share a base register: base, base + stride, base + 2 · stride.
const ROWS_A_BASE: usize = 3;
const BASES: [AsmRegister64; 5] = [rax, rcx, rdx, rsi, r8];
/// The next row number, and the address of its row.
const NUMBERS: AsmRegister64 = rdi;
const LOOKED_UP: AsmRegister64 = r13;
/// The addresses of rows that lie apart: then nothing is asked for ahead, and its registers are free.
const APART: [AsmRegister64; 10] = [rax, rcx, rdx, rsi, r8, r9, rbx, r13, r14, r15];
/// The most rows of a block whose rows lie apart.
pub const MOST_APART: usize = APART.len();
/// The right operand, what is asked for ahead, and their strides from one position of `k` to the next, once and three times.
const RHS: AsmRegister64 = r10;
const RHS_ROW: [AsmRegister64; 2] = [r11, rdi];
const AHEAD: AsmRegister64 = r13;
const AHEAD_ROW: [AsmRegister64; 2] = [r14, r15];
/// Between rows of the left operand, unless they lie side by side.
const LHS_ROW: AsmRegister64 = r9;
/// Between its columns; its triple where it has one base only.
const LHS_COLUMN: [AsmRegister64; 2] = [rbx, rcx];
const K: AsmRegister64 = r12;
/// What is asked for while a left operand that lies by columns, whose rows have one base, is multiplied; once and three times.
const SOON: AsmRegister64 = rdx;
const SOON_ROW: [AsmRegister64; 2] = [rsi, r8];

/// What a micro-kernel is made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Form {
    pub left: Left,
    pub rows: usize,
    pub vectors: usize,
    /// Whether the right operand ends with the last column, so that its last vector must be loaded by the mask: that takes
    /// a port of the multiply-adds.
    pub ends: bool,
    /// Whether the rows of the right operand are looked up; those of the next panel are asked for with them.
    pub looks_up: bool,
    /// Cache lines side by side that are asked for ahead with each position of `k`: up to two, none where rows are looked up.
    pub lines: usize,
}

/// The largest block: accumulators, one register for a left element and one per vector of the right side must fit.
pub const fn largest(simd: Simd) -> (usize, usize) {
    match simd {
        Simd::Avx512 => (14, 2),
        Simd::Avx2 => (6, 2),
    }
}

/// `base + position · stride`.
fn moved(base: AsmRegister64, stride: [AsmRegister64; 2], position: usize) -> Address {
    let base = Register::from(base);
    match position {
        0 => Address::base(base),
        3 => Address::scaled(base, stride[1].into(), 1),
        scale => Address::scaled(base, stride[0].into(), scale as u32),
    }
}

/// What a micro-kernel computes, element by element.
///
/// # Safety
/// The elements of the block and of its operands must be in memory that may be accessed.
pub unsafe fn by_elements<T: Element>(block: &Block, form: Form, columns: usize) {
    // SAFETY: the caller vouches for the elements that these offsets lead to.
    let element = |start: *const u8, row: usize, stride: isize, column: usize, columns: isize| unsafe {
        *start.offset(row as isize * stride + column as isize * columns).cast::<T>()
    };
    for row in 0..form.rows {
        for column in 0..columns {
            // SAFETY: as above.
            let (start, at) = match form.left {
                Left::Apart => (unsafe { *block.lhs.cast::<*const u8>().add(row) }, 0),
                _ => (block.lhs, row),
            };
            let element_of_row = |k: usize| element(start, at, block.lhs_row, k, block.lhs_column);
            // SAFETY: as above.
            let number = |k: usize| if form.looks_up { unsafe { *block.numbers.add(k) as usize } } else { k };
            let bytes = T::BYTES as isize;
            let right = |k: usize| element(block.rhs, number(k), block.rhs_row, column, bytes);
            let sum = (0..block.k).fold(T::default(), |sum, k| sum.plus_product(element_of_row(k), right(k)));
            // SAFETY: as above.
            unsafe {
                let out = block.out.offset(row as isize * block.out_row + column as isize * bytes).cast::<T>();
                *out = if block.accumulate != 0 { *out + sum } else { sum };
            }
        }
    }
}

struct Micro {
    w: Writer,
    form: Form,
}

/// The code of the micro-kernel of this form, for elements of this width.
pub fn emit(simd: Simd, width: Width, form: Form) -> Result<Vec<u8>, IcedError> {
    let mut micro = Micro { w: Writer::new(simd, width)?, form };
    micro.enter()?;
    micro.multiply()?;
    micro.store()?;
    micro.leave()?;
    micro.w.finish()
}

impl Micro {
    fn accumulator(&self, row: usize, vector: usize) -> usize {
        row * self.form.vectors + vector
    }

    fn right(&self, vector: usize) -> usize {
        self.form.rows * self.form.vectors + vector
    }

    /// The register of a left element.
    fn element(&self) -> usize {
        self.right(self.form.vectors)
    }

    /// The register of the mask of narrow vectors.
    fn mask(&self) -> usize {
        self.w.simd.registers() - 1
    }

    /// The registers that hold addresses of the left operand.
    fn bases(&self) -> usize {
        match self.form.left {
            Left::Columns => 1,
            Left::Apart => self.form.rows,
            _ => self.form.rows.div_ceil(ROWS_A_BASE),
        }
    }

    fn enter(&mut self) -> Result<(), IcedError> {
        let mask = self.mask();
        let bases = self.bases();
        let asm = &mut self.w.asm;
        for register in [rbx, K, r13, r14, r15, rdi] {
            asm.push(register)?;
        }
        let field = |offset: usize| qword_ptr(rdi + offset as i32);
        let (apart, looks_up) = (self.form.left == Left::Apart, self.form.looks_up);
        asm.mov(LHS_ROW, field(offset_of!(Block, lhs_row)))?;
        asm.mov(LHS_COLUMN[0], field(offset_of!(Block, lhs_column)))?;
        asm.mov(RHS, field(offset_of!(Block, rhs)))?;
        asm.mov(RHS_ROW[0], field(offset_of!(Block, rhs_row)))?;
        if !apart {
            asm.mov(AHEAD, field(offset_of!(Block, ahead)))?;
            asm.mov(AHEAD_ROW[0], field(offset_of!(Block, ahead_row)))?;
            asm.mov(BASES[0], field(offset_of!(Block, lhs)))?;
        }
        if self.form.left == Left::Columns {
            asm.mov(SOON, field(offset_of!(Block, soon)))?;
            asm.mov(SOON_ROW[0], field(offset_of!(Block, soon_row)))?;
        }
        if self.w.simd == Simd::Avx512 {
            asm.mov(K, field(offset_of!(Block, mask)))?;
            asm.kmovw(k1, r12d)?;
        } else {
            asm.mov(K, field(offset_of!(Block, mask_words)))?;
            self.w.load(mask, Address::base(K.into()))?;
        }
        let asm = &mut self.w.asm;
        asm.mov(K, field(offset_of!(Block, k)))?;
        if apart {
            asm.mov(rdi, field(offset_of!(Block, lhs)))?;
            for (row, base) in APART.iter().enumerate().take(bases) {
                asm.mov(*base, qword_ptr(rdi + row as i32 * 8))?;
            }
        } else if bases > 1 {
            asm.lea(rdi, qword_ptr(LHS_ROW + LHS_ROW * 2))?;
            for base in 1..bases {
                asm.lea(BASES[base], qword_ptr(BASES[base - 1] + rdi))?;
            }
        }
        if self.form.left == Left::Columns {
            asm.lea(LHS_COLUMN[1], qword_ptr(LHS_COLUMN[0] + LHS_COLUMN[0] * 2))?;
            asm.lea(SOON_ROW[1], qword_ptr(SOON_ROW[0] + SOON_ROW[0] * 2))?;
        }
        if looks_up {
            asm.mov(NUMBERS, qword_ptr(rsp))?;
            asm.mov(NUMBERS, field(offset_of!(Block, numbers)))?;
        } else {
            asm.lea(RHS_ROW[1], qword_ptr(RHS_ROW[0] + RHS_ROW[0] * 2))?;
        }
        if !apart && !looks_up {
            asm.lea(AHEAD_ROW[1], qword_ptr(AHEAD_ROW[0] + AHEAD_ROW[0] * 2))?;
        }
        for register in 0..self.form.rows * self.form.vectors {
            self.w.clear(register)?;
        }
        Ok(())
    }

    /// The loop over `k`: some positions a pass, then one.
    fn multiply(&mut self) -> Result<(), IcedError> {
        let positions = self.form.left.positions();
        let mut done = self.w.asm.create_label();
        for count in if positions > 1 { vec![positions, 1] } else { vec![1] } {
            let (mut again, mut skip) = (self.w.asm.create_label(), self.w.asm.create_label());
            self.w.asm.sub(K, count as i32)?;
            self.w.asm.jl(if count == 1 { done } else { skip })?;
            self.w.asm.set_label(&mut again)?;
            for position in 0..count {
                self.position(position)?;
            }
            self.advance(count)?;
            self.w.asm.sub(K, count as i32)?;
            self.w.asm.jge(again)?;
            if count > 1 {
                self.w.asm.set_label(&mut skip)?;
                self.w.asm.add(K, count as i32)?;
            }
        }
        self.w.asm.set_label(&mut done)
    }

    /// The multiply-adds of one position of `k`.
    fn position(&mut self, position: usize) -> Result<(), IcedError> {
        let (mask, bytes) = (self.mask(), self.w.width.bytes() as i64);
        if self.form.looks_up {
            self.w.asm.mov(r13d, dword_ptr(NUMBERS + position as i32 * 4))?;
            self.w.asm.imul_2(LOOKED_UP, RHS_ROW[0])?;
            self.w.asm.add(LOOKED_UP, RHS)?;
        }
        for vector in 0..self.form.vectors {
            let from = if self.form.looks_up { Address::base(LOOKED_UP.into()) } else { moved(RHS, RHS_ROW, position) };
            let from = Address { displacement: (vector * self.w.simd.bytes()) as i64, ..from };
            if self.form.ends && vector + 1 == self.form.vectors {
                self.w.load_masked(self.right(vector), from, mask)?;
            } else {
                self.w.load(self.right(vector), from)?;
            }
        }
        if self.form.looks_up {
            let panel = (self.form.vectors * self.w.simd.bytes()) as i64;
            for end in (64..=panel).step_by(64) {
                self.w.prefetch(Address::at(LOOKED_UP.into(), panel + end - 1))?;
            }
        }
        for line in 0..self.form.lines {
            self.w.prefetch(Address { displacement: line as i64 * 64, ..moved(AHEAD, AHEAD_ROW, position) })?;
        }
        if self.form.left == Left::Columns {
            self.w.prefetch(moved(SOON, SOON_ROW, position))?;
        }
        for row in 0..self.form.rows {
            let from = match self.form.left {
                Left::Columns => Address { displacement: row as i64 * bytes, ..moved(BASES[0], LHS_COLUMN, position) },
                Left::Apart => Address::at(APART[row].into(), position as i64 * bytes),
                _ => {
                    let row = moved(BASES[row / ROWS_A_BASE], [LHS_ROW; 2], row % ROWS_A_BASE);
                    Address { displacement: position as i64 * bytes, ..row }
                }
            };
            if self.form.vectors == 1 && self.w.simd == Simd::Avx512 {
                self.w.fma_broadcast(self.accumulator(row, 0), self.right(0), from)?;
                continue;
            }
            let element = self.element();
            self.w.broadcast(element, from)?;
            for vector in 0..self.form.vectors {
                self.w.fma(self.accumulator(row, vector), element, self.right(vector))?;
            }
        }
        Ok(())
    }

    /// Moves addresses on by so many positions.
    fn advance(&mut self, count: usize) -> Result<(), IcedError> {
        let (bases, left, bytes) = (self.bases(), self.form.left, self.w.width.bytes() as i32);
        let asm = &mut self.w.asm;
        if self.form.looks_up {
            asm.add(NUMBERS, count as i32 * 4)?;
        }
        let looks_up = self.form.looks_up;
        let mut by = |base: AsmRegister64, stride: AsmRegister64| match count {
            1 => asm.add(base, stride),
            count => asm.lea(base, qword_ptr(base + stride * count as i32)),
        };
        if !looks_up {
            by(RHS, RHS_ROW[0])?;
        }
        if left == Left::Columns {
            by(SOON, SOON_ROW[0])?;
        }
        let bases = if left == Left::Apart {
            &APART[..bases]
        } else {
            if !looks_up {
                by(AHEAD, AHEAD_ROW[0])?;
            }
            &BASES[..bases]
        };
        for base in bases {
            match left {
                Left::Rows | Left::Apart => self.w.asm.add(*base, count as i32 * bytes)?,
                Left::Columns if count > 1 => self.w.asm.lea(*base, qword_ptr(*base + LHS_COLUMN[0] * count as i32))?,
                _ => self.w.asm.add(*base, LHS_COLUMN[0])?,
            }
        }
        Ok(())
    }

    /// Writes the accumulators, added to what is there if asked for.
    fn store(&mut self) -> Result<(), IcedError> {
        let (bytes, free, mask) = (self.w.simd.bytes(), self.element(), self.mask());
        let (mut plain, mut end) = (self.w.asm.create_label(), self.w.asm.create_label());
        let asm = &mut self.w.asm;
        asm.mov(rdi, qword_ptr(rsp))?;
        asm.mov(rax, qword_ptr(rdi + offset_of!(Block, out) as i32))?;
        asm.mov(rcx, qword_ptr(rdi + offset_of!(Block, out_row) as i32))?;
        asm.mov(rdx, qword_ptr(rdi + offset_of!(Block, accumulate) as i32))?;
        asm.test(rdx, rdx)?;
        asm.je(plain)?;
        for adds in [true, false] {
            if !adds {
                self.w.asm.set_label(&mut plain)?;
            }
            for row in 0..self.form.rows {
                for vector in 0..self.form.vectors {
                    let address = Address::at(Register::RAX, (vector * bytes) as i64);
                    let (register, last) = (self.accumulator(row, vector), vector + 1 == self.form.vectors);
                    let w = &mut self.w;
                    if adds {
                        if last {
                            w.load_masked(free, address, mask)?
                        } else {
                            w.load(free, address)?
                        }
                        w.add(register, free, register)?;
                    }
                    if last { w.store_masked(address, register, mask)? } else { w.store(address, register)? }
                }
                self.w.asm.add(rax, rcx)?;
            }
            if adds {
                self.w.asm.jmp(end)?;
            }
        }
        self.w.asm.set_label(&mut end)
    }

    fn leave(&mut self) -> Result<(), IcedError> {
        for register in [rdi, r15, r14, r13, K, rbx] {
            self.w.asm.pop(register)?;
        }
        Ok(())
    }
}
