//! What a run leaves behind: a folder with its program, settings, figures and checkpoints.

mod config;
mod folder;
mod keeper;
mod log;
mod pace;
mod plan;
mod standing;
mod trials;

pub use config::{Config, Identity, Stamp, checksum_of, first_difference, relative, stamp, stamp_text, utc};
pub use folder::{Folder, Naming};
pub use keeper::{Keeper, Keeping, Sight};
pub use log::{Log, Row, cell};
pub use pace::Pace;
pub use plan::{Plan, layout};
pub use standing::{About, Encoded, Reached, Standing, Stood};
pub use trials::{Outcome, Trial, Trials, best_trial, init, shown};
