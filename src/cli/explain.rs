//! `dlc explain-error CODE`.

use super::failure::Failure;
use super::options::Explain;
use super::print;
use crate::source::codes;

pub fn execute(options: &Explain) -> Result<(), Failure> {
    let wanted = options.code.trim().to_uppercase();
    let found = codes::ALL.iter().find(|e| {
        let code = e.code.to_string();
        code == wanted || code.trim_start_matches('E') == wanted
    });
    match found {
        Some(e) => print(&format!("{}: {}\n\n{}", e.code, e.title, e.text)),
        None => Err(Failure::message(format!(
            "there is no error code `{}`; codes look like {}",
            options.code,
            codes::ALL.first().map_or("E0101".to_owned(), |e| e.code.to_string())
        ))),
    }
}
