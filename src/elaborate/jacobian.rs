//! Jacobians: one request for a derivative for each number of the smaller side, put side by side.

use super::{Elaborator, rows};
use crate::ir::primitive::{Concat, Iota, Slice, Tangent};
use crate::ir::{NodeId, Size};
use crate::source::{Diagnostic, Span, codes};

/// The most derivatives that one Jacobian asks for.
const MOST: u64 = 512;

impl Elaborator<'_> {
    /// All derivatives of `y` by the target `x`: their axes, those of `y` first; with `rows`, the places of one axis in each, that
    /// axis first and only once.
    pub(super) fn jacobian(
        &mut self,
        y: NodeId,
        x: NodeId,
        rows: Option<(usize, usize)>,
        span: Span,
    ) -> Result<NodeId, Diagnostic> {
        if let Some((of_y, of_x)) = rows {
            rows::keeps_apart(self.builder.graph(), x, of_x, y, of_y).map_err(|mixes| {
                let error = Diagnostic::new(codes::MIXES_ROWS, "the function mixes the rows")
                    .at(span, "a derivative for each row on its own is asked for here")
                    .help("leave out `per` for all derivatives of every row by every row");
                match self.builder.graph().node(mixes).origin.span {
                    Some(place) if place != span => error.at(place, "a value of one row depends on other rows here"),
                    _ => error,
                }
            })?;
        }
        let y_order = first(self.builder.ty(y).rank(), rows.map(|r| r.0));
        let x_order = first(self.builder.ty(x).rank(), rows.map(|r| r.1));
        let (y_dims, x_dims) = (permuted(&self.builder.dims(y), &y_order), permuted(&self.builder.dims(x), &x_order));
        let lead = usize::from(rows.is_some());
        let (head, y_rest, x_rest) = (&y_dims[..lead], &y_dims[lead..], &x_dims[lead..]);
        let count = |dims: &[Size]| dims.iter().fold(Size::constant(1), |n, d| &n * d);
        let (results, targets) = (count(y_rest), count(x_rest));
        let least = match (results.as_constant(), targets.as_constant()) {
            (Some(a), Some(b)) => a.min(b),
            (Some(a), None) | (None, Some(a)) => a,
            (None, None) => {
                return Err(Diagnostic::new(
                    codes::SIZE_NOT_CONSTANT,
                    "this Jacobian has no size known when compiling",
                )
                .at(span, format!("{results} values by {targets} variables"))
                .help("for a function that keeps the rows apart, ask for each row: `jacobian(f)(x per N)`"));
            }
        };
        if least > MOST {
            let message = format!("this Jacobian is {results} by {targets}");
            return Err(Diagnostic::new(codes::EXPANSION_TOO_LARGE, message)
                .at(span, format!("the smaller side may have {MOST} elements"))
                .help("products with it are cheap: `jvp(f)(x, v)` and `vjp(f)(x, u)`"));
        }
        let shape = |parts: &[&[Size]]| -> Vec<Size> { parts.concat() };
        let one = [Size::constant(1)];
        let mut pieces = Vec::with_capacity(least as usize);
        let backward = results.as_constant() == Some(least);
        if backward {
            let values = self.builder.permute(y, &y_order);
            let values = self.builder.reshape(values, &shape(&[head, std::slice::from_ref(&results)]));
            for k in 0..least {
                let slice = Slice { axis: lead, start: Size::constant(k), len: Size::constant(1) };
                let value = self.builder.push(slice, &[values]);
                let all: Vec<usize> = (0..=lead).collect();
                let total = self.builder.sum(value, &all);
                let gradient = self.gradients(total, &[x])[0];
                let gradient = self.builder.permute(gradient, &x_order);
                pieces.push(self.builder.reshape(gradient, &shape(&[head, &one, x_rest])));
            }
        } else {
            let int = self.dtype.int();
            let flat = vec![targets.clone()];
            let positions = self.builder.push(Iota { axis: 0, dims: flat.clone(), dtype: int }, &[]);
            let back = inverse(&x_order);
            for k in 0..least {
                let at = self.builder.constant(int, k as f64);
                let at = self.builder.fill(at, &flat);
                let hit = self.builder.equal(positions, at);
                let direction = self.builder.convert(hit, self.dtype);
                let direction = self.builder.reshape(direction, x_rest);
                let kept: Vec<usize> = (lead..x_dims.len()).collect();
                let direction = self.builder.broadcast(direction, &kept, &x_dims);
                let direction = self.builder.permute(direction, &back);
                let tangent = self.builder.push(Tangent, &[y, x, direction]);
                let tangent = self.builder.permute(tangent, &y_order);
                pieces.push(self.builder.reshape(tangent, &shape(&[head, y_rest, &one])));
            }
        }
        let axis = if backward { lead } else { y_dims.len() };
        let all = self.builder.push(Concat { axis }, &pieces);
        Ok(self.builder.reshape(all, &shape(&[head, y_rest, x_rest])))
    }
}

/// The order of axes that brings one to the front.
fn first(rank: usize, axis: Option<usize>) -> Vec<usize> {
    axis.into_iter().chain((0..rank).filter(|k| Some(*k) != axis)).collect()
}

fn permuted(dims: &[Size], order: &[usize]) -> Vec<Size> {
    order.iter().map(|k| dims[*k].clone()).collect()
}

fn inverse(order: &[usize]) -> Vec<usize> {
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(k, o)| back[*o] = k);
    back
}
