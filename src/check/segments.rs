//! Names for the applications of layers, of which the paths of parameters are made.

use super::globals::Global;
use super::scope::Checker;
use super::typed::Kind;
use super::uses;
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast;
use std::collections::{BTreeMap, BTreeSet};

impl Checker<'_> {
    /// Path segments for the applications of layers in a body: the name of the equation whose right side the
    /// application is, else the layer's name, numbered where it stands more than once.
    pub fn name_applications(&mut self, body: &ast::Block) {
        let mut found: Vec<(Span, String, bool)> = Vec::new();
        self.collect_applications(body, &mut found);
        let mut used: BTreeSet<String> = BTreeSet::new();
        self.report_numbered(body, &found);
        for (span, name, _) in found.iter().filter(|f| f.2) {
            let mut segment = name.clone();
            let mut k = 1;
            while !used.insert(segment.clone()) {
                k += 1;
                segment = format!("{name}_{k}");
            }
            self.segments.insert(*span, segment);
        }
        let rest: Vec<&(Span, String, bool)> = found.iter().filter(|f| !f.2).collect();
        let mut counts: BTreeMap<&str, (usize, usize)> = Default::default();
        for (_, name, _) in &rest {
            counts.entry(name).or_default().0 += 1;
        }
        for (span, name, _) in &rest {
            let Some((total, next)) = counts.get_mut(name.as_str()) else { continue };
            let mut segment = name.clone();
            if *total > 1 || used.contains(&segment) {
                loop {
                    *next += 1;
                    segment = format!("{name}_{next}");
                    if !used.contains(&segment) {
                        break;
                    }
                }
            }
            used.insert(segment.clone());
            self.segments.insert(*span, segment);
        }
    }

    /// An instance of a repetition has a number behind its name, which nothing else may have.
    fn report_numbered(&mut self, body: &ast::Block, found: &[(Span, String, bool)]) {
        let mut repeated: Vec<Span> = Vec::new();
        body.for_each_expr(&mut |e| spans_repeated(e, &mut repeated));
        let inside = |span: &Span| repeated.iter().any(|r| r.start <= span.start && span.end <= r.end);
        for (span, name, _) in found.iter().filter(|(span, name, named)| *named && !name.is_empty() && inside(span)) {
            let numbered = |other: &str| {
                other
                    .strip_prefix(name.as_str())
                    .and_then(|rest| rest.strip_prefix('_'))
                    .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'_'))
            };
            if let Some((place, other, _)) = found.iter().find(|(_, other, named)| *named && numbered(other)) {
                let error = Diagnostic::new(codes::DUPLICATE_NAME, format!("`{other}` is the name of two instances"))
                    .at(*place, "of this application")
                    .at(*span, format!("and of one here, where the instances are numbered: `{name}_1`, …"))
                    .help("give one of the equations another name");
                self.report(error);
            }
        }
    }

    fn collect_applications(&self, b: &ast::Block, out: &mut Vec<(Span, String, bool)>) {
        let layer = |name: &str| match self.global(name) {
            Some(Global::Definition(id)) => self.globals.kind(id) == Kind::Layer,
            _ => false,
        };
        let layer_of = |alias: &str, name: &str| match self.globals.find_qualified(alias, name, self.file) {
            Some(Global::Definition(id)) => self.globals.kind(id) == Kind::Layer,
            _ => false,
        };
        let mut own: BTreeSet<Span> = BTreeSet::new();
        equations(b, &mut |s| {
            let (name, value) = match &s.kind {
                ast::StatementKind::Let { name, value } => (name, value),
                ast::StatementKind::Shared { name, layer } => (name, layer),
                _ => return,
            };
            let Some(callee) = uses::applied_callee(value) else { return };
            let applies = match &callee.kind {
                ast::ExprKind::Name(name) => layer(name),
                ast::ExprKind::Field { base, name } => base.as_name().is_some_and(|b| layer_of(b, &name.text)),
                _ => false,
            };
            if applies {
                own.insert(callee.span);
                out.push((callee.span, name.text.clone(), true));
            }
        });
        uses::block(b, &mut |u| {
            let (name, span) = match u {
                uses::Use::Callee(name, span) if layer(name) => (name, span),
                uses::Use::Qualified(alias, name, span) if layer_of(alias, name) => (name, span),
                _ => return,
            };
            if !own.contains(&span) {
                out.push((span, name.to_string(), false));
            }
        });
    }
}

/// The places of the repetitions in an expression.
fn spans_repeated(e: &ast::Expr, out: &mut Vec<Span>) {
    if let ast::ExprKind::For(repeat) = &e.kind {
        out.push(repeat.body.span);
    } else {
        e.for_each_child(&mut |child| spans_repeated(child, out));
    }
}

/// The equations of a block and of what is repeated in it.
fn equations<'a>(b: &'a ast::Block, visit: &mut dyn FnMut(&'a ast::Statement)) {
    for s in &b.statements {
        visit(s);
    }
    b.for_each_expr(&mut |e| repeated(e, visit));
}

fn repeated<'a>(e: &'a ast::Expr, visit: &mut dyn FnMut(&'a ast::Statement)) {
    if let ast::ExprKind::For(repeat) = &e.kind {
        equations(&repeat.body, visit);
    } else {
        e.for_each_child(&mut |child| repeated(child, visit));
    }
}
