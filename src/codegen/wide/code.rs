//! A function before its registers are chosen: instructions on any number of vectors, on general registers and labels.
//!
//! Input: what a lowering appends. Output: position-independent code. Invariants: a vector is defined once, except an
//! accumulator, which [`Inst::Assign`] and [`Inst::Merge`] change; constants lie behind the code and need no register.

use super::Simd;
use super::writer::{Address, Binary, Operand, Unary, Writer};
use iced_x86::code_asm::{CodeLabel, eax, ecx, edx, k1, qword_ptr, r12, r13, r14, r15, rax, rbp, rbx, rcx, rdx, rsp};
use iced_x86::{Code as Op, IcedError, Instruction, Register};
use std::collections::BTreeMap;

/// A vector.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct V(pub u32);

/// Where a 64-bit number is: in a register, in a slot of the frame, or in the instruction.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    Register(Register),
    Slot(usize),
    Constant(i64),
}

/// A place in the code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(usize);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    Less,
    LessEqual,
    GreaterEqual,
    Greater,
    Equal,
}

#[derive(Clone, Debug)]
pub enum Inst {
    Binary(Binary, V, V, V),
    Unary(Unary, V, V),
    /// `a · b + c`.
    Fma(V, V, V, V),
    /// `mask`, `a` where it holds, `b` elsewhere.
    Select(V, V, V, V),
    Shift {
        left: bool,
        to: V,
        from: V,
        by: u32,
    },
    /// Rotates to the left; for the wider vectors only.
    Rotate {
        to: V,
        from: V,
        by: u32,
    },
    Load {
        to: V,
        from: Address,
        masked: bool,
    },
    Broadcast {
        to: V,
        from: Address,
    },
    /// The low 32 bits of a general register in every lane.
    Splat {
        to: V,
        from: Register,
    },
    /// The elements at `base + 4 · index`.
    Gather {
        to: V,
        base: Register,
        index: V,
        masked: bool,
    },
    Store {
        to: Address,
        from: V,
        masked: bool,
    },
    StoreFirst {
        to: Address,
        from: V,
    },
    Assign(V, V),
    /// Assigns in the lanes of the tail.
    Merge(V, V),
    /// The upper half of so many lanes in the lower one.
    Upper(V, V, usize),
    Spread(V, V),
    /// Sets the tail mask to the lanes below the number in `rcx`, less `skip`.
    Mask {
        skip: i64,
    },
    Put(Register, Number),
    Keep(usize, Register),
    LoadNumber(Register, Address),
    AddressOf(Register, Address),
    Add(Register, Number),
    Subtract(Register, Number),
    Multiply(Register, Number),
    Compare(Register, Number),
    Jump(Condition, Label),
    Place(Label),
    /// Between these, code may run again.
    LoopStart,
    LoopEnd,
}

/// Registers for what cannot stay in one: two operands and a result.
const SCRATCH: usize = 3;

pub struct Code {
    pub simd: Simd,
    insts: Vec<Inst>,
    vectors: u32,
    labels: usize,
    slots: usize,
    /// Vectors of constants by their words, in order of their numbers.
    constants: BTreeMap<Vec<u32>, V>,
    pool: Vec<Vec<u32>>,
    of_pool: BTreeMap<V, usize>,
}

/// Where a vector is.
#[derive(Clone, Copy, Debug)]
enum Home {
    Register(usize),
    Spilled(usize),
    Pool(usize),
    Unused,
}

impl Code {
    pub fn new(simd: Simd) -> Code {
        Code {
            simd,
            insts: Vec::new(),
            vectors: 0,
            labels: 0,
            slots: 1,
            constants: BTreeMap::new(),
            pool: Vec::new(),
            of_pool: BTreeMap::new(),
        }
    }

    pub fn push(&mut self, inst: Inst) {
        self.insts.push(inst);
    }

    pub fn vector(&mut self) -> V {
        self.vectors += 1;
        V(self.vectors - 1)
    }

    pub fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    /// A slot of 8 bytes in the frame.
    pub fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    /// The constant with these words, one per lane.
    pub fn constant(&mut self, words: Vec<u32>) -> V {
        if let Some(v) = self.constants.get(&words) {
            return *v;
        }
        let v = self.vector();
        self.of_pool.insert(v, self.pool.len());
        self.pool.push(words.clone());
        self.constants.insert(words, v);
        v
    }

    pub fn splat(&mut self, word: u32) -> V {
        let lanes = self.simd.lanes();
        self.constant(vec![word; lanes])
    }

    pub fn binary(&mut self, op: Binary, a: V, b: V) -> V {
        let to = self.vector();
        self.push(Inst::Binary(op, to, a, b));
        to
    }

    pub fn unary(&mut self, op: Unary, a: V) -> V {
        let to = self.vector();
        self.push(Inst::Unary(op, to, a));
        to
    }

    pub fn select(&mut self, mask: V, a: V, b: V) -> V {
        let to = self.vector();
        self.push(Inst::Select(to, mask, a, b));
        to
    }

    /// Vectors an instruction defines or changes, and those it reads.
    fn uses(inst: &Inst) -> (Option<V>, [Option<V>; 3]) {
        match inst {
            Inst::Binary(_, to, a, b) => (Some(*to), [Some(*a), Some(*b), None]),
            Inst::Unary(_, to, a) | Inst::Upper(to, a, _) | Inst::Spread(to, a) => (Some(*to), [Some(*a), None, None]),
            Inst::Fma(to, a, b, c) | Inst::Select(to, a, b, c) => (Some(*to), [Some(*a), Some(*b), Some(*c)]),
            Inst::Shift { to, from, .. } | Inst::Rotate { to, from, .. } => (Some(*to), [Some(*from), None, None]),
            Inst::Load { to, .. } | Inst::Broadcast { to, .. } | Inst::Splat { to, .. } => (Some(*to), [None; 3]),
            Inst::Gather { to, index, .. } => (Some(*to), [Some(*index), None, None]),
            Inst::Store { from, .. } | Inst::StoreFirst { from, .. } => (None, [Some(*from), None, None]),
            Inst::Assign(to, a) | Inst::Merge(to, a) => (Some(*to), [Some(*to), Some(*a), None]),
            _ => (None, [None; 3]),
        }
    }

    /// Gives every vector a register as long as there are enough; those of least use stay in memory.
    fn allocate(&self) -> (Vec<Home>, usize) {
        let count = self.vectors as usize;
        let mut loops: Vec<(usize, usize)> = Vec::new();
        let mut open = Vec::new();
        // Constants stand before everything, at 0.
        for (at, inst) in (1..).zip(&self.insts) {
            match inst {
                Inst::LoopStart => open.push(at),
                Inst::LoopEnd => loops.extend(open.pop().map(|start| (start, at))),
                _ => {}
            }
        }
        let (mut first, mut last, mut weight) = (vec![usize::MAX; count], vec![0; count], vec![0.0f64; count]);
        for v in self.of_pool.keys() {
            first[v.0 as usize] = 0;
        }
        let mut around: Vec<usize> = Vec::new();
        for (at, inst) in (1..).zip(&self.insts) {
            match inst {
                Inst::LoopStart => around.push(at),
                Inst::LoopEnd => drop(around.pop()),
                _ => {}
            }
            let (to, from) = Code::uses(inst);
            for v in from.into_iter().flatten().chain(to) {
                let v = v.0 as usize;
                first[v] = first[v].min(at);
                last[v] = last[v].max(at);
                weight[v] += 10f64.powi(around.len().min(6) as i32);
                // What was there before a loop is there until its end.
                let outermost = around.iter().find(|start| first[v] < **start);
                if let Some((_, end)) = outermost.and_then(|start| loops.iter().find(|(s, _)| s == start)) {
                    last[v] = last[v].max(*end);
                }
            }
        }
        let mut homes = vec![Home::Unused; count];
        let mut order: Vec<usize> = (0..count).filter(|v| weight[*v] > 0.0).collect();
        order.sort_by_key(|v| (first[*v], *v));
        let usable = self.simd.registers() - SCRATCH - 1;
        let mut free: Vec<usize> = (0..usable).rev().collect();
        let mut active: Vec<usize> = Vec::new();
        let mut spills = 0;
        let mut spill = |v: usize| match self.of_pool.get(&V(v as u32)) {
            Some(k) => Home::Pool(*k),
            None => {
                spills += 1;
                Home::Spilled(spills - 1)
            }
        };
        for v in order {
            active.retain(|a| {
                let lives = last[*a] > first[v];
                if let (false, Home::Register(r)) = (lives, homes[*a]) {
                    free.push(r);
                }
                lives
            });
            if let Some(register) = free.pop() {
                homes[v] = Home::Register(register);
                active.push(v);
                continue;
            }
            let least = active.iter().copied().min_by(|a, b| weight[*a].total_cmp(&weight[*b]).then(a.cmp(b)));
            match least {
                Some(other) if weight[other] < weight[v] => {
                    homes[v] = homes[other];
                    homes[other] = spill(other);
                    active.retain(|a| *a != other);
                    active.push(v);
                }
                _ => homes[v] = spill(v),
            }
        }
        (homes, spills)
    }

    /// The machine code: a function of the C convention of Unix whose arguments stay in `rdi` and `rsi`.
    pub fn finish(self) -> Result<Vec<u8>, IcedError> {
        let (homes, spills) = self.allocate();
        let bytes = self.simd.bytes();
        let vectors_at = (self.slots * 8).next_multiple_of(64);
        let frame = (vectors_at + spills * bytes).next_multiple_of(64);
        let mut writer = Writer::new(self.simd)?;
        let labels = (0..self.labels).map(|_| writer.asm.create_label()).collect();
        let mut pool = writer.asm.create_label();
        let saved = [rbx, rbp, r12, r13, r14, r15];
        for register in saved {
            writer.asm.push(register)?;
        }
        writer.asm.mov(rax, rsp)?;
        writer.asm.sub(rsp, frame as i32)?;
        writer.asm.and(rsp, -64)?;
        writer.asm.mov(qword_ptr(rsp), rax)?;
        writer.asm.lea(r15, qword_ptr(pool))?;
        let mask_at = (self.pool.len() * bytes) as i64;
        let mut encoder = Encoder { w: writer, homes, labels, vectors_at: vectors_at as i64, mask_at };
        for (v, k) in &self.of_pool {
            if let Home::Register(register) = encoder.homes[v.0 as usize] {
                encoder.w.load(register, Address::at(Register::R15, (k * bytes) as i64))?;
            }
        }
        for inst in &self.insts {
            encoder.encode(inst)?;
        }
        let mut writer = encoder.w;
        writer.asm.mov(rsp, qword_ptr(rsp))?;
        for register in saved.into_iter().rev() {
            writer.asm.pop(register)?;
        }
        writer.asm.vzeroupper()?;
        writer.asm.ret()?;
        writer.asm.set_label(&mut pool)?;
        let words: Vec<u32> = self.pool.concat();
        let mask = (0..16).map(|k| if k < 8 { u32::MAX } else { 0 });
        let words: Vec<u32> = words.into_iter().chain(mask).collect();
        writer.asm.dd(&words)?;
        writer.asm.assemble(0)
    }
}

struct Encoder {
    w: Writer,
    homes: Vec<Home>,
    labels: Vec<CodeLabel>,
    vectors_at: i64,
    /// Where the words of narrow masks are, from the pool.
    mask_at: i64,
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

    fn encode(&mut self, inst: &Inst) -> Result<(), IcedError> {
        let (defined, _) = Code::uses(inst);
        match inst {
            Inst::Binary(op, to, a, b) => {
                let swaps = op.commutes()
                    && matches!((self.operand(*a), self.operand(*b)), (Operand::Memory(_), Operand::Register(_)));
                let (a, b) = if swaps { (b, a) } else { (a, b) };
                let (a, b, to) = (self.read(*a, 0)?, self.operand(*b), self.target(*to));
                self.w.binary(*op, to, a, b)?;
            }
            Inst::Unary(op, to, a) => {
                let (a, to) = (self.operand(*a), self.target(*to));
                self.w.unary(*op, to, a)?;
            }
            Inst::Fma(to, a, b, c) => self.fma(*to, *a, *b, *c)?,
            Inst::Select(to, mask, a, b) => self.select(*to, *mask, *a, *b)?,
            Inst::Shift { left, to, from, by } => {
                let (from, to) = (self.read(*from, 0)?, self.target(*to));
                self.w.shift(*left, to, from, *by)?;
            }
            Inst::Rotate { to, from, by } => {
                let (from, to) = (self.read(*from, 0)?, self.target(*to));
                self.w.rotate(to, from, *by)?;
            }
            Inst::Load { to, from, masked } => {
                let (to, mask) = (self.target(*to), self.mask());
                if *masked { self.w.load_masked(to, *from, mask)? } else { self.w.load(to, *from)? }
            }
            Inst::Broadcast { to, from } => self.w.broadcast(self.target(*to), *from)?,
            Inst::Splat { to, from } => {
                let low = Register::EAX + (*from as u32 - Register::RAX as u32);
                self.w.splat(self.target(*to), low)?;
            }
            Inst::Gather { to, base, index, masked } => {
                let (index, to, mask) = (self.read(*index, 0)?, self.target(*to), self.mask());
                // The result must not share a register with the index.
                let free = self.scratch(1);
                self.w.gather(free, *base, index, masked.then_some(mask), self.scratch(2))?;
                self.w.unary(Unary::Move, to, Operand::Register(free))?;
            }
            Inst::Store { to, from, masked } => {
                let (from, mask) = (self.read(*from, 0)?, self.mask());
                if *masked { self.w.store_masked(*to, from, mask)? } else { self.w.store(*to, from)? }
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
                    Condition::Less => self.w.asm.jl(label),
                    Condition::LessEqual => self.w.asm.jle(label),
                    Condition::GreaterEqual => self.w.asm.jge(label),
                    Condition::Greater => self.w.asm.jg(label),
                    Condition::Equal => self.w.asm.je(label),
                }
            }
            Inst::Place(label) => {
                let label = &mut self.labels[label.0];
                self.w.asm.set_label(label)?;
                // A label stands before an instruction of its own, so that several may meet.
                self.w.asm.nop()
            }
            Inst::Mask { skip } => self.tail(*skip),
            _ => Ok(()),
        }
    }

    /// From the number of lanes left in `rcx`; uses `rax` and `rdx`.
    fn tail(&mut self, skip: i64) -> Result<(), IcedError> {
        if self.w.simd == Simd::Avx512 {
            self.w.asm.mov(eax, -1)?;
            self.w.asm.bzhi(eax, eax, ecx)?;
            return self.w.asm.kmovw(k1, eax);
        }
        // The words from 8 - n on, n bounded to 0..=8.
        let lanes = self.w.simd.lanes() as i32;
        self.w.asm.mov(rax, rcx)?;
        self.w.asm.sub(rax, skip as i32)?;
        self.w.asm.xor(edx, edx)?;
        self.w.asm.test(rax, rax)?;
        self.w.asm.cmovs(rax, rdx)?;
        self.w.asm.mov(edx, lanes)?;
        self.w.asm.cmp(rax, rdx)?;
        self.w.asm.cmovg(rax, rdx)?;
        self.w.asm.sub(rdx, rax)?;
        let from = Address { displacement: self.mask_at, ..Address::scaled(Register::R15, Register::RDX, 4) };
        self.w.load(self.mask(), from)
    }
}

/// An operand of a 64-bit instruction.
enum Operand64 {
    Register(Register),
    Memory(Address),
    Constant(i64),
}
