//! `dlc`: argument parsing only.

use clap::Parser;
use dlc::cli::{Cli, execute, report_bugs};
use dlc::runtime::memory::ProcessClock;
use std::process::ExitCode;

fn main() -> ExitCode {
    let clock = ProcessClock::start();
    report_bugs();
    execute(Cli::parse(), clock)
}
