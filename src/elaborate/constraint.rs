//! Constraints: what `keep` makes of the parameters after an update.

use super::Elaborator;
use super::frame::{Frame, Value, mix, site_of_path};
use crate::check::typed::{Axis, AxisRole, Condition, Definition, InputKind, Keep, Label, RuleCall, Type, match_axes};
use crate::ir::{NodeId, Size};
use crate::source::{Diagnostic, Span, codes};
use std::collections::{BTreeMap, BTreeSet};

impl<'p> Elaborator<'p> {
    /// Projects the values that parameters get by this step, one constraint after the other, in place.
    pub(super) fn keep(&mut self, next: &mut BTreeMap<usize, NodeId>) -> Result<(), Diagnostic> {
        let train = self.train;
        for keep in &train.keeps {
            let members = self.kept(keep, next)?;
            let mut frame = self.train_frame()?;
            match &keep.condition {
                Condition::Call(call) => self.project_by_definition(&mut frame, keep, call, &members, next)?,
                Condition::Norm { over, equal, bound } => {
                    let bound = self.tensor(&mut frame, bound)?;
                    self.at(&frame, keep.span);
                    let mut fits = false;
                    for k in &members {
                        let labels = &self.instances.parameters[*k].labels;
                        let Some(axes) = axes_of(over, labels) else { continue };
                        fits = true;
                        next.insert(*k, self.onto_norm(next[k], &axes, bound, *equal));
                    }
                    if !fits {
                        return Err(self.fits_nothing(keep, &members));
                    }
                }
                Condition::AtLeast(bound) | Condition::AtMost(bound) => {
                    let bound = self.tensor(&mut frame, bound)?;
                    self.at(&frame, keep.span);
                    for k in &members {
                        let dims = self.builder.dims(next[k]);
                        let bound = self.builder.fill(bound, &dims);
                        let kept = match keep.condition {
                            Condition::AtLeast(_) => self.builder.maximum(next[k], bound),
                            _ => self.builder.minimum(next[k], bound),
                        };
                        next.insert(*k, kept);
                    }
                }
            }
        }
        Ok(())
    }

    /// The trained parameters that a constraint is about.
    fn kept(&self, keep: &Keep, next: &BTreeMap<usize, NodeId>) -> Result<Vec<usize>, Diagnostic> {
        let Some(of) = &keep.of else { return Ok(next.keys().copied().collect()) };
        let trained: Vec<usize> = next.keys().copied().collect();
        let mut named = self.instances.select(&of.items, Some(&trained));
        named.retain(|k| next.contains_key(k));
        if named.is_empty() {
            return Err(Diagnostic::new(codes::FITS_NOTHING, "this constraint holds of no parameter")
                .at(of.span, "none of these is trained")
                .note("a constraint acts after an update, so what is not trained stays as it is"));
        }
        Ok(named)
    }

    /// w · min(1, bound / ‖w‖), or w · bound / ‖w‖, the norm over these axes; zeros stay.
    fn onto_norm(&mut self, w: NodeId, axes: &[usize], bound: NodeId, equal: bool) -> NodeId {
        let b = &mut self.builder;
        let dims = b.dims(w);
        let square = b.mul(w, w);
        let sum = b.sum(square, axes);
        let norm = b.sqrt(sum);
        let inner = b.dims(norm);
        let bound = b.fill(bound, &inner);
        let one = b.full_like(norm, 1.0);
        let zero = b.full_like(norm, 0.0);
        let positive = b.less(zero, norm);
        let divisor = b.select(positive, norm, one);
        let ratio = b.div(bound, divisor);
        let factor = if equal { b.select(positive, ratio, one) } else { b.minimum(one, ratio) };
        let factor = if equal { factor } else { b.select(positive, factor, one) };
        let factor = b.broadcast_over(factor, axes, &dims);
        b.mul(w, factor)
    }

    fn project_by_definition(
        &mut self,
        frame: &mut Frame<'p>,
        keep: &'p Keep,
        call: &'p RuleCall,
        members: &[usize],
        next: &mut BTreeMap<usize, NodeId>,
    ) -> Result<(), Diagnostic> {
        let definition = self.program.definition(call.def);
        let options = self.options(frame, &call.options)?;
        let Some(InputKind::Value(input)) = definition.inputs.first().map(|i| &i.kind) else { return Ok(()) };
        let declared = match &definition.local(*input).ty {
            Type::Tensor(t) => t.axes.clone(),
            _ => {
                let set: Vec<NodeId> = members.iter().map(|k| next[k]).collect();
                let mut inner = constraint_frame(definition, BTreeMap::new(), Vec::new(), "");
                inner.packs = vec![Vec::new(); definition.packs as usize];
                let projected =
                    self.project(&mut inner, definition, *input, Value::Set(set), &options, call.span)?.into_set();
                next.extend(members.iter().copied().zip(projected));
                return Ok(());
            }
        };
        let mut fits = false;
        for k in members {
            let (value, order) = self.turned_as(*k, next[k], &declared);
            let actual: Vec<Axis> =
                self.builder.dims(value).into_iter().map(|size| Axis::Sized { label: None, size }).collect();
            let (mut sizes, mut packs) = (BTreeMap::new(), BTreeMap::new());
            if match_axes(&declared, &actual, &mut sizes, &mut packs).is_none() {
                continue;
            }
            fits = true;
            let dims = |p: u32| -> Vec<Size> {
                let axes = packs.get(&crate::check::typed::PackVar(p)).map_or(&[][..], Vec::as_slice);
                let size = |a: &Axis| if let Axis::Sized { size, .. } = a { size.clone() } else { Size::default() };
                axes.iter().map(size).collect()
            };
            let packs = (0..definition.packs).map(dims).collect();
            let path = self.instances.parameters[*k].path.clone();
            let mut inner = constraint_frame(definition, sizes, packs, &path);
            let place = call.span;
            let projected = self.project(&mut inner, definition, *input, Value::Tensor(value), &options, place)?;
            let projected = self.turned_back(projected.into_tensor(), order.as_deref());
            next.insert(*k, projected);
        }
        if !fits {
            return Err(self.fits_nothing(keep, members));
        }
        Ok(())
    }

    fn project(
        &mut self,
        frame: &mut Frame<'p>,
        definition: &'p Definition,
        input: crate::check::typed::LocalId,
        value: Value,
        options: &[Option<Value>],
        place: Span,
    ) -> Result<Value, Diagnostic> {
        self.bind(frame, input, value);
        self.bind_options(frame, definition, options, place)?;
        let value = self.block(frame, &definition.body)?;
        Ok(value.expect("a constraint has a result"))
    }

    fn fits_nothing(&self, keep: &Keep, members: &[usize]) -> Diagnostic {
        let shown = members.iter().take(8).map(|k| {
            let p = &self.instances.parameters[*k];
            format!("`{}` is {}", p.path, p.ty)
        });
        Diagnostic::new(codes::FITS_NOTHING, "this constraint fits no parameter")
            .at(keep.span, "none of the parameters it is about has such axes")
            .note(shown.collect::<Vec<_>>().join(", "))
    }
}

fn constraint_frame<'p>(
    definition: &'p Definition,
    sizes: BTreeMap<crate::ir::Symbol, Size>,
    packs: Vec<Vec<Size>>,
    path: &str,
) -> Frame<'p> {
    Frame::new(definition, sizes, packs, path.into(), mix(site_of_path(path), 2))
}

/// The axes that roles name, ascending; `None` if the tensor lacks one. All without roles.
fn axes_of(roles: &[AxisRole], labels: &[Option<Label>]) -> Option<Vec<usize>> {
    let rank = labels.len();
    if roles.is_empty() {
        return Some((0..rank).collect());
    }
    let mut found = BTreeSet::new();
    for role in roles {
        match role {
            AxisRole::Others => found.extend(0..rank.saturating_sub(2)),
            AxisRole::Label(label) => {
                let written = labels.iter().position(|l| l.as_ref() == Some(label));
                let implied = match &**label {
                    "fan_out" => rank.checked_sub(1),
                    "fan_in" => rank.checked_sub(2),
                    _ => None,
                };
                found.insert(written.or(implied)?);
            }
        }
    }
    Some(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_labels_or_places() {
        let label = |text: &str| AxisRole::Label(text.into());
        let plain = [Some("I".into()), Some("O".into())];
        assert_eq!(axes_of(&[label("fan_in")], &plain), Some(vec![0]));
        assert_eq!(axes_of(&[label("fan_out")], &plain), Some(vec![1]));
        let written: [Option<Label>; 2] = [Some("fan_out".into()), Some("fan_in".into())];
        assert_eq!(axes_of(&[label("fan_in")], &written), Some(vec![1]));
        let kernel = [None, None, None, None];
        assert_eq!(axes_of(&[AxisRole::Others, label("fan_in")], &kernel), Some(vec![0, 1, 2]));
        assert_eq!(axes_of(&[label("fan_in")], &[None]), None);
        assert_eq!(axes_of(&[label("K")], &kernel), None);
        assert_eq!(axes_of(&[], &kernel), Some(vec![0, 1, 2, 3]));
    }
}
