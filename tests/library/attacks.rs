//! Attacks and pseudo-labels of a net that is one affine map, against the formulas written out.

use super::run::{Array, Folder, compare};
use std::collections::BTreeMap;

const ROWS: usize = 9;
const W: [[f64; 3]; 2] = [[1.0, -0.5, 0.25], [-0.75, 0.5, 1.5]];

fn columns() -> BTreeMap<String, Array> {
    let number = |k: usize| ((k as f64 * 0.618_033_988_75).fract() - 0.5) * 3.0;
    let x: Vec<f64> = (0..2 * ROWS).map(number).collect();
    let c: Vec<f64> = (0..2 * ROWS).map(|k| number(k + 50)).collect();
    BTreeMap::from([("x".into(), (vec![ROWS, 2], x)), ("c".into(), (vec![ROWS, 2], c))])
}

fn label(row: usize) -> usize {
    (row * 5 + 1) % 3
}

fn softmax(x: &[f64]) -> [f64; 3] {
    let z: Vec<f64> = (0..3).map(|k| (x[0] * W[0][k] + x[1] * W[1][k]).exp()).collect();
    let sum: f64 = z.iter().sum();
    [z[0] / sum, z[1] / sum, z[2] / sum]
}

/// The sign of the derivative of -log softmax(x W)[y] by x.
fn uphill(x: &[f64], y: usize) -> [f64; 2] {
    let p = softmax(x);
    let slope = |d: usize| (0..3).map(|k| (p[k] - f64::from(k == y)) * W[d][k]).sum::<f64>();
    [0, 1].map(|d| if slope(d) == 0.0 { 0.0 } else { slope(d).signum() })
}

#[test]
fn attacks_and_pseudo_labels_are_what_their_formulas_say() {
    let columns = columns();
    let folder = Folder::new(&columns);
    let labels = BTreeMap::from([("y".to_owned(), (0..ROWS).map(|row| label(row) as i64).collect())]);
    folder.write("data.safetensors", &columns, &labels);
    let (x, c) = (&columns["x"].1, &columns["c"].1);
    let w: Vec<f64> = W.iter().flatten().copied().collect();
    folder.start(&BTreeMap::from([("f.W".into(), (vec![2, 3], w))]));
    let run = folder.run(
        "net f(x: [N, 2]) -> [N, 3] { param W: [2, 3] = zeros; x @ W }
        train {
            minimize cross_entropy(f(x), y)
            on       d
            using    sgd(lr: 0)
            measure  once = sum(c * fgsm(f, x, y, eps: 0.3)), begun = sum(c * pgd(f, x, y, 2, eps: 0.3, rate: 0.11)),
                     iterated = sum(c * pgd(f, x, y, 7, eps: 0.3, rate: 0.11)),
                     pseudo = pseudo_labels(f, x, sure: 0.6)
            steps    1
        }",
        "f64",
    );
    let (mut once, mut begun, mut iterated, mut pseudo) = (0.0, 0.0, 0.0, 0.0);
    for row in 0..ROWS {
        let (x, c) = (&x[2 * row..2 * row + 2], &c[2 * row..2 * row + 2]);
        let direction = uphill(x, label(row));
        once += (0..2).map(|d| c[d] * (x[d] + 0.3 * direction[d])).sum::<f64>();
        let mut a = x.to_vec();
        for step in 0..7 {
            if step == 2 {
                begun += a.iter().zip(c).map(|(a, c)| a * c).sum::<f64>();
            }
            let direction = uphill(&a, label(row));
            for d in 0..2 {
                a[d] = (a[d] + 0.11 * direction[d]).min(x[d] + 0.3).max(x[d] - 0.3);
            }
        }
        iterated += a.iter().zip(c).map(|(a, c)| a * c).sum::<f64>();
        let most = softmax(x).into_iter().fold(0.0, f64::max);
        pseudo += if most > 0.6 { -most.ln() / ROWS as f64 } else { 0.0 };
    }
    let mut failures = String::new();
    for (name, expected) in [("once", once), ("begun", begun), ("iterated", iterated), ("pseudo", pseudo)] {
        compare(&mut failures, name, run.measure(name), expected, 1e-12);
    }
    assert!(failures.is_empty(), "{failures}");
    assert!((once - begun).abs() > 1e-3 && pseudo > 0.0);
}
