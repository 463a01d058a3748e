//! `dlc`: argument parsing only.

use clap::Parser;
use dlc::cli::{Cli, execute};
use dlc::runtime::memory::ProcessClock;
use std::process::ExitCode;

fn main() -> ExitCode {
    let clock = ProcessClock::start();
    execute(Cli::parse(), clock)
}
