//! From a file's name to a checked program and its data.

use super::failure::Failure;
use super::options::Source;
use crate::check::{self, Schemas, typed::Program};
use crate::data::{self, FloatType, Table};
use crate::source::{Diagnostic, FileId, Files, closest};
use crate::syntax::ast::{self, ItemKind};
use crate::syntax::parse;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A program without errors, and the data it declares.
pub struct Loaded {
    pub files: Files,
    /// The program's own file.
    pub user: FileId,
    pub program: Program,
    pub tables: BTreeMap<String, Table>,
}

/// The text of a program's file.
pub fn read(path: &Path) -> Result<(Files, FileId), Failure> {
    let bytes = fs::read(path).map_err(|e| Failure::Message(unreadable(path, &e)))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::message(format!("{} is not UTF-8 text: see byte {at}", path.display()))
    })?;
    let mut files = Files::default();
    let file = files.add(path, text);
    Ok((files, file))
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    let mut message = format!("cannot read {}: {error}", path.display());
    if error.kind() == std::io::ErrorKind::NotFound
        && let Some(near) = neighbour(path)
    {
        message += &format!("\nhelp: did you mean {near}?");
    }
    message
}

/// A file beside the one that is not there, with a name like it.
fn neighbour(path: &Path) -> Option<String> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut names: Vec<String> =
        fs::read_dir(directory).ok()?.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
    names.retain(|n| n.ends_with(".dl"));
    names.sort();
    let near = closest(path.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    Some(path.with_file_name(near).display().to_string())
}

/// Parses a file; fails with its errors.
pub fn parsed(path: &Path) -> Result<(Files, FileId, ast::File), Failure> {
    let (files, file) = read(path)?;
    let (tree, errors) = parse(file, files.text(file));
    if errors.is_empty() { Ok((files, file, tree)) } else { Err(Failure::Diagnostics(Box::new(files), errors)) }
}

/// Parses, reads the data and checks. Fails with every error found on the way.
pub fn load(source: &Source, float: FloatType) -> Result<Loaded, Failure> {
    let (mut files, user, tree) = parsed(&source.file)?;
    let directory = source.file.parent().unwrap_or(Path::new(""));
    let mut errors = Vec::new();
    let (tables, schemas) = read_data(&tree, directory, float, &mut errors);
    let prelude = check::prelude(&mut files);
    let prelude: Vec<&ast::File> = prelude.iter().collect();
    let (program, found) = check::check(&prelude, &tree, &schemas, &source.set);
    errors.extend(found);
    if errors.is_empty() {
        requirements(&program, &tables, &mut errors);
    }
    if !errors.is_empty() {
        errors.sort_by_key(|e: &Diagnostic| e.labels.first().map(|l| l.span));
        return Err(Failure::Diagnostics(Box::new(files), errors));
    }
    Ok(Loaded { files, user, program, tables })
}

/// The tables that can be read, and what the checker needs to know of them.
fn read_data(
    tree: &ast::File,
    directory: &Path,
    float: FloatType,
    errors: &mut Vec<Diagnostic>,
) -> (BTreeMap<String, Table>, Schemas) {
    let (mut tables, mut schemas) = (BTreeMap::new(), Schemas::new());
    for item in &tree.items {
        let ItemKind::Data(declaration) = &item.kind else { continue };
        let table = data::source(declaration, directory)
            .and_then(|source| source.read(float).map_err(|e| e.at(declaration.source.span)));
        match table {
            Ok(table) => {
                schemas.insert(declaration.name.text.clone(), table.schema());
                tables.insert(declaration.name.text.clone(), table);
            }
            Err(error) => errors.push(error),
        }
    }
    (tables, schemas)
}

/// Checks that columns used as indices stay within their axes.
fn requirements(program: &Program, tables: &BTreeMap<String, Table>, errors: &mut Vec<Diagnostic>) {
    for requirement in program.train.iter().flat_map(|t| &t.requirements) {
        let name = &program.data_set(requirement.data).name;
        let Some(column) = tables.get(name).and_then(|t| t.column(&requirement.column).ok()) else { continue };
        let size = usize::try_from(requirement.size).unwrap_or(usize::MAX);
        if let Err(error) = column.check_index_range(size) {
            errors.push(error.at(requirement.span));
        }
    }
}
