//! Random expressions over the axes N and C of one definition: `[N, C]`, `[C]`, `[N]` and `[]`.
//!
//! Values stay moderate: what could grow or has a pole is applied to something bounded.

use super::choices::Choices;
use super::functions::{PLAIN, RANKS};
use std::collections::BTreeSet;

/// The axes of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Axes {
    Scalar,
    Columns,
    Rows,
    Matrix,
}

const SMOOTH: &[&str] = &[
    "tanh(#)",
    "sigmoid(#)",
    "(-#)",
    "(0.5 * #)",
    "sin(#)",
    "cos(#)",
    "softplus(#)",
    "erf(#)",
    "gelu(#)",
    "gelu_tanh(#)",
    "silu(#)",
    "mish(#)",
    "log(1 + exp(#))",
    "log(sigmoid(#))",
    "sqrt(1 + #^2)",
    "exp(tanh(#))",
    "exp(-#^2)",
    "(1 / (1 + exp(-#)))",
    "tanh(#)^3",
    "expm1(tanh(#))",
    "log1p(#^2)",
    "(2^sin(#))",
    "((1 + #^2)^-0.5)",
    "log(2 + cos(#))",
    "((exp(#) - exp(-#)) / (exp(#) + exp(-#)))",
];

const KINKED: &[&str] = &[
    "relu(#)",
    "abs(#)",
    "leaky_relu(#)",
    "elu(#)",
    "selu(#)",
    "softsign(#)",
    "hard_tanh(#)",
    "hard_sigmoid(#, )",
    "sign(#)",
    "floor(2 * #)",
    "stop(#)",
    "leaky_relu(#, slope: 0.2)",
    "sqrt(abs(#))",
    "where(# > 0.1, #, sin(#))",
    "dropout(#, 0.3)",
    "gaussian_noise(#)",
    "(# * rademacher(like: #))",
    "max(#, 0.25)",
    "(# * uniform(like: #))",
    "where(not (# > 0) or # >= 1, #^2, 1)",
    "abs(#)^1.5",
    "log(abs(#) + 0.01)",
];

/// Names with their axes, and what may be used.
pub struct Scope<'s, 'w> {
    pub choices: &'s mut Choices<'w>,
    pub names: Vec<(String, Axes)>,
    /// Square matrices of size C.
    pub squares: Vec<String>,
    /// Whether every derivative is continuous and no draw is made.
    pub smooth: bool,
    /// Whether elements may be sorted.
    pub ranks: bool,
    /// The functions used.
    pub used: &'s mut BTreeSet<&'static str>,
}

impl Scope<'_, '_> {
    /// An expression of these axes that can be an operand of any operator.
    pub fn expression(&mut self, axes: Axes, depth: usize) -> String {
        if depth == 0 || self.choices.is_empty() {
            return self.leaf(axes);
        }
        match self.choices.below(12) {
            0 => self.leaf(axes),
            1 | 2 => self.unary(axes, depth),
            3 | 4 => {
                let (a, b) = (self.expression(axes, depth - 1), self.expression(axes, depth - 1));
                self.binary(&a, &b)
            }
            5 | 6 => {
                let Some(smaller) = self.smaller(axes) else { return self.leaf(axes) };
                let (a, b) = (self.expression(axes, depth - 1), self.expression(smaller, depth - 1));
                if self.choices.once_in(2) { self.binary(&b, &a) } else { self.binary(&a, &b) }
            }
            7 | 8 if axes == Axes::Matrix => self.matrix(depth),
            7 | 8 => self.reduction(axes, depth),
            9 if !self.smooth => {
                let [a, b, c] = [0; 3].map(|_| self.expression(axes, depth - 1));
                let bound = self.expression(Axes::Scalar, 0);
                let relation = self.choices.pick(&["<", ">", "<=", ">="]);
                format!("where({a} {relation} {bound}, {b}, {c})")
            }
            10 if !self.smooth => {
                let [a, b] = [0; 2].map(|_| self.expression(axes, depth - 1));
                let (c, d) = (self.expression(Axes::Scalar, depth - 1), self.expression(Axes::Scalar, 0));
                let word = self.choices.pick(&["if", "training"]);
                match word {
                    "if" => format!("(if {c} < {d} then {a} else {b})"),
                    _ => format!("(when training {a} else {b})"),
                }
            }
            _ => {
                let inner = self.expression(axes, depth - 1);
                format!("tanh({inner})")
            }
        }
    }

    fn leaf(&mut self, axes: Axes) -> String {
        let names: Vec<&String> = self.names.iter().filter(|(_, a)| *a == axes).map(|(n, _)| n).collect();
        let constant = axes == Axes::Scalar && (names.is_empty() || self.choices.once_in(2));
        if constant {
            return self.choices.pick(&["0.5", "1", "2", "0.1", "1.5", "(1/3)"]).to_string();
        }
        if !names.is_empty() {
            let k = self.choices.below(names.len());
            return names[k].clone();
        }
        self.reduction(axes, 0)
    }

    fn unary(&mut self, axes: Axes, depth: usize) -> String {
        let inner = self.expression(axes, depth - 1);
        let form =
            if !self.smooth && self.choices.once_in(2) { self.choices.pick(KINKED) } else { self.choices.pick(SMOOTH) };
        form.replace(", )", ")").replace('#', &inner)
    }

    fn binary(&mut self, a: &str, b: &str) -> String {
        let forms: &[&str] = if self.smooth { &BINARY[..6] } else { BINARY };
        self.choices.pick(forms).replace('#', a).replace('@', b)
    }

    /// Axes that go into these in one way.
    fn smaller(&mut self, axes: Axes) -> Option<Axes> {
        match axes {
            Axes::Matrix => Some([Axes::Columns, Axes::Rows, Axes::Scalar][self.choices.below(3)]),
            Axes::Columns | Axes::Rows => Some(Axes::Scalar),
            Axes::Scalar => None,
        }
    }

    fn reduction(&mut self, axes: Axes, depth: usize) -> String {
        let (from, over) = match axes {
            Axes::Columns => (Axes::Matrix, " over N"),
            Axes::Rows => (Axes::Matrix, " over C"),
            _ => match self.choices.below(4) {
                0 => (Axes::Matrix, ""),
                1 => (Axes::Columns, " over C"),
                2 => (Axes::Rows, " over N"),
                _ => (Axes::Matrix, " over N, C"),
            },
        };
        let inner = if depth == 0 {
            let matrix = self.names.iter().find(|(_, a)| *a == Axes::Matrix).map(|(n, _)| n.clone());
            let name = matrix.expect("a definition has a matrix");
            return match axes {
                Axes::Scalar => format!("mean({name})"),
                _ => format!("mean({name}{over})"),
            };
        } else {
            self.expression(from, depth - 1)
        };
        if axes == Axes::Rows && self.choices.once_in(5) {
            self.used.insert("neighbours");
            return format!("neighbours({inner})");
        }
        if axes == Axes::Columns && self.choices.once_in(4) {
            self.used.insert("spread");
            return format!("spread({inner})");
        }
        let smooth = &["mean(#@)", "sum(tanh(#)@)", "sqrt(1 + sum(#^2@))", "log(sum(exp(#)@))", "log(mean(exp(#)@))"];
        let kinked = &["max(#@)", "min(#@)", "norm(#@)", "mean(# > 0.5@)", "sum(sign(#) >= 0@)"];
        let form =
            if !self.smooth && self.choices.once_in(3) { self.choices.pick(kinked) } else { self.choices.pick(smooth) };
        form.replace('#', &inner).replace('@', over)
    }

    /// What only matrices have.
    fn matrix(&mut self, depth: usize) -> String {
        let inner = self.expression(Axes::Matrix, depth - 1);
        if self.ranks && self.choices.once_in(5) {
            let name = self.choices.pick(&RANKS);
            self.used.insert(name);
            return format!("{name}({inner})");
        }
        let (name, call) = match self.choices.below(13 + PLAIN.len()) {
            0 => return format!("softmax({inner})"),
            1 => return format!("log_softmax({inner})"),
            2 => return format!("log(softmax({inner}))"),
            3 => {
                let square = match self.squares.first() {
                    Some(name) => name.clone(),
                    None => {
                        self.used.insert("gram");
                        format!("gram({inner})")
                    }
                };
                let name = ["mix", "unmixed"][self.choices.below(2)];
                (name, format!("{name}({inner}, {square})"))
            }
            4 => {
                let (r, b) = (self.expression(Axes::Rows, depth - 1), self.expression(Axes::Columns, depth - 1));
                ("columnwise", format!("columnwise({inner}, {r}, {b})"))
            }
            5 => {
                let (r, b) = (self.expression(Axes::Rows, depth - 1), self.expression(Axes::Columns, depth - 1));
                ("outer", format!("({inner} + outer({r}, {b}))"))
            }
            6 => ("attend", format!("attend({inner})")),
            7 => ("normalized", format!("normalized({inner})")),
            8 => {
                self.used.insert("two_moments");
                ("whitened", format!("whitened({inner})"))
            }
            9 => {
                self.used.insert("bent");
                ("twice", format!("twice(bent, {inner})"))
            }
            10 => ("slope", format!("slope({inner})")),
            11 => ("curvature", format!("tanh(curvature({inner}))")),
            12 => {
                return format!(
                    "(exp({inner} - max({inner} over C)) / sum(exp({inner} - max({inner} over C)) over C))"
                );
            }
            k => {
                let (name, helper) = PLAIN[k - 13];
                self.used.extend(helper);
                (name, format!("{name}({inner})"))
            }
        };
        self.used.insert(name);
        call
    }
}

const BINARY: &[&str] = &[
    "(# + @)",
    "(# * @)",
    "(# - @)",
    "(# / (1 + @^2))",
    "((1 + #^2)^tanh(@))",
    "sin(# * @)",
    "max(#, @)",
    "min(#, @)",
    "where(# > @, #, @)",
    "abs(# - @)",
    "(# * where(@ < 0.3, 1, 0.5))",
];
