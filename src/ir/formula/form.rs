//! Expressions as they are written: sums of terms, products of factors, powers, products of matrices, calls.
//!
//! Invariants: a sum has no sum and no number twice among its terms, a product no product among its factors; the widest
//! value stands first, so that each next one broadcasts into what stands before it. Rules of exact algebra apply here (x·x is
//! x², terms with a common denominator share it): the text says what is computed, not in which order it is rounded.

use super::axes::Class;
use crate::ir::{DType, NodeId};

/// An expression, the axes its value has, and the node it stands for.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub kind: Kind,
    pub axes: Vec<Class>,
    pub node: Option<NodeId>,
}

impl PartialEq for Form {
    fn eq(&self, other: &Form) -> bool {
        self.kind == other.kind
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Kind {
    /// An input or another word that stands for itself.
    Word(String),
    /// The name of a bound value.
    Bound(NodeId),
    Number(f64),
    /// Name, arguments, and what follows them within the parentheses.
    Call(String, Vec<Form>, String),
    /// Coefficients and terms.
    /// An argument by name: `like: x`.
    Labelled(&'static str, Box<Form>),
    Sum(Vec<(f64, Form)>),
    Product(Product),
    Power(Box<Form>, Box<Form>),
    MatMul(Box<Form>, Box<Form>),
    Transpose(Box<Form>),
    /// Operands of an infix operator that is not arithmetic.
    Infix(&'static str, Precedence, Box<Form>, Box<Form>),
    Not(Box<Form>),
    /// What stands in the brackets.
    Index(Box<Form>, Vec<Form>),
    /// `sum(i, j) body`.
    Over(&'static str, Vec<String>, Box<Form>),
}

/// `up / down · numerator / denominator`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Product {
    pub up: f64,
    pub down: f64,
    pub numerator: Vec<Form>,
    pub denominator: Vec<Form>,
}

/// How tightly an expression binds, as in the grammar of `.dl`.
pub(super) type Precedence = u8;
pub(super) const OR: Precedence = 3;
pub(super) const AND: Precedence = 4;
const NOT: Precedence = 5;
pub(super) const COMPARISON: Precedence = 6;
const SUM: Precedence = 7;
const REDUCTION: Precedence = 8;
const PRODUCT: Precedence = 9;
const NEGATION: Precedence = 10;
const POWER: Precedence = 11;
const POSTFIX: Precedence = 12;

impl Form {
    pub fn new(kind: Kind, axes: &[Class]) -> Form {
        Form { kind, axes: axes.to_vec(), node: None }
    }

    pub fn word(text: impl Into<String>, axes: &[Class]) -> Form {
        Form::new(Kind::Word(text.into()), axes)
    }

    pub fn number(value: f64) -> Form {
        Form::new(Kind::Number(value), &[])
    }

    pub fn call(name: &str, args: Vec<Form>, axes: &[Class]) -> Form {
        Form::new(Kind::Call(name.to_owned(), args, String::new()), axes)
    }

    pub fn of(mut self, node: NodeId) -> Form {
        self.node = Some(node);
        self
    }

    pub fn is_number(&self, value: f64) -> bool {
        matches!(self.kind, Kind::Number(v) if v == value)
    }

    /// A name, a number, or so little around it that a name of its own would say less.
    pub fn is_short(&self) -> bool {
        let atom = |f: &Form| matches!(f.kind, Kind::Word(_) | Kind::Bound(_) | Kind::Number(_));
        match &self.kind {
            Kind::Transpose(inner) => atom(inner),
            Kind::Call(name, args, _) => name == "one_hot" && args.iter().all(atom),
            Kind::Infix(_, _, a, b) => atom(a) && atom(b),
            Kind::Product(p) => p.numerator.len() + p.denominator.len() <= 1 && self.axes.is_empty(),
            Kind::Sum(terms) => terms.iter().all(|(_, t)| atom(t)) && self.axes.is_empty(),
            _ => atom(self),
        }
    }

    fn as_product(&self) -> Product {
        match &self.kind {
            Kind::Product(p) => p.clone(),
            Kind::Number(v) => Product { up: *v, down: 1.0, numerator: Vec::new(), denominator: Vec::new() },
            _ => Product { up: 1.0, down: 1.0, numerator: vec![self.clone()], denominator: Vec::new() },
        }
    }

    fn as_terms(&self) -> Vec<(f64, Form)> {
        match &self.kind {
            Kind::Sum(terms) => terms.clone(),
            Kind::Product(p) if p.up.abs() != 1.0 && p.down == 1.0 && p.numerator.len() + p.denominator.len() > 0 => {
                let bare = Product { up: 1.0, ..p.clone() };
                vec![(p.up, bare.form(&self.axes))]
            }
            Kind::Product(p) if p.up < 0.0 => {
                let positive = Product { up: -p.up, ..p.clone() };
                vec![(-1.0, positive.form(&self.axes))]
            }
            Kind::Number(v) if *v < 0.0 => vec![(-1.0, Form::number(-v))],
            _ => vec![(1.0, self.clone())],
        }
    }

    /// Every node that is referred to by name, once for each time.
    pub fn references(&self, out: &mut Vec<NodeId>) {
        match &self.kind {
            Kind::Bound(id) => out.push(*id),
            Kind::Word(_) | Kind::Number(_) => {}
            Kind::Call(_, args, _) => args.iter().for_each(|a| a.references(out)),
            Kind::Sum(terms) => terms.iter().for_each(|(_, t)| t.references(out)),
            Kind::Product(p) => p.numerator.iter().chain(&p.denominator).for_each(|f| f.references(out)),
            Kind::Transpose(a) | Kind::Not(a) | Kind::Over(_, _, a) | Kind::Labelled(_, a) => a.references(out),
            Kind::Power(a, b) | Kind::MatMul(a, b) | Kind::Infix(_, _, a, b) => {
                a.references(out);
                b.references(out);
            }
            Kind::Index(base, indices) => {
                base.references(out);
                indices.iter().for_each(|i| i.references(out));
            }
        }
    }
}

/// `a · b`, of axes `axes`.
pub(super) fn times(a: &Form, b: &Form, axes: &[Class]) -> Form {
    let (mut p, q) = (a.as_product(), b.as_product());
    p.up *= q.up;
    p.down *= q.down;
    p.numerator.extend(q.numerator);
    p.denominator.extend(q.denominator);
    p.form(axes)
}

/// `a / b`, of axes `axes`.
pub(super) fn over(a: &Form, b: &Form, axes: &[Class]) -> Form {
    let (mut p, q) = (a.as_product(), b.as_product());
    p.up *= q.down;
    p.down *= q.up;
    p.numerator.extend(q.denominator);
    p.denominator.extend(q.numerator);
    p.form(axes)
}

pub(super) fn power(base: &Form, exponent: &Form, axes: &[Class]) -> Form {
    Form::new(Kind::Power(Box::new(base.clone()), Box::new(exponent.clone())), axes)
}

/// `a + sign · b`, of axes `axes`.
pub(super) fn plus(a: &Form, sign: f64, b: &Form, axes: &[Class]) -> Form {
    let mut terms: Vec<(f64, Form)> = Vec::new();
    let added = b.as_terms().into_iter().map(|(c, t)| (sign * c, t));
    for (coefficient, term) in a.as_terms().into_iter().chain(added) {
        let numeric = matches!(term.kind, Kind::Number(_));
        let same = |known: &&mut (f64, Form)| match (&known.1.kind, numeric) {
            (Kind::Number(_), true) => true,
            (_, true) | (Kind::Number(_), _) => false,
            _ => known.1 == term,
        };
        match terms.iter_mut().find(same) {
            Some((_, known)) if numeric && known.axes.is_empty() && term.axes.is_empty() => {
                terms = added_number(terms, coefficient, &term);
            }
            Some((known, _)) if !numeric => *known += coefficient,
            _ => terms.push((coefficient, term)),
        }
    }
    sum(terms, axes)
}

/// Adds a number to the one among the terms.
fn added_number(terms: Vec<(f64, Form)>, coefficient: f64, term: &Form) -> Vec<(f64, Form)> {
    let Kind::Number(more) = term.kind else { return terms };
    let add = |(c, t): (f64, Form)| match t.kind {
        Kind::Number(v) => {
            let total = c * v + coefficient * more;
            (if total < 0.0 { -1.0 } else { 1.0 }, Form::number(total.abs()))
        }
        _ => (c, t),
    };
    terms.into_iter().map(add).collect()
}

/// A sum of terms: common denominators and a common coefficient are put before or below it.
pub(super) fn sum(mut terms: Vec<(f64, Form)>, axes: &[Class]) -> Form {
    terms.retain(|(c, t)| *c != 0.0 && !t.is_number(0.0));
    if terms.is_empty() {
        return Form::number(0.0);
    }
    if let [(c, only)] = terms.as_slice() {
        return times(&Form::number(*c), only, axes);
    }
    // Positive terms first among equally wide ones, then those without a coefficient; a number that all else is taken
    // from stands first, as in 1 - h².
    terms.sort_by_key(|(c, t)| (usize::MAX - t.axes.len(), *c < 0.0, c.abs() != 1.0));
    if let Some(first) = terms.iter().position(|(c, t)| matches!(t.kind, Kind::Number(_)) && *c > 0.0)
        && terms.iter().enumerate().all(|(k, (c, _))| k == first || *c < 0.0)
    {
        let number = terms.remove(first);
        terms.insert(0, number);
    }
    let products: Vec<(f64, Product)> = terms.iter().map(|(c, t)| (*c, t.as_product())).collect();
    let common: Vec<Form> = products[0].1.denominator.clone();
    let shared: Vec<Form> =
        common.into_iter().filter(|d| products.iter().all(|(_, p)| p.denominator.contains(d))).collect();
    let down = products[0].1.down;
    let same_down = down != 1.0 && products.iter().all(|(_, p)| p.down == down);
    if shared.is_empty() && !same_down {
        return Form::new(Kind::Sum(terms), axes);
    }
    let reduced = products.into_iter().zip(&terms).map(|((c, mut p), (_, t))| {
        for d in &shared {
            if let Some(at) = p.denominator.iter().position(|x| x == d) {
                p.denominator.remove(at);
            }
        }
        if same_down {
            p.down = 1.0;
        }
        (c, p.form(&t.axes))
    });
    let inner = sum(reduced.collect(), axes);
    let mut whole = inner.as_product();
    whole.denominator.extend(shared);
    if same_down {
        whole.down *= down;
    }
    whole.form(axes)
}

impl Product {
    /// The product in its tidiest form.
    pub fn form(mut self, axes: &[Class]) -> Form {
        if self.up == 0.0 {
            return Form::number(0.0);
        }
        if self.down < 0.0 {
            (self.up, self.down) = (-self.up, -self.down);
        }
        let quotient = self.up / self.down;
        let part = 1.0 / quotient.abs();
        if part > 4.0 && part <= 65536.0 && part.log2().fract() == 0.0 {
            // A power of two, such as the 16 that became a factor of 0.0625.
            (self.up, self.down) = (quotient.signum(), part);
        } else if quotient.fract() == 0.0 || self.numerator.is_empty() && self.denominator.is_empty() {
            (self.up, self.down) = (quotient, 1.0);
        } else if self.up.abs() != 1.0 && self.down != 1.0 {
            (self.up, self.down) = (rounded(quotient), 1.0);
        }
        self.numerator = merged(std::mem::take(&mut self.numerator));
        self.denominator = merged(std::mem::take(&mut self.denominator));
        if self.numerator.is_empty() && self.denominator.is_empty() {
            return Form::number(self.up);
        }
        if self.up == 1.0 && self.down == 1.0 && self.denominator.is_empty() && self.numerator.len() == 1 {
            let mut only = self.numerator.remove(0);
            if only.axes.len() < axes.len() {
                only.axes = axes.to_vec();
            }
            return only;
        }
        // A product of matrices needs no parentheses where it stands first; scalars of sizes stand last.
        let rank = |f: &Form| (usize::MAX - f.axes.len(), !matches!(f.kind, Kind::MatMul(..)));
        self.numerator.sort_by_key(rank);
        Form::new(Kind::Product(self), axes)
    }
}

/// Equal factors as powers.
fn merged(factors: Vec<Form>) -> Vec<Form> {
    let mut out: Vec<(Form, f64)> = Vec::new();
    for factor in factors {
        let (base, exponent) = match &factor.kind {
            Kind::Power(base, exponent) => match exponent.kind {
                Kind::Number(n) => ((**base).clone(), n),
                _ => (factor.clone(), 1.0),
            },
            _ => (factor.clone(), 1.0),
        };
        match out.iter_mut().find(|(known, _)| *known == base) {
            Some((_, n)) if exponent > 0.0 && *n > 0.0 => *n += exponent,
            _ => out.push((base, exponent)),
        }
    }
    let form = |(base, n): (Form, f64)| {
        if n == 1.0 {
            return base;
        }
        let axes = base.axes.clone();
        power(&base, &Form::number(n), &axes)
    };
    out.into_iter().map(form).collect()
}

/// To seven digits, as many as a constant of the program may have had.
fn rounded(value: f64) -> f64 {
    format!("{value:.6e}").parse().unwrap_or(value)
}

/// The shortest decimal number that the element type rounds to `value`.
pub(super) fn shortest(value: f64, dtype: DType) -> f64 {
    if dtype == DType::F32 { (value as f32).to_string().parse().unwrap_or(value) } else { value }
}

/// A number as it is written in `.dl`.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let (plain, scientific) = (format!("{value}"), format!("{value:e}"));
    if plain.len() > scientific.len() + 1 { scientific } else { plain }
}

/// Writes forms; bound values by the names it is given.
pub(super) struct Writer<'a> {
    pub name: &'a dyn Fn(NodeId) -> String,
}

impl Writer<'_> {
    pub fn text(&self, form: &Form) -> String {
        self.at(form, 0)
    }

    fn at(&self, form: &Form, least: Precedence) -> String {
        let (text, precedence) = self.bare(form);
        if precedence < least { format!("({text})") } else { text }
    }

    fn list(&self, forms: &[Form]) -> String {
        forms.iter().map(|f| self.text(f)).collect::<Vec<_>>().join(", ")
    }

    fn bare(&self, form: &Form) -> (String, Precedence) {
        match &form.kind {
            Kind::Word(text) => (text.clone(), POSTFIX),
            Kind::Bound(id) => ((self.name)(*id), POSTFIX),
            Kind::Number(v) => (number(*v), if *v < 0.0 { NEGATION } else { POSTFIX }),
            Kind::Call(name, args, rest) => (format!("{name}({}{rest})", self.list(args)), POSTFIX),
            Kind::Labelled(name, a) => (format!("{name}: {}", self.text(a)), POSTFIX),
            Kind::Sum(terms) => (self.sum(terms), SUM),
            Kind::Product(p) => (self.product(p), PRODUCT),
            Kind::Power(a, b) => {
                let exponent = match b.kind {
                    Kind::Number(2.0) => "²".to_owned(),
                    _ => format!("^{}", self.at(b, NEGATION)),
                };
                (format!("{}{exponent}", self.at(a, POSTFIX)), POWER)
            }
            Kind::MatMul(a, b) => {
                let left = match a.kind {
                    Kind::MatMul(..) => PRODUCT,
                    _ => NEGATION + 1,
                };
                (format!("{} @ {}", self.at(a, left), self.at(b, NEGATION + 1)), PRODUCT)
            }
            Kind::Transpose(a) => (format!("{}ᵀ", self.at(a, POSTFIX)), POSTFIX),
            Kind::Infix(op, precedence, a, b) => {
                (format!("{} {op} {}", self.at(a, *precedence + 1), self.at(b, *precedence + 1)), *precedence)
            }
            Kind::Not(a) => (format!("not {}", self.at(a, NOT)), NOT),
            Kind::Index(base, indices) => (format!("{}[{}]", self.at(base, POSTFIX), self.list(indices)), POSTFIX),
            Kind::Over(name, indices, body) => {
                (format!("{name}({}) {}", indices.join(", "), self.at(body, PRODUCT)), REDUCTION)
            }
        }
    }

    fn sum(&self, terms: &[(f64, Form)]) -> String {
        let mut out = String::new();
        for (k, (c, term)) in terms.iter().enumerate() {
            let magnitude = times(&Form::number(c.abs()), term, &term.axes);
            // A first term with a minus sign reads as a negation, which binds tighter than a product.
            let text = self.at(&magnitude, REDUCTION);
            match (k, *c < 0.0) {
                (0, false) => out += &text,
                (0, true) => out += &format!("-{text}"),
                (_, false) => out += &format!(" + {text}"),
                (_, true) => out += &format!(" - {text}"),
            }
        }
        out
    }

    fn product(&self, p: &Product) -> String {
        let mut out = String::new();
        if p.up == -1.0 && !p.numerator.is_empty() {
            out.push('-');
        } else if p.up != 1.0 || p.numerator.is_empty() {
            out += &number(p.up);
            out += if p.numerator.is_empty() { "" } else { " * " };
        }
        for (k, factor) in p.numerator.iter().enumerate() {
            // c * A @ B reads as (c * A) @ B, which is the same.
            let least = if k == 0 { PRODUCT } else { NEGATION + 1 };
            out += if k == 0 { "" } else { " * " };
            out += &self.at(factor, least);
        }
        for factor in &p.denominator {
            out += &format!(" / {}", self.at(factor, NEGATION + 1));
        }
        if p.down != 1.0 {
            out += &format!(" / {}", number(p.down));
        }
        out
    }
}
