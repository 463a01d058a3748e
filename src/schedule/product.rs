//! Contractions: by loops where they are small, else as strided products of the library.

use super::index_map::{strides, times};
use super::nodes::Nodes;
use super::program::{Batch, BufferId, Operand, Options, Product};
use crate::ir::primitive::Contraction;
use crate::ir::{Bindings, Graph, NodeId, Op, Size, SizeError};

/// Terms of a sum that loops add up as they write it.
const FEW_TERMS: u64 = 2;

/// Where the elements of a node lie in the buffer of another: an offset and a stride per axis.
struct Strided {
    base: NodeId,
    offset: Size,
    strides: Vec<Size>,
}

/// Whether loops compute the contraction at no loss: few operations, or so few for each element of the result that writing
/// this takes longer, which what follows it may save.
pub(super) fn is_small(
    graph: &Graph,
    contraction: &Contraction,
    l: NodeId,
    r: NodeId,
    options: &Options,
) -> Result<bool, SizeError> {
    let (l, r) = (&graph.ty(l).dims, &graph.ty(r).dims);
    let mut terms = 1u64;
    for (axis, _) in &contraction.contract {
        terms = terms.saturating_mul(l[*axis].eval(&options.capacity)?);
    }
    if terms <= FEW_TERMS && contraction.contract.len() <= 1 {
        return Ok(true);
    }
    let (_, free) = contraction.free(l.len(), r.len());
    let mut multiplications = 1u64;
    for dim in l.iter().chain(free.iter().map(|k| &r[*k])) {
        multiplications = multiplications.saturating_mul(dim.eval(&options.capacity)?);
    }
    Ok(multiplications <= options.small_product)
}

/// Follows views as far as they are strides of a buffer, to an input or to what must be stored.
fn strided(nodes: &Nodes, id: NodeId) -> Strided {
    let dims = &nodes.graph.ty(id).dims;
    let own = || Strided { base: id, offset: Size::default(), strides: strides(dims) };
    let inner = || strided(nodes, nodes.operands(id)[0]);
    match nodes.graph.op(id) {
        Op::Stop(_) | Op::Tag(_) => inner(),
        Op::Permute(p) => {
            let x = inner();
            Strided { strides: p.order.iter().map(|k| x.strides[*k].clone()).collect(), ..x }
        }
        Op::Broadcast(b) => {
            let x = inner();
            let mut out = vec![Size::default(); dims.len()];
            b.axes.iter().zip(x.strides).for_each(|(a, s)| out[*a] = s);
            Strided { strides: out, ..x }
        }
        Op::Slice(s) => {
            let x = inner();
            Strided { offset: &x.offset + &times(&s.start, &x.strides[s.axis]), ..x }
        }
        Op::Reshape(r) => {
            let from = &nodes.graph.ty(nodes.operands(id)[0]).dims;
            let x = inner();
            match reshaped_strides(&x.strides, from, &r.dims) {
                Some(strides) => Strided { strides, ..x },
                None => own(),
            }
        }
        _ => own(),
    }
}

/// The strides of a reshape of a strided tensor, if it has any.
fn reshaped_strides(strides: &[Size], from: &[Size], to: &[Size]) -> Option<Vec<Size>> {
    let mut out = vec![Size::default(); to.len()];
    for (f, t) in super::index_map::reshape_blocks(from, to)? {
        let mut stride = merged_stride(f.iter().map(|k| (&from[*k], &strides[*k])))?;
        for k in t.iter().rev() {
            out[*k] = stride.clone();
            stride = times(&stride, &to[*k]);
        }
    }
    Some(out)
}

/// The stride of several axes (size, stride) run as one, if they lie behind each other.
fn merged_stride<'a>(axes: impl DoubleEndedIterator<Item = (&'a Size, &'a Size)>) -> Option<Size> {
    let mut inner: Option<(Size, Size)> = None;
    for (size, stride) in axes.rev().filter(|(size, _)| size.as_constant() != Some(1)) {
        inner = Some(match inner {
            None => (stride.clone(), times(size, stride)),
            Some((first, expected)) if expected == *stride => (first, times(size, stride)),
            Some(_) => return None,
        });
    }
    Some(inner.map_or_else(Size::default, |(stride, _)| stride))
}

/// The node that must have a buffer for a product to read this operand.
pub(super) fn stored_base(nodes: &Nodes, id: NodeId) -> NodeId {
    strided(nodes, id).base
}

/// The axes of one operand: batch, free, contracted.
struct Sides {
    batch: Vec<usize>,
    free: Vec<usize>,
    contracted: Vec<usize>,
}

fn sides(contraction: &Contraction, rank: usize, side: fn(&(usize, usize)) -> usize) -> Sides {
    let batch: Vec<usize> = contraction.batch.iter().map(side).collect();
    let contracted: Vec<usize> = contraction.contract.iter().map(side).collect();
    let free = (0..rank).filter(|k| !batch.contains(k) && !contracted.contains(k)).collect();
    Sides { batch, free, contracted }
}

/// Whether the contracted axes run as one in both operands, as the library needs it.
pub(super) fn is_product(nodes: &Nodes, id: NodeId) -> bool {
    let Op::Contraction(contraction) = nodes.graph.op(id) else { return false };
    let merges = |operand: NodeId, side| {
        let dims = &nodes.graph.ty(operand).dims;
        let strides = strided(nodes, operand).strides;
        let axes = sides(contraction, dims.len(), side).contracted;
        merged_stride(axes.iter().map(|k| (&dims[*k], &strides[*k]))).is_some()
    };
    let [l, r] = [nodes.operands(id)[0], nodes.operands(id)[1]];
    merges(l, |p| p.0) && merges(r, |p| p.1)
}

/// A contraction over the strides of its operands, if [`is_product`]. Free axes that do not lie behind each other become batch axes.
pub(super) fn product(
    nodes: &Nodes,
    id: NodeId,
    out: BufferId,
    buffer: impl Fn(NodeId) -> Option<BufferId>,
) -> Option<Product> {
    let Op::Contraction(contraction) = nodes.graph.op(id) else { return None };
    let (l, r) = (nodes.operands(id)[0], nodes.operands(id)[1]);
    let (ld, rd) = (&nodes.graph.ty(l).dims, &nodes.graph.ty(r).dims);
    let (x, y) = (strided(nodes, l), strided(nodes, r));
    let (a, b) = (sides(contraction, ld.len(), |p| p.0), sides(contraction, rd.len(), |p| p.1));
    let zero = Size::default;
    let out_strides = strides(&nodes.graph.ty(id).dims);
    let mut batch = Vec::new();
    for (k, (p, q)) in a.batch.iter().zip(&b.batch).enumerate() {
        let (lhs, rhs, out) = (x.strides[*p].clone(), y.strides[*q].clone(), out_strides[k].clone());
        batch.push(Batch { extent: ld[*p].clone(), lhs, rhs, out });
    }
    let free = |dims: &[Size], strides: &[Size], axes: &[usize], first: usize| {
        let stride = |from: usize| merged_stride(axes[from..].iter().map(|k| (&dims[*k], &strides[*k])));
        let from = (0..=axes.len()).find(|from| stride(*from).is_some()).unwrap_or(axes.len());
        let size = axes[from..].iter().fold(Size::constant(1), |n, k| times(&n, &dims[*k]));
        let outer: Vec<(Size, Size, Size)> = (0..from)
            .map(|k| (dims[axes[k]].clone(), strides[axes[k]].clone(), out_strides[first + k].clone()))
            .collect();
        (outer, size, stride(from).unwrap_or_default())
    };
    let first = batch.len();
    let (outer, m, row) = free(ld, &x.strides, &a.free, first);
    batch.extend(outer.into_iter().map(|(extent, lhs, out)| Batch { extent, lhs, rhs: zero(), out }));
    let (outer, n, column) = free(rd, &y.strides, &b.free, first + a.free.len());
    batch.extend(outer.into_iter().map(|(extent, rhs, out)| Batch { extent, lhs: zero(), rhs, out }));
    batch.retain(|b| b.extent.as_constant() != Some(1));
    let k = a.contracted.iter().fold(Size::constant(1), |n, k| times(&n, &ld[*k]));
    let contracted =
        |dims: &[Size], strides: &[Size], axes: &[usize]| merged_stride(axes.iter().map(|k| (&dims[*k], &strides[*k])));
    let columns = b.free.iter().fold(Size::constant(1), |n, k| times(&n, &rd[*k]));
    Some(Product {
        lhs: Operand {
            buffer: buffer(x.base)?,
            offset: x.offset,
            row_stride: row,
            column_stride: contracted(ld, &x.strides, &a.contracted)?,
        },
        rhs: Operand {
            buffer: buffer(y.base)?,
            offset: y.offset,
            row_stride: contracted(rd, &y.strides, &b.contracted)?,
            column_stride: column,
        },
        out: Operand { buffer: out, offset: zero(), row_stride: columns, column_stride: Size::constant(1) },
        accumulate: false,
        batch,
        m,
        n,
        k,
    })
}

/// Multiplications and additions at these sizes.
pub(super) fn flops(product: &Product, sizes: &Bindings) -> u64 {
    let factors = [&product.m, &product.n, &product.k].into_iter().chain(product.batch.iter().map(|b| &b.extent));
    factors.fold(2u64, |n, s| n.saturating_mul(s.eval(sizes).unwrap_or(u64::MAX)))
}
