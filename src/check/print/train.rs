//! The text form of a phase: one line for each clause.

use super::super::typed::{
    AxisRole, Condition, Duration, Keep, Program, Rows, RuleCall, StopMetric, StopWhen, Then, Train,
};
use super::{Printer, rows_name, selection};
use std::fmt::{self, Write};

pub(super) fn train(out: &mut String, program: &Program, t: &Train) -> fmt::Result {
    let p = Printer { program, locals: &t.locals, packs: &[] };
    match &t.name {
        Some(name) => writeln!(out, "train phase {name} {{")?,
        None => writeln!(out, "train {{")?,
    }
    for r in &t.requirements {
        writeln!(out, "    requires {}.{} in 0..{}", program.data_set(r.data).name, r.column, r.size)?;
    }
    let rows = |rows: &Rows| rows_name(program, rows);
    let batch = |batch: Option<u64>| batch.map(|n| format!(", batch {n}")).unwrap_or_default();
    let taken = |of, n, ordered| format!("{}{}{}", rows(of), batch(n), if ordered { " in order" } else { "" });
    if let Some(on) = &t.on {
        let second = t.beside.as_ref().map(|s| format!(" with {}", taken(&s.rows, s.batch, s.in_order)));
        writeln!(out, "    on {}{}", taken(on, t.batch, t.in_order), second.unwrap_or_default())?;
    }
    for augment in &t.augments {
        let names: Vec<&str> = augment.targets.iter().map(|target| p.local(target.local)).collect();
        write!(out, "    augment ({}) = ", names.join(", "))?;
        p.expression(out, &augment.value, 1)?;
        writeln!(out)?;
    }
    for player in &t.players {
        write!(out, "    {} {} = ", if player.maximize { "maximize" } else { "minimize" }, player.name)?;
        p.expression(out, &player.objective, 1)?;
        if let Some(over) = &player.over {
            write!(out, " over {}", selection(over))?;
        }
        if let Some(call) = &player.using {
            p.rule(out, " using ", call)?;
        }
        writeln!(out)?;
    }
    for rule in &t.using {
        p.rule(out, "    using ", &rule.call)?;
        writeln!(out, "{}", rule.of.as_ref().map(|of| format!(" for {}", selection(of))).unwrap_or_default())?;
    }
    for keep in &t.keeps {
        p.keep(out, keep)?;
    }
    if let Some(call) = &t.average {
        p.rule(out, "    average ", call)?;
        writeln!(out)?;
    }
    for m in &t.measures {
        write!(out, "    measure {} = ", m.name)?;
        p.expression(out, &m.value, 1)?;
        writeln!(out)?;
    }
    match t.duration {
        Duration::Epochs(n) => writeln!(out, "    epochs {n}")?,
        Duration::Steps(n) => writeln!(out, "    steps {n}")?,
    }
    let metric = |metric: StopMetric| match metric {
        StopMetric::Loss => "loss",
        StopMetric::Measure(k) => t.measures.get(k).map_or("?", |m| m.name.as_str()),
    };
    let of = |looked_at: &Option<_>| looked_at.as_ref().map(|at| format!("{} ", rows(at))).unwrap_or_default();
    if let Some(n) = t.evaluate_every {
        writeln!(out, "    evaluate every {n} steps")?;
    }
    for w in &t.watches {
        writeln!(out, "    watch {} = {}{}, patience {}", w.name, of(&w.rows), metric(w.metric), w.patience)?;
    }
    if let Some(stop) = &t.stop {
        write!(out, "    stop when {}{} ", of(&stop.rows), metric(stop.metric))?;
        match stop.when {
            StopWhen::NotImproved { patience, evaluations } => {
                let unit = if evaluations { "evaluations" } else { "epochs" };
                write!(out, "has not improved for {patience} {unit}")?;
            }
            StopWhen::Below(bound) => write!(out, "< {bound}")?,
            StopWhen::Above(bound) => write!(out, "> {bound}")?,
        }
        match &stop.then {
            None => writeln!(out)?,
            Some(Then::Retrain { on, epochs }) => {
                let unit = if *epochs { "epochs" } else { "steps" };
                writeln!(out, ", then retrain on {} for as many {unit}", rows(on))?;
            }
            Some(Then::Continue { on, most }) => {
                writeln!(out, ", then continue on {} at most {most} epochs", rows(on))?;
            }
        }
    }
    writeln!(out, "}}")
}

impl Printer<'_> {
    fn rule(&self, out: &mut String, word: &str, call: &RuleCall) -> fmt::Result {
        write!(out, "{word}{}", self.program.definition(call.def).name)?;
        self.options(out, call.def, &call.options, "(", ")")
    }

    fn keep(&self, out: &mut String, keep: &Keep) -> fmt::Result {
        match &keep.condition {
            Condition::Call(call) => self.rule(out, "    keep ", call)?,
            Condition::Norm { over, equal, bound } => {
                let roles = over.iter().map(|role| match role {
                    AxisRole::Label(label) => label.as_ref(),
                    AxisRole::Others => "..",
                });
                let roles = roles.collect::<Vec<_>>().join(", ");
                let over = if roles.is_empty() { roles } else { format!(" over {roles}") };
                write!(out, "    keep norm(_{over}) {} ", if *equal { "==" } else { "<=" })?;
                self.expression(out, bound, 1)?;
            }
            Condition::AtLeast(bound) => {
                write!(out, "    keep _ >= ")?;
                self.expression(out, bound, 1)?;
            }
            Condition::AtMost(bound) => {
                write!(out, "    keep _ <= ")?;
                self.expression(out, bound, 1)?;
            }
        }
        writeln!(out, "{}", keep.of.as_ref().map(|of| format!(" for {}", selection(of))).unwrap_or_default())
    }
}
