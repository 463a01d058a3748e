//! Random draws as functions of (seed, step, site).

use super::{Lowering, Primitive, arity, named, no_derivative, require};
use crate::ir::attributes::Attributes;
use crate::ir::interpret::EvalError;
use crate::ir::sample::{Draw, Sample};
use crate::ir::{Bindings, Builder, DType, Data, NodeId, Size, Tensor, Type};
use crate::scalar::random::Key;

/// Uniform draws in [0, 1): operands `(seed, step)`, both `i64` scalars. Element `k` (row-major) depends on the seed,
/// the step, the site and `k` only (see [`crate::scalar::random`]), so two draws of one site within a step are the same.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Random {
    pub site: u64,
    pub dims: Vec<Size>,
    pub dtype: DType,
}

impl Primitive for Random {
    named!("random");
    no_derivative!();

    fn attributes(&self) -> Attributes {
        Attributes::none().with("site", self.site).with_list("dims", &self.dims).with("dtype", self.dtype)
    }

    fn parse(attributes: &Attributes) -> Result<Random, String> {
        Ok(Random { site: attributes.read("site")?, dims: attributes.list("dims")?, dtype: attributes.read("dtype")? })
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, String> {
        arity(operands, 2)?;
        let key = Type::scalar(DType::I64);
        require(operands.iter().all(|o| **o == key), || "seed and step are i64 scalars".into())?;
        require(self.dtype.is_float(), || "draws are floats".into())?;
        Ok(Type::new(self.dtype, self.dims.clone()))
    }

    fn eval(&self, operands: &[&Tensor], out: &Type, bindings: &Bindings) -> Result<Vec<Tensor>, EvalError> {
        let dims = out.shape(bindings)?;
        let count = dims.iter().product::<usize>() as u64;
        let word = |k: usize| operands[k].to_i64()[0] as u64;
        let key = Key::derive(word(0), self.site, word(1));
        let data = match self.dtype {
            DType::F32 => Data::F32((0..count).map(|k| key.uniform_f32(k)).collect()),
            _ => Data::F64((0..count).map(|k| key.uniform_f64(k)).collect()),
        };
        Ok(vec![Tensor { dims, data }])
    }

    fn simplify(&self, _: &mut Builder, _: &[NodeId]) -> Option<NodeId> {
        None
    }

    fn lowering(&self) -> Lowering {
        Lowering::Random
    }

    fn samples(dtype: DType) -> Vec<Sample> {
        let key = (Type::scalar(DType::I64), Draw::Index(1000));
        let random = Random { site: 3, dims: vec![Size::symbol("N"), 7.into()], dtype };
        vec![Sample::new(random, vec![key.clone(), key])]
    }
}
