//! A stack that holds whatever a source nests.
//!
//! Input: what recurses over a source or its expansion. Output: its result, from a thread with a stack of [`DEEP_STACK`]; from
//! the present one if its stack is known to be as deep, since starting a thread and waiting for it takes as long as checking
//! a small program, and far longer on a busy machine.

use std::cell::Cell;
use std::io;
use std::thread;

/// Bytes that hold what nests deepest in builds without optimization.
pub const DEEP_STACK: usize = 256 << 20;

thread_local! {
    static DEEP: Cell<bool> = const { Cell::new(false) };
}

/// Runs on a deep stack.
///
/// # Errors
/// If the system gives none.
pub fn on_deep_stack<T: Send>(run: impl FnOnce() -> T + Send) -> io::Result<T> {
    if DEEP.get() {
        return Ok(run());
    }
    let run = || on_present_stack(run);
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(DEEP_STACK).spawn_scoped(scope, run)?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Runs where the stack is deep.
pub fn on_present_stack<T>(run: impl FnOnce() -> T) -> T {
    /// Puts back what was known, also after a panic.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            DEEP.set(self.0);
        }
    }
    let _before = Before(DEEP.replace(true));
    run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_stack_is_made_once() {
        let here = thread::current().id();
        let (outer, inner) =
            on_deep_stack(|| (thread::current().id(), on_deep_stack(|| thread::current().id()))).unwrap();
        assert_ne!(outer, here);
        assert_eq!(inner.unwrap(), outer);
    }

    #[test]
    fn deep_recursion_fits() {
        fn sum(n: u64) -> u64 {
            let room = std::hint::black_box([n; 64]);
            if n == 0 { 0 } else { room[0] + sum(n - 1) }
        }
        assert_eq!(on_deep_stack(|| sum(100_000)).unwrap(), 5_000_050_000);
    }
}
