//! The elements of binary files: their types and sizes, and decoding them from bytes of either order.
//!
//! Floats of 16 bits become `f32`; unsigned bytes and truth values stay bytes; other integers become `i64`.

use std::io::{self, Read};

use super::error::{DataError, Place, Problem};
use super::table::{FloatType, Values};
use crate::runtime::memory::use_large_pages;

/// Element types by kind and size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Element {
    F16,
    BF16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

/// Which byte of an element comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl Element {
    /// Bytes in a file.
    pub(super) fn size(self) -> usize {
        match self {
            Element::I8 | Element::U8 | Element::Bool => 1,
            Element::F16 | Element::BF16 | Element::I16 | Element::U16 => 2,
            Element::F32 | Element::I32 | Element::U32 => 4,
            Element::F64 | Element::I64 | Element::U64 => 8,
        }
    }

    /// Bytes in memory.
    pub(super) fn stored_size(self, float: Option<FloatType>) -> usize {
        match (self, float) {
            (Element::U8 | Element::Bool, _) => 1,
            (Element::F16 | Element::BF16 | Element::F32, None) => 4,
            (Element::F16 | Element::BF16 | Element::F32 | Element::F64, Some(FloatType::F32)) => 4,
            _ => 8,
        }
    }
}

/// Why elements could not be decoded.
pub(super) enum Failure {
    Io(io::Error),
    /// An unsigned integer beyond `i64`.
    TooLarge(u64),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Io(error)
    }
}

impl Failure {
    /// The error to tell of a file, where `ended` is that of a source that fails.
    pub(super) fn told(self, place: Place, ended: impl FnOnce(io::Error) -> DataError) -> DataError {
        match self {
            Failure::Io(error) => ended(error),
            Failure::TooLarge(value) => place.fail(Problem::IntegerTooLarge { text: value.to_string() }),
        }
    }
}

/// Elements that stand one after the other.
pub(super) struct Elements<'r, R> {
    pub reader: &'r mut R,
    pub element: Element,
    pub order: ByteOrder,
    /// As many as the source is said to have; the caller has made sure that they fit into memory.
    pub count: usize,
    /// Whether the source is known to hold as many: then there is room for all of them at once.
    pub whole: bool,
}

impl<R: Read> Elements<'_, R> {
    /// Reads them; floats are converted to `float` if one is given.
    pub(super) fn decode(mut self, float: Option<FloatType>) -> Result<Values, Failure> {
        let integers = |values| Ok(Values::I64(values));
        match (self.element, float) {
            (Element::F64, None | Some(FloatType::F64)) => Ok(Values::F64(self.each(f64::from_le_bytes)?)),
            (Element::F64, Some(FloatType::F32)) => {
                Ok(Values::F32(self.each(|bytes| f64::from_le_bytes(bytes) as f32)?))
            }
            (Element::F32, None | Some(FloatType::F32)) => Ok(Values::F32(self.each(f32::from_le_bytes)?)),
            (Element::F32, Some(FloatType::F64)) => {
                Ok(Values::F64(self.each(|bytes| f32::from_le_bytes(bytes).into())?))
            }
            (Element::F16, None | Some(FloatType::F32)) => Ok(Values::F32(self.each(half)?)),
            (Element::F16, Some(FloatType::F64)) => Ok(Values::F64(self.each(|bytes| half(bytes).into())?)),
            (Element::BF16, None | Some(FloatType::F32)) => Ok(Values::F32(self.each(brain)?)),
            (Element::BF16, Some(FloatType::F64)) => Ok(Values::F64(self.each(|bytes| brain(bytes).into())?)),
            (Element::U8, _) => Ok(Values::U8(self.each(|[byte]| byte)?)),
            (Element::Bool, _) => Ok(Values::U8(self.each(|[byte]| u8::from(byte != 0))?)),
            (Element::I8, _) => integers(self.each(|bytes| i8::from_le_bytes(bytes).into())?),
            (Element::I16, _) => integers(self.each(|bytes| i16::from_le_bytes(bytes).into())?),
            (Element::I32, _) => integers(self.each(|bytes| i32::from_le_bytes(bytes).into())?),
            (Element::I64, _) => integers(self.each(i64::from_le_bytes)?),
            (Element::U16, _) => integers(self.each(|bytes| u16::from_le_bytes(bytes).into())?),
            (Element::U32, _) => integers(self.each(|bytes| u32::from_le_bytes(bytes).into())?),
            (Element::U64, _) => {
                let values = self.each(i64::from_le_bytes)?;
                match values.iter().find(|&&value| value < 0) {
                    Some(&value) => Err(Failure::TooLarge(value as u64)),
                    None => Ok(Values::I64(values)),
                }
            }
        }
    }

    /// Reads elements of `SIZE` bytes a block at a time; `convert` gets them in little-endian order.
    fn each<const SIZE: usize, T>(&mut self, convert: impl Fn([u8; SIZE]) -> T) -> io::Result<Vec<T>> {
        const BLOCK: usize = 1 << 16;
        let mut values: Vec<T> = Vec::new();
        if self.whole {
            values.reserve_exact(self.count);
            use_large_pages(values.as_mut_ptr(), self.count * size_of::<T>());
        }
        let mut block = vec![0; BLOCK.min(self.count * SIZE)];
        while values.len() < self.count {
            if values.len() == values.capacity() {
                // Twice as many as have come so far: a packed file may claim many more than it holds.
                values.reserve_exact(values.len().max(BLOCK).min(self.count - values.len()));
            }
            let room = values.capacity() - values.len();
            let bytes = BLOCK.min((self.count - values.len()).min(room) * SIZE);
            self.reader.read_exact(&mut block[..bytes])?;
            let chunks = block[..bytes].as_chunks_mut::<SIZE>().0;
            if self.order == ByteOrder::Big {
                chunks.iter_mut().for_each(|chunk| chunk.reverse());
            }
            values.extend(chunks.iter().map(|&chunk| convert(chunk)));
        }
        Ok(values)
    }
}

/// IEEE 754 binary16.
fn half(bytes: [u8; 2]) -> f32 {
    let bits = u16::from_le_bytes(bytes);
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits) & 0x3ff;
    let magnitude = match exponent {
        // Subnormal: a multiple of 2^-24, which f32 holds exactly.
        0 => return f32::from_bits((fraction as f32 / 16_777_216.0).to_bits() | sign),
        0x1f => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 127 - 15) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// The upper half of a binary32.
fn brain(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(element: Element, order: ByteOrder, mut bytes: &[u8]) -> Values {
        let count = bytes.len() / element.size();
        let mut again = bytes;
        let decode = |whole, reader| Elements { reader, element, order, count, whole }.decode(None).ok();
        let values = decode(false, &mut bytes);
        assert_eq!(decode(true, &mut again), values, "{element:?} with room for all at once");
        values.unwrap_or_else(|| panic!("{element:?} is read"))
    }

    #[test]
    fn floats_of_sixteen_bits() {
        let cases: [(u16, f32); 9] = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x83ff, -6.097_555e-5),
            (0x7c00, f32::INFINITY),
        ];
        for (bits, value) in cases {
            assert_eq!(half(bits.to_le_bytes()), value, "{bits:#06x}");
        }
        assert!(half(0x8000u16.to_le_bytes()).is_sign_negative());
        assert!(half(0x7e00u16.to_le_bytes()).is_nan());
        assert_eq!(brain([0x40, 0x40]), 3.0);
    }

    #[test]
    fn both_byte_orders() {
        use ByteOrder::{Big, Little};
        assert_eq!(decoded(Element::I16, Big, &[0x01, 0x02, 0xff, 0xfe]), Values::I64(vec![0x102, -2]));
        assert_eq!(decoded(Element::I16, Little, &[0x01, 0x02]), Values::I64(vec![0x201]));
        assert_eq!(decoded(Element::F64, Big, &1.5f64.to_be_bytes()), Values::F64(vec![1.5]));
        assert_eq!(decoded(Element::F32, Big, &1.5f32.to_be_bytes()), Values::F32(vec![1.5]));
        assert_eq!(decoded(Element::F16, Big, &[0x3c, 0x00]), Values::F32(vec![1.0]));
        assert_eq!(decoded(Element::Bool, Big, &[0, 1, 7]), Values::U8(vec![0, 1, 1]));
        assert_eq!(decoded(Element::U8, Little, &[0, 255]), Values::U8(vec![0, 255]));
        assert_eq!(decoded(Element::U32, Big, &[255; 4]), Values::I64(vec![u32::MAX.into()]));
    }
}
