//! When a phase looks at the data, what it counts there, when it ends and what follows.

use super::super::scope::{Binding, Checker};
use super::super::typed::{
    Counter, Element, LocalId, Measure, Origin, Rows, Stop, StopMetric, StopWhen, Then, Type, Watch,
};
use crate::source::{Diagnostic, closest, codes};
use crate::syntax::ast;

/// `watch` as written.
pub(super) struct Watched<'a> {
    pub name: &'a ast::Name,
    pub data: Option<&'a ast::Path>,
    pub metric: &'a ast::Name,
    pub patience: &'a ast::Expr,
}

impl Checker<'_> {
    /// Brings the counts of `watch` clauses into scope.
    pub(super) fn take_watches(&mut self, watches: &[Watched]) -> Vec<LocalId> {
        let mut locals = Vec::new();
        for (k, watched) in watches.iter().enumerate() {
            let name = watched.name;
            let local = self.new_local(&name.text, Type::scalar(Element::Int), name.span, Origin::Counter);
            self.bind(&name.text, name.span, Binding::Local(local));
            self.counters.insert(Counter::Watch(k as u32), local);
            locals.push(local);
        }
        locals
    }

    pub(super) fn watches(
        &mut self,
        watches: &[Watched],
        locals: &[LocalId],
        measures: &[Measure],
        on: Option<Rows>,
    ) -> Option<Vec<Watch>> {
        let mut all = Some(Vec::new());
        for (watched, local) in watches.iter().zip(locals) {
            let rows = self.looked_at(watched.data, watched.metric, on);
            let metric = self.metric(watched.metric, measures);
            let patience = self.positive(watched.patience, "the patience");
            match (rows, metric, patience, &mut all) {
                (Some(rows), Some(metric), Some(patience), Some(all)) => {
                    all.push(Watch { local: *local, name: watched.name.text.clone(), rows, metric, patience });
                }
                _ => all = None,
            }
        }
        all
    }

    pub(super) fn stop(&mut self, stop: &ast::Stop, measures: &[Measure], on: Option<Rows>) -> Option<Stop> {
        let rows = self.looked_at(stop.data.as_ref(), &stop.metric, on);
        let metric = self.metric(&stop.metric, measures);
        let when = match &stop.when {
            ast::StopWhen::NotImproved { patience, unit } => {
                let evaluations = *unit == ast::StopUnit::Evaluations;
                if !evaluations && self.without_data.is_some() {
                    self.rowless(patience.span, "so it has no epochs", "count the evaluations: `for 10 evaluations`");
                    return None;
                }
                self.positive(patience, "the patience").map(|patience| StopWhen::NotImproved { patience, evaluations })
            }
            ast::StopWhen::Below(bound) => self.globals.number(bound, self.errors).map(StopWhen::Below),
            ast::StopWhen::Above(bound) => self.globals.number(bound, self.errors).map(StopWhen::Above),
        };
        if let (Some(_), Some(ast::Then::Retrain { data, .. } | ast::Then::Continue { data, .. })) =
            (&self.without_data, &stop.then)
        {
            self.rowless(data.span, "there are no rows to go on with", "end the clause before `then`");
            return None;
        }
        let then = match &stop.then {
            None => Some(None),
            Some(ast::Then::Retrain { data, epochs }) => {
                self.rows_of(data, on).map(|on| Some(Then::Retrain { on, epochs: *epochs }))
            }
            Some(ast::Then::Continue { data, most }) => {
                let most = self.positive(most, "the number of epochs");
                self.rows_of(data, on).zip(most).map(|(on, most)| Some(Then::Continue { on, most }))
            }
        };
        Some(Stop { rows: rows?, metric: metric?, when: when?, then: then? })
    }

    /// What a clause looks at: rows, or in a phase without data none.
    fn looked_at(&mut self, path: Option<&ast::Path>, metric: &ast::Name, on: Option<Rows>) -> Option<Option<Rows>> {
        match (path, self.without_data.is_some()) {
            (Some(path), false) => self.rows_of(path, on).map(Some),
            (None, true) => Some(None),
            (Some(path), true) => {
                let help = format!("leave the data out: `{}` alone", metric.text);
                self.rowless(path.span, "there are no rows to look at", &help);
                None
            }
            (None, false) => {
                let set = on.map_or("digits", |on| &self.globals.data[on.data.0 as usize].name);
                let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, "this does not say on which rows")
                    .at(metric.span, "evaluated on what?")
                    .help(format!("name the data or a part of it: `{set}.valid {}`", metric.text));
                self.report(error);
                None
            }
        }
    }

    /// Rows of the data that the phase trains on: its expressions know the columns of no other.
    fn rows_of(&mut self, path: &ast::Path, on: Option<Rows>) -> Option<Rows> {
        let rows = self.rows(path)?;
        match on {
            Some(on) if on.data != rows.data => {
                let known = |rows: Rows| self.globals.data[rows.data.0 as usize].name.clone();
                let message = format!("this phase is about `{}`, not `{}`", known(on), known(rows));
                let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, message)
                    .at(path.span, "other data, with columns of its own")
                    .at(on.span, "this is what it trains on")
                    .help(format!("name a part of `{}`", known(on)));
                self.report(error);
                None
            }
            _ => Some(rows),
        }
    }

    fn metric(&mut self, metric: &ast::Name, measures: &[Measure]) -> Option<StopMetric> {
        let found = match metric.text.as_str() {
            "loss" => Some(StopMetric::Loss),
            name => measures.iter().position(|m| m.name == name).map(StopMetric::Measure),
        };
        if let Some(StopMetric::Measure(k)) = found
            && !measures[k].value.axes().is_empty()
        {
            let error = Diagnostic::new(codes::NOT_A_SCALAR, format!("`{}` is a table", metric.text))
                .at(metric.span, "a single number decides")
                .at(measures[k].value.span, format!("this is {}", self.show(&measures[k].value.ty)));
            self.report(error);
            return None;
        }
        if found.is_none() {
            let names: Vec<&str> = measures.iter().map(|m| m.name.as_str()).chain(["loss"]).collect();
            let mut error =
                Diagnostic::new(codes::UNKNOWN_NAME, format!("nothing measured is called `{}`", metric.text))
                    .at(metric.span, "unknown here");
            error = match closest(&metric.text, names.iter().copied()) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.note(format!("measured are {}", names.join(", "))),
            };
            self.report(error);
        }
        found
    }
}
