//! Source files, places in them, and diagnostics with their rendering.

pub mod codes;
mod diagnostic;
mod render;
mod similar;
mod span;
mod stack;

pub use diagnostic::{Code, Diagnostic, Label};
pub use render::{render, to_json};
pub use similar::closest;
pub use span::{FileId, Files, Span};
pub use stack::{DEEP_STACK, on_deep_stack, on_present_stack};
