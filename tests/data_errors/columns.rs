//! What is said of columns of data that are used for what they cannot do, and of impossible splits.

use super::message;
use dlc::data::{Array, Column, FloatType, Share, Table, Values, csv, split};
use std::path::Path;

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
