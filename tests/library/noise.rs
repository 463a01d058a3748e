//! Noise has the statistics it says while training, and is gone when evaluating.

use super::run::Folder;
use std::collections::BTreeMap;

const ROWS: usize = 4000;
const COLUMNS: usize = 10;

/// Noise of a column that is 2 everywhere: its formula, and the mean and variance of its elements.
const NOISE: [(&str, f64, f64); 9] = [
    ("dropout(x)", 2.0, 4.0),
    ("dropout(x, 0.2)", 2.0, 1.0),
    ("input_dropout(x)", 2.0, 1.0),
    ("gaussian_dropout(x, 0.2)", 2.0, 1.0),
    ("gaussian_noise(x, std: 0.5)", 2.0, 0.25),
    ("uniform_noise(x, width: 3)", 2.0, 3.0),
    ("masking_noise(x)", 1.5, 0.75),
    ("salt_and_pepper(x, rate: 0.5, low: -2, high: 6)", 2.0, 8.0),
    ("0.5 * dropout(x, 0.5) + 0.5 * dropout(x, 0.5)", 2.0, 2.0),
];

#[test]
fn noise_has_its_mean_and_variance_in_training_only() {
    let x = vec![2.0; ROWS * COLUMNS];
    let folder = Folder::new(&BTreeMap::from([("x".to_owned(), (vec![ROWS, COLUMNS], x))]));
    let share = 6.0 / ((ROWS * COLUMNS) as f64).sqrt();
    for (formula, mean, variance) in NOISE {
        for dtype in ["f32", "f64"] {
            let statistic = |of: &str| {
                let program = format!(
                    "net none(x: [N, D]) -> [] {{
                        param w: [] = zeros
                        0 * w + mean(x)
                    }}
                    train {{
                        minimize 0 * none(x) + {of}
                        on       d
                        using    sgd
                        steps    1
                        measure  most = max({formula}), least = min({formula})
                    }}"
                );
                let run = folder.run(&program, dtype);
                assert_eq!((run.measure("most"), run.measure("least")), (2.0, 2.0), "{formula}");
                run.losses[0]
            };
            let found = statistic(&format!("mean({formula})"));
            assert!((found - mean).abs() <= variance.sqrt() * share, "{formula}: a mean of {found}");
            let found = statistic(&format!("mean(({formula} - {mean})^2)"));
            // The fourth moment of each is below 9 times the square of the second.
            assert!((found - variance).abs() <= 3.0 * variance * share, "{formula}: a variance of {found}");
        }
    }
}

#[test]
fn noisy_labels_are_drawn_from_all_classes() {
    let y: Vec<i64> = (0..ROWS as i64).map(|n| n % 5).collect();
    let folder = Folder::new(&BTreeMap::new());
    folder.write("data.safetensors", &BTreeMap::new(), &BTreeMap::from([("y".to_owned(), y)]));
    let program = "
        net none(y: index(5)[N]) -> [] {
            param w: [] = zeros
            0 * w + mean(one_hot(y))
        }
        fn kept(y: index(5)[N]; rate = 0.1) -> [] = 5 * mean(label_noise(y, rate) * one_hot(y))
        train {
            minimize 0 * none(y) + kept(y, rate: 0.4)
            on       d
            using    sgd
            steps    1
            measure  kept = kept(y, rate: 0.4)
        }";
    let run = folder.run(program, "f32");
    assert_eq!(run.measure("kept"), 1.0);
    // A class is kept with probability 1 - 0.4 + 0.4 / 5.
    let (kept, deviation) = (0.68, (0.68f64 * 0.32 / ROWS as f64).sqrt());
    assert!((run.losses[0] - kept).abs() < 5.0 * deviation, "{}", run.losses[0]);
}
