//! Training: what a run counts, when it stops and what it tells.
//!
//! Input: losses and metrics of batches. Output: means over a part, the decision to stop, and events for programs or
//! people. Results go to standard output, everything else to standard error.

mod build;
pub mod checkpoint;
pub mod constants;
mod dataset;
pub mod divergence;
mod division;
mod event;
mod gather;
pub mod gradient_check;
mod gradients;
mod later;
mod metrics;
mod model;
mod predict;
mod profile;
mod progress;
pub mod record;
mod repetition;
mod run;
mod search;
mod session;
mod starts;
mod state;
mod stopping;
mod task;
mod trace;
mod watching;

pub use build::{BuildError, Engine, Settings, Sizes, schedule_of};
pub use dataset::{Dataset, Feed, divide, standardize, training_batch};
pub use division::Part;
pub use event::{Event, Named, PhaseEnd, RunKind, Start, StopReason};
pub use gradients::check_gradients;
pub use metrics::{Means, Measured, Metrics};
pub use model::model;
pub use predict::{Trained, measure, predict};
pub use profile::{Profile, Spent, profile};
pub use progress::{Reporter, table};
pub use run::{Ended, Request, RunError, run};
pub use search::{Setting, settings};
pub use session::{Session, Source};
pub use state::{Length, Progress, Snapshot, Stage, copy, restore};
pub use stopping::{Patience, Plateau, Verdict};
pub use trace::Diverged;
