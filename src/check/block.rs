//! Blocks: equations in any order, put in an order in which each name is defined before it is read.

use super::scope::{Binding, Checker, Scope, poison};
use super::typed::{Block, Element, Expr, ExprKind, Kind, Origin, Statement, TensorType, Type};
use super::uses::{self, Use};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, StatementKind as Ast};
use std::collections::{BTreeMap, BTreeSet};

impl Checker<'_> {
    /// A branch: a scope of its own with a value.
    pub fn inner_block(&mut self, b: &ast::Block) -> Block {
        self.scopes.push(Scope::default());
        self.branches += 1;
        let block = self.block(b, false);
        self.branches -= 1;
        self.scopes.pop();
        block
    }

    /// The statements of a block in order, and its value; without one, in the body of an optimizer only.
    pub fn block(&mut self, b: &ast::Block, top: bool) -> Block {
        let statements = self.equations(b, top);
        let optimizer = top && self.kind == Some(Kind::Optimizer);
        let result = match &b.result {
            Some(e) if optimizer => {
                self.expression(e);
                let error = Diagnostic::new(codes::BAD_SIGNATURE, "an optimizer has no value of its own")
                    .at(e.span, "this value goes nowhere")
                    .help("assign the parameters: `θ' = ...`");
                self.report(error);
                None
            }
            Some(e) => Some(Box::new(self.expression(e))),
            None if optimizer => None,
            None => {
                let error = Diagnostic::new(codes::WRONG_TYPE, "this block has no value")
                    .at(b.span, "its last line is an equation")
                    .help("end the block with the expression that is its value");
                Some(Box::new(self.fail(b.span, error)))
            }
        };
        Block { statements, result }
    }

    /// The statements of a block in order.
    pub fn equations(&mut self, b: &ast::Block, top: bool) -> Vec<Statement> {
        let mut statements = Vec::with_capacity(b.statements.len());
        for k in self.statement_order(b) {
            self.statement(&b.statements[k], top, &mut statements);
        }
        statements
    }

    /// Indices of the statements, each after those it depends on, otherwise as written. Circles are reported, and their
    /// names bound to an error.
    fn statement_order(&mut self, b: &ast::Block) -> Vec<usize> {
        let mut provider: BTreeMap<&str, usize> = BTreeMap::new();
        let mut next_provider: BTreeMap<&str, usize> = BTreeMap::new();
        for (k, s) in b.statements.iter().enumerate() {
            for name in uses::bound(s) {
                provider.entry(&name.text).or_insert(k);
            }
            if let Ast::Next { name, .. } = &s.kind {
                next_provider.entry(&name.text).or_insert(k);
            }
        }
        let applications = shared_applications(b);
        let mut needs: Vec<BTreeSet<usize>> = Vec::with_capacity(b.statements.len());
        for (k, s) in b.statements.iter().enumerate() {
            let mut found = BTreeSet::new();
            uses::statement(s, &mut |u| {
                let provided = match u {
                    Use::Value(name, _) => provider.get(name),
                    // A name in callee position is an equation only if nothing else is called so.
                    Use::Callee(name, _) if self.global(name).is_none() => provider.get(name),
                    Use::Callee(..) | Use::Qualified(..) => None,
                    Use::Next(name, _) => next_provider.get(name).or_else(|| provider.get(name)),
                    // What is applied is known before its parameters are.
                    Use::Part(name, _) => {
                        applications.get(name).filter(|applied| !applied.contains(&k)).and_then(|a| a.first())
                    }
                };
                found.extend(provided);
            });
            if let Ast::Next { name, .. } = &s.kind {
                found.extend(provider.get(name.text.as_str()));
            }
            needs.push(found);
        }
        // Kahn's algorithm, the earliest statement first.
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
        let mut missing: Vec<usize> = vec![0; needs.len()];
        for (k, found) in needs.iter().enumerate() {
            missing[k] = found.len();
            for used in found {
                users[*used].push(k);
            }
        }
        let mut ready: BTreeSet<usize> = (0..needs.len()).filter(|k| missing[*k] == 0).collect();
        let mut order = Vec::with_capacity(needs.len());
        while let Some(k) = ready.pop_first() {
            order.push(k);
            for user in &users[k] {
                missing[*user] -= 1;
                if missing[*user] == 0 {
                    ready.insert(*user);
                }
            }
        }
        if order.len() < needs.len() {
            self.report_circle(b, &needs, &missing);
        }
        order
    }

    fn report_circle(&mut self, b: &ast::Block, needs: &[BTreeSet<usize>], missing: &[usize]) {
        let Some(start) = missing.iter().position(|m| *m > 0) else { return };
        // Following unmet needs from anywhere in a circle's reach ends in a circle.
        let mut path = vec![start];
        let circle = loop {
            let at = path[path.len() - 1];
            let Some(to) = needs[at].iter().copied().find(|k| missing[*k] > 0) else { break path.clone() };
            if let Some(from) = path.iter().position(|k| *k == to) {
                break path[from..].to_vec();
            }
            path.push(to);
        };
        let mut error = match circle.as_slice() {
            [one] => {
                let name = statement_name(&b.statements[*one]);
                Diagnostic::new(codes::CYCLE, format!("`{name}` is defined by itself"))
            }
            _ => Diagnostic::new(codes::CYCLE, "these equations define each other in a circle"),
        };
        for k in circle.iter().take(6) {
            let s = &b.statements[*k];
            error = error.at(s.span, format!("`{}` is defined here", statement_name(s)));
        }
        error = error.help("a value that depends on its own value of the step before is a `state`");
        self.report(error);
        for (s, _) in b.statements.iter().zip(missing).filter(|(_, missing)| **missing > 0) {
            for name in uses::bound(s) {
                if let Some(scope) = self.scopes.last_mut() {
                    scope.names.insert(name.text.clone(), (Binding::Error, name.span));
                }
            }
        }
    }

    fn statement(&mut self, s: &ast::Statement, top: bool, out: &mut Vec<Statement>) {
        match &s.kind {
            Ast::Let { name, value } => {
                let value = self.expression(value);
                let value = self.storable(value);
                if value.ty.is_error() {
                    return self.bind(&name.text, name.span, Binding::Error);
                }
                let local = self.new_local(&name.text, value.ty.clone(), name.span, Origin::Let);
                self.bind(&name.text, name.span, Binding::Local(local));
                out.push(Statement::Let { local, value });
            }
            Ast::LetTuple { names, value } => {
                let value = self.expression(value);
                let parts = match &value.ty {
                    Type::Tuple(parts) if parts.len() == names.len() => parts.clone(),
                    Type::Error => return names.iter().for_each(|n| self.bind(&n.text, n.span, Binding::Error)),
                    other => {
                        let error = Diagnostic::new(
                            codes::WRONG_TYPE,
                            format!("{} names, but the value is not a tuple of as many", names.len()),
                        )
                        .at(value.span, format!("this is {}", self.describe(other)));
                        self.report(error);
                        return names.iter().for_each(|n| self.bind(&n.text, n.span, Binding::Error));
                    }
                };
                let mut locals = Vec::new();
                for (name, ty) in names.iter().zip(parts) {
                    let local = self.new_local(&name.text, ty, name.span, Origin::Let);
                    self.bind(&name.text, name.span, Binding::Local(local));
                    locals.push(local);
                }
                out.push(Statement::LetTuple { locals, value });
            }
            Ast::LetIndexed { name, indices, value } => {
                let value = self.indexed_equation(indices, value, s.span);
                if value.ty.is_error() {
                    return self.bind(&name.text, name.span, Binding::Error);
                }
                let local = self.new_local(&name.text, value.ty.clone(), name.span, Origin::Let);
                self.bind(&name.text, name.span, Binding::Local(local));
                out.push(Statement::Let { local, value });
            }
            Ast::Param { name, shape, init } => self.param(name, shape, init, top, s.span, out),
            Ast::State { name, ty, init } => self.state(name, ty.as_ref(), init, top, s.span, out),
            Ast::Next { name, value } => self.assign_next(name, value, s.span, out),
            Ast::Shared { name, layer } => self.shared_instance(name, layer, top, s.span),
        }
    }

    /// A value that a name can stand for.
    fn storable(&mut self, e: Expr) -> Expr {
        match &e.ty {
            Type::Nothing => {
                let error = Diagnostic::new(codes::WRONG_TYPE, "there is no value to name").at(e.span, "this has none");
                self.fail(e.span, error)
            }
            _ => e,
        }
    }

    fn assign_next(&mut self, name: &ast::Name, value: &ast::Expr, span: Span, out: &mut Vec<Statement>) {
        let value = self.expression(value);
        let current = match self.lookup(&name.text) {
            Some((Binding::Local(id), _)) => *id,
            Some((Binding::Error, _)) => return,
            _ => {
                self.unknown(&name.text, name.span);
                return;
            }
        };
        let Some(state) = self.states.iter().find(|s| s.current == current).copied() else {
            let mut error =
                Diagnostic::new(codes::WRONG_TYPE, format!("`{}` is no state, so it has no next value", name.text))
                    .at(name.span, "assigned here")
                    .at(self.local(current).span, format!("`{}` is defined here", name.text));
            error = match self.local(current).origin {
                Origin::Param => error.help("parameters change by the optimizer only"),
                _ => error.help(format!("declare it as a state: `state {} = ...`", name.text)),
            };
            return self.report(error);
        };
        let repeated = self.states.iter().skip(self.carried_from).any(|s| s.current == current);
        if !self.loops.is_empty() && !repeated {
            let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, "a state is not assigned inside a `for`")
                .at(span, "in a repetition, which has values of its own to carry")
                .help("carry the value through the repetition, and assign the state once after it");
            return self.report(error);
        }
        if self.inside_if > 0 {
            let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, "a state is not assigned inside an `if`")
                .at(span, "in a branch")
                .help(format!("write `{}' = if ... then ... else ...` outside", name.text));
            return self.report(error);
        }
        if self.scopes.iter().any(|s| s.assigned.contains(&current)) {
            let error = Diagnostic::new(codes::DUPLICATE_NAME, format!("`{}'` is assigned twice", name.text))
                .at(span, "a second time here")
                .help("an equation gives a name its one value");
            return self.report(error);
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.assigned.insert(current);
        }
        let wanted = self.local(current).ty.clone();
        let value = self.fit_state(value, &wanted, current, span);
        if repeated && !self.loops.is_empty() {
            return out.push(Statement::Let { local: state.next, value });
        }
        out.push(Statement::Next { state: current, next: state.next, value });
    }

    /// A next value as the state's own type.
    fn fit_state(&mut self, value: Expr, wanted: &Type, state: super::typed::LocalId, span: Span) -> Expr {
        let declared = self.local(state).span;
        let name = self.local(state).name.clone();
        match (&value.ty, wanted) {
            (Type::Error, _) | (_, Type::Error) => poison(span),
            (Type::Set(Element::Bool), Type::Set(_)) | (Type::Tensor(_), Type::Set(_)) if !value.axes().is_empty() => {
                self.misplaced(value, wanted, &name, declared)
            }
            (Type::Set(a), Type::Set(b)) if a == b => value,
            (Type::Set(Element::Int), Type::Set(Element::Float)) => self.float(value),
            (Type::Tensor(t), Type::Set(Element::Float)) if t.element != Element::Bool => {
                let value = self.float(value);
                let like = self.read(state, span);
                self.fill(value, &like, span)
            }
            (Type::Tensor(t), Type::Tensor(w)) => {
                let whole = |e: &Element| matches!(e, Element::Int | Element::Index(_));
                if t.element == Element::Float && whole(&w.element) {
                    let error = Diagnostic::new(codes::WRONG_TYPE, format!("`{name}` is an integer state"))
                        .at(value.span, format!("its next value is {}, not an integer", self.describe(&value.ty)))
                        .at(declared, format!("`{name}` starts as an integer here"))
                        .help("start it with a number that is none, such as `0.0`, or keep the counter whole");
                    return self.fail(span, error);
                }
                if (t.element == Element::Bool) != (w.element == Element::Bool) {
                    return self.misplaced(value, wanted, &name, declared);
                }
                let w: TensorType = w.clone();
                let value = self.convert(value, w.element.clone());
                match self.stretch(value, &w.axes) {
                    Ok(value) => value,
                    Err(value) => self.misplaced(value, wanted, &name, declared),
                }
            }
            _ => self.misplaced(value, wanted, &name, declared),
        }
    }

    fn misplaced(&mut self, value: Expr, wanted: &Type, name: &str, declared: Span) -> Expr {
        let error = Diagnostic::new(codes::SHAPE_MISMATCH, format!("this is not what `{name}` holds"))
            .at(value.span, format!("the next value is {}", self.describe(&value.ty)))
            .at(declared, format!("`{name}` is {}", self.show(wanted)))
            .help("a state keeps its type and shape from step to step");
        let error = self.trace(error, &value);
        self.fail(value.span, error)
    }

    /// Wraps statements around a value.
    pub fn with(&mut self, statements: Vec<Statement>, value: Expr) -> Expr {
        if value.ty.is_error() {
            return value;
        }
        let (ty, span) = (value.ty.clone(), value.span);
        let block = Block { statements, result: Some(Box::new(value)) };
        Expr { kind: ExprKind::Block(Box::new(block)), ty, span }
    }
}

/// By the names of the shared instances of a block, the statements that apply them.
fn shared_applications(b: &ast::Block) -> BTreeMap<&str, Vec<usize>> {
    let mut found: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for s in &b.statements {
        if let Ast::Shared { name, .. } = &s.kind {
            found.insert(&name.text, Vec::new());
        }
    }
    if found.is_empty() {
        return found;
    }
    for (k, s) in b.statements.iter().enumerate() {
        uses::statement(s, &mut |u| {
            if let Use::Callee(name, _) = u
                && let Some(applied) = found.get_mut(name)
            {
                applied.push(k);
            }
        });
    }
    found
}

fn statement_name(s: &ast::Statement) -> String {
    match &s.kind {
        Ast::Next { name, .. } => format!("{}'", name.text),
        _ => uses::bound(s).iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(", "),
    }
}
