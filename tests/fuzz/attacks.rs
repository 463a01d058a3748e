//! Short texts that ask for much: a diagnostic or a result comes within a second, in 256 MiB.

use crate::measure::{alone, measure};
use crate::targets::front_end;
use std::fmt::Write;
use std::sync::MutexGuard;
use std::time::Instant;

const MEMORY: usize = 256 << 20;

/// Builds without optimization take a tenth of each length, which is as much to them.
const fn scaled(length: usize) -> usize {
    if cfg!(debug_assertions) { length / 10 } else { length }
}

/// Attacks one after the other, and those that got through.
struct Siege {
    _alone: MutexGuard<'static, ()>,
    fell: Vec<String>,
}

impl Siege {
    fn begin() -> Siege {
        Siege { _alone: alone(), fell: Vec::new() }
    }

    /// Runs the front end on a text within its limits.
    fn attack(&mut self, name: &str, text: &str) {
        let start = Instant::now();
        match measure(MEMORY, || front_end(text)) {
            Ok(said) => println!("{name}: {said:.80} in {:?}", start.elapsed()),
            Err(finding) => self.fell.push(format!("{name}: {finding}")),
        }
    }

    fn end(self) {
        assert!(self.fell.is_empty(), "{}", self.fell.join("\n"));
    }
}

/// The lines made from 0..n.
fn lines(n: usize, line: impl Fn(usize) -> String) -> String {
    (0..n).fold(String::new(), |mut text, k| {
        let _ = writeln!(text, "{}", line(k));
        text
    })
}

/// A program that trains a net with this body on 64 columns.
fn program(items: &str, body: &str) -> String {
    format!(
        "data d = csv(\"d.csv\", target: y)\n{items}\n\
         net model(x: [N, 64]) -> [N, 10] {{\n{body}\n}}\n\
         train {{\n minimize cross_entropy(model(x), y)\n on d, batch 10\n using sgd\n epochs 1\n}}\n"
    )
}

#[test]
fn nesting() {
    let mut siege = Siege::begin();
    const DEEP: usize = scaled(1_000_000);
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("f(", ")"),
        ("x[", "]"),
        ("-", ""),
        ("not ", ""),
        ("(", ""),
        ("{", ""),
        ("", ")"),
        ("x^", ""),
        ("x +", ""),
        ("if x then ", " else y"),
        ("if ", ""),
        ("when training {", "}"),
        ("sum(i) ", ""),
        ("x |> ", ""),
        ("x.", ""),
        ("", "'"),
        ("", ".T"),
        ("", "²"),
        ("", "()"),
        ("", "[i]"),
        ("(a, ", ")"),
    ] {
        let deep = DEEP.min(scaled(2 << 20) / (open.len() + close.len()) - 40);
        let text = format!("fn f(x, y) = {}x{}\n", open.repeat(deep), close.repeat(deep));
        siege.attack(&format!("{open}x{close}"), &text);
        let text = format!("fn f(x, y) {{ a = {}x{}; a }}\n", open.repeat(DEEP / 20), close.repeat(DEEP / 20));
        siege.attack(&format!("{{ a = {open}x{close} }}"), &text);
    }
    for (open, close) in
        [("[", "]"), ("(", ")"), ("index(", ")"), ("[N] -> ", ""), ("([N], ", ") -> [N]"), ("[N: ", "]")]
    {
        let deep = DEEP.min(scaled(2 << 20) / (open.len() + close.len()) - 40);
        siege.attack(
            &format!("{open}N{close}"),
            &format!("fn f(x: {}[N]{}) = x\n", open.repeat(deep), close.repeat(deep)),
        );
    }
    siege.attack("phases", &format!("train {}{}", "{ phase a ".repeat(100_000), "}".repeat(100_000)));
    siege.end();
}

#[test]
fn doubling() {
    let mut siege = Siege::begin();
    const MANY: usize = scaled(10_000);
    let chain = |step: &dyn Fn(usize) -> String, first: &str, last: &str| {
        format!("a0 = {first}\n{}{last}", lines(MANY, |k| format!("a{} = {}", k + 1, step(k))))
    };
    let last = format!("dense(a{MANY}, 10)");
    let sum = |k: usize| format!("a{k} + a{k}");
    siege.attack("sums in a net", &program("", &chain(&sum, "x", &last)));
    siege.attack("sums in a function", &format!("fn f(x: [N]) {{\n{}\n}}\n", chain(&sum, "x", &format!("a{MANY}"))));
    siege.attack("products", &program("", &chain(&|k| format!("a{k} * a{k}"), "x", &last)));
    siege.attack("powers", &program("", &chain(&|k| format!("a{k} ^ a{k}"), "x", &last)));
    siege.attack("concat in a net", &program("", &chain(&|k| format!("concat(a{k}, a{k})"), "x", &last)));
    let text = chain(&|k| format!("concat(a{k}, a{k} over D)"), "x", &format!("a{MANY}"));
    siege.attack("concat in a function", &format!("fn f(x: [N, D]) {{\n{text}\n}}\n"));
    siege.attack(
        "tuples",
        &format!("fn f(x) {{\n{}\n}}\n", chain(&|k| format!("(a{k}, a{k})"), "x", &format!("a{MANY}"))),
    );
    siege.attack(
        "tuples taken apart",
        &format!(
            "fn f(x) {{\n(a0, b0) = (x, x)\n{}a{MANY}\n}}\n",
            lines(MANY, |k| { format!("(a{}, b{}) = (a{k} + b{k}, a{k} - b{k})", k + 1, k + 1) })
        ),
    );
    siege.attack("constants", &format!("a0 = 1\n{}", lines(MANY, |k| format!("a{} = a{k} + a{k}", k + 1))));
    siege.attack("constants multiplied", &format!("a0 = 3\n{}", lines(MANY, |k| format!("a{} = a{k} * a{k}", k + 1))));
    siege.attack(
        "constants of powers",
        "a = 2^2^2^2^2\nb = 10^400\nc = 9223372036854775807 + 1\nd = 2^(-2^63)\ne = 0^(-1)\n",
    );
    siege.attack(
        "derivatives",
        &format!(
            "fn f(x: [N]) {{\na0 = sum(x^2)\n{}a60\n}}\n",
            lines(60, |k| { format!("a{} = sum(grad(a{k}, x) * x)", k + 1) })
        ),
    );
    let nested = lines(100, |k| format!("a{} = sum(grad(a{k}, x) * x)", k + 1));
    siege.attack(
        "derivatives in a net",
        &program(&format!("fn f(x: [N, 64]) {{\na0 = sum(x^2)\n{nested}a100\n}}\n"), "dense(x * f(x), 10)"),
    );
    siege.end();
}

#[test]
fn applications() {
    let mut siege = Siege::begin();
    const MANY: usize = scaled(10_000);
    let functions = |n: usize, body: &dyn Fn(usize) -> String| {
        format!("fn f0(x) = x + x\n{}", lines(n, |k| format!("fn f{}(x) = {}", k + 1, body(k))))
    };
    for (name, body) in [
        ("twice", &(|k| format!("f{k}(f{k}(x))")) as &dyn Fn(usize) -> String),
        ("sum", &|k| format!("f{k}(x) + f{k}(x)")),
        ("once", &|k| format!("f{k}(x)")),
    ] {
        for n in [30, MANY] {
            siege.attack(&format!("{name} {n}"), &program(&functions(n, body), &format!("dense(f{n}(x), 10)")));
        }
    }
    let layers = lines(MANY, |k| format!("layer g{}(x: [N, D]) -> [N, D] = g{k}(x) + g{k}(x)", k + 1));
    let first = "layer g0(x: [N, D]) -> [N, D] = dense(x, D)\n";
    siege.attack("layers", &program(&format!("{first}{layers}"), "dense(g40(x), 10)"));
    siege.attack("many layers", &program(&format!("{first}{layers}"), &format!("dense(g{MANY}(x), 10)")));
    let passed = lines(40, |k| format!("fn h{}(f: [N] -> [N], x: [N]) -> [N] = h{k}(f, h{k}(f, x))", k + 1));
    siege.attack(
        "functions passed",
        &format!(
            "fn h0(f: [N] -> [N], x: [N]) -> [N] = f(f(x))\nfn s(x: [N]) -> [N] = 2*x\n{passed}fn all(x: [N]) = h40(s, x)\n"
        ),
    );
    let circle = lines(MANY, |k| format!("fn f{k}(x) = f{}(x)", (k + 1) % MANY));
    siege.attack("a circle", &circle);
    let rule = lines(25, |k| format!("fn r{}(J: objective, p: params) -> params = r{k}(J, r{k}(J, p))", k + 1));
    let text = program(
        &format!(
            "fn r0(J: objective, p: params) -> params = p - grad(J)(p)\n{rule}optimizer o(J, θ) {{ θ' = r25(J, θ) }}\n"
        ),
        "dense(x, 10)",
    );
    siege.attack("a rule", &text.replace("using sgd", "using o"));
    siege.end();
}

#[test]
fn sizes() {
    let mut siege = Siege::begin();
    for body in [
        "dense(x, 1000000000000)",
        "dense(dense(x, 9223372036854775807), 9223372036854775807)",
        "dense(x, 2^62)",
        "dense(x, 10^400)",
        "dense(x, 0)",
        "dense(x, -1)",
        "dense(x, 9223372036854775807 + 1)",
        "dense(x, 1e300)",
        "param W: [64, 1000000000, 1000000000] = 0\nsum(W) + dense(x, 10)",
        "param W: [9223372036854775807, 9223372036854775807] = 0\nsum(W) + dense(x, 10)",
        "param W: [64*64*64*64*64*64*64*64*64*64*64, 64] = 0\nsum(W) + dense(x, 10)",
        "param W: [floor(64 / 0)] = 0\nsum(W) + dense(x, 10)",
        "param W: [64 - 65] = 0\nsum(W) + dense(x, 10)",
    ] {
        siege.attack(body, &program("", body));
    }
    let sums = |n: usize| (0..n).map(|k| format!("(A{k} + B{k})")).collect::<Vec<_>>().join("*");
    let inputs = |n: usize| (0..n).map(|k| format!("a{k}: [A{k}], b{k}: [B{k}]")).collect::<Vec<_>>().join(", ");
    for n in [10, 20, 60] {
        siege.attack(&format!("a size of {n} factors"), &format!("fn f({}, x: [{}]) = sum(x)\n", inputs(n), sums(n)));
    }
    let power = vec!["(A + B + C + D)"; 100].join("*");
    siege.attack("a power of sums", &format!("fn f(a: [A], b: [B], c: [C], d: [D], x: [{power}]) = sum(x)\n"));
    let floors = "floor((".repeat(60) + "A" + &") / 2 + A)".repeat(60);
    siege.attack("floors", &format!("fn f(a: [A], x: [{floors}]) = sum(x)\n"));
    let squares = lines(200, |k| format!("fn f{}(x: [A, B]) = f{k}(concat(x, x over B))", k + 1));
    siege.attack(
        "doubled by application",
        &program(&format!("fn f0(x: [A, B]) = sum(x over B)\n{squares}"), "dense(x, 10) * f200(x)"),
    );
    siege.attack(
        "many axes",
        &format!("fn f(x: [{}]) = sum(x)\n", (0..100_000).map(|k| format!("A{k}")).collect::<Vec<_>>().join(", ")),
    );
    siege.attack("many packs", &format!("fn f(x: [{}]) = sum(x)\n", vec![".."; 100_000].join(", ")));
    siege.attack(
        "an outer product",
        "fn f(x: [N]) {\n y[a, b, c, d, e, f, g, h, i, j, k, l] = x[a]*x[b]*x[c]*x[d]*x[e]*x[f]*x[g]*x[h]*x[i]*x[j]*x[k]*x[l]\n y\n}\n",
    );
    siege.end();
}

#[test]
fn constants() {
    let mut siege = Siege::begin();
    siege.attack("digits", &format!("a = {}\n", "9".repeat(1_000_000)));
    siege.attack("a fraction", &format!("a = 0.{}\n", "9".repeat(1_000_000)));
    siege.attack("an exponent", &format!("a = 1e{}\n", "9".repeat(1_000_000)));
    siege.attack("a raised number", &format!("a = 2{}\n", "⁹".repeat(300_000)));
    siege.attack("a text", &format!("a = \"{}\"\n", "t".repeat(1_000_000)));
    siege.attack("a name", &format!("{0} = 1\nb = {0}x\n", "n".repeat(1_000_000)));
    siege.attack("a comment", &format!("## {}\nfn f(x) = x + y\n", "c".repeat(1_000_000)));
    for clause in ["batch 9223372036854775807", "batch 1e300", "batch 0 - 1", "batch 2^70"] {
        siege.attack(clause, &program("", "dense(x, 10)").replace("batch 10", clause));
    }
    for clause in
        ["epochs 9223372036854775807", "epochs 1e300", "steps 9223372036854775807", "epochs 0/0", "epochs 1/0"]
    {
        siege.attack(clause, &program("", "dense(x, 10)").replace("epochs 1", clause));
    }
    siege.end();
}

#[test]
fn many() {
    let mut siege = Siege::begin();
    const MANY: usize = scaled(100_000);
    siege.attack("functions", &lines(MANY, |k| format!("fn f{k}(x)=x")));
    siege.attack("functions that apply each other", &lines(MANY / 2, |k| format!("fn f{}(x) = f{k}(x)", k + 1)));
    siege.attack("functions of one name", &lines(MANY, |_| "fn f(x)=x".to_string()));
    siege.attack("constants", &lines(MANY, |k| format!("c{k} = {k}")));
    siege.attack("constants in a row", &lines(MANY, |k| format!("c{} = c{k}", k + 1)));
    siege.attack(
        "unknown names",
        &format!(
            "{}{}",
            lines(MANY / 2, |k| format!("value{k} = {k}")),
            lines(MANY / 4, |k| format!("c{k} = valu{k}"))
        ),
    );
    siege.attack("unknown functions", &lines(MANY, |k| format!("fn f{k}(x)=g{k}(x)")));
    siege.attack("equations", &format!("fn f(x) {{\n{}x\n}}\n", lines(MANY, |k| format!("a{k} = x"))));
    siege.attack(
        "equations in a row",
        &format!("fn f(a0) {{\n{}a{MANY}\n}}\n", lines(MANY, |k| format!("a{} = a{k}", k + 1))),
    );
    siege.attack(
        "equations backwards",
        &format!("fn f(x) {{\n{}a{MANY} = x\na0\n}}\n", lines(MANY, |k| format!("a{k} = a{}", k + 1))),
    );
    siege.attack("equations of one name", &format!("fn f(x) {{\n{}x\n}}\n", lines(MANY, |_| "a = x".to_string())));
    siege
        .attack("unknown names in a block", &format!("fn f(x) {{\n{}x\n}}\n", lines(MANY, |k| format!("a{k} = b{k}"))));
    siege.attack("inputs", &format!("fn f({}) = i0\n", (0..MANY).map(|k| format!("i{k}, ")).collect::<String>()));
    siege.attack(
        "options",
        &format!("fn f(x; {}) = x\n", (0..MANY).map(|k| format!("o{k} = {k}, ")).collect::<String>()),
    );
    siege.attack("arguments", &format!("fn f(x) = g({})\nfn g(x) = x\n", "x, ".repeat(MANY)));
    siege.attack(
        "arguments by name",
        &format!("fn f(x) = g({})\nfn g(x) = x\n", (0..MANY).map(|k| format!("a{k}: x, ")).collect::<String>()),
    );
    siege.attack("a tuple", &format!("fn f(x) = ({})\n", "x, ".repeat(MANY)));
    siege.attack("a concatenation", &format!("fn f(x: [N]) = concat({} over N)\n", vec!["x"; MANY].join(", ")));
    siege.attack("indices", &format!("fn f(x) = x[{}]\n", "x, ".repeat(MANY)));
    siege.attack("packs over", &format!("fn f(x) = sum(x over {})\n", vec![".."; MANY].join(", ")));
    siege.attack(
        "parts",
        &format!(
            "data d = csv(\"d.csv\")\nsplit d into {}\n",
            (0..MANY).map(|k| format!("p{k} 1%")).collect::<Vec<_>>().join(", ")
        ),
    );
    siege.attack("data", &lines(MANY / 2, |k| format!("data d{k} = csv(\"d.csv\")")));
    siege.attack("splits", &lines(MANY / 2, |_| "split d into a 50%, b 50%".to_string()));
    siege.attack(
        "measures",
        &program("", "dense(x, 10)")
            .replace("epochs 1", &format!("epochs 1\nmeasure {}", vec!["accuracy(model(x), y)"; 200].join(", "))),
    );
    for operator in ["+", "@", "$"] {
        let line = vec![format!("x {operator} y"); 560].join(", ");
        siege.attack(&format!("errors on a line, of {operator}"), &format!("fn f(x: [N], y: [M]) = ({line})\n"));
    }
    siege.attack("sums", &format!("fn f(x) = {}\n", vec!["x"; MANY].join(" + ")));
    siege.attack("pipes", &format!("fn f(x) = x{}\n", " |> exp".repeat(MANY)));
    siege.attack(
        "parameters",
        &program("", &format!("{}dense(x, 10)", lines(MANY / 4, |k| format!("param p{k}: [] = 0")))),
    );
    siege.attack(
        "layers",
        &program("", &format!("a0 = x\n{}dense(a300, 10)", lines(300, |k| format!("a{} = dense(a{k}, 64)", k + 1)))),
    );
    for text in [
        "a\n",
        "=\n",
        "}\n",
        "fn ",
        "fn f(\n",
        "\"\n",
        "train {\n",
        "# c\n",
        "\n",
        ";",
        "a=1;",
        "$ ",
        "##\n",
        "\r",
        "é",
        "f(x)\n",
    ] {
        siege.attack(&format!("{text:?}"), &text.repeat(scaled(2 << 20) / text.len()));
    }
    siege.end();
}
