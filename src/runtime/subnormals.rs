//! Subnormal numbers as zeros while compiled code runs.
//!
//! The processors dlc runs on take a hundred times longer over subnormal operands, and training makes many: optimizer state
//! and decayed weights of inputs that are always zero shrink past the smallest normal number (1.2e-38 in f32). Numbers that
//! small change no result that matters. Invariant: the mode is restored when the guard goes; threads started while it lives
//! inherit it, so a product shared among threads computes the same bits as one that is not.

/// Whether subnormal numbers keep their value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subnormals {
    Keep,
    Flush,
}

/// The floating-point mode to go back to.
pub(super) struct Guard {
    #[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]
    before: Option<u64>,
}

/// Flush-to-zero and denormals-are-zero.
#[cfg(target_arch = "x86_64")]
const FLUSH: u64 = 0x8040;
/// Flush-to-zero.
#[cfg(target_arch = "aarch64")]
const FLUSH: u64 = 1 << 24;

impl Guard {
    pub fn new(subnormals: Subnormals) -> Guard {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if subnormals == Subnormals::Flush {
            let before = mode();
            if before & FLUSH != FLUSH {
                set_mode(before | FLUSH);
                return Guard { before: Some(before) };
            }
        }
        Guard { before: None }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if let Some(before) = self.before {
            set_mode(before);
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn mode() -> u64 {
    let mut word = 0u32;
    // SAFETY: stores the control word of this thread into a local variable.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut word, options(nostack)) };
    u64::from(word)
}

#[cfg(target_arch = "x86_64")]
fn set_mode(word: u64) {
    let word = word as u32;
    // SAFETY: the word differs from one read before in the two flush bits only, so no exception becomes unmasked; the guard
    // spans calls of compiled code, which expects the mode, and no other arithmetic.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &word, options(nostack, readonly)) };
}

#[cfg(target_arch = "aarch64")]
fn mode() -> u64 {
    let word: u64;
    // SAFETY: reads the control register of this thread.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) word, options(nomem, nostack)) };
    word
}

#[cfg(target_arch = "aarch64")]
fn set_mode(word: u64) {
    // SAFETY: the word differs from one read before in the flush bit only; the guard spans calls of compiled code, which
    // expects the mode, and no other arithmetic.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) word, options(nomem, nostack)) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    fn halved(x: f32) -> f32 {
        black_box(black_box(x) * black_box(0.5))
    }

    #[test]
    fn the_mode_ends_with_the_guard() {
        let small = f32::MIN_POSITIVE;
        assert!(halved(small) > 0.0);
        let guard = Guard::new(Subnormals::Flush);
        let flushed = halved(small);
        drop(guard);
        assert_eq!(flushed, 0.0);
        assert!(halved(small) > 0.0);
    }

    #[test]
    fn keeping_changes_nothing() {
        let _guard = Guard::new(Subnormals::Keep);
        assert!(halved(f32::MIN_POSITIVE) > 0.0);
    }
}
