//! Files of arrays, whose first axis counts the rows: several as one data set, and further files of the same columns.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::encoding::{ArrayForm, Encoding, Form};
use super::error::{DataError, Place, Problem};
use super::table::{Column, FloatType, Table, unknown_column};
use super::{file, idx, npy, npz, safetensors};

/// Which arrays of a file make columns.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Choice {
    /// The column and the name of its array in the file; by default every array under its own name.
    pub columns: Option<Vec<(String, String)>>,
    /// Columns that are predicted.
    pub targets: Vec<String>,
}

impl Choice {
    fn wants(&self, array: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.iter().any(|(_, name)| name == array))
    }

    /// Takes arrays for the columns chosen.
    fn take(
        &self,
        arrays: Vec<(String, super::Array)>,
        path: &Path,
        float: FloatType,
    ) -> Result<Vec<Column>, DataError> {
        let Some(chosen) = &self.columns else {
            return arrays.into_iter().map(|(name, array)| Column::new(&name, array, float, path)).collect();
        };
        let mut arrays: Vec<(String, Option<super::Array>)> =
            arrays.into_iter().map(|(name, array)| (name, Some(array))).collect();
        let mut columns = Vec::new();
        for (index, (column, wanted)) in chosen.iter().enumerate() {
            let again = chosen[index + 1..].iter().any(|(_, name)| name == wanted);
            let found = arrays.iter_mut().find(|(name, _)| name == wanted);
            let array = found.and_then(|(_, array)| if again { array.clone() } else { array.take() });
            let Some(array) = array else {
                let known = arrays.into_iter().map(|(name, _)| name).collect();
                return Err(unknown_column(Place::file(path), wanted, known, None));
            };
            columns.push(Column::new(column, array, float, path)?);
        }
        Ok(columns)
    }
}

/// The arrays of an `.npz` archive.
pub(super) fn npz(path: &Path, choice: &Choice, float: FloatType) -> Result<Table, DataError> {
    // Floats keep their type until `Column::new` has told overflow from infinity.
    let arrays = npz::read(path, None, |name: &str| choice.wants(name))?;
    Table::of(choice.take(arrays, path, float)?, &choice.targets)
}

/// The tensors of a safetensors file.
pub(super) fn tensors(path: &Path, choice: &Choice, float: FloatType) -> Result<Table, DataError> {
    let arrays = safetensors::read_some(path, None, &|name: &str| choice.wants(name))?.tensors;
    Table::of(choice.take(arrays, path, float)?, &choice.targets)
}

/// One `.npy` file a column.
pub(super) fn npy(files: &[(String, PathBuf)], targets: &[String], float: FloatType) -> Result<Table, DataError> {
    let column = |(name, path): &(String, PathBuf)| Column::new(name, npy::read(path, None)?, float, path);
    Table::of(files.iter().map(column).collect::<Result<_, _>>()?, targets)
}

/// One IDX file a column.
pub(super) fn idx(files: &[(String, PathBuf)], targets: &[String], float: FloatType) -> Result<Table, DataError> {
    let column = |(name, path): &(String, PathBuf)| Column::new(name, idx::read(path)?, float, path);
    Table::of(files.iter().map(column).collect::<Result<_, _>>()?, targets)
}

impl Table {
    /// A data set of columns, some of which are targets.
    pub fn of(columns: Vec<Column>, targets: &[String]) -> Result<Table, DataError> {
        let file = columns.first().map_or(Path::new(""), |column| &column.origin.file);
        check_targets(columns.iter().map(|column| column.name.as_str()), targets, file)?;
        let form = |column: &Column| ArrayForm {
            name: column.name.clone(),
            shape: column.shape.clone(),
            range: column.values.range(),
            target: targets.contains(&column.name),
        };
        let forms = columns.iter().map(form).collect();
        Table::new(columns, Encoding { form: Form::Arrays(forms), standards: Vec::new() })
    }
}

/// Checks that targets are columns.
pub(super) fn check_targets<'a>(
    columns: impl Iterator<Item = &'a str> + Clone,
    targets: &[String],
    file: &Path,
) -> Result<(), DataError> {
    match targets.iter().find(|target| !columns.clone().any(|column| column == **target)) {
        None => Ok(()),
        Some(unknown) => Err(unknown_column(Place::file(file), unknown, columns.map(str::to_string).collect(), None)),
    }
}

/// Reads a further file of the same columns, of any of the formats; any column may be absent but not all. A file of one
/// array is the only column that is no target, or `x`.
pub(super) fn encoded(path: &Path, forms: &[ArrayForm], float: FloatType) -> Result<Table, DataError> {
    let mut start = [0; 4];
    let (mut opened, _) = file::open(path)?;
    let length = opened.read(&mut start).map_err(|error| file::failed(path, &error))?;
    let known = |name: &str| forms.iter().any(|form| form.name == name);
    let arrays = match start[..length] {
        [b'P', b'K', ..] => npz::read(path, None, known)?,
        [0x93, b'N', ..] => vec![(only(path, forms)?, npy::read(path, None)?)],
        [0x1f, 0x8b, ..] | [0, 0, ..] => vec![(only(path, forms)?, idx::read(path)?)],
        _ => safetensors::read_some(path, None, &known)?.tensors,
    };
    let columns: Vec<Column> =
        arrays.into_iter().map(|(name, array)| Column::new(&name, array, float, path)).collect::<Result<_, _>>()?;
    for column in &columns {
        let Some(form) = forms.iter().find(|form| form.name == column.name) else { continue };
        let place = || Place::file(path).name(&column.name);
        if column.shape != form.shape {
            let problem = Problem::OtherShape { shape: column.shape.clone(), expected: form.shape.clone() };
            return Err(place().fail(problem));
        }
        if form.range.is_some() && column.values.range().is_none() {
            return Err(column.floats_as_index());
        }
    }
    if columns.is_empty() {
        let known = forms.iter().map(|form| form.name.clone()).collect();
        return Err(unknown_column(Place::file(path), &forms[0].name, known, None));
    }
    Table::new(columns, Encoding { form: Form::Arrays(forms.to_vec()), standards: Vec::new() })
}

/// The column that a file of one array holds.
fn only(path: &Path, forms: &[ArrayForm]) -> Result<String, DataError> {
    let inputs: Vec<&ArrayForm> = forms.iter().filter(|form| !form.target).collect();
    let found = match inputs.as_slice() {
        [one] => Some(*one),
        several => several.iter().copied().find(|form| form.name == super::MATRIX),
    };
    found.map(|form| form.name.clone()).ok_or_else(|| {
        Place::file(path).fail(Problem::WhichColumn { known: inputs.iter().map(|form| form.name.clone()).collect() })
    })
}
