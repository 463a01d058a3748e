//! The phases of a `train` block: which clauses hold in each.
//!
//! Input: the clauses as written. Output: one list of clauses for every phase; a block without `phase` is one phase without
//! a name. A clause outside the phases holds in each phase that has none of its kind.

use super::globals::Globals;
use super::schema::Schemas;
use super::train;
use super::typed::{Definition, Repetition, Training};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, Clause, ClauseKind};
use std::mem::discriminant;

/// One phase before it is checked.
pub struct PhaseClauses<'a> {
    pub name: Option<&'a ast::Name>,
    /// What errors about the phase as a whole point at.
    pub place: Span,
    /// None of them is a `phase`.
    pub clauses: Vec<&'a Clause>,
}

impl PhaseClauses<'_> {
    /// As an error names it.
    pub fn described(&self) -> String {
        self.name.map_or("`train`".into(), |name| format!("the phase `{}`", name.text))
    }
}

pub fn check(
    globals: &Globals,
    definitions: &[Definition],
    train: &ast::Train,
    schemas: &Schemas,
    errors: &mut Vec<Diagnostic>,
) -> Option<Training> {
    let repetition = repetition(globals, train, errors);
    let phases = phases(train, errors);
    let checked: Vec<_> =
        phases.iter().map(|phase| train::check(globals, definitions, phase, schemas, errors)).collect();
    let phases = checked.into_iter().collect::<Option<Vec<_>>>()?;
    if let Some((span, what)) = repetition.flatten().and_then(by_rows)
        && let Some(phase) = phases.iter().find(|phase| phase.on.is_none())
    {
        let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, "there are no rows to divide or to draw from");
        let name = phase.name.as_ref().map_or("this program".into(), |name| format!("the phase `{name}`"));
        errors.push(error.at(span, what).at(phase.span, format!("{name} has no `on`")));
        return None;
    }
    Some(Training { span: train.keyword, phases, repetition: repetition? })
}

/// Where and how a repetition deals with rows, if it does.
fn by_rows(repetition: Repetition) -> Option<(Span, &'static str)> {
    match repetition {
        Repetition::Folds { span, .. } => Some((span, "folds divide the rows of `on`")),
        Repetition::Ensemble { resampled: true, span, .. } => Some((span, "members draw from the rows of `on`")),
        Repetition::Ensemble { .. } => None,
    }
}

/// Why the phases are run more than once, if they are; `None` if that is in error.
fn repetition(globals: &Globals, train: &ast::Train, errors: &mut Vec<Diagnostic>) -> Option<Option<Repetition>> {
    let mut found: Option<Repetition> = None;
    for clause in &train.clauses {
        let span = clause.span;
        let (count, what) = match &clause.kind {
            ClauseKind::Folds { count } => (count, "the number of folds"),
            ClauseKind::Ensemble { count, .. } => (count, "the number of members"),
            _ => continue,
        };
        if let Some(Repetition::Folds { span: first, .. } | Repetition::Ensemble { span: first, .. }) = found {
            let error = Diagnostic::new(codes::DUPLICATE_CLAUSE, "a program has one of `folds` and `ensemble`");
            errors.push(error.at(span, "a second one here").at(first, "the first here"));
            return None;
        }
        let number = globals.whole_number(count, what, errors)?;
        if number < 2 {
            let error = Diagnostic::new(codes::NOT_A_CONSTANT, format!("{what} is at least 2"));
            errors.push(error.at(count.span, format!("this is {number}")));
            return None;
        }
        found = Some(match &clause.kind {
            ClauseKind::Ensemble { resampled, .. } => {
                Repetition::Ensemble { count: number, resampled: *resampled, span }
            }
            _ => Repetition::Folds { count: number, span },
        });
    }
    Some(found)
}

fn phases<'a>(train: &'a ast::Train, errors: &mut Vec<Diagnostic>) -> Vec<PhaseClauses<'a>> {
    let mut outside = Vec::new();
    let mut phases: Vec<PhaseClauses> = Vec::new();
    for clause in &train.clauses {
        let ClauseKind::Phase { name, clauses } = &clause.kind else {
            outside.push(clause);
            continue;
        };
        if let Some(first) = phases.iter().filter_map(|p| p.name).find(|n| n.text == name.text) {
            let error = Diagnostic::new(codes::DUPLICATE_NAME, format!("two phases are called `{}`", name.text));
            errors.push(error.at(name.span, "a second time here").at(first.span, "the first time here"));
        }
        let mut own = Vec::new();
        for clause in clauses {
            match &clause.kind {
                ClauseKind::Phase { name: inner, .. } => errors.push(
                    Diagnostic::new(codes::NOT_ALLOWED_HERE, "a phase has no phases of its own")
                        .at(inner.span, format!("this stands inside the phase `{}`", name.text))
                        .help("phases stand one after the other, and run in that order"),
                ),
                ClauseKind::Folds { .. } | ClauseKind::Ensemble { .. } => errors.push(
                    Diagnostic::new(codes::NOT_ALLOWED_HERE, "a phase is not run several times by itself")
                        .at(clause.span, format!("this stands inside the phase `{}`", name.text))
                        .help("write it outside the phases: the whole program is run as often"),
                ),
                _ => own.push(clause),
            }
        }
        phases.push(PhaseClauses { name: Some(name), place: name.span, clauses: own });
    }
    if phases.is_empty() {
        return vec![PhaseClauses { name: None, place: train.keyword, clauses: outside }];
    }
    for phase in &mut phases {
        let lacking = |clause: &&&Clause| !phase.clauses.iter().any(|own| same(&own.kind, &clause.kind));
        let defaults: Vec<&Clause> = outside.iter().filter(lacking).copied().collect();
        phase.clauses.extend(defaults);
    }
    phases
}

/// Whether one clause stands in for the other.
fn same(a: &ClauseKind, b: &ClauseKind) -> bool {
    let duration = |kind: &ClauseKind| matches!(kind, ClauseKind::Epochs { .. } | ClauseKind::Steps { .. });
    // A rule of some parameters stands beside the rule of the others.
    let plain = |kind: &ClauseKind| !matches!(kind, ClauseKind::Using { sets, .. } if !sets.is_empty());
    (discriminant(a) == discriminant(b) && plain(a) == plain(b)) || (duration(a) && duration(b))
}
