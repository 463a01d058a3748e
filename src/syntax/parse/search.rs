//! The search among settings of constants.

use super::Parsed;
use super::cursor::Parser;
use crate::syntax::ast::{Range, Search};
use crate::syntax::token::TokenKind;

const HELP: &str = "write `search { rate in 0.1, 0.01 } by digits.valid accuracy`";
const RANDOM_HELP: &str = "write `search 20 random { rate in log_uniform(1e-4, 1e-1) } by digits.valid accuracy`";

impl Parser<'_> {
    pub(super) fn search(&mut self) -> Parsed<Search> {
        let keyword = self.advance();
        let random = if self.is(TokenKind::LeftBrace) {
            None
        } else {
            let count = self.expression()?;
            self.expect_word("random", RANDOM_HELP)?;
            Some(count)
        };
        let open = self.open(TokenKind::LeftBrace, HELP)?;
        let mut ranges = Vec::new();
        loop {
            while self.accept(TokenKind::Semicolon).is_some() {}
            if self.is(TokenKind::RightBrace) {
                break;
            }
            ranges.push(self.range()?);
            if !(self.breaks() || matches!(self.kind(), TokenKind::Semicolon | TokenKind::RightBrace)) {
                return Err(self.unexpected("the end of the line", "each constant stands on a line of its own"));
            }
        }
        self.close(&open, "", "")?;
        self.expect_word("by", HELP)?;
        let (data, metric) = self.looked_at(HELP)?;
        Ok(Search { keyword, random, ranges, data, metric })
    }

    fn range(&mut self) -> Parsed<Range> {
        let name = self.expect_name("the name of a constant", HELP)?;
        self.expect_word("in", HELP)?;
        let mut values = vec![self.expression()?];
        while self.accept(TokenKind::Comma).is_some() {
            values.push(self.expression()?);
        }
        Ok(Range { name, values })
    }
}
