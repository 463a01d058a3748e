//! What is told of a panic: it is never the user's fault.

use std::io::{self, Write};
use std::panic::{PanicHookInfo, set_hook};

/// From here on a panic is told as a bug in dlc; the process then ends with status 101. With `RUST_BACKTRACE` set, the
/// backtrace is shown too.
pub fn report_bugs() {
    set_hook(Box::new(|info| {
        let mut text = told(info);
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|v| v != "0") {
            text += &format!("{}\n", std::backtrace::Backtrace::force_capture());
        }
        // Nowhere is left to say that stderr is closed.
        let _ = io::stderr().write_all(text.as_bytes());
    }));
}

fn told(info: &PanicHookInfo) -> String {
    let payload = info.payload();
    let what = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    let what = what.trim_start_matches("this is a bug in dlc: ");
    let place = info.location().map_or(String::new(), |l| format!(" ({}:{})", l.file(), l.line()));
    format!(
        "error: this is a bug in dlc {}: {what}{place}\n\
         help: please report it, with the program and the command that led to it\n",
        env!("CARGO_PKG_VERSION")
    )
}
