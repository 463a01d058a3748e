//! The checker on whole programs: the standard library and every shipped source are accepted.

use dlc::check::{self, ColumnKind, ColumnSchema, Schema, Schemas, typed::Program};
use dlc::source::{Diagnostic, Files, render};
use dlc::syntax;

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
        ("benches/workloads/W6.dl", pool(&[("x", &[64], float), ("y", &[], CLASS)])),
        ("benches/workloads/W7.dl", pool(&[("x", &[20000], float), ("y", &[], CLASS)])),
        ("benches/workloads/W9.dl", pool(&[("x", &[2], float), ("y", &[1], float)])),
    ];
    for (path, schemas) in cases {
        let text = std::fs::read_to_string(root.join(path)).unwrap();
        let (program, errors) = check(&text, &schemas);
        assert!(errors.is_empty(), "{path}:\n{errors}");
        assert!(program.train.is_some(), "{path}");
    }
}
