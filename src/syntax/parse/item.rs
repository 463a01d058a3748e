//! Items: definitions, data, splits, constants and the train block.

use super::cursor::{Opened, Parser};
use super::expression::unescape;
use super::{Failed, Parsed};
use crate::source::codes;
use crate::syntax::ast::{
    Block, Constant, Data, Definition, Derivative, ExprKind, Input, Item, ItemKind, Kind, OptionInput, Part, Require,
    Split, Standardize, Use,
};
use crate::syntax::token::TokenKind;

const OPTIONS_HELP: &str = "inputs come first, options after `;`: `layer dense(x: [.., I], O; init = he_normal)`";

/// An item takes many times the memory of the shortest text for one.
const MOST_ITEMS: usize = 200_000;

impl Parser<'_> {
    pub(super) fn items(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        loop {
            while self.accept(TokenKind::Semicolon).is_some() {}
            self.joined = false;
            if self.is(TokenKind::End) {
                return items;
            }
            if items.len() >= MOST_ITEMS {
                let (message, help) = (format!("a file holds at most {MOST_ITEMS} items"), "the rest was not read");
                self.error(codes::FILE_TOO_LARGE, &message, self.span(), "one too many", help);
                return items;
            }
            let (from, doc, start) = (self.place(), self.doc(), self.span());
            let item = self.item().and_then(|kind| self.end_of_item().map(|()| kind));
            match item {
                Ok(kind) => items.push(Item { doc, kind, span: start.to(self.previous_span()) }),
                Err(Failed) => {
                    self.joined = false;
                    self.skip(from, |parser| parser.at_item() || parser.at_constant() || parser.at_margin());
                    if self.is(TokenKind::RightBrace) {
                        self.advance();
                    }
                }
            }
        }
    }

    /// Whether an item other than a constant starts here.
    pub(super) fn at_item(&self) -> bool {
        if !self.starts_line() || !self.is(TokenKind::Ident) {
            return false;
        }
        let next_is_name = self.kind_at(1) == TokenKind::Ident;
        match self.text() {
            "train" => self.kind_at(1) == TokenKind::LeftBrace,
            "search" => matches!(self.kind_at(1), TokenKind::LeftBrace | TokenKind::Int),
            "data" | "split" => next_is_name,
            "use" => matches!(self.kind_at(1), TokenKind::Str | TokenKind::Ident),
            word => next_is_name && Kind::ALL.iter().any(|kind| kind.keyword() == word),
        }
    }

    fn at_constant(&self) -> bool {
        self.is(TokenKind::Ident) && self.kind_at(1) == TokenKind::Assign
    }

    fn end_of_item(&mut self) -> Parsed<()> {
        if self.breaks() || matches!(self.kind(), TokenKind::Semicolon | TokenKind::End) {
            return Ok(());
        }
        let keyword = Kind::ALL.iter().any(|kind| self.is_word(kind.keyword()));
        let product =
            matches!(self.kind(), TokenKind::Ident | TokenKind::Int | TokenKind::Float | TokenKind::LeftParen);
        let help = match product && !keyword {
            true => "products are written with `*`; each item starts on a line of its own",
            false => "each item starts on a line of its own",
        };
        Err(self.unexpected("an operator or the end of the line", help))
    }

    fn item(&mut self) -> Parsed<ItemKind> {
        if self.is(TokenKind::RightBrace) {
            let (message, help) = ("this `}` closes nothing", "remove it, or add the `{` it belongs to");
            return Err(self.error(codes::UNCLOSED_DELIMITER, message, self.span(), "no `{` before it", help));
        }
        if self.at_constant() {
            let name = self.expect_name("a name", "")?;
            self.advance();
            let value = self.expression()?;
            return Ok(ItemKind::Constant(Constant { name, value }));
        }
        let word = if self.is(TokenKind::Ident) { self.text() } else { "" };
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.keyword() == word) {
            return self.definition(kind).map(ItemKind::Definition);
        }
        match word {
            "data" => self.data().map(ItemKind::Data),
            "split" => self.split().map(ItemKind::Split),
            "standardize" => self.standardize().map(ItemKind::Standardize),
            "train" => self.train().map(ItemKind::Train),
            "search" => self.search().map(ItemKind::Search),
            "use" => self.used().map(ItemKind::Use),
            _ => {
                let message = format!("expected an item, found {}", self.found());
                let help = self.foreign_item(word);
                Err(self.error(codes::UNKNOWN_ITEM, &message, self.span(), "not the start of an item", help))
            }
        }
    }

    fn definition(&mut self, kind: Kind) -> Parsed<Definition> {
        let kind_span = self.advance();
        let name =
            self.expect_name("a name", &format!("a definition is written `{kind} name(inputs; options) = …`"))?;
        let open = self.open(TokenKind::LeftParen, "the inputs follow in parentheses, `()` if there are none")?;
        let mut inputs = Vec::new();
        while !matches!(self.kind(), TokenKind::RightParen | TokenKind::Semicolon) {
            inputs.push(self.input()?);
            if self.accept(TokenKind::Comma).is_none() {
                break;
            }
        }
        let options = self.options()?;
        self.close_signature(&open)?;
        let result = if self.accept(TokenKind::Arrow).is_some() { Some(self.type_()?) } else { None };
        let requires = self.requires()?;
        let body = self.body("the body follows: `= expression` or `{ … }`")?;
        let derivative = if self.is_word("derivative") && self.kind_at(1) == TokenKind::LeftParen {
            Some(self.derivative()?)
        } else {
            None
        };
        Ok(Definition { kind, kind_span, name, inputs, options, result, requires, body, derivative })
    }

    /// `requires G divides C, drop < 1`
    fn requires(&mut self) -> Parsed<Vec<Require>> {
        let mut requires = Vec::new();
        if self.accept_word("requires").is_none() {
            return Ok(requires);
        }
        loop {
            let value = self.expression()?;
            let divides = match self.accept_word("divides") {
                Some(_) => Some(self.expression()?),
                None => None,
            };
            let span = value.span.to(self.previous_span());
            requires.push(Require { value, divides, span });
            if self.accept(TokenKind::Comma).is_none() {
                return Ok(requires);
            }
        }
    }

    /// `= expression` or `{ … }`.
    fn body(&mut self, help: &str) -> Parsed<Block> {
        if self.is(TokenKind::LeftBrace) {
            return self.block();
        }
        self.expect(TokenKind::Assign, help)?;
        let value = self.expression()?;
        let span = value.span;
        Ok(Block { statements: Vec::new(), result: Some(Box::new(value)), braced: false, span })
    }

    fn derivative(&mut self) -> Parsed<Derivative> {
        let help = "a derivative is written `derivative(dy) = e`, dy being the cotangent of the result";
        let start = self.advance();
        let open = self.open(TokenKind::LeftParen, help)?;
        let mut cotangents = vec![self.expect_name("the cotangent's name", help)?];
        while self.accept(TokenKind::Comma).is_some() && self.is(TokenKind::Ident) {
            cotangents.push(self.expect_name("the cotangent's name", help)?);
        }
        self.close(&open, "`,`", help)?;
        let body = self.body(help)?;
        Ok(Derivative { cotangents, span: start.to(body.span), body })
    }

    fn close_signature(&mut self, open: &Opened) -> Parsed<()> {
        let help = if self.is(TokenKind::Assign) { OPTIONS_HELP } else { "" };
        self.close(open, "`,`, `;`", help).map(|_| ())
    }

    fn input(&mut self) -> Parsed<Input> {
        let name = self.expect_name("an input's name", OPTIONS_HELP)?;
        let ty = if self.accept(TokenKind::Colon).is_some() { Some(self.type_()?) } else { None };
        let span = name.span.to(self.previous_span());
        Ok(Input { name, ty, span })
    }

    fn options(&mut self) -> Parsed<Vec<OptionInput>> {
        let mut options = Vec::new();
        if self.accept(TokenKind::Semicolon).is_none() {
            return Ok(options);
        }
        while !self.is(TokenKind::RightParen) {
            let name = self.expect_name("an option's name", OPTIONS_HELP)?;
            if self.is(TokenKind::Colon) {
                return Err(self.unexpected("`=`, `,` or `)`", "an option is a scalar with a default: `lr = 1e-3`"));
            }
            let default = if self.accept(TokenKind::Assign).is_some() { Some(self.expression()?) } else { None };
            let span = name.span.to(self.previous_span());
            options.push(OptionInput { name, default, span });
            if self.accept(TokenKind::Comma).is_none() {
                break;
            }
        }
        Ok(options)
    }

    fn used(&mut self) -> Parsed<Use> {
        let help = "write `use \"blocks.dl\"` or `use \"blocks.dl\" as b`; the library is there without it";
        self.advance();
        if !self.is(TokenKind::Str) {
            return Err(self.unexpected("the name of a file", help));
        }
        let path = unescape(self.text());
        let path_span = self.advance();
        let alias = match self.accept_word("as") {
            Some(_) => Some(self.expect_name("a name", help)?),
            None => None,
        };
        Ok(Use { path, path_span, alias })
    }

    fn data(&mut self) -> Parsed<Data> {
        self.advance();
        let help = "data is declared `data digits = csv(\"digits.csv\", target: label)`";
        let name = self.expect_name("a name", help)?;
        let mut columns = Vec::new();
        if self.is(TokenKind::LeftParen) {
            let help = "generated data is declared `data moons(x, y) = two_moons(400, noise: 0.1) seed 3`";
            let open = self.open(TokenKind::LeftParen, help)?;
            columns.push(self.expect_name("the name of a column", help)?);
            while self.accept(TokenKind::Comma).is_some() && self.is(TokenKind::Ident) {
                columns.push(self.expect_name("the name of a column", help)?);
            }
            self.close(&open, "`,`", help)?;
        }
        self.expect(TokenKind::Assign, help)?;
        let source = self.expression()?;
        let seed = match self.is_word("seed") && self.kind_at(1) == TokenKind::Int && !columns.is_empty() {
            true => {
                self.advance();
                Some(self.expression()?)
            }
            false => None,
        };
        if !matches!(source.kind, ExprKind::Call { .. }) {
            let (message, label) = ("data comes from a reader", "expected a call such as `csv(…)`");
            return Err(self.error(codes::UNEXPECTED_TOKEN, message, source.span, label, help));
        }
        Ok(Data { name, columns, source, seed })
    }

    fn split(&mut self) -> Parsed<Split> {
        self.advance();
        let help = "a split is written `split digits into train 70%, valid 15%, test 15%`";
        let data = self.expect_name("the name of the data", help)?;
        self.expect_word("into", help)?;
        let mut parts = Vec::new();
        let (mut stratified, mut seed) = (None, None);
        loop {
            if self.is_word("seed") && self.kind_at(1) == TokenKind::Int && self.kind_at(2) != TokenKind::Percent {
                self.advance();
                seed = Some(self.expression()?);
                break;
            }
            parts.push(self.part(help)?);
            if self.accept_word("stratified").is_some() {
                let help = "parts with the same share of every class are asked for by `stratified by label`";
                self.expect_word("by", help)?;
                stratified = Some(self.expect_name("the name of a column", help)?);
                if self.accept(TokenKind::Comma).is_some() || self.is_word("seed") {
                    self.expect_word("seed", "after `stratified by label` only a seed follows: `seed 7`")?;
                    seed = Some(self.expression()?);
                }
                break;
            }
            if self.accept(TokenKind::Comma).is_none() && !self.is_word("seed") {
                break;
            }
        }
        Ok(Split { data, parts, stratified, seed })
    }

    fn standardize(&mut self) -> Parsed<Standardize> {
        self.advance();
        let help = "it is written `standardize digits.x by digits.train`";
        let what = self.path("the name of the data", help)?;
        self.expect_word("by", help)?;
        let by = self.path("the part whose mean and deviation count", help)?;
        Ok(Standardize { what, by })
    }

    fn part(&mut self, help: &str) -> Parsed<Part> {
        let name = self.expect_name("the name of a part", help)?;
        if !matches!(self.kind(), TokenKind::Int | TokenKind::Float) {
            return Err(self.unexpected("a percentage", help));
        }
        let percent = self.text().parse().unwrap_or(f64::INFINITY);
        self.advance();
        let end = self.expect(TokenKind::Percent, help)?;
        let span = name.span.to(end);
        Ok(Part { name, percent, span })
    }
}
