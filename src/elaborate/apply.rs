//! Applications of definitions.

use super::frame::{Closure, Frame, Value, mix};
use super::{Elaborator, Purpose};
use crate::check::broken_requirement;
use crate::check::typed::{Call, Definition, Derivative, Expr, InputKind, Instance, Kind, Known, LocalId, Type};
use crate::ir::primitive::{Concat, Custom};
use crate::ir::{NodeId, Role, Size, Symbol};
use crate::source::{Diagnostic, Span, codes};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

impl<'p> Elaborator<'p> {
    /// The value of an application, or that of one of its equations.
    pub(super) fn call(
        &mut self,
        frame: &mut Frame<'p>,
        call: &'p Call,
        member: Option<LocalId>,
        span: Span,
    ) -> Result<Value, Diagnostic> {
        let definition = self.program.definition(call.def);
        let args = self.arguments(frame, definition, call)?;
        if definition.kind == Kind::Augment && self.evaluating {
            return Ok(unchanged(definition, args));
        }
        let options = self.options(frame, &call.options)?;
        let path: Arc<str> = match &call.instance {
            Instance::None => frame.path.clone(),
            Instance::New { segment, loops } => frame.member(segment, loops),
            Instance::Net => definition.name.as_str().into(),
        };
        let sizes: BTreeMap<Symbol, Size> = call.sizes.iter().map(|(s, size)| (s.clone(), frame.size(size))).collect();
        if let Some((symbol, size)) =
            sizes.iter().find(|(_, s)| s.symbols().is_empty() && s.as_constant().unwrap_or(0) < 1)
        {
            let message = format!("the size {} of `{}` is {size}", symbol.0, definition.name);
            let place = if span.file == self.train.span.file { span } else { self.written().unwrap_or(span) };
            return Err(Diagnostic::new(codes::NOT_A_CONSTANT, message).at(place, "a size is at least 1"));
        }
        let packs = call.packs.iter().map(|axes| frame.dims(axes)).collect();
        let place = Place { path, chain: frame.site(call.site.0) };
        self.apply(definition, sizes, packs, args, &options, member, place, span)
    }

    pub(super) fn apply_closure(
        &mut self,
        frame: &mut Frame<'p>,
        closure: &Closure,
        args: Vec<Value>,
        chain: u64,
        span: Span,
    ) -> Result<Value, Diagnostic> {
        let definition = self.program.definition(closure.def);
        let place = Place { path: closure.path.clone(), chain };
        let value = self.apply(
            definition,
            closure.sizes.clone(),
            closure.packs.clone(),
            args,
            &closure.options,
            None,
            place,
            span,
        )?;
        self.at(frame, span);
        Ok(value)
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn apply(
        &mut self,
        definition: &'p Definition,
        sizes: BTreeMap<Symbol, Size>,
        packs: Vec<Vec<Size>>,
        args: Vec<Value>,
        options: &[Option<Value>],
        member: Option<LocalId>,
        place: Place,
        span: Span,
    ) -> Result<Value, Diagnostic> {
        let mut frame = Frame::new(definition, sizes, packs, place.path, place.chain);
        self.open(span);
        self.at(&frame, span);
        for column in &definition.columns {
            if let Some(ty) = definition.local(column.local).ty.tensor() {
                let ty = self.ty(&frame, ty);
                let node = self.builder.input(&column.input, Role::Data, ty);
                self.bind(&mut frame, column.local, Value::Tensor(node));
            }
        }
        for (input, arg) in definition.inputs.iter().zip(args) {
            if let InputKind::Value(local) = input.kind {
                self.bind(&mut frame, local, arg);
            }
        }
        self.bind_options(&mut frame, definition, options, span)?;
        let evaluating = self.evaluating;
        if definition.kind == Kind::Net && self.frozen(&definition.name) {
            self.evaluating = true;
        } else if definition.kind == Kind::Net && !self.forced && self.owns(&definition.name) {
            self.evaluating = self.purpose == Purpose::Evaluate;
        }
        let value = self.block(&mut frame, &definition.body);
        self.evaluating = evaluating;
        let value = value?;
        self.close();
        let value = match member {
            Some(member) => return Ok(self.local(&frame, member)),
            None => value.expect("the checker lets only definitions with a result be called"),
        };
        let value = match &definition.derivative {
            Some(derivative) => self.with_derivative(&mut frame, derivative, value)?,
            None => value,
        };
        if let (Kind::Net, Value::Tensor(node)) = (definition.kind, &value) {
            self.nets.push((definition.name.clone(), *node));
        }
        Ok(value)
    }

    /// Whether a net has parameters of its own.
    fn owns(&self, net: &str) -> bool {
        self.parameters_of(net).next().is_some()
    }

    /// Whether a net has parameters and none of them is trained: it evaluates within what trains others.
    fn frozen(&self, net: &str) -> bool {
        let Some(trained) = self.players.get(self.player) else { return false };
        if self.forced || !self.owns(net) {
            return false;
        }
        let trained: HashSet<usize> = trained.iter().copied().collect();
        self.parameters_of(net).all(|k| !trained.contains(&k))
    }

    fn parameters_of(&self, net: &str) -> impl Iterator<Item = usize> {
        let below = move |path: &str| path.strip_prefix(net).is_some_and(|rest| rest.starts_with('.'));
        self.instances.parameters.iter().enumerate().filter(move |(_, p)| below(&p.path)).map(|(k, _)| k)
    }

    /// In this mode, whatever is trained.
    pub(super) fn in_mode<T>(&mut self, evaluating: bool, then: impl FnOnce(&mut Self) -> T) -> T {
        let before = (self.evaluating, self.forced);
        (self.evaluating, self.forced) = (evaluating, true);
        let value = then(self);
        (self.evaluating, self.forced) = before;
        value
    }

    /// A value in training mode `count` times, each with draws of its own, along a new first axis. State stays as it is.
    pub(super) fn draws(
        &mut self,
        frame: &mut Frame<'p>,
        value: &'p Expr,
        count: u64,
        span: Span,
    ) -> Result<NodeId, Diagnostic> {
        let (chain, quiet) = (frame.chain, std::mem::replace(&mut self.quiet, true));
        let mut drawn = Vec::new();
        for k in 0..count {
            frame.chain = mix(chain, (1 << 32) + k);
            let node = self.in_mode(false, |e| e.tensor(frame, value))?;
            self.at(frame, span);
            let dims: Vec<Size> = std::iter::once(Size::constant(1)).chain(self.builder.dims(node)).collect();
            drawn.push(self.builder.broadcast_over(node, &[0], &dims));
        }
        (frame.chain, self.quiet) = (chain, quiet);
        Ok(if drawn.len() == 1 { drawn[0] } else { self.builder.push(Concat { axis: 0 }, &drawn) })
    }

    /// A value whose derivative is what its definition says. The cotangent it is computed from stands there as a tag of its own.
    fn with_derivative(
        &mut self,
        frame: &mut Frame<'p>,
        derivative: &'p Derivative,
        value: Value,
    ) -> Result<Value, Diagnostic> {
        let y = value.into_tensor();
        let zero = self.builder.full_like(y, 0.0);
        let cotangent = self.builder.tag(zero);
        self.bind(frame, derivative.cotangent, Value::Tensor(cotangent));
        let given = self.block(frame, &derivative.body)?.expect("a derivative has a value");
        let given = match given {
            Value::Tuple(values) => values,
            one => vec![one],
        };
        let inputs = derivative.inputs.iter().map(|local| self.local(frame, *local).into_tensor());
        let mut operands = vec![y, cotangent];
        operands.extend(inputs);
        operands.extend(given.into_iter().map(Value::into_tensor));
        let custom = Custom { inputs: derivative.inputs.len() };
        Ok(Value::Tensor(self.builder.push(custom, &operands)))
    }

    /// Fails if sizes and options are known to break what the definition requires of them.
    fn require(&self, frame: &Frame, definition: &Definition, span: Span) -> Result<(), Diagnostic> {
        let option = |local: LocalId| match frame.locals[local.0 as usize] {
            Some(Value::Tensor(node)) => self.builder.graph().number(node),
            _ => None,
        };
        let size = |size: &Size| frame.size(size).as_constant();
        let known = Known { size: &size, option: &option };
        match definition.requires.iter().find(|r| r.holds(&known) == Some(false)) {
            None => Ok(()),
            Some(broken) => Err(broken_requirement(definition, broken, &known, self.written().unwrap_or(span))),
        }
    }

    /// Binds every option, given or by its default, in order, for an application that stands at this place.
    pub(super) fn bind_options(
        &mut self,
        frame: &mut Frame<'p>,
        definition: &'p Definition,
        given: &[Option<Value>],
        place: Span,
    ) -> Result<(), Diagnostic> {
        for (k, option) in definition.options.iter().enumerate() {
            let value = match (given.get(k).cloned().flatten(), &option.default) {
                (Some(value), _) => value,
                (None, Some(default)) => self.expression(frame, default)?,
                (None, None) => panic!("this is a bug in dlc: option {} is missing after checking", option.name),
            };
            self.bind(frame, option.local, value);
        }
        self.require(frame, definition, place)
    }
}

/// What an augmentation gives outside training: what it takes.
fn unchanged(definition: &Definition, args: Vec<Value>) -> Value {
    let given = definition.inputs.iter().zip(args).filter(|(input, _)| matches!(input.kind, InputKind::Value(_)));
    let mut given = given.map(|(_, value)| value);
    match &definition.result {
        Type::Tuple(parts) => Value::Tuple(given.take(parts.len()).collect()),
        _ => given.next().expect("an augmentation has an input"),
    }
}

/// Where an application stands: the path of its instance and its chain of sites.
pub(super) struct Place {
    pub path: Arc<str>,
    pub chain: u64,
}
