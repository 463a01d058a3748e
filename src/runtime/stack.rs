//! A deep stack for the thread that asks, without a thread of its own: where others keep all processors busy, waiting for a
//! thread to be started takes longer than all that is done on it.
//!
//! Input: a function. Output: its result, computed on a stack of [`DEEP_STACK`](crate::source::DEEP_STACK) bytes where that
//! can be had. Invariant: no panic leaves the stack on which it began; it goes on from where the function was called.

/// Runs on a deep stack, or where there is none on the present one.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub fn on_own_deep_stack<T>(run: impl FnOnce() -> T) -> T {
    use crate::source::{DEEP_STACK, on_present_stack};
    match switching::Stack::new(DEEP_STACK) {
        Some(stack) => stack.run(|| on_present_stack(run)),
        None => run(),
    }
}

/// Runs on the present stack: others need what only some machines have here.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub fn on_own_deep_stack<T>(run: impl FnOnce() -> T) -> T {
    run()
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod switching {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::thread;

    /// Bytes below a stack that may not be touched, so that running out of it ends the process.
    const GUARD: usize = 64 << 10;

    /// Memory for a stack, freed on drop.
    pub struct Stack {
        start: *mut libc::c_void,
        bytes: usize,
    }

    /// A function on its way to the other stack, and its result on the way back.
    struct Parcel<F, T> {
        run: Option<F>,
        result: Option<thread::Result<T>>,
    }

    impl Stack {
        pub fn new(bytes: usize) -> Option<Stack> {
            let bytes = bytes + GUARD;
            let (access, kind) = (
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK,
            );
            // SAFETY: fresh memory at a place of the system's choice.
            let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, kind, -1, 0) };
            if start == libc::MAP_FAILED {
                return None;
            }
            let stack = Stack { start, bytes };
            // SAFETY: the lowest pages of that memory, which nothing has touched.
            let guarded = unsafe { libc::mprotect(start, GUARD, libc::PROT_NONE) } == 0;
            guarded.then_some(stack)
        }

        /// Runs on this stack, and panics as what is run does.
        pub fn run<T>(self, run: impl FnOnce() -> T) -> T {
            let mut parcel = Parcel { run: Some(run), result: None };
            // SAFETY: the memory is there until `self` is dropped, its end is aligned to a page, and it is used by this call alone;
            // the function has the C convention, takes the parcel it was made for, and does not unwind.
            unsafe {
                let function = unpack_of(&parcel);
                dlc_call_on_stack(self.start.byte_add(self.bytes), (&raw mut parcel).cast(), function);
            }
            drop(self);
            match parcel.result {
                Some(Ok(result)) => result,
                Some(Err(panic)) => resume_unwind(panic),
                None => unreachable!("the function has run"),
            }
        }
    }

    impl Drop for Stack {
        fn drop(&mut self) {
            // SAFETY: mapped in `new`; whatever ran on it has returned.
            unsafe { libc::munmap(self.start, self.bytes) };
        }
    }

    /// The function that runs what is in such a parcel.
    fn unpack_of<F: FnOnce() -> T, T>(_: &Parcel<F, T>) -> unsafe extern "sysv64" fn(*mut ()) {
        unpack::<F, T>
    }

    unsafe extern "sysv64" fn unpack<F: FnOnce() -> T, T>(parcel: *mut ()) {
        // SAFETY: `run` passes its parcel, which it does not touch meanwhile.
        let parcel = unsafe { &mut *parcel.cast::<Parcel<F, T>>() };
        parcel.result = parcel.run.take().map(|run| catch_unwind(AssertUnwindSafe(run)));
    }

    // The caller's frame is found through `rbp`, whichever stack is in use: so it can be unwound, for a backtrace.
    std::arch::global_asm!(
        ".pushsection .text.dlc_call_on_stack,\"ax\",@progbits",
        ".globl dlc_call_on_stack",
        ".type dlc_call_on_stack,@function",
        "dlc_call_on_stack:",
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "mov rsp, rdi",
        "mov rdi, rsi",
        "call rdx",
        "mov rsp, rbp",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
        ".size dlc_call_on_stack, . - dlc_call_on_stack",
        ".popsection",
    );

    unsafe extern "sysv64" {
        /// Calls a function of `data` with the stack pointer at `top`, which must be the end, aligned to 16 bytes, of a stack that is
        /// large enough and used by no one else; the function must not unwind.
        fn dlc_call_on_stack(top: *mut libc::c_void, data: *mut (), function: unsafe extern "sysv64" fn(*mut ()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::on_deep_stack;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    #[test]
    fn what_runs_on_it_needs_no_thread() {
        let here = thread::current().id();
        let there = on_own_deep_stack(|| on_deep_stack(|| thread::current().id()).unwrap());
        if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
            assert_eq!(there, here);
        }
        // Afterwards the stack is as deep as it was.
        assert_ne!(on_deep_stack(|| thread::current().id()).unwrap(), here);
    }

    #[test]
    fn deep_recursion_fits_and_floats_come_back() {
        fn sum(n: u32, step: f64) -> f64 {
            let room = std::hint::black_box([step; 64]);
            if n == 0 { 0.0 } else { room[0] + sum(n - 1, step) }
        }
        assert_eq!(on_own_deep_stack(|| sum(50_000, 0.5)), 25_000.0);
    }

    #[test]
    fn a_panic_passes_through() {
        let panicked =
            catch_unwind(AssertUnwindSafe(|| on_own_deep_stack(|| -> u32 { std::panic::panic_any("told") })));
        assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"told"));
        let again: Vec<u32> = on_own_deep_stack(|| (0..3).collect());
        assert_eq!(again, [0, 1, 2]);
    }
}
