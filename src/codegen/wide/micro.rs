//! Micro-kernels of matrix products: a block of rows by a few vectors of columns, held in registers over the whole of `k`.
//!
//! Input: the width of vectors, rows and vectors of the block. Output: position-independent code of a function that takes
//! the address of a [`Block`]. Invariants: every element is one chain of fused multiply-adds in ascending `k`, so its bits
//! do not depend on the block it falls in or on the width; memory beyond the last column is not touched (masks).

use super::Simd;
use super::writer::{Address, Writer};
use iced_x86::code_asm::*;
use iced_x86::{IcedError, Register};

/// What one call of a micro-kernel computes: `out = lhs · rhs` or `out += lhs · rhs`. Strides are in bytes.
#[repr(C)]
pub struct Block {
    pub lhs: *const u8,
    pub lhs_row: isize,
    pub lhs_column: isize,
    /// Its columns lie side by side.
    pub rhs: *const u8,
    pub rhs_row: isize,
    pub out: *mut u8,
    pub out_row: isize,
    pub k: usize,
    pub accumulate: usize,
    /// The columns of the last vector, as the bits of a mask register.
    pub mask: u64,
    /// The same as words, for `vmaskmov`.
    pub mask_words: *const i32,
}

/// A micro-kernel.
pub type MicroKernel = unsafe extern "sysv64" fn(*const Block);

/// Rows whose addresses share a base register: base, base + stride, base + 2 · stride.
const ROWS_A_BASE: usize = 3;

/// The largest block: accumulators, one register for a left element and one per vector of the right side must fit.
pub const fn largest(simd: Simd) -> (usize, usize) {
    match simd {
        Simd::Avx512 => (14, 2),
        Simd::Avx2 => (6, 2),
    }
}

/// The code of the micro-kernel of this block of `f32`.
pub fn emit(simd: Simd, rows: usize, vectors: usize) -> Result<Vec<u8>, IcedError> {
    let mut w = Writer::new(simd)?;
    let accumulator = |row: usize, vector: usize| row * vectors + vector;
    let right = |vector: usize| rows * vectors + vector;
    let left = right(vectors);
    let mask = simd.registers() - 1;
    let bases = [rax, rcx, rdx, rsi, r8];
    let groups = rows.div_ceil(ROWS_A_BASE);
    let (lhs_row, rhs, rhs_row, lhs_column, k) = (r9, r10, r11, rbx, r12);
    w.asm.push(rbx)?;
    w.asm.push(r12)?;
    w.asm.push(rdi)?;
    macro_rules! field {
        ($register:expr, $name:ident) => {
            w.asm.mov($register, qword_ptr(rdi + std::mem::offset_of!(Block, $name) as i32))?
        };
    }
    field!(lhs_row, lhs_row);
    field!(lhs_column, lhs_column);
    field!(rhs, rhs);
    field!(rhs_row, rhs_row);
    field!(bases[0], lhs);
    field!(k, mask);
    if simd == Simd::Avx512 {
        w.asm.kmovw(k1, r12d)?;
    } else {
        field!(k, mask_words);
        w.load(mask, Address::base(Register::R12))?;
    }
    field!(k, k);
    if groups > 1 {
        w.asm.lea(rdi, qword_ptr(lhs_row + lhs_row * 2))?;
        for group in 1..groups {
            w.asm.lea(bases[group], qword_ptr(bases[group - 1] + rdi))?;
        }
    }
    for register in 0..rows * vectors {
        w.clear(register)?;
    }
    let (mut again, mut done) = (w.asm.create_label(), w.asm.create_label());
    w.asm.test(k, k)?;
    w.asm.je(done)?;
    w.asm.set_label(&mut again)?;
    for vector in 0..vectors {
        let address = Address::at(Register::R10, (vector * simd.bytes()) as i64);
        if vector + 1 == vectors {
            w.load_masked(right(vector), address, mask)?;
        } else {
            w.load(right(vector), address)?;
        }
    }
    w.asm.add(rhs, rhs_row)?;
    for row in 0..rows {
        let base = Register::from(bases[row / ROWS_A_BASE]);
        let address = match row % ROWS_A_BASE {
            0 => Address::base(base),
            scale => Address::scaled(base, Register::R9, scale as u32),
        };
        if vectors == 1 && simd == Simd::Avx512 {
            w.fma_broadcast(accumulator(row, 0), right(0), address)?;
            continue;
        }
        w.broadcast(left, address)?;
        for vector in 0..vectors {
            w.fma(accumulator(row, vector), left, right(vector))?;
        }
    }
    for base in &bases[..groups] {
        w.asm.add(*base, lhs_column)?;
    }
    w.asm.dec(k)?;
    w.asm.jne(again)?;
    w.asm.set_label(&mut done)?;
    store(&mut w, rows, vectors, left, mask)?;
    w.asm.pop(rdi)?;
    w.asm.pop(r12)?;
    w.asm.pop(rbx)?;
    w.finish()
}

/// Writes the accumulators, added to what is there if asked for.
fn store(w: &mut Writer, rows: usize, vectors: usize, free: usize, mask: usize) -> Result<(), IcedError> {
    let bytes = w.simd.bytes();
    let (mut plain, mut end) = (w.asm.create_label(), w.asm.create_label());
    w.asm.mov(rdi, qword_ptr(rsp))?;
    w.asm.mov(rax, qword_ptr(rdi + std::mem::offset_of!(Block, out) as i32))?;
    w.asm.mov(rcx, qword_ptr(rdi + std::mem::offset_of!(Block, out_row) as i32))?;
    w.asm.mov(rdx, qword_ptr(rdi + std::mem::offset_of!(Block, accumulate) as i32))?;
    w.asm.test(rdx, rdx)?;
    w.asm.je(plain)?;
    for adds in [true, false] {
        if !adds {
            w.asm.set_label(&mut plain)?;
        }
        for row in 0..rows {
            for vector in 0..vectors {
                let (register, address) = (row * vectors + vector, Address::at(Register::RAX, (vector * bytes) as i64));
                let last = vector + 1 == vectors;
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
            w.asm.add(rax, rcx)?;
        }
        if adds {
            w.asm.jmp(end)?;
        }
    }
    w.asm.set_label(&mut end)
}
