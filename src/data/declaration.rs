//! What a `data` declaration asks for: `csv("file", target: name)`, `npy(x: "file", …)`, `npz("file")`, ….
//!
//! Input: the declaration's syntax tree and the directory its paths are relative to. Output: a [`Source`], nothing read yet.

use super::Source;
use super::arrays::Choice;
use super::csv::{Missing, Options};
use crate::source::{Diagnostic, Span, closest, codes};
use crate::syntax::ast::{Arg, Data, Expr, ExprKind, Name};
use std::path::{Path, PathBuf};

/// The readers by the name that stands before the parentheses.
const READERS: [&str; 5] = ["csv", "npy", "npz", "idx", "safetensors"];

/// The options of `csv` by name.
const CSV_OPTIONS: [&str; 8] = ["target", "inputs", "drop", "one_hot", "separator", "header", "missing", "stream"];

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
            let (path, rest) = file_and_rest(args, written.span, &path)?;
            Ok(Source::Csv { path, options: csv_options(rest)? })
        }
        Some("npz") => {
            let (path, rest) = file_and_rest(args, written.span, &path)?;
            Ok(Source::Npz { path, choice: choice(rest)? })
        }
        Some("safetensors") => {
            let (path, rest) = file_and_rest(args, written.span, &path)?;
            Ok(Source::Safetensors { path, choice: choice(rest)? })
        }
        Some(reader @ ("npy" | "idx")) => {
            let (mut columns, mut targets, mut stream) = (Vec::new(), Vec::new(), false);
            let example = match reader {
                "npy" => "write `npy(x: \"x.npy\", y: \"y.npy\")`",
                _ => "write `idx(x: \"images-idx3-ubyte.gz\", y: \"labels-idx1-ubyte.gz\")`",
            };
            for arg in unique(args)? {
                let Some(name) = &arg.name else {
                    return Err(wrong(arg.span, "this array has no name", example));
                };
                match &arg.value.kind {
                    ExprKind::Name(_) | ExprKind::Tuple(_) if name.text == "target" => targets = names(&arg.value)?,
                    ExprKind::Bool(given) if name.text == "stream" && reader == "npy" => stream = *given,
                    _ => columns.push((name.text.clone(), path(&arg.value)?)),
                }
            }
            if columns.is_empty() {
                return Err(wrong(written.span, &format!("`{reader}` needs at least one array"), example));
            }
            match reader {
                "npy" => Ok(Source::Npy { columns, targets, stream }),
                _ => Ok(Source::Idx { columns, targets }),
            }
        }
        name => Err(not_a_reader(callee.span, name)),
    }
}

/// Arguments no two of which have the same name.
fn unique(args: &[Arg]) -> Result<&[Arg], Diagnostic> {
    for (index, arg) in args.iter().enumerate() {
        let Some(name) = &arg.name else { continue };
        let before = args[..index].iter().filter_map(|earlier| earlier.name.as_ref());
        if let Some(first) = before.into_iter().find(|earlier| earlier.text == name.text) {
            return Err(wrong(name.span, "this name is given twice", "keep one of the two").at(first.span, "the first"));
        }
    }
    Ok(args)
}

/// `target: y` and `column: array` of a file of arrays.
fn choice(args: &[Arg]) -> Result<Choice, Diagnostic> {
    let mut choice = Choice::default();
    for arg in unique(args)? {
        let Some(name) = &arg.name else {
            return Err(wrong(arg.span, "there is one path only", "columns are chosen by name: `x: x_train`"));
        };
        match names(&arg.value)?.as_slice() {
            targets if name.text == "target" => choice.targets = targets.to_vec(),
            [array] => choice.columns.get_or_insert_default().push((name.text.clone(), array.clone())),
            _ => {
                return Err(wrong(
                    arg.value.span,
                    "this should be the name of one array",
                    "write it like `x: x_train`",
                ));
            }
        }
    }
    Ok(choice)
}

fn csv_options(args: &[Arg]) -> Result<Options, Diagnostic> {
    let mut options = Options::default();
    for arg in unique(args)? {
        let Some(name) = &arg.name else {
            return Err(wrong(arg.span, "there is one path only", "options have names, such as `target: COLUMN`"));
        };
        match name.text.as_str() {
            "target" => options.targets = names(&arg.value)?,
            "inputs" => options.inputs = Some(names(&arg.value)?),
            "drop" => options.drop = names(&arg.value)?,
            "one_hot" => options.one_hot = names(&arg.value)?,
            "separator" => options.separator = separator(&arg.value)?,
            "header" => options.header = truth(&arg.value)?,
            "stream" => options.stream = truth(&arg.value)?,
            "missing" => match arg.value.as_name() {
                Some("drop") => options.missing = Missing::Drop,
                _ => {
                    let label = "what to do about missing cells";
                    let help = "write `missing: drop` to leave out their rows; without it they are errors";
                    return Err(wrong(arg.value.span, label, help));
                }
            },
            _ => return Err(no_option(name)),
        }
    }
    let role = |of: &str| args.iter().find(|arg| arg.name.as_ref().is_some_and(|name| name.text == of));
    let named = |of: &str| role(of).map_or(Span::new(args[0].span.file, 0, 0), |arg| arg.span);
    let roles = [
        ("target", options.targets.as_slice()),
        ("inputs", options.inputs.as_deref().unwrap_or_default()),
        ("drop", options.drop.as_slice()),
    ];
    for (index, (first, columns)) in roles.iter().enumerate() {
        for (second, others) in &roles[index + 1..] {
            if let Some(both) = columns.iter().find(|column| others.contains(column)) {
                let label = format!("`{both}` is named here");
                let help = "a column is a target, an input or dropped";
                return Err(wrong(named(second), &label, help).at(named(first), "and here"));
            }
        }
    }
    for (first, columns) in roles {
        if first == "inputs" {
            continue;
        }
        if let Some(both) = options.one_hot.iter().find(|column| columns.contains(column)) {
            let label = format!("`{both}` is no column of `x`");
            let help = "`one_hot` is for columns of `x`; targets of texts are numbered by themselves";
            return Err(wrong(named("one_hot"), &label, help).at(named(first), "it is named here"));
        }
    }
    Ok(options)
}

/// `a`, `"a b"`, `(a, b)`: names of columns, no two of which are the same.
fn names(value: &Expr) -> Result<Vec<String>, Diagnostic> {
    let one = |part: &Expr| match &part.kind {
        ExprKind::Name(name) | ExprKind::Str(name) => Ok(name.clone()),
        _ => Err(wrong(part.span, "this should be a name", "write a name, or several as `(a, b)`")),
    };
    let ExprKind::Tuple(parts) = &value.kind else { return Ok(vec![one(value)?]) };
    let names = parts.iter().map(one).collect::<Result<Vec<String>, Diagnostic>>()?;
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(wrong(parts[index].span, "this column is named twice", "name it once"));
        }
    }
    Ok(names)
}

fn separator(value: &Expr) -> Result<u8, Diagnostic> {
    match &value.kind {
        ExprKind::Str(text) => match text.as_bytes() {
            [letter] if letter.is_ascii() && !matches!(letter, b'"' | b'\n' | b'\r') => Ok(*letter),
            _ => Err(wrong(value.span, "a separator is one ASCII character", "write `\";\"`, or `\"\\t\"` for tabs")),
        },
        _ => Err(wrong(value.span, "this should be a text", "write `separator: \";\"`, or `\"\\t\"` for tabs")),
    }
}

fn truth(value: &Expr) -> Result<bool, Diagnostic> {
    match &value.kind {
        ExprKind::Bool(truth) => Ok(*truth),
        _ => Err(wrong(value.span, "this should be `true` or `false`", "leave it out for the default")),
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

fn no_option(name: &Name) -> Diagnostic {
    let help = match closest(&name.text, CSV_OPTIONS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("its options are `{}`", CSV_OPTIONS.join("`, `")),
    };
    wrong(name.span, "`csv` does not take this", &help)
}

fn not_a_reader(span: Span, name: Option<&str>) -> Diagnostic {
    let diagnostic =
        Diagnostic::new(codes::BAD_DATA_DECLARATION, "this is no reader of data").at(span, "not a reader of data");
    match name.and_then(|n| closest(n, READERS)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help(format!("the readers are `{}`", READERS.join("`, `"))),
    }
}
