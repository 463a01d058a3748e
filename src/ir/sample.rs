//! Samples: operands on which a primitive is tested, and how their values are drawn.
//!
//! Input: a primitive's samples, a binding of symbols and a seed. Output: tensors. Invariant: the same seed gives the
//! same tensors everywhere.

use super::{Bindings, DType, Op, SizeError, Tensor, Type};
use crate::scalar::random::Key;

/// How values are drawn.
#[derive(Clone, PartialEq, Debug)]
pub enum Draw {
    /// Uniform between two bounds.
    Uniform(f64, f64),
    /// Uniform between two bounds, but no closer than 0.05 to any of the given points, where a derivative jumps.
    Away(f64, f64, &'static [f64]),
    /// Between -2 and 2, every value different from each other by the same distance. Draws with different offsets
    /// (between 0 and 1) have no value in common.
    Distinct(f64),
    /// Values at which arithmetic has special cases (±0, ±∞, NaN, subnormals, the largest), among ordinary ones.
    Special,
    /// Integers from 0 to below the bound.
    Index(u64),
    /// Booleans.
    Bool,
}

/// Where arithmetic has special cases, in f32 and f64.
pub const SPECIAL: [f64; 14] = [
    0.0,
    -0.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    1e-40,
    -1e-40,
    5e-324,
    3.4e38,
    -3.4e38,
    1.0,
    -1.0,
    2.0,
    0.5,
];

/// One application of a primitive to test it on.
#[derive(Clone, Debug)]
pub struct Sample {
    pub op: Op,
    pub operands: Vec<(Type, Draw)>,
}

impl Sample {
    pub fn new(op: impl Into<Op>, operands: Vec<(Type, Draw)>) -> Sample {
        Sample { op: op.into(), operands }
    }

    /// Operand values.
    pub fn draw(&self, bindings: &Bindings, seed: u64) -> Result<Vec<Tensor>, SizeError> {
        let draw = |(k, (ty, draw)): (usize, &(Type, Draw))| draw.tensor(ty, bindings, seed ^ ((k as u64 + 1) << 32));
        self.operands.iter().enumerate().map(draw).collect()
    }
}

impl Draw {
    /// Draws a tensor of a type.
    pub fn tensor(&self, ty: &Type, bindings: &Bindings, seed: u64) -> Result<Tensor, SizeError> {
        let dims = ty.shape(bindings)?;
        let count: usize = dims.iter().product();
        let key = Key::derive(seed, 0, 0);
        let unit = |k: usize| key.uniform_f64(k as u64);
        let values: Vec<f64> = match self {
            Draw::Uniform(low, high) => (0..count).map(|k| low + (high - low) * unit(k)).collect(),
            Draw::Away(low, high, points) => {
                let near = |x: f64| points.iter().any(|p| (x - p).abs() < 0.05);
                let value = |k: usize| {
                    let mut tries = (0..64).map(|t| low + (high - low) * unit(k + t * (count + 1)));
                    tries.find(|x| !near(*x)).unwrap_or(*low)
                };
                (0..count).map(value).collect()
            }
            Draw::Distinct(offset) => {
                let mut order: Vec<usize> = (0..count).collect();
                order.sort_by(|a, b| unit(*a).total_cmp(&unit(*b)));
                order.into_iter().map(|k| -2.0 + 4.0 * (k as f64 + offset) / count as f64).collect()
            }
            Draw::Special => (0..count)
                .map(|k| match key.bits64(k as u64) as usize % (2 * SPECIAL.len()) {
                    special if special < SPECIAL.len() => SPECIAL[special],
                    _ => -3.0 + 6.0 * unit(k),
                })
                .collect(),
            Draw::Index(bound) => (0..count).map(|k| (*bound as f64 * unit(k)).floor()).collect(),
            Draw::Bool => (0..count).map(|k| f64::from(unit(k) < 0.5)).collect(),
        };
        Ok(Tensor::from_f64(ty.dtype, dims, values))
    }
}

impl Op {
    /// The type of dims `[N, 3]` and a scalar: shapes for samples of elementwise primitives.
    pub fn elementwise_types(dtype: DType) -> [Type; 2] {
        [Type::new(dtype, vec![super::Size::symbol("N"), 3.into()]), Type::scalar(dtype)]
    }
}
