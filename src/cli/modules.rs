//! The files that a program uses, read before it is checked.

use super::load::add;
use crate::check::Modules;
use crate::source::{Diagnostic, FileId, Files, Span, codes};
use crate::syntax::ast::{self, ItemKind};
use crate::syntax::parse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The most files that one program uses.
const MOST: usize = 256;

/// A file on the way from the program to what it uses: its path, and the place that uses it.
type Step = (PathBuf, Span);

/// Reads what a file in `directory` uses, and what that uses, each file once. Paths are relative to the file that names them.
pub fn used(files: &mut Files, user: &ast::File, directory: &Path, errors: &mut Vec<Diagnostic>) -> Modules {
    let mut reading = Reading { files, errors, modules: Modules::default(), known: BTreeMap::new() };
    let own = reading.files.path(user.span.file).to_path_buf();
    let own = own.canonicalize().unwrap_or(own);
    reading.known.insert(own.clone(), user.span.file);
    reading.follow(user, directory, &mut vec![(own, user.span)]);
    reading.modules
}

struct Reading<'a> {
    files: &'a mut Files,
    errors: &'a mut Vec<Diagnostic>,
    modules: Modules,
    known: BTreeMap<PathBuf, FileId>,
}

impl Reading<'_> {
    fn follow(&mut self, file: &ast::File, directory: &Path, way: &mut Vec<Step>) {
        for item in &file.items {
            let ItemKind::Use(u) = &item.kind else { continue };
            let path = directory.join(&u.path);
            let real = path.canonicalize().unwrap_or(path.clone());
            if way.iter().any(|(other, _)| *other == real) {
                let mut error = Diagnostic::new(codes::RECURSION, "these files use each other in a circle")
                    .at(u.path_span, "this file is being read already");
                for (_, place) in way.iter().skip(1) {
                    error = error.at(*place, "used here");
                }
                self.errors.push(error.help("put what both need into a third file"));
                continue;
            }
            let target = match self.known.get(&real) {
                Some(known) => *known,
                None => match self.read(&path, &real, u.path_span, way) {
                    Some(read) => read,
                    None => continue,
                },
            };
            self.modules.links.insert((file.span.file, u.path.clone()), target);
        }
    }

    fn read(&mut self, path: &Path, real: &Path, place: Span, way: &mut Vec<Step>) -> Option<FileId> {
        if self.known.len() > MOST {
            self.errors.push(
                Diagnostic::new(codes::EXPANSION_TOO_LARGE, format!("a program uses at most {MOST} files"))
                    .at(place, "this is one more"),
            );
            return None;
        }
        let file = match add(self.files, path) {
            Ok(file) => file,
            Err(error) => {
                self.errors.push(error.at(place, "used here"));
                return None;
            }
        };
        self.known.insert(real.to_path_buf(), file);
        let (tree, errors) = parse(file, self.files.text(file));
        self.errors.extend(errors);
        way.push((real.to_path_buf(), place));
        self.follow(&tree, path.parent().unwrap_or(Path::new("")), way);
        way.pop();
        self.modules.files.push(tree);
        Some(file)
    }
}
