//! Many cases of one target: where they come from, and what becomes of findings.

use crate::measure::{Finding, alone, measure};
use crate::random::Random;
use crate::{bytes, targets, words};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// What reads the bytes. The result stands for what it said of them: inputs with a new one become seeds.
pub type Run = fn(&[u8]) -> String;

pub struct Target {
    name: &'static str,
    run: Run,
    /// Seeds besides the corpus.
    seeds: fn() -> Vec<Vec<u8>>,
    mutate: fn(&mut Random, &[Vec<u8>]) -> Vec<u8>,
    /// Of a run without a time.
    cases: u64,
    /// Bytes it may allocate: for any input, and for each byte of it.
    memory: (usize, usize),
}

impl Target {
    /// Reads `.dl` text.
    pub fn source(name: &'static str, run: Run) -> Target {
        // A tree takes some hundred bytes for each token; the checked library stands beside it.
        Target { name, run, seeds: targets::sources, mutate: words::mutate, cases: 3000, memory: (64 << 20, 4000) }
    }

    /// Reads a data file.
    pub fn data(name: &'static str, run: Run) -> Target {
        Target { name, run, seeds: Vec::new, mutate: bytes::mutate, cases: 4000, memory: (1 << 20, 100) }
    }

    /// A byte of a compressed file may stand for a thousand.
    pub fn packed(self) -> Target {
        Target { memory: (self.memory.0, 1000 * self.memory.1), ..self }
    }

    /// The directory at the end of an archive is believed when it says how many entries there are, at most 65,535.
    pub fn archived(self) -> Target {
        Target { memory: (16 << 20, self.memory.1), ..self }
    }

    pub fn cases(self, cases: u64) -> Target {
        Target { cases, ..self }
    }

    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(self.name)
    }

    fn measure(&self, input: &[u8]) -> Result<String, Finding> {
        measure(self.memory.0 + self.memory.1 * input.len(), || (self.run)(input))
    }
}

/// Inputs that are kept in the corpus are no longer than this.
const KEPT: usize = 2000;

/// A campaign keeps at most so many.
const MOST_KEPT: usize = 40;

/// Runs the corpus, then damaged seeds, for some cases or for `DLC_FUZZ_SECONDS`.
pub fn fuzz(target: &Target) {
    let seconds =
        std::env::var("DLC_FUZZ_SECONDS").ok().map(|s| s.parse::<f64>().expect("DLC_FUZZ_SECONDS is a number"));
    let seed = std::env::var("DLC_FUZZ_SEED").ok().map(|s| s.parse::<u64>().expect("DLC_FUZZ_SEED is an integer"));
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
    let seed = seed.unwrap_or_else(|| if seconds.is_some() { clock() } else { 1 });
    let _alone = alone();
    let mut current = Current::of(target);
    let mut findings: Vec<(Vec<u8>, Finding)> = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut pool = read(&target.folder());
    let corpus = pool.len();
    pool.extend((target.seeds)());
    assert!(!pool.is_empty(), "there are no seeds for {}", target.name);
    for input in pool.iter().chain(&read(&target.folder().join("findings"))) {
        current.note(input);
        match target.measure(input) {
            Ok(said) => {
                seen.insert(said);
            }
            Err(finding) => findings.push((input.clone(), finding)),
        }
    }
    let (began, known) = (Instant::now(), seen.len());
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut kinds: BTreeSet<String> = findings.iter().map(|(_, f)| f.kind()).collect();
    let mut random = Random::new(seed);
    let mut cases = 0u64;
    while seconds.map_or(cases < target.cases, |s| began.elapsed() < Duration::from_secs_f64(s)) {
        let input = (target.mutate)(&mut random, &pool);
        cases += 1;
        current.note(&input);
        match target.measure(&input) {
            Ok(said) => {
                if seen.insert(said) {
                    if seconds.is_some() && input.len() <= KEPT && kept.len() < MOST_KEPT {
                        kept.push(input.clone());
                    }
                    pool.push(input);
                }
            }
            Err(finding) => {
                if kinds.insert(finding.kind()) {
                    let input = reduced(target, input, &finding);
                    save(&target.folder().join("findings"), &input);
                    println!("{}: {finding}", target.name);
                    findings.push((input, finding));
                }
            }
        }
    }
    kept.iter().for_each(|input| save(&target.folder(), input));
    println!(
        "{}: {cases} cases in {:.0} s from seed {seed}, {corpus} files in the corpus, {} new answers, {} findings",
        target.name,
        began.elapsed().as_secs_f64(),
        seen.len() - known,
        findings.len()
    );
    let told: Vec<String> = findings
        .iter()
        .map(|(input, f)| format!("{f}\n{}", String::from_utf8_lossy(&input[..input.len().min(2000)])))
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    current.done();
}

/// The input with every part taken out without which the same still goes wrong, as far as some seconds allow.
fn reduced(target: &Target, mut input: Vec<u8>, finding: &Finding) -> Vec<u8> {
    let until = Instant::now() + Duration::from_secs(20);
    let same = |input: &[u8]| target.measure(input).is_err_and(|f| f.kind() == finding.kind());
    let mut size = input.len() / 2;
    while size > 0 && Instant::now() < until {
        let mut at = 0;
        while at < input.len() && Instant::now() < until {
            let end = (at + size).min(input.len());
            let shorter = [&input[..at], &input[end..]].concat();
            if same(&shorter) { input = shorter } else { at = end }
        }
        size /= 2;
    }
    input
}

/// The files of a folder, in the order of their names.
fn read(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn save(folder: &Path, input: &[u8]) {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(format!("{:016x}", hasher.finish())), input).unwrap();
}

/// The case that runs, in a file: what ends the process leaves it behind.
struct Current {
    path: PathBuf,
    file: File,
}

impl Current {
    fn of(target: &Target) -> Current {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("fuzz");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(target.name);
        Current { file: File::create(&path).unwrap(), path }
    }

    /// Writes over the last one: making a file anew each time would take longer than most cases.
    fn note(&mut self, input: &[u8]) {
        self.file.seek(SeekFrom::Start(0)).unwrap();
        self.file.write_all(input).unwrap();
        self.file.set_len(input.len() as u64).unwrap();
    }

    fn done(self) {
        fs::remove_file(&self.path).unwrap();
    }
}
