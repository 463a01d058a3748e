//! What runs at the same time, and what in tiles of rows.

use super::check;
use crate::ir::primitive::Contraction;
use crate::ir::{Builder, DType, Graph, NodeId, OutputRole, Role, Size, Type};
use crate::schedule::{Program, Work};

fn ty(dims: &[Size]) -> Type {
    Type::new(DType::F32, dims.to_vec())
}

fn product(b: &mut Builder, x: NodeId, y: NodeId, pair: (usize, usize)) -> NodeId {
    b.push(Contraction { batch: vec![], contract: vec![pair] }, &[x, y])
}

/// Takes a step against a gradient and half of what the parameter weighs.
fn descend(b: &mut Builder, name: &str, parameter: NodeId, gradient: NodeId) {
    let rate = b.full_like(gradient, 0.125);
    let change = b.mul(rate, gradient);
    let new = b.sub(parameter, change);
    b.output(name, OutputRole::Next, new);
}

/// Two layers with relu between them, an objective whose gradient by the result is the result, and plain descent; with a
/// penalty on the first weight that only the report shows.
fn perceptron(inputs: u64, hidden: u64, outputs: u64) -> Graph {
    let n = Size::symbol("N");
    let mut b = Builder::new();
    let x = b.input("x", Role::Data, ty(&[n, inputs.into()]));
    let w = b.input("w", Role::Parameter, ty(&[inputs.into(), hidden.into()]));
    let bias = b.input("bias", Role::Parameter, ty(&[hidden.into()]));
    let v = b.input("v", Role::Parameter, ty(&[hidden.into(), outputs.into()]));
    let z = product(&mut b, x, w, (1, 0));
    let dims = b.dims(z);
    let spread = b.broadcast(bias, &[1], &dims);
    let z = b.add(z, spread);
    let zero = b.full_like(z, 0.0);
    let h = b.maximum(z, zero);
    let y = product(&mut b, h, v, (1, 0));
    let squares = b.mul(y, y);
    let loss = b.sum(squares, &[0, 1]);
    let weight = b.mul(w, w);
    let penalty = b.sum(weight, &[0, 1]);
    let total = b.add(loss, penalty);
    b.output("loss", OutputRole::Report, total);
    let back = product(&mut b, y, v, (1, 1));
    let active = b.less(zero, z);
    let back = b.select(active, back, zero);
    let gradients = [product(&mut b, x, back, (0, 0)), b.sum(back, &[0]), product(&mut b, h, y, (0, 0))];
    for ((name, parameter), gradient) in [("w", w), ("bias", bias), ("v", v)].into_iter().zip(gradients) {
        descend(&mut b, name, parameter, gradient);
    }
    b.finish()
}

fn products(program: &Program, steps: std::ops::Range<usize>) -> usize {
    program.steps[steps].iter().filter(|s| matches!(s.work, Work::Product(_))).count()
}

#[test]
fn rows_of_the_batch_run_through_the_whole_net_and_rows_of_a_gradient_through_its_update() {
    let program = check(&perceptron(40, 24, 8), 64, 64);
    let rows = |wave: usize| {
        let chains = program.waves[wave].chains.iter();
        chains.filter_map(|c| Some((c.rows.clone()?.to_string(), products(&program, c.steps())))).collect::<Vec<_>>()
    };
    // Forwards and backwards in one chain; beside it, what is known of the parameters alone.
    assert!(rows(0).contains(&("N".into(), 3)), "{program}");
    assert_eq!(program.waves[0].chains.len(), 2, "{program}");
    assert!(rows(1).contains(&("40".into(), 1)) && rows(1).contains(&("24".into(), 1)), "{program}");
    // A gradient is only ever there for the rows of a tile.
    for chain in program.waves[1].chains.iter().filter(|c| products(&program, c.steps()) == 1) {
        assert_eq!((chain.scales.len(), chain.private.len()), (2, 1), "{program}");
    }
    for n in [0, 1, 5, 63] {
        check(&perceptron(40, 24, 8), 64, n);
    }
}

/// Two layers of so many columns; the mean over the rows is taken from each column of the first one's result.
fn centred(width: u64) -> Graph {
    let n = Size::symbol("N");
    let mut b = Builder::new();
    let x = b.input("x", Role::Data, ty(&[n, width.into()]));
    let w = b.input("w", Role::Parameter, ty(&[width.into(), width.into()]));
    let z = product(&mut b, x, w, (1, 0));
    let total = b.sum(z, &[0]);
    let dims = b.dims(z);
    let spread = b.broadcast(total, &[1], &dims);
    let centred = b.sub(z, spread);
    let y = product(&mut b, centred, w, (1, 0));
    b.output("y", OutputRole::Report, y);
    b.finish()
}

#[test]
fn what_looks_across_rows_begins_a_wave() {
    let program = check(&centred(48), 32, 17);
    // The product by rows, the sums column by column with what they are taken from, and a product by rows again.
    let rows = |k: usize| program.waves[k].chains[0].rows.clone().unwrap().to_string();
    assert_eq!((program.waves.len(), rows(0), rows(1), rows(2)), (3, "N".into(), "48".into(), "N".into()), "{program}");
}

#[test]
fn what_looks_down_many_columns_follows_their_product() {
    for n in [0, 1, 17, 32] {
        let program = check(&centred(64), 32, n);
        let chains: Vec<_> = program.waves.iter().map(|wave| &wave.chains[0]).collect();
        let [first, second] = chains.as_slice() else { panic!("{program}") };
        assert_eq!((first.steps(), first.down, first.columns.first()), (0..2, 1, Some(&(0..2))), "{program}");
        assert_eq!((second.steps(), second.down), (2..3, 0), "{program}");
    }
}
