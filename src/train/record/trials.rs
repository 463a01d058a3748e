//! Keeping a search: a folder with one run for each setting, a table of them, and the best.
//!
//! Input: the settings one by one with what they have come to. Output: `trials.csv`, the figures of all runs with a column `trial`,
//! `best.safetensors` and `summary.json`. Invariant: what stands beside the runs follows from them, so it is made anew when the search
//! goes on.

use super::config::Identity;
use super::folder::{Folder, Naming, trial_name};
use super::keeper::keep_init;
use super::log::{Log, Row, cell, line};
use super::plan::{Plan, write};
use crate::data;
use crate::ir::Tensor;
use crate::source::{Diagnostic, codes};
use crate::train::checkpoint;
use crate::train::event::Named;
use crate::train::metrics::{Measured, Metrics};
use serde_json::{Value, json};
use std::fs::File;

/// A search that is kept.
pub struct Trials {
    folder: Folder,
    rows: Vec<Vec<(String, String)>>,
    log: Log,
    /// As long as this process keeps the search, no other does.
    _lock: File,
}

/// What a run of a search has come to.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    Measured(Named<Metrics>),
    /// Training ended in a number that is not finite.
    Diverged,
}

/// One setting that has been tried.
#[derive(Clone, PartialEq, Debug)]
pub struct Trial<'t> {
    /// From 1.
    pub number: u64,
    pub of: u64,
    pub setting: &'t [(String, f64)],
    pub outcome: &'t Outcome,
}

impl Trials {
    /// Makes the folder of a new search, whose runs start from given tensors.
    pub fn create(plan: &Plan, init: &[(String, Tensor)]) -> Result<Trials, Diagnostic> {
        let (folder, identity) = plan.begin()?;
        let lock = folder.lock()?;
        keep_init(&folder, &identity, init)?;
        Trials::open(folder, lock)
    }

    /// Goes on with a search.
    pub fn resume(folder: Folder) -> Result<Trials, Diagnostic> {
        let lock = folder.lock()?;
        folder.sweep();
        Trials::open(folder, lock)
    }

    fn open(folder: Folder, lock: File) -> Result<Trials, Diagnostic> {
        let log = Log::create(&folder)?;
        Ok(Trials { folder, rows: Vec::new(), log, _lock: lock })
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// How the folder of a run of the search is named.
    pub fn naming(number: u64) -> Naming {
        Naming::Within(trial_name(number))
    }

    /// What a run of the search has come to, if it has ended.
    pub fn outcome(&self, number: u64) -> Option<Outcome> {
        let text = std::fs::read_to_string(self.folder.trial(number).summary()).ok()?;
        let summary: Value = serde_json::from_str(&text).ok()?;
        match summary["ended"].as_str()? {
            "diverged" => Some(Outcome::Diverged),
            "finished" | "no_improvement" | "reached" => Some(Outcome::Measured(measured(&summary["metrics"]))),
            _ => None,
        }
    }

    /// Takes up a trial that has ended: in the table, with its figures, and as the best if it is.
    pub fn add(&mut self, trial: &Trial, best: bool) -> Result<(), Diagnostic> {
        let mut row = vec![("trial".to_owned(), trial.number.to_string())];
        row.extend(trial.setting.iter().map(|(name, value)| (name.clone(), cell(*value))));
        if let Outcome::Measured(results) = trial.outcome {
            for (part, metrics) in &results.0 {
                row.extend(metrics.0.iter().filter_map(|(name, value)| match value {
                    Measured::Number(value) => Some((format!("{part}.{name}"), cell(*value))),
                    Measured::Table { .. } => None,
                }));
            }
        }
        self.rows.push(row);
        write(&self.folder.trials(), &self.table())?;
        let own = self.folder.trial(trial.number);
        Row::of_trial(&own, trial.number).iter().try_for_each(|row| self.log.add(row))?;
        if best {
            self.keep_best(&own)?;
        }
        Ok(())
    }

    /// Says how far the search has come, or how it ended.
    pub fn summary(&self, summary: &Value) -> Result<(), Diagnostic> {
        write(&self.folder.summary(), &(serde_json::to_string_pretty(summary).unwrap_or_default() + "\n"))
    }

    fn table(&self) -> String {
        let mut columns: Vec<&str> = Vec::new();
        for (column, _) in self.rows.iter().flatten() {
            if !columns.contains(&column.as_str()) {
                columns.push(column);
            }
        }
        let mut text = line(&columns);
        for row in &self.rows {
            let cell = |wanted: &&str| row.iter().find(|(column, _)| column == wanted).map_or("", |(_, cell)| cell);
            text += &line(&columns.iter().map(cell).collect::<Vec<_>>());
        }
        text
    }

    /// The parameters of the best run so far; those of folds and members stay in its folder.
    fn keep_best(&self, trial: &Folder) -> Result<(), Diagnostic> {
        if !trial.best().exists() {
            return Ok(());
        }
        let unreadable =
            |path: String, why: String| Diagnostic::new(codes::UNREADABLE_FILE, format!("cannot read {path}: {why}"));
        let bytes =
            data::read(&trial.best()).map_err(|e| unreadable(trial.best().display().to_string(), e.message()))?;
        data::replace(&self.folder.best(), |out| out.write_all(&bytes)).map_err(|e| {
            Diagnostic::new(codes::UNWRITABLE_FILE, format!("{}: {}", self.folder.best().display(), e.message()))
        })
    }
}

/// The tensors that a kept run, or search, starts from; none if the program says all of them.
pub fn init(folder: &Folder) -> Result<Vec<(String, Tensor)>, Diagnostic> {
    if !folder.init().exists() {
        return Ok(Vec::new());
    }
    Ok(checkpoint::load::<Identity>(&folder.init())?.1)
}

/// The number of the best run of a search, as far as it has come.
pub fn best_trial(folder: &Folder) -> Option<u64> {
    let text = std::fs::read_to_string(folder.summary()).ok()?;
    serde_json::from_str::<Value>(&text).ok()?["best"]["trial"].as_u64()
}

/// Values by part and name, as a summary has them.
fn measured(value: &Value) -> Named<Metrics> {
    let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let metrics = |value: &Value| -> Metrics {
        Named(object(value).iter().map(|(name, value)| (name.clone(), value_of(value))).collect())
    };
    Named(object(value).iter().map(|(part, value)| (part.clone(), metrics(value))).collect())
}

fn value_of(value: &Value) -> Measured {
    fn flatten(value: &Value, values: &mut Vec<f64>) {
        match value.as_array() {
            Some(each) => each.iter().for_each(|value| flatten(value, values)),
            None => values.push(value.as_f64().unwrap_or(f64::NAN)),
        }
    }
    let (mut dims, mut values) = (Vec::new(), Vec::new());
    let mut first = Some(value);
    while let Some(array) = first.and_then(Value::as_array) {
        dims.push(array.len());
        first = array.first();
    }
    flatten(value, &mut values);
    if dims.is_empty() { Measured::Number(values[0]) } else { Measured::Table { dims, values } }
}

/// A setting as JSON.
pub fn shown(setting: &[(String, f64)]) -> Value {
    setting.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<serde_json::Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_were_written() {
        let confusion = Measured::Table { dims: vec![2, 3], values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] };
        let metrics = Named(vec![("confusion".to_owned(), confusion), ("loss".to_owned(), (0.1_f64 + 0.2).into())]);
        let all = Named(vec![("valid".to_owned(), metrics)]);
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(measured(&serde_json::from_str(&text).unwrap()), all);
        // JSON has no NaN.
        assert!(measured(&json!({ "test": { "loss": null } })).0[0].1.number("loss").is_nan());
    }
}
