//! A phase of the `train` block: what is minimized, over what, on which data, by which rules and for how long.

mod augment;
mod keep;
mod measure;
mod player;
mod rows;
mod stopping;

use super::globals::Globals;
use super::phases::PhaseClauses;
use super::schema::Schemas;
use super::scope::Checker;
use super::typed::{Column, Definition, Duration, Train};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, ClauseKind};
use stopping::Watched;

/// How often a phase without data is looked at if it does not say how often.
const LOOKS: u64 = 100;

/// The clauses of a phase; those that stand once at most as options.
#[derive(Default)]
struct Clauses<'a> {
    players: Vec<(&'a ast::Player, Span)>,
    on: Option<(&'a ast::OnRows, Option<&'a ast::OnRows>, Span)>,
    using: Vec<(&'a ast::Expr, &'a [ast::Expr], Span)>,
    keeps: Vec<(&'a ast::Expr, &'a [ast::Expr], Span)>,
    augments: Vec<(&'a [ast::Name], &'a ast::Expr)>,
    average: Option<(&'a ast::Expr, Span)>,
    measure: Vec<&'a ast::Metric>,
    duration: Option<(&'a ast::Expr, bool, Span)>,
    evaluate: Option<(&'a ast::Expr, Span)>,
    watches: Vec<Watched<'a>>,
    stop: Option<(&'a ast::Stop, Span)>,
}

pub fn check(
    globals: &Globals,
    definitions: &[Definition],
    phase: &PhaseClauses,
    schemas: &Schemas,
    errors: &mut Vec<Diagnostic>,
) -> Option<Train> {
    let mut c = Checker::new(globals, definitions, errors, None, "train", phase.place.file);
    let clauses = c.clauses(phase);
    let on = clauses.on.and_then(|(rows, beside, _)| c.on(rows, beside, schemas));
    if clauses.on.is_none() {
        c.without_on(schemas);
    }
    c.take_counters();
    let watched = c.take_watches(&clauses.watches);
    let augments = c.augments(&clauses.augments);
    if let (None, Some((names, _)), false) = (&clauses.on, clauses.augments.first(), c.columns_unknown) {
        c.rowless(names[0].span, "so there is no column to augment", "add a line such as `on digits.train, batch 64`");
    }
    let players = c.players(&clauses.players);
    let using = c.rules(&clauses.using);
    let keeps: Vec<_> = clauses.keeps.iter().map(|(e, sets, span)| c.keep(e, sets, *span)).collect();
    let average = clauses.average.map(|(e, span)| c.average(e, span));
    let measures = c.measures(&clauses.measure, players.as_deref().unwrap_or_default());
    let duration = clauses.duration.map(|(e, epochs, span)| {
        // A column that is read has told already that the data is missing.
        if epochs && clauses.on.is_none() && !c.columns_unknown {
            let help = "say for how many steps, as in `steps 1000`, or add a line such as `on digits.train, batch 64`";
            c.rowless(span, "an epoch is one pass through the rows of `on`", help);
            return (None, epochs);
        }
        let what = if epochs { "the number of epochs" } else { "the number of steps" };
        (c.positive(e, what), epochs)
    });
    let about = on.as_ref().map(|(rows, ..)| *rows);
    let evaluate_every = clauses.evaluate.map(|(e, _)| c.positive(e, "the number of steps"));
    let watches = c.watches(&clauses.watches, &watched, &measures, about);
    let stop = clauses.stop.map(|(stop, _)| c.stop(stop, &measures, about));
    let Checker { locals, mut columns, columns_read, counters, beside, requirements, .. } = c;
    columns.retain(|local, _| columns_read.contains(local));
    let counters = counters.into_iter().filter(|(_, local)| columns_read.contains(local));
    let duration = match duration? {
        (Some(n), true) => Duration::Epochs(n),
        (Some(n), false) => Duration::Steps(n),
        (None, _) => return None,
    };
    let (on, batch, second) = match clauses.on {
        Some(_) => on.map(|(rows, batch, second)| (Some(rows), batch, second))?,
        None => (None, None, None),
    };
    let evaluate_every = match (evaluate_every, duration) {
        (None, Duration::Steps(n)) if on.is_none() => Some(Some(n.div_ceil(LOOKS))),
        (None, _) => None,
        (given, _) => given,
    };
    let column = |local, name: String| match &beside {
        Some((set, locals)) if locals.contains(&local) => {
            Column { local, input: format!("{set}.{name}"), name, beside: true }
        }
        _ => Column { local, input: name.clone(), name, beside: false },
    };
    Some(Train {
        name: phase.name.map(|n| n.text.clone()),
        span: phase.place,
        locals,
        columns: columns.into_iter().map(|(local, (_, name))| column(local, name)).collect(),
        counters: counters.map(|(counter, local)| (local, counter)).collect(),
        requirements,
        augments: augments?,
        players: players?,
        on,
        batch,
        in_order: clauses.on.is_some_and(|(rows, ..)| rows.in_order),
        beside: second,
        using: using?,
        keeps: keeps.into_iter().collect::<Option<_>>()?,
        average: average.map_or(Some(None), |rule| rule.map(Some))?,
        measures,
        duration,
        evaluate_every: evaluate_every.map_or(Some(None), |every| every.map(Some))?,
        watches: watches?,
        stop: stop.map_or(Some(None), |stop| stop.map(Some))?,
    })
}

impl Checker<'_> {
    fn clauses<'a>(&mut self, phase: &PhaseClauses<'a>) -> Clauses<'a> {
        let mut out = Clauses::default();
        let mut twice: Vec<(&str, Span, Span)> = Vec::new();
        for clause in &phase.clauses {
            let span = clause.span;
            match &clause.kind {
                ClauseKind::Minimize(player) => out.players.push((player, span)),
                ClauseKind::On { rows, beside } => match out.on {
                    Some((.., first)) => twice.push(("on", span, first)),
                    None => out.on = Some((rows, beside.as_ref(), span)),
                },
                ClauseKind::Using { optimizer, sets } => {
                    let plain = out.using.iter().find(|(_, s, _)| s.is_empty() && sets.is_empty());
                    match plain {
                        Some((.., first)) => twice.push(("using", span, *first)),
                        None => out.using.push((optimizer, sets, span)),
                    }
                }
                ClauseKind::Keep { constraint, sets } => out.keeps.push((constraint, sets, span)),
                ClauseKind::Augment { names, value } => out.augments.push((names, value)),
                ClauseKind::Average { rule } => match out.average {
                    Some((_, first)) => twice.push(("average", span, first)),
                    None => out.average = Some((rule, span)),
                },
                ClauseKind::Measure { metrics } => out.measure.extend(metrics),
                ClauseKind::Epochs { count } | ClauseKind::Steps { count } => match out.duration {
                    Some((.., first)) => twice.push(("epochs` or `steps", span, first)),
                    None => out.duration = Some((count, matches!(clause.kind, ClauseKind::Epochs { .. }), span)),
                },
                ClauseKind::Evaluate { steps } => match out.evaluate {
                    Some((_, first)) => twice.push(("evaluate", span, first)),
                    None => out.evaluate = Some((steps, span)),
                },
                ClauseKind::Watch { name, data, metric, patience } => {
                    out.watches.push(Watched { name, data: data.as_ref(), metric, patience });
                }
                ClauseKind::Stop(stop) => match out.stop {
                    Some((.., first)) => twice.push(("stop", span, first)),
                    None => out.stop = Some((stop, span)),
                },
                // These are of the program rather than of a phase.
                ClauseKind::Phase { .. } | ClauseKind::Folds { .. } | ClauseKind::Ensemble { .. } => {}
            }
        }
        for (word, span, first) in twice {
            let error = Diagnostic::new(codes::DUPLICATE_CLAUSE, format!("`{word}` stands twice"))
                .at(span, "a second time here")
                .at(first, "the first time here");
            self.report(error);
        }
        let ruled = !out.using.is_empty() || (out.players.iter().all(|(p, _)| p.using.is_some()));
        let missing = [
            (out.players.is_empty(), "minimize", "minimize cross_entropy(classifier(x), label)"),
            (!ruled || (out.players.is_empty() && out.using.is_empty()), "using", "using adam(lr: 1e-3)"),
            match out.on {
                Some(_) => (out.duration.is_none(), "epochs", "epochs 20"),
                None => (out.duration.is_none(), "steps", "steps 1000"),
            },
        ];
        for (missing, word, example) in missing {
            if missing {
                let what = match word {
                    "minimize" => "what to minimize",
                    "using" => "which optimizer to use",
                    _ => "how long to train",
                };
                let error =
                    Diagnostic::new(codes::MISSING_CLAUSE, format!("{} does not say {what}", phase.described()))
                        .at(
                            phase.place,
                            format!("no `{word}` clause in this {}", phase.name.map_or("block", |_| "phase")),
                        )
                        .help(format!("add a line such as `{example}`"));
                self.report(error);
            }
        }
        out
    }
}
