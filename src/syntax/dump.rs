//! The text forms of tokens and trees, for reading and for tests.
//!
//! Structure is indentation, one node a line; expressions are written with the operator first and every level
//! in parentheses, so precedence shows. Items and statements carry their line and column.

use super::ast::{
    Arg, Block, Clause, ClauseKind, Definition, Expr, ExprKind, File, Item, ItemKind, Name, OnRows, OverAxis, Path,
    Statement, StatementKind, Stop, StopUnit, StopWhen, Then, UnaryOp,
};
use super::token::{Token, TokenKind, normalise};
use crate::source::{Files, Span};
use std::fmt::{Display, Write};

/// One line for each token: where it starts, what it is, its text, and the name it stands for if that differs.
pub fn dump_tokens(files: &Files, tokens: &[Token]) -> String {
    let mut out = String::new();
    for token in tokens {
        let (line, column) = files.line_column(token.span);
        let text = files.slice(token.span);
        let name = if token.kind == TokenKind::Ident { normalise(text) } else { text.to_string() };
        let place = format!("{line}:{column}");
        let kind = format!("{:?}", token.kind);
        let _ = write!(out, "{place:<7} {kind:<15} {text:?}");
        if name != text {
            let _ = write!(out, " = {name}");
        }
        out.push('\n');
    }
    out
}

/// The tree of a file.
pub fn dump_ast(files: &Files, file: &File) -> String {
    let mut dump = Dump { files, out: String::new(), depth: 0 };
    for item in &file.items {
        dump.item(item);
    }
    dump.out
}

struct Dump<'a> {
    files: &'a Files,
    out: String,
    depth: usize,
}

impl Dump<'_> {
    fn line(&mut self, text: impl Display) {
        for _ in 0..self.depth {
            self.out.push_str("  ");
        }
        let _ = writeln!(self.out, "{text}");
    }

    fn placed(&mut self, text: impl Display, span: Span) {
        let (line, column) = self.files.line_column(span);
        let end = Span { start: span.end, ..span };
        let (end_line, end_column) = self.files.line_column(end);
        self.line(format_args!("{text}  @ {line}:{column}-{end_line}:{end_column}"));
    }

    fn inside(&mut self, lines: impl FnOnce(&mut Self)) {
        self.depth += 1;
        lines(self);
        self.depth -= 1;
    }

    fn doc(&mut self, doc: &[String]) {
        for line in doc {
            self.line(format_args!("doc {line:?}"));
        }
    }

    fn item(&mut self, item: &Item) {
        match &item.kind {
            ItemKind::Definition(definition) => {
                self.placed(format_args!("{} {}", definition.kind, definition.name), item.span);
                self.inside(|dump| {
                    dump.doc(&item.doc);
                    dump.definition(definition);
                });
                return;
            }
            ItemKind::Data(data) => {
                let columns = match data.columns.as_slice() {
                    [] => String::new(),
                    columns => format!("({})", names(columns)),
                };
                let seed = data.seed.as_ref().map(|s| format!(" seed {}", expression(s))).unwrap_or_default();
                let text = format!("data {}{columns} = {}{seed}", data.name, expression(&data.source));
                self.placed(text, item.span);
            }
            ItemKind::Split(split) => {
                self.placed(format_args!("split {}", split.data), item.span);
                self.inside(|dump| {
                    for part in &split.parts {
                        dump.line(format_args!("part {} {}%", part.name, part.percent));
                    }
                    if let Some(column) = &split.stratified {
                        dump.line(format_args!("stratified by {column}"));
                    }
                    if let Some(seed) = &split.seed {
                        dump.line(format_args!("seed {}", expression(seed)));
                    }
                });
            }
            ItemKind::Standardize(standardize) => {
                let (what, by) = (path(&standardize.what), path(&standardize.by));
                self.placed(format_args!("standardize {what} by {by}"), item.span);
            }
            ItemKind::Constant(constant) => {
                self.placed(format_args!("constant {} = {}", constant.name, expression(&constant.value)), item.span);
            }
            ItemKind::Use(used) => {
                let alias = used.alias.as_ref().map(|name| format!(" as {name}")).unwrap_or_default();
                self.placed(format_args!("use {:?}{alias}", used.path), item.span);
            }
            ItemKind::Search(search) => {
                let random = search.random.as_ref().map(|n| format!(" {} random", expression(n))).unwrap_or_default();
                let by = format!("{}{}", on(search.data.as_ref()), search.metric);
                self.placed(format_args!("search{random} by {by}"), item.span);
                self.inside(|dump| {
                    for range in &search.ranges {
                        dump.line(format_args!("{} in {}", range.name, expressions(&range.values, ", ")));
                    }
                });
            }
            ItemKind::Train(train) => {
                self.placed("train", item.span);
                self.inside(|dump| train.clauses.iter().for_each(|clause| dump.clause(clause)));
            }
        }
        self.inside(|dump| dump.doc(&item.doc));
    }

    fn definition(&mut self, definition: &Definition) {
        for input in &definition.inputs {
            match &input.ty {
                Some(ty) => self.line(format_args!("input {}: {ty}", input.name)),
                None => self.line(format_args!("input {}", input.name)),
            }
        }
        for option in &definition.options {
            match &option.default {
                Some(default) => self.line(format_args!("option {} = {}", option.name, expression(default))),
                None => self.line(format_args!("option {}", option.name)),
            }
        }
        if let Some(result) = &definition.result {
            self.line(format_args!("result {result}"));
        }
        for require in &definition.requires {
            let text = match &require.divides {
                Some(whole) => format!("requires {} divides {}", expression(&require.value), expression(whole)),
                None => format!("requires {}", expression(&require.value)),
            };
            self.placed(text, require.span);
        }
        for line in &definition.body.statements {
            self.doc(&line.doc);
            self.placed(statement(line), line.span);
        }
        if let Some(value) = &definition.body.result {
            self.placed(format_args!("value {}", expression(value)), value.span);
        }
        if let Some(derivative) = &definition.derivative {
            let text = format!("derivative ({}) {}", names(&derivative.cotangents), block(&derivative.body));
            self.placed(text, derivative.span);
        }
    }

    fn clause(&mut self, clause: &Clause) {
        let text = match &clause.kind {
            ClauseKind::Minimize(player) => {
                let word = if player.maximize { "maximize" } else { "minimize" };
                let name = player.name.as_ref().map(|name| format!("{name} = ")).unwrap_or_default();
                let using = player.using.as_ref().map(|rule| format!(" using {}", expression(rule)));
                let over = after(" over ", &player.over);
                format!("{word} {name}{}{over}{}", expression(&player.objective), using.unwrap_or_default())
            }
            ClauseKind::On { rows: first, beside } => {
                let with = beside.as_ref().map(|second| format!(" with {}", rows(second)));
                format!("on {}{}", rows(first), with.unwrap_or_default())
            }
            ClauseKind::Using { optimizer, sets } => {
                format!("using {}{}", expression(optimizer), after(" for ", sets))
            }
            ClauseKind::Augment { names: columns, value } => {
                format!("augment {} = {}", names(columns), expression(value))
            }
            ClauseKind::Average { rule } => format!("average {}", expression(rule)),
            ClauseKind::Measure { metrics } => {
                let metrics: Vec<String> = metrics
                    .iter()
                    .map(|metric| match &metric.name {
                        Some(name) => format!("{name} = {}", expression(&metric.value)),
                        None => expression(&metric.value),
                    })
                    .collect();
                format!("measure {}", metrics.join(", "))
            }
            ClauseKind::Epochs { count } => format!("epochs {}", expression(count)),
            ClauseKind::Steps { count } => format!("steps {}", expression(count)),
            ClauseKind::Stop(Stop { data, metric, when, then }) => {
                let when = match when {
                    StopWhen::NotImproved { patience, unit } if *unit == StopUnit::Epochs => {
                        format!("patience {}", expression(patience))
                    }
                    StopWhen::NotImproved { patience, .. } => format!("patience {} evaluations", expression(patience)),
                    StopWhen::Below(bound) => format!("below {}", expression(bound)),
                    StopWhen::Above(bound) => format!("above {}", expression(bound)),
                };
                let then = match then {
                    None => String::new(),
                    Some(Then::Retrain { data, epochs }) => {
                        format!(" then retrain on {} by {}", path(data), if *epochs { "epochs" } else { "steps" })
                    }
                    Some(Then::Continue { data, most }) => {
                        format!(" then continue on {} at most {}", path(data), expression(most))
                    }
                };
                format!("stop {}{metric} {when}{then}", on(data.as_ref()))
            }
            ClauseKind::Watch { name, data, metric, patience } => {
                format!("watch {name} {}{metric} patience {}", on(data.as_ref()), expression(patience))
            }
            ClauseKind::Evaluate { steps } => format!("evaluate every {}", expression(steps)),
            ClauseKind::Folds { count } => format!("folds {}", expression(count)),
            ClauseKind::Ensemble { count, resampled } => {
                format!("ensemble {}{}", expression(count), if *resampled { " resampled" } else { "" })
            }
            ClauseKind::Keep { constraint, sets } => {
                format!("keep {}{}", expression(constraint), after(" for ", sets))
            }
            ClauseKind::Phase { name, clauses } => {
                self.placed(format_args!("phase {name}"), clause.span);
                return self.inside(|dump| clauses.iter().for_each(|clause| dump.clause(clause)));
            }
        };
        self.placed(text, clause.span);
    }
}

fn rows(rows: &OnRows) -> String {
    let batch = rows.batch.as_ref().map(|size| format!(" batch {}", expression(size))).unwrap_or_default();
    format!("{}{batch}{}", path(&rows.data), if rows.in_order { " in order" } else { "" })
}

/// The data before what is looked at there.
fn on(data: Option<&Path>) -> String {
    data.map(|data| format!("{} ", path(data))).unwrap_or_default()
}

fn path(path: &Path) -> String {
    let parts: Vec<&str> = path.parts.iter().map(|part| part.text.as_str()).collect();
    parts.join(".")
}

fn after(word: &str, sets: &[Expr]) -> String {
    if sets.is_empty() { String::new() } else { format!("{word}{}", expressions(sets, ", ")) }
}

fn expressions(exprs: &[Expr], between: &str) -> String {
    exprs.iter().map(expression).collect::<Vec<_>>().join(between)
}

fn names(names: &[Name]) -> String {
    names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(" ")
}

fn statement(statement: &Statement) -> String {
    match &statement.kind {
        StatementKind::Let { name, value } => format!("let {name} = {}", expression(value)),
        StatementKind::LetTuple { names: parts, value } => format!("let ({}) = {}", names(parts), expression(value)),
        StatementKind::LetIndexed { name, indices, value } => {
            format!("let {name}[{}] = {}", names(indices), expression(value))
        }
        StatementKind::Param { name, shape, init } => format!("param {name}: {shape} = {}", expression(init)),
        StatementKind::State { name, ty: Some(ty), init } => format!("state {name}: {ty} = {}", expression(init)),
        StatementKind::State { name, ty: None, init } => format!("state {name} = {}", expression(init)),
        StatementKind::Next { name, value } => format!("next {name} = {}", expression(value)),
        StatementKind::Shared { name, layer } => format!("shared {name} = {}", expression(layer)),
    }
}

/// An expression with the operator first: `(+ a (* b c))`.
pub fn expression(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Int(value) => value.to_string(),
        ExprKind::Float(value) => format!("{value:?}"),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Str(text) => format!("{text:?}"),
        ExprKind::Name(name) => name.clone(),
        ExprKind::Next(name) => format!("(next {name})"),
        ExprKind::Unary { op: UnaryOp::Neg, operand } => format!("(neg {})", expression(operand)),
        ExprKind::Unary { op: UnaryOp::Not, operand } => format!("(not {})", expression(operand)),
        ExprKind::Binary { op, left, right } => {
            format!("({} {} {})", op.symbol(), expression(left), expression(right))
        }
        ExprKind::Call { callee, args, over } => {
            let mut parts = vec![expression(callee)];
            parts.extend(args.iter().map(argument));
            if let Some(over) = over {
                let axes = over.axes.iter().map(|axis| match axis {
                    OverAxis::Label(name) => name.text.as_str(),
                    OverAxis::Pack(_) => "..",
                });
                let word = if over.per { "per" } else { "over" };
                parts.push(format!("{word}:{}", axes.collect::<Vec<_>>().join(",")));
            }
            format!("(call {})", parts.join(" "))
        }
        ExprKind::IndexReduce { reduction, indices, body } => {
            format!("({reduction} [{}] {})", names(indices), expression(body))
        }
        ExprKind::Pipe { value, callee } => format!("(|> {} {})", expression(value), expression(callee)),
        ExprKind::Index { base, indices } => format!("(index {} {})", expression(base), expressions(indices, " ")),
        ExprKind::Field { base, name } => format!("(. {} {name})", expression(base)),
        ExprKind::Wildcard { base } => format!("(.* {})", expression(base)),
        ExprKind::Transpose { base } => format!("(transpose {})", expression(base)),
        ExprKind::Tuple(parts) => format!("(tuple {})", expressions(parts, " ")),
        ExprKind::If { condition, then, otherwise } => {
            format!("(if {} {} {})", expression(condition), block(then), block(otherwise))
        }
        ExprKind::When { mode, then, otherwise } => format!("(when {mode} {} {})", block(then), block(otherwise)),
        ExprKind::For(repeat) => {
            let carried: Vec<String> = repeat
                .carried
                .iter()
                .map(|c| match &c.ty {
                    Some(ty) => format!("{}: {ty} = {}", c.name, expression(&c.init)),
                    None => format!("{} = {}", c.name, expression(&c.init)),
                })
                .collect();
            let (from, to) = (expression(&repeat.from), expression(&repeat.to));
            format!("(for {} {from} {to} ({}) {})", repeat.index, carried.join(", "), block(&repeat.body))
        }
        ExprKind::Shape(shape) => format!("(shape {shape})"),
        ExprKind::Marked { mark, value } => format!("({} {})", mark.keyword(), expression(value)),
    }
}

fn argument(arg: &Arg) -> String {
    match &arg.name {
        Some(name) => format!("{name}:{}", expression(&arg.value)),
        None => expression(&arg.value),
    }
}

fn block(block: &Block) -> String {
    let result = block.result.as_ref().map(|value| expression(value));
    if let (false, Some(value)) = (block.braced, &result) {
        return value.clone();
    }
    let lines: Vec<String> = block.statements.iter().map(statement).chain(result).collect();
    format!("{{{}}}", lines.join("; "))
}
