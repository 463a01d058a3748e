//! What is assumed of the machine: how fast it computes and moves bytes, what its caches hold, what sharing work costs.
//!
//! Invariant: these figures decide about tiles and threads, and are what predictions are made of; no bit of a result depends
//! on them. They are those of one machine; others differ, but what is worth sharing on one mostly is on another.
//!
//! Where they come from: unless it says otherwise, a figure is fitted. `dlc profile --threads 1` was run on the workloads of
//! `benches/`, with vectors of 512 bits on a core whose peak is 175 operations a nanosecond, and the figures are those that
//! together leave the error of all kernels' predicted times, as a factor, least.

/// Nanoseconds of calling a step's function, and of what is before and after its loops. Fitted.
pub const CALL_NS: f64 = 20.0;
/// Operations of a product in a nanosecond, in f32; half as many in f64. Fitted: nine tenths of the peak.
pub const PRODUCT_OPERATIONS_A_NS: f64 = 160.0;
/// Vector instructions of a kernel in a nanosecond. Fitted.
pub const INSTRUCTIONS_A_NS: f64 = 2.5;
/// Bytes that are read or written in a nanosecond where a cache holds them, as it does most. Fitted.
pub const BYTES_A_NS: f64 = 60.0;
/// Likewise, of a step that goes through more than the caches hold. Fitted, so it counts what they still hold of it: memory
/// alone, which `dlc profile` measures, gives less.
pub const FAR_BYTES_A_NS: f64 = 25.0;
/// About what the caches hold. Fitted with the rate beyond it.
pub const CACHED_BYTES: u64 = 16 << 20;

// In the time of so many instructions:

/// A division or a square root. Fitted.
pub const DIVISION: u64 = 4;
/// A draw. Fitted: two elements share a block of 20 rounds.
pub const DRAW: u64 = 46;
/// Adding up a chunk of lanes exactly, each addition waiting for the one before. Fitted.
pub const CHUNK: u64 = 12;
/// Combining the lanes of a reduction. Fitted.
pub const TREE: u64 = 20;

/// Elements of 32 bits in the widest vector, of 512 bits.
pub const LANES: u64 = 16;

/// Nanoseconds of forking and joining the team of threads. An estimate from above: `dlc profile` measures a third of it where
/// both threads have nothing else to do.
pub const FORK_NS: u64 = 2000;
/// Bytes a nanosecond that a thread reads of what another has just written. An estimate, which no command measures.
pub const PASSED_A_NS: f64 = 10.0;
