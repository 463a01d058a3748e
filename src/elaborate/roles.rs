//! Parameters whose axes stand in another order than a definition takes them.
//!
//! A definition says by labels which axis is which, `w: [.., fan_in: I, fan_out: O]`, and so does a parameter. Where both do, the
//! tensor is turned until they agree before the definition sees it.

use super::Elaborator;
use crate::check::typed::{Axis, Label};
use crate::ir::NodeId;

impl Elaborator<'_> {
    /// A parameter as a definition of one tensor takes it, and the order of its axes then, if it is another.
    pub(super) fn turned(&mut self, node: NodeId, declared: &[Axis]) -> (NodeId, Option<Vec<usize>>) {
        let known = self.point.iter().position(|p| *p == node);
        match known.and_then(|k| order(declared, &self.instances.parameters[k].labels)) {
            Some(order) => (self.builder.permute(node, &order), Some(order)),
            None => (node, None),
        }
    }

    /// As [`Elaborator::turned`], for a value of the parameter of this number.
    pub(super) fn turned_as(&mut self, k: usize, node: NodeId, declared: &[Axis]) -> (NodeId, Option<Vec<usize>>) {
        match order(declared, &self.instances.parameters[k].labels) {
            Some(order) => (self.builder.permute(node, &order), Some(order)),
            None => (node, None),
        }
    }

    /// A tensor whose axes stand in this order, with the axes in their own.
    pub(super) fn turned_back(&mut self, node: NodeId, order: Option<&[usize]>) -> NodeId {
        let Some(order) = order else { return node };
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(to, from)| back[*from] = to);
        self.builder.permute(node, &back)
    }
}

/// For each axis that a definition takes the one of a tensor with these labels: by label where both have it, the others in order.
/// `None` if that is the order they stand in, or if the definition takes another number of axes.
fn order(declared: &[Axis], labels: &[Option<Label>]) -> Option<Vec<usize>> {
    let pack = declared.iter().any(|axis| matches!(axis, Axis::Pack(_)));
    let spread = (labels.len() + usize::from(pack)).checked_sub(declared.len()).filter(|n| pack || *n == 0)?;
    let mut slots: Vec<Option<usize>> = Vec::with_capacity(labels.len());
    for axis in declared {
        match axis {
            Axis::Pack(_) => slots.extend(std::iter::repeat_n(None, spread)),
            Axis::Sized { label, .. } => slots.push(labels.iter().position(|l| l.is_some() && l == label)),
        }
    }
    let mut others = (0..labels.len()).filter(|at| !slots.contains(&Some(*at))).collect::<Vec<_>>().into_iter();
    let order = slots.into_iter().map(|slot| slot.or_else(|| others.next())).collect::<Option<Vec<usize>>>()?;
    (!order.is_sorted()).then_some(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::typed::PackVar;
    use crate::ir::Size;

    #[test]
    fn axes_are_matched_by_label_then_in_order() {
        let axis = |label: &str, size: &str| Axis::Sized { label: Some(label.into()), size: Size::symbol(size) };
        let label = |text: &str| Some(Label::from(text));
        let declared = [Axis::Pack(PackVar(0)), axis("fan_in", "I"), axis("fan_out", "O")];
        assert_eq!(order(&declared, &[label("fan_out"), label("fan_in")]), Some(vec![1, 0]));
        assert_eq!(order(&declared, &[label("fan_in"), label("fan_out")]), None);
        assert_eq!(order(&declared, &[label("I"), label("O")]), None);
        assert_eq!(order(&declared, &[label("fan_out"), None, label("P"), label("fan_in")]), Some(vec![1, 2, 3, 0]));
        assert_eq!(order(&declared, &[label("fan_out")]), None);
        assert_eq!(order(&declared[1..], &[label("fan_out"), None, label("fan_in")]), None);
    }
}
