//! What is said of bad data: code, message, note and help of every error of the readers and the split.

use std::path::Path;

use dlc::data::{
    Array, Choice, Column, DataError, FloatType, Share, Source, Table, Values, csv, idx, npy, npz, safetensors, split,
};
use dlc::source::{FileId, Files, Span, codes, render};

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
fn csv_error(text: impl AsRef<[u8]>, expected: &str) {
    let error =
        csv::parse(text.as_ref(), Path::new("d.csv"), &csv::Options::target("label"), FloatType::F32).unwrap_err();
    assert_eq!(rendered(&error), expected);
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

#[test]
fn empty_file() {
    let expected = "E0303 the data file is empty\nnote: in d.csv\n\
                    help: the first line names the columns, each further line is one row";
    csv_error("", expected);
    csv_error("\n\r\n\n", expected);
    csv_error("\u{feff}", expected);
}

#[test]
fn header_without_rows() {
    csv_error(
        "a,label\n",
        "E0303 the data file has a header but no rows\nnote: in d.csv\n\
         help: the first line names the columns, each further line is one row",
    );
}

#[test]
fn no_header() {
    csv_error(
        "0.5,1\n1,0\n",
        "E0304 the first line of the data file is not a header: all its cells are numbers\nnote: in d.csv:1:1\n\
         help: add a first line that names the columns, or say `header: false`; the line now there starts with `0.5`",
    );
}

#[test]
fn nameless_column() {
    csv_error(
        "a,,label\n0,1,2\n",
        "E0304 column 2 has no name in the header\nnote: in d.csv:1:3\n\
         help: give every column a name; a column of row numbers is better removed",
    );
}

#[test]
fn duplicate_columns() {
    csv_error(
        "a,b,label,a\n0,1,2,3\n",
        "E0308 columns 1 and 4 are both called `a`\nnote: in d.csv:1:11\nhelp: rename one of the columns",
    );
}

#[test]
fn ragged_rows() {
    let help = "help: every row must have one cell for each name of the header";
    csv_error(
        "a,b,label\n1,2,0\n\n3,1\n",
        &format!("E0305 this row has 2 cells, but the header names 3\nnote: in d.csv:4:4\n{help}"),
    );
    csv_error(
        "a,label\r\n1,0\r\n1,0,5,6\r\n",
        &format!("E0305 this row has 4 cells, but the header names 2\nnote: in d.csv:3:5\n{help}"),
    );
}

#[test]
fn cells_that_are_not_numbers() {
    csv_error(
        "a,label\n\"1\",0\n\"x,\n\"\"y\"\"\",0\n",
        "E0306 `x,\\n\"y\"` in column `a` is not a number\nnote: in d.csv:3:1\n\
         help: if its texts are categories, say `one_hot: a`; if not, `drop: a`",
    );
    csv_error(
        "größe,\"ä,b\",label\n1,setosa,0\n",
        "E0306 `setosa` in column `ä,b` is not a number\nnote: in d.csv:2:3\n\
         help: if its texts are categories, say `one_hot: ä,b`; if not, `drop: ä,b`",
    );
    csv_error(
        "a,label\n1\",zwölf und noch viel mehr, so dass es lang wird\n",
        "E0305 this row has 3 cells, but the header names 2\nnote: in d.csv:2:29\n\
         help: every row must have one cell for each name of the header",
    );
    csv_error(
        format!("a,label\n1,2\n1,{}\n", "z".repeat(100)),
        &format!(
            "E0306 `{}…` in column `label` is not a number\nnote: in d.csv:3:3\n\
             help: the first cell of `label` is a number, so all must be; texts are classes if the first cell is one",
            "z".repeat(32)
        ),
    );
}

#[test]
fn missing_values() {
    let help = "help: fill in the value, or leave out such rows with `missing: drop`";
    csv_error("a,label\n1,0\n,1\n", &format!("E0307 the value of column `a` is missing\nnote: in d.csv:3:1\n{help}"));
    csv_error(
        "a,label\n1,0\nNA,1\n",
        &format!("E0307 the value of column `a` is missing: `NA`\nnote: in d.csv:3:1\n{help}"),
    );
}

#[test]
fn values_that_are_not_finite() {
    let help = "help: replace the value or remove the row";
    for text in ["nan", "NaN", "inf", "-Infinity", "1e999"] {
        csv_error(
            format!("a,label\n0.5,0\n{text},1\n"),
            &format!("E0307 `{text}` in column `a` is not a finite number\nnote: in d.csv:3:1\n{help}"),
        );
    }
    csv_error(
        "a,label\n1e300,0\n",
        "E0307 `1e300` in column `a` is outside the range of f32\nnote: in d.csv:2:1\n\
         help: rescale the column, or run with `--dtype f64`",
    );
    assert!(
        csv::parse(b"a,label\n1e300,0\n", Path::new("d.csv"), &csv::Options::target("label"), FloatType::F64).is_ok()
    );
}

#[test]
fn unknown_target() {
    csv_error("a,lable\n1,0\n", "E0309 the data has no column `label`\nnote: in d.csv:1\nhelp: did you mean `lable`?");
    csv_error(
        "a,weight\n1,0\n",
        "E0309 the data has no column `label`\nnote: in d.csv:1\nhelp: its columns are `a`, `weight`",
    );
    csv_error(
        "a;label\n1;0\n",
        "E0309 the data has no column `label`\nnote: in d.csv:1\n\
         help: the cells seem to be separated by `;`; say `separator: \";\"`",
    );
}

#[test]
fn targets_that_leave_no_inputs() {
    csv_error(
        "label\n0\n",
        "E0309 the target `label` is the only column: no inputs are left\nnote: in d.csv:1:1\n\
         help: add columns to the file, or name other targets",
    );
    message(
        csv::parse(b"x,y\n1,2\n", Path::new("d.csv"), &csv::Options::target("x"), FloatType::F32),
        "E0309 the target column is called `x`, which is the name of the matrix of inputs\nnote: in d.csv:1:1\n\
         help: rename the column in the file",
    );
}

#[test]
fn not_utf8() {
    csv_error(
        b"a,label\n1,0\ngr\xfc,1\n",
        "E0302 the data file is not UTF-8 text: byte 0xfc\nnote: in d.csv:3:3\nhelp: save the file as UTF-8",
    );
}

#[test]
fn columns_asked_for_by_name() {
    let table =
        csv::parse(b"age,bmi,label\n1,2,0\n", Path::new("d.csv"), &csv::Options::target("label"), FloatType::F32)
            .unwrap();
    message(table.column("bmj"), "E0309 the data has no column `bmj`\nnote: in d.csv\nhelp: did you mean `bmi`?");
}

#[test]
fn indices_out_of_range() {
    let text = b"a,label\n1.5,0\n\n2,9\n3,10\n";
    let table = csv::parse(text, Path::new("d.csv"), &csv::Options::target("label"), FloatType::F32).unwrap();
    let label = table.column("label").unwrap();
    assert_eq!(label.check_index_range(11), Ok(()));
    message(
        label.check_index_range(10),
        "E0313 10 in column `label` is no index of an axis of size 10\nnote: in d.csv:5\n\
         help: indices run from 0 to 9",
    );
    message(
        table.column("a").unwrap().check_index_range(10),
        "E0313 `a` is used as an index, but its values are floats, such as 1.5\nnote: in d.csv:2\n\
         help: an index is a column whose values are all integers, stored or written as such",
    );
    let array = Array { shape: vec![2, 2], values: Values::I64(vec![0, 1, 2, -1]) };
    let column = Column::new("y", array, FloatType::F32, Path::new("y.npy")).unwrap();
    message(
        column.check_index_range(3),
        "E0313 -1 in column `y` is no index of an axis of size 3\nnote: in y.npy, row 1 (the first is 0)\n\
         help: indices run from 0 to 2",
    );
}

fn npy_bytes(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[track_caller]
fn npy_error(bytes: &[u8], expected: &str) {
    message(npy::parse(bytes, bytes.len() as u64, Path::new("a.npy"), None), expected);
}

#[test]
fn malformed_npy() {
    let malformed = |reason: &str| {
        format!(
            "E0310 this is not a well-formed npy file: {reason}\nnote: in a.npy\n\
             help: write the file again; it may be cut short or be of another kind"
        )
    };
    npy_error(b"PK\x03\x04....", &malformed("it does not start with `\\x93NUMPY`"));
    npy_error(b"\x93NUM", &malformed("it ends too early"));
    npy_error(b"\x93NUMPY\x09\x00\x00\x00", &malformed("its format version is 9, not 1, 2 or 3"));
    npy_error(
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        &malformed("its header claims 4294967295 bytes, more than the file has"),
    );
    let header = |shape: &str| format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
    npy_error(
        &npy_bytes(&header("(3,)"), &[0; 16]),
        &malformed("elements `<f8` of shape [3] do not take the 16 bytes that follow"),
    );
    npy_error(
        &npy_bytes(&header("(4294967296, 4294967296)"), &[0; 8]),
        &malformed("elements `<f8` of shape [4294967296, 4294967296] do not take the 8 bytes that follow"),
    );
    npy_error(
        &npy_bytes(&header("(2305843009213693952,)"), &[]),
        &malformed("elements `<f8` of shape [2305843009213693952] do not take the 0 bytes that follow"),
    );
}

#[test]
fn npy_elements_that_cannot_be_read() {
    let header = "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }";
    npy_error(
        &npy_bytes(header, &[0; 4]),
        "E0311 elements of type `<c8` cannot be read from npy\nnote: in a.npy\n\
         help: store floats of 16, 32 or 64 bits, integers or booleans",
    );
    let header = "{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }";
    npy_error(
        &npy_bytes(header, &[255; 8]),
        "E0307 `18446744073709551615` in column `?` does not fit a 64-bit signed integer\nnote: in a.npy\n\
         help: store the column as floats",
    );
}

#[test]
fn malformed_safetensors() {
    message(
        safetensors::parse(b"\x00\x00", Path::new("w.safetensors"), None),
        "E0310 this is not a well-formed safetensors file: it ends too early\nnote: in w.safetensors\n\
         help: write the file again; it may be cut short or be of another kind",
    );
    let header = br#"{"h":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend([0; 2]);
    message(
        safetensors::parse(&bytes, Path::new("w.safetensors"), None),
        "E0311 elements of type `F8_E4M3` cannot be read from safetensors\nnote: in w.safetensors\n\
         help: store floats of 16, 32 or 64 bits, integers or booleans",
    );
}

#[test]
fn tensors_that_make_no_data_set() {
    let column = |name: &str, shape: &[usize], values: Values| {
        let array = Array { shape: shape.to_vec(), values };
        Column::new(name, array, FloatType::F32, Path::new("a.npy"))
    };
    message(
        column("x", &[], Values::F32(vec![1.0])),
        "E0312 `x` is a single number: it has no axis of rows\nnote: in a.npy\n\
         help: the first axis of every tensor of a data set counts its rows",
    );
    message(
        column("x", &[5, 0], Values::F32(vec![])),
        "E0312 `x` has shape [5, 0], which holds no values\nnote: in a.npy\n\
         help: a data set needs at least one row and one value a row",
    );
    message(
        column("x", &[2, 2], Values::F64(vec![1.0, 2.0, f64::NAN, 3.0])),
        "E0307 `NaN (row 1)` in column `x` is not a finite number\nnote: in a.npy\n\
         help: replace the value or remove the row",
    );
    message(
        column("x", &[2, 2], Values::F64(vec![1.0, 1e300, 2.0, 3.0])),
        &format!(
            "E0307 `{} (row 0)` in column `x` is outside the range of f32\nnote: in a.npy\n\
             help: rescale the column, or run with `--dtype f64`",
            1e300
        ),
    );
    let x = column("x", &[2], Values::F32(vec![1.0, 2.0])).unwrap();
    let y = column("y", &[3], Values::I64(vec![1, 2, 3])).unwrap();
    message(
        Table::of(vec![x, y], &[]),
        "E0312 `y` has 3 rows, but `x` has 2\nnote: in a.npy\n\
         help: the first axis of every column counts the rows; they must agree",
    );
}

#[test]
fn impossible_splits() {
    let error = |rows: usize, shares: &[(&str, f64)], expected: &str| {
        let share = |&(name, percent): &(&str, f64)| Share { name: name.into(), percent };
        message(split(rows, &shares.iter().map(share).collect::<Vec<_>>(), 0), expected);
    };
    error(
        100,
        &[("train", 70.0), ("test", 40.0)],
        "E0314 the parts of the split add up to 110%, more than 100%\nhelp: lower one of the shares",
    );
    error(100, &[("train", 0.0)], "E0314 part `train` has a share of 0%\nhelp: a share is more than 0%");
    error(
        100,
        &[("train", 50.0), ("train", 20.0)],
        "E0314 the split names part `train` twice\nhelp: rename one of the parts",
    );
    error(
        5,
        &[("train", 95.0), ("test", 5.0)],
        "E0314 part `test` would be empty: 5% of 5 rows\nhelp: give the part a larger share, or the data more rows",
    );
}

#[track_caller]
fn declared_error(text: &str, options: csv::Options, expected: &str) {
    message(csv::parse(text.as_bytes(), Path::new("d.csv"), &options, FloatType::F32), expected);
}

fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

#[test]
fn columns_that_are_chosen_wrongly() {
    let text = "a,b,y\n1,2,0\n";
    let target = || csv::Options::target("y");
    for options in [
        csv::Options { inputs: Some(columns(&["a", "d"])), ..target() },
        csv::Options { drop: columns(&["d"]), ..target() },
        csv::Options { one_hot: columns(&["d"]), ..target() },
        csv::Options { targets: columns(&["y", "d"]), ..target() },
    ] {
        declared_error(
            text,
            options,
            "E0309 the data has no column `d`\nnote: in d.csv:1\nhelp: its columns are `a`, `b`, `y`",
        );
    }
    declared_error(
        text,
        csv::Options { drop: columns(&["a", "b"]), ..target() },
        "E0309 no inputs are left: every column is a target or dropped\nnote: in d.csv:1:1\n\
         help: add columns to the file, or name other targets",
    );
    declared_error(
        text,
        csv::Options { inputs: Some(columns(&["a"])), one_hot: columns(&["b"]), ..target() },
        "E0309 `b` is to be one-hot, but it is no column of `x`\nnote: in d.csv:1:3\nhelp: add it to `inputs`",
    );
}

#[test]
fn cells_that_are_no_categories() {
    let options = || csv::Options { one_hot: columns(&["color"]), ..csv::Options::target("y") };
    declared_error(
        "a,color,y\n1,2,0\n1,2.5,0\n",
        options(),
        "E0320 `2.5` in column `color` is a float and no category\nnote: in d.csv:3:3\n\
         help: categories are integers or texts; leave the column out of `one_hot`",
    );
    declared_error(
        "a,color,y\n1,red,0\n1,,0\n",
        options(),
        "E0307 the value of column `color` is missing\nnote: in d.csv:3:3\n\
         help: fill in the value, or leave out such rows with `missing: drop`",
    );
    declared_error(
        "a,color,y\n1,,0\n,red,0\n",
        csv::Options { missing: csv::Missing::Drop, ..options() },
        "E0303 every row of the data file has a missing cell\nnote: in d.csv\n\
         help: fill in the values, or drop the column that lacks them: `drop: COLUMN`",
    );
}

#[test]
fn further_files_that_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.csv");
    let options = csv::Options { one_hot: columns(&["color"]), targets: columns(&["n", "kind"]), ..Default::default() };
    let text = b"a,color,n,kind\n1,red,3,cat\n2.5,blue,4,dog\n";
    let trained = csv::parse(text, Path::new("d.csv"), &options, FloatType::F32).unwrap();
    let fails = |text: &str, expected: &str| {
        std::fs::write(&path, text).unwrap();
        let found = trained.encoding().read(&path, FloatType::F32);
        message(found, &expected.replace("new.csv", &path.display().to_string()));
    };
    fails(
        "color,a\nred,1\npurple,2\n",
        "E0320 `purple` in column `color` is none of the values it had in the training data\n\
         note: in new.csv:3:1\nhelp: its values were `blue`, `red`",
    );
    fails(
        "a,color,kind\n1,red,bird\n",
        "E0320 `bird` in column `kind` is none of the values it had in the training data\n\
         note: in new.csv:2:7\nhelp: its values were `cat`, `dog`",
    );
    fails(
        "a,color,n\n1,red,3.5\n",
        "E0320 `3.5` in column `n` is no integer, as all were in training\nnote: in new.csv:2:7\n\
         help: write the value as an integer",
    );
    fails(
        "a,colour\n1,red\n",
        "E0309 the data has no column `color`\nnote: in new.csv:1\nhelp: did you mean `colour`?",
    );
    fails(
        "a,color\n1,red,2\n",
        "E0305 this row has 3 cells, but the header names 2\nnote: in new.csv:2:7\n\
         help: every row must have one cell for each name of the header",
    );
}

#[test]
fn malformed_idx() {
    let malformed = |reason: &str| {
        format!(
            "E0310 this is not a well-formed IDX file: {reason}\nnote: in a.idx\n\
             help: write the file again; it may be cut short or be of another kind"
        )
    };
    let fails = |bytes: &[u8], expected: String| {
        message(idx::parse(bytes, bytes.len() as u64, Path::new("a.idx")), &expected);
    };
    fails(b"\0\0", malformed("it ends too early"));
    fails(b"\x89PNG....", malformed("it does not start with two zero bytes"));
    fails(b"\0\0\x08\x01\0\0\0\x03ab", malformed("it ends too early"));
    fails(b"\0\0\x08\x01\0\0\0\x01ab", malformed("it goes on after its last element"));
    fails(
        b"\0\0\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        malformed("its shape [4294967295, 4294967295, 4294967295] claims more elements than the file can hold"),
    );
    fails(
        b"\0\0\x07\x01\0\0\0\x01a",
        "E0311 elements of type `0x07` cannot be read from IDX\nnote: in a.idx\n\
         help: store floats of 16, 32 or 64 bits, integers or booleans"
            .to_string(),
    );
    fails(b"\x1f\x8bnot gzip", malformed("invalid gzip header"));
}

#[test]
fn malformed_npz() {
    let path = Path::new("a.npz");
    let fails = |bytes: &[u8], start: &str| {
        let text = rendered(&npz::parse(bytes, path, None).unwrap_err());
        assert!(text.starts_with(start), "{text}");
    };
    fails(b"no archive", "E0310 this is not a well-formed npz file: invalid Zip archive");
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("notes.txt", zip::write::SimpleFileOptions::default()).unwrap();
    let bytes = archive.finish().unwrap().into_inner();
    fails(&bytes, "E0310 this is not a well-formed npz file: it holds `notes.txt`, which is no `.npy` file");
}

#[test]
fn columns_that_cannot_stratify_or_be_standardized() {
    let table =
        csv::parse(b"a,w,y\n1.5,2,cat\n2,3,dog\n", Path::new("d.csv"), &csv::Options::target("y"), FloatType::F32);
    let table = table.unwrap();
    assert_eq!(table.classes("w").unwrap(), [2, 3]);
    message(
        table.classes("a"),
        "E0314 rows cannot be divided by `a`, whose values are floats\nnote: in d.csv\n\
         help: name a column of integers or of texts, such as the target of a classifier",
    );
    message(
        table.measured("y"),
        "E0321 `y` cannot be standardized: its values number classes or categories\nnote: in d.csv\n\
         help: name the columns that measure something: `standardize D.x by D.train`",
    );
    let array = Array { shape: vec![2], values: Values::F32(vec![1.0, 2.0]) };
    let column = Column::new("y", array, FloatType::F32, Path::new("y.npy")).unwrap();
    message(
        Table::of(vec![column], &[]).unwrap().float_inputs(),
        "E0321 it is not known which of these columns are targets\nnote: in y.npy\n\
         help: say `target: y` where the data is declared, or name a column: `standardize D.x by D.train`",
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
