//! Formatting: what ships is formatted, what is formatted stays as it is, and nothing changes its meaning.
//!
//! The library, the examples and the snippets of the reference are fixed points. Random programs, written anyhow, come out
//! equal however their blanks were.

#[path = "programs/generator/mod.rs"]
#[allow(dead_code, reason = "the texts of the programs are all that is read here")]
mod generator;

use dlc::source::FileId;
use dlc::syntax::{FormatError, Spelling, TokenKind, format, normalise, tokenize};
use generator::random_program;
use proptest::prelude::*;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn formatted(text: &str) -> Result<String, FormatError> {
    format(FileId::default(), text, Spelling::Kept)
}

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "dl") {
            out.push(path);
        }
    }
}

/// The first line that differs, with what it should be.
fn difference(text: &str, expected: &str) -> String {
    let lines = (1..).zip(text.lines().zip(expected.lines()));
    match lines.clone().find(|(_, (a, b))| a != b) {
        Some((number, (found, wanted))) => format!("line {number}:\n  {found}\n  {wanted}"),
        None => "the last lines".to_string(),
    }
}

#[test]
fn what_ships_is_formatted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for folder in ["lang", "examples", "benches"] {
        sources(&root.join(folder), &mut paths);
    }
    assert!(paths.len() > 10, "the sources were not found");
    let mut wrong = String::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        match formatted(&text) {
            Ok(formatted) if formatted == text => {}
            Ok(formatted) => writeln!(wrong, "{} {}", path.display(), difference(&text, &formatted)).unwrap(),
            Err(error) => writeln!(wrong, "{} {error:?}", path.display()).unwrap(),
        }
    }
    assert!(wrong.is_empty(), "`dlc fmt` changes\n{wrong}");
}

/// `DLC_BLESS=1` formats the snippets of the reference.
#[test]
fn the_snippets_of_the_reference_are_formatted() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("lang/reference.md");
    let text = fs::read_to_string(&path).unwrap();
    let (mut wrong, mut blessed, mut count) = (String::new(), String::new(), 0);
    for (k, part) in text.split("```").enumerate() {
        blessed += if k > 0 { "```" } else { "" };
        let snippet = (k % 2 == 1 && part.starts_with("dl")).then(|| part.split_once('\n')).flatten();
        // A snippet whose syntax is wrong on purpose cannot be formatted.
        let Some((info, snippet, formatted)) =
            snippet.and_then(|(info, snippet)| Some((info, snippet, formatted(snippet).ok()?)))
        else {
            blessed += part;
            continue;
        };
        count += 1;
        if formatted != snippet {
            let line = text[..blessed.len().min(text.len())].lines().count();
            writeln!(wrong, "after line {line}, {}", difference(snippet, &formatted)).unwrap();
        }
        blessed += &format!("{info}\n{formatted}");
    }
    assert!(count > 40, "the snippets were not found");
    if std::env::var_os("DLC_BLESS").is_some() {
        fs::write(&path, blessed).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "`dlc fmt` changes\n{wrong}");
}

/// The text with other blanks in all places where they mean nothing.
fn shuffled(text: &str, words: &[u32]) -> String {
    let mut words = words.iter().cycle();
    let (tokens, _) = tokenize(FileId::default(), text);
    let mut out = String::new();
    for (k, token) in tokens.iter().enumerate() {
        let written = &text[token.span.start as usize..token.span.end as usize];
        if token.kind != TokenKind::Space {
            out += written;
            continue;
        }
        let around = [k.checked_sub(1), Some(k + 1)].map(|at| at.and_then(|at| tokens.get(at)).map(|t| t.kind));
        // Where two words or numbers meet one blank is needed; around `*` and brackets the blanks are the author's.
        let word = |kind: Option<TokenKind>| {
            use TokenKind::*;
            !kind
                .is_some_and(|k| matches!(k, Comma | Colon | Assign | Plus | Less | Arrow | Pipe | Newline | Semicolon))
        };
        let needed = around.into_iter().all(word);
        let count = words.next().map_or(1, |word| word % 4) as usize;
        out += match (needed, count) {
            (true, _) => written,
            (false, 0) => "",
            (false, 1) => " ",
            (false, 2) => "  ",
            (false, _) => "\t",
        };
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_are_formatted_once_and_for_all(words in prop::collection::vec(any::<u32>(), 0..80)) {
        let text = random_program(&words).text;
        let once = formatted(&text).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
        prop_assert_eq!(&formatted(&once).unwrap(), &once);
        let ascii = format(FileId::default(), &once, Spelling::Ascii).unwrap();
        prop_assert!(ascii.is_ascii());
        // What the programs' writer aligns stays aligned, so only what stands between the tokens can differ.
        let again = formatted(&shuffled(&text, &words)).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
        let bare = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        prop_assert_eq!(bare(&again), bare(&once));
    }
}

#[test]
fn ascii_keeps_every_name() {
    let text = "optimizer o(J, θ; ε = 1e-8) {\n    state ν = 0 * θ\n    Δθ = ∇(J)(θ + ν)²\n    θ' = θ - Δθ ⊙ ε\n}\n";
    let ascii = format(FileId::default(), text, Spelling::Ascii).unwrap();
    let names = |text: &str| -> Vec<String> {
        let (tokens, _) = tokenize(FileId::default(), text);
        let idents = tokens.iter().filter(|t| t.kind == TokenKind::Ident);
        idents.map(|t| normalise(&text[t.span.start as usize..t.span.end as usize])).collect()
    };
    assert!(ascii.is_ascii(), "{ascii}");
    assert_eq!(names(text), names(&ascii));
}
