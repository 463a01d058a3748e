//! Building a graph by hash-consing: the same primitive applied to the same operands is one node.

use super::primitive::*;
use super::{DType, Graph, Node, NodeId, Op, Origin, Output, OutputRole, Size, Type};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

/// Adds nodes to a graph. Operands of elementwise primitives must have equal shapes: broadcasting is explicit.
#[derive(Default, Debug)]
pub struct Builder {
    graph: Graph,
    /// For the hash of a primitive and its operands the node that was added last.
    known: HashMap<u64, NodeId, BuildHasherDefault<Hashed>>,
    /// For each node the one before it with the same hash.
    alike: Vec<Option<NodeId>>,
    origin: Origin,
    tags: u32,
}

/// A quick hash: what is alike by chance costs a comparison, and nothing else depends on it.
#[derive(Default)]
struct Hashed(u64);

impl Hashed {
    fn mix(&mut self, word: u64) {
        // An odd number without a pattern: the golden ratio.
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.mix(n.into());
    }

    fn write_u32(&mut self, n: u32) {
        self.mix(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        self.mix(n);
    }

    fn write_usize(&mut self, n: usize) {
        self.mix(n as u64);
    }

    fn finish(&self) -> u64 {
        // The map takes its places from the upper and the lower bits.
        self.0 ^ self.0 >> 32
    }
}

fn hash(op: &Op, operands: &[NodeId]) -> u64 {
    let mut hasher = Hashed::default();
    op.hash(&mut hasher);
    operands.hash(&mut hasher);
    hasher.finish()
}

impl Builder {
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Continues an existing graph; its node ids stay valid.
    pub fn from_graph(graph: Graph) -> Builder {
        let mut builder = Builder::default();
        for id in graph.ids() {
            builder.remember(hash(graph.op(id), &graph.operands(id)), id);
        }
        let tags = graph.ids().filter_map(|id| if let Op::Tag(t) = graph.op(id) { Some(t.id + 1) } else { None }).max();
        Builder { graph, tags: tags.unwrap_or(0), ..builder }
    }

    fn remember(&mut self, hash: u64, id: NodeId) {
        let alike = self.known.insert(hash, id);
        self.alike.push(alike);
    }

    fn find(&self, hash: u64, op: &Op, operands: &[NodeId]) -> Option<NodeId> {
        let mut next = self.known.get(&hash).copied();
        while let Some(id) = next {
            if self.graph.op(id) == op && self.graph.is_of(id, operands) {
                return Some(id);
            }
            next = self.alike[id.index()];
        }
        None
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub fn finish(self) -> Graph {
        self.graph
    }

    pub fn ty(&self, id: NodeId) -> &Type {
        self.graph.ty(id)
    }

    pub fn dims(&self, id: NodeId) -> Vec<Size> {
        self.graph.ty(id).dims.clone()
    }

    /// The origin given to nodes from here on.
    pub fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Applies a primitive, or says why the operands do not fit it.
    pub fn try_push(&mut self, op: impl Into<Op>, operands: &[NodeId]) -> Result<NodeId, String> {
        let op = op.into();
        let hash = hash(&op, operands);
        if let Some(id) = self.find(hash, &op, operands) {
            return Ok(id);
        }
        let types: Vec<&Type> = operands.iter().map(|o| self.graph.ty(*o)).collect();
        let ty = op.primitive().infer(&types)?;
        let id = self.graph.push(Node { op, ty, origin: self.origin.clone() }, operands);
        self.remember(hash, id);
        Ok(id)
    }

    /// Applies a primitive to operands that are known to fit.
    ///
    /// # Panics
    /// If they do not: a bug in whoever built the graph, since user programs are checked before.
    #[track_caller]
    pub fn push(&mut self, op: impl Into<Op>, operands: &[NodeId]) -> NodeId {
        let op = op.into();
        let name = op.primitive().name();
        match self.try_push(op, operands) {
            Ok(id) => id,
            Err(why) => {
                let types: Vec<String> = operands.iter().map(|o| self.ty(*o).to_string()).collect();
                panic!("this is a bug in dlc: {name} of ({}): {why}", types.join(", "))
            }
        }
    }

    pub fn output(&mut self, name: impl Into<Arc<str>>, role: OutputRole, node: NodeId) {
        self.graph.push_output(Output { name: name.into(), role, node });
    }

    pub fn input(&mut self, name: &str, role: Role, ty: Type) -> NodeId {
        self.push(Input { name: name.into(), role, ty }, &[])
    }

    /// A scalar constant.
    pub fn constant(&mut self, dtype: DType, value: f64) -> NodeId {
        self.push(Constant::new(dtype, value), &[])
    }

    /// A constant of the type of `like`, every element `value`.
    pub fn full_like(&mut self, like: NodeId, value: f64) -> NodeId {
        let ty = self.ty(like).clone();
        let c = self.constant(ty.dtype, value);
        self.fill(c, &ty.dims)
    }

    /// A scalar stretched to `dims`.
    pub fn fill(&mut self, scalar: NodeId, dims: &[Size]) -> NodeId {
        if dims.is_empty() { scalar } else { self.broadcast(scalar, &[], dims) }
    }

    /// Operand axis `k` becomes output axis `axes[k]` (ascending); the other output axes repeat.
    pub fn broadcast(&mut self, x: NodeId, axes: &[usize], dims: &[Size]) -> NodeId {
        if axes.len() == dims.len() {
            return x;
        }
        self.push(Broadcast { axes: axes.to_vec(), dims: dims.to_vec() }, &[x])
    }

    /// Undoes a reduction over `axes`: `x` stretched to `dims`, repeating along `axes`.
    pub fn broadcast_over(&mut self, x: NodeId, axes: &[usize], dims: &[Size]) -> NodeId {
        let kept: Vec<usize> = (0..dims.len()).filter(|k| !axes.contains(k)).collect();
        self.broadcast(x, &kept, dims)
    }

    pub fn permute(&mut self, x: NodeId, order: &[usize]) -> NodeId {
        if order.iter().enumerate().all(|(k, o)| k == *o) {
            return x;
        }
        self.push(Permute { order: order.to_vec() }, &[x])
    }

    pub fn reshape(&mut self, x: NodeId, dims: &[Size]) -> NodeId {
        if self.ty(x).dims == dims { x } else { self.push(Reshape { dims: dims.to_vec() }, &[x]) }
    }

    pub fn sum(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        if axes.is_empty() { x } else { self.push(ReduceSum { axes: axes.to_vec() }, &[x]) }
    }

    pub fn max_over(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        if axes.is_empty() { x } else { self.push(ReduceMax { axes: axes.to_vec() }, &[x]) }
    }

    /// A fresh identity that merges with nothing: the target of a derivative.
    pub fn tag(&mut self, x: NodeId) -> NodeId {
        self.tags += 1;
        self.push(Tag { id: self.tags - 1 }, &[x])
    }

    pub fn select(&mut self, condition: NodeId, a: NodeId, b: NodeId) -> NodeId {
        self.push(Select, &[condition, a, b])
    }

    pub fn convert(&mut self, x: NodeId, dtype: DType) -> NodeId {
        if self.ty(x).dtype == dtype { x } else { self.push(Convert { dtype }, &[x]) }
    }

    /// The value, if the node is a constant, possibly repeated.
    pub fn constant_value(&self, id: NodeId) -> Option<f64> {
        match self.graph.op(id) {
            Op::Constant(c) => Some(c.value()),
            Op::Broadcast(_) => self.constant_value(self.graph.operands(id)[0]),
            _ => None,
        }
    }

    /// The number of elements along the given axes of `x`, as a scalar of `x`'s float type.
    pub fn count(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        let ty = self.ty(x).clone();
        let size = axes.iter().fold(Size::constant(1), |n, a| &n * &ty.dims[*a]);
        self.push(SizeOf { size, dtype: ty.dtype }, &[])
    }
}

macro_rules! elementwise {
    ($($method:ident => $op:ident ($($arg:ident),+)),+ $(,)?) => {
        impl Builder {
            $(#[doc = concat!("Applies [`", stringify!($op), "`].")]
            #[track_caller]
            pub fn $method(&mut self, $($arg: NodeId),+) -> NodeId {
                self.push($op, &[$($arg),+])
            })+
        }
    };
}

elementwise! {
    neg => Neg(x), abs => Abs(x), sign => Sign(x), floor => Floor(x), sqrt => Sqrt(x), exp => Exp(x), log => Log(x),
    log1p => Log1p(x), expm1 => Expm1(x), tanh => Tanh(x), sigmoid => Sigmoid(x), softplus => Softplus(x),
    erf => Erf(x), sin => Sin(x), cos => Cos(x), not => Not(x), stop => Stop(x),
    add => Add(a, b), sub => Sub(a, b), mul => Mul(a, b), div => Div(a, b), pow => Pow(a, b),
    maximum => Maximum(a, b), minimum => Minimum(a, b),
    less => Less(a, b), less_equal => LessEqual(a, b), equal => Equal(a, b), and => And(a, b), or => Or(a, b),
}
