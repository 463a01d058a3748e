//! What the process uses and what the machine has left: peak memory, available memory, large pages, time since the start.

use std::fs::File;
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For how long what the system has told of its memory counts as true.
const FRESH: Duration = Duration::from_millis(100);
/// Bytes that hold what a file of `/proc` says.
const SAYING: usize = 8 << 10;

/// Tells the allocator what suits a process that makes and frees many small things on a few threads and keeps little: all
/// threads share one heap, which grows by more than a page at a time and is not given back while it is likely to grow again.
/// Fresh memory is what costs: the system zeroes each page of it when it is first touched.
pub fn prepare_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let chosen = [
            (libc::M_ARENA_MAX, 1),
            (libc::M_TOP_PAD, 1 << 20),
            (libc::M_TRIM_THRESHOLD, 16 << 20),
            (libc::M_MMAP_THRESHOLD, 1 << 20),
        ];
        for (parameter, value) in chosen {
            // SAFETY: these parameters may have any value, at any time. They may be refused.
            unsafe { libc::mallopt(parameter, value) };
        }
    }
}

/// The most resident memory this process has used so far, in megabytes of 10^6 bytes; `None` if the system does not tell.
pub fn peak_rss_mb() -> Option<f64> {
    peak_rss_bytes().map(|bytes| bytes as f64 / 1e6)
}

#[cfg(target_os = "linux")]
fn peak_rss_bytes() -> Option<u64> {
    // Not `getrusage`, whose peak is inherited through `exec` from the program that started this one.
    kilobytes("/proc/self/status", "VmHWM:").map(|kilobytes| kilobytes * 1024)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn peak_rss_bytes() -> Option<u64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a writable `rusage`, for which all zeros is a valid value.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    u64::try_from(usage.ru_maxrss).ok().map(|peak| peak * unit)
}

#[cfg(not(unix))]
fn peak_rss_bytes() -> Option<u64> {
    None
}

/// Memory that can be had without swapping, in bytes; `None` if the system does not tell.
pub fn available_bytes() -> Option<u64> {
    static LAST: Mutex<Option<(Instant, Option<u64>)>> = Mutex::new(None);
    let told = || kilobytes("/proc/meminfo", "MemAvailable:").map(|value| value * 1024);
    if !cfg!(target_os = "linux") {
        return None;
    }
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    match *last {
        Some((at, bytes)) if at.elapsed() < FRESH => bytes,
        _ => last.insert((Instant::now(), told())).1,
    }
}

/// The bytes of a large page where there are any.
pub(super) const LARGE_PAGE: usize = 2 << 20;

/// Asks the system to keep what is yet to be written of memory in large pages, as far as they fit: filling them takes a
/// fraction of the time, and so does finding them again. Nothing is asked for of memory of less than two.
pub fn use_large_pages<T>(start: *mut T, bytes: usize) {
    #[cfg(target_os = "linux")]
    {
        let before = start.addr().wrapping_neg() % LARGE_PAGE;
        let length = bytes.saturating_sub(before) / LARGE_PAGE * LARGE_PAGE;
        if bytes >= 2 * LARGE_PAGE && length > 0 {
            // SAFETY: the advice changes no contents and no access, whatever lies there. It may be refused.
            unsafe { libc::madvise(start.cast::<u8>().wrapping_add(before).cast(), length, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}

/// The number after `key` in a `/proc` file of `Key:  123 kB` lines.
fn kilobytes(file: &str, key: &str) -> Option<u64> {
    // All at once: the system writes the whole file for every piece that is asked for.
    let mut bytes = [0; SAYING];
    let length = File::open(file).and_then(|mut file| file.read(&mut bytes)).ok()?;
    let text = str::from_utf8(&bytes[..length]).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Time since the process started, the start of the program's loading included.
///
/// From `main` on it is measured by the monotonic clock. What came before `main` (loading and linking) is estimated on
/// Linux as the larger of the processor time used until then and the age of the process less its granularity of one
/// clock tick (10 ms). Both are lower bounds; the first is exact when the loader had to wait for nothing, the second is
/// never more than one tick short. Elsewhere the time before `main` counts as zero.
#[derive(Clone, Copy, Debug)]
pub struct ProcessClock {
    before_main: Duration,
    main: Instant,
}

impl ProcessClock {
    /// To be called first thing in `main`.
    pub fn start() -> Self {
        let before_main = before_now().unwrap_or_default();
        // Read last: what passes between the two, where another process has the processor, must not count twice.
        ProcessClock { before_main, main: Instant::now() }
    }

    pub fn elapsed(&self) -> Duration {
        self.before_main + self.main.elapsed()
    }

    pub fn elapsed_ms(&self) -> f64 {
        self.elapsed().as_secs_f64() * 1e3
    }
}

#[cfg(target_os = "linux")]
fn before_now() -> Option<Duration> {
    // SAFETY: `sysconf` takes a number and touches no memory of ours.
    let ticks_per_second =
        u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok().filter(|&ticks| ticks > 0)?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold spaces and parentheses; the start time is
    // field 22, the twentieth after it.
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let next_tick = Duration::from_nanos((ticks + 1).checked_mul(1_000_000_000 / ticks_per_second)?);
    let used = clock(libc::CLOCK_PROCESS_CPUTIME_ID)?;
    let at_least = clock(libc::CLOCK_BOOTTIME)?.saturating_sub(next_tick);
    Some(used.max(at_least))
}

#[cfg(target_os = "linux")]
fn clock(id: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a writable `timespec`.
    if unsafe { libc::clock_gettime(id, &mut time) } != 0 {
        return None;
    }
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

#[cfg(not(target_os = "linux"))]
fn before_now() -> Option<Duration> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_peak_grows_with_memory_that_is_touched() {
        let before = peak_rss_mb().unwrap();
        let block = std::hint::black_box(vec![1u8; 100_000_000]);
        let after = peak_rss_mb().unwrap();
        assert!(block.len() == 100_000_000 && after > 100.0 && after >= before, "{before} MB, then {after} MB");
        assert!(available_bytes().unwrap() > 1_000_000);
    }

    #[test]
    fn the_clock_includes_the_life_of_the_process_so_far() {
        let tick = Duration::from_millis(10);
        let (first, wait) = (ProcessClock::start(), Duration::from_millis(30));
        std::thread::sleep(wait);
        let second = ProcessClock::start();
        // Read before and after, since other work may come between the readings.
        let (before, between, after) = (first.elapsed(), second.elapsed(), first.elapsed());
        assert!(before >= wait && between >= wait.saturating_sub(tick), "{before:?}, then {between:?}");
        // A clock started later tells the same time, to within the granularity.
        assert!(between + 2 * tick >= before, "{before:?}, then {between:?}");
        assert!(between <= after + 2 * tick, "{between:?}, then {after:?}");
    }
}
