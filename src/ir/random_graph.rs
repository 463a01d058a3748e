//! Random well-typed graphs, for properties that hold of every graph.
//!
//! Input: words, each of which adds about one node, so that fewer words give a smaller graph and a failure shrinks. Output: a
//! graph without requests, and how to draw its inputs. Invariant: the same words give the same graph; dims are
//! the symbol N and 0, 1, 7, 8, 9, 17, 33, or those that are asked for; every node without users is an output.

use super::primitive::*;
use super::sample::Draw;
use super::{Bindings, Builder, DType, Graph, NodeId, OutputRole, Role, Size, SizeError, Symbol, Tensor, Type};
use std::collections::BTreeMap;

/// What primitives a graph is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// All, on any values: results may be infinite or NaN.
    Any,
    /// Those that have derivatives of every order, on values where those are moderate.
    Smooth,
}

/// A graph with the ways to draw its inputs, in the order of the inputs.
#[derive(Clone, Debug)]
pub struct RandomGraph {
    pub graph: Graph,
    pub draws: Vec<(String, Type, Draw)>,
}

impl RandomGraph {
    /// Values for all inputs.
    pub fn inputs(&self, bindings: &Bindings, seed: u64) -> Result<BTreeMap<String, Tensor>, SizeError> {
        let draw = |(k, (name, ty, draw)): (usize, &(String, Type, Draw))| {
            Ok((name.clone(), draw.tensor(ty, bindings, seed.wrapping_add(k as u64 * 0x9e37_79b9))?))
        };
        self.draws.iter().enumerate().map(draw).collect()
    }

    /// A value for N, one of the dims.
    pub fn bindings(word: u64) -> Bindings {
        Bindings::from([(Symbol::new("N"), DIMS[word as usize % DIMS.len()])])
    }
}

/// Around the lanes of a vector, and their tails.
const DIMS: [u64; 7] = [0, 1, 7, 8, 9, 17, 33];

/// No tensor has more elements than this, with the greatest of the dims for N.
const LIMIT: u64 = 12_000;

/// Builds a graph from words.
pub fn random_graph(words: &[u64], dtype: DType, style: Style) -> RandomGraph {
    random_graph_of(words, dtype, style, &DIMS)
}

/// As [`random_graph`], with other dims, of which there is at least one.
pub fn random_graph_of(words: &[u64], dtype: DType, style: Style, sizes: &[u64]) -> RandomGraph {
    let mut g = Generator { b: Builder::new(), dtype, style, sizes, draws: Vec::new(), floats: Vec::new(), word: 0 };
    g.word = words.first().copied().unwrap_or(0);
    let dims = g.dims(2);
    g.input(dims);
    for word in words {
        // The low bits of consecutive words of a counter differ too little to choose by.
        g.word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        g.add_node();
    }
    let (mut b, draws) = (g.b, g.draws);
    let graph = b.graph().clone();
    let ends: Vec<NodeId> = graph.ids().filter(|id| graph.users(*id).is_empty()).collect();
    for (k, end) in ends.into_iter().enumerate() {
        b.output(format!("y{k}"), OutputRole::Report, end);
    }
    RandomGraph { graph: b.finish(), draws }
}

struct Generator<'s> {
    b: Builder,
    dtype: DType,
    style: Style,
    sizes: &'s [u64],
    draws: Vec<(String, Type, Draw)>,
    floats: Vec<NodeId>,
    word: u64,
}

impl Generator<'_> {
    /// A number below `n`, consuming some of the word.
    fn choose(&mut self, n: usize) -> usize {
        let k = (self.word % n as u64) as usize;
        self.word = (self.word / n as u64).rotate_right(7) ^ self.word.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 40;
        k
    }

    fn dim(&mut self) -> Size {
        // N three times in ten.
        let (k, named) = (self.choose(self.sizes.len()), self.choose(10) >= 7);
        if named { Size::symbol("N") } else { self.sizes[k].into() }
    }

    fn dims(&mut self, rank: usize) -> Vec<Size> {
        (0..rank).map(|_| self.dim()).collect()
    }

    fn input_of(&mut self, ty: Type, draw: Draw) -> NodeId {
        let name = format!("x{}", self.draws.len());
        self.draws.push((name.clone(), ty.clone(), draw));
        self.b.input(&name, Role::Data, ty)
    }

    fn input(&mut self, dims: Vec<Size>) -> NodeId {
        let draw = match (self.style, self.choose(4)) {
            (Style::Any, 0) => Draw::Special,
            _ => Draw::Uniform(-1.5, 1.5),
        };
        let node = self.input_of(Type::new(self.dtype, dims), draw);
        self.floats.push(node);
        node
    }

    fn pick(&mut self) -> NodeId {
        // Recent nodes more often, so that graphs grow deep.
        let n = self.floats.len();
        let (a, b) = (self.choose(n), self.choose(n));
        self.floats[a.max(b)]
    }

    /// A node of the dims of `x`: another one, a scalar or a row stretched, or a new input.
    fn partner(&mut self, x: NodeId) -> NodeId {
        let dims = self.b.dims(x);
        let fitting: Vec<NodeId> = self.floats.iter().copied().filter(|f| self.b.dims(*f) == dims).collect();
        match self.choose(5) {
            0 => {
                let value = [0.5, -1.0, 2.0, 0.0, -0.0, 1.0, 3.25][self.choose(7)];
                self.b.full_like(x, value)
            }
            1 if !dims.is_empty() => {
                let axis = self.choose(dims.len());
                let row = self.input(vec![dims[axis].clone()]);
                self.b.broadcast(row, &[axis], &dims)
            }
            2 => self.input(dims),
            _ => fitting[self.choose(fitting.len())],
        }
    }

    fn small(&self, dims: &[Size]) -> bool {
        let most = self.sizes.iter().copied().max().unwrap_or(0);
        let bindings = Bindings::from([(Symbol::new("N"), most)]);
        let count = Type::new(self.dtype, dims).elements().eval(&bindings);
        dims.len() <= 3 && count.is_ok_and(|n| n <= LIMIT)
    }

    fn add_node(&mut self) {
        let x = self.pick();
        let node = match self.choose(10) {
            0..3 => self.unary(x),
            3..6 => self.binary(x),
            6 => self.reduction(x),
            7 | 8 => self.movement(x),
            _ => self.indexed(x),
        };
        if let Some(node) = node.filter(|n| self.small(&self.b.dims(*n)) && self.b.ty(*n).dtype == self.dtype) {
            self.floats.push(node);
        }
    }

    fn unary(&mut self, x: NodeId) -> Option<NodeId> {
        let smooth: [fn(&mut Builder, NodeId) -> NodeId; 8] = [
            Builder::neg,
            Builder::tanh,
            Builder::sigmoid,
            Builder::softplus,
            Builder::erf,
            Builder::sin,
            Builder::cos,
            |b, x| {
                let bounded = b.tanh(x);
                b.exp(bounded)
            },
        ];
        let positive: [fn(&mut Builder, NodeId) -> NodeId; 4] =
            [Builder::log, Builder::sqrt, Builder::log1p, Builder::expm1];
        let any: [fn(&mut Builder, NodeId) -> NodeId; 10] = [
            Builder::abs,
            Builder::sign,
            Builder::floor,
            Builder::exp,
            Builder::log,
            Builder::sqrt,
            Builder::log1p,
            Builder::expm1,
            Builder::stop,
            Builder::neg,
        ];
        Some(match (self.choose(3), self.style) {
            (0, Style::Smooth) => {
                let bounded = self.b.sigmoid(x);
                let half = self.b.full_like(x, 0.5);
                let tame = self.b.add(bounded, half);
                let k = self.choose(positive.len());
                positive[k](&mut self.b, tame)
            }
            (1, Style::Any) => {
                let k = self.choose(any.len());
                any[k](&mut self.b, x)
            }
            _ => {
                let k = self.choose(smooth.len());
                smooth[k](&mut self.b, x)
            }
        })
    }

    fn binary(&mut self, x: NodeId) -> Option<NodeId> {
        let y = self.partner(x);
        let choices = if self.style == Style::Any { 12 } else { 5 };
        let k = self.choose(choices);
        let b = &mut self.b;
        Some(match k {
            0 => b.add(x, y),
            1 => b.sub(x, y),
            2 => {
                let y = if self.style == Style::Smooth { b.tanh(y) } else { y };
                b.mul(x, y)
            }
            3 | 4 if self.style == Style::Smooth => {
                let (near, one) = (b.sigmoid(y), b.full_like(y, 0.5));
                let divisor = b.add(near, one);
                if k == 3 { b.div(x, divisor) } else { b.pow(divisor, divisor) }
            }
            3 => b.div(x, y),
            4 => b.pow(x, y),
            5 => b.maximum(x, y),
            6 => b.minimum(x, y),
            _ => {
                let compared = match k {
                    7 => b.less(x, y),
                    8 => b.less_equal(x, y),
                    9 => b.equal(x, y),
                    _ => {
                        let (above, zero) = (b.less(x, y), b.full_like(x, 0.0));
                        let positive = b.less(zero, y);
                        let negated = b.not(above);
                        if k == 10 { b.and(negated, positive) } else { b.or(above, positive) }
                    }
                };
                match self.choose(3) {
                    0 => self.b.convert(compared, self.dtype),
                    1 => self.b.select(compared, x, y),
                    _ => {
                        let z = self.partner(x);
                        self.b.select(compared, z, y)
                    }
                }
            }
        })
    }

    fn reduction(&mut self, x: NodeId) -> Option<NodeId> {
        let rank = self.b.ty(x).rank();
        if rank == 0 {
            return None;
        }
        let mask = self.choose((1 << rank) - 1) + 1;
        let axes: Vec<usize> = (0..rank).filter(|k| mask >> k & 1 == 1).collect();
        let kind = self.choose(if self.style == Style::Any { 6 } else { 3 });
        Some(match kind {
            0..3 => {
                // Divided by the count, so that values stay moderate.
                let (sum, count) = (self.b.sum(x, &axes), self.b.count(x, &axes));
                let one = self.b.constant(self.dtype, 1.0);
                let count = self.b.maximum(count, one);
                let dims = self.b.dims(sum);
                let count = self.b.fill(count, &dims);
                self.b.div(sum, count)
            }
            3 => self.b.sum(x, &axes),
            4 => self.b.max_over(x, &axes),
            _ => {
                let position = self.b.push(ArgMax { axis: axes[0], dtype: self.dtype.int() }, &[x]);
                self.b.convert(position, self.dtype)
            }
        })
    }

    fn movement(&mut self, x: NodeId) -> Option<NodeId> {
        let dims = self.b.dims(x);
        let rank = dims.len();
        if rank == 0 {
            let dims = self.dims(2);
            return Some(self.b.fill(x, &dims));
        }
        let axis = self.choose(rank);
        match self.choose(7) {
            0 => {
                let at = self.choose(rank + 1);
                let mut to = dims;
                to.insert(at, self.dim());
                if !self.small(&to) {
                    return None;
                }
                let axes: Vec<usize> = (0..=rank).filter(|k| *k != at).collect();
                Some(self.b.broadcast(x, &axes, &to))
            }
            1 => {
                let mut order: Vec<usize> = (0..rank).collect();
                order.rotate_left(axis);
                if self.choose(2) == 0 {
                    order.reverse();
                }
                Some(self.b.permute(x, &order))
            }
            2 => {
                let flat = dims.iter().fold(Size::constant(1), |n, d| &n * d);
                Some(self.b.reshape(x, &[flat]))
            }
            3 => {
                let length = dims[axis].as_constant().filter(|n| *n > 0)?;
                let start = self.choose(length as usize) as u64;
                let len = 1 + self.choose((length - start) as usize) as u64;
                Some(self.b.push(Slice { axis, start: start.into(), len: len.into() }, &[x]))
            }
            4 => {
                let (before, after) = (self.choose(3) as u64, self.choose(3) as u64);
                Some(self.b.push(Pad { axis, before: before.into(), after: after.into() }, &[x]))
            }
            5 => {
                let y = self.partner(x);
                Some(self.b.push(Concat { axis }, &[x, y]))
            }
            _ => {
                let product = self.product(x, &dims);
                // Scaled like an initialised layer.
                let scale = self.b.full_like(product, 0.25);
                Some(self.b.mul(product, scale))
            }
        }
    }

    /// `x` times a new input or itself: by its last axis or its first, with the other operand either way round, and for every
    /// position of its first axis by itself.
    fn product(&mut self, x: NodeId, dims: &[Size]) -> NodeId {
        let rank = dims.len();
        let width: Size = [1, 7, 8, 17][self.choose(4)].into();
        let (batch, contract, weight) = match self.choose(6) {
            0 | 1 => (vec![], (rank - 1, 0), vec![dims[rank - 1].clone(), width]),
            2 | 3 => (vec![], (rank - 1, 1), vec![width, dims[rank - 1].clone()]),
            4 if rank > 1 => (vec![(0, 0)], (rank - 1, 1), vec![dims[0].clone(), dims[rank - 1].clone(), width]),
            _ => (vec![], (0, 0), vec![dims[0].clone(), width]),
        };
        let itself = batch.is_empty() && rank == 2 && self.choose(4) == 0;
        let (other, contract) = if itself { (x, (contract.0, contract.0)) } else { (self.input(weight), contract) };
        self.b.push(Contraction { batch, contract: vec![contract] }, &[x, other])
    }

    fn indexed(&mut self, x: NodeId) -> Option<NodeId> {
        let dims = self.b.dims(x);
        if self.style == Style::Any && !dims.is_empty() && self.choose(3) == 0 {
            return self.rearranged(x, &dims);
        }
        if let (2, Some(k)) = (dims.len(), dims.last().and_then(Size::as_constant).filter(|k| *k > 0))
            && self.choose(2) == 0
        {
            // One element of each row.
            let index = self.input_of(Type::new(self.dtype.int(), vec![dims[0].clone()]), Draw::Index(k));
            return Some(self.b.push(Gather { axis: 1, batch: vec![(0, 0)] }, &[x, index]));
        }
        let first = dims.first().and_then(Size::as_constant).filter(|k| *k > 0);
        match (self.choose(4), first) {
            (0, _) if self.style == Style::Any => {
                let [seed, step] = [(); 2].map(|()| self.input_of(Type::scalar(DType::I64), Draw::Index(1 << 20)));
                let site = self.choose(3) as u64;
                Some(self.b.push(Random { site, dims, dtype: self.dtype }, &[seed, step]))
            }
            (1, _) if !dims.is_empty() => {
                let axis = self.choose(dims.len());
                let position = self.b.push(Iota { axis, dims, dtype: self.dtype.int() }, &[]);
                let position = self.b.convert(position, self.dtype);
                let (scale, sum) = (self.b.full_like(position, 0.0625), self.b.add(position, x));
                Some(self.b.mul(sum, scale))
            }
            (_, Some(k)) => {
                let rows = self.dim();
                let index = self.input_of(Type::new(self.dtype.int(), vec![rows]), Draw::Index(k));
                Some(self.b.push(Gather { axis: 0, batch: vec![] }, &[x, index]))
            }
            _ => None,
        }
    }
}

impl Generator<'_> {
    /// Positions in ascending order, or rows added up where an index says.
    fn rearranged(&mut self, x: NodeId, dims: &[Size]) -> Option<NodeId> {
        let dtype = self.dtype.int();
        if self.choose(2) == 0 {
            let order = self.b.push(Order { dtype }, &[x]);
            return Some(self.b.convert(order, self.dtype));
        }
        let rows = 1 + self.choose(9) as u64;
        let index = self.input_of(Type::new(dtype, vec![dims[0].clone()]), Draw::Index(rows));
        let mut to = dims.to_vec();
        to[0] = rows.into();
        Some(self.b.push(ScatterAdd { axis: 0, batch: vec![], dims: to }, &[x, index]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Stage, interpret, text, verify};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn graphs_verify_run_and_parse_back(words in prop::collection::vec(any::<u64>(), 1..24), n in any::<u64>()) {
            for dtype in [DType::F32, DType::F64] {
                let random = random_graph(&words, dtype, Style::Any);
                prop_assert_eq!(verify(&random.graph, Stage::Differentiated), Ok(()));
                let bindings = RandomGraph::bindings(n);
                let inputs = random.inputs(&bindings, n).unwrap();
                let values = interpret(&random.graph, &|name| inputs.get(name).cloned(), &bindings).unwrap();
                for (value, output) in values.iter().zip(random.graph.outputs()) {
                    prop_assert_eq!(&value.dims, &random.graph.ty(output.node).shape(&bindings).unwrap());
                    prop_assert_eq!(value.dtype(), random.graph.ty(output.node).dtype);
                }
                let parsed = text::parse(&random.graph.to_string());
                prop_assert_eq!(parsed.map(|g| g.to_string()), Ok(random.graph.to_string()));
            }
        }
    }

    #[test]
    fn graphs_are_varied() {
        let mut seen = BTreeMap::new();
        for seed in 0..400u64 {
            let words: Vec<u64> = (0..16).map(|k| (seed * 1000 + k) << 17 ^ seed).collect();
            let random = random_graph(&words, DType::F32, Style::Any);
            for id in random.graph.ids() {
                *seen.entry(random.graph.op(id).primitive().name()).or_insert(0) += 1;
            }
        }
        assert!(seen.len() >= 46, "{} primitives: {seen:?}", seen.len());
    }
}
