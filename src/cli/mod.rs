//! The command line: one file per subcommand.
//!
//! Results go to stdout, everything else to stderr. Exit status: 0 ok, 1 failed, 2 usage, 101 a bug in dlc.

mod bench;
mod bug;
mod check;
mod dump;
mod explain;
mod failure;
mod grad;
mod graph;
mod load;
mod modules;
mod options;
mod run;
mod stages;
mod test;

pub use bug::report_bugs;
pub use failure::Failure;
pub use options::{Cli, Command};

use crate::runtime::memory::ProcessClock;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// Carries out a command and gives the process's exit status.
pub fn execute(cli: Cli, clock: ProcessClock) -> ExitCode {
    // A panic has been told by the hook of [`report_bugs`].
    catch_unwind(AssertUnwindSafe(|| carry_out(&cli, &clock))).unwrap_or(ExitCode::from(BUG))
}

/// The exit status of a bug in dlc.
const BUG: u8 = 101;

fn carry_out(cli: &Cli, clock: &ProcessClock) -> ExitCode {
    let result = match &cli.command {
        Command::ExplainError(options) => explain::execute(options),
        Command::Run(options) => run::execute(options, clock),
        Command::Check(options) => check::execute(options),
        Command::Bench(options) => bench::execute(options, clock),
        Command::Grad(options) => grad::execute(options),
        Command::Dump(options) => dump::execute(options),
        Command::Graph(options) => graph::execute(options),
        Command::Test(options) => test::execute(options),
    };
    match result {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(cli.color);
            ExitCode::FAILURE
        }
    }
}

/// Writes a result to stdout.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    Ok(out.write_all(text.as_bytes()).and_then(|()| out.flush())?)
}
