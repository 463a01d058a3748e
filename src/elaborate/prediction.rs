//! The graphs that apply the program's nets to data, and those of what its measures look at.
//!
//! Input: a program without errors. Output: for each net the graph of one of its applications as evaluation makes it: the one
//! that reads the fewest columns, since a net is trained on more than it needs to predict, and of these the first. For each
//! measure that is an application, `accuracy(p, y)`, the graph of its first argument, if that has a value for every row.

use super::measure::{Rows, by_rows};
use super::{Elaborator, Options, Purpose};
use crate::check::typed::{ExprKind, Program, Train};
use crate::ir::{Builder, Graph, NodeId, Op, OutputRole, Role, Size, Type};
use crate::source::{Diagnostic, codes, on_deep_stack};
use std::collections::BTreeMap;

/// What a program predicts, of the last phase first.
#[derive(Clone, Default, Debug)]
pub struct Predictions {
    pub nets: Vec<Prediction>,
    pub measures: Vec<Prediction>,
}

/// A value for every row: a net's application, or what a measure is applied to.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Of the net or of the measure.
    pub name: String,
    /// The phase whose application it is, from 0.
    pub phase: usize,
    /// Reports `prediction`, whose first axis are the rows.
    pub graph: Graph,
    /// The type of the prediction of one row.
    pub row: Type,
}

/// The predictions of the program when this phase runs or has run, its own first. Its averages stand for parameters.
pub fn predictions(program: &Program, phase: usize, options: Options) -> Result<Predictions, Diagnostic> {
    on_deep_stack(|| all(program, phase, options)).unwrap_or_else(|error| {
        let message = format!("there is no stack to expand the program's definitions on: {error}");
        Err(Diagnostic::new(codes::TOO_MUCH_MEMORY, message))
    })
}

fn all(program: &Program, last: usize, options: Options) -> Result<Predictions, Diagnostic> {
    let phases = program.train.as_ref().map_or(&[][..], |t| &t.phases);
    let Some(first) = phases.first() else { return Ok(Predictions::default()) };
    let (init, trained) = super::instantiated(program, first, phases, options)?;
    let (_, instances) = init.finish();
    let mut found = Predictions::default();
    for (phase, (train, trained)) in phases.iter().zip(trained).enumerate().take(last + 1).rev() {
        let mut evaluate = Elaborator::new(program, train, options, Purpose::Evaluate, instances.clone());
        evaluate.turn_to(train, trained);
        if phase == last {
            let averaged = evaluate.averaged();
            evaluate.stand_in(&averaged);
        }
        // What is measured is nearer to what is asked for than what is minimized.
        evaluate.measures(Rows::Chunk)?;
        evaluate.objective_here()?;
        let applied = std::mem::take(&mut evaluate.nets);
        let looked_at = evaluate.looked_at()?;
        let graph = evaluate.builder.finish();
        let prediction = |(name, node): (String, NodeId)| {
            let ty = graph.ty(node);
            let row = Type::new(ty.dtype, ty.dims[1..].to_vec());
            Prediction { name, phase, graph: only(&graph, node), row }
        };
        for (list, values) in [(&mut found.nets, best(&graph, &applied)), (&mut found.measures, looked_at)] {
            for value in values {
                if !list.iter().any(|p| p.name == value.0) {
                    list.push(prediction(value));
                }
            }
        }
    }
    Ok(found)
}

impl Elaborator<'_> {
    /// The first argument of each measure that is an application, where it has a value for every row.
    fn looked_at(&mut self) -> Result<Vec<(String, NodeId)>, Diagnostic> {
        let mut found = Vec::new();
        // As in measures, the words for sets mean what any player trains.
        let player = std::mem::replace(&mut self.player, usize::MAX);
        for measure in self.train.measures.iter().filter(|m| !m.together) {
            let ExprKind::Call(call) = &measure.value.kind else { continue };
            if let Some(arg) = call.args.first().filter(|arg| by_rows(arg)) {
                self.next_state.clear();
                let mut frame = self.train_frame()?;
                found.push((measure.name.clone(), self.tensor(&mut frame, arg)?));
            }
        }
        self.player = player;
        Ok(found)
    }
}

/// For each net, in the order of the first applications, the application to take.
fn best(graph: &Graph, applied: &[(String, NodeId)]) -> Vec<(String, NodeId)> {
    let mut best: Vec<(String, NodeId, usize)> = Vec::new();
    for (net, node) in applied {
        let of_rows = graph.ty(*node).dims.first().and_then(Size::as_symbol) == Some(&Train::batch_symbol());
        if !of_rows {
            continue;
        }
        let live = needed(graph, *node);
        let is_column = |id: &NodeId| matches!(graph.op(*id), Op::Input(input) if input.role == Role::Data);
        let columns = graph.ids().filter(|id| live[id.index()]).filter(is_column).count();
        match best.iter_mut().find(|(known, ..)| known == net) {
            Some((_, known, fewest)) if columns < *fewest => (*known, *fewest) = (*node, columns),
            Some(_) => {}
            None => best.push((net.clone(), *node, columns)),
        }
    }
    best.into_iter().map(|(net, node, _)| (net, node)).collect()
}

/// The nodes that a node depends on, and itself.
fn needed(graph: &Graph, node: NodeId) -> Vec<bool> {
    let ids: Vec<NodeId> = graph.ids().collect();
    let mut live = vec![false; ids.len()];
    live[node.index()] = true;
    // Operands come before what they are operands of.
    for id in ids.into_iter().rev().filter(|id| id.index() <= node.index()) {
        if live[id.index()] {
            graph.operands(id).into_iter().for_each(|operand| live[operand.index()] = true);
        }
    }
    live
}

/// The part of a graph that makes a node, which it reports.
fn only(graph: &Graph, node: NodeId) -> Graph {
    let live = needed(graph, node);
    let mut builder = Builder::new();
    let mut new: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    for id in graph.ids().filter(|id| live[id.index()]) {
        let operands: Vec<NodeId> = graph.operands(id).iter().map(|o| new[o]).collect();
        builder.set_origin(graph.node(id).origin.clone());
        new.insert(id, builder.push(graph.op(id).clone(), &operands));
    }
    builder.output("prediction", OutputRole::Report, new[&node]);
    builder.finish()
}
