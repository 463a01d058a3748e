//! Instances that have a name: `shared d = dense(8)`, applied as `d(x)` any number of times, and parameters as tensors,
//! `d.W` in a definition and `net.dense.W` in `train`.

use super::application::Given;
use super::scope::{Binding, Checker, tensor};
use super::shape::Substitution;
use super::typed::{
    Axis, Block, DefId, Definition, Element, Expr, ExprKind, Instance, Kind, Member, PackVar, ParameterPath, Statement,
    TensorType,
};
use crate::ir::{Size, Symbol};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, ClauseKind, ExprKind as Ast};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A layer with all its arguments but the first.
#[derive(Clone, Debug)]
pub struct Shared {
    name: String,
    def: DefId,
    args: Rc<Vec<ast::Arg>>,
    loops: Vec<Symbol>,
    span: Span,
    /// The sizes and packs of the first application, in the terms of the definition around it.
    applied: Option<Substitution>,
}

/// What a path leads to.
enum Found {
    Tensor(TensorType),
    /// More than one parameter, or one whose shape is not known.
    Others,
}

impl Checker<'_> {
    /// `shared d = dense(8)`
    pub fn shared_instance(&mut self, name: &ast::Name, layer: &ast::Expr, top: bool, span: Span) {
        let (callee, args) = match &layer.kind {
            Ast::Call { callee, args, over: None } => (&**callee, args.clone()),
            _ => (layer, Vec::new()),
        };
        let def = match self.definition_named(callee) {
            Some(def) if self.globals.kind(def) == Kind::Layer => def,
            _ => {
                let error = Diagnostic::new(codes::WRONG_KIND, "an instance is shared of a layer")
                    .at(callee.span, "this names none")
                    .help("write `shared d = dense(8)`, with all arguments but the first, and apply it: `d(x)`");
                self.report(error);
                return self.bind(&name.text, name.span, Binding::Error);
            }
        };
        let definitions = self.definitions;
        let d = &definitions[def.0 as usize];
        if !top || !self.may_apply(d, callee.span) || d.result.is_error() {
            if !top {
                let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, "a branch cannot own an instance")
                    .at(span, "declared here")
                    .help("instances are declared at the top of a `layer` or a `net`");
                self.report(error);
            }
            return self.bind(&name.text, name.span, Binding::Error);
        }
        let loops = self.loops.clone();
        self.members.push(Member::Application { segment: name.text.clone(), def, loops: loops.len() });
        let shared =
            Shared { name: name.text.clone(), def, args: Rc::new(args), loops, span: name.span, applied: None };
        self.shared.push(shared);
        self.bind(&name.text, name.span, Binding::Shared(self.shared.len() - 1));
    }

    /// `d(x)`: the layer with its arguments after those given.
    pub fn shared_application(&mut self, k: usize, callee: Span, given: &[Given], span: Span) -> Expr {
        let shared = self.shared[k].clone();
        let own = shared.args.iter().map(|a| (a.name.as_ref(), &a.value));
        let given: Vec<Given> = given.iter().copied().chain(own).collect();
        let instance = Instance::New { segment: shared.name, loops: shared.loops };
        let value = self.call(shared.def, callee, &given, span, Some(instance));
        if let (ExprKind::Call(call), None) = (&value.kind, &shared.applied) {
            self.shared[k].applied = Some(substitution(&call.sizes, &call.packs));
        }
        value
    }

    /// The error for an instance where a value is wanted.
    pub fn shared_as_value(&mut self, k: usize, span: Span) -> Expr {
        let (name, declared) = (self.shared[k].name.clone(), self.shared[k].span);
        let error = Diagnostic::new(codes::WRONG_KIND, format!("`{name}` is an instance of a layer, not a value"))
            .at(span, "a value is wanted here")
            .at(declared, "declared here")
            .help(format!("apply it, `{name}(x)`, or name one of its parameters, `{name}.W`"));
        self.fail(span, error)
    }

    /// `d.W` in a definition; `None` if the path starts with no shared instance.
    pub fn shared_parameter(&mut self, e: &ast::Expr) -> Option<Expr> {
        let (base, parts) = path_parts(e)?;
        let Some((Binding::Shared(k), _)) = self.lookup(base).cloned() else { return None };
        let shared = self.shared[k].clone();
        let definitions = self.definitions;
        let d = &definitions[shared.def.0 as usize];
        let Some(applied) = &shared.applied else {
            let error = Diagnostic::new(codes::UNKNOWN_SIZE, format!("the shapes in `{base}` are not known"))
                .at(e.span, "a parameter of it is read here")
                .at(shared.span, "it is applied nowhere before")
                .help(format!("the first application says them: `{base}(x)`"));
            return Some(self.fail(e.span, error));
        };
        Some(match member(definitions, d, applied, &parts) {
            Some(Found::Tensor(t)) => {
                let instance = Some((shared.name, shared.loops));
                let path = ParameterPath { instance, rest: parts.iter().map(|p| p.to_string()).collect() };
                // Within a definition, an axis is known by what it is there.
                tensor(ExprKind::Parameter(path), Element::Float, super::elementwise::without_roles(t.axes), e.span)
            }
            found => {
                let names: Vec<String> = d.members.iter().map(Member::shown).collect();
                let message = match found {
                    Some(_) => format!("`{e}` is more than one parameter"),
                    None => format!("`{base}` has no parameter `{}`", parts.join(".")),
                };
                let error = Diagnostic::new(codes::UNKNOWN_PARAMETER, message)
                    .at(e.span, "one tensor is wanted here")
                    .at(d.span, format!("`{}` is defined here", d.name))
                    .note(format!("its parts are {}", names.join(", ")));
                self.fail(e.span, error)
            }
        })
    }

    /// `net.dense.W` in `train` as a tensor; `None` if the path, which exists, leads to several parameters.
    pub fn net_parameter(&mut self, net: DefId, path: &[String], span: Span) -> Option<Expr> {
        let definitions = self.definitions;
        let d = &definitions[net.0 as usize];
        let parts: Vec<&str> = path[1..].iter().map(String::as_str).collect();
        if parts.is_empty() {
            return None;
        }
        let known = Substitution::default();
        let found = match member(definitions, d, &known, &parts)? {
            Found::Tensor(t) => Found::Tensor(t),
            Found::Others => {
                let applied = self.net_substitution(net)?;
                member(definitions, d, &applied, &parts)?
            }
        };
        let Found::Tensor(t) = found else { return None };
        let path = ParameterPath { instance: None, rest: path.to_vec() };
        Some(tensor(ExprKind::Parameter(path), Element::Float, super::elementwise::with_roles(t.axes), span))
    }

    /// The sizes with which `train` applies a net, found by looking at its applications without keeping their errors.
    fn net_substitution(&mut self, net: DefId) -> Option<Substitution> {
        let name = &self.definitions[net.0 as usize].name;
        let mut found = Vec::new();
        for clause in self.globals.train.iter().flat_map(|t| &t.clauses) {
            applications_in_clause(clause, name, &mut found);
        }
        let place = self.errors.len();
        // An argument of the net that reads its parameters cannot say what their shapes are.
        if std::mem::replace(&mut self.resolving, true) {
            return None;
        }
        let applied = found.into_iter().find_map(|e| match self.expression(e).kind {
            ExprKind::Call(call) if call.def == net => Some(substitution(&call.sizes, &call.packs)),
            _ => None,
        });
        self.resolving = false;
        self.errors.truncate(place);
        applied
    }
}

fn substitution(sizes: &BTreeMap<Symbol, Size>, packs: &[Vec<Axis>]) -> Substitution {
    let packs = packs.iter().enumerate().map(|(k, axes)| (PackVar(k as u32), axes.clone())).collect();
    Substitution { sizes: sizes.clone(), packs, labels: BTreeMap::new() }
}

/// The name a path starts with, and its parts after it.
fn path_parts(e: &ast::Expr) -> Option<(&str, Vec<&str>)> {
    let mut parts = Vec::new();
    let mut at = e;
    while let Ast::Field { base, name } = &at.kind {
        parts.push(name.text.as_str());
        at = base;
    }
    parts.reverse();
    at.as_name().map(|base| (base, parts)).filter(|(_, parts)| !parts.is_empty())
}

/// What lies below an instance of `d` at a path, its sizes and packs being `s`; `None` if nothing does.
fn member(definitions: &[Definition], d: &Definition, s: &Substitution, parts: &[&str]) -> Option<Found> {
    let (first, rest) = parts.split_first()?;
    match d.members.iter().find(|m| m.is(first))? {
        Member::Param { name, .. } => {
            let local = d.body.find_statement(&mut |statement| match statement {
                Statement::Param(p) if p.name == *name => Some(p.local),
                _ => None,
            })?;
            let ty = d.local(local).ty.tensor()?;
            Some(if rest.is_empty() && known(&ty.axes, s) { Found::Tensor(s.tensor(ty)) } else { Found::Others })
        }
        Member::Application { .. } if rest.is_empty() => Some(Found::Others),
        Member::Application { segment, def, .. } => {
            let inner = d.body.find_expression(&mut |e| match &e.kind {
                ExprKind::Call(call) if matches!(&call.instance, Instance::New { segment: s, .. } if s == segment) => {
                    Some(substitution(&call.sizes, &call.packs))
                }
                _ => None,
            });
            let inner = inner.map(|inner| Substitution {
                sizes: inner.sizes.into_iter().filter(|(_, v)| bound(v, s)).map(|(k, v)| (k, s.size(&v))).collect(),
                packs: inner.packs.into_iter().filter(|(_, v)| known(v, s)).map(|(k, v)| (k, s.axes(&v))).collect(),
                labels: BTreeMap::new(),
            });
            member(definitions, &definitions[def.0 as usize], &inner.unwrap_or_default(), rest)
        }
    }
}

fn bound(size: &Size, s: &Substitution) -> bool {
    size.symbols().iter().all(|symbol| s.sizes.contains_key(symbol))
}

fn known(axes: &[Axis], s: &Substitution) -> bool {
    axes.iter().all(|a| match a {
        Axis::Pack(p) => s.packs.contains_key(p),
        Axis::Sized { size, .. } => bound(size, s),
    })
}

fn applications_in_clause<'a>(clause: &'a ast::Clause, name: &str, out: &mut Vec<&'a ast::Expr>) {
    match &clause.kind {
        ClauseKind::Minimize(player) => applications(&player.objective, name, out),
        ClauseKind::Augment { value, .. } => applications(value, name, out),
        ClauseKind::Keep { constraint, .. } => applications(constraint, name, out),
        ClauseKind::Measure { metrics, .. } => metrics.iter().for_each(|m| applications(&m.value, name, out)),
        ClauseKind::Phase { clauses, .. } => clauses.iter().for_each(|c| applications_in_clause(c, name, out)),
        _ => {}
    }
}

fn applications<'a>(e: &'a ast::Expr, name: &str, out: &mut Vec<&'a ast::Expr>) {
    let called = |callee: &ast::Expr| match &callee.kind {
        Ast::Field { name: last, .. } => last.text == name,
        _ => callee.as_name() == Some(name),
    };
    if super::uses::applied_callee(e).is_some_and(called) {
        out.push(e);
    }
    e.for_each_child(&mut |child| applications(child, name, out));
}

impl Block {
    /// What `of` gives for the first statement for which it gives something, at the top or in what is repeated there.
    fn find_statement<T>(&self, of: &mut dyn FnMut(&Statement) -> Option<T>) -> Option<T> {
        let here = self.statements.iter().find_map(&mut *of);
        here.or_else(|| {
            self.find_expression(&mut |e| match &e.kind {
                ExprKind::For(repeat) => repeat.body.statements.iter().find_map(&mut *of),
                _ => None,
            })
        })
    }

    /// What `of` gives for the first expression for which it gives something, each before its parts.
    fn find_expression<T>(&self, of: &mut dyn FnMut(&Expr) -> Option<T>) -> Option<T> {
        let mut found = None;
        self.for_each_expression(&mut |e| find(e, of, &mut found));
        found
    }
}

fn find<T>(e: &Expr, of: &mut dyn FnMut(&Expr) -> Option<T>, found: &mut Option<T>) {
    if found.is_none() {
        *found = of(e);
    }
    if found.is_none() {
        e.for_each_child(&mut |child| find(child, of, found));
    }
}
