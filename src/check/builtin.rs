//! What the language itself applies: reductions, elementwise functions, draws, and the few operations on shapes.

use super::application::Given;
use super::arguments::counted;
use super::elementwise::unary;
use super::expression::is_boolean;
use super::scope::{Binding, Checker, number, poison, size_value, tensor};
use super::shape::distinct_labels;
use super::typed::{Axis, Draw, Element, Expr, ExprKind, ReduceOp, TensorType, Type, same_extent};
use crate::ir::{Op, Size, primitive as p};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, BinaryOp, OverAxis};

impl Checker<'_> {
    /// The application of a built-in name; `None` if it is none.
    pub fn builtin(
        &mut self,
        name: &str,
        callee: Span,
        given: &[Given],
        over: Option<&ast::Over>,
        span: Span,
    ) -> Option<Expr> {
        if let Some(value) = self.arrangement(name, given, over, span) {
            return Some(value);
        }
        if matches!(name, "hvp" | "hessian") {
            return Some(self.second_derivative(name, given, span));
        }
        let shape = |e: &ast::Expr| matches!(e.kind, ast::ExprKind::Shape(_));
        let like = given.iter().find(|(n, e)| n.is_some_and(|n| n.text == "like") || shape(e)).map(|(_, e)| *e);
        if let Some(like) = like {
            return self.drawn(name, like, given, span);
        }
        let stray = given.iter().find_map(|(n, _)| *n);
        let arity = match name {
            "sum" | "mean" | "argmax" | "norm" => 1,
            "max" | "min" if over.is_some() || given.len() == 1 => 1,
            "max" | "min" | "dot" | "grad" | "draws" => 2,
            "where" => 3,
            "size" | "stop" | "one_hot" | "evaluating" | "members" => 1,
            "concat" => given.len().max(2),
            "uniform" | "normal" | "bernoulli" | "rademacher" | "zeros" | "ones" => {
                self.check_all(given);
                let error = Diagnostic::new(codes::WRONG_ARGUMENTS, format!("`{name}` needs a shape"))
                    .at(callee, "which shape is not said")
                    .help(match name {
                        "bernoulli" => "write `bernoulli(p, like: x)` or `bernoulli(p, [N, 8])`".into(),
                        _ => format!("write `{name}(like: x)` or `{name}([N, 8])`"),
                    });
                return Some(self.fail(span, error));
            }
            _ if unary(name).is_some() => 1,
            _ => return None,
        };
        if let Some(stray) = stray {
            let error = Diagnostic::new(codes::WRONG_ARGUMENTS, format!("`{name}` has no option `{}`", stray.text))
                .at(stray.span, "unknown here")
                .help(usage(name));
            return Some(self.fail(span, error));
        }
        if given.len() != arity {
            self.check_all(given);
            let takes = format!("`{name}` takes {}", counted(arity, "argument"));
            let error = Diagnostic::new(codes::WRONG_ARGUMENTS, takes)
                .at(span, format!("{} given", given.len()))
                .help(usage(name));
            return Some(self.fail(span, error));
        }
        if let Some(over) = over
            && !matches!(name, "sum" | "mean" | "max" | "min" | "argmax" | "norm" | "concat" | "size")
        {
            let error = Diagnostic::new(codes::WRONG_ARGUMENTS, format!("`{name}` is no reduction"))
                .at(over.span, "`over` belongs to sum, mean, max, min, argmax and norm");
            return Some(self.fail(span, error));
        }
        match name {
            "grad" => return Some(self.gradient(given[0].1, given[1].1, span)),
            "draws" => return Some(self.draws(given[0].1, given[1].1, span)),
            "members" => return Some(self.members(given[0].1, span)),
            _ => {}
        }
        let mut args: Vec<Expr> = given.iter().map(|(_, e)| self.expression(e)).collect();
        if args.iter().any(|a| a.ty.is_error()) {
            return Some(poison(span));
        }
        if name == "concat" {
            return Some(self.concat(args, over, span));
        }
        let last = args.pop();
        Some(match (name, last, args.as_mut_slice()) {
            ("sum", Some(e), _) => self.reduction(ReduceOp::Sum, e, over, span),
            ("mean", Some(e), _) => self.reduction(ReduceOp::Mean, e, over, span),
            ("max", Some(e), []) => self.reduction(ReduceOp::Max, e, over, span),
            ("min", Some(e), []) => self.reduction(ReduceOp::Min, e, over, span),
            ("norm", Some(e), _) => self.norm(e, over, span),
            ("argmax", Some(e), _) => self.argmax(e, over, span),
            ("size", Some(e), _) => self.count(&e, over, span),
            ("max", Some(b), [a]) => self.extreme(Op::Maximum(p::Maximum), a.clone(), b, span),
            ("min", Some(b), [a]) => self.extreme(Op::Minimum(p::Minimum), a.clone(), b, span),
            ("dot", Some(b), [a]) => {
                let product = self.binary(BinaryOp::Mul, a.clone(), b, span);
                let product = self.float(product);
                self.reduction(ReduceOp::Sum, product, None, span)
            }
            ("where", Some(b), [condition, a]) => {
                let condition = self.boolean(condition.clone(), "the condition of `where` is");
                self.select(condition, a.clone(), b, span)
            }
            ("stop", Some(e), _) => match &e.ty {
                Type::Tensor(t) if t.element == Element::Float => {
                    self.apply(Op::Stop(p::Stop), vec![e], Element::Float, span)
                }
                Type::Set(Element::Float) => self.apply(Op::Stop(p::Stop), vec![e], Element::Float, span),
                _ => e,
            },
            ("evaluating", Some(e), _) => {
                let ty = e.ty.clone();
                Expr { kind: ExprKind::Evaluating(Box::new(e)), ty, span }
            }
            ("one_hot", Some(e), _) => self.one_hot(e, span),
            (_, Some(e), _) => match unary(name) {
                Some(op @ (Op::Abs(_) | Op::Sign(_))) if matches!(e.ty.tensor(), Some(t) if t.element == Element::Int) => {
                    self.apply(op, vec![e], Element::Int, span)
                }
                Some(op) => self.apply_float(op, e, &format!("`{name}` takes"), span),
                None => poison(span),
            },
            (_, None, _) => poison(span),
        })
    }

    fn extreme(&mut self, op: Op, a: Expr, b: Expr, span: Span) -> Expr {
        let (a, b) = (self.numeric(a, "`max` and `min` take"), self.numeric(b, "`max` and `min` take"));
        if a.ty.is_error() || b.ty.is_error() {
            return poison(span);
        }
        let (a, b, element) = self.same_numbers(a, b);
        self.apply(op, vec![a, b], element, span)
    }

    pub fn select(&mut self, condition: Expr, a: Expr, b: Expr, span: Span) -> Expr {
        if condition.ty.is_error() || a.ty.is_error() || b.ty.is_error() {
            return poison(span);
        }
        if is_boolean(&a) && is_boolean(&b) {
            return self.apply(Op::Select(p::Select), vec![condition, a, b], Element::Bool, span);
        }
        let (a, b) = (self.numeric(a, "`where` takes"), self.numeric(b, "`where` takes"));
        if a.ty.is_error() || b.ty.is_error() {
            return poison(span);
        }
        let (a, b, element) = self.same_numbers(a, b);
        self.apply(Op::Select(p::Select), vec![condition, a, b], element, span)
    }

    // -------------------------------------------------------------------------------------------------- reductions

    /// The positions that `over` names, ascending; all without one.
    pub fn reduced_axes(&mut self, e: &Expr, over: Option<&ast::Over>) -> Option<Vec<usize>> {
        let Type::Tensor(t) = &e.ty else { return Some(Vec::new()) };
        let Some(over) = over else { return Some((0..t.axes.len()).collect()) };
        let mut found = Vec::new();
        for axis in &over.axes {
            let (position, name, span) = match axis {
                OverAxis::Pack(span) => {
                    (t.axes.iter().position(|a| matches!(a, Axis::Pack(_))), "..".to_string(), *span)
                }
                OverAxis::Label(name) => {
                    let labelled = |a: &Axis| matches!(a, Axis::Sized { label: Some(l), .. } if **l == *name.text);
                    (t.axes.iter().position(labelled), name.text.clone(), name.span)
                }
            };
            match position {
                Some(k) if found.contains(&k) => {
                    let error = Diagnostic::new(codes::DUPLICATE_NAME, format!("the axis {name} is named twice"))
                        .at(span, "a second time here");
                    self.report(error);
                    return None;
                }
                Some(k) => found.push(k),
                None => {
                    let labels: Vec<String> = t
                        .axes
                        .iter()
                        .filter_map(|a| match a {
                            Axis::Pack(_) => Some("..".to_string()),
                            Axis::Sized { label, .. } => label.as_ref().map(|l| l.to_string()),
                        })
                        .collect();
                    let shown = self.show(&e.ty);
                    let mut error = Diagnostic::new(codes::NO_SUCH_AXIS, format!("there is no axis {name} here"))
                        .at(span, "named here")
                        .at(e.span, format!("this is {shown}"));
                    error = self.trace(error, e);
                    error = match labels.as_slice() {
                        [] if t.axes.is_empty() => error.note("it is a scalar: there is nothing to reduce"),
                        [] => error.note("none of its axes has a label"),
                        some => error.note(format!("its axes are {}", some.join(", "))),
                    };
                    error = match crate::source::closest(&name, labels.iter().map(String::as_str)) {
                        Some(near) => error.help(format!("did you mean `{near}`?")),
                        None if t.axes.iter().any(|a| matches!(a, Axis::Sized { label: None, .. })) => error.help(
                            "give the axis a label where the value comes from (`x: [N, D: 64]`), or use index notation",
                        ),
                        None => error,
                    };
                    self.report(error);
                    return None;
                }
            }
        }
        found.sort_unstable();
        Some(found)
    }

    pub fn reduction(&mut self, op: ReduceOp, e: Expr, over: Option<&ast::Over>, span: Span) -> Expr {
        let e = match (&e.ty, op) {
            (Type::Error, _) => return e,
            // Truth values are counted.
            (Type::Tensor(t), ReduceOp::Sum | ReduceOp::Mean) if t.element != Element::Float => {
                self.convert(e, Element::Float)
            }
            (Type::Set(Element::Bool), ReduceOp::Sum | ReduceOp::Mean) => {
                let place = e.span;
                Expr { kind: ExprKind::Convert(Box::new(e)), ty: Type::Set(Element::Float), span: place }
            }
            (Type::Tensor(t), _) if matches!(t.element, Element::Index(_)) => self.convert(e, Element::Int),
            _ => self.numeric(e, "a reduction takes"),
        };
        match &e.ty {
            Type::Set(_) => {
                if let Some(over) = over {
                    let error = Diagnostic::new(codes::NO_SUCH_AXIS, "a parameter set has no axes of its own")
                        .at(over.span, "named here")
                        .help("without `over` the reduction runs over every element of every tensor");
                    return self.fail(span, error);
                }
                let e = self.float(e);
                Expr { kind: ExprKind::ReduceSet { op, value: Box::new(e) }, ty: Type::scalar(Element::Float), span }
            }
            Type::Tensor(t) => {
                let Some(axes) = self.reduced_axes(&e, over) else { return poison(span) };
                let kept: Vec<Axis> =
                    (0..t.axes.len()).filter(|k| !axes.contains(k)).map(|k| t.axes[k].clone()).collect();
                let element = t.element.clone();
                tensor(ExprKind::Reduce { op, value: Box::new(e), axes }, element, kept, span)
            }
            _ => poison(span),
        }
    }

    /// The square root of the sum of squares.
    fn norm(&mut self, e: Expr, over: Option<&ast::Over>, span: Span) -> Expr {
        let e = self.numeric(e, "`norm` takes");
        let e = self.float(e);
        if e.ty.is_error() {
            return e;
        }
        // The axes are looked up on the value itself, so that an error shows it.
        if self.reduced_axes(&e, over.filter(|_| e.ty.tensor().is_some())).is_none() {
            return poison(span);
        }
        let (shared, read) = self.share(e);
        let square = self.binary(BinaryOp::Mul, read.clone(), read, span);
        let total = self.reduction(ReduceOp::Sum, square, over, span);
        let root = self.apply_float(Op::Sqrt(p::Sqrt), total, "`norm` takes", span);
        self.with(vec![shared], root)
    }

    fn argmax(&mut self, e: Expr, over: Option<&ast::Over>, span: Span) -> Expr {
        let e = self.numeric(e, "`argmax` takes");
        let e = self.float(e);
        let Type::Tensor(t) = &e.ty else {
            if e.ty.is_error() {
                return e;
            }
            let error = Diagnostic::new(codes::WRONG_TYPE, "`argmax` takes a tensor").at(e.span, "this is a set");
            return self.fail(span, error);
        };
        let Some(axes) = self.reduced_axes(&e, over) else { return poison(span) };
        let sized = axes.first().and_then(|k| match &t.axes[*k] {
            Axis::Sized { size, .. } => Some(size.clone()),
            Axis::Pack(_) => None,
        });
        let ([axis], Some(size)) = (axes.as_slice(), sized) else {
            let error = Diagnostic::new(codes::NO_SUCH_AXIS, "`argmax` runs over one axis")
                .at(span, "which one is not said")
                .at(e.span, format!("this is {}", self.show(&e.ty)))
                .help("write `argmax(z over K)`");
            return self.fail(span, error);
        };
        let kept: Vec<Axis> = (0..t.axes.len()).filter(|k| k != axis).map(|k| t.axes[k].clone()).collect();
        let kind = ExprKind::ArgMax { axis: *axis, value: Box::new(e) };
        tensor(kind, Element::Index(size), kept, span)
    }

    fn count(&mut self, e: &Expr, over: Option<&ast::Over>, span: Span) -> Expr {
        let Type::Tensor(t) = &e.ty else {
            let error = Diagnostic::new(codes::WRONG_TYPE, "`size` takes a tensor")
                .at(e.span, format!("this is {}", self.describe(&e.ty)));
            return self.fail(span, error);
        };
        let Some(axes) = self.reduced_axes(e, over) else { return poison(span) };
        let counted: Vec<Axis> = axes.into_iter().map(|k| t.axes[k].clone()).collect();
        let mut product = Size::constant(1);
        for axis in &counted {
            match axis {
                Axis::Sized { size, .. } => product = &product * size,
                Axis::Pack(_) => {
                    return Expr { kind: ExprKind::Count(counted), ty: Type::scalar(Element::Int), span };
                }
            }
        }
        size_value(product, span)
    }

    // ------------------------------------------------------------------------------------------ shapes and draws

    fn one_hot(&mut self, e: Expr, span: Span) -> Expr {
        let e = self.column_of_classes(e);
        let Some(TensorType { element: Element::Index(size), axes }) = e.ty.tensor().cloned() else {
            let error = Diagnostic::new(codes::WRONG_INDEX, "`one_hot` takes an index")
                .at(e.span, format!("this is {}", self.describe(&e.ty)))
                .help("declare it as an index where it comes in: `y: index(K)[N]`");
            let error = self.trace(error, &e);
            return self.fail(span, error);
        };
        let mut axes = axes;
        axes.push(Self::axis_of(&size));
        tensor(ExprKind::OneHot(Box::new(e)), Element::Float, distinct_labels(axes), span)
    }

    fn concat(&mut self, values: Vec<Expr>, over: Option<&ast::Over>, span: Span) -> Expr {
        let values: Vec<Expr> = values
            .into_iter()
            .map(|v| {
                let v = self.numeric(v, "`concat` takes");
                self.float(v)
            })
            .collect();
        if values.iter().any(|v| v.ty.is_error()) {
            return poison(span);
        }
        let Some(first) = values.first() else { return poison(span) };
        let rank = first.axes().len();
        let axis = match over {
            Some(over) if over.axes.len() == 1 => {
                let Some(axes) = self.reduced_axes(first, Some(over)) else { return poison(span) };
                axes[0]
            }
            Some(over) => {
                let error = Diagnostic::new(codes::WRONG_ARGUMENTS, "`concat` runs along one axis")
                    .at(over.span, "several are named");
                return self.fail(span, error);
            }
            None => rank.saturating_sub(1),
        };
        let mut total = Size::constant(0);
        for v in &values {
            let same = v.axes().len() == rank
                && rank > 0
                && v.axes().iter().zip(first.axes()).enumerate().all(|(k, (a, b))| k == axis || same_extent(a, b));
            match v.axes().get(axis) {
                Some(Axis::Sized { size, .. }) if same => total = &total + size,
                _ => {
                    let error = Diagnostic::new(codes::SHAPE_MISMATCH, "these cannot stand one after another")
                        .at(v.span, format!("this is {}", self.show(&v.ty)))
                        .at(first.span, format!("this is {}", self.show(&first.ty)))
                        .help("all axes but the one named by `over` must be equal");
                    let error = self.trace(error, v);
                    return self.fail(span, error);
                }
            }
        }
        let mut axes = first.axes().to_vec();
        if let Axis::Sized { label, size } = &mut axes[axis] {
            if label.as_ref() == super::shape::implied_label(size).as_ref() {
                *label = super::shape::implied_label(&total);
            }
            *size = total;
        }
        tensor(ExprKind::Concat { values, axis }, Element::Float, axes, span)
    }

    /// `uniform(like: x)` and its kin; `None` if the name is no draw.
    fn drawn(&mut self, name: &str, like: &ast::Expr, given: &[Given], span: Span) -> Option<Expr> {
        if !matches!(name, "uniform" | "normal" | "bernoulli" | "rademacher" | "zeros" | "ones") {
            return None;
        }
        let like = self.shape_of(like);
        let shape = |e: &ast::Expr| matches!(e.kind, ast::ExprKind::Shape(_));
        let others: Vec<&ast::Expr> = given.iter().filter(|(n, e)| n.is_none() && !shape(e)).map(|(_, e)| *e).collect();
        let wanted = usize::from(name == "bernoulli");
        if others.len() != wanted || given.len() != wanted + 1 {
            let text = match name {
                "bernoulli" => "write `bernoulli(p, like: x)` or `bernoulli(p, [N, 8])`".to_string(),
                _ => format!("write `{name}(like: x)`; scale and shift the result: `0.1 * {name}(like: x)`"),
            };
            let error = Diagnostic::new(codes::WRONG_ARGUMENTS, format!("`{name}` takes other arguments"))
                .at(span, format!("{} given", given.len()))
                .help(text);
            return Some(self.fail(span, error));
        }
        let probability = others.first().map(|e| {
            let p = self.expression(e);
            let p = self.numeric(p, "a probability is one of the");
            self.float(p)
        });
        if like.ty.is_error() || probability.as_ref().is_some_and(|p| p.ty.is_error()) {
            return Some(poison(span));
        }
        if !matches!(like.ty, Type::Tensor(_) | Type::Set(_)) {
            let error = Diagnostic::new(codes::WRONG_TYPE, "`like` takes a tensor or a parameter set")
                .at(like.span, format!("this is {}", self.describe(&like.ty)));
            return Some(self.fail(span, error));
        }
        Some(match name {
            "uniform" => self.random(Draw::Uniform, &like, span),
            "normal" => self.random(Draw::Normal, &like, span),
            "bernoulli" => {
                let draw = self.random(Draw::Uniform, &like, span);
                let p = probability.unwrap_or_else(|| number(0.5, Element::Float, span));
                let hit = self.apply(Op::Less(p::Less), vec![draw, p], Element::Bool, span);
                match &hit.ty {
                    Type::Set(_) => {
                        Expr { kind: ExprKind::Convert(Box::new(hit)), ty: Type::Set(Element::Float), span }
                    }
                    _ => self.convert(hit, Element::Float),
                }
            }
            "rademacher" => {
                let draw = self.random(Draw::Uniform, &like, span);
                let half = number(0.5, Element::Float, span);
                let low = self.apply(Op::Less(p::Less), vec![draw, half], Element::Bool, span);
                let (minus, plus) = (number(-1.0, Element::Float, span), number(1.0, Element::Float, span));
                self.select(low, minus, plus, span)
            }
            "zeros" => {
                let zero = number(0.0, Element::Float, span);
                self.fill(zero, &like, span)
            }
            _ => {
                let one = number(1.0, Element::Float, span);
                self.fill(one, &like, span)
            }
        })
    }

    /// A value that is only looked at for its shape; in an init, this may be the parameter itself.
    fn shape_of(&mut self, e: &ast::Expr) -> Expr {
        if let ast::ExprKind::Shape(shape) = &e.kind {
            return match self.written_axes(shape, false) {
                Some(axes) => tensor(ExprKind::Number(0.0), Element::Float, axes, e.span),
                None => poison(e.span),
            };
        }
        if let Some(name) = e.as_name()
            && let Some((Binding::Local(id), _)) = self.lookup(name)
        {
            let id = *id;
            return self.read(id, e.span);
        }
        self.expression(e)
    }

    /// `members(e)`: the value in every member of the ensemble, along a new axis `members`.
    fn members(&mut self, value: &ast::Expr, span: Span) -> Expr {
        let ensemble = self.globals.train.and_then(|t| {
            let mut counts = t.clauses.iter().filter_map(|c| match &c.kind {
                ast::ClauseKind::Ensemble { count, .. } => Some(count),
                _ => None,
            });
            counts.next()
        });
        let refused = match (self.measuring, ensemble) {
            (false, _) => Some("`members` belongs to `measure`"),
            (true, None) => Some("there are no members without an ensemble"),
            _ => None,
        };
        if let Some(message) = refused {
            let error = Diagnostic::new(codes::NOT_ALLOWED_HERE, message)
                .at(span, "not here")
                .help("write `ensemble 5` in `train`, and `measure mean(members(softmax(f(x))) over members)`");
            return self.fail(span, error);
        }
        let value = self.expression(value);
        let value = self.numeric(value, "`members` takes");
        let value = self.float(value);
        let count = ensemble.and_then(|e| self.positive(e, "the number of members"));
        let (Some(count), false) = (count, value.ty.is_error()) else { return poison(span) };
        let rows = super::typed::Train::batch_symbol();
        let by_rows = |a: &Axis| matches!(a, Axis::Sized { size, .. } if size.as_symbol() == Some(&rows));
        if !value.axes().first().is_some_and(by_rows) {
            let error = Diagnostic::new(codes::SHAPE_MISMATCH, "`members` takes a value of every row")
                .at(value.span, format!("this is {}", self.show(&value.ty)))
                .help("reduce over the rows outside: `mean(members(e) ...)`");
            return self.fail(span, error);
        }
        self.together = true;
        let mut axes = vec![Axis::Sized { label: Some("members".into()), size: Size::constant(count) }];
        axes.extend(value.axes().iter().cloned());
        let kind = ExprKind::Members { value: Box::new(value), count };
        tensor(kind, Element::Float, distinct_labels(axes), span)
    }

    /// `draws(e, 20)`: the value under so many draws, along a new axis `draws`.
    fn draws(&mut self, value: &ast::Expr, count: &ast::Expr, span: Span) -> Expr {
        let value = self.expression(value);
        let value = self.numeric(value, "`draws` takes");
        let value = self.float(value);
        let count = self.positive(count, "a number of draws");
        let Some(count) = count.filter(|_| !value.ty.is_error()) else { return poison(span) };
        let Type::Tensor(t) = &value.ty else {
            let error = Diagnostic::new(codes::WRONG_TYPE, "`draws` takes a tensor").at(value.span, "this is a set");
            return self.fail(span, error);
        };
        let mut axes = vec![Axis::Sized { label: Some("draws".into()), size: Size::constant(count) }];
        axes.extend(t.axes.iter().cloned());
        let kind = ExprKind::Draws { value: Box::new(value), count };
        tensor(kind, Element::Float, distinct_labels(axes), span)
    }

    /// `grad(e, x)`
    pub fn gradient(&mut self, of: &ast::Expr, wrt: &ast::Expr, span: Span) -> Expr {
        let value = self.expression(of);
        let target = match wrt.as_name().map(|n| (n, self.lookup(n).cloned())) {
            Some((_, Some((Binding::Local(id), _)))) if self.shape_only != Some(id) => id,
            Some((_, Some((Binding::Error, _)))) => return poison(span),
            Some((name, None)) if self.global(name).is_none() => return self.unknown(name, wrt.span),
            _ => {
                let error = Diagnostic::new(
                    codes::BAD_GRADIENT_TARGET,
                    "a derivative is taken with respect to a name of this block",
                )
                .at(wrt.span, "this is no input, parameter or equation")
                .help("give the expression a name first, and use that name in what is differentiated");
                return self.fail(span, error);
            }
        };
        let ty = self.local(target).ty.clone();
        let float =
            matches!(ty, Type::Set(Element::Float)) || matches!(&ty, Type::Tensor(t) if t.element == Element::Float);
        if !float {
            if value.ty.is_error() || ty.is_error() {
                return poison(span);
            }
            let error = Diagnostic::new(codes::BAD_GRADIENT_TARGET, "a derivative with respect to this does not exist")
                .at(wrt.span, format!("this is {}", self.describe(&ty)))
                .at(self.local(target).span, "defined here");
            return self.fail(span, error);
        }
        let value = self.numeric(value, "a derivative is taken of");
        let value = self.float(value);
        if value.ty.is_error() {
            return poison(span);
        }
        if !value.axes().is_empty() || matches!(value.ty, Type::Set(_)) {
            let error = Diagnostic::new(codes::NOT_A_SCALAR, "a derivative is taken of a single number")
                .at(value.span, format!("this is {}", self.show(&value.ty)))
                .help("reduce it first: `grad(sum(e), x)`");
            let error = self.trace(error, &value);
            return self.fail(span, error);
        }
        self.locals[target.0 as usize].target = true;
        Expr { kind: ExprKind::Grad { of: Box::new(value), wrt: target }, ty, span }
    }
}

/// How a built-in function is applied.
fn usage(name: &str) -> String {
    match name {
        "sum" | "mean" | "max" | "min" | "norm" | "argmax" => {
            format!("the axes it runs over are named after `over`: `{name}(x over N)`")
        }
        "grad" => {
            "write `grad(e, x)` for a number e, `grad(J)(θ)` for an objective, `grad(f)(x)` for a function".into()
        }
        "where" => "write `where(c, a, b)`: a where c is true, else b".into(),
        "log" => "it is the natural logarithm, `log(x)`; to base b it is `log(x) / log(b)`".into(),
        "size" => "write `size(x over D)`".into(),
        "dot" | "concat" => format!("write `{name}(a, b)`"),
        "draws" => "write `draws(e, 20)`".into(),
        _ => format!("write `{name}(x)`"),
    }
}
