//! One token in other letters.

use super::Spelling;
use crate::syntax::token::{TokenKind, normalise, with_greek};
use std::borrow::Cow;

/// The token as it comes out; `next` is the one after it, blanks and line ends aside.
pub(super) fn spelled(kind: TokenKind, text: &str, next: Option<TokenKind>, spelling: Spelling) -> Cow<'_, str> {
    if spelling == Spelling::Kept {
        return match text.strip_prefix('\\') {
            Some(name) if kind == TokenKind::Ident => with_greek(name).into(),
            _ => text.into(),
        };
    }
    match kind {
        TokenKind::Ident => normalise(text).into(),
        TokenKind::Star => "*".into(),
        TokenKind::LessEqual => "<=".into(),
        TokenKind::GreaterEqual => ">=".into(),
        TokenKind::NotEqual => "!=".into(),
        TokenKind::TransposeMark => ".T".into(),
        // What follows a raised number belongs to the whole power; after `^2` it would belong to the 2.
        TokenKind::Superscript if !next.is_some_and(goes_on) => {
            let digits = text.chars().filter_map(|c| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|raised| raised == c));
            format!("^{}", digits.map(|d| d.to_string()).collect::<String>()).into()
        }
        _ => text.into(),
    }
}

fn goes_on(kind: TokenKind) -> bool {
    use TokenKind::*;
    matches!(kind, LeftParen | LeftBracket | Dot | TransposeMark | Superscript | Prime)
}
