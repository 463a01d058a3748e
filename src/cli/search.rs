//! `dlc run FILE` of a program with `search`: one run for each setting, and which was the best.

use super::failure::Failure;
use super::keep;
use super::load::{Loaded, load_trainable};
use super::options::{Run, Source};
use super::print;
use super::run::{failure, interrupted, note};
use crate::check::typed::Search;
use crate::data::FloatType;
use crate::ir::Tensor;
use crate::runtime::memory::ProcessClock;
use crate::train::record::{Folder, Keeper, Keeping, Outcome, Plan, Stood, Trial, Trials, shown};
use crate::train::{self, Ended, Reporter, Request, RunError, Setting, Settings};
use serde_json::{Value, json};

/// What a search is made from.
pub struct Asked {
    pub source: Source,
    pub settings: Settings,
    pub loaded: Loaded,
    /// Tensors that every run starts from, by path.
    pub init: Vec<(String, Tensor)>,
}

/// Runs a search from its first setting.
pub fn begin(options: &Run, clock: &ProcessClock, asked: Asked, plan: Option<Plan>) -> Result<(), Failure> {
    let kept = match plan {
        Some(plan) => Some(Trials::create(&plan, &asked.init)?),
        None => None,
    };
    Desk { options, clock, asked: &asked, kept }.search()
}

/// Goes on with the search of a folder: runs that have ended count as they were.
pub fn resume(options: &Run, clock: &ProcessClock, asked: Asked, folder: Folder) -> Result<(), Failure> {
    let kept = Some(Trials::resume(folder)?);
    Desk { options, clock, asked: &asked, kept }.search()
}

/// What all runs of a search share.
struct Desk<'a> {
    options: &'a Run,
    clock: &'a ProcessClock,
    asked: &'a Asked,
    kept: Option<Trials>,
}

/// The best so far.
struct Best {
    number: u64,
    setting: Setting,
    value: f64,
}

impl Desk<'_> {
    /// Runs the program with each setting, checked as if it were given by `--set`.
    fn search(mut self) -> Result<(), Failure> {
        let Some(search) = &self.asked.loaded.program.search else { return Ok(()) };
        let tried = train::settings(search, self.asked.settings.seed, &self.asked.source.set);
        let of = tried.len() as u64;
        let mut best: Option<Best> = None;
        for (number, setting) in (1..).zip(tried) {
            let known = self.kept.as_ref().and_then(|kept| kept.outcome(number));
            let outcome = match known {
                Some(outcome) => outcome,
                None => self.run(number, of, &setting)?,
            };
            let value = match &outcome {
                Outcome::Measured(results) => {
                    results.get(&search.part).map_or(f64::NAN, |metrics| metrics.number(&search.metric))
                }
                Outcome::Diverged => f64::NAN,
            };
            let better = |known: f64| if search.grows { value > known } else { value < known };
            let is_best = !value.is_nan() && best.as_ref().is_none_or(|best| better(best.value));
            let trial = Trial { number, of, setting: &setting, outcome: &outcome };
            if let Some(kept) = &mut self.kept {
                kept.add(&trial, is_best)?;
            }
            self.tell(search, &trial, value)?;
            if is_best {
                best = Some(Best { number, setting, value });
            }
            if let Some(kept) = &self.kept {
                let ended = if number == of { "finished" } else { "unfinished" };
                kept.summary(&json!({ "ended": ended, "trials": number, "of": of, "best": found(search, &best) }))?;
            }
        }
        let Some(best) = best else { return Err(Failure::message("no setting gave a number to choose by")) };
        if self.options.json {
            let event = json!({ "event": "search", "part": search.part, "metric": search.metric, "value": best.value,
                "trial": best.number, "set": shown(&best.setting) });
            print(&format!("{event}\n"))?;
        } else {
            let Best { setting, value, .. } = &best;
            print(&format!("best: {}  {} {} {value:.6}\n", flags(setting), search.part, search.metric))?;
            if let Some(kept) = &self.kept {
                note(&format!("kept in {}", kept.folder().path().display()));
            }
        }
        Ok(())
    }

    /// One run of the search, from its first step or from where it stood.
    fn run(&self, number: u64, of: u64, setting: &Setting) -> Result<Outcome, Failure> {
        let Asked { source, settings, init, .. } = self.asked;
        if !self.options.json {
            note(&format!("trial {number} of {of}: {}", flags(setting)));
        }
        let mut source = source.clone();
        source.set.extend(setting.iter().cloned());
        let (loaded, stood, keeping) = match self.kept.as_ref().map(|kept| kept.folder()) {
            None => (self.load(&source)?, Stood::default(), Keeping::Nothing),
            Some(within) if within.trial(number).is_saved() => {
                let kept = keep::kept(within.trial(number), self.options)?;
                let (stood, keeping) = keep::standing(&kept, self.options)?;
                (kept.loaded, stood, keeping)
            }
            Some(within) => {
                let loaded = self.load(&source)?;
                let plan = keep::trial(self.options, within, number, &source, &loaded, settings)?;
                (loaded, Stood::default(), Keeping::New(Box::new(plan)))
            }
        };
        let Loaded { files, program, tables, .. } = loaded;
        let request = Request {
            file: source.file.display().to_string(),
            init: init.clone(),
            settings: settings.clone(),
            max_steps: self.options.max_steps,
            clock: self.clock,
            interrupted: interrupted(),
        };
        let mut reporter = Reporter::quiet();
        let mut keeper = Keeper::new(keeping);
        match train::run(&program, &tables, &request, stood, &mut keeper, &mut reporter) {
            Ok(Ended::Finished) => {
                let results = reporter.results().cloned().unwrap_or_default();
                // As they are found when the search goes on later.
                let kept = self.kept.as_ref().and_then(|kept| kept.outcome(number));
                Ok(kept.unwrap_or(Outcome::Measured(results)))
            }
            Ok(Ended::Interrupted { steps, part }) => {
                let run = part.map_or(String::new(), |part| format!(" of {}", part.shown()));
                let then = match &self.kept {
                    Some(kept) => format!("go on by: dlc run --resume {}", kept.folder().path().display()),
                    None => "nothing was kept".to_owned(),
                };
                let text = format!("interrupted in trial {number} of {of} after {steps} steps{run}; {then}");
                Err(Failure::Interrupted(text))
            }
            Err(RunError::Diverged(_)) => Ok(Outcome::Diverged),
            Err(error) => Err(failure(error, files)),
        }
    }

    fn load(&self, source: &Source) -> Result<Loaded, Failure> {
        load_trainable(source, FloatType::of(self.asked.settings.dtype))
    }

    fn tell(&self, search: &Search, trial: &Trial, value: f64) -> Result<(), Failure> {
        let Trial { number, of, setting, outcome } = trial;
        if self.options.json {
            let mut event = json!({ "event": "trial", "number": number, "of": of, "set": shown(setting) });
            match outcome {
                Outcome::Measured(results) => event["metrics"] = json!(results),
                Outcome::Diverged => event["diverged"] = json!(true),
            }
            return print(&format!("{event}\n"));
        }
        print(&match outcome {
            Outcome::Measured(_) => format!("{}  {} {} {value:.6}\n", flags(setting), search.part, search.metric),
            Outcome::Diverged => format!("{}  diverged\n", flags(setting)),
        })
    }
}

/// The best run, as the summary of a search says it.
fn found(search: &Search, best: &Option<Best>) -> Value {
    match best {
        Some(Best { number, setting, value }) => json!({ "trial": number, "set": shown(setting),
            "part": search.part, "metric": search.metric, "value": value }),
        None => Value::Null,
    }
}

/// A setting as the command line takes it.
fn flags(setting: &[(String, f64)]) -> String {
    setting.iter().map(|(name, value)| format!("--set {name}={value}")).collect::<Vec<_>>().join(" ")
}
