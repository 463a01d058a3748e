//! The graphs of a program, once it is known that what they keep between steps fits into memory.
//!
//! Input: a checked program. Output: its [`Model`], or the parameter that is too large, before anything is allocated for it.

use crate::check::typed::Program;
use crate::elaborate::{self, Model, Persistent};
use crate::ir::DType;
use crate::runtime::memory::available_bytes;
use crate::source::{Diagnostic, codes};

/// Elaborates a program and holds its parameters and state against the memory there is.
pub fn model(program: &Program, dtype: DType) -> Result<Model, Diagnostic> {
    held(elaborate::elaborate(program, elaborate::Options { dtype })?)
}

/// As [`model`], of what training needs.
pub(super) fn training_model(program: &Program, dtype: DType) -> Result<Model, Diagnostic> {
    held(elaborate::elaborate_training(program, elaborate::Options { dtype })?)
}

fn held(model: Model) -> Result<Model, Diagnostic> {
    fits(&model, available_bytes().unwrap_or(i64::MAX as u64))?;
    Ok(model)
}

fn fits(model: &Model, available: u64) -> Result<(), Diagnostic> {
    let size = |list: &[Persistent]| list.iter().fold(0u128, |sum, p| sum.saturating_add(bytes(p)));
    // What an optimizer keeps goes with its phase.
    let Some(phase) = model.phases.iter().max_by_key(|p| size(&p.optimizer_state)) else { return Ok(()) };
    let all = || model.parameters.iter().chain(&model.layer_state).chain(&phase.optimizer_state);
    let total = [&model.parameters, &model.layer_state, &phase.optimizer_state]
        .into_iter()
        .fold(0u128, |sum, list| sum.saturating_add(size(list)));
    if total <= u128::from(available) {
        return Ok(());
    }
    // The last of the largest is an optimizer's copy of it; the first is what the user wrote.
    let Some(largest) = all().reduce(|a, b| if bytes(b) > bytes(a) { b } else { a }) else { return Ok(()) };
    let message = format!("the parameters and what is kept for them need {} of memory", shown(total));
    let what = format!("`{}` is {} with {}", largest.path, largest.ty, shown(bytes(largest)));
    let mut error = Diagnostic::new(codes::TOO_MUCH_MEMORY, message);
    error = match largest.applied {
        Some(place) => error.at(place, what).at(largest.span, "declared here"),
        None => error.at(largest.span, what),
    };
    Err(error
        .note(format!("{} are available", shown(available.into())))
        .help("make the sizes of this parameter smaller"))
}

fn bytes(tensor: &Persistent) -> u128 {
    let elements = tensor.ty.dims.iter().map(|d| u128::from(d.as_constant().unwrap_or(0)));
    let each = match tensor.ty.dtype {
        DType::F64 | DType::I64 => 8,
        DType::F32 | DType::I32 | DType::Bool => 4,
    };
    elements.fold(each, u128::saturating_mul)
}

/// Bytes as people read them.
pub(super) fn shown(bytes: u128) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = bytes as f64 / 1e3;
    let mut unit = 0;
    while value >= 1e3 && unit + 1 < units.len() {
        value /= 1e3;
        unit += 1;
    }
    if value >= 1e6 { format!("{value:.1e} {}", units[unit]) } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn bytes_have_a_unit_that_fits() {
        let cases =
            [(512, "0.5 kB"), (64_000_000, "64.0 MB"), (23_853_871_104, "23.9 GB"), (256 * 10u128.pow(12), "256.0 TB")];
        for (bytes, text) in cases {
            assert_eq!(shown(bytes), text);
        }
        assert_eq!(shown(u128::MAX), "3.4e20 EB");
    }
}
