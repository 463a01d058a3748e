//! The train block and its clauses.

use super::cursor::Parser;
use super::{Failed, Parsed};
use crate::source::codes;
use crate::syntax::ast::{Clause, ClauseKind, Expr, Metric, Name, OnRows, Path, Player, Train};
use crate::syntax::token::TokenKind;

const KEYWORDS: [&str; 16] = [
    "minimize", "maximize", "on", "using", "keep", "augment", "average", "measure", "evaluate", "watch", "epochs",
    "steps", "stop", "folds", "ensemble", "phase",
];

const AUGMENT_HELP: &str = "write `augment x = flip(x)`, or `augment (x, y) = mixup(x, y)`";

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
                // `augment` and `average` begin both a clause and a definition: within the braces, a clause.
                let item = parser.at_item() && !KEYWORDS.contains(&parser.text());
                if matches!(parser.kind(), TokenKind::RightBrace | TokenKind::End) || item {
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
            let words: Vec<String> = KEYWORDS.iter().map(|word| format!("`{word}`")).collect();
            let help = match words.split_last() {
                Some((last, others)) => format!("clauses are {} and {last}", others.join(", ")),
                None => String::new(),
            };
            return Err(self.error(codes::UNKNOWN_CLAUSE, &message, self.span(), "not a clause", &help));
        }
        self.advance();
        if self.breaks() {
            let help = format!("what belongs to `{word}` stands on the same line");
            return Err(self.unexpected("the rest of the clause", &help));
        }
        if matches!(self.kind(), TokenKind::Colon | TokenKind::Assign) {
            let help = format!("a clause is its word and what belongs to it, without {}: `{word} …`", self.kind());
            return Err(self.unexpected("the rest of the clause", &help));
        }
        match word {
            "minimize" | "maximize" => self.player(word == "maximize"),
            "on" => self.on(),
            "using" => {
                let optimizer = self.expression()?;
                Ok(ClauseKind::Using { optimizer, sets: self.for_sets()? })
            }
            "keep" => {
                let constraint = self.expression()?;
                Ok(ClauseKind::Keep { constraint, sets: self.for_sets()? })
            }
            "augment" => {
                let names = self.targets()?;
                self.expect(TokenKind::Assign, AUGMENT_HELP)?;
                Ok(ClauseKind::Augment { names, value: self.expression()? })
            }
            "average" => Ok(ClauseKind::Average { rule: self.expression()? }),
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
            "watch" => self.watch(),
            "evaluate" => self.evaluate(),
            "folds" => Ok(ClauseKind::Folds { count: self.expression()? }),
            "ensemble" => self.ensemble(),
            _ => {
                let name = self.expect_name("the phase's name", "a phase is written `phase name { … }`")?;
                Ok(ClauseKind::Phase { name, clauses: self.clauses()? })
            }
        }
    }

    fn player(&mut self, maximize: bool) -> Parsed<ClauseKind> {
        let name = self.given_name()?;
        let objective = self.expression()?;
        let over = if self.accept(TokenKind::Over).is_some() { self.sets()? } else { Vec::new() };
        let using = if self.is_word("using") && !self.breaks() {
            self.advance();
            Some(self.expression()?)
        } else {
            None
        };
        Ok(ClauseKind::Minimize(Player { maximize, name, objective, over, using }))
    }

    /// `for weights, classifier.hidden`
    fn for_sets(&mut self) -> Parsed<Vec<Expr>> {
        if self.accept(TokenKind::For).is_some() { self.sets() } else { Ok(Vec::new()) }
    }

    /// `x`, `(x, y)`
    fn targets(&mut self) -> Parsed<Vec<Name>> {
        if self.accept(TokenKind::LeftParen).is_none() {
            return Ok(vec![self.expect_name("the name of a column", AUGMENT_HELP)?]);
        }
        let mut names = vec![self.expect_name("the name of a column", AUGMENT_HELP)?];
        while self.accept(TokenKind::Comma).is_some() {
            names.push(self.expect_name("the name of a column", AUGMENT_HELP)?);
        }
        self.expect(TokenKind::RightParen, AUGMENT_HELP)?;
        Ok(names)
    }

    fn on(&mut self) -> Parsed<ClauseKind> {
        let rows = self.on_rows()?;
        let beside = if self.is_word("with") && !self.breaks() {
            self.advance();
            Some(self.on_rows()?)
        } else {
            None
        };
        Ok(ClauseKind::On { rows, beside })
    }

    fn on_rows(&mut self) -> Parsed<OnRows> {
        let help = "write `on digits.train, batch 64`, with `in order` after it to keep the rows in order";
        let data = self.path("the name of the data", help)?;
        let mut batch = None;
        let mut in_order = false;
        loop {
            let comma = self.accept(TokenKind::Comma).is_some();
            if self.is_word("batch") && batch.is_none() && comma {
                self.advance();
                if matches!(self.kind(), TokenKind::Colon | TokenKind::Assign) {
                    return Err(self.unexpected("the number of rows", help));
                }
                batch = Some(self.expression()?);
            } else if self.is_word("in") && !in_order {
                self.advance();
                self.expect_word("order", help)?;
                in_order = true;
            } else if comma || self.is_word("batch") {
                return Err(self.unexpected(if comma { "`batch` or `in order`" } else { "`,`" }, help));
            } else {
                return Ok(OnRows { data, batch, in_order });
            }
        }
    }

    fn metric(&mut self) -> Parsed<Metric> {
        let start = self.span();
        let name = self.given_name()?;
        let value = self.expression()?;
        let span = start.to(value.span);
        Ok(Metric { name, value, span })
    }

    /// The name before `=`, if one is given.
    fn given_name(&mut self) -> Parsed<Option<Name>> {
        if !self.is(TokenKind::Ident) || self.kind_at(1) != TokenKind::Assign {
            return Ok(None);
        }
        let name = self.expect_name("a name", "")?;
        self.advance();
        Ok(Some(name))
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
