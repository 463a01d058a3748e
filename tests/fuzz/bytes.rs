//! Damage to data files: bits, lengths and counts, numbers and words of headers, parts of other files.

use crate::random::Random;

/// What the formats' headers and cells are made of.
const WORDS: &[&str] = &[
    ",",
    "\"",
    "\"\"",
    "\n",
    "\r\n",
    "\r",
    ";",
    "\t",
    " ",
    "\u{feff}",
    "a",
    "y",
    "x",
    "label",
    "nan",
    "inf",
    "-inf",
    "NA",
    "-",
    "+",
    ".",
    "e",
    "0",
    "-0",
    "1e400",
    "1e-400",
    "1e39",
    "0.1",
    "9223372036854775808",
    "-9223372036854775808",
    "\0",
    "ä",
    "<f4",
    "<f8",
    ">f4",
    "|b1",
    "|u1",
    "<i8",
    "<u8",
    "<f2",
    "=i4",
    "|O",
    "True",
    "False",
    "'descr'",
    "'shape'",
    "'fortran_order'",
    "(",
    ")",
    "(0,)",
    "(1,)",
    "()",
    "[",
    "]",
    "{",
    "}",
    ":",
    "L",
    "F32",
    "F64",
    "BF16",
    "I64",
    "BOOL",
    "\"dtype\"",
    "\"shape\"",
    "\"data_offsets\"",
    "\"__metadata__\"",
    "\\u0000",
    "\u{93}NUMPY",
    "PK\u{3}\u{4}",
    "PK\u{1}\u{2}",
    "PK\u{5}\u{6}",
    ".npy",
    "\u{1f}",
    "red",
    "blue",
    "?",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "255",
    "256",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "1099511627776",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999",
    "1e9",
    "0.5",
];

const INTEGERS: &[u64] = &[
    0,
    1,
    2,
    7,
    8,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 32,
    1 << 40,
    (1 << 62) + 1,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX - 7,
    u64::MAX,
];

/// Longer files are left alone.
const LONGEST: usize = 200_000;

/// A seed, damaged in a few places.
pub fn mutate(random: &mut Random, pool: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.pick(pool).clone();
    for _ in 0..random.length(8) {
        damage(random, &mut bytes, pool);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn damage(random: &mut Random, bytes: &mut Vec<u8>, pool: &[Vec<u8>]) {
    let at = place(random, bytes.len());
    match random.below(12) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
        2 => bytes.insert(at, random.next() as u8),
        3 => drop(bytes.drain(random.range(bytes.len(), 64))),
        4 => {
            let copy = bytes[random.range(bytes.len(), 64)].to_vec();
            let times = if random.once_in(6) { random.length(LONGEST / 2 / copy.len().max(1)) } else { 1 };
            drop(bytes.splice(at..at, copy.repeat(times)));
        }
        5 => {
            let other = random.pick(pool);
            let part = other[random.range(other.len(), other.len().max(1))].to_vec();
            drop(bytes.splice(at..at, part));
        }
        6 => bytes.truncate(random.below(bytes.len() + 1)),
        7 | 8 => field(random, bytes, at),
        9 => {
            let digits: Vec<usize> = (0..bytes.len()).filter(|&k| bytes[k].is_ascii_digit()).collect();
            if !digits.is_empty() {
                let start = *random.pick(&digits);
                let length = bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count();
                let number = random.pick(NUMBERS).bytes();
                drop(bytes.splice(start..start + length, number));
            }
        }
        _ => {
            let word = random.pick(WORDS).bytes();
            let end = if random.once_in(2) { at } else { (at + word.len()).min(bytes.len()) };
            drop(bytes.splice(at..end, word));
        }
    }
}

/// A place in the file, often near its beginning or its end, where the headers are.
fn place(random: &mut Random, length: usize) -> usize {
    match random.below(4) {
        0 => random.below(length.min(16)),
        1 => random.below(length.min(128)),
        2 => length.saturating_sub(1 + random.below(length.min(64))),
        _ => random.below(length),
    }
}

/// Another value for the integer that may stand there, of any width and either order of bytes.
fn field(random: &mut Random, bytes: &mut [u8], at: usize) {
    let width = (1usize << random.below(4)).min(bytes.len() - at.min(bytes.len()));
    let big = random.once_in(2);
    let part = &mut bytes[at..at + width];
    let read = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let old = if big { part.iter().fold(0, read) } else { part.iter().rev().fold(0, read) };
    let new = match random.below(3) {
        0 => *random.pick(INTEGERS),
        1 => old.wrapping_add(random.length(16) as u64),
        _ => old.wrapping_sub(random.length(16) as u64),
    };
    let word = new.to_le_bytes();
    for (k, byte) in part.iter_mut().enumerate() {
        *byte = word[if big { width - 1 - k } else { k }];
    }
}
