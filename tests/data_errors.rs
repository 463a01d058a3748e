//! What is said of bad data: code, message, note and help of every error of the readers and the split.

use std::path::Path;

use dlc::data::{Array, Choice, DataError, FloatType, Source, Values, csv, npy};
use dlc::source::{FileId, Files, Span, codes, render};

#[path = "data_errors/arrays.rs"]
mod arrays;
#[path = "data_errors/columns.rs"]
mod columns;
#[path = "data_errors/text.rs"]
mod text;

/// The parts of a diagnostic as plain text.
fn rendered(error: &DataError) -> String {
    let span = Span::new(FileId(0), 0, 4);
    let diagnostic = error.at(span);
    assert_eq!(diagnostic.labels.len(), 1);
    assert_eq!(diagnostic.labels[0].span, span);
    assert!(codes::explain(&diagnostic.code.to_string()).is_some(), "{} is not explained", diagnostic.code);
    let mut lines = vec![format!("{} {}", diagnostic.code, diagnostic.message)];
    lines.extend(diagnostic.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(diagnostic.help.iter().map(|help| format!("help: {help}")));
    lines.join("\n")
}

#[track_caller]
fn message(result: Result<impl Sized, DataError>, expected: &str) {
    match result {
        Ok(_) => panic!("no error; expected {expected}"),
        Err(error) => assert_eq!(rendered(&error), expected),
    }
}

#[test]
fn the_place_in_the_model_and_the_place_in_the_data() {
    let mut files = Files::default();
    let declaration = "data flowers = csv(\"iris.csv\", target: species)";
    let file = files.add("iris.dl", format!("{declaration}\nsplit flowers into train 80%, test 20%\n"));
    let text = "length,width,species\n5.1,3.5,0\n4.9,3.0,setosa\n";
    let error = csv::parse(text.as_bytes(), Path::new("iris.csv"), &csv::Options::target("species"), FloatType::F32)
        .unwrap_err();
    let diagnostic = error.at(Span::new(file, 0, declaration.len()));
    assert_eq!(
        render(&files, &[diagnostic], false),
        "\
error[E0306]: `setosa` in column `species` is not a number
 --> iris.dl:1:1
  |
1 | data flowers = csv(\"iris.csv\", target: species)
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the data is declared here
  |
  = note: in iris.csv:3:9
  = help: the first cell of `species` is a number, so all must be; texts are classes if the first cell is one

"
    );
}

#[test]
fn missing_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.csv");
    let shown = path.display();
    let source = Source::Csv { path: path.clone(), options: csv::Options::default() };
    message(
        source.read(FloatType::F32),
        &format!(
            "E0301 the data file cannot be read: there is no such file or folder\n\
             note: in {shown}\nhelp: paths are relative to the `.dl` file"
        ),
    );
    std::fs::write(folder.path().join("digit.csv"), "").unwrap();
    let similar = folder.path().join("digit.csv");
    message(
        source.read(FloatType::F32),
        &format!(
            "E0301 the data file cannot be read: there is no such file or folder\n\
             note: in {shown}\nhelp: did you mean `{}`?",
            similar.display()
        ),
    );
}

#[test]
fn files_larger_than_the_memory_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge");
    // Sparse: it takes no room on the disk.
    std::fs::File::create(&path).unwrap().set_len(1 << 42).unwrap();
    let columns = vec![("x".to_string(), path.clone())];
    for source in [
        Source::Csv { path: path.clone(), options: csv::Options::default() },
        Source::Npy { columns, targets: Vec::new(), stream: false },
        Source::Safetensors { path: path.clone(), choice: Choice::default() },
        Source::Npz { path: path.clone(), choice: Choice::default() },
        Source::Idx { columns: vec![("x".to_string(), path.clone())], targets: Vec::new() },
    ] {
        let text = rendered(&source.read(FloatType::F32).unwrap_err());
        assert!(text.starts_with("E0504 the data file needs 4398.0 GB of memory, but "), "{text}");
    }
}

#[test]
fn files_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("w.npy");
    message(
        npy::write(&path, &Array { shape: vec![1], values: Values::F32(vec![1.0]) }),
        &format!("E0315 the file cannot be written: there is no such file or folder\nnote: in {}", path.display()),
    );
}

/// The label, the text it stands at and the help of a declaration's error.
fn declaration_error(declaration: &str) -> (String, String, String) {
    let mut files = Files::default();
    let file = files.add("a.dl", format!("data d = {declaration}\n"));
    let (tree, errors) = dlc::syntax::parse(file, files.text(file));
    assert!(errors.is_empty(), "{}", render(&files, &errors, false));
    let dlc::syntax::ast::ItemKind::Data(data) = &tree.items[0].kind else { panic!("a declaration of data") };
    let error = dlc::data::source(data, Path::new("")).unwrap_err();
    assert_eq!(error.code, codes::BAD_DATA_DECLARATION);
    let label = &error.labels[0];
    let place = files.text(file)[label.span.start as usize..label.span.end as usize].to_string();
    (place, label.text.clone(), error.help.unwrap_or_default())
}

#[test]
fn declarations_that_make_no_sense() {
    let cases = [
        ("csv(\"f\", targets: y)", "targets", "`csv` does not take this", "did you mean `target`?"),
        ("csv(\"f\", target: y, target: z)", "target", "this name is given twice", "keep one of the two"),
        ("csv(\"f\", target: 3)", "3", "this should be a name", "write a name, or several as `(a, b)`"),
        ("csv(\"f\", drop: (a, b, a))", "a", "this column is named twice", "name it once"),
        (
            "csv(\"f\", target: y, drop: (id, y))",
            "drop: (id, y)",
            "`y` is named here",
            "a column is a target, an input or dropped",
        ),
        (
            "csv(\"f\", target: y, one_hot: y)",
            "one_hot: y",
            "`y` is no column of `x`",
            "`one_hot` is for columns of `x`; targets of texts are numbered by themselves",
        ),
        (
            "csv(\"f\", separator: \";;\")",
            "\";;\"",
            "a separator is one ASCII character",
            "write `\";\"`, or `\"\\t\"` for tabs",
        ),
        ("csv(\"f\", header: no)", "no", "this should be `true` or `false`", "leave it out for the default"),
        (
            "csv(\"f\", missing: zero)",
            "zero",
            "what to do about missing cells",
            "write `missing: drop` to leave out their rows; without it they are errors",
        ),
        ("csv(\"f\", \"g\")", "\"g\"", "there is one path only", "options have names, such as `target: COLUMN`"),
        ("npz(\"f\", x: 3)", "3", "this should be a name", "write a name, or several as `(a, b)`"),
        ("npz(\"f\", x: (a, b))", "(a, b)", "this should be the name of one array", "write it like `x: x_train`"),
        (
            "idx(target: y)",
            "idx(target: y)",
            "`idx` needs at least one array",
            "write `idx(x: \"images-idx3-ubyte.gz\", y: \"labels-idx1-ubyte.gz\")`",
        ),
        ("npq(\"f\")", "npq", "not a reader of data", "did you mean `npy`?"),
    ];
    for (declaration, place, label, help) in cases {
        let expected = (place.to_string(), label.to_string(), help.to_string());
        assert_eq!(declaration_error(declaration), expected, "{declaration}");
    }
}
