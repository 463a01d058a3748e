//! The graph: sizes, types, nodes, primitives, its text form, verifier and interpreter.
//!
//! petgraph holds the nodes; the rest of the crate sees [`Graph`], [`NodeId`] and [`Builder`] only.

mod attributes;
mod builder;
pub mod draw;
pub mod formula;
mod graph;
mod interpret;
pub mod primitive;
pub mod random_graph;
pub mod reduction;
pub mod sample;
mod scalar_op;
mod size;
mod tensor;
pub mod text;
mod ty;
mod verify;

pub use attributes::Attributes;
pub use builder::Builder;
pub use graph::{Graph, Node, NodeId, Origin, Output, OutputRole};
pub use interpret::{EvalError, interpret, interpret_all};
pub use primitive::{Applied, Lowering, Op, Primitive, Reduction, Role};
pub use scalar_op::ScalarOp;
pub use size::{Atom, Bindings, Size, SizeError, Symbol};
pub use tensor::{Data, Tensor, offset, positions};
pub use ty::{DType, Type};
pub use verify::{Stage, verify};
