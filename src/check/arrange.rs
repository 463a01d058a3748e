//! The same elements in another arrangement, and values made of positions: `reshape`, `flatten`, `split`, `stack`,
//! `reverse`, `range` and `index`.

use super::application::Given;
use super::scope::{Checker, number, poison, size_value, tensor};
use super::shape::{distinct_labels, implied_label};
use super::typed::{Axis, Element, Expr, ExprKind, TensorType, Type};
use crate::ir::{Op, Size, primitive as p};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, BinaryOp, ExprKind as Ast, OverAxis};

/// The most pieces that a value is split into.
const MOST_PIECES: u64 = 256;

impl Checker<'_> {
    /// The application of one of these names; `None` if it is another.
    pub fn arrangement(&mut self, name: &str, given: &[Given], over: Option<&ast::Over>, span: Span) -> Option<Expr> {
        let (usage, arity, along) = match name {
            "reshape" => ("reshape(x, [N, 8, 8])", 2..=2, false),
            "flatten" => ("flatten(x over H, W)", 1..=1, true),
            "split" => ("split(x, 4 over H)` or `split(x, [2, 6] over H)", 2..=2, true),
            "stack" => ("stack(a, b over pieces)", 1..=usize::MAX, true),
            "reverse" => ("reverse(x over W)", 1..=1, true),
            "sort" => ("sort(x over K)", 1..=1, true),
            "order" => ("order(x over K)", 1..=1, true),
            "range" => ("range(N)", 1..=1, false),
            "index" => ("index(e, K)", 2..=2, false),
            _ => return None,
        };
        let named = given.iter().any(|(n, _)| n.is_some());
        let per = over.is_some_and(|o| o.per);
        if !arity.contains(&given.len()) || named || per || (over.is_some() && !along) {
            self.check_all(given);
            let error = Diagnostic::new(codes::WRONG_ARGUMENTS, format!("`{name}` takes other arguments"))
                .at(span, format!("{} given", given.len()))
                .help(format!("write `{usage}`"));
            return Some(self.fail(span, error));
        }
        if name == "range" {
            return Some(match self.size(given[0].1, false) {
                Some(size) => positions(size, span),
                None => poison(span),
            });
        }
        if name == "stack" {
            let values = given.iter().map(|(_, e)| self.expression(e)).collect();
            return Some(self.stack(values, over, span));
        }
        let value = self.expression(given[0].1);
        let value = match value.ty {
            Type::Tensor(_) | Type::Error => value,
            _ => {
                let error = Diagnostic::new(codes::WRONG_TYPE, format!("`{name}` takes a tensor"))
                    .at(value.span, format!("this is {}", self.describe(&value.ty)));
                self.fail(span, error)
            }
        };
        if value.ty.is_error() {
            return Some(value);
        }
        Some(match (name, given.get(1)) {
            ("reshape", Some((_, shape))) => self.reshape(value, shape, span),
            ("split", Some((_, pieces))) => self.split(value, pieces, over, span),
            ("index", Some((_, size))) => self.computed_index(value, size, span),
            ("flatten", _) => self.flatten(value, over, span),
            ("sort", _) => self.sorted(value, over, span),
            ("order", _) => self.order(value, over, span).0,
            _ => self.reverse(value, over, span),
        })
    }

    /// The axes written as an argument, `[N, 8]`.
    pub fn shape_argument(&mut self, e: &ast::Expr) -> Option<Vec<Axis>> {
        if let Ast::Shape(shape) = &e.kind {
            return self.written_axes(shape, false);
        }
        let error = Diagnostic::new(codes::WRONG_ARGUMENTS, "a shape is wanted here")
            .at(e.span, "this is none")
            .help("a shape is written in brackets: `[N, 8, 8]`");
        self.report(error);
        None
    }

    fn reshape(&mut self, value: Expr, shape: &ast::Expr, span: Span) -> Expr {
        let Some(axes) = self.shape_argument(shape) else { return poison(span) };
        let Some(t) = value.ty.tensor().cloned() else { return poison(span) };
        let ((from, packs), (to, others)) = (extent(&t.axes), extent(&axes));
        // What divides is known only when the sizes are.
        let later = from.divides() || to.divides();
        if packs != others || (from != to && !later) {
            let count = |size: &Size, packs: usize| match packs {
                0 => format!("{size} elements"),
                _ => format!("{size} elements for each of `..`"),
            };
            let error = Diagnostic::new(codes::SHAPE_MISMATCH, "a reshape keeps the number of elements")
                .at(value.span, format!("this is {}, {}", self.show(&value.ty), count(&from, packs.len())))
                .at(shape.span, format!("this has {}", count(&to, others.len())))
                .help("the product of the sizes stays the same; write `floor(C/G)` where sizes divide");
            let error = self.trace(error, &value);
            return self.fail(span, error);
        }
        tensor(ExprKind::Reshape(Box::new(value)), t.element, axes, span)
    }

    /// The positions along an axis at which its elements stand in ascending order, and the axis.
    fn order(&mut self, value: Expr, over: Option<&ast::Over>, span: Span) -> (Expr, usize) {
        let value = self.numeric(value, "`order` takes");
        let value = match &value.ty {
            Type::Tensor(t) if matches!(t.element, Element::Index(_)) => self.convert(value, Element::Int),
            _ => value,
        };
        let Some(t) = value.ty.tensor().cloned() else { return (poison(span), 0) };
        let Some(axes) = self.reduced_axes(&value, over) else { return (poison(span), 0) };
        let sized = axes.first().and_then(|k| match &t.axes[*k] {
            Axis::Sized { size, .. } => Some(size.clone()),
            Axis::Pack(_) => None,
        });
        let ([axis], Some(size)) = (axes.as_slice(), sized) else {
            let error = Diagnostic::new(codes::NO_SUCH_AXIS, "an order runs along one axis")
                .at(span, "which one is not said")
                .at(value.span, format!("this is {}", self.show(&value.ty)))
                .help("write `sort(x over K)`, `order(x over K)`");
            return (self.fail(span, error), 0);
        };
        let (axis, element) = (*axis, Element::Index(size));
        (tensor(ExprKind::Order { value: Box::new(value), axis }, element, t.axes, span), axis)
    }

    /// The elements along an axis in ascending order.
    fn sorted(&mut self, value: Expr, over: Option<&ast::Over>, span: Span) -> Expr {
        let value = self.numeric(value, "`sort` takes");
        if value.ty.is_error() || self.reduced_axes(&value, over).is_none() {
            return poison(span);
        }
        let Some(t) = value.ty.tensor().cloned() else { return poison(span) };
        let (shared, read) = self.share(value);
        let (index, axis) = self.order(read.clone(), over, span);
        if index.ty.is_error() {
            return index;
        }
        let batch = (0..t.axes.len()).filter(|k| *k != axis).map(|k| (k, k)).collect();
        let kind = ExprKind::Gather { value: Box::new(read), index: Box::new(index), axis, batch };
        let sorted = tensor(kind, t.element, t.axes, span);
        self.with(vec![shared], sorted)
    }

    fn flatten(&mut self, value: Expr, over: Option<&ast::Over>, span: Span) -> Expr {
        let Some(t) = value.ty.tensor().cloned() else { return poison(span) };
        let axes = match over {
            Some(_) => self.reduced_axes(&value, over),
            None => Some((1..t.axes.len()).collect()),
        };
        let Some(axes) = axes else { return poison(span) };
        let mut product = Size::constant(1);
        let mut pack = false;
        for k in &axes {
            match &t.axes[*k] {
                Axis::Sized { size, .. } => product = &product * size,
                Axis::Pack(_) => pack = true,
            }
        }
        let (Some(first), Some(last)) = (axes.first().copied(), axes.last().copied()) else { return value };
        if pack || last + 1 - first != axes.len() {
            let why = if pack { "`..` has no size that could be named" } else { "these do not stand side by side" };
            let error = Diagnostic::new(codes::SHAPE_MISMATCH, "these axes cannot become one")
                .at(over.map_or(span, |o| o.span), why)
                .at(value.span, format!("this is {}", self.show(&value.ty)))
                .help("name the axes of the value, in the order in which they stand");
            let error = self.trace(error, &value);
            return self.fail(span, error);
        }
        let mut kept = t.axes;
        kept.splice(first..=last, [Axis::Sized { label: implied_label(&product), size: product }]);
        tensor(ExprKind::Reshape(Box::new(value)), t.element, distinct_labels(kept), span)
    }

    /// The one axis that `over` names, by default the last, with its size.
    fn along(&mut self, value: &Expr, over: Option<&ast::Over>, span: Span) -> Option<(usize, Size)> {
        let axes = match over {
            Some(_) => self.reduced_axes(value, over)?,
            None => value.axes().len().checked_sub(1).into_iter().collect(),
        };
        if let [axis] = axes[..]
            && let Axis::Sized { size, .. } = &value.axes()[axis]
        {
            return Some((axis, size.clone()));
        }
        let error = Diagnostic::new(codes::NO_SUCH_AXIS, "this runs along one axis")
            .at(over.map_or(span, |o| o.span), "which one is not said")
            .at(value.span, format!("this is {}", self.show(&value.ty)));
        self.report(error);
        None
    }

    fn split(&mut self, value: Expr, pieces: &ast::Expr, over: Option<&ast::Over>, span: Span) -> Expr {
        let Some((axis, size)) = self.along(&value, over, span) else { return poison(span) };
        let lengths: Option<Vec<Size>> = match &pieces.kind {
            Ast::Shape(_) => self.shape_argument(pieces).map(|axes| {
                let length = |a: Axis| if let Axis::Sized { size, .. } = a { size } else { Size::default() };
                axes.into_iter().map(length).collect()
            }),
            _ => match self.size(pieces, false).map(|n| (n.as_constant(), n)) {
                Some((Some(n), whole)) if (1..=MOST_PIECES).contains(&n) => {
                    Some(vec![size.floor_div(&whole); n as usize])
                }
                Some((_, n)) => {
                    let error = Diagnostic::new(
                        codes::NOT_A_CONSTANT,
                        format!("a value is split into 1 to {MOST_PIECES} pieces"),
                    )
                    .at(pieces.span, format!("{n} here"))
                    .help("how many pieces there are is a number, as there is a name for each");
                    self.report(error);
                    None
                }
                None => None,
            },
        };
        let Some(lengths) = lengths else { return poison(span) };
        let total = lengths.iter().fold(Size::default(), |sum, length| &sum + length);
        if lengths.is_empty() || (total != size && !total.divides()) {
            let error = Diagnostic::new(codes::SHAPE_MISMATCH, "the pieces do not make up the axis")
                .at(pieces.span, format!("together {total}"))
                .at(value.span, format!("this is {}", self.show(&value.ty)));
            let error = self.trace(error, &value);
            return self.fail(span, error);
        }
        let element = value.ty.tensor().map_or(Element::Float, |t| t.element.clone());
        let (shared, read) = self.share(value);
        let mut start = Size::default();
        let mut parts = Vec::with_capacity(lengths.len());
        for (k, length) in lengths.iter().enumerate() {
            let mut axes = read.axes().to_vec();
            if let Axis::Sized { label, size } = &mut axes[axis] {
                if *label == implied_label(size) {
                    *label = implied_label(length);
                }
                *size = length.clone();
            }
            let kind = ExprKind::Slice {
                value: Box::new(read.clone()),
                axis,
                start: start.clone(),
                last: k + 1 == lengths.len(),
            };
            parts.push(tensor(kind, element.clone(), distinct_labels(axes), span));
            start = &start + length;
        }
        let ty = Type::Tuple(parts.iter().map(|p| p.ty.clone()).collect());
        let all = match parts.pop() {
            Some(only) if parts.is_empty() => only,
            last => Expr { kind: ExprKind::Tuple(parts.into_iter().chain(last).collect()), ty, span },
        };
        self.with(vec![shared], all)
    }

    fn stack(&mut self, values: Vec<Expr>, over: Option<&ast::Over>, span: Span) -> Expr {
        let values: Vec<Expr> = values
            .into_iter()
            .map(|v| {
                let v = self.numeric(v, "`stack` takes");
                self.float(v)
            })
            .collect();
        let label = match over.map(|o| o.axes.as_slice()) {
            None => None,
            Some([OverAxis::Label(name)]) => Some(name.text.as_str().into()),
            Some(_) => {
                let error = Diagnostic::new(codes::WRONG_ARGUMENTS, "`stack` makes one axis")
                    .at(over.map_or(span, |o| o.span), "name it here");
                return self.fail(span, error);
            }
        };
        if values.iter().any(|v| v.ty.is_error() || v.ty.tensor().is_none()) {
            return poison(span);
        }
        let Some(values) = self.align(values, span) else { return poison(span) };
        let count = Size::constant(values.len() as u64);
        let mut axes = vec![Axis::Sized { label, size: count }];
        let mut rows = Vec::with_capacity(values.len());
        for value in values {
            let mut row = vec![Axis::Sized { label: None, size: Size::constant(1) }];
            row.extend(value.axes().iter().cloned());
            axes.truncate(1);
            axes.extend(value.axes().iter().cloned());
            let place = value.span;
            let kind = ExprKind::Broadcast { axes: (1..row.len()).collect(), value: Box::new(value) };
            rows.push(tensor(kind, Element::Float, row, place));
        }
        tensor(ExprKind::Concat { values: rows, axis: 0 }, Element::Float, distinct_labels(axes), span)
    }

    fn reverse(&mut self, value: Expr, over: Option<&ast::Over>, span: Span) -> Expr {
        let Some((axis, size)) = self.along(&value, over, span) else { return poison(span) };
        let Some(t) = value.ty.tensor().cloned() else { return poison(span) };
        let last = self.binary(BinaryOp::Sub, size_value(size.clone(), span), number(1.0, Element::Int, span), span);
        let index = self.binary(BinaryOp::Sub, last, positions(size.clone(), span), span);
        let axes = index.axes().to_vec();
        let index = tensor(ExprKind::ToIndex(Box::new(index)), Element::Index(size), axes, span);
        let mut gathered = vec![t.axes[axis].clone()];
        gathered.extend((0..t.axes.len()).filter(|k| *k != axis).map(|k| t.axes[k].clone()));
        let kind = ExprKind::Gather { value: Box::new(value), index: Box::new(index), axis, batch: Vec::new() };
        let gathered = tensor(kind, t.element.clone(), gathered, span);
        // The index's axis comes first, and goes back to where it was.
        let order: Vec<usize> = (1..=axis).chain([0]).chain(axis + 1..t.axes.len()).collect();
        tensor(ExprKind::Permute { value: Box::new(gathered), order }, t.element, t.axes, span)
    }

    /// `index(e, K)`: whole numbers as positions on an axis of size K, the nearest one where they lie outside.
    fn computed_index(&mut self, value: Expr, size: &ast::Expr, span: Span) -> Expr {
        let Some(size) = self.size(size, false) else { return poison(span) };
        let value = self.numeric(value, "an index is one of the");
        let Some(t) = value.ty.tensor() else { return poison(span) };
        let element = if t.element == Element::Float { Element::Float } else { Element::Int };
        let value = match element {
            Element::Float => self.apply_float(Op::Floor(p::Floor), value, "an index is one of the", span),
            _ => self.convert(value, Element::Int),
        };
        let last = self.binary(BinaryOp::Sub, size_value(size.clone(), span), number(1.0, Element::Int, span), span);
        let (last, zero) = (self.convert(last, element.clone()), number(0.0, element.clone(), span));
        let value = self.apply(Op::Maximum(p::Maximum), vec![value, zero], element.clone(), span);
        let value = self.apply(Op::Minimum(p::Minimum), vec![value, last], element, span);
        let value = self.convert(value, Element::Int);
        if value.ty.is_error() {
            return value;
        }
        let axes = value.axes().to_vec();
        tensor(ExprKind::ToIndex(Box::new(value)), Element::Index(size), axes, span)
    }
}

/// 0, 1, 2, … along an axis.
pub fn positions(size: Size, span: Span) -> Expr {
    let axes = vec![Axis::Sized { label: implied_label(&size), size }];
    Expr { kind: ExprKind::Positions, ty: Type::Tensor(TensorType { element: Element::Int, axes }), span }
}

/// The product of the sizes, and the packs.
fn extent(axes: &[Axis]) -> (Size, Vec<super::typed::PackVar>) {
    let mut product = Size::constant(1);
    let mut packs = Vec::new();
    for axis in axes {
        match axis {
            Axis::Sized { size, .. } => product = &product * size,
            Axis::Pack(p) => packs.push(*p),
        }
    }
    (product, packs)
}
