//! The data of a run: the columns a program reads, and the rows of every part.

use super::build::{Batched, Sizes};
use super::run::RunError;
use crate::check::typed::{DataSet, Program, Rows, Train};
use crate::codegen;
use crate::data::{self, DataError, Selected, Share, Table};
use crate::ir::DType;
use crate::runtime::{InputId, Lent, Machine, View};
use crate::source::{Diagnostic, Span, codes};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The part a data set without a split counts as.
pub const WHOLE: &str = "train";

/// One data set with its rows divided; or none, which is one row without columns: a step of it and an evaluation are each
/// one run of a machine.
pub struct Dataset<'t> {
    pub name: String,
    table: Option<&'t Table>,
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
        Ok(Dataset { name: declared.name.clone(), table: Some(table), parts, whole: None, sample: None })
    }

    /// No data.
    pub fn none() -> Dataset<'t> {
        let parts = vec![(Train::VALUE.to_owned(), vec![0].into())];
        Dataset { name: String::new(), table: None, parts, whole: None, sample: None }
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.table.is_none()
    }

    /// How many rows there are in all.
    pub fn size(&self) -> usize {
        self.table.map_or(1, Table::rows)
    }

    /// All rows of a table, undivided.
    pub fn whole(name: &str, table: &'t Table) -> Dataset<'t> {
        let parts = vec![(WHOLE.to_owned(), table.all_rows())];
        Dataset { name: name.to_owned(), table: Some(table), parts, whole: None, sample: None }
    }

    /// Every row.
    pub fn all(&self) -> data::Rows {
        match (&self.whole, self.table) {
            (Some(rows), _) => rows.clone(),
            (None, Some(table)) => table.all_rows(),
            (None, None) => self.parts[0].1.clone(),
        }
    }

    /// The rows that `rows` names: a part, or all; without data, the one that there is.
    pub fn rows(&self, rows: impl Into<Option<Rows>>) -> data::Rows {
        match rows.into().and_then(|rows| rows.part) {
            Some(part) => self.parts[part].1.clone(),
            None => self.all(),
        }
    }

    /// The rows that training on `rows` sees.
    pub fn trained(&self, rows: Option<Rows>) -> data::Rows {
        match &self.sample {
            Some((part, sample)) if rows.is_some_and(|rows| *part == rows.part) => sample.clone(),
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
    pub fn part_name(&self, rows: Option<Rows>) -> &str {
        match rows {
            Some(rows) => rows.part.map_or(WHOLE, |part| &self.parts[part].0),
            None => Train::VALUE,
        }
    }
}

/// The data set of these rows; none where a phase trains on none.
pub fn training_set<'t>(
    program: &Program,
    rows: impl Into<Option<Rows>>,
    tables: &'t BTreeMap<String, Table>,
) -> Result<Dataset<'t>, Diagnostic> {
    let Some(rows) = rows.into() else { return Ok(Dataset::none()) };
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
    let mut known = program.data.iter().filter_map(|declared| Some((declared, tables.get(&declared.name)?)));
    known.try_for_each(|(declared, table)| Dataset::new(declared, table).map(|_| ()))
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
                let Some(by) = source.table else { continue };
                let found = by.statistics(&column, width, &rows).map_err(|e| e.at(asked.span))?;
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

/// Copies rows of the columns a machine reads into its inputs, or lends them.
pub struct Feed<'t> {
    columns: Vec<Fed<'t>>,
    threads: usize,
}

/// A column that a machine reads.
struct Fed<'t> {
    table: &'t Table,
    column: Selected,
    id: InputId,
    dtype: DType,
}

/// Elements from which rows that lie one after the other are lent rather than copied: below, a copy takes less.
const LENT_FROM: usize = 512;
/// Elements from which copying is shared among threads: below, waking them costs more than they save.
const SHARED_FROM: usize = 1 << 16;

impl<'t> Feed<'t> {
    /// For the columns of a phase that a machine reads: those of its first data set, or of the second.
    pub fn new(dataset: &Dataset<'t>, batched: &Batched, train: &Train, beside: bool) -> Result<Feed<'t>, DataError> {
        let mut columns = Vec::new();
        for column in train.columns.iter().filter(|c| c.beside == beside) {
            let Some(table) = dataset.table else { continue };
            let Some(id) = batched.machine.input(&column.input) else { continue };
            let (dtype, column) = (batched.machine.input_dtype(id), table.select(&column.name)?);
            columns.push(Fed { table, column, id, dtype });
        }
        Ok(Feed { columns, threads: batched.threads })
    }

    /// Fills the inputs with these rows.
    pub fn fill(&self, machine: &mut Machine, rows: &[usize]) -> Result<(), RunError> {
        self.columns.iter().try_for_each(|column| self.copy(column, machine, rows))
    }

    /// As [`Feed::fill`], except that what need not be copied is added to `lent`.
    pub fn give(&self, machine: &mut Machine, rows: &[usize], lent: &mut Vec<Lent<'t>>) -> Result<(), RunError> {
        for fed in &self.columns {
            let large = rows.len() * fed.column.width() >= LENT_FROM;
            let fits = |view: &View| large && view.dtype() == fed.dtype;
            if let Some(from) = fed.table.lying(&fed.column, rows).filter(fits) {
                lent.push(Lent { input: fed.id, from, scattered: false });
                continue;
            }
            let whole = fed.table.whole(&fed.column).filter(fits);
            match whole.filter(|_| machine.takes_rows(fed.id) && u32::try_from(fed.table.rows()).is_ok()) {
                Some(from) => {
                    machine.set_rows(fed.id, rows);
                    lent.push(Lent { input: fed.id, from, scattered: true });
                }
                None => self.copy(fed, machine, rows)?,
            }
        }
        Ok(())
    }

    fn copy(&self, fed: &Fed, machine: &mut Machine, rows: &[usize]) -> Result<(), RunError> {
        match fed.dtype {
            DType::F32 => self.gather::<f32>(fed, rows, machine.input_mut(fed.id)?)?,
            DType::F64 => self.gather::<f64>(fed, rows, machine.input_mut(fed.id)?)?,
            DType::I64 => self.gather::<i64>(fed, rows, machine.input_mut(fed.id)?)?,
            DType::I32 | DType::Bool => self.gather::<i32>(fed, rows, machine.input_mut(fed.id)?)?,
        }
        Ok(())
    }

    /// Copies rows, on several threads if they are long.
    fn gather<T: data::Element + Send>(
        &self,
        Fed { table, column, .. }: &Fed,
        rows: &[usize],
        out: &mut [T],
    ) -> Result<(), DataError> {
        let (width, threads) = (column.width(), self.threads);
        if threads < 2 || rows.len() < threads || rows.len() * width < SHARED_FROM || !table.is_in_memory() {
            return table.gather(column, rows, out);
        }
        let share = rows.len().div_ceil(threads);
        let parts = rows.chunks(share).zip(out.chunks_mut(share * width));
        let parts: Vec<Mutex<(&[usize], &mut [T])>> = parts.map(Mutex::new).collect();
        let failed = Mutex::new(None);
        codegen::on_team(threads, parts.len(), &|part| {
            let Ok(mut part) = parts[part].lock() else { return };
            let (rows, out) = &mut *part;
            if let (Err(error), Ok(mut failed)) = (table.gather(column, rows, out), failed.lock()) {
                *failed = Some(error);
            }
        });
        failed.into_inner().ok().flatten().map_or(Ok(()), Err)
    }
}
