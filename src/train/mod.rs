//! Training: what a run counts, when it stops and what it tells.
//!
//! Input: losses and metrics of batches. Output: means over a part, the decision to stop, and events for programs or
//! people. Results go to standard output, everything else to standard error.

mod build;
pub mod divergence;
mod event;
mod metrics;
mod progress;
mod stopping;

pub use event::{Event, Named, Start, StopReason};
pub use metrics::{Means, Metrics};
pub use progress::Reporter;
pub use stopping::{Patience, Verdict};
