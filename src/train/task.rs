//! Work that one of two threads does, whichever comes to it first.
//!
//! Input: a function of what it owns. Output: its result, for the thread that has the [`Task`]. Invariants: the function runs
//! once, and whoever takes the result waits only while it is being made: a helper that a busy machine has not let begin
//! delays nothing; a panic of the function is that of who takes its result.

use crate::source::{DEEP_STACK, on_present_stack};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{mem, thread};

/// Its lock is held while a helper works, so that whoever wants the result waits for it.
pub(super) struct Task<T>(Arc<Mutex<Work<T>>>);

enum Work<T> {
    Open(Box<dyn FnOnce() -> T + Send>),
    Done(thread::Result<T>),
    Taken,
}

impl<T: Send + 'static> Task<T> {
    pub fn new(work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        Task(Arc::new(Mutex::new(Work::Open(Box::new(work)))))
    }

    /// For a helper: does the work, unless it is taken by then.
    pub fn help(&self) -> impl FnOnce() + Send + use<T> {
        let shared = Arc::clone(&self.0);
        move || {
            let mut shared = lock(&shared);
            *shared = match mem::replace(&mut *shared, Work::Taken) {
                Work::Open(work) => Work::Done(catch_unwind(AssertUnwindSafe(work))),
                other => other,
            };
        }
    }

    /// What the work gives; it is done here unless a helper has begun.
    pub fn take(self) -> T {
        // Let go of the lock at once: a helper that comes now finds the work taken.
        let work = mem::replace(&mut *lock(&self.0), Work::Taken);
        match work {
            Work::Open(work) => work(),
            Work::Done(Ok(result)) => result,
            Work::Done(Err(panic)) => resume_unwind(panic),
            Work::Taken => unreachable!("a task is taken once"),
        }
    }
}

fn lock<T>(work: &Mutex<Work<T>>) -> MutexGuard<'_, Work<T>> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a thread of its own, with as deep a stack as the one that parses and expands, begin with the work.
pub(super) fn beside(work: impl FnOnce() + Send + 'static) {
    let builder = thread::Builder::new().name("dlc-beside".into()).stack_size(DEEP_STACK);
    // Without it, whoever takes results does all of the work.
    let _ = builder.spawn(|| on_present_stack(work));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    #[test]
    fn work_is_done_once_by_whoever_comes_first() {
        for _ in 0..100 {
            let times = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&times);
            let task = Task::new(move || counted.fetch_add(1, Ordering::SeqCst) + 41);
            let helper = thread::spawn(task.help());
            assert_eq!(task.take(), 41);
            helper.join().unwrap();
            assert_eq!(times.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn a_helper_that_comes_late_is_not_waited_for_and_does_nothing() {
        let (begun, begins) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let task = Task::new(move || {
            begun.send(()).unwrap();
            ended.recv().unwrap();
            7
        });
        let help = task.help();
        let taker = thread::spawn(|| task.take());
        begins.recv().unwrap();
        // Returns, though the work goes on until it is told to end.
        help();
        end.send(()).unwrap();
        assert_eq!(taker.join().unwrap(), 7);
    }

    #[test]
    fn a_panic_is_that_of_who_takes_the_result() {
        let task: Task<u32> = Task::new(|| std::panic::panic_any("told"));
        task.help()();
        let panicked = catch_unwind(AssertUnwindSafe(|| task.take()));
        assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"told"));
    }

    #[test]
    fn a_helper_may_recurse_as_deep_as_expansion() {
        fn sum(n: u64) -> u64 {
            if n == 0 { 0 } else { std::hint::black_box(n) + sum(n - 1) }
        }
        let task = Task::new(|| sum(100_000));
        let (done, waits) = mpsc::channel();
        let help = task.help();
        beside(move || {
            help();
            done.send(()).unwrap();
        });
        waits.recv().unwrap();
        assert_eq!(task.take(), 5_000_050_000);
    }
}
