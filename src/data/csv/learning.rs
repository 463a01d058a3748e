//! What must be known of a file's categories before its rows are read for their values: which targets hold classes, and the
//! values of every column of categories.

use std::collections::BTreeSet;

use super::super::error::{DataError, Problem, shorten};
use super::super::vocabulary::Vocabulary;
use super::cells::is_missing;
use super::layout::{Field, Kind, Layout, Missing};
use super::records::Records;

/// What has been found in the records seen so far.
pub(in super::super) struct Learning {
    layout: Layout,
    /// The values of columns of categories, inputs before targets.
    values: Vec<Option<BTreeSet<String>>>,
    rows: usize,
}

impl Learning {
    pub(in super::super) fn new(layout: Layout) -> Self {
        Learning { layout, values: Vec::new(), rows: 0 }
    }

    pub(in super::super) fn layout(self) -> Layout {
        self.layout
    }

    fn fields(&self) -> impl Iterator<Item = &Field> {
        self.layout.inputs.iter().chain(&self.layout.targets)
    }

    /// Whether the record last read is kept.
    fn keeps(&self, records: &Records) -> bool {
        let absent = |field: &Field| is_missing(records.cell(field.position), &field.kind);
        self.layout.missing == Missing::Refuse || !self.fields().any(absent)
    }

    /// Decides by the first row kept which targets hold classes; true if there was none.
    pub(in super::super) fn targets(&mut self, mut records: Records) -> Result<bool, DataError> {
        while records.next()? {
            // What is wrong with a row is said when it is read for its values.
            if records.len() != self.layout.cells {
                return Ok(false);
            }
            if !self.keeps(&records) {
                continue;
            }
            for target in &mut self.layout.targets {
                let text = records.cell(target.position);
                if !is_missing(text, &target.kind) && text.parse::<f64>().is_err() {
                    target.kind = Kind::Categories(Vocabulary::Texts(Vec::new()));
                }
            }
            return Ok(false);
        }
        Ok(true)
    }

    pub(in super::super) fn needs_categories(&self) -> bool {
        self.fields().any(|field| matches!(field.kind, Kind::Categories(_)))
    }

    /// Collects the values of columns of categories.
    pub(in super::super) fn categories(&mut self, mut records: Records) -> Result<(), DataError> {
        if self.values.is_empty() {
            let set = |field: &Field| matches!(field.kind, Kind::Categories(_)).then(BTreeSet::new);
            self.values = self.fields().map(set).collect();
        }
        while records.next()? {
            if records.len() != self.layout.cells {
                break;
            }
            if !self.keeps(&records) {
                continue;
            }
            self.rows += 1;
            let fields = self.layout.inputs.iter().chain(&self.layout.targets);
            for (place, (field, values)) in fields.zip(&mut self.values).enumerate() {
                let Some(values) = values else { continue };
                let text = records.cell(field.position);
                if text.is_empty() || values.contains(text) {
                    continue;
                }
                let float = text.parse::<i64>().is_err() && text.parse::<f64>().is_ok_and(f64::is_finite);
                if float && place < self.layout.inputs.len() {
                    let place = records.place(field.position).name(shorten(&field.name));
                    return Err(place.fail(Problem::NotACategory { text: shorten(text) }));
                }
                values.insert(text.to_string());
            }
        }
        Ok(())
    }

    /// Numbers the values found; gives the number of rows seen.
    pub(in super::super) fn settle_categories(&mut self) -> usize {
        let values = std::mem::take(&mut self.values);
        for (field, values) in self.layout.inputs.iter_mut().chain(&mut self.layout.targets).zip(values) {
            if let Some(values) = values {
                field.kind = Kind::Categories(Vocabulary::of(&values));
            }
        }
        self.rows
    }
}
