//! Instructions with labels to bytes.
//!
//! Input: what an assembler holds; a label is the number that an instruction has for an address. Output: position-independent
//! code. Invariants: a jump is short where it can be, and every other instruction has the bytes of the general encoder; where
//! one is unknown here, that encodes all of them.

use super::encoding::{encode, number};
use iced_x86::code_asm::CodeAssembler;
use iced_x86::{Code, IcedError, Instruction, Register};

/// Bytes of a short jump, and of the address within its near form.
const SHORT: usize = 2;
const ADDRESS: usize = 4;

/// A place in the code: bytes before it, jumps left out, and jumps before it.
#[derive(Clone, Copy, Default)]
struct Place {
    bytes: usize,
    jumps: usize,
}

struct Jump {
    at: Place,
    /// The condition in the machine's numbers; `None` for a jump that is always taken.
    condition: Option<u8>,
    label: usize,
    near: bool,
}

impl Jump {
    fn len(&self) -> usize {
        match (self.near, self.condition) {
            (false, _) => SHORT,
            (true, None) => 1 + ADDRESS,
            (true, Some(_)) => 2 + ADDRESS,
        }
    }
}

/// An address that is relative to the end of its own four bytes.
struct Relative {
    at: Place,
    label: usize,
}

#[derive(Default)]
struct Assembly {
    /// All code but jumps.
    bytes: Vec<u8>,
    jumps: Vec<Jump>,
    relative: Vec<Relative>,
    /// By number.
    labels: Vec<Option<Place>>,
}

/// The code of all instructions added to an assembler.
pub(super) fn assemble(asm: &mut CodeAssembler) -> Result<Vec<u8>, IcedError> {
    assembled(asm.instructions()).map_or_else(|| asm.assemble(0), Ok)
}

/// The code of instructions, if all of them are known here.
fn assembled(instructions: &[Instruction]) -> Option<Vec<u8>> {
    let mut assembly = Assembly { bytes: Vec::with_capacity(instructions.len() * 8), ..Assembly::default() };
    instructions.iter().try_for_each(|instruction| assembly.add(instruction))?;
    assembly.stretch()?;
    assembly.finish()
}

impl Assembly {
    fn here(&self) -> Place {
        Place { bytes: self.bytes.len(), jumps: self.jumps.len() }
    }

    fn add(&mut self, instruction: &Instruction) -> Option<()> {
        if instruction.ip() != 0 {
            let (label, here) = (instruction.ip() as usize, self.here());
            if self.labels.len() <= label {
                self.labels.resize(label + 1, None);
            }
            self.labels[label] = Some(here);
        }
        if let Some(condition) = jump(instruction.code()) {
            let label = instruction.near_branch_target() as usize;
            self.jumps.push(Jump { at: self.here(), condition, label, near: false });
            return Some(());
        }
        if instruction.code() == Code::DeclareDword {
            let words = (0..instruction.declare_data_len()).map(|k| instruction.get_declare_dword_value(k));
            self.bytes.extend(words.flat_map(u32::to_le_bytes));
            return Some(());
        }
        // Of labels, only the address of one is ever read.
        if instruction.code() == Code::Lea_r64_m && instruction.memory_base() == Register::RIP {
            let to = number(instruction.op_register(0))?;
            self.bytes.extend([0x48 | to >> 3 << 2, 0x8d, (to & 7) << 3 | 5]);
            self.relative.push(Relative { at: self.here(), label: instruction.memory_displacement64() as usize });
            self.bytes.extend([0; ADDRESS]);
            return Some(());
        }
        encode(instruction, &mut self.bytes)
    }

    /// The addresses of jumps: how many bytes those before take, for any number of them.
    fn before(&self) -> Vec<usize> {
        let mut before = vec![0];
        let mut sum = 0;
        for jump in &self.jumps {
            sum += jump.len();
            before.push(sum);
        }
        before
    }

    fn target(&self, label: usize, before: &[usize]) -> Option<i64> {
        let place = self.labels.get(label).copied().flatten()?;
        Some((place.bytes + before[place.jumps]) as i64)
    }

    /// Makes those jumps near that reach too far: longer ones may make others reach farther, so until none does.
    fn stretch(&mut self) -> Option<()> {
        loop {
            let before = self.before();
            let mut far = Vec::new();
            for (k, jump) in self.jumps.iter().enumerate().filter(|(_, jump)| !jump.near) {
                let end = (jump.at.bytes + before[k + 1]) as i64;
                if i8::try_from(self.target(jump.label, &before)? - end).is_err() {
                    far.push(k);
                }
            }
            if far.is_empty() {
                return Some(());
            }
            far.into_iter().for_each(|k| self.jumps[k].near = true);
        }
    }

    fn finish(self) -> Option<Vec<u8>> {
        let before = self.before();
        let mut out = Vec::with_capacity(self.bytes.len() + before[self.jumps.len()]);
        let mut copied = 0;
        for (k, jump) in self.jumps.iter().enumerate() {
            out.extend_from_slice(&self.bytes[copied..jump.at.bytes]);
            copied = jump.at.bytes;
            let distance = self.target(jump.label, &before)? - (jump.at.bytes + before[k + 1]) as i64;
            match (jump.near, jump.condition) {
                (false, None) => out.push(0xeb),
                (false, Some(condition)) => out.push(0x70 | condition),
                (true, None) => out.push(0xe9),
                (true, Some(condition)) => out.extend([0x0f, 0x80 | condition]),
            }
            match jump.near {
                false => out.push(distance as i8 as u8),
                true => out.extend((distance as i32).to_le_bytes()),
            }
        }
        out.extend_from_slice(&self.bytes[copied..]);
        for Relative { at, label } in &self.relative {
            let from = at.bytes + before[at.jumps];
            let distance = self.target(*label, &before)? - (from + ADDRESS) as i64;
            out[from..from + ADDRESS].copy_from_slice(&(distance as i32).to_le_bytes());
        }
        Some(out)
    }
}

/// The condition of a jump, if the instruction is one.
fn jump(code: Code) -> Option<Option<u8>> {
    Some(match code {
        Code::Jmp_rel8_64 | Code::Jmp_rel32_64 => None,
        Code::Je_rel8_64 | Code::Je_rel32_64 => Some(0x4),
        Code::Jne_rel8_64 | Code::Jne_rel32_64 => Some(0x5),
        Code::Jl_rel8_64 | Code::Jl_rel32_64 => Some(0xc),
        Code::Jge_rel8_64 | Code::Jge_rel32_64 => Some(0xd),
        Code::Jle_rel8_64 | Code::Jle_rel32_64 => Some(0xe),
        Code::Jg_rel8_64 | Code::Jg_rel32_64 => Some(0xf),
        _ => return Option::None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Simd;
    use super::super::operation::{Binary, Unary};
    use super::super::writer::{Address, Operand, Writer};
    use super::*;
    use crate::scalar::Width;
    use iced_x86::Encoder;
    use iced_x86::code_asm::*;

    const BINARY: [Binary; 24] = [
        Binary::Add,
        Binary::Sub,
        Binary::Mul,
        Binary::Div,
        Binary::Min,
        Binary::Max,
        Binary::Less,
        Binary::LessEqual,
        Binary::Equal,
        Binary::Unordered,
        Binary::And,
        Binary::Or,
        Binary::Xor,
        Binary::IntAdd,
        Binary::IntSub,
        Binary::IntMul,
        Binary::IntMin,
        Binary::IntMax,
        Binary::IntEqual,
        Binary::IntGreater,
        Binary::UnpackLow,
        Binary::UnpackHigh,
        Binary::UnpackLowPairs,
        Binary::UnpackHighPairs,
    ];
    const UNARY: [Unary; 6] = [Unary::Move, Unary::Sqrt, Unary::Floor, Unary::FromInt, Unary::Truncate, Unary::IntAbs];

    fn addresses() -> Vec<Address> {
        let mut all = Vec::new();
        for base in [Register::RAX, Register::RSP, Register::RBP, Register::RDI, Register::R12, Register::R13] {
            for displacement in [0, 4, 5, 16, 64, -64, 127, 128, -128, 508, 512, 2032, 8128, 8192, 1 << 20, -(1 << 20)]
            {
                all.push(Address { displacement, ..Address::base(base) });
                for (index, scale) in [(Register::RCX, 4), (Register::R14, 8), (Register::RBP, 1)] {
                    all.push(Address { displacement, ..Address::scaled(base, index, scale) });
                }
            }
        }
        all
    }

    /// Everything a writer writes.
    fn write_all(w: &mut Writer) -> Result<(), IcedError> {
        let wide = w.simd == Simd::Avx512;
        let registers: &[usize] = if wide { &[0, 5, 8, 15, 16, 26, 31] } else { &[0, 5, 8, 15] };
        let triples = registers
            .iter()
            .enumerate()
            .map(|(k, a)| (*a, registers[(k + 1) % registers.len()], registers[(k + 2) % registers.len()]));
        for (a, b, c) in triples {
            let plain = [Address::base(Register::RDX), Address::at(Register::R15, 640)];
            let operands = plain.map(Operand::Memory).into_iter().chain([Operand::Register(c)]);
            for operand in operands {
                BINARY.iter().try_for_each(|op| w.binary(*op, a, b, operand))?;
                UNARY.iter().try_for_each(|op| w.unary(*op, a, operand))?;
                w.multiply_add(a, b, operand)?;
                if wide {
                    w.ternary(a, b, operand, 0xca)?;
                    w.choose(a, operand, b)?;
                    w.compare(Binary::Less, b, operand)?;
                }
            }
            for from in addresses() {
                w.load(a, from)?;
                w.load_masked(a, from, b)?;
                w.store(from, a)?;
                w.store_masked(from, a, b)?;
                w.store_first(from, a)?;
                w.prefetch(from)?;
                w.broadcast(a, from)?;
                w.load_piece(a, from)?;
                for piece in 0..if wide { 4 } else { 2 } {
                    w.insert_piece(a, b, from, piece)?;
                    w.store_piece(from, a, piece)?;
                    if !wide {
                        w.store_lane(from, a, piece)?;
                    }
                }
                if wide {
                    w.fma_broadcast(a, b, from)?;
                }
            }
            for from in plain {
                w.gather(a, from, b, None, None, c)?;
                w.gather(a, from, b, None, Some(c), c)?;
                w.gather(a, from, b, Some(c), Some(b), c)?;
                if wide {
                    w.scatter(from, a, b, true)?;
                    w.scatter(from, a, b, false)?;
                }
            }
            for number in [Register::RAX, Register::R9] {
                w.splat(a, number)?;
            }
            w.fma(a, b, c)?;
            w.merge(a, b, c)?;
            [16, 8, 4, 2].into_iter().filter(|n| wide || *n < 16).try_for_each(|lanes| w.upper(a, b, lanes))?;
            for flag in [false, true] {
                w.shift(flag, a, b, 7, false)?;
                w.groups(a, b, c, flag)?;
            }
            w.spread(a, b)?;
            if wide { w.rotate(a, b, 13)? } else { w.select(a, b, c, a)? }
        }
        Ok(())
    }

    #[test]
    fn instructions_have_the_bytes_of_the_general_encoder() {
        for simd in [Simd::Avx2, Simd::Avx512] {
            let mut w = Writer::new(simd, Width::Single).unwrap();
            write_all(&mut w).unwrap();
            let a = &mut w.asm;
            for r in [rax, rbx, rsp, rdi, r8, r12, r13] {
                a.push(r).unwrap();
                a.pop(r).unwrap();
                a.mov(r, qword_ptr(rsp)).unwrap();
                a.mov(qword_ptr(rdi + 8), r).unwrap();
                a.mov(r, r9).unwrap();
                a.add(r, rcx).unwrap();
                a.lea(r, qword_ptr(rax + rdi * 2)).unwrap();
                a.cmovs(r, rdx).unwrap();
                a.cmovg(r, rdx).unwrap();
                a.imul_2(r, r11).unwrap();
                a.test(r, r).unwrap();
                a.dec(r).unwrap();
            }
            for n in [1, 127, 128, -64, 1 << 20] {
                a.sub(rsp, n).unwrap();
                a.and(rsp, n).unwrap();
                a.add(rdi, n).unwrap();
                a.cmp(r13, n).unwrap();
                a.mov(eax, n).unwrap();
            }
            a.mov(r13d, dword_ptr(rdi + 4)).unwrap();
            a.xor(edx, edx).unwrap();
            a.bzhi(eax, eax, ecx).unwrap();
            a.kmovw(k1, eax).unwrap();
            a.vzeroupper().unwrap();
            a.nop().unwrap();
            a.ret().unwrap();
            for instruction in w.asm.instructions() {
                let mut encoder = Encoder::new(64);
                encoder.encode(instruction, 0).unwrap();
                let (expected, mut found) = (encoder.take_buffer(), Vec::new());
                assert_eq!(encode(instruction, &mut found), Some(()), "{:?}", instruction.code());
                assert_eq!(found, expected, "{:?}", instruction.code());
            }
        }
    }

    #[test]
    fn jumps_reach_their_labels_as_the_general_encoder_makes_them() {
        for between in [1, 20, 40, 60, 400] {
            let mut a = CodeAssembler::new(64).unwrap();
            let [mut start, mut middle, mut end, mut pool] = [0; 4].map(|_| a.create_label());
            a.lea(r15, qword_ptr(pool)).unwrap();
            a.set_label(&mut start).unwrap();
            a.je(end).unwrap();
            a.jl(middle).unwrap();
            (0..between).for_each(|_| a.add(rax, rcx).unwrap());
            a.jmp(end).unwrap();
            a.set_label(&mut middle).unwrap();
            a.jne(start).unwrap();
            a.jge(middle).unwrap();
            a.jg(end).unwrap();
            a.jle(start).unwrap();
            a.set_label(&mut end).unwrap();
            a.ret().unwrap();
            a.set_label(&mut pool).unwrap();
            a.dd(&[1, 2, 3, 4, 5]).unwrap();
            assert_eq!(assembled(a.instructions()), Some(a.assemble(0).unwrap()), "{between} instructions between");
        }
    }
}
