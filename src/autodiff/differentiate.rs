//! Expansion of all requests for derivatives.
//!
//! ```text
//! %1 = tag[id=0](%0)                     %2 = mul(%0, %0)
//! %2 = mul(%1, %1)             becomes   %3 = add(%0, %0)
//! %3 = gradient(%2, %1)                  report "dx" = %3, up to products with 1
//! %4 = project[index=0](%3)
//! report "dx" = %4
//! ```
//! Requests are expanded in topological order, so the value of an outer one holds the expansion of an inner one. Regions are
//! expanded on their own; equal regions stay equal.

use super::{NotDifferentiable, gradient, tangent};
use crate::ir::primitive::Region;
use crate::ir::{Builder, Graph, NodeId, Op};
use std::collections::HashMap;
use std::sync::Arc;

/// Replaces every request by the derivative, then every tag and every value with a derivative of its own by its operand. Dead nodes are dropped, inputs kept.
pub fn differentiate(graph: &Graph) -> Result<Graph, NotDifferentiable> {
    let expanded = expand(graph, &mut HashMap::new())?;
    Ok(drop_tags(&expanded))
}

fn drop_tags(graph: &Graph) -> Graph {
    graph.rebuild(|b, id, operands| match graph.op(id) {
        Op::Tag(_) | Op::Custom(_) => operands[0],
        op => b.push(op.clone(), operands),
    })
}

/// Regions that were expanded before, by identity.
type Regions = HashMap<*const Graph, Region>;

fn expand(graph: &Graph, regions: &mut Regions) -> Result<Graph, NotDifferentiable> {
    let live = graph.live();
    let mut b = Builder::new();
    // The results of each node: several for an expanded gradient.
    let mut new: Vec<Vec<NodeId>> = vec![Vec::new(); graph.len()];
    for id in graph.ids().filter(|id| live[id.index()] || matches!(graph.op(*id), Op::Input(_))) {
        let old = graph.operands(id);
        let operands: Vec<NodeId> = old.iter().filter_map(|o| new[o.index()].first().copied()).collect();
        b.set_origin(graph.node(id).origin.clone());
        new[id.index()] = match graph.op(id) {
            Op::Gradient(_) => gradient(&mut b, operands[0], &operands[1..])?,
            Op::Tangent(_) => {
                let (xs, vs) = operands[1..].split_at(operands.len() / 2);
                vec![tangent(&mut b, operands[0], xs, vs)?]
            }
            Op::Project(project) if matches!(graph.op(old[0]), Op::Gradient(_)) => {
                vec![new[old[0].index()][project.index]]
            }
            op => vec![b.push(op.map_regions(|region| expand_region(region, regions))?, &operands)],
        };
    }
    for output in graph.outputs() {
        b.output(output.name.clone(), output.role.clone(), new[output.node.index()][0]);
    }
    Ok(b.finish())
}

fn expand_region(region: &Region, regions: &mut Regions) -> Result<Region, NotDifferentiable> {
    if let Some(known) = regions.get(&Arc::as_ptr(&region.0)) {
        return Ok(known.clone());
    }
    let expanded = Region(Arc::new(drop_tags(&expand(&region.0, regions)?)));
    regions.insert(Arc::as_ptr(&region.0), expanded.clone());
    Ok(expanded)
}
