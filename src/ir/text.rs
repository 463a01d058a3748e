//! The text form of a graph, which parses back to an equal graph.
//!
//! ```text
//! %0 = input[name="x", role=data, type=f32[N, 64]]() : f32[N, 64]
//! %1 = tanh(%0) : f32[N, 64]  # classifier.hidden
//! report "h" = %1
//! ```
//! A line is a node or an output (`report "name"`, `next "input"`); a region is a graph between braces. A comment after
//! two spaces and `#` is the node's path. Spans are not written.

use super::attributes::{Attributes, bare, closing, split, unquote};
use super::{Builder, Graph, NodeId, Op, Origin, OutputRole};
use std::collections::BTreeMap;
use std::fmt;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for id in self.ids() {
            let node = self.node(id);
            write!(f, "{id} = {}", node.op.primitive().name())?;
            let attributes = node.op.primitive().attributes();
            if !attributes.is_empty() {
                write!(f, "[{attributes}]")?;
            }
            let operands: Vec<String> = self.operands(id).iter().map(NodeId::to_string).collect();
            write!(f, "({}) : {}", operands.join(", "), node.ty)?;
            if !node.origin.path.is_empty() {
                write!(f, "  # {}", node.origin.path)?;
            }
            writeln!(f)?;
        }
        for output in self.outputs() {
            let role = match output.role {
                OutputRole::Next => "next",
                OutputRole::Report => "report",
            };
            writeln!(f, "{role} {:?} = {}", output.name, output.node)?;
        }
        Ok(())
    }
}

/// Reads the text form. Node names need not ascend, but a node stands before its users.
pub fn parse(text: &str) -> Result<Graph, String> {
    let mut builder = Builder::new();
    let mut nodes: BTreeMap<String, NodeId> = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (line, after) = next_line(rest)?;
        rest = after.trim_start();
        let equals = || format!("`{line}` is no node and no output");
        if !line.starts_with('%') {
            let (output, node) = line.rsplit_once(" = ").ok_or_else(equals)?;
            let (role, name) = output.split_once(' ').ok_or_else(equals)?;
            let role = match role {
                "next" => OutputRole::Next,
                "report" => OutputRole::Report,
                _ => return Err(format!("`{role}` is no role of an output")),
            };
            builder.output(unquote(name)?, role, find(&nodes, node)?);
            continue;
        }
        let (left, right) = line.split_once(" = ").ok_or_else(equals)?;
        let node = parse_node(&mut builder, &nodes, right)?;
        nodes.insert(left.to_string(), node);
    }
    Ok(builder.finish())
}

/// The next line, which ends at a line end outside of brackets and quotes.
fn next_line(text: &str) -> Result<(&str, &str), String> {
    let mut depth = 0usize;
    for (at, c) in bare(text) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.checked_sub(1).ok_or("a bracket closes nothing")?,
            '\n' if depth == 0 => return Ok((text[..at].trim_end(), &text[at..])),
            _ => {}
        }
    }
    if depth == 0 { Ok((text.trim_end(), "")) } else { Err("a bracket stays open".into()) }
}

fn find(nodes: &BTreeMap<String, NodeId>, name: &str) -> Result<NodeId, String> {
    nodes.get(name).copied().ok_or_else(|| format!("{name} is not defined above its use"))
}

/// Reads `name[attributes](operands) : type  # path`.
fn parse_node(builder: &mut Builder, nodes: &BTreeMap<String, NodeId>, text: &str) -> Result<NodeId, String> {
    let start = text.find(['[', '(']).ok_or_else(|| format!("`{text}` has no operands"))?;
    let (name, mut rest) = text.split_at(start);
    let mut attributes = Attributes::none();
    if rest.starts_with('[') {
        let end = closing(rest).ok_or("a bracket stays open")?;
        attributes = Attributes::parse(&rest[1..end])?;
        rest = &rest[end + 1..];
    }
    let end = closing(rest).ok_or("a bracket stays open")?;
    let operands = rest.get(1..end).ok_or_else(|| format!("`{text}` has no operands"))?;
    let operands = split(operands).into_iter().map(|o| find(nodes, o)).collect::<Result<Vec<_>, _>>()?;
    let (ty, path) = rest[end + 1..].split_once("  # ").unwrap_or((&rest[end + 1..], ""));
    builder.set_origin(Origin { span: None, path: path.trim().into() });
    let node = builder.try_push(Op::parse(name, &attributes)?, &operands)?;
    let written = ty.trim().strip_prefix(": ").ok_or_else(|| format!("`{text}` has no type"))?.parse()?;
    if builder.ty(node) != &written {
        return Err(format!("{name} gives {}, not {written}", builder.ty(node)));
    }
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Bindings, DType, Role, Symbol, interpret};

    #[test]
    fn every_sample_parses_back() {
        for dtype in [DType::F32, DType::F64] {
            for sample in Op::samples(dtype) {
                let mut b = Builder::new();
                let inputs = sample.operands.iter().enumerate();
                let inputs: Vec<NodeId> =
                    inputs.map(|(k, (ty, _))| b.input(&format!("x{k} \"[,"), Role::Data, ty.clone())).collect();
                b.set_origin(Origin { span: None, path: "grad of net.\"]hidden".into() });
                let node = b.push(sample.op, &inputs);
                b.output("y = \n", OutputRole::Report, node);
                let text = b.finish().to_string();
                let parsed = parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
                assert_eq!(parsed.to_string(), text);
            }
        }
    }

    #[test]
    fn a_graph_is_read_as_it_is_written() {
        let text = "%0 = input[name=\"x\", role=parameter, type=f64[N, 2*K + 1]]() : f64[N, 2*K + 1]\n\
            %1 = tanh(%0) : f64[N, 2*K + 1]  # net\n\
            next \"x\" = %1\n";
        assert_eq!(parse(text).map(|g| g.to_string()), Ok(text.to_string()));
    }

    #[test]
    fn mistakes_are_told() {
        let input = "%0 = input[name=\"x\", role=data, type=f64[3]]() : f64[3]\n";
        let cases = [
            ("%1 = tanh(%2) : f64[3]", "%2 is not defined"),
            ("%1 = tanh(%0) : f64[4]", "tanh gives f64[3]"),
            ("%1 = tan(%0) : f64[3]", "no primitive"),
            ("%1 = sum(%0) : f64[]", "`axes` is missing"),
            ("%1 = sum[axes=(0](%0) : f64[]", ""),
            ("report x = %0", "is no text"),
        ];
        for (line, expected) in cases {
            let error = parse(&format!("{input}{line}\n")).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn parsed_regions_run() {
        let scan = Op::samples(DType::F64).into_iter().find(|s| matches!(s.op, Op::Scan(_))).unwrap();
        let mut b = Builder::new();
        let operands: Vec<NodeId> =
            (0..3).map(|k| b.input(&k.to_string(), Role::Data, scan.operands[k].0.clone())).collect();
        let node = b.push(scan.op.clone(), &operands);
        let ty = scan.operands[1].0.clone();
        let rows = b.push(crate::ir::primitive::Project { index: 1, ty }, &[node]);
        b.output("rows", OutputRole::Report, rows);
        let graph = b.finish();
        let bindings = Bindings::from([(Symbol::new("N"), 4)]);
        let values = scan.draw(&bindings, 1).unwrap();
        let inputs = |name: &str| name.parse::<usize>().ok().map(|k| values[k].clone());
        let expected = interpret(&graph, &inputs, &bindings).unwrap();
        let (start, x, scale) = (values[0].to_f64(), values[1].to_f64(), values[2].to_f64());
        let last = start[0] + (0..4).fold(0.0, |sum, k| sum + x[3 * k] * scale[0]);
        assert!((expected[0].to_f64()[9] - last).abs() < 1e-12);
        assert_eq!(interpret(&parse(&graph.to_string()).unwrap(), &inputs, &bindings).unwrap(), expected);
    }
}
