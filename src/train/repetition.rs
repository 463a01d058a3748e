//! The same program several times: cross-validation and ensembles.
//!
//! Input: the first phase of a program, and where runs of it stood. Output: means and deviations over runs, or what is measured
//! of all members together. Invariant: a run depends on its number, and on no other run.

use super::dataset::training_set;
use super::division::Part;
use super::event::{Event, Named, PhaseEnd, StopReason};
use super::metrics::{Measured, Metrics};
use super::record::Standing;
use super::run::{Ended, Run, RunError};
use super::session::Session;
use super::state::{Snapshot, copy};
use crate::check::typed::{HELD_OUT, Repetition};
use crate::data::Rows;
use crate::ir::Tensor;
use crate::runtime::{Memory, RuntimeError};
use std::collections::BTreeMap;

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
        self.part = Some(part);
        self.set_seed(own);
        self.engine.begin(&self.source.model, before, own)?;
        if before.is_none() {
            self.start_from(init)?;
        }
        self.dataset = training_set(self.source.program, train.on, self.source.tables)?;
        if let Some(on) = train.on {
            match part.rows(&self.dataset.rows(on), seed) {
                (kept, Some(held)) => {
                    self.dataset.narrow(on, kept);
                    self.dataset.parts.push((HELD_OUT.to_owned(), held));
                }
                (sample, None) => self.dataset.sample(on, sample),
            }
        }
        self.begin_again(before.map_or(0, |(_, steps)| steps));
        Ok(())
    }

    /// What is measured of all members together, on the rows of every part: measures that speak of members of their values side
    /// by side, the others as the mean over members.
    pub fn evaluate_members(
        &mut self,
        parts: &[(String, Rows)],
        members: &[Snapshot],
    ) -> Result<Vec<(String, Metrics)>, RunError> {
        let mut found = Vec::new();
        for (name, rows) in parts {
            let (mut each, mut together) = (Vec::new(), Vec::new());
            for member in members {
                restore_known(&mut self.engine.memory, member)?;
                let (means, gathered) = self.chunks(rows)?;
                each.push(vec![(name.clone(), self.summarize(rows, &means, &gathered, members.len())?)]);
                together.push((means, gathered));
            }
            let mut metrics = mean_and_deviation(&each).0.0.pop().map(|(_, metrics)| metrics).unwrap_or_default();
            if let Some((means, gathered)) = super::gather::stacked(together) {
                let joint = self.summarize(rows, &means, &gathered, 1)?;
                for measure in self.train.measures.iter().filter(|m| m.together) {
                    let place = metrics.0.iter_mut().find(|(name, _)| *name == measure.name);
                    if let (Some((_, value)), Some(found)) = (place, joint.get(&measure.name)) {
                        *value = found.clone();
                    }
                }
            }
            found.push((name.clone(), metrics));
        }
        Ok(found)
    }
}

impl Run<'_> {
    /// All phases once for each fold or member; each phase is compiled once. Of those of before, each is taken up where it
    /// stood.
    pub(super) fn repeat(
        &mut self,
        first: Session,
        repetition: Repetition,
        mut stood: BTreeMap<u64, Standing>,
    ) -> Result<Ended, RunError> {
        let (phases, of) = (first.source.model.phases.len(), repetition.count());
        let seed = self.request.settings.seed;
        let mut sessions = vec![first];
        let (mut results, mut members): (Vec<Vec<(String, Metrics)>>, Vec<Snapshot>) = (Vec::new(), Vec::new());
        let (mut reason, mut left, mut furthest) = (StopReason::Finished, false, 0);
        for number in 0..of {
            let part = Part { repetition, number };
            let kind = part.kind();
            self.reporter.report(&Event::Run { kind, number: number + 1, of })?;
            let mut standing = stood.remove(&(number + 1));
            let finished = standing.as_ref().is_some_and(|s| s.about.finished);
            let mut phase = standing.as_ref().map_or(0, |s| s.about.progress.phase);
            loop {
                while sessions.len() <= phase {
                    sessions.push(sessions[sessions.len() - 1].open_next()?);
                }
                let (before, rest) = sessions.split_at_mut(phase);
                let before = before.last().map(|s| (&s.engine.memory, s.progress.global_step));
                let session = &mut rest[0];
                session.begin_part(part, seed, before, &self.request.init)?;
                if let Some(standing) = standing.take() {
                    session.take_up(standing)?;
                }
                if finished {
                    break;
                }
                reason = self.phase(session)?;
                if reason == StopReason::Interrupted {
                    return self.interrupted(session);
                }
                if self.left || phase + 1 == phases {
                    break;
                }
                let end = self.end(session)?;
                self.reporter.report(&Event::PhaseDone(end))?;
                phase += 1;
            }
            let session = &mut sessions[phase];
            if !finished && !self.left {
                self.keep_end(session)?;
            }
            let metrics = session.evaluate_parts()?;
            self.reporter.report(&Event::RunDone { kind, number: number + 1, metrics: Named(metrics.clone()) })?;
            results.push(metrics);
            members.push(copy(&session.engine.memory));
            furthest = furthest.max(phase);
            // Steps that are bounded are those of each run.
            left |= std::mem::take(&mut self.left);
        }
        self.left = left;
        let session = &mut sessions[furthest];
        let (mut metrics, deviation) = mean_and_deviation(&results);
        if let Repetition::Ensemble { .. } = repetition {
            let parts = session.parts();
            metrics = Named(session.evaluate_members(&parts, &members)?);
        }
        let end = PhaseEnd {
            phase: session.phase().name.clone(),
            epochs: session.progress.epoch,
            steps: session.steps(),
            seconds: self.seconds(),
            metrics,
            deviation: Some(deviation),
        };
        self.conclude(session, reason, end)?;
        Ok(Ended::Finished)
    }
}

/// Puts back what a memory has of a copy that may be of another phase.
pub(super) fn restore_known(memory: &mut Memory, copy: &[(String, Tensor)]) -> Result<(), RuntimeError> {
    let known = |(name, _): &&(String, Tensor)| memory.find(name).is_some();
    let known: Vec<&(String, Tensor)> = copy.iter().filter(known).collect();
    known.into_iter().try_for_each(|(name, tensor)| memory.write(name, tensor))
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
    fn means_and_deviations_are_over_runs() {
        let run = |value: f64| vec![("test".to_owned(), Named(vec![("loss".to_owned(), Measured::Number(value))]))];
        let (mean, deviation) = mean_and_deviation(&[run(1.0), run(2.0), run(3.0)]);
        assert_eq!(mean.0[0].1.number("loss"), 2.0);
        assert_eq!(deviation.0[0].1.number("loss"), 1.0);
        assert_eq!(mean_and_deviation(&[run(4.0)]).1.0[0].1.number("loss"), 0.0);
    }
}
