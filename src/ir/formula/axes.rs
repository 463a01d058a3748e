//! Which axes of which nodes are the same axis, and what they are called.
//!
//! Input: a graph. Output: for each node's axis its class: axes that some primitive lines up are one class, so the
//! axis of rows is one class from the data to the gradient. A class whose size is a symbol is labelled by it; another
//! one gets a letter when an expression cannot do without.

use crate::ir::{Graph, NodeId, Op, Role, Size};
use std::collections::BTreeSet;

/// Axes that are the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Class(usize);

pub(super) struct Axes {
    /// Of each node, the class of each axis.
    classes: Vec<Vec<Class>>,
    sizes: Vec<Size>,
    /// Classes that a label was needed for.
    wanted: BTreeSet<Class>,
    /// Axes that positions point into.
    choices: BTreeSet<Class>,
    /// Axes of data.
    features: BTreeSet<Class>,
}

/// Disjoint sets of axes.
struct Merge {
    parent: Vec<usize>,
    first: Vec<usize>,
}

impl Merge {
    fn root(&mut self, mut x: usize) -> usize {
        while self.parent[x] != x {
            self.parent[x] = self.parent[self.parent[x]];
            x = self.parent[x];
        }
        x
    }

    fn join(&mut self, a: (NodeId, usize), b: (NodeId, usize)) {
        let x = self.root(self.first[a.0.index()] + a.1);
        let y = self.root(self.first[b.0.index()] + b.1);
        self.parent[x.max(y)] = x.min(y);
    }
}

impl Axes {
    pub fn new(graph: &Graph) -> Axes {
        let mut first = Vec::with_capacity(graph.len());
        let mut total = 0;
        for id in graph.ids() {
            first.push(total);
            total += graph.ty(id).rank();
        }
        let mut merge = Merge { parent: (0..total).collect(), first };
        for id in graph.ids() {
            join_operands(graph, id, &mut merge);
        }
        let mut sizes = vec![Size::default(); total];
        let mut classes = Vec::with_capacity(graph.len());
        for id in graph.ids() {
            let own: Vec<Class> =
                (0..graph.ty(id).rank()).map(|k| Class(merge.root(merge.first[id.index()] + k))).collect();
            for (class, size) in own.iter().zip(&graph.ty(id).dims) {
                sizes[class.0] = size.clone();
            }
            classes.push(own);
        }
        let (mut choices, mut features) = (BTreeSet::new(), BTreeSet::new());
        for id in graph.ids() {
            match graph.op(id) {
                Op::Gather(g) => {
                    choices.insert(classes[graph.operands(id)[0].index()][g.axis]);
                }
                Op::ScatterAdd(s) => {
                    choices.insert(classes[id.index()][s.axis]);
                }
                Op::Iota(i) => {
                    choices.insert(classes[id.index()][i.axis]);
                }
                Op::Input(input) if input.role == Role::Data => features.extend(&classes[id.index()]),
                _ => {}
            }
        }
        Axes { classes, sizes, wanted: BTreeSet::new(), choices, features }
    }

    pub fn of(&self, id: NodeId) -> &[Class] {
        &self.classes[id.index()]
    }

    pub fn size(&self, class: Class) -> &Size {
        &self.sizes[class.0]
    }

    /// How many classes have been given letters so far.
    pub fn wanted(&self) -> usize {
        self.wanted.len()
    }

    /// The label of a class, which has one from the next round on.
    pub fn want(&mut self, class: Class) -> Option<String> {
        let label = self.label(class);
        if label.is_none() {
            self.wanted.insert(class);
        }
        label
    }

    pub fn label(&self, class: Class) -> Option<String> {
        if let Some(symbol) = self.size(class).as_symbol() {
            return Some(symbol.0.to_string());
        }
        if !self.wanted.contains(&class) {
            return None;
        }
        let taken: BTreeSet<String> =
            self.sizes.iter().flat_map(Size::symbols).map(|symbol| symbol.0.to_string()).collect();
        let mut letters = BTreeSet::new();
        for each in &self.wanted {
            let first = if self.choices.contains(each) {
                "K"
            } else if self.features.contains(each) {
                "D"
            } else {
                "H"
            };
            let preferred = [first, "H", "C", "M", "P", "Q", "S", "U"].map(str::to_owned).into_iter();
            let numbered = (1..).map(|k| format!("A{k}"));
            let letter = preferred.chain(numbered).find(|l| !taken.contains(l) && !letters.contains(l));
            if *each == class {
                return letter;
            }
            letters.extend(letter);
        }
        None
    }

    /// The axes as a `.dl` type: `[N, K: 10]`.
    pub fn shape(&self, classes: &[Class]) -> String {
        let axis = |c: &Class| match (self.label(*c), self.size(*c)) {
            (Some(label), size) if size.as_symbol().is_none() => format!("{label}: {size}"),
            (_, size) => size.to_string(),
        };
        format!("[{}]", classes.iter().map(axis).collect::<Vec<_>>().join(", "))
    }

    /// Whether dlc's broadcasting puts a value with the axes `small` into one with the axes `big` as meant: there must be
    /// one order-preserving way, and it must take each axis to itself. Wants labels where it fails without.
    pub fn fits(&mut self, small: &[Class], big: &[Class]) -> bool {
        if small.is_empty() || small == big {
            return true;
        }
        let meant: Option<Vec<usize>> = small.iter().map(|c| only(big, *c)).collect();
        let Some(meant) = meant.filter(|m| m.is_sorted_by(|a, b| a < b)) else { return false };
        let labels = |axes: &Axes, list: &[Class]| list.iter().map(|c| axes.label(*c)).collect::<Vec<_>>();
        let (s, b) = (labels(self, small), labels(self, big));
        let claimed: Vec<bool> = b.iter().map(|l| l.is_some() && s.contains(l)).collect();
        let may = |i: usize, k: usize| match &s[i] {
            Some(label) if b.contains(&Some(label.clone())) => b[k].as_ref() == Some(label),
            _ => !claimed[k] && self.size(small[i]) == self.size(big[k]),
        };
        // ways[j]: in how many ways the axes so far go to the first j axes.
        let mut ways = vec![1usize; big.len() + 1];
        for i in 0..small.len() {
            let mut next = vec![0; big.len() + 1];
            for k in 0..big.len() {
                next[k + 1] = next[k] + if may(i, k) { ways[k] } else { 0 };
            }
            ways = next;
        }
        if ways[big.len()] == 1 {
            return meant.iter().enumerate().all(|(i, k)| may(i, *k));
        }
        small.iter().for_each(|c| {
            self.want(*c);
        });
        false
    }
}

/// The position of what a list holds exactly once.
pub(super) fn only(list: &[Class], class: Class) -> Option<usize> {
    let mut found = (0..list.len()).filter(|k| list[*k] == class);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// Joins the axes of a node with those of its operands that it lines up.
fn join_operands(graph: &Graph, id: NodeId, merge: &mut Merge) {
    let operands = graph.operands(id);
    let rank = |x: NodeId| graph.ty(x).rank();
    let mut aligned = |x: NodeId, pairs: &mut dyn Iterator<Item = (usize, usize)>| {
        pairs.for_each(|(a, b)| merge.join((x, a), (id, b)));
    };
    let kept = |n: usize, gone: &[usize]| (0..n).filter(|k| !gone.contains(k)).collect::<Vec<_>>();
    match graph.op(id) {
        Op::Broadcast(b) => aligned(operands[0], &mut b.axes.iter().copied().enumerate()),
        Op::Permute(p) => aligned(operands[0], &mut p.order.iter().enumerate().map(|(k, o)| (*o, k))),
        Op::ReduceSum(r) => {
            aligned(operands[0], &mut kept(rank(operands[0]), &r.axes).into_iter().enumerate().map(|(k, a)| (a, k)))
        }
        Op::ReduceMax(r) => {
            aligned(operands[0], &mut kept(rank(operands[0]), &r.axes).into_iter().enumerate().map(|(k, a)| (a, k)))
        }
        Op::ArgMax(r) => {
            aligned(operands[0], &mut kept(rank(operands[0]), &[r.axis]).into_iter().enumerate().map(|(k, a)| (a, k)))
        }
        Op::Order(_) => aligned(operands[0], &mut (0..rank(operands[0])).map(|k| (k, k))),
        Op::Contraction(c) => {
            let (l, r) = (operands[0], operands[1]);
            let (lf, rf) = c.free(rank(l), rank(r));
            let n = c.batch.len();
            aligned(l, &mut c.batch.iter().map(|p| p.0).chain(lf.iter().copied()).enumerate().map(|(k, a)| (a, k)));
            aligned(r, &mut c.batch.iter().map(|p| p.1).enumerate().map(|(k, a)| (a, k)));
            aligned(r, &mut rf.iter().enumerate().map(|(k, a)| (*a, n + lf.len() + k)));
            c.contract.iter().for_each(|(a, b)| merge.join((l, *a), (r, *b)));
        }
        Op::Slice(s) => aligned(operands[0], &mut kept(rank(id), &[s.axis]).into_iter().map(|k| (k, k))),
        Op::Pad(p) => aligned(operands[0], &mut kept(rank(id), &[p.axis]).into_iter().map(|k| (k, k))),
        Op::Concat(c) => {
            let axes = kept(rank(id), &[c.axis]);
            operands.iter().for_each(|o| aligned(*o, &mut axes.iter().map(|k| (*k, *k))));
        }
        Op::Gather(g) => {
            let (x, index) = (operands[0], operands[1]);
            join_gather(graph, (x, index, id), g.axis, &g.batch, merge);
        }
        Op::ScatterAdd(s) => join_gather(graph, (id, operands[1], operands[0]), s.axis, &s.batch, merge),
        Op::Reshape(_) | Op::Scan(_) | Op::While(_) | Op::Call(_) | Op::Project(_) => {}
        Op::Gradient(_) | Op::Tangent(_) => {}
        // What is left is elementwise or a leaf.
        _ => operands.iter().for_each(|o| aligned(*o, &mut (0..rank(*o).min(rank(id))).map(|k| (k, k)))),
    }
}

/// `read = x[.., index, ..]`.
fn join_gather(
    graph: &Graph,
    (x, index, read): (NodeId, NodeId, NodeId),
    axis: usize,
    batch: &[(usize, usize)],
    merge: &mut Merge,
) {
    let positions = graph.ty(index).rank();
    (0..positions).for_each(|k| merge.join((index, k), (read, k)));
    batch.iter().for_each(|(a, b)| merge.join((x, *a), (index, *b)));
    let rest = (0..graph.ty(x).rank()).filter(|k| *k != axis && !batch.iter().any(|(a, _)| a == k));
    rest.enumerate().for_each(|(k, a)| merge.join((x, a), (read, positions + k)));
}
