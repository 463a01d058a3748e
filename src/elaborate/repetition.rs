//! Repetition, unrolled.

use super::Elaborator;
use super::frame::{Frame, Value, mix};
use crate::check::typed::For;
use crate::ir::Size;
use crate::source::{Diagnostic, Span, codes};

impl<'p> Elaborator<'p> {
    /// The equations for every value of the index, which is a size while they are expanded and tells their draws apart.
    pub(super) fn repetition(
        &mut self,
        frame: &mut Frame<'p>,
        repeat: &'p For,
        span: Span,
    ) -> Result<Value, Diagnostic> {
        let limit = |size: &Size| {
            frame.size(size).as_constant().ok_or_else(|| {
                Diagnostic::new(codes::SIZE_NOT_CONSTANT, "how often this is repeated is not known")
                    .at(span, format!("a limit is {}, which depends on the rows of the batch", frame.size(size)))
                    .help("repetitions are written out when compiling, so their limits are known by then")
            })
        };
        let (from, to) = (limit(&repeat.from)?, limit(&repeat.to)?);
        let mut values = Vec::with_capacity(repeat.carried.len());
        for carried in &repeat.carried {
            values.push(self.expression(frame, &carried.init)?);
        }
        let chain = frame.chain;
        let site = frame.site(repeat.site.0);
        for k in from..=to {
            frame.sizes.insert(repeat.index.clone(), Size::constant(k));
            frame.chain = mix(site, k);
            for (carried, value) in repeat.carried.iter().zip(&values) {
                self.bind(frame, carried.local, value.clone());
                frame.bind(carried.next, value.clone());
            }
            self.block(frame, &repeat.body)?;
            values = repeat.carried.iter().map(|carried| self.local(frame, carried.next)).collect();
        }
        frame.sizes.remove(&repeat.index);
        frame.chain = chain;
        Ok(match values.pop() {
            Some(only) if values.is_empty() => only,
            last => Value::Tuple(values.into_iter().chain(last).collect()),
        })
    }
}
