//! Runtime support for compiled steps.

pub mod memory;
