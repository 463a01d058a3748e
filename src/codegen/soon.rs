//! What is read right after a product: asked for a little at a time while the product multiplies, which leaves the way to memory
//! free, so that it is near when it is needed. Nothing is accessed, so addresses need not be valid.

/// Bytes that lie together.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Stretch {
    pub start: u64,
    pub bytes: u64,
}

/// Bytes asked for in all, at most, of every stretch as many from its beginning on: more would drive out of a second-level cache
/// what the product itself reads.
const MOST: u64 = 640 << 10;
/// Bytes asked for at each position of `k`, at most: a cache line.
const LINE: u64 = 64;

/// Stretches that are handed out in as many pieces as a product calls micro-kernels.
pub(super) struct Soon<'a> {
    rest: &'a [Stretch],
    /// Bytes of a stretch that are asked for, at most.
    most: u64,
    /// Bytes of the first stretch that were handed out.
    at: u64,
    each: u64,
}

impl<'a> Soon<'a> {
    pub fn new(stretches: &'a [Stretch]) -> Soon<'a> {
        Soon { rest: stretches, most: MOST / stretches.len().max(1) as u64, at: 0, each: 0 }
    }

    /// Into how many pieces it is cut from here on.
    pub fn cut(&mut self, pieces: usize) {
        let bytes: u64 = self.rest.iter().map(|stretch| stretch.bytes.min(self.most)).sum();
        self.each = bytes.div_ceil(pieces.max(1) as u64).next_multiple_of(LINE);
    }

    /// The next piece, for so many positions of `k`: where it begins, and how many bytes further it goes with each position.
    pub fn next(&mut self, positions: usize) -> Option<(*const u8, isize)> {
        let stretch = self.rest.first()?;
        let (start, end) = (stretch.start.wrapping_add(self.at), stretch.bytes.min(self.most));
        let bytes = self.each.min(end - self.at);
        self.at += bytes;
        if self.at >= end {
            (self.rest, self.at) = (&self.rest[1..], 0);
        }
        let steps = positions.saturating_sub(1).max(1) as u64;
        Some((start as *const u8, bytes.div_ceil(steps).min(LINE) as isize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_asked_for_once_around() {
        let stretches = [Stretch { start: 1 << 20, bytes: 1000 }, Stretch { start: 2 << 20, bytes: 5000 }];
        let mut soon = Soon::new(&stretches);
        soon.cut(7);
        let mut asked = std::collections::BTreeSet::new();
        while let Some((start, step)) = soon.next(40) {
            asked.extend((0..40).map(|position| (start as u64 + position * step as u64) / LINE));
        }
        let lines = |s: &Stretch| s.start / LINE..(s.start + s.bytes).div_ceil(LINE);
        assert!(stretches.iter().flat_map(lines).all(|line| asked.contains(&line)));
        assert!(asked.len() as u64 <= 6000 / LINE + 2 * 7, "{} lines", asked.len());
    }

    #[test]
    fn no_more_is_asked_for_than_stays_near() {
        let far = 1 << 40;
        let stretches = [0, far].map(|start| Stretch { start, bytes: 1 << 30 });
        let mut soon = Soon::new(&stretches);
        soon.cut(10);
        let starts: Vec<u64> = std::iter::from_fn(|| soon.next(1 << 20)).map(|(start, _)| start as u64).collect();
        let last = |from: u64| starts.iter().filter(|s| (from..from + far).contains(*s)).map(|s| s - from).max();
        for from in [0, far] {
            assert!(last(from).is_some_and(|last| (MOST / 4..MOST / 2).contains(&last)), "{starts:?}");
        }
    }
}
