//! Diagnostics to text, as rustc lays them out, and to JSON for machines.
//!
//! Invariant: rendering never fails. Spans that reach past the end of a file or into the middle of a
//! character are moved to the nearest place that exists, control characters are shown as `�`, and a
//! diagnostic without a place is still shown.

use super::{Code, Diagnostic, FileId, Files, Label, Span};
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};
use std::ops::Range;

/// A line with more bytes than this is not shown, only its place is told: it would not fit on a screen, and laying it out
/// takes time that grows with its square.
const LONGEST_LINE: usize = 1000;

/// All diagnostics as text, each followed by a blank line; with terminal colours if `colour` is set.
pub fn render(files: &Files, diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&renderer.render(&[group(files, diagnostic)]));
        text.push_str("\n\n");
    }
    text
}

fn group<'a>(files: &'a Files, diagnostic: &'a Diagnostic) -> Group<'a> {
    let title = Level::ERROR.primary_title(printable(&diagnostic.message)).id(diagnostic.code.to_string());
    let mut group = Group::with_title(title);
    if diagnostic.labels.iter().any(|label| line_of(files, label).len() > LONGEST_LINE) {
        for label in &diagnostic.labels {
            let (line, column) = files.line_column(existing(files, label.span));
            let path = files.path(label.span.file).display().to_string();
            group = group.element(Origin::path(path).line(line).char_column(column));
            group = group.element(Level::NOTE.message(printable(&label.text)));
        }
    } else {
        for file in files_of(&diagnostic.labels) {
            group = group.element(snippet(files, file, &diagnostic.labels));
        }
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(printable(note)));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(printable(help)));
    }
    group
}

/// The files that labels point into, the primary label's first.
fn files_of(labels: &[Label]) -> Vec<FileId> {
    let mut files = Vec::new();
    for label in labels {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    files
}

/// The lines that a label covers, without cutting any.
fn line_of<'a>(files: &'a Files, label: &Label) -> &'a str {
    let text = files.text(label.span.file);
    let place = clamp(text, label.span);
    &text[lines_around(text, &place)]
}

/// From the start of the line where a place begins to the end of the line where it ends.
fn lines_around(text: &str, place: &Range<usize>) -> Range<usize> {
    let start = text[..place.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[place.end..].find('\n').map_or(text.len(), |at| place.end + at);
    start..end
}

/// The lines of one file from the first to the last label in it; the first label of all is the primary one.
fn snippet<'a>(files: &'a Files, file: FileId, labels: &'a [Label]) -> Snippet<'a, Annotation<'a>> {
    let text = files.text(file);
    let places: Vec<(usize, Range<usize>)> = labels
        .iter()
        .enumerate()
        .filter(|(_, label)| label.span.file == file)
        .map(|(index, label)| (index, clamp(text, label.span)))
        .collect();
    let first = places.iter().map(|(_, place)| place.start).min().unwrap_or(0);
    let last = places.iter().map(|(_, place)| place.end).max().unwrap_or(0);
    let lines = lines_around(text, &(first..last));
    let window = text[lines.clone()].trim_end_matches('\r');
    let line = text[..lines.start].matches('\n').count() + 1;

    let mut snippet = Snippet::source(window).line_start(line).path(files.path(file).display().to_string());
    for (index, place) in places {
        let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let inside = |at: usize| (at - lines.start).min(window.len());
        let place = inside(place.start)..inside(place.end);
        let label = printable(&labels[index].text);
        let annotation = kind.span(place);
        snippet = snippet.annotation(if label.is_empty() { annotation } else { annotation.label(label) });
    }
    snippet
}

/// The part of a text that a span means, moved onto character boundaries.
fn clamp(text: &str, span: Span) -> Range<usize> {
    let start = text.floor_char_boundary(span.start as usize);
    let end = text.ceil_char_boundary((span.end as usize).min(text.len()));
    start..end.max(start)
}

fn existing(files: &Files, span: Span) -> Span {
    let place = clamp(files.text(span.file), span);
    Span::new(span.file, place.start, place.end)
}

/// Names and texts from a source may hold characters that would disturb a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// One diagnostic as a JSON object. Lines and columns count from 1, columns in characters; `start` and `end`
/// are bytes.
pub fn to_json(files: &Files, diagnostic: &Diagnostic) -> Value {
    let Diagnostic { code, message, labels, notes, help } = diagnostic;
    let labels: Vec<Value> = labels.iter().map(|label| label_to_json(files, label)).collect();
    json!({
        "code": code.to_string(),
        "title": title(*code),
        "message": message,
        "labels": labels,
        "notes": notes,
        "help": help,
    })
}

fn title(code: Code) -> Option<&'static str> {
    super::codes::ALL.iter().find(|entry| entry.code == code).map(|entry| entry.title)
}

fn label_to_json(files: &Files, label: &Label) -> Value {
    let place = clamp(files.text(label.span.file), label.span);
    let point = |at: usize| files.line_column(Span::new(label.span.file, at, at));
    let ((line, column), (end_line, end_column)) = (point(place.start), point(place.end));
    json!({
        "file": files.path(label.span.file).display().to_string(),
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "start": place.start,
        "end": place.end,
        "text": label.text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::codes;
    use proptest::prelude::*;

    #[test]
    fn both_places_notes_and_help_are_shown() {
        let mut files = Files::default();
        let text = "net f(x: [N, 784]) -> [N, 10] {\n    h = dense(x, 128)\n    h @ V\n}\n";
        let file = files.add("mnist.dl", text);
        let find = |needle: &str| {
            let at = text.find(needle).unwrap();
            Span::new(file, at, at + needle.len())
        };
        let error = Diagnostic::new(codes::SHAPE_MISMATCH, "these shapes do not fit")
            .at(find("h @ V"), "the last axis of h is 128, but V starts with 256")
            .at(find("[N, 784]"), "x is [N, 784] here")
            .note("h comes from `dense(128)`")
            .help("declare `param V: [128, 10]`");
        let expected = "\
error[E0203]: these shapes do not fit
 --> mnist.dl:3:5
  |
1 | net f(x: [N, 784]) -> [N, 10] {
  |          -------- x is [N, 784] here
2 |     h = dense(x, 128)
3 |     h @ V
  |     ^^^^^ the last axis of h is 128, but V starts with 256
  |
  = note: h comes from `dense(128)`
  = help: declare `param V: [128, 10]`

";
        assert_eq!(render(&files, std::slice::from_ref(&error), false), expected);
        assert!(render(&files, &[error], true).contains("\u{1b}["));
    }

    #[test]
    fn each_file_has_its_own_excerpt() {
        let mut files = Files::default();
        let prelude = files.add("std/layers.dl", "layer dense(x, O) = x\n");
        let user = files.add("user.dl", "# first line\ny = dense(3)\n");
        let error = Diagnostic::new(codes::UNEXPECTED_TOKEN, "an input is missing")
            .at(Span::new(user, 17, 25), "one input here")
            .at(Span::new(prelude, 6, 11), "defined here");
        let text = render(&files, &[error], false);
        let (here, there) = (text.find("user.dl:2:5").unwrap(), text.find("std/layers.dl:1:7").unwrap());
        assert!(here < there, "{text}");
    }

    #[test]
    fn json_counts_lines_and_characters_from_one() {
        let mut files = Files::default();
        let file = files.add("a.dl", "θ = 1\nθ' = é\n");
        let error = Diagnostic::new(codes::UNEXPECTED_TOKEN, "m").at(Span::new(file, 13, 15), "here");
        let value = to_json(&files, &error);
        assert_eq!(value["code"], "E0102");
        assert_eq!((value["labels"][0]["line"].as_u64(), value["labels"][0]["column"].as_u64()), (Some(2), Some(6)));
        assert_eq!(value["labels"][0]["end_column"], 7);
    }

    #[test]
    fn endless_lines_are_not_shown() {
        let mut files = Files::default();
        let file = files.add("long.dl", format!("a\n{}", "x ".repeat(100_000)));
        let error = Diagnostic::new(codes::UNEXPECTED_TOKEN, "m")
            .at(Span::new(file, 150_000, 150_001), "here")
            .at(Span::new(file, 0, 1), "there");
        let text = render(&files, &[error], false);
        assert!(text.len() < 300 && text.contains("long.dl:2:149999") && text.contains("there"), "{text}");
    }

    proptest! {
        #[test]
        fn any_span_in_any_text_renders(
            text in "(\\PC|[ \t\r\nθ\u{0}\u{7}\u{1b}])*",
            spans in prop::collection::vec((0u32..40, 0u32..60), 0..5),
            label in "(\\PC|\n)*",
        ) {
            let mut files = Files::default();
            let file = files.add("a.dl", text);
            let mut error = Diagnostic::new(codes::UNEXPECTED_TOKEN, label.clone()).note(label.clone());
            for (start, end) in spans {
                error = error.at(Span { file, start, end }, label.clone());
            }
            prop_assert!(render(&files, std::slice::from_ref(&error), false).starts_with("error[E0102]"));
            let value = to_json(&files, &error);
            prop_assert_eq!(value["labels"].as_array().map(Vec::len), Some(error.labels.len()));
        }
    }
}
