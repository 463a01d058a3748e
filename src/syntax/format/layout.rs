//! Indentation, and the blanks within lines.
//!
//! A line stands four columns in from the line that opened the innermost bracket around it, however many brackets that
//! line opened; one that goes on with the line before stands four columns further in, or below the clause's body.

use super::spacing::{Before, Context, space};
use super::{Line, Place, align};
use crate::syntax::parse::continues_line;
use crate::syntax::token::TokenKind;
use TokenKind::*;
use std::collections::BTreeMap;

const STEP: usize = 4;

/// An open bracket.
struct Open {
    kind: TokenKind,
    /// The indentation of what stands inside, on lines of its own.
    inner: usize,
    /// For braces around clauses, their number.
    clauses: Option<usize>,
    /// The indentation of the last line that began directly inside.
    current: usize,
}

pub(super) fn indent(lines: &mut [Line]) {
    // The first walk finds the clauses, the second knows how wide their words are.
    let mut widths = BTreeMap::new();
    for _ in 0..2 {
        walk(lines, widths);
        widths = align::clause_widths(lines);
    }
}

/// `widths`: of the widest word of each list of clauses.
fn walk(lines: &mut [Line], widths: BTreeMap<usize, usize>) {
    let mut walk = Walk { open: Vec::new(), top: 0, before: Before::Nothing, last: None, lists: 0, widths };
    // Comments wait for the line that tells where they stand.
    let mut waiting = 0;
    for k in 0..lines.len() {
        if lines[k].code.is_empty() {
            waiting += 1;
            continue;
        }
        let inner = walk.open.last().map_or(0, |open| open.inner);
        walk.line(&mut lines[k]);
        let closes = matches!(lines[k].code[0].kind, RightBrace | RightParen | RightBracket);
        let indent = if closes { inner } else { lines[k].indent };
        lines[k - waiting..k].iter_mut().for_each(|comment| comment.indent = indent);
        waiting = 0;
    }
}

struct Walk {
    open: Vec<Open>,
    /// The indentation of the last line that began outside all brackets.
    top: usize,
    /// What the last token is to the next.
    before: Before,
    last: Option<TokenKind>,
    /// How many lists of clauses have begun.
    lists: usize,
    widths: BTreeMap<usize, usize>,
}

impl Walk {
    fn line(&mut self, line: &mut Line) {
        let first = line.code[0].kind;
        let closing = line.code.iter().take_while(|p| closes(p.kind)).count().min(self.open.len());
        let depth = self.open.len() - closing;
        let joined = self.open.last().is_some_and(|open| open.kind != LeftBrace);
        let inner = self.open.last().map_or(0, |open| open.inner);
        line.place = Place::Within;
        line.indent = if closing > 0 {
            self.open[depth].inner.saturating_sub(STEP)
        } else if joined {
            line.place = Place::Start;
            inner
        } else if self.goes_on(first) {
            let clauses = self.open.last().and_then(|open| open.clauses);
            let brace = matches!(first, LeftBrace) || (matches!(first, Else | Then) && self.last == Some(RightBrace));
            let width = clauses.and_then(|list| self.widths.get(&list));
            inner + if brace { 0 } else { width.map_or(STEP, |width| width + 1) }
        } else {
            line.place = match self.open.last().and_then(|open| open.clauses) {
                Some(list) => Place::Clause(list),
                None => Place::Start,
            };
            inner
        };
        if self.requires(line) {
            // What follows in braces stands below the definition.
            line.place = Place::Within;
            line.indent = STEP;
        } else {
            match depth.checked_sub(1) {
                Some(k) => self.open[k].current = line.indent,
                None => self.top = line.indent,
            }
        }
        self.tokens(line, joined);
    }

    /// Whether a line says what the definition begun before it requires.
    fn requires(&self, line: &Line) -> bool {
        let word = &line.code[0];
        let constant = line.code.get(1).is_some_and(|next| next.kind == Assign);
        let signature = matches!(self.last, Some(RightParen | RightBracket | Ident));
        word.kind == Ident && word.text == "requires" && self.open.is_empty() && signature && !constant
    }

    /// Whether a line that begins so goes on with the line before it.
    fn goes_on(&self, first: TokenKind) -> bool {
        let unfinished = match self.last {
            None | Some(LeftBrace | Semicolon) => false,
            Some(Comma | Colon | Dot | Not | If | Then | Else | When | Over | For) => true,
            Some(_) => matches!(self.before, Before::Loose | Before::Tight | Before::Prefix),
        };
        let begins = continues_line(first) || matches!(first, Then | Else | Over | Arrow | Assign | LeftBrace);
        self.last.is_some() && !matches!(self.last, Some(LeftBrace | Semicolon)) && (unfinished || begins)
    }

    /// Sets the gaps of a line and follows its brackets.
    fn tokens(&mut self, line: &mut Line, joined: bool) {
        let clause = matches!(line.place, Place::Clause(_));
        let mut head = clause;
        for k in 0..line.code.len() {
            let kind = line.code[k].kind;
            let context = Context {
                inside: self.open.last().map(|open| open.kind),
                after_clause_word: head
                    && k > 0
                    && line.code[k - 1].kind == Ident
                    && (k == 1 || matches!(line.code[k - 2].kind, Semicolon | LeftBrace)),
                joined: joined || self.last.is_some_and(|_| k == 0 && line.place == Place::Within),
            };
            self.before = space(line, k, self.before, &context);
            self.last = Some(kind);
            match kind {
                LeftParen | LeftBracket | LeftBrace => head |= self.push(line, k),
                RightParen | RightBracket | RightBrace => drop(self.open.pop()),
                _ => {}
            }
        }
    }

    /// Whether the bracket opens a list of clauses.
    fn push(&mut self, line: &Line, k: usize) -> bool {
        let kind = line.code[k].kind;
        let current = self.open.last().map_or(self.top, |open| open.current);
        let clauses = kind == LeftBrace && self.begins_clauses(line, k);
        self.lists += usize::from(clauses);
        let clauses = clauses.then_some(self.lists);
        self.open.push(Open { kind, inner: current + STEP, clauses, current });
        clauses.is_some()
    }

    /// Whether the brace opens a list of clauses: only words stand before it, and it stands among items or clauses.
    fn begins_clauses(&self, line: &Line, k: usize) -> bool {
        let outside = self.open.last().is_none_or(|open| open.clauses.is_some());
        let words = line.code[..k].iter().all(|p| matches!(p.kind, Ident | Int | Comma));
        outside && k > 0 && words && line.place != Place::Within
    }
}

fn closes(kind: TokenKind) -> bool {
    matches!(kind, RightParen | RightBracket | RightBrace)
}
