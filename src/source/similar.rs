//! The nearest of several known names to one that is unknown: what "did you mean" offers.
//!
//! The distance counts insertions, deletions, substitutions and swaps of neighbours; ties go to the earlier candidate.

/// The candidate nearest to `name`, if one is near enough to be a likely slip: at most a third of its letters differ.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters: Vec<char> = name.to_lowercase().chars().collect();
    if letters.len() > LONGEST {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates.into_iter().take(MOST) {
        let other: Vec<char> = candidate.to_lowercase().chars().collect();
        let allowed = (letters.len().max(other.len()) / 3).max(1);
        if candidate == name || other.len().abs_diff(letters.len()) > allowed {
            continue;
        }
        let distance = distance(&letters, &other);
        // A single letter that is a different letter is another name, not a slip.
        if distance <= allowed && distance < letters.len() && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Names longer than this are not compared: the cost is quadratic and nobody mistypes them by hand.
const LONGEST: usize = 100;

/// Candidates beyond these are not looked at: so many names are written by programs, for programs.
const MOST: usize = 5000;

/// Optimal string alignment distance (Damerau–Levenshtein without overlapping edits).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substituted = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substituted.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn slips_are_recognised() {
        let names = ["label", "progression", "bmi"];
        assert_eq!(closest("lable", names), Some("label"));
        assert_eq!(closest("Label", names), Some("label"));
        assert_eq!(closest("progresion", names), Some("progression"));
    }

    #[test]
    fn unrelated_names_are_not_offered() {
        assert_eq!(closest("weight", ["label", "bmi"]), None);
        assert_eq!(closest("a", ["b"]), None);
        assert_eq!(closest("", ["label"]), None);
    }

    #[test]
    fn the_nearest_wins_and_ties_go_to_the_first() {
        assert_eq!(closest("s11", ["s1", "s12"]), Some("s1"));
        assert_eq!(closest("dense3", ["dense1", "dense2"]), Some("dense1"));
    }
}
