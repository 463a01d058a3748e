//! `lang/curriculum.md` leads to what exists: each definition stands in the file that it names, each file and each section of the
//! reference is there, and every example is found from it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn at_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(at_root(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The text and the target of every link.
fn links(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for part in text.split("](").collect::<Vec<_>>().windows(2) {
        let label = part[0].rsplit('[').next().unwrap();
        let target = part[1].split(')').next().unwrap();
        found.push((label.to_owned(), target.to_owned()));
    }
    found
}

/// The anchor that a heading of Markdown has.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-'].contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_leads_somewhere() {
    let reference = read("lang/reference.md");
    let headings = reference.lines().filter(|line| line.starts_with("##"));
    let anchors: BTreeSet<String> = headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect();
    let links = links(&read("lang/curriculum.md"));
    assert!(links.len() > 120, "the links were not found");
    for (label, target) in &links {
        if let Some(section) = target.strip_prefix("reference.md#") {
            assert!(anchors.contains(section), "{label}: the reference has no section {section}");
            continue;
        }
        assert!(at_root("lang").join(target).exists(), "{label}: there is no {target}");
        if target.starts_with("std/") {
            let name = label.trim_matches('`');
            let text = read(&format!("lang/{target}"));
            let mut kinds = text.lines().filter_map(|line| line.split(['(', ' ']).nth(1));
            assert!(kinds.any(|known| known == name), "{target} does not define {name}");
        } else if target.ends_with(".dl") {
            let stem = Path::new(target).file_stem().unwrap().to_str().unwrap();
            assert_eq!(label, stem, "a file goes by its name");
        }
    }
}

#[test]
fn every_example_is_found_from_the_book() {
    let text = read("lang/curriculum.md");
    for entry in fs::read_dir(at_root("examples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".dl") {
            assert!(text.contains(&format!("(../examples/{name})")), "{name} is not in the curriculum");
        }
    }
}

#[test]
fn the_curriculum_is_found_from_the_readme_and_the_reference() {
    assert!(read("README.md").contains("](lang/curriculum.md)"));
    assert!(read("lang/reference.md").contains("](curriculum.md)"));
}
