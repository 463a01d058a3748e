//! Random draws, and loops over vectors that take two at a time where both halves of the draws are of use.
//!
//! In f32, element 8·b + 4·h + j of a site is word h of counter 4·b + j (`scalar::random`): a vector of counters gives two
//! whole vectors of elements. In f64, element i is both words of counter i: 64-bit lanes have room for the counters of two
//! vectors, one in the low halves and one in the high ones. Invariant: an element's draw is the host's, bit for bit, whichever way it is computed.

use super::code::{Condition, Inst, Number, V};
use super::kernel::{Emitter, LaneAxis, Refusal, Whole};
use super::operation::{Binary, Unary};
use super::writer::Address;
use crate::codegen::draws::is_paired;
use crate::scalar::random::{self, Words};
use crate::scalar::{Lane, Width};
use crate::schedule::kernel::{AxisId, Expr, Index, Loop, Stmt, ValueId};
use iced_x86::Register;
use std::collections::BTreeMap;

impl Emitter<'_> {
    /// Two vectors at a time, as far as they go; in f32 none if the first element is not the first of its block.
    pub fn pairs(&mut self, l: &Loop, position: Number, start: Number, end: Number) -> Result<(), Refusal> {
        let within = self.code.label();
        if start != Number::Constant(0) && self.code.width == Width::Single {
            // The position within the block, at the upper end of the register.
            self.code.push(Inst::Put(Register::RAX, start));
            self.code.push(Inst::Multiply(Register::RAX, Number::Constant(1 << (64 - random::BLOCK.trailing_zeros()))));
            self.code.push(Inst::Compare(Register::RAX, Number::Constant(0)));
            self.code.push(Inst::Jump(Condition::NotEqual, within));
        }
        self.seconds = Some(BTreeMap::new());
        let step = 2 * self.lanes() as i64;
        self.range(position, end, step, &mut |e| {
            for copy in 0..2 {
                e.lane = Some(LaneAxis { axis: l.axis, masked: false, copy });
                e.at(l.axis, position, &mut |e| e.lanes_body(l, Whole::Never))?;
            }
            Ok(())
        })?;
        self.seconds = None;
        self.code.push(Inst::Place(within));
        Ok(())
    }

    /// Whether the loop draws, and two neighbouring vectors of every draw are computed at once, in f32 where the position is
    /// a multiple of a block.
    pub fn draws_in_pairs(&self, l: &Loop) -> bool {
        let mut draws = false;
        for stmt in &l.body {
            match stmt {
                Stmt::Let(id) => {
                    let Expr::Random { element, .. } = &self.kernel.value(*id).expr else { continue };
                    let paired = match self.code.width {
                        Width::Single => is_paired(element, l.axis),
                        Width::Double => pitch(element, l.axis).is_some(),
                    };
                    if !paired {
                        return false;
                    }
                    draws = true;
                }
                // The second half of what an inner loop draws would have to be kept for each of its positions.
                Stmt::Loop(inner) if self.draws_anywhere(&inner.body) => return false,
                Stmt::Reduce(inner) if self.draws_anywhere(&inner.body) => return false,
                Stmt::Loop(_) | Stmt::Reduce(_) | Stmt::Store(_) => {}
            }
        }
        draws
    }

    fn draws_anywhere(&self, body: &[Stmt]) -> bool {
        body.iter().any(|stmt| match stmt {
            Stmt::Let(id) => matches!(self.kernel.value(*id).expr, Expr::Random { .. }),
            Stmt::Loop(l) => self.draws_anywhere(&l.body),
            Stmt::Reduce(r) => self.draws_anywhere(&r.body),
            Stmt::Store(_) => false,
        })
    }

    /// The two 32-bit halves of a 64-bit scalar in memory, in every lane.
    fn halves(&mut self, id: ValueId) -> Result<[V; 2], Refusal> {
        let Expr::Load { buffer, index, .. } = &self.kernel.value(id).expr else { return Err(Refusal::NotCovered) };
        if *index != Index::default() || !self.program.buffer(*buffer).dims.is_empty() {
            return Err(Refusal::NotCovered);
        }
        self.base(*buffer);
        let half = |e: &mut Self, at| {
            let to = e.code.vector();
            e.code.push(Inst::Broadcast { to, from: Address::at(Register::RAX, at), word: true });
            to
        };
        Ok([half(self, 0), half(self, 4)])
    }

    /// Derives the keys of the draws in a body ahead of its loop.
    pub fn prepare_keys(&mut self, body: &[Stmt]) -> Result<(), Refusal> {
        for stmt in body {
            match stmt {
                Stmt::Loop(l) => self.prepare_keys(&l.body)?,
                Stmt::Reduce(r) => self.prepare_keys(&r.body)?,
                Stmt::Let(id) => {
                    if let (Expr::Random { site, seed, step, .. }, false) =
                        (&self.kernel.value(*id).expr, self.keys.contains_key(id))
                    {
                        let (seed, step) = (self.halves(*seed)?, self.halves(*step)?);
                        let mut words = self.ops();
                        let site = [words.word(*site as u32), words.word((*site >> 32) as u32)];
                        let of_site = random::threefry(&mut words, seed, site);
                        let key = random::threefry(&mut words, of_site, step);
                        self.keys.insert(*id, key);
                    }
                }
                Stmt::Store(_) => {}
            }
        }
        Ok(())
    }

    /// The draws of the elements in the lanes.
    pub fn draw(&mut self, id: ValueId, element: &Index) -> Result<V, Refusal> {
        if let Some(second) = self.seconds.as_mut().and_then(|seconds| seconds.remove(&id)) {
            return Ok(second);
        }
        let key = match self.keys.get(&id) {
            Some(key) => *key,
            None => return Err(Refusal::NotCovered),
        };
        let elements = self.index_vector(element)?;
        let pitch = self.lane.and_then(|l| pitch(element, l.axis));
        let drawn = match (self.code.width, self.seconds.is_some()) {
            (Width::Single, false) => return Ok(self.singles(key, elements)),
            (Width::Single, true) => self.two_of_singles(key, elements),
            (Width::Double, pairs) => self.doubles(key, elements, pitch.filter(|_| pairs)),
        };
        if let Some(seconds) = &mut self.seconds {
            seconds.insert(id, drawn[1]);
        }
        Ok(drawn[0])
    }

    /// The draws of the elements in the lanes, and, where a pitch is given, those of as many after them, each so many
    /// elements from the one before; else the first ones again.
    fn doubles(&mut self, key: [V; 2], elements: V, pitch: Option<u64>) -> [V; 2] {
        let lanes = self.lanes() as u64;
        let mut ops = self.ops();
        let counter = match pitch {
            Some(pitch) => {
                let after = ops.int((lanes * pitch) as i64);
                let later = ops.int_add(elements, after);
                let later = ops.shift_left(later, 32);
                // What is no element may be negative: its sign must not reach the others.
                let low_half = ops.int(0xffff_ffff);
                let elements = ops.int_and(elements, low_half);
                ops.int_or(elements, later)
            }
            None => elements,
        };
        let zero = ops.word(0);
        let [first, second] = random::threefry(&mut ops, key, [counter, zero]);
        let low = self.unit_double([first, second], false);
        [low, if pitch.is_some() { self.unit_double([first, second], true) } else { low }]
    }

    /// The top 27 bits of the first words as a multiple of 2^-27, plus the top 26 of the second ones as one of 2^-53: those in
    /// the low or in the high halves of the lanes.
    fn unit_double(&mut self, words: [V; 2], high: bool) -> V {
        let mut ops = self.ops();
        // 2^52 + n has n in its low bits.
        let (magic, low_half) = (ops.float(2f64.powi(52)), ops.int(0xffff_ffff));
        let [coarse, fine] = [(words[0], 5), (words[1], 6)].map(|(word, by)| {
            let top = match high {
                true => ops.shift_right(word, 32 + by),
                false => {
                    let word = ops.int_and(word, low_half);
                    ops.shift_right(word, by)
                }
            };
            let number = ops.int_or(top, magic);
            ops.sub(number, magic)
        });
        let (unit, part) = (ops.float(2f64.powi(-27)), ops.float(2f64.powi(-53)));
        let coarse = ops.mul(coarse, unit);
        ops.fma(fine, part, coarse)
    }

    /// The draws of the elements in the lanes, wherever they are.
    fn singles(&mut self, key: [V; 2], elements: V) -> V {
        let mut ops = self.ops();
        let (three, four, zero) = (ops.word(3), ops.word(4), ops.word(0));
        let eighth = ops.shift_right(elements, 3);
        let block = ops.shift_left(eighth, 2);
        let within = ops.int_and(elements, three);
        let counter = ops.int_or(block, within);
        let [first, second] = random::threefry(&mut ops, key, [counter, zero]);
        let half = ops.int_and(elements, four);
        let is_first = ops.int_eq(half, zero);
        let bits = ops.select(is_first, first, second);
        self.unit(bits)
    }

    /// The draws of the elements in the lanes, the first of which begins a block, and of as many after them.
    fn two_of_singles(&mut self, key: [V; 2], elements: V) -> [V; 2] {
        let iota = self.code.numbers(0..self.lanes() as u64);
        let mut ops = self.ops();
        let zero = ops.word(0);
        // Half as many counters as elements: the lanes' begin at half the first element.
        let start = ops.int_sub(elements, iota);
        // Where the first is no element it may be negative, and keeps its sign.
        let sign = ops.int(Width::Single.sign_bit());
        let sign = ops.int_and(start, sign);
        let start = ops.shift_right(start, 1);
        let start = ops.int_or(start, sign);
        let counter = ops.int_add(start, iota);
        let [first, second] = random::threefry(&mut ops, key, [counter, zero]);
        [false, true].map(|upper| {
            let to = self.code.vector();
            self.code.push(Inst::Groups { to, first, second, upper });
            self.unit(to)
        })
    }

    /// The top 24 bits as a multiple of 2^-24.
    fn unit(&mut self, bits: V) -> V {
        let top = self.ops().shift_right(bits, 8);
        let number = self.code.unary(Unary::FromInt, top);
        let unit = self.ops().float(1.0 / f64::from(1 << 24));
        self.code.binary(Binary::Mul, number, unit)
    }
}

/// Elements from one position along the axis to the next, where that is known.
fn pitch(element: &Index, axis: AxisId) -> Option<u64> {
    element.stride(axis).as_constant().filter(|pitch| element.values.is_empty() && *pitch < 1 << 26)
}
