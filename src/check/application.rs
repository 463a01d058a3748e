//! Applications: arguments arranged to inputs and options, size variables and packs bound, instances named.

use super::familiar::familiar_member;
use super::globals::Global;
use super::scope::{Binding, Checker, poison, size_value};
use super::shape::{Names, Substitution, implied_label};
use super::typed::{
    Axis, Call, DefId, Definition, Element, Expr, ExprKind, Input, InputKind, Instance, Kind, Map, Member, TensorType,
    Type, match_axes, same_extent,
};
use crate::ir::{Size, Symbol};
use crate::source::{Diagnostic, FileId, Span, codes};
use crate::syntax::ast::{self, ExprKind as Ast};
use std::collections::BTreeSet;

/// An argument as written: its name, if it has one, and its value.
pub type Given<'a> = (Option<&'a ast::Name>, &'a ast::Expr);

impl Checker<'_> {
    /// `f(a, b: c over N)` and `x |> f(a)`.
    pub fn application(&mut self, e: &ast::Expr) -> Expr {
        let mut given: Vec<Given> = Vec::new();
        let mut over = None;
        let mut callee = e;
        if let Ast::Pipe { value, callee: piped } = &e.kind {
            given.push((None, value));
            callee = piped;
        }
        // `x |> f` has no call of its own; `x |> f(a)` and `f(a)` do.
        if let Ast::Call { callee: inner, args, over: written } = &callee.kind {
            given.extend(args.iter().map(|a| (a.name.as_ref(), &a.value)));
            over = written.as_ref();
            callee = inner;
        }
        match &callee.kind {
            Ast::Name(name) => self.named_application(name, callee.span, &given, over, e.span),
            Ast::Call { callee: derivative, args, over: None } => match (derivative.as_name(), args.as_slice()) {
                (Some(word @ ("grad" | "hvp")), [f]) if self.is_function(&f.value) => {
                    self.function_derivative(word, &f.value, &given, over, e.span)
                }
                (Some(word @ ("jvp" | "vjp" | "jacobian" | "hessian")), [f]) => {
                    self.function_derivative(word, &f.value, &given, over, e.span)
                }
                (Some(word @ ("grad" | "hvp")), [objective]) if over.is_none() => {
                    self.objective_derivative(word, &objective.value, &given, e.span)
                }
                _ => self.not_a_function(callee, e.span),
            },
            Ast::Field { .. } if over.is_none() => match self.qualified(callee) {
                Some(Global::Definition(id)) => self.call(id, callee.span, &given, e.span, None),
                Some(Global::Error) => {
                    self.check_all(&given);
                    poison(e.span)
                }
                _ => self.not_a_function(callee, e.span),
            },
            _ => self.not_a_function(callee, e.span),
        }
    }

    fn not_a_function(&mut self, callee: &ast::Expr, span: Span) -> Expr {
        let mut error = Diagnostic::new(codes::WRONG_KIND, "this cannot be applied")
            .at(callee.span, "the name of a definition is wanted here");
        if let Ast::Field { base, name } = &callee.kind {
            // `self` and `this` are no tensors, whatever is called so.
            let value = base.as_name().filter(|base| self.lookup(base).is_some() && !matches!(*base, "self" | "this"));
            let known = self.global(&name.text).is_some() || super::BUILTINS.contains(&name.text.as_str());
            error = match (familiar_member(&name.text), value) {
                (Some(help), _) if !known => error.help(help),
                (_, Some(value)) => {
                    error.help(format!("functions stand before their arguments: `{}({value})`", name.text))
                }
                (_, None) if known => error.help(format!("names need no prefix: `{}(…)`", name.text)),
                (_, None) => error,
            };
        }
        self.fail(span, error)
    }

    fn named_application(
        &mut self,
        name: &str,
        callee: Span,
        given: &[Given],
        over: Option<&ast::Over>,
        span: Span,
    ) -> Expr {
        let local = match self.lookup(name) {
            Some((Binding::Local(id), _)) => Some(*id),
            Some((Binding::Error, _)) if self.global(name).is_none() => {
                self.check_all(given);
                return poison(span);
            }
            Some((Binding::Shared(k), _)) if over.is_none() => {
                let k = *k;
                return self.shared_application(k, callee, given, span);
            }
            _ => None,
        };
        if let Some(id) = local {
            match self.local(id).ty.clone() {
                Type::Function(f) => return self.call_local(id, &f, name, given, span),
                Type::Objective => return self.evaluate_objective(id, given, span),
                Type::Error => {
                    self.check_all(given);
                    return poison(span);
                }
                _ => {}
            }
        }
        let shape = |e: &ast::Expr| matches!(e.kind, Ast::Shape(_));
        let like = given.iter().any(|(n, e)| n.is_some_and(|n| n.text == "like") || shape(e));
        if over.is_none()
            && !like
            && let Some(global) = self.global(name)
        {
            return match global {
                Global::Definition(id) => self.call(id, callee, given, span, None),
                Global::Constant(c) => {
                    let error = Diagnostic::new(codes::WRONG_KIND, format!("`{name}` is a constant"))
                        .at(callee, "it cannot be applied")
                        .at(c.span, "defined here");
                    self.fail(span, error)
                }
                Global::Computed(id) => {
                    let error = Diagnostic::new(codes::WRONG_KIND, format!("`{name}` is a constant"))
                        .at(callee, "it cannot be applied")
                        .at(self.definitions[id.0 as usize].span, "defined here");
                    self.fail(span, error)
                }
                Global::Error => poison(span),
            };
        }
        if let Some(result) = self.builtin(name, callee, given, over, span) {
            return result;
        }
        self.check_all(given);
        if let Some(id) = local {
            let error = Diagnostic::new(codes::WRONG_KIND, format!("`{name}` is no function"))
                .at(callee, format!("it is {}", self.show(&self.local(id).ty)))
                .at(self.local(id).span, "defined here");
            return self.fail(span, error);
        }
        if let Some(Global::Definition(_)) = self.global(name) {
            let error = Diagnostic::new(codes::WRONG_ARGUMENTS, format!("`{name}` is no reduction"))
                .at(over.map_or(callee, |o| o.span), "`over` belongs to sum, mean, max, min, argmax and norm");
            return self.fail(span, error);
        }
        self.unknown(name, callee)
    }

    /// Arguments of something in error: their own errors are still reported.
    pub fn check_all(&mut self, given: &[Given]) {
        for (_, value) in given {
            if !matches!(value.kind, Ast::Name(_)) {
                self.expression(value);
            }
        }
    }

    /// An application of a definition, at an instance of its own unless one is given.
    pub fn call(
        &mut self,
        def: DefId,
        callee_span: Span,
        given: &[Given],
        span: Span,
        instance: Option<Instance>,
    ) -> Expr {
        let definitions = self.definitions;
        let callee = &definitions[def.0 as usize];
        if !self.may_apply(callee, callee_span) {
            self.check_all(given);
            return poison(span);
        }
        if callee.result.is_error() {
            self.check_all(given);
            return poison(span);
        }
        let Some((inputs, options)) = self.arrange(def, given, callee_span, span, 0) else {
            self.check_all(given);
            return poison(span);
        };
        let mut s = Substitution::default();
        let mut args: Vec<Expr> = Vec::with_capacity(inputs.len());
        let mut failed = false;
        for (input, e) in callee.inputs.iter().zip(&inputs) {
            let arg = match &input.kind {
                InputKind::Size(symbol) => match self.size(e, false) {
                    Some(size) => {
                        s.labels.insert(symbol.clone(), implied_label(&size));
                        s.sizes.insert(symbol.clone(), size.clone());
                        size_value(size, e.span)
                    }
                    None => poison(e.span),
                },
                InputKind::Value(local) => match &callee.local(*local).ty {
                    // A function is looked at last, when the sizes are known.
                    Type::Function(_) => Expr { kind: ExprKind::Error, ty: Type::Nothing, span: e.span },
                    Type::Set(_) => self.set_argument(e),
                    _ => self.expression(e),
                },
            };
            failed |= arg.ty.is_error();
            args.push(arg);
        }
        let options = self.option_values(def, options);
        failed |= options.iter().flatten().any(|o| o.ty.is_error());
        if failed {
            return poison(span);
        }
        if let ([input], [arg]) = (callee.inputs.as_slice(), args.as_slice())
            && matches!(arg.ty, Type::Set(Element::Float))
            && let Some(mapped) = self.mapped(def, input, arg, &options, span)
        {
            return mapped;
        }
        // Axes on which a variable stands alone bind it; the others are compared afterwards.
        let mut order: Vec<usize> = (0..args.len()).collect();
        order.sort_by_key(|k| match declared_type(callee, *k) {
            Some(Type::Tensor(t)) if lone(&t.axes) => 0,
            Some(Type::Tensor(_)) => 1,
            Some(Type::Function(_)) => 2,
            _ => 3,
        });
        for k in order {
            let Some(declared) = declared_type(callee, k) else { continue };
            let arg = std::mem::replace(&mut args[k], poison(span));
            args[k] = match declared {
                Type::Function(f) => self.function_argument(inputs[k], &f.clone(), &mut s, callee, k),
                Type::Tensor(t) => self.fit_argument(arg, t, &mut s, callee, k),
                other if arg.ty == *other || matches!((&arg.ty, other), (Type::Set(_), Type::Set(_))) => arg,
                other => {
                    let other = other.clone();
                    self.wrong_argument(arg, &other, callee, k)
                }
            };
            failed |= args[k].ty.is_error();
        }
        if failed {
            return poison(span);
        }
        for (k, slot) in args.iter_mut().enumerate() {
            if let Some(Type::Tensor(TensorType { element: Element::Index(size), .. })) = declared_type(callee, k) {
                let arg = std::mem::replace(slot, poison(span));
                *slot = self.fit_index(arg, size, &mut s, callee, k);
                failed |= slot.ty.is_error();
            }
        }
        if failed || !self.all_bound(callee, &s, callee_span) {
            return poison(span);
        }
        if self.breaks(callee, &s, &options, callee_span) {
            return poison(span);
        }
        let instance = instance.unwrap_or_else(|| self.instance(def, callee, callee_span));
        let ty = s.ty(&callee.result);
        let packs = (0..callee.packs).map(|p| s.packs.get(&super::typed::PackVar(p)).cloned().unwrap_or_default());
        let call = Call { def, packs: packs.collect(), sizes: s.sizes, args, options, site: self.site(), instance };
        Expr { kind: ExprKind::Call(Box::new(call)), ty, span }
    }

    /// A definition of one tensor applied to a set: to each tensor of the set. Results of the tensor's shape are a set again, and
    /// numbers add up.
    fn mapped(&mut self, def: DefId, input: &Input, set: &Expr, options: &[Option<Expr>], span: Span) -> Option<Expr> {
        let callee = &self.definitions[def.0 as usize];
        let InputKind::Value(local) = input.kind else { return None };
        let Type::Tensor(declared) = &callee.local(local).ty else { return None };
        let Type::Tensor(result) = &callee.result else { return None };
        let same = declared.axes.len() == result.axes.len()
            && declared.axes.iter().zip(&result.axes).all(|(a, b)| same_extent(a, b));
        let total = result.axes.is_empty();
        let fits = declared.element == Element::Float
            && result.element == Element::Float
            && (same || total)
            && !matches!(callee.kind, Kind::Layer | Kind::Net)
            && options.iter().flatten().all(|o| !matches!(o.ty, Type::Set(_)));
        if !fits {
            return None;
        }
        let ty = if total { Type::scalar(Element::Float) } else { Type::Set(Element::Float) };
        let map = Map { def, set: set.clone(), options: options.to_vec(), site: self.site(), total };
        Some(Expr { kind: ExprKind::Map(Box::new(map)), ty, span })
    }

    /// Whether a definition of this kind may be applied here.
    pub fn may_apply(&mut self, callee: &Definition, span: Span) -> bool {
        let owner = matches!(self.kind, Some(Kind::Layer | Kind::Net));
        let error = match callee.kind {
            Kind::Optimizer => Diagnostic::new(codes::WRONG_KIND, format!("`{}` is an optimizer", callee.name))
                .at(span, "it has no value, so it cannot stand in a formula")
                .help(format!("write it in the `train` block: `using {}`", callee.name)),
            Kind::Average => Diagnostic::new(codes::WRONG_KIND, format!("`{}` is an average", callee.name))
                .at(span, "it keeps state from step to step, so it cannot stand in a formula")
                .help(format!("write it in the `train` block: `average {}`", callee.name)),
            Kind::Init => Diagnostic::new(codes::WRONG_KIND, format!("`{}` is an init", callee.name))
                .at(span, "only a parameter can start with it")
                .help(match callee.name.as_str() {
                    name @ ("zeros" | "ones" | "uniform" | "normal") => {
                        format!("a value in the shape of x is `{name}(like: x)`")
                    }
                    name => format!("write `param W: [I, O] = {name}`"),
                }),
            Kind::Layer if !owner => {
                let place = self.place();
                Diagnostic::new(
                    codes::NOT_ALLOWED_HERE,
                    format!("`{}` is a layer, which may own parameters", callee.name),
                )
                .at(span, format!("{place} cannot own them"))
                .help("apply layers inside a `layer` or a `net`, and apply the net here")
            }
            _ => return true,
        };
        let error = error.at(callee.span, "defined here");
        self.report(error);
        false
    }

    pub fn instance(&mut self, def: DefId, callee: &Definition, span: Span) -> Instance {
        match callee.kind {
            Kind::Net => Instance::Net,
            Kind::Layer => {
                let segment = self.segments.get(&span).cloned().unwrap_or_else(|| callee.name.clone());
                let loops = self.loops.clone();
                self.members.push(Member::Application { segment: segment.clone(), def, loops: loops.len() });
                Instance::New { segment, loops }
            }
            _ => Instance::None,
        }
    }

    /// A tensor argument as the input wants it: number converted, axes matched. Indices are left to `fit_index`.
    fn fit_argument(&mut self, arg: Expr, t: &TensorType, s: &mut Substitution, callee: &Definition, k: usize) -> Expr {
        let Type::Tensor(actual) = &arg.ty else {
            return self.wrong_argument(arg, &Type::Tensor(t.clone()), callee, k);
        };
        let fits = match (&actual.element, &t.element) {
            (Element::Bool, Element::Bool) => true,
            (Element::Bool, _) | (_, Element::Bool) => false,
            (Element::Float, Element::Float) => true,
            (Element::Float, _) => false,
            _ => true,
        };
        let before = s.clone();
        if !fits || !bind(&t.axes, &actual.axes, s) {
            *s = before;
            return self.misfit_argument(arg, t, s, callee, k);
        }
        match t.element {
            Element::Float => self.float(arg),
            Element::Int => self.convert(arg, Element::Int),
            _ => arg,
        }
    }

    /// An argument for `index(K)`: an index of that size, or an integer column, of which it is then required.
    fn fit_index(&mut self, arg: Expr, size: &Size, s: &mut Substitution, callee: &Definition, k: usize) -> Expr {
        let Type::Tensor(actual) = &arg.ty else { return arg };
        let input = &callee.inputs[k];
        match &actual.element {
            Element::Index(found) => {
                if let Some(symbol) = size.as_symbol()
                    && !s.sizes.contains_key(symbol)
                {
                    s.labels.insert(symbol.clone(), implied_label(found));
                    s.sizes.insert(symbol.clone(), found.clone());
                }
                let wanted = s.size(size);
                if wanted == *found {
                    return arg;
                }
                let error = Diagnostic::new(codes::WRONG_INDEX, "this index points into another axis")
                    .at(arg.span, format!("it points into an axis of size {found}"))
                    .at(input.span, format!("`{}` of `{}` points into one of size {wanted}", input.name, callee.name));
                let error = self.trace(error, &arg);
                self.fail(arg.span, error)
            }
            _ => {
                let wanted = s.size(size);
                match (self.is_column(&arg), wanted.as_constant()) {
                    (true, Some(n)) => self.column_as_index(arg, n),
                    (true, None) => {
                        let error =
                            Diagnostic::new(codes::UNKNOWN_SIZE, "how many classes there are is not determined")
                                .at(arg.span, "this column is used as an index")
                                .at(input.span, format!("into an axis of size {wanted}"))
                                .help("say how many: `index(label, 10)` for a column `label`");
                        self.fail(arg.span, error)
                    }
                    _ => {
                        let error = Diagnostic::new(codes::WRONG_INDEX, "an index is wanted, and this is an integer")
                            .at(arg.span, format!("this is {}", self.show(&arg.ty)))
                            .at(input.span, format!("`{}` of `{}` is an index", input.name, callee.name))
                            .help("declare it as an index where it comes in: `y: index(K)[N]`");
                        let error = self.trace(error, &arg);
                        self.fail(arg.span, error)
                    }
                }
            }
        }
    }

    fn misfit_argument(&mut self, arg: Expr, t: &TensorType, s: &Substitution, callee: &Definition, k: usize) -> Expr {
        let input = &callee.inputs[k];
        let names = Names(&callee.pack_names);
        let mut error =
            Diagnostic::new(codes::SHAPE_MISMATCH, format!("this does not fit the input of `{}`", callee.name))
                .at(arg.span, format!("this is {}", self.show(&arg.ty)))
                .at(input.span, format!("`{}` is {}", input.name, names.tensor(t)));
        error = self.trace(error, &arg);
        for symbol in t.axes.iter().filter_map(|a| match a {
            Axis::Sized { size, .. } => Some(size.symbols()),
            Axis::Pack(_) => None,
        }) {
            for symbol in symbol {
                if let Some(value) = s.sizes.get(&symbol).filter(|v| v.as_symbol() != Some(&symbol)) {
                    error = error.note(format!("{} is {value} by the other arguments", symbol.0));
                }
            }
        }
        for axis in &t.axes {
            if let Axis::Pack(p) = axis
                && let Some(axes) = s.packs.get(p)
            {
                error = error.note(format!("`..` is {} by the other arguments", self.show_axes(axes)));
            }
        }
        let found = arg.ty.tensor().map(|a| a.element.clone());
        let single =
            |axes: &[Axis]| matches!(axes.last(), Some(Axis::Sized { size, .. }) if size.as_constant() == Some(1));
        let column = s.packs.values().any(|p| p.len() == arg.axes().len() + 1 && single(p))
            || (single(arg.axes()) && s.packs.values().any(|p| p.len() + 1 == arg.axes().len()));
        error = match (found, &t.element) {
            _ if column => {
                error.help("an axis of size 1 is still an axis: end with `affine(x)`, which gives one number a row")
            }
            (Some(Element::Bool), Element::Float | Element::Int) => {
                error.help("turn a truth value into a number with `where(c, 1, 0)`")
            }
            (Some(Element::Float), Element::Index(_)) if self.is_float_column(&arg) => error
                .note("a column of the data is an index if all its values are whole, and this one has others")
                .help("write classes as 0, 1, 2, … in the data file"),
            (Some(Element::Float), Element::Index(_)) => {
                error.help("an index is an integer column, an input `y: index(K)[N]`, or the value of `argmax`")
            }
            (Some(Element::Int), Element::Float) if s.packs.values().any(|p| p.len() > arg.axes().len()) => error.help(
                "classes against one value for each class are compared by `cross_entropy`; as rows of 0 and 1 they are \
                 `one_hot(index(y, 10))`",
            ),
            (Some(_), Element::Float) if arg.axes().len() != t.axes.len() => {
                error.help("the axes of an argument match those of the input one by one; `..` stands for any number")
            }
            _ => match self.other_sizes(&arg, t, input.span.file) {
                Some(fitted) => {
                    let (given, wanted) = (names.tensor(&fitted), names.tensor(t));
                    error.help(format!("declare `{}: {given}`, or give it a value of shape {wanted}", input.name))
                }
                None => error,
            },
        };
        self.fail(arg.span, error)
    }

    /// How an input of the user's own would be declared to take a value whose literal sizes are others.
    fn other_sizes(&self, arg: &Expr, wanted: &TensorType, file: FileId) -> Option<TensorType> {
        let given = arg.ty.tensor().filter(|g| file == self.file && g.axes.len() == wanted.axes.len())?;
        let axes = wanted.axes.iter().zip(&given.axes).map(|(w, g)| match (w, g) {
            (Axis::Sized { label, size }, Axis::Sized { size: actual, .. })
                if size.as_constant().is_some() && actual.as_constant().is_some() =>
            {
                Axis::Sized { label: label.clone(), size: actual.clone() }
            }
            _ => w.clone(),
        });
        let fitted = TensorType { element: wanted.element.clone(), axes: axes.collect() };
        (fitted != *wanted).then_some(fitted)
    }

    pub fn wrong_argument(&mut self, arg: Expr, wanted: &Type, callee: &Definition, k: usize) -> Expr {
        if arg.ty.is_error() {
            return arg;
        }
        let input = &callee.inputs[k];
        let wanted = Names(&callee.pack_names).ty(wanted);
        let error = Diagnostic::new(codes::WRONG_TYPE, format!("`{}` wants another kind of value", callee.name))
            .at(arg.span, format!("this is {}", self.describe(&arg.ty)))
            .at(input.span, format!("`{}` is {wanted}", input.name));
        let error = self.trace(error, &arg);
        self.fail(arg.span, error)
    }

    fn all_bound(&mut self, callee: &Definition, s: &Substitution, span: Span) -> bool {
        let missing: Vec<String> =
            callee.sizes.iter().filter(|x| !s.sizes.contains_key(*x)).map(|x| x.0.to_string()).collect();
        if missing.is_empty() {
            return true;
        }
        let error = Diagnostic::new(
            codes::UNKNOWN_SIZE,
            format!("the arguments of `{}` do not determine {}", callee.name, missing.join(", ")),
        )
        .at(span, "applied here")
        .at(callee.span, "defined here");
        self.report(error);
        false
    }
}

/// The type of an input that is a value.
pub fn declared_type(d: &Definition, k: usize) -> Option<&Type> {
    match &d.inputs.get(k)?.kind {
        InputKind::Value(local) => Some(&d.local(*local).ty),
        InputKind::Size(_) => None,
    }
}

/// Every size is a lone variable or known.
fn lone(axes: &[Axis]) -> bool {
    axes.iter().all(|a| match a {
        Axis::Pack(_) => true,
        Axis::Sized { size, .. } => size.as_symbol().is_some() || size.symbols().is_empty(),
    })
}

pub fn bound_axes(axes: &[Axis], s: &Substitution) -> bool {
    axes.iter().all(|a| match a {
        Axis::Pack(p) => s.packs.contains_key(p),
        Axis::Sized { size, .. } => size.symbols().iter().all(|x| s.sizes.contains_key(x)),
    })
}

/// Binds variables of `wanted` that are still free where the function itself has a fixed size.
pub fn settle(wanted: &[Axis], given: &[Axis], s: &mut Substitution) {
    if wanted.len() != given.len() {
        return;
    }
    for (w, g) in wanted.iter().zip(given) {
        if let (Axis::Sized { size: w, .. }, Axis::Sized { size: g, .. }) = (w, g)
            && let Some(symbol) = w.as_symbol()
            && !s.sizes.contains_key(symbol)
            && g.as_constant().is_some()
        {
            s.sizes.insert(symbol.clone(), g.clone());
        }
    }
}

/// Matches axes by position and remembers the labels that variables were bound with.
pub fn bind(declared: &[Axis], actual: &[Axis], s: &mut Substitution) -> bool {
    let known: BTreeSet<Symbol> = s.sizes.keys().cloned().collect();
    if match_axes(declared, actual, &mut s.sizes, &mut s.packs).is_none() {
        return false;
    }
    let mut at = 0;
    for axis in declared {
        match axis {
            Axis::Pack(p) => at += s.packs.get(p).map_or(0, Vec::len),
            Axis::Sized { size, .. } => {
                if let (Some(symbol), Some(Axis::Sized { label, .. })) = (size.as_symbol(), actual.get(at))
                    && !known.contains(symbol)
                {
                    s.labels.entry(symbol.clone()).or_insert_with(|| label.clone());
                }
                at += 1;
            }
        }
    }
    true
}
