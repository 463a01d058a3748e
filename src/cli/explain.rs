//! `dlc explain-error CODE`.

use super::failure::Failure;
use super::options::Explain;
use super::print;
use crate::source::codes;

pub fn execute(options: &Explain) -> Result<(), Failure> {
    match codes::explain(&options.code) {
        Some(e) => print(&format!("{}: {}\n\n{}", e.code, e.title, e.text)),
        None => Err(Failure::message(format!(
            "there is no error code `{}`; codes look like {}",
            options.code,
            codes::ALL.first().map_or("E0101".to_owned(), |e| e.code.to_string())
        ))),
    }
}
