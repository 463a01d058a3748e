//! Loops over an axis.

use super::region::{bundle, not_differentiable};
use super::{Lowering, Primitive, Region, named, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, OutputRole, Role, Size, Tensor, Type};
use std::sync::Arc;

/// A loop over `length` positions of an axis. Operands: `carried` initial values, then `scanned` tensors (leading axis
/// `length`), then captures. The body takes (carried.., one row of each scanned.., captures..) and gives
/// (carried'.., one row of each output..). Results, by [`super::Project`]: final carried values, then outputs with leading
/// axis `length`, each row at the position of the row it was computed from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Scan {
    pub body: Region,
    pub carried: usize,
    pub scanned: usize,
    pub length: Size,
    pub reverse: bool,
}

impl Primitive for Scan {
    named!("scan");
    not_differentiable!("a scan");

    fn attributes(&self) -> Attributes {
        Attributes::none()
            .with("carried", self.carried)
            .with("scanned", self.scanned)
            .with("length", &self.length)
            .with("reverse", self.reverse)
            .with_region("body", &self.body)
    }

    fn parse(attributes: &Attributes) -> Result<Scan, String> {
        Ok(Scan {
            body: attributes.region("body")?,
            carried: attributes.read("carried")?,
            scanned: attributes.read("scanned")?,
            length: attributes.read("length")?,
            reverse: attributes.read("reverse")?,
        })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        require(operands.len() >= self.carried + self.scanned, || "too few operands".into())?;
        let mut inner: Vec<Type> = operands.iter().map(|t| (*t).clone()).collect();
        for ty in &mut inner[self.carried..self.carried + self.scanned] {
            require(ty.dims.first() == Some(&self.length), || "a scanned operand has another length".into())?;
            ty.dims.remove(0);
        }
        self.body.takes(&inner)?;
        let results = self.body.results();
        require(results.get(..self.carried) == Some(&inner[..self.carried]), || "carried values change type".into())?;
        Ok(bundle())
    }

    fn eval(&self, operands: &[&Tensor], _: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let length = self.length.eval(bindings)? as usize;
        let mut carried: Vec<Tensor> = operands[..self.carried].iter().map(|t| (*t).clone()).collect();
        let (scanned, captures) = operands[self.carried..].split_at(self.scanned);
        let outputs = self.body.results().split_off(self.carried);
        let mut rows: Vec<Vec<Tensor>> = vec![Vec::new(); outputs.len()];
        for step in 0..length {
            let at = if self.reverse { length - 1 - step } else { step };
            let mut inner = carried;
            inner.extend(scanned.iter().map(|t| t.row(at)));
            inner.extend(captures.iter().map(|t| (*t).clone()));
            carried = self.body.eval(&inner, bindings)?;
            let produced = carried.split_off(self.carried);
            rows.iter_mut().zip(produced).for_each(|(rows, row)| rows.push(row));
        }
        for (mut rows, ty) in rows.into_iter().zip(outputs) {
            if self.reverse {
                rows.reverse();
            }
            carried.push(Tensor::stack(&rows, (ty.dtype, ty.shape(bindings)?)));
        }
        Ok(carried)
    }

    fn lowering(&self) -> Lowering {
        Lowering::Region
    }

    /// A running sum scaled by a capture, forward and backward.
    fn samples(dtype: DType) -> Vec<Sample> {
        let ty = Type::new(dtype, vec![3.into()]);
        let mut b = Builder::new();
        let [sum, row, scale] = ["sum", "row", "scale"].map(|name| b.input(name, Role::Bound, ty.clone()));
        let scaled = b.mul(row, scale);
        let next = b.add(sum, scaled);
        b.output("sum", OutputRole::Report, next);
        b.output("row", OutputRole::Report, next);
        let body = Region(Arc::new(b.finish()));
        let length = Size::symbol("N");
        let rows = Type::new(dtype, vec![length.clone(), 3.into()]);
        let sample = |reverse| {
            let scan = Scan { body: body.clone(), carried: 1, scanned: 1, length: length.clone(), reverse };
            let operands = [ty.clone(), rows.clone(), ty.clone()].map(|ty| (ty, Draw::Uniform(-2.0, 2.0)));
            Sample::new(scan, operands.to_vec())
        };
        vec![sample(false), sample(true)]
    }
}
