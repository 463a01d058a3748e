//! The table that compiled code reads its addresses and sizes from: the only argument of every function.
//!
//! Layout, in words of 8 bytes: 64 zero bytes (what a guarded load reads where its guards fail), the values of the
//! program's symbols, the address of each buffer, and for each input whose rows may lie apart the address of their numbers, or
//! zero if they lie one after the other. Invariant: it does not change while the step runs.

use crate::ir::Symbol;
use crate::schedule::program::{BufferId, Program};

/// Words of zeros at the start.
const ZEROS: usize = 8;

/// Where things stand in the table of one program.
#[derive(Clone, Debug)]
pub struct TableLayout {
    symbols: Vec<Symbol>,
    buffers: usize,
    scattered: Vec<BufferId>,
}

impl TableLayout {
    /// `scattered` are the inputs whose rows may lie apart.
    pub fn new(program: &Program, scattered: Vec<BufferId>) -> TableLayout {
        TableLayout { symbols: program.symbols.clone(), buffers: program.buffers.len(), scattered }
    }

    /// Words in all.
    pub fn words(&self) -> usize {
        ZEROS + self.symbols.len() + self.buffers + self.scattered.len()
    }

    /// The word that holds the value of a symbol.
    pub fn symbol(&self, symbol: &Symbol) -> Option<usize> {
        self.symbols.iter().position(|s| s == symbol).map(|k| ZEROS + k)
    }

    /// The word that holds the address of a buffer.
    pub fn buffer(&self, buffer: BufferId) -> usize {
        ZEROS + self.symbols.len() + buffer.index()
    }

    /// The word that holds the address of the row numbers of an input whose rows may lie apart.
    pub fn rows(&self, buffer: BufferId) -> Option<usize> {
        let at = self.scattered.iter().position(|b| *b == buffer)?;
        Some(ZEROS + self.symbols.len() + self.buffers + at)
    }
}
