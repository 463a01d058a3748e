//! What reads the bytes of a case. Each target asserts what must hold, and says in short what came of it: the messages,
//! without the names in them.

use crate::generator::random_program;
use crate::random::Random;
use dlc::check::{self, ColumnKind, ColumnSchema, Schema, Schemas};
use dlc::data::csv::{Missing, Options};
use dlc::data::{self, Array, Column, DataError, FloatType, Table};
use dlc::ir::DType;
use dlc::source::{Diagnostic, FileId, Files, render, to_json};
use dlc::syntax::ast::{self, Expr, File, ItemKind};
use dlc::syntax::{self, FormatError, Spelling, dump};
use dlc::train;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every `.dl` text of the tree, the snippets of the reference, and some random programs.
pub fn sources() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for folder in ["lang", "examples", "benches/workloads", "tests/golden"] {
        collect(&root.join(folder), &mut paths);
    }
    paths.sort();
    let mut texts: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let reference = fs::read_to_string(root.join("lang/reference.md")).unwrap();
    texts.extend(reference.split("```dl").skip(1).filter_map(|part| {
        let (_, text) = part.split_once('\n')?;
        Some(text.split("```").next()?.as_bytes().to_vec())
    }));
    let mut random = Random::new(7);
    texts.extend((0..50).map(|_| {
        let words: Vec<u32> = (0..60).map(|_| random.next() as u32).collect();
        random_program(&words).text.into_bytes()
    }));
    texts
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "dl") {
            paths.push(path);
        }
    }
}

/// Parsing; what parses and is printed parses to the same expressions.
pub fn parse(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut files = Files::default();
    let file = files.add("fuzzed.dl", text.clone());
    let (tree, errors) = syntax::parse(file, &text);
    if !errors.is_empty() {
        return told(&files, &errors);
    }
    let mut kinds = HashSet::new();
    for item in &tree.items {
        kinds.insert(std::mem::discriminant(&item.kind));
        expressions(item, &mut |expr| reparse(expr));
    }
    format!("{} kinds of items", kinds.len())
}

fn expressions<'t>(item: &'t ast::Item, visit: &mut dyn FnMut(&'t Expr)) {
    match &item.kind {
        ItemKind::Definition(definition) => definition.body.for_each_expr(visit),
        ItemKind::Constant(constant) => visit(&constant.value),
        ItemKind::Data(data) => visit(&data.source),
        _ => {}
    }
}

fn reparse(expr: &Expr) {
    let printed = expr.to_string();
    let text = format!("it = {printed}\n");
    let mut files = Files::default();
    let file = files.add("printed.dl", text.clone());
    let (tree, errors) = syntax::parse(file, &text);
    // Parentheses around what follows `sum(i)` may add a level.
    if errors.iter().any(|e| e.code == dlc::source::codes::NESTED_TOO_DEEP) {
        return;
    }
    assert!(errors.is_empty(), "{printed}\n{}", render(&files, &errors, false));
    let Some(ItemKind::Constant(constant)) = tree.items.first().map(|item| &item.kind) else { panic!("{printed}") };
    assert_eq!(dump::expression(&constant.value), dump::expression(expr), "{printed}");
}

/// Formatting: what was formatted stays as it is, in either spelling.
pub fn format(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    for spelling in [Spelling::Kept, Spelling::Ascii] {
        match syntax::format(FileId::default(), &text, spelling) {
            Ok(once) => {
                let twice = syntax::format(FileId::default(), &once, spelling);
                assert!(twice.is_ok_and(|twice| twice == once), "not the same when formatted again");
            }
            Err(FormatError::Syntax(errors)) => return errors[0].code.to_string(),
            Err(FormatError::Changed) => panic!("formatting changes the meaning"),
        }
    }
    text.lines().count().next_power_of_two().to_string()
}

/// The front end with data that is not read: every `data` has the columns that the seeds name.
pub fn check(bytes: &[u8]) -> String {
    front_end(&String::from_utf8_lossy(bytes))
}

/// All that happens to a text before the step is compiled: the diagnostics, in short.
pub fn front_end(text: &str) -> String {
    let mut files = Files::default();
    let file: FileId = files.add("fuzzed.dl", text);
    let (tree, errors) = syntax::parse(file, text);
    if !errors.is_empty() {
        return told(&files, &errors);
    }
    let prelude = check::prelude(&mut files);
    let prelude: Vec<&File> = prelude.iter().collect();
    let (program, errors) = check::check(&prelude, &tree, &schemas(&tree), &[]);
    if !errors.is_empty() {
        return told(&files, &errors);
    }
    if program.train.is_none() {
        return "no train".to_string();
    }
    match train::model(&program, DType::F32) {
        Ok(model) => format!("{} parameters", model.parameters.len().min(9)),
        Err(error) => told(&files, &[error]),
    }
}

fn schemas(tree: &File) -> Schemas {
    let float = |name: &str, axes: &[u64]| (name.to_string(), axes.to_vec(), ColumnKind::Float);
    let class = |name: &str, max| (name.to_string(), Vec::new(), ColumnKind::Int { min: 0, max });
    let columns = [
        float("x", &[64]),
        class("y", 9),
        class("label", 9),
        class("words", 4),
        class("benign", 1),
        float("progression", &[]),
        float("p", &[10]),
    ];
    let columns = columns.into_iter().map(|(name, axes, kind)| ColumnSchema { name, axes, kind }).collect();
    let schema = Schema { rows: 100, columns };
    let names = tree.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Data(data) => Some(data.name.text.clone()),
        _ => None,
    });
    names.map(|name| (name, schema.clone())).collect()
}

/// The codes and messages, which are also rendered in both forms.
fn told(files: &Files, errors: &[Diagnostic]) -> String {
    let text = render(files, errors, true);
    assert!(!text.is_empty());
    errors.iter().take(3).for_each(|error| drop(to_json(files, error)));
    let told: BTreeSet<String> =
        errors.iter().take(2).map(|error| format!("{}{}", error.code, template(&error.message))).collect();
    told.into_iter().collect()
}

/// A message without names and numbers.
fn template(message: &str) -> String {
    message.split('`').step_by(2).flat_map(str::chars).filter(|c| !c.is_ascii_digit()).collect()
}

pub fn csv(bytes: &[u8]) -> String {
    let read = |options, float| data::csv::parse(bytes, Path::new("fuzzed.csv"), &options, float);
    let said = tables(read(Options::target("y"), FloatType::F32));
    format!("{said}, {}", tables(read(Options::default(), FloatType::F64)))
}

/// With categories, rows left out and columns without names.
pub fn csv_options(bytes: &[u8]) -> String {
    // As many columns as rows may come of categories.
    let bytes = &bytes[..bytes.len().min(1000)];
    let read = |options| data::csv::parse(bytes, Path::new("fuzzed.csv"), &options, FloatType::F32);
    let named =
        Options { one_hot: vec!["a".to_string()], missing: Missing::Drop, separator: b';', ..Options::target("y") };
    let numbered = Options { one_hot: vec!["c1".to_string()], header: false, ..Options::target("c2") };
    format!("{}, {}", tables(read(named)), tables(read(numbered)))
}

pub fn npz(bytes: &[u8]) -> String {
    columns(data::npz::parse(bytes, Path::new("fuzzed.npz"), None))
}

pub fn idx(bytes: &[u8]) -> String {
    let read = data::idx::parse(bytes, bytes.len() as u64, Path::new("fuzzed.idx"));
    columns(read.map(|array| vec![("x".to_string(), array)]))
}

pub fn npy(bytes: &[u8]) -> String {
    let read = |float| data::npy::parse(bytes, bytes.len() as u64, Path::new("fuzzed.npy"), float);
    let said = columns(read(None).map(|array| vec![("x".to_string(), array)]));
    if let Ok(array) = read(Some(FloatType::F32)) {
        // What is read is written and read again. NaN, which equals nothing, may be anywhere.
        let mut written = Vec::new();
        data::npy::encode(&array, &mut written).unwrap();
        let length = written.len() as u64;
        let again = data::npy::parse(written.as_slice(), length, Path::new("again.npy"), None).unwrap();
        assert_eq!((again.shape, again.values.len()), (array.shape, array.values.len()));
    }
    said
}

pub fn safetensors(bytes: &[u8]) -> String {
    let read = data::safetensors::parse(bytes, Path::new("fuzzed.safetensors"), None);
    columns(read.map(|read| read.tensors))
}

/// Arrays as a `data` declaration takes them.
fn columns(arrays: Result<Vec<(String, Array)>, DataError>) -> String {
    let arrays = match arrays {
        Ok(arrays) => arrays,
        Err(error) => return refused(&error),
    };
    let file = Path::new("fuzzed");
    let table = |float| {
        let columns = arrays.iter().map(|(name, array)| Column::new(name, array.clone(), float, file));
        Table::of(columns.collect::<Result<_, _>>()?, &[])
    };
    format!("{}, {}", tables(table(FloatType::F32)), tables(table(FloatType::F64)))
}

/// A table with all that is asked of one, or why there is none.
fn tables(table: Result<Table, DataError>) -> String {
    let table = match table {
        Ok(table) => table,
        Err(error) => return refused(&error),
    };
    let schema = table.schema();
    for column in schema.columns.iter().take(20) {
        let column = table.column(&column.name).unwrap();
        assert_eq!(column.rows(), table.rows());
        if let Err(error) = column.check_index_range(10) {
            refused(&error);
        }
    }
    assert!(table.column("no such column").is_err());
    format!("{} columns", schema.columns.len().min(4))
}

fn refused(error: &DataError) -> String {
    let diagnostic = error.at(Default::default());
    let mut files = Files::default();
    files.add("fuzzed.dl", "data d = …");
    assert!(!render(&files, &[diagnostic], false).is_empty());
    // What a file holds may hold quotes too: all between the first and the last is left out.
    let message = error.message();
    let (before, after) = (message.split('`').next(), message.rsplit('`').next());
    before.into_iter().chain(after).flat_map(str::chars).filter(|c| !c.is_ascii_digit()).collect()
}
