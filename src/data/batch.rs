//! The batches of a part: which rows each step sees.
//!
//! The order of an epoch is a function of (seed, epoch) alone, so a run resumes at a [`Position`] without replaying what
//! came before. Every epoch visits each row once; its last batch holds the rows that are left.

use serde::{Deserialize, Serialize};

use super::shuffle::Stream;

/// The order in which an epoch visits rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    Shuffled { seed: u64 },
    InOrder,
}

/// The next batch to be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    pub epoch: u64,
    /// The batch within the epoch.
    pub batch: u64,
}

/// Iterates over the batches of one epoch after the other.
#[derive(Clone, Debug)]
pub struct Batches {
    rows: Vec<usize>,
    size: usize,
    order: Order,
    position: Position,
    /// `rows` in the order of the current epoch.
    visited: Vec<usize>,
}

/// Tells the streams of epochs from that of a split.
const EPOCHS: u64 = 1;

impl Batches {
    /// Batches of `size` rows (a size of zero counts as one), standing before the first batch of epoch 0.
    pub fn new(rows: Vec<usize>, size: usize, order: Order) -> Self {
        let visited = rows.clone();
        let mut batches = Batches { rows, size: size.max(1), order, position: Position::default(), visited };
        batches.seek(Position::default());
        batches
    }

    /// Batches an epoch has.
    pub fn per_epoch(&self) -> usize {
        self.rows.len().div_ceil(self.size)
    }

    /// The rows of the part.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// The number of rows of a full batch; no batch has more.
    pub fn size(&self) -> usize {
        self.size.min(self.rows.len())
    }

    pub fn position(&self) -> Position {
        self.position
    }

    /// Stands before the given batch.
    pub fn seek(&mut self, position: Position) {
        self.position = position;
        if let Order::Shuffled { seed } = self.order {
            self.visited.copy_from_slice(&self.rows);
            Stream::new(seed, &[EPOCHS, position.epoch]).shuffle(&mut self.visited);
        }
    }

    /// Stands before the first batch of the next epoch.
    pub fn next_epoch(&mut self) {
        self.seek(Position { epoch: self.position.epoch + 1, batch: 0 });
    }

    /// The rows of the next batch: of this epoch or, at its end, of the next. None at all if the part has no rows.
    pub fn advance(&mut self) -> &[usize] {
        if self.position.batch >= self.per_epoch() as u64 {
            self.next_epoch();
        }
        self.next_batch().unwrap_or_default()
    }

    /// The rows of the next batch of this epoch; `None` at the epoch's end.
    pub fn next_batch(&mut self) -> Option<&[usize]> {
        let start = usize::try_from(self.position.batch).ok()?.checked_mul(self.size)?;
        if start >= self.visited.len() {
            return None;
        }
        self.position.batch += 1;
        let end = self.visited.len().min(start + self.size);
        Some(&self.visited[start..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn epoch(batches: &mut Batches) -> Vec<Vec<usize>> {
        std::iter::from_fn(|| batches.next_batch().map(<[usize]>::to_vec)).collect()
    }

    #[test]
    fn in_order_means_the_order_of_the_part() {
        let mut batches = Batches::new(vec![2, 3, 5, 7, 11], 2, Order::InOrder);
        assert_eq!(epoch(&mut batches), [vec![2, 3], vec![5, 7], vec![11]]);
        assert_eq!(batches.next_batch(), None);
        batches.next_epoch();
        assert_eq!(batches.next_batch(), Some(&[2, 3][..]));
        assert_eq!(batches.position(), Position { epoch: 1, batch: 1 });
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let mut batches = Batches::new((0..50).collect(), 50, Order::Shuffled { seed: 1 });
        let first = epoch(&mut batches);
        batches.next_epoch();
        assert_ne!(epoch(&mut batches), first);
        let mut other = Batches::new((0..50).collect(), 50, Order::Shuffled { seed: 2 });
        assert_ne!(epoch(&mut other), first);
    }

    proptest! {
        #[test]
        fn every_row_is_visited_once(rows in 0usize..300, size in 1usize..70, seed: u64, epochs in 1u64..4) {
            let part: Vec<usize> = (0..rows).map(|row| row * 3).collect();
            let mut batches = Batches::new(part.clone(), size, Order::Shuffled { seed });
            for _ in 0..epochs {
                let visited = epoch(&mut batches);
                prop_assert_eq!(visited.len(), batches.per_epoch());
                for (index, batch) in visited.iter().enumerate() {
                    prop_assert!(batch.len() == size || index + 1 == visited.len());
                    prop_assert!(!batch.is_empty());
                }
                let mut all = visited.concat();
                all.sort();
                prop_assert_eq!(&all, &part);
                batches.next_epoch();
            }
        }

        #[test]
        fn resuming_equals_going_on(rows in 1usize..200, size in 1usize..50, seed: u64, steps in 0usize..40) {
            let mut through = Batches::new((0..rows).collect(), size, Order::Shuffled { seed });
            for _ in 0..steps {
                if through.next_batch().is_none() {
                    through.next_epoch();
                }
            }
            let mut resumed = Batches::new((0..rows).collect(), size, Order::Shuffled { seed });
            resumed.seek(through.position());
            prop_assert_eq!(epoch(&mut resumed), epoch(&mut through));
        }
    }
}
