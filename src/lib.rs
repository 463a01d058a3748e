//! `dlc` compiles a page of deep-learning mathematics into one native training step.
//!
//! ```text
//! .dl text ─parse─▶ AST ─check─▶ typed AST ─elaborate─▶ graph ─optimize─▶ graph ─schedule─▶ program ─compile─▶ step
//! ```
//! The modules stand in pipeline order and each uses only those above it; `tests/layering.rs` holds this.
//!
//! - [`source`]: files, places in them, diagnostics and their rendering, the table of error codes.
//! - [`scalar`]: exp, tanh, random draws and their like as sequences of exactly rounded steps, written once for whatever
//!   executes them: the interpreter, the code generator, tests over every float.
//! - [`ir`]: the graph with its sizes, types, builder, text form, verifier and interpreter. Each primitive has one file
//!   that holds its meaning, shape rule, derivative, identities and lowering.
//! - [`syntax`]: text to tokens to syntax tree, with several errors a run; trees back to text.
//! - [`check`]: names, kinds, axes and sizes; every definition once, for all sizes. Broadcasts are decided here and explicit
//!   afterwards. What a program may mean of the standard library (`lang/std`) is checked with it.
//! - [`elaborate`]: definitions become instances with actual sizes, and the program becomes graphs: starting values, the
//!   training step, evaluation. Derivatives are requests.
//! - [`autodiff`]: requests for derivatives become ordinary graph, innermost first; reverse and forward mode.
//! - [`optimize`]: the table of passes: stable forms for naive formulas, differentiation, identities, contractions.
//! - [`schedule`]: fused loop nests over scalar expressions, library products, and one memory plan.
//! - [`codegen`]: the step as machine code; the only stage that knows Cranelift.
//! - [`runtime`]: the memory a compiled step runs on.
//! - [`data`]: readers, splits and batches.
//! - [`train`]: runs: epochs, evaluation, stopping, what is told of them, and checking gradients.
//! - [`cli`]: one file per subcommand.

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
