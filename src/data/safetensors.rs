//! Named tensors in safetensors files: data sets to read, weights to read and write.
//!
//! Metadata is one JSON string under one key, because the order of several keys is not stable; files are therefore equal
//! byte for byte when their contents are. Tensors come in the order of their data.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use ::safetensors::{Dtype, SafeTensors, View};

use super::error::{DataError, Place, Problem, shorten};
use super::file;
use super::npy::{Element, Failure, decode};
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

/// Reads a file. Floats are converted to `float` if one is given; integers and booleans become `i64`.
pub fn read(path: &Path, float: Option<FloatType>) -> Result<Tensors, DataError> {
    parse(&file::read(path)?, path, float)
}

/// Reads bytes that are said to come from `path`.
pub fn parse(bytes: &[u8], path: &Path, float: Option<FloatType>) -> Result<Tensors, DataError> {
    let malformed = |error: ::safetensors::SafeTensorError| {
        let reason = error.to_string();
        Place::file(path).fail(Problem::Malformed { format: FORMAT, reason: reason.chars().take(200).collect() })
    };
    let file = SafeTensors::deserialize(bytes).map_err(malformed)?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
    let stored = metadata.metadata().as_ref().and_then(|entries| entries.get(METADATA)).cloned();
    let mut tensors = Vec::new();
    for name in metadata.offset_keys() {
        let view = file.tensor(&name).map_err(malformed)?;
        let place = || Place::file(path).name(shorten(&name));
        let element = element(view.dtype()).ok_or_else(|| {
            place().fail(Problem::UnsupportedType { format: FORMAT, dtype: view.dtype().to_string() })
        })?;
        let count = view.data().len() / element.size();
        let values = decode(&mut view.data(), element, count, float).map_err(|failure| match failure {
            Failure::Io(error) => file::failed(path, &error),
            Failure::TooLarge(value) => place().fail(Problem::IntegerTooLarge { text: value.to_string() }),
        })?;
        tensors.push((name, Array { shape: view.shape().to_vec(), values }));
    }
    Ok(Tensors { tensors, metadata: stored })
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
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
        })
    }

    fn data_len(&self) -> usize {
        match &self.0.values {
            Values::F32(values) => size_of_val(values.as_slice()),
            Values::F64(values) => size_of_val(values.as_slice()),
            Values::I64(values) => size_of_val(values.as_slice()),
        }
    }
}
