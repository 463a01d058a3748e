//! Instructions with their vectors in registers or in memory, one after another.
//!
//! Input: instructions and the place of each vector. Output: machine instructions. Invariant: what is in memory goes through
//! scratch registers that no vector is given.

use super::Simd;
use super::code::{Code, Condition, Home, Inst, Number, V};
use super::operation::{Binary, Unary};
use super::writer::{Address, Operand, Writer};
use crate::scalar::Width;
use iced_x86::code_asm::{CodeLabel, eax, ecx, edx, k1, rax, rcx, rdx};
use iced_x86::{Code as Op, IcedError, Instruction, Register};

pub(super) struct Encoder {
    pub w: Writer,
    pub homes: Vec<Home>,
    pub labels: Vec<CodeLabel>,
    /// Where spilled vectors begin in the frame.
    pub vectors_at: i64,
    /// Where the words of narrow masks are, from the pool.
    pub mask_at: i64,
}

impl Encoder {
    /// The register of the tail mask of narrow vectors.
    fn mask(&self) -> usize {
        self.w.simd.registers() - 1
    }

    fn scratch(&self, k: usize) -> usize {
        self.w.simd.registers() - 2 - k
    }

    fn operand(&self, v: V) -> Operand {
        let bytes = self.w.simd.bytes() as i64;
        match self.homes[v.0 as usize] {
            Home::Register(r) => Operand::Register(r),
            Home::Spilled(k) => Operand::Memory(Address::at(Register::RSP, self.vectors_at + k as i64 * bytes)),
            Home::Pool(k) => Operand::Memory(Address::at(Register::R15, k as i64 * bytes)),
            Home::Unused => Operand::Register(self.scratch(2)),
        }
    }

    /// The register that holds a vector, loaded into a scratch register if need be.
    fn read(&mut self, v: V, scratch: usize) -> Result<usize, IcedError> {
        match self.operand(v) {
            Operand::Register(r) => Ok(r),
            Operand::Memory(from) => {
                let to = self.scratch(scratch);
                self.w.load(to, from)?;
                Ok(to)
            }
        }
    }

    /// The operands of an operation, the first one in a register.
    fn operands(&mut self, op: Binary, a: V, b: V) -> Result<(usize, Operand), IcedError> {
        let swaps =
            op.commutes() && matches!((self.operand(a), self.operand(b)), (Operand::Memory(_), Operand::Register(_)));
        let (a, b) = if swaps { (b, a) } else { (a, b) };
        Ok((self.read(a, 0)?, self.operand(b)))
    }

    /// The register a result is computed in.
    fn target(&self, v: V) -> usize {
        match self.operand(v) {
            Operand::Register(r) => r,
            Operand::Memory(_) => self.scratch(2),
        }
    }

    fn written(&mut self, v: V) -> Result<(), IcedError> {
        match self.operand(v) {
            Operand::Register(_) => Ok(()),
            Operand::Memory(to) => {
                let from = self.scratch(2);
                self.w.store(to, from)
            }
        }
    }

    pub fn encode(&mut self, inst: &Inst) -> Result<(), IcedError> {
        let (defined, _) = Code::uses(inst);
        match inst {
            Inst::Binary(op, to, a, b) => {
                let (a, b) = self.operands(*op, *a, *b)?;
                self.w.binary(*op, self.target(*to), a, b)?;
            }
            Inst::Choose { op, to, of: [a, b], from: [x, y] } => {
                let (a, b) = self.operands(*op, *a, *b)?;
                self.w.compare(*op, a, b)?;
                let (y, x) = (self.read(*y, 0)?, self.operand(*x));
                self.w.choose(self.target(*to), x, y)?;
            }
            Inst::Unary(op, to, a) => {
                let (a, to) = (self.operand(*a), self.target(*to));
                self.w.unary(*op, to, a)?;
            }
            Inst::Fma(to, a, b, c) => self.fma(*to, *a, *b, *c)?,
            Inst::Select(to, mask, a, b) => self.select(*to, *mask, *a, *b)?,
            Inst::Shift { left, to, from, by, words } => {
                let (from, to) = (self.read(*from, 0)?, self.target(*to));
                self.w.shift(*left, to, from, *by, *words)?;
            }
            Inst::Rotate { to, from, by } => {
                let (from, to) = (self.read(*from, 0)?, self.target(*to));
                self.w.rotate(to, from, *by)?;
            }
            Inst::Load { to, from, masked } => {
                let (to, mask) = (self.target(*to), self.mask());
                if *masked { self.w.load_masked(to, *from, mask)? } else { self.w.load(to, *from)? }
            }
            Inst::Broadcast { to, from, word: true } => self.w.broadcast_word(self.target(*to), *from)?,
            Inst::Broadcast { to, from, word: false } => self.w.broadcast(self.target(*to), *from)?,
            Inst::Splat { to, from } => self.w.splat(self.target(*to), *from)?,
            Inst::LoadWhere { to, from, wanted, masked } => {
                let (wanted, to, mask) = (self.read(*wanted, 0)?, self.target(*to), self.mask());
                let free = self.scratch(1);
                self.w.load_where(to, *from, wanted, masked.then_some(mask), free)?;
            }
            Inst::Gather { to, from, index, wanted, masked } => {
                let (index, to, mask) = (self.read(*index, 0)?, self.target(*to), self.mask());
                // The result must not share a register with the index.
                let target = if to == index { self.scratch(2) } else { to };
                let free = self.scratch(1);
                let wanted = match wanted {
                    Some(wanted) => Some(self.read(*wanted, 1)?),
                    None => None,
                };
                self.w.gather(target, *from, index, wanted, masked.then_some(mask), free)?;
                if target != to {
                    self.w.unary(Unary::Move, to, Operand::Register(target))?;
                }
            }
            Inst::Store { to, from, masked } => {
                let (from, mask) = (self.read(*from, 0)?, self.mask());
                if *masked { self.w.store_masked(*to, from, mask)? } else { self.w.store(*to, from)? }
            }
            Inst::Scatter { to, from, index, masked } => {
                let (from, index) = (self.read(*from, 0)?, self.read(*index, 1)?);
                self.w.scatter(*to, from, index, *masked)?;
            }
            Inst::LoadPiece { to, from } => self.w.load_piece(self.target(*to), *from)?,
            Inst::InsertPiece { to, into, from, piece } => {
                let (into, to) = (self.read(*into, 0)?, self.target(*to));
                self.w.insert_piece(to, into, *from, *piece)?;
            }
            Inst::StorePiece { to, from, piece } => {
                let from = self.read(*from, 0)?;
                self.w.store_piece(*to, from, *piece)?;
            }
            Inst::StoreLane { to, from, lane } => {
                let from = self.read(*from, 0)?;
                self.w.store_lane(*to, from, *lane)?;
            }
            Inst::StoreFirst { to, from } => {
                let from = self.read(*from, 0)?;
                self.w.store_first(*to, from)?;
            }
            Inst::Assign(to, a) => {
                let (a, to) = (self.operand(*a), self.target(*to));
                if a != Operand::Register(to) {
                    self.w.unary(Unary::Move, to, a)?;
                }
            }
            Inst::Merge(to, a) => {
                let (a, old, mask) = (self.read(*a, 0)?, self.read(*to, 2)?, self.mask());
                self.w.merge(old, a, mask)?;
            }
            Inst::Upper(to, a, lanes) => {
                let (a, to) = (self.read(*a, 0)?, self.target(*to));
                self.w.upper(to, a, *lanes)?;
            }
            Inst::Spread(to, a) => {
                let (a, to) = (self.read(*a, 0)?, self.target(*to));
                self.w.spread(to, a)?;
            }
            Inst::Groups { to, first, second, upper } => {
                let (first, second, to) = (self.read(*first, 0)?, self.read(*second, 1)?, self.target(*to));
                self.w.groups(to, first, second, *upper)?;
            }
            other => self.scalar(other)?,
        }
        defined.map_or(Ok(()), |v| self.written(v))
    }

    fn fma(&mut self, to: V, a: V, b: V, c: V) -> Result<(), IcedError> {
        let to = self.target(to);
        let here = Operand::Register(to);
        let (mut a, mut b, c) = (self.operand(a), self.operand(b), self.operand(c));
        let memory = |o: Operand| matches!(o, Operand::Memory(_));
        if b == here || a != here && !memory(a) && memory(b) {
            std::mem::swap(&mut a, &mut b);
        }
        // Now `b` is not the result's register unless both are.
        let second = match b {
            Operand::Register(r) => r,
            Operand::Memory(from) => {
                let r = self.scratch(0);
                self.w.load(r, from)?;
                r
            }
        };
        if c == here && a != here {
            let first = match a {
                Operand::Register(r) => r,
                Operand::Memory(from) => {
                    let r = self.scratch(1);
                    self.w.load(r, from)?;
                    r
                }
            };
            return self.w.fma(to, first, second);
        }
        if a != here {
            self.w.unary(Unary::Move, to, a)?;
        }
        self.w.multiply_add(to, second, c)
    }

    fn select(&mut self, to: V, mask: V, a: V, b: V) -> Result<(), IcedError> {
        let target = self.target(to);
        let here = Operand::Register(target);
        if self.w.simd == Simd::Avx512 {
            let (m, x, y) = (self.operand(mask), self.operand(a), self.operand(b));
            if y == here {
                let x = self.read(a, 0)?;
                return self.w.ternary(target, x, m, 0xd8);
            }
            if x == here {
                let y = self.read(b, 0)?;
                return self.w.ternary(target, y, m, 0xe4);
            }
            if m != here {
                self.w.unary(Unary::Move, target, m)?;
            }
            let x = self.read(a, 0)?;
            return self.w.ternary(target, x, y, 0xca);
        }
        // Not into the result's register before all is read.
        let (m, x) = (self.read(mask, 0)?, self.read(a, 1)?);
        match self.operand(b) {
            Operand::Register(b) => self.w.select(target, m, x, b),
            Operand::Memory(from) => {
                let b = self.scratch(2);
                self.w.load(b, from)?;
                self.w.select(target, m, x, b)
            }
        }
    }

    fn number(number: Number) -> Operand64 {
        match number {
            Number::Register(r) => Operand64::Register(r),
            Number::Slot(k) => Operand64::Memory(Address::at(Register::RSP, k as i64 * 8)),
            Number::Constant(c) => Operand64::Constant(c),
        }
    }

    fn two(&mut self, code: Op, constant: Op, a: Register, b: Number) -> Result<(), IcedError> {
        let instruction = match Self::number(b) {
            Operand64::Register(b) => Instruction::with2(code, a, b)?,
            Operand64::Memory(b) => Instruction::with2(code, a, b.operand())?,
            Operand64::Constant(c) => Instruction::with2(constant, a, c as i32)?,
        };
        self.w.push(instruction)
    }

    fn scalar(&mut self, inst: &Inst) -> Result<(), IcedError> {
        match inst {
            Inst::Put(to, Number::Constant(c)) => {
                let instruction = Instruction::with2(Op::Mov_r64_imm64, *to, *c)?;
                self.w.push(instruction)
            }
            Inst::Put(to, from) => self.two(Op::Mov_r64_rm64, Op::Mov_rm64_imm32, *to, *from),
            Inst::Keep(slot, from) => {
                let to = Address::at(Register::RSP, *slot as i64 * 8).operand();
                let instruction = Instruction::with2(Op::Mov_rm64_r64, to, *from)?;
                self.w.push(instruction)
            }
            Inst::LoadNumber(to, from) => {
                let instruction = Instruction::with2(Op::Mov_r64_rm64, *to, from.operand())?;
                self.w.push(instruction)
            }
            Inst::Add(to, by) => self.two(Op::Add_r64_rm64, Op::Add_rm64_imm32, *to, *by),
            Inst::AddressOf(to, from) => {
                let instruction = Instruction::with2(Op::Lea_r64_m, *to, from.operand())?;
                self.w.push(instruction)
            }
            Inst::Subtract(to, by) => self.two(Op::Sub_r64_rm64, Op::Sub_rm64_imm32, *to, *by),
            Inst::Compare(a, b) => self.two(Op::Cmp_r64_rm64, Op::Cmp_rm64_imm32, *a, *b),
            Inst::Multiply(to, Number::Constant(c)) => {
                let instruction = if *c > 0 && c.count_ones() == 1 {
                    Instruction::with2(Op::Shl_rm64_imm8, *to, c.trailing_zeros() as i32)?
                } else {
                    Instruction::with3(Op::Imul_r64_rm64_imm32, *to, *to, *c as i32)?
                };
                self.w.push(instruction)
            }
            Inst::Multiply(to, by) => self.two(Op::Imul_r64_rm64, Op::Imul_r64_rm64, *to, *by),
            Inst::Jump(condition, label) => {
                let label = self.labels[label.0];
                match condition {
                    Condition::Always => self.w.asm.jmp(label),
                    Condition::Less => self.w.asm.jl(label),
                    Condition::LessEqual => self.w.asm.jle(label),
                    Condition::GreaterEqual => self.w.asm.jge(label),
                    Condition::Greater => self.w.asm.jg(label),
                    Condition::Equal => self.w.asm.je(label),
                    Condition::NotEqual => self.w.asm.jne(label),
                }
            }
            Inst::Place(label) => {
                let label = &mut self.labels[label.0];
                self.w.asm.set_label(label)?;
                // A label stands before an instruction of its own, so that several may meet.
                self.w.asm.nop()
            }
            Inst::Mask { skip } => self.tail(*skip),
            Inst::MaskBits(to) => {
                let mask = Register::YMM0 + self.mask() as u32;
                let code = match self.w.width {
                    Width::Single => Op::VEX_Vmovmskps_r64_ymm,
                    Width::Double => Op::VEX_Vmovmskpd_r64_ymm,
                };
                let instruction = Instruction::with2(code, *to, mask)?;
                self.w.push(instruction)
            }
            Inst::TestBit(a, bit) => {
                let instruction = Instruction::with2(Op::Test_rm64_imm32, *a, 1 << *bit)?;
                self.w.push(instruction)
            }
            _ => Ok(()),
        }
    }

    /// From the number of lanes left in `rcx`; uses `rax` and `rdx`.
    fn tail(&mut self, skip: i64) -> Result<(), IcedError> {
        if self.w.simd == Simd::Avx512 {
            self.w.asm.mov(eax, self.w.lanes() as i32)?;
            self.w.asm.cmp(rcx, rax)?;
            self.w.asm.cmovg(rcx, rax)?;
            self.w.asm.mov(eax, -1)?;
            self.w.asm.bzhi(eax, eax, ecx)?;
            return self.w.asm.kmovw(k1, eax);
        }
        // The numbers from as many as there are lanes less n on, n bounded to them.
        let lanes = self.w.lanes() as i32;
        self.w.asm.mov(rax, rcx)?;
        self.w.asm.sub(rax, skip as i32)?;
        self.w.asm.xor(edx, edx)?;
        self.w.asm.test(rax, rax)?;
        self.w.asm.cmovs(rax, rdx)?;
        self.w.asm.mov(edx, lanes)?;
        self.w.asm.cmp(rax, rdx)?;
        self.w.asm.cmovg(rax, rdx)?;
        self.w.asm.sub(rdx, rax)?;
        let bytes = self.w.width.bytes() as u32;
        let from = Address { displacement: self.mask_at, ..Address::scaled(Register::R15, Register::RDX, bytes) };
        self.w.load(self.mask(), from)
    }
}

/// An operand of a 64-bit instruction.
enum Operand64 {
    Register(Register),
    Memory(Address),
    Constant(i64),
}
