//! On which rows a phase trains: the columns that its expressions see, and what counts steps and epochs.

use super::super::globals::Global;
use super::super::schema::{ColumnKind, Schemas};
use super::super::scope::{Binding, Checker};
use super::super::shape::implied_label;
use super::super::typed::{Axis, Beside, Counter, DataId, Element, Expr, Kind, Origin, Rows, TensorType, Train, Type};
use crate::ir::{Size, Symbol};
use crate::source::{Diagnostic, Span, closest, codes};
use crate::syntax::ast;
use std::collections::{BTreeMap, BTreeSet};

impl Checker<'_> {
    /// `on a.train, batch 20 with b, batch 80`: the rows of a step, and the columns into scope.
    pub(super) fn on(
        &mut self,
        rows: &ast::OnRows,
        beside: Option<&ast::OnRows>,
        schemas: &Schemas,
    ) -> Option<(Rows, Option<u64>, Option<Beside>)> {
        let first = self.rows(&rows.data);
        let second = beside.map(|b| (self.rows(&b.data), b));
        self.sizes.push(Train::batch_symbol());
        match first {
            Some(rows) => self.take_columns(rows.data, schemas),
            None => self.columns_unknown = true,
        }
        if let Some((place, _)) = &second {
            self.sizes.push(Train::beside_symbol());
            match place {
                Some(rows) => self.take_columns_beside(*rows, schemas),
                None => self.columns_unknown = true,
            }
        }
        let batch = match &rows.batch {
            Some(e) => Some(self.positive(e, "a batch size")?),
            None => None,
        };
        let beside = match second {
            None => None,
            Some((rows, written)) => {
                let batch = match &written.batch {
                    Some(e) => Some(self.positive(e, "a batch size")?),
                    None => None,
                };
                Some(Beside { rows: rows?, batch, in_order: written.in_order })
            }
        };
        Some((first?, batch, beside))
    }

    /// No data: no rows, no columns and no epochs.
    pub(super) fn without_on(&mut self, schemas: &Schemas) {
        let mut columns = BTreeMap::new();
        for set in &self.globals.data {
            match schemas.get(&set.name) {
                Some(schema) => columns.extend(schema.columns.iter().map(|c| (c.name.clone(), set.name.clone()))),
                None => self.columns_unknown = true,
            }
        }
        self.without_data = Some(columns);
    }

    /// The error for a name that would be known if the phase had data.
    pub fn wants_data(&mut self, name: &str, span: Span) -> Option<Diagnostic> {
        let columns = self.without_data.as_ref()?;
        if let Some(set) = columns.get(name) {
            let help = format!("add a line such as `on {set}, batch 64`");
            // Once is enough.
            self.columns_unknown = true;
            let error = Diagnostic::new(codes::MISSING_CLAUSE, "this phase has no `on` clause, but reads a column");
            return Some(error.at(span, format!("`{name}` is a column of `{set}`")).help(help));
        }
        (name == "epoch").then(|| {
            Diagnostic::new(codes::NOT_ALLOWED_HERE, "there are no epochs without data")
                .at(span, "an epoch is one pass through the rows of `on`")
                .help("count by `step`")
        })
    }

    /// Refuses a clause that speaks of rows where there are none.
    pub(super) fn rowless(&mut self, span: Span, why: &str, help: &str) {
        let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, "this phase has no data");
        self.report(error.at(span, why).help(help));
    }

    /// `digits` or `digits.train`
    pub fn rows(&mut self, path: &ast::Path) -> Option<Rows> {
        self.globals.rows(path, self.errors)
    }

    /// The columns of a data set as types with these rows.
    fn column_types(&mut self, data: DataId, rows: &Symbol, schemas: &Schemas) -> Option<Vec<(String, Type)>> {
        let set = &self.globals.data[data.0 as usize];
        let Some(schema) = schemas.get(&set.name) else {
            self.columns_unknown = true;
            return None;
        };
        let typed = schema.columns.iter().map(|column| {
            let rows = Size::symbol(&rows.0);
            let mut axes = vec![Axis::Sized { label: implied_label(&rows), size: rows }];
            axes.extend(column.axes.iter().map(|n| Axis::Sized { label: None, size: Size::constant(*n) }));
            let standardized = set.standardized.iter().any(|s| s.column.as_ref() == Some(&column.name));
            let element = match column.kind {
                ColumnKind::Int { .. } if !standardized => Element::Int,
                ColumnKind::Float | ColumnKind::Int { .. } => Element::Float,
            };
            (column.name.clone(), Type::Tensor(TensorType { element, axes }))
        });
        Some(typed.collect())
    }

    fn take_columns(&mut self, data: DataId, schemas: &Schemas) {
        let span = self.globals.data[data.0 as usize].span;
        for (name, ty) in self.column_types(data, &Train::batch_symbol(), schemas).unwrap_or_default() {
            let local = self.new_local(&name, ty, span, Origin::Column);
            if let Some(scope) = self.scopes.last_mut() {
                scope.names.entry(name.clone()).or_insert((Binding::Local(local), span));
            }
            self.columns.insert(local, (data, name));
        }
    }

    /// The columns of the second data set, in scope under its name: `unlabelled.x`.
    fn take_columns_beside(&mut self, rows: Rows, schemas: &Schemas) {
        let set = &self.globals.data[rows.data.0 as usize];
        let (span, prefix) = (set.span, set.name.clone());
        if let Some(Global::Definition(id)) = self.global(&prefix)
            && self.globals.kind(id) == Kind::Net
        {
            let error = Diagnostic::new(codes::DUPLICATE_NAME, format!("`{prefix}` is a data set and a net"))
                .at(rows.span, format!("its columns are reached as `{prefix}.x`"))
                .at(self.globals.definitions[id.0 as usize].0.name.span, "and its parameters too");
            self.report(error);
        }
        let mut locals = BTreeSet::new();
        for (name, ty) in self.column_types(rows.data, &Train::beside_symbol(), schemas).unwrap_or_default() {
            let path = format!("{prefix}.{name}");
            let local = self.new_local(&path, ty, span, Origin::Column);
            if let Some(scope) = self.scopes.last_mut() {
                // No name has a dot in it, so this cannot hide any.
                scope.names.insert(path.clone(), (Binding::Local(local), span));
            }
            self.columns.insert(local, (rows.data, name));
            locals.insert(local);
        }
        self.beside = Some((prefix, locals));
    }

    /// `unlabelled.x`: a column of the second data set; `None` if the path begins with another name.
    pub fn column_beside(&mut self, base: &ast::Expr, name: &ast::Name, e: &ast::Expr) -> Option<Expr> {
        let (prefix, locals) = self.beside.clone().filter(|(prefix, _)| base.as_name() == Some(prefix))?;
        let path = format!("{prefix}.{}", name.text);
        if let Some((Binding::Local(local), _)) = self.lookup(&path) {
            let local = *local;
            return Some(self.read(local, e.span));
        }
        if self.columns_unknown {
            return Some(super::super::scope::poison(e.span));
        }
        let names: Vec<String> = locals.iter().filter_map(|l| self.columns.get(l).map(|c| c.1.clone())).collect();
        let mut error = Diagnostic::new(codes::UNKNOWN_NAME, format!("`{prefix}` has no column `{}`", name.text))
            .at(name.span, "unknown here");
        error = match closest(&name.text, names.iter().map(String::as_str)) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.note(format!("its columns are {}", names.join(", "))),
        };
        Some(self.fail(e.span, error))
    }

    /// `step` and `epoch`, unless something else is called so.
    pub(super) fn take_counters(&mut self) {
        for (counter, name) in Counter::NAMED {
            if self.global(name).is_some() || (counter == Counter::Epoch && self.without_data.is_some()) {
                continue;
            }
            let Some(span) = self.globals.train.map(|t| t.keyword) else { return };
            let local = self.new_local(name, Type::scalar(Element::Int), span, Origin::Counter);
            if let Some(scope) = self.scopes.last_mut() {
                scope.names.entry(name.to_string()).or_insert((Binding::Local(local), span));
            }
            self.counters.insert(counter, local);
        }
    }
}
