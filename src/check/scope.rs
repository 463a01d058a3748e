//! The state of checking one definition or the `train` block: its locals, size variables and scopes.

use super::familiar::familiar;
use super::globals::{Global, Globals};
use super::shape::Names;
use super::typed::{
    Axis, Definition, Element, Expr, ExprKind, Kind, Local, LocalId, Member, Origin, PackVar, Requirement, SiteId,
    TensorType, Type, WholeColumn,
};
use crate::ir::{Size, Symbol};
use crate::source::{Diagnostic, FileId, Span, closest, codes};
use std::collections::{BTreeMap, BTreeSet};

/// In a program of more names, none is offered for an unknown one.
const MANY_NAMES: usize = 10_000;

/// What a name in a scope means.
#[derive(Clone, PartialEq, Debug)]
pub enum Binding {
    Local(LocalId),
    Size(Symbol),
    /// An index variable of index notation.
    Index,
    /// An instance of a layer, an index into [`Checker::shared`].
    Shared(usize),
    /// Defined by an equation in error.
    Error,
}

#[derive(Default, Debug)]
pub struct Scope {
    pub names: BTreeMap<String, (Binding, Span)>,
    /// States whose next value this block assigns.
    pub assigned: BTreeSet<LocalId>,
}

/// A state and its next value.
#[derive(Clone, Copy, Debug)]
pub struct Stateful {
    pub current: LocalId,
    pub next: LocalId,
}

pub struct Checker<'c> {
    pub globals: &'c Globals<'c>,
    pub definitions: &'c [Definition],
    pub errors: &'c mut Vec<Diagnostic>,
    /// `None` in the `train` block.
    pub kind: Option<Kind>,
    pub name: String,
    pub file: FileId,
    pub locals: Vec<Local>,
    pub scopes: Vec<Scope>,
    pub sizes: Vec<Symbol>,
    pub pack_names: Vec<String>,
    pub states: Vec<Stateful>,
    pub members: Vec<Member>,
    /// Path segments by the place of the applied name.
    pub segments: BTreeMap<Span, String>,
    sites: u32,
    /// In an init: its first input, which has a shape and no value.
    pub shape_only: Option<LocalId>,
    /// Blocks around this place that are branches of an `if`.
    pub inside_if: usize,
    /// Blocks around this place that are branches of any choice.
    pub branches: usize,
    /// The indices of the repetitions around this place.
    pub loops: Vec<Symbol>,
    /// Where in `states` those of the innermost repetition begin, and after it what it carries.
    pub carried_from: usize,
    pub shared: Vec<super::shared::Shared>,
    /// While the sizes of a net's parameters are looked for.
    pub resolving: bool,
    /// Index variables in scope with what they stand for once known.
    pub indices: BTreeMap<String, super::indexed::IndexVariable>,
    pub requirements: Vec<Requirement>,
    /// In a computed constant: the columns it reads.
    pub whole: Option<Vec<WholeColumn>>,
    /// The columns by local, in `train`.
    pub columns: BTreeMap<LocalId, (super::typed::DataId, String)>,
    /// Within `measure`.
    pub measuring: bool,
    /// `members` has been met since this was last unset.
    pub together: bool,
    /// The columns and counters that some expression reads.
    pub columns_read: BTreeSet<LocalId>,
    /// The second data set of a step and its columns, which are reached by its name.
    pub beside: Option<(String, BTreeSet<LocalId>)>,
    /// What counts steps and epochs, in `train`.
    pub counters: BTreeMap<super::typed::Counter, LocalId>,
    /// Columns are unknown, because the data could not be read.
    pub columns_unknown: bool,
    /// In a phase without data: every column that the program's data has, with the name of its data set.
    pub without_data: Option<BTreeMap<String, String>>,
}

impl<'c> Checker<'c> {
    pub fn new(
        globals: &'c Globals<'c>,
        definitions: &'c [Definition],
        errors: &'c mut Vec<Diagnostic>,
        kind: Option<Kind>,
        name: &str,
        file: FileId,
    ) -> Self {
        Checker {
            globals,
            definitions,
            errors,
            kind,
            name: name.to_string(),
            file,
            locals: Vec::new(),
            scopes: vec![Scope::default()],
            sizes: Vec::new(),
            pack_names: vec!["..".into()],
            states: Vec::new(),
            members: Vec::new(),
            segments: BTreeMap::new(),
            sites: 0,
            shape_only: None,
            inside_if: 0,
            branches: 0,
            loops: Vec::new(),
            carried_from: 0,
            shared: Vec::new(),
            resolving: false,
            indices: BTreeMap::new(),
            requirements: Vec::new(),
            whole: None,
            columns: BTreeMap::new(),
            measuring: false,
            together: false,
            columns_read: BTreeSet::new(),
            beside: None,
            counters: BTreeMap::new(),
            columns_unknown: false,
            without_data: None,
        }
    }

    pub fn report(&mut self, error: Diagnostic) {
        self.errors.push(error);
    }

    /// Reports, and gives what stands for the value in error.
    pub fn fail(&mut self, span: Span, error: Diagnostic) -> Expr {
        self.errors.push(error);
        poison(span)
    }

    pub fn site(&mut self) -> SiteId {
        self.sites += 1;
        SiteId(self.sites - 1)
    }

    pub fn new_pack(&mut self, name: &str) -> PackVar {
        self.pack_names.push(format!("..{name}"));
        PackVar(self.pack_names.len() as u32 - 1)
    }

    pub fn new_local(&mut self, name: impl Into<String>, ty: Type, span: Span, origin: Origin) -> LocalId {
        self.locals.push(Local { name: name.into(), ty, span, origin, target: false });
        LocalId(self.locals.len() as u32 - 1)
    }

    pub fn local(&self, id: LocalId) -> &Local {
        &self.locals[id.0 as usize]
    }

    /// Binds a name in the innermost scope; a name that an enclosing scope of the definition has is an error.
    pub fn bind(&mut self, name: &str, span: Span, binding: Binding) {
        if let Some((_, first)) = self.lookup(name) {
            let first = *first;
            if first != span {
                let error = Diagnostic::new(codes::DUPLICATE_NAME, format!("`{name}` is defined twice"))
                    .at(span, "a second time here")
                    .at(first, "the first time here")
                    .help(match self.states.iter().any(|s| self.local(s.current).name == name) {
                        true => format!("write `{name}' = ...` for its value after the step"),
                        false => "an equation gives a name its one value; choose another name".into(),
                    });
                self.report(error);
            }
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.names.insert(name.to_string(), (binding, span));
        }
    }

    pub fn lookup(&self, name: &str) -> Option<&(Binding, Span)> {
        self.scopes.iter().rev().find_map(|s| s.names.get(name))
    }

    pub fn read(&mut self, id: LocalId, span: Span) -> Expr {
        if matches!(self.local(id).origin, Origin::Column | Origin::Counter) {
            self.columns_read.insert(id);
        }
        Expr { kind: ExprKind::Local(id), ty: self.local(id).ty.clone(), span }
    }

    pub fn global(&self, name: &str) -> Option<Global<'c>> {
        self.globals.find(name, self.file)
    }

    /// The error for a name that nothing defines.
    pub fn unknown(&mut self, name: &str, span: Span) -> Expr {
        if self.columns_unknown {
            return poison(span);
        }
        if let Some(error) = self.wants_data(name, span) {
            return self.fail(span, error);
        }
        let mut error = Diagnostic::new(codes::UNKNOWN_NAME, format!("nothing is called `{name}`"))
            .at(span, "not defined here or in the standard library");
        // Looking for a name like it takes long where there are many; errors beyond these are not shown.
        let many = self.locals.len() + self.globals.definitions.len() + self.globals.constants.len() > MANY_NAMES;
        if self.errors.len() > super::MAX_ERRORS || many {
            return self.fail(span, error);
        }
        let mut known: Vec<&str> = self.scopes.iter().rev().flat_map(|s| s.names.keys().map(String::as_str)).collect();
        known.extend(self.globals.visible(self.file));
        known.extend(super::expression::BUILTINS);
        if let Some(help) = familiar(name) {
            error = error.help(help);
        } else if let Some(near) = closest(name, known) {
            error = error.help(format!("did you mean `{near}`?"));
        } else if self.kind.is_none() && !self.columns.is_empty() {
            // By the names of their locals, which say the data set of those that are not the first's.
            let names: Vec<String> =
                self.columns.keys().map(|l| format!("`{}`", self.local(*l).name)).take(12).collect();
            error = error.note(format!("the columns in scope are {}", names.join(", ")));
        }
        self.fail(span, error)
    }

    // ------------------------------------------------------------------------------------------ how things are said

    pub fn show(&self, ty: &Type) -> String {
        Names(&self.pack_names).ty(ty)
    }

    pub fn show_axes(&self, axes: &[Axis]) -> String {
        Names(&self.pack_names).axes(axes)
    }

    pub fn show_axis(&self, axis: &Axis) -> String {
        Names(&self.pack_names).axis(axis)
    }

    /// Where a value came from, as further places of an error about its shape.
    pub fn trace(&self, mut error: Diagnostic, e: &Expr) -> Diagnostic {
        if let ExprKind::Local(id) = &e.kind {
            if let Some(place) = self.standardized_integers(*id) {
                error = error
                    .at(place, "it is standardized here")
                    .note("the column holds integers, which centring and scaling make into other numbers")
                    .help("standardize the other columns only: what counts or names classes stays as it is");
            }
            let local = self.local(*id);
            if !error.labels.iter().any(|l| l.span == local.span) && local.origin != Origin::Temporary {
                error = error.at(local.span, format!("`{}` is {}", local.name, self.show(&local.ty)));
            }
            if self.is_all_columns(*id) {
                error = error.note(format!(
                    "`{}` is every column of the data, as none is named as its target: `csv(…, target: column)`",
                    local.name
                ));
            }
            if let Some(tensor) = local.ty.tensor()
                && tensor.axes.iter().any(|a| matches!(a, Axis::Pack(p) if p.0 > 0))
                && local.origin == Origin::Input
            {
                error = error.note(format!(
                    "`{0}` has no type, so it may have any axes, `..{0}`; `{0}: [..]` shares its axes with the other \
                     inputs of that type, `{0}: []` is a scalar",
                    local.name
                ));
            }
        }
        error
    }

    /// Where a column of integers is standardized, if it is.
    pub fn standardized_integers(&self, id: LocalId) -> Option<Span> {
        let (data, name) = self.columns.get(&id)?;
        let set = &self.globals.data[data.0 as usize];
        let column = self.globals.schemas.get(&set.name)?.column(name)?;
        let found = set.standardized.iter().find(|s| s.column.as_ref() == Some(name))?;
        matches!(column.kind, super::schema::ColumnKind::Int { .. }).then_some(found.span)
    }

    /// Whether this is a column of the data that holds all of its single columns.
    fn is_all_columns(&self, id: LocalId) -> bool {
        let Some((data, _)) = self.columns.get(&id) else { return false };
        let [_, Axis::Sized { size, .. }] = self.local(id).ty.tensor().map_or(&[][..], |t| &t.axes) else {
            return false;
        };
        let others = self.columns.iter().filter(|(other, (of, _))| *other != &id && of == data);
        size.as_constant().is_some_and(|n| n > 1 && others.count() as u64 == n)
    }

    /// What the definition is, for messages: `fn softmax`, `the train block`.
    pub fn place(&self) -> String {
        match self.kind {
            Some(kind) => format!("{kind} {}", self.name),
            None => "the `train` block".into(),
        }
    }

    /// A value to be used twice: the equation that names it, and reads of it.
    pub fn share(&mut self, value: Expr) -> (super::typed::Statement, Expr) {
        let (ty, span) = (value.ty.clone(), value.span);
        let name = format!("%{}", self.locals.len());
        let local = self.new_local(name, ty.clone(), span, Origin::Temporary);
        (super::typed::Statement::Let { local, value }, Expr { kind: ExprKind::Local(local), ty, span })
    }
}

/// What stands for a value in error.
pub fn poison(span: Span) -> Expr {
    Expr { kind: ExprKind::Error, ty: Type::Error, span }
}

pub fn number(value: f64, element: Element, span: Span) -> Expr {
    Expr { kind: ExprKind::Number(value), ty: Type::scalar(element), span }
}

pub fn tensor(kind: ExprKind, element: Element, axes: Vec<Axis>, span: Span) -> Expr {
    Expr { kind, ty: Type::Tensor(TensorType { element, axes }), span }
}

pub fn size_value(size: Size, span: Span) -> Expr {
    match size.as_constant() {
        Some(n) => number(n as f64, Element::Int, span),
        None => Expr { kind: ExprKind::SizeValue(size), ty: Type::scalar(Element::Int), span },
    }
}
