//! Tensors in memory, row-major: what the interpreter computes with and constants are made of.

use super::DType;

/// Elements of one type.
#[derive(Clone, PartialEq, Debug)]
pub enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
}

/// A dense row-major tensor; `data` has as many elements as the product of `dims`.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    pub dims: Vec<usize>,
    pub data: Data,
}

impl Tensor {
    pub fn dtype(&self) -> DType {
        match &self.data {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::I32(_) => DType::I32,
            Data::I64(_) => DType::I64,
            Data::Bool(_) => DType::Bool,
        }
    }

    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A float tensor of the given type from f64 values, rounded once.
    pub fn float(dtype: DType, dims: Vec<usize>, values: Vec<f64>) -> Tensor {
        let data = match dtype {
            DType::F32 => Data::F32(values.into_iter().map(|v| v as f32).collect()),
            _ => Data::F64(values),
        };
        Tensor { dims, data }
    }

    /// Every element as f64 (booleans as 0 and 1).
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::F32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Data::F64(v) => v.clone(),
            Data::I32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Data::I64(v) => v.iter().map(|x| *x as f64).collect(),
            Data::Bool(v) => v.iter().map(|x| f64::from(u8::from(*x))).collect(),
        }
    }
}
