//! A loop of fused multiply-adds and nothing else: what the arithmetic of a thread can do.
//!
//! Output: a function of the number of rounds. Invariant: it touches no memory.

use super::Simd;
use super::writer::Writer;
use crate::codegen::CodegenError;
use crate::codegen::executable::{Executable, module};
use crate::codegen::target;
use crate::scalar::Width;
use cranelift_codegen::ir::{AbiParam, types};
use cranelift_module::{Linkage, Module};
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// Chains of dependent multiply-adds side by side: more than are in flight at once.
const CHAINS: usize = 12;

/// The loop, compiled.
pub struct Rounds {
    simd: Simd,
    function: unsafe extern "sysv64" fn(u64),
    /// Keeps the code alive.
    _code: Executable,
}

// SAFETY: the code is immutable once made, and the function may run on any thread.
unsafe impl Send for Rounds {}
// SAFETY: as above.
unsafe impl Sync for Rounds {}

impl Rounds {
    pub fn new(simd: Simd) -> Result<Rounds, CodegenError> {
        let mut module = module(target::native(false)?, &[])?;
        let mut signature = module.make_signature();
        signature.params.push(AbiParam::new(types::I64));
        let id = module.declare_function("rounds", Linkage::Local, &signature);
        let id = id.map_err(|e| CodegenError::internal(&e))?;
        let code = emit(simd).map_err(|e| CodegenError::internal(&e))?;
        module.define_function_bytes(id, 64, &code, &[]).map_err(|e| CodegenError::internal(&e))?;
        let code = Executable::new(module)?;
        // SAFETY: `emit` gives a function of this type.
        let function = unsafe { std::mem::transmute::<*const u8, unsafe extern "sysv64" fn(u64)>(code.address(id)) };
        Ok(Rounds { simd, function, _code: code })
    }

    /// Runs so many rounds, at least one, and gives the operations they were.
    pub fn run(&self, rounds: u64) -> u64 {
        // SAFETY: the code is alive with `self`, needs vectors that this CPU has, and counts down from one or more.
        unsafe { (self.function)(rounds.max(1)) }
        rounds.max(1) * (CHAINS * self.simd.lanes(Width::Single) * 2) as u64
    }
}

fn emit(simd: Simd) -> Result<Vec<u8>, IcedError> {
    let mut w = Writer::new(simd, Width::Single)?;
    for register in 0..CHAINS + 2 {
        w.clear(register)?;
    }
    let mut again = w.asm.create_label();
    w.asm.set_label(&mut again)?;
    for chain in 0..CHAINS {
        w.fma(chain, CHAINS, CHAINS + 1)?;
    }
    w.asm.dec(rdi)?;
    w.asm.jne(again)?;
    w.finish()
}
