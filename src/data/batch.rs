//! The batches of a part: which rows each step sees.
//!
//! The order of an epoch is a function of (seed, epoch) alone, so a run resumes at a [`Position`] without replaying what
//! came before. Every epoch visits each row once; its last batch holds the rows that are left.
//!
//! The rows of a streamed file are shuffled by blocks: the blocks come in a random order, and the rows of a window of some
//! blocks are mixed. Only a window's row numbers are held, so a batch lies in one window or in neighbours.

use serde::{Deserialize, Serialize};

use super::rows::{Rows, Sieve};
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
    rows: Rows,
    size: usize,
    order: Order,
    position: Position,
    visits: Visits,
}

/// The rows of the current epoch in the order in which they are visited.
#[derive(Clone, Debug)]
enum Visits {
    /// All of them.
    Listed(Vec<usize>),
    Windows(Windows),
}

/// The blocks of a streamed file in the order of the epoch, some of which are open: their rows are mixed.
#[derive(Clone, Debug)]
struct Windows {
    sieve: Sieve,
    blocks: Vec<u32>,
    /// Windows opened in this epoch.
    opened: usize,
    /// The rows of the window last opened, and how many of them have been visited.
    rows: Vec<usize>,
    at: usize,
    /// The batch last handed out.
    batch: Vec<usize>,
}

/// Blocks of a window.
pub(super) const WINDOW: usize = 8;

/// Tells the streams of epochs and of windows from that of a split.
const EPOCHS: u64 = 1;
const WINDOWS: u64 = 3;

impl Batches {
    /// Batches of `size` rows (a size of zero counts as one), standing before the first batch of epoch 0.
    pub fn new(rows: Rows, size: usize, order: Order) -> Self {
        let visits = match rows.sieve() {
            None => Visits::Listed(Vec::new()),
            Some(sieve) => Visits::Windows(Windows {
                sieve: sieve.clone(),
                blocks: Vec::new(),
                opened: 0,
                rows: Vec::new(),
                at: 0,
                batch: Vec::new(),
            }),
        };
        let mut batches = Batches { rows, size: size.max(1), order, position: Position::default(), visits };
        batches.seek(Position::default());
        batches
    }

    /// Batches an epoch has.
    pub fn per_epoch(&self) -> usize {
        self.rows.len().div_ceil(self.size)
    }

    /// The rows of the part.
    pub fn rows(&self) -> &Rows {
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
        match &mut self.visits {
            Visits::Listed(visited) if self.order == Order::InOrder && visited.len() == self.rows.len() => {}
            Visits::Listed(visited) => {
                visited.clear();
                visited.extend(self.rows.iter());
                if let Order::Shuffled { seed } = self.order {
                    Stream::new(seed, &[EPOCHS, position.epoch]).shuffle(visited);
                }
            }
            Visits::Windows(windows) => {
                windows.begin(self.order, position.epoch);
                let before = position.batch.saturating_mul(self.size as u64);
                windows.skip(usize::try_from(before).unwrap_or(usize::MAX), self.order, position.epoch);
            }
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

    /// The rows of a step, counted from the first batch of epoch 0.
    pub fn at_step(&mut self, step: u64) -> &[usize] {
        let per_epoch = (self.per_epoch() as u64).max(1);
        let wanted = Position { epoch: step / per_epoch, batch: step % per_epoch };
        if self.position != wanted {
            self.seek(wanted);
        }
        self.next_batch().unwrap_or_default()
    }

    /// The rows of the next batch of this epoch; `None` at the epoch's end.
    pub fn next_batch(&mut self) -> Option<&[usize]> {
        let start = usize::try_from(self.position.batch).ok()?.checked_mul(self.size)?;
        if start >= self.rows.len() {
            return None;
        }
        let epoch = self.position.epoch;
        self.position.batch += 1;
        Some(match &mut self.visits {
            Visits::Listed(visited) => &visited[start..visited.len().min(start + self.size)],
            Visits::Windows(windows) => windows.take(self.size, self.order, epoch),
        })
    }
}

impl Windows {
    /// Stands before the first row of an epoch.
    fn begin(&mut self, order: Order, epoch: u64) {
        self.blocks.clear();
        self.blocks.extend(0..self.sieve.blocks() as u32);
        if let Order::Shuffled { seed } = order {
            Stream::new(seed, &[EPOCHS, epoch]).shuffle(&mut self.blocks);
        }
        (self.opened, self.at) = (0, 0);
        self.rows.clear();
    }

    /// Opens the next window; false at the end of the epoch.
    fn open(&mut self, order: Order, epoch: u64) -> bool {
        let first = self.opened * WINDOW;
        if first >= self.blocks.len() {
            return false;
        }
        let blocks = &self.blocks[first..self.blocks.len().min(first + WINDOW)];
        self.rows.clear();
        self.rows.extend(blocks.iter().flat_map(|&block| self.sieve.of_block(block as usize)));
        if let Order::Shuffled { seed } = order {
            Stream::new(seed, &[WINDOWS, epoch, self.opened as u64]).shuffle(&mut self.rows);
        }
        (self.opened, self.at) = (self.opened + 1, 0);
        true
    }

    fn skip(&mut self, mut rows: usize, order: Order, epoch: u64) {
        while rows > 0 && self.open(order, epoch) {
            self.at = rows.min(self.rows.len());
            rows -= self.at;
        }
    }

    fn take(&mut self, size: usize, order: Order, epoch: u64) -> &[usize] {
        self.batch.clear();
        while self.batch.len() < size {
            if self.at == self.rows.len() && !self.open(order, epoch) {
                break;
            }
            let end = self.rows.len().min(self.at + size - self.batch.len());
            self.batch.extend(&self.rows[self.at..end]);
            self.at = end;
        }
        &self.batch
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
        let mut batches = Batches::new(vec![2, 3, 5, 7, 11].into(), 2, Order::InOrder);
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
            let mut batches = Batches::new(part.clone().into(), size, Order::Shuffled { seed });
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
        fn windows_visit_every_row_once(
            sizes in prop::collection::vec(1usize..20, 1..40),
            size in 1usize..70,
            seed: u64,
            in_order: bool,
            steps in 0usize..40,
        ) {
            let mut blocks = vec![0];
            sizes.iter().for_each(|size| blocks.push(blocks[blocks.len() - 1] + size));
            let share = |name: &str, percent| crate::data::Share { name: name.into(), percent };
            let parts = Rows::sieved(&blocks.into(), &[share("a", 60.0), share("b", 40.0)], 3);
            let Ok(parts) = parts else { return Ok(()) };
            let order = if in_order { Order::InOrder } else { Order::Shuffled { seed } };
            let batches = || Batches::new(parts[0].clone(), size, order);
            let mut through = batches();
            let visited = epoch(&mut through);
            prop_assert_eq!(visited.len(), through.per_epoch());
            prop_assert!(visited[..visited.len() - 1].iter().all(|batch| batch.len() == size));
            let mut all = visited.concat();
            if !in_order {
                all.sort_unstable();
            }
            prop_assert!(all.into_iter().eq(parts[0].iter()));
            for _ in 0..steps {
                through.advance();
            }
            let mut resumed = batches();
            resumed.seek(through.position());
            prop_assert_eq!(epoch(&mut resumed), epoch(&mut through));
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
