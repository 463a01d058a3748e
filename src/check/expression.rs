//! Expressions: which operation each means.

use super::globals::Global;
use super::member::is_application;
use super::scope::{Binding, Checker, number, poison, size_value, tensor};
use super::shape::distinct_labels;
use super::typed::{Axis, Block, DefId, Draw, Element, Expr, ExprKind, Kind, TensorType, Type, same_extent};
use crate::ir::{Op, primitive as p};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, BinaryOp, ExprKind as Ast, UnaryOp};

/// The most values a tuple may hold: tuples of tuples would grow without end.
const MOST_VALUES: usize = 1000;

/// The names the language itself gives meaning, for suggestions.
pub const BUILTINS: [&str; 52] = [
    "jvp",
    "vjp",
    "jacobian",
    "hessian",
    "reshape",
    "flatten",
    "split",
    "stack",
    "reverse",
    "range",
    "sort",
    "order",
    "exp",
    "log",
    "log1p",
    "expm1",
    "sqrt",
    "abs",
    "sign",
    "floor",
    "tanh",
    "sigmoid",
    "softplus",
    "erf",
    "sin",
    "cos",
    "where",
    "max",
    "min",
    "sum",
    "mean",
    "argmax",
    "norm",
    "dot",
    "size",
    "stop",
    "grad",
    "hvp",
    "one_hot",
    "concat",
    "uniform",
    "normal",
    "bernoulli",
    "rademacher",
    "zeros",
    "ones",
    "evaluating",
    "draws",
    "members",
    "weights",
    "biases",
    "params",
];

impl Checker<'_> {
    pub fn expression(&mut self, e: &ast::Expr) -> Expr {
        match &e.kind {
            Ast::Int(n) => number(*n as f64, Element::Int, e.span),
            Ast::Float(x) => number(*x, Element::Float, e.span),
            Ast::Bool(b) => number(f64::from(*b), Element::Bool, e.span),
            Ast::Str(_) => {
                let error = Diagnostic::new(codes::WRONG_TYPE, "a text has no place in a formula")
                    .at(e.span, "texts name files, in `data` lines");
                self.fail(e.span, error)
            }
            Ast::Name(name) => self.name(name, e.span),
            Ast::Next(name) => self.next(name, e.span),
            Ast::Unary { op, operand } => {
                let operand = self.expression(operand);
                self.unary(*op, operand, e.span)
            }
            Ast::Binary { op: BinaryOp::MatMul, left, right } => {
                let (left, right) = (self.expression(left), self.expression(right));
                self.matmul(left, right, e.span)
            }
            Ast::Binary { op, left, right } => {
                let (left, right) = (self.expression(left), self.expression(right));
                self.binary(*op, left, right, e.span)
            }
            Ast::Call { .. } | Ast::Pipe { .. } => self.application(e),
            Ast::IndexReduce { .. } => self.index_reduction(e),
            Ast::Index { base, indices } => self.gather(base, indices, e.span),
            Ast::Field { base, name } if is_application(base) => self.member(base, name, e.span),
            Ast::Field { .. } | Ast::Wildcard { .. } => self.path_expression(e),
            Ast::Transpose { base } => {
                let base = self.expression(base);
                self.transpose(base, e.span)
            }
            Ast::Tuple(parts) => {
                let parts: Vec<Expr> = parts.iter().map(|p| self.expression(p)).collect();
                if parts.iter().any(|p| p.ty.is_error()) {
                    return poison(e.span);
                }
                let ty = Type::Tuple(parts.iter().map(|p| p.ty.clone()).collect());
                if ty.values() > MOST_VALUES {
                    let message = format!("this tuple holds more than {MOST_VALUES} values");
                    let error = Diagnostic::new(codes::EXPANSION_TOO_LARGE, message)
                        .at(e.span, "tuples within tuples count with all they hold");
                    return self.fail(e.span, error);
                }
                Expr { kind: ExprKind::Tuple(parts), ty, span: e.span }
            }
            Ast::If { condition, then, otherwise } => {
                let condition = self.expression(condition);
                let mut condition = self.boolean(condition, "the condition of `if` is");
                if !condition.axes().is_empty() || matches!(condition.ty, Type::Set(_)) {
                    let error = Diagnostic::new(codes::NOT_A_SCALAR, "`if` chooses by a single truth value")
                        .at(condition.span, format!("this is {}", self.show(&condition.ty)))
                        .help("choose element by element with `where(c, a, b)`");
                    condition = self.fail(e.span, error);
                }
                self.inside_if += 1;
                let (then, otherwise) = self.branches(then, otherwise);
                self.inside_if -= 1;
                match self.join(then, otherwise, e.span) {
                    Some((then, otherwise, ty)) if !condition.ty.is_error() => Expr {
                        kind: ExprKind::If {
                            condition: Box::new(condition),
                            then: Box::new(then),
                            otherwise: Box::new(otherwise),
                        },
                        ty,
                        span: e.span,
                    },
                    _ => poison(e.span),
                }
            }
            Ast::When { mode, then, otherwise } => {
                if mode.text != "training" {
                    let error = Diagnostic::new(codes::UNKNOWN_NAME, format!("no mode is called `{}`", mode.text))
                        .at(mode.span, "the mode is `training`")
                        .help("write `when training { ... } else { ... }`");
                    self.report(error);
                }
                let (then, otherwise) = self.branches(then, otherwise);
                match self.join(then, otherwise, e.span) {
                    Some((training, otherwise, ty)) => Expr {
                        kind: ExprKind::When { training: Box::new(training), otherwise: Box::new(otherwise) },
                        ty,
                        span: e.span,
                    },
                    None => poison(e.span),
                }
            }
            Ast::For(repeat) => self.repetition(repeat, e.span),
            Ast::Shape(_) => {
                let error = Diagnostic::new(codes::WRONG_TYPE, "a shape is no value")
                    .at(e.span, "a value is wanted here")
                    .help("a tensor of a shape is made by `zeros([N, 8])`, `normal([N, 8])`, …");
                self.fail(e.span, error)
            }
            Ast::Marked { mark, value } => self.marked(*mark, value, e.span),
        }
    }

    /// `peek f(x)`, `commit J(p)`
    fn marked(&mut self, mark: ast::Mark, value: &ast::Expr, span: Span) -> Expr {
        let value = self.expression(value);
        let ty = value.ty.clone();
        match (mark, &value.kind) {
            (_, ExprKind::Error) => value,
            (ast::Mark::Peek, ExprKind::Call(_) | ExprKind::CallLocal { .. }) => {
                Expr { kind: ExprKind::Peek(Box::new(value)), ty, span }
            }
            (ast::Mark::Commit, ExprKind::Evaluate { .. } | ExprKind::EvaluateGrad { .. })
                if self.kind == Some(Kind::Optimizer) =>
            {
                Expr { kind: ExprKind::Commit(Box::new(value)), ty, span }
            }
            (ast::Mark::Peek, _) => {
                let error = Diagnostic::new(codes::WRONG_TYPE, "`peek` belongs to an application")
                    .at(value.span, "this is none")
                    .help("write `peek f(x)`: the state that f assigns is not kept");
                self.fail(span, error)
            }
            (ast::Mark::Commit, _) => {
                let error = Diagnostic::new(codes::WRONG_TYPE, "`commit` belongs to an evaluation of the objective")
                    .at(span, "this is none, or in no optimizer")
                    .help("write `commit J(p)` or `commit grad(J)(p)` in an optimizer");
                self.fail(span, error)
            }
        }
    }

    fn name(&mut self, name: &str, span: Span) -> Expr {
        match self.lookup(name).cloned() {
            Some((Binding::Local(id), _)) => {
                if self.shape_only == Some(id) {
                    let error =
                        Diagnostic::new(codes::WRONG_TYPE, format!("`{name}` stands for the shape of the parameter"))
                            .at(span, "it has no value yet")
                            .help(format!("use its sizes, or draw in its shape: `uniform(like: {name})`"));
                    return self.fail(span, error);
                }
                return self.read(id, span);
            }
            Some((Binding::Size(symbol), _)) => return size_value(crate::ir::Size::symbol(&symbol.0), span),
            Some((Binding::Error, _)) => return poison(span),
            Some((Binding::Shared(k), _)) => return self.shared_as_value(k, span),
            Some((Binding::Index, _)) => {
                let error = Diagnostic::new(codes::BAD_INDEX_NOTATION, format!("`{name}` is an index, not a value"))
                    .at(span, "an index stands in brackets only");
                return self.fail(span, error);
            }
            None => {}
        }
        if let Some(symbol) = self.sizes.iter().find(|s| *s.0 == *name) {
            return size_value(crate::ir::Size::symbol(&symbol.0), span);
        }
        match self.global(name) {
            Some(Global::Constant(c)) => number(c.value, if c.integer { Element::Int } else { Element::Float }, span),
            Some(Global::Computed(id)) => self.computed(id, span),
            Some(Global::Error) => poison(span),
            Some(Global::Definition(id)) if self.kind.is_none() && self.globals.kind(id) == Kind::Net => {
                let place = ast::Expr { kind: Ast::Name(name.to_string()), span };
                self.selection_expression(&place).unwrap_or_else(|| poison(span))
            }
            Some(Global::Definition(id)) => {
                let kind = self.globals.kind(id);
                let error =
                    Diagnostic::new(codes::WRONG_KIND, format!("`{name}` is {} {kind}, not a value", article(kind)))
                        .at(span, "a value is wanted here")
                        .at(self.globals.definitions[id.0 as usize].0.name.span, "defined here")
                        .help(match kind {
                            Kind::Optimizer => format!("an optimizer stands in `using {name}`"),
                            Kind::Init => format!("a parameter starts with it: `param W: [I, O] = {name}`"),
                            _ => format!("apply it: `{name}(x)`"),
                        });
                self.fail(span, error)
            }
            None if self.kind.is_none() && self.is_set_word(name) => self.selection_word(name, span),
            None if super::elementwise::unary(name).is_some() => {
                let error = Diagnostic::new(codes::WRONG_KIND, format!("`{name}` is a function, not a value"))
                    .at(span, "a value is wanted here")
                    .help(format!("apply it: `{name}(x)`"));
                self.fail(span, error)
            }
            None => self.unknown(name, span),
        }
    }

    pub fn computed(&mut self, id: DefId, span: Span) -> Expr {
        Expr { kind: ExprKind::Computed(id), ty: self.definitions[id.0 as usize].result.clone(), span }
    }

    /// `v'`: readable in the block that assigns it and in those inside.
    fn next(&mut self, name: &str, span: Span) -> Expr {
        let current = match self.lookup(name) {
            Some((Binding::Local(id), _)) => *id,
            Some((Binding::Error, _)) => return poison(span),
            Some(_) | None => {
                return self.unknown(name, span);
            }
        };
        let Some(state) = self.states.iter().find(|s| s.current == current).copied() else {
            let local = self.local(current).span;
            let error = Diagnostic::new(codes::WRONG_TYPE, format!("`{name}` is no state, so it has no next value"))
                .at(span, "a next value is read here")
                .at(local, format!("`{name}` is defined here"))
                .help(format!("declare it as a state: `state {name} = ...`"));
            return self.fail(span, error);
        };
        if !self.scopes.iter().any(|s| s.assigned.contains(&current)) {
            let error = Diagnostic::new(codes::UNASSIGNED, format!("`{name}'` is read but not assigned here"))
                .at(span, "no equation in this block or around it gives it a value")
                .help(format!("write `{name}' = ...`, or read `{name}`, the value before the step"));
            return self.fail(span, error);
        }
        self.read(state.next, span)
    }

    fn branches(&mut self, then: &ast::Block, otherwise: &ast::Block) -> (Block, Block) {
        (self.inner_block(then), self.inner_block(otherwise))
    }

    /// The results of two branches with one type.
    fn join(&mut self, mut a: Block, mut b: Block, span: Span) -> Option<(Block, Block, Type)> {
        let (x, y) = (*a.result.take()?, *b.result.take()?);
        let (x, y, ty) = self.same_type(x, y, span)?;
        a.result = Some(Box::new(x));
        b.result = Some(Box::new(y));
        Some((a, b, ty))
    }

    /// Two values with one type: numbers and shapes made equal, a scalar spread over a set.
    pub fn same_type(&mut self, x: Expr, y: Expr, span: Span) -> Option<(Expr, Expr, Type)> {
        if x.ty.is_error() || y.ty.is_error() {
            return None;
        }
        match (&x.ty, &y.ty) {
            (Type::Tensor(_) | Type::Set(_), Type::Tensor(_) | Type::Set(_)) if is_boolean(&x) == is_boolean(&y) => {
                let equal = match (&x.ty, &y.ty) {
                    (Type::Tensor(a), Type::Tensor(b)) => a.element == b.element,
                    _ => false,
                };
                let (x, y) = if equal || is_boolean(&x) {
                    (x, y)
                } else {
                    let (x, y, _) = self.same_numbers(x, y);
                    (x, y)
                };
                match (&x.ty, &y.ty) {
                    (Type::Set(_), Type::Set(_)) => {
                        let ty = x.ty.clone();
                        Some((x, y, ty))
                    }
                    (Type::Tensor(_), Type::Tensor(_)) => {
                        let mut both = self.align(vec![x, y], span)?;
                        let y = both.pop()?;
                        let x = both.pop()?;
                        let ty = x.ty.clone();
                        Some((x, y, ty))
                    }
                    (a, b) => {
                        let error = Diagnostic::new(codes::WRONG_TYPE, "the branches have different types")
                            .at(x.span, format!("this is {}", self.show(a)))
                            .at(y.span, format!("this is {}", self.show(b)));
                        self.report(error);
                        None
                    }
                }
            }
            (a, b) if a == b => {
                let ty = a.clone();
                Some((x, y, ty))
            }
            (a, b) => {
                let error = Diagnostic::new(codes::WRONG_TYPE, "the branches have different types")
                    .at(y.span, format!("this is {}", self.describe(b)))
                    .at(x.span, format!("this is {}", self.describe(a)));
                self.report(error);
                None
            }
        }
    }

    pub fn unary(&mut self, op: UnaryOp, operand: Expr, span: Span) -> Expr {
        match op {
            UnaryOp::Not => {
                let operand = self.boolean(operand, "`not` takes");
                self.apply(Op::Not(p::Not), vec![operand], Element::Bool, span)
            }
            UnaryOp::Neg => {
                let operand = self.numeric(operand, "`-` takes");
                if let (ExprKind::Number(n), Type::Tensor(t)) = (&operand.kind, &operand.ty) {
                    return number(-n, t.element.clone(), span);
                }
                let element = match &operand.ty {
                    Type::Tensor(TensorType { element: Element::Int | Element::Index(_), .. })
                    | Type::Set(Element::Int) => Element::Int,
                    _ => Element::Float,
                };
                let operand = self.convert(operand, element.clone());
                self.apply(Op::Neg(p::Neg), vec![operand], element, span)
            }
        }
    }

    pub fn binary(&mut self, op: BinaryOp, left: Expr, right: Expr, span: Span) -> Expr {
        use BinaryOp::*;
        let what = format!("`{}` takes", op.symbol());
        match op {
            Or | And => {
                let (a, b) = (self.boolean(left, &what), self.boolean(right, &what));
                let op = if op == Or { Op::Or(p::Or) } else { Op::And(p::And) };
                self.apply(op, vec![a, b], Element::Bool, span)
            }
            Lt | Le | Gt | Ge | Eq | Ne => {
                let truth = matches!(op, Eq | Ne) && is_boolean(&left) && is_boolean(&right);
                let (a, b) = match truth {
                    true => (self.float(left), self.float(right)),
                    false => (self.numeric(left, &what), self.numeric(right, &what)),
                };
                if a.ty.is_error() || b.ty.is_error() {
                    return poison(span);
                }
                let (a, b, _) = self.same_numbers(a, b);
                let negated = op == Ne;
                let (op, operands) = match op {
                    Lt => (Op::Less(p::Less), vec![a, b]),
                    Le => (Op::LessEqual(p::LessEqual), vec![a, b]),
                    Gt => (Op::Less(p::Less), vec![b, a]),
                    Ge => (Op::LessEqual(p::LessEqual), vec![b, a]),
                    _ => (Op::Equal(p::Equal), vec![a, b]),
                };
                let result = self.apply(op, operands, Element::Bool, span);
                if negated {
                    return self.apply(Op::Not(p::Not), vec![result], Element::Bool, span);
                }
                result
            }
            Add | Sub | Mul | Div | Pow => {
                let (a, b) = (self.numeric(left, &what), self.numeric(right, &what));
                if a.ty.is_error() || b.ty.is_error() {
                    return poison(span);
                }
                let (a, b, element) = match op {
                    Div | Pow => (self.float(a), self.float(b), Element::Float),
                    _ => self.same_numbers(a, b),
                };
                let op = match op {
                    Add => Op::Add(p::Add),
                    Sub => Op::Sub(p::Sub),
                    Mul => Op::Mul(p::Mul),
                    Div => Op::Div(p::Div),
                    _ => Op::Pow(p::Pow),
                };
                self.apply(op, vec![a, b], element, span)
            }
            MatMul => self.matmul(left, right, span),
        }
    }

    fn transpose(&mut self, base: Expr, span: Span) -> Expr {
        let Type::Tensor(t) = &base.ty else {
            return if base.ty.is_error() {
                base
            } else {
                let error = Diagnostic::new(codes::WRONG_TYPE, "only a tensor can be transposed")
                    .at(base.span, format!("this is {}", self.describe(&base.ty)));
                self.fail(span, error)
            };
        };
        let n = t.axes.len();
        let last = t.axes.iter().rev().take(2);
        if n < 2 || last.clone().any(|a| matches!(a, Axis::Pack(_))) {
            let error = Diagnostic::new(codes::SHAPE_MISMATCH, "a transpose needs two named axes at the end")
                .at(span, format!("this is {}", self.show(&base.ty)))
                .help("annotate the value: `x: [.., A, B]`");
            let error = self.trace(error, &base);
            return self.fail(span, error);
        }
        let mut order: Vec<usize> = (0..n).collect();
        order.swap(n - 1, n - 2);
        let mut axes = t.axes.clone();
        axes.swap(n - 1, n - 2);
        let element = t.element.clone();
        tensor(ExprKind::Permute { value: Box::new(base), order }, element, axes, span)
    }

    /// `x @ W`: the last axis of the left with the first of the right; with three axes or more on the right and the same
    /// leading axes on the left, these run together and the last but one is contracted.
    pub fn matmul(&mut self, left: Expr, right: Expr, span: Span) -> Expr {
        let (left, right) = (self.numeric(left, "`@` takes"), self.numeric(right, "`@` takes"));
        let (left, right) = (self.float(left), self.float(right));
        let (Type::Tensor(l), Type::Tensor(r)) = (&left.ty, &right.ty) else {
            if left.ty.is_error() || right.ty.is_error() {
                return poison(span);
            }
            let error = Diagnostic::new(codes::WRONG_TYPE, "`@` takes tensors").at(span, "one of them is a set");
            return self.fail(span, error);
        };
        let (ln, rn) = (l.axes.len(), r.axes.len());
        if ln == 0 || rn == 0 {
            let error = Diagnostic::new(codes::SHAPE_MISMATCH, "`@` contracts an axis of each side")
                .at(span, "one side is a scalar")
                .help("multiply with `*`");
            return self.fail(span, error);
        }
        let leading = rn.saturating_sub(2);
        let together = |a: &Axis, b: &Axis| {
            same_extent(a, b)
                && match (a, b) {
                    (Axis::Sized { label: x, .. }, Axis::Sized { label: y, .. }) => x == y,
                    _ => true,
                }
        };
        let batched = leading > 0 && ln > leading && l.axes.iter().zip(&r.axes[..leading]).all(|(a, b)| together(a, b));
        let batch: Vec<(usize, usize)> = if batched { (0..leading).map(|k| (k, k)).collect() } else { Vec::new() };
        let (i, j) = (ln - 1, batch.len());
        let fits = matches!(l.axes[i], Axis::Sized { .. }) && same_extent(&l.axes[i], &r.axes[j]);
        if !fits {
            let (last, first) = (self.show_axis(&l.axes[i]), self.show_axis(&r.axes[j]));
            let mut error = Diagnostic::new(codes::SHAPE_MISMATCH, "these shapes do not fit")
                .at(span, format!("the last axis on the left is {last}, but the right starts with {first}"))
                .at(left.span, format!("this is {}", self.show(&left.ty)))
                .at(right.span, format!("this is {}", self.show(&right.ty)));
            error = self.trace(error, &left);
            error = self.trace(error, &right);
            if let (ExprKind::Local(id), Axis::Sized { .. }) = (&right.kind, &l.axes[i])
                && self.local(*id).origin == super::typed::Origin::Param
            {
                let mut wanted = r.axes.clone();
                wanted[j] = l.axes[i].clone();
                let name = self.local(*id).name.clone();
                error = error.help(format!("declare `param {name}: {}`", self.show_axes(&wanted)));
            } else if r.axes.last().is_some_and(|a| same_extent(a, &l.axes[i])) && rn > 1 {
                error = error.help("transpose the right side: `x @ W.T`");
            } else {
                error = error.help("`x @ W` sums over the last axis of x and the first of W, which must be equal");
            }
            return self.fail(span, error);
        }
        let mut axes: Vec<Axis> = l.axes[..i].to_vec();
        axes.extend(r.axes[j + 1..].iter().cloned());
        let kind = ExprKind::Contract { left: Box::new(left), right: Box::new(right), contract: vec![(i, j)], batch };
        tensor(kind, Element::Float, distinct_labels(axes), span)
    }

    /// A draw in the shape of `like`, which is only looked at for its shape.
    pub fn random(&mut self, draw: Draw, like: &Expr, span: Span) -> Expr {
        let site = self.site();
        match &like.ty {
            Type::Tensor(t) => {
                tensor(ExprKind::Random { site, draw, like: None }, Element::Float, t.axes.clone(), span)
            }
            Type::Set(_) => Expr {
                kind: ExprKind::Random { site, draw, like: Some(Box::new(like.clone())) },
                ty: Type::Set(Element::Float),
                span,
            },
            _ => poison(span),
        }
    }

    /// A scalar in every element of something shaped like `like`.
    pub fn fill(&mut self, value: Expr, like: &Expr, span: Span) -> Expr {
        match &like.ty {
            Type::Tensor(t) => {
                let axes = t.axes.clone();
                let kind = ExprKind::Broadcast { value: Box::new(value), axes: Vec::new() };
                tensor(kind, Element::Float, axes, span)
            }
            Type::Set(_) => Expr {
                kind: ExprKind::FillSet { value: Box::new(value), like: Box::new(like.clone()) },
                ty: Type::Set(Element::Float),
                span,
            },
            _ => poison(span),
        }
    }
}

/// The article before a kind's keyword.
pub fn article(kind: Kind) -> &'static str {
    match kind {
        Kind::Optimizer | Kind::Init | Kind::Augment | Kind::Average => "an",
        _ => "a",
    }
}

/// Truth values, one or many.
pub fn is_boolean(e: &Expr) -> bool {
    matches!(e.ty, Type::Tensor(TensorType { element: Element::Bool, .. }) | Type::Set(Element::Bool))
}
