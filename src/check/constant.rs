//! Numbers known before anything runs: top-level constants, epochs, batch sizes.

use crate::source::{Diagnostic, closest, codes};
use crate::syntax::ast::{self, BinaryOp, ExprKind, UnaryOp};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Value {
    pub number: f64,
    pub integer: bool,
}

/// The value of an expression over constants; `None` if it has none, which is then reported (or was).
pub fn evaluate(
    e: &ast::Expr,
    values: &BTreeMap<String, Value>,
    poisoned: &BTreeSet<String>,
    errors: &mut Vec<Diagnostic>,
) -> Option<Value> {
    match &e.kind {
        ExprKind::Int(n) => Some(Value { number: *n as f64, integer: true }),
        ExprKind::Float(x) => Some(Value { number: *x, integer: false }),
        ExprKind::Name(name) => {
            if let Some(value) = values.get(name) {
                return Some(*value);
            }
            if !poisoned.contains(name) {
                let mut error = Diagnostic::new(codes::NOT_A_CONSTANT, format!("`{name}` is no constant"))
                    .at(e.span, "a number known before training is wanted here");
                // Beyond those that are shown, no help is looked for: it takes long where there are many names.
                if errors.len() <= super::MAX_ERRORS
                    && let Some(near) = closest(name, values.keys().map(String::as_str))
                {
                    error = error.help(format!("did you mean `{near}`?"));
                }
                errors.push(error);
            }
            None
        }
        ExprKind::Unary { op: UnaryOp::Neg, operand } => {
            let v = evaluate(operand, values, poisoned, errors)?;
            Some(Value { number: -v.number, ..v })
        }
        ExprKind::Binary { op, left, right } => {
            let a = evaluate(left, values, poisoned, errors)?;
            let b = evaluate(right, values, poisoned, errors)?;
            let both = a.integer && b.integer;
            let (number, integer) = match op {
                BinaryOp::Add => (a.number + b.number, both),
                BinaryOp::Sub => (a.number - b.number, both),
                BinaryOp::Mul => (a.number * b.number, both),
                BinaryOp::Div => (a.number / b.number, false),
                BinaryOp::Pow => (a.number.powf(b.number), both && b.number >= 0.0),
                _ => return refuse(e, errors),
            };
            Some(Value { number, integer })
        }
        _ => refuse(e, errors),
    }
}

fn refuse(e: &ast::Expr, errors: &mut Vec<Diagnostic>) -> Option<Value> {
    let mut error = Diagnostic::new(codes::NOT_A_CONSTANT, "a number known before training is wanted here")
        .at(e.span, "made of numbers, constants and + - * / ^");
    if matches!(e.kind, ExprKind::Call { .. } | ExprKind::Pipe { .. } | ExprKind::Shape(_)) {
        error = error.help(
            "what is computed from data or parameters stands in a definition: `fn f(x) = …`, `net f(x: [N, 64]) = …`",
        );
    }
    errors.push(error);
    None
}

/// Names of constants, each after those it is made of. Constants in a circle are reported and left out.
pub fn order<'a>(items: &BTreeMap<&'a str, &'a ast::Constant>, errors: &mut Vec<Diagnostic>) -> Vec<&'a str> {
    let mut waiting: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, item) in items {
        let mut used = BTreeSet::new();
        collect(&item.value, &mut used);
        waiting.insert(name, used.into_iter().filter_map(|u| items.get_key_value(u).map(|(k, _)| *k)).collect());
    }
    let mut users: BTreeMap<&str, Vec<&'a str>> = BTreeMap::new();
    for (name, item) in items {
        for used in &waiting[item.name.text.as_str()] {
            users.entry(used).or_default().push(name);
        }
    }
    let mut missing: BTreeMap<&str, usize> = waiting.iter().map(|(n, u)| (*n, u.len())).collect();
    let mut ready: Vec<&'a str> = items.keys().copied().filter(|n| missing[n] == 0).collect();
    let mut out = Vec::new();
    while let Some(name) = ready.pop() {
        out.push(name);
        for user in users.get(name).into_iter().flatten() {
            if let Some(count) = missing.get_mut(user) {
                *count -= 1;
                if *count == 0 {
                    ready.push(user);
                }
            }
        }
    }
    if out.len() < items.len()
        && let Some(item) = items.iter().find(|(n, _)| missing[*n] > 0).map(|(_, item)| item)
    {
        errors.push(
            Diagnostic::new(codes::CYCLE, format!("the value of `{}` depends on itself", item.name.text))
                .at(item.name.span, "in a circle with other constants"),
        );
    }
    out
}

/// The names in an expression of numbers.
pub fn collect<'e>(e: &'e ast::Expr, used: &mut BTreeSet<&'e str>) {
    match &e.kind {
        ExprKind::Name(name) => {
            used.insert(name);
        }
        ExprKind::Unary { operand, .. } => collect(operand, used),
        ExprKind::Binary { left, right, .. } => {
            collect(left, used);
            collect(right, used);
        }
        _ => {}
    }
}
