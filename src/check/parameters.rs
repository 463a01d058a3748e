//! Types as written, parameters, states and how they start.

use super::globals::Global;
use super::scope::{Binding, Checker, Stateful, poison};
use super::shape::{Substitution, distinct_labels, implied_label};
use super::typed::{
    Axis, Element, Expr, ExprKind, FunctionType, InitValue, Initial, Kind, Member, Origin, PackVar, Param, Rank, State,
    Statement, TensorType, Type, match_axes,
};
use crate::ir::{Size, Symbol};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, AxisKind, BinaryOp, ExprKind as Ast, TypeKind};
use std::sync::Arc;

/// The most axes a type may have.
const MAX_AXES: usize = 64;

impl Checker<'_> {
    /// A type as written. `declare`: size variables not seen before are new ones, as in the types of inputs.
    pub fn written_type(&mut self, ty: &ast::Type, declare: bool) -> Type {
        match &ty.kind {
            TypeKind::Tensor { element, shape } => match self.written_tensor(element, shape, declare) {
                Some(t) => Type::Tensor(t),
                None => Type::Error,
            },
            TypeKind::Params => Type::Set(Element::Float),
            TypeKind::Objective => Type::Objective,
            TypeKind::Function { inputs, result } => {
                let inputs: Vec<Type> = inputs.iter().map(|t| self.written_type(t, declare)).collect();
                let result = self.written_type(result, declare);
                let tensors: Option<Vec<TensorType>> = inputs.iter().map(|t| t.tensor().cloned()).collect();
                match (tensors, result) {
                    (Some(inputs), Type::Tensor(result)) => Type::Function(Arc::new(FunctionType { inputs, result })),
                    (_, other) => {
                        if !other.is_error() && !inputs.iter().any(Type::is_error) {
                            let error = Diagnostic::new(
                                codes::NOT_AVAILABLE,
                                "a function that is passed takes and gives tensors",
                            )
                            .at(ty.span, "this type has something else in it");
                            self.report(error);
                        }
                        Type::Error
                    }
                }
            }
            TypeKind::Tuple(parts) => {
                let parts: Vec<Type> = parts.iter().map(|t| self.written_type(t, declare)).collect();
                if parts.iter().any(Type::is_error) { Type::Error } else { Type::Tuple(parts) }
            }
        }
    }

    fn written_tensor(&mut self, element: &ast::Element, shape: &ast::Shape, declare: bool) -> Option<TensorType> {
        let element = match element {
            ast::Element::Float => Element::Float,
            ast::Element::Int => Element::Int,
            ast::Element::Bool => Element::Bool,
            ast::Element::Index(size) => Element::Index(self.size(size, declare)?),
        };
        Some(TensorType { element, axes: self.written_axes(shape, declare)? })
    }

    pub fn written_axes(&mut self, shape: &ast::Shape, declare: bool) -> Option<Vec<Axis>> {
        if shape.axes.len() > MAX_AXES {
            let error = Diagnostic::new(codes::NOT_AVAILABLE, format!("a tensor has at most {MAX_AXES} axes"))
                .at(shape.span, format!("this has {}", shape.axes.len()));
            self.report(error);
            return None;
        }
        let mut axes = Vec::new();
        let mut complete = true;
        for axis in &shape.axes {
            match &axis.kind {
                AxisKind::Pack if axes.iter().any(|a| matches!(a, Axis::Pack(_))) => {
                    let error = Diagnostic::new(codes::WRONG_TYPE, "`..` stands once in a shape")
                        .at(axis.span, "a second time here");
                    self.report(error);
                    complete = false;
                }
                AxisKind::Pack => axes.push(Axis::Pack(PackVar(0))),
                AxisKind::Size { size, .. } => match self.size(size, declare) {
                    Some(size) => axes.push(Axis::Sized { label: axis.label().map(Into::into), size }),
                    None => complete = false,
                },
            }
        }
        if !complete {
            return None;
        }
        let distinct = distinct_labels(axes.clone());
        if distinct != axes {
            let error = Diagnostic::new(codes::DUPLICATE_NAME, "two axes have the same label")
                .at(shape.span, "labels within one type are distinct")
                .help("write labels of their own: `[A: H, B: H]`");
            self.report(error);
            return Some(distinct);
        }
        Some(axes)
    }

    /// A size: whole numbers, size variables and constants, with + - *, and `floor(a / b)`.
    pub fn size(&mut self, e: &ast::Expr, declare: bool) -> Option<Size> {
        match &e.kind {
            Ast::Int(n) if *n >= 0 => Some(Size::constant(*n as u64)),
            Ast::Name(name) => self.size_name(name, e.span, declare),
            Ast::Field { .. } if matches!(self.qualified(e), Some(Global::Constant(c)) if c.integer && c.value >= 0.0) => {
                match self.qualified(e) {
                    Some(Global::Constant(c)) => Some(Size::constant(c.value as u64)),
                    _ => None,
                }
            }
            Ast::Binary { op: op @ (BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul), left, right } => {
                let a = self.size(left, declare)?;
                let b = self.size(right, declare)?;
                let size = match op {
                    BinaryOp::Add => &a + &b,
                    BinaryOp::Sub => &a - &b,
                    _ => &a * &b,
                };
                if size.is_too_large() {
                    let error = Diagnostic::new(codes::EXPANSION_TOO_LARGE, "this size has too many terms")
                        .at(e.span, "multiplied out, it cannot be handled");
                    self.report(error);
                    return None;
                }
                Some(size)
            }
            Ast::Call { callee, args, over: None } if callee.as_name() == Some("floor") && args.len() == 1 => {
                match &args[0].value.kind {
                    Ast::Binary { op: BinaryOp::Div, left, right } => {
                        let a = self.size(left, declare)?;
                        let b = self.size(right, declare)?;
                        Some(a.floor_div(&b))
                    }
                    _ => self.size(&args[0].value, declare),
                }
            }
            _ => {
                let mut error = Diagnostic::new(codes::NOT_A_CONSTANT, "this is no size")
                    .at(e.span, "a size is made of whole numbers, size variables and + - *");
                if matches!(e.kind, Ast::Binary { op: BinaryOp::Div, .. }) {
                    error = error.help("write `floor(a / b)`");
                }
                self.report(error);
                None
            }
        }
    }

    fn size_name(&mut self, name: &str, span: Span, declare: bool) -> Option<Size> {
        match self.lookup(name).cloned() {
            Some((Binding::Size(symbol), _)) => return Some(Size::symbol(&symbol.0)),
            Some((Binding::Error, _)) => return None,
            Some((_, defined)) => {
                let error = Diagnostic::new(codes::NOT_A_CONSTANT, format!("`{name}` is no size"))
                    .at(span, "a size is wanted here")
                    .at(defined, format!("`{name}` is a value"))
                    .help("sizes are known before anything runs: size variables, size inputs, whole constants");
                self.report(error);
                return None;
            }
            None => {}
        }
        if self.sizes.iter().any(|s| *s.0 == *name) {
            return Some(Size::symbol(name));
        }
        match self.global(name) {
            Some(Global::Constant(c)) if c.integer && c.value >= 0.0 => return Some(Size::constant(c.value as u64)),
            Some(Global::Constant(c)) => {
                let error =
                    Diagnostic::new(codes::NOT_A_CONSTANT, format!("`{name}` is {}, which is no size", c.value))
                        .at(span, "a whole number is wanted here")
                        .at(c.span, "defined here");
                self.report(error);
                return None;
            }
            Some(Global::Computed(id)) => {
                let error = Diagnostic::new(codes::NOT_A_CONSTANT, format!("`{name}` is no size"))
                    .at(span, "a size is wanted here")
                    .at(self.definitions[id.0 as usize].span, "this is computed, when all sizes are known already")
                    .help("write a number");
                self.report(error);
                return None;
            }
            Some(Global::Error) => return None,
            _ => {}
        }
        if declare && name.starts_with(|c: char| c.is_uppercase()) {
            self.sizes.push(Symbol::new(name));
            return Some(Size::symbol(name));
        }
        if declare {
            let error = Diagnostic::new(codes::UNKNOWN_NAME, format!("no constant is called `{name}`"))
                .at(span, "not defined")
                .help("a size variable starts with a capital letter");
            self.report(error);
            return None;
        }
        let known: Vec<String> = self.sizes.iter().map(|s| s.0.to_string()).collect();
        let mut error = Diagnostic::new(codes::UNKNOWN_NAME, format!("no size is called `{name}`"))
            .at(span, "not an axis of an input, a size input or a constant");
        error = match crate::source::closest(name, known.iter().map(String::as_str)) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None if known.is_empty() => error,
            None => error.note(format!("the sizes of this definition are {}", known.join(", "))),
        };
        self.report(error);
        None
    }

    // ------------------------------------------------------------------------------------------ param and state

    pub fn param(
        &mut self,
        name: &ast::Name,
        shape: &ast::Shape,
        init: &ast::Expr,
        top: bool,
        span: Span,
        out: &mut Vec<Statement>,
    ) {
        let allowed = matches!(self.kind, Some(Kind::Layer | Kind::Net));
        if !allowed || !top {
            let place =
                if top { format!("a {}", self.kind.map_or("train block", Kind::keyword)) } else { "a branch".into() };
            let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, format!("{place} cannot own a parameter"))
                .at(span, "declared here")
                .help("parameters are declared at the top of a `layer` or a `net`");
            self.report(error);
            return self.bind(&name.text, name.span, Binding::Error);
        }
        let axes = self.written_axes(shape, false);
        let ty = axes.map_or(Type::Error, |axes| Type::Tensor(TensorType { element: Element::Float, axes }));
        let init = self.initial(init, &ty, shape.span);
        if ty.is_error() {
            return self.bind(&name.text, name.span, Binding::Error);
        }
        if let Some(t) = ty.tensor() {
            let pack = t.axes.iter().any(|a| matches!(a, Axis::Pack(_)));
            let axes = t.axes.len() as u32 - u32::from(pack);
            let rank = Rank { axes, pack };
            self.members.push(Member::Param { name: name.text.clone(), rank, loops: self.loops.len() });
        }
        let local = self.new_local(&name.text, ty, name.span, Origin::Param);
        self.bind(&name.text, name.span, Binding::Local(local));
        let loops = self.loops.clone();
        out.push(Statement::Param(Param { local, name: name.text.clone(), init, span, loops }));
    }

    fn initial(&mut self, init: &ast::Expr, ty: &Type, shape: Span) -> Initial {
        if let Some(value) = self.init_value(init) {
            if let (Some(t), ExprKind::Init(v)) = (ty.tensor(), &value.kind) {
                let def = &self.definitions[v.def.0 as usize];
                let declared = def.inputs.first().and_then(|i| match i.kind {
                    super::typed::InputKind::Value(local) => def.local(local).ty.tensor().map(|t| t.axes.clone()),
                    super::typed::InputKind::Size(_) => None,
                });
                let mut s = Substitution::default();
                if let Some(declared) = declared
                    && match_axes(&declared, &t.axes, &mut s.sizes, &mut s.packs).is_none()
                {
                    let wanted = super::shape::Names(&def.pack_names).axes(&declared);
                    let (init_name, init_span) = (def.name.clone(), def.span);
                    let error = Diagnostic::new(codes::SHAPE_MISMATCH, "this init does not fit the parameter")
                        .at(init.span, format!("`{init_name}` fills {wanted}"))
                        .at(shape, format!("the parameter is {}", self.show_axes(&t.axes)))
                        .at(init_span, "the init is defined here");
                    self.report(error);
                }
            }
            return Initial::Apply(value);
        }
        let value = self.expression(init);
        let value = self.numeric(value, "a parameter holds");
        let value = self.float(value);
        match (ty, &value.ty) {
            (_, Type::Error) | (Type::Error, _) => Initial::Value(poison(init.span)),
            (Type::Tensor(t), _) => match self.stretch(value, &t.axes) {
                Ok(value) => Initial::Value(value),
                Err(value) => {
                    let error = Diagnostic::new(codes::SHAPE_MISMATCH, "this does not fit the parameter")
                        .at(value.span, format!("the starting value is {}", self.describe(&value.ty)))
                        .at(shape, format!("the parameter is {}", self.show_axes(&t.axes)));
                    Initial::Value(self.fail(init.span, error))
                }
            },
            _ => Initial::Value(poison(init.span)),
        }
    }

    /// An expression that names an init, with or without options; `None` if it is no such thing.
    pub fn init_value(&mut self, e: &ast::Expr) -> Option<Expr> {
        let (callee, span, args) = match &e.kind {
            Ast::Name(_) | Ast::Field { .. } => (e, e.span, [].as_slice()),
            Ast::Call { callee, args, over: None } => (&**callee, callee.span, args.as_slice()),
            _ => return None,
        };
        let shape = |a: &ast::Arg| matches!(a.value.kind, Ast::Shape(_));
        if args.iter().any(|a| a.name.as_ref().is_some_and(|n| n.text == "like") || shape(a)) {
            return None;
        }
        if let Some((Binding::Local(id), _)) = callee.as_name().and_then(|name| self.lookup(name)) {
            let id = *id;
            return (self.local(id).ty == Type::Init && args.is_empty()).then(|| self.read(id, e.span));
        }
        let def = match callee.as_name() {
            Some(name) => match self.global(name)? {
                Global::Definition(def) => def,
                _ => return None,
            },
            None => self.definition_named(callee)?,
        };
        if self.globals.kind(def) != Kind::Init {
            return None;
        }
        let callee = &self.definitions[def.0 as usize];
        if callee.result.is_error() {
            return Some(poison(e.span));
        }
        let given: Vec<_> = args.iter().map(|a| (a.name.as_ref(), &a.value)).collect();
        // Whatever is given in order are options: the parameter itself is not written.
        let Some((_, options)) = self.arrange(def, &given, span, e.span, 1) else { return Some(poison(e.span)) };
        let options = self.option_values(def, options);
        let site = self.site();
        let kind = ExprKind::Init(Box::new(InitValue { def, options, site }));
        Some(Expr { kind, ty: Type::Init, span: e.span })
    }

    pub fn state(
        &mut self,
        name: &ast::Name,
        written: Option<&ast::Type>,
        init: &ast::Expr,
        top: bool,
        span: Span,
        out: &mut Vec<Statement>,
    ) {
        let allowed = matches!(self.kind, Some(Kind::Layer | Kind::Net | Kind::Optimizer | Kind::Average));
        if !allowed || !top || !self.loops.is_empty() {
            let place = match (top, self.loops.is_empty()) {
                (true, true) => format!("a {}", self.kind.map_or("train block", Kind::keyword)),
                (true, false) => "a repetition".into(),
                (false, _) => "a branch".into(),
            };
            let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, format!("{place} cannot own state"))
                .at(span, "declared here")
                .help("state is declared at the top of a `layer`, a `net`, an `optimizer` or an `average`");
            self.report(error);
            return self.bind(&name.text, name.span, Binding::Error);
        }
        let value = self.starting(init, written);
        if value.ty.is_error() {
            return self.bind(&name.text, name.span, Binding::Error);
        }
        let local = self.new_local(&name.text, value.ty.clone(), name.span, Origin::State);
        let next = self.new_local(format!("{}'", name.text), value.ty.clone(), name.span, Origin::Next);
        self.bind(&name.text, name.span, Binding::Local(local));
        self.states.push(Stateful { current: local, next });
        out.push(Statement::State(State { local, next, name: name.text.clone(), init: value, span }));
    }

    /// The value that a state or a carried value starts with, of the type written if there is one.
    pub fn starting(&mut self, init: &ast::Expr, written: Option<&ast::Type>) -> Expr {
        let value = self.expression(init);
        let value = match written.map(|t| (self.written_type(t, false), t.span)) {
            None => value,
            Some((Type::Tensor(wanted), place)) => self.start(value, wanted, place),
            Some((Type::Set(Element::Float), _)) if matches!(value.ty, Type::Set(_)) => self.float(value),
            Some((Type::Error, _)) => poison(init.span),
            Some((other, place)) => {
                if value.ty.is_error() {
                    value
                } else {
                    let error = Diagnostic::new(codes::WRONG_TYPE, "this does not fit the state")
                        .at(value.span, format!("the starting value is {}", self.describe(&value.ty)))
                        .at(place, format!("the state is {}", self.show(&other)));
                    self.fail(init.span, error)
                }
            }
        };
        match &value.ty {
            Type::Error | Type::Tensor(_) | Type::Set(_) => value,
            other => {
                let error = Diagnostic::new(codes::WRONG_TYPE, "a state holds numbers or a parameter set")
                    .at(value.span, format!("this is {}", self.describe(other)));
                self.fail(init.span, error)
            }
        }
    }

    fn start(&mut self, value: Expr, wanted: TensorType, place: Span) -> Expr {
        if value.ty.is_error() {
            return value;
        }
        let boolean = |e: &Element| *e == Element::Bool;
        let fits = match &value.ty {
            // A literal `0` starts a float state as well as an integer one.
            Type::Tensor(t) => {
                boolean(&t.element) == boolean(&wanted.element)
                    && (t.element != Element::Float || wanted.element == Element::Float)
            }
            _ => false,
        };
        if fits {
            let value = self.convert(value, wanted.element.clone());
            return match self.stretch(value, &wanted.axes) {
                Ok(value) => value,
                Err(value) => self.misstart(value, &wanted, place),
            };
        }
        self.misstart(value, &wanted, place)
    }

    fn misstart(&mut self, value: Expr, wanted: &TensorType, place: Span) -> Expr {
        let error = Diagnostic::new(codes::SHAPE_MISMATCH, "this does not fit the state")
            .at(value.span, format!("the starting value is {}", self.describe(&value.ty)))
            .at(place, format!("the state is {}", self.show(&Type::Tensor(wanted.clone()))));
        self.fail(value.span, error)
    }

    /// The axis of a size given as an argument.
    pub fn axis_of(size: &Size) -> Axis {
        Axis::Sized { label: implied_label(size), size: size.clone() }
    }
}
