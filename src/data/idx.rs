//! IDX files, the format of MNIST and its kin: elements of 8 to 64 bits in big-endian order, gzipped or not.
//!
//! Format: two zero bytes, the element type, the number of axes, the size of each axis as a 32-bit number, then the elements
//! (LeCun, Cortes, Burges, "The MNIST database"). Compressed files are known by their first two bytes. What a header claims
//! is held against the bytes there are; deflate makes at most 1032 bytes of one.

use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::element::{ByteOrder, Element, Elements, Failure};
use super::error::{DataError, Place, Problem};
use super::file;
use super::table::Array;

const FORMAT: &str = "IDX";
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Bytes that one byte of deflate's output can stand for.
pub(super) const MOST_EXPANSION: u64 = 1032;

/// Reads a file.
pub fn read(path: &Path) -> Result<Array, DataError> {
    let (file, length) = file::open(path)?;
    parse(BufReader::new(file), length, path)
}

/// Reads from `reader`, which is said to hold `length` bytes and come from `path`.
pub fn parse(mut reader: impl Read, length: u64, path: &Path) -> Result<Array, DataError> {
    let mut start = [0; 2];
    reader.read_exact(&mut start).map_err(|error| ended(path, &error))?;
    let whole = start.chain(reader);
    if start == GZIP {
        elements(MultiGzDecoder::new(whole), length.saturating_mul(MOST_EXPANSION), path)
    } else {
        elements(whole, length, path)
    }
}

fn malformed(path: &Path, reason: impl Into<String>) -> DataError {
    Place::file(path).fail(Problem::Malformed { format: FORMAT, reason: reason.into() })
}

fn ended(path: &Path, error: &io::Error) -> DataError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => malformed(path, "it ends too early"),
        // What the decoder says of bytes that are no gzip.
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => malformed(path, error.to_string()),
        _ => file::failed(path, error),
    }
}

/// `most` is the number of bytes there can be at most.
fn elements(mut reader: impl Read, most: u64, path: &Path) -> Result<Array, DataError> {
    let mut start = [0; 4];
    reader.read_exact(&mut start).map_err(|error| ended(path, &error))?;
    let [0, 0, kind, axes] = start else {
        return Err(malformed(path, "it does not start with two zero bytes"));
    };
    let element = match kind {
        0x08 => Element::U8,
        0x09 => Element::I8,
        0x0b => Element::I16,
        0x0c => Element::I32,
        0x0d => Element::F32,
        0x0e => Element::F64,
        _ => {
            let dtype = format!("{kind:#04x}");
            return Err(Place::file(path).fail(Problem::UnsupportedType { format: FORMAT, dtype }));
        }
    };
    let mut shape = Vec::new();
    let mut size = [0; 4];
    for _ in 0..axes {
        reader.read_exact(&mut size).map_err(|error| ended(path, &error))?;
        shape.push(u32::from_be_bytes(size) as usize);
    }
    let count = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
    let held = |count: usize| (count as u64).checked_mul(element.size() as u64).is_some_and(|bytes| bytes <= most);
    let Some(count) = count.filter(|&count| held(count)) else {
        let dims = &shape[..shape.len().min(8)];
        return Err(malformed(path, format!("its shape {dims:?} claims more elements than the file can hold")));
    };
    file::room(path, count, element.stored_size(None))?;
    let elements = Elements { reader: &mut reader, element, order: ByteOrder::Big, count, whole: false };
    let told = |failure: Failure| failure.told(Place::file(path), |error| ended(path, &error));
    let values = elements.decode(None).map_err(told)?;
    // Reading on to the end also checks the checksum of a gzipped file.
    match reader.read(&mut [0]) {
        Ok(0) => Ok(Array { shape, values }),
        Ok(_) => Err(malformed(path, "it goes on after its last element")),
        Err(error) => Err(ended(path, &error)),
    }
}
