//! Random `.dl` programs through every stage.
//!
//! Compiled code is compared with the interpreter to the bit on 1,000 programs; each other property is tested on 300. With
//! `DLC_FULL=1` it is 10,000 of all. A failure shows the smallest program found.

mod determinism;
mod emitters;
#[path = "../support/flush.rs"]
mod flush;
mod generator;
#[path = "../support/guarded.rs"]
mod guarded;
mod meaning;
#[path = "../support/settings.rs"]
mod settings;
mod stages;

/// Programs for each property: as many as `DLC_CASES` says, else 300, or 10,000 with `DLC_FULL=1`.
fn cases() -> u32 {
    const CI: u32 = 300;
    let given = std::env::var("DLC_CASES").ok().and_then(|n| n.parse().ok());
    given.unwrap_or(if std::env::var_os("DLC_FULL").is_some() { 10_000 } else { CI })
}
