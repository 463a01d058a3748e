//! The blanks between two tokens of a line.
//!
//! One or none, whatever the author wrote, except where both read well: products are tight or loose as the author has them
//! (`2*H`, `x / 16`), so are sums in brackets (`x[t-1]`), and `(` after a bracket (`grad(J)(θ)`, `sum(i) (a + b)`).

use super::{Line, Piece};
use crate::syntax::token::TokenKind;
use TokenKind::*;

/// What the tokens before say about the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Before {
    /// The beginning of the text or of something.
    Nothing,
    /// Something that an operator can follow.
    Operand,
    /// A prefix: what follows touches it.
    Prefix,
    /// An operator with blanks on both sides.
    Loose,
    /// An operator without.
    Tight,
}

/// Where a line's tokens stand.
pub(super) struct Context {
    /// The bracket they stand in, if any, by how it opens.
    pub inside: Option<TokenKind>,
    /// The first word of a clause comes just before.
    pub after_clause_word: bool,
    /// The line's first token may be one that goes on with the line before.
    pub joined: bool,
}

/// Sets the gap of piece `k` and gives what it is to the next one. `before` is what the piece before it is, which may stand
/// on an earlier line.
pub(super) fn space(line: &mut Line, k: usize, before: Before, context: &Context) -> Before {
    let previous = k.checked_sub(1).map(|p| line.code[p].kind);
    let next = line.code.get(k + 1);
    let piece = &line.code[k];
    let is = role(line, k, before, context);
    let gap = match previous {
        None => 0,
        Some(previous) => usize::from(blank(line, k, previous, before, is, context, piece)),
    };
    let after = match is {
        // A product or a sum is loose if the author has a blank on either side, or a line end.
        Role::Binary if depends(piece.kind, context) => {
            if k == 0 || next.is_none_or(|n| n.blank) || piece.blank {
                Before::Loose
            } else {
                Before::Tight
            }
        }
        Role::Binary if piece.kind == Caret => Before::Tight,
        Role::Binary => Before::Loose,
        Role::Prefix => Before::Prefix,
        Role::Operand => Before::Operand,
        Role::Other => Before::Nothing,
    };
    line.code[k].gap = if k > 0 && is == Role::Binary && depends(line.code[k].kind, context) {
        usize::from(after == Before::Loose)
    } else {
        gap
    };
    after
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Binary,
    Prefix,
    Operand,
    Other,
}

fn role(line: &Line, k: usize, before: Before, context: &Context) -> Role {
    let piece = &line.code[k];
    let starts = k == 0 && !context.joined;
    match piece.kind {
        // `minimize -x`: the word is no operand.
        Minus if context.after_clause_word && piece.blank && line.code.get(k + 1).is_some_and(|n| !n.blank) => {
            Role::Prefix
        }
        Plus | Minus if before == Before::Operand && !starts => Role::Binary,
        Plus | Minus => Role::Prefix,
        // `encoder.*`
        Star if k > 0 && line.code[k - 1].kind == Dot => Role::Operand,
        // `1..20`
        DotDot if before == Before::Operand && k > 0 => Role::Prefix,
        Star | Slash | At | Caret | Less | LessEqual | Greater | GreaterEqual | EqualEqual | NotEqual | And | Or
        | Assign | Arrow | Pipe => Role::Binary,
        Ident | Int | Float | Str | True | False | RightParen | RightBracket | RightBrace | Prime | TransposeMark
        | Superscript | Percent => Role::Operand,
        _ => Role::Other,
    }
}

/// Whether the blanks around an operator are the author's.
fn depends(kind: TokenKind, context: &Context) -> bool {
    match kind {
        Star | Slash | At => true,
        Plus | Minus => context.inside == Some(LeftBracket),
        _ => false,
    }
}

fn blank(
    line: &Line,
    k: usize,
    previous: TokenKind,
    before: Before,
    is: Role,
    context: &Context,
    piece: &Piece,
) -> bool {
    match (previous, piece.kind) {
        (LeftParen | LeftBracket, _) | (_, RightParen | RightBracket) | (LeftBrace, RightBrace) => false,
        (_, Comma | Semicolon | Colon | Prime | TransposeMark | Superscript | Percent) => false,
        (LeftBrace | Comma | Semicolon | Colon, _) | (_, RightBrace | LeftBrace) => true,
        (Dot, _) | (_, Dot) => false,
        // `1..20`, but `over ..` and `state ..`
        (_, DotDot) => is != Role::Prefix,
        _ if before == Before::Prefix || before == Before::Tight => false,
        (_, Caret) => false,
        _ if is == Role::Binary || before == Before::Loose => true,
        // `A.T (b)`, as after `Aᵀ`
        (Ident, LeftParen) if line.code[k - 1].text == "T" && k > 1 && line.code[k - 2].kind == Dot => piece.blank,
        (Ident, LeftParen) => piece.blank && (context.after_clause_word || detached(line, k)),
        (RightParen | RightBracket | Prime | TransposeMark | Superscript, LeftParen) => piece.blank,
        (Ident, LeftBracket) => piece.blank && context.after_clause_word,
        (RightParen | RightBracket | Prime | TransposeMark | Superscript, LeftBracket) => false,
        _ => true,
    }
}

/// Whether a parenthesis after a blank may be no call: `for k in 1..n (…)`, `when training (a) else b`, `batch (n)`.
fn detached(line: &Line, k: usize) -> bool {
    const WORDS: [&str; 4] = ["batch", "yield", "by", "in"];
    let before = &line.code[..k];
    before.iter().any(|p| matches!(p.kind, For | When)) || before.last().is_some_and(|p| WORDS.contains(&&*p.text))
}
