//! Waiting for a loss to improve: `stop when DATA.PART loss has not improved for K epochs`, `watch`.

use super::state::bits;
use serde::{Deserialize, Serialize};

/// Watches a loss that should fall.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Patience {
    epochs: u64,
    best: Option<Best>,
}

/// The lowest loss, and when it was.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Best {
    epoch: u64,
    #[serde(with = "bits")]
    loss: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The loss is the lowest so far: these parameters are the ones to keep.
    Improved,
    Waiting,
    Stop,
}

impl Patience {
    /// Stops after `epochs` epochs without improvement.
    pub fn new(epochs: u64) -> Self {
        Patience { epochs, best: None }
    }

    /// Tells the loss after an epoch; epochs are told in order. A NaN is no improvement.
    pub fn observe(&mut self, epoch: u64, loss: f64) -> Verdict {
        let improved = !loss.is_nan() && self.best.is_none_or(|best| best.loss.is_nan() || loss < best.loss);
        if improved || self.best.is_none() {
            self.best = Some(Best { epoch, loss });
        }
        match self.best {
            _ if improved => Verdict::Improved,
            Some(best) if epoch.saturating_sub(best.epoch) < self.epochs => Verdict::Waiting,
            _ => Verdict::Stop,
        }
    }

    /// The epoch of the lowest loss.
    pub fn best_epoch(&self) -> Option<u64> {
        self.best.map(|best| best.epoch)
    }
}

/// Counts how often a loss has gone so many evaluations without improving: each time, it starts waiting anew.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plateau {
    patience: u64,
    waited: u64,
    /// The lowest loss so far; infinite before the first.
    #[serde(with = "bits")]
    best: f64,
    count: u64,
}

impl Plateau {
    pub fn new(patience: u64) -> Self {
        Plateau { patience, waited: 0, best: f64::INFINITY, count: 0 }
    }

    /// Tells the loss of an evaluation: whether the count has grown. A NaN is no improvement.
    pub fn observe(&mut self, loss: f64) -> bool {
        if loss < self.best {
            (self.best, self.waited) = (loss, 0);
            return false;
        }
        self.waited += 1;
        let full = self.waited >= self.patience;
        if full {
            (self.waited, self.count) = (0, self.count + 1);
        }
        full
    }

    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::*;

    fn verdicts(epochs: u64, losses: &[f64]) -> Vec<Verdict> {
        let mut patience = Patience::new(epochs);
        (1..).zip(losses).map(|(epoch, &loss)| patience.observe(epoch, loss)).collect()
    }

    #[test]
    fn stops_after_that_many_epochs_without_improvement() {
        let losses = [3.0, 2.0, 2.5, 1.0, 1.0, 1.5];
        assert_eq!(verdicts(2, &losses), [Improved, Improved, Waiting, Improved, Waiting, Stop]);
    }

    #[test]
    fn nan_is_no_improvement() {
        assert_eq!(verdicts(2, &[f64::NAN, 5.0, f64::NAN, f64::NAN]), [Waiting, Improved, Waiting, Stop]);
        assert_eq!(verdicts(1, &[f64::NAN, f64::NAN]), [Waiting, Stop]);
    }

    #[test]
    fn a_plateau_counts_each_time_its_patience_is_over() {
        let mut plateau = Plateau::new(2);
        let losses = [3.0, 3.0, 3.5, 2.0, 2.0, f64::NAN, 2.0, 2.5, 1.0];
        let counts: Vec<u64> = losses
            .iter()
            .map(|&loss| {
                plateau.observe(loss);
                plateau.count()
            })
            .collect();
        assert_eq!(counts, [0, 0, 1, 1, 1, 2, 2, 3, 3]);
        let text = serde_json::to_string(&plateau).unwrap();
        assert_eq!(serde_json::from_str::<Plateau>(&text).unwrap(), plateau);
        // Infinity, which JSON lacks, is a state too.
        let fresh = Plateau::new(1);
        assert_eq!(serde_json::from_str::<Plateau>(&serde_json::to_string(&fresh).unwrap()).unwrap(), fresh);
    }

    #[test]
    fn the_first_of_equal_losses_is_the_best() {
        let mut patience = Patience::new(9);
        for (epoch, loss) in [(1, 2.0), (2, 1.0), (3, 1.0)] {
            patience.observe(epoch, loss);
        }
        assert_eq!(patience.best_epoch(), Some(2));
    }
}
