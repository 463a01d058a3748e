//! Whether two texts say the same: equal syntax trees apart from places, and equal comments.

use crate::source::FileId;
use crate::syntax::ast::File;
use crate::syntax::token::{TokenKind, tokenize};
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hasher};

/// Compares two parsed texts.
pub(super) fn same(before: (&File, &str), after: (&File, &str)) -> bool {
    fingerprint(before.0) == fingerprint(after.0) && kept(before.1) == kept(after.1)
}

/// Texts in quotes, and comments.
fn kept(text: &str) -> Vec<&str> {
    let (tokens, _) = tokenize(FileId::default(), text);
    let kept = tokens.iter().filter(|t| matches!(t.kind, TokenKind::Str | TokenKind::Comment | TokenKind::DocComment));
    kept.map(|t| text[t.span.start as usize..t.span.end as usize].trim_end()).collect()
}

fn fingerprint(file: &File) -> u64 {
    let mut writer = WithoutPlaces { hasher: DefaultHasher::new(), figures: String::new() };
    // Hashing cannot fail.
    let _ = write!(writer, "{:?}", file.items);
    writer.end_figures();
    writer.hasher.finish()
}

/// Hashes the debug form of a tree without its spans, which are written `0:12..15`.
struct WithoutPlaces {
    hasher: DefaultHasher,
    /// Digits, dots and colons that may be a span.
    figures: String,
}

impl WithoutPlaces {
    fn end_figures(&mut self) {
        if !is_span(&self.figures) {
            self.hasher.write(self.figures.as_bytes());
        }
        self.figures.clear();
    }
}

impl fmt::Write for WithoutPlaces {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c.is_ascii_digit() || c == ':' || c == '.' {
                self.figures.push(c);
            } else {
                self.end_figures();
                self.hasher.write_u32(c.into());
            }
        }
        Ok(())
    }
}

fn is_span(figures: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let parts = figures.split_once(':').and_then(|(file, range)| Some((file, range.split_once("..")?)));
    parts.is_some_and(|(file, (start, end))| digits(file) && digits(start) && digits(end))
}
