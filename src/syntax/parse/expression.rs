//! Expressions, by precedence climbing.
//!
//! From loose to tight: `|>`; `if`/`when`; `or`; `and`; `not`; comparisons, which do not chain; `+ -`; `* / @`;
//! unary `-`; `^`, to the right; then calls, indices and marks after an operand.

use super::cursor::Parser;
use super::{Failed, Parsed};
use crate::source::{Span, codes};
use crate::syntax::ast::{Arg, BinaryOp, Block, Expr, ExprKind, Mark, Name, Over, OverAxis, UnaryOp};
use crate::syntax::precedence::{self, Precedence};
use crate::syntax::token::{TokenKind, normalise};

/// The reductions that index notation knows: `sum(i) x[i]`.
const INDEX_REDUCTIONS: [&str; 4] = ["sum", "mean", "max", "min"];

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.operand(precedence::PIPE)
    }

    pub(super) fn operand(&mut self, least: Precedence) -> Parsed<Expr> {
        self.nested(|parser| parser.binary(least))
    }

    fn binary(&mut self, least: Precedence) -> Parsed<Expr> {
        let mut left = self.prefix(least)?;
        let mut piped = false;
        loop {
            let kind = self.kind();
            if self.breaks() && !continues_line(kind) {
                return Ok(left);
            }
            if kind == TokenKind::Pipe && least <= precedence::PIPE {
                left = self.pipe(left)?;
                piped = true;
                continue;
            }
            match binary_op(kind) {
                Some(op) if precedence::of_binary(op) >= least => {
                    left = if piped { return Err(self.operator_after_pipe(op)) } else { self.infix(op, left)? };
                }
                _ => return Ok(left),
            }
        }
    }

    fn infix(&mut self, op: BinaryOp, left: Expr) -> Parsed<Expr> {
        let left_height = self.height;
        self.advance();
        let right = self.operand(precedence::right_of(op))?;
        let level = precedence::of_binary(op);
        if level == precedence::COMPARISON
            && binary_op(self.kind()).is_some_and(|next| precedence::of_binary(next) == level)
        {
            let (message, help) = ("comparisons do not chain", "write `a < b and b < c`");
            return Err(self.error(codes::CHAINED_COMPARISON, message, self.span(), "a second comparison", help));
        }
        let span = left.span.to(right.span);
        self.grow(left_height.max(self.height))?;
        Ok(Expr { kind: ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) }, span })
    }

    fn operator_after_pipe(&mut self, op: BinaryOp) -> Failed {
        let message = format!("a pipe binds looser than {}", self.kind());
        let help = format!("put the whole pipe in parentheses: `(x |> f) {} y`", op.symbol());
        self.error(codes::BAD_PIPE, &message, self.span(), "ambiguous here", &help)
    }

    fn pipe(&mut self, value: Expr) -> Parsed<Expr> {
        let height = self.height;
        self.advance();
        let callee = self.operand(precedence::POSTFIX)?;
        if !matches!(callee.kind, ExprKind::Name(_) | ExprKind::Field { .. } | ExprKind::Call { .. }) {
            let help = "write `x |> f` or `x |> f(a)`, which means `f(x, a)`";
            let message = "a pipe leads into something that is not a function";
            return Err(self.error(codes::BAD_PIPE, message, callee.span, "expected a name or a call", help));
        }
        let span = value.span.to(callee.span);
        self.grow(height.max(self.height))?;
        Ok(Expr { kind: ExprKind::Pipe { value: Box::new(value), callee: Box::new(callee) }, span })
    }

    // Each form has a function of its own, which keeps the frames on the recursive path small.
    fn prefix(&mut self, least: Precedence) -> Parsed<Expr> {
        match self.kind() {
            TokenKind::Minus => self.negation(),
            TokenKind::Not => self.negated(least),
            TokenKind::If => self.choice(),
            TokenKind::When => self.mode_choice(),
            TokenKind::For => self.repetition(),
            TokenKind::Ident if self.marks() => self.marked(),
            _ => {
                let atom = self.atom()?;
                self.postfix(atom)
            }
        }
    }

    fn negation(&mut self) -> Parsed<Expr> {
        let start = self.advance();
        let operand = self.operand(precedence::NEGATION)?;
        self.unary(UnaryOp::Neg, start, operand)
    }

    fn negated(&mut self, least: Precedence) -> Parsed<Expr> {
        let start = self.span();
        if least > precedence::NOT {
            let (message, help) = ("`not` binds looser than this operator", "put `not …` in parentheses");
            return Err(self.error(codes::UNEXPECTED_TOKEN, message, start, "needs parentheses", help));
        }
        self.advance();
        let operand = self.operand(precedence::NOT)?;
        self.unary(UnaryOp::Not, start, operand)
    }

    /// `peek f(x)` or `commit J(p)` starts here.
    pub(super) fn marks(&self) -> bool {
        (self.is_word("peek") || self.is_word("commit")) && self.kind_at(1) == TokenKind::Ident && !self.breaks_at(1)
    }

    fn marked(&mut self) -> Parsed<Expr> {
        let mark = if self.is_word("peek") { Mark::Peek } else { Mark::Commit };
        let start = self.advance();
        let value = self.operand(precedence::POSTFIX)?;
        let span = start.to(value.span);
        self.grow(self.height)?;
        Ok(Expr { kind: ExprKind::Marked { mark, value: Box::new(value) }, span })
    }

    fn choice(&mut self) -> Parsed<Expr> {
        let start = self.advance();
        let condition = Box::new(self.expression()?);
        let height = self.height;
        self.expect(TokenKind::Then, self.foreign_then())?;
        let (then, otherwise) = self.cases(start, height)?;
        let span = start.to(otherwise.span);
        Ok(Expr { kind: ExprKind::If { condition, then, otherwise }, span })
    }

    fn mode_choice(&mut self) -> Parsed<Expr> {
        let start = self.advance();
        let mode = self.expect_name("`training`", "write `when training a else b`")?;
        let (then, otherwise) = self.cases(start, 0)?;
        let span = start.to(otherwise.span);
        Ok(Expr { kind: ExprKind::When { mode, then, otherwise }, span })
    }

    fn unary(&mut self, op: UnaryOp, start: Span, operand: Expr) -> Parsed<Expr> {
        let span = start.to(operand.span);
        self.grow(self.height)?;
        Ok(Expr { kind: ExprKind::Unary { op, operand: Box::new(operand) }, span })
    }

    /// Both values of an `if` or a `when` that began at `start`.
    fn cases(&mut self, start: Span, condition_height: usize) -> Parsed<(Block, Block)> {
        let then = self.case(precedence::PIPE)?;
        let height = self.height.max(condition_height);
        if !self.is(TokenKind::Else) {
            let message = format!("expected `else`, found {}", self.found());
            let error = crate::source::Diagnostic::new(codes::MISSING_ELSE, message)
                .at(self.gap(), "`else` and the value otherwise belong here")
                .at(start, "this is an expression, so both cases need a value")
                .help(self.foreign().unwrap_or("a choice is written `if c then a else b` or `when training a else b`"));
            return Err(self.report(error));
        }
        self.advance();
        let otherwise = self.case(precedence::CHOICE)?;
        self.grow(height.max(self.height))?;
        Ok((then, otherwise))
    }

    fn case(&mut self, least: Precedence) -> Parsed<Block> {
        if self.is(TokenKind::LeftBrace) {
            return self.block();
        }
        let value = self.operand(least)?;
        let span = value.span;
        Ok(Block { statements: Vec::new(), result: Some(Box::new(value)), braced: false, span })
    }

    fn postfix(&mut self, mut base: Expr) -> Parsed<Expr> {
        loop {
            let kind = self.kind();
            let detached = self.bound && kind == TokenKind::LeftParen && !self.touches_at(0);
            if self.breaks() || detached || !follows(kind, &base) {
                return Ok(base);
            }
            base = match kind {
                TokenKind::LeftParen => self.call(base),
                TokenKind::LeftBracket => self.index(base),
                TokenKind::Dot => self.member(base),
                TokenKind::TransposeMark => self.transposed(base),
                TokenKind::Superscript => self.raised(base),
                _ => Err(self.stray_prime()),
            }?;
            if kind == TokenKind::LeftParen && self.starts_body() && is_index_reduction(&base) {
                return self.index_reduce(&base);
            }
        }
    }

    fn transposed(&mut self, base: Expr) -> Parsed<Expr> {
        let span = base.span.to(self.advance());
        self.grow(self.height)?;
        Ok(Expr { kind: ExprKind::Transpose { base: Box::new(base) }, span })
    }

    fn stray_prime(&mut self) -> Failed {
        let help = "write the prime directly after the name of a state, as in `v'`";
        let message = "only a name has a value after the step";
        self.error(codes::UNEXPECTED_TOKEN, message, self.span(), "not directly after a name", help)
    }

    fn call(&mut self, callee: Expr) -> Parsed<Expr> {
        let mut height = self.height;
        let open = self.open(TokenKind::LeftParen, "")?;
        let mut args = Vec::new();
        let mut over = None;
        while !self.is(TokenKind::RightParen) {
            if self.names_axes() && over.is_none() {
                over = Some(self.over()?);
            } else {
                let arg = self.arg()?;
                height = height.max(self.height);
                args.push(arg);
            }
            if self.accept(TokenKind::Comma).is_none() && !self.names_axes() {
                break;
            }
        }
        let close = self.close(&open, "`,`", "arguments are separated by `,`")?;
        let span = callee.span.to(close);
        self.grow(height)?;
        Ok(Expr { kind: ExprKind::Call { callee: Box::new(callee), args, over }, span })
    }

    fn arg(&mut self) -> Parsed<Arg> {
        let start = self.span();
        let name = if self.is(TokenKind::Ident) && self.kind_at(1) == TokenKind::Colon {
            let name = self.expect_name("a name", "")?;
            self.advance();
            Some(name)
        } else {
            None
        };
        let value = self.expression()?;
        if self.is(TokenKind::Assign) {
            let help = match value.as_name() {
                Some("axis" | "dim" | "axes") => "axes are named after `over`, as in `sum(x over D)`",
                _ => "arguments are named with `:`, as in `lr: 1e-3`",
            };
            return Err(self.unexpected("`,` or `)`", help));
        }
        let span = start.to(value.span);
        Ok(Arg { name, value, span })
    }

    /// `over N` or `per N` starts here.
    fn names_axes(&self) -> bool {
        self.is(TokenKind::Over) || (self.is_word("per") && self.kind_at(1) == TokenKind::Ident)
    }

    fn over(&mut self) -> Parsed<Over> {
        let per = !self.is(TokenKind::Over);
        let start = self.advance();
        let mut axes = Vec::new();
        loop {
            axes.push(match self.kind() {
                TokenKind::DotDot => OverAxis::Pack(self.advance()),
                _ => OverAxis::Label(
                    self.expect_name("the label of an axis or `..`", "name the axis to reduce, as in `sum(x over N)`")?,
                ),
            });
            let another = match self.kind_at(1) {
                TokenKind::DotDot => true,
                TokenKind::Ident => self.kind_at(2) != TokenKind::Colon,
                _ => false,
            };
            if !self.is(TokenKind::Comma) || !another {
                break;
            }
            self.advance();
        }
        Ok(Over { per, axes, span: start.to(self.previous_span()) })
    }

    fn index(&mut self, base: Expr) -> Parsed<Expr> {
        let mut height = self.height;
        let open = self.open(TokenKind::LeftBracket, "")?;
        let mut indices = Vec::new();
        loop {
            indices.push(match self.kind() {
                TokenKind::DotDot => Expr { kind: ExprKind::Name("..".into()), span: self.advance() },
                _ => self.expression()?,
            });
            height = height.max(self.height);
            if self.accept(TokenKind::Comma).is_none() || self.is(TokenKind::RightBracket) {
                break;
            }
        }
        let close = self.close(&open, "`,`", self.foreign_slice())?;
        let span = base.span.to(close);
        self.grow(height)?;
        Ok(Expr { kind: ExprKind::Index { base: Box::new(base), indices }, span })
    }

    fn member(&mut self, base: Expr) -> Parsed<Expr> {
        self.advance();
        let base_span = base.span;
        let base = Box::new(base);
        let kind = if self.is(TokenKind::Star) {
            self.advance();
            ExprKind::Wildcard { base }
        } else if self.is_word("T") {
            self.advance();
            ExprKind::Transpose { base }
        } else {
            let name = self.expect_name("a name, `*` or `T`", "paths are written `classifier.hidden.W`")?;
            ExprKind::Field { base, name }
        };
        let span = base_span.to(self.previous_span());
        self.grow(self.height)?;
        Ok(Expr { kind, span })
    }

    /// `x²`, which is `x^2`.
    fn raised(&mut self, base: Expr) -> Parsed<Expr> {
        let digits: String = self
            .text()
            .chars()
            .filter_map(|c| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|d| d == c))
            .filter_map(|digit| char::from_digit(digit as u32, 10))
            .collect();
        let height = self.height;
        let mark = self.advance();
        let exponent = self.integer(&digits, mark, false)?;
        let span = base.span.to(mark);
        self.grow(height)?;
        let (op, left, right) = (BinaryOp::Pow, Box::new(base), Box::new(exponent));
        Ok(Expr { kind: ExprKind::Binary { op, left, right }, span })
    }

    /// Something that can be the body of `sum(i) …` follows on this line.
    fn starts_body(&self) -> bool {
        let starts = matches!(self.kind(), TokenKind::Ident | TokenKind::Int | TokenKind::Float | TokenKind::LeftParen);
        starts && !self.breaks()
    }

    fn index_reduce(&mut self, call: &Expr) -> Parsed<Expr> {
        let (reduction, indices) = index_reduction(call).ok_or(Failed)?;
        let body = self.operand(precedence::PRODUCT)?;
        let span = call.span.to(body.span);
        self.grow(self.height)?;
        Ok(Expr { kind: ExprKind::IndexReduce { reduction, indices, body: Box::new(body) }, span })
    }

    fn atom(&mut self) -> Parsed<Expr> {
        match self.kind() {
            TokenKind::LeftParen => self.group(),
            TokenKind::LeftBracket => {
                let shape = self.shape()?;
                self.grow(self.height)?;
                let span = shape.span;
                Ok(Expr { kind: ExprKind::Shape(shape), span })
            }
            _ => self.leaf(),
        }
    }

    fn leaf(&mut self) -> Parsed<Expr> {
        self.height = 1;
        let (span, text) = (self.span(), self.text());
        let kind = match self.kind() {
            TokenKind::Ident if self.kind_at(1) == TokenKind::Prime && self.touches_at(1) => {
                self.advance();
                let span = span.to(self.advance());
                return Ok(Expr { kind: ExprKind::Next(normalise(text)), span });
            }
            TokenKind::Ident => ExprKind::Name(normalise(text)),
            TokenKind::Int => return self.integer(text, span, true),
            TokenKind::Float => return self.float(),
            TokenKind::Str => ExprKind::Str(unescape(text)),
            TokenKind::True => ExprKind::Bool(true),
            TokenKind::False => ExprKind::Bool(false),
            _ => return Err(self.no_expression()),
        };
        self.advance();
        Ok(Expr { kind, span })
    }

    /// Says that an expression is missing here.
    fn no_expression(&mut self) -> Failed {
        let what = "an expression";
        match self.kind() {
            // Reported by the lexer; what follows on the line went into the text.
            TokenKind::UnterminatedStr => Failed,
            TokenKind::Dot if self.kind_at(1) == TokenKind::Int => {
                let help = format!("write `0.{}`", self.text_at(1));
                self.unexpected(what, &help)
            }
            TokenKind::Plus if self.starts_line() => {
                self.unexpected_here(what, "to go on from the line before, end that line with `+`")
            }
            TokenKind::Colon if self.slices() => self.unexpected(what, self.foreign_slice()),
            TokenKind::LeftBrace => self.unexpected(what, "parts of an expression are grouped with `( )`"),
            TokenKind::LeftBracket => self.unexpected(what, "`[ ]` follows a value, to index it, or stands in types"),
            _ => self.unexpected(what, ""),
        }
    }

    fn float(&mut self) -> Parsed<Expr> {
        let value: f64 = self.text().parse().unwrap_or(f64::INFINITY);
        let span = self.advance();
        self.no_juxtaposition(span)?;
        if !value.is_finite() {
            let help = "numbers go up to about 1.8e308";
            return Err(self.error(codes::BAD_NUMBER, "this number is too large", span, "too large", help));
        }
        Ok(Expr { kind: ExprKind::Float(value), span })
    }

    /// The integer these digits write; they are the current token unless they were raised.
    fn integer(&mut self, digits: &str, span: Span, current: bool) -> Parsed<Expr> {
        self.height = 1;
        if current {
            self.advance();
            self.no_juxtaposition(span)?;
        }
        let Ok(value) = digits.parse::<i64>() else {
            let help = "integers go up to 9223372036854775807; other numbers are written with an exponent, `1e20`";
            return Err(self.error(codes::BAD_NUMBER, "this integer is too large", span, "too large", help));
        };
        Ok(Expr { kind: ExprKind::Int(value), span })
    }

    /// Refuses `2x` and `2(a + b)`.
    fn no_juxtaposition(&mut self, number: Span) -> Parsed<()> {
        let product = matches!(self.kind(), TokenKind::Ident | TokenKind::LeftParen);
        if !product || !self.touches_at(0) {
            return Ok(());
        }
        let help = format!("write the product as `{} * …`", self.source(number));
        Err(self.unexpected("an operator", &help))
    }

    /// `(a)` or `(a, b)`.
    fn group(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let open = self.open(TokenKind::LeftParen, "")?;
        let mut parts = vec![self.expression()?];
        let mut height = self.height;
        while self.accept(TokenKind::Comma).is_some() && !self.is(TokenKind::RightParen) {
            parts.push(self.expression()?);
            height = height.max(self.height);
        }
        let span = start.to(self.close(&open, "an operator", "")?);
        self.height = height;
        if parts.len() == 1 {
            return match parts.pop() {
                Some(inner) => Ok(Expr { span, ..inner }),
                None => Err(Failed),
            };
        }
        self.grow(height)?;
        Ok(Expr { kind: ExprKind::Tuple(parts), span })
    }
}

fn binary_op(kind: TokenKind) -> Option<BinaryOp> {
    Some(match kind {
        TokenKind::Or => BinaryOp::Or,
        TokenKind::And => BinaryOp::And,
        TokenKind::Less => BinaryOp::Lt,
        TokenKind::LessEqual => BinaryOp::Le,
        TokenKind::Greater => BinaryOp::Gt,
        TokenKind::GreaterEqual => BinaryOp::Ge,
        TokenKind::EqualEqual => BinaryOp::Eq,
        TokenKind::NotEqual => BinaryOp::Ne,
        TokenKind::Plus => BinaryOp::Add,
        TokenKind::Minus => BinaryOp::Sub,
        TokenKind::Star => BinaryOp::Mul,
        TokenKind::Slash => BinaryOp::Div,
        TokenKind::At => BinaryOp::MatMul,
        TokenKind::Caret => BinaryOp::Pow,
        _ => return None,
    })
}

/// An operator that cannot begin an expression, so a line that starts with it goes on from the line before.
pub(crate) fn continues_line(kind: TokenKind) -> bool {
    kind == TokenKind::Pipe || binary_op(kind).is_some_and(|op| !matches!(op, BinaryOp::Add | BinaryOp::Sub))
}

/// Whether the token goes on with the operand before it; literals are neither called nor indexed.
fn follows(kind: TokenKind, base: &Expr) -> bool {
    let literal = matches!(base.kind, ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_) | ExprKind::Shape(_));
    match kind {
        TokenKind::LeftParen | TokenKind::LeftBracket => !literal,
        TokenKind::Dot | TokenKind::TransposeMark | TokenKind::Superscript | TokenKind::Prime => true,
        _ => false,
    }
}

/// `sum(i, k)`, a reduction's name applied to names only.
fn index_reduction(call: &Expr) -> Option<(Name, Vec<Name>)> {
    let ExprKind::Call { callee, args, over: None } = &call.kind else { return None };
    let reduction = callee.as_name().filter(|name| INDEX_REDUCTIONS.contains(name))?;
    let indices: Option<Vec<Name>> = args
        .iter()
        .map(|arg| match (&arg.name, arg.value.as_name()) {
            (None, Some(text)) => Some(Name { text: text.to_string(), span: arg.span }),
            _ => None,
        })
        .collect();
    let indices = indices.filter(|indices| !indices.is_empty())?;
    Some((Name { text: reduction.to_string(), span: callee.span }, indices))
}

/// A call that would be taken for the beginning of a reduction over indices if an operand followed.
pub(crate) fn is_index_reduction(call: &Expr) -> bool {
    index_reduction(call).is_some()
}

/// The text between the quotes.
pub(super) fn unescape(literal: &str) -> String {
    let inner = literal.strip_prefix('"').unwrap_or(literal);
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut text = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(other) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    text
}
