//! Attributes in the text form: `[axes=(0, 1), dims=(N, 64)]`.
//!
//! Written and read as text by key; what a value means is decided by whoever asks for it.

use super::primitive::Region;
use super::{DType, Size, Type};
use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::Arc;

/// Keys with the text of their values, in the order in which they are written.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Attributes(Vec<(String, String)>);

/// Writes `(a, b, c)`.
fn parenthesized<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("({})", items.join(", "))
}

impl Attributes {
    pub fn none() -> Attributes {
        Attributes::default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn with(mut self, key: &str, value: impl Display) -> Attributes {
        self.0.push((key.into(), value.to_string()));
        self
    }

    pub fn with_list<T: Display>(self, key: &str, items: impl IntoIterator<Item = T>) -> Attributes {
        self.with(key, parenthesized(items))
    }

    pub fn with_pairs(self, key: &str, pairs: &[(usize, usize)]) -> Attributes {
        self.with(key, parenthesized(pairs.iter().map(|(a, b)| format!("{a}:{b}"))))
    }

    pub fn with_text(self, key: &str, text: &str) -> Attributes {
        self.with(key, format!("{text:?}"))
    }

    pub fn with_region(self, key: &str, region: &Region) -> Attributes {
        self.with(key, format!("{{\n{}}}", region.0))
    }

    /// Reads `key=value, key=value`.
    pub fn parse(text: &str) -> Result<Attributes, String> {
        let mut out = Attributes::none();
        for part in split(text) {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is no attribute"))?;
            out = out.with(key.trim(), value.trim());
        }
        Ok(out)
    }

    fn get(&self, key: &str) -> Result<&str, String> {
        let found = self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        found.ok_or_else(|| format!("the attribute `{key}` is missing"))
    }

    fn items(&self, key: &str) -> Result<Vec<&str>, String> {
        let text = self.get(key)?;
        let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')'));
        Ok(split(inner.ok_or_else(|| format!("`{text}` is no list"))?))
    }

    pub fn read<T: FromStr>(&self, key: &str) -> Result<T, String> {
        parse_one(self.get(key)?)
    }

    pub fn list<T: FromStr>(&self, key: &str) -> Result<Vec<T>, String> {
        self.items(key)?.into_iter().map(parse_one).collect()
    }

    pub fn pairs(&self, key: &str) -> Result<Vec<(usize, usize)>, String> {
        let pair = |item: &str| {
            let (a, b) = item.split_once(':').ok_or_else(|| format!("`{item}` is no pair"))?;
            Ok((parse_one(a)?, parse_one(b)?))
        };
        self.items(key)?.into_iter().map(pair).collect()
    }

    /// Text between quotes.
    pub fn text(&self, key: &str) -> Result<Arc<str>, String> {
        unquote(self.get(key)?).map(Into::into)
    }

    pub fn region(&self, key: &str) -> Result<Region, String> {
        let text = self.get(key)?;
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
        let graph = super::text::parse(inner.ok_or_else(|| format!("`{key}` is no region"))?)?;
        Ok(Region(Arc::new(graph)))
    }
}

impl Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, (key, value)) in self.0.iter().enumerate() {
            write!(f, "{}{key}={value}", if k > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

fn parse_one<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("`{}` cannot be read", text.trim()))
}

/// The text that `{:?}` wrote.
pub(super) fn unquote(text: &str) -> Result<String, String> {
    let inner =
        text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).ok_or_else(|| format!("`{text}` is no text"))?;
    let mut out = String::new();
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        match (c, if c == '\\' { rest.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some('0')) => out.push('\0'),
            ('\\', Some('u')) => {
                let code: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                let code = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                out.push(code.ok_or_else(|| format!("`{text}` holds no character"))?);
            }
            ('\\', Some(other)) => out.push(other),
            ('\\', None) => return Err(format!("`{text}` ends in the middle")),
            (c, _) => out.push(c),
        }
    }
    Ok(out)
}

/// The characters that stand neither in quotes nor in a comment (two spaces and `#` up to the line end), with their places.
pub(super) fn bare(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut quoted, mut escaped, mut comment) = (false, false, false);
    text.char_indices().filter(move |(at, c)| {
        if quoted {
            quoted = escaped || *c != '"';
            escaped = *c == '\\' && !escaped;
            return false;
        }
        comment = *c != '\n' && (comment || text[*at..].starts_with("  # "));
        quoted = !comment && *c == '"';
        !comment && !quoted
    })
}

/// Where the bracket that is open at the start of `text` closes: the index of the closing bracket.
pub(super) fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in bare(text) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth <= 1 => return Some(at),
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The parts between commas that stand in no bracket and no quotes.
pub(super) fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0usize);
    for (at, c) in bare(text) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    if parts == [""] { Vec::new() } else { parts }
}

impl FromStr for DType {
    type Err = String;
    fn from_str(text: &str) -> Result<DType, String> {
        let all = [DType::F32, DType::F64, DType::I32, DType::I64, DType::Bool];
        all.into_iter().find(|d| d.to_string() == text).ok_or_else(|| format!("`{text}` is no element type"))
    }
}

impl FromStr for Type {
    type Err = String;
    fn from_str(text: &str) -> Result<Type, String> {
        let (dtype, dims) = text.split_once('[').ok_or_else(|| format!("`{text}` is no type"))?;
        let dims = dims.strip_suffix(']').ok_or_else(|| format!("`{text}` is no type"))?;
        Ok(Type::new(dtype.trim().parse()?, split(dims).into_iter().map(str::parse).collect::<Result<Vec<Size>, _>>()?))
    }
}

impl FromStr for Size {
    type Err = String;
    /// Reads what `Display` writes: sums of products of numbers, symbols with powers, and `floor((a)/(b))`.
    fn from_str(text: &str) -> Result<Size, String> {
        let mut reader = SizeReader { rest: text.trim(), depth: 0 };
        let size = reader.sum()?;
        if reader.rest.is_empty() { Ok(size) } else { Err(format!("`{text}` is no size")) }
    }
}

struct SizeReader<'a> {
    rest: &'a str,
    depth: usize,
}

impl SizeReader<'_> {
    fn take(&mut self, token: &str) -> bool {
        let found = self.rest.trim_start().strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(format!("expected `{token}` at `{}`", self.rest)) }
    }

    fn sum(&mut self) -> Result<Size, String> {
        let mut total = Size::default();
        let mut negative = self.take("-");
        loop {
            let term = self.product()?;
            total = if negative { &total - &term } else { &total + &term };
            negative = match (self.take("+"), self.take("-")) {
                (true, _) => false,
                (_, true) => true,
                _ => return Ok(total),
            };
        }
    }

    fn product(&mut self) -> Result<Size, String> {
        let mut total = self.power()?;
        while self.take("*") {
            total = &total * &self.power()?;
        }
        Ok(total)
    }

    fn power(&mut self) -> Result<Size, String> {
        let base = self.atom()?;
        if !self.take("^") {
            return Ok(base);
        }
        let power = self.digits().parse::<u32>().ok().filter(|p| *p <= 64).ok_or("a power is too large")?;
        Ok((0..power).fold(Size::constant(1), |product, _| &product * &base))
    }

    fn digits(&mut self) -> String {
        self.word(|c| c.is_ascii_digit())
    }

    fn word(&mut self, accepts: impl Fn(char) -> bool) -> String {
        let text = self.rest.trim_start();
        let end = text.find(|c| !accepts(c)).unwrap_or(text.len());
        self.rest = &text[end..];
        text[..end].to_string()
    }

    fn atom(&mut self) -> Result<Size, String> {
        self.depth += 1;
        if self.depth > 64 {
            return Err("a size is nested too deeply".into());
        }
        let number = self.digits();
        let size = if !number.is_empty() {
            Size::constant(parse_one(&number)?)
        } else {
            let name = self.word(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '\'' | '#'));
            if name == "floor" && self.take("((") {
                let above = self.sum()?;
                self.expect(")/(")?;
                let below = self.sum()?;
                self.expect("))")?;
                above.floor_div(&below)
            } else if name.is_empty() {
                return Err(format!("expected a size at `{}`", self.rest));
            } else {
                Size::symbol(&name)
            }
        };
        self.depth -= 1;
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_back() {
        let (n, k) = (Size::symbol("N"), Size::symbol("K_1"));
        let quotient = (&n + &1.into()).floor_div(&(&k * &k));
        let sizes = [
            Size::default(),
            7.into(),
            &n - &3.into(),
            &(&(&n * &n) * &k) - &(&k * &5.into()),
            &(&quotient * &2.into()) + &n,
            quotient.floor_div(&3.into()),
        ];
        for size in sizes {
            assert_eq!(size.to_string().parse(), Ok(size));
        }
        for wrong in ["", "N +", "2**N", "floor((N)/(0", "N)", "99999999999999999999999", "N^65"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn brackets_in_quotes_and_comments_do_not_count() {
        let text = "[a=\"]\\\"]\", b={\n%0 = f()  # it's ]\n}](x)";
        assert_eq!(closing(text), text.rfind(']'));
        assert_eq!(split("(a, b), \"c, \", d"), ["(a, b)", "\"c, \"", "d"]);
    }
}
