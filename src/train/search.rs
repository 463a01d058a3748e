//! The settings that a search tries.
//!
//! Input: ranges of constants. Output: settings, in the order in which they are tried. Invariant: drawn settings are a function
//! of the seed and of their number.

use crate::check::typed::{Choices, Range, Search};
use crate::scalar::random::Key;

/// Constants by name.
pub type Setting = Vec<(String, f64)>;

/// Tells the draws of a search from others of the same seed.
const PURPOSE: u64 = 0x7365_6172;

/// Every setting of a search; a constant whose value is given keeps it.
pub fn settings(search: &Search, seed: u64, given: &[(String, f64)]) -> Vec<Setting> {
    let free = |range: &&Range| !given.iter().any(|(name, _)| *name == range.name);
    let ranges: Vec<&Range> = search.ranges.iter().filter(free).collect();
    match search.random {
        Some(count) => (0..count).map(|k| drawn(&ranges, seed, k)).collect(),
        None => combinations(&ranges),
    }
}

/// All combinations, the last range changing fastest.
fn combinations(ranges: &[&Range]) -> Vec<Setting> {
    let mut all = vec![Setting::new()];
    for range in ranges {
        let Choices::Values(values) = &range.choices else { continue };
        let with =
            |setting: &Setting, value: f64| setting.iter().cloned().chain([(range.name.clone(), value)]).collect();
        all =
            all.iter().flat_map(|setting| values.iter().map(|v| with(setting, *v)).collect::<Vec<Setting>>()).collect();
    }
    all
}

fn drawn(ranges: &[&Range], seed: u64, number: u64) -> Setting {
    let key = Key::derive(seed, PURPOSE, number);
    let draw = |(k, range): (usize, &&Range)| {
        let u = key.uniform_f64(k as u64);
        let value = match &range.choices {
            Choices::Values(values) => values[((u * values.len() as f64) as usize).min(values.len() - 1)],
            Choices::Between { low, high, log: false } => low + u * (high - low),
            Choices::Between { low, high, log: true } => (low.ln() + u * (high.ln() - low.ln())).exp(),
        };
        (range.name.clone(), if range.integer { value.round() } else { value })
    };
    ranges.iter().enumerate().map(draw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{FileId, Span};

    fn search(random: Option<u64>, ranges: Vec<Range>) -> Search {
        let span = Span::new(FileId::default(), 0, 0);
        Search { span, random, ranges, part: "valid".into(), metric: "loss".into(), grows: false }
    }

    fn range(name: &str, integer: bool, choices: Choices) -> Range {
        Range { name: name.into(), integer, choices }
    }

    #[test]
    fn a_grid_has_all_combinations() {
        let ranges = vec![
            range("a", false, Choices::Values(vec![0.1, 0.2])),
            range("b", true, Choices::Values(vec![1.0, 2.0, 3.0])),
        ];
        let grid = search(None, ranges);
        let all = settings(&grid, 0, &[]);
        assert_eq!(all.len(), 6);
        assert_eq!(all[1], [("a".to_owned(), 0.1), ("b".to_owned(), 2.0)]);
        // What is given is not searched.
        assert_eq!(settings(&grid, 0, &[("b".to_owned(), 9.0)]), [[("a".to_owned(), 0.1)], [("a".to_owned(), 0.2)]]);
    }

    #[test]
    fn draws_lie_between_the_bounds_and_repeat() {
        let ranges = vec![
            range("rate", false, Choices::Between { low: 1e-4, high: 1e-1, log: true }),
            range("hidden", true, Choices::Between { low: 3.0, high: 60.0, log: false }),
        ];
        let search = search(Some(200), ranges);
        let all = settings(&search, 5, &[]);
        assert_eq!(all, settings(&search, 5, &[]));
        assert_ne!(all, settings(&search, 6, &[]));
        let small = all.iter().filter(|s| s[0].1 < 10f64.powf(-2.5)).count();
        assert!((60..140).contains(&small), "half of the logarithms are below the middle: {small} of 200");
        assert!(all.iter().all(|s| (1e-4..=1e-1).contains(&s[0].1) && (3.0..=60.0).contains(&s[1].1)));
        assert!(all.iter().all(|s| s[1].1.fract() == 0.0), "an integer constant stays one");
    }
}
