//! Separated text to a [`Table`].
//!
//! The first line names the columns. The inputs, all columns but the targets and those dropped, form the matrix `x`
//! `[rows, features]`, in the order of the file or as declared; each can also be had by its name. Each target is a column
//! of its own; one whose first cell is no number holds classes, numbered in the order of their names. A column whose cells
//! are all integer literals that the run's types hold is integer-valued; `x` is of floats. Quoted cells, CRLF, a byte order
//! mark and blank lines are accepted.

mod cells;
mod layout;
mod learning;
mod records;

use std::path::Path;

use super::encoding::{Encoding, Form};
use super::error::{DataError, Place, Problem};
use super::file;
use super::table::{FloatType, Table, unknown_column};
pub(super) use cells::{Block, Builder, Places, Real, both, settle};
pub use layout::{Field, Kind, Layout, Missing, Options};
pub(super) use learning::Learning;
pub(super) use records::{Quotes, Records, decode};

/// Reads a file.
pub fn read(path: &Path, options: &Options, float: FloatType) -> Result<Table, DataError> {
    parse(&file::read(path)?, path, options, float)
}

/// Reads text that is said to come from `path`.
pub fn parse(bytes: &[u8], path: &Path, options: &Options, float: FloatType) -> Result<Table, DataError> {
    let text = decode(bytes, path, 1)?;
    let (layout, body) = begin(text, path, options)?;
    let mut learning = Learning::new(layout);
    learning.targets(body.rest())?;
    let mut rows = None;
    if learning.needs_categories() {
        learning.categories(body.rest())?;
        rows = Some(learning.settle_categories());
    }
    let layout = learning.layout();
    let places = places(&layout);
    match float {
        FloatType::F32 => whole::<f32>(body, layout, &places, rows, true),
        FloatType::F64 => whole::<f64>(body, layout, &places, rows, true),
    }
}

/// Reads text of the columns that a layout was made for; targets may be absent.
pub(super) fn encoded(bytes: &[u8], path: &Path, layout: &Layout, float: FloatType) -> Result<Table, DataError> {
    let text = decode(bytes, path, 1)?;
    let mut records = Records::new(text, path, layout.separator, 1);
    let places = found_places(&mut records, layout)?;
    let body = if layout.header { records.rest() } else { Records::new(text, path, layout.separator, 1) };
    match float {
        FloatType::F32 => whole::<f32>(body, layout.clone(), &places, None, false),
        FloatType::F64 => whole::<f64>(body, layout.clone(), &places, None, false),
    }
}

/// Reads the header, if there is one. The records returned stand before the first row.
pub(super) fn begin<'a>(text: &'a str, path: &'a Path, options: &Options) -> Result<(Layout, Records<'a>), DataError> {
    let mut records = Records::new(text, path, options.separator, 1);
    let names = layout::names(&mut records, options.header)?;
    let layout = layout::resolve(&records, &names, options)?;
    let body = if options.header { records.rest() } else { Records::new(text, path, options.separator, 1) };
    Ok((layout, body))
}

/// Where a row has the inputs, then the targets, in the file the layout was made from.
pub(super) fn places(layout: &Layout) -> Places {
    let of = layout.inputs.iter().chain(&layout.targets).map(|field| Some(field.position)).collect();
    Places { of, cells: layout.cells }
}

/// Where a row of another file has them; a target that is not there has no place. Reads the header.
fn found_places(records: &mut Records, layout: &Layout) -> Result<Places, DataError> {
    let names = layout::names(records, layout.header)?;
    if !layout.header {
        let targets: Vec<usize> = layout.targets.iter().map(|target| target.position).collect();
        if names.len() + targets.len() == layout.cells {
            let before = |position: usize| targets.iter().filter(|&&target| target < position).count();
            let inputs = layout.inputs.iter().map(|input| Some(input.position - before(input.position)));
            let of = inputs.chain(targets.iter().map(|_| None)).collect();
            return Ok(Places { of, cells: names.len() });
        }
        if names.len() != layout.cells {
            let problem = Problem::Ragged { expected: layout.cells, found: names.len() };
            return Err(records.place(layout.cells.min(names.len())).fail(problem));
        }
        return Ok(places(layout));
    }
    let find = |field: &Field| names.iter().position(|name| *name == field.name);
    let mut of = Vec::new();
    for input in &layout.inputs {
        if find(input).is_none() {
            let place = Place::file(records.path()).line(records.line());
            let other = layout::other_separator(&names, layout.separator);
            return Err(unknown_column(place, &input.name, names, other));
        }
        of.push(find(input));
    }
    of.extend(layout.targets.iter().map(find));
    Ok(Places { of, cells: names.len() })
}

/// Reads the rows of a text. While `learning`, whether a column holds integers is found out, else it is known.
fn whole<T: Real>(
    mut body: Records,
    mut layout: Layout,
    places: &Places,
    known: Option<usize>,
    learning: bool,
) -> Result<Table, DataError> {
    let path = body.path();
    let mut rows = Builder::<T>::new(&layout, places, learning);
    let mut dropped = false;
    while body.next()? {
        if rows.count() == 0 {
            // Rows are of similar length; a cell takes at least two bytes, so this is in proportion to the file.
            let expected = known.unwrap_or(body.text_len() / body.bytes().max(1));
            file::room(path, expected.saturating_mul(layout.width()), size_of::<T>())?;
            let most = if known.is_some() { usize::MAX } else { body.text_len() / 2 };
            rows.reserve(expected, most);
        }
        dropped |= !rows.take(&body)?;
    }
    if rows.count() == 0 {
        let problem = if dropped { Problem::NoCompleteRows } else { Problem::NoRows };
        return Err(Place::file(path).fail(problem));
    }
    let (ranges, block) = rows.finish(path);
    if learning {
        settle(&mut layout, &ranges);
    }
    Ok(Table::in_memory(block.rows, block.columns, Encoding { form: Form::Csv(layout), standards: Vec::new() }))
}
