//! One definition: signature, options, body, and what its kind asks of it.

use super::globals::{Globals, duplicate};
use super::scope::{Binding, Checker, Scope, Stateful};
use super::shape::Names;
use super::typed::{
    Axis, Block, DefId, Definition, Element, Expr, Input, InputKind, Kind, OptimizerRoles, OptionInput, Origin,
    Statement, TensorType, Type, same_extent,
};
use crate::ir::Symbol;
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast;
use std::collections::{BTreeMap, BTreeSet};

/// Checks a definition whose own uses are checked already.
pub fn check(globals: &Globals, definitions: &[Definition], id: DefId, errors: &mut Vec<Diagnostic>) -> Definition {
    let (d, doc) = globals.definitions[id.0 as usize];
    let mut c = Checker::new(globals, definitions, errors, Some(d.kind), &d.name.text, d.name.span.file);
    let computed = globals.computed.get(d.name.text.as_str()) == Some(&id);
    c.whole = computed.then(Vec::new);
    let inputs = c.inputs(d);
    let options = c.options(d);
    let requires = c.requires(d);
    let optimizer = c.roles(d, &inputs);
    if d.kind == Kind::Init {
        c.shape_only = inputs.first().and_then(|i| match i.kind {
            InputKind::Value(local) => Some(local),
            InputKind::Size(_) => None,
        });
    }
    c.name_applications(&d.body);
    // The body is a scope of its own, so that an equation named like an input is seen as such.
    c.scopes.push(Scope::default());
    let mut body = c.block(&d.body, true);
    if let Some(roles) = optimizer {
        c.require_next(d, roles, &body);
    }
    c.scopes.pop();
    let mut result = c.result(d, &mut body, &inputs);
    if computed && !c.constant_value(&d.name.text, &result, d.body.span) {
        result = Type::Error;
    }
    let derivative = d.derivative.as_ref().and_then(|written| c.own_derivative(d, written, &inputs, &result));
    let Checker { locals, sizes, pack_names, members, whole, requirements, .. } = c;
    Definition {
        kind: d.kind,
        name: d.name.text.clone(),
        span: d.name.span,
        doc: doc.to_vec(),
        sizes,
        packs: pack_names.len() as u32,
        pack_names,
        inputs,
        options,
        requires,
        locals,
        result,
        body,
        derivative,
        optimizer,
        members,
        columns: whole.unwrap_or_default(),
        requirements,
    }
}

impl Checker<'_> {
    fn inputs(&mut self, d: &ast::Definition) -> Vec<Input> {
        // Size inputs are known in the types of all inputs.
        let optimizer = d.kind == Kind::Optimizer;
        let is_size =
            |i: &ast::Input| i.ty.is_none() && !optimizer && i.name.text.starts_with(|c: char| c.is_ascii_uppercase());
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for input in &d.inputs {
            let first = *seen.entry(&input.name.text).or_insert(input.name.span);
            if first != input.name.span {
                let error = duplicate(&input.name, first);
                self.report(error);
            }
            if is_size(input) {
                let symbol = Symbol::new(&input.name.text);
                if !self.sizes.contains(&symbol) {
                    self.sizes.push(symbol.clone());
                }
                self.bind_quietly(&input.name, Binding::Size(symbol));
            }
        }
        let mut inputs = Vec::new();
        for (k, input) in d.inputs.iter().enumerate() {
            let name = &input.name;
            let kind = if is_size(input) {
                InputKind::Size(Symbol::new(&name.text))
            } else {
                let ty = match (&input.ty, d.kind) {
                    (Some(ty), _) => self.written_type(ty, true),
                    (None, Kind::Optimizer) if k == 0 => Type::Objective,
                    (None, Kind::Optimizer) if k == 1 => Type::Set(Element::Float),
                    (None, Kind::Optimizer) => {
                        let error = Diagnostic::new(codes::BAD_SIGNATURE, "an optimizer has two inputs")
                            .at(input.span, "the objective and the parameters come before this one")
                            .help(format!("make it an option: `optimizer {}(J, θ; {} = ...)`", d.name.text, name.text));
                        self.report(error);
                        Type::Error
                    }
                    (None, Kind::Penalty | Kind::Constraint | Kind::Average) => Type::Set(Element::Float),
                    (None, Kind::Schedule) => Type::scalar(Element::Float),
                    (None, _) => {
                        let pack = self.new_pack(&name.text);
                        Type::Tensor(TensorType { element: Element::Float, axes: vec![Axis::Pack(pack)] })
                    }
                };
                let local = self.new_local(&name.text, ty, name.span, Origin::Input);
                self.bind_quietly(name, Binding::Local(local));
                InputKind::Value(local)
            };
            inputs.push(Input { name: name.text.clone(), span: input.span, kind });
        }
        self.require_determined(d);
        inputs
    }

    /// Inputs and options are compared with each other where they are declared, not by scope.
    fn bind_quietly(&mut self, name: &ast::Name, binding: Binding) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.names.entry(name.text.clone()).or_insert((binding, name.span));
        }
    }

    /// Every size variable stands alone on some axis, or is an input.
    fn require_determined(&mut self, d: &ast::Definition) {
        let mut determined: BTreeSet<Symbol> = BTreeSet::new();
        let mut tensors: Vec<&TensorType> = Vec::new();
        for local in &self.locals {
            match &local.ty {
                Type::Tensor(t) => tensors.push(t),
                Type::Function(f) => tensors.extend(f.inputs.iter().chain([&f.result])),
                _ => {}
            }
        }
        for t in tensors {
            let index = match &t.element {
                Element::Index(size) => size.as_symbol(),
                _ => None,
            };
            let axes = t.axes.iter().filter_map(|a| match a {
                Axis::Sized { size, .. } => size.as_symbol(),
                Axis::Pack(_) => None,
            });
            determined.extend(axes.chain(index).cloned());
        }
        for (binding, _) in self.scopes.iter().flat_map(|s| s.names.values()) {
            if let Binding::Size(symbol) = binding {
                determined.insert(symbol.clone());
            }
        }
        for symbol in self.sizes.clone() {
            if !determined.contains(&symbol) {
                let place = d.inputs.first().map_or(d.name.span, |i| i.span);
                let error = Diagnostic::new(codes::UNKNOWN_SIZE, format!("nothing determines the size {}", symbol.0))
                    .at(place, "it stands alone on no axis of the inputs")
                    .help(format!("add a size input: `{} {}(..., {})`", d.kind, d.name.text, symbol.0));
                self.report(error);
            }
        }
    }

    fn options(&mut self, d: &ast::Definition) -> Vec<OptionInput> {
        let mut options = Vec::new();
        for option in &d.options {
            if let Some((_, first)) = self.lookup(&option.name.text) {
                let error = duplicate(&option.name, *first);
                self.report(error);
            }
            let mut default = None;
            let mut ty = Type::scalar(Element::Float);
            if let Some(e) = &option.default {
                let value = match self.init_value(e) {
                    Some(value) => value,
                    None => self.expression(e),
                };
                match &value.ty {
                    Type::Init | Type::Error => {
                        ty = value.ty.clone();
                        default = Some(value);
                    }
                    Type::Tensor(t) if t.axes.is_empty() => {
                        if t.element == Element::Bool {
                            ty = Type::scalar(Element::Bool);
                            default = Some(value);
                        } else {
                            default = Some(self.float(value));
                        }
                    }
                    other => {
                        let error = Diagnostic::new(codes::NOT_A_SCALAR, "an option is a single number or an init")
                            .at(value.span, format!("this is {}", self.describe(other)))
                            .help("make it an input");
                        self.report(error);
                        ty = Type::Error;
                        default = Some(value);
                    }
                }
            }
            let local = self.new_local(&option.name.text, ty, option.name.span, Origin::Option);
            self.bind_quietly(&option.name, Binding::Local(local));
            options.push(OptionInput { name: option.name.text.clone(), span: option.span, local, default });
        }
        options
    }

    fn roles(&mut self, d: &ast::Definition, inputs: &[Input]) -> Option<OptimizerRoles> {
        self.require_first(d, inputs);
        if d.kind == Kind::Init && inputs.is_empty() {
            let error = Diagnostic::new(codes::BAD_SIGNATURE, "an init's first input stands for the parameter")
                .at(d.name.span, "it has none")
                .help(format!("write `init {}(w) = ...`", d.name.text));
            self.report(error);
        }
        if d.kind != Kind::Optimizer {
            return None;
        }
        let value = |k: usize| match inputs.get(k).map(|i| &i.kind) {
            Some(InputKind::Value(local)) => Some(*local),
            _ => None,
        };
        let kinds = |k: usize| value(k).map(|local| self.local(local).ty.clone());
        match (value(0), value(1), kinds(0), kinds(1)) {
            (Some(objective), Some(theta), Some(Type::Objective), Some(Type::Set(_))) => {
                let span = self.local(theta).span;
                let name = format!("{}'", self.local(theta).name);
                let theta_next = self.new_local(name, Type::Set(Element::Float), span, Origin::Next);
                self.states.push(Stateful { current: theta, next: theta_next });
                Some(OptimizerRoles { objective, theta, theta_next })
            }
            _ => {
                let error = Diagnostic::new(
                    codes::BAD_SIGNATURE,
                    "an optimizer's inputs are the objective and the parameter set",
                )
                .at(d.name.span, "this one has others")
                .help(format!("write `optimizer {}(J, θ; lr = 0.01) {{ ... }}`", d.name.text));
                self.report(error);
                None
            }
        }
    }

    /// What a constraint, a schedule, an augmentation and an average begin with.
    fn require_first(&mut self, d: &ast::Definition, inputs: &[Input]) {
        let first = match inputs.first().map(|i| &i.kind) {
            Some(InputKind::Value(local)) => Some(self.local(*local).ty.clone()),
            _ => None,
        };
        let float = |ty: &Type| matches!(ty, Type::Tensor(t) if t.element == Element::Float);
        let set = |ty: &Type| *ty == Type::Set(Element::Float);
        let (fits, message, usage) = match (d.kind, &first) {
            (_, Some(Type::Error)) => return,
            (Kind::Constraint, first) => (
                inputs.len() == 1 && first.as_ref().is_some_and(|ty| float(ty) || set(ty)),
                "a constraint's one input is what it projects",
                "(w: [.., I, O]; bound = 3) = ...",
            ),
            (Kind::Schedule, first) => (
                first.as_ref().is_some_and(|ty| matches!(ty, Type::Tensor(t) if t.axes.is_empty())),
                "a schedule's first input is a counter such as `step`",
                "(k; rate = 0.1) = ...",
            ),
            (Kind::Augment, first) => (
                first.as_ref().is_some_and(|ty| matches!(ty, Type::Tensor(_))),
                "an augmentation's first input is what it changes",
                "(x: [N, D]; std = 0.1) = ...",
            ),
            (Kind::Average, first) => (
                inputs.len() == 1 && first.as_ref().is_some_and(set),
                "an average's one input is the parameter set",
                "(θ; rho = 0.999) { ... }",
            ),
            _ => return,
        };
        if !fits {
            let error = Diagnostic::new(codes::BAD_SIGNATURE, message)
                .at(d.name.span, "this one has others")
                .help(format!("write `{} {}{usage}`", d.kind, d.name.text));
            self.report(error);
        }
    }

    /// `θ'` is assigned, at the top of the body.
    fn require_next(&mut self, d: &ast::Definition, roles: OptimizerRoles, body: &Block) {
        let assigned =
            body.statements.iter().any(|s| matches!(s, Statement::Next { state, .. } if *state == roles.theta));
        let tried = self.scopes.last().is_some_and(|s| s.assigned.contains(&roles.theta));
        if !assigned && !tried {
            let name = self.local(roles.theta).name.clone();
            let error = Diagnostic::new(
                codes::UNASSIGNED,
                format!("the optimizer `{}` does not say what becomes of the parameters", d.name.text),
            )
            .at(d.name.span, format!("no equation `{name}' = ...` in it"))
            .help(format!("end with the update: `{name}' = {name} - lr*grad(J)({name})`"));
            self.report(error);
        }
    }

    /// The type of the value: as written, or as it comes out.
    fn result(&mut self, d: &ast::Definition, body: &mut Block, inputs: &[Input]) -> Type {
        if d.kind == Kind::Optimizer {
            if let Some(ty) = &d.result {
                let error = Diagnostic::new(codes::BAD_SIGNATURE, "an optimizer has no value of its own")
                    .at(ty.span, "no type to give")
                    .help("remove `-> ...`");
                self.report(error);
            }
            return Type::Nothing;
        }
        let written = d.result.as_ref().map(|ty| (self.written_type(ty, false), ty.span));
        let Some(value) = body.result.take() else { return Type::Error };
        let mut value = *value;
        let mut ty = match &written {
            Some((wanted, _)) => wanted.clone(),
            None => Type::Error,
        };
        match (&written, &value.ty) {
            (_, Type::Error) => {}
            (Some((Type::Error, _)), _) => {}
            (Some((Type::Tensor(wanted), place)), Type::Tensor(t)) => {
                let same = t.axes.len() == wanted.axes.len()
                    && t.axes.iter().zip(&wanted.axes).all(|(a, b)| same_extent(a, b));
                let element = t.element == wanted.element
                    || (matches!(t.element, Element::Int | Element::Index(_))
                        && matches!(wanted.element, Element::Float | Element::Int));
                if same && element {
                    value = self.convert(value, wanted.element.clone());
                    value.ty = Type::Tensor(wanted.clone());
                } else {
                    let shown = Names(&self.pack_names).tensor(wanted);
                    let error = Diagnostic::new(
                        codes::SHAPE_MISMATCH,
                        format!("the value of `{}` is not what its result says", d.name.text),
                    )
                    .at(value.span, format!("this is {}", self.show(&value.ty)))
                    .at(*place, format!("{shown} is promised here"));
                    let mut error = self.trace(error, &value);
                    if same {
                        error = error.help(match t.element {
                            Element::Bool => "turn a truth value into a number with `where(c, 1, 0)`",
                            _ => "change the type of the result",
                        });
                    } else {
                        error = error
                            .help(format!("the result is `-> {}`, or the last step is another", self.show(&value.ty)));
                    }
                    self.report(error);
                }
            }
            (Some((wanted @ Type::Tuple(parts), _)), Type::Tuple(found)) if same_parts(parts, found) => {
                value.ty = wanted.clone();
            }
            (Some((wanted, place)), found) => {
                if wanted != found {
                    let error = Diagnostic::new(
                        codes::WRONG_TYPE,
                        format!("the value of `{}` is not what its result says", d.name.text),
                    )
                    .at(value.span, format!("this is {}", self.describe(found)))
                    .at(*place, format!("{} is promised here", self.show(wanted)));
                    self.report(error);
                }
            }
            (None, Type::Function(_) | Type::Objective | Type::Init | Type::Nothing) => {
                let error = Diagnostic::new(codes::WRONG_TYPE, "a definition gives a tensor, a set or a tuple")
                    .at(value.span, format!("this is {}", self.describe(&value.ty)));
                self.report(error);
            }
            (None, _) => {
                value = self.kind_of_result(d, value, inputs);
                ty = value.ty.clone();
            }
        }
        if written.is_some() && !value.ty.is_error() && !ty.is_error() {
            value = self.kind_of_result(d, value, inputs);
        }
        body.result = Some(Box::new(value));
        ty
    }

    /// A loss, a penalty and a schedule give one number; an init gives the shape of the parameter; what changes a value
    /// gives the type it takes.
    fn kind_of_result(&mut self, d: &ast::Definition, value: Expr, inputs: &[Input]) -> Expr {
        match d.kind {
            Kind::Metric => {
                let value = self.numeric(value, "a metric gives");
                self.float(value)
            }
            Kind::Loss | Kind::Penalty | Kind::Schedule => {
                let value = self.numeric(value, &format!("a {} gives", d.kind));
                let value = self.float(value);
                if value.ty.is_error() || (value.ty.tensor().is_some() && value.axes().is_empty()) {
                    return value;
                }
                let error = Diagnostic::new(codes::NOT_A_SCALAR, format!("a {} is one number", d.kind))
                    .at(value.span, format!("this is {}", self.show(&value.ty)))
                    .help("reduce it: `mean(...)`");
                let error = self.trace(error, &value);
                self.fail(value.span, error)
            }
            Kind::Init => {
                let shape = match inputs.first().map(|i| &i.kind) {
                    Some(InputKind::Value(local)) => self.local(*local).ty.clone(),
                    _ => Type::Error,
                };
                let Type::Tensor(wanted) = shape else { return value };
                let value = self.numeric(value, "an init gives");
                let value = self.float(value);
                match self.stretch(value, &wanted.axes) {
                    Ok(value) => value,
                    Err(value) if value.ty.is_error() => value,
                    Err(value) => {
                        let error = Diagnostic::new(codes::BAD_SIGNATURE, "an init gives the shape of its first input")
                            .at(value.span, format!("this is {}", self.show(&value.ty)))
                            .at(d.inputs[0].span, format!("the parameter is {}", self.show(&Type::Tensor(wanted))));
                        self.fail(value.span, error)
                    }
                }
            }
            Kind::Constraint | Kind::Average => {
                let Some(wanted) = self.input_types(inputs).next() else { return value };
                let value = self.numeric(value, &format!("{} {} gives", super::expression::article(d.kind), d.kind));
                let value = self.float(value);
                let fitted = match (&value.ty, &wanted) {
                    (Type::Tensor(_), Type::Tensor(wanted)) => self.stretch(value, &wanted.axes),
                    (Type::Tensor(t), Type::Set(_)) if t.axes.is_empty() => Err(value),
                    (Type::Set(_), Type::Set(_)) => Ok(value),
                    _ => Err(value),
                };
                match fitted {
                    Ok(value) => value,
                    Err(value) if value.ty.is_error() => value,
                    Err(value) => self.unlike_input(d, value, &wanted),
                }
            }
            Kind::Augment => {
                let given: Vec<Type> = match &value.ty {
                    Type::Error => return value,
                    Type::Tuple(parts) => parts.clone(),
                    other => vec![other.clone()],
                };
                let wanted: Vec<Type> = self.input_types(inputs).take(given.len()).collect();
                let same = |(a, b): (&Type, &Type)| match (a, b) {
                    (Type::Tensor(a), Type::Tensor(b)) => {
                        a.element == b.element
                            && a.axes.len() == b.axes.len()
                            && a.axes.iter().zip(&b.axes).all(|(a, b)| same_extent(a, b))
                    }
                    _ => false,
                };
                if wanted.len() == given.len() && given.iter().zip(&wanted).all(same) {
                    return value;
                }
                let wanted = match <[Type; 1]>::try_from(wanted) {
                    Ok([one]) => one,
                    Err(several) => Type::Tuple(several),
                };
                self.unlike_input(d, value, &wanted)
            }
            Kind::Net | Kind::Layer => match &value.ty {
                Type::Tensor(_) | Type::Tuple(_) | Type::Error => value,
                other => {
                    let error = Diagnostic::new(codes::WRONG_TYPE, format!("a {} gives a tensor", d.kind))
                        .at(value.span, format!("this is {}", self.describe(other)));
                    self.fail(value.span, error)
                }
            },
            _ => value,
        }
    }

    /// The types of the inputs that are values.
    fn input_types(&self, inputs: &[Input]) -> impl Iterator<Item = Type> + use<> {
        let types = inputs.iter().filter_map(|input| match input.kind {
            InputKind::Value(local) => Some(self.local(local).ty.clone()),
            InputKind::Size(_) => None,
        });
        types.collect::<Vec<Type>>().into_iter()
    }

    /// The error of a definition whose value should be what its inputs are.
    fn unlike_input(&mut self, d: &ast::Definition, value: Expr, wanted: &Type) -> Expr {
        let what = format!("{} {} gives what it takes", super::expression::article(d.kind), d.kind);
        let error = Diagnostic::new(codes::BAD_SIGNATURE, what)
            .at(value.span, format!("this is {}", self.describe(&value.ty)))
            .at(d.inputs.first().map_or(d.name.span, |i| i.span), format!("it takes {}", self.show(wanted)));
        let error = self.trace(error, &value);
        self.fail(value.span, error)
    }
}

/// Whether tuples differ in labels alone, which are then those of the annotation.
fn same_parts(wanted: &[Type], found: &[Type]) -> bool {
    let same = |(a, b): (&Type, &Type)| match (a, b) {
        (Type::Tensor(a), Type::Tensor(b)) => {
            a.element == b.element
                && a.axes.len() == b.axes.len()
                && a.axes.iter().zip(&b.axes).all(|(a, b)| same_extent(a, b))
        }
        (Type::Tuple(a), Type::Tuple(b)) => same_parts(a, b),
        _ => a == b,
    };
    wanted.len() == found.len() && wanted.iter().zip(found).all(same)
}
