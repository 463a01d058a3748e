//! Why a command failed, and telling it.

use super::options::Color;
use crate::data::{DataError, Problem, describe};
use crate::source::{Diagnostic, Files, render};
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// What ends a command with another exit status than 0.
#[derive(Debug)]
pub enum Failure {
    /// Errors with places in the program.
    Diagnostics(Box<Files>, Vec<Diagnostic>),
    /// An error without one.
    Message(String),
    /// Told already, on stdout.
    Told,
    /// The reader of stdout has seen enough and closed it.
    Closed,
    /// The user has ended it; says how to go on.
    Interrupted(String),
}

impl Failure {
    pub fn message(text: impl fmt::Display) -> Failure {
        Failure::Message(text.to_string())
    }

    /// What is wrong with a file that was named on the command line.
    pub fn data(error: &DataError) -> Failure {
        let mut diagnostic = Diagnostic::new(error.code(), error.message());
        diagnostic.notes.extend(error.note());
        // Only the paths of a program are relative to it.
        let elsewhere = matches!(*error.problem, Problem::Unreadable { similar: None, .. });
        diagnostic.help = error.help().filter(|_| !elsewhere);
        diagnostic.into()
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
            Failure::Interrupted(text) => format!("{text}\n"),
            Failure::Told | Failure::Closed => return,
        };
        // Nowhere is left to say that stderr is closed.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

impl From<Diagnostic> for Failure {
    /// For a diagnostic without a place.
    fn from(diagnostic: Diagnostic) -> Failure {
        Failure::Diagnostics(Box::default(), vec![diagnostic])
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::message(format!("the output cannot be written: {}", describe(&error))),
        }
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
