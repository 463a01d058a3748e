//! Text to syntax tree.
//!
//! Input: the text of one file. Output: its [`ast::File`] and everything that is wrong with its syntax, as
//! diagnostics. [`tokenize`] keeps white space and comments, [`parse`] drops them; `Display` on the tree's nodes
//! writes source again, [`dump`] writes the tree itself, and [`format()`] the text in canonical form. Nothing here knows what
//! a name means.

pub mod ast;
mod children;
pub mod precedence;
pub mod token;
mod parse;
mod print;
pub mod dump;
mod format;

pub use format::{FormatError, Spelling, format};
pub use parse::{MAX_TEXT, parse};
pub use token::{Token, TokenKind, normalise, tokenize};
