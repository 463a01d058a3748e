//! Checkpoints: tensors and what belongs to them in one safetensors file, which is whole or refused.
//!
//! Input: named tensors, and any value that can be written as JSON. Output: a file that safetensors readers of other languages
//! open too. Invariants: equal contents are equal files, byte for byte; a file in which any bit differs or which is cut
//! anywhere is refused; a save that fails or is killed leaves the file of before.

mod seal;

#[cfg(test)]
mod faults;

pub use seal::{Damage, open, seal};

use crate::data::{self, Disk};
use crate::ir::Tensor;
use crate::source::{Diagnostic, codes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Writes a checkpoint beside the old one and puts it in its place.
pub fn save<T: Serialize>(path: &Path, about: &T, tensors: &[(String, Tensor)]) -> Result<(), Diagnostic> {
    save_on(&data::Machine, path, about, tensors)
}

fn save_on<D: Disk, T: Serialize>(
    disk: &D,
    path: &Path,
    about: &T,
    tensors: &[(String, Tensor)],
) -> Result<(), Diagnostic> {
    let unwritable = |reason: String| {
        let message = format!("{} cannot be written: {reason}", path.display());
        Diagnostic::new(codes::UNWRITABLE_FILE, message)
            .help("what was saved there before stays until all of the new is there")
    };
    let about = serde_json::to_string(about).map_err(|e| unwritable(e.to_string()))?;
    let bytes = seal(&about, tensors).map_err(|e| unwritable(e.to_string()))?;
    data::replace_on(disk, path, |out| out.write_all(&bytes)).map_err(|e| match *e.problem {
        data::Problem::Unwritable { reason } => unwritable(reason),
        _ => unwritable(e.message()),
    })
}

/// Reads a checkpoint; fails unless it is exactly what was saved.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<(T, Vec<(String, Tensor)>), Diagnostic> {
    let bytes = data::read(path).map_err(|e| {
        let reason = match &*e.problem {
            data::Problem::Unreadable { reason, .. } => reason.clone(),
            data::Problem::NotAFile => "it is not a regular file".to_owned(),
            _ => e.message(),
        };
        let diagnostic = Diagnostic::new(e.code(), format!("cannot read {}: {reason}", path.display()));
        match e.help() {
            Some(help) if matches!(&*e.problem, data::Problem::Unreadable { similar: Some(_), .. }) => {
                diagnostic.help(help)
            }
            _ => diagnostic,
        }
    })?;
    let damaged = |damage: Damage| {
        Diagnostic::new(codes::DAMAGED_CHECKPOINT, format!("{} is not used: {damage}", path.display()))
    };
    open(&bytes).map_err(damaged)
}
