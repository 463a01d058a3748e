//! The general product: sums of products over shared axes.

use super::{Applied, Contributions, Lowering, Primitive, arity, named, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::reduction::{Real, sum_rows};
use crate::ir::sample::{Draw, Sample};
use crate::ir::tensor::positions;
use crate::ir::{Bindings, Builder, DType, Data, NodeId, Size, Tensor, Type};

/// `out[batch.., lhs free.., rhs free..] = Σ over contracted axes lhs · rhs`.
///
/// `batch` and `contract` pair an axis of the left operand with one of the right; free axes keep their order. Products are
/// rounded and summed as over last axes, the contracted axes in the order of `contract` (see [`crate::ir::reduction`]).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Contraction {
    pub batch: Vec<(usize, usize)>,
    pub contract: Vec<(usize, usize)>,
}

impl Contraction {
    /// The axes of the left and of the right operand that are neither batch nor contracted.
    pub fn free(&self, lhs_rank: usize, rhs_rank: usize) -> (Vec<usize>, Vec<usize>) {
        let used = |k: usize, side: fn(&(usize, usize)) -> usize| {
            self.batch.iter().chain(&self.contract).any(|pair| side(pair) == k)
        };
        ((0..lhs_rank).filter(|k| !used(*k, |p| p.0)).collect(), (0..rhs_rank).filter(|k| !used(*k, |p| p.1)).collect())
    }

    fn products<T: Real>(&self, operands: &[&Tensor], l: &[T], r: &[T], dims: &[usize]) -> Vec<T> {
        let (lhs, rhs) = (operands[0], operands[1]);
        let (lf, rf) = self.free(lhs.dims.len(), rhs.dims.len());
        let lengths: Vec<usize> = self.contract.iter().map(|(a, _)| lhs.dims[*a]).collect();
        let steps: Vec<Vec<usize>> = positions(&lengths).collect();
        let (mut pl, mut pr) = (vec![0; lhs.dims.len()], vec![0; rhs.dims.len()]);
        let mut element = |out: Vec<usize>| {
            let (batch, free) = out.split_at(self.batch.len());
            self.batch.iter().zip(batch).for_each(|((a, b), p)| (pl[*a], pr[*b]) = (*p, *p));
            lf.iter().zip(free).for_each(|(a, p)| pl[*a] = *p);
            rf.iter().zip(&free[lf.len()..]).for_each(|(b, p)| pr[*b] = *p);
            let mut product = |step: &Vec<usize>| {
                self.contract.iter().zip(step).for_each(|((a, b), p)| (pl[*a], pr[*b]) = (*p, *p));
                l[lhs.offset(&pl)] * r[rhs.offset(&pr)]
            };
            let products: Vec<T> = steps.iter().map(&mut product).collect();
            sum_rows(&products, lengths.last().copied().unwrap_or(1))
        };
        positions(dims).map(&mut element).collect()
    }

    /// ∂/∂lhs: the cotangent contracted with `rhs` over the free axes of `rhs`.
    fn left(&self, b: &mut Builder, lhs: NodeId, rhs: NodeId, cotangent: NodeId) -> NodeId {
        let (lf, rf) = self.free(b.ty(lhs).rank(), b.ty(rhs).rank());
        let batch = self.batch.iter().enumerate().map(|(k, (_, b))| (k, *b)).collect();
        let contract = rf.iter().enumerate().map(|(k, b)| (self.batch.len() + lf.len() + k, *b)).collect();
        let product = b.push(Contraction { batch, contract }, &[cotangent, rhs]);
        // What is left free in `rhs` are its contracted axes, ascending.
        let mut pairs = self.contract.clone();
        pairs.sort_by_key(|p| p.1);
        let axes = self.batch.iter().map(|p| p.0).chain(lf).chain(pairs.iter().map(|p| p.0));
        arrange(b, product, axes.collect())
    }

    /// ∂/∂rhs: `lhs` contracted with the cotangent over the free axes of `lhs`.
    fn right(&self, b: &mut Builder, lhs: NodeId, rhs: NodeId, cotangent: NodeId) -> NodeId {
        let (lf, rf) = self.free(b.ty(lhs).rank(), b.ty(rhs).rank());
        let batch = self.batch.iter().enumerate().map(|(k, (a, _))| (*a, k)).collect();
        let contract = lf.iter().enumerate().map(|(k, a)| (*a, self.batch.len() + k)).collect();
        let product = b.push(Contraction { batch, contract }, &[lhs, cotangent]);
        let mut pairs = self.contract.clone();
        pairs.sort_by_key(|p| p.0);
        let axes = self.batch.iter().map(|p| p.1).chain(pairs.iter().map(|p| p.1)).chain(rf);
        arrange(b, product, axes.collect())
    }
}

/// Puts axis `k` of `x` at place `axes[k]`.
fn arrange(b: &mut Builder, x: NodeId, axes: Vec<usize>) -> NodeId {
    let mut order = vec![0; axes.len()];
    axes.iter().enumerate().for_each(|(k, place)| order[*place] = k);
    b.permute(x, &order)
}

impl Primitive for Contraction {
    named!("contract");

    fn attributes(&self) -> Attributes {
        Attributes::none().with_pairs("batch", &self.batch).with_pairs("contract", &self.contract)
    }

    fn parse(attributes: &Attributes) -> Result<Contraction, String> {
        Ok(Contraction { batch: attributes.pairs("batch")?, contract: attributes.pairs("contract")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 2)?;
        let (l, r) = (operands[0], operands[1]);
        require(l.dtype == r.dtype && l.dtype.is_float(), || "operands must be floats of one type".into())?;
        for (a, b) in self.batch.iter().chain(&self.contract) {
            require(*a < l.rank() && *b < r.rank(), || format!("axes {a} and {b} are out of range"))?;
            require(l.dims[*a] == r.dims[*b], || format!("{} and {} do not pair", l.dims[*a], r.dims[*b]))?;
        }
        let (lf, rf) = self.free(l.rank(), r.rank());
        let pairs = self.batch.len() + self.contract.len();
        require(lf.len() + pairs == l.rank() && rf.len() + pairs == r.rank(), || "an axis is paired twice".into())?;
        let batch = self.batch.iter().map(|(a, _)| l.dims[*a].clone());
        let dims: Vec<Size> =
            batch.chain(lf.iter().map(|k| l.dims[*k].clone())).chain(rf.iter().map(|k| r.dims[*k].clone())).collect();
        Ok(Type::new(l.dtype, dims))
    }

    fn eval(&self, operands: &[&Tensor], out: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let dims = out.shape(bindings)?;
        let data = match (&operands[0].data, &operands[1].data) {
            (Data::F32(l), Data::F32(r)) => Data::F32(self.products(operands, l, r, &dims)),
            _ => Data::F64(self.products(operands, &operands[0].to_f64(), &operands[1].to_f64(), &dims)),
        };
        Ok(vec![Tensor { dims, data }])
    }

    fn vjp(&self, b: &mut Builder, at: Applied<'_>, cotangent: NodeId) -> Contributions {
        let (lhs, rhs) = (at.operands[0], at.operands[1]);
        Ok(vec![
            at.wanted[0].then(|| self.left(b, lhs, rhs, cotangent)),
            at.wanted[1].then(|| self.right(b, lhs, rhs, cotangent)),
        ])
    }

    fn jvp(&self, b: &mut Builder, at: Applied<'_>, tangents: &[Option<NodeId>]) -> Result<Option<NodeId>, String> {
        let left = tangents[0].map(|v| b.push(self.clone(), &[v, at.operands[1]]));
        let right = tangents[1].map(|v| b.push(self.clone(), &[at.operands[0], v]));
        Ok(match (left, right) {
            (Some(l), Some(r)) => Some(b.add(l, r)),
            (l, r) => l.or(r),
        })
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn lowering(&self) -> Lowering {
        Lowering::Contraction
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let n = || Size::symbol("N");
        let sample = |batch: &[(usize, usize)], contract: &[(usize, usize)], l: Vec<Size>, r: Vec<Size>| {
            let draw = Draw::Uniform(-2.0, 2.0);
            let op = Contraction { batch: batch.to_vec(), contract: contract.to_vec() };
            Sample::new(op, vec![(Type::new(dtype, l), draw.clone()), (Type::new(dtype, r), draw)])
        };
        vec![
            sample(&[], &[(1, 0)], vec![n(), 3.into()], vec![3.into(), 2.into()]),
            sample(&[], &[(0, 0)], vec![n(), 3.into()], vec![n(), 2.into()]),
            sample(&[], &[(1, 1)], vec![2.into(), 3.into()], vec![n(), 3.into()]),
            sample(&[(1, 0)], &[(0, 2)], vec![3.into(), n(), 2.into()], vec![n(), 2.into(), 3.into()]),
            sample(&[], &[(1, 0), (0, 2)], vec![2.into(), n(), 3.into()], vec![n(), 4.into(), 2.into()]),
            sample(&[], &[(0, 0)], vec![n()], vec![n()]),
            sample(&[], &[], vec![n()], vec![3.into()]),
        ]
    }
}
