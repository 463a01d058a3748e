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
    /// Steps that were timed by parts; as many were timed as they are.
    pub steps: u64,
    /// A step as it is, without clocks in it.
    pub plain: f64,
    /// A step with its parts timed; what the clock itself takes is left out.
    pub whole: f64,
    pub gather: f64,
    pub parts: Vec<f64>,
    /// How many times a step shares work among threads.
    pub forks: f64,
}

impl Profile {
    /// What is neither gathering nor a part: numbering the step, calling its parts, looking at its losses, keeping copies
    /// of parameters now and then.
    pub fn driver(&self) -> f64 {
        self.whole - self.gather - self.parts.iter().sum::<f64>()
    }
}

/// Rounds that the steps are timed in; the quickest counts, since others may be using the machine.
const ROUNDS: u64 = 10;
/// Seconds of stepping, if the number of steps is not given.
const SECONDS: f64 = 0.5;
/// Seconds of stepping before anything is timed.
const WARM: f64 = 0.05;

/// Times steps of a session, in rounds of plain steps and steps with clocks in turn.
pub fn profile(session: &mut Session, steps: Option<u64>) -> Result<Profile, RunError> {
    let rate = clock::Rate::start();
    let begin = clock::now();
    let (mut warm, mut least) = (0u64, f64::INFINITY);
    let most = steps.unwrap_or(u64::MAX);
    while warm < 5 || warm < most && clock::now().saturating_sub(begin) as f64 * rate.seconds() < WARM {
        let before = clock::now();
        session.step()?;
        least = least.min(clock::now().saturating_sub(before) as f64 * rate.seconds());
        warm += 1;
    }
    let steps = steps.unwrap_or(((SECONDS / 2.0 / least.max(1e-9)) as u64).clamp(ROUNDS, 10_000_000));
    let each = steps.div_ceil(ROUNDS);
    let parts = session.engine.step.machine.compiled().interface().parts.len();
    let (mut plain, mut best) = (u64::MAX, None::<Spent>);
    let (mut done, mut forks) = (0, 0);
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
        if best.as_ref().is_none_or(|b| spent.whole < b.whole) {
            best = Some(spent);
        }
    }
    let spent = best.unwrap_or_default();
    let (own, tick) = (clock::own() * each, rate.seconds() / each as f64);
    let seconds = |ticks: u64| ticks.saturating_sub(own) as f64 * tick;
    // The clock is read once for each part, and for gathering and the whole once more each.
    let clocks = own * (parts as u64 + 3);
    let gather = seconds(spent.gather);
    let parts: Vec<f64> = spent.parts.iter().map(|ticks| seconds(*ticks)).collect();
    let whole = (spent.whole.saturating_sub(clocks) as f64 * tick).max(gather + parts.iter().sum::<f64>());
    Ok(Profile { steps: done, plain: plain as f64 * tick, whole, gather, parts, forks: forks as f64 / done as f64 })
}
