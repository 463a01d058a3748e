//! The checker on whole programs: the standard library and every shipped source are accepted.

use dlc::check::{self, ColumnKind, ColumnSchema, Schema, Schemas, typed::Program};
use dlc::source::{Diagnostic, Files, render};
use dlc::syntax;
use std::time::{Duration, Instant};

/// The program and the rendered errors of a source.
fn check(text: &str, schemas: &Schemas) -> (Program, String) {
    let mut files = Files::default();
    let file = files.add("user.dl", text);
    let (tree, errors) = syntax::parse(file, text);
    assert!(errors.is_empty(), "{}", render(&files, &errors, false));
    let prelude = check::prelude(&mut files);
    let prelude: Vec<_> = prelude.iter().collect();
    let (program, errors): (Program, Vec<Diagnostic>) = check::check(&prelude, &tree, schemas, &[]);
    (program, render(&files, &errors, false))
}

#[test]
fn the_standard_library_has_no_errors() {
    let (program, errors) = check("", &Schemas::new());
    assert!(errors.is_empty(), "{errors}");
    assert!(program.definitions.len() > 50);
}

fn pool(columns: &[(&str, &[u64], ColumnKind)]) -> Schemas {
    let columns = columns
        .iter()
        .map(|(name, axes, kind)| ColumnSchema { name: name.to_string(), axes: axes.to_vec(), kind: *kind })
        .collect();
    let schema = Schema { rows: 1000, columns };
    Schemas::from([("pool".to_string(), schema.clone()), ("digits".to_string(), schema)])
}

const CLASS: ColumnKind = ColumnKind::Int { min: 0, max: 9 };

#[test]
fn shipped_programs_have_no_errors() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let float = ColumnKind::Float;
    let cases = [
        ("examples/digits.dl", pool(&[("x", &[64], float), ("label", &[], CLASS)])),
        ("benches/workloads/W1.dl", pool(&[("x", &[64], float), ("y", &[], CLASS)])),
        ("benches/workloads/W2.dl", pool(&[("x", &[784], float), ("y", &[], CLASS)])),
        ("benches/workloads/W5.dl", pool(&[("x", &[64], float), ("y", &[], CLASS)])),
        ("benches/workloads/W6.dl", pool(&[("x", &[64], float), ("y", &[], CLASS)])),
        ("benches/workloads/W7.dl", pool(&[("x", &[20000], float), ("y", &[], CLASS)])),
        ("benches/workloads/W8.dl", pool(&[("x", &[784], float)])),
        ("benches/workloads/W9.dl", pool(&[("x", &[2], float), ("y", &[1], float)])),
    ];
    for (path, schemas) in cases {
        let text = std::fs::read_to_string(root.join(path)).unwrap();
        let (program, errors) = check(&text, &schemas);
        assert!(errors.is_empty(), "{path}:\n{errors}");
        assert!(program.train.is_some(), "{path}");
    }
}

/// Runs with the stack of a test thread: the parser's bound on nesting must be enough for the checker.
#[test]
fn the_deepest_sources_are_checked() {
    let nest = |open: &str, close: &str, inside: &str, n: usize| open.repeat(n) + inside + &close.repeat(n);
    let chains = [
        format!("fn f(x: [N]) = {}", nest("exp(", ")", "x", 120)),
        format!("fn f(x: [N]) = {}", nest("-", "", "x", 120)),
        format!("fn f(x: [N]) = x{}", " |> relu".repeat(120)),
        format!("fn f(x: [N]) = x{}", " + x".repeat(120)),
        format!("fn f(x: [N]) = {}", nest("norm(", ")", "x", 120)),
        format!("fn f(x: [N]) = {}", nest("if true then (", ") else x", "x", 40)),
        format!("fn f(x: [N]) {{ {} }}", nest("when training { ", " } else { x }", "x", 40)),
        format!("fn f(x: [N]) {{\ny[i] = {}\ny\n}}", nest("exp(", ")", "x[i]", 120)),
        format!("fn f(x: [N]) = {}", nest("relu(undefined(", "))", "x", 55)),
    ];
    for text in chains {
        let (_, errors) = check(&text, &Schemas::new());
        assert!(errors.is_empty() || text.contains("undefined"), "{text}\n{errors}");
    }
}

#[test]
fn doubling_and_long_chains_cost_linear_time() {
    let doubling = |n: usize| {
        let lines: String = (1..n).map(|k| format!("    a{k} = a{} + a{}\n", k - 1, k - 1)).collect();
        format!("fn f(x: [N]) {{\n    a0 = x\n{lines}    a{}\n}}\n", n - 1)
    };
    let chain = |n: usize| {
        let lines: String = (1..n).map(|k| format!("fn f{k}(x) = f{}(f{}(x))\n", k - 1, k - 1)).collect();
        format!("fn f0(x) = x\n{lines}")
    };
    // The least of three: other work on the machine only adds.
    let time = |text: &str| {
        let times = (0..3).map(|_| {
            let started = Instant::now();
            let (_, errors) = check(text, &Schemas::new());
            assert!(errors.is_empty(), "{errors}");
            started.elapsed()
        });
        times.min().unwrap()
    };
    for (short, long) in [(doubling(500), doubling(2000)), (chain(1250), chain(5000))] {
        let (short, long) = (time(&short), time(&long));
        assert!(long < 8 * short + Duration::from_millis(50), "{short:?}, four times as long {long:?}");
    }
}

/// Whatever the parser accepts, the checker answers: shipped sources with tokens removed, doubled and exchanged.
#[test]
fn mangled_sources_never_panic() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources: Vec<String> = check::LIBRARY.iter().map(|(_, text)| text.to_string()).collect();
    let mut cases: Vec<_> =
        std::fs::read_dir(root.join("tests/golden/check")).unwrap().map(|e| e.unwrap().path()).collect();
    cases.retain(|p| p.extension().is_some_and(|e| e == "dl"));
    cases.sort();
    sources.extend(cases.iter().map(|p| std::fs::read_to_string(p).unwrap()));
    let schemas = pool(&[("x", &[64], ColumnKind::Float), ("label", &[], CLASS)]);
    let mut library_files = Files::default();
    let library = check::prelude(&mut library_files);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n.max(1) as u64) as usize
    };
    let mut checked = 0;
    for source in &sources {
        for _ in 0..6 {
            let mut files = Files::default();
            let probe = files.add("probe.dl", source.as_str());
            let (tokens, _) = syntax::tokenize(probe, source);
            let texts: Vec<&str> = tokens.iter().map(|t| files.slice(t.span)).collect();
            let mut mangled: Vec<&str> = texts.clone();
            for _ in 0..1 + random(3) {
                let (at, from) = (random(mangled.len()), random(texts.len()));
                match random(3) {
                    0 => mangled[at] = texts[from],
                    1 => mangled.insert(at, texts[from]),
                    _ => {
                        mangled.remove(at);
                    }
                }
            }
            let text = mangled.concat();
            let mut files = Files::default();
            let user = files.add("user.dl", text.as_str());
            let (tree, _) = syntax::parse(user, &text);
            let parsed = check::prelude(&mut files);
            let prelude: Vec<_> = parsed.iter().collect();
            let (program, errors) = check::check(&prelude, &tree, &schemas, &[]);
            render(&files, &errors, false);
            check::print::print(&program, library.iter().flat_map(|f| &f.items).count());
            checked += 1;
        }
    }
    assert!(checked > 500, "{checked}");
}
