//! The same program several times: cross-validation and ensembles.
//!
//! Input: the rows that a phase trains on, and which run of how many this is. Output: the rows and the seed of the run; means
//! and deviations over runs. Invariant: the rows of each run are a function of the seed and of the run's number; the first member of
//! an ensemble without resampling is the run that there would be without an ensemble.

use super::dataset::training_set;
use super::event::Named;
use super::metrics::{Measured, Metrics};
use super::run::RunError;
use super::session::{Session, start_from};
use super::state::{Snapshot, restore};
use crate::check::typed::{HELD_OUT, Repetition};
use crate::ir::Tensor;
use crate::runtime::Memory;
use crate::scalar::random::Key;

/// Tells the draws of this file from others of the same seed.
const PURPOSE: u64 = 0x666f_6c64;

/// Which run of how many.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Part {
    pub repetition: Repetition,
    /// From 0.
    pub number: u64,
}

impl Part {
    /// The seed of the run.
    fn seed(self, seed: u64) -> u64 {
        match self.repetition {
            Repetition::Folds { .. } => seed,
            Repetition::Ensemble { .. } => seed.wrapping_add(self.number.wrapping_mul(0xD1B5_4A32_D192_ED03)),
        }
    }

    /// The rows it trains on and those it is kept from.
    fn rows(self, rows: &[usize], seed: u64) -> (Vec<usize>, Option<Vec<usize>>) {
        match self.repetition {
            Repetition::Folds { count, .. } => {
                let (held, kept) = fold(rows, count, self.number, seed);
                (kept, Some(held))
            }
            Repetition::Ensemble { resampled: true, .. } => (resample(rows, self.seed(seed)), None),
            Repetition::Ensemble { .. } => (rows.to_vec(), None),
        }
    }
}

/// The rows of one fold of `count`, and the others, both in the order in which they were.
fn fold(rows: &[usize], count: u64, number: u64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let key = Key::derive(seed, PURPOSE, 0);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|k| (key.bits64(*k as u64), *k));
    let bound = |k: u64| (rows.len() as u64 * k / count) as usize;
    let mut held = vec![false; rows.len()];
    for k in &order[bound(number)..bound(number + 1)] {
        held[*k] = true;
    }
    let of = |wanted: bool| rows.iter().zip(&held).filter(|(_, held)| **held == wanted).map(|(row, _)| *row).collect();
    (of(true), of(false))
}

/// As many rows, drawn with replacement.
fn resample(rows: &[usize], seed: u64) -> Vec<usize> {
    let key = Key::derive(seed, PURPOSE, 1);
    (0..rows.len() as u64).map(|k| rows[(key.bits64(k) % rows.len() as u64) as usize]).collect()
}

impl Session<'_> {
    /// Begins this phase of one run: fresh state and, in the first phase, fresh parameters; in a later one, those of `before`,
    /// which has done so many steps.
    pub fn begin_part(
        &mut self,
        part: Part,
        seed: u64,
        before: Option<(&Memory, u64)>,
        init: &[(String, Tensor)],
    ) -> Result<(), RunError> {
        let train = self.train;
        let own = part.seed(seed);
        self.source.settings.seed = own;
        self.engine.begin(&self.source.model, before, own)?;
        if before.is_none() {
            for (path, tensor) in init {
                start_from(&mut self.engine.memory, &self.source.model, path, tensor)?;
            }
        }
        self.dataset = training_set(self.source.program, train.on, self.source.tables)?;
        if let Some(on) = train.on {
            let rows: Vec<usize> = self.dataset.rows(on).iter().collect();
            match part.rows(&rows, seed) {
                (kept, Some(held)) => {
                    self.dataset.narrow(on, kept.into());
                    self.dataset.parts.push((HELD_OUT.to_owned(), held.into()));
                }
                (sample, None) => self.dataset.sample(on, sample.into()),
            }
        }
        self.begin_again(before.map_or(0, |(_, steps)| steps));
        Ok(())
    }

    /// What is measured of all members together, on every part: measures that speak of members of their values side by side,
    /// the others as the mean over members.
    pub fn evaluate_members(&mut self, members: &[Snapshot]) -> Result<Vec<(String, Metrics)>, RunError> {
        let mut found = Vec::new();
        for (name, rows) in self.dataset.parts.clone() {
            let (mut each, mut together) = (Vec::new(), Vec::new());
            for member in members {
                restore(&mut self.engine.memory, member)?;
                let (means, gathered) = self.chunks(&rows)?;
                each.push(vec![(name.clone(), self.summarize(&rows, &means, &gathered, members.len())?)]);
                together.push((means, gathered));
            }
            let mut metrics = mean_and_deviation(&each).0.0.pop().map(|(_, metrics)| metrics).unwrap_or_default();
            if let Some((means, gathered)) = super::gather::stacked(together) {
                let joint = self.summarize(&rows, &means, &gathered, 1)?;
                for measure in self.train.measures.iter().filter(|m| m.together) {
                    let place = metrics.0.iter_mut().find(|(name, _)| *name == measure.name);
                    if let (Some((_, value)), Some(found)) = (place, joint.get(&measure.name)) {
                        *value = found.clone();
                    }
                }
            }
            found.push((name, metrics));
        }
        Ok(found)
    }
}

/// Means and standard deviations over runs that have the same parts and measures.
pub fn mean_and_deviation(runs: &[Vec<(String, Metrics)>]) -> (Named<Metrics>, Named<Metrics>) {
    let (mut means, mut deviations) = (Named::default(), Named::default());
    for (part, metrics) in runs.first().into_iter().flatten() {
        let (mut mean, mut deviation) = (Metrics::default(), Metrics::default());
        for (name, first) in &metrics.0 {
            let of = |run: &Vec<(String, Metrics)>| {
                let (_, metrics) = run.iter().find(|(known, _)| known == part)?;
                metrics.get(name).map(values)
            };
            let all: Vec<Vec<f64>> = runs.iter().filter_map(of).collect();
            let n = all.len() as f64;
            let (mut center, mut spread) = (vec![0.0; values(first).len()], vec![0.0; values(first).len()]);
            for value in &all {
                center.iter_mut().zip(value).for_each(|(c, v)| *c += v / n);
            }
            for value in &all {
                let squared = value.iter().zip(&center).map(|(v, c)| (v - c) * (v - c));
                spread.iter_mut().zip(squared).for_each(|(s, d)| *s += d / (n - 1.0).max(1.0));
            }
            spread.iter_mut().for_each(|s| *s = s.sqrt());
            mean.0.push((name.clone(), like(first, center)));
            deviation.0.push((name.clone(), like(first, spread)));
        }
        means.0.push((part.clone(), mean));
        deviations.0.push((part.clone(), deviation));
    }
    (means, deviations)
}

fn values(measured: &Measured) -> Vec<f64> {
    match measured {
        Measured::Number(value) => vec![*value],
        Measured::Table { values, .. } => values.clone(),
    }
}

fn like(measured: &Measured, values: Vec<f64>) -> Measured {
    match measured {
        Measured::Number(_) => Measured::Number(values.first().copied().unwrap_or(f64::NAN)),
        Measured::Table { dims, .. } => Measured::Table { dims: dims.clone(), values },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_divide_the_rows() {
        let rows: Vec<usize> = (0..23).map(|k| 2 * k).collect();
        let mut all = Vec::new();
        for number in 0..5 {
            let (held, kept) = fold(&rows, 5, number, 7);
            assert!((4..=5).contains(&held.len()) && held.len() + kept.len() == rows.len());
            assert!(held.iter().all(|row| !kept.contains(row)) && kept.is_sorted());
            all.extend(held);
        }
        all.sort();
        assert_eq!(all, rows);
        assert_ne!(fold(&rows, 5, 0, 7), fold(&rows, 5, 0, 8), "another seed divides otherwise");
    }

    #[test]
    fn a_bootstrap_sample_leaves_a_third_out() {
        let rows: Vec<usize> = (0..3000).collect();
        let mut sample = resample(&rows, 3);
        assert_eq!(sample.len(), rows.len());
        sample.sort();
        sample.dedup();
        // 1 - (1 - 1/n)^n is 0.632.
        assert!((1800..2000).contains(&sample.len()), "{} different rows", sample.len());
    }

    #[test]
    fn means_and_deviations_are_over_runs() {
        let run = |value: f64| vec![("test".to_owned(), Named(vec![("loss".to_owned(), Measured::Number(value))]))];
        let (mean, deviation) = mean_and_deviation(&[run(1.0), run(2.0), run(3.0)]);
        assert_eq!(mean.0[0].1.number("loss"), 2.0);
        assert_eq!(deviation.0[0].1.number("loss"), 1.0);
        assert_eq!(mean_and_deviation(&[run(4.0)]).1.0[0].1.number("loss"), 0.0);
    }

    #[test]
    fn members_differ_in_their_seeds_but_the_first() {
        let part = |number| Part {
            repetition: Repetition::Ensemble {
                count: 3,
                resampled: false,
                span: crate::source::Span::new(crate::source::FileId::default(), 0, 0),
            },
            number,
        };
        assert_eq!(part(0).seed(9), 9);
        assert_ne!(part(1).seed(9), part(2).seed(9));
        assert_eq!(part(2).rows(&[4, 2], 9), (vec![4, 2], None));
    }
}
