//! Source to source in canonical form: what `dlc fmt` writes.
//!
//! Works on tokens, so it needs to know no form of the grammar: the author's line breaks stay, and between the tokens of a
//! line stand canonical blanks; indentation follows brackets and continuations; columns that the author aligned stay
//! aligned. Invariants: every comment stays, the syntax tree is the same apart from places, and what has been formatted
//! stays as it is.
//!
//! ```text
//! data  d=csv( "d.csv",target:y )          data d = csv("d.csv", target: y)
//! train {                             ─▶   train {
//! minimize mse( f(x),y )                       minimize mse(f(x), y)
//!   using sgd }                                using    sgd }
//! ```

mod align;
mod layout;
mod meaning;
mod spacing;
mod spelling;

use super::parse::parse;
use super::token::{TokenKind, tokenize};
use crate::source::{Diagnostic, FileId};
use std::borrow::Cow;

/// How letters and operators outside ASCII come out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spelling {
    /// As the author has them; `\theta` becomes `θ`.
    Kept,
    /// `theta`, `grad`, `<=`, `x^2`, `A.T`.
    Ascii,
}

/// Why a text is not formatted.
#[derive(Debug)]
pub enum FormatError {
    /// Its syntax is wrong.
    Syntax(Vec<Diagnostic>),
    /// It would mean something else afterwards: a bug in this module.
    Changed,
}

/// The text in canonical form.
pub fn format(file: FileId, text: &str, spelling: Spelling) -> Result<String, FormatError> {
    let (before, errors) = parse(file, text);
    if !errors.is_empty() {
        return Err(FormatError::Syntax(errors));
    }
    let mut lines = lines(text, spelling);
    layout::indent(&mut lines);
    align::align(&mut lines);
    let formatted = written(&lines);
    let (after, errors) = parse(file, &formatted);
    if errors.is_empty() && meaning::same((&before, text), (&after, &formatted)) {
        Ok(formatted)
    } else {
        Err(FormatError::Changed)
    }
}

/// A token that is neither a blank nor a comment.
#[derive(Debug)]
struct Piece<'t> {
    kind: TokenKind,
    text: Cow<'t, str>,
    /// A blank stands before it in the author's text.
    blank: bool,
    /// Where it stands in the author's line, counted from the line's first token.
    column: usize,
    /// Blanks before it in the result.
    gap: usize,
}

impl Piece<'_> {
    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// A line that is not blank.
#[derive(Debug, Default)]
struct Line<'t> {
    code: Vec<Piece<'t>>,
    /// At its end, or all there is.
    comment: Option<&'t str>,
    /// Where the comment stands in the author's line.
    comment_column: usize,
    /// Blanks before the comment in the result.
    comment_gap: usize,
    /// A blank line stands before it.
    apart: bool,
    indent: usize,
    place: Place,
}

/// What a line begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Place {
    /// An item, an equation, or an element of what stands in brackets.
    #[default]
    Start,
    /// A clause of the list of clauses with this number.
    Clause(usize),
    /// It goes on with the line before, or closes a bracket.
    Within,
}

impl Line<'_> {
    /// The width of its code, indentation included.
    fn width(&self) -> usize {
        self.indent + self.code.iter().map(|p| p.gap + p.width()).sum::<usize>()
    }

    /// The width of its code before a piece, without indentation.
    fn width_before(&self, piece: usize) -> usize {
        self.code[..piece].iter().map(|p| p.gap + p.width()).sum()
    }
}

/// The text's lines with the author's columns.
fn lines(text: &str, spelling: Spelling) -> Vec<Line<'_>> {
    let (tokens, _) = tokenize(FileId::default(), text);
    let (mut lines, mut line) = (Vec::new(), Line::default());
    let (mut column, mut first, mut blank, mut empty) = (0, 0, false, false);
    for (k, token) in tokens.iter().enumerate() {
        let written = &text[token.span.start as usize..token.span.end as usize];
        match token.kind {
            TokenKind::Newline => {
                if line.code.is_empty() && line.comment.is_none() {
                    empty = !lines.is_empty();
                } else {
                    line.apart = std::mem::take(&mut empty);
                    lines.push(std::mem::take(&mut line));
                }
                (column, blank) = (0, false);
                continue;
            }
            TokenKind::Space => blank = true,
            TokenKind::Comment | TokenKind::DocComment => {
                line.comment = Some(written.trim_end());
                line.comment_column = column;
            }
            kind => {
                if line.code.is_empty() {
                    first = column;
                }
                let next = tokens[k + 1..].iter().map(|t| t.kind).find(|kind| !kind.is_trivia());
                let text = spelling::spelled(kind, written, next, spelling);
                line.code.push(Piece { kind, text, blank, column: column - first, gap: 0 });
                blank = false;
            }
        }
        column += written.chars().count();
    }
    if !line.code.is_empty() || line.comment.is_some() {
        line.apart = empty;
        lines.push(line);
    }
    lines
}

fn written(lines: &[Line]) -> String {
    let mut out = String::new();
    let mut opens = false;
    for line in lines {
        let closes = line.code.first().is_some_and(|p| p.kind == TokenKind::RightBrace);
        if line.apart && !opens && !closes {
            out.push('\n');
        }
        opens = line.comment.is_none() && line.code.last().is_some_and(|p| p.kind == TokenKind::LeftBrace);
        out.extend(std::iter::repeat_n(' ', line.indent));
        for piece in &line.code {
            out.extend(std::iter::repeat_n(' ', piece.gap));
            out += &piece.text;
        }
        if let Some(comment) = line.comment {
            out.extend(std::iter::repeat_n(' ', line.comment_gap));
            out += comment;
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests;
