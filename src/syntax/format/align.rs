//! Columns: bodies of clauses, equations and comments that stand one below the other.

use super::{Line, Place};
use crate::syntax::token::TokenKind;
use std::collections::BTreeMap;

/// Blanks before a comment at the end of a line.
const COMMENT_GAP: usize = 2;

pub(super) fn align(lines: &mut [Line]) {
    clauses(lines);
    for cell in [annotation, assignment] {
        cells(lines, cell);
    }
    comments(lines);
}

/// The width of the widest word that begins a clause, for each list.
pub(super) fn clause_widths(lines: &[Line]) -> BTreeMap<usize, usize> {
    let mut widths: BTreeMap<usize, usize> = BTreeMap::new();
    for (list, width) in lines.iter().filter_map(clause_word) {
        let widest = widths.entry(list).or_default();
        *widest = width.max(*widest);
    }
    widths
}

/// The bodies of one list's clauses begin in one column.
fn clauses(lines: &mut [Line]) {
    let widths = clause_widths(lines);
    for line in lines {
        if let Some((list, width)) = clause_word(line) {
            line.code[1].gap = 1 + widths[&list] - width;
        }
    }
}

/// The list and the width of the word that begins a clause on one line.
fn clause_word(line: &Line) -> Option<(usize, usize)> {
    let Place::Clause(list) = line.place else { return None };
    let [word, second, ..] = line.code.as_slice() else { return None };
    let body = match second.kind {
        TokenKind::Assign | TokenKind::Prime | TokenKind::Colon | TokenKind::Dot | TokenKind::Comma => false,
        TokenKind::LeftParen | TokenKind::LeftBracket => second.gap > 0,
        _ => true,
    };
    let block = line.code.iter().any(|p| p.kind == TokenKind::LeftBrace);
    (word.kind == TokenKind::Ident && body && !block).then(|| (list, word.width()))
}

/// The type after the first colon of a line.
fn annotation(line: &Line) -> Option<usize> {
    let colon = outside_brackets(line, TokenKind::Colon)?;
    (colon + 1 < line.code.len()).then_some(colon + 1)
}

/// The first `=` of a line.
fn assignment(line: &Line) -> Option<usize> {
    outside_brackets(line, TokenKind::Assign)
}

fn outside_brackets(line: &Line, kind: TokenKind) -> Option<usize> {
    let mut depth = 0;
    line.code.iter().position(|piece| {
        match piece.kind {
            TokenKind::LeftParen | TokenKind::LeftBracket | TokenKind::LeftBrace => depth += 1,
            TokenKind::RightParen | TokenKind::RightBracket | TokenKind::RightBrace => depth -= 1,
            _ => {}
        }
        depth == 0 && piece.kind == kind
    })
}

/// Lines one below the other whose cells the author has in one column keep them in one.
fn cells(lines: &mut [Line], cell: fn(&Line) -> Option<usize>) {
    let found = |line: &Line| if line.place == Place::Start { cell(line).filter(|at| *at > 0) } else { None };
    let author = |line: &Line| found(line).map(|at| (line.indent, line.code[at].column));
    let mut start = 0;
    while start < lines.len() {
        let column = author(&lines[start]);
        let rest = lines[start + 1..].iter();
        let more = rest.take_while(|line| column.is_some() && !line.apart && author(line) == column).count();
        let group = &mut lines[start..=start + more];
        let before = |line: &Line| found(line).map_or(0, |at| line.width_before(at) + line.code[at].gap);
        let widest = group.iter().map(before).max().unwrap_or(0);
        for line in group.iter_mut().filter(|_| more > 0) {
            let width = before(line);
            if let Some(at) = found(line) {
                line.code[at].gap += widest - width;
            }
        }
        start += 1 + more;
    }
}

/// Comments at the ends of lines one below the other stand in one column: the author's, if there is one to the right of
/// all the code.
fn comments(lines: &mut [Line]) {
    let trailing = |line: &Line| !line.code.is_empty() && line.comment.is_some();
    let mut start = 0;
    while start < lines.len() {
        if !trailing(&lines[start]) {
            start += 1;
            continue;
        }
        let more = lines[start + 1..].iter().take_while(|line| !line.apart && trailing(line)).count();
        let group = &mut lines[start..=start + more];
        let least = group.iter().map(Line::width).max().unwrap_or(0) + COMMENT_GAP;
        let author = group[0].comment_column;
        let kept = author >= least && group.iter().all(|line| line.comment_column == author);
        let column = if kept { author } else { least };
        for line in group {
            line.comment_gap = column - line.width();
        }
        start += 1 + more;
    }
}
