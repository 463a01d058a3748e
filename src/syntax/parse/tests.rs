//! The parser under bad input: it ends, in bounded time and stack, with a diagnostic.

use super::*;
use crate::source::{Code, Files, render};
use crate::syntax::ast::MAX_HEIGHT;
use proptest::prelude::*;
use std::time::{Duration, Instant};

fn codes_of(text: &str) -> Vec<Code> {
    parse(FileId(0), text).1.iter().map(|error| error.code).collect()
}

/// Every way of nesting, with the innermost part and how each level is closed.
const NESTINGS: [(&str, &str, &str); 16] = [
    ("fn f(x) = ", "(", ")"),
    ("fn f(x) = ", "-", ""),
    ("fn f(x) = ", "not ", ""),
    ("fn f(x) = ", "f(", ")"),
    ("fn f(x) = ", "x^", ""),
    ("fn f(x) = ", "x[", "]"),
    ("fn f(x) = ", "if x then ", " else x"),
    ("fn f(x) = ", "if x then x else ", ""),
    ("fn f(x) = ", "when training { a = ", " }else x"),
    ("fn f(x) = ", "when training { ", " }else x"),
    ("fn f(x) = ", "sum(i) ", ""),
    ("fn f(x: ", "[] -> ", "[]) = x"),
    ("fn f(x: ", "(", ""),
    ("fn f(x: ", "index(", ""),
    ("train { ", "phase a {", "}"),
    ("fn f(x) = ", "x |> f(a: 1, ", ")"),
];

#[test]
fn deep_nesting_is_refused_on_a_small_stack() {
    // Less than the 2 MiB that a thread has by default.
    let small = std::thread::Builder::new().stack_size(1_800_000);
    let run = small.spawn(|| {
        for (start, open, close) in NESTINGS {
            for depth in [MAX_HEIGHT / 2 - 2, MAX_HEIGHT + 1, 50_000] {
                for close in [close, ""] {
                    let text = format!("{start}{}x{}", open.repeat(depth), close.repeat(depth));
                    let began = Instant::now();
                    let codes = codes_of(&text);
                    assert!(began.elapsed() < Duration::from_secs(10), "{open} × {depth}");
                    if depth > MAX_HEIGHT {
                        assert!(codes.contains(&codes::NESTED_TOO_DEEP), "{open} × {depth}: {codes:?}");
                    }
                }
            }
        }
    });
    run.unwrap().join().unwrap();
}

#[test]
fn a_million_parentheses_are_refused_at_once() {
    let began = Instant::now();
    assert_eq!(codes_of(&format!("a = {}1{}", "(".repeat(1_000_000), ")".repeat(1_000_000))), [codes::NESTED_TOO_DEEP]);
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn long_chains_are_refused() {
    for link in [" + x", " |> f", ".T", "² ", "[x]", "(x)", ".a", " and x", " @ x"] {
        let chain = |links: usize| format!("fn f(x) = x{}", link.repeat(links));
        assert_eq!(codes_of(&chain(MAX_HEIGHT - 2)), [], "{link}");
        assert_eq!(codes_of(&chain(100_000)), [codes::NESTED_TOO_DEEP], "{link}");
    }
}

#[test]
fn errors_are_capped() {
    let codes = codes_of(&"a = )\n".repeat(10_000));
    assert_eq!(codes.len(), MAX_ERRORS + 1);
    assert_eq!(codes.last(), Some(&codes::TOO_MANY_ERRORS));
}

#[test]
fn large_files_are_refused() {
    assert_eq!(codes_of(&" ".repeat(MAX_TEXT + 1)), [codes::FILE_TOO_LARGE]);
    assert_eq!(codes_of(&"a = 1\n".repeat(20_000)), []);
}

/// Parses, renders what is wrong, and fails if that takes long.
fn survives(text: &str) -> Result<(), TestCaseError> {
    let mut files = Files::default();
    let file = files.add("a.dl", text);
    let began = Instant::now();
    let (_, errors) = parse(file, text);
    prop_assert!(began.elapsed() < Duration::from_secs(1));
    for error in &errors {
        prop_assert!(!error.labels.is_empty() || error.code == codes::TOO_MANY_ERRORS);
    }
    render(&files, &errors, false);
    Ok(())
}

/// Pieces that mean something, so that random sequences get far into the grammar.
const PIECES: &[&str] = &[
    "fn",
    "net",
    "layer",
    "optimizer",
    "train",
    "data",
    "split",
    "into",
    "param",
    "state",
    "if",
    "then",
    "else",
    "when",
    "training",
    "and",
    "or",
    "not",
    "over",
    "for",
    "true",
    "minimize",
    "on",
    "using",
    "measure",
    "keep",
    "epochs",
    "stop",
    "phase",
    "batch",
    "in",
    "order",
    "seed",
    "has",
    "improved",
    "f",
    "x",
    "θ",
    "sum",
    "max",
    "index",
    "params",
    "T",
    "1",
    "2.5",
    "70%",
    "\"s\"",
    "\"",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    ":",
    ".",
    "..",
    "'",
    "ᵀ",
    "²",
    "%",
    "=",
    "->",
    "|>",
    "+",
    "-",
    "*",
    "/",
    "@",
    "^",
    "<",
    "<=",
    "==",
    "!=",
    "$",
    "\n",
    "\n",
    "\n",
    "## d\n",
    "# c\n",
    "\r\n",
    "\t",
    "f(x",
    "{\n",
    "}\n",
    "fn f(x) = ",
    "fn g(x; a = 1) {\n",
    "train {\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_survives(text in "\\PC*|(\\PC|[ \r\n\t\u{0}#'\"{}()\\[\\]])*") {
        survives(&text)?;
    }

    #[test]
    fn any_bytes_survive(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn any_tokens_survive(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..200),
        blanks in any::<bool>(),
    ) {
        survives(&pieces.join(if blanks { " " } else { "" }))?;
    }
}
