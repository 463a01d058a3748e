//! `dlc`: argument parsing only.

use clap::Parser;
use dlc::cli::{Cli, execute, report_bugs};
use dlc::runtime::memory::{ProcessClock, prepare_heap};
use std::process::ExitCode;

fn main() -> ExitCode {
    let clock = ProcessClock::start();
    prepare_heap();
    report_bugs();
    execute(Cli::parse(), clock)
}
