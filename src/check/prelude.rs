//! The standard library: sources in the language itself, embedded, parsed with every program.

use crate::source::Files;
use crate::syntax::{ast, parse};

/// Paths and texts, in the order in which they are checked.
pub const SOURCES: [(&str, &str); 8] = [
    ("std/inits.dl", include_str!("../../lang/std/inits.dl")),
    ("std/activations.dl", include_str!("../../lang/std/activations.dl")),
    ("std/layers.dl", include_str!("../../lang/std/layers.dl")),
    ("std/noise.dl", include_str!("../../lang/std/noise.dl")),
    ("std/losses.dl", include_str!("../../lang/std/losses.dl")),
    ("std/penalties.dl", include_str!("../../lang/std/penalties.dl")),
    ("std/optimizers.dl", include_str!("../../lang/std/optimizers.dl")),
    ("std/metrics.dl", include_str!("../../lang/std/metrics.dl")),
];

/// Adds the library's sources to the files and parses them. They have no errors; the tests hold this.
pub fn prelude(files: &mut Files) -> Vec<ast::File> {
    SOURCES
        .iter()
        .map(|(path, text)| {
            let file = files.add(*path, *text);
            parse(file, text).0
        })
        .collect()
}
