//! Programs of kernels to machine code: the only stage that knows Cranelift.
//!
//! Input: a scheduled program. Output: [`Compiled`], one native function that is the whole step, with everything it
//! needs. Invariant: compiling one program twice gives the same bytes; nothing is known here about primitives beyond
//! the scalar operations of kernels.

mod access;
mod calls;
mod compiled;
mod crew;
mod draws;
mod executable;
mod expressions;
mod fields;
mod kernel;
mod lanes;
mod loops;
mod order;
mod peaks;
mod planner;
mod product;
mod reduce;
mod sizes;
mod soon;
mod step;
mod table;
mod target;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod team;
#[cfg(target_arch = "x86_64")]
mod wide;

pub use compiled::{Compiled, Interface, check, compile};
pub use peaks::{Peaks, measure};
pub use table::TableLayout;
pub use team::{forks, run as on_team};

use crate::schedule::hardware::FORK_NS;
use std::fmt;

/// Which vectors code may use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cpu {
    /// The vectors Cranelift knows: 128 bits. Products are the library's.
    Portable,
    /// 256 bits.
    Avx2,
    /// 512 bits.
    Avx512,
}

impl Cpu {
    /// The widest that this CPU has.
    pub fn native() -> Cpu {
        [Cpu::Avx512, Cpu::Avx2].into_iter().find(|c| c.is_available()).unwrap_or(Cpu::Portable)
    }

    /// Whether this CPU has such vectors.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = self.simd() {
            return simd.is_available();
        }
        self == Cpu::Portable
    }

    #[cfg(target_arch = "x86_64")]
    fn simd(self) -> Option<wide::Simd> {
        match self {
            Cpu::Portable => None,
            Cpu::Avx2 => Some(wide::Simd::Avx2),
            Cpu::Avx512 => Some(wide::Simd::Avx512),
        }
    }
}

/// How to compile.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which vectors to use; the CPU must have them.
    pub cpu: Cpu,
    /// How many threads may share a step; changes time, never results.
    pub threads: usize,
    /// Operations and elements moved from which a kernel is worth wide vectors: below, entering and leaving their code costs
    /// more than they save.
    pub wide_from: u64,
    /// What sharing work among threads costs, in nanoseconds: work that does not save more stays on one.
    pub fork_ns: u64,
    /// Whether Cranelift's verifier runs on every function.
    pub verify: bool,
    /// Whether to keep the functions' text, for `clif` and `asm`; all but wide code is then Cranelift's.
    pub text: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            cpu: Cpu::native(),
            threads: 1,
            wide_from: 256,
            fork_ns: FORK_NS,
            verify: cfg!(debug_assertions),
            text: false,
        }
    }
}

/// Why there is no code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CodegenError {
    /// This CPU is not supported.
    Cpu(String),
    /// The system gave no memory.
    Memory(String),
    /// The named step has more elements than positions can count.
    TooLarge(String),
    /// The backend refused the code: a bug in dlc.
    Internal(String),
}

impl CodegenError {
    fn internal(why: &dyn fmt::Display) -> CodegenError {
        CodegenError::Internal(why.to_string())
    }
}

impl fmt::Display for CodegenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodegenError::Cpu(why) => write!(f, "no code can be made for this machine: {why}"),
            CodegenError::Memory(why) => write!(f, "no memory for compiled code: {why}"),
            CodegenError::TooLarge(step) => write!(f, "{step} has more elements than 32-bit positions can count"),
            CodegenError::Internal(why) => write!(f, "this is a bug in dlc: the code generator says: {why}"),
        }
    }
}

impl std::error::Error for CodegenError {}

#[cfg(test)]
pub(crate) mod tests;
