//! The order in which definitions are checked: each after those it uses. Recursion is an error.

use super::globals::{Global, Globals};
use super::typed::DefId;
use super::uses::{self, Use};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, StatementKind, TypeKind};
use std::collections::BTreeSet;

/// Definitions in dependency order. Those in a circle, reported here, are left out: whatever uses them is in error
/// silently.
pub fn order(globals: &Globals, errors: &mut Vec<Diagnostic>) -> Vec<DefId> {
    let edges: Vec<Vec<(usize, Span)>> = globals.definitions.iter().map(|(d, _)| used(globals, d)).collect();
    let mut out = Vec::new();
    // 0 not seen, 1 on the path, 2 done; the path is explicit because chains may be as long as the file.
    let mut colour = vec![0u8; edges.len()];
    let mut circular = vec![false; edges.len()];
    for start in 0..edges.len() {
        let mut path: Vec<(usize, usize)> = Vec::new();
        if colour[start] == 0 {
            colour[start] = 1;
            path.push((start, 0));
        }
        while let Some((at, next)) = path.last_mut() {
            let at = *at;
            match edges[at].get(*next) {
                Some((to, span)) => {
                    *next += 1;
                    match colour[*to] {
                        0 => {
                            colour[*to] = 1;
                            path.push((*to, 0));
                        }
                        1 => {
                            let from = path.iter().position(|(k, _)| k == to).unwrap_or(0);
                            let circle: Vec<usize> = path[from..].iter().map(|(k, _)| *k).collect();
                            if circle.iter().all(|k| !circular[*k]) {
                                errors.push(recursion(globals, &circle, *span));
                            }
                            circle.iter().for_each(|k| circular[*k] = true);
                        }
                        _ => {}
                    }
                }
                None => {
                    colour[at] = 2;
                    path.pop();
                    out.push(DefId(at as u32));
                }
            }
        }
    }
    out.retain(|id| !circular[id.0 as usize]);
    out
}

fn recursion(globals: &Globals, circle: &[usize], span: Span) -> Diagnostic {
    let name = |k: usize| globals.definitions[k].0.name.text.as_str();
    let first = circle[0];
    let error = match circle {
        [_] => Diagnostic::new(codes::RECURSION, format!("`{}` uses itself", name(first))),
        _ => {
            let mut steps: Vec<String> = circle.iter().map(|k| format!("`{}`", name(*k))).collect();
            steps.push(format!("`{}`", name(first)));
            Diagnostic::new(codes::RECURSION, "these definitions use each other in a circle")
                .note(format!("the circle is {}", steps.join(" -> ")))
        }
    };
    error
        .at(span, format!("`{}` is applied here", name(first)))
        .at(globals.definitions[first].0.name.span, "and is being defined here")
        .note("definitions are expanded where they are used, so this would have no end")
}

/// The definitions that one mentions, each once, with the place of the first mention.
fn used(globals: &Globals, d: &ast::Definition) -> Vec<(usize, Span)> {
    let bound = bound_names(d);
    let functions: BTreeSet<&str> = d
        .inputs
        .iter()
        .filter(|i| matches!(i.ty.as_ref().map(|t| &t.kind), Some(TypeKind::Function { .. } | TypeKind::Objective)))
        .map(|i| i.name.text.as_str())
        .collect();
    let mut found: Vec<(usize, Span)> = Vec::new();
    let mut seen = BTreeSet::new();
    uses::definition(d, &mut |u| {
        let (name, span) = match u {
            Use::Value(name, span) if !bound.contains(name) => (name, span),
            Use::Callee(name, span) if !functions.contains(name) => (name, span),
            Use::Qualified(alias, name, span) => {
                if let Some(Global::Definition(id)) = globals.find_qualified(alias, name, d.name.span.file)
                    && seen.insert(id)
                {
                    found.push((id.0 as usize, span));
                }
                return;
            }
            _ => return,
        };
        if let Some(Global::Definition(id) | Global::Computed(id)) = globals.find(name, d.name.span.file)
            && seen.insert(id)
        {
            found.push((id.0 as usize, span));
        }
    });
    found
}

/// Every name bound anywhere in the definition.
fn bound_names(d: &ast::Definition) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = d.inputs.iter().map(|i| i.name.text.as_str()).collect();
    names.extend(d.options.iter().map(|o| o.name.text.as_str()));
    collect(&d.body, &mut names);
    names
}

fn collect<'a>(b: &'a ast::Block, names: &mut BTreeSet<&'a str>) {
    let mut inner = |e: &'a ast::Expr| nested(e, names);
    if let Some(result) = &b.result {
        inner(result);
    }
    for s in &b.statements {
        match &s.kind {
            StatementKind::Let { name, value } | StatementKind::LetIndexed { name, value, .. } => {
                names.insert(&name.text);
                nested(value, names);
            }
            StatementKind::LetTuple { names: parts, value } => {
                names.extend(parts.iter().map(|n| n.text.as_str()));
                nested(value, names);
            }
            StatementKind::Param { name, .. }
            | StatementKind::State { name, .. }
            | StatementKind::Shared { name, .. } => {
                names.insert(&name.text);
            }
            StatementKind::Next { value, .. } => nested(value, names),
        }
    }
}

/// Names bound in the branches of a choice that is the value itself; deeper ones are rare and only make the order
/// stricter where a local has the name of a definition.
fn nested<'a>(e: &'a ast::Expr, names: &mut BTreeSet<&'a str>) {
    if let ast::ExprKind::If { then, otherwise, .. } | ast::ExprKind::When { then, otherwise, .. } = &e.kind {
        collect(then, names);
        collect(otherwise, names);
    }
}
