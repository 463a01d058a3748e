//! One case: run, timed, its memory counted, and its panic caught.

use crate::allocator;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// A case takes no longer on a processor. Builds without optimization are slower.
pub const LONGEST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 1 });

/// After this the process ends, telling which case it was.
const HUNG: u64 = 120;

#[derive(Clone, Debug)]
pub enum Finding {
    Panic { place: String, message: String },
    Slow(Duration),
    Memory { bytes: usize, allowed: usize },
}

impl Finding {
    /// Equal for findings that likely have one cause.
    pub fn kind(&self) -> String {
        match self {
            Finding::Panic { place, .. } => format!("panic at {place}"),
            Finding::Slow(_) => "slow".to_string(),
            Finding::Memory { .. } => "memory".to_string(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Panic { place, message } => write!(f, "panic at {place}: {message}"),
            Finding::Slow(time) => write!(f, "took {time:?}"),
            Finding::Memory { bytes, allowed } => write!(f, "{bytes} bytes at once, where {allowed} are allowed"),
        }
    }
}

/// Time and memory are those of the process, so cases run one at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a case: what it returns, or what is wrong. The caller holds [`alone`].
pub fn measure<T>(allowed: usize, run: impl Fn() -> T) -> Result<T, Finding> {
    let mut least = Duration::MAX;
    // A slow case gets more chances: what else this process does counts too.
    for _ in 0..3 {
        let mark = allocator::mark();
        let watched = Watched::begin();
        let (start, busy) = (Instant::now(), processor_time());
        let result = catch_unwind(AssertUnwindSafe(&run));
        let busy = processor_time().zip(busy).map(|(after, before)| after.saturating_sub(before));
        least = least.min(start.elapsed()).min(busy.unwrap_or(Duration::MAX));
        drop(watched);
        let bytes = allocator::peak_above(mark);
        let Ok(value) = result else {
            let (place, message) = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(Finding::Panic { place, message });
        };
        if bytes > allowed {
            return Err(Finding::Memory { bytes, allowed });
        }
        if least <= LONGEST {
            return Ok(value);
        }
    }
    Err(Finding::Slow(least))
}

/// The processor time of this process so far, where the system tells it. A machine with other work does not slow it.
fn processor_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name in parentheses: user and system time are the 12th and 13th, in hundredths of a second.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks()? + ticks()?)))
}

static LAST_PANIC: Mutex<(String, String)> = Mutex::new((String::new(), String::new()));
static RUNNING: AtomicBool = AtomicBool::new(false);
/// Seconds since the first case when the one that runs began, plus 1; 0 if none runs.
static BEGAN: AtomicU64 = AtomicU64::new(0);

/// While it lives, panics are noted instead of told, and a watchdog looks on.
struct Watched;

impl Watched {
    fn begin() -> Watched {
        static FIRST: Mutex<Option<Instant>> = Mutex::new(None);
        static ONCE: Once = Once::new();
        let first = *FIRST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        ONCE.call_once(|| {
            note_panics();
            std::thread::spawn(move || watch(first));
        });
        BEGAN.store(1 + first.elapsed().as_secs(), Ordering::SeqCst);
        RUNNING.store(true, Ordering::SeqCst);
        Watched
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        RUNNING.store(false, Ordering::SeqCst);
        BEGAN.store(0, Ordering::SeqCst);
    }
}

fn note_panics() {
    let told = take_hook();
    set_hook(Box::new(move |info| {
        if !RUNNING.load(Ordering::SeqCst) {
            return told(info);
        }
        let payload = info.payload();
        let message = payload.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("").to_string();
        let place = info.location().map_or(String::new(), |l| format!("{}:{}", l.file(), l.line()));
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = (place, message);
    }));
}

fn watch(first: Instant) {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let began = BEGAN.load(Ordering::SeqCst);
        if began > 0 && first.elapsed().as_secs() + 1 - began > HUNG {
            eprintln!("a case does not end: see target/fuzz");
            std::process::exit(1);
        }
    }
}
