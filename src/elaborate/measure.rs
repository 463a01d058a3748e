//! Measures: means over rows chunk by chunk, and metrics over all rows of a part at once.
//!
//! A metric such as a coefficient of determination is no mean over chunks. What it is applied to is computed chunk by chunk,
//! gathered by the runner, and given to a second graph that applies the metric once. Invariant: both graphs meet the
//! applications of metrics in the same order, so that they name what is gathered alike.

use super::frame::{Frame, Value};
use super::{Elaborator, Purpose};
use crate::check::typed::{Axis, Call, Definition, Element, Expr, ExprKind, Kind, Train};
use crate::ir::{NodeId, OutputRole, Role, Size, Type};
use crate::source::{Diagnostic, Span};

/// The rows that a graph of measures runs over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rows {
    Chunk,
    All,
}

/// What is taken of the arguments of metrics in the measure that is elaborated.
#[derive(Debug)]
pub(super) struct Gathering {
    rows: Rows,
    measure: String,
    names: Vec<String>,
    /// Applications of metrics so far, and values of members.
    metrics: usize,
    /// The measure speaks of all members of an ensemble: it is computed of their values, and nothing else is gathered.
    together: bool,
}

impl<'p> Elaborator<'p> {
    /// Reports measures under their names: those that are means over rows on chunks, those that apply metrics on all rows.
    /// What is gathered for the latter.
    pub(super) fn measures(&mut self, rows: Rows) -> Result<Vec<String>, Diagnostic> {
        let train = self.train;
        let mut gathered = Vec::new();
        // The words for sets mean what any player trains.
        self.player = usize::MAX;
        for measure in &train.measures {
            // Each measure applies the nets anew; what layer state the one before assigned is not kept.
            self.next_state.clear();
            let mut frame = self.train_frame()?;
            let names = Vec::new();
            let (name, together) = (measure.name.clone(), measure.together);
            self.gathering = Some(Gathering { rows, measure: name, names, metrics: 0, together });
            let value = self.tensor(&mut frame, &measure.value)?;
            let gathering = self.gathering.take();
            let summarized = gathering.as_ref().is_some_and(|g| g.metrics > 0);
            gathered.extend(gathering.into_iter().flat_map(|g| g.names));
            if self.purpose == Purpose::Evaluate && summarized == (rows == Rows::All) {
                let value = self.builder.convert(value, self.dtype);
                self.builder.output(measure.name.as_str(), OutputRole::Report, value);
            }
        }
        self.player = 0;
        Ok(gathered)
    }

    /// The arguments of an application; those of a metric in a measure as the rows of the graph ask for.
    pub(super) fn arguments(
        &mut self,
        frame: &mut Frame<'p>,
        definition: &Definition,
        call: &'p Call,
    ) -> Result<Vec<Value>, Diagnostic> {
        let metric = frame.definition.is_none() && definition.kind == Kind::Metric;
        let metric = metric && self.gathering.as_ref().is_some_and(|g| !g.together);
        let Some(mut gathering) = self.gathering.take_if(|_| metric) else {
            return call.args.iter().map(|a| self.expression(frame, a)).collect();
        };
        gathering.metrics += 1;
        let mut args = Vec::new();
        for arg in &call.args {
            if !by_rows(arg) {
                args.push(self.expression(frame, arg)?);
                continue;
            }
            let name = format!("measure.{}.{}", gathering.measure, gathering.names.len() + 1);
            let node = match (gathering.rows, arg.ty.tensor()) {
                (Rows::All, Some(ty)) => {
                    self.at(frame, arg.span);
                    let ty = self.ty(frame, ty);
                    self.builder.input(&name, Role::Data, ty)
                }
                _ => {
                    let node = self.tensor(frame, arg)?;
                    if self.purpose == Purpose::Evaluate {
                        self.builder.output(name.as_str(), OutputRole::Report, node);
                    }
                    node
                }
            };
            gathering.names.push(name);
            args.push(Value::Tensor(node));
        }
        self.gathering = Some(gathering);
        Ok(args)
    }
}

impl<'p> Elaborator<'p> {
    /// The value in every member: the runner gathers it member by member.
    pub(super) fn members(
        &mut self,
        frame: &mut Frame<'p>,
        value: &'p Expr,
        count: u64,
        span: Span,
    ) -> Result<NodeId, Diagnostic> {
        let (rows, name) = match &mut self.gathering {
            Some(gathering) => {
                gathering.metrics += 1;
                let name = format!("{MEMBERS}{}.{}", gathering.measure, gathering.names.len() + 1);
                gathering.names.push(name.clone());
                (gathering.rows, name)
            }
            None => (Rows::Chunk, String::new()),
        };
        let stacked = |dims: Vec<Size>| std::iter::once(Size::constant(count)).chain(dims).collect::<Vec<Size>>();
        if let (Rows::All, Some(ty)) = (rows, value.ty.tensor()) {
            self.at(frame, span);
            let ty = self.ty(frame, ty);
            let ty = Type::new(ty.dtype, stacked(ty.dims));
            return Ok(self.builder.input(&name, Role::Data, ty));
        }
        let node = self.tensor(frame, value)?;
        if self.purpose == Purpose::Evaluate && self.gathering.is_some() {
            self.builder.output(name.as_str(), OutputRole::Report, node);
        }
        self.at(frame, span);
        let dims = self.builder.dims(node);
        let axes: Vec<usize> = (1..=dims.len()).collect();
        Ok(self.builder.broadcast(node, &axes, &stacked(dims)))
    }
}

/// Before the name of what is gathered of every member of an ensemble.
pub const MEMBERS: &str = "members.";

/// Whether an argument has a value for every row of the batch that is worth keeping: a column is at hand as it is.
pub(super) fn by_rows(arg: &Expr) -> bool {
    let column = |e: &Expr| matches!(e.kind, ExprKind::Local(_));
    let first = match arg.ty.tensor() {
        Some(t) if t.element != Element::Bool => t.axes.first(),
        _ => None,
    };
    let rows = Train::batch_symbol();
    let column = match &arg.kind {
        ExprKind::ToIndex(inner) | ExprKind::Convert(inner) => column(inner),
        _ => column(arg),
    };
    !column && matches!(first, Some(Axis::Sized { size, .. }) if size.as_symbol() == Some(&rows))
}
