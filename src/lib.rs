//! `dlc` compiles a page of deep-learning mathematics into one native training step.
//!
//! The modules stand in pipeline order; each uses only those above it (`tests/layering.rs` holds this).

pub mod source;
pub mod scalar;
pub mod ir;
pub mod syntax;
pub mod check;
pub mod elaborate;
pub mod autodiff;
pub mod optimize;
pub mod schedule;
pub mod codegen;
pub mod runtime;
pub mod data;
pub mod train;
pub mod cli;
