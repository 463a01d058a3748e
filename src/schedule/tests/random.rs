//! Random graphs: the program computes what the interpreter does, bit for bit.

use super::{compare, inputs, sizes};
use crate::ir::primitive::*;
use crate::ir::{Builder, DType, Graph, NodeId, Op, OutputRole, Size, Type};
use crate::schedule::{Options, schedule};
use proptest::prelude::*;

const F: DType = DType::F32;

/// One decision: what to add, to which nodes, and a detail.
type Choice = (u8, u8, u8, u8);

struct Maker {
    b: Builder,
    floats: Vec<NodeId>,
    positions: Vec<NodeId>,
}

/// A size that keeps tensors small.
fn small(dims: &[Size]) -> bool {
    dims.len() <= 4 && dims.iter().map(|d| d.as_constant().unwrap_or(6)).product::<u64>() <= 600
}

impl Maker {
    fn new() -> Maker {
        let mut b = Builder::new();
        let n = Size::symbol("N");
        let mut input = |name: &str, role, dtype, dims: Vec<Size>| b.input(name, role, Type::new(dtype, dims));
        let floats = vec![
            input("x", Role::Data, F, vec![n.clone(), 4.into()]),
            input("w", Role::Parameter, F, vec![4.into(), 5.into()]),
            input("c", Role::Parameter, F, vec![5.into()]),
            input("s", Role::Setting, F, vec![]),
            input("q", Role::State, F, vec![3.into(), 17.into()]),
            input("e", Role::Parameter, F, vec![0.into(), 3.into()]),
        ];
        let positions = vec![
            input("k", Role::Data, DType::I32, vec![n.clone()]),
            input("j", Role::Data, DType::I32, vec![2.into(), 3.into()]),
        ];
        Maker { b, floats, positions }
    }

    fn float(&self, k: u8) -> NodeId {
        // Recent nodes more often.
        let n = self.floats.len();
        if k < 160 { self.floats[n - 1 - usize::from(k) % n.min(5)] } else { self.floats[usize::from(k) % n] }
    }

    /// A node of the same dims as `x`, by stretching another if one fits.
    fn partner(&mut self, x: NodeId, k: u8) -> NodeId {
        let y = self.float(k);
        let (dx, dy) = (self.b.dims(x), self.b.dims(y));
        if dx == dy {
            return y;
        }
        let mut axes = Vec::new();
        for (axis, d) in dx.iter().enumerate() {
            if dy.get(axes.len()) == Some(d) {
                axes.push(axis);
            }
        }
        if axes.len() == dy.len() { self.b.broadcast(y, &axes, &dx) } else { x }
    }

    fn axis(&self, x: NodeId, k: u8) -> Option<usize> {
        let rank = self.b.dims(x).len();
        (rank > 0).then(|| usize::from(k) % rank)
    }

    fn add(&mut self, (what, first, second, detail): Choice) -> Option<NodeId> {
        let x = self.float(first);
        let dims = self.b.dims(x);
        let b = &mut self.b;
        Some(match what % 24 {
            0 => b.exp(x),
            1 => b.tanh(x),
            2 => b.neg(x),
            3 => {
                let zero = b.full_like(x, 0.0);
                b.maximum(x, zero)
            }
            4 => b.sqrt(x),
            5..=8 => {
                let y = self.partner(x, second);
                match detail % 4 {
                    0 => self.b.add(x, y),
                    1 => self.b.mul(x, y),
                    2 => self.b.sub(y, x),
                    _ => self.b.div(x, y),
                }
            }
            9 => {
                let y = self.partner(x, second);
                let hit = self.b.less(x, y);
                let third = self.partner(x, detail);
                self.b.select(hit, y, third)
            }
            10 | 11 => {
                let axes: Vec<usize> = (0..dims.len()).filter(|k| detail >> k & 1 == 1).collect();
                b.sum(x, &axes)
            }
            12 => {
                let axes: Vec<usize> = (0..dims.len()).filter(|k| detail >> k & 1 == 1).collect();
                b.max_over(x, &axes)
            }
            13 => {
                let axis = self.axis(x, detail)?;
                let at = match second % 3 {
                    0 => self.b.push(Order { dtype: DType::I32 }, &[x]),
                    _ => self.b.push(ArgMax { axis, dtype: DType::I32 }, &[x]),
                };
                self.b.convert(at, F)
            }
            14 => {
                let mut order: Vec<usize> = (0..dims.len()).collect();
                order.rotate_left(usize::from(detail) % dims.len().max(1));
                b.permute(x, &order)
            }
            15 => {
                let at = usize::from(detail) % dims.len().max(1);
                let mut to = dims.clone();
                if at + 1 < to.len() && second & 1 == 0 {
                    to[at] = &dims[at] * &dims[at + 1];
                    to.remove(at + 1);
                } else if at < to.len() && to[at].as_constant() == Some(4) {
                    to.splice(at..=at, [2.into(), 2.into()]);
                } else {
                    to.insert(at.min(to.len()), 1.into());
                }
                b.reshape(x, &to)
            }
            16 => {
                let axis = self.axis(x, second)?;
                let size = dims[axis].as_constant()?;
                let start = u64::from(detail) % (size + 1);
                self.b.push(Slice { axis, start: start.into(), len: (size - start).into() }, &[x])
            }
            17 => {
                let axis = self.axis(x, second)?;
                b_pad(&mut self.b, x, axis, u64::from(detail % 3), u64::from(detail / 3 % 3))
            }
            18 => {
                let axis = self.axis(x, second)?;
                let y = self.partner(x, detail);
                self.b.push(Concat { axis }, &[x, y, x])
            }
            19 => {
                let axis = self.axis(x, second)?;
                let index = self.positions[usize::from(detail) % self.positions.len()];
                let index_dims = self.b.dims(index);
                let batch: Vec<(usize, usize)> =
                    if axis != 0 && detail & 64 != 0 && dims[0] == index_dims[0] { vec![(0, 0)] } else { vec![] };
                self.b.push(Gather { axis, batch }, &[x, index])
            }
            20 => {
                let y = self.float(second);
                let dy = self.b.dims(y);
                let pair = (0..dims.len())
                    .flat_map(|i| (0..dy.len()).map(move |j| (i, j)))
                    .find(|(i, j)| dims[*i] == dy[*j])?;
                let contract = if detail == 0 { vec![] } else { vec![pair] };
                self.b.push(Contraction { batch: vec![], contract }, &[x, y])
            }
            21 => {
                // The adjoint of a gather of x, fed with the gather itself.
                let axis = self.axis(x, second)?;
                let index = self.positions[usize::from(detail) % self.positions.len()];
                let updates = self.b.push(Gather { axis, batch: vec![] }, &[x, index]);
                if !small(&self.b.dims(updates)) {
                    return None;
                }
                self.b.push(ScatterAdd { axis, batch: vec![], dims }, &[updates, index])
            }
            22 => {
                let seed = self.b.input("seed", Role::Seed, Type::scalar(DType::I64));
                let step = self.b.input("step", Role::Step, Type::scalar(DType::I64));
                self.b.push(Random { site: u64::from(detail), dims, dtype: F }, &[seed, step])
            }
            _ => {
                let mut wide = dims.clone();
                let at = usize::from(second) % (dims.len() + 1);
                wide.insert(at, [3u64, 1, 16][usize::from(detail) % 3].into());
                b.broadcast_over(x, &[at], &wide)
            }
        })
    }
}

fn b_pad(b: &mut Builder, x: NodeId, axis: usize, before: u64, after: u64) -> NodeId {
    b.push(Pad { axis, before: before.into(), after: after.into() }, &[x])
}

/// A graph of these choices: the latest nodes are reported, and whatever fits an updatable input becomes its next value.
fn graph_of(choices: &[Choice]) -> Graph {
    let mut maker = Maker::new();
    for choice in choices {
        let before = maker.b.graph().len();
        if let Some(id) = maker.add(*choice)
            && small(&maker.b.dims(id))
            && maker.b.graph().len() > before
        {
            maker.floats.push(id);
        }
    }
    let recent: Vec<NodeId> = maker.floats.iter().rev().take(3).copied().collect();
    for (k, id) in recent.into_iter().enumerate() {
        maker.b.output(format!("y{k}"), OutputRole::Report, id);
    }
    for name in ["w", "c", "q"] {
        let input = maker
            .floats
            .iter()
            .copied()
            .find(|id| matches!(maker.b.graph().op(*id), Op::Input(input) if *input.name == *name));
        let Some(input) = input else { continue };
        let same = |id: &&NodeId| maker.b.ty(**id) == maker.b.ty(input) && **id != input;
        if let Some(next) = maker.floats.iter().rev().find(same).copied() {
            maker.b.output(name, OutputRole::Next, next);
        }
    }
    maker.b.finish()
}

fn agrees(choices: &[Choice], small_product: u64, capacity: u64) {
    let graph = graph_of(choices);
    let mut options = Options::new(sizes(capacity));
    options.small_product = small_product;
    let program = schedule(&graph, &options).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    for n in [capacity, 1, 0, 3] {
        let given = inputs(&graph, &sizes(n));
        compare(&graph, &program, &given, &sizes(n));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("DLC_FULL").is_some() { 20_000 } else { 300 }))]

    #[test]
    fn programs_compute_what_the_interpreter_does(
        choices in proptest::collection::vec(any::<Choice>(), 1..30),
        small_product in prop_oneof![Just(0u64), Just(64), Just(u64::MAX)],
        // Few rows, or enough to be lanes.
        capacity in prop_oneof![Just(6u64), Just(17)],
    ) {
        agrees(&choices, small_product, capacity);
    }
}
