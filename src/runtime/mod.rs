//! Runtime: memory for compiled programs, and machines that run them.
//!
//! Input: compiled programs. Output: their effect on named tensors, and what they report. Invariants: nothing is allocated,
//! hashed or looked up by name while a step runs; a machine's addresses stay valid because blocks never move and a run
//! borrows the memory it was built on.

mod block;
pub mod clock;
mod machine;
pub mod memory;
pub mod stack;
mod subnormals;
mod tensors;

pub use block::{Element, View};
pub use machine::{InputId, Lent, Machine, OutputId};
pub use subnormals::Subnormals;
pub use tensors::{Memory, TensorId};

use crate::ir::{DType, SizeError};
use std::fmt;

/// Why something could not be run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RuntimeError {
    /// No tensor, input or output has this name.
    Unknown(String),
    /// It has another element type.
    Type {
        name: String,
        expected: DType,
        got: DType,
    },
    /// It has another number of elements.
    Length {
        name: String,
        expected: usize,
        got: usize,
    },
    /// Two programs give one name to tensors of different types or shapes.
    Conflict(String),
    /// The machine was built on another memory.
    OtherMemory,
    /// A run was asked for with a size beyond the capacity, or one that makes no sense.
    Size {
        symbol: String,
        value: u64,
        most: u64,
    },
    Undefined(SizeError),
    /// The system gave no memory.
    OutOfMemory(u64),
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuntimeError::Unknown(name) => write!(f, "there is no `{name}`"),
            RuntimeError::Type { name, expected, got } => write!(f, "`{name}` holds {expected}, not {got}"),
            RuntimeError::Length { name, expected, got } => write!(f, "`{name}` has {expected} elements, not {got}"),
            RuntimeError::Conflict(name) => write!(f, "two programs disagree about the shape of `{name}`"),
            RuntimeError::OtherMemory => {
                write!(f, "this is a bug in dlc: a machine ran on a memory it was not built on")
            }
            RuntimeError::Size { symbol, value, most } => {
                write!(f, "{symbol} = {value} was asked for; the program was compiled for at most {most}")
            }
            RuntimeError::Undefined(why) => write!(f, "{why}"),
            RuntimeError::OutOfMemory(bytes) => write!(f, "{bytes} bytes of memory cannot be had"),
        }
    }
}

impl std::error::Error for RuntimeError {}
