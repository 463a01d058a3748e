//! `.npy` files read some rows at a time.

use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::super::element::Elements;
use super::super::encoding::{ArrayForm, Encoding, Form};
use super::super::error::{DataError, Place, Problem};
use super::super::npy::{Head, head};
use super::super::table::{Array, Column, FloatType, Table};
use super::super::{arrays, file};
use super::{BLOCK, changed, read_at};

#[derive(Debug)]
pub(super) struct Blocks {
    columns: Vec<Stored>,
    float: FloatType,
    encoding: Encoding,
}

/// A column and the file it is in.
#[derive(Debug)]
struct Stored {
    name: String,
    path: PathBuf,
    file: File,
    head: Head,
    /// Elements of a row.
    width: usize,
}

impl Stored {
    fn open(name: &str, path: &Path) -> Result<Stored, DataError> {
        let (file, length) = file::open_any(path)?;
        let head = head(&mut BufReader::new(&file), length, path)?;
        let place = || Place::file(path).name(name);
        let Some((_, shape)) = head.header.shape.split_first() else {
            return Err(place().fail(Problem::Scalar));
        };
        if head.count == 0 {
            return Err(place().fail(Problem::NoValues { shape: head.header.shape.clone() }));
        }
        // Of one axis, both orders are the same.
        if head.header.fortran_order && !shape.is_empty() {
            return Err(place().fail(Problem::FortranStream));
        }
        let width = shape.iter().product();
        Ok(Stored { name: name.to_string(), path: path.to_path_buf(), file, head, width })
    }

    fn rows(&self) -> usize {
        self.head.header.shape[0]
    }

    /// Bytes of a row.
    fn row_bytes(&self) -> usize {
        self.width * self.head.element.size()
    }

    fn read(&self, rows: &Range<usize>, float: FloatType) -> Result<Column, DataError> {
        let at = self.head.start + (rows.start as u64) * self.row_bytes() as u64;
        let bytes = read_at(&self.file, &self.path, at, rows.len() * self.row_bytes())?;
        let (element, order) = (self.head.element, self.head.order);
        let count = rows.len() * self.width;
        let elements = Elements { reader: &mut bytes.as_slice(), element, order, count, whole: false };
        let place = || Place::file(&self.path).name(&self.name);
        let values = elements.decode(None).map_err(|failure| failure.told(place(), |_| changed(&self.path)))?;
        let mut shape = self.head.header.shape.clone();
        shape[0] = rows.len();
        Column::of_rows(&self.name, Array { shape, values }, float, &self.path, rows.start)
    }
}

/// Opens the files and reads them once. Gives also the first row of every block, and last the number of rows.
pub(super) fn open(
    files: &[(String, PathBuf)],
    targets: &[String],
    float: FloatType,
) -> Result<(Blocks, Vec<usize>, Encoding), DataError> {
    let columns: Vec<Stored> =
        files.iter().map(|(name, path)| Stored::open(name, path)).collect::<Result<_, DataError>>()?;
    let rows = columns[0].rows();
    for column in &columns {
        if column.rows() != rows {
            let other = columns[0].name.clone();
            let problem = Problem::UnequalRows { rows: column.rows(), other, other_rows: rows };
            return Err(Place::file(&column.path).name(&column.name).fail(problem));
        }
    }
    let row_bytes: usize = columns.iter().map(Stored::row_bytes).sum();
    let each = (BLOCK / row_bytes.max(1)).max(1);
    let mut starts: Vec<usize> = (0..rows).step_by(each).collect();
    starts.push(rows);
    let mut forms: Vec<ArrayForm> = Vec::new();
    for column in &columns {
        let mut range: Option<(i64, i64)> = None;
        let mut integers = true;
        for block in starts.windows(2) {
            match column.read(&(block[0]..block[1]), float)?.values.range() {
                Some((least, greatest)) => {
                    let (a, b) = range.unwrap_or((least, greatest));
                    range = Some((a.min(least), b.max(greatest)));
                }
                None => integers = false,
            }
        }
        forms.push(ArrayForm {
            name: column.name.clone(),
            shape: column.head.header.shape[1..].to_vec(),
            range: range.filter(|_| integers),
            target: targets.contains(&column.name),
        });
    }
    arrays::check_targets(columns.iter().map(|column| column.name.as_str()), targets, &columns[0].path)?;
    let encoding = Encoding { form: Form::Arrays(forms), standards: Vec::new() };
    Ok((Blocks { columns, float, encoding: encoding.clone() }, starts, encoding))
}

impl Blocks {
    pub(super) fn path(&self) -> &Path {
        &self.columns[0].path
    }

    pub(super) fn read(&self, rows: Range<usize>) -> Result<Table, DataError> {
        let columns = self.columns.iter().map(|column| column.read(&rows, self.float));
        Ok(Table::in_memory(rows.len(), columns.collect::<Result<_, DataError>>()?, self.encoding.clone()))
    }
}
