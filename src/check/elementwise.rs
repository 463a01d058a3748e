//! Elementwise operations: elements made equal, shapes made equal, sets mapped over.

use super::scope::{Checker, poison, tensor};
use super::shape::{Fit, fit};
use super::typed::{Axis, Element, Expr, ExprKind, Label, TensorType, Type, same_extent};
use crate::ir::{Op, primitive as p};
use crate::source::{Diagnostic, Span, codes};

/// Whether an axis is labelled by what it is to its parameter.
fn is_role(axis: &Axis) -> bool {
    matches!(axis, Axis::Sized { label: Some(label), .. } if matches!(&**label, "fan_in" | "fan_out"))
}

/// The axes of a parameter with the roles that they have: those that are written, else `fan_out` is the last axis and `fan_in` the
/// one before, unless these have other labels.
pub fn with_roles(mut axes: Vec<Axis>) -> Vec<Axis> {
    if axes.iter().any(is_role) {
        return axes;
    }
    for (axis, role) in axes.iter_mut().rev().zip(["fan_out", "fan_in"]) {
        if let Axis::Sized { label: label @ None, .. } = axis {
            *label = Some(role.into());
        }
    }
    axes
}

/// Axes of which roles are no labels.
pub fn without_roles(mut axes: Vec<Axis>) -> Vec<Axis> {
    for axis in axes.iter_mut().filter(|axis| is_role(axis)) {
        if let Axis::Sized { label, .. } = axis {
            *label = None;
        }
    }
    axes
}

/// Roles say what an axis is to its parameter, not which axes of two parameters go together: `a.W - b.W.T`. Where those of two
/// operands stand differently, they are no labels.
fn forget_roles(operands: &mut [Expr]) {
    let labels = |e: &Expr| -> Vec<Option<Label>> {
        let label = |axis: &Axis| match axis {
            Axis::Sized { label, .. } => label.clone().filter(|_| is_role(axis)),
            Axis::Pack(_) => None,
        };
        e.axes().iter().map(label).collect()
    };
    let mut with_roles = operands.iter().filter(|e| e.axes().iter().any(is_role)).map(labels);
    let Some(first) = with_roles.next() else { return };
    if with_roles.all(|other| other == first) {
        return;
    }
    for e in operands {
        if let Type::Tensor(t) = &mut e.ty {
            t.axes = without_roles(std::mem::take(&mut t.axes));
        }
    }
}

impl Checker<'_> {
    /// A number as a float; nothing else changes.
    pub fn float(&mut self, e: Expr) -> Expr {
        match &e.ty {
            Type::Tensor(t) if !matches!(t.element, Element::Float) => self.convert(e, Element::Float),
            Type::Set(Element::Float) => e,
            Type::Set(_) => {
                let span = e.span;
                Expr { kind: ExprKind::Convert(Box::new(e)), ty: Type::Set(Element::Float), span }
            }
            _ => e,
        }
    }

    /// The same number with another element.
    pub fn convert(&mut self, e: Expr, element: Element) -> Expr {
        let Expr { kind, ty, span } = e;
        match (kind, ty) {
            (ExprKind::Number(n), Type::Tensor(_)) => super::scope::number(n, element, span),
            (kind, Type::Tensor(t)) if t.element != element => {
                let value = Expr { kind, ty: Type::Tensor(t.clone()), span };
                tensor(ExprKind::Convert(Box::new(value)), element, t.axes, span)
            }
            (kind, ty) => Expr { kind, ty, span },
        }
    }

    /// A float tensor or set, or an error that says what is wanted.
    pub fn numeric(&mut self, e: Expr, what: &str) -> Expr {
        match &e.ty {
            Type::Tensor(TensorType { element: Element::Bool, .. }) | Type::Set(Element::Bool) => {
                let error = Diagnostic::new(codes::WRONG_TYPE, format!("{what} numbers, not truth values"))
                    .at(e.span, format!("this is {}", self.show(&e.ty)))
                    .help("turn a truth value into a number with `where(c, 1, 0)`");
                self.fail(e.span, error)
            }
            Type::Tensor(_) | Type::Set(_) | Type::Error => e,
            other => {
                let error = Diagnostic::new(codes::WRONG_TYPE, format!("{what} numbers"))
                    .at(e.span, format!("this is {}", self.describe(other)));
                self.fail(e.span, error)
            }
        }
    }

    /// A truth value (tensor or set), or an error.
    pub fn boolean(&mut self, e: Expr, what: &str) -> Expr {
        match &e.ty {
            Type::Tensor(TensorType { element: Element::Bool, .. }) | Type::Set(Element::Bool) | Type::Error => e,
            other => {
                let error = Diagnostic::new(codes::WRONG_TYPE, format!("{what} a truth value"))
                    .at(e.span, format!("this is {}", self.describe(other)))
                    .help("compare: `x != 0`, `x > 0`");
                self.fail(e.span, error)
            }
        }
    }

    /// A type with the word for what it is.
    pub fn describe(&self, ty: &Type) -> String {
        let shown = self.show(ty);
        match ty {
            Type::Function(_) => format!("a function, {shown}"),
            Type::Tensor(t) if t.axes.is_empty() => match t.element {
                Element::Float => "a number".into(),
                Element::Int => "an integer".into(),
                Element::Bool => "a truth value".into(),
                Element::Index(_) => shown,
            },
            Type::Objective => "an objective, to be applied to parameters: `J(θ)`".into(),
            Type::Init => "an init, which only a parameter can start with".into(),
            Type::Nothing => "no value".into(),
            _ => shown,
        }
    }

    /// Applies an elementwise primitive to operands of any shapes that go together; `element` is the result's.
    pub fn apply(&mut self, op: Op, operands: Vec<Expr>, element: Element, span: Span) -> Expr {
        if operands.iter().any(|e| e.ty.is_error()) {
            return poison(span);
        }
        if operands.iter().any(|e| matches!(e.ty, Type::Set(_))) {
            if let Some(stray) = operands.iter().find(|e| !e.axes().is_empty()) {
                let error = Diagnostic::new(codes::SHAPE_MISMATCH, "a tensor and a parameter set do not go together")
                    .at(span, "arithmetic on a set maps over every tensor in it")
                    .at(stray.span, format!("this is {}, neither a set nor a scalar", self.show(&stray.ty)));
                return self.fail(span, error);
            }
            return Expr { kind: ExprKind::Elementwise { op, operands }, ty: Type::Set(element), span };
        }
        let Some(operands) = self.align(operands, span) else { return poison(span) };
        let axes = operands.first().map(|e| e.axes().to_vec()).unwrap_or_default();
        tensor(ExprKind::Elementwise { op, operands }, element, axes, span)
    }

    /// A unary float function.
    pub fn apply_float(&mut self, op: Op, operand: Expr, what: &str, span: Span) -> Expr {
        let operand = self.numeric(operand, what);
        let operand = self.float(operand);
        self.apply(op, vec![operand], Element::Float, span)
    }

    /// Two numbers with one element: integers if both are, else floats.
    pub fn same_numbers(&mut self, a: Expr, b: Expr) -> (Expr, Expr, Element) {
        let integer = |e: &Expr| {
            matches!(
                &e.ty,
                Type::Tensor(TensorType { element: Element::Int | Element::Index(_), .. }) | Type::Set(Element::Int)
            )
        };
        if integer(&a) && integer(&b) {
            let (a, b) = (self.convert(a, Element::Int), self.convert(b, Element::Int));
            (a, b, Element::Int)
        } else {
            let (a, b) = (self.float(a), self.float(b));
            (a, b, Element::Float)
        }
    }

    /// Stretches tensors to one shape: that into which all the others fit. The labels are the first operand's, filled
    /// from the others.
    pub fn align(&mut self, mut operands: Vec<Expr>, span: Span) -> Option<Vec<Expr>> {
        forget_roles(&mut operands);
        let mut axes: Vec<Axis> = operands.first()?.axes().to_vec();
        let mut widest = 0;
        for (k, e) in operands.iter().enumerate().skip(1) {
            if e.axes().len() == axes.len() {
                match fit(e.axes(), &axes) {
                    Fit::One(_) => axes = merge_labels(&axes, e.axes()),
                    _ => match fit(&axes, e.axes()) {
                        Fit::One(_) => axes = merge_labels(&axes, e.axes()),
                        other => {
                            self.misfit(&operands[widest], e, other == Fit::Many, span);
                            return None;
                        }
                    },
                }
                continue;
            }
            let wider = e.axes().len() > axes.len();
            let found = if wider { fit(&axes, e.axes()) } else { fit(e.axes(), &axes) };
            match found {
                Fit::One(map) if wider => {
                    let mut merged = e.axes().to_vec();
                    for (from, to) in map.iter().enumerate() {
                        if let (Axis::Sized { label: old, .. }, Axis::Sized { label: new, .. }) =
                            (&axes[from], &mut merged[*to])
                            && new.is_none()
                        {
                            *new = old.clone();
                        }
                    }
                    axes = super::shape::distinct_labels(merged);
                    widest = k;
                }
                Fit::One(_) => {}
                other => {
                    self.misfit(&operands[widest], e, other == Fit::Many, span);
                    return None;
                }
            }
        }
        let mut out = Vec::with_capacity(operands.len());
        for e in operands {
            match self.stretch(e, &axes) {
                Ok(e) => out.push(e),
                Err(e) => {
                    let target = tensor(ExprKind::Error, Element::Float, axes, span);
                    self.misfit(&target, &e, true, span);
                    return None;
                }
            }
        }
        Some(out)
    }

    /// The value with these axes, or the value back if it does not fit in exactly one way.
    #[allow(clippy::result_large_err)] // The value comes back as it was.
    pub fn stretch(&mut self, e: Expr, axes: &[Axis]) -> Result<Expr, Expr> {
        let Type::Tensor(t) = &e.ty else { return Err(e) };
        let element = t.element.clone();
        if t.axes.len() == axes.len() && t.axes.iter().zip(axes).all(|(a, b)| same_extent(a, b)) {
            return Ok(Expr { ty: Type::Tensor(TensorType { element, axes: axes.to_vec() }), ..e });
        }
        match fit(&t.axes, axes) {
            Fit::One(map) => {
                let span = e.span;
                let kind = ExprKind::Broadcast { value: Box::new(e), axes: map };
                Ok(tensor(kind, element, axes.to_vec(), span))
            }
            _ => Err(e),
        }
    }

    fn misfit(&mut self, a: &Expr, b: &Expr, ambiguous: bool, span: Span) {
        let (left, right) = (self.show_axes(a.axes()), self.show_axes(b.axes()));
        let error = if ambiguous {
            Diagnostic::new(codes::AMBIGUOUS_BROADCAST, "these shapes fit in more than one way")
                .at(span, format!("{left} and {right}"))
                .note("a shape is stretched only if its axes fit into the other's in exactly one way")
        } else {
            Diagnostic::new(codes::SHAPE_MISMATCH, "these shapes do not fit")
                .at(span, format!("{left} and {right} do not go together"))
        };
        let error = error.at(a.span, format!("this is {left}")).at(b.span, format!("this is {right}"));
        let error = self.trace(error, a);
        let error = self.trace(error, b);
        let error = error.help(suggestion(a.axes(), b.axes()));
        self.report(error);
    }
}

/// Labels of the first, filled from the second where it has none; axes are equal in size.
fn merge_labels(a: &[Axis], b: &[Axis]) -> Vec<Axis> {
    let merged = a.iter().zip(b).map(|(x, y)| match (x, y) {
        (Axis::Sized { label: None, size }, Axis::Sized { label, .. }) => {
            Axis::Sized { label: label.clone(), size: size.clone() }
        }
        _ => x.clone(),
    });
    super::shape::distinct_labels(merged.collect())
}

/// What to write to pair the axes of two shapes explicitly.
fn suggestion(a: &[Axis], b: &[Axis]) -> String {
    let letters = ["i", "j", "k", "l", "m", "n"];
    let packed = a.iter().chain(b).any(|x| matches!(x, Axis::Pack(_)));
    if packed || a.len() + b.len() > letters.len() || a.is_empty() || b.is_empty() {
        return "give the axes that belong together the same name, or say which go together in index notation: \
                `y[i, j] = a[i, j] + b[j]`"
            .into();
    }
    let left: Vec<String> = letters[..a.len()].iter().map(|s| s.to_string()).collect();
    let mut right: Vec<String> = Vec::new();
    let mut used = a.len();
    let mut free: Vec<usize> = (0..a.len()).collect();
    for axis in b {
        match free.iter().rposition(|k| same_extent(&a[*k], axis)) {
            Some(at) => right.push(left[free.remove(at)].clone()),
            None => {
                right.push(letters[used].into());
                used += 1;
            }
        }
    }
    let all: Vec<String> = letters[..used].iter().map(|s| s.to_string()).collect();
    format!(
        "say which axes go together in index notation: `y[{}] = a[{}] + b[{}]`",
        all.join(", "),
        left.join(", "),
        right.join(", ")
    )
}

pub fn unary(name: &str) -> Option<Op> {
    Some(match name {
        "exp" => Op::Exp(p::Exp),
        "log" => Op::Log(p::Log),
        "log1p" => Op::Log1p(p::Log1p),
        "expm1" => Op::Expm1(p::Expm1),
        "sqrt" => Op::Sqrt(p::Sqrt),
        "abs" => Op::Abs(p::Abs),
        "sign" => Op::Sign(p::Sign),
        "floor" => Op::Floor(p::Floor),
        "tanh" => Op::Tanh(p::Tanh),
        "sigmoid" => Op::Sigmoid(p::Sigmoid),
        "softplus" => Op::Softplus(p::Softplus),
        "erf" => Op::Erf(p::Erf),
        "sin" => Op::Sin(p::Sin),
        "cos" => Op::Cos(p::Cos),
        _ => return None,
    })
}
