//! What a `split` says of the columns of its data.

use super::globals::Globals;
use super::schema::Schemas;
use crate::source::{Diagnostic, closest, codes};

/// Finds splits by columns that are not there.
pub(super) fn check(globals: &Globals, schemas: &Schemas, errors: &mut Vec<Diagnostic>) {
    const SHOWN: usize = 8;
    for set in &globals.data {
        let (Some((column, span)), Some(schema)) = (&set.stratified, schemas.get(&set.name)) else { continue };
        if schema.column(column).is_some() {
            continue;
        }
        let names = || schema.columns.iter().map(|known| known.name.as_str());
        let help = match closest(column, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let shown: Vec<String> = names().take(SHOWN).map(|name| format!("`{name}`")).collect();
                let more = if names().count() > SHOWN { ", …" } else { "" };
                format!("its columns are {}{more}", shown.join(", "))
            }
        };
        let message = format!("`{}` has no column `{column}`", set.name);
        errors.push(
            Diagnostic::new(codes::UNKNOWN_COLUMN, message).at(*span, "its rows are to be divided by this").help(help),
        );
    }
}
