//! Which names an expression, a block or a definition mentions, arguments before what is applied to them.

use crate::source::Span;
use crate::syntax::ast::{
    Arg, AxisKind, Block, Definition, Expr, ExprKind, For, Name, Shape, Statement, StatementKind,
};
use std::collections::BTreeSet;

/// One mention of a name.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Use<'a> {
    Value(&'a str, Span),
    /// The name is applied to arguments.
    Callee(&'a str, Span),
    /// `v'`
    Next(&'a str, Span),
    /// `d` in `d.W`, besides its value.
    Part(&'a str, Span),
    /// `b.residual`: the qualifier, then the name.
    Qualified(&'a str, &'a str, Span),
}

pub fn expression<'a>(e: &'a Expr, visit: &mut dyn FnMut(Use<'a>)) {
    match &e.kind {
        ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::Str(_) => {}
        ExprKind::Shape(shape) => self::shape(shape, visit),
        ExprKind::For(repeat) => self::repetition(repeat, visit),
        ExprKind::Marked { value, .. } => expression(value, visit),
        ExprKind::Field { base, name } => {
            if let ExprKind::Name(qualifier) = &base.kind {
                visit(Use::Part(qualifier, base.span));
                visit(Use::Qualified(qualifier, &name.text, e.span));
            }
            expression(base, visit);
        }
        ExprKind::Name(name) => visit(Use::Value(name, e.span)),
        ExprKind::Next(name) => visit(Use::Next(name, e.span)),
        ExprKind::Unary { operand: inner, .. }
        | ExprKind::IndexReduce { body: inner, .. }
        | ExprKind::Wildcard { base: inner }
        | ExprKind::Transpose { base: inner } => expression(inner, visit),
        ExprKind::Binary { left, right, .. } => {
            expression(left, visit);
            expression(right, visit);
        }
        ExprKind::Call { callee, args, over } => {
            // Draws (`normal(like: x)`) and reductions over axes are the language's own.
            let shaped = |a: &Arg| {
                a.name.as_ref().is_some_and(|n| n.text == "like") || matches!(a.value.kind, ExprKind::Shape(_))
            };
            let built_in = over.is_some() || args.iter().any(shaped);
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

/// The sizes of a shape.
fn shape<'a>(shape: &'a Shape, visit: &mut dyn FnMut(Use<'a>)) {
    for axis in &shape.axes {
        if let AxisKind::Size { size, .. } = &axis.kind {
            expression(size, visit);
        }
    }
}

/// What a repetition mentions of the names around it: those it binds itself are hidden.
fn repetition<'a>(repeat: &'a For, visit: &mut dyn FnMut(Use<'a>)) {
    expression(&repeat.from, visit);
    expression(&repeat.to, visit);
    let mut own: BTreeSet<&str> = BTreeSet::from([repeat.index.text.as_str()]);
    for carried in &repeat.carried {
        expression(&carried.init, visit);
        own.insert(&carried.name.text);
    }
    for s in &repeat.body.statements {
        own.extend(bound(s).iter().map(|n| n.text.as_str()));
    }
    block(&repeat.body, &mut |u| match u {
        Use::Value(name, _) | Use::Next(name, _) | Use::Part(name, _) if own.contains(name) => {}
        // A name that is applied may be a definition's even where a local is called so.
        _ => visit(u),
    });
}

/// The names that a statement binds.
pub fn bound(s: &Statement) -> Vec<&Name> {
    match &s.kind {
        StatementKind::Let { name, .. }
        | StatementKind::LetIndexed { name, .. }
        | StatementKind::Param { name, .. }
        | StatementKind::State { name, .. }
        | StatementKind::Shared { name, .. } => vec![name],
        StatementKind::LetTuple { names, .. } => names.iter().collect(),
        StatementKind::Next { .. } => Vec::new(),
    }
}

pub fn block<'a>(b: &'a Block, visit: &mut dyn FnMut(Use<'a>)) {
    b.statements.iter().for_each(|s| statement(s, visit));
    if let Some(result) = &b.result {
        expression(result, visit);
    }
}

pub fn statement<'a>(s: &'a Statement, visit: &mut dyn FnMut(Use<'a>)) {
    expression(s.value(), visit);
}

/// Everything the body and the defaults of the options mention.
pub fn definition<'a>(d: &'a Definition, visit: &mut dyn FnMut(Use<'a>)) {
    for option in &d.options {
        if let Some(default) = &option.default {
            expression(default, visit);
        }
    }
    for require in &d.requires {
        expression(&require.value, visit);
        require.divides.iter().for_each(|whole| expression(whole, visit));
    }
    block(&d.body, visit);
    if let Some(derivative) = &d.derivative {
        block(&derivative.body, visit);
    }
}

/// What an application applies: `dense` in `x |> dense(3)`.
pub fn applied_callee(e: &Expr) -> Option<&Expr> {
    match &e.kind {
        ExprKind::Call { callee, .. } => Some(callee),
        ExprKind::Pipe { callee, .. } => match &callee.kind {
            ExprKind::Name(_) | ExprKind::Field { .. } => Some(callee),
            _ => applied_callee(callee),
        },
        _ => None,
    }
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
