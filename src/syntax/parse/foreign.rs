//! What other languages write in the place of an error, and what is written here instead.
//!
//! Input: the tokens around the one that does not fit. Output: a help line, if the place looks like a habit from elsewhere.
//! Invariant: nothing here decides what is accepted.

use super::cursor::Parser;
use crate::syntax::token::TokenKind;

const CHOICE: &str = "a choice is written `if c then a else b`, or with blocks `if c then { … } else { … }`";

const COMMENT: &str = "a comment starts with `#` and ends with the line";

impl Parser<'_> {
    /// Help about the token that does not fit, by what stands next to it.
    pub(super) fn foreign(&self) -> Option<&'static str> {
        use TokenKind::*;
        let pair = |first, second| self.kind() == second && self.touches_at(0) && self.previous_kind() == Some(first);
        let opens = |second| self.kind_at(1) == second && self.touches_at(1);
        Some(match self.kind() {
            _ if pair(Assign, Greater) => "write `->` before the type of a result; a body follows `=` alone",
            _ if pair(Less, Greater) => "write `!=`",
            _ if pair(Star, Star) => "powers are written `x^2`",
            _ if pair(Slash, Slash) => "`a / b` rounded down is `floor(a / b)`; a comment starts with `#`",
            _ if pair(Slash, Star) => COMMENT,
            Colon if opens(Assign) => "write `=`: definitions are equations",
            Prime => "texts stand in `\"`",
            Percent => "what is left of `a / b` is `a - b * floor(a / b)`; a share is a number, as in `0.5`",
            If => CHOICE,
            Ident if self.is_word("elif") || self.is_word("elseif") => "write `else if c then b`",
            Ident if self.previous_is_word("lambda") => "functions have names: define `fn g(a) = a + 1` and pass `g`",
            _ => return None,
        })
    }

    /// Help where the condition of an `if` ends without `then`.
    pub(super) fn foreign_then(&self) -> &'static str {
        match self.kind() {
            TokenKind::Assign => "equality is tested with `==`",
            TokenKind::Colon => "there is no `:` here: a choice is written `if c then a else b`",
            _ => CHOICE,
        }
    }

    /// `x[:, 0]`, `x[0, :]`
    pub(super) fn slices(&self) -> bool {
        match self.previous_kind() {
            Some(TokenKind::LeftBracket) => true,
            Some(TokenKind::Comma) => matches!(self.kind_at(1), TokenKind::RightBracket | TokenKind::Comma),
            _ => false,
        }
    }

    /// Help between `[ ]` after a value.
    pub(super) fn foreign_slice(&self) -> &'static str {
        match self.kind() {
            TokenKind::Colon => {
                "pieces of an axis come from `split(x, [2, 6] over D)`, single places from an index, `x[y]`"
            }
            _ => "indices are separated by `,`",
        }
    }

    /// Help where an item should start.
    pub(super) fn foreign_item(&self, word: &str) -> &'static str {
        match word {
            "def" | "function" | "func" | "fun" | "lambda" => "functions are written `fn name(x) = …`",
            "let" | "const" | "var" | "set" => "a constant is written `name = 0.5`, a function `fn name(x) = …`",
            "model" | "network" | "class" | "module" => "networks are written `net name(x: [N, 64]) -> [N, 10] { … }`",
            "import" | "include" | "from" | "require" => {
                "the library's definitions are there without an import; those of another file by `use \"file.dl\"`"
            }
            "dataset" | "load" => "data is declared `data digits = csv(\"digits.csv\", target: label)`",
            "print" => "there is nothing to print: what `measure` names in `train` is reported",
            "for" | "while" | "if" | "return" => "this belongs in the body of a definition, `fn name(x) { … }`",
            "minimize" | "maximize" | "using" | "epochs" | "measure" => {
                "the clauses of training stand in braces: `train { … }`"
            }
            _ => match self.kind() {
                TokenKind::Slash | TokenKind::Str | TokenKind::Prime | TokenKind::Minus => COMMENT,
                TokenKind::At => "definitions have no decorators",
                TokenKind::If | TokenKind::For | TokenKind::When => {
                    "this belongs in the body of a definition, `fn name(x) { … }`"
                }
                _ => {
                    "an item is a definition (`fn`, `layer`, `net`, `loss`, …), `data`, `split`, `standardize`, `train` or a \
                     constant `name = …`"
                }
            },
        }
    }

    /// Help for a word that is no type, or for one in the place of a body.
    pub(super) fn foreign_type(&self) -> Option<&'static str> {
        Some(match self.text() {
            "float" | "Float" | "scalar" | "number" | "real" | "double" | "f32" | "f64" => {
                "a single number is `[]`, a vector of them `[N]`"
            }
            "Tensor" | "tensor" | "array" | "Array" | "ndarray" | "vector" | "matrix" | "Matrix" | "Vector" => {
                "a tensor's type is its axes: `[N, 64]`, or `[]` for a single number"
            }
            "str" | "string" | "String" => "texts stand in `data` and `use` only: they are no values of a definition",
            "boolean" | "Bool" => "truth values are `bool[N]`, a single one `bool`",
            "integer" | "Int" | "long" | "i32" | "i64" => "integers are `int[N]`, a single one `int`",
            word if word.chars().all(|c| c.is_uppercase()) => "axes stand in brackets: `[N, D]`",
            _ if self.previous_kind() == Some(TokenKind::Arrow) => {
                "after `->` stands the type of the result, as in `[N, 10]`; the body follows `=`"
            }
            _ => return None,
        })
    }
}
