//! The standard library: the files of `lang/std`, part of the binary; and what of it a program may mean.

use crate::source::{FileId, Files};
use crate::syntax::ast::ItemKind;
use crate::syntax::{ast, normalise, parse};
use std::collections::BTreeMap;

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

/// The library in two parts, those definitions first that these texts may mean: their names are words of a text, or of
/// another definition of that part.
pub fn divided(library: Vec<ast::File>, files: &Files, texts: &[FileId]) -> [Vec<ast::File>; 2] {
    let mut named: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut meant: Vec<Vec<bool>> = Vec::new();
    let mut open: Vec<&str> = texts.iter().map(|file| files.text(*file)).collect();
    for (k, file) in library.iter().enumerate() {
        let mut always = Vec::with_capacity(file.items.len());
        for (item, at) in file.items.iter().zip(0..) {
            match &item.kind {
                ItemKind::Definition(d) => drop(named.insert(&d.name.text, (k, at))),
                _ => open.push(files.text(file.span.file)),
            }
            always.push(!matches!(item.kind, ItemKind::Definition(_)));
        }
        meant.push(always);
    }
    while let Some(text) = open.pop() {
        let words =
            text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty());
        for word in words {
            let found = if word.is_ascii() { named.get(word) } else { named.get(normalise(word).as_str()) };
            let Some(&(k, at)) = found else { continue };
            if !std::mem::replace(&mut meant[k][at], true) {
                open.push(files.slice(library[k].items[at].span));
            }
        }
    }
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for (file, meant) in library.into_iter().zip(meant) {
        let (span, mut parts) = (file.span, [Vec::new(), Vec::new()]);
        file.items.into_iter().zip(meant).for_each(|(item, meant)| parts[usize::from(!meant)].push(item));
        let [these, others] = parts;
        first.push(ast::File { items: these, span });
        rest.push(ast::File { items: others, span });
    }
    [first, rest]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(text: &str) -> Vec<String> {
        let mut files = Files::default();
        let library = prelude(&mut files);
        let user = files.add("net.dl", text);
        let [first, _] = divided(library, &files, &[user]);
        let names = first.iter().flat_map(|file| &file.items).filter_map(|item| match &item.kind {
            ItemKind::Definition(d) => Some(d.name.text.clone()),
            _ => None,
        });
        names.collect()
    }

    #[test]
    fn what_is_meant_brings_what_it_uses() {
        let names = meant("net f(x: [N, 4]) -> [N, 3] { x |> dense(3) }");
        for name in ["dense", "glorot_uniform", "zeros"] {
            assert!(names.iter().any(|n| n == name), "{name} is not among {names:?}");
        }
        assert!(!names.iter().any(|n| n == "adam" || n == "batch_norm"), "{names:?}");
    }

    #[test]
    fn the_parts_are_the_library() {
        let mut files = Files::default();
        let library = prelude(&mut files);
        let count = |files: &[ast::File]| files.iter().map(|f| f.items.len()).sum::<usize>();
        let all = count(&library);
        let user = files.add("net.dl", "train { using adam }");
        let [first, rest] = divided(library, &files, &[user]);
        assert_eq!(count(&first) + count(&rest), all);
        assert!(count(&first) > 0 && count(&rest) > count(&first));
    }
}
