//! A definition applied to each tensor of a set.

use super::Elaborator;
use super::apply::Place;
use super::frame::{Frame, Value, mix};
use crate::check::typed::{Axis, InputKind, Map, PackVar, ReduceOp, match_axes};
use crate::ir::Size;
use crate::source::{Diagnostic, Span, codes};
use std::collections::BTreeMap;

impl<'p> Elaborator<'p> {
    /// The values for the tensors, each with sizes and packs of its own: a set, or the sum of numbers.
    pub(super) fn mapped(&mut self, frame: &mut Frame<'p>, map: &'p Map, span: Span) -> Result<Value, Diagnostic> {
        let set = self.set(frame, &map.set)?;
        let options = self.options(frame, &map.options)?;
        let definition = self.program.definition(map.def);
        let declared = definition.inputs.first().and_then(|input| match input.kind {
            InputKind::Value(local) => definition.local(local).ty.tensor(),
            InputKind::Size(_) => None,
        });
        let declared = declared.map_or(&[][..], |t| &t.axes);
        let site = frame.site(map.site.0);
        let mut values = Vec::with_capacity(set.len());
        for (k, node) in set.into_iter().enumerate() {
            let (node, order) = self.turned(node, declared);
            let ty = self.builder.ty(node).clone();
            let actual: Vec<Axis> =
                ty.dims.iter().map(|size| Axis::Sized { label: None, size: size.clone() }).collect();
            let (mut sizes, mut packs) = (BTreeMap::new(), BTreeMap::new());
            if match_axes(declared, &actual, &mut sizes, &mut packs).is_none() {
                let message = format!("`{}` cannot be applied to every tensor of this set", definition.name);
                return Err(Diagnostic::new(codes::SHAPE_MISMATCH, message)
                    .at(map.set.span, format!("one of them is {ty}"))
                    .at(definition.span, "the definition takes others")
                    .help("name the parameters that it is for, such as `weights`"));
            }
            let extent = |a: &Axis| if let Axis::Sized { size, .. } = a { size.clone() } else { Size::default() };
            let dims = |axes: &Vec<Axis>| axes.iter().map(extent).collect();
            let packs = (0..definition.packs).map(|p| packs.get(&PackVar(p)).map_or(Vec::new(), dims)).collect();
            let place = Place { path: frame.path.clone(), chain: mix(site, k as u64 + 1) };
            let value = self.apply(definition, sizes, packs, vec![Value::Tensor(node)], &options, None, place, span)?;
            let order = order.filter(|_| !map.total);
            values.push(self.turned_back(value.into_tensor(), order.as_deref()));
        }
        self.at(frame, span);
        Ok(if map.total { Value::Tensor(self.reduce_set(ReduceOp::Sum, &values)) } else { Value::Set(values) })
    }
}
