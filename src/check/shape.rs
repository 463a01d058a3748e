//! Axes: how types are written, and when one shape fits into another.

use super::typed::{Axis, Element, Label, PackVar, TensorType, Type, same_extent};
use crate::ir::{Size, Symbol};
use std::collections::BTreeMap;

/// How axes fit into others.
#[derive(Clone, PartialEq, Debug)]
pub enum Fit {
    /// In exactly one way: axis `k` goes to axis `map[k]`.
    One(Vec<usize>),
    None,
    /// In two ways or more.
    Many,
}

/// The order-preserving injective maps of `from` into `to` in which an axis whose label `to` has goes to that axis (of
/// equal size), a pack goes to the same pack, and every other axis goes to one of equal size that no label claims.
pub fn fit(from: &[Axis], to: &[Axis]) -> Fit {
    if from.len() > to.len() {
        return Fit::None;
    }
    let label_of = |axis: &Axis| match axis {
        Axis::Sized { label: Some(l), .. } => Some(l.clone()),
        _ => None,
    };
    let to_labels: BTreeMap<Label, usize> =
        to.iter().enumerate().filter_map(|(k, a)| label_of(a).map(|l| (l, k))).collect();
    let forced: Vec<Option<usize>> =
        from.iter().map(|a| label_of(a).and_then(|l| to_labels.get(&l).copied())).collect();
    let mut claimed = vec![false; to.len()];
    for k in forced.iter().flatten() {
        claimed[*k] = true;
    }
    let allowed = |i: usize, j: usize| {
        same_extent(&from[i], &to[j])
            && match forced[i] {
                Some(k) => k == j,
                None => !claimed[j],
            }
    };
    // ways[i][j]: maps of from[i..] into to[j..], counted up to two.
    let mut ways = vec![vec![0u8; to.len() + 1]; from.len() + 1];
    ways[from.len()].fill(1);
    for i in (0..from.len()).rev() {
        for j in (0..to.len()).rev() {
            let here = if allowed(i, j) { ways[i + 1][j + 1] } else { 0 };
            ways[i][j] = (ways[i][j + 1] + here).min(2);
        }
    }
    match ways[0][0] {
        0 => Fit::None,
        1 => {
            let mut map = Vec::with_capacity(from.len());
            let mut j = 0;
            for i in 0..from.len() {
                while !(allowed(i, j) && ways[i + 1][j + 1] == 1) {
                    j += 1;
                }
                map.push(j);
                j += 1;
            }
            Fit::One(map)
        }
        _ => Fit::Many,
    }
}

/// Axes in which no label stands twice: labels that would lose their meaning are dropped.
pub fn distinct_labels(mut axes: Vec<Axis>) -> Vec<Axis> {
    let mut count: BTreeMap<Label, usize> = BTreeMap::new();
    for axis in &axes {
        if let Axis::Sized { label: Some(l), .. } = axis {
            *count.entry(l.clone()).or_default() += 1;
        }
    }
    for axis in &mut axes {
        if let Axis::Sized { label, .. } = axis
            && label.as_ref().is_some_and(|l| count[l] > 1)
        {
            *label = None;
        }
    }
    axes
}

/// Values for the size variables, packs and implied labels of a callee.
#[derive(Clone, Default, Debug)]
pub struct Substitution {
    pub sizes: BTreeMap<Symbol, Size>,
    pub packs: BTreeMap<PackVar, Vec<Axis>>,
    /// The label of the axis that bound a variable; a variable bound otherwise has the label of its value.
    pub labels: BTreeMap<Symbol, Option<Label>>,
}

impl Substitution {
    pub fn size(&self, size: &Size) -> Size {
        size.substitute(&|s| self.sizes.get(s).cloned())
    }

    /// Axes in the caller's terms. A label that is only the name of a size variable becomes the label of what the
    /// variable stands for; a label written out stays.
    pub fn axes(&self, axes: &[Axis]) -> Vec<Axis> {
        let mut out = Vec::new();
        for axis in axes {
            match axis {
                Axis::Pack(p) => match self.packs.get(p) {
                    Some(expansion) => out.extend(expansion.iter().cloned()),
                    None => out.push(axis.clone()),
                },
                Axis::Sized { label, size } => {
                    let value = self.size(size);
                    let implied = match (label, size.as_symbol()) {
                        (Some(l), Some(s)) if **l == *s.0 => Some(s),
                        _ => None,
                    };
                    let label = match implied {
                        Some(s) => self.labels.get(s).cloned().unwrap_or_else(|| implied_label(&value)),
                        None => label.clone(),
                    };
                    out.push(Axis::Sized { label, size: value });
                }
            }
        }
        distinct_labels(out)
    }

    pub fn element(&self, element: &Element) -> Element {
        match element {
            Element::Index(size) => Element::Index(self.size(size)),
            other => other.clone(),
        }
    }

    pub fn tensor(&self, ty: &TensorType) -> TensorType {
        TensorType { element: self.element(&ty.element), axes: self.axes(&ty.axes) }
    }

    pub fn ty(&self, ty: &Type) -> Type {
        match ty {
            Type::Tensor(t) => Type::Tensor(self.tensor(t)),
            Type::Tuple(parts) => Type::Tuple(parts.iter().map(|p| self.ty(p)).collect()),
            other => other.clone(),
        }
    }
}

/// `[H]` abbreviates `[H: H]`.
pub fn implied_label(size: &Size) -> Option<Label> {
    size.as_symbol().map(|s| s.0.clone())
}

/// Types as the source writes them. `packs` names the packs: `..` and, for inputs without a type, `..x`.
pub struct Names<'a>(pub &'a [String]);

impl Names<'_> {
    pub fn axis(&self, axis: &Axis) -> String {
        match axis {
            Axis::Pack(p) => self.0.get(p.0 as usize).cloned().unwrap_or_else(|| "..".into()),
            Axis::Sized { label: Some(label), size } if implied_label(size).as_ref() != Some(label) => {
                format!("{label}: {size}")
            }
            Axis::Sized { size, .. } => size.to_string(),
        }
    }

    pub fn axes(&self, axes: &[Axis]) -> String {
        let parts: Vec<String> = axes.iter().map(|a| self.axis(a)).collect();
        format!("[{}]", parts.join(", "))
    }

    pub fn tensor(&self, ty: &TensorType) -> String {
        let element = match &ty.element {
            Element::Float => String::new(),
            Element::Int => "int".into(),
            Element::Bool => "bool".into(),
            Element::Index(size) => format!("index({size})"),
        };
        format!("{element}{}", self.axes(&ty.axes))
    }

    pub fn ty(&self, ty: &Type) -> String {
        match ty {
            Type::Tensor(t) => self.tensor(t),
            Type::Set(Element::Float) => "params".into(),
            Type::Set(Element::Bool) => "params of truth values".into(),
            Type::Set(_) => "params of integers".into(),
            Type::Objective => "objective".into(),
            Type::Function(f) => {
                let inputs: Vec<String> = f.inputs.iter().map(|t| self.tensor(t)).collect();
                match inputs.as_slice() {
                    [one] => format!("{one} -> {}", self.tensor(&f.result)),
                    many => format!("({}) -> {}", many.join(", "), self.tensor(&f.result)),
                }
            }
            Type::Init => "init".into(),
            Type::Tuple(parts) => {
                let parts: Vec<String> = parts.iter().map(|p| self.ty(p)).collect();
                format!("({})", parts.join(", "))
            }
            Type::Nothing => "nothing".into(),
            Type::Error => "?".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(text: &str) -> Axis {
        let (label, size) = text.split_once(':').map_or((None, text), |(l, s)| (Some(l), s));
        match size {
            ".." => Axis::Pack(PackVar(0)),
            _ => {
                let size = size.parse().map_or_else(|_| Size::symbol(size), Size::constant);
                Axis::Sized { label: label.map(Into::into).or_else(|| implied_label(&size)), size }
            }
        }
    }

    fn fits(from: &[&str], to: &[&str]) -> Fit {
        let axes = |names: &[&str]| names.iter().map(|n| axis(n)).collect::<Vec<_>>();
        fit(&axes(from), &axes(to))
    }

    #[test]
    fn shapes_fit_in_exactly_one_way_or_not() {
        assert_eq!(fits(&["K"], &["..", "K"]), Fit::One(vec![1]));
        assert_eq!(fits(&[".."], &["..", "K"]), Fit::One(vec![0]));
        assert_eq!(fits(&["64"], &["N", "64"]), Fit::One(vec![1]));
        assert_eq!(fits(&["N"], &["M"]), Fit::None);
        assert_eq!(fits(&["64"], &["64", "64"]), Fit::Many);
        assert_eq!(fits(&["64", "64"], &["64", "64"]), Fit::One(vec![0, 1]));
        assert_eq!(fits(&["K", "N"], &["N", "K"]), Fit::None);
        assert_eq!(fits(&["1"], &["N"]), Fit::None);
        assert_eq!(fits(&[], &["N"]), Fit::One(vec![]));
    }

    #[test]
    fn labels_decide_between_equal_sizes() {
        assert_eq!(fits(&["A:H"], &["A:H", "B:H"]), Fit::One(vec![0]));
        assert_eq!(fits(&["B:H"], &["A:H", "B:H"]), Fit::One(vec![1]));
        assert_eq!(fits(&["C:H"], &["A:H", "B:H"]), Fit::Many);
        assert_eq!(fits(&["A:H", "C:H"], &["A:H", "B:H"]), Fit::One(vec![0, 1]));
        assert_eq!(fits(&["A:H"], &["A:K"]), Fit::None);
    }

    #[test]
    fn implied_labels_follow_what_bound_them() {
        let mut s = Substitution::default();
        s.sizes.insert(Symbol::new("I"), Size::symbol("H"));
        s.labels.insert(Symbol::new("I"), Some("A".into()));
        s.sizes.insert(Symbol::new("O"), Size::constant(10));
        let declared = [axis("I"), axis("O"), axis("heads:4")];
        assert_eq!(Names(&[]).axes(&s.axes(&declared)), "[A: H, 10, heads: 4]");
    }
}
