//! What expressions mean, with their derivatives: each beside the same written otherwise, on the interpreter in f64.

use dlc::check::{self, ColumnKind, ColumnSchema, Schema, Schemas};
use dlc::elaborate::{self, Model};

use dlc::ir::{Bindings, DType, OutputRole, Symbol, Tensor, interpret};
use dlc::optimize;
use dlc::source::{Files, render};
use dlc::syntax;
use std::collections::BTreeMap;

const ROWS: usize = 5;

fn column(name: &str, axes: &[u64], kind: ColumnKind) -> ColumnSchema {
    ColumnSchema { name: name.into(), axes: axes.to_vec(), kind }
}

/// Numbers that look like none in particular.
fn numbers(count: usize, seed: usize) -> Vec<f64> {
    (0..count).map(|k| ((k * 37 + seed * 101 + 13) % 97) as f64 / 40.0 - 1.2).collect()
}

/// The columns of every program: x, u, z `[N, 4]`, image `[N, 3, 4]`, t `[N]`, and the integers y in 0..4.
fn columns() -> BTreeMap<String, Tensor> {
    let floats =
        |dims: &[usize], seed| Tensor::from_f64(DType::F64, dims.to_vec(), numbers(dims.iter().product(), seed));
    BTreeMap::from([
        ("x".to_string(), floats(&[ROWS, 4], 1)),
        ("u".to_string(), floats(&[ROWS, 4], 2)),
        ("z".to_string(), floats(&[ROWS, 4], 3)),
        ("image".to_string(), floats(&[ROWS, 3, 4], 4)),
        ("t".to_string(), floats(&[ROWS], 5)),
        ("y".to_string(), Tensor::from_i64(DType::I64, vec![ROWS], vec![3, 0, 2, 1, 0])),
        ("seed".to_string(), Tensor::from_i64(DType::I64, vec![], vec![7])),
        ("step".to_string(), Tensor::from_i64(DType::I64, vec![], vec![0])),
    ])
}

/// The model of a program over those columns, or its errors.
fn elaborated(program: &str) -> Result<Model, String> {
    let mut files = Files::default();
    let user = files.add("program.dl", program);
    let (tree, errors) = syntax::parse(user, files.text(user));
    if !errors.is_empty() {
        return Err(render(&files, &errors, false));
    }
    let prelude = check::prelude(&mut files);
    let prelude: Vec<_> = prelude.iter().collect();
    let columns = vec![
        column("x", &[4], ColumnKind::Float),
        column("u", &[4], ColumnKind::Float),
        column("z", &[4], ColumnKind::Float),
        column("image", &[3, 4], ColumnKind::Float),
        column("t", &[], ColumnKind::Float),
        column("y", &[], ColumnKind::Int { min: 0, max: 3 }),
    ];
    let schemas = Schemas::from([("d".to_string(), Schema { rows: ROWS as u64, columns })]);
    let (program, errors) = check::check(&prelude, &tree, &schemas, &[]);
    if !errors.is_empty() {
        return Err(render(&files, &errors, false));
    }
    elaborate::elaborate(&program, elaborate::Options { dtype: DType::F64 }).map_err(|e| render(&files, &[e], false))
}

/// A program with these definitions that minimizes `objective` and measures `measures`.
fn program(definitions: &str, objective: &str, measures: &str) -> String {
    format!(
        "{definitions}
         data d = npy(x: \"x.npy\")
         train {{
             minimize {objective}
             on d
             using sgd
             measure {measures}
             steps 1
         }}"
    )
}

/// The measures of a program at its starting values, by name.
fn measured(program: &str) -> BTreeMap<String, f64> {
    let model = elaborated(program).unwrap_or_else(|errors| panic!("{program}\n{errors}"));
    let options = optimize::Options { verify: true, ..Default::default() };
    let graph = |g| optimize::optimize(g, &options, &mut |_, _| {}).unwrap_or_else(|e| panic!("{program}\n{e:?}"));
    let bindings = Bindings::from([(Symbol::new("N"), ROWS as u64)]);
    let mut inputs = columns();
    let init = graph(&model.init);
    let start = interpret(&init, &|name: &str| inputs.get(name).cloned(), &bindings).unwrap();
    for (output, value) in init.outputs().iter().zip(start) {
        if output.role == OutputRole::Next {
            inputs.insert(output.name.to_string(), value);
        }
    }
    let evaluate = graph(&model.phases[0].evaluate);
    let values = interpret(&evaluate, &|name: &str| inputs.get(name).cloned(), &bindings).unwrap();
    evaluate.outputs().iter().zip(values).map(|(o, v)| (o.name.to_string(), v.to_f64()[0])).collect()
}

const NET: &str = "net line(x: [N, 4]) -> [N, 3] = dense(x, 3, init: normal(std: 0.5), bias: normal(std: 0.3))";

/// Fails unless both expressions, tensors of one shape, have the same elements, and some are not 0.
#[track_caller]
fn equal(definitions: &str, left: &str, right: &str) {
    let definitions = format!("{NET}\n{definitions}");
    let measures = format!("difference = max(abs(({left}) - ({right}))), size = max(abs({right}))");
    let values = measured(&program(&definitions, "sum(line(x)^2)", &measures));
    assert!(values["size"] > 1e-3, "{right} is {}", values["size"]);
    assert!(
        values["difference"] <= 1e-9 * values["size"].max(1.0),
        "{left} and {right} differ by {}",
        values["difference"]
    );
}

/// The code of the first error of a program that measures `e`.
#[track_caller]
fn refused(definitions: &str, e: &str) -> String {
    let definitions = format!("{NET}\n{definitions}");
    match elaborated(&program(&definitions, "sum(line(x)^2)", &format!("m = {e}"))) {
        Ok(_) => panic!("{e} is accepted"),
        Err(errors) => errors.lines().next().unwrap_or_default().chars().skip(6).take(5).collect(),
    }
}

#[test]
fn repetition() {
    let defs = "fn f(x: [N, 4]) -> [N, 4] = for k in 1..3 (h = x) { h' = sin(h) + k*x }
                fn g(x: [N, 4]) -> [N, 4] = sin(sin(sin(x) + x) + 2*x) + 3*x
                fn two(x: [N, 4]) { (a, b) = for k in 2..3 (a = x, b: [N, 4] = 0) { a' = b + k; b' = a*b + a'; }
                                    a + 2*b }
                fn apart(x: [N, 4]) { a1 = 0*x + 2; b1 = a1; a2 = b1 + 3; a2 + 2*(a1*b1 + a2) }
                fn none(x: [N, 4]) = for k in 3..2 (h = x) { h' = 2*h }
                fn nested(x: [N, 4]) = for i in 1..2 (h = x) { h' = for j in i..2 (g = h) { g' = g + 10*i + j } }
                fn sized(x: [N, 4]) = for k in 1..3 (h = sum(x)) { h' = h + sum(ones([k, 2*k])) }";
    equal(defs, "f(x)", "g(x)");
    equal(defs, "two(x)", "apart(x)");
    equal(defs, "none(x)", "x");
    equal(defs, "nested(x)", "x + 11 + 12 + 22");
    equal(defs, "sized(x)", "sum(x) + 2 + 8 + 18");
    equal(
        &format!("{defs}\nfn df(x: [N, 4]) = grad(sum(f(x)), x)\nfn dg(x: [N, 4]) = grad(sum(g(x)), x)"),
        "df(x)",
        "dg(x)",
    );
}

#[test]
fn repeated_layers_have_parameters_of_their_own() {
    let defs = "layer block(x: [.., I]) -> [.., I] { shared d = dense(I, init: normal(std: 0.4)); x + d(tanh(x)) }
                net deep(x: [N, 4]) -> [N, 4] = for k in 1..2 (h = x) { param s: [] = k; h' = s * block(h) }
                fn layer_by_hand(x: [N, 4], W: [4, A: 4], b: [A: 4]) -> [N, 4] = x + tanh(x) @ W + b";
    let by_hand = "deep.s_2 * layer_by_hand(deep.s_1 * layer_by_hand(x, deep.block_1.d.W, deep.block_1.d.b), \
                   deep.block_2.d.W, deep.block_2.d.b)";
    equal(defs, "deep(x)", by_hand);
    equal(defs, "l2(deep.block_1) + l2(deep.block_2) + 0.5*5 + 0*sum(deep(x))", "l2(deep)");
}

#[test]
fn a_shared_instance_is_one_set_of_parameters() {
    let defs = "net tied(x: [N, 4]) -> [N, 4] {
                    shared d = dense(2, init: normal(std: 0.7))
                    tanh(d(x)) @ d.W.T + d(x) @ d.W.T
                }
                fn by_hand(x: [N, D], W: [D, H]) = tanh(x @ W) @ W.T + x @ W @ W.T";
    equal(defs, "tied(x)", "by_hand(x, tied.d.W)");
    let defs = format!("{defs}\nnet other(x: [N, 4]) -> [N, 2] = x |> dense(2)");
    equal(
        &defs,
        "sum((tied.d.W - other.dense.W)^2) + 0*sum(other(x) @ tied.d.W.T) + 0*sum(tied(x))",
        "sum((other.dense.W - tied.d.W)^2)",
    );
}

#[test]
fn shapes() {
    equal(
        "fn f(x: [N, 4]) { r = reshape(x, [N, A: 2, B: 2]); y[n, b, a] = r[n, a, b]; flatten(y) }
           fn g(x: [N, 4]) { (a, b, c, d) = split(x, 4); concat(concat(a, c), concat(b, d)) }",
        "f(x)",
        "g(x)",
    );
    equal("fn f(x: [N, 3, 4]) = flatten(x)", "reshape(f(image), [N, 3, 4])", "image");
    equal(
        "fn f(x: [N, A: 3, B: 4]) = flatten(x over N, A)",
        "f(image)[index(range(N), 3*N)]",
        "f(image)[index(range(N), 3*N)]",
    );
    equal(
        "fn f(x: [N, 4]) { (a, b) = split(x, [1, 3]); concat(b, a) }
           fn g(x: [N, D]) { (a, b) = split(x, 2 over D); concat(b, a) }
           fn h(x: [N, 4]) = g(f(f(f(f(x)))))",
        "h(x)",
        "g(x)",
    );
    equal("fn f(x: [N, D]) { s = stack(x, 2*x, 0 over pieces); mean(s over pieces) }", "f(x)", "x");
    equal(
        "fn f(x: [N, D]) = reverse(x over D)
           fn by_hand(x: [N, 4]) { (a, b, c, d) = split(x, 4); concat(concat(d, c), concat(b, a)) }",
        "f(x)",
        "by_hand(x)",
    );
    equal(
        "fn f(x: [N, A: 3, B: 4]) = reverse(reverse(x over A) over N)",
        "reverse(reverse(f(image) over N))",
        "reverse(reverse(f(image) over N))",
    );
    equal(
        "fn grouped(x: [N, C], G) = reshape(mean(reshape(x, [N, G, W: floor(C/G)]) over W), [N, G])
           fn pairs(x: [N, 4]) { (a, b, c, d) = split(x, 4); concat(a + b, c + d) / 2 }",
        "grouped(x, 2)",
        "pairs(x)",
    );
    equal("", "zeros([N, 4]) + ones([4]) * x", "x");
    equal(
        "fn f(x: [N, D]) { r = range(D); y[n, d] = x[n, d] * r[d]; y }
           fn g(x: [N, 4]) { (a, b, c, d) = split(x, 4); concat(concat(0*a, b), concat(2*c, 3*d)) }",
        "f(x)",
        "g(x)",
    );
}

#[test]
fn arrangements_differentiate() {
    let both = "fn f(x: [N, 4]) { (a, b) = split(reverse(flatten(reshape(x, [N, 2, 2]))), 2); sum(sin(a)*b) }
                fn g(x: [N, 4]) { (a, b, c, d) = split(x, 4); sum(sin(d)*b + sin(c)*a) }
                fn df(x: [N, 4]) = grad(f(x), x)
                fn dg(x: [N, 4]) = grad(g(x), x)";
    equal(both, "f(x)", "g(x)");
    equal(both, "df(x)", "dg(x)");
}

#[test]
fn computed_indices() {
    // Shifting rows by their own amounts, the border repeated.
    let shift = "fn shifted(x: [N, W], by: [N]) -> [N, W] {
                     r = range(W)
                     at[n, w] = r[w] + by[n]
                     x[index(at, W)]
                 }
                 fn by_one(x: [N, 4]) { (a, b, c, d) = split(x, 4); concat(concat(b, c), concat(d, d)) }";
    equal(shift, "shifted(x, 0*t + 1.5)", "by_one(x)");
    equal(shift, "shifted(x, 0*t - 9)", "by_one(by_one(by_one(shifted(x, 0*t - 9)))) ");
}

#[test]
fn draws_of_a_shape() {
    let values = measured(&program(
        NET,
        "sum(line(x))",
        "u = mean(uniform([40, 50])), n = mean(normal([40, 50])^2), b = mean(bernoulli(0.25, [N, 400])), r = mean(rademacher([9])^2)",
    ));
    assert!((values["u"] - 0.5).abs() < 0.05 && (values["n"] - 1.0).abs() < 0.1, "{values:?}");
    assert!((values["b"] - 0.25).abs() < 0.05 && values["r"] == 1.0, "{values:?}");
}

#[test]
fn derivatives_of_functions() {
    let defs = "fn f(x: [N, D]) -> [N, D] = sin(x) * sum(x^2 over D)
                fn s(x: [N, D]) -> [] = sum(sin(x) * x^2)
                fn by_rows(x: [N, D]) { j = jacobian(f)(x per N); j }
                fn by_hand(x: [N, D]) -> [N, A: D, D] {
                    total = sum(x^2 over D)
                    eye = one_hot(index(range(D), D))
                    j[n, a, b] = cos(x[n, a]) * total[n] * eye[a, b] + 2 * sin(x[n, a]) * x[n, b]
                    j
                }
                fn product(x: [N, D], v: [N, D]) { j = by_hand(x); y[n, a] = sum(b) j[n, a, b] * v[n, b]; y }
                fn transposed(x: [N, D], v: [N, D]) { j = by_hand(x); y[n, b] = sum(a) j[n, a, b] * v[n, a]; y }
                fn slope(x: [N, D]) = cos(x) * x^2 + 2 * x * sin(x)
                fn curve(x: [N, D]) = (2 - x^2) * sin(x) + 4 * x * cos(x)
                fn along(x: [N, D], v: [N, D]) { e = sum(sin(x) * x^2); hvp(e, x, v) }
                fn one(x: [D]) -> [K: 2] { s = sum(x^2); stack(s, sum(x over D)) }
                fn wide(x: [D]) -> [D, E: 2] { y = stack(x^2, sin(x)); z[d, e] = y[e, d]; z }
                fn square(x: [D]) -> [] = sum(x^3) + sum(x)^2
                fn second(x: [D]) { e = square(x); hessian(e, x) }";
    equal(defs, "jvp(f)(x, u)", "product(x, u)");
    equal(defs, "vjp(f)(x, u)", "transposed(x, u)");
    equal(defs, "by_rows(x)", "by_hand(x)");
    equal(defs, "grad(s)(x)", "slope(x)");
    equal(defs, "hvp(s)(x, u)", "curve(x) * u");
    equal(defs, "along(x, u)", "curve(x) * u");
    equal(defs, "jacobian(one)(t)", "stack(2*t, ones(like: t) over K)");
    equal(defs, "sum(jacobian(wide)(sum(x over N)))", "sum(2*sum(x over N) + cos(sum(x over N)))");
    equal(defs, "hessian(square)(sum(x over N)) @ sum(u over N)", "6*sum(x over N)*sum(u over N) + 2*sum(u)");
    equal(defs, "second(sum(x over N)) @ sum(u over N)", "6*sum(x over N)*sum(u over N) + 2*sum(u)");
    equal("", "jacobian(line)(x per N)", "zeros([N, 3, 4]) + line.dense.W.T");
    equal("", "jvp(line)(x, u)", "u @ line.dense.W");
}

#[test]
fn mixed_rows_are_refused() {
    let defs = "fn ok(x: [N, D]) -> [N, D] = softmax(x - max(x over D)) * norm(x over D)
                fn mean_rows(x: [N, D]) -> [N, D] = x - mean(x over N)
                fn turned(x: [N, D]) -> [N, D] = reverse(x over N)
                fn pairs(x: [N, D]) -> [N, M: N] = x @ x.T
                fn gathered(x: [N, D], z: [N, D]) -> [N, D] = x[index(range(N), N)]
                fn constant(x: [N, D]) -> [N, D] = zeros(like: x) + sum(stop(x))";
    equal(defs, "sum(jacobian(ok)(x per N)^2)", "sum(jacobian(ok)(x per N)^2)");
    for name in ["mean_rows", "turned", "pairs", "constant"] {
        assert_eq!(refused(defs, &format!("sum(jacobian({name})(x per N))")), "E0250", "{name}");
    }
    assert_eq!(refused(defs, "sum(jacobian(ok)(x per D))"), "E0209");
}

#[test]
fn penalties_of_derivatives() {
    let defs = "penalty tangent_prop(f: [N, D] -> [N, K], x: [N, D], v: [N, D]) = mean(sum(jvp(f)(x, v)^2 over K) over N)
                penalty contractive(encode: [N, D] -> [N, K], x: [N, D]) = mean(sum(jacobian(encode)(x per N)^2 over K, D) over N)
                net code(x: [N, 4]) -> [N, 3] = sigmoid(dense(x, 3))
                fn by_hand(h: [N, K], W: [D, K]) = mean(sum((h*(1 - h))^2 * sum(W^2 over D) over K) over N)";
    equal(defs, "contractive(code, x)", "by_hand(code(x), code.dense.W)");
    equal(defs, "tangent_prop(line, x, u)", "3 * mean((u @ line.dense.W)^2)");
}

#[test]
fn peeking_keeps_no_state() {
    let defs = "layer counted(x: [N, D]) -> [N, D] { state seen = 0; when training { seen' = seen + 1; x } else { x } }
                net twice(x: [N, 4]) -> [N, 4] { shared c = counted; s = dense(x, 4); c(s) + peek c(x) }";
    let text = |body: &str| {
        program(&format!("{NET}\n{}", defs.replace("c(s) + peek c(x)", body)), "sum(twice(x)^2)", "loss2 = sum(x)")
    };
    elaborated(&text("c(s) + peek c(x)")).unwrap();
    assert!(elaborated(&text("c(s) + c(x)")).unwrap_err().contains("E0404"));
}

#[test]
fn a_rule_commits_to_a_point() {
    let rule = |call: &str| {
        format!(
            "{NET}
             optimizer far(J, θ; lr = 0.1) {{ a = J(θ); b = {call}(θ + 1); θ' = θ - lr*(a + b)*θ }}
             data d = npy(x: \"x.npy\")
             train {{ minimize sum(line(x)^2)
                      on d
                      using far
                      steps 1 }}"
        )
    };
    let loss = |program: &str| {
        let model = elaborated(program).unwrap();
        let graph = optimize::optimize(&model.phases[0].step, &optimize::Options::default(), &mut |_, _| {}).unwrap();
        let mut inputs = columns();
        for p in &model.parameters {
            let dims = p.ty.shape(&Bindings::new()).unwrap();
            let count = dims.iter().product();
            inputs.insert(p.path.to_string(), Tensor::from_f64(DType::F64, dims, numbers(count, 9)));
        }
        let bindings = Bindings::from([(Symbol::new("N"), ROWS as u64)]);
        let values = interpret(&graph, &|name: &str| inputs.get(name).cloned(), &bindings).unwrap();
        graph.outputs().iter().zip(values).find(|(o, _)| &*o.name == "loss").unwrap().1.to_f64()[0]
    };
    assert_ne!(loss(&rule("J")), loss(&rule("commit J")));
}

#[test]
fn derivatives_of_their_own() {
    let defs = "fn ste(x) = sign(x) derivative(dy) = dy
                fn scaled(x: [N, D], w: [D]) -> [N, D] = x * w derivative(dy) {
                    back = 3 * dy * w
                    (back, sum(dy * x over N) + 1)
                }
                fn a(x: [N, D]) = grad(sum(ste(sin(x))^2), x)
                fn a2(x: [N, D]) = 2 * sign(sin(x)) * cos(x)
                fn b(x: [N, D], w: [D]) = grad(sum(sin(scaled(x, w))), x)
                fn b2(x: [N, D], w: [D]) = 3 * cos(x * w) * w
                fn c(x: [N, D], w: [D]) = grad(sum(sin(scaled(x, w))), w)
                fn c2(x: [N, D], w: [D]) = sum(cos(x * w) * x over N) + 1
                fn twice(x: [N, D], w: [D]) { g = grad(sum(sin(scaled(x, w))), x); grad(sum(g), x) }
                fn twice2(x: [N, D], w: [D]) = -9 * sin(x * w) * w^2";
    equal(defs, "a(x)", "a2(x)");
    equal(defs, "b(x, sum(u over N))", "b2(x, sum(u over N))");
    equal(defs, "c(x, sum(u over N))", "c2(x, sum(u over N))");
    equal(defs, "twice(x, sum(u over N))", "twice2(x, sum(u over N))");
    equal(defs, "jacobian(ste)(x per N)", "jacobian(ste)(x per N)");
    assert_eq!(refused("fn f(x: [N, D]) = x derivative(dy) = dy @ dy.T", "sum(f(x))"), "E0203");
    assert_eq!(refused("fn f(g: [N] -> [N], x: [N]) -> [N] = g(x) derivative(dy) = dy", "1"), "E0223");
}

#[test]
fn index_notation_with_packs_and_diagonals() {
    let defs = "layer pieces(x: [.., I], O, P) -> [.., O] {
                    param W: [P, I, O] = normal(std: 0.5)
                    y[.., p, o] = sum(i) x[.., i] * W[p, i, o]
                    z[.., o] = max(p) y[.., p, o]
                    z
                }
                net m(x: [N, 4]) -> [N, 2] = pieces(x, 2, 2)
                fn by_hand(x: [N, I], W: [P, I, O]) -> [N, O] {
                    y[n, p, o] = sum(i) x[n, i] * W[p, i, o]
                    z[n, o] = max(p) y[n, p, o]
                    z
                }
                fn cube(x: [N, 4]) -> [A: 2, B: 2, C: 2] = reshape(concat(sum(x over N), max(x over N)), [2, 2, 2])
                fn trace(A: [K, M: K]) = sum(i) A[i, i]
                fn eye(A: [K, M: K]) = sum(A * one_hot(index(range(K), K)))
                fn corners(x: [A: 2, B: 2, C: 2]) { y[i, j] = x[i, j, i]; y }
                fn all_three(x: [A: 2, B: 2, C: 2]) = sum(i) x[i, i, i]
                fn ends(x: [A: 2, B: 2, C: 2]) { (a, b) = split(flatten(x over A, B, C), [1, 7]); (c, d) = split(b, [6, 1]); sum(a) + sum(d) }
                fn d_trace(A: [K, M: K]) = grad(trace(sin(A)), A)
                fn d_eye(A: [K, M: K]) = grad(eye(sin(A)), A)";
    equal(defs, "m(x)", "by_hand(x, m.pieces.W)");
    equal(defs, "trace(x.T @ x)", "eye(x.T @ x)");
    equal(defs, "d_trace(x.T @ x)", "d_eye(x.T @ x)");
    equal(defs, "all_three(cube(x))", "ends(cube(x))");
    equal(defs, "sum(corners(cube(x)))", "sum(corners(cube(x)))");
}

#[test]
fn definitions_of_one_tensor_apply_to_sets() {
    let defs = "penalty lasso(w: [I, O]) = sum(norm(w over I))
                fn soft(x; t = 0.1) = sign(x) * max(abs(x) - t, 0)
                net other(x: [N, 3]) -> [N, 2] = dense(x, 2)";
    let all = "0*sum(other(line(x)))";
    equal(defs, &format!("lasso(weights) + {all}"), "lasso(line.dense.W)");
    equal(
        defs,
        &format!("sum(soft(params, t: 0.2)) + {all}"),
        "sum(soft(line.dense.W, t: 0.2)) + sum(soft(line.dense.b, t: 0.2))",
    );
    equal(defs, "norm(line - 0*line)", "norm(line.*)");
    assert_eq!(refused(defs, "lasso(params)"), "E0203");
}
