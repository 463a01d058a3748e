//! Functions that random programs apply, each also written otherwise.

/// Functions of a generated file that are not in the library: name, definition, and the same defined otherwise.
pub const FUNCTIONS: &[(&str, &str, &str)] = &[
    (
        "mix",
        "fn mix(x: [N, C], M: [C, P: C]) -> [N, C] = x @ M",
        "fn mix(x: [N, C], M: [C, P: C]) -> [N, C] {
    y[n, o] = sum(i) x[n, i] * M[i, o]
    y
}",
    ),
    (
        "unmixed",
        "fn unmixed(x: [N, C], M: [C, P: C]) -> [N, C] = x @ M.T",
        "fn unmixed(x: [N, C], M: [C, P: C]) -> [N, C] = (M @ x.T).T",
    ),
    (
        "gram",
        "fn gram(x: [N, C]) -> [A: C, B: C] = x.T @ x / N",
        "fn gram(x: [N, C]) -> [A: C, B: C] {
    y[a, b] = mean(n) x[n, a] * x[n, b]
    y
}",
    ),
    (
        "columnwise",
        "fn columnwise(x: [N, C], r: [N], b: [C]) -> [N, C] {
    y[n, c] = x[n, c] * r[n] + b[c]
    y
}",
        "fn columnwise(x: [N, C], r: [N], b: [C]) -> [N, C] = b + r * x",
    ),
    (
        "outer",
        "fn outer(r: [N], b: [C]) -> [N, C] {
    y[n, c] = r[n] * tanh(b[c])
    y
}",
        "fn outer(r: [N], b: [C]) -> [N, C] {
    y[n, c] = tanh(b[c]) + 0 * r[n]
    r * y
}",
    ),
    (
        "attend",
        "fn attend(x: [N, C]) -> [N, C] {
    s[n, m] = sum(k) x[n, k] * x[m, k] / C
    p = softmax(s)
    y[n, c] = sum(m) p[n, m] * x[m, c]
    y
}",
        "fn attend(x: [N, C]) -> [N, C] {
    s = x @ x.T / C
    e[n, m] = exp(s[n, m])
    z[n] = sum(m) e[n, m]
    y[n, c] = sum(m) e[n, m] * x[m, c] / z[n]
    y
}",
    ),
    (
        "neighbours",
        "fn neighbours(x: [N, C]) -> [N] {
    d[n, m] = sum(k) (x[n, k] - x[m, k])^2
    e[n] = mean(m) exp(-d[n, m])
    e
}",
        "fn neighbours(x: [N, C]) -> [N] {
    e[n] = mean(m) exp(-(sum(k) (x[n, k] - x[m, k])^2))
    e
}",
    ),
    (
        "spread",
        "fn spread(x: [N, C]) -> [C] {
    m = mean(x over N)
    mean((x - m)^2 over N)
}",
        "fn spread(x: [N, C]) -> [C] {
    m[c] = sum(n) x[n, c] / N
    v[c] = mean(n) (x[n, c] - m[c])^2
    v
}",
    ),
    (
        "normalized",
        "fn normalized(x: [N, C]) -> [N, C] = (x - mean(x over C)) / sqrt(mean((x - mean(x over C))^2 over C) + 0.1)",
        "fn normalized(x: [N, C]) -> [N, C] {
    y[n, c] = (x[n, c] - (mean(k) x[n, k])) / sqrt(0.1 + (mean(j) (x[n, j] - (mean(k) x[n, k]))^2))
    y
}",
    ),
    (
        "two_moments",
        "fn two_moments(x: [N, C]) {
    m = mean(x over C)
    (m, mean((x - m)^2 over C))
}",
        "fn two_moments(x: [N, C]) {
    d = x - sum(x over C) / C
    (m, v) = (mean(x over C), mean(d * d over C))
    (m, v)
}",
    ),
    (
        "whitened",
        "fn whitened(x: [N, C]) -> [N, C] {
    (m, v) = two_moments(x)
    (x - m) / (1 + v)
}",
        "fn whitened(x: [N, C]) -> [N, C] {
    s = 1 / (v + 1)
    (m, v) = two_moments(x)
    s * x - m * s
}",
    ),
    ("bent", "fn bent(x: [N, C]) -> [N, C] = sin(x) + 0.5 * x", "fn bent(x) = x / 2 + sin(x)"),
    (
        "twice",
        "fn twice(f: [N, C] -> [N, C], x: [N, C]) -> [N, C] = f(f(x))",
        "fn twice(f: [N, C] -> [N, C], x: [N, C]) -> [N, C] = x |> f |> f",
    ),
    (
        "slope",
        "fn slope(x: [N, C]) -> [N, C] = grad(sum(tanh(x) * x^2), x)",
        "fn slope(x: [N, C]) -> [N, C] = (1 - tanh(x)^2) * x^2 + 2 * x * tanh(x)",
    ),
    (
        "curvature",
        "fn curvature(x: [N, C]) -> [N, C] {
    d = grad(sum(x^3 * mean(x over C)), x)
    grad(sum(d), x)
}",
        "fn curvature(x: [N, C]) -> [N, C] {
    m = mean(x over C)
    q = mean(x^2 over C)
    6 * x * m + 3 * x^2 + 3 * q
}",
    ),
    (
        "halves",
        "fn halves(x: [N, C]) -> [N, C] {
    (a, b) = split(concat(x, sin(x)), 2)
    a * b + b
}",
        "fn halves(x: [N, C]) -> [N, C] = x * sin(x) + sin(x)",
    ),
    (
        "piled",
        "fn piled(x: [N, C]) -> [N, C] = mean(stack(x, cos(x), x^2 / (1 + x^2) over piece) over piece)",
        "fn piled(x: [N, C]) -> [N, C] = (x + cos(x) + 1 - 1 / (1 + x^2)) / 3",
    ),
    (
        "mirrored",
        "fn mirrored(x: [N, C]) -> [N, C] = 0.5 * x + tanh(reverse(x over C))",
        "fn mirrored(x: [N, C]) -> [N, C] {
    r = range(C)
    R[a, b] = where(r[a] + r[b] == C - 1, 1, 0)
    y[n, c] = sum(k) x[n, k] * R[k, c]
    x / 2 + tanh(y)
}",
    ),
    (
        "upturned",
        "fn upturned(x: [N, C]) -> [N, C] = x - reverse(x over N)",
        "fn upturned(x: [N, C]) -> [N, C] = x - reverse(x.T over N).T",
    ),
    (
        "unfolded",
        "fn unfolded(x: [N, C]) -> [N, C] {
    y = reshape(tanh(x), [N, A: 1, B: C])
    mean(y over A)
}",
        "fn unfolded(x: [N, C]) -> [N, C] = tanh(x)",
    ),
    (
        "flattened",
        "fn flattened(x: [N, C]) -> [N, C] = x / (1 + mean(flatten(x over N, C)^2))",
        "fn flattened(x: [N, C]) -> [N, C] = x / (1 + mean(x^2))",
    ),
    (
        "ranged",
        "fn ranged(x: [N, C]) -> [N, C] = x / (1 + range(C))",
        "fn ranged(x: [N, C]) -> [N, C] {
    r = range(C)
    y[n, c] = x[n, c] / (r[c] + 1)
    y
}",
    ),
    (
        "repeated",
        "fn repeated(x: [N, C]) -> [N, C] = for k in 1..3 (h = x) { h' = tanh(h) / k + x }",
        "fn repeated(x: [N, C]) -> [N, C] {
    a = tanh(x) + x
    b = tanh(a) / 2 + x
    tanh(b) / 3 + x
}",
    ),
    (
        "carried",
        "fn carried(x: [N, C]) -> [N, C] {
    (h, total) = for k in 0..2 (h = x, total: [N] = 0) {
        h'     = sin(h + k)
        total' = total + mean(h' over C)
    }
    h * total
}",
        "fn carried(x: [N, C]) -> [N, C] {
    a = sin(x)
    b = sin(a + 1)
    c = sin(b + 2)
    c * mean(a + b + c over C)
}",
    ),
    (
        "along",
        "fn along(x: [N, C]) -> [N, C] = jvp(bent)(x, cos(x))",
        "fn along(x: [N, C]) -> [N, C] = cos(x) * (cos(x) + 0.5)",
    ),
    (
        "back",
        "fn back(x: [N, C]) -> [N, C] = vjp(bent)(x, tanh(x))",
        "fn back(x: [N, C]) -> [N, C] = tanh(x) * (0.5 + cos(x))",
    ),
    ("energy", "fn energy(x: [N, C]) -> [] = sum(sin(x))", "fn energy(x: [N, C]) -> [] = sum(sin(x) over N, C)"),
    (
        "bend",
        "fn bend(x: [N, C]) -> [N, C] = hvp(energy)(x, cos(x)) + grad(energy)(x)",
        "fn bend(x: [N, C]) -> [N, C] = cos(x) - sin(x) * cos(x)",
    ),
    (
        "squares",
        "fn squares(x: [N, C]) -> [N] = mean(tanh(x)^2 over C)",
        "fn squares(x: [N, C]) -> [N] = sum(tanh(x)^2 over C) / C",
    ),
    (
        "each",
        "fn each(x: [N, C]) -> [N, C] = jacobian(squares)(x per N)",
        "fn each(x: [N, C]) -> [N, C] = 2 * tanh(x) * (1 - tanh(x)^2) / C",
    ),
    ("through", "fn through(x) = tanh(x) derivative(dy) = dy * (1 - tanh(x)^2)", "fn through(x) = tanh(x)"),
    (
        "product",
        "fn product(x: [N, C], m: [C]) -> [N, C] {
    sin(x * m)
} derivative(dy) {
    d = dy * cos(x * m)
    (d * m, sum(d * x over N))
}",
        "fn product(x: [N, C], m: [C]) -> [N, C] = sin(m * x)",
    ),
    (
        "centred",
        "fn centred(x: [N, C]) -> [N, C] = product(x, mean(x over N))",
        "fn centred(x: [N, C]) -> [N, C] = sin(x * mean(x over N))",
    ),
    (
        "sorted",
        "fn sorted(x: [N, C]) -> [N, C] = sort(x over C) - 0.5 * x",
        "fn sorted(x: [N, C]) -> [N, C] = sort(x.T over C).T - x / 2",
    ),
    (
        "standing",
        "fn standing(x: [N, C]) -> [N, C] = tanh(x) + order(order(x over C) over C) / C",
        "fn standing(x: [N, C]) -> [N, C] = order(order(x over C) over C) / C + tanh(x)",
    ),
    (
        "leading",
        "fn leading(x: [N, C]) -> [N, C] = tanh(x) * one_hot(argmax(x over C))",
        "fn leading(x: [N, C]) -> [N, C] = one_hot(argmax(x over C)) * tanh(x)",
    ),
];

/// Those from `[N, C]` to `[N, C]` that take nothing else, and what they need.
pub const PLAIN: &[(&str, Option<&str>)] = &[
    ("halves", None),
    ("piled", None),
    ("mirrored", None),
    ("upturned", None),
    ("unfolded", None),
    ("flattened", None),
    ("ranged", None),
    ("repeated", None),
    ("carried", None),
    ("along", Some("bent")),
    ("back", Some("bent")),
    ("bend", Some("energy")),
    ("each", Some("squares")),
    ("through", None),
    ("centred", Some("product")),
];

/// Likewise, where a rounding may change the result or its derivative by much.
pub const RANKS: [&str; 3] = ["sorted", "standing", "leading"];

/// Those that say their own derivative, which is used backwards only.
pub const BACKWARDS_ONLY: [&str; 2] = ["through", "product"];
