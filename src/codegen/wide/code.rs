//! A function before its registers are chosen: instructions on any number of vectors, on general registers and labels.
//!
//! Input: what a lowering appends. Output: position-independent code. Invariants: a vector is defined once, except an
//! accumulator, which [`Inst::Assign`] and [`Inst::Merge`] change; constants lie behind the code and need no register.

use super::Simd;
use super::assemble::assemble;
use super::encode::Encoder;
use super::lanes::Lanes;
use super::narrow;
use super::operation::{Binary, Unary};
use super::writer::{Address, Writer};
use crate::scalar::Width;
use iced_x86::code_asm::{qword_ptr, r12, r13, r14, r15, rax, rbp, rbx, rsp};
use iced_x86::{IcedError, Register};
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
pub struct Label(pub usize);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    Always,
    Less,
    LessEqual,
    GreaterEqual,
    Greater,
    Equal,
    NotEqual,
}

#[derive(Clone, Debug)]
pub enum Inst {
    Binary(Binary, V, V, V),
    Unary(Unary, V, V),
    /// `a · b + c`.
    Fma(V, V, V, V),
    /// `mask`, `a` where it holds, `b` elsewhere.
    Select(V, V, V, V),
    /// The first of `from` where a comparison of two vectors holds, the second elsewhere; for the wider vectors only.
    Choose {
        op: Binary,
        to: V,
        of: [V; 2],
        from: [V; 2],
    },
    Shift {
        left: bool,
        to: V,
        from: V,
        by: u32,
        /// Of 32-bit words, whatever the numbers.
        words: bool,
    },
    /// Rotates 32-bit words to the left; for the wider vectors only.
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
    /// Loads the lanes that a mask wants, zeros elsewhere.
    LoadWhere {
        to: V,
        from: Address,
        wanted: V,
        masked: bool,
    },
    Broadcast {
        to: V,
        from: Address,
        /// A 32-bit word, whatever the numbers.
        word: bool,
    },
    /// The low bits of a general register in every lane.
    Splat {
        to: V,
        from: Register,
    },
    /// The elements at `from` and an index, in elements; zeros where a mask, if there is one, does not want them.
    Gather {
        to: V,
        from: Address,
        index: V,
        wanted: Option<V>,
        masked: bool,
    },
    /// Stores to `to` and an index, in elements; for the wider vectors only.
    Scatter {
        to: Address,
        from: V,
        index: V,
        masked: bool,
    },
    /// Loads four 32-bit elements, zeros behind them.
    LoadPiece {
        to: V,
        from: Address,
    },
    /// `into`, but for one piece of four 32-bit elements.
    InsertPiece {
        to: V,
        into: V,
        from: Address,
        piece: usize,
    },
    /// Stores a piece of four 32-bit elements.
    StorePiece {
        to: Address,
        from: V,
        piece: usize,
    },
    /// Stores one of the lanes in the first 128 bits.
    StoreLane {
        to: Address,
        from: V,
        lane: usize,
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
    /// Groups of four 32-bit lanes of `first` and of `second` in turn, of the lower or the upper half of each.
    Groups {
        to: V,
        first: V,
        second: V,
        upper: bool,
    },
    /// Sets the tail mask to the lanes below the number in `rcx`, less `skip`.
    Mask {
        skip: i64,
    },
    /// A bit for every lane of the tail mask; for the narrower vectors only.
    MaskBits(Register),
    /// Compares a bit with 0.
    TestBit(Register, usize),
    Put(Register, Number),
    /// The integer in the first lane, with its sign.
    First(Register, V),
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
    /// That of floats and integers.
    pub width: Width,
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
pub(super) enum Home {
    Register(usize),
    Spilled(usize),
    Pool(usize),
    Unused,
}

impl Code {
    pub fn new(simd: Simd, width: Width) -> Code {
        Code {
            simd,
            width,
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

    /// Numbers of a vector.
    pub fn lanes(&self) -> usize {
        self.simd.lanes(self.width)
    }

    pub fn ops(&mut self) -> Lanes<'_> {
        Lanes { code: self }
    }

    /// The constant with the low bits of these numbers, one per lane.
    pub fn numbers(&mut self, numbers: impl Iterator<Item = u64>) -> V {
        let words = numbers.flat_map(|n| [n as u32, (n >> 32) as u32].into_iter().take(self.width.bytes() / 4));
        let words = words.collect();
        self.constant(words)
    }

    /// The constant with these words.
    fn constant(&mut self, words: Vec<u32>) -> V {
        if let Some(v) = self.constants.get(&words) {
            return *v;
        }
        let v = self.vector();
        self.of_pool.insert(v, self.pool.len());
        self.pool.push(words.clone());
        self.constants.insert(words, v);
        v
    }

    /// The low bits of a number in every lane.
    pub fn splat(&mut self, number: u64) -> V {
        let lanes = self.lanes();
        self.numbers(std::iter::repeat_n(number, lanes))
    }

    /// A 32-bit word everywhere, whatever the numbers.
    pub fn splat_word(&mut self, word: u32) -> V {
        let words = self.simd.bytes() / 4;
        self.constant(vec![word; words])
    }

    /// Whether 64-bit numbers lack instructions.
    fn is_narrow(&self) -> bool {
        self.simd == Simd::Avx2 && self.width == Width::Double
    }

    pub fn binary(&mut self, op: Binary, a: V, b: V) -> V {
        if self.is_narrow()
            && let Some(made) = narrow::binary(self, op, a, b)
        {
            return made;
        }
        let to = self.vector();
        self.push(Inst::Binary(op, to, a, b));
        to
    }

    pub fn unary(&mut self, op: Unary, a: V) -> V {
        if self.is_narrow()
            && let Some(made) = narrow::unary(self, op, a)
        {
            return made;
        }
        let to = self.vector();
        self.push(Inst::Unary(op, to, a));
        to
    }

    pub fn shift(&mut self, left: bool, from: V, by: u32) -> V {
        let to = self.vector();
        self.push(Inst::Shift { left, to, from, by, words: false });
        to
    }

    pub fn select(&mut self, mask: V, a: V, b: V) -> V {
        let to = self.vector();
        self.push(Inst::Select(to, mask, a, b));
        to
    }

    /// Vectors an instruction defines or changes, and those it reads.
    pub(super) fn uses(inst: &Inst) -> (Option<V>, [Option<V>; 4]) {
        let (to, [a, b, c]) = match inst {
            Inst::Choose { to, of, from, .. } => {
                return (Some(*to), [of[0], of[1], from[0], from[1]].map(Some));
            }
            inst => Code::uses_of_three(inst),
        };
        (to, [a, b, c, None])
    }

    fn uses_of_three(inst: &Inst) -> (Option<V>, [Option<V>; 3]) {
        match inst {
            Inst::Binary(_, to, a, b) | Inst::Groups { to, first: a, second: b, .. } => {
                (Some(*to), [Some(*a), Some(*b), None])
            }
            Inst::Unary(_, to, a) | Inst::Upper(to, a, _) | Inst::Spread(to, a) => (Some(*to), [Some(*a), None, None]),
            Inst::Fma(to, a, b, c) | Inst::Select(to, a, b, c) => (Some(*to), [Some(*a), Some(*b), Some(*c)]),
            Inst::Shift { to, from, .. } | Inst::Rotate { to, from, .. } => (Some(*to), [Some(*from), None, None]),
            Inst::Load { to, .. } | Inst::Broadcast { to, .. } | Inst::Splat { to, .. } => (Some(*to), [None; 3]),
            Inst::LoadWhere { to, wanted, .. } => (Some(*to), [Some(*wanted), None, None]),
            Inst::Gather { to, index, wanted, .. } => (Some(*to), [Some(*index), *wanted, None]),
            Inst::First(_, from)
            | Inst::Store { from, .. }
            | Inst::StoreFirst { from, .. }
            | Inst::StoreLane { from, .. }
            | Inst::StorePiece { from, .. } => (None, [Some(*from), None, None]),
            Inst::LoadPiece { to, .. } => (Some(*to), [None; 3]),
            Inst::InsertPiece { to, into, .. } => (Some(*to), [Some(*into), None, None]),
            Inst::Scatter { from, index, .. } => (None, [Some(*from), Some(*index), None]),
            Inst::Assign(to, a) | Inst::Merge(to, a) => (Some(*to), [Some(*to), Some(*a), None]),
            _ => (None, [None; 3]),
        }
    }

    /// Joins comparisons that one selection uses with it, where they stand before it without a jump or an assignment between.
    fn join_comparisons(&mut self) {
        let mut uses = vec![0u32; self.vectors as usize];
        for v in self.insts.iter().flat_map(|inst| Code::uses(inst).1).flatten() {
            uses[v.0 as usize] += 1;
        }
        let mut compared: BTreeMap<V, usize> = BTreeMap::new();
        let mut joined = vec![false; self.insts.len()];
        for at in 0..self.insts.len() {
            match &self.insts[at] {
                Inst::Binary(op, to, ..) if op.compares() && uses[to.0 as usize] == 1 => {
                    compared.insert(*to, at);
                }
                Inst::Select(to, mask, a, b) => {
                    let (to, from) = (*to, [*a, *b]);
                    if let Some(before) = compared.remove(mask)
                        && let Inst::Binary(op, _, x, y) = &self.insts[before]
                    {
                        let (op, of) = (*op, [*x, *y]);
                        self.insts[at] = Inst::Choose { op, to, of, from };
                        joined[before] = true;
                    }
                }
                Inst::Assign(..) | Inst::Merge(..) | Inst::Jump(..) | Inst::Place(_) => compared.clear(),
                _ => {}
            }
        }
        let mut joined = joined.into_iter();
        self.insts.retain(|_| joined.next() != Some(true));
    }

    /// Gives every vector a register as long as there are enough; those that are used least for the time they are held stay
    /// in memory.
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
        // Constants need no store, and are operands where they are.
        let cost = |v: usize| if self.of_pool.contains_key(&V(v as u32)) { 0.5 } else { 1.0 };
        let worth = |v: usize| cost(v) * weight[v] / (last[v] - first[v] + 1) as f64;
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
            let least = active.iter().copied().min_by(|a, b| worth(*a).total_cmp(&worth(*b)).then(a.cmp(b)));
            match least {
                Some(other) if worth(other) < worth(v) => {
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
    pub fn finish(mut self) -> Result<Vec<u8>, IcedError> {
        if self.simd == Simd::Avx512 {
            self.join_comparisons();
        }
        let (homes, spills) = self.allocate();
        let bytes = self.simd.bytes();
        let vectors_at = (self.slots * 8).next_multiple_of(64);
        let frame = (vectors_at + spills * bytes).next_multiple_of(64);
        let mut writer = Writer::new(self.simd, self.width)?;
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
        assemble(&mut writer.asm)
    }
}
