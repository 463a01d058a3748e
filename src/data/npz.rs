//! NumPy's `.npz` archives: zip files of `.npy` files, stored or deflated.
//!
//! What an archive claims of its entries is held against the bytes there are before anything is allocated for them.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::error::{DataError, Place, Problem, shorten};
use super::file;
use super::idx::MOST_EXPANSION;
use super::npy;
use super::table::{Array, FloatType};

const FORMAT: &str = "npz";
const ENDING: &str = ".npy";

/// Reads the arrays of a file whose names are wanted. Floats are converted to `float` if one is given.
pub fn read(
    path: &Path,
    float: Option<FloatType>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(String, Array)>, DataError> {
    let (file, length) = file::open(path)?;
    entries::<BufReader<File>>(BufReader::new(file), length, path, float, &wanted)
}

/// Reads bytes that are said to come from `path`.
pub fn parse(bytes: &[u8], path: &Path, float: Option<FloatType>) -> Result<Vec<(String, Array)>, DataError> {
    entries(Cursor::new(bytes), bytes.len() as u64, path, float, &|_| true)
}

/// Names and arrays, in the order of the archive.
fn entries<R: Read + Seek>(
    reader: R,
    length: u64,
    path: &Path,
    float: Option<FloatType>,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<(String, Array)>, DataError> {
    let malformed = |reason: String| Place::file(path).fail(Problem::Malformed { format: FORMAT, reason });
    let broken = |error: ZipError| match error {
        ZipError::Io(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => file::failed(path, &error),
        error => malformed(error.to_string().chars().take(200).collect()),
    };
    let mut archive = ZipArchive::new(reader).map_err(broken)?;
    let mut arrays = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(broken)?;
        let name = entry.name().to_string();
        let Some(stem) = name.strip_suffix(ENDING) else {
            return Err(malformed(format!("it holds `{}`, which is no `.npy` file", shorten(&name))));
        };
        if !wanted(stem) {
            continue;
        }
        let (size, packed) = (entry.size(), entry.compressed_size());
        if packed > length || size > packed.saturating_mul(MOST_EXPANSION) {
            let shown = shorten(&name);
            return Err(malformed(format!("its entry `{shown}` claims {size} bytes, more than it can hold")));
        }
        let array = npy::parse(&mut entry, size, &path.join(shorten(&name)), float)?;
        // Reading on to the end checks the entry's checksum.
        match entry.read(&mut [0]) {
            Ok(0) => arrays.push((stem.to_string(), array)),
            Ok(_) => return Err(malformed(format!("its entry `{}` is longer than it says", shorten(&name)))),
            Err(error) => return Err(malformed(format!("its entry `{}`: {error}", shorten(&name)))),
        }
    }
    if arrays.is_empty() {
        return Err(malformed("it holds no arrays of these names".into()));
    }
    Ok(arrays)
}
