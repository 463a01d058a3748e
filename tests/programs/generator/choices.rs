//! Decisions made by words: a list of words is a program, and a shorter list with smaller words a simpler one.

/// Words being used up. Every decision takes one; when there are none left, it is the simplest.
pub struct Choices<'w> {
    words: &'w [u32],
}

impl<'w> Choices<'w> {
    pub fn new(words: &'w [u32]) -> Choices<'w> {
        Choices { words }
    }

    /// A number below `n`; 0 is the simplest.
    pub fn below(&mut self, n: usize) -> usize {
        match self.words.split_first() {
            Some((word, rest)) => {
                self.words = rest;
                *word as usize % n
            }
            None => 0,
        }
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// One of the list; the first is the simplest.
    pub fn pick<'t>(&mut self, list: &[&'t str]) -> &'t str {
        list[self.below(list.len())]
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}
