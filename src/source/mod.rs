//! Source files, places in them, and diagnostics with their rendering.

pub mod codes;
mod diagnostic;
mod render;
mod similar;
mod span;

pub use diagnostic::{Code, Diagnostic, Label};
pub use render::{render, to_json};
pub use similar::closest;
pub use span::{FileId, Files, Span};
