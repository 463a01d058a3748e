//! The folder of a run: its name, and where everything in it stands.
//!
//! ```text
//! runs/digits/model.dl            the program as it was, and the modules it uses
//!             config.json         settings, constants, versions, the data's sizes and checksums
//!             metrics.csv, .jsonl a row for each evaluation
//!             init.safetensors    the tensors it starts from, if they are given
//!             last.safetensors    everything needed to go on
//!             best.safetensors    the parameters to use
//!             fold-1.safetensors, member-1.safetensors, …
//!                                 of several runs, each: everything needed to go on, and at its end the parameters
//!             summary.json        how the run ended
//! runs/search/trials.csv          of a search: a row for each setting, with what it has come to
//!             trial-1/, …         its runs
//! ```
//! Invariant: a folder that exists is never taken for another run unless that is asked for, and then only what a run writes
//! is removed from it.

use super::config::Config;
use crate::data::describe;
use crate::source::{Diagnostic, closest, codes};
use crate::train::division::Part;
use crate::train::event::RunKind;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A run's folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// What becomes of a folder of the wanted name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Naming {
    /// `stem`, `stem-2`, `stem-3`, …: the one after the last there is.
    Next(String),
    /// This name, which must be free.
    New(String),
    /// This name, removing the run that has it.
    Replace(String),
    /// This name in the folder of a run that no other works in.
    Within(String),
}

const WRITTEN: [&str; 8] = [
    "config.json",
    "metrics.csv",
    "metrics.jsonl",
    "trials.csv",
    "init.safetensors",
    "last.safetensors",
    "best.safetensors",
    "summary.json",
];

impl Folder {
    /// Makes the folder of a new run.
    pub fn create(runs: &Path, naming: &Naming) -> Result<Folder, Diagnostic> {
        fs::create_dir_all(runs).map_err(|e| unwritable(runs, &e))?;
        match naming {
            Naming::Next(stem) => {
                let mut number = numbers(runs, stem).into_iter().max().map_or(1, |n| n.saturating_add(1));
                loop {
                    let path = runs.join(numbered(stem, number));
                    match fs::create_dir(&path) {
                        Ok(()) => return Ok(Folder { path }),
                        // Another run was faster.
                        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
                        Err(e) => return Err(unwritable(&path, &e)),
                    }
                }
            }
            Naming::New(name) => {
                let path = runs.join(checked(name)?);
                match fs::create_dir(&path) {
                    Ok(()) => Ok(Folder { path }),
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                        let message = format!("there is a run {} already", path.display());
                        Err(Diagnostic::new(codes::RUN_EXISTS, message)
                            .help("go on with it by `--resume`, or remove it by `--overwrite`, or take another name"))
                    }
                    Err(e) => Err(unwritable(&path, &e)),
                }
            }
            Naming::Within(name) => {
                let path = runs.join(name);
                fs::create_dir_all(&path).map_err(|e| unwritable(&path, &e))?;
                let folder = Folder { path };
                folder.sweep();
                Ok(folder)
            }
            Naming::Replace(name) => {
                let path = runs.join(checked(name)?);
                match fs::create_dir(&path) {
                    Ok(()) => Ok(Folder { path }),
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                        let folder = Folder { path };
                        folder.clear()?;
                        Ok(folder)
                    }
                    Err(e) => Err(unwritable(&path, &e)),
                }
            }
        }
    }

    /// The folder of a run there is: the folder itself or a file in it.
    pub fn open(path: &Path) -> Result<Folder, Diagnostic> {
        let inside = if path.is_file() { path.parent() } else { None };
        let folder = Folder { path: inside.unwrap_or(path).to_path_buf() };
        if folder.config_path().is_file() {
            return Ok(folder);
        }
        let message = format!("{} is not the folder of a run", path.display());
        let error = Diagnostic::new(codes::NO_SUCH_RUN, message);
        let runs = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let known = names(runs);
        let wanted = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        Err(match closest(wanted, known.iter().map(String::as_str)) {
            Some(near) if near != wanted => error.help(format!("did you mean `{}`?", runs.join(near).display())),
            _ if path.extension().is_some_and(|e| e == "dl") && path.is_file() => {
                error.help(format!("this is a program; `dlc run {}` trains it and names the folder", path.display()))
            }
            _ if let Some(run) = Folder::some_run(path) => {
                error.help(format!("it holds runs; name one of them, such as `{}`", run.display()))
            }
            _ if path.exists() => error.help("a run's folder holds `config.json`"),
            _ => error.help("there is no such folder; `dlc run FILE` makes one in `runs`"),
        })
    }

    /// The last of the runs that a folder holds.
    fn some_run(runs: &Path) -> Option<PathBuf> {
        names(runs).into_iter().rev().map(|name| runs.join(name)).find(|run| run.join("config.json").is_file())
    }

    /// The run of a program that began last.
    pub fn newest(runs: &Path, program: &Path) -> Result<Folder, Diagnostic> {
        let wanted = fs::canonicalize(program).ok();
        let of_program = names(runs).into_iter().filter_map(|name| {
            let folder = Folder { path: runs.join(&name) };
            let config = Config::read(&folder).ok()?;
            let original = fs::canonicalize(config.original(&folder)).ok();
            (original.is_some() && original == wanted).then_some((config.began, number(&name), folder))
        });
        let newest = of_program.max_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        newest.map(|(_, _, folder)| folder).ok_or_else(|| {
            let message = format!("{} holds no run of {}", runs.display(), program.display());
            Diagnostic::new(codes::NO_SUCH_RUN, message).help("name the run: `--resume runs/NAME`")
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn config_path(&self) -> PathBuf {
        self.path.join("config.json")
    }

    pub fn last(&self) -> PathBuf {
        self.path.join("last.safetensors")
    }

    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    pub fn init(&self) -> PathBuf {
        self.path.join("init.safetensors")
    }

    pub fn trials(&self) -> PathBuf {
        self.path.join("trials.csv")
    }

    /// The folder of one run of a search.
    pub fn trial(&self, number: u64) -> Folder {
        Folder { path: self.path.join(trial_name(number)) }
    }

    /// The checkpoint of a fold or of a member.
    pub fn part(&self, part: Part) -> PathBuf {
        self.path.join(format!("{}-{}.safetensors", part.kind().name(), part.number + 1))
    }

    /// The checkpoints of folds or members that there are, by number.
    pub fn parts(&self) -> BTreeMap<u64, PathBuf> {
        let kinds = [RunKind::Fold, RunKind::Member].map(RunKind::name);
        let number = |name: &String| {
            let (kind, number) = name.strip_suffix(".safetensors")?.split_once('-')?;
            if kinds.contains(&kind) { number.parse::<u64>().ok() } else { None }
        };
        let all = names(&self.path).into_iter();
        all.filter_map(|name| Some((number(&name)?, self.path.join(&name)))).collect()
    }

    /// Whether a run stands here that can go on; one that was never saved begins anew.
    pub fn is_saved(&self) -> bool {
        self.last().exists() || !self.parts().is_empty()
    }

    /// The numbers of the runs of a search that there are.
    fn trial_numbers(&self) -> impl Iterator<Item = u64> {
        let all = names(&self.path).into_iter();
        all.filter_map(|name| name.strip_prefix(TRIAL).and_then(|number| number.parse::<u64>().ok()))
    }

    /// The checkpoint whose parameters another run can start from, if there is one.
    pub fn start(&self) -> Option<PathBuf> {
        [self.best(), self.last()].into_iter().find(|path| path.is_file())
    }

    pub fn metrics(&self, extension: &str) -> PathBuf {
        self.path.join("metrics").with_extension(extension)
    }

    pub fn summary(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// Keeps other processes from going on with the run, until what is given is dropped or the process ends.
    pub(super) fn lock(&self) -> Result<fs::File, Diagnostic> {
        let path = self.config_path();
        let file = fs::File::open(&path).map_err(|e| unwritable(&path, &e))?;
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => {
                let message = format!("another process goes on with the run {}", self.path.display());
                Err(Diagnostic::new(codes::RUN_EXISTS, message))
            }
            // Not every file system can lock; runs are kept there all the same.
            _ => Ok(file),
        }
    }

    /// Removes what a process has left that was killed while it wrote, and the summary of an end that is none any more.
    pub(super) fn sweep(&self) {
        for name in names(&self.path) {
            if name.ends_with(".partial") || name == "summary.json" {
                // What stays does no harm.
                let _ = fs::remove_file(self.path.join(name));
            }
        }
    }

    /// Removes what a run has written; files that others put here stay.
    fn clear(&self) -> Result<(), Diagnostic> {
        let Ok(config) = Config::read(self) else {
            let message = format!("{} is not the folder of a run, so nothing in it is removed", self.path.display());
            return Err(Diagnostic::new(codes::RUN_EXISTS, message).help("take another name"));
        };
        let _lock = self.lock()?;
        for number in self.trial_numbers() {
            let trial = self.trial(number);
            if trial.config_path().exists() {
                trial.clear()?;
            }
            // It stays if others have put something there.
            let _ = fs::remove_dir(trial.path());
        }
        for path in self.parts().values() {
            fs::remove_file(path).map_err(|e| unwritable(path, &e))?;
        }
        let sources = config.identity.sources.iter().map(|s| s.path.as_str()).filter(|path| is_inside(path));
        // The configuration goes last: what is left by an interruption is still known as a run.
        for file in sources.chain(WRITTEN.into_iter().rev()) {
            let path = self.path.join(file);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(unwritable(&path, &e)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Before the number of a run of a search.
const TRIAL: &str = "trial-";

/// The name of the folder of one run of a search.
pub(super) fn trial_name(number: u64) -> String {
    format!("{TRIAL}{number}")
}

/// Whether a relative path stays in the folder it is relative to.
pub(super) fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// The error of writing something of a run.
pub(super) fn unwritable(path: &Path, error: &io::Error) -> Diagnostic {
    let message = format!("{} cannot be written: {}", path.display(), describe(error));
    Diagnostic::new(codes::UNWRITABLE_FILE, message)
        .help("`--runs DIR` keeps runs elsewhere, `--no-save` keeps nothing")
}

fn checked(name: &str) -> Result<&str, Diagnostic> {
    if is_inside(name) && Path::new(name).components().count() == 1 && !name.contains(['/', '\\']) {
        return Ok(name);
    }
    let message = format!("a run cannot be called `{name}`");
    Err(Diagnostic::new(codes::RUN_EXISTS, message)
        .help("take a name without slashes; `--runs DIR` says where runs are"))
}

fn numbered(stem: &str, number: u64) -> String {
    if number <= 1 { stem.to_owned() } else { format!("{stem}-{number}") }
}

/// The number at the end of a name; 1 without one.
fn number(name: &str) -> u64 {
    name.rsplit_once('-').and_then(|(_, n)| n.parse().ok()).unwrap_or(1)
}

/// Names of everything in a folder, in order.
fn names(runs: &Path) -> Vec<String> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The numbers that runs of this stem have.
fn numbers(runs: &Path, stem: &str) -> Vec<u64> {
    let of = |name: &String| {
        let rest = name.strip_prefix(stem)?;
        if rest.is_empty() { Some(1) } else { rest.strip_prefix('-')?.parse().ok() }
    };
    names(runs).iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(runs: &Path) -> String {
        let folder = Folder::create(runs, &Naming::Next("digits".into())).unwrap();
        folder.path().file_name().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn names_go_on_after_the_last() {
        let home = tempfile::tempdir().unwrap();
        let runs = home.path().join("deep/runs");
        assert_eq!([next(&runs), next(&runs), next(&runs)], ["digits", "digits-2", "digits-3"]);
        fs::remove_dir(runs.join("digits-2")).unwrap();
        fs::create_dir(runs.join("digits-again")).unwrap();
        fs::write(runs.join("digits-7"), "a file in the way").unwrap();
        assert_eq!(next(&runs), "digits-8");
    }

    #[test]
    fn a_name_in_use_is_refused_and_only_a_run_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let create = |naming| Folder::create(home.path(), &naming);
        create(Naming::New("mine".into())).unwrap();
        let error = create(Naming::New("mine".into())).unwrap_err();
        assert_eq!(error.code, codes::RUN_EXISTS);
        fs::write(home.path().join("mine/thesis.tex"), "years of work").unwrap();
        assert_eq!(create(Naming::Replace("mine".into())).unwrap_err().code, codes::RUN_EXISTS);
        assert!(home.path().join("mine/thesis.tex").exists());
        for name in ["", ".", "..", "a/b", "/tmp", "a\\b"] {
            assert!(create(Naming::New(name.into())).is_err(), "{name}");
            assert!(create(Naming::Replace(name.into())).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_no_run_is_told() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("digits")).unwrap();
        let error = Folder::open(&home.path().join("digit")).unwrap_err();
        assert!(error.help.unwrap().ends_with("digits`?"));
        assert_eq!(Folder::open(home.path()).unwrap_err().help.unwrap(), "a run's folder holds `config.json`");
    }
}
