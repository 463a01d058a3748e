//! The processor's own clock, read in a few nanoseconds: parts of a step that take less than a microsecond are told apart.
//!
//! Output: ticks. Invariant: they are counted at a constant rate, which is measured against the system's clock.

use std::time::Instant;

/// Ticks so far.
pub fn now() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor counts time stamps, and reading them touches no memory.
        unsafe { std::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        static ZERO: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        ZERO.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}

/// Ticks that reading the clock takes itself, between two readings.
pub fn own() -> u64 {
    let gap = |_| {
        let before = now();
        now().saturating_sub(before)
    };
    (0..1000).map(gap).min().unwrap_or(0)
}

/// Measures how long a tick is.
pub struct Rate {
    start: Instant,
    at: u64,
}

impl Rate {
    pub fn start() -> Rate {
        Rate { start: Instant::now(), at: now() }
    }

    /// Seconds of a tick: the more precise, the longer ago the start.
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64() / now().saturating_sub(self.at).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ticks_tell_the_time_of_the_system() {
        let rate = Rate::start();
        std::thread::sleep(Duration::from_millis(20));
        let (clock, ticks) = (Instant::now(), now());
        std::thread::sleep(Duration::from_millis(20));
        let (clock, ticks) = (clock.elapsed().as_secs_f64(), now() - ticks);
        let told = ticks as f64 * rate.seconds();
        assert!((told / clock - 1.0).abs() < 0.1, "{told} s told of {clock} s");
        // Reading the clock is no system call.
        assert!((own() as f64 * rate.seconds()) < 5e-6);
    }
}
