//! `dlc run FILE` of a program with `search`: one run for each setting, and which was the best.

use super::failure::Failure;
use super::load::{Loaded, load_trainable};
use super::options::{Run, Source};
use super::print;
use super::run::{failure, interrupted};
use crate::check::typed::Search;
use crate::data::FloatType;
use crate::runtime::memory::ProcessClock;
use crate::train::record::{Keeper, Keeping};
use crate::train::{self, Ended, Reporter, Request, Setting, Settings};
use serde_json::json;

/// Runs the program with each setting, checked as if it were given by `--set`; nothing of the runs is kept.
pub fn execute(
    options: &Run,
    clock: &ProcessClock,
    source: &Source,
    search: &Search,
    settings: &Settings,
) -> Result<(), Failure> {
    let tried = train::settings(search, settings.seed, &source.set);
    let of = tried.len();
    let mut best: Option<(Setting, f64)> = None;
    for (k, setting) in tried.into_iter().enumerate() {
        let mut source = source.clone();
        source.set.extend(setting.iter().cloned());
        let Loaded { files, program, tables, .. } = load_trainable(&source, FloatType::of(settings.dtype))?;
        let request = Request {
            file: source.file.display().to_string(),
            init: Vec::new(),
            settings: settings.clone(),
            max_steps: options.max_steps,
            clock,
            interrupted: interrupted(),
        };
        let mut reporter = Reporter::quiet();
        let mut keeper = Keeper::new(Keeping::Nothing);
        let ended = train::run(&program, &tables, &request, None, &mut keeper, &mut reporter);
        if let Ended::Interrupted { .. } = ended.map_err(|e| failure(e, files))? {
            return Err(Failure::Interrupted(format!("interrupted after {k} of {of} settings")));
        }
        let results = reporter.results().cloned().unwrap_or_default();
        let value = results.get(&search.part).map_or(f64::NAN, |metrics| metrics.number(&search.metric));
        let object: serde_json::Map<String, serde_json::Value> =
            setting.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let better = |best: f64| if search.grows { value > best } else { value < best };
        if !value.is_nan() && best.as_ref().is_none_or(|(_, known)| better(*known)) {
            best = Some((setting.clone(), value));
        }
        if options.json {
            let trial = json!({ "event": "trial", "number": k + 1, "of": of, "set": object, "metrics": results });
            print(&format!("{trial}\n"))?;
        } else {
            print(&format!("{}  {} {} {value:.6}\n", shown(&setting), search.part, search.metric))?;
        }
    }
    let (setting, value) = best.ok_or_else(|| Failure::message("no setting gave a number to choose by"))?;
    if options.json {
        let object: serde_json::Map<String, serde_json::Value> =
            setting.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let found =
            json!({ "event": "search", "part": search.part, "metric": search.metric, "value": value, "set": object });
        return print(&format!("{found}\n"));
    }
    print(&format!("best: {}  {} {} {value:.6}\n", shown(&setting), search.part, search.metric))
}

/// A setting as the command line takes it.
fn shown(setting: &Setting) -> String {
    setting.iter().map(|(name, value)| format!("--set {name}={value}")).collect::<Vec<_>>().join(" ")
}
