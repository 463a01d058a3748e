//! The standard library: the files of `lang/std`, part of the binary; and what of it a program may mean, which alone is
//! parsed.

use super::typed::Program;
use super::{Modules, Schemas, check_program};
use crate::source::{Diagnostic, FileId, Files, Span};
use crate::syntax::{ast, normalise, parse};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;

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

/// The library as part of one compilation.
pub struct Library {
    files: Vec<FileId>,
    whole: OnceCell<Vec<ast::File>>,
}

/// A definition or a constant in the text of a file, found without parsing.
struct Piece<'t> {
    /// `None` for a constant, which is always meant.
    name: Option<Cow<'t, str>>,
    /// The whole of it, with the comments that belong to it.
    range: Range<usize>,
    /// Its text without them.
    text: &'t str,
}

impl Library {
    /// Its texts join `files`.
    pub fn new(files: &mut Files) -> Library {
        let files = LIBRARY.iter().map(|(name, text)| files.add(*name, *text)).collect();
        Library { files, whole: OnceCell::new() }
    }

    /// All of it, parsed.
    ///
    /// # Panics
    /// If a file of the library does not parse: a bug that every test would show.
    pub fn whole(&self) -> &[ast::File] {
        let parsed = || self.files.iter().zip(LIBRARY).map(|(file, (name, text))| tree(*file, name, text)).collect();
        self.whole.get_or_init(parsed)
    }

    /// Those definitions that these texts may mean, parsed: their names are words of a text, or of another such definition.
    pub fn meant<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> Vec<ast::File> {
        let pieces: Vec<Vec<Piece>> = LIBRARY.iter().map(|(_, text)| pieces(text)).collect();
        let mut named: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let mut meant: Vec<Vec<bool>> = pieces.iter().map(|file| vec![false; file.len()]).collect();
        let mut open: Vec<&str> = texts.into_iter().collect();
        for (k, file) in pieces.iter().enumerate() {
            for (at, piece) in file.iter().enumerate() {
                match &piece.name {
                    Some(name) => drop(named.insert(name, (k, at))),
                    None => {
                        meant[k][at] = true;
                        open.push(piece.text);
                    }
                }
            }
        }
        while let Some(text) = open.pop() {
            let words =
                text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty());
            for word in words {
                let found = if word.is_ascii() { named.get(word) } else { named.get(normalise(word).as_str()) };
                let Some(&(k, at)) = found else { continue };
                if !std::mem::replace(&mut meant[k][at], true) {
                    open.push(pieces[k][at].text);
                }
            }
        }
        let files = self.files.iter().zip(LIBRARY).zip(pieces.iter().zip(meant));
        files.map(|((file, named), (pieces, meant))| part(*file, *named, pieces, &meant)).collect()
    }

    /// Checks a program with what it may mean of the library; where there are errors, with all of it, since what to write
    /// instead may be anywhere.
    pub fn check(
        &self,
        meant: &[ast::File],
        modules: &Modules,
        user: &ast::File,
        schemas: &Schemas,
        settings: &[(String, f64)],
    ) -> (Program, Vec<Diagnostic>) {
        let with =
            |files: &[ast::File]| check_program(&files.iter().collect::<Vec<_>>(), modules, user, schemas, settings);
        let (program, errors) = with(meant);
        if errors.is_empty() { (program, errors) } else { with(self.whole()) }
    }
}

/// The parsed library; its texts join `files`.
///
/// # Panics
/// As [`Library::whole`].
pub fn prelude(files: &mut Files) -> Vec<ast::File> {
    let library = Library::new(files);
    library.whole();
    library.whole.into_inner().unwrap_or_default()
}

fn tree(file: FileId, name: &str, text: &str) -> ast::File {
    let (tree, errors) = parse(file, text);
    assert!(errors.is_empty(), "this is a bug in dlc: {name} does not parse: {errors:?}");
    tree
}

/// Cuts a file of the library, which is written in canonical form: an item begins, and nothing else does, with a letter at
/// the margin, and the comments right above belong to it.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut starts: Vec<(usize, usize)> = Vec::new();
    let (mut at, mut comments) = (0, None);
    for line in text.split_inclusive('\n') {
        match line.as_bytes()[0] {
            b'#' => comments = comments.or(Some(at)),
            first if first.is_ascii_alphabetic() => starts.push((comments.take().unwrap_or(at), at)),
            _ => comments = None,
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([text.len()]);
    let piece = |(&(start, item), end): (&(usize, usize), usize)| {
        let text = &text[item..end];
        let mut words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let (first, second) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let constant = text[first.len()..].trim_start().starts_with('=');
        let name = if second.is_ascii() { Cow::Borrowed(second) } else { Cow::Owned(normalise(second)) };
        Piece { name: (!constant).then_some(name), range: start..end, text }
    };
    starts.iter().zip(ends).map(piece).collect()
}

/// The tree of some pieces of a file, in their places: what lies between is blank.
fn part(file: FileId, (name, text): (&str, &str), pieces: &[Piece], wanted: &[bool]) -> ast::File {
    let mut rest = String::new();
    for (piece, _) in pieces.iter().zip(wanted).filter(|(_, wanted)| **wanted) {
        rest.extend(std::iter::repeat_n(' ', piece.range.start - rest.len()));
        rest.push_str(&text[piece.range.clone()]);
    }
    let span = Span::new(file, 0, text.len());
    if rest.is_empty() { ast::File { items: Vec::new(), span } } else { ast::File { span, ..tree(file, name, &rest) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::ast::{Item, ItemKind};

    fn meant(text: &str) -> Vec<String> {
        let files = Library::new(&mut Files::default()).meant([text]);
        let names = files.iter().flat_map(|file| &file.items).filter_map(|item| match &item.kind {
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
    fn what_is_meant_is_what_it_is_in_the_whole() {
        let library = Library::new(&mut Files::default());
        let every: String = LIBRARY.iter().map(|(_, text)| *text).collect();
        assert_eq!(library.meant([every.as_str()]), library.whole(), "all of it");
        let whole: Vec<&Item> = library.whole().iter().flat_map(|file| &file.items).collect();
        for item in &whole {
            let ItemKind::Definition(definition) = &item.kind else { continue };
            let name = definition.name.text.as_str();
            let part = library.meant([name]);
            let items: Vec<&Item> = part.iter().flat_map(|file| &file.items).collect();
            assert!(items.contains(item), "{name} with its comments and places");
            assert!(items.iter().all(|item| whole.contains(item)), "what {name} brings");
            assert!(items.len() < whole.len(), "{name} does not bring everything");
        }
    }
}
