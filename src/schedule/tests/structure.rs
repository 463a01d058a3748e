//! What fusion promises: kernels per parameter, passes over memory, no copies for views.

use super::{check, inputs, program, sizes};
use crate::ir::primitive::{Contraction, Gather, Iota, Permute, Random, Slice};
use crate::ir::{Builder, DType, Graph, NodeId, OutputRole, Role, Size, Type};
use crate::schedule::kernel::Stmt;
use crate::schedule::{Options, Place, Program, ScheduleError, schedule};

const F: DType = DType::F32;

fn ty(dims: &[Size]) -> Type {
    Type::new(F, dims.to_vec())
}

fn dims(sizes: &[u64]) -> Vec<Size> {
    sizes.iter().map(|n| Size::constant(*n)).collect()
}

fn matmul(b: &mut Builder, x: NodeId, y: NodeId, pair: (usize, usize)) -> NodeId {
    b.push(Contraction { batch: vec![], contract: vec![pair] }, &[x, y])
}

fn scalar(b: &mut Builder, value: f64, like: NodeId) -> NodeId {
    b.full_like(like, value)
}

/// Adam: new values of a parameter and of its two moments.
fn adam(b: &mut Builder, name: &str, parameter: NodeId, gradient: NodeId) {
    let state = b.ty(parameter).clone();
    let (mn, vn) = (format!("{name}.m"), format!("{name}.v"));
    let m = b.input(&mn, Role::State, state.clone());
    let v = b.input(&vn, Role::State, state);
    let step = b.input("step", Role::Step, Type::scalar(DType::I64));
    let one = b.constant(DType::I64, 1.0);
    let t = b.add(step, one);
    let t = b.convert(t, F);
    let square = b.mul(gradient, gradient);
    let mut moment = |old: NodeId, rho: f64, g: NodeId| {
        let (keep, take) = (scalar(b, rho, old), scalar(b, 1.0 - rho, old));
        let (a, c) = (b.mul(keep, old), b.mul(take, g));
        let new = b.add(a, c);
        let rho = b.constant(F, rho);
        let power = b.pow(rho, t);
        let unit = b.constant(F, 1.0);
        let bias = b.sub(unit, power);
        let dims = b.dims(new);
        let bias = b.fill(bias, &dims);
        (new, b.div(new, bias))
    };
    let (m1, mh) = moment(m, 0.9, gradient);
    let (v1, vh) = moment(v, 0.999, square);
    let root = b.sqrt(vh);
    let eps = scalar(b, 1e-8, root);
    let below = b.add(root, eps);
    let rate = scalar(b, 1e-3, mh);
    let up = b.mul(rate, mh);
    let change = b.div(up, below);
    let new = b.sub(parameter, change);
    b.output(name, OutputRole::Next, new);
    b.output(mn.as_str(), OutputRole::Next, m1);
    b.output(vn.as_str(), OutputRole::Next, v1);
}

/// Softmax cross-entropy of logits: the mean loss and its derivative by the logits.
fn cross_entropy(b: &mut Builder, z: NodeId, y: NodeId) -> (NodeId, NodeId) {
    let full = b.dims(z);
    let m = b.max_over(z, &[1]);
    let wide = b.broadcast(m, &[0], &full);
    let shifted = b.sub(z, wide);
    let e = b.exp(shifted);
    let s = b.sum(e, &[1]);
    let log = b.log(s);
    let lse = b.add(m, log);
    let chosen = b.push(Gather { axis: 1, batch: vec![(0, 0)] }, &[z, y]);
    let losses = b.sub(lse, chosen);
    let total = b.sum(losses, &[0]);
    let n = b.count(z, &[0]);
    let loss = b.div(total, n);
    let s = b.broadcast(s, &[0], &full);
    let p = b.div(e, s);
    let class = b.push(Iota { axis: 1, dims: full.clone(), dtype: DType::I32 }, &[]);
    let label = b.broadcast(y, &[0], &full);
    let hit = b.equal(class, label);
    let (one, zero) = (scalar(b, 1.0, p), scalar(b, 0.0, p));
    let hot = b.select(hit, one, zero);
    let difference = b.sub(p, hot);
    let n = b.fill(n, &full);
    (loss, b.div(difference, n))
}

/// A two-layer perceptron's training step with L2 and Adam.
fn mlp(inputs: u64, hidden: u64, classes: u64) -> Graph {
    let mut b = Builder::new();
    let n = Size::symbol("N");
    let x = b.input("x", Role::Data, ty(&[n.clone(), inputs.into()]));
    let y = b.input("y", Role::Data, Type::new(DType::I32, vec![n.clone()]));
    let w1 = b.input("w1", Role::Parameter, ty(&dims(&[inputs, hidden])));
    let b1 = b.input("b1", Role::Parameter, ty(&dims(&[hidden])));
    let w2 = b.input("w2", Role::Parameter, ty(&dims(&[hidden, classes])));
    let b2 = b.input("b2", Role::Parameter, ty(&dims(&[classes])));
    let affine = |b: &mut Builder, x, w, bias| {
        let z = matmul(b, x, w, (1, 0));
        let full = b.dims(z);
        let bias = b.broadcast(bias, &[1], &full);
        b.add(z, bias)
    };
    let a = affine(&mut b, x, w1, b1);
    let zero = scalar(&mut b, 0.0, a);
    let h = b.maximum(a, zero);
    let z = affine(&mut b, h, w2, b2);
    let (loss, dz) = cross_entropy(&mut b, z, y);
    let dw2 = matmul(&mut b, h, dz, (0, 0));
    let db2 = b.sum(dz, &[0]);
    let dh = matmul(&mut b, dz, w2, (1, 1));
    let on = b.less(zero, a);
    let da = b.select(on, dh, zero);
    let dw1 = matmul(&mut b, x, da, (0, 0));
    let db1 = b.sum(da, &[0]);
    let mut penalty = None;
    let mut decayed = |b: &mut Builder, w: NodeId, g: NodeId| {
        let square = b.mul(w, w);
        let sum = b.sum(square, &[0, 1]);
        penalty = Some(penalty.map_or(sum, |p| b.add(p, sum)));
        let weight = scalar(b, 1e-3, w);
        let decay = b.mul(weight, w);
        b.add(g, decay)
    };
    let (dw1, dw2) = (decayed(&mut b, w1, dw1), decayed(&mut b, w2, dw2));
    for (name, w, g) in [("w1", w1, dw1), ("b1", b1, db1), ("w2", w2, dw2), ("b2", b2, db2)] {
        adam(&mut b, name, w, g);
    }
    let half = b.constant(F, 5e-4);
    let penalty = b.mul(half, penalty.unwrap());
    let objective = b.add(loss, penalty);
    b.output("loss", OutputRole::Report, objective);
    b.finish()
}

fn arena_buffers(program: &Program) -> usize {
    program.buffers.iter().filter(|b| matches!(b.place, Place::Arena { .. })).count()
}

#[test]
fn adam_is_one_pass_over_parameter_and_state() {
    let mut b = Builder::new();
    let w = b.input("w", Role::Parameter, ty(&dims(&[64, 128])));
    let g = b.input("g", Role::Data, ty(&dims(&[64, 128])));
    adam(&mut b, "w", w, g);
    let graph = b.finish();
    let program = check(&graph, 1, 1);
    let wide = program.kernels().filter(|(_, k)| k.axes.iter().any(|a| a.as_constant() > Some(1))).count();
    assert_eq!(wide, 1, "{program}");
    for name in ["w", "w.m", "w.v", "g"] {
        assert_eq!(program.passes_over(program.input(name).unwrap()), 1, "{name}\n{program}");
    }
    // The two bias corrections, each a number.
    assert!(arena_buffers(&program) <= 2, "{program}");
    // The loop runs over all elements as one.
    let (_, kernel) = program.kernels().last().unwrap();
    assert!(kernel.axes.iter().any(|a| a.as_constant() == Some(64 * 128)), "{program}");
}

#[test]
fn softmax_cross_entropy_forward_and_backward_is_two_kernels() {
    let mut b = Builder::new();
    let z = b.input("z", Role::Data, ty(&[Size::symbol("N"), 10.into()]));
    let y = b.input("y", Role::Data, Type::new(DType::I32, vec![Size::symbol("N")]));
    let (loss, dz) = cross_entropy(&mut b, z, y);
    b.output("loss", OutputRole::Report, loss);
    b.output("dz", OutputRole::Report, dz);
    let graph = b.finish();
    for n in [0, 1, 2, 33] {
        let program = check(&graph, 33, n);
        assert!(program.kernels().count() <= 2, "{program}");
        // Between the two only one number a row; and a row of exponentials.
        assert!(arena_buffers(&program) <= 2, "{program}");
    }
}

#[test]
fn a_training_step_of_a_perceptron_is_few_kernels() {
    let graph = mlp(64, 128, 10);
    let program = program(&graph, 32);
    assert_eq!(program.products().count(), 5, "{program}");
    let kernels: Vec<&str> = program.kernels().map(|(s, _)| s.name.as_str()).collect();
    // Each layer's gradient by its rows and the sums over rows are apart, so that rows run through the whole net.
    assert!(kernels.len() <= 11 && program.waves.len() == 2, "{kernels:?}\n{program}");
    for name in ["w1.m", "w1.v", "b1.m", "w2.v", "b2.v"] {
        assert_eq!(program.passes_over(program.input(name).unwrap()), 1, "{name}\n{program}");
    }
    // Every updated input is written in place: no kernel copies.
    for (_, kernel) in program.kernels() {
        kernel.walk(&mut |s| assert!(!matches!(s, Stmt::Store(s) if s.accumulate)));
    }
}

#[test]
fn a_training_step_computes_what_the_interpreter_does() {
    for (i, h, c) in [(5, 7, 3), (2, 8, 1), (17, 33, 9)] {
        let graph = mlp(i, h, c);
        for n in [1, 2, 9] {
            check(&graph, 9, n);
            // Everything by loops: bit for bit.
            let mut options = Options::new(sizes(9));
            options.small_product = u64::MAX;
            let program = schedule(&graph, &options).unwrap();
            super::compare(&graph, &program, &inputs(&graph, &sizes(n)), &sizes(n));
        }
    }
}

#[test]
fn views_have_no_buffer() {
    let mut b = Builder::new();
    let x = b.input("x", Role::Data, ty(&dims(&[4, 6])));
    let w = b.input("w", Role::Data, ty(&dims(&[64, 64])));
    let turned = b.push(Permute { order: vec![1, 0] }, &[x]);
    let cut = b.push(Slice { axis: 0, start: 1.into(), len: 4.into() }, &[turned]);
    let split = b.reshape(cut, &dims(&[2, 2, 4]));
    let y = b.neg(split);
    let turned = b.push(Permute { order: vec![1, 0] }, &[w]);
    let product = matmul(&mut b, turned, w, (1, 0));
    b.output("y", OutputRole::Report, y);
    b.output("p", OutputRole::Report, product);
    let program = check(&b.finish(), 1, 1);
    assert_eq!(arena_buffers(&program), 0, "{program}");
    assert_eq!(program.products().count(), 1);
    assert_eq!(program.kernels().count(), 1);
}

#[test]
fn inputs_that_trade_places_go_through_the_arena() {
    let mut b = Builder::new();
    let (p, q) = (b.input("p", Role::State, ty(&dims(&[5]))), b.input("q", Role::State, ty(&dims(&[5]))));
    b.output("p", OutputRole::Next, q);
    b.output("q", OutputRole::Next, p);
    check(&b.finish(), 1, 1);

    let mut b = Builder::new();
    let (p, q) = (b.input("p", Role::State, ty(&dims(&[5]))), b.input("q", Role::State, ty(&dims(&[5]))));
    let (np, nq) = (b.neg(q), b.exp(p));
    b.output("p", OutputRole::Next, np);
    b.output("q", OutputRole::Next, nq);
    b.output("old p", OutputRole::Report, p);
    check(&b.finish(), 1, 1);
}

#[test]
fn a_parameter_is_updated_after_its_last_reader() {
    let mut b = Builder::new();
    let w = b.input("w", Role::Parameter, ty(&dims(&[3, 3])));
    let turned = b.permute(w, &[1, 0]);
    let new = b.sub(w, turned);
    b.output("w", OutputRole::Next, new);
    let square = matmul(&mut b, w, w, (1, 0));
    b.output("square", OutputRole::Report, square);
    let total = b.sum(new, &[0, 1]);
    b.output("total", OutputRole::Report, total);
    check(&b.finish(), 1, 1);
}

/// As in accelerated descent: the count is read before and after its update, which must not cost the parameter a copy.
#[test]
fn only_what_is_read_before_and_after_its_update_is_copied() {
    let mut b = Builder::new();
    let (w, v) = (b.input("w", Role::Parameter, ty(&dims(&[40]))), b.input("v", Role::State, ty(&dims(&[40]))));
    let t = b.input("t", Role::State, ty(&[]));
    let one = scalar(&mut b, 1.0, t);
    let after = b.add(t, one);
    let ratio = b.div(t, after);
    let ratio = b.broadcast(ratio, &[], &dims(&[40]));
    let moved = b.mul(ratio, v);
    let ahead = b.add(w, moved);
    // A barrier between the two, as the gradient at the point ahead is.
    let total = b.sum(ahead, &[0]);
    let total = b.broadcast(total, &[], &dims(&[40]));
    let new = b.mul(ahead, total);
    let change = b.sub(new, w);
    for (name, node) in [("w", new), ("v", change), ("t", after)] {
        b.output(name, OutputRole::Next, node);
    }
    let program = check(&b.finish(), 1, 1);
    // What the count becomes, the point ahead, its sum, the update, and the count's copy.
    assert_eq!(program.kernels().count(), 5, "{program}");
    let copied = program.kernels().filter(|(_, kernel)| kernel.values.len() == 1).count();
    assert_eq!(copied, 1, "{program}");
}

#[test]
fn draws_and_masks_are_shared_between_forward_and_backward() {
    let mut b = Builder::new();
    let full = vec![Size::symbol("N"), 12.into()];
    let x = b.input("x", Role::Data, ty(&full));
    let seed = b.input("seed", Role::Seed, Type::scalar(DType::I64));
    let step = b.input("step", Role::Step, Type::scalar(DType::I64));
    let u = b.push(Random { site: 3, dims: full.clone(), dtype: F }, &[seed, step]);
    let rate = scalar(&mut b, 0.5, u);
    let kept = b.less(u, rate);
    let zero = scalar(&mut b, 0.0, x);
    let y = b.select(kept, x, zero);
    let e = b.exp(y);
    let z = b.select(kept, e, zero);
    b.output("y", OutputRole::Report, y);
    b.output("z", OutputRole::Report, z);
    let program = check(&b.finish(), 40, 11);
    assert_eq!(program.kernels().count(), 1, "{program}");
    assert_eq!(arena_buffers(&program), 0, "{program}");
}

#[test]
fn sizes_that_do_not_fit_are_errors_with_the_figure() {
    let mut b = Builder::new();
    let x = b.input("x", Role::Data, ty(&[Size::symbol("N"), 1000.into()]));
    let y = b.exp(x);
    b.output("y", OutputRole::Report, y);
    let graph = b.finish();
    let mut options = Options::new(sizes(1 << 20));
    options.memory_limit = 1 << 30;
    assert!(
        matches!(schedule(&graph, &options), Err(ScheduleError::TooLarge { bytes: Some(b), .. }) if b == 8000 << 20)
    );
    assert!(matches!(schedule(&graph, &Options::new(sizes(u64::MAX))), Err(ScheduleError::Size { .. })));
    assert!(matches!(schedule(&graph, &Options::new(Default::default())), Err(ScheduleError::Size { .. })));
}

/// Asserts that the graph is scheduled in a time that leaves no room for quadratic growth, debug builds included.
fn scheduled_soon(graph: &Graph) -> Program {
    let started = std::time::Instant::now();
    let program = program(graph, 32);
    assert!(started.elapsed().as_secs() < 10, "{:?} for {} nodes", started.elapsed(), graph.len());
    program
}

#[test]
fn long_chains_are_cut_into_kernels_of_bounded_size() {
    let mut b = Builder::new();
    let mut x = b.input("x", Role::Data, ty(&dims(&[8])));
    for k in 0..10_000 {
        let c = scalar(&mut b, f64::from(k), x);
        x = b.add(x, c);
        if k % 10 == 0 {
            b.output(format!("y{k}"), OutputRole::Report, x);
        }
    }
    let program = scheduled_soon(&b.finish());
    assert!(program.kernels().all(|(_, k)| k.values.len() < 10_000));
}

#[test]
fn chains_of_sums_and_views_need_no_deep_stack() {
    let mut b = Builder::new();
    let mut x = b.input("x", Role::Data, ty(&dims(&[8, 8])));
    for k in 0..5_000 {
        x = if k % 2 == 0 { b.permute(x, &[1, 0]) } else { b.exp(x) };
    }
    let sum = b.sum(x, &[1]);
    b.output("y", OutputRole::Report, sum);
    scheduled_soon(&b.finish());

    let mut b = Builder::new();
    let mut x = b.input("x", Role::Data, ty(&dims(&[8, 8])));
    let mut all = x;
    for _ in 0..2_000 {
        let e = b.exp(x);
        x = b.mul(e, x);
        all = b.add(all, x);
    }
    let sum = b.sum(all, &[1]);
    b.output("y", OutputRole::Report, sum);
    scheduled_soon(&b.finish());
}

#[test]
fn a_deep_network_with_adam_is_one_update_kernel_per_parameter() {
    let mut b = Builder::new();
    let x = b.input("x", Role::Data, ty(&[Size::symbol("N"), 64.into()]));
    let mut h = x;
    for k in 0..200 {
        let w = b.input(&format!("w{k}"), Role::Parameter, ty(&dims(&[64, 64])));
        let z = matmul(&mut b, h, w, (1, 0));
        h = b.tanh(z);
        let g = matmul(&mut b, x, h, (0, 0));
        adam(&mut b, &format!("w{k}"), w, g);
    }
    let program = scheduled_soon(&b.finish());
    // A product, a tanh, a product and an update each, and one kernel for the bias corrections.
    assert_eq!(program.steps.len(), 4 * 200 + 1);
}

#[test]
fn clipping_by_the_global_norm_is_one_barrier() {
    let mut b = Builder::new();
    let mut total = None;
    let names = ["a", "b", "c"];
    let both: Vec<(NodeId, NodeId)> = names
        .iter()
        .map(|name| {
            let shape = ty(&dims(&[6, 7]));
            (b.input(name, Role::Parameter, shape.clone()), b.input(&format!("d{name}"), Role::Data, shape))
        })
        .collect();
    for (_, g) in &both {
        let square = b.mul(*g, *g);
        let sum = b.sum(square, &[0, 1]);
        total = Some(total.map_or(sum, |t| b.add(t, sum)));
    }
    let norm = b.sqrt(total.unwrap());
    let one = b.constant(F, 1.0);
    let bounded = b.maximum(norm, one);
    let factor = b.div(one, bounded);
    for (name, (w, g)) in names.iter().zip(both) {
        let factor = b.fill(factor, &dims(&[6, 7]));
        let clipped = b.mul(g, factor);
        let new = b.sub(w, clipped);
        b.output(*name, OutputRole::Next, new);
    }
    let program = check(&b.finish(), 1, 1);
    assert_eq!(program.kernels().count(), 4, "{program}");
}

/// (x - mean) / sqrt(variance + ε) over some axes, and a later reader of the statistics.
fn normalized(axes: &[usize]) -> Graph {
    let mut b = Builder::new();
    let x = b.input("x", Role::Data, ty(&[Size::symbol("N"), 19.into()]));
    let full = b.dims(x);
    let n = b.count(x, axes);
    let mean = |b: &mut Builder, x: NodeId| {
        let sum = b.sum(x, axes);
        let dims = b.dims(sum);
        let n = b.fill(n, &dims);
        b.div(sum, n)
    };
    let centre = mean(&mut b, x);
    let wide = b.broadcast_over(centre, axes, &full);
    let shifted = b.sub(x, wide);
    let e = b.exp(shifted);
    let square = b.mul(e, e);
    let variance = mean(&mut b, square);
    let root = b.sqrt(variance);
    let wide = b.broadcast_over(root, axes, &full);
    let y = b.div(e, wide);
    b.output("y", OutputRole::Report, y);
    b.output("mean", OutputRole::Report, centre);
    b.finish()
}

#[test]
fn normalizing_rows_or_columns_is_one_kernel() {
    for axes in [&[1][..], &[0]] {
        let graph = normalized(axes);
        for n in [0, 1, 5, 40] {
            let program = check(&graph, 40, n);
            assert_eq!(program.kernels().count(), 1, "{program}");
        }
    }
}

/// The softmax of rows of so many numbers.
fn softmax(classes: u64) -> Graph {
    let mut b = Builder::new();
    let z = b.input("z", Role::Data, ty(&[Size::symbol("N"), classes.into()]));
    let full = b.dims(z);
    let m = b.max_over(z, &[1]);
    let m = b.broadcast(m, &[0], &full);
    let shifted = b.sub(z, m);
    let e = b.exp(shifted);
    let s = b.sum(e, &[1]);
    let s = b.broadcast(s, &[0], &full);
    let p = b.div(e, s);
    b.output("p", OutputRole::Report, p);
    b.finish()
}

/// Whether a kernel's rows are its lanes, and no reduction is left.
fn is_across(program: &Program) -> bool {
    let (mut lanes, mut reduces) = (false, false);
    program.kernels().for_each(|(_, kernel)| {
        kernel.walk(&mut |stmt| {
            reduces |= matches!(stmt, Stmt::Reduce(_));
            lanes |= matches!(stmt, Stmt::Loop(l) if l.vector);
        });
    });
    lanes && !reduces
}

#[test]
fn short_rows_of_a_softmax_are_lanes() {
    for (classes, rows) in [(1, 64), (2, 8), (10, 64), (32, 1000)] {
        for n in [0, 1, rows] {
            let program = check(&softmax(classes), rows, n);
            assert!(is_across(&program), "{program}");
            assert_eq!((program.kernels().count(), arena_buffers(&program)), (1, 0), "{program}");
        }
    }
    // Long rows, few rows.
    for (classes, rows) in [(33, 64), (10, 7), (100, 1000)] {
        assert!(!is_across(&program(&softmax(classes), rows)));
    }
}

#[test]
fn short_rows_with_much_to_compute_are_not_written_out() {
    let mut b = Builder::new();
    let mut x = b.input("x", Role::Data, ty(&[Size::symbol("N"), 16.into()]));
    for _ in 0..24 {
        let m = b.max_over(x, &[1]);
        let dims = b.dims(x);
        let m = b.broadcast(m, &[0], &dims);
        let e = b.exp(x);
        x = b.sub(e, m);
    }
    b.output("x", OutputRole::Report, x);
    let program = check(&b.finish(), 64, 17);
    let values = program.kernels().map(|(_, kernel)| kernel.values.len()).max();
    assert!(values.unwrap() < 3000, "{program}");
}

#[test]
fn the_text_of_a_short_softmax_names_its_positions() {
    let text = program(&softmax(3), 8).to_string();
    let expected = "\
program f32, N <= 8, 1 kernels, 0 products, arena 0 bytes (buffers 0)
  b0 z: f32[N, 3] input data
  b1 p: f32[N, 3] output
  report p = b1

wave 0: 1 chain, 0.053 us predicted

chain by N rows, 0.053 us predicted; a row holds 0 B, all tiles read 0 B
0:div: 112 flops, reads 96 B, writes 96 B, 0.58 flops/B; 0.053 us predicted, most of it arithmetic
  fuses -: max broadcast sub exp sum broadcast div
  v11 = 0 : f32
  for i0 < N lanes {
    v0 = b0[3*i0]
    v1 = b0[3*i0 + 1]
    v2 = b0[3*i0 + 2]
    v3 = maximum v0, v2
    v4 = maximum v3, v1
    v5 = sub v0, v4
    v6 = exp v5
    v7 = sub v1, v4
    v8 = exp v7
    v9 = sub v2, v4
    v10 = exp v9
    v12 = add v6, v10
    v13 = add v12, v8
    v14 = add v11, v13
    v15 = div v6, v14
    v16 = div v8, v14
    v17 = div v10, v14
    b1[3*i0] = v15
    b1[3*i0 + 1] = v16
    b1[3*i0 + 2] = v17
  }
";
    assert_eq!(text, expected, "{text}");
}

#[test]
fn the_text_of_a_softmax_reads_as_three_phases() {
    let text = program(&softmax(10), 4).to_string();
    let expected = "\
program f32, N <= 4, 1 kernels, 0 products, arena 64 bytes (buffers 64)
  b0 z: f32[N, 10] input data
  b1 p: f32[N, 10] output
  b2 row of %4: f32[10] arena 0..64
  report p = b1

wave 0: 1 chain, 0.169 us predicted

chain by N rows, of a tile alone: b2[0], 0.169 us predicted; a row holds 0 B, all tiles read 64 B
0:div: 200 flops, reads 200 B, writes 200 B, 0.50 flops/B; 0.169 us predicted, most of it arithmetic
  fuses -: max broadcast sub exp sum broadcast div
  for i0 < N {
    v1 = max v0 over i1 < 10 lanes {
      v0 = b0[10*i0 + i1]
    }
    v5 = sum v4 over i2 < 10 lanes {
      v2 = b0[10*i0 + i2]
      v3 = sub v2, v1
      v4 = exp v3
      b2[i2] = v4
    }
    for i3 < 10 lanes {
      v6 = b2[i3]
      v7 = div v6, v5
      b1[10*i0 + i3] = v7
    }
  }
";
    assert_eq!(text, expected, "{text}");
}
