//! Parameters by name, in the `train` block: `weights`, `classifier.hidden.W`, `encoder.*`.

use super::familiar::familiar_member;
use super::globals::Global;
use super::member::is_application;
use super::scope::{Binding, Checker, poison};
use super::typed::{DefId, Element, Expr, ExprKind, Kind, Member, Selection, SelectionItem, Type};
use crate::source::{Diagnostic, Span, closest, codes};
use crate::syntax::ast::{self, ExprKind as Ast};

const WORDS: [&str; 4] = ["weights", "biases", "all", "params"];

impl Checker<'_> {
    pub fn is_set_word(&self, name: &str) -> bool {
        WORDS.contains(&name)
    }

    pub fn selection_word(&mut self, name: &str, span: Span) -> Expr {
        let item = match name {
            "weights" => SelectionItem::Weights,
            "biases" => SelectionItem::Biases,
            _ => SelectionItem::All,
        };
        selected(vec![item], span)
    }

    /// The parameters that an expression names, where a set is wanted; `None` if it is something else.
    pub fn selection_expression(&mut self, e: &ast::Expr) -> Option<Expr> {
        if self.kind.is_some() {
            return None;
        }
        if matches!(&e.kind, Ast::Field { base, .. } if is_application(base)) {
            return None;
        }
        if let Some(name) = e.as_name() {
            if self.lookup(name).is_some() {
                return None;
            }
            if self.is_set_word(name) && self.global(name).is_none() {
                return Some(self.selection_word(name, e.span));
            }
            if !matches!(self.global(name), Some(Global::Definition(id)) if self.globals.kind(id) == Kind::Net) {
                return None;
            }
        } else if !matches!(e.kind, Ast::Field { .. } | Ast::Wildcard { .. }) {
            return None;
        }
        Some(match self.selection_item(e) {
            Some((item, _)) => selected(vec![item], e.span),
            None => poison(e.span),
        })
    }

    /// `a.b.c` and `a.*` in an expression.
    pub fn path_expression(&mut self, e: &ast::Expr) -> Expr {
        if let Some(parameter) = self.shared_parameter(e) {
            return parameter;
        }
        if let Some(found) = self.qualified(e) {
            return match found {
                Global::Constant(c) => {
                    let element = if c.integer { Element::Int } else { Element::Float };
                    super::scope::number(c.value, element, e.span)
                }
                Global::Computed(id) => self.computed(id, e.span),
                Global::Error => poison(e.span),
                Global::Definition(id) if self.kind.is_none() && self.globals.kind(id) == Kind::Net => {
                    match self.selection_item(e) {
                        Some((item, _)) => selected(vec![item], e.span),
                        None => poison(e.span),
                    }
                }
                Global::Definition(_) => {
                    let error = Diagnostic::new(codes::WRONG_KIND, format!("`{e}` is a definition, not a value"))
                        .at(e.span, "a value is wanted here")
                        .help(format!("apply it: `{e}(x)`"));
                    self.fail(e.span, error)
                }
            };
        }
        if self.whole.is_some() {
            return self.whole_column(e);
        }
        if self.kind.is_none() {
            if let ast::ExprKind::Field { base, name } = &e.kind
                && let Some(column) = self.column_beside(base, name, e)
            {
                return column;
            }
            if let Some(error) = self.column_elsewhere(e) {
                return error;
            }
            let Some((item, net)) = self.selection_item(e) else { return poison(e.span) };
            // One parameter is a tensor.
            if let SelectionItem::Path(path) = &item
                && let Some(parameter) = self.net_parameter(net, path, e.span)
            {
                return parameter;
            }
            return selected(vec![item], e.span);
        }
        if let Some(error) = self.column_elsewhere(e) {
            return error;
        }
        if let ast::ExprKind::Field { base, name } = &e.kind
            && let Some(error) = self.member_of_value(base, name)
        {
            return self.fail(e.span, error);
        }
        let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, "parameters are reached by their path in `train` only")
            .at(e.span, format!("{} sees its inputs and its own parameters", self.place()))
            .help("make the value an input of this definition");
        self.fail(e.span, error)
    }

    /// The error for `x.name` where x is a tensor.
    fn member_of_value(&self, base: &ast::Expr, name: &ast::Name) -> Option<Diagnostic> {
        let value = base.as_name()?;
        let Some((Binding::Local(id), _)) = self.lookup(value) else { return None };
        let ty = &self.local(*id).ty;
        ty.tensor()?;
        let error = Diagnostic::new(codes::UNKNOWN_NAME, format!("`{value}` has no part `{}`", name.text))
            .at(name.span, format!("`{value}` is {}, a tensor", self.show(ty)))
            .help(
                familiar_member(&name.text)
                    .unwrap_or("what is done with a tensor stands before it: `sum(x)`, `exp(x)`"),
            );
        Some(error)
    }

    /// `over weights, classifier.hidden`
    pub fn selection(&mut self, items: &[ast::Expr]) -> Option<Selection> {
        let span = items.first()?.span.to(items.last()?.span);
        let mut found = Vec::new();
        for e in items {
            let item = match e.as_name() {
                Some("weights") => Some(SelectionItem::Weights),
                Some("biases") => Some(SelectionItem::Biases),
                Some("all" | "params") => Some(SelectionItem::All),
                _ => self.selection_item(e).map(|(item, _)| item),
            };
            found.push(item?);
        }
        Some(Selection { items: found, span })
    }

    /// What a path names, and the net it starts with.
    fn selection_item(&mut self, e: &ast::Expr) -> Option<(SelectionItem, DefId)> {
        let mut parts: Vec<(String, Span)> = Vec::new();
        let mut at = e;
        let mut wildcard = false;
        loop {
            match &at.kind {
                Ast::Wildcard { base } if parts.is_empty() && !wildcard => {
                    wildcard = true;
                    at = base;
                }
                Ast::Field { base, name } => {
                    parts.push((name.text.clone(), name.span));
                    at = base;
                }
                Ast::Name(name) => {
                    parts.push((name.clone(), at.span));
                    break;
                }
                _ => {
                    let error = Diagnostic::new(codes::UNKNOWN_PARAMETER, "parameters are named by a path")
                        .at(at.span, "this is no name")
                        .help("write `weights`, `biases`, `all`, or a path such as `classifier.hidden.W`");
                    self.report(error);
                    return None;
                }
            }
        }
        parts.reverse();
        let net = self.resolve_path(&mut parts)?;
        let path = parts.into_iter().map(|(name, _)| name).collect();
        Some((if wildcard { SelectionItem::Wildcard(path) } else { SelectionItem::Path(path) }, net))
    }

    /// The net that a path starts with. The name under which a file is used is taken from before it: parameters are called by
    /// their net alone.
    fn resolve_path(&mut self, parts: &mut Vec<(String, Span)>) -> Option<DefId> {
        let definitions = self.definitions;
        let alias = parts.first().map(|(name, _)| name.clone())?;
        let found = match parts.get(1) {
            Some((net, _)) if self.lookup(&alias).is_none() && self.globals.is_alias(&alias, self.file) => {
                let found = self.globals.find_qualified(&alias, net, self.file);
                parts.remove(0);
                found
            }
            _ => self.global(&alias),
        };
        let (net, net_span) = parts.first()?;
        let start: DefId = match found {
            Some(Global::Definition(id)) if self.globals.kind(id) == Kind::Net => id,
            Some(Global::Error) => return None,
            _ => {
                let nets: Vec<&str> =
                    definitions.iter().filter(|d| d.kind == Kind::Net).map(|d| d.name.as_str()).collect();
                let mut error = Diagnostic::new(codes::UNKNOWN_PARAMETER, format!("no net is called `{net}`"))
                    .at(*net_span, "a path starts with a net");
                let words = nets.iter().copied().chain(WORDS);
                error = match (closest(net, words), nets.as_slice()) {
                    (Some(near), _) => error.help(format!("did you mean `{near}`?")),
                    (None, []) => error,
                    (None, nets) => error.note(format!("the nets are {}", nets.join(", "))),
                };
                self.report(error);
                return None;
            }
        };
        let mut at = start;
        let mut inside = true;
        for (k, (part, span)) in parts.iter().enumerate().skip(1) {
            let d = &definitions[at.0 as usize];
            if d.result.is_error() {
                return None;
            }
            let member = d.members.iter().find(|m| inside && m.is(part));
            match member {
                Some(Member::Application { def, .. }) => at = *def,
                Some(Member::Param { .. }) => inside = false,
                None => {
                    let path: Vec<&str> = parts[..k].iter().map(|p| p.0.as_str()).collect();
                    let path = path.join(".");
                    let names: Vec<String> =
                        if inside { d.members.iter().map(Member::shown).collect() } else { Vec::new() };
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    let mut error = Diagnostic::new(codes::UNKNOWN_PARAMETER, format!("`{path}` has no part `{part}`"))
                        .at(*span, "no parameter or application of this name")
                        .at(d.span, format!("`{}` is defined here", d.name));
                    error = match (closest(part, names.iter().copied()), names.as_slice()) {
                        (Some(near), _) => error.help(format!("did you mean `{near}`?")),
                        (None, []) if inside => error.note(format!("`{path}` has no parameters")),
                        (None, []) => error.note(format!("`{path}` is a parameter")),
                        (None, names) => error.note(format!("its parts are {}", names.join(", "))),
                    };
                    self.report(error);
                    return None;
                }
            }
        }
        Some(start)
    }
}

fn selected(items: Vec<SelectionItem>, span: Span) -> Expr {
    Expr { kind: ExprKind::Selection(Selection { items, span }), ty: Type::Set(Element::Float), span }
}
