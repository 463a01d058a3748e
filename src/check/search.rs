//! `search`: which constants are tried, and what decides among them.

use super::globals::Globals;
use super::typed::{Choices, ExprKind, HELD_OUT, Kind, Range, Repetition, Rows, Search, Train, Training};
use crate::source::{Diagnostic, Span, closest, codes};
use crate::syntax::ast;

pub fn check(
    globals: &Globals,
    search: &ast::Search,
    train: Option<&Training>,
    errors: &mut Vec<Diagnostic>,
) -> Option<Search> {
    let random = match &search.random {
        Some(count) => {
            let n = globals.whole_number(count, "the number of settings", errors)?;
            if n == 0 {
                let error = Diagnostic::new(codes::NOT_A_CONSTANT, "the number of settings is at least 1");
                errors.push(error.at(count.span, "this is 0"));
                return None;
            }
            Some(n)
        }
        None => None,
    };
    let ranges: Vec<Option<Range>> =
        search.ranges.iter().map(|range| check_range(globals, range, random.is_some(), errors)).collect();
    let ranges = ranges.into_iter().collect::<Option<Vec<Range>>>()?;
    // An error in `train` is reported there.
    let training = train?;
    let last = training.phases.last()?;
    let (span, held_out) = (search.keyword, held_out(globals, search, training));
    let part = match (&search.data, last.on) {
        (Some(path), Some(on)) => {
            let rows = match held_out {
                Some(rows) => rows,
                None => globals.rows(path, errors)?,
            };
            deciding(globals, path, rows, on, held_out.is_some(), errors)?
        }
        (None, None) => Train::VALUE.to_owned(),
        (Some(path), None) => {
            let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, "the last phase has no data")
                .at(path.span, "there are no rows to decide by")
                .help(format!("leave the data out: `by {}`", search.metric.text));
            errors.push(error);
            return None;
        }
        (None, Some(on)) => {
            let set = &globals.data[on.data.0 as usize].name;
            let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, "this does not say on which rows")
                .at(search.metric.span, "evaluated on what?")
                .help(format!("name a part of the data: `by {set}.valid {}`", search.metric.text));
            errors.push(error);
            return None;
        }
    };
    let player = &last.players[0];
    let name = search.metric.text.as_str();
    let (metric, grows) = match last.measures.iter().find(|m| m.name == name) {
        Some(measure) => {
            let metric = match &measure.value.kind {
                ExprKind::Call(call) => globals.kind(call.def) == Kind::Metric,
                _ => false,
            };
            (measure.name.clone(), metric)
        }
        None if name == "loss" || name == player.name => (player.name.clone(), player.maximize),
        None => {
            let names: Vec<&str> = last.measures.iter().map(|m| m.name.as_str()).chain(["loss"]).collect();
            let mut error = Diagnostic::new(codes::UNKNOWN_NAME, format!("nothing measured is called `{name}`"))
                .at(search.metric.span, "unknown here");
            error = match closest(name, names.iter().copied()) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.note(format!("measured are {}", names.join(", "))),
            };
            errors.push(error);
            return None;
        }
    };
    Some(Search { span, random, ranges, part, metric, grows })
}

/// The part that decides.
fn deciding(
    globals: &Globals,
    path: &ast::Path,
    rows: Rows,
    on: Rows,
    held_out: bool,
    errors: &mut Vec<Diagnostic>,
) -> Option<String> {
    if rows.data != on.data {
        let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, "the last phase is about other data");
        errors.push(error.at(path.span, "this decides").at(on.span, "this is what it trains on"));
        return None;
    }
    let set = &globals.data[rows.data.0 as usize];
    match rows.part {
        _ if held_out => Some(HELD_OUT.to_owned()),
        Some(part) => Some(set.parts[part].name.clone()),
        None if set.parts.is_empty() => Some("train".to_owned()),
        None => {
            let error = Diagnostic::new(codes::UNKNOWN_NAME, "one part decides")
                .at(path.span, "this is all of the data")
                .help(format!("name a part: `{}.{}`", set.name, set.parts[0].name));
            errors.push(error);
            None
        }
    }
}

/// `digits.fold`, the rows that the runs of a cross-validation are kept from.
fn held_out(globals: &Globals, search: &ast::Search, train: &Training) -> Option<Rows> {
    let [set, part] = search.data.as_ref()?.parts.as_slice() else { return None };
    let folds = matches!(train.repetition, Some(Repetition::Folds { .. })) && part.text == HELD_OUT;
    let data = globals.data_named(set, &mut Vec::new()).filter(|_| folds)?;
    Some(Rows { data, part: None, span: search.data.as_ref()?.span })
}

fn check_range(globals: &Globals, range: &ast::Range, random: bool, errors: &mut Vec<Diagnostic>) -> Option<Range> {
    let name = &range.name.text;
    let Some(constant) = globals.constants.iter().find(|c| c.name == *name) else {
        let mut error = Diagnostic::new(codes::UNKNOWN_NAME, format!("no constant is called `{name}`"))
            .at(range.name.span, "a search is among values of top-level constants");
        error = match closest(name, globals.constants.iter().map(|c| c.name.as_str())) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.help(format!("declare it with a value for runs without a search: `{name} = …`")),
        };
        errors.push(error);
        return None;
    };
    let choices = match range.values.as_slice() {
        [one] if distribution(one).is_some() => {
            let (log, args) = distribution(one)?;
            let numbers: Vec<f64> = args.iter().filter_map(|a| globals.number(&a.value, errors)).collect();
            let &[low, high] = numbers.as_slice() else {
                let error = Diagnostic::new(codes::WRONG_ARGUMENTS, "a distribution has a lower and an upper bound");
                errors.push(error.at(one.span, "write `uniform(0, 1)` or `log_uniform(1e-4, 1e-1)`"));
                return None;
            };
            if low >= high || (log && low <= 0.0) || !random {
                errors.push(refused(one.span, random));
                return None;
            }
            Choices::Between { low, high, log }
        }
        values => {
            let numbers: Vec<Option<f64>> = values.iter().map(|e| globals.number(e, errors)).collect();
            Choices::Values(numbers.into_iter().collect::<Option<_>>()?)
        }
    };
    Some(Range { name: name.clone(), integer: constant.integer, choices })
}

fn refused(span: Span, random: bool) -> Diagnostic {
    if random {
        return Diagnostic::new(codes::NOT_A_CONSTANT, "the lower bound is below the upper one")
            .at(span, "and above 0 for `log_uniform`");
    }
    Diagnostic::new(codes::NOT_ALLOWED_HERE, "a distribution has no end of values to try")
        .at(span, "all combinations are tried")
        .help("say how many are drawn: `search 20 random { … }`")
}

/// `uniform(a, b)` and `log_uniform(a, b)`.
fn distribution(e: &ast::Expr) -> Option<(bool, &[ast::Arg])> {
    let ast::ExprKind::Call { callee, args, over: None } = &e.kind else { return None };
    match callee.as_name() {
        Some("uniform") => Some((false, args)),
        Some("log_uniform") => Some((true, args)),
        _ => None,
    }
}
