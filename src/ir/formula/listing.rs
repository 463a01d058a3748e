//! From nodes to forms, in rounds.
//!
//! A round goes through the nodes in order and makes each a form of its operands' forms; a node that is used twice, or whose
//! form has grown long, is bound to a name. What a round learns (labels that were needed, names that were used only
//! once) goes into the next.

use super::axes::{Axes, Class, only};
use super::elementwise::{combined, elementwise};
use super::form::{Form, Kind, Writer, shortest, times};
use super::names::Parts;
use super::view::{View, core, stretched, view};
use crate::ir::primitive::Contraction;
use crate::ir::{Graph, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet};

/// Longer expressions are taken apart.
const LONGEST: usize = 70;
/// Shorter ones are not worth a name on account of length.
const WORTH_A_NAME: usize = 16;

/// A value with a name.
pub(super) struct Binding {
    pub form: Form,
    /// The index variables of an equation in index notation.
    pub indices: Vec<String>,
}

pub(super) struct Listing<'g> {
    pub graph: &'g Graph,
    pub axes: Axes,
    pub parts: Parts,
    pub forms: Vec<Option<Form>>,
    pub bindings: BTreeMap<NodeId, Binding>,
    /// Bound values that are a softmax.
    pub softmaxes: BTreeSet<NodeId>,
    /// How often each softmax was written.
    pub written: BTreeMap<NodeId, usize>,
    shared: BTreeSet<NodeId>,
}

impl<'g> Listing<'g> {
    /// The forms of `outputs` and of all they need.
    pub fn new(graph: &'g Graph, outputs: &[NodeId]) -> Listing<'g> {
        let axes = Axes::new(graph);
        let parts = Parts::new(graph, &axes);
        let mut listing = Listing {
            graph,
            axes,
            parts,
            forms: Vec::new(),
            bindings: BTreeMap::new(),
            softmaxes: BTreeSet::new(),
            written: BTreeMap::new(),
            shared: BTreeSet::new(),
        };
        let order = listing.needed(outputs);
        for _ in 0..4 {
            let labels = listing.axes.wanted();
            let (shared, softmaxes) = (listing.shared.clone(), listing.softmaxes.clone());
            listing.round(&order, outputs);
            listing.learn(outputs);
            if (labels, &shared, &softmaxes) == (listing.axes.wanted(), &listing.shared, &listing.softmaxes) {
                break;
            }
        }
        listing.round(&order, outputs);
        listing
    }

    /// The nodes that are written, ascending; also finds out which are used twice.
    fn needed(&mut self, outputs: &[NodeId]) -> Vec<NodeId> {
        let mut uses: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut pending: Vec<NodeId> = outputs.iter().map(|o| core(self.graph, *o)).collect();
        pending.iter().for_each(|o| *uses.entry(*o).or_default() += 1);
        let mut seen = BTreeSet::new();
        while let Some(id) = pending.pop() {
            if !seen.insert(id) {
                continue;
            }
            for operand in view(self.graph, id).operands() {
                let operand = core(self.graph, operand);
                *uses.entry(operand).or_default() += 1;
                pending.push(operand);
            }
        }
        self.shared = uses.into_iter().filter(|(_, n)| *n > 1).map(|(id, _)| id).collect();
        seen.into_iter().collect()
    }

    fn round(&mut self, order: &[NodeId], outputs: &[NodeId]) {
        self.forms = vec![None; self.graph.len()];
        self.bindings.clear();
        self.written.clear();
        for id in order {
            let id = *id;
            let mut form = self.form(id);
            while self.text(&form).chars().count() > LONGEST && self.shorten(id) {
                form = self.form(id);
            }
            let bare = form.is_short();
            self.forms[id.index()] = Some(form.of(id));
            let mask = matches!(view(self.graph, id), View::Bernoulli(_));
            if !bare && (self.shared.contains(&id) || self.parts.is_named(id) || mask) {
                self.bind(id);
            }
        }
        for output in outputs {
            let form = self.operand(*output);
            let axes = self.axes.of(*output).to_vec();
            if form.axes.len() < axes.len() && !self.axes.fits(&form.axes, &axes) {
                let whole = self.whole(*output);
                self.forms[output.index()] = Some(whole);
            }
        }
    }

    /// The node whose form an output is.
    pub fn written_as(&self, output: NodeId) -> NodeId {
        if self.forms[output.index()].is_some() { output } else { core(self.graph, output) }
    }

    /// Counts the names that the outputs really need; what is needed once is not named in the next round.
    fn learn(&mut self, outputs: &[NodeId]) {
        let mut uses: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut pending = Vec::new();
        for output in outputs {
            if let Some(form) = &self.forms[self.written_as(*output).index()] {
                form.references(&mut pending);
            }
        }
        while let Some(id) = pending.pop() {
            let count = uses.entry(id).or_default();
            *count += 1;
            if *count == 1
                && let Some(binding) = self.bindings.get(&id)
            {
                binding.form.references(&mut pending);
            }
        }
        let unused = |id: &NodeId| uses.get(id).copied().unwrap_or(0) < 2;
        let unneeded: Vec<NodeId> = self.bindings.keys().copied().filter(|id| unused(id)).collect();
        let softmax_inputs: BTreeSet<NodeId> = self.written.keys().copied().collect();
        for id in unneeded {
            if !self.feeds_a_softmax(id, &softmax_inputs) {
                self.shared.remove(&id);
            }
        }
        let repeated = self.written.iter().filter(|(e, n)| **n > 1 && !uses.contains_key(e)).map(|(e, _)| *e);
        self.softmaxes.extend(repeated.collect::<Vec<_>>());
    }

    /// The exponentials of a softmax, their sum, shift and argument are recognised by being named.
    fn feeds_a_softmax(&self, id: NodeId, exponentials: &BTreeSet<NodeId>) -> bool {
        exponentials.iter().any(|e| {
            let argument = core(self.graph, self.graph.operands(*e)[0]);
            let inner = self.graph.operands(argument);
            id == *e || id == argument || inner.iter().any(|x| core(self.graph, *x) == id)
        })
    }

    pub fn text(&self, form: &Form) -> String {
        Writer { name: &|_| "d_z1".to_owned() }.text(form)
    }

    fn is_atom(form: &Form) -> bool {
        matches!(form.kind, Kind::Word(_) | Kind::Bound(_) | Kind::Number(_))
    }

    /// Names the longest operand; false if none is worth it.
    fn shorten(&mut self, id: NodeId) -> bool {
        let operands: Vec<NodeId> = view(self.graph, id).operands().iter().map(|o| core(self.graph, *o)).collect();
        let length = |x: &NodeId| {
            let form = self.forms[x.index()].as_ref();
            form.filter(|f| !f.is_short()).map_or(0, |f| self.text(f).chars().count())
        };
        let longest = operands.into_iter().map(|o| (length(&o), o)).max();
        match longest {
            Some((n, operand)) if n >= WORTH_A_NAME => {
                self.bind(operand);
                true
            }
            _ => false,
        }
    }

    /// Gives a value a name, unless it is one.
    fn bind(&mut self, id: NodeId) {
        let Some(form) = self.forms[id.index()].clone() else { return };
        if Self::is_atom(&form) {
            return;
        }
        let axes = form.axes.clone();
        self.bindings.insert(id, Binding { form, indices: Vec::new() });
        self.forms[id.index()] = Some(Form::new(Kind::Bound(id), &axes).of(id));
    }

    /// The form of the value that an operand is made of.
    pub fn operand(&self, id: NodeId) -> Form {
        let id = core(self.graph, id);
        self.forms[id.index()].clone().unwrap_or_else(|| Form::word(id.to_string(), self.axes.of(id)))
    }

    fn form(&mut self, id: NodeId) -> Form {
        if self.softmaxes.contains(&id)
            && let Some(softmax) = self.softmax(id)
        {
            let axes = softmax.axes.clone();
            self.bindings.insert(id, Binding { form: softmax, indices: Vec::new() });
            return Form::new(Kind::Bound(id), &axes);
        }
        let axes = self.axes.of(id).to_vec();
        match view(self.graph, id) {
            View::Leaf => self.leaf(id),
            View::Same(x) => self.operand(x),
            View::Mean(x, over) => self.reduction(id, "mean", x, &over),
            View::Sum(x, over) => self.reduction(id, "sum", x, &over),
            View::Max(x, over) => self.reduction(id, "max", x, &over),
            View::OneHot(index) => Form::call("one_hot", vec![self.operand(index)], &axes),
            View::Chosen(index, value) => {
                let hot = Form::call("one_hot", vec![self.operand(index)], &axes);
                let value = self.operand(value);
                if self.axes.fits(&value.axes, &axes) {
                    times(&hot, &value, &axes)
                } else {
                    self.elementwise(id, &self.graph.operands(id))
                }
            }
            View::Bernoulli(p) => {
                let like = self.like(id);
                Form::call("bernoulli", vec![self.operand(p), like], &axes)
            }
            View::Plain(operands) => self.plain(id, &operands),
        }
    }

    fn leaf(&self, id: NodeId) -> Form {
        let axes = self.axes.of(id);
        match self.graph.op(id) {
            Op::Input(input) => Form::word(&*input.name, axes),
            Op::Constant(c) => Form::number(shortest(c.value(), c.dtype)),
            Op::SizeOf(s) => match s.size.as_constant() {
                Some(n) => Form::number(n as f64),
                None if s.size.as_symbol().is_some() => Form::word(s.size.to_string(), &[]),
                None => Form::word(format!("({})", s.size), &[]),
            },
            Op::Iota(i) => Form::word(format!("positions({})", i.dims[i.axis]), axes),
            other => Form::word(other.primitive().name(), axes),
        }
    }

    /// Something of the same shape, to draw like; the shape itself if there is nothing.
    fn like(&self, id: NodeId) -> Form {
        let axes = self.axes.of(id);
        let input = self.graph.inputs().find(|x| self.axes.of(*x) == axes && self.forms[x.index()].is_some());
        let named = self.bindings.iter().filter(|(x, b)| **x < id && b.form.axes == axes);
        let like = match (input, named.map(|(x, _)| *x).next_back()) {
            (Some(x), _) | (None, Some(x)) => self.operand(x),
            _ => Form::word(self.axes.shape(axes), &[]),
        };
        Form::new(Kind::Labelled("like", Box::new(like)), &[])
    }

    fn plain(&mut self, id: NodeId, operands: &[NodeId]) -> Form {
        let axes = self.axes.of(id).to_vec();
        match self.graph.op(id) {
            Op::Contraction(c) => {
                let c = c.clone();
                self.contraction(id, &c, operands)
            }
            Op::Permute(p) if p.order == [1, 0] => {
                let x = self.whole(operands[0]);
                transposed(x, &axes)
            }
            Op::Gather(g) => {
                let index = self.operand(operands[1]);
                // A value that repeats along the axes of the index may be read without them.
                let (inner, map) = stretched(self.graph, operands[0]);
                let along = |k: usize| map.contains(&Some(k)) || g.batch.iter().any(|(a, _)| *a == k);
                let repeats =
                    self.operand(inner).axes.len() == map.len() && (0..self.graph.ty(operands[0]).rank()).all(along);
                let x = if repeats { self.operand(inner) } else { self.whole(operands[0]) };
                let aligned = |k: usize| {
                    let class = self.axes.of(operands[1])[k];
                    g.batch.iter().any(|(_, b)| *b == k) || !self.axes.of(operands[0]).contains(&class)
                };
                if (0..self.axes.of(operands[1]).len()).all(aligned) {
                    Form::new(Kind::Index(Box::new(x), vec![index]), &axes)
                } else {
                    Form::call("gather", vec![x, index], &axes)
                }
            }
            Op::ScatterAdd(s) if s.axis == 0 && s.batch.is_empty() && s.dims.len() == 2 && axes.len() == 2 => {
                let (updates, index) = (self.whole(operands[0]), self.operand(operands[1]));
                let hot_axes = [&index.axes[..], &axes[..1]].concat();
                if index.axes.len() != 1 {
                    return Form::call("scatter_add", vec![updates, index], &axes);
                }
                let hot = Form::call("one_hot", vec![index], &hot_axes);
                let left = transposed(hot, &[axes[0], hot_axes[0]]);
                Form::new(Kind::MatMul(Box::new(left), Box::new(updates)), &axes)
            }
            Op::Random(_) => Form::call("uniform", vec![self.like(id)], &axes),
            Op::Order(_) => Form::call("order", vec![self.whole(operands[0])], &axes),
            Op::ArgMax(r) => {
                let axis = r.axis;
                self.reduction(id, "argmax", operands[0], &[axis])
            }
            Op::Concat(c) => {
                let label = self.axes.want(axes[c.axis]).unwrap_or_default();
                let parts = operands.iter().map(|o| self.whole(*o)).collect();
                Form::new(Kind::Call("concat".into(), parts, format!(" over {label}")), &axes)
            }
            Op::Slice(s) => {
                let rest = format!(", axis: {}, from: {}, len: {}", s.axis, s.start, s.len);
                let x = self.whole(operands[0]);
                Form::new(Kind::Call("slice".into(), vec![x], rest), &axes)
            }
            Op::Pad(p) => {
                let rest = format!(", axis: {}, before: {}, after: {}", p.axis, p.before, p.after);
                let x = self.whole(operands[0]);
                Form::new(Kind::Call("pad".into(), vec![x], rest), &axes)
            }
            Op::Reshape(_) => {
                let x = self.whole(operands[0]);
                let shape = Form::word(self.axes.shape(&axes), &[]);
                Form::call("reshape", vec![x, shape], &axes)
            }
            Op::Permute(p) => {
                let vars = self.variables(&axes);
                let order = p.order.clone();
                self.bind(core(self.graph, operands[0]));
                let mut inner = vec![String::new(); order.len()];
                order.iter().zip(&vars).for_each(|(o, v)| inner[*o] = v.clone());
                let x = self.whole(operands[0]);
                self.equation(id, vars, indexed(x, &inner))
            }
            Op::Project(p) => {
                let k = p.index;
                let of = self.operand(operands[0]);
                Form::new(Kind::Index(Box::new(of), vec![Form::number(k as f64)]), &axes)
            }
            op if elementwise(op) => self.elementwise(id, operands),
            op => {
                let name = op.primitive().name();
                let args = operands.iter().map(|o| self.operand(*o)).collect();
                Form::call(name, args, &axes)
            }
        }
    }

    /// An operand with all of its axes: by an equation in index notation where it repeats along some.
    fn whole(&mut self, id: NodeId) -> Form {
        let form = self.operand(id);
        if form.axes.len() == self.axes.of(id).len() {
            return form;
        }
        if let Some(Binding { .. }) = self.bindings.get(&id) {
            return Form::new(Kind::Bound(id), self.axes.of(id)).of(id);
        }
        let axes = self.axes.of(id).to_vec();
        let vars = self.variables(&axes);
        let body = self.element(id, &vars);
        self.equation(id, vars, body)
    }

    /// The element of an operand at index variables, one for each of its axes.
    fn element(&mut self, id: NodeId, vars: &[String]) -> Form {
        let (core, map) = stretched(self.graph, id);
        self.bind(core);
        let form = self.operand(core);
        // A value may have fewer axes than its node: the missing ones are those of a stretched operand of its own.
        let axes = self.axes.of(core).to_vec();
        let at = |class: &Class| axes.iter().position(|a| a == class).and_then(|k| map.get(k).copied().flatten());
        let full = form.axes.len() == axes.len();
        let places: Vec<String> = if full {
            map.iter().filter_map(|k| k.map(|k| vars[k].clone())).collect()
        } else {
            form.axes.iter().filter_map(|c| at(c).map(|k| vars[k].clone())).collect()
        };
        indexed(form, &places)
    }

    /// Binds `id` to an equation `name[vars] = body`.
    fn equation(&mut self, id: NodeId, vars: Vec<String>, body: Form) -> Form {
        self.bindings.insert(id, Binding { form: body, indices: vars });
        Form::new(Kind::Bound(id), self.axes.of(id)).of(id)
    }

    /// Distinct index variables for axes: `n` for `N`.
    fn variables(&self, axes: &[Class]) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for class in axes {
            let own = self.axes.label(*class).map(|l| l.to_lowercase());
            let letters = ["i", "j", "k", "l", "o", "q", "r", "t"].map(str::to_owned);
            let numbered = (1..).map(|k| format!("i{k}"));
            out.extend(own.into_iter().chain(letters).chain(numbered).find(|v| !out.contains(v)));
        }
        out
    }

    fn reduction(&mut self, id: NodeId, name: &'static str, x: NodeId, over_axes: &[usize]) -> Form {
        let form = self.operand(x);
        let all = self.axes.of(x).to_vec();
        let axes = self.axes.of(id).to_vec();
        let gone: Vec<Class> = over_axes.iter().map(|a| all[*a]).collect();
        let present: Vec<Class> = gone.iter().copied().filter(|c| form.axes.contains(c)).collect();
        let kept: Vec<Class> = form.axes.iter().copied().filter(|c| !gone.contains(c)).collect();
        if form.axes.len() == all.len() && kept.len() + gone.len() != all.len() || all.len() != distinct(&all) {
            // An axis occurs twice: only index notation can tell one from the other.
            let vars = self.variables(&all);
            let body = self.element(x, &vars);
            let bound = over_axes.iter().map(|a| vars[*a].clone()).collect();
            let free = (0..all.len()).filter(|k| !over_axes.contains(k)).map(|k| vars[k].clone()).collect::<Vec<_>>();
            let body = Form::new(Kind::Over(name, bound, Box::new(body)), &[]);
            return if free.is_empty() { body } else { self.equation(id, free, body) };
        }
        let reduced = if present.is_empty() {
            form
        } else if kept.is_empty() && name != "argmax" {
            Form::call(name, vec![form], &[])
        } else {
            let labels: Vec<String> =
                present.iter().map(|c| self.axes.want(*c).unwrap_or_else(|| "_".to_owned())).collect();
            Form::new(Kind::Call(name.into(), vec![form], format!(" over {}", labels.join(", "))), &kept)
        };
        let repeats = gone.iter().filter(|c| !present.contains(c)).map(|c| self.axes.size(*c).clone());
        if name != "sum" {
            return reduced;
        }
        let reduced = if present.is_empty() { reduced } else { reduced.of(id) };
        let count = |n: crate::ir::Size| match n.as_constant() {
            Some(n) => Form::number(n as f64),
            None => Form::word(n.to_string(), &[]),
        };
        let kept = if kept.len() == axes.len() { axes } else { kept };
        repeats.map(count).collect::<Vec<_>>().iter().fold(reduced, |f, n| times(&f, n, &kept))
    }

    fn contraction(&mut self, id: NodeId, c: &Contraction, operands: &[NodeId]) -> Form {
        let axes = self.axes.of(id).to_vec();
        let (l, r) = (operands[0], operands[1]);
        let (lr, rr) = (self.graph.ty(l).rank(), self.graph.ty(r).rank());
        let n = c.batch.len();
        let leading = c.batch.iter().enumerate().all(|(k, p)| *p == (k, k));
        let matrices = leading && lr <= n + 2 && rr <= n + 2 && (n == 0 || lr == n + 2 && rr == n + 2);
        if let ([(a, b)], true) = (c.contract.as_slice(), matrices) {
            let (left, right) = (self.whole(l), self.whole(r));
            let swap = |form: Form, all: &[Class], flip: bool| {
                if !flip {
                    return form;
                }
                let mut swapped = all.to_vec();
                let n = swapped.len();
                swapped.swap(n - 1, n - 2);
                transposed(form, &swapped)
            };
            let left = swap(left, self.axes.of(l), *a + 1 != lr);
            let right = swap(right, self.axes.of(r), *b != n);
            return Form::new(Kind::MatMul(Box::new(left), Box::new(right)), &axes);
        }
        let (lf, rf) = c.free(lr, rr);
        let lc = self.axes.of(l).to_vec();
        let contracted = c.contract.iter().map(|p| lc[p.0]);
        let vars = self.variables(&axes.iter().copied().chain(contracted).collect::<Vec<_>>());
        let (mut left, mut right) = (vec![String::new(); lr], vec![String::new(); rr]);
        for (k, (a, b)) in c.batch.iter().enumerate() {
            left[*a] = vars[k].clone();
            right[*b] = vars[k].clone();
        }
        lf.iter().enumerate().for_each(|(k, a)| left[*a] = vars[n + k].clone());
        rf.iter().enumerate().for_each(|(k, b)| right[*b] = vars[n + lf.len() + k].clone());
        for (k, (a, b)) in c.contract.iter().enumerate() {
            left[*a] = vars[axes.len() + k].clone();
            right[*b] = vars[axes.len() + k].clone();
        }
        let (x, y) = (self.element(l, &left), self.element(r, &right));
        let body = times(&x, &y, &[]);
        let (free, bound) = vars.split_at(axes.len());
        let body = match bound {
            [] => body,
            _ => Form::new(Kind::Over("sum", bound.to_vec(), Box::new(body)), &[]),
        };
        if axes.is_empty() { body } else { self.equation(id, free.to_vec(), body) }
    }

    fn elementwise(&mut self, id: NodeId, operands: &[NodeId]) -> Form {
        let forms: Vec<Form> = operands.iter().map(|o| self.operand(*o)).collect();
        let widest = forms.iter().map(|f| f.axes.clone()).max_by_key(Vec::len).unwrap_or_default();
        let fit = forms.iter().all(|f| self.axes.fits(&f.axes, &widest));
        if fit {
            let form = combined(self.graph.op(id), &forms, &widest);
            return self.recognised(form);
        }
        let vars = self.variables(self.axes.of(id));
        let elements: Vec<Form> = operands.iter().map(|o| self.element(*o, &vars)).collect();
        let body = combined(self.graph.op(id), &elements, &[]);
        self.equation(id, vars, body)
    }
}

fn distinct(classes: &[Class]) -> usize {
    classes.iter().filter(|c| only(classes, **c).is_some()).count()
}

fn indexed(form: Form, vars: &[String]) -> Form {
    if vars.is_empty() {
        return Form { axes: Vec::new(), ..form };
    }
    Form::new(Kind::Index(Box::new(form), vars.iter().map(|v| Form::word(v, &[])).collect()), &[])
}

fn transposed(form: Form, axes: &[Class]) -> Form {
    match form.kind {
        Kind::Transpose(inner) => Form { axes: axes.to_vec(), ..*inner },
        _ => Form::new(Kind::Transpose(Box::new(form)), axes),
    }
}
