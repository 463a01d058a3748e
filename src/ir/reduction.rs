//! The order of reductions, promised to the bit: the interpreter and compiled code both follow it.
//!
//! Input: an operand and the axes it is reduced over, as logical axes whatever the layout in memory. Output: the result.
//! Invariant: the order depends on sizes and dtype only.
//!
//! W = 16 lanes for f32, 8 for f64.
//! - The last axis is reduced: it is cut into chunks of 256·W elements. For every outer reduced index in row-major order and
//!   every chunk, lane `j mod W` sums element `j` of the chunk, from +0, j ascending; the lanes are then added to the
//!   running lanes by Kahan's compensated step. At the end lane `i` takes lane `i + W/2`, then `i + W/4`, … down to one.
//! - The last axis is kept: each result sums its elements in row-major order in chunks of 256, chunks added by Kahan's step.
//! - Maxima take the same lanes, with `max(a, b) = if a < b or b is NaN { b } else { a }`, from -∞.

use super::tensor::positions;
use super::{DType, Data, Tensor};

/// Elements of a lane, or of a sequential sum, that are added before a compensated step.
pub const CHUNK: usize = 256;

/// A float type of the interpreter.
pub trait Real:
    Copy + PartialOrd + std::ops::Add<Output = Self> + std::ops::Sub<Output = Self> + std::ops::Mul<Output = Self>
{
    const LANES: usize;
    const ZERO: Self;
    const LOWEST: Self;
    fn is_nan(self) -> bool;
}

impl Real for f32 {
    const LANES: usize = 16;
    const ZERO: f32 = 0.0;
    const LOWEST: f32 = f32::NEG_INFINITY;
    fn is_nan(self) -> bool {
        f32::is_nan(self)
    }
}

impl Real for f64 {
    const LANES: usize = 8;
    const ZERO: f64 = 0.0;
    const LOWEST: f64 = f64::NEG_INFINITY;
    fn is_nan(self) -> bool {
        f64::is_nan(self)
    }
}

/// A running sum with its compensation.
#[derive(Clone, Copy)]
struct Kahan<T> {
    sum: T,
    lost: T,
}

impl<T: Real> Kahan<T> {
    const ZERO: Kahan<T> = Kahan { sum: T::ZERO, lost: T::ZERO };

    fn add(&mut self, x: T) {
        let y = x - self.lost;
        let t = self.sum + y;
        self.lost = (t - self.sum) - y;
        self.sum = t;
    }
}

fn larger<T: Real>(a: T, b: T) -> T {
    if a < b || b.is_nan() { b } else { a }
}

/// Halves the lanes until one is left.
fn tree<T: Real>(mut lanes: Vec<T>, combine: impl Fn(T, T) -> T) -> T {
    let mut half = lanes.len() / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = combine(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// The sum of elements whose last axis, `row` long, is reduced.
pub fn sum_rows<T: Real>(elements: &[T], row: usize) -> T {
    let mut lanes = vec![Kahan::ZERO; T::LANES];
    for row in elements.chunks(row.max(1)) {
        for chunk in row.chunks(CHUNK * T::LANES) {
            let mut partial = vec![T::ZERO; T::LANES];
            chunk.iter().enumerate().for_each(|(j, x)| partial[j % T::LANES] = partial[j % T::LANES] + *x);
            lanes.iter_mut().zip(partial).for_each(|(lane, x)| lane.add(x));
        }
    }
    tree(lanes.into_iter().map(|lane| lane.sum).collect(), |a, b| a + b)
}

/// The sum of elements whose last axis is kept.
pub fn sum_sequential<T: Real>(elements: &[T]) -> T {
    let mut total = Kahan::ZERO;
    for chunk in elements.chunks(CHUNK) {
        total.add(chunk.iter().fold(T::ZERO, |sum, x| sum + *x));
    }
    total.sum
}

fn max_rows<T: Real>(elements: &[T], row: usize) -> T {
    let mut lanes = vec![T::LOWEST; T::LANES];
    for row in elements.chunks(row.max(1)) {
        row.iter().enumerate().for_each(|(j, x)| lanes[j % T::LANES] = larger(lanes[j % T::LANES], *x));
    }
    tree(lanes, larger)
}

/// For each result, the offsets of its elements in row-major order; the dims that are kept; and the length of the last axis if
/// that is reduced.
struct Groups {
    dims: Vec<usize>,
    groups: Vec<Vec<usize>>,
    row: Option<usize>,
}

impl Groups {
    fn new(x: &Tensor, axes: &[usize]) -> Groups {
        let rank = x.dims.len();
        let kept: Vec<usize> = (0..rank).filter(|k| !axes.contains(k)).collect();
        let pick = |axes: &[usize]| axes.iter().map(|k| x.dims[*k]).collect::<Vec<usize>>();
        let (dims, reduced) = (pick(&kept), pick(axes));
        let inner: Vec<Vec<usize>> = positions(&reduced).collect();
        let mut position = vec![0; rank];
        let mut group = |outer: Vec<usize>| {
            kept.iter().zip(&outer).for_each(|(k, p)| position[*k] = *p);
            let mut offset = |inner: &Vec<usize>| {
                axes.iter().zip(inner).for_each(|(k, p)| position[*k] = *p);
                x.offset(&position)
            };
            inner.iter().map(&mut offset).collect()
        };
        let groups = positions(&dims).map(&mut group).collect();
        let row = axes.last().filter(|a| **a + 1 == rank).map(|a| x.dims[*a]);
        Groups { dims, groups, row }
    }

    fn floats<T: Real>(&self, values: &[T], reduce: impl Fn(&[T], Option<usize>) -> T) -> Vec<T> {
        let reduce = |group: &Vec<usize>| reduce(&group.iter().map(|k| values[*k]).collect::<Vec<T>>(), self.row);
        self.groups.iter().map(reduce).collect()
    }

    fn integers(&self, dtype: DType, values: &[i64], reduce: impl Fn(&mut dyn Iterator<Item = i64>) -> i64) -> Data {
        let results = self.groups.iter().map(|group| reduce(&mut group.iter().map(|k| values[*k]))).collect();
        Tensor::from_i64(dtype, vec![self.groups.len()], results).data
    }
}

/// The sum over `axes`; integers wrap.
pub fn sum(x: &Tensor, axes: &[usize]) -> Tensor {
    fn real<T: Real>(elements: &[T], row: Option<usize>) -> T {
        row.map_or_else(|| sum_sequential(elements), |row| sum_rows(elements, row))
    }
    let groups = Groups::new(x, axes);
    let data = match &x.data {
        Data::F32(v) => Data::F32(groups.floats(v, real)),
        Data::F64(v) => Data::F64(groups.floats(v, real)),
        _ => groups.integers(x.dtype(), &x.to_i64(), |v| v.fold(0, i64::wrapping_add)),
    };
    Tensor { dims: groups.dims, data }
}

/// The maximum over `axes`.
pub fn max(x: &Tensor, axes: &[usize]) -> Tensor {
    fn real<T: Real>(elements: &[T], row: Option<usize>) -> T {
        match row {
            Some(row) => max_rows(elements, row),
            None => elements.iter().fold(T::LOWEST, |m, x| larger(m, *x)),
        }
    }
    let groups = Groups::new(x, axes);
    let lowest = if x.dtype() == DType::I32 { i64::from(i32::MIN) } else { i64::MIN };
    let data = match &x.data {
        Data::F32(v) => Data::F32(groups.floats(v, real)),
        Data::F64(v) => Data::F64(groups.floats(v, real)),
        _ => groups.integers(x.dtype(), &x.to_i64(), |v| v.fold(lowest, i64::max)),
    };
    Tensor { dims: groups.dims, data }
}

/// The position of the first largest element along `axis`; a NaN counts as largest. 0 over nothing.
pub fn argmax(x: &Tensor, axis: usize, dtype: DType) -> Tensor {
    let groups = Groups::new(x, &[axis]);
    let values = x.to_f64();
    let first = |group: &Vec<usize>| {
        let mut best = 0;
        for (k, at) in group.iter().enumerate() {
            let (x, so_far) = (values[*at], values[group[best]]);
            if so_far < x || (x.is_nan() && !so_far.is_nan()) {
                best = k;
            }
        }
        best as i64
    };
    Tensor::from_i64(dtype, groups.dims, groups.groups.iter().map(first).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_million_terms_keep_the_error_bound() {
        let n = 10_000_000usize;
        let values: Vec<f32> = (0..n).map(|k| ((k * 7919) % 1000) as f32 / 999.0).collect();
        let exact: f64 = values.iter().map(|x| f64::from(*x)).sum();
        let bound = 2.0 * (n as f64).log2() * f64::from(f32::EPSILON) * exact;
        assert!((f64::from(sum_rows(&values, n)) - exact).abs() <= bound);
        assert!((f64::from(sum_sequential(&values)) - exact).abs() <= bound);
    }

    #[test]
    fn maxima_keep_nan_and_start_below_everything() {
        let x = Tensor::from_f64(DType::F32, vec![2, 0], vec![]);
        assert_eq!(max(&x, &[1]).to_f64(), [f64::NEG_INFINITY; 2]);
        let x = Tensor::from_f64(DType::F32, vec![2, 2], vec![f64::NAN, 1.0, 1.0, f64::NAN]);
        assert!(max(&x, &[1]).to_f64().iter().all(|m| m.is_nan()));
        assert!(max(&x, &[0]).to_f64().iter().all(|m| m.is_nan()));
        assert_eq!(argmax(&x, 1, DType::I32).to_i64(), [0, 1]);
    }

    #[test]
    fn a_sum_over_outer_axes_is_sequential_and_over_the_last_by_lanes() {
        let values: Vec<f64> = (0..66).map(|k| 1.0 + f64::from(k) * 1e-7).collect();
        let x = Tensor::from_f64(DType::F32, vec![33, 2], values);
        let Data::F32(v) = &x.data else { unreachable!() };
        let column: Vec<f32> = v.iter().step_by(2).copied().collect();
        assert_eq!(sum(&x, &[0]).to_f64()[0], f64::from(column.iter().fold(0.0f32, |s, x| s + x)));
        let mut lanes = [0.0f32; 16];
        v.iter().enumerate().for_each(|(j, x)| lanes[j % 2] += x);
        // Rows of two elements fill two lanes only, and each row is one compensated step.
        assert!((sum(&x, &[0, 1]).to_f64()[0] - f64::from(lanes[0] + lanes[1])).abs() < 1e-4);
    }
}
