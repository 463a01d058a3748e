//! A team of threads that share one piece of work: forked and joined within about a microsecond while work keeps coming.
//!
//! Input: a number of parts and a function of a part. Output: all parts done. Invariants: which thread does a part changes
//! nothing but time, so callers must make parts independent; workers compute under the caller's floating-point mode.
//! A worker that has had no work for [`SPIN`] rounds of waiting parks until there is some.

use std::cell::{RefCell, UnsafeCell};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::{self, Thread};

/// Rounds of waiting before a worker parks: about 100 µs.
const SPIN: u32 = 4000;
/// The most workers beside the caller.
const MOST_WORKERS: usize = 63;
/// Floats of each thread's workspace: a packed panel of a product.
pub(super) const WORKSPACE: usize = 320 * 32;
/// Floats of a cache line.
const LINE: usize = 16;
/// In the state: the work is open to workers. The bits below count those at work; those above, the pieces so far.
const OPEN: u64 = 1 << 16;
const PIECE: u64 = 1 << 17;
const AT_WORK: u64 = OPEN - 1;

#[derive(Clone, Copy)]
struct Work {
    run: unsafe fn(*const (), usize, usize),
    data: *const (),
    parts: usize,
    /// How many workers may join.
    workers: usize,
    mode: u32,
}

struct Shared {
    state: AtomicU64,
    next: [Next; MOST_WORKERS + 1],
    work: UnsafeCell<Option<Work>>,
}

/// The next part of a thread's share, in a cache line of its own.
#[repr(align(64))]
struct Next(AtomicUsize);

// SAFETY: `work` is written only by the holder of the team's lock while the state is closed and no worker is at work, and
// read by workers only while they are counted in the state.
unsafe impl Sync for Shared {}

struct Worker {
    thread: Thread,
    parked: &'static AtomicBool,
}

static SHARED: Shared = Shared {
    state: AtomicU64::new(0),
    next: [const { Next(AtomicUsize::new(0)) }; MOST_WORKERS + 1],
    work: UnsafeCell::new(None),
};

fn team() -> &'static Mutex<Vec<Worker>> {
    static TEAM: OnceLock<Mutex<Vec<Worker>>> = OnceLock::new();
    TEAM.get_or_init(|| Mutex::new(Vec::new()))
}

thread_local! {
    static ROOM: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// This thread's workspace: [`WORKSPACE`] floats from the start of a cache line on, at the same place as long as it lives.
pub(super) fn workspace() -> *mut f32 {
    ROOM.with_borrow_mut(|room| {
        if room.is_empty() {
            *room = vec![0.0; WORKSPACE + LINE];
        }
        let start = room.as_mut_ptr();
        start.wrapping_add(start.align_offset(LINE * size_of::<f32>()).min(LINE))
    })
}

/// How many times work was shared among threads since the process began.
pub fn forks() -> u64 {
    SHARED.state.load(Ordering::Relaxed) / PIECE
}

/// Makes the threads and the workspaces that work on so many threads needs, so that no step has to.
pub(super) fn prepare(threads: usize) {
    workspace();
    if let Ok(mut team) = team().lock() {
        grow(&mut team, threads.saturating_sub(1).min(MOST_WORKERS));
    }
}

fn grow(team: &mut Vec<Worker>, workers: usize) {
    while team.len() < workers {
        let Some(worker) = spawn(team.len()) else { break };
        team.push(worker);
    }
}

#[cfg(target_arch = "x86_64")]
fn mode() -> u32 {
    let mut word = 0u32;
    // SAFETY: stores the control word of this thread into a local variable.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut word, options(nostack)) };
    word
}

#[cfg(target_arch = "x86_64")]
fn set_mode(word: u32) {
    // SAFETY: the word is one that `mode` gave on another thread, so it masks all exceptions as Rust expects.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &word, options(nostack, readonly)) };
}

#[cfg(not(target_arch = "x86_64"))]
fn mode() -> u32 {
    0
}

#[cfg(not(target_arch = "x86_64"))]
fn set_mode(_: u32) {}

/// The parts that a thread takes first: consecutive ones, the same in every run, so that what they touch is still in its
/// caches from the last time.
fn share(parts: usize, threads: usize, thread: usize) -> Range<usize> {
    parts * thread / threads..parts * (thread + 1) / threads
}

/// Takes parts until none is left, as the thread of this number: those of its own share, then what others have not begun.
fn take_parts(work: &Work, thread: usize) {
    let threads = work.workers + 1;
    for whose in (thread..threads).chain(0..thread) {
        let end = share(work.parts, threads, whose).end;
        loop {
            let part = SHARED.next[whose].0.fetch_add(1, Ordering::Relaxed);
            if part >= end {
                break;
            }
            // SAFETY: `run` gave the function with its data, and does not return before every part is done.
            unsafe { (work.run)(work.data, part, thread) }
        }
    }
}

fn worker(number: usize, parked: &'static AtomicBool) {
    workspace();
    let mut seen = 0;
    loop {
        let mut waited = 0;
        let state = loop {
            let state = SHARED.state.load(Ordering::Acquire);
            if state & OPEN != 0 && state / PIECE != seen {
                break state;
            }
            waited += 1;
            if waited < SPIN {
                std::hint::spin_loop();
                continue;
            }
            parked.store(true, Ordering::SeqCst);
            let state = SHARED.state.load(Ordering::SeqCst);
            if state & OPEN == 0 || state / PIECE == seen {
                thread::park();
            }
            parked.store(false, Ordering::SeqCst);
            waited = 0;
        };
        if SHARED.state.compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            continue;
        }
        seen = state / PIECE;
        // SAFETY: counted in the state, so the work stays as it is until this worker leaves.
        let work = unsafe { *SHARED.work.get() };
        if let Some(work) = work.filter(|w| number < w.workers) {
            set_mode(work.mode);
            take_parts(&work, number + 1);
        }
        SHARED.state.fetch_sub(1, Ordering::AcqRel);
    }
}

fn spawn(number: usize) -> Option<Worker> {
    let parked: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    let builder = thread::Builder::new().name("dlc-team".into());
    let handle = builder.spawn(move || worker(number, parked)).ok()?;
    Some(Worker { thread: handle.thread().clone(), parked })
}

/// Runs `f` for every part below `parts` on at most `threads` threads, the caller's included.
pub fn run<F: Fn(usize) + Sync>(threads: usize, parts: usize, f: &F) {
    run_numbered(threads, parts, &|part, _| f(part));
}

/// As [`run`], with the number of the thread that does a part: the caller is number 0.
pub(super) fn run_numbered<F: Fn(usize, usize) + Sync>(threads: usize, parts: usize, f: &F) {
    unsafe fn call<F: Fn(usize, usize)>(data: *const (), part: usize, thread: usize) {
        // SAFETY: the data is the `&F` of the call of `run` that waits for this part.
        unsafe { (*data.cast::<F>())(part, thread) }
    }
    let workers = threads.min(parts).saturating_sub(1).min(MOST_WORKERS);
    // Another caller has the team: this one does its work alone, with the same result.
    let team = if workers == 0 { None } else { team().try_lock().ok() };
    let Some(mut team) = team else {
        (0..parts).for_each(|part| f(part, 0));
        return;
    };
    grow(&mut team, workers);
    let work = Work { run: call::<F>, data: std::ptr::from_ref(f).cast(), parts, workers, mode: mode() };
    // SAFETY: the lock is held and the state is closed with no worker at work, so no one reads.
    unsafe { *SHARED.work.get() = Some(work) };
    for (thread, next) in SHARED.next.iter().enumerate().take(workers + 1) {
        next.0.store(share(parts, workers + 1, thread).start, Ordering::Relaxed);
    }
    let piece = (SHARED.state.load(Ordering::Relaxed) / PIECE + 1) * PIECE;
    SHARED.state.store(piece | OPEN, Ordering::SeqCst);
    for worker in team.iter().take(workers).filter(|w| w.parked.load(Ordering::SeqCst)) {
        worker.thread.unpark();
    }
    take_parts(&work, 0);
    // Closed once no worker is at work: one that comes later finds nothing open.
    while SHARED.state.compare_exchange_weak(piece | OPEN, piece, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        std::hint::spin_loop();
    }
    debug_assert_eq!(SHARED.state.load(Ordering::Relaxed) & AT_WORK, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once_whatever_the_threads() {
        for threads in [1, 2, 3, 8] {
            for parts in [0, 1, 2, 5, 64] {
                for _ in 0..50 {
                    let done: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
                    run(threads, parts, &|part| {
                        done[part].fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(done.iter().all(|d| d.load(Ordering::Relaxed) == 1), "{parts} parts on {threads} threads");
                }
            }
        }
    }

    #[test]
    fn callers_at_the_same_time_do_not_disturb_each_other() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let sum = AtomicUsize::new(0);
                        run(3, 10, &|part| {
                            sum.fetch_add(part, Ordering::Relaxed);
                        });
                        assert_eq!(sum.load(Ordering::Relaxed), 45);
                    }
                });
            }
        });
    }
}
