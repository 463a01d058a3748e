//! Why a command failed, and telling it.

use super::options::Color;
use crate::source::{Diagnostic, Files, render};
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// What ends a command with exit status 1.
#[derive(Debug)]
pub enum Failure {
    /// Errors with places in the program.
    Diagnostics(Box<Files>, Vec<Diagnostic>),
    /// An error without one.
    Message(String),
    /// Told already, on stdout.
    Told,
}

impl Failure {
    pub fn message(text: impl fmt::Display) -> Failure {
        Failure::Message(text.to_string())
    }

    /// Writes the failure to stderr.
    pub fn tell(&self, color: Color) {
        let text = match self {
            Failure::Diagnostics(files, diagnostics) => {
                let count = match diagnostics.len() {
                    1 => "1 error".to_owned(),
                    n => format!("{n} errors"),
                };
                format!("{}{count}\n", render(files, diagnostics, coloured(color)))
            }
            Failure::Message(text) => format!("error: {text}\n"),
            Failure::Told => return,
        };
        // Nowhere is left to say that stderr is closed.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::message(error)
    }
}

/// Whether stderr is to be coloured.
fn coloured(color: Color) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
    }
}
