//! What sorts: `sort` and `order` with their derivative, and the statistics of ranks, against sums over all pairs.

use super::run::{Array, Folder, compare};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Numbers of which some are equal.
fn column(rows: usize, factor: usize, values: usize) -> Vec<f64> {
    (0..rows).map(|k| ((k * factor + 3) % values) as f64 / 4.0 - 1.0).collect()
}

/// The place of each number among the others, from 1, those equal to it counted half.
fn ranks(x: &[f64]) -> Vec<f64> {
    let place = |a: f64| x.iter().map(|b| f64::from(*b < a) + f64::from(*b == a) / 2.0).sum::<f64>() + 0.5;
    x.iter().map(|a| place(*a)).collect()
}

fn median(x: &[f64]) -> f64 {
    let mut x = x.to_vec();
    x.sort_by(f64::total_cmp);
    (x[(x.len() - 1) / 2] + x[x.len() / 2]) / 2.0
}

fn auc(z: &[f64], y: &[f64]) -> f64 {
    let (mut ahead, mut pairs) = (0.0, 0.0);
    for (a, _) in z.iter().zip(y).filter(|(_, y)| **y == 1.0) {
        for (b, _) in z.iter().zip(y).filter(|(_, y)| **y == 0.0) {
            ahead += f64::from(a > b) + f64::from(a == b) / 2.0;
            pairs += 1.0;
        }
    }
    ahead / pairs
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (p, q) = (mean(a), mean(b));
    let product: f64 = a.iter().zip(b).map(|(a, b)| (a - p) * (b - q)).sum();
    let square = |x: &[f64], m: f64| x.iter().map(|x| (x - m).powi(2)).sum::<f64>();
    product / (square(a, p) * square(b, q)).sqrt()
}

/// A net that is a number, so that there is something to train.
const NET: &str = "net line(a: [N]) -> [N] { param w: [] = 1; w * a }\n";

#[test]
fn statistics_of_ranks_count_ties_half() {
    for rows in [7usize, 60, 601] {
        let (a, b) = (column(rows, 37, 23), column(rows, 53, 17));
        let y: Vec<f64> = (0..rows).map(|k| f64::from((k * 29) % 7 < 3)).collect();
        let columns: BTreeMap<String, Array> =
            [("a", &a), ("b", &b), ("y", &y)].map(|(name, v)| (name.to_owned(), (vec![rows], v.clone()))).into();
        let program = format!(
            "{NET}train {{
                minimize mse(line(a), b)
                on       d, batch 64
                using    sgd(lr: 0)
                measure  area = auc(a, y), rho = spearman(a, b), error = median_absolute_error(a, b)
                steps    1
            }}"
        );
        let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).collect();
        let expected =
            [("area", auc(&a, &y)), ("rho", correlation(&ranks(&a), &ranks(&b))), ("error", median(&differences))];
        for (dtype, tolerance) in [("f32", 1e-5), ("f64", 1e-12)] {
            let run = Folder::new(&columns).run(&program, dtype);
            let mut failures = String::new();
            for (name, expected) in expected {
                compare(&mut failures, name, run.measure(name), expected, tolerance);
            }
            assert!(failures.is_empty(), "{rows} rows in {dtype}: {failures}");
        }
    }
}

#[test]
fn the_derivative_of_sorted_elements_goes_where_they_were() {
    let rows = 6;
    let x: Vec<f64> = (0..rows * 5).map(|k| ((k * 7919) % 31) as f64 / 8.0).collect();
    let weights = [1.0, -2.0, 0.5, 3.0, -1.5];
    let mut written = String::new();
    for (k, w) in weights.iter().enumerate() {
        let _ = write!(written, "{}{w} * where(r == {k}, 1, 0)", if k > 0 { " + " } else { "" });
    }
    // Of Σ c·sort(x), the derivative by an element is the c of its place; by rows and along the other axis too.
    let program = format!(
        "{NET}fn weights_of(x: [N, D]) -> [D] {{ r = range(D); {written} }}
        fn total(x: [N, D]) = sum(weights_of(x) * sort(x over D)^2)
        fn slope(x: [N, D]) = sum(range(D) * grad(total(x), x))
        fn places(x: [N, D]) = sum(order(x over D) * x)
        fn down(x: [N, D]) = sum(weights_of(x) * sort(x over N)[index(2, N)])
        train {{
            minimize mse(line(a), a)
            on       d
            using    sgd(lr: 0)
            measure  total = total(x), slope = slope(x), down = down(x), places = places(x)
            steps    1
        }}"
    );
    let columns: BTreeMap<String, Array> =
        BTreeMap::from([("x".into(), (vec![rows, 5], x.clone())), ("a".into(), (vec![rows], x[..rows].to_vec()))]);
    let (mut total, mut slope, mut places) = (0.0, 0.0, 0.0);
    for row in x.chunks(5) {
        let mut order: Vec<usize> = (0..5).collect();
        order.sort_by(|a, b| row[*a].total_cmp(&row[*b]));
        for (place, at) in order.into_iter().enumerate() {
            total += weights[place] * row[at].powi(2);
            slope += at as f64 * 2.0 * weights[place] * row[at];
            places += at as f64 * row[place];
        }
    }
    let down = (0..5).map(|column| {
        let mut all: Vec<f64> = x.iter().skip(column).step_by(5).copied().collect();
        all.sort_by(f64::total_cmp);
        weights[column] * all[2]
    });
    let down: f64 = down.sum();
    for (dtype, tolerance) in [("f32", 1e-5), ("f64", 1e-12)] {
        let run = Folder::new(&columns).run(&program, dtype);
        let mut failures = String::new();
        for (name, expected) in [("total", total), ("slope", slope), ("places", places), ("down", down)] {
            compare(&mut failures, name, run.measure(name), expected, tolerance);
        }
        assert!(failures.is_empty(), "{dtype}: {failures}");
    }
}
