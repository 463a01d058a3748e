//! Data that a program makes: `data moons(x, y) = two_moons(400, noise: 0.1) seed 3`.
//!
//! Each declaration becomes a definition of its own, checked with the others and without the training; its values, by the
//! interpreter, are the columns.

use crate::check::typed::Program;
use crate::check::{Library, Modules, Schemas};
use crate::data::{Array, Column, FloatType, Table, Values};
use crate::elaborate::{self, Options};
use crate::ir::{Bindings, DType, Tensor, interpret};
use crate::optimize;
use crate::source::{Diagnostic, codes};
use crate::syntax::ast::{self, Data, ExprKind, ItemKind};
use std::path::Path;

/// The tables that a program makes, by name.
pub fn tables(
    tree: &ast::File,
    (library, meant): (&Library, &[ast::File]),
    modules: &Modules,
    settings: &[(String, f64)],
    float: FloatType,
    errors: &mut Vec<Diagnostic>,
) -> Vec<(String, Table)> {
    let made: Vec<&Data> = tree
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            ItemKind::Data(data) if !data.columns.is_empty() => Some(data),
            _ => None,
        })
        .collect();
    if made.is_empty() {
        return Vec::new();
    }
    let mut program = tree.clone();
    // Nothing is known of the data that constants may be computed from: what uses them has no errors yet.
    program
        .items
        .retain(|item| !matches!(item.kind, ItemKind::Standardize(_) | ItemKind::Search(_) | ItemKind::Train(_)));
    for data in &made {
        program.items.push(ast::Item {
            doc: Vec::new(),
            kind: ItemKind::Definition(definition(data)),
            span: data.name.span,
        });
    }
    let (program, found) = library.check(meant, modules, &program, &Schemas::new(), settings);
    if !found.is_empty() {
        errors.extend(found);
        return Vec::new();
    }
    let mut tables = Vec::new();
    for data in made {
        match table(&program, data, float) {
            Ok(table) => tables.push((data.name.text.clone(), table)),
            Err(error) => errors.push(error),
        }
    }
    tables
}

fn name_of(data: &Data) -> String {
    format!("data {}", data.name.text)
}

/// `fn`, without inputs, of what the declaration says.
fn definition(data: &Data) -> ast::Definition {
    let body = ast::Block {
        statements: Vec::new(),
        result: Some(Box::new(data.source.clone())),
        braced: false,
        span: data.source.span,
    };
    ast::Definition {
        kind: ast::Kind::Fn,
        kind_span: data.name.span,
        name: ast::Name { text: name_of(data), span: data.name.span },
        inputs: Vec::new(),
        options: Vec::new(),
        result: None,
        requires: Vec::new(),
        body,
        derivative: None,
    }
}

fn table(program: &Program, data: &Data, float: FloatType) -> Result<Table, Diagnostic> {
    let dtype = match float {
        FloatType::F32 => DType::F32,
        FloatType::F64 => DType::F64,
    };
    let graph = elaborate::generated(program, &name_of(data), Options { dtype })?;
    if graph.outputs().len() != data.columns.len() {
        let message = format!("{} columns are named, and {} made", data.columns.len(), graph.outputs().len());
        return Err(Diagnostic::new(codes::WRONG_ARGUMENTS, message)
            .at(data.name.span, "declared here")
            .at(data.source.span, "this makes them"));
    }
    let failed = |why: String| Diagnostic::new(codes::WRONG_ARGUMENTS, why).at(data.source.span, "made here");
    let graph = optimize::optimize(&graph, &optimize::Options::default(), &mut |_, _| {})
        .map_err(|error| failed(format!("this data cannot be made: {error}")))?;
    let seed = match data.seed.as_ref().map(|e| &e.kind) {
        Some(ExprKind::Int(seed)) => *seed,
        _ => 0,
    };
    let whole = |value: i64| Some(Tensor::from_i64(DType::I64, Vec::new(), vec![value]));
    let inputs = |name: &str| if name == "seed" { whole(seed) } else { whole(0) };
    let values = interpret(&graph, &inputs, &Bindings::new())
        .map_err(|error| failed(format!("this data cannot be made: {error}")))?;
    let mut columns = Vec::with_capacity(values.len());
    for (name, tensor) in data.columns.iter().zip(values) {
        let shape = tensor.dims.clone();
        let values =
            if tensor.dtype().is_float() { Values::F64(tensor.to_f64()) } else { Values::I64(tensor.to_i64()) };
        let column = Column::new(&name.text, Array { shape, values }, float, Path::new(&data.name.text));
        columns.push(column.map_err(|error| error.at(data.source.span))?);
    }
    Table::of(columns, &[]).map_err(|error| error.at(data.source.span))
}
