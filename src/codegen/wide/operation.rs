//! The operations of vectors, and the instruction of each for a width of vectors and of numbers.
//!
//! Invariant: an operation gives the same bits in every lane under both widths of vectors. What the narrower vectors lack for
//! 64-bit numbers is no instruction: `narrow` makes it of others.

use super::Simd;
use crate::scalar::Width;
use iced_x86::Code;

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
    /// Adds 32-bit words, whatever the numbers.
    WordAdd,
    /// The 64-bit products of the low words of 64-bit lanes, without sign.
    WordMul,
    /// In every piece of four 32-bit lanes, the first two of both vectors, in turn.
    UnpackLow,
    /// Likewise the last two.
    UnpackHigh,
    /// In every piece of four 32-bit lanes, the first two of both vectors, one after the other.
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
        matches!(
            self,
            Add | Mul
                | Equal
                | Unordered
                | And
                | Or
                | Xor
                | IntAdd
                | IntMul
                | IntMin
                | IntMax
                | IntEqual
                | WordAdd
                | WordMul
        )
    }

    /// Whether it is a comparison.
    pub fn compares(self) -> bool {
        self.predicate().is_some() || matches!(self, Binary::IntEqual | Binary::IntGreater)
    }

    /// The predicate of a comparison of floats.
    pub fn predicate(self) -> Option<u32> {
        match self {
            Binary::Less => Some(1),
            Binary::LessEqual => Some(2),
            Binary::Equal => Some(0),
            Binary::Unordered => Some(3),
            _ => None,
        }
    }

    pub fn code(self, simd: Simd, width: Width) -> Code {
        match width {
            Width::Single => self.of_singles(simd),
            Width::Double => self.of_doubles(simd),
        }
    }

    fn of_singles(self, simd: Simd) -> Code {
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
            Binary::IntAdd | Binary::WordAdd => (EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32, VEX_Vpaddd_ymm_ymm_ymmm256),
            Binary::IntSub => (EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32, VEX_Vpsubd_ymm_ymm_ymmm256),
            Binary::IntMul => (EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32, VEX_Vpmulld_ymm_ymm_ymmm256),
            Binary::IntMin => (EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32, VEX_Vpminsd_ymm_ymm_ymmm256),
            Binary::IntMax => (EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32, VEX_Vpmaxsd_ymm_ymm_ymmm256),
            Binary::WordMul => (EVEX_Vpmuludq_zmm_k1z_zmm_zmmm512b64, VEX_Vpmuludq_ymm_ymm_ymmm256),
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
        simd.pick(wide, narrow)
    }

    fn of_doubles(self, simd: Simd) -> Code {
        use Code::*;
        let (wide, narrow) = match self {
            Binary::Add => (EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er, VEX_Vaddpd_ymm_ymm_ymmm256),
            Binary::Sub => (EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er, VEX_Vsubpd_ymm_ymm_ymmm256),
            Binary::Mul => (EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er, VEX_Vmulpd_ymm_ymm_ymmm256),
            Binary::Div => (EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er, VEX_Vdivpd_ymm_ymm_ymmm256),
            Binary::Min => (EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae, VEX_Vminpd_ymm_ymm_ymmm256),
            Binary::Max => (EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae, VEX_Vmaxpd_ymm_ymm_ymmm256),
            Binary::IntAdd => (EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64, VEX_Vpaddq_ymm_ymm_ymmm256),
            Binary::IntSub => (EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64, VEX_Vpsubq_ymm_ymm_ymmm256),
            Binary::IntMul => (EVEX_Vpmullq_zmm_k1z_zmm_zmmm512b64, INVALID),
            Binary::IntMin => (EVEX_Vpminsq_zmm_k1z_zmm_zmmm512b64, INVALID),
            Binary::IntMax => (EVEX_Vpmaxsq_zmm_k1z_zmm_zmmm512b64, INVALID),
            Binary::IntEqual => (EVEX_Vpcmpeqq_kr_k1_zmm_zmmm512b64, VEX_Vpcmpeqq_ymm_ymm_ymmm256),
            Binary::IntGreater => (EVEX_Vpcmpgtq_kr_k1_zmm_zmmm512b64, VEX_Vpcmpgtq_ymm_ymm_ymmm256),
            Binary::Less | Binary::LessEqual | Binary::Equal | Binary::Unordered => {
                (EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae, VEX_Vcmppd_ymm_ymm_ymmm256_imm8)
            }
            // Bits and words are the same in both.
            Binary::And
            | Binary::Or
            | Binary::Xor
            | Binary::WordAdd
            | Binary::WordMul
            | Binary::UnpackLow
            | Binary::UnpackHigh
            | Binary::UnpackLowPairs
            | Binary::UnpackHighPairs => return self.of_singles(simd),
        };
        simd.pick(wide, narrow)
    }
}

impl Unary {
    pub fn code(self, simd: Simd, width: Width) -> Code {
        use Code::*;
        let singles = match self {
            Unary::Move => (EVEX_Vmovups_zmm_k1z_zmmm512, VEX_Vmovups_ymm_ymmm256),
            Unary::Sqrt => (EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er, VEX_Vsqrtps_ymm_ymmm256),
            Unary::Floor => (EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae, VEX_Vroundps_ymm_ymmm256_imm8),
            Unary::FromInt => (EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er, VEX_Vcvtdq2ps_ymm_ymmm256),
            Unary::Truncate => (EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae, VEX_Vcvttps2dq_ymm_ymmm256),
            Unary::IntAbs => (EVEX_Vpabsd_zmm_k1z_zmmm512b32, VEX_Vpabsd_ymm_ymmm256),
        };
        let doubles = match self {
            Unary::Move => singles,
            Unary::Sqrt => (EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er, VEX_Vsqrtpd_ymm_ymmm256),
            Unary::Floor => (EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae, VEX_Vroundpd_ymm_ymmm256_imm8),
            Unary::FromInt => (EVEX_Vcvtqq2pd_zmm_k1z_zmmm512b64_er, INVALID),
            Unary::Truncate => (EVEX_Vcvttpd2qq_zmm_k1z_zmmm512b64_sae, INVALID),
            Unary::IntAbs => (EVEX_Vpabsq_zmm_k1z_zmmm512b64, INVALID),
        };
        let (wide, narrow) = if width == Width::Double { doubles } else { singles };
        simd.pick(wide, narrow)
    }
}

impl Simd {
    pub fn pick(self, wide: Code, narrow: Code) -> Code {
        if self == Simd::Avx512 { wide } else { narrow }
    }
}
