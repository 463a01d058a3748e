//! What can be wrong with data, as values: the place in the data file, the problem, and what to do about it.
//!
//! Readers know nothing of the `.dl` source. [`DataError::at`] makes a diagnostic of an error once the span of the
//! `data` or `split` declaration is known.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::source::{Code, Diagnostic, Span, codes};

/// A problem and where it is.
#[derive(Clone, PartialEq, Debug)]
pub struct DataError {
    pub place: Place,
    pub problem: Box<Problem>,
}

/// A place in a data file. Lines and columns count from 1; a column is counted in characters.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    pub file: Option<PathBuf>,
    pub line: Option<usize>,
    pub column: Option<usize>,
    /// The name of the table's column or tensor.
    pub name: Option<String>,
}

/// The offending text of a cell is escaped and kept up to 32 characters.
#[derive(Clone, PartialEq, Debug)]
pub enum Problem {
    /// The operating system's reason, and the name of a file beside it that was perhaps meant.
    Unreadable {
        reason: String,
        similar: Option<String>,
    },
    NotAFile,
    TooLarge {
        bytes: u64,
        available: u64,
    },
    NotUtf8 {
        byte: u8,
    },
    Empty,
    NoRows,
    /// Every row was left out for a missing cell.
    NoCompleteRows,
    NoHeader {
        first: String,
    },
    NamelessColumn {
        position: usize,
    },
    DuplicateColumn {
        first: usize,
        second: usize,
    },
    UnknownColumn {
        wanted: String,
        similar: Option<String>,
        known: Vec<String>,
        separator: Option<char>,
    },
    ReservedTarget,
    /// No columns are left for `x`.
    NoInputs {
        dropped: bool,
    },
    /// A column of `one_hot` that is no column of `x`.
    NotAnInput,
    Ragged {
        expected: usize,
        found: usize,
    },
    Missing {
        text: String,
    },
    NotANumber {
        text: String,
        separator: Option<char>,
        /// Whether the column is a target, whose first cell was a number.
        target: bool,
    },
    /// A float in a column of categories.
    NotACategory {
        text: String,
    },
    /// A value that a column of categories did not have when they were numbered.
    UnknownCategory {
        text: String,
        known: Vec<String>,
    },
    /// A value of a column that held integers when it was first read.
    NotAnInteger {
        text: String,
    },
    NotFinite {
        text: String,
    },
    TooLargeForFloat {
        text: String,
    },
    IntegerTooLarge {
        text: String,
    },
    /// The file is not what it was when it was loaded.
    Changed,
    /// An array whose rows do not lie one after the other cannot be streamed.
    FortranStream,
    /// What is asked for needs all rows at once.
    NotInMemory,
    Malformed {
        format: &'static str,
        reason: String,
    },
    UnsupportedType {
        format: &'static str,
        dtype: String,
    },
    /// An array whose rows have another shape than those the model was trained on.
    OtherShape {
        shape: Vec<usize>,
        expected: Vec<usize>,
    },
    /// A file of one array, which could be any of several columns.
    WhichColumn {
        known: Vec<String>,
    },
    Scalar,
    NoValues {
        shape: Vec<usize>,
    },
    UnequalRows {
        rows: usize,
        other: String,
        other_rows: usize,
    },
    NotIntegers {
        row: usize,
        value: f64,
    },
    OutOfRange {
        row: usize,
        value: i64,
        size: usize,
    },
    SharesOverAll {
        total: f64,
    },
    ShareNotPositive {
        part: String,
        percent: f64,
    },
    DuplicatePart {
        part: String,
    },
    EmptyPart {
        part: String,
        percent: f64,
        rows: usize,
    },
    /// A column that rows are to be divided by, but whose values are no classes.
    NotClasses,
    /// A column that cannot be standardized, since it numbers things.
    NumbersThings,
    /// `standardize D` where it is not known which columns are targets.
    NoTargets,
    Unwritable {
        reason: String,
    },
}

impl Place {
    pub fn file(path: &Path) -> Self {
        Place { file: Some(path.to_path_buf()), ..Place::default() }
    }

    pub fn line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    pub fn column(mut self, column: usize) -> Self {
        self.column = Some(column);
        self
    }

    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    pub fn fail(self, problem: Problem) -> DataError {
        DataError { place: self, problem: Box::new(problem) }
    }
}

/// `file:line:column`, as far as known.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
        }
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        Ok(())
    }
}

impl DataError {
    pub fn code(&self) -> Code {
        use Problem::*;
        match *self.problem {
            Unreadable { .. } | NotAFile => codes::UNREADABLE_FILE,
            TooLarge { .. } => codes::DATA_TOO_LARGE,
            NotUtf8 { .. } => codes::NOT_UTF8,
            Empty | NoRows | NoCompleteRows => codes::NO_ROWS,
            NoHeader { .. } | NamelessColumn { .. } => codes::BAD_HEADER,
            Ragged { .. } => codes::RAGGED_ROW,
            NotANumber { .. } => codes::NOT_A_NUMBER,
            Missing { .. } | NotFinite { .. } | TooLargeForFloat { .. } | IntegerTooLarge { .. } => codes::NOT_FINITE,
            DuplicateColumn { .. } => codes::DUPLICATE_COLUMN,
            UnknownColumn { .. } | ReservedTarget | NoInputs { .. } | NotAnInput | WhichColumn { .. } => {
                codes::UNKNOWN_COLUMN
            }
            NotACategory { .. } | UnknownCategory { .. } | NotAnInteger { .. } => codes::BAD_CATEGORY,
            NumbersThings | NoTargets => codes::BAD_STANDARDIZE,
            FortranStream | NotInMemory => codes::STREAMED,
            Changed | Malformed { .. } => codes::MALFORMED_FILE,
            UnsupportedType { .. } => codes::UNSUPPORTED_ELEMENTS,
            Scalar | NoValues { .. } | UnequalRows { .. } | OtherShape { .. } => codes::NOT_ROWS,
            NotIntegers { .. } | OutOfRange { .. } => codes::INDEX_OUT_OF_RANGE,
            SharesOverAll { .. } | ShareNotPositive { .. } | DuplicatePart { .. } | EmptyPart { .. } | NotClasses => {
                codes::BAD_SPLIT
            }
            Unwritable { .. } => codes::UNWRITABLE_FILE,
        }
    }

    /// One line, without the place.
    pub fn message(&self) -> String {
        use Problem::*;
        let name = self.place.name.as_deref().unwrap_or("?");
        match &*self.problem {
            Unreadable { reason, .. } => format!("the data file cannot be read: {reason}"),
            NotAFile => "the data file is not a regular file".into(),
            TooLarge { bytes, available } => {
                format!("the data file needs {} of memory, but {} is available", size(*bytes), size(*available))
            }
            NotUtf8 { byte } => format!("the data file is not UTF-8 text: byte 0x{byte:02x}"),
            Empty => "the data file is empty".into(),
            NoRows => "the data file has a header but no rows".into(),
            NoCompleteRows => "every row of the data file has a missing cell".into(),
            NoHeader { .. } => "the first line of the data file is not a header: all its cells are numbers".into(),
            NamelessColumn { position } => format!("column {position} has no name in the header"),
            DuplicateColumn { first, second } => {
                format!("columns {first} and {second} are both called `{name}`")
            }
            UnknownColumn { wanted, .. } => format!("the data has no column `{wanted}`"),
            ReservedTarget => "the target column is called `x`, which is the name of the matrix of inputs".into(),
            NoInputs { dropped: false } => format!("the target `{name}` is the only column: no inputs are left"),
            NoInputs { dropped: true } => "no inputs are left: every column is a target or dropped".into(),
            NotAnInput => format!("`{name}` is to be one-hot, but it is no column of `x`"),
            WhichColumn { known } => format!("the file holds one array, which may be any of {}", listed(known)),
            NotACategory { text } => format!("`{text}` in column `{name}` is a float and no category"),
            UnknownCategory { text, .. } => {
                format!("`{text}` in column `{name}` is none of the values it had in the training data")
            }
            NotAnInteger { text } => format!("`{text}` in column `{name}` is no integer, as all were in training"),
            OtherShape { shape, expected } => {
                format!("a row of `{name}` has shape {shape:?}, but {expected:?} in the training data")
            }
            NotClasses => format!("rows cannot be divided by `{name}`, whose values are floats"),
            NumbersThings => format!("`{name}` cannot be standardized: its values number classes or categories"),
            NoTargets => "it is not known which of these columns are targets".into(),
            Ragged { expected, found } => {
                format!("this row has {}, but the header names {expected}", counted(*found, "cell"))
            }
            Missing { text } if text.is_empty() => format!("the value of column `{name}` is missing"),
            Missing { text } => format!("the value of column `{name}` is missing: `{text}`"),
            NotANumber { text, .. } => format!("`{text}` in column `{name}` is not a number"),
            NotFinite { text } => format!("`{text}` in column `{name}` is not a finite number"),
            TooLargeForFloat { text } => format!("`{text}` in column `{name}` is outside the range of f32"),
            IntegerTooLarge { text } => format!("`{text}` in column `{name}` does not fit a 64-bit signed integer"),
            Changed => "the data file has changed since it was loaded".into(),
            FortranStream => format!("`{name}` is stored in Fortran order and cannot be streamed"),
            NotInMemory => format!("`{name}` is streamed: its rows are not held"),
            Malformed { format, reason } => format!("this is not a well-formed {format} file: {reason}"),
            UnsupportedType { format, dtype } => format!("elements of type `{dtype}` cannot be read from {format}"),
            Scalar => format!("`{name}` is a single number: it has no axis of rows"),
            NoValues { shape } => format!("`{name}` has shape {shape:?}, which holds no values"),
            UnequalRows { rows, other, other_rows } => {
                format!("`{name}` has {}, but `{other}` has {other_rows}", counted(*rows, "row"))
            }
            NotIntegers { value, .. } => {
                format!("`{name}` is used as an index, but its values are floats, such as {value}")
            }
            OutOfRange { value, size, .. } => {
                format!("{value} in column `{name}` is no index of an axis of size {size}")
            }
            SharesOverAll { total } => format!("the parts of the split add up to {total}%, more than 100%"),
            ShareNotPositive { part, percent } => format!("part `{part}` has a share of {percent}%"),
            DuplicatePart { part } => format!("the split names part `{part}` twice"),
            EmptyPart { part, percent, rows } => {
                format!("part `{part}` would be empty: {percent}% of {}", counted(*rows, "row"))
            }
            Unwritable { reason } => format!("the file cannot be written: {reason}"),
        }
    }

    pub fn help(&self) -> Option<String> {
        use Problem::*;
        let name = self.place.name.as_deref().unwrap_or("?");
        Some(match &*self.problem {
            Unreadable { similar: Some(similar), .. } => format!("did you mean `{similar}`?"),
            Unreadable { similar: None, .. } => "paths are relative to the `.dl` file".into(),
            NotAFile => "name a file, not a directory or a device".into(),
            TooLarge { .. } => "use a part of the file, or read it block by block: `stream: true` (CSV and NPY)".into(),
            NotUtf8 { .. } => "save the file as UTF-8".into(),
            Empty | NoRows => "the first line names the columns, each further line is one row".into(),
            NoCompleteRows => "fill in the values, or drop the column that lacks them: `drop: COLUMN`".into(),
            NoHeader { first } => format!(
                "add a first line that names the columns, or say `header: false`; the line now there starts with `{first}`"
            ),
            NamelessColumn { .. } => "give every column a name; a column of row numbers is better removed".into(),
            DuplicateColumn { .. } => "rename one of the columns".into(),
            UnknownColumn { separator: Some(separator), .. } => separated(*separator),
            UnknownColumn { similar: Some(similar), .. } => format!("did you mean `{similar}`?"),
            UnknownColumn { known, .. } => format!("its columns are {}", listed(known)),
            ReservedTarget => "rename the column in the file".into(),
            NoInputs { .. } => "add columns to the file, or name other targets".into(),
            NotAnInput => "add it to `inputs`".into(),
            WhichColumn { .. } => "call one of them `x`, or store the arrays with their names as `.npz`".into(),
            NotACategory { .. } => "categories are integers or texts; leave the column out of `one_hot`".into(),
            UnknownCategory { known, .. } => format!("its values were {}", listed(known)),
            NotAnInteger { .. } => "write the value as an integer".into(),
            OtherShape { .. } => "prepare the file as the training data was prepared".into(),
            NotClasses => "name a column of integers or of texts, such as the target of a classifier".into(),
            NumbersThings => "name the columns that measure something: `standardize D.x by D.train`".into(),
            NoTargets => {
                "say `target: y` where the data is declared, or name a column: `standardize D.x by D.train`".into()
            }
            Ragged { .. } => "every row must have one cell for each name of the header".into(),
            Missing { .. } => "fill in the value, or leave out such rows with `missing: drop`".into(),
            NotANumber { separator: Some(separator), .. } => separated(*separator),
            NotANumber { target: true, .. } => {
                format!(
                    "the first cell of `{name}` is a number, so all must be; texts are classes if the first cell is one"
                )
            }
            NotANumber { .. } => {
                format!("if its texts are categories, say `one_hot: {name}`; if not, `drop: {name}`")
            }
            NotFinite { .. } => "replace the value or remove the row".into(),
            TooLargeForFloat { .. } => "rescale the column, or run with `--dtype f64`".into(),
            IntegerTooLarge { .. } => "store the column as floats".into(),
            Changed => "leave the file alone until training is done".into(),
            FortranStream => "store it in C order, `numpy.save(file, numpy.ascontiguousarray(x))`".into(),
            NotInMemory => "leave out `stratified by`, or `stream: true`".into(),
            Malformed { .. } => "write the file again; it may be cut short or be of another kind".into(),
            UnsupportedType { .. } => "store floats of 16, 32 or 64 bits, integers or booleans".into(),
            Scalar => "the first axis of every tensor of a data set counts its rows".into(),
            NoValues { .. } => "a data set needs at least one row and one value a row".into(),
            UnequalRows { .. } => "the first axis of every column counts the rows; they must agree".into(),
            NotIntegers { .. } => {
                "an index is a column whose values are all integers, stored or written as such".into()
            }
            OutOfRange { size, .. } => format!("indices run from 0 to {}", size.saturating_sub(1)),
            SharesOverAll { .. } => "lower one of the shares".into(),
            ShareNotPositive { .. } => "a share is more than 0%".into(),
            DuplicatePart { .. } => "rename one of the parts".into(),
            EmptyPart { .. } => "give the part a larger share, or the data more rows".into(),
            Unwritable { .. } => return None,
        })
    }

    /// What is known of the place: the file, its line and column, or the row of a file without lines.
    pub fn note(&self) -> Option<String> {
        self.place.file.as_ref()?;
        let row = match &*self.problem {
            Problem::NotIntegers { row, .. } | Problem::OutOfRange { row, .. } if self.place.line.is_none() => {
                format!(", row {row} (the first is 0)")
            }
            _ => String::new(),
        };
        Some(format!("in {}{row}", self.place))
    }

    /// The diagnostic for a declaration at `span`.
    pub fn at(&self, span: Span) -> Diagnostic {
        let label = match &*self.problem {
            Problem::NotIntegers { .. } | Problem::OutOfRange { .. } => "the column is used as an index here",
            Problem::SharesOverAll { .. }
            | Problem::ShareNotPositive { .. }
            | Problem::DuplicatePart { .. }
            | Problem::EmptyPart { .. }
            | Problem::NotClasses => "the rows are divided here",
            Problem::NumbersThings | Problem::NoTargets | Problem::NotInMemory => "asked for here",
            _ => "the data is declared here",
        };
        let mut diagnostic = Diagnostic::new(self.code(), self.message()).at(span, label);
        diagnostic.notes.extend(self.note());
        diagnostic.help = self.help();
        diagnostic
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.file.is_some() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message())
    }
}

impl std::error::Error for DataError {}

/// Text of a data file made fit to be shown: control characters escaped, at most 32 characters.
pub fn shorten(text: &str) -> String {
    const MOST: usize = 32;
    let mut shown = String::new();
    for letter in text.chars().take(MOST) {
        if letter.is_control() {
            shown.extend(letter.escape_debug());
        } else {
            shown.push(letter);
        }
    }
    if text.chars().nth(MOST).is_some() { shown + "…" } else { shown }
}

fn separated(separator: char) -> String {
    let name = match separator {
        '\t' => "tabs".to_string(),
        other => format!("`{other}`"),
    };
    let written = if separator == '\t' { "\\t".to_string() } else { separator.to_string() };
    format!("the cells seem to be separated by {name}; say `separator: \"{written}\"`")
}

fn counted(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// The first few names, quoted.
fn listed(names: &[String]) -> String {
    const MOST: usize = 8;
    let mut shown: Vec<String> = names.iter().take(MOST).map(|name| format!("`{}`", shorten(name))).collect();
    if names.len() > MOST {
        shown.push(format!("… ({} in all)", names.len()));
    }
    shown.join(", ")
}

fn size(bytes: u64) -> String {
    const MEGABYTE: f64 = 1e6;
    let megabytes = bytes as f64 / MEGABYTE;
    if megabytes >= 1000.0 { format!("{:.1} GB", megabytes / 1000.0) } else { format!("{megabytes:.1} MB") }
}
