//! Text to syntax tree: tokens, parser, and printing.

pub mod ast;
pub mod precedence;
pub mod token;
mod parse;
pub mod print;
pub mod dump;

pub use parse::parse;
pub use token::{Token, TokenKind, normalise, tokenize};
