//! Syntax tree to typed tree: names, kinds, axes and sizes.
//!
//! Every definition is checked once, for all sizes, before anything is applied to numbers. Input: the trees of the
//! prelude and of the user's file, the columns of the data. Output: the [`typed::Program`] and all errors found; the
//! program is sound only when there are none. Each error is reported once: what is in error has the type
//! [`typed::Type::Error`], which fits everywhere.
//!
//! Time is linear in the source except where blocks nest; definitions are never expanded here.

mod application;
mod arguments;
mod arrange;
mod block;
mod builtin;
mod column;
mod computed;
mod constant;
mod definition;
mod derivative;
mod elementwise;
mod expression;
mod familiar;
mod function;
mod gather;
mod globals;
mod indexed;
mod member;
mod objective;
mod modules;
mod order;
mod own_derivative;
mod parameters;
mod phases;
mod prelude;
pub mod print;
mod repetition;
mod requires;
mod schema;
mod scope;
mod search;
mod segments;
mod selection;
mod shape;
mod shared;
mod splits;
mod train;
pub mod typed;
mod uses;

pub use expression::BUILTINS;
pub use modules::Modules;
pub use prelude::{LIBRARY, Library, prelude};
pub use requires::broken_requirement;
pub use schema::{ColumnKind, ColumnSchema, Schema, Schemas};

use crate::source::{Diagnostic, codes, on_deep_stack};
use crate::syntax::ast;
use globals::Globals;

/// The most diagnostics reported in one run.
const MAX_ERRORS: usize = 100;

/// The typed program of the prelude's files and the user's, with every error.
pub fn check(
    prelude: &[&ast::File],
    user: &ast::File,
    schemas: &Schemas,
    settings: &[(String, f64)],
) -> (typed::Program, Vec<Diagnostic>) {
    check_program(prelude, &Modules::default(), user, schemas, settings)
}

/// As [`check`], for a program that uses other files.
pub fn check_program(
    prelude: &[&ast::File],
    modules: &Modules,
    user: &ast::File,
    schemas: &Schemas,
    settings: &[(String, f64)],
) -> (typed::Program, Vec<Diagnostic>) {
    let run = || check_files(prelude, modules, user, schemas, settings);
    // Recursion is as deep as the source nests, which the parser bounds.
    on_deep_stack(run).unwrap_or_else(|_| run())
}

fn check_files(
    prelude: &[&ast::File],
    modules: &Modules,
    user: &ast::File,
    schemas: &Schemas,
    settings: &[(String, f64)],
) -> (typed::Program, Vec<Diagnostic>) {
    let mut errors = Vec::new();
    let computed = computed::definitions(user);
    let globals = Globals::collect(prelude, modules, user, &computed, schemas, settings, &mut errors);
    splits::check(&globals, schemas, &mut errors);
    let order = order::order(&globals, &mut errors);
    let mut definitions = globals.placeholders();
    for id in order {
        definitions[id.0 as usize] = definition::check(&globals, &definitions, id, &mut errors);
    }
    let train = globals.train.and_then(|t| phases::check(&globals, &definitions, t, schemas, &mut errors));
    let search = globals.search.and_then(|s| search::check(&globals, s, train.as_ref(), &mut errors));
    errors.sort_by_key(Diagnostic::order);
    errors.dedup();
    if errors.len() > MAX_ERRORS {
        let rest = errors.len() - MAX_ERRORS;
        errors.truncate(MAX_ERRORS);
        errors.push(
            Diagnostic::new(codes::TOO_MANY_ERRORS, format!("{rest} more errors are not shown"))
                .help("most of them tend to follow from the first few"),
        );
    }
    let computed = globals.computed.values().copied().collect();
    let program =
        typed::Program { definitions, constants: globals.constants, computed, data: globals.data, train, search };
    (program, errors)
}
