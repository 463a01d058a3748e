//! Executable memory: a JIT module that frees its pages when dropped.
//!
//! Input: a module whose functions are all defined. Output: addresses that stay valid as long as the [`Executable`].
//! Invariant: a page is writable or executable, never both.

use super::CodegenError;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};
use cranelift_module::{FuncId, default_libcall_names};
use std::mem::ManuallyDrop;

/// Address space set aside for the code of one step; pages are committed as they are filled.
const RESERVED: usize = 64 << 20;

/// An empty module that makes code for this machine and resolves `symbols`.
pub(super) fn module(isa: OwnedTargetIsa, symbols: &[(&str, *const u8)]) -> Result<JITModule, CodegenError> {
    let mut builder = JITBuilder::with_isa(isa, default_libcall_names());
    builder.symbols(symbols.iter().copied());
    let memory = ArenaMemoryProvider::new_with_size(RESERVED).map_err(|e| CodegenError::Memory(e.to_string()))?;
    builder.memory_provider(Box::new(memory));
    Ok(JITModule::new(builder))
}

/// Finished code.
pub(super) struct Executable {
    module: ManuallyDrop<JITModule>,
}

impl Executable {
    /// Resolves calls and makes the code executable.
    pub fn new(mut module: JITModule) -> Result<Executable, CodegenError> {
        module.finalize_definitions().map_err(|e| CodegenError::internal(&e))?;
        Ok(Executable { module: ManuallyDrop::new(module) })
    }

    /// The address of a defined function.
    pub fn address(&self, function: FuncId) -> *const u8 {
        self.module.get_finalized_function(function)
    }
}

impl Drop for Executable {
    fn drop(&mut self) {
        // SAFETY: the module is taken once, here. Addresses leave this struct only through `Compiled`, which owns it and
        // calls them only while borrowed, so no code of the module runs now and none is called later.
        unsafe { ManuallyDrop::take(&mut self.module).free_memory() }
    }
}
