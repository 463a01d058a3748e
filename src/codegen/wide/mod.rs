//! The wide emitter: vectors of 512 or 256 bits, for x86-64 CPUs that have them.
//!
//! Input: the same kernel IR and products as the portable emitter's. Output: machine code for those it covers; the others
//! stay with the portable emitter. Invariant: bits equal the portable emitter's wherever the order of operations is the
//! same; products are chains of fused multiply-adds in ascending `k`, in blocks whose size no CPU and no thread changes.

mod access;
mod assemble;
mod code;
mod dots;
mod draws;
pub(super) mod element;
mod encode;
mod encoding;
mod expressions;
pub(super) mod kernel;
mod kept;
mod lanes;
mod micro;
mod narrow;
mod operation;
mod pack;
pub(super) mod peak;
pub(super) mod product;
mod reduce;
mod strips;
mod turn;
mod writer;

use crate::scalar::Width;

/// The width of vectors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Simd {
    Avx2,
    Avx512,
}

impl Simd {
    /// Bytes of a vector.
    pub const fn bytes(self) -> usize {
        match self {
            Simd::Avx2 => 32,
            Simd::Avx512 => 64,
        }
    }

    /// Numbers of a vector.
    pub const fn lanes(self, width: Width) -> usize {
        self.bytes() / width.bytes()
    }

    /// Vector registers there are.
    pub const fn registers(self) -> usize {
        match self {
            Simd::Avx2 => 16,
            Simd::Avx512 => 32,
        }
    }

    pub fn is_available(self) -> bool {
        match self {
            Simd::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Simd::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
            }
        }
    }
}
