//! The header of an `.npy` file: a Python dictionary literal with the keys `descr`, `fortran_order` and `shape`.
//!
//! Only the literals such a header can hold are read: strings, booleans and tuples of integers. Structured element types
//! (a list for `descr`) are named in the error.

/// What the header says; nothing of it is checked against the file yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub descr: String,
    pub fortran_order: bool,
    pub shape: Vec<usize>,
}

/// NumPy itself stops at 64 axes.
const MOST_AXES: usize = 64;

/// Parses the text of a header; the error is a reason for people.
pub(super) fn parse(text: &[u8]) -> Result<Header, String> {
    let text = std::str::from_utf8(text).map_err(|_| "its header is not text".to_string())?;
    let mut cursor = Cursor { rest: text.trim() };
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    cursor.expect('{')?;
    while !cursor.accept('}') {
        let key = cursor.string()?;
        cursor.expect(':')?;
        match key {
            "descr" if cursor.peek() == Some('[') => return Err("its elements are records".into()),
            "descr" => descr = Some(cursor.string()?.to_string()),
            "fortran_order" => fortran_order = Some(cursor.boolean()?),
            "shape" => shape = Some(cursor.tuple()?),
            _ => return Err("its header has an unknown key".into()),
        }
        if !cursor.accept(',') {
            cursor.expect('}')?;
            break;
        }
    }
    if !cursor.rest.is_empty() {
        return Err("its header goes on after its end".into());
    }
    match (descr, fortran_order, shape) {
        (Some(descr), Some(fortran_order), Some(shape)) => Ok(Header { descr, fortran_order, shape }),
        _ => Err("its header lacks `descr`, `fortran_order` or `shape`".into()),
    }
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn accept(&mut self, letter: char) -> bool {
        let found = self.peek() == Some(letter);
        if found {
            self.rest = &self.rest[letter.len_utf8()..];
        }
        found
    }

    fn expect(&mut self, letter: char) -> Result<(), String> {
        if self.accept(letter) { Ok(()) } else { Err(format!("its header lacks a `{letter}`")) }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = self.peek().filter(|letter| matches!(letter, '\'' | '"'));
        let quote = quote.ok_or("its header lacks a string")?;
        let (text, rest) = self.rest[1..].split_once(quote).ok_or("a string of its header does not end")?;
        self.rest = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.peek();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err("`fortran_order` is neither `True` nor `False`".into())
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        let mut dims = Vec::new();
        self.expect('(')?;
        while !self.accept(')') {
            if dims.len() == MOST_AXES {
                return Err(format!("its shape has more than {MOST_AXES} axes"));
            }
            self.peek();
            let digits = self.rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(self.rest.len());
            let dim = self.rest[..digits].parse().map_err(|_| "its shape is not a tuple of sizes".to_string())?;
            dims.push(dim);
            // Python 2 wrote long integers with a suffix.
            self.rest = self.rest[digits..].trim_start_matches('L');
            if !self.accept(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(dims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_as_numpy_writes_them() {
        let text = b"{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4L), }   \n";
        let header = Header { descr: "<f8".into(), fortran_order: true, shape: vec![3, 4] };
        assert_eq!(parse(text), Ok(header));
        let scalar = parse(b"{'shape': (), 'fortran_order': False, 'descr': '|b1'}").unwrap();
        assert_eq!(scalar.shape, Vec::<usize>::new());
        assert_eq!(parse(b"{'descr':'<f4','fortran_order':False,'shape':(7,)}").unwrap().shape, [7]);
    }

    #[test]
    fn broken_headers_say_why() {
        let reason = |text: &str| parse(text.as_bytes()).unwrap_err();
        assert_eq!(reason(""), "its header lacks a `{`");
        assert_eq!(reason("{'descr': [('a', '<f4')]}"), "its elements are records");
        assert_eq!(reason("{'descr': '<f4"), "a string of its header does not end");
        assert_eq!(reason("{'shape': (-1,)}"), "its shape is not a tuple of sizes");
        assert_eq!(reason("{'shape': (99999999999999999999,)}"), "its shape is not a tuple of sizes");
        assert_eq!(reason("{'shape': (2 3)}"), "its header lacks a `)`");
        assert_eq!(reason("{'shape': (2,)}"), "its header lacks `descr`, `fortran_order` or `shape`");
        assert_eq!(reason("{} {}"), "its header goes on after its end");
        assert_eq!(reason(&format!("{{'shape': ({})}}", "1,".repeat(65))), "its shape has more than 64 axes");
    }
}
