//! A phase of the `train` block: what is minimized, over what, on which data, by which rule and for how long.

use super::globals::{Global, Globals};
use super::phases::PhaseClauses;
use super::schema::{ColumnKind, Schemas};
use super::scope::{Binding, Checker};
use super::shape::implied_label;
use super::typed::{
    Axis, Column, DataId, DefId, Definition, Duration, Element, Expr, Kind, Measure, OptimizerCall, Origin, Rows, Stop,
    StopMetric, TensorType, Train, Type,
};
use super::uses;
use crate::ir::Size;
use crate::source::{Diagnostic, Span, closest, codes};
use crate::syntax::ast::{self, ClauseKind};

/// The clauses of a block, each at most once.
#[derive(Default)]
struct Clauses<'a> {
    minimize: Option<(&'a ast::Expr, &'a [ast::Expr], Span)>,
    on: Option<(&'a ast::Path, Option<&'a ast::Expr>, bool, Span)>,
    using: Option<(&'a ast::Expr, Span)>,
    measure: Vec<&'a ast::Metric>,
    duration: Option<(&'a ast::Expr, bool, Span)>,
    stop: Option<(&'a ast::Path, &'a ast::Name, &'a ast::Expr, Span)>,
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
    let on = clauses.on.and_then(|(path, ..)| c.rows(path));
    c.sizes.push(Train::batch_symbol());
    match on {
        Some(rows) => c.take_columns(rows.data, schemas),
        None => c.columns_unknown = true,
    }
    let minimize = clauses.minimize.map(|(e, _, _)| c.scalar(e, "what is minimized"));
    let over = match clauses.minimize {
        Some((_, items, _)) if !items.is_empty() => Some(c.selection(items)),
        _ => None,
    };
    let batch = clauses.on.and_then(|(_, batch, ..)| batch).map(|e| c.positive(e, "a batch size"));
    let using = clauses.using.map(|(e, span)| c.optimizer(e, span));
    let measures = c.measures(&clauses.measure);
    let duration = clauses.duration.map(|(e, epochs, _)| {
        let what = if epochs { "the number of epochs" } else { "the number of steps" };
        (c.positive(e, what), epochs)
    });
    let stop = clauses.stop.map(|(path, metric, patience, _)| c.stop(path, metric, patience, &measures));
    let Checker { locals, mut columns, columns_read, requirements, .. } = c;
    columns.retain(|local, _| columns_read.contains(local));
    let duration = match duration? {
        (Some(n), true) => Duration::Epochs(n),
        (Some(n), false) => Duration::Steps(n),
        (None, _) => return None,
    };
    let stop = match stop {
        Some(None) => return None,
        Some(some) => some,
        None => None,
    };
    let over = match over {
        Some(None) => return None,
        Some(some) => some,
        None => None,
    };
    let batch = match batch {
        Some(None) => return None,
        Some(some) => some,
        None => None,
    };
    Some(Train {
        name: phase.name.map(|n| n.text.clone()),
        span: phase.place,
        locals,
        columns: columns.into_iter().map(|(local, (_, name))| Column { local, name }).collect(),
        requirements,
        minimize: minimize?,
        over,
        on: on?,
        batch,
        in_order: clauses.on.is_some_and(|(_, _, in_order, _)| in_order),
        using: using??,
        measures,
        duration,
        stop,
    })
}

impl Checker<'_> {
    fn clauses<'a>(&mut self, phase: &PhaseClauses<'a>) -> Clauses<'a> {
        let mut out = Clauses::default();
        let mut twice: Vec<(&str, Span, Span)> = Vec::new();
        for clause in &phase.clauses {
            let span = clause.span;
            match &clause.kind {
                ClauseKind::Minimize { objective, over } => match out.minimize {
                    Some((.., first)) => twice.push(("minimize", span, first)),
                    None => out.minimize = Some((objective, over, span)),
                },
                ClauseKind::On { data, batch, in_order } => match out.on {
                    Some((.., first)) => twice.push(("on", span, first)),
                    None => out.on = Some((data, batch.as_ref(), *in_order, span)),
                },
                ClauseKind::Using { optimizer } => match out.using {
                    Some((_, first)) => twice.push(("using", span, first)),
                    None => out.using = Some((optimizer, span)),
                },
                ClauseKind::Measure { metrics } => out.measure.extend(metrics),
                ClauseKind::Epochs { count } | ClauseKind::Steps { count } => match out.duration {
                    Some((.., first)) => twice.push(("epochs` or `steps", span, first)),
                    None => out.duration = Some((count, matches!(clause.kind, ClauseKind::Epochs { .. }), span)),
                },
                ClauseKind::Stop { data, metric, patience } => match out.stop {
                    Some((.., first)) => twice.push(("stop", span, first)),
                    None => out.stop = Some((data, metric, patience, span)),
                },
                ClauseKind::Keep { .. } => self.not_yet("`keep`", span),
                ClauseKind::Phase { .. } => {}
            }
        }
        for (word, span, first) in twice {
            let error = Diagnostic::new(codes::DUPLICATE_CLAUSE, format!("`{word}` stands twice"))
                .at(span, "a second time here")
                .at(first, "the first time here");
            self.report(error);
        }
        let missing = [
            (out.minimize.is_none(), "minimize", "minimize cross_entropy(classifier(x), label)"),
            (out.on.is_none(), "on", "on digits.train, batch 64"),
            (out.using.is_none(), "using", "using adam(lr: 1e-3)"),
            (out.duration.is_none(), "epochs", "epochs 20"),
        ];
        for (missing, word, example) in missing {
            if missing {
                let what = match word {
                    "minimize" => "what to minimize",
                    "on" => "which data to train on",
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

    fn not_yet(&mut self, what: &str, span: Span) {
        let error = Diagnostic::new(codes::NOT_AVAILABLE, format!("{what} does not exist yet"))
            .at(span, "not available in this version");
        self.report(error);
    }

    /// `digits` or `digits.train`
    fn rows(&mut self, path: &ast::Path) -> Option<Rows> {
        self.globals.rows(path, self.errors)
    }

    fn take_columns(&mut self, data: DataId, schemas: &Schemas) {
        let set = &self.globals.data[data.0 as usize];
        let Some(schema) = schemas.get(&set.name) else {
            self.columns_unknown = true;
            return;
        };
        let span = set.span;
        for column in &schema.columns {
            let rows = Size::symbol(&Train::batch_symbol().0);
            let mut axes = vec![Axis::Sized { label: implied_label(&rows), size: rows }];
            axes.extend(column.axes.iter().map(|n| Axis::Sized { label: None, size: Size::constant(*n) }));
            let standardized = set.standardized.iter().any(|s| s.column.as_ref() == Some(&column.name));
            let element = match column.kind {
                ColumnKind::Int { .. } if !standardized => Element::Int,
                ColumnKind::Float | ColumnKind::Int { .. } => Element::Float,
            };
            let ty = Type::Tensor(TensorType { element, axes });
            let local = self.new_local(&column.name, ty, span, Origin::Column);
            if let Some(scope) = self.scopes.last_mut() {
                scope.names.entry(column.name.clone()).or_insert((Binding::Local(local), span));
            }
            self.columns.insert(local, (data, column.name.clone()));
        }
    }

    /// A float scalar.
    fn scalar(&mut self, e: &ast::Expr, what: &str) -> Expr {
        let value = self.expression(e);
        let value = self.numeric(value, &format!("{what} is made of"));
        let value = self.float(value);
        if value.ty.is_error() || (value.axes().is_empty() && value.ty.tensor().is_some()) {
            return value;
        }
        let error = Diagnostic::new(codes::NOT_A_SCALAR, format!("{what} is a single number"))
            .at(value.span, format!("this is {}", self.show(&value.ty)))
            .help("reduce it: `mean(...)`");
        self.fail(e.span, error)
    }

    fn positive(&mut self, e: &ast::Expr, what: &str) -> Option<u64> {
        let n = self.globals.whole_number(e, what, self.errors)?;
        if n == 0 {
            let error = Diagnostic::new(codes::NOT_A_CONSTANT, format!("{what} is at least 1")).at(e.span, "this is 0");
            self.report(error);
            return None;
        }
        Some(n)
    }

    fn optimizer(&mut self, e: &ast::Expr, span: Span) -> Option<OptimizerCall> {
        let (name, place, args): (&str, Span, &[ast::Arg]) = match &e.kind {
            ast::ExprKind::Name(name) => (name, e.span, &[]),
            ast::ExprKind::Call { callee, args, over: None } => match callee.as_name() {
                Some(name) => (name, callee.span, args),
                None => return self.no_optimizer(e.span, "an expression"),
            },
            _ => return self.no_optimizer(e.span, "an expression"),
        };
        let def: DefId = match self.global(name) {
            Some(Global::Definition(def)) if self.globals.kind(def) == Kind::Optimizer => def,
            Some(Global::Definition(def)) => {
                let kind = self.globals.kind(def);
                return self.no_optimizer(place, &format!("{} {kind}", super::expression::article(kind)));
            }
            Some(Global::Constant(_)) => return self.no_optimizer(place, "a constant"),
            Some(Global::Error) => return None,
            None => {
                let optimizers: Vec<&str> =
                    self.definitions.iter().filter(|d| d.kind == Kind::Optimizer).map(|d| d.name.as_str()).collect();
                let mut error = Diagnostic::new(codes::UNKNOWN_NAME, format!("no optimizer is called `{name}`"))
                    .at(place, "not defined here or in the standard library");
                error = match closest(name, optimizers.iter().copied()) {
                    Some(near) => error.help(format!("did you mean `{near}`?")),
                    None => error.note(format!("the optimizers are {}", optimizers.join(", "))),
                };
                self.report(error);
                return None;
            }
        };
        if self.definitions[def.0 as usize].result.is_error() {
            return None;
        }
        let given: Vec<_> = args.iter().map(|a| (a.name.as_ref(), &a.value)).collect();
        let (_, options) = self.arrange(def, &given, place, span, 2)?;
        let options = self.option_values(def, options);
        if options.iter().flatten().any(|o| o.ty.is_error()) {
            return None;
        }
        Some(OptimizerCall { def, options, span })
    }

    fn no_optimizer(&mut self, span: Span, what: &str) -> Option<OptimizerCall> {
        let error = Diagnostic::new(codes::WRONG_KIND, "`using` wants an optimizer")
            .at(span, format!("this is {what}"))
            .help("write `using adam(lr: 1e-3)`");
        self.report(error);
        None
    }

    /// Metrics, named by what they apply where no name is written.
    fn measures(&mut self, metrics: &[&ast::Metric]) -> Vec<Measure> {
        let mut out: Vec<Measure> = Vec::new();
        for metric in metrics {
            let value = self.scalar(&metric.value, "a measure");
            let derived = uses::applied_name(&metric.value).map_or("measure", |(name, _)| name);
            let base = metric.name.as_ref().map_or(derived, |n| n.text.as_str());
            let taken = |name: &str| name == "loss" || out.iter().any(|m| m.name == name);
            if let Some(written) = metric.name.as_ref().filter(|n| taken(&n.text)) {
                let text = if written.text == "loss" { "what is minimized is called so" } else { "a second time here" };
                let error = Diagnostic::new(codes::DUPLICATE_NAME, format!("`{}` is measured already", written.text))
                    .at(written.span, text);
                self.report(error);
            }
            let mut name = base.to_string();
            let mut k = 1;
            while taken(&name) {
                k += 1;
                name = format!("{base}_{k}");
            }
            out.push(Measure { name, value });
        }
        out
    }

    fn stop(
        &mut self,
        path: &ast::Path,
        metric: &ast::Name,
        patience: &ast::Expr,
        measures: &[Measure],
    ) -> Option<Stop> {
        let rows = self.rows(path);
        let patience = self.positive(patience, "the patience");
        let found = match metric.text.as_str() {
            "loss" => Some(StopMetric::Loss),
            name => measures.iter().position(|m| m.name == name).map(StopMetric::Measure),
        };
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
        Some(Stop { rows: rows?, metric: found?, patience: patience? })
    }
}
