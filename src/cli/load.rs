//! From a file's name to a checked program and its data.

use super::failure::Failure;
use super::options::Source;
use super::{generate, modules};
use crate::check::{Library, Schemas, typed::Program};
use crate::data::{self, FloatType, Table};
use crate::source::{Diagnostic, FileId, Files, Span, closest, codes};
use crate::syntax::ast::{self, ItemKind};
use crate::syntax::{MAX_TEXT, parse};
use crate::train;
use crate::train::record::Encoded;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A program without errors, and the data it declares.
pub struct Loaded {
    pub files: Files,
    /// The program's own file.
    pub user: FileId,
    /// The files it uses, and those they use.
    pub used: Vec<FileId>,
    pub program: Program,
    pub tables: BTreeMap<String, Table>,
    /// The files of each data set.
    pub data_files: BTreeMap<String, Vec<PathBuf>>,
    /// What reading them took.
    pub reading: Duration,
}

impl Loaded {
    /// The user's files, the program's own first.
    pub fn sources(&self) -> Vec<FileId> {
        [self.user].iter().chain(&self.used).copied().collect()
    }
}

/// The text of a program's file. No more than is needed to see that it is too large is read: a device may have no end.
pub fn read(path: &Path) -> Result<(Files, FileId), Failure> {
    let mut files = Files::default();
    match add(&mut files, path) {
        Ok(file) => Ok((files, file)),
        Err(error) => Err(Failure::Diagnostics(Box::new(files), vec![error])),
    }
}

/// Adds the text of a file to the others.
pub fn add(files: &mut Files, path: &Path) -> Result<FileId, Diagnostic> {
    let mut bytes = Vec::with_capacity(8 << 10);
    fs::File::open(path)
        .and_then(|file| file.take(MAX_TEXT as u64 + 1).read_to_end(&mut bytes))
        .map_err(|e| unreadable(path, &e))?;
    add_bytes(files, path, bytes)
}

/// The text of bytes that come from a file.
pub fn decoded(path: &Path, bytes: Vec<u8>) -> Result<(Files, FileId), Failure> {
    let mut files = Files::default();
    match add_bytes(&mut files, path, bytes) {
        Ok(file) => Ok((files, file)),
        Err(error) => Err(Failure::Diagnostics(Box::new(files), vec![error])),
    }
}

fn add_bytes(files: &mut Files, path: &Path, bytes: Vec<u8>) -> Result<FileId, Diagnostic> {
    if bytes.len() > MAX_TEXT {
        let message = format!("{} is larger than {} MiB", path.display(), MAX_TEXT >> 20);
        let error = Diagnostic::new(codes::FILE_TOO_LARGE, message);
        return Err(error.help("keep data in files of its own, read with `data`"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(files.add(path, text)),
        Err(error) => {
            let file = files.add(path, String::from_utf8_lossy(error.as_bytes()));
            // Up to here the lossy text has the same bytes.
            let at = error.utf8_error().valid_up_to();
            let byte = error.as_bytes().get(at).copied().unwrap_or_default();
            let wide = matches!(error.as_bytes(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
            Err(Diagnostic::new(codes::NOT_UTF8, "the file is not UTF-8 text")
                .at(Span::new(file, at, at + 1), format!("the byte {byte:#04x} does not belong here"))
                .help(if wide { "this looks like UTF-16: save the file as UTF-8" } else { "save the file as UTF-8" }))
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    let message = format!("cannot read {}: {}", path.display(), data::describe(error));
    let diagnostic = Diagnostic::new(codes::UNREADABLE_FILE, message);
    if error.kind() == std::io::ErrorKind::NotFound
        && let Some(near) = neighbour(path)
    {
        return diagnostic.help(format!("did you mean `{near}`?"));
    }
    diagnostic
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
    let mut errors = Vec::new();
    let start = Instant::now();
    let (mut tables, mut schemas, mut data_files) = read_data(&tree, source.directory(), float, &mut errors);
    let reading = start.elapsed();
    let library = Library::new(&mut files);
    let modules = modules::used(&mut files, &tree, source.folder(), &mut errors);
    let used: Vec<FileId> = modules.files.iter().map(|f| f.span.file).collect();
    let meant = library.meant(used.iter().chain([&user]).map(|file| files.text(*file)));
    for (name, table) in generate::tables(&tree, (&library, &meant), &modules, &source.set, float, &mut errors) {
        schemas.insert(name.clone(), table.schema());
        data_files.insert(name.clone(), Vec::new());
        tables.insert(name, table);
    }
    let (program, found) = library.check(&meant, &modules, &tree, &schemas, &source.set);
    errors.extend(found);
    errors.sort_by_key(|e: &Diagnostic| e.labels.first().map(|l| l.span));
    errors.dedup();
    if errors.is_empty() {
        requirements(&program, &tables, &mut errors);
        match train::divide(&program, &tables) {
            Ok(()) => errors.extend(train::standardize(&program, &mut tables).err()),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        errors.sort_by_key(Diagnostic::order);
        return Err(Failure::Diagnostics(Box::new(files), errors));
    }
    Ok(Loaded { files, user, used, program, tables, data_files, reading })
}

/// As [`load`], for what needs a program that trains something.
pub fn load_trainable(source: &Source, float: FloatType) -> Result<Loaded, Failure> {
    let loaded = load(source, float)?;
    if loaded.program.train.is_some() {
        return Ok(loaded);
    }
    let end = loaded.files.text(loaded.user).len();
    let error = Diagnostic::new(codes::MISSING_TRAIN, "this program has no `train` block")
        .at(Span::new(loaded.user, end, end), "the file ends without one")
        .help("add `train { minimize …  on …  using …  epochs … }`");
    Err(Failure::Diagnostics(Box::new(loaded.files), vec![error]))
}

/// As [`load`], for a program whose data is known by how it was encoded, and is not read.
pub fn load_encoded(source: &Source, data: &BTreeMap<String, Encoded>) -> Result<Loaded, Failure> {
    let (mut files, user, tree) = parsed(&source.file)?;
    let schemas: Schemas =
        data.iter().map(|(name, encoded)| (name.clone(), encoded.encoding.schema(encoded.rows))).collect();
    let library = Library::new(&mut files);
    let mut errors = Vec::new();
    let modules = modules::used(&mut files, &tree, source.folder(), &mut errors);
    let used: Vec<FileId> = modules.files.iter().map(|f| f.span.file).collect();
    let meant = library.meant(used.iter().chain([&user]).map(|file| files.text(*file)));
    let (program, found) = library.check(&meant, &modules, &tree, &schemas, &source.set);
    errors.extend(found);
    if !errors.is_empty() {
        return Err(Failure::Diagnostics(Box::new(files), errors));
    }
    let (tables, data_files, reading) = (BTreeMap::new(), BTreeMap::new(), Duration::ZERO);
    Ok(Loaded { files, user, used, program, tables, data_files, reading })
}

/// The tables that can be read, what the checker needs to know of them, and the files they are read from.
fn read_data(
    tree: &ast::File,
    directory: &Path,
    float: FloatType,
    errors: &mut Vec<Diagnostic>,
) -> (BTreeMap<String, Table>, Schemas, BTreeMap<String, Vec<PathBuf>>) {
    let (mut tables, mut schemas, mut files) = (BTreeMap::new(), Schemas::new(), BTreeMap::new());
    for item in &tree.items {
        let ItemKind::Data(declaration) = &item.kind else { continue };
        if !declaration.columns.is_empty() {
            continue;
        }
        let table = data::source(declaration, directory).and_then(|source| {
            files.insert(declaration.name.text.clone(), source.files());
            source.read(float).map_err(|e| e.at(declaration.source.span))
        });
        match table {
            Ok(table) => {
                schemas.insert(declaration.name.text.clone(), table.schema());
                tables.insert(declaration.name.text.clone(), table);
            }
            Err(error) => errors.push(error),
        }
    }
    (tables, schemas, files)
}

/// Checks that columns used as indices stay within their axes.
fn requirements(program: &Program, tables: &BTreeMap<String, Table>, errors: &mut Vec<Diagnostic>) {
    let constants = program.computed.iter().flat_map(|def| &program.definition(*def).requirements);
    let phases = program.train.iter().flat_map(|t| &t.phases).flat_map(|p| &p.requirements);
    for requirement in constants.chain(phases) {
        let name = &program.data_set(requirement.data).name;
        let Some(table) = tables.get(name) else { continue };
        let size = usize::try_from(requirement.size).unwrap_or(usize::MAX);
        if let Err(error) = table.check_index_range(&requirement.column, size) {
            errors.push(error.at(requirement.span));
        }
    }
}
