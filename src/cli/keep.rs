//! Keeping runs, as the command line asks for it: what identifies a run, where its folder is, taking one up again, and using
//! what it has trained.

use super::failure::Failure;
use super::load::{Loaded, load_encoded, load_trainable};
use super::options::{Compile, Precision, Run, Source, Start, Threads};
use super::run::settings;
use crate::check::{self, typed::Program};
use crate::data::{FloatType, Table};
use crate::ir::{DType, Tensor};
use crate::source::{Diagnostic, codes};
use crate::train::record::{
    About, Config, Encoded, Folder, Identity, Keeping, Naming, Plan, Stamp, Standing, Stood, Trials, best_trial,
    checksum_of, first_difference, init, layout, stamp, stamp_text, utc,
};
use crate::train::{self, Settings};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds between saves unless others are asked for.
pub const EVERY: f64 = 30.0;

/// How a new run, or a new search, is to be kept; `None`: not at all.
pub fn plan(options: &Run, source: &Source, loaded: &Loaded, settings: &Settings) -> Result<Option<Plan>, Failure> {
    if options.no_save {
        return Ok(None);
    }
    let stem = source.file.file_stem().map_or("run".to_owned(), |s| s.to_string_lossy().into_owned());
    let naming = match &options.name {
        None => Naming::Next(stem),
        Some(name) if options.overwrite => Naming::Replace(name.clone()),
        Some(name) => Naming::New(name.clone()),
    };
    let (identity, sources) = identity(source, loaded, settings)?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let config = Config {
        began: utc(seconds),
        file: source.file.display().to_string(),
        directory: String::new(),
        threads: settings.threads,
        init: options.start.init.as_ref().map(|path| path.display().to_string()),
        trial: None,
        constants: loaded.program.constants.iter().map(|c| (c.name.clone(), c.value.into())).collect(),
        identity,
    };
    let directory = source.directory().to_path_buf();
    let every = every(options);
    Ok(Some(Plan { runs: options.runs.clone(), naming, config, sources, directory, every }))
}

/// How a run of a search is to be kept, in the folder of the search.
pub fn trial(
    options: &Run,
    within: &Folder,
    number: u64,
    source: &Source,
    loaded: &Loaded,
    settings: &Settings,
) -> Result<Plan, Failure> {
    let start = Start { init: None, ..options.start };
    let options = Run { no_save: false, start, runs: within.path().to_path_buf(), ..options.clone() };
    let plan = plan(&options, source, loaded, settings)?.ok_or_else(|| Failure::message("this run is not kept"))?;
    let config = Config { trial: Some(number), ..plan.config };
    Ok(Plan { naming: Trials::naming(number), config, ..plan })
}

/// The time between saves that is asked for.
fn every(options: &Run) -> Duration {
    Duration::try_from_secs_f64(options.save_every).unwrap_or(Duration::MAX)
}

/// What decides the numbers of a run, and the texts of its program by their paths in a run's folder.
pub fn identity(
    source: &Source,
    loaded: &Loaded,
    settings: &Settings,
) -> Result<(Identity, Vec<(String, String)>), Failure> {
    let files = loaded.sources();
    let paths: Vec<PathBuf> = files.iter().map(|file| loaded.files.path(*file).to_path_buf()).collect();
    let texts = files.iter().map(|file| loaded.files.text(*file).to_owned());
    let sources: Vec<(String, String)> = layout(&paths).into_iter().zip(texts).collect();
    let directory = source.directory();
    let mut data = BTreeMap::new();
    for (name, files) in &loaded.data_files {
        let stamps: Result<Vec<Stamp>, Diagnostic> = files
            .iter()
            .map(|path| stamp(path, path.strip_prefix(directory).unwrap_or(path).display().to_string()))
            .collect();
        data.insert(name.clone(), stamps?);
    }
    let identity = Identity {
        dlc: env!("CARGO_PKG_VERSION").to_owned(),
        sources: sources.iter().map(|(path, text)| stamp_text(path, text)).collect(),
        library: checksum_of(check::LIBRARY.iter().map(|(_, text)| *text)),
        set: source.set.iter().map(|(name, value)| (name.clone(), value.to_string())).collect(),
        seed: settings.seed,
        dtype: if settings.dtype == DType::F64 { "f64" } else { "f32" }.to_owned(),
        off: settings.off.iter().cloned().collect(),
        data,
    };
    Ok((identity, sources))
}

/// A run there is, with its program read again as it was kept.
pub struct Kept {
    pub folder: Folder,
    pub config: Config,
    pub source: Source,
    pub settings: Settings,
    pub loaded: Loaded,
}

impl Kept {
    /// Reads a run's settings and its program, and its data unless its encoding is enough. Of a checkpoint, its identity holds:
    /// the best run of a search has set constants that the search has not.
    fn read(folder: Folder, threads: Threads, checkpoint: Option<&About>, data: bool) -> Result<Kept, Failure> {
        let config = Config::read(&folder)?;
        let Identity { set, seed, dtype, off, .. } = checkpoint.map_or(&config.identity, |about| &about.identity);
        let damaged = |what: &str| {
            let message = format!("{} does not hold the settings of a run: {what}", folder.config_path().display());
            Diagnostic::new(codes::NO_SUCH_RUN, message)
        };
        let file = config.program(&folder).ok_or_else(|| damaged("it names no program"))?;
        let mut source = Source { file, set: Vec::new(), data: Some(config.data_directory(&folder)) };
        for (name, value) in set {
            let value: f64 = value.parse().map_err(|_| damaged(&format!("`{value}` is not a number")))?;
            source.set.push((name.clone(), value));
        }
        let dtype = if dtype == "f64" { Precision::F64 } else { Precision::F32 };
        let settings = settings(&Compile { off: Some(off.clone()), ..Compile::new(dtype, threads) }, *seed)?;
        let loaded = match checkpoint {
            Some(about) if !data => load_encoded(&source, &about.data)?,
            _ => load_trainable(&source, FloatType::of(settings.dtype))?,
        };
        Ok(Kept { folder, config, source, settings, loaded })
    }

    /// What decides the numbers of the run as it would be now.
    fn identity(&self) -> Result<Identity, Failure> {
        Ok(identity(&self.source, &self.loaded, &self.settings)?.0)
    }

    /// Whether it is a search, and not one of its runs.
    pub fn is_search(&self) -> bool {
        self.loaded.program.search.is_some() && self.config.trial.is_none()
    }
}

/// What a run has trained: one model, or one for each fold or member.
pub struct Trained {
    pub folder: Folder,
    pub settings: Settings,
    pub loaded: Loaded,
    pub models: Vec<train::Trained>,
    /// How the columns of each data set became numbers.
    pub data: BTreeMap<String, Encoded>,
}

/// The best parameters of a run, or those of a checkpoint in its folder; its data is not read.
pub fn trained(path: &Path, threads: Threads) -> Result<Trained, Failure> {
    use_of(path, threads, false)
}

/// As [`trained`], with the data of the run.
pub fn trained_with_data(path: &Path, threads: Threads) -> Result<Trained, Failure> {
    use_of(path, threads, true)
}

fn use_of(path: &Path, threads: Threads, with_data: bool) -> Result<Trained, Failure> {
    let (folder, standings) = checkpoints(path)?;
    let Some(first) = standings.first() else {
        let message = format!("the run {} has not been saved yet", folder.path().display());
        return Err(Diagnostic::new(codes::NO_SUCH_RUN, message).into());
    };
    let kept = Kept::read(folder, threads, Some(&first.about), with_data)?;
    let mut now = kept.identity()?;
    if !with_data {
        // What is not read cannot have changed.
        now.data = first.about.identity.data.clone();
    }
    let data = first.about.data.clone();
    let repetition = kept.loaded.program.train.as_ref().and_then(|t| t.repetition);
    if let (Some(repetition), false) = (repetition, path.is_file())
        && (standings.len() as u64) < repetition.count()
    {
        let (run, there, all) = (kept.folder.path().display(), standings.len(), repetition.count());
        let message = format!("the run {run} has trained {there} of {all} models so far");
        let help = format!("go on with it by `dlc run --resume {run}`, or name the checkpoint of one");
        return Err(Diagnostic::new(codes::NO_SUCH_RUN, message).help(help).into());
    }
    let mut models = Vec::new();
    for standing in standings {
        changed(&kept.folder, "be used", &standing.about.identity.changes(&now))?;
        let number = standing.about.part.and_then(|number| number.checked_sub(1));
        let part = repetition.and_then(|repetition| Some(train::Part { repetition, number: number? }));
        models.push(train::Trained { progress: standing.about.progress.clone(), part, weights: standing.weights() });
    }
    let Kept { folder, settings, loaded, .. } = kept;
    Ok(Trained { folder, settings, loaded, models, data })
}

/// The checkpoints that are meant: the file itself, or of a folder the best, or those of all folds or members.
fn checkpoints(path: &Path) -> Result<(Folder, Vec<Standing>), Failure> {
    let folder = Folder::open(path)?;
    if path.is_file() {
        return Ok((folder, vec![Standing::read(path)?]));
    }
    if folder.trials().exists() {
        let Some(best) = best_trial(&folder) else {
            let message = format!("no run of the search {} has come to its end yet", folder.path().display());
            return Err(Diagnostic::new(codes::NO_SUCH_RUN, message).into());
        };
        return checkpoints(folder.trial(best).path());
    }
    if folder.best().exists() {
        let standing = Standing::read(&folder.best())?;
        return Ok((folder, vec![standing]));
    }
    let Stood { last, parts } = Stood::read(&folder)?;
    Ok((folder, last.into_iter().chain(parts.into_values()).collect()))
}

/// The name of the data set that a phase trains on.
pub fn training_data(program: &Program, phase: usize) -> Result<String, Failure> {
    let train = program.train.as_ref().and_then(|t| t.phases.get(phase));
    let train = train.ok_or_else(|| Failure::message("the run's program has no such phase"))?;
    let on = train.on.ok_or_else(|| {
        let message = "the run's last phase has no data, so there is nothing to measure on other rows";
        Failure::from(Diagnostic::new(codes::NOT_ALLOWED_HERE, message).help("leave `--data` out"))
    })?;
    Ok(program.data_set(on.data).name.clone())
}

/// Fails if a column of further data is used as an index and points nowhere.
pub fn fits(program: &Program, name: &str, table: &Table) -> Result<(), Failure> {
    for requirement in program.train.iter().flat_map(|t| &t.phases).flat_map(|p| &p.requirements) {
        let size = usize::try_from(requirement.size).unwrap_or(usize::MAX);
        match table.column(&requirement.column) {
            Ok(column) if program.data_set(requirement.data).name == name => {
                column.check_index_range(size).map_err(|e| Failure::data(&e))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Fails if there are changes, for which the run cannot be what is wanted of it.
fn changed(folder: &Folder, wanted: &str, changes: &[String]) -> Result<(), Failure> {
    let Some((first, rest)) = changes.split_first() else { return Ok(()) };
    let message = format!("the run {} cannot {wanted}: {first}", folder.path().display());
    let mut error = Diagnostic::new(codes::RUN_CHANGED, message);
    for change in rest {
        error = error.note(change.clone());
    }
    Err(error
        .help(match folder.start() {
            Some(start) => {
                format!("begin a new run; `--init {}` starts it from the parameters of this one", start.display())
            }
            None => "begin a new run".to_owned(),
        })
        .into())
}

/// The run to go on with.
pub fn resumed(options: &Run, named: Option<&Path>) -> Result<Kept, Failure> {
    // `dlc run --resume model.dl` means the newest run of the program, as `dlc run model.dl --resume` does.
    let program = |path: &&Path| path.extension().is_some_and(|e| e == "dl") && path.is_file();
    let file = options.file.as_deref().or(named.filter(program));
    let folder = match (named.filter(|path| !program(path)), file) {
        (Some(path), _) => Folder::open(path)?,
        (None, Some(file)) => Folder::newest(&options.runs, file)?,
        (None, None) => return Err(Failure::message("name the run to go on with: `--resume runs/NAME`")),
    };
    let kept = kept(folder, options)?;
    same_program(&kept, file)?;
    Ok(kept)
}

/// A run that is to go on with its own program and data.
pub fn kept(folder: Folder, options: &Run) -> Result<Kept, Failure> {
    let kept = Kept::read(folder, options.compile.threads, None, true)?;
    changed(&kept.folder, "go on", &kept.config.identity.changes(&kept.identity()?))?;
    Ok(kept)
}

/// Where a run stood, and how it is kept from there.
pub fn standing(kept: &Kept, options: &Run) -> Result<(Stood, Keeping), Failure> {
    let best = Some(kept.folder.best()).filter(|best| best.is_file());
    let stood = Stood::read(&kept.folder).map_err(|error| match best {
        Some(best) if error.help.is_none() => {
            error.help(format!("`--init {}` starts a new run from the best parameters", best.display()))
        }
        _ => error,
    })?;
    for standing in stood.all() {
        changed(&kept.folder, "go on", &standing.about.identity.changes(&kept.config.identity))?;
    }
    let keeping =
        Keeping::Resumed { folder: kept.folder.clone(), config: Box::new(kept.config.clone()), every: every(options) };
    Ok((stood, keeping))
}

/// The tensors that a run started from, if they were given.
pub fn started_from(kept: &Kept) -> Result<Vec<(String, Tensor)>, Failure> {
    let init = init(&kept.folder)?;
    if init.is_empty() && kept.config.init.is_some() {
        let run = kept.folder.path().display();
        let why = "ended before the tensors were kept that it was to start from";
        return Err(Failure::message(format!("the run {run} {why}: begin a new one")));
    }
    Ok(init)
}

/// Fails if the file that is given, or the one the run began with, is no longer the program of the run, or uses others.
fn same_program(kept: &Kept, given: Option<&Path>) -> Result<(), Failure> {
    let original = kept.config.original(&kept.folder);
    let program = given.unwrap_or(&original);
    let sources = &kept.config.identity.sources;
    // The copies stand to each other as the files did.
    let up = sources.first().map_or(0, |s| Path::new(&s.path).components().count() - 1);
    let root = (0..up).fold(program.parent().unwrap_or(Path::new("")).to_path_buf(), |path, _| path.join(".."));
    for (k, (copy, stamp)) in kept.loaded.sources().into_iter().zip(sources).enumerate() {
        let path = if k == 0 { program.to_path_buf() } else { root.join(&stamp.path) };
        // Without the original there is no other program that could be meant.
        let Ok(now) = fs::read_to_string(&path) else { continue };
        let Some(line) = first_difference(kept.loaded.files.text(copy), &now) else { continue };
        let shown = match (k, given) {
            (0, None) => kept.config.file.clone(),
            (0, Some(file)) => file.display().to_string(),
            _ => stamp.path.clone(),
        };
        let run = kept.folder.path().display();
        let message = format!("{shown} is no longer that of the run {run}: it has changed in line {line}");
        let own = kept.source.file.display();
        return Err(Diagnostic::new(codes::RUN_CHANGED, message)
            .help(format!("begin a new run, or go on with the program as it was: dlc run {own} --resume {run}"))
            .into());
    }
    Ok(())
}
