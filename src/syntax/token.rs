//! Text to tokens.
//!
//! Input: the text of one file. Output: a list of tokens that covers it without gap or overlap, white space
//! and comments included, so the text can be put together again from it; and diagnostics for what is no
//! token (kept as [`TokenKind::Bad`]). Reserved words are tokens of their own; words that mean something only
//! in one place (`param`, `minimize`, `train`, …) are identifiers, so they stay usable as names.

use crate::source::{Diagnostic, FileId, Span, codes};
use logos::Logos;
use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    pub kind: TokenKind,
    pub span: Span,
}

#[derive(Logos, Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TokenKind {
    /// Blanks within a line; also byte-order marks and stray carriage returns.
    #[regex("[ \t\r\u{c}\u{a0}\u{feff}]+")]
    Space,
    #[token("\n")]
    #[token("\r\n")]
    Newline,
    #[regex("#[^#\r\n][^\r\n]*", allow_greedy = true)]
    #[token("#")]
    Comment,
    #[regex("##[^\r\n]*", allow_greedy = true)]
    DocComment,

    #[regex(r"[\p{L}_--[ᵀ]][\p{L}\p{Nd}_--[ᵀ]]*")]
    #[token("∇")]
    #[regex(r"\\[A-Za-z][\p{L}\p{Nd}_--[ᵀ]]*", |lexer| spelled_letter(&lexer.slice()[1..]).is_some())]
    Ident,
    #[regex("[0-9]+")]
    Int,
    #[regex(r"[0-9]+\.[0-9]+([eE][+-]?[0-9]+)?")]
    #[regex(r"[0-9]+[eE][+-]?[0-9]+")]
    Float,
    #[regex(r#""([^"\\\r\n]|\\[^\r\n])*""#)]
    Str,
    #[regex(r#""([^"\\\r\n]|\\[^\r\n])*"#)]
    UnterminatedStr,

    #[token("if")]
    If,
    #[token("then")]
    Then,
    #[token("else")]
    Else,
    #[token("when")]
    When,
    #[token("and")]
    And,
    #[token("or")]
    Or,
    #[token("not")]
    Not,
    #[token("over")]
    Over,
    #[token("for")]
    For,
    #[token("true")]
    True,
    #[token("false")]
    False,

    #[token("(")]
    LeftParen,
    #[token(")")]
    RightParen,
    #[token("[")]
    LeftBracket,
    #[token("]")]
    RightBracket,
    #[token("{")]
    LeftBrace,
    #[token("}")]
    RightBrace,
    #[token(",")]
    Comma,
    #[token(";")]
    Semicolon,
    #[token(":")]
    Colon,
    #[token(".")]
    Dot,
    #[token("..")]
    DotDot,
    #[token("'")]
    Prime,
    #[token("ᵀ")]
    TransposeMark,
    #[regex("[⁰¹²³⁴⁵⁶⁷⁸⁹]+")]
    Superscript,
    #[token("%")]
    Percent,
    #[token("=")]
    Assign,
    #[token("->")]
    Arrow,
    #[token("|>")]
    Pipe,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    #[token("·")]
    #[token("⊙")]
    Star,
    #[token("/")]
    Slash,
    #[token("@")]
    At,
    #[token("^")]
    Caret,
    #[token("<")]
    Less,
    #[token("<=")]
    #[token("≤")]
    LessEqual,
    #[token(">")]
    Greater,
    #[token(">=")]
    #[token("≥")]
    GreaterEqual,
    #[token("==")]
    EqualEqual,
    #[token("!=")]
    #[token("≠")]
    NotEqual,

    /// Characters that belong to no token; already reported.
    Bad,
    /// The end of the text; empty. Only the parser's token list has it.
    End,
}

impl TokenKind {
    /// Blanks, line ends and comments, which the grammar does not see.
    pub fn is_trivia(self) -> bool {
        matches!(self, TokenKind::Space | TokenKind::Newline | TokenKind::Comment | TokenKind::DocComment)
    }
}

/// How a message calls the token.
impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenKind::Space => "a blank",
            TokenKind::Newline => "the end of the line",
            TokenKind::Comment | TokenKind::DocComment => "a comment",
            TokenKind::Ident => "a name",
            TokenKind::Int | TokenKind::Float => "a number",
            TokenKind::Str | TokenKind::UnterminatedStr => "a text",
            TokenKind::If => "`if`",
            TokenKind::Then => "`then`",
            TokenKind::Else => "`else`",
            TokenKind::When => "`when`",
            TokenKind::And => "`and`",
            TokenKind::Or => "`or`",
            TokenKind::Not => "`not`",
            TokenKind::Over => "`over`",
            TokenKind::For => "`for`",
            TokenKind::True => "`true`",
            TokenKind::False => "`false`",
            TokenKind::LeftParen => "`(`",
            TokenKind::RightParen => "`)`",
            TokenKind::LeftBracket => "`[`",
            TokenKind::RightBracket => "`]`",
            TokenKind::LeftBrace => "`{`",
            TokenKind::RightBrace => "`}`",
            TokenKind::Comma => "`,`",
            TokenKind::Semicolon => "`;`",
            TokenKind::Colon => "`:`",
            TokenKind::Dot => "`.`",
            TokenKind::DotDot => "`..`",
            TokenKind::Prime => "`'`",
            TokenKind::TransposeMark => "`ᵀ`",
            TokenKind::Superscript => "a raised number",
            TokenKind::Percent => "`%`",
            TokenKind::Assign => "`=`",
            TokenKind::Arrow => "`->`",
            TokenKind::Pipe => "`|>`",
            TokenKind::Plus => "`+`",
            TokenKind::Minus => "`-`",
            TokenKind::Star => "`*`",
            TokenKind::Slash => "`/`",
            TokenKind::At => "`@`",
            TokenKind::Caret => "`^`",
            TokenKind::Less => "`<`",
            TokenKind::LessEqual => "`<=`",
            TokenKind::Greater => "`>`",
            TokenKind::GreaterEqual => "`>=`",
            TokenKind::EqualEqual => "`==`",
            TokenKind::NotEqual => "`!=`",
            TokenKind::Bad => "an unknown character",
            TokenKind::End => "the end of the file",
        })
    }
}

/// The most diagnostics reported for one file.
pub(super) const MAX_ERRORS: usize = 100;

/// The tokens of a text, and a diagnostic for each run of characters that is none, up to one more than
/// `MAX_ERRORS`.
pub fn tokenize(file: FileId, text: &str) -> (Vec<Token>, Vec<Diagnostic>) {
    let mut tokens: Vec<Token> = Vec::new();
    let mut errors = Vec::new();
    for (kind, range) in TokenKind::lexer(text).spanned() {
        let span = Span::new(file, range.start, range.end);
        match kind {
            Ok(kind) => {
                if kind == TokenKind::UnterminatedStr && errors.len() <= MAX_ERRORS {
                    errors.push(
                        Diagnostic::new(codes::UNTERMINATED_STRING, "this text does not end")
                            .at(span, "starts here and runs to the end of the line")
                            .help("close it with `\"` on the same line"),
                    );
                }
                tokens.push(Token { kind, span });
            }
            Err(()) => match tokens.last_mut() {
                Some(last) if last.kind == TokenKind::Bad => last.span.end = span.end,
                _ => tokens.push(Token { kind: TokenKind::Bad, span }),
            },
        }
    }
    for token in tokens.iter().filter(|token| token.kind == TokenKind::Bad).take(MAX_ERRORS + 1) {
        errors.push(bad_characters(token.span, &text[token.span.start as usize..token.span.end as usize]));
    }
    errors.sort_by_key(|error| error.labels.first().map(|label| label.span.start));
    (tokens, errors)
}

fn bad_characters(span: Span, text: &str) -> Diagnostic {
    let shown: String = text.chars().take(8).flat_map(char::escape_debug).collect();
    let more = if text.chars().count() > 8 { "…" } else { "" };
    let help = match text.chars().next() {
        Some('×' | '∗' | '⋅') => "write `*`",
        Some('−' | '–' | '—') => "write `-`, the one on the keyboard",
        Some('÷' | '∕') => "write `/`",
        Some('→') => "write `->`",
        Some('←') => "write `=`: definitions are equations",
        Some('“' | '”' | '„' | '«' | '»' | '`') => "write `\"` around texts",
        Some('’' | '′' | '‘') => "write `'` for the value after the step",
        Some('&' | '∧') => "write `and`",
        Some('|') if text == "||" => "write `or`",
        Some('|') => "write `abs(…)` for a magnitude, `or` between truth values, `|>` for a pipe",
        Some('∨') => "write `or`",
        Some('‖' | '∥') => "write `norm(…)`",
        Some('!' | '¬') => "write `not`",
        Some('∑') => "write `sum`",
        Some('√') => "write `sqrt(…)`",
        Some('\\') => return latex(span, text),
        Some('∂') => "write `grad(e, x)`",
        Some('∈') => "write `in`, or a type after `:`",
        Some('\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}') => "remove it: it does not show",
        Some('；' | '，' | '（' | '）' | '：' | '＝') => "write the one of the Latin keyboard",
        Some('?') => "remove it; a choice is written `if c then a else b`",
        Some('$' | '~') => "remove it",
        Some(c) if c.is_numeric() => "write `_1` instead of a lowered or unusual digit",
        _ => "names are made of letters, digits and `_`",
    };
    Diagnostic::new(codes::UNEXPECTED_CHARACTER, format!("`{shown}{more}` has no meaning here"))
        .at(span, "not part of the language")
        .help(help)
}

/// A word of LaTeX that is no Greek letter.
fn latex(span: Span, text: &str) -> Diagnostic {
    let help = match text.trim_start_matches('\\') {
        "frac" | "dfrac" | "tfrac" => "a fraction is written `a / b`",
        "sum" => "write `sum(x over N)`, or `sum(i) x[i]`",
        "prod" | "int" | "lim" => "there is no sign for this; it is computed by a definition",
        "sqrt" => "write `sqrt(…)`",
        "exp" | "log" | "max" | "min" | "tanh" | "sin" | "cos" => "write it without `\\`",
        "ln" => "write `log(…)`",
        "cdot" | "times" | "odot" => "write `*`",
        "partial" => "write `grad(e, x)`",
        "top" => "write `A.T`",
        "leq" | "le" => "write `<=`",
        "geq" | "ge" => "write `>=`",
        "neq" | "ne" => "write `!=`",
        "left" | "right" | "big" | "mathbf" | "boldsymbol" | "mathrm" | "text" => "remove it",
        _ => "after `\\` stands a Greek letter's name, as in `\\theta`",
    };
    let shown: String = text.chars().take(20).collect();
    Diagnostic::new(codes::UNEXPECTED_CHARACTER, format!("`{shown}` has no meaning here"))
        .at(span, "not part of the language")
        .help(help)
}

/// The name an identifier stands for: Greek letters by their ASCII spelling, `∇` as `grad`; `\theta` is `theta`.
pub fn normalise(identifier: &str) -> String {
    if let Some(name) = identifier.strip_prefix('\\') {
        return normalise(&with_greek(name));
    }
    let mut name = String::with_capacity(identifier.len());
    for letter in identifier.chars() {
        match greek(letter) {
            Some(spelled) => name.push_str(spelled),
            None => name.push(letter),
        }
    }
    name
}

/// A name that begins with a spelled letter, `theta_1`, with the letter itself: `θ_1`.
pub(super) fn with_greek(name: &str) -> String {
    match spelled_letter(name) {
        Some((letter, rest)) => format!("{letter}{rest}"),
        None => name.to_string(),
    }
}

/// The letter whose name a text begins with, and the rest of the text.
fn spelled_letter(text: &str) -> Option<(char, &str)> {
    // `∇` is a name of its own and begins none.
    if text == "nabla" {
        return Some(('∇', ""));
    }
    let letters = "αβγδεζηθικλμνξοπρστυφχψωΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ".chars();
    let spelled = letters.filter_map(|letter| Some((letter, text.strip_prefix(greek(letter)?)?)));
    spelled.min_by_key(|(_, rest)| rest.len())
}

fn greek(letter: char) -> Option<&'static str> {
    Some(match letter {
        '∇' => "grad",
        'α' => "alpha",
        'β' => "beta",
        'γ' => "gamma",
        'δ' => "delta",
        'ε' | 'ϵ' => "epsilon",
        'ζ' => "zeta",
        'η' => "eta",
        'θ' | 'ϑ' => "theta",
        'ι' => "iota",
        'κ' | 'ϰ' => "kappa",
        'λ' => "lambda",
        'μ' | 'µ' => "mu",
        'ν' => "nu",
        'ξ' => "xi",
        'ο' => "omicron",
        'π' | 'ϖ' => "pi",
        'ρ' | 'ϱ' => "rho",
        'σ' | 'ς' => "sigma",
        'τ' => "tau",
        'υ' => "upsilon",
        'φ' | 'ϕ' => "phi",
        'χ' => "chi",
        'ψ' => "psi",
        'ω' => "omega",
        'Α' => "Alpha",
        'Β' => "Beta",
        'Γ' => "Gamma",
        'Δ' => "Delta",
        'Ε' => "Epsilon",
        'Ζ' => "Zeta",
        'Η' => "Eta",
        'Θ' => "Theta",
        'Ι' => "Iota",
        'Κ' => "Kappa",
        'Λ' => "Lambda",
        'Μ' => "Mu",
        'Ν' => "Nu",
        'Ξ' => "Xi",
        'Ο' => "Omicron",
        'Π' => "Pi",
        'Ρ' => "Rho",
        'Σ' => "Sigma",
        'Τ' => "Tau",
        'Υ' => "Upsilon",
        'Φ' => "Phi",
        'Χ' => "Chi",
        'Ψ' => "Psi",
        'Ω' => "Omega",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        let (tokens, errors) = tokenize(FileId(0), text);
        assert!(errors.is_empty(), "{errors:?}");
        tokens.iter().map(|token| token.kind).filter(|kind| !kind.is_trivia()).collect()
    }

    #[test]
    fn both_spellings_of_an_operator_are_one_token() {
        assert_eq!(kinds("a ≤ b ≥ c ≠ d · e ⊙ f"), kinds("a <= b >= c != d * e * f"));
    }

    #[test]
    fn marks_after_a_name_are_not_part_of_it() {
        use TokenKind::*;
        assert_eq!(
            kinds("Wᵀ x' x² x¹² a.T"),
            [Ident, TransposeMark, Ident, Prime, Ident, Superscript, Ident, Superscript, Ident, Dot, Ident]
        );
    }

    #[test]
    fn numbers_leave_dots_alone() {
        use TokenKind::*;
        assert_eq!(kinds("1..20 1.5 1e-4 2.5E+3 x.1"), [Int, DotDot, Int, Float, Float, Float, Ident, Dot, Int]);
    }

    #[test]
    fn comments_and_line_ends() {
        use TokenKind::*;
        let (tokens, _) = tokenize(FileId(0), "# a\r\n## b\n#\n### c");
        let kinds: Vec<_> = tokens.iter().map(|token| token.kind).collect();
        assert_eq!(kinds, [Comment, Newline, DocComment, Newline, Comment, Newline, DocComment]);
    }

    #[test]
    fn greek_and_ascii_names_are_equal() {
        for (greek, ascii) in [("θ", "theta"), ("∇", "grad"), ("θ_1", "theta_1"), ("Δw", "Deltaw"), ("µ", "mu")] {
            assert_eq!(normalise(greek), ascii);
            assert_eq!(kinds(greek), [TokenKind::Ident]);
        }
    }

    #[test]
    fn greek_letters_can_be_spelled_out() {
        for (spelled, greek) in [
            ("\\theta", "θ"),
            ("\\nabla", "∇"),
            ("\\theta_1", "θ_1"),
            ("\\Deltaw", "Δw"),
            ("\\psi", "ψ"),
            ("\\etas", "ηs"),
        ] {
            assert_eq!(with_greek(&spelled[1..]), greek);
            assert_eq!(normalise(spelled), normalise(greek));
            assert_eq!(kinds(spelled), [TokenKind::Ident]);
        }
        let (_, errors) = tokenize(FileId(0), "\\foo + \\1 + \\nablam");
        assert_eq!(errors.len(), 3);
    }

    #[test]
    fn a_run_of_bad_characters_is_one_error() {
        let (tokens, errors) = tokenize(FileId(0), "a $$$ b “c");
        assert_eq!(errors.len(), 2);
        assert_eq!(tokens.iter().filter(|token| token.kind == TokenKind::Bad).count(), 2);
    }

    proptest! {
        #[test]
        fn tokens_cover_the_text(text in "(\\PC|[ \r\n\t#'\"θ²ᵀ.0-9a-z])*") {
            let (tokens, _) = tokenize(FileId(0), &text);
            let mut end = 0;
            for token in tokens {
                prop_assert_eq!(token.span.start, end);
                prop_assert!(token.span.end > token.span.start);
                prop_assert!(text.is_char_boundary(token.span.end as usize));
                end = token.span.end;
            }
            prop_assert_eq!(end as usize, text.len());
        }
    }
}
