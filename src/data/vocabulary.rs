//! The values of a column of categories, and the code of each: its place among them in sorted order.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Distinct values, ascending.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Vocabulary {
    Integers(Vec<i64>),
    Texts(Vec<String>),
}

impl Vocabulary {
    /// Values as they stand in cells: integers if all are, else texts.
    pub fn of(values: &BTreeSet<String>) -> Self {
        let integers: Option<BTreeSet<i64>> = values.iter().map(|text| text.parse().ok()).collect();
        match integers {
            Some(integers) => Vocabulary::Integers(integers.into_iter().collect()),
            None => Vocabulary::Texts(values.iter().cloned().collect()),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Vocabulary::Integers(values) => values.len(),
            Vocabulary::Texts(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The code of a cell's value; `None` if it is not among the values.
    pub fn code(&self, text: &str) -> Option<usize> {
        match self {
            Vocabulary::Integers(values) => values.binary_search(&text.parse().ok()?).ok(),
            Vocabulary::Texts(values) => values.binary_search_by(|value| value.as_str().cmp(text)).ok(),
        }
    }

    /// The values as text, in the order of their codes.
    pub fn names(&self) -> Vec<String> {
        match self {
            Vocabulary::Integers(values) => values.iter().map(i64::to_string).collect(),
            Vocabulary::Texts(values) => values.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(values: &[&str]) -> Vocabulary {
        Vocabulary::of(&values.iter().map(|value| value.to_string()).collect())
    }

    #[test]
    fn integers_are_sorted_as_numbers() {
        let integers = vocabulary(&["10", "9", "-1", "+9", "09"]);
        assert_eq!(integers, Vocabulary::Integers(vec![-1, 9, 10]));
        assert_eq!((integers.code("9"), integers.code("+10"), integers.code("red")), (Some(1), Some(2), None));
    }

    #[test]
    fn texts_are_sorted_as_texts() {
        let texts = vocabulary(&["b", "10", "9", "a"]);
        assert_eq!(texts.names(), ["10", "9", "a", "b"]);
        assert_eq!((texts.code("a"), texts.code("c")), (Some(2), None));
    }
}
