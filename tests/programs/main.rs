//! Random `.dl` programs through every stage.
//!
//! Every property holds of CASES programs, or of 10,000 with `DLC_FULL=1`.

mod determinism;
mod generator;
mod meaning;
mod stages;

fn cases() -> u32 {
    let given = std::env::var("DLC_CASES").ok().and_then(|n| n.parse().ok());
    given.unwrap_or(if std::env::var_os("DLC_FULL").is_some() { 10_000 } else { 1_000 })
}
