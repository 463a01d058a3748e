//! What tests compile for where it is not what they are about: what the environment asks of `dlc` too, by `DLC_CPU` and
//! `DLC_OFF`.

#![allow(dead_code, reason = "no test file uses all of it")]

use dlc::codegen::Cpu;
use std::collections::BTreeSet;

/// The vectors code may use.
pub fn cpu() -> Cpu {
    match std::env::var("DLC_CPU").unwrap_or_default().as_str() {
        "" => Cpu::native(),
        "portable" => Cpu::Portable,
        "avx2" => Cpu::Avx2,
        "avx512" => Cpu::Avx512,
        other => panic!("DLC_CPU is {other}"),
    }
}

/// The optimization passes left out.
pub fn off() -> BTreeSet<String> {
    let list = std::env::var("DLC_OFF").unwrap_or_default();
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
