//! Named tensors in safetensors files: data sets to read, weights to read and write.
//!
//! Metadata is one JSON string under one key, because the order of several keys is not stable; files are therefore equal
//! byte for byte when their contents are. Tensors come in the order of their data.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::path::Path;

use ::safetensors::tensor::Metadata;
use ::safetensors::{Dtype, View};

use super::element::{ByteOrder, Element, Elements};
use super::error::{DataError, Place, Problem, shorten};
use super::file;
use super::table::{Array, FloatType, Values};

const FORMAT: &str = "safetensors";
/// The key of the metadata string.
const METADATA: &str = "dlc";

/// The contents of a file.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensors {
    pub tensors: Vec<(String, Array)>,
    /// The JSON text stored with the tensors, if dlc wrote the file.
    pub metadata: Option<String>,
}

/// Reads a file. Floats are converted to `float` if one is given; integers become `i64`, but bytes and booleans stay bytes.
pub fn read(path: &Path, float: Option<FloatType>) -> Result<Tensors, DataError> {
    read_some(path, float, &|_| true)
}

/// Reads the tensors of a file whose names are wanted.
pub(super) fn read_some(
    path: &Path,
    float: Option<FloatType>,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Tensors, DataError> {
    let (file, length) = file::open(path)?;
    tensors(BufReader::new(file), length, path, float, wanted)
}

/// Reads bytes that are said to come from `path`.
pub fn parse(bytes: &[u8], path: &Path, float: Option<FloatType>) -> Result<Tensors, DataError> {
    tensors(bytes, bytes.len() as u64, path, float, &|_| true)
}

/// Decodes one tensor after the other, so that the bytes of the file are never held beside the elements.
fn tensors(
    mut reader: impl Read,
    length: u64,
    path: &Path,
    float: Option<FloatType>,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Tensors, DataError> {
    let malformed = |reason: &str| {
        let reason = reason.chars().take(200).collect();
        Place::file(path).fail(Problem::Malformed { format: FORMAT, reason })
    };
    let ended = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => malformed("it ends too early"),
        _ => file::failed(path, &error),
    };
    let mut size = [0; 8];
    reader.read_exact(&mut size).map_err(ended)?;
    let size = u64::from_le_bytes(size);
    let Some(data) = length.checked_sub(8).and_then(|rest| rest.checked_sub(size)) else {
        return Err(malformed(&format!("its header claims {size} bytes, more than the file has")));
    };
    let mut text = Vec::new();
    reader.by_ref().take(size).read_to_end(&mut text).map_err(ended)?;
    let metadata: Metadata = serde_json::from_slice(&text).map_err(|error| malformed(&error.to_string()))?;
    let stored = metadata.metadata().as_ref().and_then(|entries| entries.get(METADATA)).cloned();
    let mut tensors = Vec::new();
    let mut start = 0;
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let place = || Place::file(path).name(shorten(&name));
        let element = element(info.dtype)
            .ok_or_else(|| place().fail(Problem::UnsupportedType { format: FORMAT, dtype: info.dtype.to_string() }))?;
        let count = info.shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
        let bytes = count.and_then(|count| count.checked_mul(element.size()));
        let (Some(count), Some(bytes)) = (count, bytes) else {
            return Err(malformed(&format!("the shape of `{}` is too large", shorten(&name))));
        };
        let end = start + bytes as u64;
        if end > data || info.data_offsets != (start as usize, end as usize) {
            return Err(malformed(&format!("the offsets of `{}` do not fit its shape and place", shorten(&name))));
        }
        start = end;
        if !wanted(&name) {
            io::copy(&mut reader.by_ref().take(bytes as u64), &mut io::sink()).map_err(ended)?;
            continue;
        }
        file::room(path, count, element.stored_size(float))?;
        let elements = Elements { reader: &mut reader, element, order: ByteOrder::Little, count, whole: true };
        let values = elements.decode(float).map_err(|failure| failure.told(place(), ended))?;
        tensors.push((name, Array { shape: info.shape.clone(), values }));
    }
    if start != data {
        return Err(malformed("it goes on after its last tensor"));
    }
    Ok(Tensors { tensors, metadata: stored })
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::BF16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::I8 => Element::I8,
        Dtype::I16 => Element::I16,
        Dtype::I32 => Element::I32,
        Dtype::I64 => Element::I64,
        Dtype::U8 => Element::U8,
        Dtype::U16 => Element::U16,
        Dtype::U32 => Element::U32,
        Dtype::U64 => Element::U64,
        Dtype::BOOL => Element::Bool,
        _ => return None,
    })
}

/// Writes a file whole. `metadata` is JSON text.
pub fn write(path: &Path, tensors: &[(String, Array)], metadata: Option<&str>) -> Result<(), DataError> {
    let bytes = encode(tensors, metadata)
        .map_err(|error| Place::file(path).fail(Problem::Unwritable { reason: error.to_string() }))?;
    file::replace(path, |out| out.write_all(&bytes))
}

/// The bytes of a file.
pub fn encode(tensors: &[(String, Array)], metadata: Option<&str>) -> Result<Vec<u8>, ::safetensors::SafeTensorError> {
    let entries = metadata.map(|text| HashMap::from([(METADATA.to_string(), text.to_string())]));
    ::safetensors::serialize(tensors.iter().map(|(name, array)| (name, Stored(array))), entries)
}

struct Stored<'a>(&'a Array);

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        match self.0.values {
            Values::F32(_) => Dtype::F32,
            Values::F64(_) => Dtype::F64,
            Values::I64(_) => Dtype::I64,
            Values::U8(_) => Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(match &self.0.values {
            Values::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Values::F64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Values::I64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Values::U8(values) => values.clone(),
        })
    }

    fn data_len(&self) -> usize {
        match &self.0.values {
            Values::F32(values) => size_of_val(values.as_slice()),
            Values::F64(values) => size_of_val(values.as_slice()),
            Values::I64(values) => size_of_val(values.as_slice()),
            Values::U8(values) => values.len(),
        }
    }
}
