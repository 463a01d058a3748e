//! The graph: sizes, types, nodes, primitives, its text form, verifier and interpreter.
//!
//! petgraph holds the nodes; the rest of the crate sees [`Graph`], [`NodeId`] and [`Builder`] only.

mod builder;
pub mod formula;
mod graph;
pub mod primitive;
mod size;
mod tensor;
mod ty;

pub use builder::Builder;
pub use graph::{Graph, Node, NodeId, Origin, Output, OutputRole};
pub use primitive::{Op, Primitive, Role};
pub use size::{Bindings, Size, SizeError, Symbol};
pub use tensor::{Data, Tensor};
pub use ty::{DType, Type};
