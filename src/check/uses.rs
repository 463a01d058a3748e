//! Which names an expression, a block or a definition mentions, arguments before what is applied to them.

use crate::source::Span;
use crate::syntax::ast::{Block, Definition, Expr, ExprKind, Statement, StatementKind};

/// One mention of a name.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Use<'a> {
    Value(&'a str, Span),
    /// The name is applied to arguments.
    Callee(&'a str, Span),
    /// `v'`
    Next(&'a str, Span),
}

pub fn expression<'a>(e: &'a Expr, visit: &mut dyn FnMut(Use<'a>)) {
    match &e.kind {
        ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::Str(_) => {}
        ExprKind::Name(name) => visit(Use::Value(name, e.span)),
        ExprKind::Next(name) => visit(Use::Next(name, e.span)),
        ExprKind::Unary { operand: inner, .. }
        | ExprKind::IndexReduce { body: inner, .. }
        | ExprKind::Field { base: inner, .. }
        | ExprKind::Wildcard { base: inner }
        | ExprKind::Transpose { base: inner } => expression(inner, visit),
        ExprKind::Binary { left, right, .. } => {
            expression(left, visit);
            expression(right, visit);
        }
        ExprKind::Call { callee, args, over } => {
            // Draws (`normal(like: x)`) and reductions over axes are the language's own.
            let built_in = over.is_some() || args.iter().any(|a| a.name.as_ref().is_some_and(|n| n.text == "like"));
            args.iter().for_each(|a| expression(&a.value, visit));
            if !(built_in && callee.as_name().is_some()) {
                applied(callee, visit);
            }
        }
        ExprKind::Pipe { value, callee } => {
            expression(value, visit);
            applied(callee, visit);
        }
        ExprKind::Index { base, indices } => {
            expression(base, visit);
            indices.iter().for_each(|i| expression(i, visit));
        }
        ExprKind::Tuple(parts) => parts.iter().for_each(|p| expression(p, visit)),
        ExprKind::If { condition, then, otherwise } => {
            expression(condition, visit);
            block(then, visit);
            block(otherwise, visit);
        }
        ExprKind::When { then, otherwise, .. } => {
            block(then, visit);
            block(otherwise, visit);
        }
    }
}

fn applied<'a>(callee: &'a Expr, visit: &mut dyn FnMut(Use<'a>)) {
    match &callee.kind {
        ExprKind::Name(name) => visit(Use::Callee(name, callee.span)),
        _ => expression(callee, visit),
    }
}

pub fn block<'a>(b: &'a Block, visit: &mut dyn FnMut(Use<'a>)) {
    b.statements.iter().for_each(|s| statement(s, visit));
    if let Some(result) = &b.result {
        expression(result, visit);
    }
}

pub fn statement<'a>(s: &'a Statement, visit: &mut dyn FnMut(Use<'a>)) {
    match &s.kind {
        StatementKind::Let { value, .. }
        | StatementKind::LetTuple { value, .. }
        | StatementKind::LetIndexed { value, .. }
        | StatementKind::Next { value, .. }
        | StatementKind::Param { init: value, .. }
        | StatementKind::State { init: value, .. } => expression(value, visit),
    }
}

/// Everything the body and the defaults of the options mention.
pub fn definition<'a>(d: &'a Definition, visit: &mut dyn FnMut(Use<'a>)) {
    for option in &d.options {
        if let Some(default) = &option.default {
            expression(default, visit);
        }
    }
    block(&d.body, visit);
}

/// The place of the name that an application applies, if it applies one: `dense` in `x |> dense(3)`.
pub fn applied_name(e: &Expr) -> Option<(&str, Span)> {
    match &e.kind {
        ExprKind::Call { callee, .. } => callee.as_name().map(|n| (n, callee.span)),
        ExprKind::Pipe { callee, .. } => match &callee.kind {
            ExprKind::Name(name) => Some((name, callee.span)),
            _ => applied_name(callee),
        },
        _ => None,
    }
}
