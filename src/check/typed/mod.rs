//! The typed AST: what a program means, with every name resolved and every shape decided.
//!
//! Each definition is checked once, for all values of its size variables and all expansions of its packs. Sizes are
//! polynomials over the definition's own size variables (a `Symbol` means nothing outside its definition); a pack
//! `..` counts as **one axis position** everywhere in this tree: in types, and in every axis number of
//! [`ExprKind`]. Whoever interprets the tree replaces a pack by the axes it stands for and renumbers.
//!
//! Invariants of a tree returned without diagnostics:
//! - no [`Type::Error`] and no [`ExprKind::Error`] anywhere; the call graph of definitions has no cycle;
//! - the operands of [`ExprKind::Elementwise`] have equal axes: stretching, reordering and conversion are nodes of
//!   their own (the one exception are sets, see there);
//! - statements of a block stand in an order in which every local is defined before it is read;
//! - no subtree stands for a value twice: a value used twice is a local.

mod clause;
mod definition;
mod expression;
mod require;
mod stopping;
mod train;
mod ty;

pub use crate::syntax::ast::Kind;
pub use clause::*;
pub use definition::*;
pub use expression::*;
pub use require::*;
pub use stopping::*;
pub use train::*;
pub use ty::*;

use crate::source::Span;

/// Index into [`Program::definitions`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DefId(pub u32);

/// Index into [`Program::data`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DataId(pub u32);

/// Index into the `locals` of the definition (or of the [`Train`] phase) it stands in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LocalId(pub u32);

/// A pack of axes of the definition it stands in: 0 is the one written `..`, the others belong to inputs without
/// a type. Packs are rigid: no two of them are equal, and no named axis is in them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PackVar(pub u32);

/// A textual application or draw, unique within its definition or `train` block. A random draw is a function of the
/// chain of sites from the program down to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SiteId(pub u32);

#[derive(Clone, Debug)]
pub struct Program {
    /// The prelude's definitions, then the user's; a user's definition hides the prelude's of the same name.
    pub definitions: Vec<Definition>,
    pub constants: Vec<Constant>,
    /// The constants that are computed, in the order of their names: definitions without inputs.
    pub computed: Vec<DefId>,
    pub data: Vec<DataSet>,
    pub train: Option<Training>,
    pub search: Option<Search>,
}

impl Program {
    pub fn definition(&self, id: DefId) -> &Definition {
        &self.definitions[id.0 as usize]
    }

    pub fn data_set(&self, id: DataId) -> &DataSet {
        &self.data[id.0 as usize]
    }

    /// The definition a name means: the user's, else the prelude's.
    pub fn find(&self, name: &str) -> Option<DefId> {
        self.definitions.iter().rposition(|d| d.name == name).map(|k| DefId(k as u32))
    }
}

/// A top-level constant with its value, settings from outside applied. Uses of it are [`ExprKind::Number`]s.
#[derive(Clone, PartialEq, Debug)]
pub struct Constant {
    pub name: String,
    pub value: f64,
    pub integer: bool,
    pub span: Span,
}
