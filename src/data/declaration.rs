//! What a `data` declaration asks for: `csv("file", target: name)`, `npy(x: "file", …)`, `safetensors("file")`.
//!
//! Input: the declaration's syntax tree and the directory its paths are relative to. Output: a [`Source`], nothing read yet.

use super::Source;
use crate::source::{Diagnostic, Span, closest, codes};
use crate::syntax::ast::{Arg, Data, Expr, ExprKind};
use std::path::{Path, PathBuf};

/// The readers by the name that stands before the parentheses.
const READERS: [&str; 3] = ["csv", "npy", "safetensors"];

/// The files a declaration names and how to read them.
pub fn source(declaration: &Data, directory: &Path) -> Result<Source, Diagnostic> {
    let written = &declaration.source;
    let ExprKind::Call { callee, args, over: None } = &written.kind else {
        return Err(not_a_reader(written.span, None));
    };
    let path = |expr: &Expr| match &expr.kind {
        ExprKind::Str(text) => Ok(directory.join(text)),
        _ => Err(wrong(expr.span, "this should be a path in quotes", "write it like `\"data/digits.csv\"`")),
    };
    match callee.as_name() {
        Some("csv") => {
            let (file, rest) = file_and_rest(args, written.span, &path)?;
            let mut target = None;
            for arg in rest {
                match (&arg.name, &arg.value.kind) {
                    (Some(name), ExprKind::Name(column) | ExprKind::Str(column)) if name.text == "target" => {
                        target = Some(column.clone());
                    }
                    _ => return Err(wrong(arg.span, "`csv` does not take this", "its one option is `target: COLUMN`")),
                }
            }
            Ok(Source::Csv { path: file, target })
        }
        Some("safetensors") => {
            let (file, rest) = file_and_rest(args, written.span, &path)?;
            match rest.first() {
                Some(arg) => Err(wrong(arg.span, "`safetensors` does not take this", "it takes one path and no more")),
                None => Ok(Source::Safetensors { path: file }),
            }
        }
        Some("npy") => {
            let mut columns: Vec<(String, PathBuf)> = Vec::new();
            for arg in args {
                let Some(name) = &arg.name else {
                    return Err(wrong(arg.span, "this array has no name", "write `npy(x: \"x.npy\", y: \"y.npy\")`"));
                };
                if columns.iter().any(|(known, _)| *known == name.text) {
                    return Err(wrong(name.span, "this name is given twice", "give every array a name of its own"));
                }
                columns.push((name.text.clone(), path(&arg.value)?));
            }
            if columns.is_empty() {
                let help = "write `npy(x: \"x.npy\", y: \"y.npy\")`";
                return Err(wrong(written.span, "`npy` needs at least one array", help));
            }
            Ok(Source::Npy { columns })
        }
        name => Err(not_a_reader(callee.span, name)),
    }
}

fn file_and_rest<'a>(
    args: &'a [Arg],
    call: Span,
    path: &impl Fn(&Expr) -> Result<PathBuf, Diagnostic>,
) -> Result<(PathBuf, &'a [Arg]), Diagnostic> {
    match args.split_first() {
        Some((first, rest)) if first.name.is_none() => Ok((path(&first.value)?, rest)),
        _ => Err(wrong(call, "the path of the file is missing", "the first argument is a path in quotes")),
    }
}

fn wrong(span: Span, label: &str, help: &str) -> Diagnostic {
    Diagnostic::new(codes::BAD_DATA_DECLARATION, "this data cannot be declared so").at(span, label).help(help)
}

fn not_a_reader(span: Span, name: Option<&str>) -> Diagnostic {
    let diagnostic =
        Diagnostic::new(codes::BAD_DATA_DECLARATION, "this is no reader of data").at(span, "not a reader of data");
    match name.and_then(|n| closest(n, READERS)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help(format!("the readers are `{}`", READERS.join("`, `"))),
    }
}
