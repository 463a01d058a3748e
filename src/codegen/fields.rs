//! What a function around wide code or a product hands over in memory: the fields of a [`Span`] and of a [`Shape`].
//!
//! Input: a kernel or a product. Output: where each field is, with what it holds, for whoever writes the function: machine code
//! as it is (`calls`), or Cranelift (`step`). Invariant: every word of the structure is given once.

use super::Options;
use super::crew::Span;
use super::product::{Shape, emitter};
use super::table::TableLayout;
use crate::ir::Size;
use crate::schedule::kernel::{Kernel, Loop};
use crate::schedule::program::{Product, Program};
use crate::schedule::waves::{column_loop, shared_loop};
use std::mem::offset_of;

/// A word of a structure.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    /// Bytes before it.
    pub at: usize,
    pub held: Held<'a>,
}

/// What a word holds.
#[derive(Clone, Copy)]
pub(super) enum Held<'a> {
    Number(u64),
    Size(&'a Size),
    /// What this word of the table holds.
    Word(usize),
}

/// The span of all positions of a kernel's outermost loop, and all columns.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) fn whole_span(kernel: &Kernel) -> Vec<Field<'_>> {
    let extent = |of: Option<&Loop>| of.map_or(Held::Number(1), |l| Held::Size(kernel.extent(l.axis)));
    let fields = [
        (offset_of!(Span, start), Held::Number(0)),
        (offset_of!(Span, end), extent(shared_loop(kernel))),
        (offset_of!(Span, first), Held::Number(0)),
        (offset_of!(Span, last), extent(column_loop(kernel))),
        (offset_of!(Span, soon), Held::Number(0)),
        (offset_of!(Span, soons), Held::Number(0)),
        (offset_of!(Span, stage), Held::Number(0)),
    ];
    fields.map(|(at, held)| Field { at, held }).into()
}

/// The shape of a product over the last of its batch axes.
pub(super) fn shape<'a>(
    program: &Program,
    product: &'a Product,
    layout: &TableLayout,
    options: &Options,
) -> Vec<Field<'a>> {
    use Held::{Number, Size, Word};
    let last = product.batch.last();
    let operands = [product.lhs.buffer, product.rhs.buffer];
    let scattered = operands.into_iter().find_map(|b| Some((layout.rows(b)?, program.scattered_in(product, b)?)));
    let words = [
        (offset_of!(Shape, batch), last.map_or(Number(1), |b| Size(&b.extent))),
        (offset_of!(Shape, m), Size(&product.m)),
        (offset_of!(Shape, n), Size(&product.n)),
        (offset_of!(Shape, k), Size(&product.k)),
        (offset_of!(Shape, accumulate), Number(product.accumulate.into())),
        (offset_of!(Shape, threads), Number(options.threads as u64)),
        (offset_of!(Shape, emitter), Number(emitter(options.cpu) as u64)),
        (offset_of!(Shape, rows), scattered.map_or(Number(0), |(word, _)| Word(word))),
        (offset_of!(Shape, scattered), Number(scattered.map_or(0, |(_, which)| which as u64))),
    ];
    let strides = [
        (offset_of!(Shape, out), last.map(|b| &b.out), &product.out),
        (offset_of!(Shape, lhs), last.map(|b| &b.lhs), &product.lhs),
        (offset_of!(Shape, rhs), last.map(|b| &b.rhs), &product.rhs),
    ];
    let strides = strides.into_iter().flat_map(|(at, batch, operand)| {
        let held = [batch.map_or(Number(0), Size), Size(&operand.row_stride), Size(&operand.column_stride)];
        (0..).map(move |k| at + k * size_of::<isize>()).zip(held)
    });
    words.into_iter().chain(strides).map(|(at, held)| Field { at, held }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::tests::{Fixture, size};
    use crate::ir::{Bindings, DType};
    use crate::schedule::program::{Batch, BufferId, Operand};

    /// Whether the fields are the words of a structure of so many bytes, each once.
    fn are_all(fields: &[Field], bytes: usize) -> bool {
        let mut at: Vec<usize> = fields.iter().map(|field| field.at).collect();
        at.sort_unstable();
        at == (0..bytes).step_by(8).collect::<Vec<_>>()
    }

    #[test]
    fn every_word_is_given_once() {
        let fixture = Fixture::new(DType::F32);
        assert!(are_all(&whole_span(&fixture.kernel), size_of::<Span>()));
        let program = fixture.program(&Bindings::new());
        let operand =
            |buffer| Operand { buffer: BufferId(buffer), offset: size(0), row_stride: size(4), column_stride: size(1) };
        let batch = vec![Batch { extent: size(3), lhs: size(8), rhs: size(16), out: size(8) }];
        for batch in [Vec::new(), batch] {
            let (m, n, k, accumulate) = (size(2), size(4), size(4), false);
            let product = Product { m, n, k, batch, lhs: operand(0), rhs: operand(1), out: operand(2), accumulate };
            let layout = TableLayout::new(&program, Vec::new());
            assert!(are_all(&shape(&program, &product, &layout, &Options::default()), size_of::<Shape>()));
        }
    }
}
