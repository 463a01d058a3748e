//! Random graphs whose reductions are short, against the schedule's own execution: rows as lanes, with every width of vectors.

use super::*;
use crate::ir::primitive::*;
use crate::ir::sample::Draw;
use crate::ir::{Builder, Data, Graph, NodeId, Op, OutputRole, Role, Tensor, Type};
use crate::schedule::execute::execute;
use crate::schedule::kernel::Order as Sums;
use crate::schedule::{Place, schedule};
use proptest::prelude::*;

/// What a graph is drawn over: rows, and the axes of a row.
#[derive(Clone, Debug)]
struct Shape {
    /// `None` for the symbol N.
    rows: Option<u64>,
    row: Vec<u64>,
    /// How many of the axes of a row are reduced, from the last on.
    reduced: usize,
    dtype: DType,
}

/// One decision: what to add, to which nodes.
type Choice = (u8, u8, u8);

/// A graph in the making.
struct Maker {
    b: Builder,
    /// Nodes with an element for each position, and with one for each row.
    full: Vec<NodeId>,
    single: Vec<NodeId>,
    labels: NodeId,
    shape: Shape,
}

impl Maker {
    fn new(shape: Shape) -> Maker {
        let mut b = Builder::new();
        let rows = shape.rows.map_or_else(|| Size::symbol("N"), Size::constant);
        let mut dims = vec![rows.clone()];
        dims.extend(shape.row.iter().map(|d| Size::constant(*d)));
        let kept = dims.len() - shape.reduced;
        let turned: Vec<Size> = dims.iter().rev().cloned().collect();
        let ty = |dims: &[Size]| Type::new(shape.dtype, dims.to_vec());
        let role = if shape.rows.is_some() { Role::State } else { Role::Data };
        let x = b.input("x", role, ty(&dims));
        let z = b.input("z", Role::Data, ty(&turned));
        let order: Vec<usize> = (0..dims.len()).rev().collect();
        let z = b.permute(z, &order);
        let bias = b.input("bias", Role::Parameter, ty(&dims[1..]));
        let across: Vec<usize> = (1..dims.len()).collect();
        let bias = b.broadcast(bias, &across, &dims);
        let r = b.input("r", role, ty(&dims[..kept]));
        let labels = b.input("labels", Role::Data, Type::new(shape.dtype.int(), dims[..kept].to_vec()));
        Maker { b, full: vec![x, z, bias], single: vec![r], labels, shape }
    }

    fn kept(&self) -> Vec<usize> {
        (0..1 + self.shape.row.len() - self.shape.reduced).collect()
    }

    fn wide(&mut self, single: NodeId) -> NodeId {
        let dims = self.b.dims(self.full[0]);
        self.b.broadcast(single, &self.kept(), &dims)
    }

    /// A node of the list, recent ones more often.
    fn of(list: &[NodeId], k: u8) -> NodeId {
        list[list.len() - 1 - usize::from(k) % list.len().min(4)]
    }

    fn add(&mut self, (what, first, second): Choice) {
        let axes: Vec<usize> = (self.kept().len()..=self.shape.row.len()).collect();
        let (x, y) = (Maker::of(&self.full, first), Maker::of(&self.full, second));
        let (r, s) = (Maker::of(&self.single, first), Maker::of(&self.single, second));
        let last = self.shape.row.len();
        match what % 20 {
            0 => self.full.push(self.b.exp(x)),
            1 => self.full.push(self.b.tanh(x)),
            2 => self.full.push(self.b.add(x, y)),
            3 => self.full.push(self.b.mul(x, y)),
            4 => self.full.push(self.b.sub(x, y)),
            5 => {
                let less = self.b.less(x, y);
                self.full.push(self.b.select(less, y, x));
            }
            6..=8 => {
                let s = self.wide(s);
                let x = match what % 20 {
                    6 => self.b.sub(x, s),
                    7 => self.b.div(x, s),
                    _ => self.b.mul(x, s),
                };
                self.full.push(x);
            }
            9 => {
                let dims = self.b.dims(x);
                let dtype = self.shape.dtype.int();
                let places = self.b.push(Iota { axis: last, dims, dtype }, &[]);
                let labels = self.wide(self.labels);
                let hit = self.b.equal(places, labels);
                self.full.push(self.b.select(hit, x, y));
            }
            10 | 11 => self.single.push(self.b.sum(x, &axes)),
            12 | 13 => self.single.push(self.b.max_over(x, &axes)),
            14 if axes.len() == 1 => {
                let dtype = self.shape.dtype.int();
                let place = self.b.push(ArgMax { axis: last, dtype }, &[x]);
                self.single.push(self.b.convert(place, self.shape.dtype));
            }
            15 => self.single.push(self.b.log(r)),
            16 => self.single.push(self.b.maximum(r, s)),
            17 => {
                let seed = self.b.input("seed", Role::Seed, Type::scalar(DType::I64));
                let step = self.b.input("step", Role::Step, Type::scalar(DType::I64));
                let dims = self.b.dims(x);
                let draw = Random { site: u64::from(first), dims, dtype: self.shape.dtype };
                self.full.push(self.b.push(draw, &[seed, step]));
            }
            18 if axes.len() == 1 && last == 1 => {
                let picked = self.b.push(Gather { axis: 1, batch: vec![(0, 0)] }, &[x, self.labels]);
                self.single.push(picked);
            }
            _ => self.single.push(self.b.neg(r)),
        }
    }

    fn finish(mut self) -> Graph {
        for (k, id) in self.full.iter().rev().take(2).chain(self.single.iter().rev().take(3)).enumerate() {
            self.b.output(format!("y{k}"), OutputRole::Report, *id);
        }
        let inputs = [("x", self.full[0], &self.full), ("r", self.single[0], &self.single)];
        for (name, input, all) in inputs.into_iter().filter(|_| self.shape.rows.is_some()) {
            if let Some(next) = all.last().filter(|next| **next != input) {
                self.b.output(name, OutputRole::Next, *next);
            }
        }
        self.b.finish()
    }
}

fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    match &tensor.data {
        Data::F32(x) => bytes_f32(x),
        Data::F64(x) => bytes_f64(x),
        Data::I32(x) => bytes_i32(x),
        Data::I64(x) => bytes_i64(x),
        Data::Bool(_) => Vec::new(),
    }
}

/// Runs a graph with `n` rows; whether rows were lanes.
fn agrees(graph: &Graph, n: u64, special: bool) -> bool {
    let labels = |dims: &[Size]| dims.last().and_then(Size::as_constant).unwrap_or(1);
    let first = graph.inputs().next().map_or(1, |id| labels(&graph.ty(id).dims));
    let mut program =
        schedule(graph, &crate::schedule::Options::new(rows(70))).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    program.capacity = rows(n);
    program.symbols = program.capacity.keys().cloned().collect();
    let mut given = Vec::new();
    for (k, id) in graph.inputs().enumerate() {
        let Op::Input(input) = graph.op(id) else { continue };
        let draw = match input.ty.dtype {
            dtype if dtype.is_int() => Draw::Index(first),
            _ if special => Draw::Special,
            _ => Draw::Uniform(-2.0, 2.0),
        };
        given.push((input.name.clone(), draw.tensor(&input.ty, &rows(n), k as u64 + n).unwrap()));
    }
    let tensor = |name: &str| given.iter().find(|(given, _)| **given == *name).map(|(_, tensor)| tensor.clone());
    let expected = execute(&program, &tensor, &rows(n)).unwrap_or_else(|e| panic!("{e:?}\n{program}"));
    let contents: Vec<Vec<u8>> = (program.buffers.iter())
        .map(|buffer| match &buffer.place {
            Place::Input { name, .. } => bytes_of(&tensor(name).unwrap()),
            _ => vec![0; (buffer.elements().eval(&rows(n)).unwrap() * element_bytes(buffer.elem)) as usize],
        })
        .collect();
    let after = run(&program, &contents);
    for (output, expected) in program.outputs.iter().zip(&expected) {
        let (got, expected) = (&after[output.buffer.index()], bytes_of(expected));
        let same = match program.buffer(output.buffer).elem {
            DType::F64 => same_doubles(got, &expected),
            _ => same_words(got, &expected),
        };
        assert!(same, "{} of {n} rows: {got:?} for {expected:?}\n{program}", output.name);
    }
    program.kernels().any(|(_, kernel)| {
        let mut lanes = 0;
        kernel.walk(&mut |stmt| match stmt {
            Stmt::Reduce(reduce) if reduce.order == Sums::Lanes => lanes = 2,
            Stmt::Loop(l) if l.vector => lanes |= 1,
            _ => {}
        });
        lanes == 1
    })
}

fn same_doubles(a: &[u8], b: &[u8]) -> bool {
    let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    f64s(a).iter().zip(&f64s(b)).all(same)
}

fn graph_of(shape: &Shape, choices: &[Choice]) -> Graph {
    let mut maker = Maker::new(shape.clone());
    choices.iter().for_each(|choice| maker.add(*choice));
    maker.finish()
}

fn shapes() -> impl Strategy<Value = Shape> {
    let row = prop_oneof![
        (1u64..=33).prop_map(|c| (vec![c], 1)),
        (1u64..=4, 1u64..=8).prop_map(|(a, b)| (vec![a, b], 2)),
        (1u64..=20, 1u64..=10).prop_map(|(a, b)| (vec![a, b], 1)),
    ];
    let rows = prop_oneof![Just(None), (0u64..68).prop_map(Some)];
    let dtype = prop_oneof![3 => Just(DType::F32), 1 => Just(DType::F64)];
    (rows, row, dtype).prop_map(|(rows, (row, reduced), dtype)| Shape { rows, row, reduced, dtype })
}

fn cases() -> u32 {
    if std::env::var_os("DLC_FULL").is_some() { 5_000 } else { 60 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn short_reductions_give_the_promised_bits(
        shape in shapes(),
        choices in prop::collection::vec(any::<Choice>(), 1..14),
        n in 0u64..68,
        special in prop::bool::weighted(0.3),
    ) {
        agrees(&graph_of(&shape, &choices), n, special);
    }
}

/// The softmax of rows, the position of their maximum and the gradient of their cross-entropy.
fn softmax(rows: Option<u64>, classes: u64, dtype: DType) -> Graph {
    let shape = Shape { rows, row: vec![classes], reduced: 1, dtype };
    // x - max x, exp, its sum, the quotient, the logarithm; labels; the place of the maximum.
    let choices =
        [(2, 2, 0), (14, 0, 0), (12, 0, 0), (6, 0, 0), (0, 0, 0), (10, 0, 0), (7, 0, 0), (9, 0, 1), (15, 0, 0)];
    graph_of(&shape, &choices)
}

#[test]
fn rows_are_lanes_at_every_length_and_number() {
    let lengths = [1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 31, 32];
    let some = |dtype: DType, lengths: &[u64], numbers: &[u64]| {
        for classes in lengths {
            for n in numbers {
                let across = agrees(&softmax(None, *classes, dtype), *n, *n == 23);
                assert!(across, "{classes} classes of {dtype:?}");
            }
        }
    };
    some(DType::F32, &lengths, &[5, 23]);
    some(DType::F64, &[1, 8, 9, 32], &[5, 23]);
    some(DType::F32, &[6], &(0..68).collect::<Vec<u64>>());
    for n in [8, 15, 16, 17, 50] {
        assert!(agrees(&softmax(Some(n), 5, DType::F32), n, false));
    }
}
