//! `dlc doc [NAME]`: the library's documentation, from its source.

use super::failure::Failure;
use super::load::{parsed, read};
use super::options::Doc;
use super::print;
use crate::check::{BUILTINS, prelude};
use crate::source::{FileId, Files, Span, closest};
use crate::syntax::ast::{Block, Constant, Definition, File, Input, Item, ItemKind, Kind, StatementKind, Type};
use crate::syntax::normalise;
use std::fmt::Write;

pub fn execute(options: &Doc) -> Result<(), Failure> {
    let mut files = Files::default();
    let mut sources = Vec::new();
    if let Some(path) = &options.file {
        // Parsed once for its errors, which name it by its own list of files.
        parsed(path)?;
        let (own, id) = read(path)?;
        let file = files.add(path, own.text(id));
        sources.push(crate::syntax::parse(file, files.text(file)).0);
    }
    sources.extend(prelude(&mut files));
    let library = Library { files, sources };
    match &options.name {
        Some(name) => print(&library.page(name)?),
        None => print(&library.list()),
    }
}

/// Definitions with their sources, a file's own before the library's.
struct Library {
    files: Files,
    sources: Vec<File>,
}

impl Library {
    fn definitions(&self) -> impl Iterator<Item = (&Item, &Definition)> {
        self.sources.iter().flat_map(|file| &file.items).filter_map(|item| match &item.kind {
            ItemKind::Definition(definition) => Some((item, definition)),
            _ => None,
        })
    }

    fn constants(&self) -> impl Iterator<Item = (&Item, &Constant)> {
        self.sources.iter().flat_map(|file| &file.items).filter_map(|item| match &item.kind {
            ItemKind::Constant(constant) => Some((item, constant)),
            _ => None,
        })
    }

    /// Every definition under its kind and every constant, with the first sentence on it.
    fn list(&self) -> String {
        let mut out = String::new();
        let width = self.definitions().map(|(_, d)| self.name(d).chars().count()).max().unwrap_or(0);
        for kind in Kind::ALL {
            let mut rows: Vec<(&str, String)> = self
                .definitions()
                .filter(|(_, d)| d.kind == kind)
                .map(|(item, d)| (self.name(d), first_sentence(&item.doc)))
                .collect();
            rows.sort();
            if !rows.is_empty() {
                let _ = writeln!(out, "{kind}");
            }
            for (name, about) in rows {
                let _ = writeln!(out, "{}", format!("  {name:width$}  {about}").trim_end());
            }
        }
        let mut rows: Vec<(&str, String)> =
            self.constants().map(|(item, c)| (self.slice(c.name.span), first_sentence(&item.doc))).collect();
        rows.sort();
        if !rows.is_empty() {
            let _ = writeln!(out, "constant");
        }
        for (name, about) in rows {
            let _ = writeln!(out, "{}", format!("  {name:width$}  {about}").trim_end());
        }
        out += "\n`dlc doc NAME` shows one of them with its source.\n";
        out
    }

    /// All that is known of a definition.
    fn page(&self, name: &str) -> Result<String, Failure> {
        let wanted = normalise(name);
        let mut found = self.definitions().filter(|(_, d)| d.name.text == wanted);
        let Some((item, definition)) = found.next() else { return self.constant_page(&wanted) };
        let mut out = format!("{}\n", self.signature(definition));
        if !item.doc.is_empty() {
            let _ = writeln!(out, "\n{}", item.doc.join("\n"));
        }
        let inputs = definition.inputs.iter().enumerate();
        section(&mut out, "inputs", inputs.map(|(k, i)| (self.slice(i.name.span), describe(self, definition, k, i))));
        let options = definition.options.iter().map(|option| {
            let default =
                option.default.as_ref().map_or("must be given".to_string(), |e| format!("= {}", self.slice(e.span)));
            (self.slice(option.name.span), default)
        });
        section(&mut out, "options", options);
        let mut kept = Kept::default();
        self.persistent(&definition.body, &mut kept);
        section(&mut out, "parameters", kept.parameters.into_iter());
        section(&mut out, "state", kept.state.into_iter());
        let _ = writeln!(out, "\n{}\n", self.place(definition.name.span));
        out.extend(self.slice(item.span).lines().map(|line| format!("    {line}").trim_end().to_string() + "\n"));
        if let Some((_, hidden)) = found.next() {
            let _ = writeln!(out, "\nhides {}", self.place(hidden.name.span));
        }
        Ok(out)
    }

    /// All that is known of a constant.
    fn constant_page(&self, name: &str) -> Result<String, Failure> {
        let mut found = self.constants().filter(|(_, c)| c.name.text == name);
        let Some((item, constant)) = found.next() else { return Err(self.unknown(name)) };
        let mut out = format!("{} = {}\n", self.slice(constant.name.span), self.slice(constant.value.span));
        if !item.doc.is_empty() {
            let _ = writeln!(out, "\n{}", item.doc.join("\n"));
        }
        let _ = writeln!(out, "\n{}", self.place(constant.name.span));
        if let Some((_, hidden)) = found.next() {
            let _ = writeln!(out, "\nhides {}", self.place(hidden.name.span));
        }
        Ok(out)
    }

    fn unknown(&self, name: &str) -> Failure {
        if BUILTINS.contains(&name) {
            return Failure::message(format!("`{name}` belongs to the language itself: see lang/reference.md"));
        }
        let names = self.definitions().map(|(_, d)| d.name.text.as_str());
        let names = names.chain(self.constants().map(|(_, c)| c.name.text.as_str()));
        let help = match closest(name, names.chain(BUILTINS)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`dlc doc` lists all definitions; `--file model.dl` adds those of a file".to_string(),
        };
        Failure::message(format!("no definition is called `{name}`\nhelp: {help}"))
    }

    /// The name as its author spells it.
    fn name(&self, definition: &Definition) -> &str {
        self.slice(definition.name.span)
    }

    /// From the kind to the result, on one line.
    fn signature(&self, definition: &Definition) -> String {
        let inputs: Vec<&str> = definition.inputs.iter().map(|i| self.slice(i.span)).collect();
        let options: Vec<&str> = definition.options.iter().map(|o| self.slice(o.span)).collect();
        let mut out = format!("{} {}({}", definition.kind, self.name(definition), inputs.join(", "));
        if !options.is_empty() {
            let _ = write!(out, "; {}", options.join(", "));
        }
        out.push(')');
        if let Some(result) = &definition.result {
            let _ = write!(out, " -> {}", self.slice(result.span));
        }
        if let (Some(first), Some(last)) = (definition.requires.first(), definition.requires.last()) {
            let _ = write!(out, " requires {}", self.slice(first.span.to(last.span)));
        }
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The parameters and the states that a block declares, in the blocks within it too.
    fn persistent<'a>(&'a self, block: &'a Block, out: &mut Kept<'a>) {
        for statement in &block.statements {
            let about = |ty: Option<Span>, init: Span| {
                let ty = ty.map_or(String::new(), |span| format!("{} ", self.slice(span)));
                let doc = first_sentence(&statement.doc);
                format!("{ty}= {}{}{doc}", self.slice(init), if doc.is_empty() { "" } else { "   " })
            };
            match &statement.kind {
                StatementKind::Param { name, shape, init } => {
                    out.parameters.push((self.slice(name.span), about(Some(shape.span), init.span)));
                }
                StatementKind::State { name, ty, init } => {
                    let ty = ty.as_ref().map(|t: &Type| t.span);
                    out.state.push((self.slice(name.span), about(ty, init.span)));
                }
                _ => {}
            }
        }
    }

    fn slice(&self, span: Span) -> &str {
        self.files.slice(span)
    }

    /// `lang/std/optimizers.dl:12`
    fn place(&self, span: Span) -> String {
        let file: FileId = span.file;
        format!("{}:{}", self.files.path(file).display(), self.files.line_column(span).0)
    }
}

/// What a definition keeps between steps: each name with its shape, how it starts and what it is.
#[derive(Default)]
struct Kept<'a> {
    parameters: Vec<(&'a str, String)>,
    state: Vec<(&'a str, String)>,
}

/// What an input without a type is, or its type.
fn describe(library: &Library, definition: &Definition, position: usize, input: &Input) -> String {
    if let Some(ty) = &input.ty {
        return library.slice(ty.span).to_string();
    }
    let about = match (definition.kind, position) {
        (Kind::Optimizer, 0) => "the objective",
        (Kind::Optimizer, 1) => "the parameters",
        (Kind::Init, 0) => "the parameter's shape",
        (Kind::Penalty, _) => "a set of parameters",
        _ if input.name.text.starts_with(|c: char| c.is_ascii_uppercase()) => "a size",
        _ => "a tensor of any shape",
    };
    about.to_string()
}

fn section<'a>(out: &mut String, title: &str, rows: impl Iterator<Item = (&'a str, String)>) {
    let rows: Vec<(&str, String)> = rows.collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    if !rows.is_empty() {
        let _ = writeln!(out, "\n{title}");
    }
    for (name, about) in rows {
        let _ = writeln!(out, "  {name:width$}  {about}");
    }
}

/// Up to the first full stop before a capital letter.
fn first_sentence(doc: &[String]) -> String {
    let text = doc.join(" ");
    let end = text.match_indices(". ").find(|(at, _)| text[at + 2..].starts_with(char::is_uppercase));
    match end {
        Some((at, _)) => text[..=at].to_string(),
        None => text,
    }
}
