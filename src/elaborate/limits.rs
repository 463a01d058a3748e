//! Bounds on expansion. Definitions are expanded where they are used, so a short file can ask for a graph of any size, and a
//! chain of definitions for a recursion of any depth.

use super::{Elaborator, Persistent};
use crate::ir::Type;
use crate::source::{Diagnostic, Span, codes};
use std::sync::Arc;

/// Expressions within expressions, through all applications: a deep stack holds them.
const DEEPEST: usize = 2000;

/// Expressions evaluated for one graph.
const MOST: usize = 250_000;

/// Where expansion is.
#[derive(Default)]
pub(super) struct Expansion {
    depth: usize,
    expressions: usize,
    /// The places of the applications that are being expanded, outermost first.
    applications: Vec<Span>,
}

impl Elaborator<'_> {
    /// Called before an expression is evaluated, with [`Elaborator::leave`] after it.
    pub(super) fn enter(&mut self, span: Span) -> Result<(), Diagnostic> {
        let expansion = &mut self.expansion;
        expansion.depth += 1;
        expansion.expressions += 1;
        let error = if expansion.depth > DEEPEST {
            let message = format!("definitions expand to more than {DEEPEST} levels of expressions");
            Diagnostic::new(codes::NESTED_TOO_DEEP, message)
                .note("every definition is expanded where it is applied, and this one applies others, and so on")
                .help("apply fewer definitions within definitions")
        } else if expansion.expressions > MOST {
            Diagnostic::new(codes::EXPANSION_TOO_LARGE, format!("this program expands to more than {MOST} expressions"))
                .note("every definition is expanded anew at each of its applications")
                .help("give a value that is used more than once a name: `h = f(x)`, then `h + h`")
        } else {
            return Ok(());
        };
        Err(match self.written() {
            Some(place) => error.at(place, "expanding this gives the rest"),
            None => error.at(span, "here it is too much"),
        })
    }

    pub(super) fn leave(&mut self) {
        self.expansion.depth -= 1;
    }

    /// Called before the body of a definition is expanded, with [`Elaborator::close`] after it.
    pub(super) fn open(&mut self, span: Span) {
        self.expansion.applications.push(span);
    }

    pub(super) fn close(&mut self) {
        self.expansion.applications.pop();
    }

    /// The innermost place in the user's file that is being expanded.
    pub(super) fn written(&self) -> Option<Span> {
        let user = self.train.span.file;
        self.expansion.applications.iter().rev().find(|span| span.file == user).copied()
    }

    /// A tensor that outlives a step, declared at `span` and created by what is being expanded.
    pub(super) fn persistent(&self, path: Arc<str>, ty: Type, span: Span) -> Persistent {
        Persistent { path, ty, labels: Vec::new(), span, applied: self.written() }
    }
}
