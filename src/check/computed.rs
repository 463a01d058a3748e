//! Constants that are computed from whole columns: `counts = sum(one_hot(digits.train.label) over N)`.
//!
//! What is no arithmetic of numbers becomes a definition without inputs, checked with the others in the order of their uses. The
//! columns it reads are its locals, each with as many rows as the part it belongs to: a size that its value must not have.

use super::constant;
use super::globals::Globals;
use super::schema::ColumnKind;
use super::scope::{Checker, poison};
use super::shape::implied_label;
use super::typed::{
    Axis, DataArgument, DataId, DataSet, DataValue, Element, Expr, ExprKind, Origin, Rows, TensorType, Type,
    WholeColumn,
};
use crate::ir::Size;
use crate::source::{Diagnostic, Span, closest, codes};
use crate::syntax::ast::{self, ExprKind as Ast, ItemKind};
use std::collections::{BTreeMap, BTreeSet};

/// What the columns of a constant's own are called in their types.
const ROWS: &str = "N";

/// The constants of a file that have to be computed, as definitions of their names.
pub fn definitions(file: &ast::File) -> Vec<ast::Definition> {
    let constants: Vec<&ast::Constant> = file
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            ItemKind::Constant(constant) => Some(constant),
            _ => None,
        })
        .collect();
    // Arithmetic of a computed constant is computed too.
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut found: Vec<&str> = Vec::new();
    for c in &constants {
        let mut used = BTreeSet::new();
        constant::collect(&c.value, &mut used);
        used.into_iter().for_each(|name| users.entry(name).or_default().push(&c.name.text));
        if !is_arithmetic(&c.value) {
            found.push(&c.name.text);
        }
    }
    let mut computed: BTreeSet<&str> = BTreeSet::new();
    while let Some(name) = found.pop() {
        if computed.insert(name) {
            found.extend(users.get(name).into_iter().flatten());
        }
    }
    constants.into_iter().filter(|c| computed.contains(c.name.text.as_str())).map(definition).collect()
}

/// Whether an expression is no more than arithmetic of names and numbers, or nothing that could be computed.
fn is_arithmetic(e: &ast::Expr) -> bool {
    match &e.kind {
        Ast::Unary { operand, .. } => is_arithmetic(operand),
        Ast::Binary { left, right, .. } => is_arithmetic(left) && is_arithmetic(right),
        Ast::Call { .. } | Ast::Pipe { .. } | Ast::Index { .. } | Ast::IndexReduce { .. } => false,
        Ast::If { .. } | Ast::Transpose { .. } | Ast::Field { .. } | Ast::For(_) => false,
        _ => true,
    }
}

/// `fn`, without inputs, of what the constant is.
fn definition(constant: &ast::Constant) -> ast::Definition {
    let span = constant.value.span;
    ast::Definition {
        kind: ast::Kind::Fn,
        kind_span: constant.name.span,
        name: constant.name.clone(),
        inputs: Vec::new(),
        options: Vec::new(),
        result: None,
        requires: Vec::new(),
        body: ast::Block {
            statements: Vec::new(),
            result: Some(Box::new(constant.value.clone())),
            braced: false,
            span,
        },
        derivative: None,
    }
}

/// The part of a data set that rows are, as it is written.
fn written(globals: &Globals, rows: Rows) -> String {
    let set = &globals.data[rows.data.0 as usize];
    match rows.part.and_then(|part| set.parts.get(part)) {
        Some(part) => format!("{}.{}", set.name, part.name),
        None => set.name.clone(),
    }
}

impl Checker<'_> {
    /// `digits.train.label`: every row of a column of a part, or of all of a data set.
    pub fn whole_column(&mut self, e: &ast::Expr) -> Expr {
        let Some(mut parts) = names(e) else {
            let error = Diagnostic::new(codes::NOT_A_CONSTANT, "a column is named by a path")
                .at(e.span, "this is none")
                .help("write `digits.train.label`: the data set, its part, the column");
            return self.fail(e.span, error);
        };
        let column = parts.pop().unwrap_or(ast::Name { text: String::new(), span: e.span });
        let span = parts.iter().map(|name| name.span).reduce(Span::to).unwrap_or(e.span);
        let path = ast::Path { parts, span };
        let Some(rows) = self.rows(&path) else { return poison(e.span) };
        let input = format!("{}.{}", written(self.globals, rows), column.text);
        if let Some(known) = self.whole.iter().flatten().find(|c| c.input == input) {
            let local = known.local;
            return self.read(local, e.span);
        }
        let set = &self.globals.data[rows.data.0 as usize];
        if let Some(place) = streamed(set) {
            let error = Diagnostic::new(codes::NOT_A_CONSTANT, "a constant is computed from data in memory")
                .at(e.span, format!("`{}` is read block by block", set.name))
                .at(place, "because of this")
                .help("leave out `stream: true`, or give the constant its numbers");
            return self.fail(e.span, error);
        }
        let Some(schema) = self.globals.schemas.get(&set.name) else { return poison(e.span) };
        let Some(found) = schema.column(&column.text) else {
            let known: Vec<&str> = schema.columns.iter().map(|c| c.name.as_str()).collect();
            let mut error = Diagnostic::new(
                codes::UNKNOWN_NAME,
                format!("`{}` has no column `{}`", written(self.globals, rows), column.text),
            )
            .at(column.span, "unknown here")
            .at(set.span, format!("`{}` is declared here", set.name));
            error = match closest(&column.text, known.iter().copied()) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.note(format!("its columns are {}", known.join(", "))),
            };
            return self.fail(e.span, error);
        };
        let count = Size::symbol(&written(self.globals, rows));
        let mut axes = vec![Axis::Sized { label: implied_label(&Size::symbol(ROWS)), size: count }];
        axes.extend(found.axes.iter().map(|n| Axis::Sized { label: None, size: Size::constant(*n) }));
        let standardized = set.standardized.iter().any(|s| s.column.as_ref() == Some(&column.text));
        let element = match found.kind {
            ColumnKind::Int { .. } if !standardized => Element::Int,
            ColumnKind::Float | ColumnKind::Int { .. } => Element::Float,
        };
        let ty = Type::Tensor(TensorType { element, axes });
        let local = self.new_local(&input, ty, set.span, Origin::Column);
        self.columns.insert(local, (rows.data, column.text.clone()));
        let column = WholeColumn { local, rows, name: column.text, input };
        self.whole.get_or_insert_default().push(column);
        self.read(local, e.span)
    }

    /// The error for a path to data where no constant is computed.
    pub fn column_elsewhere(&mut self, e: &ast::Expr) -> Option<Expr> {
        let parts = names(e)?;
        let head = parts.first()?.text.as_str();
        let set = self.globals.data.iter().find(|d| d.name == head)?;
        if self.global(head).is_some() || self.lookup(head).is_some() {
            return None;
        }
        let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, "a column as a whole is read by constants only")
            .at(e.span, format!("`{head}` is a data set"))
            .at(set.span, "declared here")
            .help(format!("compute what is wanted of it at the top of the file: `c = mean({e} over N)`"));
        Some(self.fail(e.span, error))
    }

    /// A column of integers as an index of as many classes as the whole data set has; anything else as it is.
    pub fn column_of_classes(&mut self, e: Expr) -> Expr {
        let integers = matches!(&e.ty, Type::Tensor(t) if t.element == Element::Int);
        match self.classes_of(&e).filter(|_| integers) {
            Some(classes) => self.column_as_index(e, classes),
            None => e,
        }
    }

    fn classes_of(&self, e: &Expr) -> Option<u64> {
        let ExprKind::Local(id) = &e.kind else { return None };
        let (data, name): &(DataId, String) = self.columns.get(id)?;
        let set = &self.globals.data[data.0 as usize];
        match self.globals.schemas.get(&set.name)?.column(name)?.kind {
            ColumnKind::Int { min, max } if min >= 0 => u64::try_from(max).ok()?.checked_add(1),
            _ => None,
        }
    }

    /// The value of a computed constant: a tensor of numbers whose size is known.
    pub fn constant_value(&mut self, name: &str, ty: &Type, span: Span) -> bool {
        let fits = match ty {
            Type::Error => return false,
            Type::Tensor(t) if t.element == Element::Bool => Err("turn truth values into numbers: `where(c, 1, 0)`"),
            Type::Tensor(t) => {
                let known =
                    t.axes.iter().all(|a| matches!(a, Axis::Sized { size, .. } if size.as_constant().is_some()));
                if known { Ok(()) } else { Err("reduce the rows: `sum(... over N)`, `mean(... over N)`") }
            }
            _ => Err("name one tensor"),
        };
        let Err(help) = fits else { return true };
        let error = Diagnostic::new(codes::NOT_A_CONSTANT, "a constant is a tensor of numbers whose size is known")
            .at(span, format!("`{name}` is {}", self.describe(ty)))
            .help(help);
        self.report(error);
        false
    }
}

/// The names of a path.
fn names(e: &ast::Expr) -> Option<Vec<ast::Name>> {
    match &e.kind {
        Ast::Name(text) => Some(vec![ast::Name { text: text.clone(), span: e.span }]),
        Ast::Field { base, name } => {
            let mut parts = names(base)?;
            parts.push(name.clone());
            Some(parts)
        }
        _ => None,
    }
}

/// Where a data set says that it is streamed.
fn streamed(set: &DataSet) -> Option<Span> {
    let asked = |a: &&DataArgument| a.name.as_deref() == Some("stream") && a.value == DataValue::Bool(true);
    set.arguments.iter().find(asked).map(|a| a.span)
}

#[cfg(test)]
mod tests {
    use super::definitions;
    use crate::source::Files;
    use crate::syntax::parse;

    #[test]
    fn arithmetic_of_what_is_computed_is_computed() {
        let text = "a = 2\nb = 3 * a\nd = c + a\nc = mean(x.y over N)\ne = -d^2\n";
        let mut files = Files::default();
        let file = files.add("a.dl", text);
        let (tree, errors) = parse(file, files.text(file));
        assert!(errors.is_empty());
        let names: Vec<String> = definitions(&tree).into_iter().map(|d| d.name.text).collect();
        assert_eq!(names, ["d", "c", "e"]);
    }
}
