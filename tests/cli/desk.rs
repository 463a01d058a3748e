//! What one does at the desk: formatting, looking things up, beginning something new.

use super::{digits, dlc, json_lines, root};
use assert_cmd::Command;
use std::fs;
use std::path::Path;

const MESSY: &str = "fn  f( x )=x+ 1 # c\n";
const TIDY: &str = "fn f(x) = x + 1  # c\n";

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn fmt_formats_in_place_and_names_what_it_changed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["a.dl", "sub/b.dl", ".hidden/c.dl", "runs/r/source.dl"] {
        write(folder, name, MESSY);
    }
    write(folder, "tidy.dl", TIDY);
    write(folder, "other.txt", MESSY);
    assert_eq!(dlc(folder, &["fmt"]).fine(), "a.dl\nsub/b.dl\n");
    assert_eq!(read(folder, "a.dl"), TIDY);
    assert_eq!(read(folder, "sub/b.dl"), TIDY);
    // What a run keeps is its source as it was.
    for name in [".hidden/c.dl", "runs/r/source.dl", "other.txt"] {
        assert_eq!(read(folder, name), MESSY);
    }
    assert_eq!(dlc(folder, &["fmt"]).fine(), "");
    assert_eq!(dlc(folder, &["fmt", "other.txt", ".hidden"]).fine(), "other.txt\n.hidden/c.dl\n");
}

#[test]
fn fmt_check_changes_nothing_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "a.dl", MESSY);
    write(folder, "b.dl", TIDY);
    let ran = dlc(folder, &["fmt", "--check"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(1), "a.dl\n", ""));
    assert_eq!(read(folder, "a.dl"), MESSY);
    assert_eq!(dlc(folder, &["fmt", "--check", "b.dl"]).fine(), "");
}

#[test]
fn fmt_writes_to_stdout_and_spells_letters_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let greek = "optimizer o(J, θ) { θ' = θ - ∇(J)(θ)·λ² }\nλ=\\alpha\n\\alpha=1\n";
    write(folder, "a.dl", greek);
    let ascii = "optimizer o(J, theta) { theta' = theta - grad(J)(theta)*lambda^2 }\nlambda = alpha\nalpha = 1\n";
    assert_eq!(dlc(folder, &["fmt", "--stdout", "--ascii", "a.dl"]).fine(), ascii);
    assert_eq!(read(folder, "a.dl"), greek);
    let piped = Command::cargo_bin("dlc").unwrap().args(["fmt", "-"]).write_stdin("a=\\theta\n").output().unwrap();
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), "a = θ\n");
}

#[test]
fn fmt_goes_on_after_files_it_cannot_format() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "a.dl", "fn f(x = 1\n");
    write(folder, "b.dl", MESSY);
    let ran = dlc(folder, &["fmt", "a.dl", "missing.dl", "b.dl"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), "b.dl\n"));
    assert!(ran.err.contains("--> a.dl:1:5") && ran.err.contains("cannot read missing.dl"), "{}", ran.err);
    assert_eq!((read(folder, "a.dl").as_str(), read(folder, "b.dl").as_str()), ("fn f(x = 1\n", TIDY));
}

#[cfg(unix)]
#[test]
fn fmt_keeps_permissions_and_links() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "a.dl", MESSY);
    fs::set_permissions(folder.join("a.dl"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("a.dl", folder.join("link.dl")).unwrap();
    assert_eq!(dlc(folder, &["fmt", "link.dl"]).fine(), "link.dl\n");
    assert_eq!(read(folder, "a.dl"), TIDY);
    assert_eq!(fs::metadata(folder.join("a.dl")).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(folder.join("link.dl")).unwrap().is_symlink());
}

#[test]
fn doc_shows_a_definition_with_its_source() {
    let folder = digits();
    let page = dlc(folder.path(), &["doc", "adam"]).fine();
    assert!(page.starts_with("optimizer adam(J, θ; lr = 1e-3, rho1 = 0.9, "), "{page}");
    for part in [
        "Kingma and Ba (2015)",
        "\ninputs\n  J  the objective\n  θ  the parameters\n",
        "\noptions\n  lr     = 1e-3\n",
        "\nstate\n  s  = 0 * θ\n",
        "\nlang/std/optimizers.dl:",
        "\n    optimizer adam(J, θ; lr",
        "    }\n",
    ] {
        assert!(page.contains(part), "`{part}` is not in\n{page}");
    }
    let line =
        read(&root(), "lang/std/optimizers.dl").lines().position(|l| l.starts_with("optimizer adam(")).unwrap() + 1;
    assert!(page.contains(&format!("\nlang/std/optimizers.dl:{line}\n")), "{page}");
    let page = dlc(folder.path(), &["doc", "dense"]).fine();
    assert!(page.contains("\n  x  [.., I]\n  O  a size\n"), "{page}");
    assert!(page.contains("\nparameters\n  W  [fan_in: I, fan_out: O] = init\n"), "{page}");
}

#[test]
fn doc_lists_every_definition_under_its_kind() {
    let folder = digits();
    let list = dlc(folder.path(), &["doc"]).fine();
    for file in fs::read_dir(root().join("lang/std")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines().filter(|line| line.starts_with(char::is_alphabetic)) {
            let Some((name, _)) = line.split(' ').nth(1).and_then(|word| word.split_once('(')) else { continue };
            assert!(list.lines().any(|l| l.split_whitespace().next() == Some(name)), "{name} is not in\n{list}");
        }
    }
    assert!(list.contains("\noptimizer\n") && list.contains("  mse "), "{list}");
    assert!(list.lines().all(|line| !line.ends_with(' ')));
}

#[test]
fn doc_knows_the_definitions_of_a_file() {
    let folder = digits();
    write(folder.path(), "own.dl", "## Twice x.\nfn twice(x; times = 2) = times * x\n\nfn relu(x) = x\n");
    dlc(folder.path(), &["doc", "twice"]).fails(1, &["no definition is called `twice`"]);
    let page = dlc(folder.path(), &["doc", "twice", "--file", "own.dl"]).fine();
    assert!(page.contains("Twice x.") && page.contains("\nown.dl:2\n"), "{page}");
    let page = dlc(folder.path(), &["doc", "relu", "--file", "own.dl"]).fine();
    assert!(page.contains("\nown.dl:4\n") && page.contains("\nhides lang/std/activations.dl:"), "{page}");
    assert!(dlc(folder.path(), &["doc", "--file", "own.dl"]).fine().contains("  twice "));
    write(folder.path(), "bad.dl", "fn f(\n");
    dlc(folder.path(), &["doc", "--file", "bad.dl"]).fails(1, &["bad.dl:2:1"]);
}

#[test]
fn doc_says_what_an_unknown_name_may_mean() {
    let folder = digits();
    dlc(folder.path(), &["doc", "adm"]).fails(1, &["no definition is called `adm`", "did you mean `adam`?"]);
    dlc(folder.path(), &["doc", "grad"]).fails(1, &["`grad` belongs to the language itself"]);
    dlc(folder.path(), &["doc", "zzzzzz"]).fails(1, &["`dlc doc` lists all definitions"]);
}

#[test]
fn new_makes_a_project_that_trains() {
    let folder = tempfile::tempdir().unwrap();
    let told = dlc(folder.path(), &["new", "demo"]).fine();
    assert!(told.contains("cd demo\n    dlc run model.dl\n"), "{told}");
    let demo = folder.path().join("demo");
    let mut names: Vec<String> =
        fs::read_dir(&demo).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, [".gitignore", "README.md", "data", "model.dl"]);
    assert!(read(&demo, "README.md").starts_with("# demo\n"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // The commands that the README names.
    let out = dlc(&demo, &["run", "model.dl", "--json"]).fine();
    let events = json_lines(&out);
    let accuracy =
        |events: &[serde_json::Value]| events.last().unwrap()["metrics"]["test"]["accuracy"].as_f64().unwrap();
    assert!(accuracy(&events) >= 0.95, "{}", events.last().unwrap());
    let narrow = json_lines(&dlc(&demo, &["run", "model.dl", "--set", "width=2", "--json"]).fine());
    assert!(accuracy(&narrow) < accuracy(&events), "{}", narrow.last().unwrap());
    assert!(dlc(&demo, &["grad", "model.dl"]).fine().contains("grad classifier.dense_1.W"));
    assert_eq!(dlc(&demo, &["fmt", "--check"]).fine(), "");
}

#[test]
fn new_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "demo/mine.txt", "mine");
    write(folder, "file", "mine");
    dlc(folder, &["new", "demo"]).fails(1, &["demo exists already"]);
    dlc(folder, &["new", "file"]).fails(1, &["file exists already"]);
    dlc(folder, &["new", "nowhere/demo"])
        .fails(1, &["nowhere/demo cannot be created: there is no such file or folder"]);
    dlc(folder, &["new", ".."]).fails(1, &["`..` is no name for a new folder"]);
    assert_eq!((read(folder, "demo/mine.txt").as_str(), read(folder, "file").as_str()), ("mine", "mine"));
    assert_eq!(fs::read_dir(folder.join("demo")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 2);
    let told = dlc(folder, &["new", "demo/inner"]).fine();
    assert!(told.contains("cd demo/inner\n"), "{told}");
}
