//! Positions in ascending order.

use super::{Lowering, Primitive, arity, named, no_derivative, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, NodeId, Size, Tensor, Type};
use std::cmp::Ordering;

/// The positions along the last axis at which its elements stand in ascending order, as integers of type `dtype`; equal elements
/// keep their order, and NaNs come last.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Order {
    pub dtype: DType,
}

/// Which of two numbers comes first.
pub fn ascending<T: PartialOrd>(a: T, b: T) -> Ordering {
    // Only NaNs do not compare with themselves.
    let nan = |x: &T| x.partial_cmp(x).is_none();
    a.partial_cmp(&b).unwrap_or_else(|| nan(&a).cmp(&nan(&b)))
}

impl Primitive for Order {
    named!("order");
    no_derivative!();

    fn attributes(&self) -> Attributes {
        Attributes::none().with("dtype", self.dtype)
    }

    fn parse(attributes: &Attributes) -> Result<Order, String> {
        Ok(Order { dtype: attributes.read("dtype")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 1)?;
        let ty = operands[0];
        let fits = ty.dtype != DType::Bool && self.dtype == ty.dtype.int() && ty.rank() > 0;
        require(fits, || format!("cannot give the positions of {ty} as {}", self.dtype))?;
        Ok(ty.clone().with_dtype(self.dtype))
    }

    fn eval(&self, operands: &[&Tensor], _: &Type, _: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let x = operands[0];
        let length = x.dims.last().copied().unwrap_or(1);
        let mut places = Vec::with_capacity(x.len());
        let (floats, integers) = match x.dtype().is_float() {
            true => (x.to_f64(), Vec::new()),
            false => (Vec::new(), x.to_i64()),
        };
        for row in 0..x.len().checked_div(length).unwrap_or(0) {
            let mut order: Vec<usize> = (0..length).collect();
            let at = |k: &usize| row * length + *k;
            match x.dtype().is_float() {
                true => order.sort_by(|a, b| ascending(floats[at(a)], floats[at(b)])),
                false => order.sort_by_key(|a| integers[at(a)]),
            }
            places.extend(order.into_iter().map(|k| k as i64));
        }
        Ok(vec![Tensor::from_i64(self.dtype, x.dims.clone(), places)])
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn lowering(&self) -> Lowering {
        Lowering::Order
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let sample = |dtype: DType, dims: Vec<Size>, draw| {
            Sample::new(Order { dtype: dtype.int() }, vec![(Type::new(dtype, dims), draw)])
        };
        let n = || Size::symbol("N");
        vec![
            sample(dtype, vec![n(), 5.into()], Draw::Distinct(0.5)),
            sample(dtype, vec![2.into(), n()], Draw::Special),
            sample(dtype.int(), vec![n()], Draw::Index(4)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_elements_keep_their_order_and_nans_come_last() {
        let x = [0.5, f64::NAN, -1.0, 0.5, -0.0, f64::INFINITY, 0.0, f64::NAN, f64::NEG_INFINITY];
        let tensor = Tensor::from_f64(DType::F64, vec![9], x.to_vec());
        let ty = Type::new(DType::I64, vec![9.into()]);
        let order = Order { dtype: DType::I64 }.eval(&[&tensor], &ty, &Bindings::new()).unwrap();
        assert_eq!(order[0].to_i64(), [8, 2, 4, 6, 0, 3, 5, 1, 7]);
    }
}
