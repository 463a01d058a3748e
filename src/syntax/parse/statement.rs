//! Blocks and the equations in them.

use super::cursor::Parser;
use super::expression::continues_line;
use super::{Failed, Parsed};
use crate::source::{Diagnostic, codes};
use crate::syntax::ast::{Block, Expr, Name, Statement, StatementKind};
use crate::syntax::token::TokenKind;

/// An equation, or an expression that is the block's value if it comes last.
enum Line {
    Equation(StatementKind),
    Value(Expr),
}

impl Parser<'_> {
    pub(super) fn block(&mut self) -> Parsed<Block> {
        self.nested(|parser| {
            let start = parser.span();
            let open = parser.open(TokenKind::LeftBrace, "")?;
            let mut statements = Vec::new();
            let mut result: Option<Expr> = None;
            let mut height = 0;
            loop {
                while parser.accept(TokenKind::Semicolon).is_some() {}
                if matches!(parser.kind(), TokenKind::RightBrace | TokenKind::End) || parser.at_item() {
                    break;
                }
                let (from, doc, first) = (parser.place(), parser.doc(), parser.span());
                if let Some(unused) = result.take() {
                    parser.unused(&unused);
                }
                match parser.line() {
                    Ok(Line::Equation(kind)) => {
                        height = height.max(parser.height);
                        statements.push(Statement { doc, kind, span: first.to(parser.previous_span()) });
                    }
                    Ok(Line::Value(value)) => {
                        height = height.max(parser.height);
                        result = Some(value);
                    }
                    Err(Failed) => {
                        parser.rejoin(&open);
                        parser.skip(from, |parser| !continues_line(parser.kind()));
                    }
                }
            }
            let close = parser.close(&open, "", "")?;
            let span = start.to(close);
            parser.grow(height)?;
            Ok(Block { statements, result: result.map(Box::new), braced: true, span })
        })
    }

    /// The value of a line that is followed by another line.
    fn unused(&mut self, value: &Expr) {
        let help = match self.kind() {
            TokenKind::Plus | TokenKind::Minus => {
                format!("to go on with the next line, end this one with {}", self.kind())
            }
            _ => "give it a name, `name = …`, or remove it; a block's value is its last line".to_string(),
        };
        let error = Diagnostic::new(codes::UNUSED_EXPRESSION, "the value of this expression goes nowhere")
            .at(value.span, "neither an equation nor the last line")
            .help(help);
        self.report(error);
    }

    fn line(&mut self) -> Parsed<Line> {
        let line = self.unfinished_line()?;
        if self.breaks() || matches!(self.kind(), TokenKind::Semicolon | TokenKind::RightBrace | TokenKind::End) {
            return Ok(line);
        }
        Err(self.overlong(&line))
    }

    /// Says that something stands after the end of a line's equation or value.
    fn overlong(&mut self, line: &Line) -> Failed {
        let help = match (line, self.kind()) {
            (Line::Value(value), TokenKind::Assign) => {
                let (message, label) = ("this cannot stand on the left of `=`", "not a name");
                let help = "define a name, `name = …`, an element, `y[i, j] = …`, or a state's next value, `v' = …`";
                return self.error(codes::BAD_TARGET, message, value.span, label, help);
            }
            (_, TokenKind::Assign) if self.previous_starts_line() => {
                "the line before ends with an operator, so it goes on with this one"
            }
            (_, TokenKind::Assign) => "one equation per line; equality is tested with `==`",
            (_, TokenKind::Ident | TokenKind::Int | TokenKind::Float | TokenKind::LeftParen) => {
                "products are written with `*`; equations stand on lines of their own or are separated by `;`"
            }
            (_, TokenKind::LeftBrace) => "a choice is written `if c then { … } else { … }`",
            (_, TokenKind::Colon) => "only inputs, parameters and states are annotated with a type",
            _ => "",
        };
        self.unexpected("an operator or the end of the line", help)
    }

    // Each form has a function of its own, which keeps the frames on the recursive path small.
    fn unfinished_line(&mut self) -> Parsed<Line> {
        let named = self.kind_at(1) == TokenKind::Ident && !self.breaks_at(1);
        let next = self.kind_at(1);
        match self.kind() {
            TokenKind::Ident if named && self.is_word("param") => self.param(),
            TokenKind::Ident if named && self.is_word("state") => self.state(),
            TokenKind::Ident if named && self.is_word("shared") && self.kind_at(2) == TokenKind::Assign => {
                self.advance();
                let name = self.expect_name("a name", "")?;
                let layer = self.definiens()?;
                Ok(Line::Equation(StatementKind::Shared { name, layer }))
            }
            TokenKind::Ident if self.marks() => self.expression().map(Line::Value),
            TokenKind::Ident if named => self.foreign_word(),
            TokenKind::Ident if next == TokenKind::Assign => self.named(),
            TokenKind::Ident if next == TokenKind::Prime && self.kind_at(2) == TokenKind::Assign => self.next(),
            TokenKind::Ident if next == TokenKind::LeftBracket && self.partner_precedes_assign(1) => self.indexed(),
            TokenKind::LeftParen if self.partner_precedes_assign(0) => self.tuple(),
            TokenKind::Ident if self.updates_in_place() => self.update(),
            _ => self.expression().map(Line::Value),
        }
    }

    /// Two words side by side, as other languages begin their statements.
    fn foreign_word(&mut self) -> Parsed<Line> {
        let help = match self.text() {
            "let" | "var" | "const" => "an equation starts with the name it defines: `name = …`",
            "return" => "a block's value is its last line: leave out `return`",
            _ => "products are written with `*`; equations stand on lines of their own or are separated by `;`",
        };
        self.advance();
        Err(self.unexpected("an operator or the end of the line", help))
    }

    fn named(&mut self) -> Parsed<Line> {
        let name = self.expect_name("a name", "")?;
        self.expect(TokenKind::Assign, "")?;
        let shared = self.is_word("shared") && self.kind_at(1) == TokenKind::Ident && !self.breaks_at(1);
        if shared {
            self.advance();
        }
        let value = self.expression()?;
        Ok(Line::Equation(match shared {
            true => StatementKind::Shared { name, layer: value },
            false => StatementKind::Let { name, value },
        }))
    }

    fn next(&mut self) -> Parsed<Line> {
        let name = self.expect_name("a name", "")?;
        self.advance();
        let value = self.definiens()?;
        Ok(Line::Equation(StatementKind::Next { name, value }))
    }

    fn tuple(&mut self) -> Parsed<Line> {
        let help = "on the left of `=` stand names: `(a, b) = …`";
        let open = self.open(TokenKind::LeftParen, "")?;
        let mut names = self.names("a name", help)?;
        self.close(&open, "`,`", help)?;
        let value = self.definiens()?;
        Ok(Line::Equation(match names.pop() {
            Some(name) if names.is_empty() => StatementKind::Let { name, value },
            last => StatementKind::LetTuple { names: names.into_iter().chain(last).collect(), value },
        }))
    }

    fn update(&mut self) -> Parsed<Line> {
        let (name, operator, span) = (self.text(), self.text_at(1), self.span());
        let help =
            format!("for a state write `{name}' = {name} {operator} …`; otherwise give the new value its own name");
        Err(self.error(codes::BAD_TARGET, "nothing is changed in place", span, "cannot be changed", &help))
    }

    /// `x += …` and its kin.
    fn updates_in_place(&self) -> bool {
        matches!(self.kind_at(1), TokenKind::Plus | TokenKind::Minus | TokenKind::Star | TokenKind::Slash)
            && self.kind_at(2) == TokenKind::Assign
            && self.touches_at(2)
    }

    /// The `=` and what follows it.
    fn definiens(&mut self) -> Parsed<Expr> {
        self.expect(TokenKind::Assign, "")?;
        self.expression()
    }

    fn names(&mut self, what: &str, help: &str) -> Parsed<Vec<Name>> {
        let mut names = vec![self.expect_name(what, help)?];
        while self.accept(TokenKind::Comma).is_some() && self.is(TokenKind::Ident) {
            names.push(self.expect_name(what, help)?);
        }
        Ok(names)
    }

    fn left_index(&mut self, help: &str) -> Parsed<Name> {
        match self.accept(TokenKind::DotDot) {
            Some(span) => Ok(Name { text: "..".into(), span }),
            None => self.expect_name("an index", help),
        }
    }

    fn indexed(&mut self) -> Parsed<Line> {
        let name = self.expect_name("a name", "")?;
        let help = "on the left of `=` indices are names: `y[i, j] = …`";
        let open = self.open(TokenKind::LeftBracket, "")?;
        let mut indices = vec![self.left_index(help)?];
        while self.accept(TokenKind::Comma).is_some() && !self.is(TokenKind::RightBracket) {
            indices.push(self.left_index(help)?);
        }
        self.close(&open, "`,`", help)?;
        let value = self.definiens()?;
        Ok(Line::Equation(StatementKind::LetIndexed { name, indices, value }))
    }

    fn param(&mut self) -> Parsed<Line> {
        self.advance();
        let help = "a parameter is declared with its axes and first value: `param W: [I, O] = glorot_uniform`";
        let name = self.expect_name("a name", help)?;
        self.expect(TokenKind::Colon, help)?;
        let shape = self.shape()?;
        self.expect(TokenKind::Assign, help)?;
        let init = self.expression()?;
        Ok(Line::Equation(StatementKind::Param { name, shape, init }))
    }

    fn state(&mut self) -> Parsed<Line> {
        self.advance();
        let help = "a state is declared with its first value: `state v: [C] = 0`";
        let name = self.expect_name("a name", help)?;
        let ty = if self.accept(TokenKind::Colon).is_some() { Some(self.type_()?) } else { None };
        self.expect(TokenKind::Assign, help)?;
        let init = self.expression()?;
        Ok(Line::Equation(StatementKind::State { name, ty, init }))
    }
}
