//! The bytes of a checkpoint: a safetensors file that carries a checksum of itself.
//!
//! The header begins, after its length, with the one metadata entry `"dlc"`: a JSON text of the form
//! `{"checksum":"0123456789abcdef","format":1,"about":…}`. The checksum is XXH3 (64 bits) of the whole file with sixteen zeros
//! in its own place, so no byte of the file is outside of it.

use crate::ir::{Data, Tensor};
use safetensors::{Dtype, SafeTensorError, SafeTensors, View};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use xxhash_rust::xxh3::Xxh3Default;

/// The version of the contents.
const FORMAT: u32 = 1;
/// The key of the metadata.
const KEY: &str = "dlc";
/// What stands in the file up to the checksum, after eight bytes for the header's length.
const OPENING: &[u8] = br#"{"__metadata__":{"dlc":"{\"checksum\":\""#;
const LENGTH: usize = 8;
/// Where the checksum stands.
const START: usize = LENGTH + OPENING.len();
const END: usize = START + ZEROS.len();
const ZEROS: &str = "0000000000000000";

/// Why bytes are not a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Damage {
    /// It does not begin as checkpoints do.
    NotOne,
    /// The checksum is not that of the contents.
    Checksum,
    /// It is whole, but of another version of dlc, or made by hand.
    Unknown(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::NotOne => f.write_str("it is not a checkpoint of dlc, or its beginning is damaged"),
            Damage::Checksum => f.write_str("it is damaged or cut short: its checksum does not fit its contents"),
            Damage::Unknown(why) => write!(f, "its contents are not known to this version of dlc: {why}"),
        }
    }
}

/// The bytes of a checkpoint; `about` is JSON text.
pub fn seal(about: &str, tensors: &[(String, Tensor)]) -> Result<Vec<u8>, SafeTensorError> {
    let text = format!(r#"{{"checksum":"{ZEROS}","format":{FORMAT},"about":{about}}}"#);
    let entries = HashMap::from([(KEY.to_string(), text)]);
    let mut bytes = safetensors::serialize(tensors.iter().map(|(name, tensor)| (name, Stored(tensor))), Some(entries))?;
    let sum = checksum(&bytes);
    match bytes.get_mut(START..END) {
        Some(place) => place.copy_from_slice(sum.as_bytes()),
        None => unreachable!("this is a bug in dlc: a header without its metadata"),
    }
    Ok(bytes)
}

/// What was sealed: what the JSON text says and the tensors, in the order of the file.
pub fn open<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Vec<(String, Tensor)>), Damage> {
    if bytes.get(LENGTH..START) != Some(OPENING) {
        return Err(Damage::NotOne);
    }
    if bytes.get(START..END) != Some(checksum(bytes).as_bytes()) {
        return Err(Damage::Checksum);
    }
    let unknown = |error: SafeTensorError| Damage::Unknown(error.to_string());
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(unknown)?;
    let text = metadata.metadata().as_ref().and_then(|entries| entries.get(KEY));
    let text = text.ok_or_else(|| Damage::Unknown("it has no metadata".into()))?;
    let unreadable = |error: serde_json::Error| Damage::Unknown(error.to_string());
    // Another format may hold anything else.
    let Format { format } = serde_json::from_str(text).map_err(unreadable)?;
    if format != FORMAT {
        return Err(Damage::Unknown(format!("its format is {format}, and {FORMAT} is the one read here")));
    }
    let Contents { about } = serde_json::from_str(text).map_err(unreadable)?;
    let file = SafeTensors::deserialize(bytes).map_err(unknown)?;
    let mut tensors = Vec::new();
    for name in metadata.offset_keys() {
        let view = file.tensor(&name).map_err(unknown)?;
        let dims = view.shape().to_vec();
        let data = values(view.dtype(), view.data())
            .ok_or_else(|| Damage::Unknown(format!("`{name}` has elements of type {}", view.dtype())))?;
        tensors.push((name, Tensor { dims, data }));
    }
    Ok((about, tensors))
}

#[derive(serde::Deserialize)]
struct Format {
    format: u32,
}

#[derive(serde::Deserialize)]
struct Contents<T> {
    about: T,
}

/// The checksum of a file that is longer than its opening, as text.
fn checksum(bytes: &[u8]) -> String {
    let mut hash = Xxh3Default::new();
    hash.update(&bytes[..START.min(bytes.len())]);
    hash.update(ZEROS.as_bytes());
    hash.update(bytes.get(END..).unwrap_or_default());
    format!("{:016x}", hash.digest())
}

fn values(dtype: Dtype, bytes: &[u8]) -> Option<Data> {
    fn each<const N: usize, T>(bytes: &[u8], from: fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|chunk| from(*chunk)).collect()
    }
    Some(match dtype {
        Dtype::F32 => Data::F32(each(bytes, f32::from_le_bytes)),
        Dtype::F64 => Data::F64(each(bytes, f64::from_le_bytes)),
        Dtype::I32 => Data::I32(each(bytes, i32::from_le_bytes)),
        Dtype::I64 => Data::I64(each(bytes, i64::from_le_bytes)),
        Dtype::BOOL => Data::Bool(bytes.iter().map(|byte| *byte != 0).collect()),
        _ => return None,
    })
}

struct Stored<'a>(&'a Tensor);

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        match self.0.data {
            Data::F32(_) => Dtype::F32,
            Data::F64(_) => Dtype::F64,
            Data::I32(_) => Dtype::I32,
            Data::I64(_) => Dtype::I64,
            Data::Bool(_) => Dtype::BOOL,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.0.dims
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(match &self.0.data {
            Data::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Data::F64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Data::I32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Data::I64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Data::Bool(values) => values.iter().map(|value| u8::from(*value)).collect(),
        })
    }

    fn data_len(&self) -> usize {
        let each = match self.0.data {
            Data::F32(_) | Data::I32(_) => 4,
            Data::F64(_) | Data::I64(_) => 8,
            Data::Bool(_) => 1,
        };
        each * self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn small() -> Vec<(String, Tensor)> {
        let tensor = |dims: &[usize], data| Tensor { dims: dims.to_vec(), data };
        vec![
            ("net.dense.W".into(), tensor(&[2, 2], Data::F32(vec![0.1, -0.0, f32::MIN_POSITIVE / 4.0, 3.0]))),
            ("net.dense.b".into(), tensor(&[1], Data::F64(vec![f64::from_bits(0x7ff8_0000_dead_beef)]))),
            ("adam.t".into(), tensor(&[], Data::I64(vec![i64::MIN]))),
            ("counts".into(), tensor(&[3], Data::I32(vec![-1, 0, i32::MAX]))),
            ("seen".into(), tensor(&[2], Data::Bool(vec![true, false]))),
            ("nothing".into(), tensor(&[0, 4], Data::F32(Vec::new()))),
        ]
    }

    fn open(bytes: &[u8]) -> Result<(serde_json::Value, Vec<(String, Tensor)>), Damage> {
        super::open(bytes)
    }

    fn sealed() -> Vec<u8> {
        seal(r#"{"seed":7,"quoted":"a \"name\" → é"}"#, &small()).unwrap()
    }

    /// Bits, so that NaN equals itself.
    fn bits(tensors: &[(String, Tensor)]) -> Vec<(String, Vec<usize>, Vec<u8>)> {
        let mut all: Vec<_> =
            tensors.iter().map(|(n, t)| (n.clone(), t.dims.clone(), Stored(t).data().into_owned())).collect();
        all.sort();
        all
    }

    #[test]
    fn what_is_opened_is_what_was_sealed() {
        let bytes = sealed();
        let (about, tensors) = open(&bytes).unwrap();
        assert_eq!(about, serde_json::json!({ "seed": 7, "quoted": "a \"name\" → é" }));
        assert_eq!(bits(&tensors), bits(&small()));
        // The order of what is sealed does not matter.
        let reversed: Vec<_> = small().into_iter().rev().collect();
        assert_eq!(seal(r#"{"seed":7,"quoted":"a \"name\" → é"}"#, &reversed).unwrap(), bytes);
        // To others it is an ordinary safetensors file.
        assert_eq!(SafeTensors::deserialize(&bytes).unwrap().tensor("net.dense.W").unwrap().shape(), [2, 2]);
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let mut bytes = sealed();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(open(&bytes).is_ok());
    }

    #[test]
    fn every_cut_and_every_addition_is_refused() {
        let mut bytes = sealed();
        for length in 0..bytes.len() {
            assert!(open(&bytes[..length]).is_err(), "{length} bytes");
        }
        bytes.push(0);
        assert_eq!(open(&bytes), Err(Damage::Checksum));
    }

    #[test]
    fn other_files_and_other_formats_are_told_apart() {
        let plain = safetensors::serialize([("W", Stored(&small()[0].1))], None).unwrap();
        assert_eq!(open(&plain), Err(Damage::NotOne));
        let mut bytes = sealed();
        let at = bytes.windows(10).position(|w| w == br#"format\":1"#).unwrap() + 9;
        bytes[at] = b'9';
        let sum = checksum(&bytes);
        bytes[START..END].copy_from_slice(sum.as_bytes());
        assert_eq!(open(&bytes), Err(Damage::Unknown("its format is 9, and 1 is the one read here".into())));
    }

    proptest! {
        #[test]
        fn noise_is_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..300), opening: bool) {
            if opening {
                bytes.splice(0..0, sealed()[..START].iter().copied());
            }
            prop_assert!(open(&bytes).is_err());
        }

        #[test]
        fn exchanged_bytes_are_refused(a in 0usize..900, b in 0usize..900) {
            let mut bytes = sealed();
            let (a, b) = (a % bytes.len(), b % bytes.len());
            bytes.swap(a, b);
            prop_assert_eq!(open(&bytes).is_ok(), bytes == sealed());
        }
    }
}
