//! What a run leaves behind: a folder with its program, settings, figures and checkpoints.

mod config;
mod folder;
mod keeper;
mod log;
mod pace;
mod plan;

pub use config::{Config, Identity, Stamp, checksum_of, first_difference, relative, stamp, stamp_text, utc};
pub use folder::{Folder, Naming};
pub use keeper::{About, Encoded, Keeper, Keeping, Sight, Standing};
pub use log::{Log, Row, cell};
pub use pace::Pace;
pub use plan::{Plan, layout};
