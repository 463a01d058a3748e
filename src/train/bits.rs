//! Floats in JSON as their bits, for fields marked `#[serde(with = "bits")]`.
//!
//! A float written in decimal is `null` if it is not finite, and a reader may round it; progress that is restored has to be
//! the very number that was saved.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{:016x}", value.to_bits()))
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bits = u64::from_str_radix(&text, 16).map_err(|_| D::Error::custom("the bits of a float are 16 hex digits"))?;
    Ok(f64::from_bits(bits))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Held(#[serde(with = "super")] f64);

    #[test]
    fn every_float_comes_back_as_it_was() {
        for value in [0.0, -0.0, 0.1, f64::MIN_POSITIVE / 3.0, f64::INFINITY, f64::NAN, -1.7976931348623157e308] {
            let text = serde_json::to_string(&Held(value)).unwrap();
            let read: Held = serde_json::from_str(&text).unwrap();
            assert_eq!(read.0.to_bits(), value.to_bits(), "{text}");
        }
        assert!(serde_json::from_str::<Held>("\"x\"").is_err());
        assert!(serde_json::from_str::<Held>("0.5").is_err());
    }
}
