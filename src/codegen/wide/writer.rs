//! Machine instructions by meaning, for either width of vectors.
//!
//! Input: physical registers by number, addresses. Output: position-independent code. Invariant: an operation gives the same
//! bits in every lane under both widths.

use super::Simd;
use super::assemble::assemble;
use super::operation::{Binary, Unary};
use crate::scalar::Width;
use iced_x86::code_asm::CodeAssembler;
use iced_x86::{Code, IcedError, Instruction, MemoryOperand, Register};

/// `base + index · scale + displacement`, in bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Address {
    pub base: Register,
    pub index: Register,
    pub scale: u32,
    pub displacement: i64,
}

impl Address {
    pub fn base(base: Register) -> Address {
        Address::at(base, 0)
    }

    pub fn at(base: Register, displacement: i64) -> Address {
        Address { base, index: Register::None, scale: 1, displacement }
    }

    pub fn scaled(base: Register, index: Register, scale: u32) -> Address {
        Address { base, index, scale, displacement: 0 }
    }

    pub fn operand(self) -> MemoryOperand {
        let size = u32::from(self.displacement != 0);
        MemoryOperand::new(self.base, self.index, self.scale, self.displacement, size, false, Register::None)
    }
}

/// Where the last operand of an instruction is: a vector register, or a vector in memory.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Operand {
    Register(usize),
    Memory(Address),
}

impl Simd {
    fn vector(self, number: usize) -> Register {
        let first = if self == Simd::Avx512 { Register::ZMM0 } else { Register::YMM0 };
        first + number as u32
    }
}

/// The mask register of the last columns or positions, and one for comparisons.
const TAIL: Register = Register::K1;
const SCRATCH: Register = Register::K2;

pub struct Writer {
    pub asm: CodeAssembler,
    pub simd: Simd,
    pub width: Width,
}

impl Writer {
    pub fn new(simd: Simd, width: Width) -> Result<Writer, IcedError> {
        Ok(Writer { asm: CodeAssembler::new(64)?, simd, width })
    }

    /// Numbers of a vector.
    pub fn lanes(&self) -> usize {
        self.simd.lanes(self.width)
    }

    /// The instruction for the wider and for the narrower vectors, of singles or of doubles.
    fn pick(&self, singles: [Code; 2], doubles: [Code; 2]) -> Code {
        let [wide, narrow] = if self.width == Width::Double { doubles } else { singles };
        self.simd.pick(wide, narrow)
    }

    /// Returns to the caller and gives the code.
    pub fn finish(mut self) -> Result<Vec<u8>, IcedError> {
        self.asm.vzeroupper()?;
        self.asm.ret()?;
        assemble(&mut self.asm)
    }

    pub fn push(&mut self, instruction: Instruction) -> Result<(), IcedError> {
        self.asm.add_instruction(instruction)
    }

    fn two(&mut self, code: Code, dst: usize, a: Operand) -> Result<(), IcedError> {
        let dst = self.simd.vector(dst);
        let instruction = match a {
            Operand::Register(a) => Instruction::with2(code, dst, self.simd.vector(a))?,
            Operand::Memory(a) => Instruction::with2(code, dst, a.operand())?,
        };
        self.push(instruction)
    }

    fn three(&mut self, code: Code, dst: usize, a: usize, b: Operand) -> Result<(), IcedError> {
        let (dst, a) = (self.simd.vector(dst), self.simd.vector(a));
        let instruction = match b {
            Operand::Register(b) => Instruction::with3(code, dst, a, self.simd.vector(b))?,
            Operand::Memory(b) => Instruction::with3(code, dst, a, b.operand())?,
        };
        self.push(instruction)
    }

    pub fn clear(&mut self, dst: usize) -> Result<(), IcedError> {
        self.binary(Binary::Xor, dst, dst, Operand::Register(dst))
    }

    pub fn load(&mut self, dst: usize, address: Address) -> Result<(), IcedError> {
        let code = self.simd.pick(Code::EVEX_Vmovups_zmm_k1z_zmmm512, Code::VEX_Vmovups_ymm_ymmm256);
        self.two(code, dst, Operand::Memory(address))
    }

    /// Loads the lanes of the tail mask, zeros elsewhere. `mask` is the register that holds the mask of narrow vectors.
    pub fn load_masked(&mut self, dst: usize, address: Address, mask: usize) -> Result<(), IcedError> {
        let dst = self.simd.vector(dst);
        let code = self.pick(
            [Code::EVEX_Vmovups_zmm_k1z_zmmm512, Code::VEX_Vmaskmovps_ymm_ymm_m256],
            [Code::EVEX_Vmovupd_zmm_k1z_zmmm512, Code::VEX_Vmaskmovpd_ymm_ymm_m256],
        );
        let instruction = if self.simd == Simd::Avx512 {
            let mut load = Instruction::with2(code, dst, address.operand())?;
            load.set_op_mask(TAIL);
            load.set_zeroing_masking(true);
            load
        } else {
            Instruction::with3(code, dst, self.simd.vector(mask), address.operand())?
        };
        self.push(instruction)
    }

    pub fn store(&mut self, address: Address, a: usize) -> Result<(), IcedError> {
        let code = self.simd.pick(Code::EVEX_Vmovups_zmmm512_k1z_zmm, Code::VEX_Vmovups_ymmm256_ymm);
        let instruction = Instruction::with2(code, address.operand(), self.simd.vector(a))?;
        self.push(instruction)
    }

    pub fn store_masked(&mut self, address: Address, a: usize, mask: usize) -> Result<(), IcedError> {
        let a = self.simd.vector(a);
        let code = self.pick(
            [Code::EVEX_Vmovups_zmmm512_k1z_zmm, Code::VEX_Vmaskmovps_m256_ymm_ymm],
            [Code::EVEX_Vmovupd_zmmm512_k1z_zmm, Code::VEX_Vmaskmovpd_m256_ymm_ymm],
        );
        let instruction = if self.simd == Simd::Avx512 {
            let mut store = Instruction::with2(code, address.operand(), a)?;
            store.set_op_mask(TAIL);
            store
        } else {
            Instruction::with3(code, address.operand(), self.simd.vector(mask), a)?
        };
        self.push(instruction)
    }

    /// Stores the first lane.
    pub fn store_first(&mut self, address: Address, a: usize) -> Result<(), IcedError> {
        let first = Register::XMM0 + a as u32;
        let code = match (self.width, a < 16) {
            (Width::Single, true) => Code::VEX_Vmovss_m32_xmm,
            (Width::Single, false) => Code::EVEX_Vmovss_m32_k1_xmm,
            (Width::Double, true) => Code::VEX_Vmovsd_m64_xmm,
            (Width::Double, false) => Code::EVEX_Vmovsd_m64_k1_xmm,
        };
        let instruction = Instruction::with2(code, address.operand(), first)?;
        self.push(instruction)
    }

    /// The integer in the first lane in a general register, with its sign.
    pub fn first(&mut self, to: Register, a: usize) -> Result<(), IcedError> {
        use Code::*;
        let first = Register::XMM0 + a as u32;
        if self.width == Width::Double {
            let code = if a < 16 { VEX_Vmovq_rm64_xmm } else { EVEX_Vmovq_rm64_xmm };
            return self.push(Instruction::with2(code, to, first)?);
        }
        let low = Register::EAX + (to as u32 - Register::RAX as u32);
        let code = if a < 16 { VEX_Vmovd_rm32_xmm } else { EVEX_Vmovd_rm32_xmm };
        self.push(Instruction::with2(code, low, first)?)?;
        self.push(Instruction::with2(Movsxd_r64_rm32, to, low)?)
    }

    /// Asks for a cache line to be brought near.
    pub fn prefetch(&mut self, address: Address) -> Result<(), IcedError> {
        let instruction = Instruction::with1(Code::Prefetcht1_m8, address.operand())?;
        self.push(instruction)
    }

    /// One element of memory in every lane.
    pub fn broadcast(&mut self, dst: usize, address: Address) -> Result<(), IcedError> {
        if self.width == Width::Single {
            return self.broadcast_word(dst, address);
        }
        let code = self.simd.pick(Code::EVEX_Vbroadcastsd_zmm_k1z_xmmm64, Code::VEX_Vbroadcastsd_ymm_m64);
        self.two(code, dst, Operand::Memory(address))
    }

    /// One 32-bit word of memory in every word.
    pub fn broadcast_word(&mut self, dst: usize, address: Address) -> Result<(), IcedError> {
        let code = self.simd.pick(Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32, Code::VEX_Vbroadcastss_ymm_m32);
        self.two(code, dst, Operand::Memory(address))
    }

    /// The low bits of a general register, named in full, in every lane.
    pub fn splat(&mut self, dst: usize, number: Register) -> Result<(), IcedError> {
        use Code::*;
        let vector = self.simd.vector(dst);
        let (wide, moved, spread, number) = match self.width {
            Width::Single => (
                EVEX_Vpbroadcastd_zmm_k1z_r32,
                VEX_Vmovd_xmm_rm32,
                VEX_Vpbroadcastd_ymm_xmmm32,
                Register::EAX + (number as u32 - Register::RAX as u32),
            ),
            Width::Double => (EVEX_Vpbroadcastq_zmm_k1z_r64, VEX_Vmovq_xmm_rm64, VEX_Vpbroadcastq_ymm_xmmm64, number),
        };
        if self.simd == Simd::Avx512 {
            return self.push(Instruction::with2(wide, vector, number)?);
        }
        let first = Register::XMM0 + dst as u32;
        self.push(Instruction::with2(moved, first, number)?)?;
        self.push(Instruction::with2(spread, vector, first)?)
    }

    pub fn binary(&mut self, op: Binary, dst: usize, a: usize, b: Operand) -> Result<(), IcedError> {
        if !op.compares() {
            return self.three(op.code(self.simd, self.width), dst, a, b);
        }
        if self.simd == Simd::Avx2 {
            return self.compare_to(op, self.simd.vector(dst), a, b);
        }
        self.compare(op, a, b)?;
        let code = match self.width {
            Width::Single => Code::EVEX_Vpmovm2d_zmm_kr,
            Width::Double => Code::EVEX_Vpmovm2q_zmm_kr,
        };
        let spread = Instruction::with2(code, self.simd.vector(dst), SCRATCH)?;
        self.push(spread)
    }

    fn compare_to(&mut self, op: Binary, target: Register, a: usize, b: Operand) -> Result<(), IcedError> {
        let (code, a) = (op.code(self.simd, self.width), self.simd.vector(a));
        let instruction = match (op.predicate(), b) {
            (None, Operand::Register(b)) => Instruction::with3(code, target, a, self.simd.vector(b))?,
            (None, Operand::Memory(b)) => Instruction::with3(code, target, a, b.operand())?,
            (Some(p), Operand::Register(b)) => Instruction::with4(code, target, a, self.simd.vector(b), p)?,
            (Some(p), Operand::Memory(b)) => Instruction::with4(code, target, a, b.operand(), p)?,
        };
        self.push(instruction)
    }

    /// Compares for [`Writer::choose`]; for the wider vectors only.
    pub fn compare(&mut self, op: Binary, a: usize, b: Operand) -> Result<(), IcedError> {
        self.compare_to(op, SCRATCH, a, b)
    }

    /// `a` where the last comparison holds, else `b`; for the wider vectors only.
    pub fn choose(&mut self, dst: usize, a: Operand, b: usize) -> Result<(), IcedError> {
        let (dst, b) = (self.simd.vector(dst), self.simd.vector(b));
        let code = match self.width {
            Width::Single => Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32,
            Width::Double => Code::EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64,
        };
        let mut blend = match a {
            Operand::Register(a) => Instruction::with3(code, dst, b, self.simd.vector(a))?,
            Operand::Memory(a) => Instruction::with3(code, dst, b, a.operand())?,
        };
        blend.set_op_mask(SCRATCH);
        self.push(blend)
    }

    pub fn add(&mut self, dst: usize, a: usize, b: usize) -> Result<(), IcedError> {
        self.binary(Binary::Add, dst, a, Operand::Register(b))
    }

    pub fn unary(&mut self, op: Unary, dst: usize, a: Operand) -> Result<(), IcedError> {
        let code = op.code(self.simd, self.width);
        if op != Unary::Floor {
            return self.two(code, dst, a);
        }
        // Downwards, without a flag for what was inexact.
        let dst = self.simd.vector(dst);
        let instruction = match a {
            Operand::Register(a) => Instruction::with3(code, dst, self.simd.vector(a), 9)?,
            Operand::Memory(a) => Instruction::with3(code, dst, a.operand(), 9)?,
        };
        self.push(instruction)
    }

    /// `dst = dst + a · b`.
    pub fn fma(&mut self, dst: usize, a: usize, b: usize) -> Result<(), IcedError> {
        let code = self.pick(
            [Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er, Code::VEX_Vfmadd231ps_ymm_ymm_ymmm256],
            [Code::EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er, Code::VEX_Vfmadd231pd_ymm_ymm_ymmm256],
        );
        self.three(code, dst, a, Operand::Register(b))
    }

    /// `dst = dst · a + b`.
    pub fn multiply_add(&mut self, dst: usize, a: usize, b: Operand) -> Result<(), IcedError> {
        let code = self.pick(
            [Code::EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er, Code::VEX_Vfmadd213ps_ymm_ymm_ymmm256],
            [Code::EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er, Code::VEX_Vfmadd213pd_ymm_ymm_ymmm256],
        );
        self.three(code, dst, a, b)
    }

    /// `dst = dst + a · element`, the element of memory in every lane; for the wider vectors only.
    pub fn fma_broadcast(&mut self, dst: usize, a: usize, element: Address) -> Result<(), IcedError> {
        let (dst, a) = (self.simd.vector(dst), self.simd.vector(a));
        let code = match self.width {
            Width::Single => Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
            Width::Double => Code::EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er,
        };
        let mut fma = Instruction::with3(code, dst, a, element.operand())?;
        fma.set_is_broadcast(true);
        self.push(fma)
    }

    /// Bit by bit the function `table` of the bits of `dst`, `a` and `b`; for the wider vectors only.
    pub fn ternary(&mut self, dst: usize, a: usize, b: Operand, table: u32) -> Result<(), IcedError> {
        let (dst, a) = (self.simd.vector(dst), self.simd.vector(a));
        let code = Code::EVEX_Vpternlogd_zmm_k1z_zmm_zmmm512b32_imm8;
        let instruction = match b {
            Operand::Register(b) => Instruction::with4(code, dst, a, self.simd.vector(b), table)?,
            Operand::Memory(b) => Instruction::with4(code, dst, a, b.operand(), table)?,
        };
        self.push(instruction)
    }

    /// `a` where the mask is set, else `b`; for the narrower vectors only.
    pub fn select(&mut self, dst: usize, mask: usize, a: usize, b: usize) -> Result<(), IcedError> {
        let [dst, mask, a, b] = [dst, mask, a, b].map(|r| self.simd.vector(r));
        let instruction = Instruction::with4(Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm, dst, b, a, mask)?;
        self.push(instruction)
    }

    /// Loads the lanes that a vector, and the tail mask if given, want, zeros elsewhere; `free` is a register that may change.
    pub fn load_where(
        &mut self,
        dst: usize,
        from: Address,
        wanted: usize,
        mask: Option<usize>,
        free: usize,
    ) -> Result<(), IcedError> {
        if self.simd == Simd::Avx2 {
            self.narrow_mask(free, Some(wanted), mask)?;
            return self.load_masked(dst, from, free);
        }
        self.lanes_wanted(Some(wanted), mask.is_some())?;
        let code = match self.width {
            Width::Single => Code::EVEX_Vmovups_zmm_k1z_zmmm512,
            Width::Double => Code::EVEX_Vmovupd_zmm_k1z_zmmm512,
        };
        let mut load = Instruction::with2(code, self.simd.vector(dst), from.operand())?;
        load.set_op_mask(SCRATCH);
        load.set_zeroing_masking(true);
        self.push(load)
    }

    /// The lanes that a vector and the tail mask want, as far as they are given.
    fn narrow_mask(&mut self, dst: usize, wanted: Option<usize>, mask: Option<usize>) -> Result<(), IcedError> {
        match (wanted, mask) {
            (Some(wanted), Some(mask)) => self.binary(Binary::And, dst, wanted, Operand::Register(mask)),
            (Some(one), None) | (None, Some(one)) => self.unary(Unary::Move, dst, Operand::Register(one)),
            (None, None) => self.binary(Binary::IntEqual, dst, dst, Operand::Register(dst)),
        }
    }

    /// The elements at `from` and an index, all or those that a vector and the tail mask want, zeros elsewhere; `free` is a
    /// register that may change.
    pub fn gather(
        &mut self,
        dst: usize,
        from: Address,
        index: usize,
        wanted: Option<usize>,
        mask: Option<usize>,
        free: usize,
    ) -> Result<(), IcedError> {
        let from = self.spread_out(from, index);
        let code = self.pick(
            [Code::EVEX_Vgatherdps_zmm_k1_vm32z, Code::VEX_Vgatherdps_ymm_vm32y_ymm],
            [Code::EVEX_Vgatherqpd_zmm_k1_vm64z, Code::VEX_Vgatherqpd_ymm_vm64y_ymm],
        );
        if self.simd == Simd::Avx512 {
            self.lanes_wanted(wanted, mask.is_some())?;
            let vector = self.simd.vector(dst);
            self.clear(dst)?;
            let mut gather = Instruction::with2(code, vector, from)?;
            gather.set_op_mask(SCRATCH);
            return self.push(gather);
        }
        self.narrow_mask(free, wanted, mask)?;
        self.clear(dst)?;
        let gather = Instruction::with3(code, self.simd.vector(dst), from, self.simd.vector(free))?;
        self.push(gather)
    }

    /// `base + displacement` and a vector of elements from there.
    fn spread_out(&self, from: Address, index: usize) -> MemoryOperand {
        let size = u32::from(from.displacement != 0);
        let scale = self.width.bytes() as u32;
        MemoryOperand::new(from.base, self.simd.vector(index), scale, from.displacement, size, false, Register::None)
    }

    /// Sets a mask that a gather or a scatter may clear: all lanes, or those that a vector and the tail mask want.
    fn lanes_wanted(&mut self, wanted: Option<usize>, masked: bool) -> Result<(), IcedError> {
        if let Some(wanted) = wanted {
            let code = match self.width {
                Width::Single => Code::EVEX_Vpmovd2m_kr_zmm,
                Width::Double => Code::EVEX_Vpmovq2m_kr_zmm,
            };
            self.push(Instruction::with2(code, SCRATCH, self.simd.vector(wanted))?)?;
            if masked {
                self.push(Instruction::with3(Code::VEX_Kandw_kr_kr_kr, SCRATCH, SCRATCH, TAIL)?)?;
            }
            return Ok(());
        }
        let wanted = match masked {
            true => Instruction::with2(Code::VEX_Kmovw_kr_km16, SCRATCH, TAIL)?,
            false => Instruction::with3(Code::VEX_Kxnorw_kr_kr_kr, SCRATCH, SCRATCH, SCRATCH)?,
        };
        self.push(wanted)
    }

    /// Stores to `to` and an index, all lanes or those of the tail mask; for the wider vectors only.
    pub fn scatter(&mut self, to: Address, a: usize, index: usize, masked: bool) -> Result<(), IcedError> {
        self.lanes_wanted(None, masked)?;
        let to = self.spread_out(to, index);
        let code = match self.width {
            Width::Single => Code::EVEX_Vscatterdps_vm32z_k1_zmm,
            Width::Double => Code::EVEX_Vscatterqpd_vm64z_k1_zmm,
        };
        let mut scatter = Instruction::with2(code, to, self.simd.vector(a))?;
        scatter.set_op_mask(SCRATCH);
        self.push(scatter)
    }

    /// Loads four 32-bit elements, zeros behind them.
    pub fn load_piece(&mut self, dst: usize, address: Address) -> Result<(), IcedError> {
        let code = self.simd.pick(Code::EVEX_Vmovups_xmm_k1z_xmmm128, Code::VEX_Vmovups_xmm_xmmm128);
        let instruction = Instruction::with2(code, Register::XMM0 + dst as u32, address.operand())?;
        self.push(instruction)
    }

    /// `a`, but for one piece of four 32-bit elements.
    pub fn insert_piece(&mut self, dst: usize, a: usize, address: Address, piece: usize) -> Result<(), IcedError> {
        let code = self
            .simd
            .pick(Code::EVEX_Vinsertf32x4_zmm_k1z_zmm_xmmm128_imm8, Code::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8);
        let (dst, a) = (self.simd.vector(dst), self.simd.vector(a));
        let instruction = Instruction::with4(code, dst, a, address.operand(), piece as u32)?;
        self.push(instruction)
    }

    /// Stores one piece of four 32-bit elements.
    pub fn store_piece(&mut self, address: Address, a: usize, piece: usize) -> Result<(), IcedError> {
        if piece == 0 {
            let code = self.simd.pick(Code::EVEX_Vmovups_xmmm128_k1z_xmm, Code::VEX_Vmovups_xmmm128_xmm);
            let instruction = Instruction::with2(code, address.operand(), Register::XMM0 + a as u32)?;
            return self.push(instruction);
        }
        let code =
            self.simd.pick(Code::EVEX_Vextractf32x4_xmmm128_k1z_zmm_imm8, Code::VEX_Vextractf128_xmmm128_ymm_imm8);
        let instruction = Instruction::with3(code, address.operand(), self.simd.vector(a), piece as u32)?;
        self.push(instruction)
    }

    /// Stores one of the lanes in the first 128 bits; for the narrower vectors only.
    pub fn store_lane(&mut self, address: Address, a: usize, lane: usize) -> Result<(), IcedError> {
        if lane == 0 {
            return self.store_first(address, a);
        }
        let first = Register::XMM0 + a as u32;
        if self.width == Width::Double {
            return self.push(Instruction::with2(Code::VEX_Vmovhpd_m64_xmm, address.operand(), first)?);
        }
        let code = Code::VEX_Vextractps_rm32_xmm_imm8;
        let instruction = Instruction::with3(code, address.operand(), first, lane as u32)?;
        self.push(instruction)
    }

    /// `a` in the lanes of the tail mask; elsewhere `dst` stays.
    pub fn merge(&mut self, dst: usize, a: usize, mask: usize) -> Result<(), IcedError> {
        if self.simd == Simd::Avx512 {
            let (dst, a) = (self.simd.vector(dst), self.simd.vector(a));
            let code = match self.width {
                Width::Single => Code::EVEX_Vmovups_zmm_k1z_zmmm512,
                Width::Double => Code::EVEX_Vmovupd_zmm_k1z_zmmm512,
            };
            let mut merged = Instruction::with2(code, dst, a)?;
            merged.set_op_mask(TAIL);
            return self.push(merged);
        }
        self.select(dst, mask, a, dst)
    }

    /// Shifts integers, or 32-bit words whatever the numbers; zeros come in.
    pub fn shift(&mut self, left: bool, dst: usize, a: usize, by: u32, words: bool) -> Result<(), IcedError> {
        use Code::*;
        let code = match (left, words || self.width == Width::Single) {
            (true, true) => self.simd.pick(EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8, VEX_Vpslld_ymm_ymm_imm8),
            (false, true) => self.simd.pick(EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8, VEX_Vpsrld_ymm_ymm_imm8),
            (true, false) => self.simd.pick(EVEX_Vpsllq_zmm_k1z_zmmm512b64_imm8, VEX_Vpsllq_ymm_ymm_imm8),
            (false, false) => self.simd.pick(EVEX_Vpsrlq_zmm_k1z_zmmm512b64_imm8, VEX_Vpsrlq_ymm_ymm_imm8),
        };
        let instruction = Instruction::with3(code, self.simd.vector(dst), self.simd.vector(a), by)?;
        self.push(instruction)
    }

    /// Rotates 32-bit words, for the wider vectors only.
    pub fn rotate(&mut self, dst: usize, a: usize, by: u32) -> Result<(), IcedError> {
        let (dst, a) = (self.simd.vector(dst), self.simd.vector(a));
        let instruction = Instruction::with3(Code::EVEX_Vprold_zmm_k1z_zmmm512b32_imm8, dst, a, by)?;
        self.push(instruction)
    }

    /// The second half of a vector of `lanes` numbers, in the first lanes of `dst`.
    pub fn upper(&mut self, dst: usize, a: usize, lanes: usize) -> Result<(), IcedError> {
        use Code::*;
        let (x, y, z) = (Register::XMM0, Register::YMM0, Register::ZMM0);
        let (d, s) = (dst as u32, a as u32);
        let wide = self.simd == Simd::Avx512;
        let instruction = match (lanes * self.width.bytes() / 4, wide) {
            (16, _) => Instruction::with3(EVEX_Vextractf64x4_ymmm256_k1z_zmm_imm8, y + d, z + s, 1)?,
            (8, true) => Instruction::with3(EVEX_Vextractf32x4_xmmm128_k1z_ymm_imm8, x + d, y + s, 1)?,
            (8, false) => Instruction::with3(VEX_Vextractf128_xmmm128_ymm_imm8, x + d, y + s, 1)?,
            (4, true) => Instruction::with3(EVEX_Vpermilps_zmm_k1z_zmmm512b32_imm8, z + d, z + s, 0b1110)?,
            (4, false) => Instruction::with3(VEX_Vpermilps_ymm_ymmm256_imm8, y + d, y + s, 0b1110)?,
            (_, true) => Instruction::with3(EVEX_Vpermilps_zmm_k1z_zmmm512b32_imm8, z + d, z + s, 0b01)?,
            (_, false) => Instruction::with3(VEX_Vpermilps_ymm_ymmm256_imm8, y + d, y + s, 0b01)?,
        };
        self.push(instruction)
    }

    /// Groups of four 32-bit lanes of `a` and of `b` in turn, of the lower or the upper half of each.
    pub fn groups(&mut self, dst: usize, a: usize, b: usize, upper: bool) -> Result<(), IcedError> {
        let [dst, a, b] = [dst, a, b].map(|r| self.simd.vector(r));
        if self.simd == Simd::Avx2 {
            let table = if upper { 0x31 } else { 0x20 };
            return self.push(Instruction::with4(Code::VEX_Vperm2i128_ymm_ymm_ymmm256_imm8, dst, a, b, table)?);
        }
        let code = Code::EVEX_Vshufi32x4_zmm_k1z_zmm_zmmm512b32_imm8;
        // Two groups of each, then the second and the third change places.
        let table = if upper { 0b11_10_11_10 } else { 0b01_00_01_00 };
        self.push(Instruction::with4(code, dst, a, b, table)?)?;
        self.push(Instruction::with4(code, dst, dst, dst, 0b11_01_10_00)?)
    }

    /// The first lane in every lane.
    pub fn spread(&mut self, dst: usize, a: usize) -> Result<(), IcedError> {
        let first = Register::XMM0 + a as u32;
        let code = self.pick(
            [Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32, Code::VEX_Vbroadcastss_ymm_xmm],
            [Code::EVEX_Vbroadcastsd_zmm_k1z_xmmm64, Code::VEX_Vbroadcastsd_ymm_xmm],
        );
        let instruction = Instruction::with2(code, self.simd.vector(dst), first)?;
        self.push(instruction)
    }
}
