//! Text to syntax tree: tokens, parser, and printing.

pub mod ast;
pub mod token;

pub use token::{Token, TokenKind, normalise, tokenize};
