//! What the machine can do, measured: multiply-adds, memory traffic, and forking and joining the team.
//!
//! Input: a number of threads. Output: rates, in well under a second. Invariant: they are measured by loops that do nothing
//! else, on the same team of threads that runs steps; each is the best of several trials, since others may be using the machine.

use super::{Cpu, team};
use crate::ir::DType;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What a number of threads can do at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peaks {
    pub threads: usize,
    /// Operations a second of fused multiply-adds, which count two, on one thread and on all.
    pub thread_flops: f64,
    pub flops: f64,
    /// Bytes a second that are read from memory.
    pub read: f64,
    /// Bytes a second that are read from memory and written to it, together.
    pub copy: f64,
    /// Seconds that sharing nothing among all threads takes.
    pub fork_join: f64,
}

/// Words of each of the two blocks of memory: 64 MB, beyond most caches; less where the loops themselves are slow.
const WORDS: usize = if cfg!(debug_assertions) { 1 << 20 } else { 8 << 20 };
/// Trials of each rate.
const TRIALS: usize = 6;
/// Seconds of a trial of multiply-adds.
const TRIAL: f64 = 0.01;

impl Peaks {
    /// Bytes a second at most.
    pub fn bandwidth(&self) -> f64 {
        self.read.max(self.copy)
    }
}

/// Measures the machine. Multiply-adds are those of the widest vectors there are, of the given type.
pub fn measure(threads: usize, dtype: DType) -> Peaks {
    team::prepare(threads);
    let scale = if dtype == DType::F64 { 0.5 } else { 1.0 };
    let work = multiply_adds();
    let (thread_flops, flops) = (arithmetic(1, &*work) * scale, arithmetic(threads, &*work) * scale);
    let (read, copy) = memory(threads);
    Peaks { threads, thread_flops, flops, read, copy, fork_join: fork_join(threads) }
}

/// A function that does so many rounds of multiply-adds of `f32` and tells how many operations they were.
fn multiply_adds() -> Box<dyn Fn(u64) -> u64 + Sync> {
    #[cfg(target_arch = "x86_64")]
    if let Some(Ok(rounds)) = Cpu::native().simd().map(super::wide::peak::Rounds::new) {
        return Box::new(move |count| rounds.run(count));
    }
    let _ = Cpu::Portable;
    Box::new(|count| {
        let mut chains = [[0f32; 4]; 12];
        for _ in 0..count {
            let factor = black_box([1f32; 4]);
            for chain in &mut chains {
                for (lane, factor) in chain.iter_mut().zip(factor) {
                    *lane = lane.mul_add(factor, factor);
                }
            }
        }
        black_box(chains);
        count * 96
    })
}

/// Operations a second on so many threads.
fn arithmetic(threads: usize, work: &(dyn Fn(u64) -> u64 + Sync)) -> f64 {
    let once = |rounds: u64| {
        let total = Mutex::new(0u64);
        let start = Instant::now();
        team::run(threads, threads, &|_| {
            let done = work(rounds);
            if let Ok(mut total) = total.lock() {
                *total += done;
            }
        });
        let spent = start.elapsed().as_secs_f64();
        (spent, total.into_inner().unwrap_or(0) as f64 / spent.max(1e-9))
    };
    let mut rounds = 1000;
    while once(rounds).0 < TRIAL && rounds < 1 << 40 {
        rounds *= 2;
    }
    (0..TRIALS).map(|_| once(rounds).1).fold(0.0, f64::max)
}

/// Bytes a second that so many threads read, and that they copy.
fn memory(threads: usize) -> (f64, f64) {
    let (from, mut to) = (vec![1u64; WORDS], vec![0u64; WORDS]);
    let share = WORDS.div_ceil(threads);
    let from: Vec<&[u64]> = from.chunks(share).collect();
    let to: Vec<Mutex<&mut [u64]>> = to.chunks_mut(share).map(Mutex::new).collect();
    let best = |bytes: usize, f: &(dyn Fn(usize) + Sync)| {
        let trial = |_| {
            let start = Instant::now();
            team::run(threads, from.len(), &f);
            bytes as f64 / start.elapsed().as_secs_f64().max(1e-9)
        };
        (0..TRIALS).map(trial).fold(0.0, f64::max)
    };
    let read = best(WORDS * 8, &|part| {
        let mut sums = [0u64; 16];
        for chunk in from[part].chunks_exact(16) {
            sums.iter_mut().zip(chunk).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
        }
        black_box(sums);
    });
    let copy = best(WORDS * 16, &|part| {
        if let Ok(mut to) = to[part].lock() {
            to.iter_mut().zip(from[part]).for_each(|(to, from)| *to = from.wrapping_add(1));
        }
    });
    (read, copy)
}

/// Seconds between the start and the end of a piece of work in which every thread does no more than wait for the others.
fn fork_join(threads: usize) -> f64 {
    const TIMES: usize = 1000;
    // A thread that does not come is not waited for long.
    const PATIENCE: u32 = 10_000;
    let trial = |_| {
        let here = AtomicUsize::new(0);
        let start = Instant::now();
        team::run(threads, threads, &|_| {
            here.fetch_add(1, Ordering::Relaxed);
            (0..PATIENCE).take_while(|_| here.load(Ordering::Relaxed) < threads).for_each(|_| std::hint::spin_loop());
        });
        start.elapsed().as_secs_f64()
    };
    let mut trials: Vec<f64> = (0..TIMES).map(trial).collect();
    trials.sort_by(f64::total_cmp);
    trials[TIMES / 4]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_can_do_something() {
        let peaks = measure(2, DType::F32);
        // Others may be using the machine.
        assert!(peaks.thread_flops > 1e8 && peaks.flops > 1e8, "{peaks:?}");
        assert!(peaks.read > 1e7 && peaks.copy > 1e7 && peaks.fork_join < 0.1, "{peaks:?}");
    }
}
