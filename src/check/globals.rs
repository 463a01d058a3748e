//! The names of the top level: definitions, constants, data sets. A file's own definition hides the prelude's of the
//! same name, but not from the prelude itself.

use super::constant::{self, Value};
use super::modules::{self, Modules, Used};
use super::schema::Schemas;
use super::typed::{
    Block, Constant, DataArgument, DataId, DataSet, DataValue, DefId, Definition, Kind, Part, Rows, Standardized, Type,
};
use crate::source::{Diagnostic, FileId, Span, closest, codes};
use crate::syntax::ast::{self, ExprKind, ItemKind};
use std::collections::{BTreeMap, BTreeSet};

pub struct Globals<'a> {
    /// The prelude's definitions, then the user's; `DefId` counts these.
    pub definitions: Vec<(&'a ast::Definition, &'a [String])>,
    prelude: BTreeMap<&'a str, DefId>,
    /// The definitions of the user's file and of those it uses.
    pub(super) own: BTreeMap<FileId, BTreeMap<&'a str, DefId>>,
    /// What each of these files uses.
    pub(super) used: BTreeMap<FileId, Used>,
    user_file: FileId,
    /// The constants of the user's file.
    pub constants: Vec<Constant>,
    /// Those of the user's file that have to be computed: definitions without inputs.
    pub computed: BTreeMap<&'a str, DefId>,
    pub schemas: &'a Schemas,
    /// Those of the prelude.
    library_constants: Vec<Constant>,
    /// Those of the files it uses.
    module_constants: BTreeMap<FileId, Vec<Constant>>,
    /// Constants whose value is in error.
    poisoned: BTreeSet<String>,
    pub data: Vec<DataSet>,
    pub train: Option<&'a ast::Train>,
    pub search: Option<&'a ast::Search>,
}

/// What a name of the top level means.
#[derive(Clone, Copy, Debug)]
pub enum Global<'g> {
    Definition(DefId),
    Constant(&'g Constant),
    /// A constant that is computed.
    Computed(DefId),
    /// Reported already.
    Error,
}

impl<'a> Globals<'a> {
    pub fn collect(
        prelude: &[&'a ast::File],
        modules: &'a Modules,
        user: &'a ast::File,
        computed: &'a [ast::Definition],
        schemas: &'a Schemas,
        settings: &[(String, f64)],
        errors: &mut Vec<Diagnostic>,
    ) -> Globals<'a> {
        let computed: BTreeMap<Span, &'a ast::Definition> = computed.iter().map(|d| (d.name.span, d)).collect();
        let mut globals = Globals {
            definitions: Vec::new(),
            prelude: BTreeMap::new(),
            own: BTreeMap::new(),
            used: BTreeMap::new(),
            user_file: user.span.file,
            constants: Vec::new(),
            computed: BTreeMap::new(),
            schemas,
            library_constants: Vec::new(),
            module_constants: BTreeMap::new(),
            poisoned: BTreeSet::new(),
            data: Vec::new(),
            train: None,
            search: None,
        };
        let mut constants: BTreeMap<FileId, BTreeMap<&'a str, &'a ast::Constant>> = BTreeMap::new();
        let mut data: Vec<&'a ast::Data> = Vec::new();
        let mut splits: Vec<&'a ast::Split> = Vec::new();
        let mut standardized: Vec<&'a ast::Standardize> = Vec::new();
        let mut seen: BTreeMap<(Option<FileId>, &'a str), Span> = BTreeMap::new();
        let others = modules.files.iter().chain([user]);
        for file in others.clone() {
            globals.own.insert(file.span.file, BTreeMap::new());
            globals.used.insert(file.span.file, Used::of(file, modules, errors));
            if file.span.file != user.span.file {
                modules::refuse_programs(file, errors);
            }
        }
        for (file, home) in prelude.iter().map(|f| (*f, None)).chain(others.map(|f| (f, Some(f.span.file)))) {
            for item in &file.items {
                match &item.kind {
                    ItemKind::Definition(d) => {
                        if let Some(first) = seen.insert((home, &d.name.text), d.name.span)
                            && errors.len() <= super::MAX_ERRORS
                        {
                            errors.push(duplicate(&d.name, first));
                        }
                        let id = DefId(globals.definitions.len() as u32);
                        globals.definitions.push((d, &item.doc));
                        let names = home.and_then(|file| globals.own.get_mut(&file));
                        names.unwrap_or(&mut globals.prelude).insert(&d.name.text, id);
                    }
                    ItemKind::Constant(c) => {
                        if let Some(first) = seen.insert((home, &c.name.text), c.name.span)
                            && errors.len() <= super::MAX_ERRORS
                        {
                            errors.push(duplicate(&c.name, first));
                        }
                        match computed.get(&c.name.span) {
                            None => {
                                constants.entry(file.span.file).or_default().insert(&c.name.text, c);
                            }
                            Some(d) => {
                                let id = DefId(globals.definitions.len() as u32);
                                globals.definitions.push((d, &item.doc));
                                globals.computed.insert(&c.name.text, id);
                            }
                        }
                    }
                    ItemKind::Use(_) => {}
                    ItemKind::Data(_)
                    | ItemKind::Split(_)
                    | ItemKind::Standardize(_)
                    | ItemKind::Search(_)
                    | ItemKind::Train(_)
                        if home.is_some_and(|file| file != user.span.file) => {}
                    ItemKind::Data(d) => data.push(d),
                    ItemKind::Split(s) => splits.push(s),
                    ItemKind::Standardize(s) => standardized.push(s),
                    ItemKind::Search(s) => match globals.search {
                        None => globals.search = Some(s),
                        Some(first) => errors.push(
                            Diagnostic::new(codes::DUPLICATE_CLAUSE, "a file has one `search`")
                                .at(s.keyword, "this is the second")
                                .at(first.keyword, "the first one"),
                        ),
                    },
                    ItemKind::Train(t) => match globals.train {
                        None => globals.train = Some(t),
                        Some(first) => errors.push(
                            Diagnostic::new(codes::DUPLICATE_CLAUSE, "a file has one `train` block")
                                .at(t.keyword, "this is the second")
                                .at(first.keyword, "the first one"),
                        ),
                    },
                }
            }
        }
        for file in prelude {
            let items = constants.remove(&file.span.file).unwrap_or_default();
            let found = globals.take_constants(&items, &[], file.span.file, errors);
            globals.library_constants.extend(found);
        }
        globals.library_constants.sort_by(|a, b| a.name.cmp(&b.name));
        for file in &modules.files {
            let items = constants.remove(&file.span.file).unwrap_or_default();
            let found = globals.take_constants(&items, &[], file.span.file, errors);
            globals.module_constants.insert(file.span.file, found);
        }
        let items = constants.remove(&user.span.file).unwrap_or_default();
        globals.constants = globals.take_constants(&items, settings, user.span.file, errors);
        globals.report_clashes(errors);
        globals.take_data(&data, errors);
        globals.take_splits(&splits, errors);
        globals.take_standardized(&standardized, errors);
        globals
    }

    fn take_constants(
        &mut self,
        items: &BTreeMap<&'a str, &'a ast::Constant>,
        settings: &[(String, f64)],
        file: FileId,
        errors: &mut Vec<Diagnostic>,
    ) -> Vec<Constant> {
        let mut given: BTreeMap<String, Value> = BTreeMap::new();
        for (name, value) in settings {
            if file == self.user_file
                && let Some(id) = self.computed.get(name.as_str())
            {
                let message = format!("`{name}` is computed, so it cannot be set");
                let place = self.definitions[id.0 as usize].0.body.span;
                errors.push(Diagnostic::new(codes::NOT_A_CONSTANT, message).at(place, "by this"));
            } else if items.contains_key(name.as_str()) {
                let integer = value.fract() == 0.0 && value.abs() < 9e15;
                given.insert(name.clone(), Value { number: *value, integer });
            } else {
                let mut error = Diagnostic::new(codes::UNKNOWN_NAME, format!("no constant is called `{name}`"))
                    .note("a setting from the command line replaces a top-level constant of the file");
                if let Some(near) = closest(name, items.keys().copied()) {
                    error = error.help(format!("did you mean `{near}`?"));
                }
                errors.push(error);
            }
        }
        let mut values = given.clone();
        for c in self
            .used
            .get(&file)
            .into_iter()
            .flat_map(|u| &u.open)
            .filter_map(|(f, _)| self.module_constants.get(f))
            .flatten()
            .chain(&self.library_constants)
        {
            let value = Value { number: c.value, integer: c.integer };
            values.entry(c.name.clone()).or_insert(value);
        }
        for name in constant::order(items, errors) {
            let Some(item) = items.get(name) else { continue };
            let written = constant::evaluate(&item.value, &values, &self.poisoned, errors);
            match (given.get(name), written) {
                (Some(value), Some(default)) => {
                    // A setting keeps the kind of number that the file has.
                    let integer = value.integer && default.integer;
                    values.insert(name.to_string(), Value { number: value.number, integer });
                }
                (None, Some(value)) => {
                    values.insert(name.to_string(), value);
                }
                (_, None) => {
                    self.poisoned.insert(name.to_string());
                }
            }
        }
        let mut found = Vec::new();
        for (name, item) in items {
            match values.get(*name) {
                Some(v) if !self.poisoned.contains(*name) => found.push(Constant {
                    name: name.to_string(),
                    value: v.number,
                    integer: v.integer,
                    span: item.name.span,
                }),
                _ => {
                    self.poisoned.insert(name.to_string());
                }
            }
        }
        found
    }

    fn take_data(&mut self, items: &[&'a ast::Data], errors: &mut Vec<Diagnostic>) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for item in items {
            let first = *seen.entry(&item.name.text).or_insert(item.name.span);
            if first != item.name.span {
                errors.push(duplicate(&item.name, first));
                continue;
            }
            let (reader, args) = match &item.source.kind {
                // What a generator is given is checked where it is applied.
                ExprKind::Call { callee, .. } if !item.columns.is_empty() => {
                    (Some(callee.as_name().unwrap_or("generator")), [].as_slice())
                }
                ExprKind::Call { callee, args, over: None } => (callee.as_name(), args.as_slice()),
                _ => (None, [].as_slice()),
            };
            let Some(reader) = reader else {
                errors.push(
                    Diagnostic::new(codes::WRONG_ARGUMENTS, "data comes from a reader")
                        .at(item.source.span, "this does not name one")
                        .help("write `csv(\"file.csv\", target: column)` or `npy(x: \"x.npy\", y: \"y.npy\")`"),
                );
                continue;
            };
            let mut arguments = Vec::new();
            for arg in args {
                let value = match &arg.value.kind {
                    ExprKind::Str(text) => DataValue::Text(text.clone()),
                    ExprKind::Name(name) => DataValue::Name(name.clone()),
                    ExprKind::Int(n) => DataValue::Number(*n as f64),
                    ExprKind::Float(n) => DataValue::Number(*n),
                    ExprKind::Bool(b) => DataValue::Bool(*b),
                    ExprKind::Tuple(parts) => DataValue::Names(parts.iter().filter_map(column_name).collect()),
                    _ => {
                        errors.push(
                            Diagnostic::new(codes::WRONG_ARGUMENTS, "a reader takes names, texts and numbers")
                                .at(arg.value.span, "this is none of them"),
                        );
                        continue;
                    }
                };
                let name = arg.name.as_ref().map(|n| n.text.clone());
                arguments.push(DataArgument { name, value, span: arg.span });
            }
            self.data.push(DataSet {
                name: item.name.text.clone(),
                span: item.name.span,
                reader: reader.to_string(),
                arguments,
                parts: Vec::new(),
                split_seed: None,
                stratified: None,
                standardized: Vec::new(),
            });
        }
    }

    fn take_splits(&mut self, items: &[&'a ast::Split], errors: &mut Vec<Diagnostic>) {
        for item in items {
            let Some(id) = self.data_named(&item.data, errors) else { continue };
            let seed = match &item.seed {
                Some(e) => self.whole_number(e, "a seed", errors),
                None => None,
            };
            let mut parts: Vec<Part> = Vec::new();
            let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
            for part in &item.parts {
                let first = *seen.entry(&part.name.text).or_insert(part.name.span);
                if first != part.name.span {
                    errors.push(duplicate(&part.name, first));
                } else if part.percent <= 0.0 || part.percent.is_nan() {
                    errors.push(
                        Diagnostic::new(codes::BAD_SPLIT, "a part takes more than 0% of the rows")
                            .at(part.span, "this one is empty"),
                    );
                } else {
                    parts.push(Part { name: part.name.text.clone(), percent: part.percent, span: part.name.span });
                }
            }
            let total: f64 = parts.iter().map(|p| p.percent).sum();
            if let Some(last) = item.parts.last().filter(|_| total > 100.0 + 1e-9) {
                errors.push(
                    Diagnostic::new(codes::BAD_SPLIT, format!("the parts add up to {total}%"))
                        .at(last.span, "more than 100% from here on")
                        .help("let the percentages add up to 100"),
                );
            }
            let data = &mut self.data[id.0 as usize];
            if let Some(first) = data.parts.first() {
                errors.push(
                    Diagnostic::new(codes::DUPLICATE_NAME, format!("`{}` is split twice", data.name))
                        .at(item.data.span, "a second time here")
                        .at(first.span, "it has parts already"),
                );
                continue;
            }
            data.parts = parts;
            data.split_seed = seed;
            data.stratified = item.stratified.as_ref().map(|name| (name.text.clone(), name.span));
        }
    }

    fn take_standardized(&mut self, items: &[&'a ast::Standardize], errors: &mut Vec<Diagnostic>) {
        for item in items {
            let Some(data) = self.data_named(&item.what.parts[0], errors) else { continue };
            let Some(by) = self.rows(&item.by, errors) else { continue };
            if let Some(extra) = item.what.parts.get(2) {
                errors.push(
                    Diagnostic::new(codes::BAD_STANDARDIZE, "what is standardized is a data set or one of its columns")
                        .at(extra.span, "too deep")
                        .help("write `standardize digits.x by digits.train`"),
                );
                continue;
            }
            let column = item.what.parts.get(1).map(|name| name.text.clone());
            let span = item.what.span;
            let known = &mut self.data[data.0 as usize].standardized;
            if let Some(first) = known.iter().find(|first| first.column == column) {
                let what = item.what.parts.last().map_or("", |name| name.text.as_str());
                errors.push(
                    Diagnostic::new(codes::BAD_STANDARDIZE, format!("`{what}` is standardized twice"))
                        .at(span, "a second time here")
                        .at(first.span, "the first time here"),
                );
                continue;
            }
            known.push(Standardized { column, by, span });
        }
    }

    /// `digits` or `digits.train`
    pub fn rows(&self, path: &ast::Path, errors: &mut Vec<Diagnostic>) -> Option<Rows> {
        let data = self.data_named(path.parts.first()?, errors)?;
        let set = &self.data[data.0 as usize];
        let part = match path.parts.get(1) {
            None => None,
            Some(name) => match set.parts.iter().position(|p| p.name == name.text) {
                Some(k) => Some(k),
                None => {
                    let names: Vec<&str> = set.parts.iter().map(|p| p.name.as_str()).collect();
                    let mut error =
                        Diagnostic::new(codes::UNKNOWN_NAME, format!("`{}` has no part `{}`", set.name, name.text))
                            .at(name.span, "unknown here")
                            .at(set.span, format!("`{}` is declared here", set.name));
                    error = match (closest(&name.text, names.iter().copied()), names.as_slice()) {
                        (Some(near), _) => error.help(format!("did you mean `{near}`?")),
                        (None, []) => {
                            error.help(format!("split it: `split {} into train 70%, valid 15%, test 15%`", set.name))
                        }
                        (None, names) => error.note(format!("its parts are {}", names.join(", "))),
                    };
                    errors.push(error);
                    return None;
                }
            },
        };
        if let Some(extra) = path.parts.get(2) {
            let error = Diagnostic::new(codes::UNKNOWN_NAME, "a part of a data set has no parts of its own")
                .at(extra.span, "too deep");
            errors.push(error);
            return None;
        }
        Some(Rows { data, part, span: path.span })
    }

    /// The data set of this name, or an error.
    pub fn data_named(&self, name: &ast::Name, errors: &mut Vec<Diagnostic>) -> Option<DataId> {
        if let Some(k) = self.data.iter().position(|d| d.name == name.text) {
            return Some(DataId(k as u32));
        }
        let mut error = Diagnostic::new(codes::UNKNOWN_NAME, format!("no data set is called `{}`", name.text))
            .at(name.span, "not declared by a `data` line");
        if let Some(near) = closest(&name.text, self.data.iter().map(|d| d.name.as_str())) {
            error = error.help(format!("did you mean `{near}`?"));
        } else if self.data.is_empty() {
            error = error.help(format!("declare it: `data {} = csv(\"file.csv\", target: column)`", name.text));
        }
        errors.push(error);
        None
    }

    /// A whole number made of constants.
    pub fn whole_number(&self, e: &ast::Expr, what: &str, errors: &mut Vec<Diagnostic>) -> Option<u64> {
        let value = self.known(e, errors)?;
        if value.number < 0.0 || value.number.fract() != 0.0 || value.number > 9e15 {
            errors.push(
                Diagnostic::new(codes::NOT_A_CONSTANT, format!("{what} is a whole number"))
                    .at(e.span, format!("this is {}", value.number)),
            );
            return None;
        }
        Some(value.number as u64)
    }

    /// A number known before anything runs.
    pub fn number(&self, e: &ast::Expr, errors: &mut Vec<Diagnostic>) -> Option<f64> {
        self.known(e, errors).map(|value| value.number)
    }

    fn known(&self, e: &ast::Expr, errors: &mut Vec<Diagnostic>) -> Option<Value> {
        let mut used = BTreeSet::new();
        constant::collect(e, &mut used);
        if let Some((name, id)) = used.iter().find_map(|name| self.computed.get_key_value(name)) {
            let message = format!("`{name}` is computed, so it is not known here");
            let error = Diagnostic::new(codes::NOT_A_CONSTANT, message)
                .at(e.span, "a number known when compiling is wanted")
                .at(self.definitions[id.0 as usize].0.body.span, "computed by this");
            errors.push(error);
            return None;
        }
        constant::evaluate(e, &self.constant_values(), &self.poisoned, errors)
    }

    fn constant_values(&self) -> BTreeMap<String, Value> {
        let all = self.library_constants.iter().chain(&self.constants);
        all.map(|c| (c.name.clone(), Value { number: c.value, integer: c.integer })).collect()
    }

    /// What a name means where no local has it, seen from a file.
    pub fn find(&self, name: &str, from: FileId) -> Option<Global<'_>> {
        if let Some(used) = self.used.get(&from) {
            if let Some(found) = self.find_own(name, from) {
                return Some(found);
            }
            if let Some(found) = used.open.iter().find_map(|(file, _)| self.find_own(name, *file)) {
                return Some(found);
            }
            if self.poisoned.contains(name) {
                return Some(Global::Error);
            }
        }
        if let Some(id) = self.prelude.get(name) {
            return Some(Global::Definition(*id));
        }
        let place = self.library_constants.binary_search_by(|c| c.name.as_str().cmp(name)).ok()?;
        Some(Global::Constant(&self.library_constants[place]))
    }

    /// What a name means that a file itself defines.
    pub(super) fn find_own(&self, name: &str, file: FileId) -> Option<Global<'_>> {
        if let Some(id) = self.own.get(&file).and_then(|names| names.get(name)) {
            return Some(Global::Definition(*id));
        }
        let constants = if file == self.user_file { Some(&self.constants) } else { self.module_constants.get(&file) };
        // They are in the order of their names.
        let constants = constants?;
        if let Ok(place) = constants.binary_search_by(|c| c.name.as_str().cmp(name)) {
            return Some(Global::Constant(&constants[place]));
        }
        self.computed.get(name).filter(|_| file == self.user_file).map(|id| Global::Computed(*id))
    }

    /// Every name that [`Globals::find`] knows, sorted.
    pub fn visible(&self, from: FileId) -> Vec<&str> {
        let mut names: Vec<&str> = self.prelude.keys().copied().collect();
        names.extend(self.library_constants.iter().map(|c| c.name.as_str()));
        if let Some(used) = self.used.get(&from) {
            let files = used.open.iter().map(|(file, _)| file).chain([&from]);
            names.extend(files.filter_map(|file| self.own.get(file)).flat_map(|own| own.keys().copied()));
            if from == self.user_file {
                names.extend(self.constants.iter().map(|c| c.name.as_str()));
                names.extend(self.computed.keys());
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every definition with its signature unknown, so that an id is an index from the start.
    pub fn placeholders(&self) -> Vec<Definition> {
        let one = |(d, doc): &(&ast::Definition, &[String])| placeholder(d, doc);
        self.definitions.iter().map(one).collect()
    }

    pub fn kind(&self, id: DefId) -> Kind {
        self.definitions[id.0 as usize].0.kind
    }
}

/// The column that a part of a tuple names; the readers refuse anything else.
fn column_name(part: &ast::Expr) -> Option<String> {
    match &part.kind {
        ExprKind::Name(name) | ExprKind::Str(name) => Some(name.clone()),
        _ => None,
    }
}

/// A definition that could not be checked: its result is in error.
fn placeholder(d: &ast::Definition, doc: &[String]) -> Definition {
    Definition {
        kind: d.kind,
        name: d.name.text.clone(),
        span: d.name.span,
        doc: doc.to_vec(),
        sizes: Vec::new(),
        packs: 0,
        pack_names: Vec::new(),
        inputs: Vec::new(),
        options: Vec::new(),
        requires: Vec::new(),
        locals: Vec::new(),
        result: Type::Error,
        body: Block { statements: Vec::new(), result: None },
        derivative: None,
        optimizer: None,
        members: Vec::new(),
        columns: Vec::new(),
        requirements: Vec::new(),
    }
}

pub fn duplicate(name: &ast::Name, first: Span) -> Diagnostic {
    Diagnostic::new(codes::DUPLICATE_NAME, format!("`{}` is defined twice", name.text))
        .at(name.span, "a second time here")
        .at(first, "the first time here")
}
