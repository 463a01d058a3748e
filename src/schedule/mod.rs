//! Schedule: a graph becomes a program of fused kernels and library products over one memory plan.
//!
//! Input: a graph without derivative requests, and the greatest value of each symbol. Output: a [`Program`]. Invariant:
//! running its steps in order computes the graph's outputs as the interpreter does, reductions in the same order.

pub mod kernel;
pub mod program;
pub mod scalar_op;

pub use kernel::Kernel;
pub use program::{Buffer, BufferId, Place, Product, Program, Step, Work};
