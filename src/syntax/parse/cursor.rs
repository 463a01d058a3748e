//! The parser's place in the token list: looking ahead, expecting, reporting, and skipping after an error.

use super::{Failed, Parsed};
use crate::source::{Code, Diagnostic, Span, codes};
use crate::syntax::ast::{MAX_HEIGHT, Name};
use crate::syntax::token::{MAX_ERRORS, Token, TokenKind, normalise};

pub(super) struct Parser<'a> {
    text: &'a str,
    /// All tokens, to find doc comments in.
    all: &'a [Token],
    /// The tokens the grammar sees, and an end token.
    tokens: Vec<Visible>,
    at: usize,
    /// Inside ( ) or [ ], where line ends mean nothing.
    pub(super) joined: bool,
    /// In the bounds of a `for`, where a `(` after a blank is no call.
    pub(super) bound: bool,
    depth: usize,
    /// The height of the expression or block that was parsed last.
    pub(super) height: usize,
    errors: Vec<Diagnostic>,
}

/// A token that is not trivia.
#[derive(Clone, Copy)]
struct Visible {
    kind: TokenKind,
    span: Span,
    /// Its index among all tokens.
    index: u32,
    starts_line: bool,
    /// For a bracket, the place of its partner among the visible tokens.
    partner: Option<u32>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, file: Span, all: &'a [Token]) -> Self {
        let mut tokens = Vec::new();
        let mut starts_line = true;
        for (index, token) in all.iter().enumerate() {
            if token.kind == TokenKind::Newline {
                starts_line = true;
            } else if !token.kind.is_trivia() && token.kind != TokenKind::Bad {
                tokens.push(Visible {
                    kind: token.kind,
                    span: token.span,
                    index: index as u32,
                    starts_line,
                    partner: None,
                });
                starts_line = false;
            }
        }
        let end = Span { start: file.end, ..file };
        tokens.push(Visible {
            kind: TokenKind::End,
            span: end,
            index: all.len() as u32,
            starts_line: true,
            partner: None,
        });
        pair_brackets(&mut tokens);
        Parser { text, all, tokens, at: 0, joined: false, bound: false, depth: 0, height: 0, errors: Vec::new() }
    }

    pub(super) fn into_errors(self) -> Vec<Diagnostic> {
        self.errors
    }

    fn token(&self, ahead: usize) -> &Visible {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + ahead).min(last)]
    }

    pub(super) fn kind(&self) -> TokenKind {
        self.token(0).kind
    }

    pub(super) fn kind_at(&self, ahead: usize) -> TokenKind {
        self.token(ahead).kind
    }

    pub(super) fn span(&self) -> Span {
        self.token(0).span
    }

    /// The span of the token before this one.
    pub(super) fn previous_span(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span
    }

    pub(super) fn previous_kind(&self) -> Option<TokenKind> {
        self.at.checked_sub(1).map(|at| self.tokens[at].kind)
    }

    pub(super) fn previous_is_word(&self, word: &str) -> bool {
        self.previous_kind() == Some(TokenKind::Ident) && self.source(self.previous_span()) == word
    }

    pub(super) fn text(&self) -> &'a str {
        self.text_at(0)
    }

    pub(super) fn text_at(&self, ahead: usize) -> &'a str {
        let span = self.token(ahead).span;
        &self.text[span.start as usize..span.end as usize]
    }

    pub(super) fn source(&self, span: Span) -> &'a str {
        &self.text[span.start as usize..span.end as usize]
    }

    pub(super) fn is(&self, kind: TokenKind) -> bool {
        self.kind() == kind
    }

    /// An identifier that is this word.
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    pub(super) fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        self.kind_at(ahead) == TokenKind::Ident && self.text_at(ahead) == word
    }

    /// The token `ahead` of this one is separated from the one before it by a line end that counts.
    pub(super) fn breaks_at(&self, ahead: usize) -> bool {
        self.token(ahead).starts_line && !self.joined
    }

    pub(super) fn breaks(&self) -> bool {
        self.breaks_at(0)
    }

    /// Whether this token starts a line of the text, inside brackets or not.
    pub(super) fn starts_line(&self) -> bool {
        self.token(0).starts_line
    }

    /// Whether the token before this one starts a line.
    pub(super) fn previous_starts_line(&self) -> bool {
        self.tokens[self.at.saturating_sub(1)].starts_line
    }

    /// A word at the very start of a line, where items stand by custom.
    pub(super) fn at_margin(&self) -> bool {
        let start = self.span().start as usize;
        self.is(TokenKind::Ident) && (start == 0 || self.text.as_bytes()[start - 1] == b'\n')
    }

    /// The token `ahead` of this one follows the one before it without a blank.
    pub(super) fn touches_at(&self, ahead: usize) -> bool {
        let place = (self.at + ahead).min(self.tokens.len() - 1);
        place > 0 && self.tokens[place - 1].span.end == self.tokens[place].span.start
    }

    /// The token `ahead` of this one opens a bracket, and `=` follows where the bracket closes.
    pub(super) fn partner_precedes_assign(&self, ahead: usize) -> bool {
        let after = self.token(ahead).partner.map(|partner| partner as usize + 1).filter(|after| *after > self.at);
        after.and_then(|place| self.tokens.get(place)).is_some_and(|token| token.kind == TokenKind::Assign)
    }

    pub(super) fn advance(&mut self) -> Span {
        let span = self.span();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        span
    }

    pub(super) fn accept(&mut self, kind: TokenKind) -> Option<Span> {
        self.is(kind).then(|| self.advance())
    }

    pub(super) fn accept_word(&mut self, word: &str) -> Option<Span> {
        self.is_word(word).then(|| self.advance())
    }

    pub(super) fn expect(&mut self, kind: TokenKind, help: &str) -> Parsed<Span> {
        match self.accept(kind) {
            Some(span) => Ok(span),
            None => Err(self.unexpected(&kind.to_string(), help)),
        }
    }

    pub(super) fn expect_word(&mut self, word: &str, help: &str) -> Parsed<Span> {
        match self.accept_word(word) {
            Some(span) => Ok(span),
            None => Err(self.unexpected(&format!("`{word}`"), help)),
        }
    }

    pub(super) fn expect_name(&mut self, what: &str, help: &str) -> Parsed<Name> {
        if self.is(TokenKind::Ident) {
            let text = normalise(self.text());
            return Ok(Name { text, span: self.advance() });
        }
        Err(self.unexpected(what, help))
    }

    /// Opens a bracket: line ends mean nothing until [`Parser::close`] (within braces they count again).
    pub(super) fn open(&mut self, kind: TokenKind, help: &str) -> Parsed<Opened> {
        let place = self.at;
        self.expect(kind, help)?;
        let opened = Opened { place, joined: self.joined };
        self.joined = kind != TokenKind::LeftBrace;
        Ok(opened)
    }

    /// Closes the bracket or says what is missing; `expected` lists what else could have stood there.
    pub(super) fn close(&mut self, opened: &Opened, expected: &str, help: &str) -> Parsed<Span> {
        let open = self.tokens[opened.place];
        let kind = match open.kind {
            TokenKind::LeftParen => TokenKind::RightParen,
            TokenKind::LeftBracket => TokenKind::RightBracket,
            _ => TokenKind::RightBrace,
        };
        if let Some(span) = self.accept(kind) {
            self.joined = opened.joined;
            return Ok(span);
        }
        if open.partner.is_none() {
            // Brackets that are all open at the same place are one mistake, told once.
            let told = self.errors.last().is_some_and(|error| {
                error.code == codes::UNCLOSED_DELIMITER && error.labels.iter().any(|label| label.span == self.span())
            });
            if told {
                return Err(Failed);
            }
            let label = format!("found {} before the closing {kind}", self.found());
            let error = Diagnostic::new(codes::UNCLOSED_DELIMITER, format!("this {} is never closed", open.kind))
                .at(open.span, "opened here")
                .at(self.span(), label)
                .help(format!("add {kind}"));
            return Err(self.report(error));
        }
        let expected = if expected.is_empty() { kind.to_string() } else { format!("{expected} or {kind}") };
        Err(self.unexpected(&expected, help))
    }

    /// Restores how line ends are treated after an error within a list.
    pub(super) fn rejoin(&mut self, opened: &Opened) {
        self.joined = self.tokens[opened.place].kind != TokenKind::LeftBrace;
    }

    /// What stands here, for a message.
    pub(super) fn found(&self) -> String {
        match self.kind() {
            TokenKind::Ident | TokenKind::Int | TokenKind::Float | TokenKind::Superscript => {
                let shown: String = self.text().chars().take(40).collect();
                format!("`{shown}`")
            }
            kind => kind.to_string(),
        }
    }

    /// Where something is missing: right after the last token if this one is on a later line, else here.
    pub(super) fn gap(&self) -> Span {
        if self.at == 0 || !self.starts_line() {
            return self.span();
        }
        let end = self.previous_span().end;
        Span { start: end, end, ..self.span() }
    }

    pub(super) fn unexpected(&mut self, expected: &str, help: &str) -> Failed {
        let ends_line = self.breaks() && self.at > 0 && self.kind() != TokenKind::End;
        let found = if ends_line { "the end of the line".to_string() } else { self.found() };
        let span = if ends_line { self.gap() } else { self.span() };
        self.unexpected_at(expected, &found, span, help)
    }

    /// As [`Parser::unexpected`], for a token that is wrong at the start of its line.
    pub(super) fn unexpected_here(&mut self, expected: &str, help: &str) -> Failed {
        let found = self.found();
        self.unexpected_at(expected, &found, self.span(), help)
    }

    fn unexpected_at(&mut self, expected: &str, found: &str, span: Span, help: &str) -> Failed {
        // What stands in the way may be a character that has been reported already.
        let start = if self.at == 0 { 0 } else { self.tokens[self.at - 1].index as usize };
        if self.all[start..self.token(0).index as usize].iter().any(|token| token.kind == TokenKind::Bad) {
            return Failed;
        }
        let mut error = Diagnostic::new(codes::UNEXPECTED_TOKEN, format!("expected {expected}, found {found}"))
            .at(span, format!("expected {expected}"));
        let foreign = if span == self.span() { self.foreign() } else { None };
        if let Some(help) = foreign.or((!help.is_empty()).then_some(help)) {
            error = error.help(help);
        }
        self.report(error)
    }

    pub(super) fn error(&mut self, code: Code, message: &str, span: Span, label: &str, help: &str) -> Failed {
        self.report(Diagnostic::new(code, message).at(span, label).help(help))
    }

    pub(super) fn report(&mut self, error: Diagnostic) -> Failed {
        // One more than is shown tells that there are more.
        if self.errors.len() <= MAX_ERRORS {
            self.errors.push(error);
        }
        Failed
    }

    /// Runs a rule one level deeper, or refuses.
    pub(super) fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_HEIGHT {
            return Err(self.too_deep(self.span()));
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }

    /// Records the height of a tree whose highest part has height `below`, or refuses it.
    pub(super) fn grow(&mut self, below: usize) -> Parsed<()> {
        self.height = below + 1;
        if self.height > MAX_HEIGHT {
            return Err(self.too_deep(self.previous_span()));
        }
        Ok(())
    }

    fn too_deep(&mut self, span: Span) -> Failed {
        let message = format!("this is nested more than {MAX_HEIGHT} levels deep");
        self.error(
            codes::NESTED_TOO_DEEP,
            &message,
            span,
            "here it becomes too deep",
            "give parts of it their own names",
        )
    }

    /// The `##` lines directly above the current token.
    pub(super) fn doc(&self) -> Vec<String> {
        let end = self.token(0).index as usize;
        let start = if self.at == 0 { 0 } else { self.tokens[self.at - 1].index as usize + 1 };
        let mut lines = Vec::new();
        let mut own_line = self.at == 0;
        for token in &self.all[start..end] {
            match token.kind {
                TokenKind::Newline => own_line = true,
                TokenKind::DocComment if own_line => {
                    let text = &self.text[token.span.start as usize..token.span.end as usize];
                    let text = text.trim_start_matches('#');
                    lines.push(text.strip_prefix(' ').unwrap_or(text).trim_end().to_string());
                }
                _ => {}
            }
        }
        lines
    }

    /// After an error: moves past the rest of the broken element to where `stop` holds at the start of a line,
    /// to a `;`, or to the `}` that ends the list. Bracketed parts are passed over whole.
    pub(super) fn skip(&mut self, from: usize, stop: impl Fn(&Self) -> bool) {
        let mut first = self.at == from;
        loop {
            let token = *self.token(0);
            match token.kind {
                TokenKind::End | TokenKind::RightBrace | TokenKind::Semicolon => return,
                _ if !first && token.starts_line && stop(self) => return,
                TokenKind::LeftParen | TokenKind::LeftBracket | TokenKind::LeftBrace => {
                    self.at = token.partner.map_or(self.at, |partner| self.at.max(partner as usize));
                }
                _ => {}
            }
            first = false;
            self.advance();
        }
    }

    pub(super) fn place(&self) -> usize {
        self.at
    }
}

/// An open bracket, to be closed.
pub(super) struct Opened {
    place: usize,
    joined: bool,
}

/// Finds each bracket's partner. A closing bracket looks past unclosed ones of other kinds only if its own
/// partner is there: `{ ( }` pairs the braces and leaves the parenthesis alone.
fn pair_brackets(tokens: &mut [Visible]) {
    let mut open: Vec<usize> = Vec::new();
    let mut counts = [0usize; 3];
    for place in 0..tokens.len() {
        let (column, opens) = match tokens[place].kind {
            TokenKind::LeftParen => (0, true),
            TokenKind::LeftBracket => (1, true),
            TokenKind::LeftBrace => (2, true),
            TokenKind::RightParen => (0, false),
            TokenKind::RightBracket => (1, false),
            TokenKind::RightBrace => (2, false),
            _ => continue,
        };
        if opens {
            open.push(place);
            counts[column] += 1;
            continue;
        }
        // A brace may close over forgotten parentheses, but a parenthesis never over a brace.
        while counts[column] > 0 {
            let Some(&candidate) = open.last() else { break };
            let candidate_column = match tokens[candidate].kind {
                TokenKind::LeftParen => 0,
                TokenKind::LeftBracket => 1,
                _ => 2,
            };
            if candidate_column == 2 && column != 2 {
                break;
            }
            open.pop();
            counts[candidate_column] -= 1;
            if candidate_column == column {
                tokens[candidate].partner = Some(place as u32);
                tokens[place].partner = Some(candidate as u32);
                break;
            }
        }
    }
}
