//! Softmax and its logarithm, recognised in the stable forms that are computed.
//!
//! ```text
//! before   exp(z - m) / sum(exp(z - m) over K)       z[y] - m - log(sum(exp(z - m) over K))
//! after    softmax(z)                                log(softmax(z))[y]
//! ```
//! Whatever is constant along the last axis may stand for `m`.

use super::form::{Form, Kind, Product, sum};
use super::listing::Listing;
use super::view::{View, core, view};
use crate::ir::{NodeId, Op};

impl Listing<'_> {
    /// `softmax(z)` for the exponentials at `e`, if what they are divided by is their sum along the last axis.
    pub fn softmax(&self, e: NodeId) -> Option<Form> {
        let argument = core(self.graph, self.graph.operands(e)[0]);
        let shifted = match (self.graph.op(argument), self.graph.operands(argument).as_slice()) {
            (Op::Sub(_), [z, m]) => {
                let last = self.axes.of(e).last()?;
                let constant = !self.axes.of(core(self.graph, *m)).contains(last);
                constant.then(|| self.operand(*z))
            }
            _ => None,
        };
        let inner = shifted.unwrap_or_else(|| self.operand(argument));
        Some(Form::call("softmax", vec![inner], self.axes.of(e)))
    }

    /// The exponentials whose sum along the last axis `sum` is.
    fn summed_exponentials(&self, sum: &Form) -> Option<NodeId> {
        let s = sum.node?;
        let View::Sum(x, axes) = view(self.graph, s) else { return None };
        let e = core(self.graph, x);
        let last = self.graph.ty(e).rank().checked_sub(1)?;
        (matches!(self.graph.op(e), Op::Exp(_)) && axes == [last] && self.graph.ty(x).rank() == last + 1).then_some(e)
    }

    /// Quotients that are a softmax and differences that are its logarithm, written so.
    pub fn recognised(&mut self, mut form: Form) -> Form {
        let axes = form.axes.clone();
        if let Kind::Product(p) = &form.kind {
            let found = p.denominator.iter().enumerate().find_map(|(at, s)| {
                let e = self.summed_exponentials(s)?;
                let top = p.numerator.iter().position(|f| f.node == Some(e))?;
                Some((at, top, e))
            });
            if let Some((at, top, e)) = found
                && let Some(softmax) = self.written_softmax(e)
            {
                let mut p: Product = p.clone();
                p.denominator.remove(at);
                p.numerator[top] = softmax;
                form = p.form(&axes);
            }
            return form;
        }
        let Kind::Sum(terms) = &form.kind else { return form };
        let mut terms = terms.clone();
        if self.join_picked(&mut terms) {
            form = sum(terms.clone(), &axes);
        }
        let Some((at, e)) = terms.iter().enumerate().find_map(|(k, (_, t))| match &t.kind {
            Kind::Call(name, args, _) if name == "log" => Some((k, self.summed_exponentials(&args[0])?)),
            _ => None,
        }) else {
            return form;
        };
        let sign = -terms[at].0;
        let argument = core(self.graph, self.graph.operands(e)[0]);
        // The value itself, or what an index picks of it.
        let base = |t: &Form| match &t.kind {
            Kind::Index(base, index) => ((**base).clone(), Some(index.clone())),
            _ => (t.clone(), None),
        };
        let whole = terms.iter().position(|(c, t)| *c == sign && base(t).0.node == Some(argument));
        let found = match whole {
            Some(k) => Some(vec![at, k]),
            None => {
                let inner: Vec<NodeId> = self.graph.operands(argument).iter().map(|o| core(self.graph, *o)).collect();
                let place = |c: f64, x: NodeId| {
                    let wanted = self.forms[x.index()].as_ref();
                    terms.iter().position(|(k, t)| *k == c && (base(t).0.node == Some(x) || Some(&base(t).0) == wanted))
                };
                match (self.graph.op(argument), inner.as_slice()) {
                    (Op::Sub(_), [z, m]) => place(sign, *z).zip(place(-sign, *m)).map(|(z, m)| vec![at, z, m]),
                    _ => None,
                }
            }
        };
        if let Some(gone) = found
            && let Some(softmax) = self.written_softmax(e)
        {
            let mut log = Form::call("log", vec![softmax], self.axes.of(e));
            if let (_, Some(index)) = base(&terms[gone[1]].1) {
                log = Form::new(Kind::Index(Box::new(log), index), &terms[gone[1]].1.axes);
            }
            let mut k = 0;
            terms.retain(|_| {
                k += 1;
                !gone.contains(&(k - 1))
            });
            terms.push((sign, log));
            form = sum(terms, &axes);
        }
        form
    }

    /// `u[y] + v[y]` as `(u + v)[y]`, where that sum is known.
    fn join_picked(&self, terms: &mut Vec<(f64, Form)>) -> bool {
        let picked = |t: &Form| match &t.kind {
            Kind::Index(base, index) => base.node.map(|n| (n, index.clone())),
            _ => None,
        };
        for i in 0..terms.len() {
            for j in i + 1..terms.len() {
                let (Some((u, y)), Some((v, w))) = (picked(&terms[i].1), picked(&terms[j].1)) else { continue };
                if y != w || terms[i].0 != terms[j].0 {
                    continue;
                }
                let sum = self.graph.users(u).into_iter().find(|s| {
                    let mut operands: Vec<NodeId> =
                        self.graph.operands(*s).iter().map(|o| core(self.graph, *o)).collect();
                    operands.sort();
                    matches!(self.graph.op(*s), Op::Add(_)) && operands == [u.min(v), u.max(v)]
                });
                let Some(form) = sum.and_then(|s| self.forms[s.index()].clone()) else { continue };
                let (c, second) = terms.remove(j);
                let first = &terms[i].1;
                let axes = if first.axes.len() >= second.axes.len() { first.axes.clone() } else { second.axes };
                terms[i] = (c, Form::new(Kind::Index(Box::new(form), y), &axes));
                return true;
            }
        }
        false
    }

    fn written_softmax(&mut self, e: NodeId) -> Option<Form> {
        *self.written.entry(e).or_default() += 1;
        if self.softmaxes.contains(&e) {
            return Some(Form::new(Kind::Bound(e), self.axes.of(e)));
        }
        self.softmax(e)
    }
}
