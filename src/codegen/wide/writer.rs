//! Machine instructions by meaning, for either width of vectors.
//!
//! Input: physical registers by number, addresses. Output: position-independent code. Invariant: an operation gives the same
//! bits in every lane under both widths.

use super::Simd;
use super::assemble::assemble;
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

/// Operations of two vectors; comparisons give -1 or 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    /// `a` if `a < b`, else `b`.
    Min,
    /// `a` if `a > b`, else `b`.
    Max,
    Less,
    LessEqual,
    Equal,
    Unordered,
    And,
    Or,
    Xor,
    IntAdd,
    IntSub,
    IntMul,
    IntMin,
    IntMax,
    IntEqual,
    IntGreater,
    /// In every piece of four lanes, the first two of both vectors, in turn.
    UnpackLow,
    /// Likewise the last two.
    UnpackHigh,
    /// In every piece of four lanes, the first two of both vectors, one after the other.
    UnpackLowPairs,
    /// Likewise the last two.
    UnpackHighPairs,
}

/// Operations of one vector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unary {
    Move,
    Sqrt,
    Floor,
    FromInt,
    /// Towards zero; the least integer where it does not fit.
    Truncate,
    IntAbs,
}

impl Binary {
    /// Whether the operands may change places.
    pub fn commutes(self) -> bool {
        use Binary::*;
        matches!(self, Add | Mul | Equal | Unordered | And | Or | Xor | IntAdd | IntMul | IntMin | IntMax | IntEqual)
    }

    /// Whether it is a comparison.
    pub fn compares(self) -> bool {
        self.predicate().is_some() || matches!(self, Binary::IntEqual | Binary::IntGreater)
    }

    /// The predicate of a comparison of floats.
    fn predicate(self) -> Option<u32> {
        match self {
            Binary::Less => Some(1),
            Binary::LessEqual => Some(2),
            Binary::Equal => Some(0),
            Binary::Unordered => Some(3),
            _ => None,
        }
    }

    fn code(self, simd: Simd) -> Code {
        use Code::*;
        let (wide, narrow) = match self {
            Binary::Add => (EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er, VEX_Vaddps_ymm_ymm_ymmm256),
            Binary::Sub => (EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er, VEX_Vsubps_ymm_ymm_ymmm256),
            Binary::Mul => (EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er, VEX_Vmulps_ymm_ymm_ymmm256),
            Binary::Div => (EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er, VEX_Vdivps_ymm_ymm_ymmm256),
            Binary::Min => (EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae, VEX_Vminps_ymm_ymm_ymmm256),
            Binary::Max => (EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae, VEX_Vmaxps_ymm_ymm_ymmm256),
            Binary::And => (EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32, VEX_Vpand_ymm_ymm_ymmm256),
            Binary::Or => (EVEX_Vpord_zmm_k1z_zmm_zmmm512b32, VEX_Vpor_ymm_ymm_ymmm256),
            Binary::Xor => (EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32, VEX_Vpxor_ymm_ymm_ymmm256),
            Binary::IntAdd => (EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32, VEX_Vpaddd_ymm_ymm_ymmm256),
            Binary::IntSub => (EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32, VEX_Vpsubd_ymm_ymm_ymmm256),
            Binary::IntMul => (EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32, VEX_Vpmulld_ymm_ymm_ymmm256),
            Binary::IntMin => (EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32, VEX_Vpminsd_ymm_ymm_ymmm256),
            Binary::IntMax => (EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32, VEX_Vpmaxsd_ymm_ymm_ymmm256),
            Binary::UnpackLow => (EVEX_Vunpcklps_zmm_k1z_zmm_zmmm512b32, VEX_Vunpcklps_ymm_ymm_ymmm256),
            Binary::UnpackHigh => (EVEX_Vunpckhps_zmm_k1z_zmm_zmmm512b32, VEX_Vunpckhps_ymm_ymm_ymmm256),
            Binary::UnpackLowPairs => (EVEX_Vunpcklpd_zmm_k1z_zmm_zmmm512b64, VEX_Vunpcklpd_ymm_ymm_ymmm256),
            Binary::UnpackHighPairs => (EVEX_Vunpckhpd_zmm_k1z_zmm_zmmm512b64, VEX_Vunpckhpd_ymm_ymm_ymmm256),
            Binary::IntEqual => (EVEX_Vpcmpeqd_kr_k1_zmm_zmmm512b32, VEX_Vpcmpeqd_ymm_ymm_ymmm256),
            Binary::IntGreater => (EVEX_Vpcmpgtd_kr_k1_zmm_zmmm512b32, VEX_Vpcmpgtd_ymm_ymm_ymmm256),
            Binary::Less | Binary::LessEqual | Binary::Equal | Binary::Unordered => {
                (EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae, VEX_Vcmpps_ymm_ymm_ymmm256_imm8)
            }
        };
        if simd == Simd::Avx512 { wide } else { narrow }
    }
}

impl Simd {
    fn pick(self, wide: Code, narrow: Code) -> Code {
        if self == Simd::Avx512 { wide } else { narrow }
    }

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
}

impl Writer {
    pub fn new(simd: Simd) -> Result<Writer, IcedError> {
        Ok(Writer { asm: CodeAssembler::new(64)?, simd })
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
        let instruction = if self.simd == Simd::Avx512 {
            let mut load = Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, dst, address.operand())?;
            load.set_op_mask(TAIL);
            load.set_zeroing_masking(true);
            load
        } else {
            Instruction::with3(Code::VEX_Vmaskmovps_ymm_ymm_m256, dst, self.simd.vector(mask), address.operand())?
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
        let instruction = if self.simd == Simd::Avx512 {
            let mut store = Instruction::with2(Code::EVEX_Vmovups_zmmm512_k1z_zmm, address.operand(), a)?;
            store.set_op_mask(TAIL);
            store
        } else {
            Instruction::with3(Code::VEX_Vmaskmovps_m256_ymm_ymm, address.operand(), self.simd.vector(mask), a)?
        };
        self.push(instruction)
    }

    /// Stores the first lane.
    pub fn store_first(&mut self, address: Address, a: usize) -> Result<(), IcedError> {
        let first = Register::XMM0 + a as u32;
        let code = if a < 16 { Code::VEX_Vmovss_m32_xmm } else { Code::EVEX_Vmovss_m32_k1_xmm };
        let instruction = Instruction::with2(code, address.operand(), first)?;
        self.push(instruction)
    }

    /// Asks for a cache line to be brought near.
    pub fn prefetch(&mut self, address: Address) -> Result<(), IcedError> {
        let instruction = Instruction::with1(Code::Prefetcht1_m8, address.operand())?;
        self.push(instruction)
    }

    /// One element of memory in every lane.
    pub fn broadcast(&mut self, dst: usize, address: Address) -> Result<(), IcedError> {
        let code = self.simd.pick(Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32, Code::VEX_Vbroadcastss_ymm_m32);
        self.two(code, dst, Operand::Memory(address))
    }

    /// A 32-bit general register in every lane.
    pub fn splat(&mut self, dst: usize, number: Register) -> Result<(), IcedError> {
        let vector = self.simd.vector(dst);
        if self.simd == Simd::Avx512 {
            let instruction = Instruction::with2(Code::EVEX_Vpbroadcastd_zmm_k1z_r32, vector, number)?;
            return self.push(instruction);
        }
        let first = Register::XMM0 + dst as u32;
        let moved = Instruction::with2(Code::VEX_Vmovd_xmm_rm32, first, number)?;
        self.push(moved)?;
        let spread = Instruction::with2(Code::VEX_Vpbroadcastd_ymm_xmmm32, vector, first)?;
        self.push(spread)
    }

    pub fn binary(&mut self, op: Binary, dst: usize, a: usize, b: Operand) -> Result<(), IcedError> {
        if !op.compares() {
            return self.three(op.code(self.simd), dst, a, b);
        }
        if self.simd == Simd::Avx2 {
            return self.compare_to(op, self.simd.vector(dst), a, b);
        }
        self.compare(op, a, b)?;
        let spread = Instruction::with2(Code::EVEX_Vpmovm2d_zmm_kr, self.simd.vector(dst), SCRATCH)?;
        self.push(spread)
    }

    fn compare_to(&mut self, op: Binary, target: Register, a: usize, b: Operand) -> Result<(), IcedError> {
        let (code, a) = (op.code(self.simd), self.simd.vector(a));
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
        let code = Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32;
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
        use Code::*;
        let code = match op {
            Unary::Move => self.simd.pick(EVEX_Vmovups_zmm_k1z_zmmm512, VEX_Vmovups_ymm_ymmm256),
            Unary::Sqrt => self.simd.pick(EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er, VEX_Vsqrtps_ymm_ymmm256),
            Unary::FromInt => self.simd.pick(EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er, VEX_Vcvtdq2ps_ymm_ymmm256),
            Unary::Truncate => self.simd.pick(EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae, VEX_Vcvttps2dq_ymm_ymmm256),
            Unary::IntAbs => self.simd.pick(EVEX_Vpabsd_zmm_k1z_zmmm512b32, VEX_Vpabsd_ymm_ymmm256),
            Unary::Floor => {
                // Downwards, without a flag for what was inexact.
                let code = self.simd.pick(EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae, VEX_Vroundps_ymm_ymmm256_imm8);
                let dst = self.simd.vector(dst);
                let instruction = match a {
                    Operand::Register(a) => Instruction::with3(code, dst, self.simd.vector(a), 9)?,
                    Operand::Memory(a) => Instruction::with3(code, dst, a.operand(), 9)?,
                };
                return self.push(instruction);
            }
        };
        self.two(code, dst, a)
    }

    /// `dst = dst + a · b`.
    pub fn fma(&mut self, dst: usize, a: usize, b: usize) -> Result<(), IcedError> {
        let code =
            self.simd.pick(Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er, Code::VEX_Vfmadd231ps_ymm_ymm_ymmm256);
        self.three(code, dst, a, Operand::Register(b))
    }

    /// `dst = dst · a + b`.
    pub fn multiply_add(&mut self, dst: usize, a: usize, b: Operand) -> Result<(), IcedError> {
        let code =
            self.simd.pick(Code::EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er, Code::VEX_Vfmadd213ps_ymm_ymm_ymmm256);
        self.three(code, dst, a, b)
    }

    /// `dst = dst + a · element`, the element of memory in every lane; for the wider vectors only.
    pub fn fma_broadcast(&mut self, dst: usize, a: usize, element: Address) -> Result<(), IcedError> {
        let (dst, a) = (self.simd.vector(dst), self.simd.vector(a));
        let mut fma = Instruction::with3(Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er, dst, a, element.operand())?;
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

    /// The elements at `from + 4 · index`, all or those of the tail mask; `free` is a register that may change.
    pub fn gather(
        &mut self,
        dst: usize,
        from: Address,
        index: usize,
        mask: Option<usize>,
        free: usize,
    ) -> Result<(), IcedError> {
        let from = self.spread_out(from, index);
        if self.simd == Simd::Avx512 {
            self.lanes_wanted(mask.is_some())?;
            let vector = self.simd.vector(dst);
            self.clear(dst)?;
            let mut gather = Instruction::with2(Code::EVEX_Vgatherdps_zmm_k1_vm32z, vector, from)?;
            gather.set_op_mask(SCRATCH);
            return self.push(gather);
        }
        match mask {
            Some(mask) => self.unary(Unary::Move, free, Operand::Register(mask))?,
            None => self.binary(Binary::IntEqual, free, free, Operand::Register(free))?,
        }
        self.clear(dst)?;
        let code = Code::VEX_Vgatherdps_ymm_vm32y_ymm;
        let gather = Instruction::with3(code, self.simd.vector(dst), from, self.simd.vector(free))?;
        self.push(gather)
    }

    /// `base + displacement` and a vector of elements from there.
    fn spread_out(&self, from: Address, index: usize) -> MemoryOperand {
        let size = u32::from(from.displacement != 0);
        MemoryOperand::new(from.base, self.simd.vector(index), 4, from.displacement, size, false, Register::None)
    }

    /// Sets a mask that a gather or a scatter may clear: all lanes, or those of the tail.
    fn lanes_wanted(&mut self, masked: bool) -> Result<(), IcedError> {
        let wanted = match masked {
            true => Instruction::with2(Code::VEX_Kmovw_kr_km16, SCRATCH, TAIL)?,
            false => Instruction::with3(Code::VEX_Kxnorw_kr_kr_kr, SCRATCH, SCRATCH, SCRATCH)?,
        };
        self.push(wanted)
    }

    /// Stores to `to + 4 · index`, all lanes or those of the tail mask; for the wider vectors only.
    pub fn scatter(&mut self, to: Address, a: usize, index: usize, masked: bool) -> Result<(), IcedError> {
        self.lanes_wanted(masked)?;
        let to = self.spread_out(to, index);
        let mut scatter = Instruction::with2(Code::EVEX_Vscatterdps_vm32z_k1_zmm, to, self.simd.vector(a))?;
        scatter.set_op_mask(SCRATCH);
        self.push(scatter)
    }

    /// Loads four elements, zeros behind them.
    pub fn load_piece(&mut self, dst: usize, address: Address) -> Result<(), IcedError> {
        let code = self.simd.pick(Code::EVEX_Vmovups_xmm_k1z_xmmm128, Code::VEX_Vmovups_xmm_xmmm128);
        let instruction = Instruction::with2(code, Register::XMM0 + dst as u32, address.operand())?;
        self.push(instruction)
    }

    /// `a`, but for one piece of four elements.
    pub fn insert_piece(&mut self, dst: usize, a: usize, address: Address, piece: usize) -> Result<(), IcedError> {
        let code = self
            .simd
            .pick(Code::EVEX_Vinsertf32x4_zmm_k1z_zmm_xmmm128_imm8, Code::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8);
        let (dst, a) = (self.simd.vector(dst), self.simd.vector(a));
        let instruction = Instruction::with4(code, dst, a, address.operand(), piece as u32)?;
        self.push(instruction)
    }

    /// Stores one piece of four elements.
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

    /// Stores one of the first four lanes; for the narrower vectors only.
    pub fn store_lane(&mut self, address: Address, a: usize, lane: usize) -> Result<(), IcedError> {
        if lane == 0 {
            return self.store_first(address, a);
        }
        let first = Register::XMM0 + a as u32;
        let code = Code::VEX_Vextractps_rm32_xmm_imm8;
        let instruction = Instruction::with3(code, address.operand(), first, lane as u32)?;
        self.push(instruction)
    }

    /// `a` in the lanes of the tail mask; elsewhere `dst` stays.
    pub fn merge(&mut self, dst: usize, a: usize, mask: usize) -> Result<(), IcedError> {
        if self.simd == Simd::Avx512 {
            let (dst, a) = (self.simd.vector(dst), self.simd.vector(a));
            let mut merged = Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, dst, a)?;
            merged.set_op_mask(TAIL);
            return self.push(merged);
        }
        self.select(dst, mask, a, dst)
    }

    /// Shifts integers; zeros come in.
    pub fn shift(&mut self, left: bool, dst: usize, a: usize, by: u32) -> Result<(), IcedError> {
        use Code::*;
        let code = match left {
            true => self.simd.pick(EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8, VEX_Vpslld_ymm_ymm_imm8),
            false => self.simd.pick(EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8, VEX_Vpsrld_ymm_ymm_imm8),
        };
        let instruction = Instruction::with3(code, self.simd.vector(dst), self.simd.vector(a), by)?;
        self.push(instruction)
    }

    /// Rotates integers, for the wider vectors only.
    pub fn rotate(&mut self, dst: usize, a: usize, by: u32) -> Result<(), IcedError> {
        let (dst, a) = (self.simd.vector(dst), self.simd.vector(a));
        let instruction = Instruction::with3(Code::EVEX_Vprold_zmm_k1z_zmmm512b32_imm8, dst, a, by)?;
        self.push(instruction)
    }

    /// The second half of a vector of `lanes` floats, in the first lanes of `dst`.
    pub fn upper(&mut self, dst: usize, a: usize, lanes: usize) -> Result<(), IcedError> {
        use Code::*;
        let (x, y, z) = (Register::XMM0, Register::YMM0, Register::ZMM0);
        let (d, s) = (dst as u32, a as u32);
        let wide = self.simd == Simd::Avx512;
        let instruction = match (lanes, wide) {
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

    /// Groups of four lanes of `a` and of `b` in turn, of the lower or the upper half of each.
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
        let code = self.simd.pick(Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32, Code::VEX_Vbroadcastss_ymm_xmm);
        let instruction = Instruction::with2(code, self.simd.vector(dst), first)?;
        self.push(instruction)
    }
}
