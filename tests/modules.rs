//! Programs of several files, through the command line.

use assert_cmd::Command;
use std::fs;
use tempfile::TempDir;

/// Writes files by name and checks `main.dl`: whether it is fine, and what is said.
fn checked(files: &[(&str, &str)]) -> (bool, String) {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let run = Command::cargo_bin("dlc").unwrap().current_dir(&folder).args(["check", "main.dl"]).output().unwrap();
    (run.status.success(), String::from_utf8_lossy(&run.stderr).into_owned())
}

const BLOCKS: &str = "width = 8
fn square(x) = x^2
layer residual(x: [.., I]) -> [.., I] = x + dense(tanh(x), I)
init small(w) = 0.01 * normal(like: w)
net encoder(x: [N, 4]) -> [N, 8] = dense(x, width)";

#[test]
fn names_of_an_open_file_are_seen() {
    let main = "use \"nets/blocks.dl\"
        double = 2 * width
        net top(x: [N, 4]) -> [N, double] = encoder(square(x)) |> residual |> dense(double, init: small)";
    let (fine, said) = checked(&[("nets/blocks.dl", BLOCKS), ("main.dl", main)]);
    assert!(fine, "{said}");
}

#[test]
fn an_alias_keeps_names_apart() {
    let main = "use \"blocks.dl\" as b
        fn square(x) = b.square(x) + 1
        net top(x: [N, 4]) -> [N, 4] {
            shared again = b.residual
            h = x |> b.residual |> square
            again(again(h)) |> dense(b.width, init: b.small) |> dense(4)
        }";
    let (fine, said) = checked(&[("blocks.dl", BLOCKS), ("main.dl", main)]);
    assert!(fine, "{said}");
    let (fine, said) = checked(&[("blocks.dl", BLOCKS), ("main.dl", "use \"blocks.dl\" as b\nfn f(x) = b.cube(x)")]);
    assert!(!fine && said.contains("`b` has no `cube`"), "{said}");
    let (fine, said) = checked(&[("blocks.dl", BLOCKS), ("main.dl", "use \"blocks.dl\" as b\nfn f(x) = square(x)")]);
    assert!(!fine && said.contains("nothing is called `square`"), "{said}");
}

#[test]
fn an_alias_leads_to_nets_and_rules_in_train() {
    let blocks = "net f(x: [N, 2]) -> [N] = x |> dense(4) |> tanh |> affine
        optimizer half(J, θ; lr = 0.1) requires lr > 0 { θ' = θ - lr/2*grad(J)(θ) }
        constraint tame(w: [fan_out: O, fan_in: I]; bound = 1) -> [O, I] = w * min(1, bound / norm(w over fan_in))
        average recent(θ) { state a = θ; a' = 0.9*a + 0.1*θ; a' }";
    let main = |clauses: &str| {
        format!(
            "use \"blocks.dl\" as b
            data moons(x, y) = two_moons(20) seed 1
            train {{
                minimize mse(b.f(x), y) + sum(b.f.dense.W^2) + l2(b.f.affine) over b.f
                on       moons
                {clauses}
                keep     b.tame(bound: 2)
                average  b.recent
                measure  largest = max(norm(b.f.dense.W over fan_in))
                steps    2
            }}"
        )
    };
    let rules = "using b.half(lr: 0.2) for b.f.dense\nusing sgd";
    let (fine, said) = checked(&[("blocks.dl", blocks), ("main.dl", &main(rules))]);
    assert!(fine, "{said}");
    let (fine, said) = checked(&[("blocks.dl", blocks), ("main.dl", &main("using b.halve"))]);
    assert!(!fine && said.contains("`b` has no `halve`"), "{said}");
    let (fine, said) = checked(&[("blocks.dl", blocks), ("main.dl", &main("using sgd for b.g\nusing sgd"))]);
    assert!(!fine && said.contains("no net is called `g`"), "{said}");
    let (fine, said) = checked(&[("blocks.dl", blocks), ("main.dl", &main("using b.half(lr: -1)"))]);
    assert!(!fine && said.contains("E0251") && said.contains("blocks.dl:2"), "{said}");
}

#[test]
fn a_file_sees_what_it_uses_and_no_more() {
    let lower = "fn cube(x) = x^3";
    let upper = "use \"lower.dl\"\nfn ninth(x) = cube(cube(x))";
    let files = |main| checked(&[("a/lower.dl", lower), ("a/upper.dl", upper), ("main.dl", main)]);
    let (fine, said) = files("use \"a/upper.dl\"\nfn f(x) = ninth(x)");
    assert!(fine, "{said}");
    let (fine, said) = files("use \"a/upper.dl\"\nfn f(x) = cube(x)");
    assert!(!fine && said.contains("nothing is called `cube`"), "{said}");
    let (fine, said) = files("use \"a/upper.dl\"\nuse \"a/lower.dl\"\nfn f(x) = cube(ninth(x))");
    assert!(fine, "{said}");
}

#[test]
fn a_file_may_define_a_name_of_the_library_anew() {
    let main = "use \"own.dl\"\nfn f(x: [N]) -> [N] = relu(x)";
    let own = "fn relu(x, c: []) = max(x, c)";
    let (fine, said) = checked(&[("own.dl", own), ("main.dl", main)]);
    assert!(!fine && said.contains("`relu` also needs `c`") && said.contains("own.dl:1"), "{said}");
}

#[test]
fn what_is_wrong_is_told_with_its_file() {
    let broken = "fn f(x: [N]) -> [N] = x + \n";
    let (_, said) = checked(&[("broken.dl", broken), ("main.dl", "use \"broken.dl\"")]);
    assert!(said.contains("broken.dl"), "{said}");
    let (_, said) = checked(&[("bad.dl", "fn f(x: [N], y: [M]) = x + y"), ("main.dl", "use \"bad.dl\"")]);
    assert!(said.contains("E0203") && said.contains("bad.dl:1"), "{said}");
    let (_, said) = checked(&[("main.dl", "use \"none.dl\"")]);
    assert!(said.contains("none.dl") && said.contains("main.dl:1:5"), "{said}");
    let (_, said) = checked(&[("a.dl", "use \"main.dl\""), ("main.dl", "use \"a.dl\"")]);
    assert!(said.contains("E0208"), "{said}");
    let (_, said) = checked(&[("a.dl", "fn f(x) = x"), ("main.dl", "use \"a.dl\"\nfn f(x) = 2*x")]);
    assert!(said.contains("E0202") && said.contains("as b"), "{said}");
    let (_, said) = checked(&[("a.dl", "data d = csv(\"d.csv\")"), ("main.dl", "use \"a.dl\"")]);
    assert!(said.contains("E0212"), "{said}");
    let net = "net n(x: [N, 4]) -> [N, 2] = dense(x, 2)";
    let (_, said) = checked(&[("a.dl", net), ("main.dl", &format!("use \"a.dl\" as a\n{net}"))]);
    assert!(said.contains("E0202"), "{said}");
}
