//! Expressions and blocks.

use super::frame::{Closure, Frame, InitClosure, Value};
use super::{Elaborator, Purpose};
use crate::check::typed::{Axis, Block, Draw, Expr, ExprKind, Instance, ReduceOp, Statement, Type as CheckedType};
use crate::ir::primitive::{ArgMax, Concat, Contraction, Gather, Iota, Order, Random, SizeOf, Slice, Tangent};
use crate::ir::{DType, NodeId, Op, Role, Size, Type};
use crate::source::{Diagnostic, Span, codes};
use std::rc::Rc;

impl<'p> Elaborator<'p> {
    pub(super) fn tensor(&mut self, frame: &mut Frame<'p>, expr: &'p Expr) -> Result<NodeId, Diagnostic> {
        Ok(self.expression(frame, expr)?.into_tensor())
    }

    pub(super) fn set(&mut self, frame: &mut Frame<'p>, expr: &'p Expr) -> Result<Vec<NodeId>, Diagnostic> {
        Ok(self.expression(frame, expr)?.into_set())
    }

    /// Runs the statements, then gives the result; `None` if the block has none.
    pub(super) fn block(&mut self, frame: &mut Frame<'p>, block: &'p Block) -> Result<Option<Value>, Diagnostic> {
        for statement in &block.statements {
            match statement {
                Statement::Let { local, value } => {
                    let value = self.expression(frame, value)?;
                    self.bind(frame, *local, value);
                }
                Statement::LetTuple { locals, value } => {
                    if let Value::Tuple(values) = self.expression(frame, value)? {
                        for (local, value) in locals.iter().zip(values) {
                            self.bind(frame, *local, value);
                        }
                    }
                }
                Statement::Param(param) => self.parameter(frame, param)?,
                Statement::State(state) => self.state(frame, state)?,
                Statement::Next { state, next, value } => {
                    let span = value.span;
                    let value = self.expression(frame, value)?;
                    self.next(frame, *state, *next, value, span)?;
                }
            }
        }
        block.result.as_ref().map(|result| self.expression(frame, result)).transpose()
    }

    pub(super) fn expression(&mut self, frame: &mut Frame<'p>, expr: &'p Expr) -> Result<Value, Diagnostic> {
        self.enter(expr.span)?;
        let value = self.value(frame, expr)?;
        self.leave();
        Ok(value)
    }

    fn value(&mut self, frame: &mut Frame<'p>, expr: &'p Expr) -> Result<Value, Diagnostic> {
        let node = match &expr.kind {
            ExprKind::Local(local) => return Ok(self.local(frame, *local)),
            ExprKind::Tuple(values) => {
                let values: Result<_, _> = values.iter().map(|v| self.expression(frame, v)).collect();
                return Ok(Value::Tuple(values?));
            }
            ExprKind::Block(block) => {
                let value = self.block(frame, block)?;
                return Ok(value.expect("the checker gives blocks in expressions a result"));
            }
            ExprKind::When { training, otherwise } => {
                let branch = if self.evaluating { otherwise } else { training };
                let value = self.block(frame, branch)?;
                if self.purpose == Purpose::Start {
                    // What only the other branch applies is created too.
                    let quiet = std::mem::replace(&mut self.quiet, true);
                    self.block(frame, otherwise)?;
                    self.quiet = quiet;
                }
                return Ok(value.expect("the checker gives both branches a result"));
            }
            ExprKind::If { condition, then, otherwise } => {
                let condition = self.tensor(frame, condition)?;
                let then = self.block(frame, then)?.expect("the checker gives both branches a result");
                let otherwise = self.block(frame, otherwise)?.expect("the checker gives both branches a result");
                self.at(frame, expr.span);
                let alike = match (&then, &otherwise) {
                    (Value::Set(a), Value::Set(b)) => self.alike(a, b, expr.span)?,
                    _ => true,
                };
                return Ok(if alike { self.choose(condition, then, otherwise) } else { then });
            }
            ExprKind::Evaluating(value) => return self.in_mode(true, |e| e.expression(frame, value)),
            ExprKind::Members { value, count } => {
                return self.members(frame, value, *count, expr.span).map(Value::Tensor);
            }
            ExprKind::Draws { value, count } => return self.draws(frame, value, *count, expr.span).map(Value::Tensor),
            ExprKind::Call(call) => return self.call(frame, call, None, expr.span),
            ExprKind::Member { call, local } => return self.call(frame, call, Some(*local), expr.span),
            ExprKind::CallLocal { function, args, site } => {
                let Value::Function(closure) = self.local(frame, *function) else {
                    panic!("this is a bug in dlc: a call of a local that is no function");
                };
                let args: Result<Vec<Value>, _> = args.iter().map(|a| self.expression(frame, a)).collect();
                return self.apply_closure(frame, &closure, args?, frame.site(site.0), expr.span);
            }
            ExprKind::Function(function) => {
                let options: Result<_, _> = self.options(frame, &function.options);
                let path = match &function.instance {
                    Instance::New { segment, loops } => frame.member(segment, loops),
                    Instance::Net => self.program.definition(function.def).name.as_str().into(),
                    Instance::None => frame.path.clone(),
                };
                return Ok(Value::Function(Rc::new(Closure {
                    def: function.def,
                    sizes: function.sizes.iter().map(|(s, size)| (s.clone(), frame.size(size))).collect(),
                    packs: function.packs.iter().map(|axes| frame.dims(axes)).collect(),
                    options: options?,
                    path,
                })));
            }
            ExprKind::Init(init) => {
                let options = self.options(frame, &init.options)?;
                return Ok(Value::Init(Rc::new(InitClosure { def: init.def, options })));
            }
            ExprKind::Grad { of, wrt } => {
                let of = self.tensor(frame, of)?;
                let target = self.local(frame, *wrt);
                self.at(frame, expr.span);
                return Ok(match target {
                    Value::Tensor(x) => Value::Tensor(self.gradients(of, &[x])[0]),
                    set => Value::Set(self.gradients(of, &set.into_set())),
                });
            }
            ExprKind::Tangent { of, wrt, along } => {
                let of = self.tensor(frame, of)?;
                let along = self.tensor(frame, along)?;
                let target = self.local(frame, *wrt).into_tensor();
                self.at(frame, expr.span);
                self.builder.push(Tangent, &[of, target, along])
            }
            ExprKind::Jacobian { of, wrt, rows } => {
                let of = self.tensor(frame, of)?;
                let target = self.local(frame, *wrt).into_tensor();
                self.at(frame, expr.span);
                self.jacobian(of, target, *rows, expr.span)?
            }
            ExprKind::Peek(value) => {
                let kept = std::mem::take(&mut self.next_state);
                let value = self.expression(frame, value);
                self.next_state = kept;
                return value;
            }
            ExprKind::Commit(value) => {
                let before = self.committed.remove(&self.player);
                if let ExprKind::Evaluate { at, .. } | ExprKind::EvaluateGrad { at, .. } = &value.kind {
                    let at = self.set(frame, at)?;
                    let at = self.complete(&at, |_, here| here);
                    self.committed.insert(self.player, at);
                }
                if before.is_some() && before.as_ref() != self.committed.get(&self.player) {
                    return Err(Diagnostic::new(codes::DUPLICATE_CLAUSE, "a rule commits to one evaluation")
                        .at(expr.span, "this is the second"));
                }
                return self.expression(frame, value);
            }
            ExprKind::Evaluate { at, .. } => {
                let at = self.set(frame, at)?;
                self.evaluate(&at)?
            }
            ExprKind::EvaluateGrad { at, .. } => {
                let at = self.set(frame, at)?;
                return Ok(Value::Set(self.evaluate_gradient(&at)?.1));
            }
            ExprKind::EvaluateHvp { at, along, .. } => {
                let at = self.set(frame, at)?;
                let along = self.set(frame, along)?;
                return Ok(Value::Set(self.evaluate_hvp(&at, &along)?));
            }
            ExprKind::SetOf(value) => return Ok(Value::Set(vec![self.tensor(frame, value)?])),
            ExprKind::FillSet { value, like } => {
                let scalar = self.tensor(frame, value)?;
                let like = self.set(frame, like)?;
                self.at(frame, expr.span);
                return Ok(Value::Set(like.iter().map(|l| self.stretch(scalar, *l)).collect()));
            }
            ExprKind::ReduceSet { op, value } => {
                let set = self.set(frame, value)?;
                self.at(frame, expr.span);
                self.reduce_set(*op, &set)
            }
            ExprKind::Selection(selection) => {
                let members = self.instances.select(&selection.items, self.trained());
                if self.purpose != Purpose::Start {
                    self.instances.must_exist(selection)?;
                }
                return Ok(Value::Set(members.into_iter().map(|k| self.point[k]).collect()));
            }
            ExprKind::Map(map) => return self.mapped(frame, map, expr.span),
            ExprKind::Parameter(path) => self.parameter_at(frame, path, expr)?,
            ExprKind::Computed(def) => self.computed(*def)?,
            ExprKind::Start(value) => self.tensor(frame, value)?,
            ExprKind::For(repeat) => return self.repetition(frame, repeat, expr.span),
            ExprKind::Elementwise { op, operands } => return self.elementwise(frame, expr, op, operands),
            ExprKind::Convert(value) => {
                let value = self.expression(frame, value)?;
                self.at(frame, expr.span);
                return Ok(match (value, &expr.ty) {
                    (Value::Set(nodes), CheckedType::Set(element)) => {
                        let dtype = self.element(element);
                        Value::Set(nodes.into_iter().map(|n| self.builder.convert(n, dtype)).collect())
                    }
                    (value, ty) => {
                        let dtype = ty.tensor().map_or(self.dtype, |t| self.element(&t.element));
                        Value::Tensor(self.builder.convert(value.into_tensor(), dtype))
                    }
                });
            }
            ExprKind::Random { site, draw, like } => {
                let site = frame.site(site.0);
                let shapes = match like {
                    Some(like) => match self.expression(frame, like)? {
                        Value::Set(nodes) => Some(nodes),
                        _ => None,
                    },
                    None => None,
                };
                self.at(frame, expr.span);
                if let Some(nodes) = shapes {
                    let draws = nodes.iter().enumerate().map(|(k, n)| {
                        let dims = self.builder.dims(*n);
                        self.draw(*draw, super::frame::mix(site, k as u64 + 1), &dims)
                    });
                    return Ok(Value::Set(draws.collect()));
                }
                let dims = frame.dims(expr.axes());
                self.draw(*draw, site, &dims)
            }
            _ => self.rearranged(frame, expr)?,
        };
        Ok(Value::Tensor(node))
    }

    /// Expressions of tensors alone: leaves, movement, reductions, products.
    fn rearranged(&mut self, frame: &mut Frame<'p>, expr: &'p Expr) -> Result<NodeId, Diagnostic> {
        let ty = self.ty(frame, expr.ty.tensor().expect("the checker types these as tensors"));
        Ok(match &expr.kind {
            ExprKind::Number(value) => {
                self.at(frame, expr.span);
                self.builder.constant(ty.dtype, *value)
            }
            ExprKind::SizeValue(size) => {
                self.at(frame, expr.span);
                self.size_of(&frame.size(size), ty.dtype)
            }
            ExprKind::Count(axes) => {
                self.at(frame, expr.span);
                let size = frame.dims(axes).iter().fold(Size::constant(1), |n, d| &n * d);
                self.size_of(&size, ty.dtype)
            }
            ExprKind::ToIndex(value) => self.tensor(frame, value)?,
            ExprKind::Broadcast { value, axes } => {
                let x = self.tensor(frame, value)?;
                self.at(frame, expr.span);
                let result = frame.spread(expr.axes());
                let axes: Vec<usize> = axes.iter().flat_map(|a| result[*a].clone()).collect();
                self.builder.broadcast(x, &axes, &ty.dims)
            }
            ExprKind::Permute { value, order } => {
                let x = self.tensor(frame, value)?;
                self.at(frame, expr.span);
                let operand = frame.spread(value.axes());
                let order: Vec<usize> = order.iter().flat_map(|a| operand[*a].clone()).collect();
                self.builder.permute(x, &order)
            }
            ExprKind::Reduce { op, value, axes } => {
                let x = self.tensor(frame, value)?;
                self.at(frame, expr.span);
                let operand = frame.spread(value.axes());
                let axes: Vec<usize> = axes.iter().flat_map(|a| operand[*a].clone()).collect();
                self.reduce(*op, x, &axes)
            }
            ExprKind::ArgMax { value, axis } => {
                let x = self.tensor(frame, value)?;
                self.at(frame, expr.span);
                let axis = frame.spread(value.axes())[*axis][0];
                self.builder.push(ArgMax { axis, dtype: ty.dtype }, &[x])
            }
            ExprKind::Order { value, axis } => {
                let x = self.tensor(frame, value)?;
                self.at(frame, expr.span);
                let axis = frame.spread(value.axes())[*axis][0];
                let rank = self.builder.ty(x).rank();
                let last: Vec<usize> = (0..rank).filter(|k| *k != axis).chain([axis]).collect();
                let mut back = vec![0; rank];
                last.iter().enumerate().for_each(|(to, from)| back[*from] = to);
                let x = self.builder.permute(x, &last);
                let order = self.builder.push(Order { dtype: ty.dtype }, &[x]);
                self.builder.permute(order, &back)
            }
            ExprKind::Contract { left, right, contract, batch } => {
                let l = self.tensor(frame, left)?;
                let r = self.tensor(frame, right)?;
                self.at(frame, expr.span);
                let pairs = |pairs: &[(usize, usize)]| pair_up(frame, left.axes(), right.axes(), pairs);
                let op = Contraction { batch: pairs(batch), contract: pairs(contract) };
                self.builder.push(op, &[l, r])
            }
            ExprKind::Gather { value, index, axis, batch } => {
                let x = self.tensor(frame, value)?;
                let y = self.tensor(frame, index)?;
                self.at(frame, expr.span);
                let axis = frame.spread(value.axes())[*axis][0];
                let batch = pair_up(frame, value.axes(), index.axes(), batch);
                self.builder.push(Gather { axis, batch }, &[x, y])
            }
            ExprKind::OneHot(index) => {
                let y = self.tensor(frame, index)?;
                self.at(frame, expr.span);
                let last = ty.dims.len() - 1;
                let y = self.builder.broadcast_over(y, &[last], &ty.dims);
                let int = self.dtype.int();
                let positions = self.builder.push(Iota { axis: last, dims: ty.dims.clone(), dtype: int }, &[]);
                let hit = self.builder.equal(y, positions);
                self.builder.convert(hit, ty.dtype)
            }
            ExprKind::Concat { values, axis } => {
                let operands: Result<Vec<NodeId>, _> = values.iter().map(|v| self.tensor(frame, v)).collect();
                self.at(frame, expr.span);
                let axis = frame.spread(values[0].axes())[*axis][0];
                self.builder.push(Concat { axis }, &operands?)
            }
            ExprKind::Reshape(value) => {
                let x = self.tensor(frame, value)?;
                self.at(frame, expr.span);
                let from = self.builder.ty(x).clone();
                if from.elements() != ty.elements() {
                    return Err(Diagnostic::new(codes::SHAPE_MISMATCH, "a reshape keeps the number of elements")
                        .at(value.span, format!("this is {from} here"))
                        .at(expr.span, format!("it would be {ty}: the sizes do not divide")));
                }
                self.builder.reshape(x, &ty.dims)
            }
            ExprKind::Slice { value, axis, start, last } => {
                let x = self.tensor(frame, value)?;
                self.at(frame, expr.span);
                let axis = frame.spread(value.axes())[*axis][0];
                let (start, len) = (frame.size(start), ty.dims[axis].clone());
                let whole = self.builder.ty(x).dims[axis].clone();
                if *last && &start + &len != whole {
                    return Err(Diagnostic::new(codes::SHAPE_MISMATCH, "the pieces do not make up the axis")
                        .at(expr.span, format!("an axis of size {whole} ends at {}", &start + &len)));
                }
                self.builder.push(Slice { axis, start, len }, &[x])
            }
            ExprKind::Positions => {
                self.at(frame, expr.span);
                self.builder.push(Iota { axis: 0, dims: ty.dims, dtype: ty.dtype }, &[])
            }
            other => panic!("this is a bug in dlc: {other:?} is no tensor expression"),
        })
    }

    fn size_of(&mut self, size: &Size, dtype: DType) -> NodeId {
        self.builder.push(SizeOf { size: size.clone(), dtype }, &[])
    }

    /// Maps over the tensors of the operands that are sets, stretching scalars; plain otherwise.
    fn elementwise(
        &mut self,
        frame: &mut Frame<'p>,
        expr: &'p Expr,
        op: &Op,
        operands: &'p [Expr],
    ) -> Result<Value, Diagnostic> {
        let values: Result<Vec<Value>, _> = operands.iter().map(|o| self.expression(frame, o)).collect();
        let values = values?;
        self.at(frame, expr.span);
        let shape = values.iter().find_map(|v| if let Value::Set(nodes) = v { Some(nodes.clone()) } else { None });
        let Some(shape) = shape else {
            let nodes: Vec<NodeId> = values.into_iter().map(Value::into_tensor).collect();
            return Ok(Value::Tensor(self.builder.push(op.clone(), &nodes)));
        };
        for value in &values {
            if let Value::Set(other) = value
                && !self.alike(&shape, other, expr.span)?
            {
                return Ok(Value::Set(shape));
            }
        }
        let members = shape.iter().enumerate().map(|(k, like)| {
            let nodes: Vec<NodeId> = values
                .iter()
                .map(|v| match v {
                    Value::Set(nodes) => nodes[k],
                    other => self.stretch(other.clone().into_tensor(), *like),
                })
                .collect();
            self.builder.push(op.clone(), &nodes)
        });
        Ok(Value::Set(members.collect()))
    }

    /// Whether sets go together parameter by parameter: they have as many, of the same shapes. Else an error, but for the time in
    /// which nets are instantiated, when some have no parameters yet and values do not matter.
    fn alike(&self, a: &[NodeId], b: &[NodeId], span: Span) -> Result<bool, Diagnostic> {
        let dims = |node: &NodeId| self.builder.dims(*node);
        let Some(k) = (0..a.len().max(b.len())).find(|k| a.get(*k).map(dims) != b.get(*k).map(dims)) else {
            return Ok(true);
        };
        if self.players.is_empty() {
            return Ok(false);
        }
        let shown = |set: &[NodeId]| match set.get(k) {
            Some(node) => {
                let sizes: Vec<String> = dims(node).iter().map(Size::to_string).collect();
                format!("[{}]", sizes.join(", "))
            }
            None => "no parameter".to_owned(),
        };
        let what = format!("parameter {} of the one is {}, of the other {}", k + 1, shown(a), shown(b));
        let error = Diagnostic::new(codes::SHAPE_MISMATCH, "these sets do not go together").at(span, what);
        Err(error.note("sets go together parameter by parameter, in the order in which they are declared"))
    }

    /// A scalar in the shape of `like`.
    fn stretch(&mut self, scalar: NodeId, like: NodeId) -> NodeId {
        let dims = self.builder.dims(like);
        self.builder.fill(scalar, &dims)
    }

    fn choose(&mut self, condition: NodeId, then: Value, otherwise: Value) -> Value {
        match (then, otherwise) {
            (Value::Tensor(a), Value::Tensor(b)) => {
                let condition = self.stretch(condition, a);
                Value::Tensor(self.builder.select(condition, a, b))
            }
            (Value::Set(a), Value::Set(b)) => {
                let members = a.into_iter().zip(b).map(|(a, b)| {
                    let condition = self.stretch(condition, a);
                    self.builder.select(condition, a, b)
                });
                Value::Set(members.collect())
            }
            (Value::Tuple(a), Value::Tuple(b)) => {
                Value::Tuple(a.into_iter().zip(b).map(|(a, b)| self.choose(condition, a, b)).collect())
            }
            (then, _) => then,
        }
    }

    pub(super) fn reduce(&mut self, op: ReduceOp, x: NodeId, axes: &[usize]) -> NodeId {
        let b = &mut self.builder;
        match op {
            ReduceOp::Sum => b.sum(x, axes),
            ReduceOp::Max => b.max_over(x, axes),
            ReduceOp::Min => {
                let negated = b.neg(x);
                let greatest = b.max_over(negated, axes);
                b.neg(greatest)
            }
            ReduceOp::Mean => {
                let sum = b.sum(x, axes);
                let count = b.count(x, axes);
                let dims = b.dims(sum);
                let count = b.fill(count, &dims);
                b.div(sum, count)
            }
        }
    }

    pub(super) fn reduce_set(&mut self, op: ReduceOp, set: &[NodeId]) -> NodeId {
        let inner = if op == ReduceOp::Mean { ReduceOp::Sum } else { op };
        let mut total: Option<NodeId> = None;
        for x in set {
            let axes: Vec<usize> = (0..self.builder.ty(*x).rank()).collect();
            let part = self.reduce(inner, *x, &axes);
            total = Some(match (total, inner) {
                (None, _) => part,
                (Some(t), ReduceOp::Max) => self.builder.maximum(t, part),
                (Some(t), ReduceOp::Min) => self.builder.minimum(t, part),
                (Some(t), _) => self.builder.add(t, part),
            });
        }
        let total = total.unwrap_or_else(|| self.builder.constant(self.dtype, 0.0));
        if op != ReduceOp::Mean {
            return total;
        }
        let count = set.iter().fold(Size::constant(0), |n, x| &n + &self.builder.ty(*x).elements());
        let count = self.size_of(&count, self.dtype);
        self.builder.div(total, count)
    }

    /// A draw of the given shape. Normal draws are Box and Muller's: √(-2 log(1 - u)) · cos(2πv).
    pub(super) fn draw(&mut self, draw: Draw, site: u64, dims: &[Size]) -> NodeId {
        match draw {
            Draw::Uniform => self.uniform(site, dims),
            Draw::Normal => {
                let u = self.uniform(super::frame::mix(site, 1), dims);
                let v = self.uniform(super::frame::mix(site, 2), dims);
                let b = &mut self.builder;
                let one = b.full_like(u, 1.0);
                let rest = b.sub(one, u);
                let log = b.log(rest);
                let minus_two = b.full_like(u, -2.0);
                let square = b.mul(minus_two, log);
                let radius = b.sqrt(square);
                let turn = b.full_like(u, std::f64::consts::TAU);
                let angle = b.mul(turn, v);
                let cosine = b.cos(angle);
                b.mul(radius, cosine)
            }
        }
    }

    fn uniform(&mut self, site: u64, dims: &[Size]) -> NodeId {
        let key = Type::scalar(DType::I64);
        let seed = self.builder.input("seed", Role::Seed, key.clone());
        let step = self.builder.input("step", Role::Step, key);
        self.builder.push(Random { site, dims: dims.to_vec(), dtype: self.dtype }, &[seed, step])
    }

    pub(super) fn local(&self, frame: &Frame, local: crate::check::typed::LocalId) -> Value {
        frame.locals[local.0 as usize].clone().unwrap_or_else(|| {
            panic!("this is a bug in dlc: local {} is read before it is defined", local.0);
        })
    }

    pub(super) fn options(
        &mut self,
        frame: &mut Frame<'p>,
        options: &'p [Option<Expr>],
    ) -> Result<Vec<Option<Value>>, Diagnostic> {
        options.iter().map(|o| o.as_ref().map(|e| self.expression(frame, e)).transpose()).collect()
    }
}

/// Pairs of axis positions as pairs of actual axes; a pack pairs with a pack, axis by axis.
fn pair_up(frame: &Frame, left: &[Axis], right: &[Axis], pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let (l, r) = (frame.spread(left), frame.spread(right));
    pairs.iter().flat_map(|(a, b)| l[*a].iter().copied().zip(r[*b].iter().copied())).collect()
}
