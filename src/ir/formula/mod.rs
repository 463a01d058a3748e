//! A graph as mathematics: `dlc grad`.
//!
//! Input: a graph without requests for derivatives, whose reports are `loss` and `grad PATH`. Output: text in `.dl` syntax, an
//! equation a line, each with its shape:
//!
//! ```text
//! z1 = x @ mlp.hidden.W + mlp.hidden.b  # [N, 8]
//! h1 = tanh(z1)                         # [N, 8]
//! ```
//! A value gets a name if it is used twice or if its expression would be too long; broadcasting, conversions of element
//! types and guards against infinities are not written. The rules of exact algebra tidy the text, so it may round
//! differently from the graph. Invariant: the same text for the same graph.

mod axes;
mod elementwise;
mod form;
mod listing;
mod names;
mod softmax;
mod view;

use crate::ir::{Graph, NodeId, Op, Role};
use form::{Form, Kind, Writer};
use listing::Listing;
use std::collections::BTreeSet;

/// Where a comment stands at the latest, if its equation leaves it room.
const COMMENTS_AT: usize = 72;

/// The loss and the derivatives, as text; only by parameters whose path begins with `of`, if it is given.
pub fn formula(graph: &Graph, of: Option<&str>) -> String {
    let chosen = |name: &str| match name.strip_prefix("grad ") {
        Some(path) => of.is_none_or(|of| path.starts_with(of)),
        None => true,
    };
    let outputs: Vec<(&str, NodeId)> =
        graph.outputs().iter().filter(|o| chosen(&o.name)).map(|o| (&*o.name, o.node)).collect();
    let nodes: Vec<NodeId> = outputs.iter().map(|o| o.1).collect();
    let listing = Listing::new(graph, &nodes);

    let (groups, bound) = grouped(&listing, &outputs);
    let names = listing.parts.names(graph, &bound, &listing.softmaxes, &taken(graph));
    let name = |id: NodeId| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
    let writer = Writer { name: &name };

    let mut lines: Vec<(String, String)> = Vec::new();
    for (ids, (output, node)) in groups.iter().zip(&outputs) {
        for id in ids {
            let binding = &listing.bindings[id];
            let left = format!("{}{}", name(*id), bracketed(&binding.indices));
            let path = &graph.node(*id).origin.path;
            let shape =
                listing.axes.shape(if binding.indices.is_empty() { &binding.form.axes } else { listing.axes.of(*id) });
            let comment =
                if listing.parts.is_layer(*id) && !path.is_empty() { format!("{shape} {path}") } else { shape };
            lines.push((format!("{left} = {}", writer.text(&binding.form)), comment));
        }
        let shape = listing.axes.shape(listing.axes.of(*node));
        lines.push((written_output(&listing, &writer, &bound, output, *node), shape));
    }
    let width = lines.iter().map(|l| l.0.chars().count()).filter(|n| *n <= COMMENTS_AT).max().unwrap_or(0);
    let mut out = header(graph, &listing);
    for (k, (line, comment)) in lines.iter().enumerate() {
        let first_derivative = line.starts_with("grad ") || k > 0 && lines[k - 1].0.starts_with("loss ");
        if first_derivative && lines.get(k.wrapping_sub(1)).is_some_and(|l| l.0.starts_with("loss ")) {
            out.push('\n');
        }
        out += &format!("{line:<width$}  # {comment}\n");
    }
    out
}

/// For each output the values to name before it, and all of them, ascending. A value that only one output is, is written there.
fn grouped(listing: &Listing, outputs: &[(&str, NodeId)]) -> (Vec<Vec<NodeId>>, Vec<NodeId>) {
    let mut all: BTreeSet<NodeId> = BTreeSet::new();
    let mut groups = Vec::new();
    let mut references: Vec<NodeId> = Vec::new();
    listing.bindings.values().for_each(|b| b.form.references(&mut references));
    for (_, node) in outputs {
        let mut pending = Vec::new();
        let node = listing.written_as(*node);
        if let Some(form) = &listing.forms[node.index()] {
            form.references(&mut pending);
        }
        let alone = !references.contains(&node)
            && outputs.iter().filter(|o| listing.written_as(o.1) == node).count() == 1
            && listing.forms[node.index()].as_ref().is_some_and(|f| f.kind == Kind::Bound(node));
        let mut group = BTreeSet::new();
        while let Some(id) = pending.pop() {
            if let Some(binding) = listing.bindings.get(&id)
                && !all.contains(&id)
                && !group.contains(&id)
            {
                binding.form.references(&mut pending);
                if !(alone && id == node) {
                    group.insert(id);
                }
            }
        }
        all.extend(&group);
        groups.push(group.into_iter().collect());
    }
    (groups, all.into_iter().collect())
}

fn written_output(listing: &Listing, writer: &Writer, bound: &[NodeId], output: &str, node: NodeId) -> String {
    let inner = listing.written_as(node);
    let rank = listing.graph.ty(node).rank();
    let Some(form) = &listing.forms[inner.index()] else { return format!("{output} = {inner}") };
    if form.kind == Kind::Bound(inner)
        && !bound.contains(&inner)
        && let Some(binding) = listing.bindings.get(&inner)
    {
        return format!("{output}{} = {}", bracketed(&binding.indices), writer.text(&binding.form));
    }
    let text = writer.text(form);
    let path = output.strip_prefix("grad ");
    match path {
        Some(path) if form.axes.len() < rank && form.is_number(0.0) => format!("{output} = zeros(like: {path})"),
        Some(path) if form.axes.len() < rank => {
            let like = Form::word(format!("ones(like: {path})"), &[]);
            format!("{output} = {}", writer.text(&form::times(form, &like, &[])))
        }
        _ => format!("{output} = {text}"),
    }
}

fn bracketed(indices: &[String]) -> String {
    if indices.is_empty() { String::new() } else { format!("[{}]", indices.join(", ")) }
}

/// The names that inputs have, whole and first parts of paths.
fn taken(graph: &Graph) -> BTreeSet<String> {
    let inputs = graph.inputs().filter_map(|id| match graph.op(id) {
        Op::Input(input) => Some(input.name.split('.').next().unwrap_or_default().to_owned()),
        _ => None,
    });
    inputs.chain(["N", "loss", "grad"].map(str::to_owned)).collect()
}

/// The shapes of data and parameters that are read, as comments.
fn header(graph: &Graph, listing: &Listing) -> String {
    let mut out = String::new();
    for role in [Role::Data, Role::Parameter, Role::State] {
        for id in graph.inputs().filter(|id| listing.forms[id.index()].is_some()) {
            let Op::Input(input) = graph.op(id) else { continue };
            if input.role != role {
                continue;
            }
            let shape = listing.axes.shape(listing.axes.of(id));
            let element = if graph.ty(id).dtype.is_int() { "int" } else { "" };
            out += &format!("# {}: {element}{shape}\n", input.name);
        }
    }
    if out.is_empty() { out } else { out + "\n" }
}

#[cfg(test)]
mod tests;
