//! Source files, places in them, and diagnostics with their rendering.

mod diagnostic;
mod similar;
mod span;

pub use diagnostic::{Code, Diagnostic, Label};
pub use similar::closest;
pub use span::{FileId, Files, Span};
