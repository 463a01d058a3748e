//! The train block and its clauses.

use super::cursor::Parser;
use super::{Failed, Parsed};
use crate::source::codes;
use crate::syntax::ast::{Clause, ClauseKind, Expr, Metric, Path, Train};
use crate::syntax::token::TokenKind;

const KEYWORDS: [&str; 9] = ["minimize", "on", "using", "keep", "measure", "epochs", "steps", "stop", "phase"];

const STOP_HELP: &str = "write `stop when digits.valid loss has not improved for 10 epochs`";

impl Parser<'_> {
    pub(super) fn train(&mut self) -> Parsed<Train> {
        let keyword = self.advance();
        let clauses = self.clauses()?;
        Ok(Train { keyword, clauses })
    }

    fn clauses(&mut self) -> Parsed<Vec<Clause>> {
        self.nested(|parser| {
            let open = parser.open(TokenKind::LeftBrace, "the clauses stand in braces: `train { … }`")?;
            let mut clauses = Vec::new();
            loop {
                while parser.accept(TokenKind::Semicolon).is_some() {}
                if matches!(parser.kind(), TokenKind::RightBrace | TokenKind::End) || parser.at_item() {
                    break;
                }
                let (from, start) = (parser.place(), parser.span());
                let clause = parser.clause().and_then(|kind| parser.end_of_clause().map(|()| kind));
                match clause {
                    Ok(kind) => clauses.push(Clause { kind, span: start.to(parser.previous_span()) }),
                    Err(Failed) => {
                        parser.rejoin(&open);
                        parser.skip(from, |parser| KEYWORDS.contains(&parser.text()) || parser.at_item());
                    }
                }
            }
            parser.close(&open, "", "")?;
            Ok(clauses)
        })
    }

    fn end_of_clause(&mut self) -> Parsed<()> {
        if self.breaks() || matches!(self.kind(), TokenKind::Semicolon | TokenKind::RightBrace | TokenKind::End) {
            return Ok(());
        }
        Err(self.unexpected("the end of the line", "each clause stands on a line of its own"))
    }

    fn clause(&mut self) -> Parsed<ClauseKind> {
        let word = if self.is(TokenKind::Ident) { self.text() } else { "" };
        if !KEYWORDS.contains(&word) {
            let message = format!("expected a clause of `train`, found {}", self.found());
            let help =
                "clauses are `minimize`, `on`, `using`, `keep`, `measure`, `epochs`, `steps`, `stop` and `phase`";
            return Err(self.error(codes::UNKNOWN_CLAUSE, &message, self.span(), "not a clause", help));
        }
        self.advance();
        if self.breaks() {
            let help = format!("what belongs to `{word}` stands on the same line");
            return Err(self.unexpected("the rest of the clause", &help));
        }
        match word {
            "minimize" => {
                let objective = self.expression()?;
                let over = if self.accept(TokenKind::Over).is_some() { self.sets()? } else { Vec::new() };
                Ok(ClauseKind::Minimize { objective, over })
            }
            "on" => self.on(),
            "using" => Ok(ClauseKind::Using { optimizer: self.expression()? }),
            "keep" => {
                let constraint = self.expression()?;
                let sets = if self.accept(TokenKind::For).is_some() { self.sets()? } else { Vec::new() };
                Ok(ClauseKind::Keep { constraint, sets })
            }
            "measure" => {
                let mut metrics = vec![self.metric()?];
                while self.accept(TokenKind::Comma).is_some() {
                    metrics.push(self.metric()?);
                }
                Ok(ClauseKind::Measure { metrics })
            }
            "epochs" => Ok(ClauseKind::Epochs { count: self.expression()? }),
            "steps" => Ok(ClauseKind::Steps { count: self.expression()? }),
            "stop" => self.stop(),
            _ => {
                let name = self.expect_name("the phase's name", "a phase is written `phase name { … }`")?;
                Ok(ClauseKind::Phase { name, clauses: self.clauses()? })
            }
        }
    }

    fn on(&mut self) -> Parsed<ClauseKind> {
        let help = "write `on digits.train, batch 64`, with `in order` after it to keep the rows in order";
        let data = self.path("the name of the data", help)?;
        let mut batch = None;
        let mut in_order = false;
        loop {
            let comma = self.accept(TokenKind::Comma).is_some();
            if self.is_word("batch") && batch.is_none() && comma {
                self.advance();
                batch = Some(self.expression()?);
            } else if self.is_word("in") && !in_order {
                self.advance();
                self.expect_word("order", help)?;
                in_order = true;
            } else if comma || self.is_word("batch") {
                return Err(self.unexpected(if comma { "`batch` or `in order`" } else { "`,`" }, help));
            } else {
                return Ok(ClauseKind::On { data, batch, in_order });
            }
        }
    }

    fn stop(&mut self) -> Parsed<ClauseKind> {
        self.expect(TokenKind::When, STOP_HELP)?;
        let data = self.path("the name of the data", STOP_HELP)?;
        let metric = self.expect_name("`loss` or the name of a metric", STOP_HELP)?;
        self.expect_word("has", STOP_HELP)?;
        self.expect(TokenKind::Not, STOP_HELP)?;
        self.expect_word("improved", STOP_HELP)?;
        self.expect(TokenKind::For, STOP_HELP)?;
        let patience = self.expression()?;
        self.expect_word("epochs", STOP_HELP)?;
        Ok(ClauseKind::Stop { data, metric, patience })
    }

    fn metric(&mut self) -> Parsed<Metric> {
        let start = self.span();
        let name = if self.is(TokenKind::Ident) && self.kind_at(1) == TokenKind::Assign {
            let name = self.expect_name("a name", "")?;
            self.advance();
            Some(name)
        } else {
            None
        };
        let value = self.expression()?;
        let span = start.to(value.span);
        Ok(Metric { name, value, span })
    }

    /// Parameter sets joined by commas.
    fn sets(&mut self) -> Parsed<Vec<Expr>> {
        let mut sets = vec![self.expression()?];
        while self.accept(TokenKind::Comma).is_some() {
            sets.push(self.expression()?);
        }
        Ok(sets)
    }

    pub(super) fn path(&mut self, what: &str, help: &str) -> Parsed<Path> {
        let mut parts = vec![self.expect_name(what, help)?];
        let mut span = self.previous_span();
        while self.is(TokenKind::Dot) && !self.breaks() {
            self.advance();
            parts.push(self.expect_name("a name", help)?);
            span = span.to(self.previous_span());
        }
        Ok(Path { parts, span })
    }
}
