//! Files that use others: which names of them are seen from where.

use super::globals::{Global, Globals, duplicate};
use super::scope::Checker;
use super::typed::{DefId, Kind};
use crate::source::{Diagnostic, FileId, Span, codes};
use crate::syntax::ast::{self, ExprKind as Ast, ItemKind};
use std::collections::BTreeMap;

/// The files that a program uses, each after those it uses itself.
#[derive(Default, Debug)]
pub struct Modules {
    pub files: Vec<ast::File>,
    /// The file that a `use` in a file means by the path written there. One that could not be read is left out.
    pub links: BTreeMap<(FileId, String), FileId>,
}

/// What a file uses.
#[derive(Default, Debug)]
pub struct Used {
    /// Files whose names are seen as they are.
    pub open: Vec<(FileId, Span)>,
    /// Files whose names are seen behind another.
    pub aliases: BTreeMap<String, (FileId, Span)>,
}

impl Used {
    pub fn of(file: &ast::File, links: &Modules, errors: &mut Vec<Diagnostic>) -> Used {
        let mut used = Used::default();
        for item in &file.items {
            let ItemKind::Use(u) = &item.kind else { continue };
            let Some(target) = links.links.get(&(file.span.file, u.path.clone())).copied() else { continue };
            match &u.alias {
                None => used.open.push((target, u.path_span)),
                Some(alias) => {
                    if let Some((_, first)) = used.aliases.insert(alias.text.clone(), (target, alias.span)) {
                        errors.push(duplicate(alias, first));
                    }
                }
            }
        }
        used
    }
}

/// What only the program's own file may hold.
pub fn refuse_programs(file: &ast::File, errors: &mut Vec<Diagnostic>) {
    for item in &file.items {
        let what = match &item.kind {
            ItemKind::Data(_) => "data",
            ItemKind::Split(_) => "a split",
            ItemKind::Standardize(_) => "a line `standardize`",
            ItemKind::Train(_) => "a `train` block",
            ItemKind::Search(_) => "a `search`",
            _ => continue,
        };
        errors.push(
            Diagnostic::new(codes::NOT_ALLOWED_HERE, "a file that is used holds definitions and constants")
                .at(item.span, format!("this is {what}"))
                .help("declare it in the file that is run"),
        );
    }
}

impl Globals<'_> {
    /// Names that two open files define, or an open file and the one that uses it; and nets of one name, whose parameters would be.
    pub(super) fn report_clashes(&self, errors: &mut Vec<Diagnostic>) {
        for (file, used) in &self.used {
            let mut seen: BTreeMap<&str, (FileId, Span)> = BTreeMap::new();
            for (name, id) in self.own.get(file).into_iter().flatten() {
                seen.insert(name, (*file, self.definitions[id.0 as usize].0.name.span));
            }
            for (target, place) in &used.open {
                for (name, id) in self.own.get(target).into_iter().flatten() {
                    let span = self.definitions[id.0 as usize].0.name.span;
                    match seen.get(name) {
                        Some((other, first)) if other != target => errors.push(
                            Diagnostic::new(codes::DUPLICATE_NAME, format!("`{name}` is defined twice"))
                                .at(*place, format!("this file defines `{name}`"))
                                .at(span, "here")
                                .at(*first, "and here")
                                .help("give the file a name of its own, `use \"file.dl\" as b`, and write `b.…`"),
                        ),
                        _ => {
                            seen.insert(name, (*target, span));
                        }
                    }
                }
            }
        }
        let mut nets: BTreeMap<&str, Span> = BTreeMap::new();
        for (d, _) in self.definitions.iter().filter(|(d, _)| d.kind == Kind::Net) {
            if let Some(first) = nets.insert(&d.name.text, d.name.span)
                && first.file != d.name.span.file
            {
                errors.push(duplicate(&d.name, first).note("the paths of parameters start with the names of nets"));
            }
        }
    }

    /// What `b.name` means, b being the name under which a file is used.
    pub fn find_qualified(&self, alias: &str, name: &str, from: FileId) -> Option<Global<'_>> {
        let (target, _) = self.used.get(&from)?.aliases.get(alias)?;
        self.find_own(name, *target)
    }

    pub fn is_alias(&self, name: &str, from: FileId) -> bool {
        self.used.get(&from).is_some_and(|u| u.aliases.contains_key(name))
    }
}

impl<'c> Checker<'c> {
    /// What `b.name` means, if b is the name under which a file is used; an error if that has no such name.
    pub fn qualified(&mut self, e: &ast::Expr) -> Option<Global<'c>> {
        let Ast::Field { base, name } = &e.kind else { return None };
        let alias = base.as_name()?;
        if self.lookup(alias).is_some() || !self.globals.is_alias(alias, self.file) {
            return None;
        }
        let found = self.globals.find_qualified(alias, &name.text, self.file);
        Some(found.unwrap_or_else(|| {
            let error = Diagnostic::new(codes::UNKNOWN_NAME, format!("`{alias}` has no `{}`", name.text))
                .at(name.span, "not defined in that file");
            self.report(error);
            Global::Error
        }))
    }

    /// The definition that a name, or a name behind that of a file, means.
    pub fn definition_named(&mut self, e: &ast::Expr) -> Option<DefId> {
        let found = match e.as_name() {
            Some(name) if self.lookup(name).is_none() => self.global(name),
            Some(_) => None,
            None => self.qualified(e),
        };
        match found {
            Some(Global::Definition(id)) => Some(id),
            _ => None,
        }
    }
}
