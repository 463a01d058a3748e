//! How often a run is saved: no more often than asked for, and never so often that saving takes a noticeable share of it.

use std::time::{Duration, Instant};

/// Decides when to save next.
#[derive(Clone, Debug)]
pub struct Pace {
    every: Duration,
    /// The end of the last save, or the start.
    since: Instant,
    cost: Duration,
}

/// Between saves passes this many times the time that the last one took.
const SHARE: u32 = 20;

impl Pace {
    /// Saves this far apart at least.
    pub fn new(every: Duration) -> Pace {
        Pace { every, since: Instant::now(), cost: Duration::ZERO }
    }

    /// Whether it is time.
    pub fn due(&self) -> bool {
        // Whoever asks for a save at every opportunity gets it.
        self.every.is_zero() || self.since.elapsed() >= self.every.max(self.cost * SHARE)
    }

    /// Tells that a save has just been made, and when it was begun.
    pub fn saved(&mut self, began: Instant) {
        self.since = Instant::now();
        self.cost = self.since - began;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saves_are_apart_by_their_cost_too() {
        let mut pace = Pace::new(Duration::from_millis(1));
        let began = Instant::now() - Duration::from_secs(10);
        assert!(Pace::new(Duration::ZERO).due());
        assert!(!Pace::new(Duration::from_secs(60)).due());
        pace.saved(began);
        std::thread::sleep(Duration::from_millis(2));
        assert!(!pace.due());
        pace.saved(Instant::now());
        std::thread::sleep(Duration::from_millis(2));
        assert!(pace.due());
    }
}
