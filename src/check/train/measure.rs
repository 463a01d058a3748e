//! What is measured.

use super::super::globals::Global;
use super::super::scope::Checker;
use super::super::typed::{Axis, Element, Expr, Kind, Measure, Player, Type};
use super::super::uses;
use crate::source::{Diagnostic, codes};
use crate::syntax::ast;
use std::collections::{BTreeMap, BTreeSet};

impl Checker<'_> {
    /// Metrics, named by what they apply where no name is written.
    pub(super) fn measures(&mut self, metrics: &[&ast::Metric], players: &[Player]) -> Vec<Measure> {
        let reported: Vec<&str> = players.iter().map(|p| p.name.as_str()).chain(["loss"]).collect();
        let mut out: Vec<Measure> = Vec::new();
        let mut names: BTreeSet<String> = reported.iter().map(|name| name.to_string()).collect();
        // The last number given to each name.
        let mut numbered: BTreeMap<&str, u32> = BTreeMap::new();
        for metric in metrics {
            (self.measuring, self.together) = (true, false);
            let value = self.measured(&metric.value);
            let together = self.together;
            self.measuring = false;
            let derived = uses::applied_name(&metric.value).map_or("measure", |(name, _)| name);
            let base = metric.name.as_ref().map_or(derived, |n| n.text.as_str());
            if let Some(written) = metric.name.as_ref().filter(|n| names.contains(&n.text)) {
                let minimized = reported.contains(&written.text.as_str());
                let text = if minimized { "what is minimized is called so" } else { "a second time here" };
                let error = Diagnostic::new(codes::DUPLICATE_NAME, format!("`{}` is measured already", written.text))
                    .at(written.span, text);
                self.report(error);
            }
            let mut name = base.to_string();
            let number = numbered.entry(base).or_insert(1);
            while !names.insert(name.clone()) {
                *number += 1;
                name = format!("{base}_{number}");
            }
            out.push(Measure { name, together, value });
        }
        out
    }

    /// A number, or the tensor of numbers that a metric gives.
    fn measured(&mut self, e: &ast::Expr) -> Expr {
        let applied = uses::applied_name(e).and_then(|(name, _)| self.global(name));
        let metric = matches!(applied, Some(Global::Definition(id)) if self.globals.kind(id) == Kind::Metric);
        if !metric {
            return self.scalar(e, "a measure");
        }
        let value = self.expression(e);
        let value = self.numeric(value, "a measure is made of");
        let value = self.float(value);
        let known = |a: &Axis| matches!(a, Axis::Sized { size, .. } if size.as_constant().is_some());
        let fits = matches!(&value.ty, Type::Tensor(t) if t.element == Element::Float && t.axes.iter().all(known));
        if fits || value.ty.is_error() {
            return value;
        }
        let error = Diagnostic::new(codes::NOT_A_SCALAR, "a measure has a known size")
            .at(value.span, format!("this is {}", self.show(&value.ty)))
            .help("reduce it over the rows: `mean(... over N)`");
        self.fail(e.span, error)
    }
}
