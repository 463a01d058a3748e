//! Syntax tree to typed tree: names, kinds, axes and sizes.
//!
//! Every definition is checked once, for all sizes, before anything is applied to numbers. Input: the trees of the
//! prelude and of the user's file, the columns of the data. Output: the [`typed::Program`] and all errors found; the
//! program is sound only when there are none. Each error is reported once: what is in error has the type
//! [`typed::Type::Error`], which fits everywhere.
//!
//! Time is linear in the source except where blocks nest; definitions are never expanded here.

mod application;
mod block;

mod constant;
mod definition;
mod elementwise;
mod expression;
mod builtin;
mod globals;
mod indexed;
mod objective;
mod order;
mod parameters;

mod prelude;
pub mod print;
mod schema;
mod scope;
mod selection;
mod shape;
mod train;
pub mod typed;
mod uses;

pub use prelude::{LIBRARY, prelude};
pub use schema::{ColumnKind, ColumnSchema, Schema, Schemas};

use crate::source::Diagnostic;
use crate::syntax::ast;
use globals::Globals;

/// The typed program of the prelude's files and the user's, with every error.
pub fn check(
    prelude: &[&ast::File],
    user: &ast::File,
    schemas: &Schemas,
    settings: &[(String, f64)],
) -> (typed::Program, Vec<Diagnostic>) {
    let mut errors = Vec::new();
    let globals = Globals::collect(prelude, user, settings, &mut errors);
    let order = order::order(&globals, &mut errors);
    let mut definitions = globals.placeholders();
    for id in order {
        definitions[id.0 as usize] = definition::check(&globals, &definitions, id, &mut errors);
    }
    let train = globals.train.and_then(|t| train::check(&globals, &definitions, t, schemas, &mut errors));
    errors.sort_by_key(|e| e.labels.first().map(|l| l.span));
    errors.dedup();
    let program = typed::Program { definitions, constants: globals.constants, data: globals.data, train };
    (program, errors)
}
