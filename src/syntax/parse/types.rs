//! Types and shapes.

use super::Parsed;
use super::cursor::Parser;
use crate::source::{Span, codes};
use crate::syntax::ast::{Axis, AxisKind, Element, Shape, Type, TypeKind};
use crate::syntax::token::TokenKind;

impl Parser<'_> {
    pub(super) fn type_(&mut self) -> Parsed<Type> {
        self.nested(|parser| {
            let start = parser.span();
            let (inputs, single) =
                if parser.is(TokenKind::LeftParen) { parser.type_list()? } else { (vec![parser.simple_type()?], true) };
            if parser.is(TokenKind::Arrow) {
                parser.advance();
                let result = parser.type_()?;
                let span = start.to(result.span);
                return Ok(Type { kind: TypeKind::Function { inputs, result: Box::new(result) }, span });
            }
            let span = start.to(parser.previous_span());
            let mut inputs = inputs;
            match inputs.pop() {
                Some(only) if single => Ok(Type { span, ..only }),
                last => Ok(Type { kind: TypeKind::Tuple(inputs.into_iter().chain(last).collect()), span }),
            }
        })
    }

    /// `([N], [N, K])`; the flag says that there is only one, in parentheses for grouping.
    fn type_list(&mut self) -> Parsed<(Vec<Type>, bool)> {
        let open = self.open(TokenKind::LeftParen, "")?;
        let mut types = vec![self.type_()?];
        while self.accept(TokenKind::Comma).is_some() && !self.is(TokenKind::RightParen) {
            types.push(self.type_()?);
        }
        self.close(&open, "`,`", "")?;
        let single = types.len() == 1;
        Ok((types, single))
    }

    fn simple_type(&mut self) -> Parsed<Type> {
        let start = self.span();
        if self.is(TokenKind::LeftBracket) {
            let shape = self.shape()?;
            let span = shape.span;
            return Ok(Type { kind: TypeKind::Tensor { element: Element::Float, shape }, span });
        }
        let known = ["index", "bool", "int", "params", "objective"];
        if !self.is(TokenKind::Ident) {
            return Err(self.unexpected("a type", "a tensor's type is its axes: `[N, 64]`, or `[]` for a scalar"));
        }
        if !known.contains(&self.text()) {
            let (message, span) = (format!("`{}` is not a type", self.text()), self.span());
            let types = "types are `[N, 64]` (`[]` for a scalar), `index(K)[N]`, `bool[N]`, `int[N]`, `params`, \
                        `objective` and functions `[N, D] -> [N, K]`";
            let help = self.foreign_type().unwrap_or(types);
            return Err(self.error(codes::UNKNOWN_TYPE, &message, span, "not a type", help));
        }
        let word = self.text();
        self.advance();
        let element = match word {
            "params" => return Ok(Type { kind: TypeKind::Params, span: start }),
            "objective" => return Ok(Type { kind: TypeKind::Objective, span: start }),
            "bool" => Element::Bool,
            "int" => Element::Int,
            _ => {
                let help = "say which axis it points into, as in `index(K)[N]`";
                let open = self.open(TokenKind::LeftParen, help)?;
                let size = self.expression()?;
                self.close(&open, "", help)?;
                Element::Index(Box::new(size))
            }
        };
        let shape = if self.is(TokenKind::LeftBracket) && !self.breaks() {
            self.shape()?
        } else {
            let end = self.previous_span().end;
            Shape { axes: Vec::new(), span: Span { start: end, end, ..start } }
        };
        Ok(Type { kind: TypeKind::Tensor { element, shape }, span: start.to(self.previous_span()) })
    }

    pub(super) fn shape(&mut self) -> Parsed<Shape> {
        let start = self.span();
        let open = self.open(TokenKind::LeftBracket, "a tensor's axes are written `[N, 64]`; `[]` is a scalar")?;
        let mut axes = Vec::new();
        let mut height = 0;
        while !self.is(TokenKind::RightBracket) {
            self.height = 0;
            axes.push(self.axis()?);
            height = height.max(self.height);
            if self.accept(TokenKind::Comma).is_none() {
                break;
            }
        }
        let end = self.close(&open, "`,`", "axes are separated by `,`, as in `[N, 64]`")?;
        self.height = height;
        Ok(Shape { axes, span: start.to(end) })
    }

    fn axis(&mut self) -> Parsed<Axis> {
        let start = self.span();
        if self.accept(TokenKind::DotDot).is_some() {
            return Ok(Axis { kind: AxisKind::Pack, span: start });
        }
        let label = if self.is(TokenKind::Ident) && self.kind_at(1) == TokenKind::Colon {
            let label = self.expect_name("a label", "")?;
            self.advance();
            Some(label)
        } else {
            None
        };
        let size = self.expression()?;
        let span = start.to(size.span);
        Ok(Axis { kind: AxisKind::Size { label, size }, span })
    }
}
