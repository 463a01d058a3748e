//! Syntax tree to typed tree: names, kinds, axes and sizes.

pub mod typed;
