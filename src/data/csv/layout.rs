//! Which columns of a file are read, and what becomes of each: the matrix `x`, the targets, numbers and categories.
//!
//! Input: the names of a file's columns and the options of its declaration. Output: a [`Layout`], which also says how a
//! further file of the same columns is read. Its vocabularies and ranges are known once the file has been read.

use serde::{Deserialize, Serialize};

use super::super::error::{DataError, Problem, shorten};
use super::super::table::{MATRIX, unknown_column};
use super::super::vocabulary::Vocabulary;
use super::records::Records;

/// What a declaration says of a file besides its path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The columns of `x`, in order; by default all that are neither target nor dropped.
    pub inputs: Option<Vec<String>>,
    pub targets: Vec<String>,
    pub drop: Vec<String>,
    /// Columns of `x` that are turned into one column of 0 and 1 for each of their values.
    pub one_hot: Vec<String>,
    pub separator: u8,
    /// Whether the first line names the columns; without it they are called c1, c2, ….
    pub header: bool,
    pub missing: Missing,
    /// Whether the file is read block by block instead of being held.
    pub stream: bool,
}

/// What is done about rows with a missing cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Missing {
    Refuse,
    Drop,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            inputs: None,
            targets: Vec::new(),
            drop: Vec::new(),
            one_hot: Vec::new(),
            separator: b',',
            header: true,
            missing: Missing::Refuse,
            stream: false,
        }
    }
}

impl Options {
    /// The options of `csv("file", target: name)`.
    pub fn target(name: &str) -> Self {
        Options { targets: vec![name.to_string()], ..Options::default() }
    }
}

/// How the columns of a file are read.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Layout {
    pub separator: u8,
    pub header: bool,
    pub missing: Missing,
    /// Cells of a row.
    pub cells: usize,
    /// The columns of the matrix `x`, in its order.
    pub inputs: Vec<Field>,
    pub targets: Vec<Field>,
}

/// A column that is read.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    /// Its place in a row.
    pub position: usize,
    pub kind: Kind,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// Least and greatest value, if all are integers that the run's types hold.
    Number { range: Option<(i64, i64)> },
    /// Integers or texts that stand for one thing among several.
    Categories(Vocabulary),
}

impl Field {
    /// Columns of `x` that the field takes.
    pub fn width(&self) -> usize {
        match &self.kind {
            Kind::Number { .. } => 1,
            Kind::Categories(vocabulary) => vocabulary.len(),
        }
    }
}

impl Layout {
    /// Columns of the matrix `x`.
    pub fn width(&self) -> usize {
        self.inputs.iter().map(Field::width).sum()
    }

    /// The inputs with the first column of `x` that each takes.
    pub fn features(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.inputs.iter().scan(0, |next, field| {
            let first = *next;
            *next += field.width();
            Some((first, field))
        })
    }
}

/// The names of the columns: those of the first record, or c1, c2, … in its stead. Afterwards `records` stands before the
/// first row, and the record last read is still the first.
pub(super) fn names(records: &mut Records, header: bool) -> Result<Vec<String>, DataError> {
    if !records.next()? {
        return Err(super::Place::file(records.path()).fail(Problem::Empty));
    }
    if !header {
        return Ok((1..=records.len()).map(|number| format!("c{number}")).collect());
    }
    let names: Vec<String> = (0..records.len()).map(|index| records.cell(index).to_string()).collect();
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        let first = shorten(&names[0]);
        return Err(records.place(0).fail(Problem::NoHeader { first }));
    }
    if let Some(nameless) = names.iter().position(String::is_empty) {
        return Err(records.place(nameless).fail(Problem::NamelessColumn { position: nameless + 1 }));
    }
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by_key(|&index| &names[index]);
    let twins = order.windows(2).filter(|pair| names[pair[0]] == names[pair[1]]);
    if let Some(pair) = twins.min_by_key(|pair| pair[1]) {
        let problem = Problem::DuplicateColumn { first: pair[0] + 1, second: pair[1] + 1 };
        return Err(records.place(pair[1]).name(shorten(&names[pair[1]])).fail(problem));
    }
    Ok(names)
}

/// The separator that seems to be used instead of the one declared.
pub(super) fn other_separator(names: &[String], separator: u8) -> Option<char> {
    let [only] = names else { return None };
    [',', ';', '\t', '|'].into_iter().find(|&other| other != char::from(separator) && only.contains(other))
}

/// What the options make of the columns. `records` has just read the first record.
pub(super) fn resolve(records: &Records, names: &[String], options: &Options) -> Result<Layout, DataError> {
    let find = |wanted: &String| {
        names.iter().position(|name| name == wanted).ok_or_else(|| {
            let place = super::Place::file(records.path()).line(records.line());
            unknown_column(place, wanted, names.to_vec(), other_separator(names, options.separator))
        })
    };
    let positions = |wanted: &[String]| wanted.iter().map(find).collect::<Result<Vec<usize>, DataError>>();
    let targets = positions(&options.targets)?;
    let dropped = positions(&options.drop)?;
    let categories = positions(&options.one_hot)?;
    if let Some(&reserved) = targets.iter().find(|&&position| names[position] == MATRIX) {
        return Err(records.place(reserved).fail(Problem::ReservedTarget));
    }
    let inputs = match &options.inputs {
        Some(inputs) => positions(inputs)?,
        None => {
            (0..names.len()).filter(|position| !targets.contains(position) && !dropped.contains(position)).collect()
        }
    };
    if inputs.is_empty() {
        let target = targets.first().map_or(String::new(), |&target| names[target].clone());
        return Err(records.place(0).name(target).fail(Problem::NoInputs { dropped: !dropped.is_empty() }));
    }
    if let Some(&stray) = categories.iter().find(|position| !inputs.contains(position)) {
        return Err(records.place(stray).name(shorten(&names[stray])).fail(Problem::NotAnInput));
    }
    let field = |position: usize, categories: bool| {
        let vocabulary = || Kind::Categories(Vocabulary::Texts(Vec::new()));
        let kind = if categories { vocabulary() } else { Kind::Number { range: None } };
        Field { name: names[position].clone(), position, kind }
    };
    Ok(Layout {
        separator: options.separator,
        header: options.header,
        missing: options.missing,
        cells: names.len(),
        inputs: inputs.into_iter().map(|position| field(position, categories.contains(&position))).collect(),
        targets: targets.into_iter().map(|position| field(position, false)).collect(),
    })
}
