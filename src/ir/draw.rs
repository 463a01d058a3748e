//! Pictures of a graph: DOT text for Graphviz, and SVG laid out by `layout-rs`.
//!
//! Input: a graph. Output: the same text for the same graph. Constants, stretched or not, are written into the labels of
//! their users, since as nodes they would be half of the picture; everything else is a box with the primitive, its
//! type and the application path it comes from. In DOT, nodes of one path stand in one cluster.

use super::primitive::Role;
use super::{Graph, NodeId, Op, OutputRole};
use layout::backends::svg::SVGWriter;
use layout::core::base::Orientation;
use layout::core::color::Color;
use layout::core::geometry::Point;
use layout::core::style::StyleAttr;
use layout::std_shapes::shapes::{Arrow, Element, ShapeKind};
use layout::topo::layout::VisualGraph;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Above this many boxes, edges are laid out without the search for fewer crossings, whose time is quadratic.
const TIDY: usize = 120;

/// The graph as DOT text.
pub fn dot(graph: &Graph) -> String {
    let mut out =
        String::from("digraph step {\n  rankdir=TB;\n  node [shape=box, style=filled, fontname=\"Helvetica\"];\n");
    let mut clusters: BTreeMap<&str, Vec<NodeId>> = BTreeMap::new();
    let shown = shown(graph);
    for id in graph.ids().filter(|id| shown[id.index()]) {
        clusters.entry(&graph.node(id).origin.path).or_default().push(id);
    }
    for (k, (path, nodes)) in clusters.iter().enumerate() {
        let indent = if path.is_empty() {
            "  "
        } else {
            let _ = writeln!(out, "  subgraph cluster_{k} {{\n    label={};", quoted(path));
            "    "
        };
        for id in nodes {
            let label = quoted(&lines(graph, *id, false).join("\n"));
            let _ = writeln!(out, "{indent}n{} [label={label}, fillcolor=\"{}\"];", id.index(), color(graph.op(*id)));
        }
        if !path.is_empty() {
            out.push_str("  }\n");
        }
    }
    for (from, to) in edges(graph, &shown) {
        let _ = writeln!(out, "  n{} -> n{};", from.index(), to.index());
    }
    for (k, output) in graph.outputs().iter().enumerate() {
        let label = quoted(&output_label(graph, k));
        let _ = writeln!(out, "  o{k} [label={label}, shape=ellipse, fillcolor=\"palegreen\"];");
        if shown[output.node.index()] {
            let _ = writeln!(out, "  n{} -> o{k};", output.node.index());
        }
    }
    out.push_str("}\n");
    out
}

/// The graph as an SVG picture.
pub fn svg(graph: &Graph) -> String {
    let shown = shown(graph);
    let mut picture = VisualGraph::new(Orientation::TopToBottom);
    let mut handles = BTreeMap::new();
    for id in graph.ids().filter(|id| shown[id.index()]) {
        handles.insert(id, picture.add_node(element(&lines(graph, id, true), color(graph.op(id)))));
    }
    let edges = edges(graph, &shown);
    let plain = StyleAttr::new(Color::fast("dimgray"), 1, None, 0, FONT);
    let arrow = || Arrow { look: plain.clone(), ..Arrow::simple("") };
    for (from, to) in &edges {
        picture.add_edge(arrow(), handles[from], handles[to]);
    }
    for (k, output) in graph.outputs().iter().enumerate() {
        let handle = picture.add_node(element(&[output_label(graph, k)], "palegreen"));
        if let Some(from) = handles.get(&output.node) {
            picture.add_edge(arrow(), *from, handle);
        }
    }
    if picture.num_nodes() == 0 {
        picture.add_node(element(&["empty graph".into()], "white"));
    }
    let mut writer = SVGWriter::new();
    let large = picture.num_nodes() > TIDY;
    picture.do_it(false, large, false, &mut writer);
    writer.finalize()
}

/// One size for every text: the writer lists the sizes it met in no fixed order.
const FONT: usize = 13;

fn element(lines: &[String], fill: &str) -> Element {
    let width = lines.iter().map(|l| l.chars().count()).max().unwrap_or(0);
    let size = Point::new(20.0 + 8.0 * width as f64, 16.0 + (FONT + 3) as f64 * lines.len() as f64);
    let look = StyleAttr::new(Color::fast("dimgray"), 1, Some(Color::fast(fill)), 4, FONT);
    Element::create(ShapeKind::new_box(&lines.join("\n")), look, Orientation::TopToBottom, size)
}

/// The value of a constant, stretched or not.
fn constant(graph: &Graph, mut id: NodeId) -> Option<f64> {
    loop {
        match graph.op(id) {
            Op::Constant(c) => return Some(c.value()),
            Op::Broadcast(_) => id = graph.operands(id)[0],
            _ => return None,
        }
    }
}

/// Live nodes and inputs that are not constants; a constant only where it is an output itself.
fn shown(graph: &Graph) -> Vec<bool> {
    let live = graph.live();
    let mut shown: Vec<bool> = graph
        .ids()
        .map(|id| matches!(graph.op(id), Op::Input(_)) || live[id.index()] && constant(graph, id).is_none())
        .collect();
    for output in graph.outputs() {
        shown[output.node.index()] = true;
    }
    shown
}

/// Edges between shown nodes, each once, however often an operand is used by one node.
fn edges(graph: &Graph, shown: &[bool]) -> Vec<(NodeId, NodeId)> {
    let mut edges = Vec::new();
    for id in graph.ids().filter(|id| shown[id.index()]) {
        let mut operands: Vec<NodeId> = graph.operands(id).into_iter().filter(|o| shown[o.index()]).collect();
        operands.sort();
        operands.dedup();
        edges.extend(operands.into_iter().map(|o| (o, id)));
    }
    edges
}

fn lines(graph: &Graph, id: NodeId, with_path: bool) -> Vec<String> {
    let node = graph.node(id);
    let mut first = match &node.op {
        Op::Input(input) => input.name.to_string(),
        Op::Constant(c) => c.value().to_string(),
        op => op.primitive().name().to_string(),
    };
    let operands = graph.operands(id);
    if operands.iter().any(|o| constant(graph, *o).is_some()) {
        let written = |o: &NodeId| constant(graph, *o).map_or("·".into(), |v| v.to_string());
        let _ = write!(first, " ({})", operands.iter().map(written).collect::<Vec<String>>().join(", "));
    }
    let mut lines = vec![first, node.ty.to_string()];
    if with_path && !node.origin.path.is_empty() {
        lines.push(node.origin.path.to_string());
    }
    lines
}

fn output_label(graph: &Graph, k: usize) -> String {
    let output = &graph.outputs()[k];
    match output.role {
        OutputRole::Next => format!("{}'", output.name),
        OutputRole::Report => output.name.to_string(),
    }
}

fn color(op: &Op) -> &'static str {
    match op {
        Op::Input(input) => match input.role {
            Role::Parameter => "lightskyblue",
            Role::State => "lightsteelblue",
            _ => "khaki",
        },
        Op::Contraction(_) => "lightsalmon",
        Op::ReduceSum(_) | Op::ReduceMax(_) | Op::ArgMax(_) | Op::Order(_) | Op::Gather(_) | Op::ScatterAdd(_) => {
            "wheat"
        }
        Op::Broadcast(_)
        | Op::Permute(_)
        | Op::Reshape(_)
        | Op::Slice(_)
        | Op::Pad(_)
        | Op::Concat(_)
        | Op::Project(_) => "whitesmoke",
        Op::Scan(_) | Op::While(_) | Op::Call(_) | Op::Gradient(_) | Op::Tangent(_) => "plum",
        _ => "white",
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::super::{Builder, DType, Origin, Size, Type};
    use super::*;

    /// A chain of `depth` steps in which every step also reads the first value.
    fn chain(depth: usize) -> Graph {
        let mut b = Builder::new();
        let x = b.input("x", Role::Data, Type::new(DType::F32, vec![Size::symbol("N"), 4.into()]));
        let mut y = x;
        for k in 0..depth {
            b.set_origin(Origin { span: None, path: format!("net.step_{}", k / 8).into() });
            let shift = b.full_like(y, k as f64);
            let shifted = b.add(y, shift);
            let bent = b.tanh(shifted);
            y = b.mul(bent, x);
        }
        b.output("y", OutputRole::Report, y);
        b.finish()
    }

    #[test]
    fn dot_shows_primitives_types_paths_and_constants_in_their_users() {
        let text = dot(&chain(1));
        assert!(text.contains("label=\"add (·, 0)\\nf32[N, 4]\""), "{text}");
        assert!(text.contains("label=\"net.step_0\""), "{text}");
        assert!(!text.contains("broadcast"), "{text}");
        assert_eq!(text.matches(" -> ").count(), 5, "{text}");
    }

    #[test]
    fn svg_is_the_same_each_time_and_large_graphs_are_drawn() {
        let graph = chain(100);
        let picture = svg(&graph);
        assert_eq!(picture, svg(&graph));
        assert_eq!(picture.matches(">tanh</tspan>").count(), 100);
        assert!(picture.len() < 4_000_000, "{} bytes", picture.len());
    }

    #[test]
    fn labels_are_escaped() {
        let mut b = Builder::new();
        let x = b.input("a\"<b>", Role::Data, Type::scalar(DType::F32));
        b.output("y", OutputRole::Report, x);
        let graph = b.finish();
        assert!(dot(&graph).contains("a\\\"<b>"));
        assert!(!svg(&graph).contains("<b>"));
    }
}
