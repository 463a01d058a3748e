//! Index notation: `y[n, o] = sum(i) x[n, i] * W[i, o]`.
//!
//! Every operand is moved into the space of the indices it mentions, operations happen in the joint space, reductions
//! take indices away, and the equation's left side orders what is left. Contractions appear as sums of products here;
//! a later pass recognises them. Inside, axes have no labels: an index says which axis is which.

use super::arrange::positions;
use super::elementwise::unary;
use super::globals::Global;
use super::scope::{Binding, Checker, Scope, poison, tensor};
use super::shape::distinct_labels;
use super::typed::{
    Axis, Call, Element, Expr, ExprKind, InputKind, Instance, Kind, PackVar, ReduceOp, TensorType, Type, same_extent,
};
use super::uses::{self, Use};
use crate::ir::{Op, primitive as p};
use crate::source::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, BinaryOp, ExprKind as Ast};

/// What an index stands for, once a use has said so.
#[derive(Clone, Debug)]
pub struct IndexVariable {
    pub declared: Span,
    pub axis: Option<(Axis, Span)>,
}

/// A value whose axis `k` is that of the index `vars[k]`.
struct Indexed {
    value: Expr,
    vars: Vec<String>,
}

impl Checker<'_> {
    /// The value of `name[indices] = e`.
    pub fn indexed_equation(&mut self, indices: &[ast::Name], e: &ast::Expr, span: Span) -> Expr {
        if !self.declare_indices(indices) {
            self.forget_indices(indices);
            return poison(span);
        }
        let found = self.indexed(e);
        let result = self.arranged(found, indices, span);
        self.forget_indices(indices);
        result
    }

    fn arranged(&mut self, found: Indexed, indices: &[ast::Name], span: Span) -> Expr {
        if found.value.ty.is_error() {
            return poison(span);
        }
        for name in indices {
            if !found.vars.contains(&name.text) {
                let error =
                    Diagnostic::new(codes::BAD_INDEX_NOTATION, format!("the right side does not use `{}`", name.text))
                        .at(name.span, "so the size of this axis is unknown")
                        .at(found.value.span, "not mentioned here");
                return self.fail(span, error);
            }
        }
        let order: Vec<usize> = indices.iter().filter_map(|n| found.vars.iter().position(|v| *v == n.text)).collect();
        let axes: Vec<Axis> = indices
            .iter()
            .filter_map(|n| self.indices.get(&n.text).and_then(|v| v.axis.clone()))
            .map(|(axis, _)| axis)
            .collect();
        let mut value = permuted(found.value, order);
        if let Type::Tensor(t) = &mut value.ty {
            t.axes = distinct_labels(axes);
        }
        value
    }

    /// `sum(i) e` where no equation of index notation is around it, or all its other indices are bound here.
    pub fn index_reduction(&mut self, e: &ast::Expr) -> Expr {
        let found = self.indexed(e);
        if let Some(name) = found.vars.first() {
            let error = Diagnostic::new(codes::BAD_INDEX_NOTATION, format!("the index `{name}` is left over"))
                .at(e.span, "no equation around this binds it");
            return self.fail(e.span, error);
        }
        found.value
    }

    fn declare_indices(&mut self, indices: &[ast::Name]) -> bool {
        let mut scope = Scope::default();
        let mut fine = true;
        for name in indices {
            let first = self.indices.get(&name.text).map(|v| v.declared);
            if let Some(first) = first.or_else(|| self.lookup(&name.text).map(|b| b.1)) {
                let error = Diagnostic::new(codes::DUPLICATE_NAME, format!("`{}` is defined twice", name.text))
                    .at(name.span, "as an index here")
                    .at(first, "the first time here")
                    .help("choose another letter for the index");
                self.report(error);
                fine = false;
                continue;
            }
            self.indices.insert(name.text.clone(), IndexVariable { declared: name.span, axis: None });
            scope.names.insert(name.text.clone(), (Binding::Index, name.span));
        }
        self.scopes.push(scope);
        fine
    }

    fn forget_indices(&mut self, indices: &[ast::Name]) {
        let declared_here = self.scopes.pop();
        for name in indices {
            if declared_here.as_ref().is_some_and(|s| s.names.contains_key(&name.text)) {
                self.indices.remove(&name.text);
            }
        }
    }

    fn mentions_index(&self, e: &ast::Expr) -> bool {
        let mut found = false;
        uses::expression(e, &mut |u| {
            if let Use::Value(name, _) = u {
                found |= self.indices.contains_key(name);
            }
        });
        found
    }

    fn indexed(&mut self, e: &ast::Expr) -> Indexed {
        match &e.kind {
            Ast::IndexReduce { reduction, indices, body } => self.reduce_indices(reduction, indices, body, e.span),
            _ if !self.mentions_index(e) => {
                let value = self.expression(e);
                if !value.axes().is_empty() || !matches!(value.ty, Type::Tensor(_) | Type::Error) {
                    let error = Diagnostic::new(codes::BAD_INDEX_NOTATION, "every axis needs an index here")
                        .at(value.span, format!("this is {}", self.describe(&value.ty)))
                        .help("write its indices: `x[n, i]`");
                    return Indexed { value: self.fail(e.span, error), vars: Vec::new() };
                }
                Indexed { value, vars: Vec::new() }
            }
            Ast::Index { base, indices } => self.indexed_operand(base, indices, e.span),
            Ast::Unary { op, operand } => {
                let Indexed { value, vars } = self.indexed(operand);
                Indexed { value: self.unary(*op, value, e.span), vars }
            }
            Ast::Binary { op, left, right } if *op != BinaryOp::MatMul => {
                let parts = vec![self.indexed(left), self.indexed(right)];
                let (mut values, vars) = self.joined(parts, e.span);
                match (values.pop(), values.pop()) {
                    (Some(b), Some(a)) => Indexed { value: self.binary(*op, a, b, e.span), vars },
                    _ => Indexed { value: poison(e.span), vars: Vec::new() },
                }
            }
            Ast::Call { callee, args, over: None } if args.iter().all(|a| a.name.is_none()) => {
                let given: Vec<&ast::Expr> = args.iter().map(|a| &a.value).collect();
                self.indexed_call(callee, &given, e.span)
            }
            Ast::Pipe { value, callee } if callee.as_name().is_some() => self.indexed_call(callee, &[value], e.span),
            _ => {
                let error = Diagnostic::new(codes::BAD_INDEX_NOTATION, "index notation cannot stand inside this")
                    .at(e.span, "arithmetic, elementwise functions and `sum(i)` can hold indices")
                    .help("give this part a name of its own, without indices");
                Indexed { value: self.fail(e.span, error), vars: Vec::new() }
            }
        }
    }

    fn indexed_call(&mut self, callee: &ast::Expr, given: &[&ast::Expr], span: Span) -> Indexed {
        let name = callee.as_name().unwrap_or_default();
        let parts: Vec<Indexed> = given.iter().map(|e| self.indexed(e)).collect();
        let (mut values, vars) = self.joined(parts, span);
        if values.iter().any(|v| v.ty.is_error()) {
            return Indexed { value: poison(span), vars: Vec::new() };
        }
        let value = match (self.global(name), unary(name), values.len()) {
            (Some(Global::Definition(def)), ..) => self.elementwise_call(def, callee, values, span),
            (None, Some(op), 1) => {
                let value = values.pop().unwrap_or_else(|| poison(span));
                self.apply_float(op, value, &format!("`{name}` takes"), span)
            }
            (None, None, n @ 2..=3) => match (name, n, values.pop(), values.pop(), values.pop()) {
                ("max" | "min", 2, Some(b), Some(a), None) => {
                    let (a, b) = (self.numeric(a, "`max` and `min` take"), self.numeric(b, "`max` and `min` take"));
                    let (a, b, element) = self.same_numbers(a, b);
                    let op = if name == "max" { Op::Maximum(p::Maximum) } else { Op::Minimum(p::Minimum) };
                    self.apply(op, vec![a, b], element, span)
                }
                ("where", 3, Some(b), Some(a), Some(c)) => {
                    let c = self.boolean(c, "the condition of `where` is");
                    self.select(c, a, b, span)
                }
                _ => self.not_elementwise(callee, span),
            },
            _ => self.not_elementwise(callee, span),
        };
        if value.ty.is_error() {
            return Indexed { value, vars: Vec::new() };
        }
        Indexed { value, vars }
    }

    fn not_elementwise(&mut self, callee: &ast::Expr, span: Span) -> Expr {
        let error = Diagnostic::new(codes::BAD_INDEX_NOTATION, "only elementwise functions can hold indices")
            .at(callee.span, "applied to a value with indices")
            .help("give the argument a name of its own, and apply the function to the whole value");
        self.fail(span, error)
    }

    /// A function of one value without a type, whose result has the same axes, applies to each element.
    fn elementwise_call(&mut self, def: super::typed::DefId, callee: &ast::Expr, args: Vec<Expr>, span: Span) -> Expr {
        let definitions = self.definitions;
        let d = &definitions[def.0 as usize];
        if d.result.is_error() {
            return poison(span);
        }
        let pack = match (d.inputs.as_slice(), &d.result) {
            ([input], Type::Tensor(r)) if d.kind == Kind::Fn && d.options.iter().all(|o| o.default.is_some()) => {
                let declared = match input.kind {
                    InputKind::Value(local) => d.local(local).ty.tensor(),
                    InputKind::Size(_) => None,
                };
                match (declared.map(|t| t.axes.as_slice()), r.axes.as_slice()) {
                    (Some([Axis::Pack(p)]), [Axis::Pack(q)]) if p == q => Some(*p),
                    _ => None,
                }
            }
            _ => None,
        };
        let (Some(pack), [arg]) = (pack, args.as_slice()) else { return self.not_elementwise(callee, span) };
        let arg = self.numeric(arg.clone(), "this function takes");
        let arg = self.float(arg);
        let Type::Tensor(t) = &arg.ty else { return poison(span) };
        let axes = t.axes.clone();
        let element = match &d.result {
            Type::Tensor(r) => r.element.clone(),
            _ => return poison(span),
        };
        let packs = (0..d.packs).map(|k| if PackVar(k) == pack { axes.clone() } else { Vec::new() }).collect();
        let options = vec![None; d.options.len()];
        let call = Call {
            def,
            sizes: Default::default(),
            packs,
            args: vec![arg],
            options,
            site: self.site(),
            instance: Instance::None,
        };
        tensor(ExprKind::Call(Box::new(call)), element, axes, span)
    }

    fn indexed_operand(&mut self, base: &ast::Expr, indices: &[ast::Expr], span: Span) -> Indexed {
        let failed = |value| Indexed { value, vars: Vec::new() };
        if self.mentions_index(base) {
            let error = Diagnostic::new(codes::BAD_INDEX_NOTATION, "a value with indices is indexed again")
                .at(base.span, "this has its indices already");
            return failed(self.fail(span, error));
        }
        let value = self.expression(base);
        let Type::Tensor(t) = value.ty.clone() else {
            if value.ty.is_error() {
                return failed(value);
            }
            let error = Diagnostic::new(codes::BAD_INDEX_NOTATION, "only a tensor has indices")
                .at(value.span, format!("this is {}", self.describe(&value.ty)));
            return failed(self.fail(span, error));
        };
        if t.axes.len() != indices.len() {
            let error = Diagnostic::new(codes::BAD_INDEX_NOTATION, "one index for each axis")
                .at(span, format!("{} here", indices.len()))
                .at(value.span, format!("this is {}", self.show(&value.ty)));
            let error = self.trace(error, &value);
            return failed(self.fail(span, error));
        }
        let mut vars: Vec<String> = Vec::new();
        for (axis, index) in t.axes.iter().zip(indices) {
            let pack = matches!(axis, Axis::Pack(_));
            let name = match index.as_name() {
                Some(name) if pack != (name == "..") => {
                    let shown = self.show_axis(axis);
                    let error = Diagnostic::new(codes::BAD_INDEX_NOTATION, "`..` stands for the pack, and only for it")
                        .at(index.span, format!("this axis is {shown}"))
                        .at(value.span, format!("this is {}", self.show(&value.ty)))
                        .help("write the pack as `..` on both sides: `y[.., o] = sum(i) x[.., i] * W[i, o]`");
                    let error = self.trace(error, &value);
                    return failed(self.fail(span, error));
                }
                Some(name) if self.indices.contains_key(name) => name,
                _ => {
                    let known: Vec<String> = self.indices.keys().cloned().collect();
                    let mut error =
                        Diagnostic::new(codes::BAD_INDEX_NOTATION, "an index is a name of the left side or of a sum")
                            .at(index.span, "this is neither");
                    if let Some(near) =
                        index.as_name().and_then(|n| crate::source::closest(n, known.iter().map(String::as_str)))
                    {
                        error = error.help(format!("did you mean `{near}`?"));
                    } else if let Some(name) = index.as_name() {
                        error = error.help(format!("sum over it, `sum({name}) ...`, or name it on the left side"));
                    }
                    return failed(self.fail(span, error));
                }
            };
            let Some(variable) = self.indices.get_mut(name) else { continue };
            match variable.axis.clone() {
                None => variable.axis = Some((axis.clone(), span)),
                Some((known, _)) if same_extent(&known, axis) => {}
                Some((known, first)) => {
                    let (known, size) =
                        (self.show_axis(&without_label(known)), self.show_axis(&without_label(axis.clone())));
                    let error = Diagnostic::new(codes::SHAPE_MISMATCH, format!("`{name}` cannot have two sizes"))
                        .at(index.span, format!("{size} here"))
                        .at(first, format!("{known} here"))
                        .help("sizes that are not proved equal count as different; give equal axes one name");
                    let error = self.trace(error, &value);
                    return failed(self.fail(span, error));
                }
            }
            vars.push(name.to_string());
        }
        diagonal(unlabelled(value), vars)
    }

    fn reduce_indices(
        &mut self,
        reduction: &ast::Name,
        indices: &[ast::Name],
        body: &ast::Expr,
        span: Span,
    ) -> Indexed {
        let op = match reduction.text.as_str() {
            "sum" => Some(ReduceOp::Sum),
            "mean" => Some(ReduceOp::Mean),
            "max" => Some(ReduceOp::Max),
            "min" => Some(ReduceOp::Min),
            _ => None,
        };
        let fine = self.declare_indices(indices);
        let found = self.indexed(body);
        self.forget_indices(indices);
        let failed = |value| Indexed { value, vars: Vec::new() };
        let Some(op) = op else {
            let error =
                Diagnostic::new(codes::UNKNOWN_NAME, format!("`{}` does not reduce over indices", reduction.text))
                    .at(reduction.span, "sum, mean, max and min do");
            return failed(self.fail(span, error));
        };
        if !fine || found.value.ty.is_error() {
            return failed(poison(span));
        }
        let mut axes = Vec::new();
        for name in indices {
            match found.vars.iter().position(|v| *v == name.text) {
                Some(k) => axes.push(k),
                None => {
                    let error = Diagnostic::new(
                        codes::BAD_INDEX_NOTATION,
                        format!("nothing under this sum uses `{}`", name.text),
                    )
                    .at(name.span, "so there is nothing to reduce over")
                    .at(body.span, "not mentioned here");
                    return failed(self.fail(span, error));
                }
            }
        }
        axes.sort_unstable();
        let value = self.numeric(found.value, "a reduction takes");
        let value = match op {
            ReduceOp::Sum | ReduceOp::Mean => self.float(value),
            _ => value,
        };
        let Type::Tensor(t) = &value.ty else { return failed(poison(span)) };
        let kept: Vec<usize> = (0..t.axes.len()).filter(|k| !axes.contains(k)).collect();
        let vars = kept.iter().map(|k| found.vars[*k].clone()).collect();
        let element = t.element.clone();
        let kept = kept.into_iter().map(|k| t.axes[k].clone()).collect();
        Indexed { value: tensor(ExprKind::Reduce { op, value: Box::new(value), axes }, element, kept, span), vars }
    }

    /// Operands in the space of all their indices; scalars stay scalars.
    fn joined(&mut self, parts: Vec<Indexed>, span: Span) -> (Vec<Expr>, Vec<String>) {
        let mut vars: Vec<String> = Vec::new();
        for part in &parts {
            vars.extend(part.vars.iter().filter(|v| !vars.contains(v)).cloned().collect::<Vec<_>>());
        }
        let axes: Vec<Axis> = vars
            .iter()
            .filter_map(|v| self.indices.get(v).and_then(|v| v.axis.clone()))
            .map(|(axis, _)| without_label(axis))
            .collect();
        let mut values = Vec::with_capacity(parts.len());
        for Indexed { value, vars: own } in parts {
            if value.ty.is_error() || own.is_empty() {
                values.push(value);
                continue;
            }
            let mut order: Vec<usize> = (0..own.len()).collect();
            let place = |k: &usize| vars.iter().position(|v| *v == own[*k]).unwrap_or(0);
            order.sort_by_key(place);
            let map: Vec<usize> = order.iter().map(place).collect();
            let value = permuted(value, order);
            if map.len() == vars.len() {
                values.push(value);
                continue;
            }
            let Type::Tensor(t) = &value.ty else {
                values.push(poison(span));
                continue;
            };
            let (element, place) = (t.element.clone(), value.span);
            let kind = ExprKind::Broadcast { value: Box::new(value), axes: map };
            values.push(tensor(kind, element, axes.clone(), place));
        }
        (values, vars)
    }
}

/// The value with its axes in another order; itself if they are in order.
fn permuted(value: Expr, order: Vec<usize>) -> Expr {
    let Type::Tensor(t) = &value.ty else { return value };
    if order.iter().enumerate().all(|(k, o)| k == *o) {
        return value;
    }
    let axes = order.iter().map(|k| t.axes[*k].clone()).collect();
    let (element, span) = (t.element.clone(), value.span);
    tensor(ExprKind::Permute { value: Box::new(value), order }, element, axes, span)
}

fn without_label(axis: Axis) -> Axis {
    match axis {
        Axis::Sized { size, .. } => Axis::Sized { label: None, size },
        pack => pack,
    }
}

/// Along axes of one index the positions where all are equal: `A[i, i]`.
fn diagonal(mut value: Expr, mut vars: Vec<String>) -> Indexed {
    while let Some((first, second)) = (0..vars.len()).find_map(|b| (0..b).find(|a| vars[*a] == vars[b]).map(|a| (a, b)))
    {
        let (Type::Tensor(t), span) = (value.ty.clone(), value.span) else { break };
        let Axis::Sized { size, .. } = &t.axes[first] else { break };
        let place = positions(size.clone(), span);
        let axes = place.axes().to_vec();
        let index = tensor(ExprKind::ToIndex(Box::new(place)), Element::Index(size.clone()), axes, span);
        let rest: Vec<usize> = (0..vars.len()).filter(|k| *k != first && *k != second).collect();
        let axes = [first].iter().chain(&rest).map(|k| t.axes[*k].clone()).collect();
        vars = [first].iter().chain(&rest).map(|k| vars[*k].clone()).collect();
        let kind =
            ExprKind::Gather { value: Box::new(value), index: Box::new(index), axis: second, batch: vec![(first, 0)] };
        value = tensor(kind, t.element, axes, span);
    }
    Indexed { value, vars }
}

fn unlabelled(value: Expr) -> Expr {
    let Type::Tensor(t) = value.ty else { return value };
    let axes = t.axes.into_iter().map(without_label).collect();
    Expr { ty: Type::Tensor(TensorType { element: t.element, axes }), ..value }
}
