//! The data of a run: the columns a program reads, and the rows of every part.

use super::build::{Batched, Sizes};
use super::run::RunError;
use crate::check::typed::{DataSet, Program, Rows, Train};
use crate::data::{self, DataError, Selected, Share, Table};
use crate::ir::DType;
use crate::runtime::{InputId, Machine};
use crate::source::{Diagnostic, Span, codes};
use std::collections::BTreeMap;

/// The part a data set without a split counts as.
pub const WHOLE: &str = "train";

/// One data set with its rows divided.
pub struct Dataset<'t> {
    pub name: String,
    table: &'t Table,
    /// Name and rows of every part, in the order of the split; one part if there is none.
    pub parts: Vec<(String, data::Rows)>,
    /// The rows of the whole, if these are not all.
    whole: Option<data::Rows>,
    /// What training sees of a part (or of the whole) in place of its rows.
    sample: Option<(Option<usize>, data::Rows)>,
}

impl<'t> Dataset<'t> {
    /// Divides a data set as its declaration says.
    pub fn new(declared: &DataSet, table: &'t Table) -> Result<Dataset<'t>, Diagnostic> {
        let parts = if declared.parts.is_empty() {
            vec![(WHOLE.to_owned(), table.all_rows())]
        } else {
            let shares: Vec<Share> =
                declared.parts.iter().map(|p| Share { name: p.name.clone(), percent: p.percent }).collect();
            let span = declared.parts.iter().map(|p| p.span).reduce(Span::to).unwrap_or(declared.span);
            let seed = declared.split_seed.unwrap_or(0);
            let (stratified, span) = match &declared.stratified {
                None => (None, span),
                Some((column, asked)) => (Some(column.as_str()), *asked),
            };
            let parts = table.split(&shares, stratified, seed).map_err(|e| e.at(span))?;
            shares.into_iter().map(|share| share.name).zip(parts).collect()
        };
        Ok(Dataset { name: declared.name.clone(), table, parts, whole: None, sample: None })
    }

    /// How many rows there are in all.
    pub fn size(&self) -> usize {
        self.table.rows()
    }

    /// All rows of a table, undivided.
    pub fn whole(name: &str, table: &'t Table) -> Dataset<'t> {
        let parts = vec![(WHOLE.to_owned(), table.all_rows())];
        Dataset { name: name.to_owned(), table, parts, whole: None, sample: None }
    }

    /// Every row.
    pub fn all(&self) -> data::Rows {
        self.whole.clone().unwrap_or_else(|| self.table.all_rows())
    }

    /// The rows that `rows` names: a part, or all.
    pub fn rows(&self, rows: Rows) -> data::Rows {
        match rows.part {
            Some(part) => self.parts[part].1.clone(),
            None => self.all(),
        }
    }

    /// The rows that training on `rows` sees.
    pub fn trained(&self, rows: Rows) -> data::Rows {
        match &self.sample {
            Some((part, sample)) if *part == rows.part => sample.clone(),
            _ => self.rows(rows),
        }
    }

    /// Lets training on `rows` see a sample of them.
    pub fn sample(&mut self, rows: Rows, sample: data::Rows) {
        self.sample = Some((rows.part, sample));
    }

    /// Leaves only these rows of what `rows` names.
    pub fn narrow(&mut self, rows: Rows, to: data::Rows) {
        match rows.part {
            Some(part) => self.parts[part].1 = to,
            None => {
                self.whole = Some(to.clone());
                if self.parts.len() == 1 {
                    self.parts[0].1 = to;
                }
            }
        }
    }

    /// The name of the part; that of the whole if there is no split.
    pub fn part_name(&self, rows: Rows) -> &str {
        rows.part.map_or(WHOLE, |part| &self.parts[part].0)
    }
}

/// The data set a program trains on.
pub fn training_set<'t>(
    program: &Program,
    rows: Rows,
    tables: &'t BTreeMap<String, Table>,
) -> Result<Dataset<'t>, Diagnostic> {
    let declared = program.data_set(rows.data);
    let table = tables.get(&declared.name).ok_or_else(|| {
        Diagnostic::new(codes::UNREADABLE_FILE, "this data was not read").at(declared.span, "declared here")
    })?;
    Dataset::new(declared, table)
}

/// The rows of the second data set of a phase, if it has one, in the order of its part, and how many a full batch has.
pub fn second_set<'t>(
    program: &Program,
    train: &Train,
    tables: &'t BTreeMap<String, Table>,
) -> Result<Option<(Dataset<'t>, data::Rows, u64)>, Diagnostic> {
    let Some(beside) = &train.beside else { return Ok(None) };
    let dataset = training_set(program, beside.rows, tables)?;
    let rows = dataset.rows(beside.rows);
    let size = beside.batch.unwrap_or(rows.len() as u64).clamp(1, rows.len().max(1) as u64);
    Ok(Some((dataset, rows, size)))
}

/// Fails if the rows of a data set cannot be divided as its declaration says.
pub fn divide(program: &Program, tables: &BTreeMap<String, Table>) -> Result<(), Diagnostic> {
    for declared in &program.data {
        if let Some(table) = tables.get(&declared.name) {
            Dataset::new(declared, table)?;
        }
    }
    Ok(())
}

/// The rows of a full batch of a phase.
pub fn training_batch(program: &Program, phase: usize, tables: &BTreeMap<String, Table>) -> Result<Sizes, Diagnostic> {
    let Some(train) = program.train.as_ref().and_then(|t| t.phases.get(phase)) else { return Ok(1.into()) };
    let rows = training_set(program, train.on, tables)?.rows(train.on).len() as u64;
    let beside = second_set(program, train, tables)?.map_or(1, |(.., size)| size);
    Ok(Sizes { rows: train.batch.unwrap_or(rows).clamp(1, rows.max(1)), beside })
}

/// Takes the statistics that `standardize` asks for; the columns are standardized from then on.
pub fn standardize(program: &Program, tables: &mut BTreeMap<String, Table>) -> Result<(), Diagnostic> {
    let mut all = Vec::new();
    for declared in &program.data {
        // A column that is named goes by what is asked of it, not of the whole.
        let (named, whole): (Vec<_>, Vec<_>) = declared.standardized.iter().partition(|asked| asked.column.is_some());
        for asked in named.into_iter().chain(whole) {
            let Some(table) = tables.get(&declared.name) else { continue };
            let columns = match &asked.column {
                Some(column) => vec![column.clone()],
                None => table.float_inputs().map_err(|e| e.at(asked.span))?,
            };
            let source = training_set(program, asked.by, tables)?;
            let rows = source.rows(asked.by);
            for column in columns {
                let width = table.measured(&column).map_err(|e| e.at(asked.span))?;
                let found = source.table.statistics(&column, width, &rows).map_err(|e| e.at(asked.span))?;
                all.push((declared.name.clone(), found));
            }
        }
    }
    for (name, standard) in all {
        if let Some(table) = tables.get_mut(&name) {
            table.standardize(standard);
        }
    }
    Ok(())
}

/// Copies rows of the columns a machine reads into its inputs.
pub struct Feed<'t> {
    table: &'t Table,
    columns: Vec<(InputId, DType, Selected)>,
}

impl<'t> Feed<'t> {
    /// For the columns of a phase that a machine reads: those of its first data set, or of the second.
    pub fn new(dataset: &Dataset<'t>, batched: &Batched, train: &Train, beside: bool) -> Result<Feed<'t>, DataError> {
        let mut columns = Vec::new();
        for column in train.columns.iter().filter(|c| c.beside == beside) {
            let Some(id) = batched.machine.input(&column.input) else { continue };
            columns.push((id, batched.machine.input_dtype(id), dataset.table.select(&column.name)?));
        }
        Ok(Feed { table: dataset.table, columns })
    }

    /// Fills the inputs with these rows.
    pub fn fill(&self, machine: &mut Machine, rows: &[usize]) -> Result<(), RunError> {
        for (id, dtype, column) in &self.columns {
            match dtype {
                DType::F32 => self.table.gather::<f32>(column, rows, machine.input_mut(*id)?)?,
                DType::F64 => self.table.gather::<f64>(column, rows, machine.input_mut(*id)?)?,
                DType::I64 => self.table.gather::<i64>(column, rows, machine.input_mut(*id)?)?,
                DType::I32 | DType::Bool => self.table.gather::<i32>(column, rows, machine.input_mut(*id)?)?,
            }
        }
        Ok(())
    }
}
