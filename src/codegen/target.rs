//! The machine that code is made for: the one it runs on.
//!
//! Output: Cranelift's description of this CPU. Invariant: on x86-64 the CPU has at least x86-64-v3 (AVX2, FMA, BMI), so
//! that a fused multiply-add is one instruction everywhere and its bits never depend on the CPU.

use super::CodegenError;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};

/// The instruction-set extensions of x86-64-v3 that this CPU lacks.
#[cfg(target_arch = "x86_64")]
fn missing() -> Vec<&'static str> {
    let present = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("bmi1", is_x86_feature_detected!("bmi1")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("lzcnt", is_x86_feature_detected!("lzcnt")),
        ("movbe", is_x86_feature_detected!("movbe")),
        ("f16c", is_x86_feature_detected!("f16c")),
    ];
    present.into_iter().filter(|(_, has)| !has).map(|(name, _)| name).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn missing() -> Vec<&'static str> {
    Vec::new()
}

/// Describes this CPU to Cranelift, with the settings all code is compiled under.
///
/// # Errors
/// If Cranelift does not know the architecture, or the CPU is below the minimum.
pub(super) fn native(verify: bool) -> Result<OwnedTargetIsa, CodegenError> {
    let missing = missing();
    if !missing.is_empty() {
        return Err(CodegenError::Cpu(format!(
            "this CPU lacks {}; x86-64-v3 (Haswell, Zen or later) is the least that is supported",
            missing.join(", ")
        )));
    }
    let mut flags = settings::builder();
    let chosen = [
        ("opt_level", "speed"),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
        ("unwind_info", "false"),
        ("enable_verifier", if verify { "true" } else { "false" }),
    ];
    for (name, value) in chosen {
        flags.set(name, value).map_err(|e| CodegenError::internal(&e))?;
    }
    let builder = cranelift_native::builder().map_err(|why| CodegenError::Cpu(why.to_string()))?;
    builder.finish(settings::Flags::new(flags)).map_err(|e| CodegenError::internal(&e))
}
