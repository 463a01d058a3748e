//! Element types and tensor types.

use super::{Bindings, Size, SizeError};
use std::fmt;

/// What one element is. A graph computes in one float type; its integers are as wide, so that a
/// vector of indices has as many lanes as a vector of floats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum DType {
    F32,
    F64,
    I32,
    I64,
    Bool,
}

impl DType {
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64)
    }

    pub fn is_int(self) -> bool {
        matches!(self, DType::I32 | DType::I64)
    }

    /// The integer type of a graph that computes in this float type.
    pub fn int(self) -> DType {
        match self {
            DType::F32 | DType::I32 => DType::I32,
            _ => DType::I64,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::Bool => "bool",
        })
    }
}

/// A tensor's element type and dims, row-major.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Type {
    pub dtype: DType,
    pub dims: Vec<Size>,
}

impl Type {
    pub fn new(dtype: DType, dims: impl Into<Vec<Size>>) -> Type {
        Type { dtype, dims: dims.into() }
    }

    pub fn scalar(dtype: DType) -> Type {
        Type { dtype, dims: Vec::new() }
    }

    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// The number of elements.
    pub fn elements(&self) -> Size {
        self.dims.iter().fold(Size::constant(1), |n, d| &n * d)
    }

    /// The dims as numbers.
    pub fn shape(&self, bindings: &Bindings) -> Result<Vec<usize>, SizeError> {
        self.dims.iter().map(|d| usize::try_from(d.eval(bindings)?).map_err(|_| SizeError::Overflow)).collect()
    }

    pub fn with_dtype(&self, dtype: DType) -> Type {
        Type { dtype, dims: self.dims.clone() }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.dtype)?;
        for (k, d) in self.dims.iter().enumerate() {
            write!(f, "{}{d}", if k > 0 { ", " } else { "" })?;
        }
        write!(f, "]")
    }
}
