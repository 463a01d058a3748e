//! The standard library: the files of `lang/std`, part of the binary.

use crate::source::Files;
use crate::syntax::{ast, parse};

macro_rules! library {
    ($($name:literal),+ $(,)?) => {
        /// Name and text of every file.
        pub const LIBRARY: &[(&str, &str)] =
            &[$((concat!("lang/std/", $name), include_str!(concat!("../../lang/std/", $name)))),+];
    };
}

library! {
    "activations.dl",
    "attacks.dl",
    "augmentations.dl",
    "averages.dl",
    "constraints.dl",
    "generators.dl",
    "inits.dl",
    "layers.dl",
    "losses.dl",
    "metrics.dl",
    "noise.dl",
    "normalization.dl",
    "numbers.dl",
    "optimizers.dl",
    "penalties.dl",
    "schedules.dl",
}

/// The parsed library; its texts join `files`.
///
/// # Panics
/// If a file of the library does not parse: a bug that every test would show.
pub fn prelude(files: &mut Files) -> Vec<ast::File> {
    let parsed = LIBRARY.iter().map(|(name, text)| {
        let file = files.add(*name, *text);
        let (tree, errors) = parse(file, text);
        assert!(errors.is_empty(), "this is a bug in dlc: {name} does not parse: {errors:?}");
        tree
    });
    parsed.collect()
}
