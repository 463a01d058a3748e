//! The reference is true: each of its snippets is accepted, or refused with the code it names; whole programs train; its
//! library section lists what `lang/std` defines, with the same signatures.
//!
//! A snippet is a fenced block marked `dl`, or `dl error E0203` if it shows an error. It runs as a file of its own beside a
//! folder `data` that holds the example data and the small arrays written by [`folder`].

use assert_cmd::Command;
use dlc::source::{FileId, Files};
use dlc::syntax::ast::{ItemKind, Kind};
use dlc::syntax::parse;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn at_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

struct Snippet {
    /// The line of the reference on which its text begins.
    line: usize,
    /// The code it must be refused with.
    error: Option<String>,
    text: String,
}

impl Snippet {
    fn trains(&self) -> bool {
        self.text.lines().any(|line| line.starts_with("train {"))
    }
}

fn snippets() -> Vec<Snippet> {
    let text = fs::read_to_string(at_root("lang/reference.md")).unwrap();
    let mut found: Vec<Snippet> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        match line.strip_prefix("```") {
            Some(_) if inside => inside = false,
            Some(info) => {
                let error = match info.split(' ').collect::<Vec<_>>()[..] {
                    ["dl"] => None,
                    ["dl", "error", code] => Some(code.to_string()),
                    _ => panic!("line {number}: a block is marked `dl` or `dl error E0203`, not `{info}`"),
                };
                inside = true;
                found.push(Snippet { line: number + 1, error, text: String::new() });
            }
            None if inside => found.last_mut().unwrap().text += &format!("{line}\n"),
            None => {}
        }
    }
    assert!(!inside && found.len() > 40, "the snippets were not found");
    found
}

/// A folder with the data that snippets name.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    for entry in fs::read_dir(at_root("examples/data")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, data.join(path.file_name().unwrap())).unwrap();
    }
    let x: Vec<f32> = (0..40).map(|k| (k % 7) as f32 / 7.0).collect();
    let y: Vec<f32> = x.chunks(2).map(|row| 2.0 * row[0] - row[1]).collect();
    fs::write(data.join("pairs_x.npy"), npy(&[20, 2], &x)).unwrap();
    fs::write(data.join("pairs_y.npy"), npy(&[20], &y)).unwrap();
    let (x, y) = (bytes(&x), bytes(&y));
    let tensors = [
        ("x", TensorView::new(Dtype::F32, vec![20, 2], &x).unwrap()),
        ("y", TensorView::new(Dtype::F32, vec![20], &y).unwrap()),
    ];
    serialize_to_file(tensors, None, &data.join("pairs.safetensors")).unwrap();
    let houses: String = (0..20)
        .map(|k| {
            format!("{};{};{};{};seen\n", 50 + 7 * k % 31, ["hill", "lake", "mill"][k % 3], 2 + k % 4, 100 + 9 * k)
        })
        .collect();
    fs::write(data.join("houses.csv"), format!("area;street;rooms;price;note\n{houses};lake;3;200;unmeasured\n"))
        .unwrap();
    let flowers: String =
        (0..30).map(|k| format!("{}.5,{},{}\n", k % 7, k % 5, ["iris", "lily", "rose"][k % 3])).collect();
    fs::write(data.join("flowers.csv"), format!("length,width,species\n{flowers}")).unwrap();
    folder
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A file of NumPy's format, version 1.
fn npy(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let dims: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({dims}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.bytes());
    out.extend(bytes(values));
    out
}

fn write(folder: &TempDir, snippet: &Snippet) -> PathBuf {
    let path = folder.path().join(format!("line_{}.dl", snippet.line));
    fs::write(&path, &snippet.text).unwrap();
    path
}

fn dlc() -> Command {
    Command::cargo_bin("dlc").unwrap()
}

#[test]
fn snippets_check_or_fail_as_they_say() {
    let folder = folder();
    let mut failures = String::new();
    for snippet in snippets() {
        let output = dlc().args(["check", "--json"]).arg(write(&folder, &snippet)).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let found: Option<BTreeSet<&str>> =
            told.as_array().map(|list| list.iter().filter_map(|d| d["code"].as_str()).collect());
        let expected: BTreeSet<&str> = snippet.error.iter().map(String::as_str).collect();
        if found.as_ref() != Some(&expected) {
            let _ = writeln!(failures, "line {}: expected {expected:?}, found {found:?}", snippet.line);
            let told = dlc().arg("check").arg(write(&folder, &snippet)).output().unwrap();
            failures += &String::from_utf8_lossy(&told.stderr);
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn programs_train() {
    let folder = folder();
    let programs = snippets().into_iter().filter(|s| s.trains() && s.error.is_none());
    let mut count = 0;
    for snippet in programs {
        let path = write(&folder, &snippet);
        let run = dlc().args(["run", "--no-save", "--max-steps", "3", "--json"]).arg(path).output().unwrap();
        let stdout = String::from_utf8_lossy(&run.stdout);
        let last: serde_json::Value =
            stdout.lines().last().and_then(|l| serde_json::from_str(l).ok()).unwrap_or_default();
        assert!(
            run.status.success() && (last["event"] == "done" || last["event"] == "search"),
            "line {}: {}{stdout}",
            snippet.line,
            String::from_utf8_lossy(&run.stderr)
        );
        count += 1;
    }
    assert!(count >= 4, "the programs were not found");
}

/// Every rule of the reference and of the library lowers the loss of a small regression.
#[test]
fn optimizers_train() {
    let folder = folder();
    let rules: Vec<(String, String)> = snippets()
        .into_iter()
        .filter(|s| s.error.is_none() && !s.trains())
        .flat_map(|s| names_of_optimizers(&s.text).into_iter().map(move |name| (s.text.clone(), name)))
        .chain(
            library().into_iter().filter(|(_, s)| s.starts_with("optimizer ")).map(|(name, _)| (String::new(), name)),
        )
        .collect();
    assert!(rules.len() > 10, "the optimizers were not found");
    for (definitions, name) in rules {
        let path = folder.path().join(format!("{name}.dl"));
        let program = format!(
            "{definitions}
            data pairs = npy(x: \"data/pairs_x.npy\", y: \"data/pairs_y.npy\")
            net line(x: [N, 2]) -> [N] = affine(x)
            train {{
                minimize mse(line(x), y)
                on       pairs
                using    {name}
                steps    20
            }}
            "
        );
        fs::write(&path, program).unwrap();
        let run = dlc().args(["run", "--no-save", "--json"]).arg(&path).output().unwrap();
        let stdout = String::from_utf8_lossy(&run.stdout);
        let events: Vec<serde_json::Value> = stdout.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        let losses: Vec<f64> = events.iter().filter_map(|e| e["train"]["loss"].as_f64()).collect();
        let (Some(first), Some(last)) = (losses.first(), losses.last()) else {
            panic!("{name}: {stdout}{}", String::from_utf8_lossy(&run.stderr))
        };
        assert!(last < first, "{name}: the loss went from {first} to {last}");
    }
}

fn names_of_optimizers(text: &str) -> Vec<String> {
    let (tree, _) = parse(Files::default().add("snippet", text), text);
    let definitions = tree.items.into_iter().filter_map(|item| match item.kind {
        ItemKind::Definition(d) if d.kind == Kind::Optimizer => Some(d.name.text),
        _ => None,
    });
    definitions.collect()
}

/// Kind and signature of every definition of the library, by name.
fn library() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut files: Vec<PathBuf> =
        fs::read_dir(at_root("lang/std")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let mut sources = Files::default();
        let file: FileId = sources.add(&path, text.clone());
        let (tree, errors) = parse(file, &text);
        assert!(errors.is_empty(), "{} does not parse", path.display());
        for item in tree.items {
            if let ItemKind::Definition(d) = item.kind {
                // From the kind to the parenthesis that closes the signature.
                let start = d.kind_span.start as usize;
                let mut depth = 0;
                let close = text[start..].find(|c| {
                    depth += i32::from(c == '(') - i32::from(c == ')');
                    c == ')' && depth == 0
                });
                let signature = text[start..start + close.unwrap() + 1].split_whitespace().collect::<Vec<_>>();
                found.insert(d.name.text, signature.join(" "));
            }
        }
    }
    found
}

#[test]
fn the_library_section_lists_the_library() {
    let text = fs::read_to_string(at_root("lang/reference.md")).unwrap();
    let section = text.split("\n## ").find(|s| s.starts_with("Library\n")).expect("a section on the library");
    let mut listed = BTreeMap::new();
    for row in section.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (signature, formula) = row.split_once("` | ").expect("a row is `signature` | formula");
        let name = signature.split(['(', ' ']).nth(1).unwrap();
        assert!(!formula.trim_matches([' ', '|']).is_empty(), "{name} has no formula");
        assert!(listed.insert(name.to_string(), signature.to_string()).is_none(), "{name} is listed twice");
    }
    assert_eq!(listed, library());
}

/// The anchor that a heading of Markdown has.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-'].contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn the_index_has_every_word_and_every_link_leads_somewhere() {
    let text = fs::read_to_string(at_root("lang/reference.md")).unwrap();
    let index = text.split("\n## ").find(|s| s.starts_with("Index\n")).expect("an index");
    let words: BTreeSet<&str> = index.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    for kind in Kind::ALL.iter().filter(|k| ![Kind::Net, Kind::Layer].contains(k)) {
        assert!(words.contains(kind.keyword()), "{kind} is not in the index");
    }
    let constructs = [
        "minimize",
        "maximize",
        "on",
        "using",
        "keep",
        "augment",
        "average",
        "measure",
        "evaluate",
        "watch",
        "epochs",
        "steps",
        "stop",
        "folds",
        "ensemble",
        "phase",
        "search",
        "data",
        "split",
        "standardize",
        "use",
        "param",
        "state",
        "shared",
        "peek",
        "commit",
        "if",
        "when",
        "for",
        "grad",
        "jvp",
        "vjp",
        "hvp",
        "jacobian",
        "hessian",
        "derivative",
        "members",
        "draws",
        "evaluating",
        "where",
        "one_hot",
        "index",
        "concat",
        "reshape",
        "flatten",
        "stack",
        "reverse",
        "range",
        "argmax",
        "norm",
    ];
    for word in constructs {
        assert!(words.contains(word), "{word} is not in the index");
    }
    let anchors: BTreeSet<String> =
        text.lines().filter(|l| l.starts_with("##")).map(|l| anchor(l.trim_start_matches('#').trim())).collect();
    for link in text.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(anchors.contains(link), "there is no section {link}");
    }
}

#[test]
fn the_editor_grammar_knows_the_words() {
    let text = fs::read_to_string(at_root("lang/editor/dl.tmLanguage.json")).unwrap();
    let grammar: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(grammar["scopeName"], "source.dl");
    let words = |rule: &str| -> BTreeSet<String> {
        let pattern = grammar["repository"][rule].to_string();
        pattern.split(|c: char| !c.is_ascii_alphabetic()).map(str::to_string).collect()
    };
    for kind in Kind::ALL {
        assert!(words("definition").contains(kind.keyword()), "{kind}");
    }
    for clause in ["minimize", "on", "using", "keep", "measure", "epochs", "steps", "phase"] {
        assert!(words("clause").contains(clause), "{clause}");
    }
    for word in ["if", "then", "else", "when", "and", "or", "not", "over", "for", "true", "false"] {
        assert!(words("words").contains(word), "{word}");
    }
}
