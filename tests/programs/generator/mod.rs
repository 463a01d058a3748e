//! Random well-typed `.dl` programs.
//!
//! Input: words. Output: the text of a whole program, and the columns of the data it declares. Invariants: the same
//! words give the same program, fewer or smaller words a simpler one; a program is accepted by every stage; values and
//! derivatives are moderate where the program is smooth.

mod choices;
mod expression;
mod functions;
mod layers;
mod rule;

pub use choices::Choices;

use expression::{Axes, Scope};
use functions::FUNCTIONS;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Around the lanes of a vector, and their tails.
const SIZES: [usize; 6] = [2, 1, 7, 8, 9, 17];

/// A column of the data.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    pub name: &'static str,
    /// The sizes of the axes after the rows.
    pub axes: Vec<u64>,
    pub values: Values,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Values {
    Any,
    /// Between 0 and 1.
    Share,
    /// -1 or 1.
    Sign,
    /// An integer below this.
    Class(i64),
}

#[derive(Clone, Debug)]
pub struct RandomProgram {
    pub text: String,
    /// The same program, in which some functions are defined by other formulas of the same value.
    pub otherwise: String,
    pub columns: Vec<Column>,
    /// Rows of a batch.
    pub rows: u64,
}

/// Writes a program; one whose first word is even has continuous derivatives.
pub fn random_program(words: &[u32]) -> RandomProgram {
    program(words, None)
}

/// As [`random_program`], with sizes from 1 to `most` and as many rows; elements may be sorted.
#[allow(dead_code, reason = "other tests use the generator too")]
pub fn random_program_up_to(words: &[u32], most: usize) -> RandomProgram {
    program(words, Some(most))
}

fn program(words: &[u32], most: Option<usize>) -> RandomProgram {
    let mut choices = Choices::new(words);
    let smooth = !choices.once_in(2);
    let rows = 1 + choices.below(most.unwrap_or(9)) as u64;
    let mut writer = Writer {
        choices,
        smooth,
        most,
        used: BTreeSet::new(),
        items: Vec::new(),
        layers: 0,
        matrices: false,
        state: false,
    };
    let (columns, minimize, measures) = writer.model();
    let using = writer.rule();
    let clauses = writer.clauses(minimize.contains(" over "));
    let spelled = |otherwise: bool| {
        let mut text = String::from("data d = safetensors(\"d.safetensors\")\n\n");
        for (_, plain, other) in FUNCTIONS.iter().filter(|f| writer.used.contains(f.0)) {
            let _ = writeln!(text, "{}\n", if otherwise { other } else { plain });
        }
        for item in &writer.items {
            let _ = writeln!(text, "{item}\n");
        }
        let _ = writeln!(text, "train {{\n    minimize {minimize}\n    on       d, batch {rows}\n    using    {using}");
        for clause in &clauses {
            let _ = writeln!(text, "    {clause}");
        }
        if !measures.is_empty() {
            let _ = writeln!(text, "    measure  {}", measures.join(", "));
        }
        text += "    steps    3\n}\n";
        text
    };
    RandomProgram { text: spelled(false), otherwise: spelled(true), columns, rows }
}

/// A program being written.
struct Writer<'w> {
    choices: Choices<'w>,
    /// Whether the objective has continuous derivatives, so that differences tell its gradient.
    smooth: bool,
    /// Sizes are from 1 to this, else those of `SIZES`.
    most: Option<usize>,
    /// The names of `FUNCTIONS` that are used.
    used: BTreeSet<&'static str>,
    /// Definitions, finished.
    items: Vec<String>,
    /// Own layers so far.
    layers: usize,
    /// Whether some parameter has two axes.
    matrices: bool,
    /// Whether some layer has state, so that its net can be applied once only.
    state: bool,
}

impl Writer<'_> {
    fn size(&mut self) -> usize {
        match self.most {
            Some(most) => 1 + self.choices.below(most),
            None => SIZES[self.choices.below(SIZES.len())],
        }
    }

    /// An expression over these values.
    fn expression(&mut self, names: &[(String, Axes)], squares: &[String], axes: Axes, depth: usize) -> String {
        let (choices, used, ranks) = (&mut self.choices, &mut self.used, self.most.is_some());
        let mut scope =
            Scope { choices, used, ranks, names: names.to_vec(), squares: squares.to_vec(), smooth: self.smooth };
        scope.expression(axes, depth)
    }

    /// Nets, a loss and penalties: the columns they read, the objective, and what is measured.
    fn model(&mut self) -> (Vec<Column>, String, Vec<String>) {
        let width = self.size();
        let mut classes = self.size();
        let mut columns = vec![Column { name: "x", axes: vec![width as u64], values: Values::Any }];
        let mut input = "x";
        if self.choices.once_in(4) {
            let (net, axes) = self.lookup(width);
            columns.push(Column { name: "words", axes, values: Values::Class(5) });
            input = net;
        }
        let two = self.choices.once_in(4);
        let (value, part) = if two {
            let middle = self.size();
            self.net("encoder", width, middle);
            self.net("head", middle, classes);
            (format!("head(encoder({input}))"), "head")
        } else {
            // The simplest net keeps its size.
            if self.choices.is_empty() {
                classes = width;
            }
            self.net("model", width, classes);
            (format!("model({input})"), "model")
        };
        let (mut minimize, column) = self.loss(&value, classes);
        columns.extend(column);
        if !two && !self.state && self.choices.once_in(4) {
            minimize += &self.slope_penalty(input);
        }
        if self.choices.once_in(2) {
            minimize += &self.penalty(part);
        }
        if two && self.choices.once_in(2) {
            minimize += " over head";
        }
        let mut measures = Vec::new();
        if let Some(column) = columns.last() {
            let name = column.name;
            match column.values {
                Values::Class(_) => measures.push(format!("accuracy({value}, {name})")),
                Values::Any => measures.push(format!("rmse({value}, {name}), worst = max(abs({value} - {name}))")),
                _ => measures.push(format!("spread_of = mean({value}^2)")),
            }
        }
        (columns, minimize, measures)
    }

    /// The objective of predictions `[N, classes]`, with the column it reads.
    fn loss(&mut self, value: &str, classes: usize) -> (String, Option<Column>) {
        let target = |values| Some(Column { name: "y", axes: vec![classes as u64], values });
        let class = Some(Column { name: "label", axes: Vec::new(), values: Values::Class(classes as i64) });
        let smooth = self.smooth;
        match self.choices.below(if smooth { 8 } else { 13 }) {
            0 => (format!("mse({value}, y)"), target(Values::Any)),
            1 | 2 => (format!("cross_entropy({value}, label)"), class),
            3 => (format!("soft_cross_entropy({value}, y)"), target(Values::Share)),
            4 => (format!("binary_cross_entropy({value}, y)"), target(Values::Share)),
            5 => {
                self.items.push("loss naive(z: [N, C], y: index(C)[N]) = -mean(log(softmax(z)[y]))".into());
                (format!("naive({value}, label)"), class)
            }
            6 | 7 => {
                let names = [("z".to_string(), Axes::Matrix), ("y".to_string(), Axes::Matrix)];
                let body = self.expression(&names, &[], Axes::Scalar, 3);
                self.items.push(format!("loss own(z: [N, C], y: [N, C]) = mean((z - y)^2) + tanh({body})"));
                (format!("own({value}, y)"), target(Values::Any))
            }
            8 => (format!("mae({value}, y)"), target(Values::Any)),
            9 => (format!("huber({value}, y, delta: 0.5)"), target(Values::Any)),
            10 => (format!("log_cosh({value}, y)"), target(Values::Any)),
            11 => (format!("hinge({value}, y)"), target(Values::Sign)),
            _ => {
                let body = "loss picked(z: [N, C], y: index(C)[N]) = mean(max(0, 1 - z[y] + mean(z * (1 - one_hot(y)) over C)))";
                self.items.push(body.into());
                (format!("picked({value}, label)"), class)
            }
        }
    }

    /// A term with the derivative of a net by its input: the gradient of the objective is of second order.
    fn slope_penalty(&mut self, input: &str) -> String {
        let inner =
            self.choices.pick(&["sum(f(x))", "sum(tanh(f(x)))", "mean(f(x)^2)", "sum(log(softmax(f(x))) * f(x))"]);
        let outer = self.choices.pick(&[
            "mean(sum(g^2 over D) over N)",
            "sqrt(0.1 + sum(g^2))",
            "mean(sum(g * x over D)^2 over N)",
            "mean(f(x) * mean(g^2))",
        ]);
        self.items.push(format!(
            "loss steepness(f: [N, D] -> [N, K], x: [N, D]) {{\n    g = grad({inner}, x)\n    {outer}\n}}"
        ));
        format!(" + 0.1 * steepness(model, {input})")
    }

    fn penalty(&mut self, net: &str) -> String {
        let set = match self.choices.below(3) {
            0 => "params",
            1 if self.matrices => "weights",
            _ => net,
        };
        let call = match self.choices.below(if self.smooth { 3 } else { 6 }) {
            0 => format!("l2({set})"),
            1 => {
                self.items.push("penalty own_penalty(w) = sum(log(1 + w^2)) + 0.5 * dot(w, tanh(w))".into());
                format!("own_penalty({set})")
            }
            2 => {
                self.items.push("penalty total(w; c = 0.1) = c * sqrt(1 + sum(w^2)) * mean(cos(w))".into());
                format!("total({set}, c: 0.3)")
            }
            3 => format!("l1({set})"),
            4 => format!("elastic({set}, ratio: 0.3)"),
            _ => {
                self.items.push("penalty greatest(w) = max(abs(w)) + norm(w)".into());
                format!("greatest({set})")
            }
        };
        format!(" + 0.01 * {call}")
    }
}
