//! Text to syntax tree: tokens, parser, and printing.

pub mod ast;
