//! The house rules a machine can hold: modules import downwards only, files open with `//!`, and stay short.

use std::fs;
use std::path::{Path, PathBuf};

/// Pipeline order: a module may import from those before it.
const ORDER: [&str; 14] = [
    "source",
    "scalar",
    "ir",
    "syntax",
    "check",
    "elaborate",
    "autodiff",
    "optimize",
    "schedule",
    "codegen",
    "runtime",
    "data",
    "train",
    "cli",
];

/// Longer files must say why in their `//!`.
const LONGEST: usize = 600;

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn all_sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    files.into_iter().map(|p| (p.strip_prefix(root).unwrap().to_owned(), fs::read_to_string(&p).unwrap())).collect()
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|m| *m == module)
}

#[test]
fn imports_point_down_the_pipeline() {
    let mut wrong = Vec::new();
    for (path, text) in all_sources() {
        let module = path.components().nth(1).unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        let Some(own) = rank(module) else { continue };
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            for part in code.split("crate::").skip(1) {
                let imported: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if rank(&imported).is_some_and(|other| other > own) {
                    wrong.push(format!("{}:{}: {module} imports {imported}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_opens_with_its_purpose() {
    let silent: Vec<_> =
        all_sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(p, _)| p).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn files_stay_short_or_say_why() {
    let long: Vec<String> = all_sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > LONGEST)
        .filter(|(_, text)| !text.lines().take_while(|l| l.starts_with("//!")).any(|l| l.contains("long because")))
        .map(|(p, text)| format!("{} has {} lines", p.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn unsafe_code_lives_in_codegen_and_runtime_only() {
    let wrong: Vec<_> = all_sources()
        .into_iter()
        .filter(|(p, _)| !p.starts_with("src/codegen") && !p.starts_with("src/runtime"))
        .filter(|(_, text)| {
            text.lines().any(|l| {
                let code = l.split("//").next().unwrap_or("");
                code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl")
            })
        })
        .map(|(p, _)| p)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn nothing_unfinished_is_left_in_the_sources() {
    let marks = [concat!("to", "do!("), concat!("unimpl", "emented!("), concat!("FIX", "ME"), concat!("db", "g!(")];
    let found: Vec<String> = all_sources()
        .into_iter()
        .flat_map(|(p, text)| {
            let hits = marks.iter().filter(|m| text.contains(**m)).map(|m| format!("{}: {m}", p.display()));
            hits.collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
