//! Where the time of training steps goes: gathering their batch, each kernel, and what is around them.
//!
//! Input: a session. Output: seconds a step. Invariant: the parts add up to the whole, and the steps are those of a run.

use super::run::RunError;
use super::session::Session;
use crate::codegen;
use crate::runtime::clock;

/// Ticks that some steps took.
#[derive(Clone, Debug, Default)]
pub struct Spent {
    /// From one step to the next.
    pub whole: u64,
    /// Choosing the rows of the batch and copying them.
    pub gather: u64,
    /// Each part of the compiled step.
    pub parts: Vec<u64>,
}

/// What a step took, in seconds.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Steps whose parts were timed; as many ran without clocks in them.
    pub steps: u64,
    /// A step as it is, without clocks in it.
    pub plain: f64,
    pub gather: f64,
    pub parts: Vec<f64>,
    /// What is neither gathering nor a part: numbering the step, calling its parts, looking at its losses, keeping copies of
    /// parameters now and then.
    pub driver: f64,
    /// How many times a step shares work among threads.
    pub forks: f64,
}

impl Profile {
    /// A step with its parts timed; what the clock itself takes is left out.
    pub fn whole(&self) -> f64 {
        self.gather + self.parts.iter().sum::<f64>() + self.driver
    }
}

/// Rounds that the steps are timed in, at most. Of each part the quickest round counts: others may be using the machine.
const ROUNDS: u64 = 500;
/// The fewest steps.
const FEWEST: u64 = 10;
/// Seconds of stepping, if the number of steps is not given.
const SECONDS: f64 = 0.5;
/// Seconds of stepping before anything is timed.
const WARM: f64 = 0.05;
/// Readings of the clock in a step that are counted neither to gathering nor to a part.
const READINGS: u64 = 3;

/// Times steps of a session, in rounds of plain steps and steps with clocks in turn.
pub fn profile(session: &mut Session, steps: Option<u64>) -> Result<Profile, RunError> {
    let rate = clock::Rate::start();
    let begin = clock::now();
    let (mut warm, mut quickest) = (0u64, f64::INFINITY);
    let most = steps.unwrap_or(u64::MAX);
    while warm < 5 || warm < most && clock::now().saturating_sub(begin) as f64 * rate.seconds() < WARM {
        let before = clock::now();
        session.step()?;
        quickest = quickest.min(clock::now().saturating_sub(before) as f64 * rate.seconds());
        warm += 1;
    }
    let steps = steps.unwrap_or(((SECONDS / 2.0 / quickest.max(1e-9)) as u64).clamp(FEWEST, 10_000_000));
    let each = steps.div_ceil(ROUNDS);
    let parts = session.engine.step.machine.compiled().interface().parts.len();
    // The whole of these is what is around gathering and the parts.
    let mut least = Spent { whole: u64::MAX, gather: u64::MAX, parts: vec![u64::MAX; parts] };
    let (mut plain, mut done, mut forks) = (u64::MAX, 0, 0);
    while done < steps {
        let before = clock::now();
        for _ in 0..each {
            session.step()?;
        }
        plain = plain.min(clock::now().saturating_sub(before));
        let mut spent = Spent { parts: vec![0; parts], ..Spent::default() };
        let before = codegen::forks();
        for _ in 0..each {
            session.profile_step(&mut spent)?;
        }
        forks += codegen::forks() - before;
        done += each;
        let around = spent.whole.saturating_sub(spent.gather + spent.parts.iter().sum::<u64>());
        least.whole = least.whole.min(around);
        least.gather = least.gather.min(spent.gather);
        least.parts.iter_mut().zip(spent.parts).for_each(|(least, spent)| *least = (*least).min(spent));
    }
    let (own, tick) = (clock::own() * each, rate.seconds() / each as f64);
    let seconds = |ticks: u64, readings: u64| ticks.saturating_sub(own * readings) as f64 * tick;
    Ok(Profile {
        steps: done,
        plain: seconds(plain, 0),
        gather: seconds(least.gather, 1),
        parts: least.parts.iter().map(|ticks| seconds(*ticks, 1)).collect(),
        driver: seconds(least.whole, READINGS),
        forks: forks as f64 / done as f64,
    })
}
