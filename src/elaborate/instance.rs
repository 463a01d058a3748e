//! Instances: the parameters and states that applications own, by path, and sets of them.

use super::frame::{Frame, InitClosure, Value, mix, site_of_path};
use super::{Elaborator, Persistent, Purpose};
use crate::check::typed::{
    Axis, Expr, Initial, InputKind, Kind, Label, LocalId, Param, ParameterPath, Selection, SelectionItem, State, Train,
    match_axes,
};
use crate::ir::{NodeId, OutputRole, Role, Size, Type};
use crate::source::{Diagnostic, Span, codes};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What the program's applications own.
#[derive(Clone, Debug, Default)]
pub(super) struct Instances {
    pub parameters: Vec<Persistent>,
    pub layer_state: Vec<Persistent>,
    pub optimizer_state: Vec<Persistent>,
    pub trained: Vec<usize>,
    parameter_at: HashMap<Arc<str>, usize>,
    state_at: HashMap<Arc<str>, usize>,
}

impl Instances {
    /// What each player of a phase trains: what its `over` selects, or what its objective applies.
    pub fn trained(&self, train: &Train, applied: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Diagnostic> {
        let mut players: Vec<Vec<usize>> = Vec::new();
        // By parameter, the player that trains it.
        let mut taken: Vec<Option<usize>> = vec![None; self.parameters.len()];
        for (player, applied) in train.players.iter().zip(applied) {
            let trained = match &player.over {
                None if applied.is_empty() => {
                    return Err(Diagnostic::new(codes::NOTHING_TO_TRAIN, "there are no parameters to train")
                        .at(player.objective.span, "no net or layer with parameters is applied here")
                        .help("apply a net, or name existing parameters in `over`"));
                }
                None => applied.clone(),
                Some(over) => self.select(&over.items, Some(applied).filter(|a| !a.is_empty()).map(Vec::as_slice)),
            };
            if let (true, Some(over)) = (trained.is_empty(), &player.over) {
                return Err(Diagnostic::new(codes::NOTHING_TO_TRAIN, "`over` selects no parameter")
                    .at(over.span, "none of the parameters is meant by this")
                    .note(format!("the parameters are {}", self.names())));
            }
            for k in &trained {
                if let Some(other) = taken[*k].replace(players.len()) {
                    let (path, other) = (&self.parameters[*k].path, &train.players[other]);
                    return Err(Diagnostic::new(codes::TRAINED_TWICE, format!("two players train `{path}`"))
                        .at(player.span, "this one")
                        .at(other.span, "and this one")
                        .help("say with `over` which parameters each of them trains"));
                }
            }
            players.push(trained);
        }
        Ok(players)
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.parameters.iter().map(|p| format!("`{}`", p.path)).collect();
        names.join(", ")
    }

    /// Every path of a selection leads to some parameter: one whose net is applied.
    pub fn must_exist(&self, selection: &Selection) -> Result<(), Diagnostic> {
        for item in &selection.items {
            if let SelectionItem::Path(path) | SelectionItem::Wildcard(path) = item
                && self.select(std::slice::from_ref(item), None).is_empty()
            {
                let message = format!("there is no parameter at `{}`", path.join("."));
                return Err(Diagnostic::new(codes::UNKNOWN_PARAMETER, message)
                    .at(selection.span, "named here")
                    .note(format!("the parameters are {}", self.names()))
                    .help("a net has parameters where it is applied"));
            }
        }
        Ok(())
    }

    /// The union of the items, each parameter once, in the program's order. The words mean parameters of `within`;
    /// a path means what it says.
    pub fn select(&self, items: &[SelectionItem], within: Option<&[usize]>) -> Vec<usize> {
        let below = |prefix: &str, path: &str, itself: bool| {
            (itself && path == prefix) || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
        };
        let prefixes: Vec<String> = items
            .iter()
            .map(|item| match item {
                SelectionItem::Path(parts) | SelectionItem::Wildcard(parts) => parts.join("."),
                _ => String::new(),
            })
            .collect();
        let mut inside = vec![within.is_none(); self.parameters.len()];
        within.into_iter().flatten().for_each(|k| inside[*k] = true);
        let meant = |k: &usize| {
            let p = &self.parameters[*k];
            let trained = inside[*k];
            items.iter().zip(&prefixes).any(|(item, prefix)| match item {
                SelectionItem::Weights => trained && p.ty.rank() >= 2,
                SelectionItem::Biases => trained && p.ty.rank() < 2,
                SelectionItem::All => trained,
                SelectionItem::Path(_) => below(prefix, &p.path, true),
                SelectionItem::Wildcard(_) => below(prefix, &p.path, false),
            })
        };
        (0..self.parameters.len()).filter(meant).collect()
    }
}

/// The labels of the axes of a parameter as they are declared.
fn axis_labels(frame: &Frame, param: LocalId) -> Vec<Option<Label>> {
    let declared = frame.definition.and_then(|d| d.local(param).ty.tensor()).map_or(&[][..], |t| &t.axes);
    let labels = declared.iter().flat_map(|axis| match axis {
        Axis::Sized { label, .. } => vec![label.clone()],
        Axis::Pack(_) => vec![None; frame.axis(axis).len()],
    });
    labels.collect()
}

/// Finds what lies at a path, or says why the one that is there does not fit.
fn at_path(
    list: &[Persistent],
    known: &HashMap<Arc<str>, usize>,
    path: &str,
    ty: &Type,
    span: Span,
) -> Result<Option<usize>, Diagnostic> {
    let Some(k) = known.get(path).copied() else { return Ok(None) };
    if list[k].ty == *ty {
        return Ok(Some(k));
    }
    Err(Diagnostic::new(codes::INSTANCE_MISMATCH, format!("`{path}` is one tensor with two shapes"))
        .at(span, format!("{ty} here"))
        .at(list[k].span, format!("{} in an earlier application", list[k].ty))
        .note("a net has one instance, so every application of it uses the same parameters")
        .help("apply it to inputs of one shape, or make it a `layer` so that each application has its own parameters"))
}

impl<'p> Elaborator<'p> {
    /// Binds a parameter of the instance that the frame stands for.
    pub(super) fn parameter(&mut self, frame: &mut Frame<'p>, param: &'p Param) -> Result<(), Diagnostic> {
        let path = frame.member(&param.name, &param.loops);
        let ty = self.persistent_type(frame, param.local, param.span, &path)?;
        let found = at_path(&self.instances.parameters, &self.instances.parameter_at, &path, &ty, param.span)?;
        let node = match found {
            Some(k) => {
                self.applied.insert(k);
                self.point[k]
            }
            None if self.purpose == Purpose::Start => {
                let node = self.initial(frame, &param.init, &ty, &path)?;
                self.start(&path, Role::Parameter, &ty, node);
                let k = self.instances.parameters.len();
                self.instances.parameter_at.insert(path.clone(), k);
                self.applied.insert(k);
                let mut persistent = self.persistent(path, ty, param.span);
                persistent.labels = axis_labels(frame, param.local);
                self.instances.parameters.push(persistent);
                self.point.push(node);
                node
            }
            None => panic!("this is a bug in dlc: parameter {path} appears only in some of the program's graphs"),
        };
        self.bind(frame, param.local, Value::Tensor(node));
        Ok(())
    }

    /// A parameter that is read by its path.
    pub(super) fn parameter_at(
        &mut self,
        frame: &Frame<'p>,
        path: &ParameterPath,
        expr: &Expr,
    ) -> Result<NodeId, Diagnostic> {
        let below = path.rest.join(".");
        let path: Arc<str> = match &path.instance {
            Some((segment, loops)) => format!("{}.{below}", frame.member(segment, loops)).into(),
            None => below.into(),
        };
        let declared = expr.ty.tensor().expect("checked to be a tensor");
        let ty = self.ty(frame, declared);
        let found = at_path(&self.instances.parameters, &self.instances.parameter_at, &path, &ty, expr.span)?
            .map(|k| self.point[k]);
        match found {
            Some(node) => Ok(node),
            // It may be created later; what is computed from it now is not kept.
            None if self.purpose == Purpose::Start => {
                let zero = self.builder.constant(ty.dtype, 0.0);
                Ok(self.builder.fill(zero, &ty.dims))
            }
            None => Err(Diagnostic::new(codes::UNKNOWN_PARAMETER, format!("there is no parameter `{path}`"))
                .at(expr.span, "read here")
                .note(format!("the parameters are {}", self.instances.names()))
                .help("a net has parameters where it is applied")),
        }
    }

    /// Binds a state of the instance that the frame stands for to its value before the step.
    pub(super) fn state(&mut self, frame: &mut Frame<'p>, state: &'p State) -> Result<(), Diagnostic> {
        if frame.definition.is_some_and(|d| matches!(d.kind, Kind::Optimizer | Kind::Average)) {
            return self.rule_state(frame, state);
        }
        let path = frame.path_of(&state.name);
        let ty = self.persistent_type(frame, state.local, state.span, &path)?;
        let found = at_path(&self.instances.layer_state, &self.instances.state_at, &path, &ty, state.span)?;
        let node = match found {
            Some(k) => self.state[k],
            None if self.purpose == Purpose::Start => {
                let node = self.tensor(frame, &state.init)?;
                self.start(&path, Role::State, &ty, node);
                let k = self.instances.layer_state.len();
                self.instances.state_at.insert(path.clone(), k);
                let persistent = self.persistent(path, ty, state.span);
                self.instances.layer_state.push(persistent);
                self.state.push(node);
                node
            }
            None => panic!("this is a bug in dlc: state {path} appears only in some of the program's graphs"),
        };
        frame.bind(state.local, Value::Tensor(node));
        frame.bind(state.next, Value::Tensor(node));
        Ok(())
    }

    /// Assigns a state its value after the step.
    pub(super) fn next(
        &mut self,
        frame: &mut Frame<'p>,
        state: LocalId,
        next: LocalId,
        value: Value,
        span: Span,
    ) -> Result<(), Diagnostic> {
        self.bind(frame, next, value.clone());
        let Some(definition) = frame.definition else { return Ok(()) };
        if matches!(definition.kind, Kind::Optimizer | Kind::Average) || self.quiet || self.evaluating {
            // A rule reads the assigned locals at its end.
            return Ok(());
        }
        let path = frame.path_of(&definition.local(state).name);
        let k = self.instances.state_at[&path];
        if self.next_state.insert(k, value.into_tensor()).is_some() {
            return Err(Diagnostic::new(
                codes::STATE_WRITTEN_TWICE,
                format!("`{path}` gets two next values in one step"),
            )
            .at(span, "assigned here, in a second application of the same instance")
            .note("each evaluation of the objective sees the state as it was before the step")
            .help("apply the layer that keeps the state once, or give the second use an instance of its own"));
        }
        Ok(())
    }

    /// Makes `value` what a parameter or state holds before the first step.
    pub(super) fn start(&mut self, path: &str, role: Role, ty: &Type, value: NodeId) {
        self.builder.input(path, role, ty.clone());
        self.builder.output(path, OutputRole::Next, value);
    }

    /// The type of a parameter or state, whose dims must not depend on the batch.
    fn persistent_type(&self, frame: &Frame<'p>, local: LocalId, span: Span, path: &str) -> Result<Type, Diagnostic> {
        let declared = frame.definition.and_then(|d| d.local(local).ty.tensor()).expect("checked to be a tensor");
        let ty = self.ty(frame, declared);
        match ty.dims.iter().find(|d| d.as_constant().is_none()) {
            None => Ok(ty),
            Some(size) => Err(Diagnostic::new(
                codes::SIZE_NOT_CONSTANT,
                format!("the shape of `{path}` depends on the rows of the batch"),
            )
            .at(span, format!("this would be {ty}, and {size} is known only when a batch is there"))
            .help("parameters and state have axes of the features, not of the batch")),
        }
    }

    fn initial(
        &mut self,
        frame: &mut Frame<'p>,
        init: &'p Initial,
        ty: &Type,
        path: &str,
    ) -> Result<NodeId, Diagnostic> {
        match init {
            Initial::Value(value) => self.tensor(frame, value),
            Initial::Apply(expr) => match self.expression(frame, expr)? {
                Value::Init(closure) => self.apply_init(&closure, ty, path, expr),
                Value::Tensor(node) => self.start_with(node, ty, path, expr.span),
                other => panic!("this is a bug in dlc: {other:?} where an init was checked for"),
            },
        }
    }

    /// A tensor given for an init, at the parameter's shape: of that shape, or a number.
    fn start_with(&mut self, node: NodeId, ty: &Type, path: &str, span: Span) -> Result<NodeId, Diagnostic> {
        let given = self.builder.ty(node).clone();
        if given.dims == ty.dims {
            return Ok(node);
        }
        if given.rank() == 0 {
            return Ok(self.builder.fill(node, &ty.dims));
        }
        let error = Diagnostic::new(codes::SHAPE_MISMATCH, format!("`{path}` is {ty}"));
        let error = match self.written() {
            Some(place) => error.at(place, format!("it would start with {given}")).at(span, "declared here"),
            None => error.at(span, format!("it would start with {given}")),
        };
        Err(error.help("what a parameter starts with has its shape, or is a number"))
    }

    /// An init at a parameter's shape.
    fn apply_init(
        &mut self,
        closure: &InitClosure,
        ty: &Type,
        path: &str,
        written: &'p Expr,
    ) -> Result<NodeId, Diagnostic> {
        let definition = self.program.definition(closure.def);
        let actual: Vec<Axis> = ty.dims.iter().map(|size| Axis::Sized { label: None, size: size.clone() }).collect();
        let (mut sizes, mut packs) = (BTreeMap::new(), BTreeMap::new());
        if let Some(input) = definition.inputs.first()
            && let InputKind::Value(local) = input.kind
        {
            let declared = definition.local(local).ty.tensor().map_or(&[][..], |t| &t.axes);
            if match_axes(declared, &actual, &mut sizes, &mut packs).is_none() {
                return Err(Diagnostic::new(
                    codes::SHAPE_MISMATCH,
                    format!("the init `{}` cannot make a tensor of this shape", definition.name),
                )
                .at(written.span, format!("`{path}` is {ty}"))
                .at(input.span, "this is the shape the init is for")
                .help("choose an init for this number of axes, such as `zeros`"));
            }
        }
        let dims = |axes: &Vec<Axis>| -> Vec<Size> {
            let size = |a: &Axis| if let Axis::Sized { size, .. } = a { size.clone() } else { Size::default() };
            axes.iter().map(size).collect()
        };
        let packs = (0..definition.packs)
            .map(|k| packs.get(&crate::check::typed::PackVar(k)).map_or(Vec::new(), dims))
            .collect();
        let mut frame = Frame::new(definition, sizes, packs, path.into(), mix(site_of_path(path), 0));
        self.bind_options(&mut frame, definition, &closure.options, written.span)?;
        let value = self.block(&mut frame, &definition.body)?;
        Ok(value.expect("an init has a result").into_tensor())
    }
}
