//! Where a run stands: all that decides what it does next, besides its program, its data and its tensors.
//!
//! Invariant: a run that puts back a [`Progress`] and the tensors that belong to it goes on as if it had never stopped, to the
//! bit; so numbers that decide anything are kept as they are, infinities and NaN included.

use super::metrics::Means;
use super::stopping::{Patience, Plateau};
use crate::data::Position;
use crate::ir::Tensor;
use crate::runtime::{Memory, RuntimeError};
use serde::{Deserialize, Serialize};

/// Where a run stands between two steps.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Which phase runs.
    pub phase: usize,
    /// Steps of all phases so far: what draws depend on.
    pub global_step: u64,
    /// Steps of this phase so far.
    pub step: u64,
    /// Epochs of this phase that have ended.
    pub epoch: u64,
    /// The batch that comes next.
    pub position: Position,
    /// The loss so far in the epoch that runs.
    pub means: Means,
    /// What the phase's `stop` has seen; `None` if it waits for no improvement.
    pub stop: Option<Patience>,
    /// Evaluations of this phase so far.
    pub evaluations: u64,
    /// When the best of them was.
    pub best: Option<Instant>,
    /// What the phase's `watch` clauses have seen.
    pub watches: Vec<Plateau>,
    pub stage: Stage,
}

/// A point within a phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Instant {
    /// Steps done.
    pub step: u64,
    /// Epochs ended.
    pub epoch: u64,
}

/// What a phase does at the moment.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub enum Stage {
    #[default]
    Training,
    /// From the phase's beginning on other rows, for as long as the best parameters took (Goodfellow, Alg. 7.2).
    Retraining { until: Length },
    /// From the best parameters on other rows, until the loss of the part that was watched is below what that of the training
    /// rows was (Alg. 7.3), or an epoch has ended.
    Continuing {
        #[serde(with = "bits")]
        below: f64,
        epoch: u64,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Length {
    Steps(u64),
    Epochs(u64),
}

/// A copy of every tensor that outlives a step, by name.
pub type Snapshot = Vec<(String, Tensor)>;

/// Copies every tensor.
pub fn copy(memory: &Memory) -> Snapshot {
    let tensors = memory.ids().map(|id| {
        let name = memory.name(id).to_owned();
        let value = memory.view(id).to_tensor(memory.dims(id).to_vec());
        (name, value)
    });
    tensors.collect()
}

/// Puts a copy back.
pub fn restore(memory: &mut Memory, copy: &[(String, Tensor)]) -> Result<(), RuntimeError> {
    copy.iter().try_for_each(|(name, tensor)| memory.write(name, tensor))
}

/// Numbers as the bits that they are: text would round them, and JSON has no infinity.
pub mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        value.to_bits().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(f64::from_bits(u64::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_survives_json_to_the_bit() {
        let mut means = Means::new(["loss".to_string()]);
        means.add([0.1 + 0.2], 3);
        means.add([f64::INFINITY], 1);
        let mut stop = Patience::new(5);
        stop.observe(1, 1.0 / 3.0);
        let progress = Progress {
            phase: 1,
            global_step: 90,
            step: 30,
            epoch: 2,
            position: Position { epoch: 2, batch: 4 },
            means,
            stop: Some(stop),
            evaluations: 3,
            best: Some(Instant { step: 20, epoch: 1 }),
            watches: vec![Plateau::new(4)],
            stage: Stage::Continuing { below: f64::NEG_INFINITY, epoch: 9 },
        };
        let text = serde_json::to_string(&progress).unwrap();
        let back: Progress = serde_json::from_str(&text).unwrap();
        // The compensation of an infinite sum is NaN, which equals nothing, but its bits do.
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        assert_eq!((back.stop, back.position), (progress.stop, progress.position));
    }
}
