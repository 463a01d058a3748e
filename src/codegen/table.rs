//! The table that compiled code reads its addresses and sizes from: the only argument of every function.
//!
//! Layout, in words of 8 bytes: 64 zero bytes (what a guarded load reads where its guards fail), the values of the
//! program's symbols, the address of each buffer. Invariant: it does not change while the step runs.

use crate::ir::Symbol;
use crate::schedule::program::{BufferId, Program};

/// Words of zeros at the start.
const ZEROS: usize = 8;

/// Where things stand in the table of one program.
#[derive(Clone, Debug)]
pub struct TableLayout {
    symbols: Vec<Symbol>,
    buffers: usize,
}

impl TableLayout {
    pub fn new(program: &Program) -> TableLayout {
        TableLayout { symbols: program.symbols.clone(), buffers: program.buffers.len() }
    }

    /// Words in all.
    pub fn words(&self) -> usize {
        ZEROS + self.symbols.len() + self.buffers
    }

    /// The word that holds the value of a symbol.
    pub fn symbol(&self, symbol: &Symbol) -> Option<usize> {
        self.symbols.iter().position(|s| s == symbol).map(|k| ZEROS + k)
    }

    /// The word that holds the address of a buffer.
    pub fn buffer(&self, buffer: BufferId) -> usize {
        ZEROS + self.symbols.len() + buffer.index()
    }
}
