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

    /// A tensor of the given type from f64 values, rounded once; integers towards zero, booleans as `x != 0`.
    pub fn from_f64(dtype: DType, dims: Vec<usize>, values: Vec<f64>) -> Tensor {
        let data = match dtype {
            DType::F32 => Data::F32(values.into_iter().map(|v| v as f32).collect()),
            DType::F64 => Data::F64(values),
            DType::I32 => Data::I32(values.into_iter().map(|v| v as i32).collect()),
            DType::I64 => Data::I64(values.into_iter().map(|v| v as i64).collect()),
            DType::Bool => Data::Bool(values.into_iter().map(|v| v != 0.0).collect()),
        };
        Tensor { dims, data }
    }

    /// A tensor of the given type from integers, which wrap.
    pub fn from_i64(dtype: DType, dims: Vec<usize>, values: Vec<i64>) -> Tensor {
        let data = match dtype {
            DType::F32 => Data::F32(values.into_iter().map(|v| v as f32).collect()),
            DType::F64 => Data::F64(values.into_iter().map(|v| v as f64).collect()),
            DType::I32 => Data::I32(values.into_iter().map(|v| v as i32).collect()),
            DType::I64 => Data::I64(values),
            DType::Bool => Data::Bool(values.into_iter().map(|v| v != 0).collect()),
        };
        Tensor { dims, data }
    }

    /// A float tensor of the given type from f64 values, rounded once.
    pub fn float(dtype: DType, dims: Vec<usize>, values: Vec<f64>) -> Tensor {
        Tensor::from_f64(if dtype == DType::F32 { DType::F32 } else { DType::F64 }, dims, values)
    }

    pub fn scalar(dtype: DType, value: f64) -> Tensor {
        Tensor::from_f64(dtype, Vec::new(), vec![value])
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

    /// Every element as an integer: floats towards zero.
    pub fn to_i64(&self) -> Vec<i64> {
        match &self.data {
            Data::F32(v) => v.iter().map(|x| *x as i64).collect(),
            Data::F64(v) => v.iter().map(|x| *x as i64).collect(),
            Data::I32(v) => v.iter().map(|x| i64::from(*x)).collect(),
            Data::I64(v) => v.clone(),
            Data::Bool(v) => v.iter().map(|x| i64::from(*x)).collect(),
        }
    }

    /// The elements that `source` names by position, in another arrangement; zero where it names none.
    pub fn rearranged(&self, dims: Vec<usize>, mut source: impl FnMut(&[usize]) -> Option<usize>) -> Tensor {
        let from: Vec<Option<usize>> = positions(&dims).map(|p| source(&p)).collect();
        fn pick<T: Copy + Default>(from: &[Option<usize>], values: &[T]) -> Vec<T> {
            from.iter().map(|k| k.map_or_else(T::default, |k| values[k])).collect()
        }
        let data = match &self.data {
            Data::F32(v) => Data::F32(pick(&from, v)),
            Data::F64(v) => Data::F64(pick(&from, v)),
            Data::I32(v) => Data::I32(pick(&from, v)),
            Data::I64(v) => Data::I64(pick(&from, v)),
            Data::Bool(v) => Data::Bool(pick(&from, v)),
        };
        Tensor { dims, data }
    }

    /// Where in the row-major order the element at `position` is.
    pub fn offset(&self, position: &[usize]) -> usize {
        offset(&self.dims, position)
    }

    /// Row `k` along the first axis.
    pub fn row(&self, k: usize) -> Tensor {
        let dims = self.dims[1..].to_vec();
        let size: usize = dims.iter().product();
        self.rearranged(dims.clone(), |p| Some(k * size + offset(&dims, p)))
    }

    /// Tensors of equal dims and dtype, one after another along a new first axis. `empty` gives the dims and dtype
    /// of a row when there is none.
    pub fn stack(rows: &[Tensor], empty: (DType, Vec<usize>)) -> Tensor {
        let (dtype, row) = rows.first().map_or(empty, |r| (r.dtype(), r.dims.clone()));
        let mut dims = vec![rows.len()];
        dims.extend(&row);
        if dtype.is_float() {
            Tensor::from_f64(dtype, dims, rows.iter().flat_map(Tensor::to_f64).collect())
        } else {
            Tensor::from_i64(dtype, dims, rows.iter().flat_map(Tensor::to_i64).collect())
        }
    }

    /// Whether every bit is the same, except that a NaN is a NaN.
    pub fn same_bits(&self, other: &Tensor) -> bool {
        let equal = |a: &f64, b: &f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        self.dims == other.dims
            && match (&self.data, &other.data) {
                (Data::F32(_), Data::F32(_)) | (Data::F64(_), Data::F64(_)) => {
                    self.to_f64().iter().zip(&other.to_f64()).all(|(a, b)| equal(a, b))
                }
                (a, b) => a == b,
            }
    }
}

/// Where in the row-major order of `dims` a position is.
pub fn offset(dims: &[usize], position: &[usize]) -> usize {
    dims.iter().zip(position).fold(0, |at, (d, p)| at * d + p)
}

/// Every position of a tensor of these dims, in row-major order.
pub fn positions(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> + use<> {
    let dims = dims.to_vec();
    let count: usize = dims.iter().product();
    (0..count).map(move |mut k| {
        let mut position = vec![0; dims.len()];
        for (p, d) in position.iter_mut().zip(&dims).rev() {
            *p = k % d;
            k /= d;
        }
        position
    })
}
