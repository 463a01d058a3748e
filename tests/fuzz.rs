//! Fuzzing of everything that reads bytes from outside: the front end and the readers of data files.
//!
//! A case is a damaged seed; whatever it holds, a target returns within a second, without a panic and without memory out of
//! proportion to it. Seeds are the files of `tests/corpus/<target>` and the texts of the tree. `cargo test` runs some
//! thousand cases, the same every time. A campaign runs as long as it is told, from a seed of its own that it prints:
//!
//! ```sh
//! DLC_FUZZ_SECONDS=1200 cargo test --release --test fuzz csv -- --nocapture
//! ```
//!
//! It writes what it finds to `tests/corpus/<target>/findings`, reduced, and inputs with a message not seen before to
//! `tests/corpus/<target>`, so that campaigns add up. Both are cases of every later run. `DLC_FUZZ_SEED` repeats a campaign.

#[path = "fuzz/allocator.rs"]
mod allocator;
#[path = "fuzz/attacks.rs"]
mod attacks;
#[path = "fuzz/bytes.rs"]
mod bytes;
#[path = "fuzz/campaign.rs"]
mod campaign;
#[path = "programs/generator/mod.rs"]
#[allow(dead_code, reason = "the texts of the programs are all that is read here")]
mod generator;
#[path = "fuzz/measure.rs"]
mod measure;
#[path = "fuzz/random.rs"]
mod random;
#[path = "fuzz/targets.rs"]
mod targets;
#[path = "fuzz/words.rs"]
mod words;

use campaign::{Target, fuzz};

#[test]
fn parse() {
    fuzz(&Target::source("parse", targets::parse));
}

#[test]
fn format() {
    fuzz(&Target::source("format", targets::format));
}

#[test]
fn check() {
    fuzz(&Target::source("check", targets::check).cases(300));
}

#[test]
fn csv() {
    fuzz(&Target::data("csv", targets::csv));
}

#[test]
fn csv_options() {
    fuzz(&Target::data("csv_options", targets::csv_options));
}

#[test]
fn npz() {
    fuzz(&Target::data("npz", targets::npz).packed().archived());
}

#[test]
fn idx() {
    fuzz(&Target::data("idx", targets::idx).packed());
}

#[test]
fn npy() {
    fuzz(&Target::data("npy", targets::npy));
}

#[test]
fn safetensors() {
    fuzz(&Target::data("safetensors", targets::safetensors));
}
