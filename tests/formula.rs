//! Derivatives as text, from programs: what is printed is `.dl` syntax and reads as in a textbook.

use dlc::check::{self, Schemas};
use dlc::elaborate::{self, elaborate};
use dlc::ir::{DType, formula::formula};
use dlc::optimize::{self, optimize};
use dlc::source::Files;
use dlc::syntax::{ast::ItemKind, parse};
use std::path::Path;

/// The derivatives of a program, whose data is read from `directory`.
fn derivatives(text: &str, directory: &Path) -> String {
    let mut files = Files::default();
    let file = files.add(Path::new("test.dl"), text.to_owned());
    let (tree, errors) = parse(file, files.text(file));
    assert!(errors.is_empty(), "{errors:?}");
    let mut schemas = Schemas::new();
    for item in &tree.items {
        if let ItemKind::Data(declaration) = &item.kind {
            let table = dlc::data::source(declaration, directory).unwrap();
            let table = table.read(dlc::data::FloatType::F64).unwrap();
            schemas.insert(declaration.name.text.clone(), table.schema());
        }
    }
    let prelude = check::prelude(&mut files);
    let prelude: Vec<_> = prelude.iter().collect();
    let (program, errors) = check::check(&prelude, &tree, &schemas, &[]);
    assert!(errors.is_empty(), "{errors:?}");
    let model = elaborate(&program, elaborate::Options { dtype: DType::F32 }).unwrap();
    let passes = optimize::Options {
        off: ["reciprocals".to_owned(), "row-sums".to_owned()].into(),
        ..optimize::Options::default()
    };
    let graph = optimize(&model.phases[0].gradient, &passes, &mut |_, _| {}).unwrap();
    formula(&graph, None)
}

/// Every right-hand side is an expression of the language.
fn parses(text: &str) {
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let line = line.split("  #").next().unwrap();
        let (left, right) = line.split_once(" = ").unwrap();
        let left = left.replace("grad ", "grad_").replace('.', "_");
        let program = format!("fn f(x) {{\n {left} = {right}\n x\n}}\n");
        let mut files = Files::default();
        let file = files.add(Path::new("line.dl"), program.clone());
        let (_, errors) = parse(file, files.text(file));
        assert!(errors.is_empty(), "{line}\n{errors:?}");
    }
}

fn examples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

#[test]
fn the_example_reads_as_in_the_textbook() {
    let text = std::fs::read_to_string(examples().join("digits.dl")).unwrap();
    let text = derivatives(&text, &examples());
    parses(&text);
    for equation in [
        "h1 = 2 * max(z1, 0) * mask ",
        "p = softmax(z2) ",
        "d_z2 = (p - one_hot(label)) / N ",
        "d_z1 = where(z1 > 0, 2 * d_z2 @ classifier.dense_2.Wᵀ * mask, 0) ",
        "grad classifier.dense_1.W = vᵀ @ d_z1 + 1e-4 * classifier.dense_1.W ",
        "grad classifier.dense_2.b = sum(d_z2 over N) ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(equation)), "{equation}\n{text}");
    }
}

fn diabetes(objective: &str, net: &str) -> String {
    let text = format!(
        "data d = csv(\"data/diabetes.csv\", target: progression)\nsplit d into train 80%, test 20%\n{net}\n\
         train {{\n minimize {objective}\n on d.train, batch 32\n using sgd(lr: 0.1)\n epochs 1\n}}\n"
    );
    derivatives(&text, &examples())
}

#[test]
fn whatever_is_printed_is_an_expression_of_the_language() {
    let nets = [
        (
            "mse(model(x), progression)",
            "net model(x: [N, 10]) -> [N] {\n h = x |> dense(16) |> sigmoid\n y = h |> dense(1)\n s[n] = sum(j) y[n, j]\n s\n}",
        ),
        (
            "mse(model(x), progression)",
            "net model(x: [N, 10]) -> [N] {\n param w: [10] = zeros\n param b: [] = zeros\n x @ w + b\n}",
        ),
        (
            "mean((model(x) - progression)^2) + 0.1 * gp(x)",
            "net model(x: [N, 10]) -> [N] {\n h = x |> dense(16) |> tanh\n param w: [16] = zeros\n h @ w\n}\nfn gp(x: [N, 10]) {\n y = sum(model(x))\n g = grad(y, x)\n sum(g^2)\n}",
        ),
        (
            "mse(model(x), progression)",
            "net model(x: [N, 10]) -> [N] {\n h = x |> dense(16) |> dense(16) |> relu\n param w: [16] = zeros\n a = softmax(h)\n y[n] = sum(i) a[n, i] * h[n, i] * w[i]\n y \n}",
        ),
    ];
    for (objective, net) in nets {
        let text = diabetes(objective, net);
        parses(&text);
        assert!(text.contains("\ngrad model."), "{text}");
    }
}
