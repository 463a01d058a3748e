//! Types, axes and elements.

use super::PackVar;
use crate::ir::{Size, Symbol};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A label of an axis. Labels decide broadcasting and `over` while checking; later stages may ignore them, except in
/// the shapes of parameters, where they are roles (`fan_in`).
pub type Label = Arc<str>;

#[derive(Clone, PartialEq, Debug)]
pub enum Axis {
    /// All axes of a pack, as one position.
    Pack(PackVar),
    Sized {
        label: Option<Label>,
        size: Size,
    },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Element {
    Float,
    Int,
    Bool,
    /// A position on an axis of this size; an integer in the graph.
    Index(Size),
}

#[derive(Clone, PartialEq, Debug)]
pub struct TensorType {
    pub element: Element,
    pub axes: Vec<Axis>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct FunctionType {
    pub inputs: Vec<TensorType>,
    pub result: TensorType,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Type {
    Tensor(TensorType),
    /// A parameter set: one tensor for each parameter of the selection. All sets inside one definition have the same
    /// selection, except in the `train` block.
    Set(Element),
    /// The function an optimizer minimizes.
    Objective,
    Function(Arc<FunctionType>),
    /// A rule that makes a parameter's starting value: the type of an option such as `init = glorot_uniform`.
    Init,
    Tuple(Vec<Type>),
    /// No value: the result of an optimizer.
    Nothing,
    /// Something that was reported already; fits everywhere.
    Error,
}

impl Type {
    pub fn scalar(element: Element) -> Type {
        Type::Tensor(TensorType { element, axes: Vec::new() })
    }

    pub fn tensor(&self) -> Option<&TensorType> {
        match self {
            Type::Tensor(t) => Some(t),
            _ => None,
        }
    }

    /// How many values it is: more than one for a tuple.
    pub fn values(&self) -> usize {
        match self {
            Type::Tuple(parts) => parts.iter().map(Type::values).sum(),
            _ => 1,
        }
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Type::Error)
    }
}

/// Binds size variables and packs so that `declared` becomes `actual`, by position: a lone size variable not yet
/// bound takes the actual size, a pack takes as many axes as are left over; other sizes must be equal after
/// substitution. `None` if they do not fit. `actual` may be axes of any definition or of none.
pub fn match_axes(
    declared: &[Axis],
    actual: &[Axis],
    sizes: &mut BTreeMap<Symbol, Size>,
    packs: &mut BTreeMap<PackVar, Vec<Axis>>,
) -> Option<()> {
    let unbound = |axis: &Axis, packs: &BTreeMap<PackVar, Vec<Axis>>| match axis {
        Axis::Pack(p) => packs.get(p).map_or(0, Vec::len),
        Axis::Sized { .. } => 1,
    };
    let fixed: usize = declared.iter().map(|a| unbound(a, packs)).sum();
    let mut spare = actual.len().checked_sub(fixed)?;
    let mut at = 0;
    for axis in declared {
        match axis {
            Axis::Pack(p) => {
                let taken = match packs.get(p) {
                    Some(axes) => axes.len(),
                    None => std::mem::take(&mut spare),
                };
                let axes = actual.get(at..at + taken)?;
                at += taken;
                match packs.get(p) {
                    Some(known) if !known.iter().zip(axes).all(|(a, b)| same_extent(a, b)) => return None,
                    Some(_) => {}
                    None => {
                        packs.insert(*p, axes.to_vec());
                    }
                }
            }
            Axis::Sized { size, .. } => {
                let Axis::Sized { size: found, .. } = actual.get(at)? else { return None };
                at += 1;
                match size.as_symbol() {
                    Some(s) if !sizes.contains_key(s) => {
                        sizes.insert(s.clone(), found.clone());
                    }
                    _ if size.symbols().iter().all(|s| sizes.contains_key(s))
                        && size.substitute(&|s| sizes.get(s).cloned()) == *found => {}
                    _ => return None,
                }
            }
        }
    }
    (at == actual.len()).then_some(())
}

/// Equal whatever the labels.
pub fn same_extent(a: &Axis, b: &Axis) -> bool {
    match (a, b) {
        (Axis::Pack(p), Axis::Pack(q)) => p == q,
        (Axis::Sized { size: m, .. }, Axis::Sized { size: n, .. }) => m == n,
        _ => false,
    }
}
