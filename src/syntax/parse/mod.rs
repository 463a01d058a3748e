//! Tokens to syntax tree: recursive descent for items, statements and types, precedence climbing for
//! expressions.
//!
//! A rule that cannot go on reports a diagnostic at once and returns `Err(Failed)`; the enclosing list of
//! items, statements or clauses skips to the start of its next element, so one run reports several errors.
//! Invariant: recursion and the height of every tree are bounded by [`MAX_HEIGHT`], time is linear in the
//! text, and a tree without diagnostics says all that the text says.

mod cursor;
mod expression;
mod foreign;
mod item;
mod repeat;
mod search;
mod statement;
mod stopping;
mod train;
mod types;

use super::ast::File;
use super::token::{MAX_ERRORS, tokenize};
use crate::source::{Diagnostic, FileId, Span, codes};
use cursor::Parser;
pub(super) use expression::{continues_line, is_index_reduction};

/// The longest source, in bytes.
pub const MAX_TEXT: usize = 2 << 20;

/// The rule could not go on; why is among the diagnostics already.
struct Failed;

type Parsed<T> = Result<T, Failed>;

/// The tree of a file, and all that is wrong with it as far as syntax goes.
pub fn parse(file: FileId, text: &str) -> (File, Vec<Diagnostic>) {
    let span = Span::new(file, 0, text.len().min(u32::MAX as usize));
    if text.len() > MAX_TEXT {
        let error = Diagnostic::new(codes::FILE_TOO_LARGE, format!("this file holds {} bytes", text.len()))
            .at(Span::new(file, 0, 0), "a source file may hold 2 MiB")
            .help("keep data in files of its own and read it with `data`");
        return (File { items: Vec::new(), span }, vec![error]);
    }
    let (tokens, errors) = tokenize(file, text);
    let mut parser = Parser::new(text, span, &tokens);
    let items = parser.items();
    let mut errors: Vec<Diagnostic> = errors.into_iter().chain(parser.into_errors()).collect();
    errors.sort_by_key(|error| error.labels.first().map(|label| label.span.start));
    if errors.len() > MAX_ERRORS {
        errors.truncate(MAX_ERRORS);
        errors.push(
            Diagnostic::new(codes::TOO_MANY_ERRORS, format!("more than {MAX_ERRORS} errors in this file"))
                .help("the rest is not shown: most tend to follow from the first few"),
        );
    }
    (File { items, span }, errors)
}

#[cfg(test)]
mod tests;
