//! Reading and accumulating at positions that are data.

use super::{Applied, Contributions, Iota, Lowering, Primitive, arity, named, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::tensor::positions;
use crate::ir::{Bindings, Builder, DType, NodeId, Size, Tensor, Type};

/// `out[index axes.., rest..] = x[.., index, ..]`: operands `(x, index)`. Along `axis`, `x` is read at `index`;
/// `batch` pairs axes of `x` with axes of the index that run together; `rest` are `x`'s other axes.
/// Positions out of range are refused where data is loaded; here they read the nearest one in range, and where the adjoint is
/// a choice they contribute nothing to it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Gather {
    pub axis: usize,
    pub batch: Vec<(usize, usize)>,
}

/// The adjoint of [`Gather`]: operands `(updates, index)`, result of shape `dims` holding, at each position, the sum
/// of the updates that point there, added in row-major order of the updates.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ScatterAdd {
    pub axis: usize,
    pub batch: Vec<(usize, usize)>,
    pub dims: Vec<Size>,
}

/// The axes of `x` that an index does not touch.
fn rest(rank: usize, axis: usize, batch: &[(usize, usize)]) -> Vec<usize> {
    (0..rank).filter(|k| *k != axis && !batch.iter().any(|(a, _)| a == k)).collect()
}

/// The dims of what a gather reads from an `x` of shape `x_dims`.
fn gathered(x_dims: &[Size], index: &Type, axis: usize, batch: &[(usize, usize)]) -> Result<Vec<Size>, String> {
    require(axis < x_dims.len(), || "axis out of range".into())?;
    require(index.dtype.is_int(), || format!("the index has elements of type {}", index.dtype))?;
    for (a, b) in batch {
        require(*a < x_dims.len() && *b < index.rank() && *a != axis, || "a batch axis is out of range".into())?;
        require(x_dims[*a] == index.dims[*b], || "batch axes differ in size".into())?;
    }
    let rest = rest(x_dims.len(), axis, batch).into_iter().map(|k| x_dims[k].clone());
    Ok(index.dims.iter().cloned().chain(rest).collect())
}

/// For each position of the gathered tensor in row-major order, where in an `x` of these dims it reads; `None` if there is nothing.
fn sources(x: &[usize], index: &Tensor, out: &[usize], axis: usize, batch: &[(usize, usize)]) -> Vec<Option<usize>> {
    let (rest, indices) = (rest(x.len(), axis, batch), index.to_i64());
    let source = |p: Vec<usize>| {
        let (at, others) = p.split_at(index.dims.len());
        let mut from = vec![0; x.len()];
        from[axis] = indices[index.offset(at)].clamp(0, x[axis].checked_sub(1)? as i64) as usize;
        batch.iter().for_each(|(a, b)| from[*a] = at[*b]);
        rest.iter().zip(others).for_each(|(k, p)| from[*k] = *p);
        Some(crate::ir::tensor::offset(x, &from))
    };
    positions(out).map(source).collect()
}

impl Gather {
    /// Where every index axis is a batch axis, each result is one element of `x` along `axis`, and the adjoint is a choice:
    /// `axis position = index ? cotangent : 0`. It fuses, where accumulation at positions that are data does not.
    fn one_hot(&self, b: &mut Builder, x: NodeId, index: NodeId, cotangent: NodeId) -> NodeId {
        let (dims, dtype) = (b.dims(x), b.ty(index).dtype);
        let index_axes: Vec<usize> = (0..b.ty(index).rank())
            .filter_map(|axis| self.batch.iter().find(|(_, i)| *i == axis).map(|(a, _)| *a))
            .collect();
        let mut gathered_axes = index_axes.clone();
        gathered_axes.extend(rest(dims.len(), self.axis, &self.batch));
        let position = b.push(Iota { axis: self.axis, dims: dims.clone(), dtype }, &[]);
        let index = place(b, index, &index_axes, &dims);
        let cotangent = place(b, cotangent, &gathered_axes, &dims);
        let here = b.equal(position, index);
        let zero = b.full_like(cotangent, 0.0);
        b.select(here, cotangent, zero)
    }

    fn is_choice(&self, index_rank: usize) -> bool {
        (0..index_rank).all(|axis| self.batch.iter().filter(|(_, i)| *i == axis).count() == 1)
    }
}

/// `x` stretched to `dims`, its axis `k` at place `axes[k]`.
fn place(b: &mut Builder, x: NodeId, axes: &[usize], dims: &[Size]) -> NodeId {
    let mut order: Vec<usize> = (0..axes.len()).collect();
    order.sort_by_key(|k| axes[*k]);
    let x = b.permute(x, &order);
    let axes: Vec<usize> = order.iter().map(|k| axes[*k]).collect();
    b.broadcast(x, &axes, dims)
}

impl Primitive for Gather {
    named!("gather");

    fn attributes(&self) -> Attributes {
        Attributes::none().with("axis", self.axis).with_pairs("batch", &self.batch)
    }

    fn parse(attributes: &Attributes) -> Result<Gather, String> {
        Ok(Gather { axis: attributes.read("axis")?, batch: attributes.pairs("batch")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 2)?;
        Ok(Type::new(operands[0].dtype, gathered(&operands[0].dims, operands[1], self.axis, &self.batch)?))
    }

    fn eval(&self, operands: &[&Tensor], out: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let dims = out.shape(bindings)?;
        let mut from = sources(&operands[0].dims, operands[1], &dims, self.axis, &self.batch).into_iter();
        Ok(vec![operands[0].rearranged(dims, |_| from.next().flatten())])
    }

    fn vjp(&self, b: &mut Builder, at: Applied<'_>, cotangent: NodeId) -> Contributions {
        let (x, index) = (at.operands[0], at.operands[1]);
        let contribution = if self.is_choice(b.ty(index).rank()) {
            self.one_hot(b, x, index, cotangent)
        } else {
            let dims = b.dims(x);
            b.push(ScatterAdd { axis: self.axis, batch: self.batch.clone(), dims }, &[cotangent, index])
        };
        Ok(vec![Some(contribution), None])
    }

    fn jvp(&self, b: &mut Builder, at: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        Ok(tangents[0].map(|v| b.push(self.clone(), &[v, at.operands[1]])))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn lowering(&self) -> Lowering {
        Lowering::Gather
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        cases()
            .into_iter()
            .map(|(axis, batch, x, index, bound)| {
                let x = (Type::new(dtype, x), Draw::Uniform(-2.0, 2.0));
                Sample::new(Gather { axis, batch }, vec![x, (Type::new(dtype.int(), index), Draw::Index(bound))])
            })
            .collect()
    }
}

type Case = (usize, Vec<(usize, usize)>, Vec<Size>, Vec<Size>, u64);

/// (axis, batch, dims of x, dims of the index, bound of the index).
fn cases() -> Vec<Case> {
    let n = || Size::symbol("N");
    vec![
        (0, vec![], vec![4.into(), 3.into()], vec![n()], 4),
        (1, vec![(0, 0)], vec![n(), 4.into()], vec![n()], 4),
        (1, vec![(0, 0)], vec![n(), 4.into(), 3.into()], vec![n()], 4),
        (1, vec![(0, 1), (2, 0)], vec![n(), 4.into(), 3.into()], vec![3.into(), n()], 4),
        (0, vec![(1, 0)], vec![4.into(), n(), 2.into()], vec![n(), 3.into()], 4),
    ]
}

impl Primitive for ScatterAdd {
    named!("scatter_add");

    fn attributes(&self) -> Attributes {
        Attributes::none().with("axis", self.axis).with_pairs("batch", &self.batch).with_list("dims", &self.dims)
    }

    fn parse(attributes: &Attributes) -> Result<ScatterAdd, String> {
        Ok(ScatterAdd {
            axis: attributes.read("axis")?,
            batch: attributes.pairs("batch")?,
            dims: attributes.list("dims")?,
        })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 2)?;
        let expected = gathered(&self.dims, operands[1], self.axis, &self.batch)?;
        require(operands[0].dims == expected, || "the updates do not have the shape of a gather".into())?;
        Ok(Type::new(operands[0].dtype, self.dims.clone()))
    }

    fn eval(&self, operands: &[&Tensor], out: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let (updates, dims) = (operands[0], out.shape(bindings)?);
        let targets = sources(&dims, operands[1], &updates.dims, self.axis, &self.batch);
        let mut total = vec![0.0; dims.iter().product()];
        for (target, update) in targets.into_iter().zip(updates.to_f64()) {
            if let Some(k) = target {
                // Each sum is rounded to the element type before the next update.
                total[k] =
                    if out.dtype == DType::F32 { f64::from((total[k] + update) as f32) } else { total[k] + update };
            }
        }
        Ok(vec![Tensor::from_f64(out.dtype, dims, total)])
    }

    fn vjp(&self, b: &mut Builder, at: Applied<'_>, cotangent: NodeId) -> Contributions {
        let gather = Gather { axis: self.axis, batch: self.batch.clone() };
        Ok(vec![Some(b.push(gather, &[cotangent, at.operands[1]])), None])
    }

    fn jvp(&self, b: &mut Builder, at: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        Ok(tangents[0].map(|v| b.push(self.clone(), &[v, at.operands[1]])))
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn lowering(&self) -> Lowering {
        Lowering::ScatterAdd
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        cases()
            .into_iter()
            .filter_map(|(axis, batch, dims, index, bound)| {
                let index = Type::new(dtype.int(), index);
                let updates = Type::new(dtype, gathered(&dims, &index, axis, &batch).ok()?);
                let operands = vec![(updates, Draw::Uniform(-2.0, 2.0)), (index, Draw::Index(bound))];
                Some(Sample::new(ScatterAdd { axis, batch, dims }, operands))
            })
            .collect()
    }
}
