//! The clauses that look at the data while training goes on: when, what for, and what follows.

use super::Parsed;
use super::cursor::Parser;
use crate::syntax::ast::{ClauseKind, Name, Path, Stop, StopUnit, StopWhen, Then};
use crate::syntax::token::TokenKind;

const STOP_HELP: &str = "write `stop when digits.valid loss has not improved for 10 epochs`";
const THRESHOLD_HELP: &str = "write `stop when digits.valid loss < 0.1`, or `… loss has not improved for 10 epochs`";
const THEN_HELP: &str =
    "write `, then retrain on digits for as many steps`, or `, then continue on digits at most 50 epochs`";
const WATCH_HELP: &str = "write `watch plateau = digits.valid loss, patience 5`";
const EVALUATE_HELP: &str = "write `evaluate every 50 steps`";

impl Parser<'_> {
    /// After `stop`.
    pub(super) fn stop(&mut self) -> Parsed<ClauseKind> {
        self.expect(TokenKind::When, STOP_HELP)?;
        let (data, metric) = self.looked_at(STOP_HELP)?;
        let when = match self.kind() {
            TokenKind::Less | TokenKind::LessEqual => {
                self.advance();
                StopWhen::Below(self.expression()?)
            }
            TokenKind::Greater | TokenKind::GreaterEqual => {
                self.advance();
                StopWhen::Above(self.expression()?)
            }
            _ => {
                self.expect_word("has", THRESHOLD_HELP)?;
                self.expect(TokenKind::Not, STOP_HELP)?;
                self.expect_word("improved", STOP_HELP)?;
                self.expect(TokenKind::For, STOP_HELP)?;
                let patience = self.expression()?;
                let unit = if self.is_word("evaluations") { StopUnit::Evaluations } else { StopUnit::Epochs };
                self.expect_word(unit.word(), STOP_HELP)?;
                StopWhen::NotImproved { patience, unit }
            }
        };
        let then = if self.accept(TokenKind::Comma).is_some() { Some(self.then()?) } else { None };
        Ok(ClauseKind::Stop(Stop { data, metric, when, then }))
    }

    fn then(&mut self) -> Parsed<Then> {
        self.expect(TokenKind::Then, THEN_HELP)?;
        let retrain = self.is_word("retrain");
        self.expect_word(if retrain { "retrain" } else { "continue" }, THEN_HELP)?;
        self.expect_word("on", THEN_HELP)?;
        let data = self.path("the name of the data", THEN_HELP)?;
        if retrain {
            self.expect(TokenKind::For, THEN_HELP)?;
            self.expect_word("as", THEN_HELP)?;
            self.expect_word("many", THEN_HELP)?;
            let epochs = self.is_word("epochs");
            self.expect_word(if epochs { "epochs" } else { "steps" }, THEN_HELP)?;
            return Ok(Then::Retrain { data, epochs });
        }
        self.expect_word("at", THEN_HELP)?;
        self.expect_word("most", THEN_HELP)?;
        let most = self.expression()?;
        self.expect_word("epochs", THEN_HELP)?;
        Ok(Then::Continue { data, most })
    }

    /// After `watch`.
    pub(super) fn watch(&mut self) -> Parsed<ClauseKind> {
        let name = self.expect_name("the name of the count", WATCH_HELP)?;
        self.expect(TokenKind::Assign, WATCH_HELP)?;
        let (data, metric) = self.looked_at(WATCH_HELP)?;
        self.expect(TokenKind::Comma, WATCH_HELP)?;
        self.expect_word("patience", WATCH_HELP)?;
        Ok(ClauseKind::Watch { name, data, metric, patience: self.expression()? })
    }

    /// `digits.valid loss`, or `loss` alone where there is no data.
    pub(super) fn looked_at(&mut self, help: &str) -> Parsed<(Option<Path>, Name)> {
        let mut data = self.path("the name of the data", help)?;
        let named = self.is(TokenKind::Ident) && !self.breaks();
        // A measure may be called `has`.
        let has_not = self.is_word("has") && self.kind_at(1) == TokenKind::Not;
        if data.parts.len() == 1 && (!named || has_not) {
            return Ok((None, data.parts.remove(0)));
        }
        let metric = self.expect_name("`loss` or the name of a metric", help)?;
        Ok((Some(data), metric))
    }

    /// After `evaluate`.
    pub(super) fn evaluate(&mut self) -> Parsed<ClauseKind> {
        self.expect_word("every", EVALUATE_HELP)?;
        let steps = self.expression()?;
        self.expect_word("steps", EVALUATE_HELP)?;
        Ok(ClauseKind::Evaluate { steps })
    }

    /// After `ensemble`.
    pub(super) fn ensemble(&mut self) -> Parsed<ClauseKind> {
        let count = self.expression()?;
        let resampled = self.is_word("resampled");
        if resampled {
            self.advance();
        }
        Ok(ClauseKind::Ensemble { count, resampled })
    }
}
