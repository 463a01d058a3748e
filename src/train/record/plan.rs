//! A run that is to be kept, before it has a folder: where and how, and what goes into the folder first.

use super::config::{Config, Identity, relative};
use super::folder::{Folder, Naming, unwritable};
use crate::data;
use crate::source::Diagnostic;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// What is to be kept of a run, and where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The folder of all runs.
    pub runs: PathBuf,
    pub naming: Naming,
    /// Without the way to the program's folder, which depends on where the run's folder is.
    pub config: Config,
    /// Path in the run's folder and text of every file of `config.identity.sources`.
    pub sources: Vec<(String, String)>,
    /// The folder of the program.
    pub directory: PathBuf,
    /// Time between saves, at least.
    pub every: Duration,
}

impl Plan {
    /// Makes the folder, with the program and the settings in it.
    pub fn begin(&self) -> Result<(Folder, Identity), Diagnostic> {
        let folder = Folder::create(&self.runs, &self.naming)?;
        let directory = relative(folder.path(), &self.directory).to_string_lossy().into_owned();
        let config = Config { directory, ..self.config.clone() };
        // First, so that what follows is known as the files of a run.
        write(&folder.config_path(), &config.text())?;
        for (path, text) in &self.sources {
            let path = folder.path().join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(|e| unwritable(parent, &e))?;
            }
            write(&path, text)?;
        }
        Ok((folder, config.identity))
    }
}

/// Writes a file of a run whole.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Diagnostic> {
    data::replace(path, |out| out.write_all(text.as_bytes())).map_err(|e| {
        let reason = match *e.problem {
            data::Problem::Unwritable { reason } => reason,
            _ => e.message(),
        };
        unwritable(path, &io::Error::other(reason))
    })
}

/// Where copies of a program's files stand in the run's folder, so that the paths between them remain: the program itself is
/// `model.dl` unless another file takes that place.
pub fn layout(files: &[PathBuf]) -> Vec<String> {
    let whole: Vec<PathBuf> = files.iter().map(|f| fs::canonicalize(f).unwrap_or_else(|_| f.clone())).collect();
    let folders = || whole.iter().map(|f| f.parent().unwrap_or(Path::new("")));
    let mut shared: Vec<Component> = folders().next().map(|f| f.components().collect()).unwrap_or_default();
    for folder in folders() {
        let same = shared.iter().zip(folder.components()).take_while(|(a, b)| **a == *b).count();
        shared.truncate(same);
    }
    let root: PathBuf = shared.iter().collect();
    let mut paths: Vec<String> = whole
        .iter()
        .map(|file| file.strip_prefix(&root).unwrap_or(file).to_string_lossy().replace('\\', "/"))
        .collect();
    let model = match paths.first() {
        Some(first) => Path::new(first).with_file_name("model.dl").to_string_lossy().into_owned(),
        None => return paths,
    };
    if !paths.contains(&model) {
        paths[0] = model;
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::layout;
    use std::path::PathBuf;

    #[test]
    fn files_keep_their_places_to_each_other() {
        let at = |files: &[&str]| layout(&files.iter().map(|f| PathBuf::from(format!("/p/{f}"))).collect::<Vec<_>>());
        assert_eq!(at(&["digits.dl"]), ["model.dl"]);
        assert_eq!(at(&["digits.dl", "blocks/residual.dl"]), ["model.dl", "blocks/residual.dl"]);
        assert_eq!(at(&["nets/digits.dl", "blocks.dl"]), ["nets/model.dl", "blocks.dl"]);
        assert_eq!(at(&["digits.dl", "model.dl"]), ["digits.dl", "model.dl"]);
    }
}
