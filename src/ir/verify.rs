//! The verifier: what every graph must satisfy, checked after each transformation.
//!
//! Input: a graph. Output: nothing, or the first violation in node order, named. It never changes the graph.

use super::primitive::{Gradient, Scan, Tag, Tangent, While};
use super::{Graph, NodeId, Op, OutputRole, Type};
use std::collections::{BTreeMap, BTreeSet};

/// What the graph has been through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Requests for derivatives and tags may be there.
    Elaborated,
    /// Neither requests nor tags are left.
    Differentiated,
}

/// Types are what the primitives infer, operands stand before their users, inputs have names of their own, outputs fit, and
/// nothing is left of an earlier stage; the same inside regions.
pub fn verify(graph: &Graph, stage: Stage) -> Result<(), String> {
    let mut names = BTreeSet::new();
    // Of the node projected last: there is a projection for each of its results, one after the other.
    let mut of_results: Option<(NodeId, Option<Vec<Type>>)> = None;
    for id in graph.ids() {
        let fail = |why: String| Err(format!("{id} = {}: {why}", graph.op(id).primitive().name()));
        let operands = graph.operands(id);
        if let Some(late) = operands.iter().find(|o| **o >= id) {
            return fail(format!("uses {late}, which stands after it"));
        }
        let types: Vec<&Type> = operands.iter().map(|o| graph.ty(*o)).collect();
        match graph.op(id).primitive().infer(&types) {
            Err(why) => return fail(why),
            Ok(ty) if &ty != graph.ty(id) => return fail(format!("has type {}, expected {ty}", graph.ty(id))),
            Ok(_) => {}
        }
        match graph.op(id) {
            Op::Input(input) if !names.insert(input.name.clone()) => {
                return fail(format!("a second input called {}", input.name));
            }
            Op::Tag(Tag { .. }) | Op::Gradient(Gradient) | Op::Tangent(Tangent) if stage == Stage::Differentiated => {
                return fail("left after differentiation".into());
            }
            Op::Project(project) => {
                let of = operands[0];
                if of_results.as_ref().is_none_or(|(known, _)| *known != of) {
                    of_results = Some((of, results(graph, of)));
                }
                let types = of_results.as_ref().and_then(|(_, types)| types.as_deref());
                if let Err(why) = project_fits(types, of, project.index, &project.ty) {
                    return fail(why);
                }
            }
            op => {
                for region in op.regions() {
                    if let Err(why) = verify(&region.0, stage) {
                        return fail(format!("in a region: {why}"));
                    }
                }
            }
        }
    }
    outputs(graph)
}

/// The types of the results that [`super::primitive::Project`] takes from a node.
fn results(graph: &Graph, id: NodeId) -> Option<Vec<Type>> {
    Some(match graph.op(id) {
        Op::Scan(Scan { body, carried, length, .. }) => {
            let mut types = body.results();
            types[*carried..].iter_mut().for_each(|ty| ty.dims.insert(0, length.clone()));
            types
        }
        Op::While(While { body, .. }) => body.results(),
        Op::Call(call) => call.body.results(),
        Op::Gradient(Gradient) => graph.operands(id)[1..].iter().map(|x| graph.ty(*x).clone()).collect(),
        _ => return None,
    })
}

fn project_fits(results: Option<&[Type]>, of: NodeId, index: usize, ty: &Type) -> Result<(), String> {
    let results = results.ok_or_else(|| format!("{of} has one result"))?;
    match results.get(index) {
        Some(expected) if expected == ty => Ok(()),
        Some(expected) => Err(format!("result {index} has type {expected}, not {ty}")),
        None => Err(format!("{of} has {} results, not {index}", results.len())),
    }
}

fn outputs(graph: &Graph) -> Result<(), String> {
    let mut next = BTreeSet::new();
    let name = |id: NodeId| if let Op::Input(input) = graph.op(id) { Some((input.name.clone(), id)) } else { None };
    let inputs: BTreeMap<_, NodeId> = graph.inputs().filter_map(name).collect();
    for output in graph.outputs() {
        if output.node.index() >= graph.len() {
            return Err(format!("output {}: {} does not exist", output.name, output.node));
        }
        if output.role != OutputRole::Next {
            continue;
        }
        let input = inputs.get(&output.name).copied();
        let input = input.ok_or_else(|| format!("output {}: no input has this name", output.name))?;
        if graph.ty(input) != graph.ty(output.node) {
            return Err(format!("output {}: {} for {}", output.name, graph.ty(output.node), graph.ty(input)));
        }
        if !next.insert(output.name.clone()) {
            return Err(format!("output {}: has two next values", output.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::primitive::Project;
    use crate::ir::{Builder, DType, Role};

    #[test]
    fn tags_and_requests_are_refused_after_differentiation() {
        let mut b = Builder::new();
        let x = b.input("x", Role::Parameter, Type::scalar(DType::F64));
        let x = b.tag(x);
        let y = b.mul(x, x);
        let request = b.push(Gradient, &[y, x]);
        let dx = b.push(Project { index: 0, ty: Type::scalar(DType::F64) }, &[request]);
        b.output("x", OutputRole::Next, dx);
        let graph = b.finish();
        assert_eq!(verify(&graph, Stage::Elaborated), Ok(()));
        let error = verify(&graph, Stage::Differentiated).unwrap_err();
        assert!(error.contains("%1 = tag: left after differentiation"), "{error}");
    }

    #[test]
    fn results_and_outputs_must_fit() {
        let mut b = Builder::new();
        let x = b.input("x", Role::Parameter, Type::new(DType::F64, vec![3.into()]));
        let sum = b.sum(x, &[0]);
        let request = b.push(Gradient, &[sum, x]);
        let wrong = b.push(Project { index: 0, ty: Type::scalar(DType::F64) }, &[request]);
        b.output("dx", OutputRole::Report, wrong);
        assert!(verify(b.graph(), Stage::Elaborated).unwrap_err().contains("result 0 has type f64[3]"));
        let mut b = Builder::new();
        let x = b.input("x", Role::Parameter, Type::new(DType::F64, vec![3.into()]));
        let sum = b.sum(x, &[0]);
        b.output("x", OutputRole::Next, sum);
        assert_eq!(verify(b.graph(), Stage::Elaborated), Err("output x: f64[] for f64[3]".into()));
    }
}
