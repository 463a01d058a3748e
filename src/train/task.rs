//! Work that one of two threads does, whichever comes to it first.
//!
//! Input: functions of what both threads own. Output: their results. Invariant: each runs once, and whoever asks for a result
//! waits only while it is being made: a helper that a busy machine has not let begin delays nothing.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

pub(super) struct Task<T> {
    work: Box<dyn Fn() -> T + Send + Sync>,
    done: Mutex<Done<T>>,
}

enum Done<T> {
    No,
    Yes(thread::Result<T>),
    /// And taken.
    Taken,
}

impl<T: Send + 'static> Task<T> {
    pub fn new(work: impl Fn() -> T + Send + Sync + 'static) -> Arc<Task<T>> {
        Arc::new(Task { work: Box::new(work), done: Mutex::new(Done::No) })
    }

    /// Does the work, unless it is done.
    pub fn run(&self) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*done, Done::No) {
            *done = Done::Yes(catch_unwind(AssertUnwindSafe(&self.work)));
        }
    }

    /// What the work gives, the first time it is asked for.
    pub fn take(&self) -> T {
        self.run();
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *done, Done::Taken) {
            Done::Yes(Ok(result)) => result,
            Done::Yes(Err(panic)) => resume_unwind(panic),
            Done::No | Done::Taken => (self.work)(),
        }
    }
}

/// Lets a thread of its own begin with the work.
pub(super) fn beside(work: impl FnOnce() + Send + 'static) {
    // Without it, whoever asks for results does all of the work.
    let _ = thread::Builder::new().name("dlc-beside".into()).spawn(work);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn work_is_done_once_by_whoever_comes_first() {
        for _ in 0..100 {
            let times = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&times);
            let task = Task::new(move || counted.fetch_add(1, Ordering::SeqCst) + 41);
            let other = Arc::clone(&task);
            let thread = thread::spawn(move || other.run());
            assert_eq!(task.take(), 41);
            thread.join().unwrap();
            assert_eq!(times.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn a_panic_is_that_of_who_asks() {
        let task: Arc<Task<u32>> = Task::new(|| std::panic::panic_any("told"));
        task.run();
        let panicked = catch_unwind(AssertUnwindSafe(|| task.take()));
        assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"told"));
    }
}
