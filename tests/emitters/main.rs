//! Every emitter gives what the interpreter gives, at every size, wherever the memory ends, on any number of threads.
//!
//! Every buffer lies flush against a page that cannot be accessed, once with its end and once with its front (see
//! `tests/support/flush.rs`), and the smallest steps are shared among threads. In f32 all bits are the interpreter's, except
//! those of matrix products, which have an error bound, and the same bits on any number of threads; in f64 they are the portable
//! emitter's, near the interpreter's. `DLC_FULL=1` runs the long
//! campaigns. Random `.dl` programs are treated likewise in `tests/programs/emitters.rs`.

mod graphs;
mod outside;
mod primitives;
mod products;

#[path = "../support/flush.rs"]
mod flush;
#[path = "../support/guarded.rs"]
mod guarded;

use dlc::codegen::{self, Cpu};

/// Whether the long campaigns run.
fn full() -> bool {
    std::env::var_os("DLC_FULL").is_some()
}

/// Every width of vectors this CPU has, on one thread and on so many others.
fn on_threads(others: &[usize]) -> Vec<codegen::Options> {
    let threads = |cpu: Cpu| [1].iter().chain(others).map(move |n| flush::options(cpu, *n)).collect::<Vec<_>>();
    flush::cpus().into_iter().flat_map(threads).collect()
}

/// Numbers from a linear congruential generator.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 ^ self.0 >> 29
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 20) % n
    }

    /// A size from 0 to 67, one in four at an edge.
    fn size(&mut self) -> u64 {
        match self.below(4) {
            0 => [0, 1, 1, 2, 16, 17][self.below(6) as usize],
            _ => self.below(68),
        }
    }
}
