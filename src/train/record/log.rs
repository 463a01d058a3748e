//! The figures of a run, a row for each evaluation: `metrics.jsonl` as they are told by `--json`, `metrics.csv` for tables.
//!
//! Invariant: a row is written whole and in both files; a run that goes on from an earlier step begins with the rows up to
//! that step, as they were. Columns are only ever added, on the right. Where there are several runs, the first column, `fold`,
//! `member` or `trial`, tells them apart.

use super::folder::{Folder, unwritable};
use super::plan::write;
use super::standing::Reached;
use crate::source::Diagnostic;
use crate::train::division::Part;
use crate::train::event::Event;
use crate::train::metrics::{Measured, Metrics};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::Write;

/// The two files, open for further rows.
pub struct Log {
    folder: Folder,
    jsonl: File,
    csv: File,
    columns: Vec<String>,
    /// The time at which the last row was written, in seconds since the start of training.
    seconds: f64,
}

/// One evaluation.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Row {
    /// As one line of JSON, which has the steps since the start of the run as `steps`.
    pub json: String,
    /// Cells by column; numbers as they are written.
    pub cells: Vec<(String, String)>,
}

const STEPS: &str = "steps";
const TRIAL: &str = "trial";

/// The columns that tell several runs apart which one process keeps.
const PARTS: [&str; 2] = ["fold", "member"];

impl Log {
    /// Empty files.
    pub fn create(folder: &Folder) -> Result<Log, Diagnostic> {
        Log::write(folder, "", "", Vec::new(), 0.0)
    }

    /// The files with the rows of up to so many steps.
    pub fn resume(folder: &Folder, reached: &Reached) -> Result<Log, Diagnostic> {
        let Rows { columns, csv, jsonl } = Rows::read(folder);
        let within = |part: Option<u64>, steps: Option<u64>| match (reached.get(&part), steps) {
            (Some(reached), Some(steps)) => steps <= *reached,
            _ => false,
        };
        let (mut lines, mut seconds) = (String::new(), 0.0_f64);
        for (line, value) in jsonl {
            let part = PARTS.iter().find_map(|column| value[column].as_u64());
            if within(part, value[STEPS].as_u64()) {
                lines += &line;
                lines.push('\n');
                seconds = seconds.max(value["seconds"].as_f64().unwrap_or(0.0));
            }
        }
        let at = |wanted: &str| columns.iter().position(|column| column == wanted);
        let (steps_at, part_at) = (at(STEPS), PARTS.iter().find_map(|column| at(column)));
        let mut table = String::new();
        for (line, cells) in csv {
            let number = |at: Option<usize>| at.and_then(|at| cells.get(at)?.parse::<u64>().ok());
            if within(number(part_at), number(steps_at)) {
                table += &line;
                table.push('\n');
            }
        }
        Log::write(folder, &lines, &table, columns, seconds)
    }

    fn write(folder: &Folder, jsonl: &str, csv: &str, columns: Vec<String>, seconds: f64) -> Result<Log, Diagnostic> {
        let open = |extension: &str, text: String| -> Result<File, Diagnostic> {
            let path = folder.metrics(extension);
            write(&path, &text)?;
            OpenOptions::new().append(true).open(&path).map_err(|e| unwritable(&path, &e))
        };
        let jsonl = open("jsonl", jsonl.to_owned())?;
        let header = if columns.is_empty() { String::new() } else { line(&columns) };
        let csv = open("csv", header + csv)?;
        Ok(Log { folder: folder.clone(), jsonl, csv, columns, seconds })
    }

    /// The time at which the last of the rows that were there was written.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Appends a row.
    pub fn add(&mut self, row: &Row) -> Result<(), Diagnostic> {
        let new: Vec<String> = row.cells.iter().map(|c| c.0.clone()).filter(|c| !self.columns.contains(c)).collect();
        if !new.is_empty() {
            self.widen(new)?;
        }
        let cell = |column: &String| row.cells.iter().find(|c| c.0 == *column).map_or("", |c| &c.1);
        let text = line(&self.columns.iter().map(cell).collect::<Vec<_>>());
        self.csv.write_all(text.as_bytes()).map_err(|e| unwritable(&self.folder.metrics("csv"), &e))?;
        let text = format!("{}\n", row.json);
        self.jsonl.write_all(text.as_bytes()).map_err(|e| unwritable(&self.folder.metrics("jsonl"), &e))
    }

    /// Returns once the rows outlast a loss of power.
    pub fn sync(&self) -> Result<(), Diagnostic> {
        for (file, extension) in [(&self.jsonl, "jsonl"), (&self.csv, "csv")] {
            file.sync_data().map_err(|e| unwritable(&self.folder.metrics(extension), &e))?;
        }
        Ok(())
    }

    /// Adds columns; the rows so far have empty cells there.
    fn widen(&mut self, new: Vec<String>) -> Result<(), Diagnostic> {
        let path = self.folder.metrics("csv");
        let text = std::fs::read_to_string(&path).map_err(|e| unwritable(&path, &e))?;
        let padding = ",".repeat(new.len());
        self.columns.extend(new);
        let mut wider = line(&self.columns);
        for row in text.lines().skip(1) {
            wider += &format!("{row}{padding}\n");
        }
        write(&path, &wider)?;
        self.csv = OpenOptions::new().append(true).open(&path).map_err(|e| unwritable(&path, &e))?;
        Ok(())
    }
}

impl Row {
    /// The row of the end of an epoch or of an evaluation, after so many steps since the start of the run or of one of several;
    /// `None` of any other event.
    pub fn of(event: &Event, steps: u64, part: Option<Part>) -> Option<Row> {
        let (phase, epoch, seconds, parts): (_, _, _, Vec<(&str, &Metrics)>) = match event {
            Event::Epoch { phase, epoch, seconds, train, valid, .. } => {
                let valid = valid.as_ref().map(|metrics| ("valid", metrics));
                (phase, epoch, seconds, std::iter::once(("train", train)).chain(valid).collect())
            }
            Event::Evaluation { phase, epoch, seconds, metrics, .. } => {
                (phase, epoch, seconds, metrics.0.iter().map(|(part, metrics)| (part.as_str(), metrics)).collect())
            }
            _ => return None,
        };
        let mut object = json!({ "epoch": epoch, STEPS: steps, "seconds": seconds });
        let mut cells = Vec::new();
        if let Some(part) = part {
            let (kind, number) = (part.kind().name(), part.number + 1);
            object[kind] = json!(number);
            cells.push((kind.to_owned(), number.to_string()));
        }
        if let Some(phase) = phase {
            object["phase"] = json!(phase);
            cells.push(("phase".to_owned(), phase.clone()));
        }
        cells.push(("epoch".to_owned(), epoch.to_string()));
        cells.push((STEPS.to_owned(), steps.to_string()));
        cells.push(("seconds".to_owned(), cell(*seconds)));
        for (part, metrics) in parts {
            object[part] = json!(metrics);
            // A table has no cell; the lines of JSON have it.
            cells.extend(metrics.0.iter().filter_map(|(name, value)| match value {
                Measured::Number(value) => Some((format!("{part}.{name}"), cell(*value))),
                Measured::Table { .. } => None,
            }));
        }
        Some(Row { json: object.to_string(), cells })
    }

    /// The rows of a run of a search, with its number.
    pub fn of_trial(folder: &Folder, number: u64) -> Vec<Row> {
        let Rows { columns, csv, jsonl } = Rows::read(folder);
        let rows = csv.into_iter().zip(jsonl).map(|((_, cells), (_, mut value))| {
            value[TRIAL] = json!(number);
            let numbered = (TRIAL.to_owned(), number.to_string());
            let cells = std::iter::once(numbered).chain(columns.iter().cloned().zip(cells)).collect();
            Row { json: value.to_string(), cells }
        });
        rows.collect()
    }
}

/// The rows that are in a folder, with their texts; lines that are cut or do not parse were never finished.
struct Rows {
    columns: Vec<String>,
    csv: Vec<(String, Vec<String>)>,
    jsonl: Vec<(String, serde_json::Value)>,
}

impl Rows {
    fn read(folder: &Folder) -> Rows {
        let whole = |extension: &str| -> Vec<String> {
            let text = std::fs::read_to_string(folder.metrics(extension)).unwrap_or_default();
            text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
        };
        let parsed = whole("jsonl").into_iter().filter_map(|line| Some((serde_json::from_str(&line).ok()?, line)));
        let jsonl = parsed.map(|(value, line)| (line, value)).collect();
        let mut lines = whole("csv").into_iter();
        let columns = lines.next().map_or(Vec::new(), |header| cells(&header));
        let split = lines.map(|line| {
            let cells = cells(&line);
            (line, cells)
        });
        let csv = split.filter(|(_, cells)| cells.len() == columns.len()).collect();
        Rows { columns, csv, jsonl }
    }
}

/// A number in a cell.
pub fn cell(value: f64) -> String {
    if value.is_finite() { format!("{value:?}") } else { "nan".to_owned() }
}

pub(super) fn line<T: AsRef<str>>(cells: &[T]) -> String {
    let quoted = |cell: &T| match cell.as_ref() {
        text if text.contains([',', '"', '\n']) => format!("\"{}\"", text.replace('"', "\"\"")),
        text => text.to_owned(),
    };
    cells.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

/// The cells of a line.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                cell.push('"');
                letters.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            other => cell.push(other),
        }
    }
    cells.push(cell);
    cells
}

#[cfg(test)]
mod tests {
    use super::super::folder::Naming;
    use super::*;

    fn row(steps: u64, cells: &[(&str, f64)]) -> Row {
        let mut all = vec![(STEPS.to_owned(), steps.to_string())];
        all.extend(cells.iter().map(|(name, value)| (name.to_string(), cell(*value))));
        Row { json: format!(r#"{{"steps":{steps}}}"#), cells: all }
    }

    fn folder() -> (tempfile::TempDir, Folder) {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::create(home.path(), &Naming::New("run".into())).unwrap();
        (home, folder)
    }

    fn texts(folder: &Folder) -> [String; 2] {
        ["csv", "jsonl"].map(|extension| std::fs::read_to_string(folder.metrics(extension)).unwrap())
    }

    #[test]
    fn rows_stand_in_both_files_and_columns_are_added() {
        let (_home, folder) = folder();
        let mut log = Log::create(&folder).unwrap();
        log.add(&row(10, &[("train.loss", 0.5)])).unwrap();
        log.add(&row(20, &[("train.loss", f64::NAN), ("mean(x, y)", 1e-9)])).unwrap();
        let expected = "steps,train.loss,\"mean(x, y)\"\n10,0.5,\n20,nan,1e-9\n";
        assert_eq!(texts(&folder), [expected, "{\"steps\":10}\n{\"steps\":20}\n"]);
        log.sync().unwrap();
    }

    #[test]
    fn a_run_goes_on_with_the_rows_it_had() {
        let (_home, folder) = folder();
        let mut log = Log::create(&folder).unwrap();
        for steps in 1..=5 {
            log.add(&row(steps, &[("a, b", steps as f64)])).unwrap();
        }
        let before = texts(&folder);
        for extension in ["csv", "jsonl"] {
            let path = folder.metrics(extension);
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, &text[..text.len() - 2]).unwrap();
        }
        let mut log = Log::resume(&folder, &Reached::from([(None, 3)])).unwrap();
        for steps in 4..=5 {
            log.add(&row(steps, &[("a, b", steps as f64)])).unwrap();
        }
        assert_eq!(texts(&folder), before);
        Log::resume(&folder, &Reached::from([(None, 0)])).unwrap();
        assert_eq!(texts(&folder), ["steps,\"a, b\"\n", ""]);
    }

    #[test]
    fn each_of_several_runs_goes_on_from_where_it_stood() {
        let (_home, folder) = folder();
        let mut log = Log::create(&folder).unwrap();
        for (member, steps) in [(1, 4), (1, 8), (2, 4), (2, 8), (3, 4)] {
            let cells = vec![("member".to_owned(), format!("{member}")), (STEPS.to_owned(), format!("{steps}"))];
            log.add(&Row { json: format!(r#"{{"member":{member},"steps":{steps}}}"#), cells }).unwrap();
        }
        Log::resume(&folder, &Reached::from([(Some(1), 8), (Some(2), 5)])).unwrap();
        assert_eq!(texts(&folder)[0], "member,steps\n1,4\n1,8\n2,4\n");
        assert_eq!(texts(&folder)[1].lines().count(), 3);
        let rows = Row::of_trial(&folder, 7);
        assert_eq!(rows[2].cells.iter().map(|c| &*c.1).collect::<Vec<_>>(), ["7", "2", "4"]);
        assert_eq!(rows[2].json, r#"{"member":2,"steps":4,"trial":7}"#);
    }
}
