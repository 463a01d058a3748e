//! The bytes of the instructions that this stage emits.
//!
//! Input: an instruction without labels. Output: its bytes, or nothing where its form is not among [`Form::of`]'s. Invariant: they
//! are those of the general encoder, which first builds tables of all instructions that there are: that takes longer than
//! what a small program needs of them.

use iced_x86::{Code, Instruction, OpKind, Register, RoundingControl};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Legacy,
    Vex,
    Evex,
}

/// What is done with the operands, in order; immediates stand behind them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operands {
    None,
    /// A register in the low bits of the opcode.
    Opcode,
    /// A register or memory; the rest of the opcode is in the other field.
    Rm(u8),
    RegRm,
    RmReg,
    /// A fourth register may stand behind, in the upper half of a byte.
    RegVvvvRm,
    RegRmVvvv,
    RmVvvvReg,
    VvvvRm(u8),
}

/// How an instruction is encoded.
#[derive(Clone, Copy)]
struct Form {
    kind: Kind,
    /// 0 for none, 1 for `0f`, 2 for `0f 38`, 3 for `0f 3a`.
    map: u8,
    /// 0 for none, 1 for `66`, 2 for `f3`, 3 for `f2`.
    prefix: u8,
    wide: bool,
    /// 0 for 128 bits, 1 for 256, 2 for 512.
    length: u8,
    opcode: u8,
    operands: Operands,
    /// Bytes of an immediate.
    immediate: u8,
    /// What a short displacement counts in.
    unit: i64,
}

const fn legacy(map: u8, opcode: u8, operands: Operands, immediate: u8) -> Form {
    Form { kind: Kind::Legacy, map, prefix: 0, wide: true, length: 0, opcode, operands, immediate, unit: 1 }
}

const fn narrow(opcode: u8, operands: Operands, immediate: u8) -> Form {
    Form { wide: false, ..legacy(0, opcode, operands, immediate) }
}

const fn vex(map: u8, prefix: u8, length: u8, opcode: u8, operands: Operands, immediate: u8) -> Form {
    Form { kind: Kind::Vex, map, prefix, wide: false, length, opcode, operands, immediate, unit: 1 }
}

const fn evex(map: u8, prefix: u8, opcode: u8, operands: Operands, immediate: u8) -> Form {
    Form { kind: Kind::Evex, map, prefix, wide: false, length: 2, opcode, operands, immediate, unit: 64 }
}

impl Form {
    fn of(code: Code) -> Option<Form> {
        use Code::*;
        use Operands::*;
        Some(match code {
            Mov_r64_rm64 => legacy(0, 0x8b, RegRm, 0),
            Mov_rm64_r64 => legacy(0, 0x89, RmReg, 0),
            Mov_r64_imm64 => legacy(0, 0xb8, Opcode, 8),
            Mov_rm64_imm32 => legacy(0, 0xc7, Rm(0), 4),
            Mov_r32_imm32 => narrow(0xb8, Opcode, 4),
            Mov_r32_rm32 => narrow(0x8b, RegRm, 0),
            Mov_rm32_r32 => narrow(0x89, RmReg, 0),
            Lea_r64_m => legacy(0, 0x8d, RegRm, 0),
            Add_r64_rm64 => legacy(0, 0x03, RegRm, 0),
            Add_rm64_r64 => legacy(0, 0x01, RmReg, 0),
            Add_rm64_imm32 => legacy(0, 0x81, Rm(0), 4),
            Add_rm64_imm8 => legacy(0, 0x83, Rm(0), 1),
            Sub_r64_rm64 => legacy(0, 0x2b, RegRm, 0),
            Sub_rm64_r64 => legacy(0, 0x29, RmReg, 0),
            Sub_rm64_imm32 => legacy(0, 0x81, Rm(5), 4),
            Sub_rm64_imm8 => legacy(0, 0x83, Rm(5), 1),
            And_rm64_imm32 => legacy(0, 0x81, Rm(4), 4),
            And_rm64_imm8 => legacy(0, 0x83, Rm(4), 1),
            Cmp_r64_rm64 => legacy(0, 0x3b, RegRm, 0),
            Cmp_rm64_r64 => legacy(0, 0x39, RmReg, 0),
            Cmp_rm64_imm32 => legacy(0, 0x81, Rm(7), 4),
            Cmp_rm64_imm8 => legacy(0, 0x83, Rm(7), 1),
            Test_rm64_r64 => legacy(0, 0x85, RmReg, 0),
            Test_rm64_imm32 => legacy(0, 0xf7, Rm(0), 4),
            Xor_rm32_r32 => narrow(0x31, RmReg, 0),
            Xor_r32_rm32 => narrow(0x33, RegRm, 0),
            Imul_r64_rm64 => legacy(1, 0xaf, RegRm, 0),
            Imul_r64_rm64_imm32 => legacy(0, 0x69, RegRm, 4),
            Shl_rm64_imm8 => legacy(0, 0xc1, Rm(4), 1),
            Dec_rm64 => legacy(0, 0xff, Rm(1), 0),
            Cmovs_r64_rm64 => legacy(1, 0x48, RegRm, 0),
            Cmovg_r64_rm64 => legacy(1, 0x4f, RegRm, 0),
            Push_r64 => narrow(0x50, Opcode, 0),
            Pop_r64 => narrow(0x58, Opcode, 0),
            Retnq => narrow(0xc3, None, 0),
            Nopd => narrow(0x90, None, 0),
            Prefetcht1_m8 => Form { wide: false, ..legacy(1, 0x18, Rm(2), 0) },
            _ => return Form::of_vectors(code),
        })
    }

    fn of_vectors(code: Code) -> Option<Form> {
        use Code::*;
        use Operands::*;
        let wide = |form: Form| Form { wide: true, ..form };
        let part = |form: Form, length: u8, unit: i64| Form { length, unit, ..form };
        Some(match code {
            VEX_Vzeroupper => vex(1, 0, 0, 0x77, None, 0),
            VEX_Bzhi_r32_rm32_r32 => vex(2, 0, 0, 0xf5, RegRmVvvv, 0),
            VEX_Kmovw_kr_km16 => vex(1, 0, 0, 0x90, RegRm, 0),
            VEX_Kmovw_kr_r32 => vex(1, 0, 0, 0x92, RegRm, 0),
            VEX_Kandw_kr_kr_kr => vex(1, 0, 1, 0x41, RegVvvvRm, 0),
            VEX_Kxnorw_kr_kr_kr => vex(1, 0, 1, 0x46, RegVvvvRm, 0),
            VEX_Vmovups_ymm_ymmm256 => vex(1, 0, 1, 0x10, RegRm, 0),
            VEX_Vmovups_ymmm256_ymm => vex(1, 0, 1, 0x11, RmReg, 0),
            VEX_Vmovups_xmm_xmmm128 => vex(1, 0, 0, 0x10, RegRm, 0),
            VEX_Vmovups_xmmm128_xmm => vex(1, 0, 0, 0x11, RmReg, 0),
            VEX_Vmovss_m32_xmm => vex(1, 2, 0, 0x11, RmReg, 0),
            VEX_Vmovd_xmm_rm32 => vex(1, 1, 0, 0x6e, RegRm, 0),
            VEX_Vmovmskps_r64_ymm => wide(vex(1, 0, 1, 0x50, RegRm, 0)),
            VEX_Vaddps_ymm_ymm_ymmm256 => vex(1, 0, 1, 0x58, RegVvvvRm, 0),
            VEX_Vmulps_ymm_ymm_ymmm256 => vex(1, 0, 1, 0x59, RegVvvvRm, 0),
            VEX_Vsubps_ymm_ymm_ymmm256 => vex(1, 0, 1, 0x5c, RegVvvvRm, 0),
            VEX_Vminps_ymm_ymm_ymmm256 => vex(1, 0, 1, 0x5d, RegVvvvRm, 0),
            VEX_Vdivps_ymm_ymm_ymmm256 => vex(1, 0, 1, 0x5e, RegVvvvRm, 0),
            VEX_Vmaxps_ymm_ymm_ymmm256 => vex(1, 0, 1, 0x5f, RegVvvvRm, 0),
            VEX_Vpand_ymm_ymm_ymmm256 => vex(1, 1, 1, 0xdb, RegVvvvRm, 0),
            VEX_Vpor_ymm_ymm_ymmm256 => vex(1, 1, 1, 0xeb, RegVvvvRm, 0),
            VEX_Vpxor_ymm_ymm_ymmm256 => vex(1, 1, 1, 0xef, RegVvvvRm, 0),
            VEX_Vpaddd_ymm_ymm_ymmm256 => vex(1, 1, 1, 0xfe, RegVvvvRm, 0),
            VEX_Vpsubd_ymm_ymm_ymmm256 => vex(1, 1, 1, 0xfa, RegVvvvRm, 0),
            VEX_Vpmulld_ymm_ymm_ymmm256 => vex(2, 1, 1, 0x40, RegVvvvRm, 0),
            VEX_Vpminsd_ymm_ymm_ymmm256 => vex(2, 1, 1, 0x39, RegVvvvRm, 0),
            VEX_Vpmaxsd_ymm_ymm_ymmm256 => vex(2, 1, 1, 0x3d, RegVvvvRm, 0),
            VEX_Vpcmpeqd_ymm_ymm_ymmm256 => vex(1, 1, 1, 0x76, RegVvvvRm, 0),
            VEX_Vpcmpgtd_ymm_ymm_ymmm256 => vex(1, 1, 1, 0x66, RegVvvvRm, 0),
            VEX_Vcmpps_ymm_ymm_ymmm256_imm8 => vex(1, 0, 1, 0xc2, RegVvvvRm, 1),
            VEX_Vunpcklps_ymm_ymm_ymmm256 => vex(1, 0, 1, 0x14, RegVvvvRm, 0),
            VEX_Vunpckhps_ymm_ymm_ymmm256 => vex(1, 0, 1, 0x15, RegVvvvRm, 0),
            VEX_Vunpcklpd_ymm_ymm_ymmm256 => vex(1, 1, 1, 0x14, RegVvvvRm, 0),
            VEX_Vunpckhpd_ymm_ymm_ymmm256 => vex(1, 1, 1, 0x15, RegVvvvRm, 0),
            VEX_Vsqrtps_ymm_ymmm256 => vex(1, 0, 1, 0x51, RegRm, 0),
            VEX_Vcvtdq2ps_ymm_ymmm256 => vex(1, 0, 1, 0x5b, RegRm, 0),
            VEX_Vcvttps2dq_ymm_ymmm256 => vex(1, 2, 1, 0x5b, RegRm, 0),
            VEX_Vpabsd_ymm_ymmm256 => vex(2, 1, 1, 0x1e, RegRm, 0),
            VEX_Vroundps_ymm_ymmm256_imm8 => vex(3, 1, 1, 0x08, RegRm, 1),
            VEX_Vbroadcastss_ymm_m32 | VEX_Vbroadcastss_ymm_xmm => vex(2, 1, 1, 0x18, RegRm, 0),
            VEX_Vpbroadcastd_ymm_xmmm32 => vex(2, 1, 1, 0x58, RegRm, 0),
            VEX_Vfmadd231ps_ymm_ymm_ymmm256 => vex(2, 1, 1, 0xb8, RegVvvvRm, 0),
            VEX_Vfmadd213ps_ymm_ymm_ymmm256 => vex(2, 1, 1, 0xa8, RegVvvvRm, 0),
            VEX_Vpermilps_ymm_ymmm256_imm8 => vex(3, 1, 1, 0x04, RegRm, 1),
            VEX_Vextractf128_xmmm128_ymm_imm8 => vex(3, 1, 1, 0x19, RmReg, 1),
            VEX_Vinsertf128_ymm_ymm_xmmm128_imm8 => vex(3, 1, 1, 0x18, RegVvvvRm, 1),
            VEX_Vperm2i128_ymm_ymm_ymmm256_imm8 => vex(3, 1, 1, 0x46, RegVvvvRm, 1),
            VEX_Vextractps_rm32_xmm_imm8 => vex(3, 1, 0, 0x17, RmReg, 1),
            VEX_Vblendvps_ymm_ymm_ymmm256_ymm => vex(3, 1, 1, 0x4a, RegVvvvRm, 1),
            VEX_Vmaskmovps_ymm_ymm_m256 => vex(2, 1, 1, 0x2c, RegVvvvRm, 0),
            VEX_Vmaskmovps_m256_ymm_ymm => vex(2, 1, 1, 0x2e, RmVvvvReg, 0),
            VEX_Vgatherdps_ymm_vm32y_ymm => vex(2, 1, 1, 0x92, RegRmVvvv, 0),
            VEX_Vpslld_ymm_ymm_imm8 => vex(1, 1, 1, 0x72, VvvvRm(6), 1),
            VEX_Vpsrld_ymm_ymm_imm8 => vex(1, 1, 1, 0x72, VvvvRm(2), 1),
            EVEX_Vmovups_zmm_k1z_zmmm512 => evex(1, 0, 0x10, RegRm, 0),
            EVEX_Vmovups_zmmm512_k1z_zmm => evex(1, 0, 0x11, RmReg, 0),
            EVEX_Vmovups_xmm_k1z_xmmm128 => part(evex(1, 0, 0x10, RegRm, 0), 0, 16),
            EVEX_Vmovups_xmmm128_k1z_xmm => part(evex(1, 0, 0x11, RmReg, 0), 0, 16),
            EVEX_Vmovss_m32_k1_xmm => part(evex(1, 2, 0x11, RmReg, 0), 0, 4),
            EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er => evex(1, 0, 0x58, RegVvvvRm, 0),
            EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er => evex(1, 0, 0x59, RegVvvvRm, 0),
            EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er => evex(1, 0, 0x5c, RegVvvvRm, 0),
            EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae => evex(1, 0, 0x5d, RegVvvvRm, 0),
            EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er => evex(1, 0, 0x5e, RegVvvvRm, 0),
            EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae => evex(1, 0, 0x5f, RegVvvvRm, 0),
            EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32 => evex(1, 1, 0xdb, RegVvvvRm, 0),
            EVEX_Vpord_zmm_k1z_zmm_zmmm512b32 => evex(1, 1, 0xeb, RegVvvvRm, 0),
            EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32 => evex(1, 1, 0xef, RegVvvvRm, 0),
            EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32 => evex(1, 1, 0xfe, RegVvvvRm, 0),
            EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32 => evex(1, 1, 0xfa, RegVvvvRm, 0),
            EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32 => evex(2, 1, 0x40, RegVvvvRm, 0),
            EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32 => evex(2, 1, 0x39, RegVvvvRm, 0),
            EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32 => evex(2, 1, 0x3d, RegVvvvRm, 0),
            EVEX_Vunpcklps_zmm_k1z_zmm_zmmm512b32 => evex(1, 0, 0x14, RegVvvvRm, 0),
            EVEX_Vunpckhps_zmm_k1z_zmm_zmmm512b32 => evex(1, 0, 0x15, RegVvvvRm, 0),
            EVEX_Vunpcklpd_zmm_k1z_zmm_zmmm512b64 => wide(evex(1, 1, 0x14, RegVvvvRm, 0)),
            EVEX_Vunpckhpd_zmm_k1z_zmm_zmmm512b64 => wide(evex(1, 1, 0x15, RegVvvvRm, 0)),
            EVEX_Vpcmpeqd_kr_k1_zmm_zmmm512b32 => evex(1, 1, 0x76, RegVvvvRm, 0),
            EVEX_Vpcmpgtd_kr_k1_zmm_zmmm512b32 => evex(1, 1, 0x66, RegVvvvRm, 0),
            EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae => evex(1, 0, 0xc2, RegVvvvRm, 1),
            EVEX_Vpmovd2m_kr_zmm => evex(2, 2, 0x39, RegRm, 0),
            EVEX_Vpmovm2d_zmm_kr => evex(2, 2, 0x38, RegRm, 0),
            EVEX_Vbroadcastss_zmm_k1z_xmmm32 => part(evex(2, 1, 0x18, RegRm, 0), 2, 4),
            EVEX_Vpbroadcastd_zmm_k1z_r32 => evex(2, 1, 0x7c, RegRm, 0),
            EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er => evex(1, 0, 0x51, RegRm, 0),
            EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er => evex(1, 0, 0x5b, RegRm, 0),
            EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae => evex(1, 2, 0x5b, RegRm, 0),
            EVEX_Vpabsd_zmm_k1z_zmmm512b32 => evex(2, 1, 0x1e, RegRm, 0),
            EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae => evex(3, 1, 0x08, RegRm, 1),
            EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er => evex(2, 1, 0xb8, RegVvvvRm, 0),
            EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er => evex(2, 1, 0xa8, RegVvvvRm, 0),
            EVEX_Vpternlogd_zmm_k1z_zmm_zmmm512b32_imm8 => evex(3, 1, 0x25, RegVvvvRm, 1),
            EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32 => evex(2, 1, 0x65, RegVvvvRm, 0),
            EVEX_Vshufi32x4_zmm_k1z_zmm_zmmm512b32_imm8 => evex(3, 1, 0x43, RegVvvvRm, 1),
            EVEX_Vpermilps_zmm_k1z_zmmm512b32_imm8 => evex(3, 1, 0x04, RegRm, 1),
            EVEX_Vinsertf32x4_zmm_k1z_zmm_xmmm128_imm8 => part(evex(3, 1, 0x18, RegVvvvRm, 1), 2, 16),
            EVEX_Vextractf32x4_xmmm128_k1z_zmm_imm8 => part(evex(3, 1, 0x19, RmReg, 1), 2, 16),
            EVEX_Vextractf32x4_xmmm128_k1z_ymm_imm8 => part(evex(3, 1, 0x19, RmReg, 1), 1, 16),
            EVEX_Vextractf64x4_ymmm256_k1z_zmm_imm8 => wide(part(evex(3, 1, 0x1b, RmReg, 1), 2, 32)),
            EVEX_Vgatherdps_zmm_k1_vm32z => part(evex(2, 1, 0x92, RegRm, 0), 2, 4),
            EVEX_Vscatterdps_vm32z_k1_zmm => part(evex(2, 1, 0xa2, RmReg, 0), 2, 4),
            EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8 => evex(1, 1, 0x72, VvvvRm(6), 1),
            EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8 => evex(1, 1, 0x72, VvvvRm(2), 1),
            EVEX_Vprold_zmm_k1z_zmmm512b32_imm8 => evex(1, 1, 0x72, VvvvRm(1), 1),
            _ => return Option::None,
        })
    }
}

/// The number of a register among the `count` of a kind.
fn of(register: Register, first: Register, count: u32) -> Option<u8> {
    (register as u32).checked_sub(first as u32).filter(|n| *n < count).map(|n| n as u8)
}

/// The number of a register among those of its kind.
pub(super) fn number(register: Register) -> Option<u8> {
    let kinds = [
        (Register::ZMM0, 32),
        (Register::YMM0, 32),
        (Register::XMM0, 32),
        (Register::RAX, 16),
        (Register::EAX, 16),
        (Register::K0, 8),
    ];
    kinds.into_iter().find_map(|(first, count)| of(register, first, count))
}

/// The fields of an instruction: register numbers, and what `rm` is.
struct Fields {
    reg: u8,
    vvvv: u8,
    rm: u32,
}

/// Appends the bytes of an instruction, if its form is known.
pub(super) fn encode(instruction: &Instruction, out: &mut Vec<u8>) -> Option<()> {
    let form = Form::of(instruction.code())?;
    if instruction.rounding_control() != RoundingControl::None || instruction.suppress_all_exceptions() {
        return None;
    }
    let register = |operand: u32| number(instruction.op_register(operand));
    let fields = match form.operands {
        Operands::None => {
            return form.bare(out);
        }
        Operands::Opcode => return form.in_opcode(instruction, register(0)?, out),
        Operands::Rm(digit) => Fields { reg: digit, vvvv: 0, rm: 0 },
        Operands::RegRm => Fields { reg: register(0)?, vvvv: 0, rm: 1 },
        Operands::RmReg => Fields { reg: register(1)?, vvvv: 0, rm: 0 },
        Operands::RegVvvvRm => Fields { reg: register(0)?, vvvv: register(1)?, rm: 2 },
        Operands::RegRmVvvv => Fields { reg: register(0)?, vvvv: register(2)?, rm: 1 },
        Operands::RmVvvvReg => Fields { reg: register(2)?, vvvv: register(1)?, rm: 0 },
        Operands::VvvvRm(digit) => Fields { reg: digit, vvvv: register(0)?, rm: 1 },
    };
    form.with_fields(instruction, &fields, out)
}

impl Form {
    fn bare(self, out: &mut Vec<u8>) -> Option<()> {
        if self.kind == Kind::Vex {
            self.prefixes([0; 3], 0, 0, out);
        }
        out.push(self.opcode);
        Some(())
    }

    fn in_opcode(self, instruction: &Instruction, register: u8, out: &mut Vec<u8>) -> Option<()> {
        let rex = 0x40 | u8::from(self.wide) << 3 | register >> 3;
        out.extend((rex != 0x40).then_some(rex));
        out.push(self.opcode | register & 7);
        self.immediates(instruction, out)
    }

    fn with_fields(self, instruction: &Instruction, fields: &Fields, out: &mut Vec<u8>) -> Option<()> {
        let Fields { reg, vvvv, rm } = *fields;
        let broadcast = instruction.is_broadcast();
        if instruction.op_kind(rm) == OpKind::Register {
            let rm = number(instruction.op_register(rm))?;
            // The fifth bit of a register stands where the fourth of an index does.
            self.prefixes([reg, rm >> 1 & 8, rm], vvvv, self.masking(instruction)?, out);
            out.push(self.opcode);
            out.push(0xc0 | (reg & 7) << 3 | rm & 7);
            return self.immediates(instruction, out);
        }
        if instruction.op_kind(rm) != OpKind::Memory {
            return None;
        }
        let (base, index) = (instruction.memory_base(), instruction.memory_index());
        let base = of(base, Register::RAX, 16)?;
        let indexed = index != Register::None;
        let index = if indexed { number(index)? } else { 0 };
        let masking = self.masking(instruction)? | u8::from(broadcast) << 4;
        // The fifth bit of an index that is a vector stands where that of `vvvv` does.
        let vvvv = if self.kind == Kind::Evex { vvvv | index & 16 } else { vvvv };
        self.prefixes([reg, index & 15, base], vvvv, masking, out);
        out.push(self.opcode);
        let displacement = instruction.memory_displacement64() as i64;
        let unit = if broadcast { 4 } else { self.unit };
        let short = (displacement % unit == 0).then(|| i8::try_from(displacement / unit).ok()).flatten();
        let mode = match (displacement, short) {
            // Without a displacement these bases mean something else.
            (0, _) if base & 7 != 5 => 0x00,
            (_, Some(_)) => 0x40,
            _ => 0x80,
        };
        if indexed || base & 7 == 4 {
            let scale = instruction.memory_index_scale().trailing_zeros() as u8;
            let index = if indexed { index & 7 } else { 4 };
            out.push(mode | (reg & 7) << 3 | 4);
            out.push(scale << 6 | index << 3 | base & 7);
        } else {
            out.push(mode | (reg & 7) << 3 | base & 7);
        }
        match (mode, short) {
            (0x40, Some(short)) => out.push(short as u8),
            (0x80, _) => out.extend(i32::try_from(displacement).ok()?.to_le_bytes()),
            _ => {}
        }
        self.immediates(instruction, out)
    }

    /// The bits of the mask register and of zeroing.
    fn masking(self, instruction: &Instruction) -> Option<u8> {
        let mask = match instruction.op_mask() {
            Register::None => 0,
            mask => number(mask)?,
        };
        Some(mask | u8::from(instruction.zeroing_masking()) << 7)
    }

    /// All that stands before the opcode; of `reg`, `index` and `base` or `rm` the upper bits.
    fn prefixes(self, [reg, index, base]: [u8; 3], vvvv: u8, masking: u8, out: &mut Vec<u8>) {
        let upper = |n: u8| n >> 3 & 1;
        let (r, x, b) = (upper(reg), upper(index), upper(base));
        let w = u8::from(self.wide);
        match self.kind {
            Kind::Legacy => {
                let rex = 0x40 | w << 3 | r << 2 | x << 1 | b;
                out.extend((rex != 0x40).then_some(rex));
                out.extend((self.map == 1).then_some(0x0f));
            }
            Kind::Vex => {
                let last = (!vvvv & 15) << 3 | self.length << 2 | self.prefix;
                if x == 0 && b == 0 && w == 0 && self.map == 1 {
                    out.extend([0xc5, (r ^ 1) << 7 | last]);
                } else {
                    out.extend([0xc4, (r ^ 1) << 7 | (x ^ 1) << 6 | (b ^ 1) << 5 | self.map, w << 7 | last]);
                }
            }
            Kind::Evex => {
                let fifth = (reg >> 4 & 1) ^ 1;
                out.extend([
                    0x62,
                    (r ^ 1) << 7 | (x ^ 1) << 6 | (b ^ 1) << 5 | fifth << 4 | self.map,
                    w << 7 | (!vvvv & 15) << 3 | 4 | self.prefix,
                    masking & 0x97 | self.length << 5 | ((vvvv >> 4 & 1) ^ 1) << 3,
                ]);
            }
        }
    }

    fn immediates(self, instruction: &Instruction, out: &mut Vec<u8>) -> Option<()> {
        if self.immediate == 0 {
            return Some(());
        }
        let last = instruction.op_count() - 1;
        let value = match instruction.op_kind(last) {
            OpKind::Register => u64::from(number(instruction.op_register(last))?) << 4,
            _ => instruction.try_immediate(last).ok()?,
        };
        out.extend(&value.to_le_bytes()[..usize::from(self.immediate)]);
        Some(())
    }
}
