//! What a run leaves behind: a folder with its program, settings, figures and checkpoints.

mod config;
mod folder;
mod log;
mod pace;

pub use config::{Config, Stamp, checksum_of, first_difference, relative, stamp, stamp_text, utc};
pub use folder::{Folder, Naming};
pub use log::{Log, Row, cell};
pub use pace::Pace;
