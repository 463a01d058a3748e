//! Index maps: how views rearrange positions, as affine forms per axis.

use super::kernel::Index;
use crate::ir::Size;

/// A product of sizes; most are constants.
pub(super) fn times(a: &Size, b: &Size) -> Size {
    match (a.as_constant(), b.as_constant()) {
        (Some(1), _) => b.clone(),
        (_, Some(1)) => a.clone(),
        (Some(x), Some(y)) => x.checked_mul(y).map_or_else(|| a * b, Size::constant),
        _ => a * b,
    }
}

/// Row-major strides.
pub(super) fn strides(dims: &[Size]) -> Vec<Size> {
    let mut stride = Size::constant(1);
    let mut out = vec![Size::default(); dims.len()];
    for (k, d) in dims.iter().enumerate().rev() {
        out[k] = stride.clone();
        if k > 0 {
            stride = times(&stride, d);
        }
    }
    out
}

/// The row-major position of an element.
pub(super) fn linear<'a>(map: impl IntoIterator<Item = &'a Index>, dims: &[Size]) -> Index {
    let mut out = Index::default();
    for (index, stride) in map.into_iter().zip(strides(dims)) {
        if *index != Index::default() {
            out = out.add(&index.scale(&stride));
        }
    }
    out
}

fn is_one(size: &Size) -> bool {
    size.as_constant() == Some(1)
}

/// Axes of `from` and of `to` that hold the same elements, block by block, axes of size 1 left out; `None` if a size is zero.
pub(super) fn reshape_blocks(from: &[Size], to: &[Size]) -> Option<Vec<(Vec<usize>, Vec<usize>)>> {
    if from.iter().chain(to).any(|d| d.as_constant() == Some(0)) {
        return None;
    }
    let axes = |dims: &[Size]| (0..dims.len()).filter(|k| !is_one(&dims[*k])).collect::<Vec<_>>();
    let (f, t) = (axes(from), axes(to));
    let products = |dims: &[Size], axes: &[usize]| {
        let mut product = Size::constant(1);
        axes.iter().map(|k| (product = times(&product, &dims[*k]), product.clone()).1).collect::<Vec<_>>()
    };
    let (p, q) = (products(from, &f), products(to, &t));
    let (mut blocks, mut i0, mut j0) = (Vec::new(), 0, 0);
    for i in 0..f.len() {
        if let Some(j) = (j0..t.len()).find(|j| q[*j] == p[i]) {
            blocks.push((f[i0..=i].to_vec(), t[j0..=j].to_vec()));
            (i0, j0) = (i + 1, j + 1);
        }
    }
    (i0 == f.len() && j0 == t.len()).then_some(blocks)
}

/// Whether a reshape is an affine map from positions of `to` to positions of `from`: no axis of `to` is cut.
pub(super) fn reshape_is_affine(from: &[Size], to: &[Size]) -> bool {
    reshape_blocks(from, to).is_some_and(|blocks| blocks.iter().all(|(f, _)| f.len() == 1))
}

/// Where the element of an affine reshape lies in the operand.
pub(super) fn reshaped(map: &[Index], from: &[Size], to: &[Size]) -> Vec<Index> {
    let mut out = vec![Index::default(); from.len()];
    for (f, t) in reshape_blocks(from, to).unwrap_or_default() {
        let dims: Vec<Size> = t.iter().map(|k| to[*k].clone()).collect();
        out[f[0]] = linear(t.iter().map(|k| &map[*k]), &dims);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dims(text: &[&str]) -> Vec<Size> {
        text.iter().map(|t| t.parse::<u64>().map_or_else(|_| Size::symbol(t), Size::constant)).collect()
    }

    #[test]
    fn only_a_reshape_that_cuts_an_axis_is_not_affine() {
        assert!(reshape_is_affine(&dims(&["N", "6"]), &dims(&["N", "2", "3"])));
        assert!(reshape_is_affine(&dims(&["N"]), &dims(&["N", "1"])));
        assert!(reshape_is_affine(&dims(&["N", "1", "4"]), &dims(&["N", "4"])));
        assert!(!reshape_is_affine(&dims(&["2", "3"]), &dims(&["6"])));
        assert!(!reshape_is_affine(&dims(&["2", "6"]), &dims(&["3", "4"])));
        assert!(!reshape_is_affine(&dims(&["0", "3"]), &dims(&["3", "0"])));
    }
}
