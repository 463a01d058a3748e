//! What a run was asked for, and of which files: `config.json`, and what has changed since.
//!
//! Input: the program's files, its settings and its data. Output: an [`Identity`], of which two that agree are one run.

use super::folder::{Folder, is_inside};
use crate::data::{self, describe};
use crate::source::{Diagnostic, codes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3Default;

/// One file a run depends on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stamp {
    /// Relative: a source's to the run's folder, a data file's to that of the program.
    pub path: String,
    pub bytes: u64,
    /// XXH3 of the contents, 64 bits in hex.
    pub xxh3: String,
}

/// What decides every number of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The version of dlc.
    pub dlc: String,
    /// The program in the run's folder, then the modules it uses.
    pub sources: Vec<Stamp>,
    /// The checksum of the standard library.
    pub library: String,
    /// Constants given another value; texts, since readers of JSON may round numbers.
    pub set: BTreeMap<String, String>,
    pub seed: u64,
    pub dtype: String,
    /// Optimization passes left out.
    pub off: Vec<String>,
    /// The files of each data set.
    pub data: BTreeMap<String, Vec<Stamp>>,
}

/// Everything `config.json` holds: the identity, and what changes no number.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Config {
    /// When the run began, in UTC.
    pub began: String,
    /// The program's file as it was named.
    pub file: String,
    /// From the run's folder to that of the program, to which the paths of its data are relative.
    pub directory: String,
    pub threads: usize,
    /// The file of the starting values, if they were given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub init: Option<String>,
    /// Which run of a search it is, from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trial: Option<u64>,
    /// Every constant of the program with its value.
    pub constants: BTreeMap<String, serde_json::Value>,
    #[serde(flatten)]
    pub identity: Identity,
}

impl Config {
    pub fn read(folder: &Folder) -> Result<Config, Diagnostic> {
        let path = folder.config_path();
        let bytes = data::read(&path).map_err(|e| {
            let message = format!("cannot read {}: {}", path.display(), e.message());
            Diagnostic::new(codes::NO_SUCH_RUN, message)
        })?;
        serde_json::from_slice(&bytes).map_err(|e| {
            let message = format!("{} does not hold the settings of a run: {e}", path.display());
            Diagnostic::new(codes::NO_SUCH_RUN, message)
        })
    }

    /// The text of `config.json`.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The program's own file in the run's folder.
    pub fn program(&self, folder: &Folder) -> Option<PathBuf> {
        let first = self.identity.sources.first();
        first.map(|s| s.path.as_str()).filter(|path| is_inside(path)).map(|path| folder.path().join(path))
    }

    /// The folder that the paths of data are relative to.
    pub fn data_directory(&self, folder: &Folder) -> PathBuf {
        folder.path().join(&self.directory)
    }

    /// The file the program was read from when the run began.
    pub fn original(&self, folder: &Folder) -> PathBuf {
        self.data_directory(folder).join(Path::new(&self.file).file_name().unwrap_or_default())
    }
}

impl Identity {
    /// What of `now` would make another run of this one, a line each.
    pub fn changes(&self, now: &Identity) -> Vec<String> {
        let mut changes = Vec::new();
        let mut compare = |what: &str, then: String, now: String| {
            if then != now {
                changes.push(format!("{what} was {then} and is {now}"));
            }
        };
        compare("the seed", self.seed.to_string(), now.seed.to_string());
        compare("the precision", self.dtype.clone(), now.dtype.clone());
        compare("the list of passes left out", format!("{:?}", self.off), format!("{:?}", now.off));
        for name in self.set.keys().chain(now.set.keys().filter(|name| !self.set.contains_key(*name))) {
            let shown = |set: &BTreeMap<String, String>| set.get(name).map_or("not set".to_owned(), String::clone);
            compare(&format!("`{name}`"), shown(&self.set), shown(&now.set));
        }
        if self.library != now.library {
            changes.push(format!("the standard library is that of dlc {} and was that of dlc {}", now.dlc, self.dlc));
        }
        let hashes = |stamps: &[Stamp]| -> Vec<String> { stamps.iter().map(|s| s.xxh3.clone()).collect() };
        if hashes(&self.sources) != hashes(&now.sources) {
            let differs = |(then, now): (&Stamp, &Stamp)| (then.xxh3 != now.xxh3).then(|| now.path.clone());
            let first = self.sources.iter().zip(&now.sources).find_map(differs);
            changes.push(match first {
                Some(path) => format!("the program has changed ({path})"),
                None => "the program uses other modules".to_owned(),
            });
        }
        for name in self.data.keys().chain(now.data.keys().filter(|name| !self.data.contains_key(*name))) {
            match (self.data.get(name), now.data.get(name)) {
                (Some(then), Some(now)) => changes.extend(data_changes(name, then, now)),
                (None, _) => changes.push(format!("the data set `{name}` is new")),
                (_, None) => changes.push(format!("the data set `{name}` is no longer there")),
            }
        }
        changes
    }
}

fn data_changes(name: &str, then: &[Stamp], now: &[Stamp]) -> Vec<String> {
    if then.len() != now.len() {
        return vec![format!("the data set `{name}` is read from other files")];
    }
    let changed = then.iter().zip(now).filter(|(then, now)| then.xxh3 != now.xxh3 || then.bytes != now.bytes);
    changed
        .map(|(then, now)| match then.bytes == now.bytes {
            true => format!("the contents of {} have changed", now.path),
            false => format!("{} has {} bytes and had {}", now.path, now.bytes, then.bytes),
        })
        .collect()
}

/// The stamp of a file of data, as it is shown.
pub fn stamp(path: &Path, shown: String) -> Result<Stamp, Diagnostic> {
    checksum(path).map(|(bytes, xxh3)| Stamp { path: shown, bytes, xxh3 }).map_err(|e| {
        Diagnostic::new(codes::UNREADABLE_FILE, format!("cannot read {}: {}", path.display(), describe(&e)))
    })
}

fn checksum(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hash = Xxh3Default::new();
    let (mut buffer, mut bytes) = (vec![0; 1 << 16], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, format!("{:016x}", hash.digest()))),
            n => {
                hash.update(&buffer[..n]);
                bytes += n as u64;
            }
        }
    }
}

/// The stamp of a text.
pub fn stamp_text(path: &str, text: &str) -> Stamp {
    Stamp { path: path.to_owned(), bytes: text.len() as u64, xxh3: checksum_of([text]) }
}

/// One checksum of several texts, which also differs if their borders do.
pub fn checksum_of<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let mut hash = Xxh3Default::new();
    for text in texts {
        hash.update(text.as_bytes());
        hash.update(&(text.len() as u64).to_le_bytes());
    }
    format!("{:016x}", hash.digest())
}

/// The first line, from 1, in which two texts differ.
pub fn first_difference(then: &str, now: &str) -> Option<usize> {
    if then == now {
        return None;
    }
    let same = then.lines().zip(now.lines()).take_while(|(a, b)| a == b).count();
    Some(same + 1)
}

/// The way from one folder to another, both of which exist; absolute if there is no other.
pub fn relative(from: &Path, to: &Path) -> PathBuf {
    let whole = |path: &Path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        fs::canonicalize(path)
    };
    let (Ok(from), Ok(to)) = (whole(from), whole(to)) else { return to.to_path_buf() };
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    // Not even the root or the drive is shared.
    if common == 0 {
        return to;
    }
    let up = from.components().skip(common).map(|_| Path::new(".."));
    let way: PathBuf = up.collect::<PathBuf>().join(to.components().skip(common).collect::<PathBuf>());
    if way.as_os_str().is_empty() { PathBuf::from(".") } else { way }
}

/// A point in time, given in seconds since 1970, as `2026-11-21T09:30:00Z`.
pub fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86400, seconds % 86400);
    // Days since 1 March 0000 in eras of 400 years (Hinnant, "chrono-compatible low-level date algorithms").
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            dlc: "0.1.0".into(),
            sources: vec![stamp_text("model.dl", "a = 1\n")],
            library: checksum_of(["std"]),
            set: BTreeMap::from([("lr".into(), "0.1".into())]),
            seed: 0,
            dtype: "f32".into(),
            off: Vec::new(),
            data: BTreeMap::from([("digits".into(), vec![stamp_text("digits.csv", "x\n1\n")])]),
        }
    }

    #[test]
    fn changes_are_told_one_by_one() {
        let then = identity();
        assert_eq!(then.changes(&identity()), Vec::<String>::new());
        let now = Identity {
            seed: 3,
            set: BTreeMap::from([("rate".into(), "2".into())]),
            sources: vec![stamp_text("model.dl", "a = 2\n")],
            data: BTreeMap::from([("digits".into(), vec![stamp_text("digits.csv", "x\n1\n2\n")])]),
            ..identity()
        };
        assert_eq!(
            then.changes(&now),
            [
                "the seed was 0 and is 3",
                "`lr` was 0.1 and is not set",
                "`rate` was not set and is 2",
                "the program has changed (model.dl)",
                "digits.csv has 6 bytes and had 4",
            ]
        );
        let now = Identity {
            data: BTreeMap::from([("digits".into(), vec![stamp_text("digits.csv", "x\n2\n")])]),
            ..identity()
        };
        assert_eq!(then.changes(&now), ["the contents of digits.csv have changed"]);
    }

    #[test]
    fn a_configuration_is_read_as_it_was_written() {
        let config = Config {
            began: utc(0),
            file: "digits.dl".into(),
            directory: "../..".into(),
            threads: 2,
            init: None,
            trial: Some(3),
            constants: BTreeMap::new(),
            identity: identity(),
        };
        assert_eq!(serde_json::from_str::<Config>(&config.text()).unwrap(), config);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(utc(1_795_257_284), "2026-11-21T10:34:44Z");
    }

    #[test]
    fn the_way_between_folders() {
        let home = tempfile::tempdir().unwrap();
        let (a, b) = (home.path().join("p/runs/x"), home.path().join("p/models"));
        fs::create_dir_all(&a).unwrap();
        fs::create_dir_all(&b).unwrap();
        assert_eq!(relative(&a, &b), Path::new("../../models"));
        assert_eq!(relative(&a, &a), Path::new("."));
        assert_eq!(relative(home.path(), &a), Path::new("p/runs/x"));
    }

    #[test]
    fn the_line_of_a_difference() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
    }
}
