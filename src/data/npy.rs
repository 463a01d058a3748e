//! NumPy's `.npy` files, format versions 1 to 3: floats of 16 to 64 bits, integers of 8 to 64 bits and booleans, in either
//! byte order and in C order (Fortran order is converted).
//!
//! Format: the NEP 1 document in NumPy's `lib/format.py`. Nothing a header says is believed before it fits the length of
//! the file, so memory use is bounded by the file's size.

use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use super::element::{ByteOrder, Element, Elements, Failure};
use super::error::{DataError, Place, Problem};
use super::file;
use super::header::{self, Header};
use super::table::{Array, FloatType, Values};

const FORMAT: &str = "npy";
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Reads a file. Floats are converted to `float` while reading if one is given; integers and booleans become `i64`.
pub fn read(path: &Path, float: Option<FloatType>) -> Result<Array, DataError> {
    let (file, length) = file::open(path)?;
    parse(BufReader::new(file), length, path, float)
}

/// What stands before the elements of a file.
#[derive(Debug)]
pub(super) struct Head {
    pub header: Header,
    pub element: Element,
    pub order: ByteOrder,
    /// The number of elements, which fits the length of the file.
    pub count: usize,
    /// The byte at which they start.
    pub start: u64,
}

/// Reads from `reader`, which is said to hold `length` bytes and come from `path`.
pub fn parse(mut reader: impl Read, length: u64, path: &Path, float: Option<FloatType>) -> Result<Array, DataError> {
    let Head { header, element, order, count, .. } = head(&mut reader, length, path)?;
    file::room(path, count, element.stored_size(float))?;
    let elements = Elements { reader: &mut reader, element, order, count, whole: false };
    let told = |failure: Failure| failure.told(Place::file(path), |error| ended(path, error));
    let values = elements.decode(float).map_err(told)?;
    Ok(if header.fortran_order { to_c_order(header, values) } else { Array { shape: header.shape, values } })
}

fn malformed(path: &Path, reason: String) -> DataError {
    Place::file(path).fail(Problem::Malformed { format: FORMAT, reason })
}

fn ended(path: &Path, error: io::Error) -> DataError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => malformed(path, "it ends too early".into()),
        _ => file::failed(path, &error),
    }
}

/// Reads up to the elements.
pub(super) fn head(reader: &mut impl Read, length: u64, path: &Path) -> Result<Head, DataError> {
    let malformed = |reason: String| malformed(path, reason);
    let ended = |error: io::Error| ended(path, error);
    let mut magic = [0; 8];
    reader.read_exact(&mut magic).map_err(ended)?;
    if &magic[..6] != MAGIC {
        return Err(malformed("it does not start with `\\x93NUMPY`".into()));
    }
    let wide = match magic[6] {
        1 => false,
        2 | 3 => true,
        version => return Err(malformed(format!("its format version is {version}, not 1, 2 or 3"))),
    };
    let mut size = [0; 4];
    reader.read_exact(&mut size[..if wide { 4 } else { 2 }]).map_err(ended)?;
    let header_size = u64::from(u32::from_le_bytes(size));
    let start = 8 + if wide { 4 } else { 2 } + header_size;
    if start > length {
        return Err(malformed(format!("its header claims {header_size} bytes, more than the file has")));
    }
    let mut text = Vec::new();
    reader.by_ref().take(header_size).read_to_end(&mut text).map_err(ended)?;
    let header = header::parse(&text).map_err(malformed)?;
    let Some((element, order)) = element(&header.descr) else {
        let dtype = super::error::shorten(&header.descr);
        return Err(Place::file(path).fail(Problem::UnsupportedType { format: FORMAT, dtype }));
    };
    let bytes = length - start;
    let count = count(&header.shape)
        .filter(|&count| count.checked_mul(element.size() as u64) == Some(bytes))
        .and_then(|count| usize::try_from(count).ok());
    let Some(count) = count else {
        let dims = &header.shape[..header.shape.len().min(8)];
        let (shape, dtype) = (format!("{dims:?}"), &header.descr);
        return Err(malformed(format!(
            "elements `{dtype}` of shape {shape} do not take the {bytes} bytes that follow"
        )));
    };
    Ok(Head { header, element, order, count, start })
}

/// The number of elements; `None` if it overflows.
fn count(shape: &[usize]) -> Option<u64> {
    shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64))
}

/// The element type of a descriptor such as `<f4`; `|` and `=` mark types without byte order and of the machine's own.
fn element(descr: &str) -> Option<(Element, ByteOrder)> {
    let order = match descr.chars().next()? {
        '<' | '|' => ByteOrder::Little,
        '=' if cfg!(target_endian = "little") => ByteOrder::Little,
        '>' | '=' => ByteOrder::Big,
        _ => return None,
    };
    let element = match descr.get(1..)? {
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        "i1" => Element::I8,
        "i2" => Element::I16,
        "i4" => Element::I32,
        "i8" => Element::I64,
        "u1" => Element::U8,
        "u2" => Element::U16,
        "u4" => Element::U32,
        "u8" => Element::U64,
        "b1" => Element::Bool,
        _ => return None,
    };
    Some((element, order))
}

/// Elements whose first axis varies fastest, rearranged so that the last does.
fn to_c_order(header: Header, values: Values) -> Array {
    fn rearranged<T: Copy>(shape: &[usize], values: Vec<T>) -> Vec<T> {
        let mut strides = Vec::with_capacity(shape.len());
        let mut stride = 1;
        for &dim in shape {
            strides.push(stride);
            stride *= dim;
        }
        let mut index = vec![0; shape.len()];
        let mut offset = 0;
        let mut ordered = Vec::with_capacity(values.len());
        for _ in 0..values.len() {
            ordered.push(values[offset]);
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                offset += strides[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                offset -= strides[axis] * shape[axis];
                index[axis] = 0;
            }
        }
        ordered
    }
    let values = match values {
        Values::F32(values) => Values::F32(rearranged(&header.shape, values)),
        Values::F64(values) => Values::F64(rearranged(&header.shape, values)),
        Values::I64(values) => Values::I64(rearranged(&header.shape, values)),
        Values::U8(values) => Values::U8(rearranged(&header.shape, values)),
    };
    Array { shape: header.shape, values }
}

/// Writes a file whole, in format version 1.
pub fn write(path: &Path, array: &Array) -> Result<(), DataError> {
    file::replace(path, |out| encode(array, out))
}

/// The bytes of a file.
pub fn encode(array: &Array, out: &mut dyn Write) -> io::Result<()> {
    let descr = match array.values {
        Values::F32(_) => "<f4",
        Values::F64(_) => "<f8",
        Values::I64(_) => "<i8",
        Values::U8(_) => "|u1",
    };
    let dims: String = array.shape.iter().map(|dim| format!("{dim}, ")).collect();
    let shape = if array.shape.len() == 1 { dims.trim_end() } else { dims.trim_end_matches(", ") };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // The data starts at a multiple of 64 bytes; 10 bytes stand before the header, which ends with a line break.
    let padding = (64 - (10 + header.len() + 1) % 64) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let size = u16::try_from(header.len()).map_err(|_| io::Error::other("the tensor has too many axes"))?;
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&size.to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    match &array.values {
        Values::F32(values) => values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes())),
        Values::F64(values) => values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes())),
        Values::I64(values) => values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes())),
        Values::U8(values) => out.write_all(values),
    }
}
