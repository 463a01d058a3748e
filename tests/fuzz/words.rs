//! Damage to `.dl` text, by whole tokens for the most part: what is left is often close enough to a program to get far.

use crate::random::Random;
use dlc::source::FileId;
use dlc::syntax::{TokenKind, tokenize};
use std::collections::BTreeMap;

/// Tokens that mean something somewhere.
const WORDS: &[&str] = &[
    "fn",
    "layer",
    "net",
    "loss",
    "penalty",
    "constraint",
    "optimizer",
    "schedule",
    "init",
    "augment",
    "metric",
    "data",
    "split",
    "into",
    "train",
    "phase",
    "minimize",
    "on",
    "using",
    "keep",
    "measure",
    "epochs",
    "steps",
    "stop",
    "batch",
    "in",
    "order",
    "param",
    "state",
    "shared",
    "if",
    "then",
    "else",
    "when",
    "training",
    "and",
    "or",
    "not",
    "over",
    "for",
    "true",
    "false",
    "requires",
    "divides",
    "index",
    "int",
    "bool",
    "params",
    "objective",
    "grad",
    "hvp",
    "jvp",
    "vjp",
    "jacobian",
    "sum",
    "mean",
    "max",
    "min",
    "norm",
    "argmax",
    "sort",
    "dot",
    "where",
    "concat",
    "one_hot",
    "zeros",
    "ones",
    "like",
    "size",
    "floor",
    "exp",
    "log",
    "sqrt",
    "uniform",
    "normal",
    "bernoulli",
    "rademacher",
    "weights",
    "biases",
    "all",
    "csv",
    "npy",
    "npz",
    "idx",
    "npz",
    "idx",
    "safetensors",
    "target",
    "seed",
    "dense",
    "relu",
    "softmax",
    "adam",
    "sgd",
    "J",
    "θ",
    "∇",
    "N",
    "K",
    "T",
    "x",
    "label",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    ":",
    ".",
    "..",
    "'",
    "ᵀ",
    "²",
    "%",
    "=",
    "->",
    "|>",
    "+",
    "-",
    "*",
    "·",
    "/",
    "@",
    "^",
    "<",
    "<=",
    "≥",
    "==",
    "!=",
    "\n",
    "\n\n",
    " ",
    "# c\n",
    "## d\n",
    "\"",
    "\"t\"",
    "\\",
    "\r",
    "\t",
    "\u{0}",
    "\u{feff}",
    "é",
    "_",
    "$",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "64",
    "1.5",
    "1e-4",
    "1e308",
    "1e309",
    "1e-320",
    "0.0",
    "9223372036854775807",
    "9223372036854775808",
    "4294967296",
    "1000000000000",
    "99999999999999999999999999",
    "3",
    "7",
    "128",
];

/// Longer texts are left alone.
const LONGEST: usize = 100_000;

/// A seed, damaged in a few places.
pub fn mutate(random: &mut Random, pool: &[Vec<u8>]) -> Vec<u8> {
    let text = String::from_utf8_lossy(random.pick::<Vec<u8>>(pool));
    let other = String::from_utf8_lossy(random.pick::<Vec<u8>>(pool));
    let mut tokens = pieces(&text);
    let others = pieces(&other);
    for _ in 0..random.length(12) {
        damage(random, &mut tokens, &others);
    }
    let mut bytes: Vec<u8> = tokens.into_iter().flat_map(|(_, text)| text.bytes()).take(LONGEST).collect();
    if random.once_in(50) {
        let at = random.below(bytes.len() + 1);
        bytes.insert(at, random.next() as u8);
    }
    bytes
}

type Piece<'t> = (TokenKind, &'t str);

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (tokens, _) = tokenize(FileId::default(), text);
    tokens.iter().map(|t| (t.kind, &text[t.span.start as usize..t.span.end as usize])).collect()
}

fn damage<'t>(random: &mut Random, tokens: &mut Vec<Piece<'t>>, others: &[Piece<'t>]) {
    let at = random.below(tokens.len());
    let place = random.below(tokens.len() + 1);
    let word = |random: &mut Random| (TokenKind::Ident, *random.pick(WORDS));
    match random.below(14) {
        0 => drop(tokens.drain(random.range(tokens.len(), 8))),
        1 => {
            let copy = tokens[random.range(tokens.len(), 20)].to_vec();
            drop(tokens.splice(place..place, copy));
        }
        2 if place < tokens.len() => tokens.swap(at, place),
        3 if !tokens.is_empty() => tokens[at] = word(random),
        4 => tokens.insert(place, word(random)),
        5 => {
            let part = others[random.range(others.len(), 60)].to_vec();
            drop(tokens.splice(place..place, part));
        }
        // A name for a name, a number for a number: this stays a program, of another meaning.
        6..=8 if !tokens.is_empty() => {
            let alike: Vec<Piece> = tokens.iter().chain(others).filter(|t| t.0 == tokens[at].0).copied().collect();
            tokens[at] = *random.pick(&alike);
        }
        9 => {
            let copy = tokens[random.range(tokens.len(), 8)].to_vec();
            let times = random.length(LONGEST / 8 / copy.len().max(1));
            drop(tokens.splice(place..place, copy.repeat(times)));
        }
        10 => {
            let range = random.range(tokens.len(), 12);
            let (open, close) =
                *random.pick(&[("(", ")"), ("[", "]"), ("{", "}"), ("if x then ", " else y"), ("f(", ")")]);
            tokens.insert(range.end, (TokenKind::Bad, close));
            tokens.insert(range.start, (TokenKind::Bad, open));
        }
        11 => {
            let numbers = tokens.iter_mut().filter(|t| matches!(t.0, TokenKind::Int | TokenKind::Float));
            let mut numbers: Vec<&mut Piece> = numbers.collect();
            let chosen = random.below(numbers.len());
            if let Some(number) = numbers.get_mut(chosen) {
                number.1 = random.pick::<&str>(NUMBERS);
            }
        }
        12 => rename(random, tokens),
        _ if random.once_in(8) => tokens.truncate(place),
        _ => {
            // A whole line more, of this text or the other.
            let from = if random.once_in(2) { others.to_vec() } else { tokens.clone() };
            let lines: Vec<&[Piece]> = from.split_inclusive(|t| t.0 == TokenKind::Newline).collect();
            let starts = tokens.iter().enumerate().filter(|(_, t)| t.0 == TokenKind::Newline).map(|(k, _)| k + 1);
            let starts: Vec<usize> = starts.collect();
            if let (false, false) = (lines.is_empty(), starts.is_empty()) {
                let line = random.pick(&lines).to_vec();
                let start = *random.pick(&starts);
                drop(tokens.splice(start..start, line));
            }
        }
    }
}

/// Everywhere one name for another, which makes two things one.
fn rename<'t>(random: &mut Random, tokens: &mut [Piece<'t>]) {
    let mut names: BTreeMap<&'t str, ()> = BTreeMap::new();
    names.extend(tokens.iter().filter(|t| t.0 == TokenKind::Ident).map(|t| (t.1, ())));
    let names: Vec<&str> = names.into_keys().collect();
    if names.is_empty() {
        return;
    }
    let (from, to) = (*random.pick(&names), *random.pick(&names));
    tokens.iter_mut().filter(|t| t.1 == from).for_each(|t| t.1 = to);
}
