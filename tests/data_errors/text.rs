//! What is said of CSV files that are no data, of columns chosen wrongly, and of further files that do not fit.

use super::{message, rendered};
use dlc::data::{FloatType, csv};
use std::path::Path;

#[track_caller]
fn csv_error(text: impl AsRef<[u8]>, expected: &str) {
    let error =
        csv::parse(text.as_ref(), Path::new("d.csv"), &csv::Options::target("label"), FloatType::F32).unwrap_err();
    assert_eq!(rendered(&error), expected);
}

#[track_caller]
fn declared_error(text: &str, options: csv::Options, expected: &str) {
    message(csv::parse(text.as_bytes(), Path::new("d.csv"), &options, FloatType::F32), expected);
}

fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// Texts whose target is `label`, and what is said of them.
const CASES: &[(&str, &str)] = &[
    // Nothing but line ends, or not even these.
    ("", EMPTY),
    ("\n\r\n\n", EMPTY),
    ("\u{feff}", EMPTY),
    (
        "a,label\n",
        "E0303 the data file has a header but no rows\nnote: in d.csv\n\
         help: the first line names the columns, each further line is one row",
    ),
    // Headers.
    (
        "0.5,1\n1,0\n",
        "E0304 the first line of the data file is not a header: all its cells are numbers\nnote: in d.csv:1:1\n\
         help: add a first line that names the columns, or say `header: false`; the line now there starts with `0.5`",
    ),
    (
        "a,,label\n0,1,2\n",
        "E0304 column 2 has no name in the header\nnote: in d.csv:1:3\n\
         help: give every column a name; a column of row numbers is better removed",
    ),
    (
        "a,b,label,a\n0,1,2,3\n",
        "E0308 columns 1 and 4 are both called `a`\nnote: in d.csv:1:11\nhelp: rename one of the columns",
    ),
    ("a,lable\n1,0\n", "E0309 the data has no column `label`\nnote: in d.csv:1\nhelp: did you mean `lable`?"),
    ("a,weight\n1,0\n", "E0309 the data has no column `label`\nnote: in d.csv:1\nhelp: its columns are `a`, `weight`"),
    (
        "a;label\n1;0\n",
        "E0309 the data has no column `label`\nnote: in d.csv:1\n\
         help: the cells seem to be separated by `;`; say `separator: \";\"`",
    ),
    (
        "label\n0\n",
        "E0309 the target `label` is the only column: no inputs are left\nnote: in d.csv:1:1\n\
         help: add columns to the file, or name other targets",
    ),
    // Rows.
    (
        "a,b,label\n1,2,0\n\n3,1\n",
        "E0305 this row has 2 cells, but the header names 3\nnote: in d.csv:4:4\n\
         help: every row must have one cell for each name of the header",
    ),
    (
        "a,label\r\n1,0\r\n1,0,5,6\r\n",
        "E0305 this row has 4 cells, but the header names 2\nnote: in d.csv:3:5\n\
         help: every row must have one cell for each name of the header",
    ),
    (
        "a,label\n1\",zwölf und noch viel mehr, so dass es lang wird\n",
        "E0305 this row has 3 cells, but the header names 2\nnote: in d.csv:2:29\n\
         help: every row must have one cell for each name of the header",
    ),
    // Cells.
    (
        "a,label\n\"1\",0\n\"x,\n\"\"y\"\"\",0\n",
        "E0306 `x,\\n\"y\"` in column `a` is not a number\nnote: in d.csv:3:1\n\
         help: if its texts are categories, say `one_hot: a`; if not, `drop: a`",
    ),
    (
        "größe,\"ä,b\",label\n1,setosa,0\n",
        "E0306 `setosa` in column `ä,b` is not a number\nnote: in d.csv:2:3\n\
         help: if its texts are categories, say `one_hot: ä,b`; if not, `drop: ä,b`",
    ),
    (
        "a,label\n1,0\n,1\n",
        "E0307 the value of column `a` is missing\nnote: in d.csv:3:1\n\
         help: fill in the value, or leave out such rows with `missing: drop`",
    ),
    (
        "a,label\n1,0\nNA,1\n",
        "E0307 the value of column `a` is missing: `NA`\nnote: in d.csv:3:1\n\
         help: fill in the value, or leave out such rows with `missing: drop`",
    ),
    (
        "a,label\n1e300,0\n",
        "E0307 `1e300` in column `a` is outside the range of f32\nnote: in d.csv:2:1\n\
         help: rescale the column, or run with `--dtype f64`",
    ),
];

const EMPTY: &str = "E0303 the data file is empty\nnote: in d.csv\n\
                     help: the first line names the columns, each further line is one row";

#[test]
fn texts_that_are_no_data() {
    for (text, expected) in CASES {
        csv_error(text, expected);
    }
}

#[test]
fn long_cells_are_cut() {
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
fn values_that_are_not_finite() {
    for text in ["nan", "NaN", "inf", "-Infinity", "1e999"] {
        csv_error(
            format!("a,label\n0.5,0\n{text},1\n"),
            &format!(
                "E0307 `{text}` in column `a` is not a finite number\nnote: in d.csv:3:1\n\
                 help: replace the value or remove the row"
            ),
        );
    }
    let options = csv::Options::target("label");
    assert!(csv::parse(b"a,label\n1e300,0\n", Path::new("d.csv"), &options, FloatType::F64).is_ok());
}

#[test]
fn a_target_called_as_the_inputs() {
    declared_error(
        "x,y\n1,2\n",
        csv::Options::target("x"),
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
