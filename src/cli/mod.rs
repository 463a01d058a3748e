//! The command line: one file per subcommand.
//!
//! Results go to stdout, everything else to stderr. Exit status: 0 ok, 1 failed, 2 usage, 101 a bug in dlc.

mod options;

pub use options::{Cli, Command};
