//! Golden tests: each `tests/golden/<stage>/<case>.dl` stands beside `<case>.out`, what the stage makes of it.
//!
//! `DLC_BLESS=1 cargo test --test golden` writes the `.out` files anew. A stage is a function from a source to
//! its text in a module of its own below; to add one, add its folder, its function and its `#[test]`.

use dlc::check::typed::{Program, Train};
use dlc::check::{self, ColumnKind, ColumnSchema, Schema, Schemas};
use dlc::elaborate::{self, Model};
use dlc::ir::formula::formula;
use dlc::ir::{Bindings, DType, Graph};
use dlc::optimize;
use dlc::schedule;
use dlc::source::{FileId, Files, render};
use dlc::syntax;
use std::fmt::Write;
use std::path::Path;

/// Runs every case of a stage and compares, or rewrites, what it yields.
fn golden(stage: &str, run: impl Fn(&Files, FileId) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(stage);
    let bless = std::env::var_os("DLC_BLESS").is_some();
    let mut cases: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dl"))
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no cases in {}", folder.display());

    let mut failures = String::new();
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let mut files = Files::default();
        let file = files.add(&name, std::fs::read_to_string(&case).unwrap());
        let actual = run(&files, file);
        let expected_path = case.with_extension("out");
        if bless {
            std::fs::write(&expected_path, &actual).unwrap();
            continue;
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        if actual != expected {
            let _ = writeln!(failures, "--- {stage}/{name}: expected\n{expected}--- found\n{actual}");
        }
    }
    assert!(failures.is_empty(), "{failures}run with DLC_BLESS=1 to accept what was found");
}

#[test]
fn tokens() {
    golden("tokens", |files, file| {
        let (tokens, errors) = syntax::tokenize(file, files.text(file));
        syntax::dump::dump_tokens(files, &tokens) + &render(files, &errors, false)
    });
}

#[test]
fn ast() {
    golden("ast", |files, file| {
        let (tree, errors) = syntax::parse(file, files.text(file));
        assert!(errors.is_empty(), "a case of this stage has no errors:\n{}", render(files, &errors, false));
        syntax::dump::dump_ast(files, &tree)
    });
}

/// The source in canonical form, which is formatted already.
#[test]
fn fmt() {
    golden("fmt", |files, file| {
        let formatted =
            |text: &str| syntax::format(file, text, syntax::Spelling::Kept).expect("a case of this stage parses");
        let once = formatted(files.text(file));
        assert_eq!(formatted(&once), once, "{}", files.path(file).display());
        once
    });
}

#[test]
fn errors() {
    golden("errors", |files, file| {
        let (_, errors) = syntax::parse(file, files.text(file));
        assert!(!errors.is_empty(), "{} has no errors", files.path(file).display());
        render(files, &errors, false)
    });
}

/// A file checked with the library, on data `digits` that has x, label and target: the typed program, or the errors; and how
/// many definitions are the library's.
fn checked(files: &Files, file: FileId) -> (Result<Program, String>, usize) {
    let mut all = Files::default();
    let user = all.add(files.path(file), files.text(file));
    let (tree, errors) = syntax::parse(user, all.text(user));
    assert!(errors.is_empty(), "a case of this stage has no errors of syntax:\n{}", render(&all, &errors, false));
    let prelude = check::prelude(&mut all);
    let prelude: Vec<_> = prelude.iter().collect();
    let column = |name: &str, axes: &[u64], kind| ColumnSchema { name: name.into(), axes: axes.to_vec(), kind };
    let columns = vec![
        column("x", &[64], ColumnKind::Float),
        column("label", &[], ColumnKind::Int { min: 0, max: 9 }),
        column("target", &[], ColumnKind::Float),
    ];
    let schemas = Schemas::from([("digits".to_string(), Schema { rows: 1797, columns })]);
    let (program, errors) = check::check(&prelude, &tree, &schemas, &[]);
    let definition = |item: &&syntax::ast::Item| matches!(item.kind, syntax::ast::ItemKind::Definition(_));
    let library = prelude.iter().flat_map(|f| &f.items).filter(definition).count();
    (if errors.is_empty() { Ok(program) } else { Err(render(&all, &errors, false)) }, library)
}

#[test]
fn check() {
    golden("check", |files, file| match checked(files, file) {
        (Ok(program), library) => check::print::print(&program, library),
        (Err(errors), _) => errors,
    });
}

/// The graphs of a case of the stages after checking.
fn model(files: &Files, file: FileId) -> Model {
    let (program, _) = checked(files, file);
    let program = program.unwrap_or_else(|errors| panic!("a case of this stage has no errors:\n{errors}"));
    let model = elaborate::elaborate(&program, elaborate::Options { dtype: DType::F32 });
    model.unwrap_or_else(|error| panic!("a case of this stage can be elaborated: {}", error.message))
}

fn optimized(graph: &Graph) -> Graph {
    optimize::optimize(graph, &optimize::Options { verify: true, ..Default::default() }, &mut |_, _| {}).unwrap()
}

/// The graphs as elaborated, with requests for derivatives: starting values, the step, evaluation.
#[test]
fn graph() {
    golden("graph", |files, file| {
        let model = model(files, file);
        let mut text = format!("# starting values\n{}", model.init);
        for phase in &model.phases {
            if let Some(name) = phase.name.as_ref().filter(|_| model.phases.len() > 1) {
                text += &format!("\n# phase {name}: what its optimizer starts from\n{}", phase.start);
            }
            text += &format!("\n# the step\n{}\n# evaluation\n{}", phase.step, phase.evaluate);
        }
        text
    });
}

/// The derivative of the objective as mathematics.
#[test]
fn gradient() {
    golden("gradient", |files, file| formula(&optimized(&model(files, file).phases[0].gradient), None));
}

/// The step as kernels, products and a memory plan.
#[test]
fn schedule() {
    golden("schedule", |files, file| {
        let capacity = Bindings::from([(Train::batch_symbol(), 32)]);
        let program =
            schedule::schedule(&optimized(&model(files, file).phases[0].step), &schedule::Options::new(capacity));
        program.unwrap().to_string()
    });
}
