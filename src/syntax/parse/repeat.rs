//! Repetition: `for k in 1..20 (h = x) { h' = e }`.

use super::Parsed;
use super::cursor::Parser;
use crate::syntax::ast::{Carried, Expr, ExprKind, For};
use crate::syntax::precedence;
use crate::syntax::token::TokenKind;

const HELP: &str = "a repetition is written `for k in 1..20 (h = x) { h' = f(h) }`";

impl Parser<'_> {
    /// `for`, which stands here, and what belongs to it.
    pub(super) fn repetition(&mut self) -> Parsed<Expr> {
        let start = self.advance();
        let index = self.expect_name("the name that counts", HELP)?;
        self.expect_word("in", HELP)?;
        let from = self.limit()?;
        let mut height = self.height;
        self.expect(TokenKind::DotDot, HELP)?;
        let to = self.limit()?;
        height = height.max(self.height);
        let (carried, above) = self.carried()?;
        let body = self.block()?;
        self.grow(height.max(above).max(self.height))?;
        let span = start.to(body.span);
        Ok(Expr { kind: ExprKind::For(Box::new(For { index, from, to, carried, body })), span })
    }

    fn limit(&mut self) -> Parsed<Expr> {
        let outer = std::mem::replace(&mut self.bound, true);
        let limit = self.operand(precedence::SUM);
        self.bound = outer;
        limit
    }

    /// The values carried from one repetition to the next, and the height of the highest.
    fn carried(&mut self) -> Parsed<(Vec<Carried>, usize)> {
        let open = self.open(TokenKind::LeftParen, HELP)?;
        let (mut carried, mut height) = (Vec::new(), 0);
        while !self.is(TokenKind::RightParen) {
            let name = self.expect_name("the name of a carried value", HELP)?;
            let ty = if self.accept(TokenKind::Colon).is_some() { Some(self.type_()?) } else { None };
            self.expect(TokenKind::Assign, HELP)?;
            let outer = std::mem::replace(&mut self.bound, false);
            let init = self.expression();
            self.bound = outer;
            let init = init?;
            height = height.max(self.height);
            let span = name.span.to(init.span);
            carried.push(Carried { name, ty, init, span });
            if self.accept(TokenKind::Comma).is_none() {
                break;
            }
        }
        self.close(&open, "`,`", HELP)?;
        Ok((carried, height))
    }
}
