//! `dlc fmt [FILES]`: puts `.dl` files into canonical form.

use super::failure::Failure;
use super::load::{decoded, read};
use super::options::{Color, Fmt};
use super::print;
use crate::data::{self, describe};
use crate::source::{FileId, Files};
use crate::syntax::{FormatError, MAX_TEXT, Spelling, format};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Folders that hold no sources of the user's own: `runs` keeps texts as they were.
const SKIPPED: [&str; 2] = ["runs", "target"];

/// Formats every file that can be; tells what is wrong with the others.
pub fn execute(options: &Fmt, color: Color) -> Result<(), Failure> {
    let mut failed = false;
    for path in paths(&options.files)? {
        match one(&path, options) {
            Ok(fine) => failed |= !fine,
            Err(Failure::Closed) => return Err(Failure::Closed),
            Err(failure) => {
                failure.tell(color);
                failed = true;
            }
        }
    }
    if failed { Err(Failure::Told) } else { Ok(()) }
}

/// Formats one file, `-` being stdin; false if `--check` finds it not formatted.
fn one(path: &Path, options: &Fmt) -> Result<bool, Failure> {
    let stdin = path == Path::new("-");
    let (files, file) = if stdin { piped()? } else { read(path)? };
    let formatted = formatted(&files, file, options)?;
    if options.check {
        let changes = formatted != files.text(file);
        if changes {
            print(&format!("{}\n", path.display()))?;
        }
        return Ok(!changes);
    }
    if options.stdout || stdin {
        print(&formatted)?;
    } else if formatted != files.text(file) {
        write(path, &formatted)?;
        print(&format!("{}\n", path.display()))?;
    }
    Ok(true)
}

fn formatted(files: &Files, file: FileId, options: &Fmt) -> Result<String, Failure> {
    let spelling = if options.ascii { Spelling::Ascii } else { Spelling::Kept };
    format(file, files.text(file), spelling).map_err(|error| match error {
        FormatError::Syntax(errors) => {
            let mut copy = Files::default();
            copy.add(files.path(file), files.text(file));
            Failure::Diagnostics(Box::new(copy), errors)
        }
        FormatError::Changed => Failure::message(format!(
            "this is a bug in dlc: formatting {} would change its meaning; it stays as it is",
            files.path(file).display()
        )),
    })
}

/// Replaces a file whole; a link keeps pointing to it, and it keeps its permissions.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let cannot = |e: io::Error| Failure::message(format!("{} cannot be written: {}", path.display(), describe(&e)));
    let target = fs::canonicalize(path).map_err(cannot)?;
    let permissions = fs::metadata(&target).map_err(cannot)?.permissions();
    if permissions.readonly() {
        return Err(Failure::message(format!("{} cannot be written: it is read-only", path.display())));
    }
    data::replace(&target, |out: &mut dyn Write| out.write_all(text.as_bytes())).map_err(|e| Failure::data(&e))?;
    fs::set_permissions(&target, permissions).map_err(cannot)
}

fn piped() -> Result<(Files, FileId), Failure> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX_TEXT as u64 + 1).read_to_end(&mut bytes).map_err(Failure::message)?;
    decoded(Path::new("<stdin>"), bytes)
}

/// The files named, and for a folder those below it; of the current folder if nothing is named.
fn paths(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut out = Vec::new();
    if named.is_empty() {
        below(Path::new(""), &mut out)?;
    }
    for path in named {
        if path.is_dir() { below(path, &mut out)? } else { out.push(path.clone()) }
    }
    Ok(out)
}

/// Every `.dl` file below a folder, sorted.
fn below(folder: &Path, out: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let opened = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let unreadable = |e: io::Error| Failure::message(format!("{} cannot be read: {}", opened.display(), describe(&e)));
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(opened).and_then(Iterator::collect).map_err(unreadable)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = folder.join(entry.file_name());
        // Links to folders are not followed: they may lead in a circle.
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() && !name.starts_with('.') && !SKIPPED.contains(&&*name) {
            below(&path, out)?;
        } else if !kind.is_dir() && name.ends_with(".dl") && path.is_file() {
            out.push(path);
        }
    }
    Ok(())
}
