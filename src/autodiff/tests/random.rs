//! Random graphs: of smooth primitives against differences, of all primitives for types.

use super::super::{gradient, tangent};
use super::*;
use crate::ir::random_graph::{RandomGraph, Style, random_graph};
use crate::ir::{Stage, text, verify};
use proptest::prelude::*;

/// 1,000 graphs, or 10,000 with `DLC_FULL=1`.
fn cases() -> u32 {
    if std::env::var_os("DLC_FULL").is_some() { 10_000 } else { 1_000 }
}

struct Problem {
    b: Builder,
    y: NodeId,
    targets: Vec<(NodeId, String)>,
    inputs: Values,
    bindings: Bindings,
}

fn problem(words: &[u64], n: u64) -> Problem {
    let random = random_graph(words, DType::F64, Style::Smooth);
    let bindings = RandomGraph::bindings(n);
    let mut inputs = random.inputs(&bindings, n).unwrap();
    let ends: Vec<NodeId> = random.graph.outputs().iter().map(|o| o.node).collect();
    let mut b = Builder::from_graph(random.graph);
    let floats: Vec<NodeId> = ends.into_iter().filter(|e| b.ty(*e).dtype == DType::F64).collect();
    let targets: Vec<(NodeId, String)> = b
        .graph()
        .inputs()
        .filter_map(|id| match b.graph().op(id) {
            Op::Input(input) if input.ty.dtype == DType::F64 => Some((id, input.name.to_string())),
            _ => None,
        })
        .collect();
    let y = objective(&mut b, &floats);
    fill(&b, &mut inputs, &bindings, n);
    Problem { b, y, targets, inputs, bindings }
}

impl Problem {
    /// Directions as inputs, and as moves of the targets; each target by no more than its share.
    fn directions(&mut self, name: &str) -> (Vec<NodeId>, Values) {
        let nodes: Vec<NodeId> = self
            .targets
            .iter()
            .map(|(x, target)| {
                let ty = self.b.ty(*x).clone();
                self.b.input(&format!("{name}.{target}"), Role::Data, ty)
            })
            .collect();
        fill(&self.b, &mut self.inputs, &self.bindings, name.len() as u64 + 5);
        let moves = self.targets.iter().map(|(_, t)| (t.clone(), self.inputs[&format!("{name}.{t}")].clone()));
        (nodes, moves.collect())
    }
}

/// The sum of all outputs, which are floats of `dtype`.
fn total(b: &mut Builder, dtype: DType) -> NodeId {
    let ends: Vec<NodeId> = b.graph().outputs().iter().map(|o| o.node).collect();
    let mut total = b.constant(dtype, 0.0);
    for end in ends {
        if b.ty(end).dtype == dtype {
            let axes: Vec<usize> = (0..b.ty(end).rank()).collect();
            let sum = b.sum(end, &axes);
            total = b.add(total, sum);
        }
    }
    total
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn derivatives_are_well_typed_graphs(words in prop::collection::vec(any::<u64>(), 1..20), n in any::<u64>()) {
        for dtype in [DType::F32, DType::F64] {
            let random = random_graph(&words, dtype, Style::Any);
            let bindings = RandomGraph::bindings(n);
            let inputs = random.inputs(&bindings, n).unwrap();
            let mut b = Builder::from_graph(random.graph);
            let y = total(&mut b, dtype);
            let targets: Vec<NodeId> = b.graph().inputs().filter(|x| b.ty(*x).dtype == dtype).collect();
            let gradients = gradient(&mut b, y, &targets).unwrap();
            let forward = tangent(&mut b, y, &targets, &targets).unwrap();
            for (x, g) in targets.iter().zip(&gradients) {
                prop_assert_eq!(b.ty(*x), b.ty(*g));
                b.output("g", OutputRole::Report, *g);
            }
            b.output("forward", OutputRole::Report, forward);
            let graph = b.finish();
            prop_assert_eq!(verify(&graph, Stage::Differentiated), Ok(()));
            prop_assert_eq!(text::parse(&graph.to_string()).map(|g| g.to_string()), Ok(graph.to_string()));
            prop_assert!(interpret(&graph, &|name| inputs.get(name).cloned(), &bindings).is_ok());
        }
    }

    #[test]
    fn gradients_of_random_graphs(words in prop::collection::vec(any::<u64>(), 1..14), n in any::<u64>()) {
        let mut p = problem(&words, n);
        let targets: Vec<NodeId> = p.targets.iter().map(|(x, _)| *x).collect();
        let (v, moves) = p.directions("v");
        let (u, _) = p.directions("uu");
        let gradients = gradient(&mut p.b, p.y, &targets).unwrap();
        let forward = tangent(&mut p.b, p.y, &targets, &v).unwrap();
        let directional = |b: &mut Builder, left: &[NodeId], right: &[NodeId]| {
            let mut total = b.constant(DType::F64, 0.0);
            for (l, r) in left.iter().zip(right) {
                let axes: Vec<usize> = (0..b.ty(*l).rank()).collect();
                let product = b.mul(*l, *r);
                let term = b.sum(product, &axes);
                total = b.add(total, term);
            }
            total
        };
        let along_u = directional(&mut p.b, &gradients, &u);
        let along_v = directional(&mut p.b, &gradients, &v);
        let hu = tangent(&mut p.b, along_u, &targets, &v).unwrap();
        let hv = tangent(&mut p.b, along_v, &targets, &u).unwrap();
        let mut wanted = gradients.clone();
        wanted.extend(v.iter().chain(&[forward, hu, hv]));
        let all = values(&p.b, &wanted, &p.inputs, &p.bindings);
        let (g, rest) = all.split_at(gradients.len());
        let (v, rest) = rest.split_at(gradients.len());
        let reverse = dot(g, v);
        let size = g.iter().zip(v).map(|(g, v)| g.to_f64().iter().zip(v.to_f64()).map(|(g, v)| (g * v).abs()).sum::<f64>()).sum::<f64>().max(1e-3);
        let [forward, hu, hv] = [0, 1, 2].map(|k| rest[k].to_f64()[0]);
        prop_assume!(size.is_finite() && size < 1e6 && hu.abs() < 1e6);
        prop_assert!(close(reverse, forward, size, 1e-12), "reverse {reverse} forward {forward}");
        prop_assert!(close(hu, hv, size, 1e-9), "<v,Hu> {hu} <u,Hv> {hv}");
        let numeric = difference(&p.b, p.y, &p.inputs, &moves, 0.01, &p.bindings);
        prop_assert!(close(reverse, numeric, size, 1e-9), "gradient {reverse} difference {numeric}");
        let numeric = difference(&p.b, along_u, &p.inputs, &moves, 0.01, &p.bindings);
        prop_assert!(close(hu, numeric, size.max(hu.abs()), 1e-8), "second {hu} difference {numeric}");
    }
}
