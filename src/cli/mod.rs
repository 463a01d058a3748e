//! The command line: one file per subcommand.
//!
//! Results go to stdout, everything else to stderr. Exit status: 0 ok, 1 failed, 2 usage, 101 a bug in dlc, 130 interrupted.

mod bench;
mod bug;
mod check;
mod doc;
mod dump;
mod eval;
mod explain;
mod failure;
mod fmt;
mod generate;
mod grad;
mod graph;
mod keep;
mod load;
mod modules;
mod new;
mod options;
mod predict;
mod profile;
mod run;
mod search;
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

/// That of a command ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

fn carry_out(cli: &Cli, clock: &ProcessClock) -> ExitCode {
    let result = match &cli.command {
        Command::ExplainError(options) => explain::execute(options),
        Command::Run(options) => run::execute(options, clock),
        Command::Check(options) => check::execute(options),
        Command::Bench(options) => bench::execute(options, clock),
        Command::Profile(options) => profile::execute(options),
        Command::Grad(options) => grad::execute(options),
        Command::Dump(options) => dump::execute(options),
        Command::Graph(options) => graph::execute(options),
        Command::Test(options) => test::execute(options),
        Command::Predict(options) => predict::execute(options),
        Command::Eval(options) => eval::execute(options),
        Command::Fmt(options) => fmt::execute(options, cli.color),
        Command::Doc(options) => doc::execute(options),
        Command::New(options) => new::execute(options),
    };
    match result {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(cli.color);
            if matches!(failure, Failure::Interrupted(_)) { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE }
        }
    }
}

/// Writes a result to stdout.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    Ok(out.write_all(text.as_bytes()).and_then(|()| out.flush())?)
}
