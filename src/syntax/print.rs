//! Trees back to `.dl` source on one line, with no more parentheses than needed.
//!
//! Invariant: an expression from the parser, printed and parsed again, is the same tree apart from spans. Names come out
//! in their ASCII spelling. Negative literals, which only generated trees hold, print as negations.

use super::ast::{
    Arg, Axis, AxisKind, BinaryOp, Block, Carried, Element, Expr, ExprKind, Name, Over, OverAxis, Shape, Statement,
    StatementKind, Type, TypeKind, UnaryOp,
};
use super::precedence::{self, Precedence};
use super::token::{TokenKind, tokenize};
use crate::source::FileId;
use std::fmt::{self, Write};

impl UnaryOp {
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Not => "not",
        }
    }
}

impl BinaryOp {
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::MatMul => "@",
            BinaryOp::Pow => "^",
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_expr(f, self, precedence::PIPE)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Writes an expression, in parentheses if it binds looser than `least`.
fn write_expr(f: &mut fmt::Formatter<'_>, expr: &Expr, least: Precedence) -> fmt::Result {
    if precedence_of(expr) < least {
        f.write_char('(')?;
        write_bare(f, expr)?;
        return f.write_char(')');
    }
    write_bare(f, expr)
}

fn precedence_of(expr: &Expr) -> Precedence {
    match &expr.kind {
        ExprKind::Pipe { .. } => precedence::PIPE,
        ExprKind::If { .. } | ExprKind::When { .. } | ExprKind::For(_) => precedence::CHOICE,
        ExprKind::Marked { .. } => precedence::NEGATION,
        ExprKind::Binary { op, .. } => precedence::of_binary(*op),
        ExprKind::Unary { op: UnaryOp::Not, .. } => precedence::NOT,
        ExprKind::Unary { op: UnaryOp::Neg, .. } => precedence::NEGATION,
        ExprKind::Int(value) if *value < 0 => precedence::NEGATION,
        ExprKind::Float(value) if value.is_sign_negative() => precedence::NEGATION,
        ExprKind::IndexReduce { .. } => precedence::INDEX_REDUCTION,
        _ => precedence::POSTFIX,
    }
}

fn write_bare(f: &mut fmt::Formatter<'_>, expr: &Expr) -> fmt::Result {
    match &expr.kind {
        ExprKind::Int(value) => write!(f, "{value}"),
        ExprKind::Float(value) => write!(f, "{value:?}"),
        ExprKind::Bool(value) => write!(f, "{value}"),
        ExprKind::Str(text) => write_text(f, text),
        ExprKind::Name(name) => f.write_str(name),
        ExprKind::Next(name) => write!(f, "{name}'"),
        ExprKind::Unary { op: UnaryOp::Neg, operand } => {
            f.write_char('-')?;
            write_expr(f, operand, precedence::NEGATION)
        }
        ExprKind::Unary { op: UnaryOp::Not, operand } => {
            f.write_str("not ")?;
            write_expr(f, operand, precedence::NOT)
        }
        ExprKind::Binary { op, left, right } => {
            write_expr(f, left, precedence::left_of(*op))?;
            match op {
                BinaryOp::Pow => f.write_char('^')?,
                _ => write!(f, " {} ", op.symbol())?,
            }
            // `x^-1` needs no parentheses: a minus sign there cannot be a difference.
            let negation = precedence_of(right) == precedence::NEGATION;
            let least = if *op == BinaryOp::Pow && negation { precedence::NEGATION } else { precedence::right_of(*op) };
            write_expr(f, right, least)
        }
        ExprKind::Call { callee, args, over } => {
            write_callee(f, callee)?;
            f.write_char('(')?;
            write_list(f, args)?;
            if let Some(over) = over {
                f.write_str(if args.is_empty() { "" } else { " " })?;
                write!(f, "{over}")?;
            }
            f.write_char(')')
        }
        ExprKind::IndexReduce { reduction, indices, body } => {
            write!(f, "{reduction}(")?;
            write_list(f, indices)?;
            f.write_str(") ")?;
            let bare = At(body, precedence::PRODUCT).to_string();
            if starts_body(&bare) { f.write_str(&bare) } else { write!(f, "({body})") }
        }
        ExprKind::Pipe { value, callee } => {
            write_expr(f, value, precedence::PIPE)?;
            f.write_str(" |> ")?;
            write_expr(f, callee, precedence::POSTFIX)
        }
        ExprKind::Index { base, indices } => {
            write_expr(f, base, precedence::POSTFIX)?;
            f.write_char('[')?;
            write_list(f, indices)?;
            f.write_char(']')
        }
        ExprKind::Field { base, name } => {
            write_expr(f, base, precedence::POSTFIX)?;
            write!(f, ".{name}")
        }
        ExprKind::Wildcard { base } => {
            write_expr(f, base, precedence::POSTFIX)?;
            f.write_str(".*")
        }
        ExprKind::Transpose { base } => {
            write_expr(f, base, precedence::POSTFIX)?;
            f.write_str(".T")
        }
        ExprKind::Tuple(parts) => {
            f.write_char('(')?;
            write_list(f, parts)?;
            f.write_char(')')
        }
        ExprKind::If { condition, then, otherwise } => {
            write!(f, "if {condition} then {then} else ")?;
            write_otherwise(f, otherwise)
        }
        ExprKind::When { mode, then, otherwise } => {
            write!(f, "when {mode} {then} else ")?;
            write_otherwise(f, otherwise)
        }
        ExprKind::For(repeat) => {
            write!(f, "for {} in ", repeat.index)?;
            write_limit(f, &repeat.from)?;
            f.write_str("..")?;
            write_limit(f, &repeat.to)?;
            f.write_str(" (")?;
            write_list(f, &repeat.carried)?;
            write!(f, ") {}", repeat.body)
        }
        ExprKind::Shape(shape) => write!(f, "{shape}"),
        ExprKind::Marked { mark, value } => {
            write!(f, "{} ", mark.keyword())?;
            write_expr(f, value, precedence::POSTFIX)
        }
    }
}

/// A limit of a repetition: whatever a call could be taken for stands in parentheses.
fn write_limit(f: &mut fmt::Formatter<'_>, limit: &Expr) -> fmt::Result {
    match limit.kind {
        ExprKind::Int(n) if n >= 0 => write!(f, "{n}"),
        ExprKind::Name(_) => write!(f, "{limit}"),
        _ => write!(f, "({limit})"),
    }
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ty {
            Some(ty) => write!(f, "{}: {ty} = {}", self.name, self.init),
            None => write!(f, "{} = {}", self.name, self.init),
        }
    }
}

/// An expression at a precedence, to be written elsewhere first.
struct At<'a>(&'a Expr, Precedence);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_expr(f, self.0, self.1)
    }
}

/// `sum(x)(y)` would read as a reduction over the index `x`.
fn write_callee(f: &mut fmt::Formatter<'_>, callee: &Expr) -> fmt::Result {
    if super::parse::is_index_reduction(callee) {
        return write!(f, "({callee})");
    }
    write_expr(f, callee, precedence::POSTFIX)
}

/// A source text that can follow `sum(i)` as its body.
fn starts_body(text: &str) -> bool {
    let (tokens, _) = tokenize(FileId::default(), text);
    tokens.first().is_some_and(|token| {
        matches!(token.kind, TokenKind::Ident | TokenKind::Int | TokenKind::Float | TokenKind::LeftParen)
    })
}

/// The case after `else`, where a pipe would take the whole choice as its value.
fn write_otherwise(f: &mut fmt::Formatter<'_>, block: &Block) -> fmt::Result {
    match &block.result {
        Some(value) if !block.braced => write_expr(f, value, precedence::CHOICE),
        _ => write!(f, "{block}"),
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}

fn write_list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, parts: &[T]) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { ", " })?;
        write!(f, "{part}")?;
    }
    Ok(())
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}: ")?;
        }
        write!(f, "{}", self.value)
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.per { "per " } else { "over " })?;
        write_list(f, &self.axes)
    }
}

impl fmt::Display for OverAxis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OverAxis::Label(name) => write!(f, "{name}"),
            OverAxis::Pack(_) => f.write_str(".."),
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Some(value) if !self.braced => return write!(f, "{value}"),
            _ => f.write_str("{ ")?,
        }
        for statement in &self.statements {
            write!(f, "{statement}; ")?;
        }
        match &self.result {
            Some(value) => write!(f, "{value} }}"),
            None => f.write_char('}'),
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            StatementKind::Let { name, value } => write!(f, "{name} = {value}"),
            StatementKind::LetTuple { names, value } => {
                f.write_char('(')?;
                write_list(f, names)?;
                write!(f, ") = {value}")
            }
            StatementKind::LetIndexed { name, indices, value } => {
                write!(f, "{name}[")?;
                write_list(f, indices)?;
                write!(f, "] = {value}")
            }
            StatementKind::Param { name, shape, init } => write!(f, "param {name}: {shape} = {init}"),
            StatementKind::State { name, ty: Some(ty), init } => write!(f, "state {name}: {ty} = {init}"),
            StatementKind::State { name, ty: None, init } => write!(f, "state {name} = {init}"),
            StatementKind::Next { name, value } => write!(f, "{name}' = {value}"),
            StatementKind::Shared { name, layer } => write!(f, "shared {name} = {layer}"),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TypeKind::Tensor { element: Element::Float, shape } => write!(f, "{shape}"),
            TypeKind::Tensor { element, shape } => {
                match element {
                    Element::Float => {}
                    Element::Int => f.write_str("int")?,
                    Element::Bool => f.write_str("bool")?,
                    Element::Index(size) => write!(f, "index({size})")?,
                }
                if shape.axes.is_empty() { Ok(()) } else { write!(f, "{shape}") }
            }
            TypeKind::Params => f.write_str("params"),
            TypeKind::Objective => f.write_str("objective"),
            TypeKind::Function { inputs, result } => {
                match inputs.as_slice() {
                    [only] if !matches!(only.kind, TypeKind::Function { .. } | TypeKind::Tuple(_)) => {
                        write!(f, "{only}")?;
                    }
                    _ => {
                        f.write_char('(')?;
                        write_list(f, inputs)?;
                        f.write_char(')')?;
                    }
                }
                write!(f, " -> {result}")
            }
            TypeKind::Tuple(parts) => {
                f.write_char('(')?;
                write_list(f, parts)?;
                f.write_char(')')
            }
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        write_list(f, &self.axes)?;
        f.write_char(']')
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            AxisKind::Pack => f.write_str(".."),
            AxisKind::Size { label: Some(label), size } => write!(f, "{label}: {size}"),
            AxisKind::Size { label: None, size } => write!(f, "{size}"),
        }
    }
}
