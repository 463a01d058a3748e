//! `dlc`: argument parsing only.

use clap::Parser;
use dlc::cli::{Cli, execute, report_bugs};
use dlc::runtime::memory::{ProcessClock, prepare_heap};
use dlc::runtime::stack::on_own_deep_stack;
use std::process::ExitCode;

fn main() -> ExitCode {
    let clock = ProcessClock::start();
    prepare_heap();
    report_bugs();
    // Every stage that recurses then runs here, and waits for no thread of its own.
    on_own_deep_stack(|| execute(Cli::parse(), clock))
}
